/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - how results come in and batches go out */
#include "master/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "master/finish.h"
#include "master/message.h"
#include "proto/agent.pb-c.h"

static struct roster_agent *registered(const struct state *state,
                                       const Cortex__V1__WorkRequest *said)
{
    if (said->agent_id.len != ROSTER_AGENT_ID_SIZE) {
        return NULL;
    }
    struct roster_agent *agent = roster_agent_get(&state->roster, said->agent_id.data);
    return agent && agent->state == ROSTER_PRESENT &&
                   agent->incarnation == said->incarnation
               ? agent
               : NULL;
}

static bool outcome_known(int outcome)
{
    return outcome >= BATCH_OUTCOME_SUCCEEDED && outcome <= BATCH_OUTCOME_RETURNED;
}

static const char *error_of(const Cortex__V1__BatchResult *said)
{
    return (int)said->outcome == BATCH_OUTCOME_SUCCEEDED ? "" : said->error;
}

static void
log_suspect(struct state *state, struct job *job, const struct batch_row *row)
{
    char batch_id[ID_UUID_TEXT_SIZE];

    id_batch_format(job->record.job_id, row->index, batch_id);
    if (row->state == BATCH_FAILED) {
        state_log(
            state,
            job->record.job_id,
            "batch %s is failed: it was being processed at %u deaths of its worker",
            batch_id,
            row->deaths);
    } else {
        state_log(state,
                  job->record.job_id,
                  "batch %s was being processed when its worker died (%u of %d): it is "
                  "given to another worker",
                  batch_id,
                  row->deaths,
                  BATCH_DEATHS_MAX);
    }
}

// Whoever reports a suspect is dead: its agent says so by Sync, behind this. Until then
// nothing may be given to it, on_job_complete least of all.
static void note_death(struct state *state, uint64_t worker_id)
{
    struct roster_worker *worker = roster_worker_get(&state->roster, worker_id);

    if (worker) {
        worker->state = ROSTER_FAILED;
    }
}

// Near a job's end it needs fewer workers: their room is another's that lacks some.
static void note_fall_of_demand(struct state *state, const struct job *job)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    if (job_demand(job) == job->record.workers) {
        return;
    }
    while (map_next(&state->jobs, &cursor, &key, &entry)) {
        const struct job *other = entry;
        if (other->short_workers > 0) {
            state->schedule_dirty = true;
            return;
        }
    }
}

// An attempt that counts against its batch is on record.
static int note_failure(struct state *state,
                        uint64_t job_id,
                        const struct batch_row *row,
                        enum batch_outcome outcome,
                        struct error *err)
{
    char name[48];

    if (outcome != BATCH_OUTCOME_FAILED && outcome != BATCH_OUTCOME_SUSPECT) {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "%016" PRIx64 "/%" PRIu64, job_id, row->index);
    return store_event_add(state->store,
                           state->wall_ns,
                           "batch",
                           name,
                           outcome == BATCH_OUTCOME_FAILED ? "attempt failed"
                                                           : "worker died",
                           row->error,
                           err);
}

// Takes one result in. *out_refused grows if its attempt does not hold the batch.
static int take_result(struct state *state,
                       const Cortex__V1__BatchResult *said,
                       uint32_t *out_refused,
                       struct error *err)
{
    struct job *job = state_job(state, said->job_id);
    struct batch_row row;
    struct batch_report report = {
        .index = said->index,
        .attempt = said->attempt,
        .outcome = (enum batch_outcome)said->outcome,
        .start_ms = said->start_ms,
        .duration_us = said->duration_us,
        .error = error_of(said),
    };

    if (!job || job->record.state != JOB_RUNNING ||
        !outcome_known((int)said->outcome) ||
        !batch_finish(&job->book,
                      &report,
                      job->record.max_attempts,
                      state->now_ms,
                      state_random(state),
                      &row)) {
        (*out_refused)++;
        return 0;
    }
    if (report.outcome == BATCH_OUTCOME_SUSPECT) {
        log_suspect(state, job, &row);
        note_death(state, row.worker_id);
    }
    if (row.state == BATCH_QUEUED) {
        state->work_appeared = true;
        state_wake_for(state, job);
    } else {
        job->deaths_in_row = 0;
    }
    note_fall_of_demand(state, job);
    // One that was only given back is as if nothing had happened to it.
    if (report.outcome != BATCH_OUTCOME_RETURNED &&
        (store_batch_put(state->store, job->record.job_id, &row, err) != 0 ||
         note_failure(state, job->record.job_id, &row, report.outcome, err) != 0)) {
        return -1;
    }
    if (row.state == BATCH_FAILED && deadletter_add(state, job, &row, err) != 0) {
        return -1;
    }
    return batch_all_done(&job->book) ? finish_check(state, job, err) : 0;
}

static uint32_t running_workers(const struct state *state, uint64_t job_id)
{
    uint32_t count = 0;
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.workers, &cursor, &key, &entry)) {
        const struct roster_worker *worker = entry;
        count += worker->job_id == job_id && worker->state == ROSTER_RUNNING;
    }
    return count;
}

// Near a job's end nobody hoards: a worker gets at most its share of what is queued,
// and one that has something waits for those that have nothing.
static uint32_t fair_count(const struct state *state,
                           const struct job *job,
                           const struct roster_worker *worker,
                           uint32_t asked)
{
    uint64_t queued = batch_queued(&job->book);
    uint32_t most = asked < WORK_ASK_MAX ? asked : WORK_ASK_MAX;
    uint32_t workers = running_workers(state, job->record.job_id);

    if (workers < 2 || queued / workers >= most) {
        return most;
    }
    uint64_t share = queued / workers;
    if (share == 0 && batch_held_by(&job->book, worker->worker_id) == 0) {
        share = 1;
    }
    return (uint32_t)share;
}

static struct roster_grant *grant_add(struct roster_agent *agent)
{
    if (agent->grant_count == agent->grant_capacity) {
        agent->grant_capacity = agent->grant_capacity ? agent->grant_capacity * 2 : 8;
        agent->grants = memory_realloc(agent->grants,
                                       agent->grant_capacity * sizeof(*agent->grants));
    }
    return &agent->grants[agent->grant_count++];
}

// A grant grows while batch and attempt follow on.
static void grant_note(struct roster_agent *agent,
                       const struct roster_worker *worker,
                       const struct batch *batch)
{
    struct roster_grant *last =
        agent->grant_count ? &agent->grants[agent->grant_count - 1] : NULL;

    if (last && last->worker_id == worker->worker_id &&
        last->job_id == worker->job_id &&
        last->first_index + last->count == batch->index &&
        last->first_attempt + last->count == batch->attempt) {
        last->count++;
        return;
    }
    *grant_add(agent) = (struct roster_grant){
        .worker_id = worker->worker_id,
        .job_id = worker->job_id,
        .first_index = batch->index,
        .first_attempt = batch->attempt,
        .count = 1,
    };
}

// What one batch weighs, about: its segment's mean. Counts against the reply's size.
static uint64_t weight_of(const struct job *job, uint64_t index)
{
    const struct payload_segment *segment = job_segment_of(job, index);

    return segment ? segment->bytes / segment->count + 1 : 1;
}

static void feed(struct state *state,
                 struct roster_agent *agent,
                 struct roster_worker *worker,
                 uint32_t asked,
                 uint64_t *bytes_left)
{
    struct job *job = state_job(state, worker->job_id);

    worker->hungry = true;
    if (!job || job->record.state != JOB_RUNNING || worker->wish != ROSTER_RUN ||
        worker->state != ROSTER_RUNNING || job->workers_awaited > 0) {
        return;
    }
    uint32_t count = fair_count(state, job, worker, asked);
    int64_t deadline_ms = state->now_ms + state->settings.lease_ms;
    uint32_t given = 0;
    while (given<count && * bytes_left> 0) {
        const struct batch *batch = batch_lease(&job->book,
                                                worker->worker_id,
                                                state_next_attempts(state, 1),
                                                state->now_ms,
                                                deadline_ms);
        if (!batch) {
            break;
        }
        uint64_t weight = weight_of(job, batch->index);
        *bytes_left -= weight < *bytes_left ? weight : *bytes_left;
        grant_note(agent, worker, batch);
        given++;
    }
    worker->hungry = given < asked;
    state_wake_at(state, deadline_ms + 1);
    state_wake_for(state, job);
}

static void feed_all(struct state *state,
                     struct roster_agent *agent,
                     const Cortex__V1__WorkRequest *said)
{
    uint64_t bytes_left = WORK_REPLY_BYTES_MAX;

    agent->grant_count = 0;
    for (size_t i = 0; i < said->n_asks && !agent->draining; i++) {
        struct roster_worker *worker =
            roster_worker_get(&state->roster, said->asks[i]->worker_id);
        if (worker && worker->agent == agent) {
            feed(state, agent, worker, said->asks[i]->count, &bytes_left);
        }
    }
}

// A grant's batches may lie in several segments.
static void add_stretches(const struct state *state,
                          const struct roster_grant *grant,
                          struct action *action)
{
    const struct job *job = state_job(state, grant->job_id);
    uint64_t index = grant->first_index;
    uint64_t end = grant->first_index + grant->count;

    while (job && index < end) {
        const struct payload_segment *segment = job_segment_of(job, index);
        uint64_t stop = segment->first_index + segment->count;
        stop = stop < end ? stop : end;
        action->stretches =
            memory_realloc(action->stretches,
                           (action->stretch_count + 1) * sizeof(*action->stretches));
        action->stretches[action->stretch_count++] =
            (struct stretch){.job_id = grant->job_id,
                             .segment = *segment,
                             .first_index = index,
                             .count = (uint32_t)(stop - index)};
        index = stop;
    }
}

// The sizes of the payloads are filled in by the one who reads them.
static void reply(struct state *state, struct roster_agent *agent, void *call)
{
    Cortex__V1__WorkReply *message = message_new(&cortex__v1__work_reply__descriptor);
    struct action *action = outbox_add(&state->outbox, ACTION_WORK_REPLY);

    action->call = call;
    action->message = &message->base;
    message->work_number = agent->work_number;
    message->refused = agent->work_refused;
    for (size_t i = 0; i < agent->grant_count; i++) {
        const struct roster_grant *grant = &agent->grants[i];
        if (!state_job(state, grant->job_id)) {
            continue; // a repeat of something that is over
        }
        Cortex__V1__Grant *granted = message_new(&cortex__v1__grant__descriptor);
        granted->worker_id = grant->worker_id;
        granted->job_id = grant->job_id;
        granted->first_index = grant->first_index;
        granted->first_attempt = grant->first_attempt;
        granted->n_sizes = grant->count;
        granted->sizes = memory_zalloc(grant->count * sizeof(*granted->sizes));
        message_append(&message->n_grants, (void ***)&message->grants, granted);
        add_stretches(state, grant, action);
    }
}

int work_handle(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__WorkRequest *said =
        (const Cortex__V1__WorkRequest *)request->message;
    struct roster_agent *agent = registered(state, said);

    if (!agent) {
        return error_set(
            err, ERROR_FAILED_PRECONDITION, "this agent is not registered: Sync first");
    }
    agent->heard_ms = state->now_ms;
    if (memcmp(agent->work_request_id, request->request_id, ID_REQUEST_SIZE) == 0) {
        reply(state, agent, request->call);
        return 0;
    }
    agent->work_refused = 0;
    for (size_t i = 0; i < said->n_results; i++) {
        if (take_result(state, said->results[i], &agent->work_refused, err) != 0) {
            return -1;
        }
    }
    feed_all(state, agent, said);
    memcpy(agent->work_request_id, request->request_id, ID_REQUEST_SIZE);
    agent->work_number++;
    reply(state, agent, request->call);
    return 0;
}
