/* SPDX-License-Identifier: Apache-2.0 */
/* agent.c - what an agent decides: which workers to run, what to ask for, what to tell
 */
#include "agent/agent.h"

#include <stdlib.h>
#include <string.h>

#include "agent/workers.h"
#include "common/buffer.h"

struct agent {
    struct workers workers;
    uint32_t boot; /* of the master, as its last Sync reply told */
    bool registered;
    bool work_pending; /* a Work call is unanswered */
    uint64_t work_number;
    uint64_t desired_version;
    uint64_t sync_number;  /* of the last call built */
    uint64_t sync_applied; /* of the newest call whose reply was taken in */
    uint64_t wishes;       /* the newest desired version taken in from this boot */
    uint64_t sync_foreign; /* calls up to it were said to another start of the master */
    uint64_t changes_told; /* in the last Sync call built */
};

struct agent *agent_create(const struct agent_capacity *capacity,
                           const struct agent_effects *effects,
                           void *arg)
{
    struct agent *agent = memory_zalloc(sizeof(*agent));

    workers_init(&agent->workers, capacity, effects, arg);
    return agent;
}

void agent_destroy(struct agent *agent)
{
    if (agent == NULL) {
        return;
    }
    workers_fini(&agent->workers);
    free(agent);
}

/* --- the parked conversation ------------------------------------------------------ */

static void add_status(struct agent_sync_request *request, const struct worker *worker)
{
    request->workers[request->workers_count++] = (struct agent_worker_status){
        .worker_id = worker->id,
        .job_id = worker->job_id,
        .state = worker->state,
        .failure = worker->failure,
        .error = memory_strdup(worker->error),
        .has_on_job_complete = worker->has_on_job_complete,
        .hungry = worker->state == AGENT_WORKER_RUNNING && !worker->ready,
        .pid = worker->pid,
        .callback = worker->callback,
    };
}

static bool extends_run(const struct agent_held_run *run,
                        const struct worker *worker,
                        const struct hand_batch *batch)
{
    return run->worker_id == worker->id &&
           batch->index == run->first_index + run->count &&
           batch->attempt == run->first_attempt + run->count;
}

static void add_held(struct agent_sync_request *request,
                     const struct worker *worker,
                     size_t *capacity)
{
    for (size_t i = 0; i < worker->hand.count; i++) {
        const struct hand_batch *batch = &worker->hand.batches[worker->hand.first + i];

        if (request->held_count > 0 &&
            extends_run(&request->held[request->held_count - 1], worker, batch)) {
            request->held[request->held_count - 1].count++;
            continue;
        }
        if (request->held_count == *capacity) {
            *capacity = *capacity == 0 ? 16 : *capacity * 2;
            request->held =
                memory_realloc(request->held, *capacity * sizeof(*request->held));
        }
        request->held[request->held_count++] =
            (struct agent_held_run){.worker_id = worker->id,
                                    .job_id = worker->job_id,
                                    .first_index = batch->index,
                                    .first_attempt = batch->attempt,
                                    .count = 1};
    }
}

void agent_sync_build(struct agent *agent,
                      uint32_t park_ms,
                      struct agent_sync_request *out)
{
    size_t capacity = 0;

    *out = (struct agent_sync_request){
        .number = ++agent->sync_number,
        .capacity = agent->workers.capacity,
        .work_number = agent->work_number,
        .desired_version = agent->desired_version,
        .draining = agent->workers.leaving,
        .park_ms = park_ms,
        .boot = agent->boot,
    };
    out->workers = memory_zalloc((agent->workers.count + 1) * sizeof(*out->workers));
    for (size_t i = 0; i < agent->workers.count; i++) {
        add_status(out, agent->workers.all[i]);
        add_held(out, agent->workers.all[i], &capacity);
    }
    agent->changes_told = agent->workers.changes;
}

void agent_sync_request_fini(struct agent_sync_request *request)
{
    for (size_t i = 0; i < request->workers_count; i++) {
        free(request->workers[i].error);
    }
    free(request->workers);
    free(request->held);
    memset(request, 0, sizeof(*request));
}

void agent_sync_reply_fini(struct agent_sync_reply *reply)
{
    free(reply->workers);
    free(reply->ready_jobs);
    memset(reply, 0, sizeof(*reply));
}

/* Only ever sets: a job is known to be dry when a Work call was answered short. */
static void note_ready(struct agent *agent, const struct agent_sync_reply *reply)
{
    for (size_t i = 0; i < reply->ready_jobs_count; i++) {
        for (size_t k = 0; k < agent->workers.count; k++) {
            if (agent->workers.all[k]->job_id == reply->ready_jobs[i]) {
                agent->workers.all[k]->ready = true;
            }
        }
    }
}

void agent_sync_apply(struct agent *agent,
                      uint64_t number,
                      const struct agent_sync_reply *reply,
                      int64_t now_ms)
{
    (void)now_ms; // nothing here depends on it yet; callers keep one form
    bool overtaken =
        reply->boot == agent->boot && reply->desired_version < agent->wishes;

    // Of two calls the master may answer the newer one first, with older wishes.
    if (number <= agent->sync_applied || overtaken) {
        note_ready(agent, reply);
        return;
    }
    agent->sync_applied = number;
    if (reply->boot != agent->boot) {
        // Another start of the master, which has taken in nothing of this yet. Grants
        // of the former are taken no more, so the next Sync says all there is.
        agent->boot = reply->boot;
        agent->sync_foreign = agent->sync_number;
        agent->wishes = 0;
        agent->desired_version = 0;
        agent->workers.changes++;
        return;
    }
    if (number <= agent->sync_foreign) {
        return; // the other conversation's: it tells which start it is, nothing else
    }
    agent->registered = true;
    agent->wishes = reply->desired_version;
    agent->desired_version = reply->desired_version;
    workers_desire(
        &agent->workers, reply->workers, reply->workers_count, agent->work_pending);
    note_ready(agent, reply);
}

void agent_sync_failed(struct agent *agent)
{
    agent->workers.changes++; // whatever it told was not heard
    agent->desired_version = 0;
}

bool agent_registered(const struct agent *agent)
{
    return agent->registered;
}

/* --- the conversation that is never parked ---------------------------------------- */

static uint32_t asks_for(const struct agent *agent,
                         const struct worker *worker,
                         int64_t now_ms,
                         int64_t *out_wake_ms)
{
    if (agent->workers.leaving || !worker->ready ||
        worker->state != AGENT_WORKER_RUNNING || workers_is_over(worker) ||
        worker->wish != AGENT_WISH_RUN || worker->told != AGENT_WISH_RUN) {
        return 0;
    }
    return hand_wanted(&worker->hand, now_ms, out_wake_ms);
}

/* Whether a worker alone is reason enough for a Work call now. */
static bool calls_for_work(const struct agent *agent,
                           const struct worker *worker,
                           int64_t now_ms,
                           int64_t *out_wake_ms)
{
    const struct hand *hand = &worker->hand;
    int64_t due_ms = hand->done_since_ms + AGENT_TELL_MS;

    if (asks_for(agent, worker, now_ms, out_wake_ms) > 0) {
        return true;
    }
    if (hand->done == 0 || hand_tellable(hand, worker->log_shipped) == 0) {
        return false;
    }
    if (hand->held == 0 || hand->estimate_us >= HAND_AHEAD_US || now_ms >= due_ms) {
        return true;
    }
    if (due_ms < *out_wake_ms) {
        *out_wake_ms = due_ms;
    }
    return false;
}

enum agent_call
agent_next_call(const struct agent *agent, int64_t now_ms, int64_t *out_wake_ms)
{
    if (agent->workers.changes != agent->changes_told || !agent->registered) {
        return AGENT_CALL_SYNC;
    }
    if (agent->work_pending) {
        return AGENT_CALL_NONE;
    }
    for (size_t i = 0; i < agent->workers.count; i++) {
        if (calls_for_work(agent, agent->workers.all[i], now_ms, out_wake_ms)) {
            return AGENT_CALL_WORK;
        }
    }
    return AGENT_CALL_NONE;
}

static void tell_results(struct worker *worker, struct agent_work_request *out)
{
    const struct hand_batch *batch;
    size_t cursor = 0;

    while (out->results_count < AGENT_RESULTS_MAX &&
           (batch = hand_tell(&worker->hand, worker->log_shipped, &cursor)) != NULL) {
        out->results[out->results_count++] =
            (struct agent_result){.worker_id = worker->id,
                                  .job_id = worker->job_id,
                                  .index = batch->index,
                                  .attempt = batch->attempt,
                                  .outcome = batch->outcome,
                                  .start_ms = batch->start_ms,
                                  .duration_us = batch->duration_us,
                                  .error = memory_strdup(batch->error)};
    }
}

void agent_work_build(struct agent *agent,
                      int64_t now_ms,
                      struct agent_work_request *out)
{
    int64_t wake_ms = INT64_MAX;
    size_t room = 1;

    for (size_t i = 0; i < agent->workers.count; i++) {
        room += agent->workers.all[i]->hand.done;
    }
    room = room < AGENT_RESULTS_MAX ? room : AGENT_RESULTS_MAX;
    memset(out, 0, sizeof(*out));
    out->results = memory_zalloc(room * sizeof(*out->results));
    out->asks = memory_zalloc((agent->workers.count + 1) * sizeof(*out->asks));
    for (size_t i = 0; i < agent->workers.count; i++) {
        struct worker *worker = agent->workers.all[i];
        uint32_t count = asks_for(agent, worker, now_ms, &wake_ms);

        tell_results(worker, out);
        if (count > 0) {
            out->asks[out->asks_count++] =
                (struct agent_ask){.worker_id = worker->id, .count = count};
            // True again if as many are granted, or by the next Sync reply.
            worker->ready = false;
        }
    }
    agent->work_pending = true;
}

void agent_work_request_fini(struct agent_work_request *request)
{
    for (size_t i = 0; i < request->results_count; i++) {
        free(request->results[i].error);
    }
    free(request->results);
    free(request->asks);
    memset(request, 0, sizeof(*request));
}

/* Whether batches that come for the worker may still be run by it. */
static bool takes_batches(const struct worker *worker)
{
    return worker->state == AGENT_WORKER_RUNNING && !workers_is_over(worker) &&
           worker->told == AGENT_WISH_RUN;
}

static void take_grant(struct agent *agent,
                       const struct agent_grant *grant,
                       const char *payloads,
                       int64_t now_ms)
{
    struct worker *worker = workers_find(&agent->workers, grant->worker_id);

    if (worker == NULL) {
        return; // never asked for; the lease ends by itself
    }
    worker->ready = worker->ready || grant->count > 0;
    for (size_t i = 0; i < grant->count; i++) {
        hand_add(&worker->hand,
                 grant->first_index + i,
                 grant->first_attempt + i,
                 grant->sizes[i],
                 now_ms);
        if (takes_batches(worker)) {
            agent->workers.effects.feed(
                agent->workers.arg,
                &(struct agent_feed){.worker_id = worker->id,
                                     .job_id = worker->job_id,
                                     .index = grant->first_index + i,
                                     .payload = payloads,
                                     .size = grant->sizes[i]});
        }
        payloads += grant->sizes[i];
    }
    if (workers_is_over(worker)) {
        hand_give_back(&worker->hand, false, NULL, now_ms);
    } else if (worker->wish == AGENT_WISH_STOP) {
        hand_drop_held(&worker->hand);
    }
}

void agent_work_apply(struct agent *agent,
                      const struct agent_work_reply *reply,
                      int64_t now_ms)
{
    size_t offset = 0;

    for (size_t i = 0; i < agent->workers.count; i++) {
        if (agent->workers.all[i]->hand.sent > 0) {
            hand_acknowledge(&agent->workers.all[i]->hand);
        }
    }
    for (size_t i = 0; i < reply->grants_count; i++) {
        const struct agent_grant *grant = &reply->grants[i];

        // An attempt's upper half is the master's start that gave it out.
        if (grant->first_attempt >> 32 == agent->boot) {
            take_grant(agent, grant, reply->payloads + offset, now_ms);
        }
        for (size_t k = 0; k < grant->count; k++) {
            offset += grant->sizes[k];
        }
    }
    agent->work_pending = false;
    agent->work_number = reply->work_number;
    for (size_t i = 0; i < agent->workers.count; i++) {
        workers_follow(&agent->workers, agent->workers.all[i]);
        workers_settle(&agent->workers, agent->workers.all[i]);
    }
}

void agent_work_refused(struct agent *agent)
{
    agent->registered = false;
    agent->desired_version = 0;
}

/* --- what became of the effects --------------------------------------------------- */

void agent_worker_ready(struct agent *agent,
                        uint64_t worker_id,
                        bool has_on_job_complete,
                        uint32_t pid,
                        int64_t now_ms)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);

    (void)now_ms;
    if (worker == NULL || workers_is_over(worker) ||
        worker->state != AGENT_WORKER_INITIALIZING) {
        return;
    }
    worker->has_on_job_complete = has_on_job_complete;
    worker->pid = pid;
    worker->ready = true; // worth an ask, whatever the last Sync reply said
    workers_move(&agent->workers, worker, AGENT_WORKER_RUNNING);
    workers_follow(&agent->workers, worker);
}

void agent_worker_completed(struct agent *agent, uint64_t worker_id, int64_t now_ms)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);

    (void)now_ms;
    if (worker == NULL || workers_is_over(worker) ||
        worker->state != AGENT_WORKER_COMPLETING) {
        return;
    }
    worker->callback = AGENT_CALLBACK_RETURNED;
    workers_move(&agent->workers, worker, AGENT_WORKER_COMPLETED);
    workers_follow(&agent->workers, worker);
}

void agent_worker_ended(struct agent *agent,
                        uint64_t worker_id,
                        enum agent_worker_failure failure,
                        const char *error,
                        bool executing,
                        int64_t now_ms)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);

    if (worker == NULL || workers_is_over(worker)) {
        return;
    }
    if (worker->told == AGENT_WISH_STOP) { // its end was our doing, whatever it says
        failure = AGENT_FAILURE_NONE;
        executing = false;
    }
    if (worker->wish == AGENT_WISH_STOP) {
        hand_drop_held(&worker->hand);
    }
    hand_give_back(&worker->hand, executing, error, now_ms);
    worker->failure = failure;
    if (failure != AGENT_FAILURE_NONE) {
        worker->error = memory_strdup(error == NULL ? "" : error);
    }
    worker->end =
        failure == AGENT_FAILURE_NONE ? AGENT_WORKER_EXITED : AGENT_WORKER_FAILED;
    workers_settle(&agent->workers, worker);
    workers_start_waiting(&agent->workers);
}

bool agent_batch_current(struct agent *agent,
                         uint64_t worker_id,
                         uint64_t *out_index,
                         uint64_t *out_attempt)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);
    struct hand_batch *batch = worker == NULL ? NULL : hand_first_held(&worker->hand);

    if (batch == NULL) {
        return false;
    }
    *out_index = batch->index;
    *out_attempt = batch->attempt;
    return true;
}

void agent_batch_ended(struct agent *agent,
                       uint64_t worker_id,
                       const struct hand_end *end,
                       int64_t now_ms)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);

    if (worker != NULL) {
        hand_end(&worker->hand, end, now_ms);
        workers_follow(&agent->workers, worker);
    }
}

void agent_batches_unbegun(struct agent *agent,
                           uint64_t worker_id,
                           size_t begun,
                           int64_t now_ms)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);

    if (worker != NULL && worker->told == AGENT_WISH_DRAIN) {
        hand_return_rest(&worker->hand, begun, now_ms);
    }
}

void agent_batch_stored(struct agent *agent,
                        uint64_t worker_id,
                        uint64_t attempt,
                        const char *error,
                        int64_t now_ms)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);

    if (worker != NULL) {
        (void)hand_stored(&worker->hand, attempt, error, now_ms);
    }
}

void agent_log_shipped(struct agent *agent, uint64_t worker_id, uint64_t mark)
{
    struct worker *worker = workers_find(&agent->workers, worker_id);

    if (worker != NULL && mark > worker->log_shipped) {
        worker->log_shipped = mark;
    }
}

bool agent_worker_idle(const struct agent *agent, uint64_t worker_id)
{
    for (size_t i = 0; i < agent->workers.count; i++) {
        const struct worker *worker = agent->workers.all[i];

        if (worker->id == worker_id) {
            return worker->hand.held + worker->hand.storing == 0;
        }
    }
    return true;
}

/* --- leaving ---------------------------------------------------------------------- */

void agent_drain(struct agent *agent)
{
    if (!agent->workers.leaving) {
        workers_drain(&agent->workers);
    }
}

void agent_stop(struct agent *agent)
{
    agent_drain(agent);
    workers_stop(&agent->workers);
}

bool agent_has_workers(const struct agent *agent)
{
    return workers_any(&agent->workers);
}

bool agent_finished(const struct agent *agent)
{
    for (size_t i = 0; i < agent->workers.count; i++) {
        if (agent->workers.all[i]->hand.count > 0) {
            return false;
        }
    }
    return !agent_has_workers(agent) && agent->workers.changes == agent->changes_told;
}
