/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - how a user stops a job, and what time itself brings about */
#include "master/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "master/finish.h"
#include "master/message.h"
#include "master/submit.h"
#include "master/sync.h"
#include "proto/client.pb-c.h"

#define CONTROL_SCAN_MS 500 /* leases are looked through so often while any is out */

static int
not_stoppable(const char *api_name, uint64_t job_id, bool found, struct error *err)
{
    if (found) {
        return error_set_kind(err,
                              ERROR_FAILED_PRECONDITION,
                              "batchapi.job_is_not_in_progress",
                              "%016" PRIx64 " (%s api): the job is not in progress",
                              job_id,
                              api_name);
    }
    return error_set_kind(err,
                          ERROR_NOT_FOUND,
                          "batchapi.job_not_found",
                          "unable to find batch job %016" PRIx64 " (%s api)",
                          job_id,
                          api_name);
}

// Whether the api has, or had, a job of this id.
static int was_there(struct state *state,
                     const struct caller *caller,
                     const char *api_name,
                     uint64_t job_id,
                     bool *out_found,
                     struct error *err)
{
    struct job_record record = {0};

    if (store_job_get(state->store, job_id, &record, out_found, err) != 0) {
        return -1;
    }
    if (*out_found) {
        *out_found = (!api_name[0] || strcmp(record.api_name, api_name) == 0) &&
                     caller_may_see(caller, record.api_name);
        job_record_fini(&record);
    }
    return 0;
}

// Whether an agent may not have heard yet that its workers of the job are to stop.
static bool is_pending(const struct state *state, uint64_t job_id)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.workers, &cursor, &key, &entry)) {
        const struct roster_worker *worker = entry;
        if (worker->job_id == job_id &&
            (worker->agent->state != ROSTER_PRESENT ||
             worker->agent->applied_version < worker->wish_version)) {
            return true;
        }
    }
    return false;
}

static void answer_stop(struct state *state, const struct state_stop *stop)
{
    Cortex__V1__StopJobReply *reply =
        message_new(&cortex__v1__stop_job_reply__descriptor);
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);

    reply->message = memory_format("stopped job %016" PRIx64, stop->job_id);
    action->call = stop->call;
    action->message = &reply->base;
}

static void give_up_stop(struct state *state, const struct state_stop *stop)
{
    struct action *action = outbox_add(&state->outbox, ACTION_FAIL);

    action->call = stop->call;
    action->error = memory_zalloc(sizeof(*action->error));
    error_set(action->error,
              ERROR_UNAVAILABLE,
              "job %016" PRIx64 " is stopped, but the master leaves before all agents "
              "have heard of it",
              stop->job_id);
}

void control_answer_stops(struct state *state, bool all)
{
    size_t kept = 0;

    for (size_t i = 0; i < state->stop_count; i++) {
        const struct state_stop stop = state->stops[i];
        if (!is_pending(state, stop.job_id)) {
            answer_stop(state, &stop);
        } else if (all) {
            give_up_stop(state, &stop);
        } else {
            state->stops[kept++] = stop;
        }
    }
    state->stop_count = kept;
}

// The step that this is part of ends with control_answer_stops.
static void await_stop(struct state *state, void *call, uint64_t job_id)
{
    state->stops =
        memory_realloc(state->stops, (state->stop_count + 1) * sizeof(*state->stops));
    state->stops[state->stop_count++] = (struct state_stop){call, job_id};
}

int control_stop(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__StopJobRequest *said =
        (const Cortex__V1__StopJobRequest *)request->message;
    struct job *job = state_job(state, said->job_id);
    bool found = false;

    if (store_request_known(state->store, request->request_id, &found, err) != 0) {
        return -1;
    }
    if (found) {
        await_stop(state, request->call, said->job_id);
        return 0;
    }
    if (said->api_name[0] &&
        !submit_find_api(state, &request->caller, said->api_name, err)) {
        return -1;
    }
    if (!job || job_state_terminal(job->record.state) ||
        !caller_may_see(&request->caller, job->record.api_name) ||
        (said->api_name[0] && strcmp(job->record.api_name, said->api_name) != 0)) {
        return was_there(state,
                         &request->caller,
                         said->api_name,
                         said->job_id,
                         &found,
                         err) != 0
                   ? -1
                   : not_stoppable(said->api_name, said->job_id, found, err);
    }
    if (finish_job(state, job, JOB_STOPPED, "stopped by a request", err) != 0 ||
        control_remember(state, request, err) != 0) {
        return -1;
    }
    await_stop(state, request->call, said->job_id);
    return 0;
}

int control_remember(struct state *state,
                     const struct request *request,
                     struct error *err)
{
    int64_t now_ns = state_steady_ns(state);

    return store_request_prune(state->store, now_ns - STATE_REQUEST_NS, err) != 0
               ? -1
               : store_request_put(state->store, request->request_id, now_ns, err);
}

static int lose_agents(struct state *state, struct error *err)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        struct roster_agent *agent = entry;
        int64_t lost_at_ms = agent->heard_ms + state->settings.lost_ms;
        if (lost_at_ms >= state->now_ms) {
            state_wake_at(state, lost_at_ms + 1);
            continue;
        }
        if (sync_lose_agent(state, agent, err) != 0) {
            return -1;
        }
        cursor = 0; // the map has changed: from the start
    }
    return 0;
}

// Agents that could not start a worker may try again.
static void let_try_again(struct state *state)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        struct roster_agent *agent = entry;
        if (agent->unfit_until_ms > state->now_ms) {
            state_wake_at(state, agent->unfit_until_ms);
        } else if (agent->unfit_until_ms > 0) {
            agent->unfit_until_ms = 0;
            state->schedule_dirty = true;
        }
    }
}

void control_forgive(struct state *state, int64_t late_ms)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        struct roster_agent *agent = entry;
        int64_t heard_ms = agent->heard_ms + late_ms;
        agent->heard_ms = heard_ms < state->now_ms ? heard_ms : state->now_ms;
    }
    cursor = 0;
    while (map_next(&state->jobs, &cursor, &key, &entry)) {
        struct job *job = entry;
        batch_prolong(&job->book, late_ms);
    }
}

static int time_out(struct state *state, struct job *job, struct error *err)
{
    char reason[128];

    (void)snprintf(reason,
                   sizeof(reason),
                   "the job ran longer than its timeout of %" PRIu64 " seconds",
                   job->record.timeout_s);
    return finish_job(state, job, JOB_TIMED_OUT, reason, err);
}

static int look_at_job(struct state *state, struct job *job, struct error *err)
{
    if (job_state_terminal(job->record.state)) {
        return 0;
    }
    if (job->record.deadline_ms <= state->now_ms) {
        return time_out(state, job, err);
    }
    state_wake_at(state, job->record.deadline_ms);
    if (batch_release_expired(&job->book, state->now_ms) > 0) {
        state_log(state,
                  job->record.job_id,
                  "leases ran out: their batches are given to other workers");
    }
    if (job->book.in_hand > 0) {
        state_wake_at(state, state->now_ms + CONTROL_SCAN_MS);
    }
    if (batch_ready(&job->book, state->now_ms)) {
        state->work_appeared = true;
    } else {
        state_wake_for(state, job);
    }
    return 0;
}

int control_tick(struct state *state, struct error *err)
{
    size_t count;
    int result = 0;

    state->wake_ms = INT64_MAX;
    if (lose_agents(state, err) != 0) {
        return -1;
    }
    let_try_again(state);
    struct job **jobs = state_jobs_by_age(state, &count);
    for (size_t i = 0; i < count && result == 0; i++) {
        result = look_at_job(state, jobs[i], err);
    }
    free(jobs);
    return result;
}
