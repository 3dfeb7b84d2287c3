/* SPDX-License-Identifier: Apache-2.0 */
/* callers.c - who makes the calls to the master */
#include "client/bridge/callers.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "common/buffer.h"

struct callers_thread {
    struct callers *callers;
    struct client_api *api;
    pthread_t thread;
};

struct callers {
    pthread_mutex_t lock;
    pthread_cond_t some;        /* there is work, or the callers stop */
    struct callers_work *first; /* by turn */
    uint64_t turn;              /* of the work that was taken last */
    char *master_url;
    const struct session_client_options *seal; // NULL: frames are clear
    struct callers_thread *threads;
    unsigned threads_max;
    unsigned thread_count;
    unsigned idle_count;
    unsigned queued_count;
    bool stopping;
};

static struct callers_work *next_work(struct callers *callers)
{
    struct callers_work *work;

    pthread_mutex_lock(&callers->lock);
    callers->idle_count++;
    while (!callers->first && !callers->stopping) {
        pthread_cond_wait(&callers->some, &callers->lock);
    }
    callers->idle_count--;
    work = callers->first;
    if (work) {
        callers->queued_count--;
        callers->first = work->next;
        callers->turn = work->turn;
    }
    pthread_mutex_unlock(&callers->lock);
    return work;
}

static void *work_until_stopped(void *arg)
{
    struct callers_thread *self = arg;
    struct callers_work *work;

    while ((work = next_work(self->callers)) != NULL) {
        work->run(work, self->api);
    }
    return NULL;
}

// With the lock held. Signals are main's business.
static int add_thread(struct callers *callers, struct error *err)
{
    struct callers_thread *thread = &callers->threads[callers->thread_count];
    sigset_t all;
    sigset_t before;

    thread->callers = callers;
    if (!thread->api &&
        client_api_create(callers->master_url, callers->seal, &thread->api, err) != 0) {
        return -1;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->thread, NULL, work_until_stopped, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        return error_set(err, ERROR_RESOURCE_EXHAUSTED, "cannot start a thread");
    }
    callers->thread_count++;
    return 0;
}

int callers_create(const char *master_url,
                   const struct session_client_options *seal,
                   unsigned threads_max,
                   struct callers **out_callers,
                   struct error *err)
{
    struct callers *callers = memory_zalloc(sizeof(*callers));

    pthread_mutex_init(&callers->lock, NULL);
    pthread_cond_init(&callers->some, NULL);
    callers->master_url = memory_strdup(master_url);
    callers->seal = seal;
    callers->threads = memory_zalloc(threads_max * sizeof(*callers->threads));
    callers->threads_max = threads_max;
    pthread_mutex_lock(&callers->lock);
    int result = add_thread(callers, err); // the first, so that a bad URL shows here
    pthread_mutex_unlock(&callers->lock);
    if (result == 0) {
        *out_callers = callers;
    }
    return result;
}

// With the lock held. A client's next turn comes after its last one, and that of who
// has none is now; within a turn it is first come, first served.
static void enqueue(struct callers *callers, struct callers_work *work)
{
    struct callers_work **at = &callers->first;

    work->turn = callers->turn;
    for (const struct callers_work *each = *at; each; each = each->next) {
        if (each->client == work->client) {
            work->turn = each->turn + 1;
        }
    }
    while (*at && (*at)->turn <= work->turn) {
        at = &(*at)->next;
    }
    work->next = *at;
    *at = work;
    callers->queued_count++;
}

void callers_submit(struct callers *callers, struct callers_work *work)
{
    pthread_mutex_lock(&callers->lock);
    enqueue(callers, work);
    if (callers->queued_count > callers->idle_count &&
        callers->thread_count < callers->threads_max && !callers->stopping) {
        (void)add_thread(callers, NULL); // without it the others do the work
    }
    pthread_cond_signal(&callers->some);
    pthread_mutex_unlock(&callers->lock);
}

void callers_stop(struct callers *callers)
{
    pthread_mutex_lock(&callers->lock);
    callers->stopping = true;
    for (unsigned i = 0; i < callers->thread_count; i++) {
        client_api_cancel(callers->threads[i].api);
    }
    pthread_cond_broadcast(&callers->some);
    pthread_mutex_unlock(&callers->lock);
    for (unsigned i = 0; i < callers->thread_count; i++) {
        pthread_join(callers->threads[i].thread, NULL);
    }
}
