/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - who makes the calls to the master */
#include "client/bridge/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "common/buffer.h"

struct pool_thread {
    struct pool *pool;
    struct client_api *api;
    pthread_t thread;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t some; /* there is work, or the pool stops */
    struct pool_work *first;
    struct pool_work **end;
    char *master_url;
    struct pool_thread *threads;
    unsigned threads_max;
    unsigned thread_count;
    unsigned idle_count;
    unsigned queued_count;
    bool stopping;
};

static struct pool_work *next_work(struct pool *pool)
{
    struct pool_work *work;

    pthread_mutex_lock(&pool->lock);
    pool->idle_count++;
    while (!pool->first && !pool->stopping) {
        pthread_cond_wait(&pool->some, &pool->lock);
    }
    pool->idle_count--;
    work = pool->first;
    if (work) {
        pool->queued_count--;
        pool->first = work->next;
        if (!pool->first) {
            pool->end = &pool->first;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return work;
}

static void *work_until_stopped(void *arg)
{
    struct pool_thread *self = arg;
    struct pool_work *work;

    while ((work = next_work(self->pool)) != NULL) {
        work->run(work, self->api);
    }
    return NULL;
}

// With the lock held. Signals are main's business.
static int add_thread(struct pool *pool, struct error *err)
{
    struct pool_thread *thread = &pool->threads[pool->thread_count];
    sigset_t all;
    sigset_t before;

    thread->pool = pool;
    if (!thread->api && client_api_create(pool->master_url, &thread->api, err) != 0) {
        return -1;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->thread, NULL, work_until_stopped, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        return error_set(err, ERROR_RESOURCE_EXHAUSTED, "cannot start a thread");
    }
    pool->thread_count++;
    return 0;
}

int pool_create(const char *master_url,
                unsigned threads_max,
                struct pool **out_pool,
                struct error *err)
{
    struct pool *pool = memory_zalloc(sizeof(*pool));

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->some, NULL);
    pool->end = &pool->first;
    pool->master_url = memory_strdup(master_url);
    pool->threads = memory_zalloc(threads_max * sizeof(*pool->threads));
    pool->threads_max = threads_max;
    pthread_mutex_lock(&pool->lock);
    int result = add_thread(pool, err); // the first, so that a bad URL shows here
    pthread_mutex_unlock(&pool->lock);
    if (result == 0) {
        *out_pool = pool;
    }
    return result;
}

void pool_submit(struct pool *pool, struct pool_work *work)
{
    pthread_mutex_lock(&pool->lock);
    work->next = NULL;
    *pool->end = work;
    pool->end = &work->next;
    pool->queued_count++;
    if (pool->queued_count > pool->idle_count &&
        pool->thread_count < pool->threads_max && !pool->stopping) {
        (void)add_thread(pool, NULL); // without it the others do the work
    }
    pthread_cond_signal(&pool->some);
    pthread_mutex_unlock(&pool->lock);
}

void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    for (unsigned i = 0; i < pool->thread_count; i++) {
        client_api_cancel(pool->threads[i].api);
    }
    pthread_cond_broadcast(&pool->some);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i].thread, NULL);
    }
}
