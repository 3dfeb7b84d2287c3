/* SPDX-License-Identifier: Apache-2.0 */
/* enqueuings.c - which jobs enqueue, and how their segments come to the loop */
#include "master/enqueuings.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/object.h"
#include "common/pool.h"
#include "master/enqueuer.h"
#include "master/submit.h"

#define BODY_SIZE_MAX (10u << 20)

struct enqueuings {
    struct pool *threads;
    const struct prepare *prepare;
    struct joblog *joblog;
    pthread_mutex_t lock; /* guards what follows */
    struct enqueuing *first;
    bool stopped;
};

struct enqueuing {
    struct enqueuing *next;
    struct enqueuings *all;
    struct loop *loop;
    uint64_t job_id;
    struct segment *last; /* owned; NULL: from the start */
    bool stopped;         /* under the lock of all */
};

/* A segment on its way through the loop, and whoever waits for it. */
struct crossing {
    uint64_t job_id;
    struct segment segment;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    bool going_on;
};

static int commit_segment(struct state *state, void *arg, struct error *err)
{
    struct crossing *crossing = arg;
    bool going_on;
    int result =
        submit_segment(state, crossing->job_id, &crossing->segment, &going_on, err);

    // Its waiter goes on before the commit: the next segment is only written, and
    // should this commit fail, the process ends.
    pthread_mutex_lock(&crossing->lock);
    crossing->over = true;
    crossing->going_on = result == 0 && going_on;
    pthread_cond_signal(&crossing->changed);
    pthread_mutex_unlock(&crossing->lock);
    return result;
}

static int cross(void *arg,
                 const struct payload_segment *payload,
                 const struct enqueuer_position *after,
                 struct error *err)
{
    struct enqueuing *enqueuing = arg;
    struct crossing crossing = {.job_id = enqueuing->job_id,
                                .segment = {.payload = *payload, .after = *after}};

    pthread_mutex_init(&crossing.lock, NULL);
    pthread_cond_init(&crossing.changed, NULL);
    loop_post(enqueuing->loop, commit_segment, &crossing);
    pthread_mutex_lock(&crossing.lock);
    while (!crossing.over) {
        pthread_cond_wait(&crossing.changed, &crossing.lock);
    }
    pthread_mutex_unlock(&crossing.lock);
    pthread_cond_destroy(&crossing.changed);
    pthread_mutex_destroy(&crossing.lock);
    return crossing.going_on
               ? 0
               : error_set(err, ERROR_CANCELLED, "the job is no longer enqueuing");
}

static void log_line(void *arg, const char *line)
{
    struct enqueuing *enqueuing = arg;
    char *whole = memory_format("%s\n", line);

    joblog_append(
        enqueuing->all->joblog, enqueuing->job_id, whole, strlen(whole), NULL, NULL);
    free(whole);
}

static bool is_stopped(void *arg)
{
    struct enqueuing *enqueuing = arg;

    pthread_mutex_lock(&enqueuing->all->lock);
    bool stopped = enqueuing->stopped || enqueuing->all->stopped;
    pthread_mutex_unlock(&enqueuing->all->lock);
    return stopped;
}

/* How an enqueuing ended, on its way to the loop. */
struct ending {
    uint64_t job_id;
    bool failed;
    struct error error;
};

static int end_enqueuing(struct state *state, void *arg, struct error *err)
{
    struct ending *ending = arg;
    int result = submit_enqueued(
        state, ending->job_id, ending->failed ? &ending->error : NULL, err);

    free(ending);
    return result;
}

static int run_enqueuer(struct enqueuing *enqueuing, struct error *err)
{
    const struct prepare *prepare = enqueuing->all->prepare;
    struct buffer body = BUFFER_INIT;
    char *body_url = prepare_body_url(prepare, enqueuing->job_id);
    char *payload_url = prepare_payload_url(prepare, enqueuing->job_id);
    uint64_t batches;
    int result = object_get(
        prepare->own, body_url, 0, UINT64_MAX, BODY_SIZE_MAX, NULL, &body, NULL, err);

    if (result == 0) {
        struct enqueuer_options options = {
            .body = body.data,
            .body_size = body.size,
            .limits = prepare->limits,
            .inputs = prepare->inputs,
            .payloads = prepare->own,
            .payload_prefix_url = payload_url,
            .last = enqueuing->last ? &enqueuing->last->payload : NULL,
            .after = enqueuing->last ? &enqueuing->last->after : NULL,
        };
        struct enqueuer_sink sink = {
            .arg = enqueuing, .segment = cross, .log = log_line, .stopped = is_stopped};
        result = enqueuer_run(&options, &sink, &batches, err);
    }
    buffer_fini(&body);
    free(body_url);
    free(payload_url);
    return result;
}

static void forget_enqueuing(struct enqueuing *enqueuing)
{
    struct enqueuings *all = enqueuing->all;

    pthread_mutex_lock(&all->lock);
    struct enqueuing **link = &all->first;
    while (*link != enqueuing) {
        link = &(*link)->next;
    }
    *link = enqueuing->next;
    pthread_mutex_unlock(&all->lock);
    free(enqueuing->last);
    free(enqueuing);
}

static void enqueue(void *arg)
{
    struct enqueuing *enqueuing = arg;
    struct ending *ending = memory_zalloc(sizeof(*ending));

    ending->job_id = enqueuing->job_id;
    ending->failed = run_enqueuer(enqueuing, &ending->error) != 0;
    // One that was told to stop has nothing to report: its job is over, or goes on
    // with the master's next start.
    if (is_stopped(enqueuing)) {
        free(ending);
    } else {
        loop_post(enqueuing->loop, end_enqueuing, ending);
    }
    forget_enqueuing(enqueuing);
}

int enqueuings_create(const struct prepare *prepare,
                      struct joblog *joblog,
                      struct enqueuings **out_all,
                      struct error *err)
{
    struct enqueuings *all = memory_zalloc(sizeof(*all));

    all->prepare = prepare;
    all->joblog = joblog;
    if (pool_create(ENQUEUINGS_THREADS, &all->threads, err) != 0) {
        free(all);
        return -1;
    }
    pthread_mutex_init(&all->lock, NULL);
    *out_all = all;
    return 0;
}

void enqueuings_start(struct enqueuings *all, struct loop *loop, struct action *action)
{
    struct enqueuing *enqueuing = memory_zalloc(sizeof(*enqueuing));

    enqueuing->all = all;
    enqueuing->loop = loop;
    enqueuing->job_id = action->job_id;
    enqueuing->last = action->last;
    action->last = NULL;
    pthread_mutex_lock(&all->lock);
    enqueuing->next = all->first;
    all->first = enqueuing;
    pthread_mutex_unlock(&all->lock);
    pool_run(all->threads, enqueue, enqueuing);
}

void enqueuings_cancel(struct enqueuings *all, uint64_t job_id)
{
    pthread_mutex_lock(&all->lock);
    for (struct enqueuing *at = all->first; at; at = at->next) {
        at->stopped = at->stopped || at->job_id == job_id;
    }
    pthread_mutex_unlock(&all->lock);
}

void enqueuings_stop(struct enqueuings *all)
{
    pthread_mutex_lock(&all->lock);
    all->stopped = true;
    pthread_mutex_unlock(&all->lock);
}

void enqueuings_destroy(struct enqueuings *all)
{
    if (!all) {
        return;
    }
    enqueuings_stop(all);
    pool_destroy(all->threads);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
