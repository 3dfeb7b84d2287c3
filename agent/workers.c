/* SPDX-License-Identifier: Apache-2.0 */
/* workers.c - which workers an agent has, and how each comes nearer to what is wished
 */
#include "agent/workers.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

struct worker *workers_find(struct workers *workers, uint64_t worker_id)
{
    size_t n = workers->count;

    for (size_t i = 0; i < n; i++) {
        size_t at = workers->last_found + i < n ? workers->last_found + i
                                                : workers->last_found + i - n;

        if (workers->all[at]->id == worker_id) {
            workers->last_found = at;
            return workers->all[at];
        }
    }
    return NULL;
}

static void free_worker(struct worker *worker)
{
    hand_fini(&worker->hand);
    free(worker->error);
    free(worker);
}

void workers_init(struct workers *workers,
                  const struct agent_capacity *capacity,
                  const struct agent_effects *effects,
                  void *arg)
{
    memset(workers, 0, sizeof(*workers));
    workers->capacity = *capacity;
    workers->effects = *effects;
    workers->arg = arg;
    workers->all = memory_zalloc(AGENT_WORKERS_MAX * sizeof(struct worker *));
}

void workers_fini(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        free_worker(workers->all[i]);
    }
    free(workers->all);
}

void workers_move(struct workers *workers,
                  struct worker *worker,
                  enum agent_worker_state state)
{
    agent_worker_state_move(&worker->state, state);
    workers->changes++;
}

bool workers_is_over(const struct worker *worker)
{
    return worker->end != 0;
}

void workers_settle(struct workers *workers, struct worker *worker)
{
    if (workers_is_over(worker) && worker->hand.count == 0 &&
        !agent_worker_state_final(worker->state)) {
        workers_move(workers, worker, worker->end);
    }
}

static void tell_stop(struct workers *workers, struct worker *worker)
{
    if (worker->told == AGENT_WISH_STOP) {
        return;
    }
    worker->told = AGENT_WISH_STOP;
    if (worker->started) {
        workers->effects.stop(workers->arg, worker->id);
    } else {
        worker->end = AGENT_WORKER_EXITED; // there is nothing to wait for
        workers_settle(workers, worker);
    }
}

static void tell_drain(struct workers *workers, struct worker *worker)
{
    enum agent_leave why = AGENT_LEAVE_EMPTY;

    if (worker->told >= AGENT_WISH_DRAIN || worker->state == AGENT_WORKER_COMPLETING) {
        return; // on_job_complete is not interrupted: asked again when it has returned
    }
    if (worker->state == AGENT_WORKER_INITIALIZING) {
        tell_stop(workers, worker); // it has nothing to finish
        return;
    }
    if (worker->closes_job) {
        why = AGENT_LEAVE_CLOSING;
    } else if (workers->leaving) {
        why = AGENT_LEAVE_QUIETLY;
    }
    worker->told = AGENT_WISH_DRAIN;
    workers->effects.drain(workers->arg, worker->id, why);
}

static void tell_complete(struct workers *workers, struct worker *worker)
{
    if (worker->told == AGENT_WISH_RUN && worker->state == AGENT_WORKER_RUNNING &&
        worker->hand.held == 0) {
        worker->told = AGENT_WISH_COMPLETE;
        worker->callback = AGENT_CALLBACK_BEGUN;
        workers_move(workers, worker, AGENT_WORKER_COMPLETING);
        workers->effects.complete(workers->arg, worker->id);
    }
}

void workers_follow(struct workers *workers, struct worker *worker)
{
    if (workers_is_over(worker)) {
        return;
    }
    switch (worker->wish) {
    case AGENT_WISH_RUN:
        break;
    case AGENT_WISH_COMPLETE:
        tell_complete(workers, worker);
        break;
    case AGENT_WISH_DRAIN:
        tell_drain(workers, worker);
        break;
    case AGENT_WISH_STOP:
        hand_drop_held(&worker->hand);
        tell_stop(workers, worker);
        break;
    }
}

static bool has_room(const struct workers *workers, const struct worker *worker)
{
    struct agent_capacity taken = worker->start.share;

    for (size_t i = 0; i < workers->count; i++) {
        const struct worker *other = workers->all[i];

        if (other->started && !workers_is_over(other)) {
            taken.cpu_millis += other->start.share.cpu_millis;
            taken.memory_bytes += other->start.share.memory_bytes;
            taken.gpus += other->start.share.gpus;
        }
    }
    return taken.cpu_millis <= workers->capacity.cpu_millis &&
           taken.memory_bytes <= workers->capacity.memory_bytes &&
           taken.gpus <= workers->capacity.gpus;
}

/* Starts those that have waited for another's end. The master counts on what it knows
 * of; one that it gave up, or whose end is under way, still has its room here. */
void workers_start_waiting(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        struct worker *worker = workers->all[i];

        if (!worker->started && !workers_is_over(worker) && has_room(workers, worker)) {
            worker->started = true;
            workers->effects.start(workers->arg, &worker->start);
        }
    }
}

static void add_worker(struct workers *workers,
                       const struct agent_desired_worker *desired)
{
    struct worker *worker;

    if (workers->leaving || workers->count == AGENT_WORKERS_MAX ||
        desired->wish >= AGENT_WISH_DRAIN) {
        return; // the next Sync shows that it is not there
    }
    worker = memory_zalloc(sizeof(*worker));
    worker->id = desired->worker_id;
    worker->job_id = desired->job_id;
    worker->state = AGENT_WORKER_INITIALIZING;
    worker->callback = AGENT_CALLBACK_NOT_BEGUN;
    worker->wish = desired->wish;
    worker->told = AGENT_WISH_RUN;
    worker->start = *desired;
    worker->desired = true;
    workers->all[workers->count++] = worker;
    workers->changes++;
}

static void apply_desired(struct workers *workers,
                          const struct agent_desired_worker *desired)
{
    struct worker *worker = workers_find(workers, desired->worker_id);

    if (worker == NULL) {
        add_worker(workers, desired);
        return;
    }
    worker->desired = true;
    worker->closes_job = desired->closes_job;
    // While the agent leaves, only a stop overrides its own wish.
    if (!workers->leaving || desired->wish == AGENT_WISH_STOP) {
        worker->wish = desired->wish;
    }
    workers_follow(workers, worker);
}

/* Frees those that are over and no longer named; stops those that are not over. */
static void drop_undesired(struct workers *workers, bool work_pending)
{
    size_t kept = 0;

    for (size_t i = 0; i < workers->count; i++) {
        struct worker *worker = workers->all[i];

        if (!worker->desired && agent_worker_state_final(worker->state) &&
            worker->hand.count == 0 && !work_pending) {
            workers->effects.forget(workers->arg, worker->id);
            free_worker(worker);
            continue;
        }
        if (!worker->desired && !workers_is_over(worker)) {
            worker->wish = AGENT_WISH_STOP;
            workers_follow(workers, worker);
        }
        workers->all[kept++] = worker;
    }
    workers->count = kept;
    workers->last_found = 0;
}

void workers_desire(struct workers *workers,
                    const struct agent_desired_worker *desired,
                    size_t count,
                    bool work_pending)
{
    for (size_t i = 0; i < workers->count; i++) {
        workers->all[i]->desired = false;
    }
    for (size_t i = 0; i < count; i++) {
        apply_desired(workers, &desired[i]);
    }
    drop_undesired(workers, work_pending);
    workers_start_waiting(workers);
}

void workers_drain(struct workers *workers)
{
    workers->leaving = true;
    workers->changes++;
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->all[i]->wish < AGENT_WISH_DRAIN) {
            workers->all[i]->wish = AGENT_WISH_DRAIN;
        }
        workers_follow(workers, workers->all[i]);
    }
}

void workers_stop(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        if (!workers_is_over(workers->all[i])) {
            tell_stop(workers, workers->all[i]);
        }
    }
}

bool workers_any(const struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        if (!agent_worker_state_final(workers->all[i]->state)) {
            return true;
        }
    }
    return false;
}
