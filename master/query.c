/* SPDX-License-Identifier: Apache-2.0 */
/* query.c - what the master tells about apis, jobs and batches */
#include "master/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/json.h"
#include "common/version.h"
#include "master/message.h"
#include "master/submit.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

#define QUERY_JOBS_DEFAULT 10
#define QUERY_JOBS_MAX     1000
#define QUERY_VERSIONS     10

void query_reply(struct state *state, void *call, ProtobufCMessage *message)
{
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);

    action->call = call;
    action->message = message;
}

int query_unknown_job(const char *api_name, uint64_t job_id, struct error *err)
{
    return error_set_kind(err,
                          ERROR_NOT_FOUND,
                          "batchapi.job_not_found",
                          "unable to find batch job %016" PRIx64 " (%s api)",
                          job_id,
                          api_name);
}

/* Jobs */

static Cortex__V1__Job *describe(const struct job_record *record)
{
    Cortex__V1__Job *job = message_new(&cortex__v1__job__descriptor);

    job->job_id = record->job_id;
    message_text(&job->api_name, record->api_name);
    message_text(&job->api_id, record->api_id);
    job->state = (Cortex__V1__JobState)record->state;
    job->workers = record->workers;
    job->timeout_s = record->timeout_s;
    job->max_attempts = record->max_attempts;
    message_text(&job->dead_letter_arn, record->dead_letter_arn);
    message_text(&job->config, record->config);
    job->total = record->total;
    job->succeeded = record->succeeded;
    job->failed = record->failed;
    job->succeeded_us = record->succeeded_us;
    job->start_ns = record->start_ns;
    job->end_ns = record->end_ns;
    message_text(&job->reason, record->reason);
    return job;
}

static Cortex__V1__WorkerCounts *count_workers(const struct state *state,
                                               const struct job *live)
{
    Cortex__V1__WorkerCounts *counts =
        message_new(&cortex__v1__worker_counts__descriptor);
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.workers, &cursor, &key, &entry)) {
        const struct roster_worker *worker = entry;
        if (worker->job_id != live->record.job_id) {
            continue;
        }
        counts->running +=
            worker->state >= ROSTER_RUNNING && roster_worker_alive(worker);
        counts->initializing += worker->state < ROSTER_RUNNING;
    }
    bool stalled = live->short_since_ms > 0 &&
                   state->now_ms - live->short_since_ms > STATE_STALLED_MS;
    counts->pending = stalled ? 0 : live->short_workers;
    counts->stalled = stalled ? live->short_workers : 0;
    counts->succeeded = live->workers_exited;
    counts->failed = live->workers_failed;
    return counts;
}

// A live job's counts are in memory; its row's are those of its last change of state.
static Cortex__V1__Job *describe_now(const struct state *state,
                                     const struct job_record *record)
{
    Cortex__V1__Job *job = describe(record);
    const struct job *live = state_job(state, record->job_id);

    if (!live || job_state_terminal(live->record.state)) {
        return job;
    }
    job->state = (Cortex__V1__JobState)live->record.state;
    job->total = live->book.total;
    job->succeeded = live->book.succeeded;
    job->failed = live->book.failed;
    job->succeeded_us = live->book.succeeded_us;
    job->queued = batch_queued(&live->book);
    job->in_hand = live->book.in_hand;
    if (live->record.state == JOB_RUNNING) {
        job->has_worker_counts = true;
        job->worker_counts = count_workers(state, live);
    }
    return job;
}

// The version's ids stand in the job's description.
static void add_ids(Cortex__V1__Job *job, const struct api_version *version)
{
    if (version) {
        message_text(&job->spec_id, version->spec_id);
        message_text(&job->predictor_id, version->predictor_id);
    }
}

Cortex__V1__Job *query_submitted(const struct job_record *record,
                                 const struct api_version *version)
{
    Cortex__V1__Job *job = describe(record);

    add_ids(job, version);

    job->state = CORTEX__V1__JOB_STATE__JOB_STATE_ENQUEUING;
    job->total = job->succeeded = job->failed = job->succeeded_us = 0;
    job->end_ns = 0;
    return job;
}

static uint32_t jobs_in_progress(const struct state *state, const char *api_name)
{
    uint32_t count = 0;
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->jobs, &cursor, &key, &entry)) {
        const struct job *job = entry;
        count += !job_state_terminal(job->record.state) &&
                 strcmp(job->record.api_name, api_name) == 0;
    }
    return count;
}

// Of all apis that he may see.
static uint32_t all_in_progress(const struct state *state, const struct caller *caller)
{
    uint32_t count = 0;

    for (size_t i = 0; i < state->api_count; i++) {
        if (caller_may_see(caller, state->apis[i]->name)) {
            count += jobs_in_progress(state, state->apis[i]->name);
        }
    }
    return count;
}

Cortex__V1__Api *query_definition(const struct state *state,
                                  const struct api_version *version)
{
    Cortex__V1__Api *api = message_new(&cortex__v1__api__descriptor);

    message_text(&api->name, version->name);
    message_text(&api->kind, "BatchAPI");
    message_text(&api->endpoint, version->endpoint);
    message_text(&api->api_id, version->api_id);
    message_text(&api->spec, version->spec);
    api->updated_ns = version->deployed_ns;
    api->jobs_in_progress = jobs_in_progress(state, version->name);
    return api;
}

/* Handlers */

static Cortex__V1__Agent *describe_agent(const struct state *state,
                                         const struct roster_agent *agent)
{
    Cortex__V1__Agent *described = message_new(&cortex__v1__agent__descriptor);
    char agent_id[KEY_NAME_TEXT_SIZE];

    key_name_format(agent->agent_id, agent_id);
    message_text(&described->agent_id, agent_id);
    message_text(&described->name, agent->name);
    message_text(&described->release, agent->release);
    described->cpu_millis = agent->cpu_millis;
    described->memory_bytes = agent->memory_bytes;
    described->gpus = agent->gpus;
    described->workers = agent->worker_count;
    described->heard_ms_ago = state->now_ms - agent->heard_ms;
    for (const struct roster_worker *worker = agent->workers; worker;
         worker = worker->next) {
        const struct job *job = state_job(state, worker->job_id);
        described->in_hand += job ? batch_held_by(&job->book, worker->worker_id) : 0;
    }
    return described;
}

int query_info(struct state *state, const struct request *request, struct error *err)
{
    Cortex__V1__InfoReply *reply = message_new(&cortex__v1__info_reply__descriptor);
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    (void)err;
    message_text(&reply->release, version_text());
    message_text(&reply->bridge_url, state->settings.bridge_url);
    reply->boot = state->boot;
    reply->jobs_in_progress = all_in_progress(state, &request->caller);
    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        const struct roster_agent *agent = entry;
        if (agent->state == ROSTER_PRESENT && !caller_is_limited(&request->caller)) {
            message_append(&reply->n_agents,
                           (void ***)&reply->agents,
                           describe_agent(state, agent));
        }
    }
    query_reply(state, request->call, &reply->base);
    return 0;
}

struct listing {
    const struct state *state;
    size_t count;
    size_t limit;
    size_t n;
    Cortex__V1__Job **jobs;
};

static int list_job(void *arg, const struct job_record *record, struct error *err)
{
    struct listing *listing = arg;
    struct api_version *version = NULL;

    if (listing->count++ >= listing->limit) {
        return 0;
    }
    if (store_api_version_get(listing->state->store, record->api_id, &version, err) !=
        0) {
        return -1;
    }
    Cortex__V1__Job *job = describe_now(listing->state, record);
    add_ids(job, version);
    api_version_unref(version);
    message_append(&listing->n, (void ***)&listing->jobs, job);
    return 0;
}

int query_list_apis(struct state *state,
                    const struct request *request,
                    struct error *err)
{
    Cortex__V1__ListApisReply *reply =
        message_new(&cortex__v1__list_apis_reply__descriptor);

    for (size_t i = 0; i < state->api_count; i++) {
        struct listing latest = {.state = state, .limit = 1};
        if (!caller_may_see(&request->caller, state->apis[i]->name)) {
            continue;
        }
        Cortex__V1__ListedApi *listed =
            message_new(&cortex__v1__listed_api__descriptor);
        listed->api = query_definition(state, state->apis[i]);
        message_append(&reply->n_apis, (void ***)&reply->apis, listed);
        if (store_job_list(
                state->store, state->apis[i]->name, 0, -1, 1, list_job, &latest, err) !=
            0) {
            protobuf_c_message_free_unpacked(&reply->base, NULL);
            return -1;
        }
        listed->has_latest_job = latest.n > 0;
        listed->latest_job = latest.n > 0 ? latest.jobs[0] : NULL;
        free(latest.jobs);
    }
    query_reply(state, request->call, &reply->base);
    return 0;
}

static int list_version(void *arg, const struct api_version *version, struct error *err)
{
    Cortex__V1__GetApiReply *reply = arg;
    Cortex__V1__ApiVersion *listed = message_new(&cortex__v1__api_version__descriptor);

    (void)err;
    message_text(&listed->api_id, version->api_id);
    listed->deployed_ns = version->deployed_ns;
    message_append(&reply->n_versions, (void ***)&reply->versions, listed);
    return 0;
}

// How many jobs: what was asked for; else ten, or all that are in progress.
static size_t job_limit(const struct state *state,
                        const Cortex__V1__GetApiRequest *said)
{
    size_t limit = said->limit;

    if (limit == 0) {
        size_t live = jobs_in_progress(state, said->api_name);
        limit = live > QUERY_JOBS_DEFAULT ? live : QUERY_JOBS_DEFAULT;
    }
    return limit < QUERY_JOBS_MAX ? limit : QUERY_JOBS_MAX;
}

int query_api(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__GetApiRequest *said =
        (const Cortex__V1__GetApiRequest *)request->message;
    struct api_version *version = NULL;

    if (!(version = submit_find_api(state, &request->caller, said->api_name, err))) {
        return -1;
    }
    Cortex__V1__GetApiReply *reply =
        message_new(&cortex__v1__get_api_reply__descriptor);
    struct listing listing = {.state = state, .limit = job_limit(state, said)};
    int job_state = (int)said->state > 0 ? (int)said->state : -1;
    reply->api = query_definition(state, version);
    int result = store_job_list(state->store,
                                said->api_name,
                                said->after_job_id,
                                job_state,
                                listing.limit + 1,
                                list_job,
                                &listing,
                                err);
    reply->n_jobs = listing.n;
    reply->jobs = listing.jobs;
    reply->more = listing.count > listing.limit;
    if (result == 0) {
        result = store_api_versions(
            state->store, said->api_name, QUERY_VERSIONS, list_version, reply, err);
    }
    if (result != 0) {
        protobuf_c_message_free_unpacked(&reply->base, NULL);
        return -1;
    }
    query_reply(state, request->call, &reply->base);
    return 0;
}

// Whether the path is the endpoint or goes on below it.
static bool lies_below(const char *path, const char *endpoint)
{
    size_t length = strlen(endpoint);

    return strncmp(path, endpoint, length) == 0 &&
           (path[length] == '\0' || path[length] == '/');
}

int query_endpoint(struct state *state,
                   const struct request *request,
                   struct error *err)
{
    const Cortex__V1__ResolveEndpointRequest *said =
        (const Cortex__V1__ResolveEndpointRequest *)request->message;
    const struct api_version *best = NULL;

    for (size_t i = 0; i < state->api_count; i++) {
        const struct api_version *version = state->apis[i];
        if (lies_below(said->path, version->endpoint) &&
            caller_may_see(&request->caller, version->name) &&
            (!best || strlen(version->endpoint) > strlen(best->endpoint))) {
            best = version;
        }
    }
    if (!best) {
        return error_set_kind(err,
                              ERROR_NOT_FOUND,
                              "resources.api_not_deployed",
                              "no api is deployed at \"%s\"",
                              said->path);
    }
    Cortex__V1__ResolveEndpointReply *reply =
        message_new(&cortex__v1__resolve_endpoint_reply__descriptor);
    message_text(&reply->api_name, best->name);
    message_text(&reply->rest, said->path + strlen(best->endpoint));
    query_reply(state, request->call, &reply->base);
    return 0;
}

// The record of any job of the api ("": of whatever api); the caller finis it.
int query_find_job(const struct state *state,
                   const struct caller *caller,
                   const char *api_name,
                   uint64_t job_id,
                   struct job_record *out_record,
                   struct error *err)
{
    bool found = false;
    struct job_record record = {0};

    if (api_name[0] && !submit_find_api(state, caller, api_name, err)) {
        return -1;
    }
    if (store_job_get(state->store, job_id, &record, &found, err) != 0) {
        return -1;
    }
    if (found && ((api_name[0] && strcmp(record.api_name, api_name) != 0) ||
                  !caller_may_see(caller, record.api_name))) {
        job_record_fini(&record);
        found = false;
    }
    if (!found) {
        return query_unknown_job(api_name, job_id, err);
    }
    *out_record = record;
    return 0;
}

int query_job(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__GetJobRequest *said =
        (const Cortex__V1__GetJobRequest *)request->message;
    struct job_record record = {0};
    struct api_version *version = NULL;

    if (query_find_job(
            state, &request->caller, said->api_name, said->job_id, &record, err) != 0) {
        return -1;
    }
    int result = store_api_version_get(state->store, record.api_id, &version, err);
    if (result == 0) {
        Cortex__V1__GetJobReply *reply =
            message_new(&cortex__v1__get_job_reply__descriptor);
        reply->job = describe_now(state, &record);
        add_ids(reply->job, version);
        if (version) {
            reply->api = query_definition(state, version);
        }
        query_reply(state, request->call, &reply->base);
    }
    api_version_unref(version);
    job_record_fini(&record);
    return result;
}

int query_log(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__ReadLogRequest *said =
        (const Cortex__V1__ReadLogRequest *)request->message;
    struct job_record record = {0};

    if (query_find_job(
            state, &request->caller, said->api_name, said->job_id, &record, err) != 0) {
        return -1;
    }
    struct action *action = outbox_add(&state->outbox, ACTION_LOG_READ);
    action->call = request->call;
    action->job_id = said->job_id;
    action->closed = !state_job(state, said->job_id);
    job_record_fini(&record);
    return 0;
}
