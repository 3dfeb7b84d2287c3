/* SPDX-License-Identifier: Apache-2.0 */
/* sync.c - how an agent's statement is taken in, and when it is answered */
#include "master/sync.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/buffer.h"
#include "common/id.h"
#include "master/finish.h"
#include "master/message.h"
#include "proto/agent.pb-c.h"

#define SYNC_PARK_MAX_MS  25000
#define SYNC_PARK_STEP_MS 20 /* deadlines are rounded up to it: fewer wake-ups */

static enum finish_cause cause_of(Cortex__V1__WorkerFailure failure)
{
    switch ((int)failure) {
    case ROSTER_FAILURE_SETUP:
        return FINISH_SETUP;
    case ROSTER_FAILURE_MACHINE:
        return FINISH_MACHINE;
    case ROSTER_FAILURE_MEMORY:
        return FINISH_MEMORY;
    case ROSTER_FAILURE_CALLBACK:
        return FINISH_CALLBACK;
    default:
        return FINISH_DIED;
    }
}

static int drop_workers(struct state *state,
                        struct roster_agent *agent,
                        const char *detail,
                        struct error *err)
{
    while (agent->workers) {
        if (finish_worker(state, agent->workers, FINISH_LOST, detail, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int agent_event(struct state *state,
                       const struct roster_agent *agent,
                       const char *action,
                       struct error *err)
{
    char name[KEY_NAME_TEXT_SIZE];

    key_name_format(agent->agent_id, name);
    return store_event_add(
        state->store, state->wall_ns, "agent", name, action, agent->name, err);
}

static void unpark(struct state *state, struct roster_agent *agent)
{
    if (agent->parked) {
        struct action *action = outbox_add(&state->outbox, ACTION_FAIL);
        action->call = agent->parked;
        action->error = memory_zalloc(sizeof(*action->error));
        error_set(action->error, ERROR_ABORTED, "a newer Sync took this one's place");
        agent->parked = NULL;
    }
}

int sync_lose_agent(struct state *state, struct roster_agent *agent, struct error *err)
{
    if (agent_event(state, agent, "lost", err) != 0 ||
        drop_workers(state, agent, "its agent was lost", err) != 0) {
        return -1;
    }
    unpark(state, agent);
    roster_agent_remove(&state->roster, agent);
    state->schedule_dirty = true;
    return 0;
}

int sync_lose_refused(struct state *state, struct keys *keys, struct error *err)
{
    size_t cursor = 0;
    uint64_t hash;
    void *entry;

    while (map_next(&state->roster.agents, &cursor, &hash, &entry)) {
        struct roster_agent *agent = entry;
        if (!agent->has_key ||
            keys_holds_agent(keys, agent->key, state->wall_ns / 1000000)) {
            continue;
        }
        if (agent_event(state, agent, "key refused", err) != 0 ||
            sync_lose_agent(state, agent, err) != 0) {
            return -1;
        }
        cursor = 0; // the map has changed: from the start
    }
    return 0;
}

static void copy_capacity(struct state *state,
                          struct roster_agent *agent,
                          const Cortex__V1__SyncRequest *said)
{
    if (agent->cpu_millis != said->cpu_millis ||
        agent->memory_bytes != said->memory_bytes || agent->gpus != said->gpus ||
        agent->draining != said->draining) {
        state->schedule_dirty = true;
    }
    agent->cpu_millis = said->cpu_millis;
    agent->memory_bytes = said->memory_bytes;
    agent->gpus = said->gpus;
    agent->draining = said->draining;
    (void)snprintf(agent->name, sizeof(agent->name), "%s", said->name);
    (void)snprintf(agent->release, sizeof(agent->release), "%s", said->release);
}

// After a restart of the master: its workers have been heard of now.
static void no_longer_awaited(struct state *state, const struct roster_agent *agent)
{
    for (const struct roster_worker *worker = agent->workers; worker;
         worker = worker->next) {
        struct job *job = state_job(state, worker->job_id);
        if (job && job->workers_awaited > 0) {
            job->workers_awaited--;
        }
    }
    state->work_appeared = true;
}

// Makes the agent known under this incarnation. Sets *out_first if it was not before.
static int admit(struct state *state,
                 const Cortex__V1__SyncRequest *said,
                 struct roster_agent **out_agent,
                 bool *out_first,
                 struct error *err)
{
    struct roster_agent *agent = roster_agent_get(&state->roster, said->agent_id.data);

    *out_first = false;
    if (agent && agent->state == ROSTER_PRESENT &&
        agent->incarnation == said->incarnation) {
        *out_agent = agent;
        return 0;
    }
    if (agent && agent->state == ROSTER_PRESENT &&
        !roster_is_newer(&state->roster, said->incarnation, agent->incarnation)) {
        return error_set(
            err, ERROR_ABORTED, "this agent has been started anew since this was sent");
    }
    *out_first = true;
    if (!agent) {
        agent = roster_agent_add(&state->roster, said->agent_id.data);
    } else if (agent->state == ROSTER_PRESENT) {
        // It was started anew: what its former self had is gone.
        unpark(state, agent);
        if (drop_workers(state, agent, "its agent was started anew", err) != 0) {
            return -1;
        }
    }
    if (agent->state == ROSTER_EXPECTED) {
        no_longer_awaited(state, agent);
    }
    agent->incarnation = said->incarnation;
    agent->applied_version = 0;
    agent->state = ROSTER_PRESENT;
    agent->work_number = said->work_number;
    agent->grant_count = 0;
    memset(agent->work_request_id, 0, sizeof(agent->work_request_id));
    agent->desired_version++;
    copy_capacity(state, agent, said);
    state->schedule_dirty = true;
    *out_agent = agent;
    return agent_event(state, agent, "joined", err);
}

// The worker has ended: what became of on_job_complete, if it was given it.
static int take_callback(struct state *state,
                         struct roster_worker *worker,
                         const Cortex__V1__WorkerStatus *status,
                         struct error *err)
{
    struct job *job = state_job(state, worker->job_id);

    if (!job) {
        return 0;
    }
    switch ((int)status->callback) {
    case ROSTER_CALLBACK_NOT_BEGUN:
        return finish_callback_unbegun(state, job, worker, err);
    case ROSTER_CALLBACK_RETURNED:
        return finish_callback(state, job, worker, err);
    default:
        return 0;
    }
}

static int take_end(struct state *state,
                    struct roster_worker *worker,
                    const Cortex__V1__WorkerStatus *status,
                    struct error *err)
{
    if (take_callback(state, worker, status, err) != 0) {
        return -1;
    }
    return (int)status->state == ROSTER_FAILED
               ? finish_worker(
                     state, worker, cause_of(status->failure), status->error, err)
               : finish_worker(state, worker, FINISH_EXITED, "left in good order", err);
}

// What one worker says of itself. The worker may be gone afterwards.
static int take_status(struct state *state,
                       struct roster_worker *worker,
                       const Cortex__V1__WorkerStatus *status,
                       struct error *err)
{
    struct job *job = state_job(state, worker->job_id);
    enum roster_worker_state before = worker->state;

    if ((int)status->state == ROSTER_FAILED || (int)status->state == ROSTER_EXITED) {
        return take_end(state, worker, status, err);
    }
    if (!roster_worker_alive(worker) || (int)status->state < ROSTER_INITIALIZING ||
        (int)status->state > ROSTER_FAILED) {
        return 0; // said before it died, or no state that is known here
    }
    worker->state = (enum roster_worker_state)status->state;
    worker->hungry = worker->hungry || status->hungry;
    if (!job || worker->state == before) {
        return 0;
    }
    if (worker->state >= ROSTER_RUNNING && !job->callback_known) {
        job->callback_known = true;
        job->callback_exists = status->has_on_job_complete;
    }
    if (worker->state == ROSTER_RUNNING) {
        worker->hungry = true;
        state->work_appeared = true;
        return finish_check(state, job, err);
    }
    return worker->state == ROSTER_COMPLETED ? finish_callback(state, job, worker, err)
                                             : 0;
}

static int take_statuses(struct state *state,
                         struct roster_agent *agent,
                         const Cortex__V1__SyncRequest *said,
                         struct error *err)
{
    for (size_t i = 0; i < said->n_workers; i++) {
        const Cortex__V1__WorkerStatus *status = said->workers[i];
        struct roster_worker *worker =
            roster_worker_get(&state->roster, status->worker_id);
        if (worker && worker->agent == agent &&
            take_status(state, worker, status, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static bool is_named(const Cortex__V1__SyncRequest *said, uint64_t worker_id)
{
    for (size_t i = 0; i < said->n_workers; i++) {
        if (said->workers[i]->worker_id == worker_id) {
            return true;
        }
    }
    return false;
}

// An agent that has taken in the newest wishes and does not name a worker has not
// started it and never will: it was told of it too late, or is leaving.
static int drop_unstarted(struct state *state,
                          struct roster_agent *agent,
                          const Cortex__V1__SyncRequest *said,
                          struct error *err)
{
    struct roster_worker *next;

    for (struct roster_worker *worker = agent->workers; worker; worker = next) {
        next = worker->next;
        if (worker->state == ROSTER_PLACED && !is_named(said, worker->worker_id) &&
            finish_worker(state, worker, FINISH_LOST, "it was not started", err) != 0) {
            return -1;
        }
    }
    return 0;
}

// on_job_complete was given to a worker that its agent knows nothing of: it was lost
// with an earlier incarnation, while the master was away.
static int
check_callbacks(struct state *state, struct roster_agent *agent, struct error *err)
{
    const char *detail = "it was lost with its agent";
    struct roster_worker *next;

    for (struct roster_worker *worker = agent->workers; worker; worker = next) {
        next = worker->next;
        if (worker->wish == ROSTER_COMPLETE && worker->state == ROSTER_PLACED &&
            finish_worker(state, worker, FINISH_LOST, detail, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void take_held(struct state *state, const Cortex__V1__SyncRequest *said)
{
    int64_t deadline_ms = state->now_ms + state->settings.lease_ms;

    for (size_t i = 0; i < said->n_held; i++) {
        const Cortex__V1__HeldRun *run = said->held[i];
        struct job *job = state_job(state, run->job_id);
        if (!job || job->record.state != JOB_RUNNING) {
            continue;
        }
        for (uint32_t k = 0; k < run->count && run->first_index + k < job->book.total;
             k++) {
            (void)batch_hold(&job->book,
                             run->first_index + k,
                             run->worker_id,
                             run->first_attempt + k,
                             deadline_ms);
        }
    }
    state_wake_at(state, deadline_ms + 1);
}

static Cortex__V1__DesiredWorker *desired_of(const struct roster_worker *worker)
{
    Cortex__V1__DesiredWorker *desired =
        message_new(&cortex__v1__desired_worker__descriptor);

    desired->worker_id = worker->worker_id;
    desired->job_id = worker->job_id;
    desired->wish = (Cortex__V1__WorkerWish)worker->wish;
    desired->cpu_millis = worker->cpu_millis;
    desired->memory_bytes = worker->memory_bytes;
    desired->gpus = worker->gpus;
    desired->closes_job = worker->closes_job;
    return desired;
}

// Whether the worker asked for more than there was, and now there is.
static bool can_be_fed(const struct state *state, const struct roster_worker *worker)
{
    const struct job *job = state_job(state, worker->job_id);

    return worker->hungry && worker->wish == ROSTER_RUN &&
           worker->state == ROSTER_RUNNING && job && job->record.state == JOB_RUNNING &&
           job->workers_awaited == 0 && batch_ready(&job->book, state->now_ms);
}

static void add_ready_jobs(struct state *state,
                           struct roster_agent *agent,
                           Cortex__V1__SyncReply *reply)
{
    reply->ready_jobs =
        memory_zalloc((agent->worker_count + 1) * sizeof(*reply->ready_jobs));
    for (struct roster_worker *worker = agent->workers; worker; worker = worker->next) {
        if (can_be_fed(state, worker)) {
            reply->ready_jobs[reply->n_ready_jobs++] = worker->job_id;
            worker->hungry = false; // it is going to ask again
        }
    }
}

static void answer(struct state *state, struct roster_agent *agent)
{
    Cortex__V1__SyncReply *reply = message_new(&cortex__v1__sync_reply__descriptor);
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);

    reply->boot = state->boot;
    reply->desired_version = agent->desired_version;
    reply->lease_ms = (uint32_t)state->settings.lease_ms;
    for (struct roster_worker *worker = agent->workers; worker; worker = worker->next) {
        message_append(
            &reply->n_workers, (void ***)&reply->workers, desired_of(worker));
    }
    add_ready_jobs(state, agent, reply);
    action->call = agent->parked;
    action->message = &reply->base;
    agent->parked = NULL;
}

static int check_ids(const Cortex__V1__SyncRequest *said, struct error *err)
{
    if (said->agent_id.len != ROSTER_AGENT_ID_SIZE) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "agent_id: got %zu bytes, expected %d",
                         said->agent_id.len,
                         ROSTER_AGENT_ID_SIZE);
    }
    return 0;
}

// Not at all, or to the next step: many agents' times then come together.
static int64_t park_until(int64_t now_ms, uint32_t park_ms)
{
    int64_t until_ms = now_ms + park_ms + SYNC_PARK_STEP_MS - 1;

    return park_ms == 0 ? now_ms : until_ms / SYNC_PARK_STEP_MS * SYNC_PARK_STEP_MS;
}

// Said to a former start of the master: it may hold more than it says.
static void introduce(struct state *state, void *call)
{
    Cortex__V1__SyncReply *reply = message_new(&cortex__v1__sync_reply__descriptor);
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);

    reply->boot = state->boot;
    action->call = call;
    action->message = &reply->base;
}

int sync_handle(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__SyncRequest *said =
        (const Cortex__V1__SyncRequest *)request->message;
    struct roster_agent *agent = NULL;
    bool first;

    if (check_ids(said, err) != 0) {
        return -1;
    }
    if (said->boot != state->boot) {
        roster_introduce(&state->roster, said->incarnation);
        introduce(state, request->call);
        return 0;
    }
    if (admit(state, said, &agent, &first, err) != 0) {
        return -1;
    }
    assert(agent);
    if (request->caller.key) {
        agent->has_key = true;
        memcpy(agent->key, request->caller.key, sizeof(agent->key));
    }
    if (agent->parked) {
        // The newer one takes its place. What this answer tells may be overtaken and
        // ignored, so the newer one's wants are taken in behind it.
        answer(state, agent);
    }
    bool newest = said->desired_version == agent->desired_version;
    agent->heard_ms = state->now_ms;
    if (said->desired_version > agent->applied_version) {
        agent->applied_version = said->desired_version;
    }
    copy_capacity(state, agent, said);
    take_held(state, said); // before a worker's end gives its batches back
    if (take_statuses(state, agent, said, err) != 0 ||
        (newest && drop_unstarted(state, agent, said, err) != 0) ||
        (first && check_callbacks(state, agent, err) != 0)) {
        return -1;
    }
    uint32_t park_ms =
        said->park_ms < SYNC_PARK_MAX_MS ? said->park_ms : SYNC_PARK_MAX_MS;
    agent->parked = request->call;
    agent->parked_version = said->desired_version;
    agent->parked_until_ms = park_until(state->now_ms, park_ms);
    state_wake_at(state, agent->parked_until_ms);
    state_wake_at(state, state->now_ms + state->settings.lost_ms + 1);
    state->work_appeared = true; // it may have missed what appeared before
    return 0;
}

static bool has_work(const struct state *state, const struct roster_agent *agent)
{
    for (const struct roster_worker *worker = agent->workers; worker;
         worker = worker->next) {
        if (can_be_fed(state, worker)) {
            return true;
        }
    }
    return false;
}

void sync_answer(struct state *state)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        struct roster_agent *agent = entry;
        if (!agent->parked) {
            continue;
        }
        if (agent->parked_version != agent->desired_version ||
            agent->parked_until_ms <= state->now_ms ||
            (state->work_appeared && has_work(state, agent))) {
            answer(state, agent);
        } else {
            state_wake_at(state, agent->parked_until_ms);
        }
    }
    state->work_appeared = false;
}

void sync_answer_all(struct state *state)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        struct roster_agent *agent = entry;
        if (agent->parked) {
            answer(state, agent);
        }
    }
}
