/* SPDX-License-Identifier: Apache-2.0 */
/* api.c - what a client can ask of the master */
#include "client/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client.pb-c.h"

#include "common/buffer.h"
#include "common/rpc_client.h"

#define PROJECT_PIECE_SIZE (4u << 20) /* bytes of PutProject's attachment, at most */
#define LOG_WAIT_MAX_MS    25000      /* what a server parks at most */

struct client_api {
    struct rpc_client *rpc;
    ProtobufCService *service;
    int64_t timeout_ms;
};

// One call: sets *reply, or leaves it NULL and is -1. `type` is the name of the method
// in client.proto without its package.
#define CALL(api, method, type, request, reply, err)                                   \
    (rpc_client_set_timeout((api)->rpc, (api)->timeout_ms),                            \
     cortex__v1__client__##method((api)->service,                                      \
                                  (request),                                           \
                                  RPC_CLIENT_KEEP(Cortex__V1__##type##Reply),          \
                                  (reply)),                                            \
     rpc_client_result((api)->rpc, (err)))

// The wire's numbers are the enums' own.
_Static_assert((int)CLIENT_JOB_ENQUEUING ==
                   (int)CORTEX__V1__JOB_STATE__JOB_STATE_ENQUEUING,
               "job states begin alike");
_Static_assert((int)CLIENT_JOB_UNEXPECTED_ERROR ==
                   (int)CORTEX__V1__JOB_STATE__JOB_STATE_UNEXPECTED_ERROR,
               "job states end alike");
_Static_assert((int)CLIENT_BATCH_FAILED ==
                   (int)CORTEX__V1__BATCH_STATE__BATCH_STATE_FAILED,
               "batch states end alike");

int client_api_create(const char *url,
                      const struct session_client_options *seal,
                      struct client_api **out_api,
                      struct error *err)
{
    struct rpc_client_options options = {.url = url, .seal = seal};
    struct rpc_client *rpc;

    if (rpc_client_create(&options, &rpc, err) != 0) {
        return -1;
    }
    struct client_api *api = memory_zalloc(sizeof(*api));
    api->rpc = rpc;
    api->service = rpc_client_service(rpc, &cortex__v1__client__descriptor);
    api->timeout_ms = RPC_CLIENT_TIMEOUT_MS;
    *out_api = api;
    return 0;
}

void client_api_set_timeout(struct client_api *api, int64_t timeout_ms)
{
    api->timeout_ms = timeout_ms;
}

int client_api_act_for(struct client_api *api,
                       enum key_role role,
                       const char *apis,
                       struct error *err)
{
    return rpc_client_act_for(api->rpc, role, apis, err);
}

void client_api_cancel(struct client_api *api)
{
    rpc_client_cancel(api->rpc);
}

// A part that every answer of this kind has is not there.
static int lacks(const char *what, struct error *err)
{
    return error_set(err, ERROR_INTERNAL, "the master's answer has no %s", what);
}

static void *array_of(size_t count, size_t size)
{
    return count > 0 ? memory_zalloc(count * size) : NULL;
}

static void take_worker_counts(struct client_job *out, const Cortex__V1__Job *job)
{
    const Cortex__V1__WorkerCounts *counts = job->worker_counts;

    out->has_worker_counts = job->has_worker_counts && counts;
    if (out->has_worker_counts) {
        out->workers_pending = counts->pending;
        out->workers_stalled = counts->stalled;
        out->workers_initializing = counts->initializing;
        out->workers_running = counts->running;
        out->workers_succeeded = counts->succeeded;
        out->workers_failed = counts->failed;
    }
}

static void take_job(struct client_job *out, const Cortex__V1__Job *job)
{
    unsigned state = (unsigned)job->state;

    *out = (struct client_job){
        .job_id = job->job_id,
        .api_name = memory_strdup(job->api_name),
        .api_id = memory_strdup(job->api_id),
        .spec_id = memory_strdup(job->spec_id),
        .predictor_id = memory_strdup(job->predictor_id),
        .state = state <= CLIENT_JOB_UNEXPECTED_ERROR ? (enum client_job_state)state
                                                      : CLIENT_JOB_UNKNOWN,
        .workers = job->workers,
        .timeout_s = job->timeout_s,
        .max_attempts = job->max_attempts,
        .dead_letter_arn = memory_strdup(job->dead_letter_arn),
        .config = memory_strdup(job->config),
        .total = job->total,
        .succeeded = job->succeeded,
        .failed = job->failed,
        .queued = job->queued,
        .in_hand = job->in_hand,
        .succeeded_us = job->succeeded_us,
        .start_ns = job->start_ns,
        .end_ns = job->end_ns,
        .reason = memory_strdup(job->reason),
    };
    take_worker_counts(out, job);
}

static void take_definition(struct client_definition *out, const Cortex__V1__Api *api)
{
    *out = (struct client_definition){
        .name = memory_strdup(api->name),
        .kind = memory_strdup(api->kind),
        .endpoint = memory_strdup(api->endpoint),
        .api_id = memory_strdup(api->api_id),
        .spec = memory_strdup(api->spec),
        .updated_ns = api->updated_ns,
        .jobs_in_progress = api->jobs_in_progress,
    };
}

void client_job_fini(struct client_job *job)
{
    free(job->api_name);
    free(job->api_id);
    free(job->spec_id);
    free(job->predictor_id);
    free(job->dead_letter_arn);
    free(job->config);
    free(job->reason);
    *job = (struct client_job){0};
}

void client_definition_fini(struct client_definition *definition)
{
    free(definition->name);
    free(definition->kind);
    free(definition->endpoint);
    free(definition->api_id);
    free(definition->spec);
    *definition = (struct client_definition){0};
}

static void take_agent(struct client_agent *out, const Cortex__V1__Agent *agent)
{
    *out = (struct client_agent){
        .agent_id = memory_strdup(agent->agent_id),
        .name = memory_strdup(agent->name),
        .release = memory_strdup(agent->release),
        .cpu_millis = agent->cpu_millis,
        .memory_bytes = agent->memory_bytes,
        .gpus = agent->gpus,
        .workers = agent->workers,
        .in_hand = agent->in_hand,
        .heard_ms_ago = agent->heard_ms_ago,
    };
}

int client_api_rotate_key(struct client_api *api,
                          const unsigned char next_key[KEY_SIZE],
                          struct error *err)
{
    Cortex__V1__RotateKeyRequest request = CORTEX__V1__ROTATE_KEY_REQUEST__INIT;
    const Cortex__V1__RotateKeyReply *reply = NULL;

    request.next_key.len = KEY_SIZE;
    request.next_key.data = (uint8_t *)(uintptr_t)next_key;
    return CALL(api, rotate_key, RotateKey, &request, &reply, err);
}

int client_api_info(struct client_api *api, struct client_info *out, struct error *err)
{
    Cortex__V1__InfoRequest request = CORTEX__V1__INFO_REQUEST__INIT;
    const Cortex__V1__InfoReply *reply = NULL;

    if (CALL(api, info, Info, &request, &reply, err) != 0) {
        return -1;
    }
    *out = (struct client_info){
        .release = memory_strdup(reply->release),
        .boot = reply->boot,
        .jobs_in_progress = reply->jobs_in_progress,
        .bridge_url = memory_strdup(reply->bridge_url),
        .agents = array_of(reply->n_agents, sizeof(*out->agents)),
        .agent_count = reply->n_agents,
    };
    for (size_t i = 0; i < out->agent_count; i++) {
        take_agent(&out->agents[i], reply->agents[i]);
    }
    return 0;
}

void client_info_fini(struct client_info *info)
{
    for (size_t i = 0; i < info->agent_count; i++) {
        free(info->agents[i].agent_id);
        free(info->agents[i].name);
        free(info->agents[i].release);
    }
    free(info->agents);
    free(info->release);
    free(info->bridge_url);
    *info = (struct client_info){0};
}

// Sends the piece at `offset`, or only asks when archive is NULL.
static int put_piece(struct client_api *api,
                     Cortex__V1__PutProjectRequest *request,
                     const char *archive,
                     bool *out_complete,
                     struct error *err)
{
    const Cortex__V1__PutProjectReply *reply = NULL;
    uint64_t offset = request->offset;

    if (archive) {
        uint64_t left = request->size - offset;
        size_t piece = left < PROJECT_PIECE_SIZE ? (size_t)left : PROJECT_PIECE_SIZE;
        rpc_client_attach(api->rpc, archive + offset, piece);
    }
    if (CALL(api, put_project, PutProject, request, &reply, err) != 0) {
        return -1;
    }
    *out_complete = reply->complete;
    request->offset = reply->next_offset;
    if (!archive || reply->complete ||
        (reply->next_offset > offset && reply->next_offset < request->size)) {
        return 0;
    }
    return error_set(err,
                     ERROR_INTERNAL,
                     "the master asked for byte %" PRIu64 " of a project of %" PRIu64
                     " bytes after it was sent those from %" PRIu64 " on",
                     reply->next_offset,
                     request->size,
                     offset);
}

int client_api_put_project(struct client_api *api,
                           const char *project_id,
                           const void *archive,
                           size_t size,
                           client_progress_fn progress,
                           void *arg,
                           struct error *err)
{
    Cortex__V1__PutProjectRequest request = CORTEX__V1__PUT_PROJECT_REQUEST__INIT;
    bool complete = false;

    request.project_id = (char *)project_id;
    if (put_piece(api, &request, NULL, &complete, err) != 0) {
        return -1;
    }
    request.size = size;
    if (request.offset >= size) {
        request.offset = 0;
    }
    while (!complete) {
        if (progress) {
            progress(arg, request.offset, size);
        }
        if (put_piece(api, &request, archive, &complete, err) != 0) {
            return -1;
        }
    }
    if (progress) {
        progress(arg, size, size);
    }
    return 0;
}

int client_api_deploy(struct client_api *api,
                      const char *config_file_name,
                      const char *config,
                      const char *project_id,
                      bool force,
                      struct client_deployment *out,
                      struct error *err)
{
    Cortex__V1__DeployRequest request = CORTEX__V1__DEPLOY_REQUEST__INIT;
    const Cortex__V1__DeployReply *reply = NULL;

    request.config_file_name = (char *)config_file_name;
    request.config = (char *)config;
    request.project_id = (char *)project_id;
    request.force = force;
    if (CALL(api, deploy, Deploy, &request, &reply, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < reply->n_results; i++) {
        if (!reply->results[i]->api) {
            return lacks("api", err);
        }
    }
    out->count = reply->n_results;
    out->results = array_of(out->count, sizeof(*out->results));
    for (size_t i = 0; i < out->count; i++) {
        out->results[i].message = memory_strdup(reply->results[i]->message);
        take_definition(&out->results[i].definition, reply->results[i]->api);
    }
    return 0;
}

void client_deployment_fini(struct client_deployment *deployment)
{
    for (size_t i = 0; i < deployment->count; i++) {
        free(deployment->results[i].message);
        client_definition_fini(&deployment->results[i].definition);
    }
    free(deployment->results);
    *deployment = (struct client_deployment){0};
}

static void take_listed(struct client_listed *out, const Cortex__V1__ListedApi *listed)
{
    take_definition(&out->definition, listed->api);
    out->has_latest_job = listed->has_latest_job && listed->latest_job;
    if (out->has_latest_job) {
        take_job(&out->latest_job, listed->latest_job);
    }
}

int client_api_list(struct client_api *api,
                    struct client_listing *out,
                    struct error *err)
{
    Cortex__V1__ListApisRequest request = CORTEX__V1__LIST_APIS_REQUEST__INIT;
    const Cortex__V1__ListApisReply *reply = NULL;

    if (CALL(api, list_apis, ListApis, &request, &reply, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < reply->n_apis; i++) {
        if (!reply->apis[i]->api) {
            return lacks("api", err);
        }
    }
    out->count = reply->n_apis;
    out->apis = array_of(out->count, sizeof(*out->apis));
    for (size_t i = 0; i < out->count; i++) {
        take_listed(&out->apis[i], reply->apis[i]);
    }
    return 0;
}

void client_listing_fini(struct client_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        client_definition_fini(&listing->apis[i].definition);
        client_job_fini(&listing->apis[i].latest_job);
    }
    free(listing->apis);
    *listing = (struct client_listing){0};
}

static void take_detail(struct client_detail *out, const Cortex__V1__GetApiReply *reply)
{
    *out = (struct client_detail){
        .jobs = array_of(reply->n_jobs, sizeof(*out->jobs)),
        .job_count = reply->n_jobs,
        .versions = array_of(reply->n_versions, sizeof(*out->versions)),
        .version_count = reply->n_versions,
        .more = reply->more,
    };
    take_definition(&out->definition, reply->api);
    for (size_t i = 0; i < out->job_count; i++) {
        take_job(&out->jobs[i], reply->jobs[i]);
    }
    for (size_t i = 0; i < out->version_count; i++) {
        out->versions[i].api_id = memory_strdup(reply->versions[i]->api_id);
        out->versions[i].deployed_ns = reply->versions[i]->deployed_ns;
    }
}

int client_api_get(struct client_api *api,
                   const char *name,
                   const struct client_job_filter *filter,
                   struct client_detail *out,
                   struct error *err)
{
    Cortex__V1__GetApiRequest request = CORTEX__V1__GET_API_REQUEST__INIT;
    const Cortex__V1__GetApiReply *reply = NULL;

    request.api_name = (char *)name;
    if (filter) {
        request.limit = filter->limit;
        request.after_job_id = filter->after_job_id;
        request.state = (Cortex__V1__JobState)filter->state;
    }
    if (CALL(api, get_api, GetApi, &request, &reply, err) != 0) {
        return -1;
    }
    if (!reply->api) {
        return lacks("api", err);
    }
    take_detail(out, reply);
    return 0;
}

void client_detail_fini(struct client_detail *detail)
{
    for (size_t i = 0; i < detail->job_count; i++) {
        client_job_fini(&detail->jobs[i]);
    }
    for (size_t i = 0; i < detail->version_count; i++) {
        free(detail->versions[i].api_id);
    }
    free(detail->jobs);
    free(detail->versions);
    client_definition_fini(&detail->definition);
    *detail = (struct client_detail){0};
}

int client_api_delete(struct client_api *api,
                      const char *name,
                      bool keep_cache,
                      char **out_message,
                      struct error *err)
{
    Cortex__V1__DeleteApiRequest request = CORTEX__V1__DELETE_API_REQUEST__INIT;
    const Cortex__V1__DeleteApiReply *reply = NULL;

    request.api_name = (char *)name;
    request.keep_cache = keep_cache;
    if (CALL(api, delete_api, DeleteApi, &request, &reply, err) != 0) {
        return -1;
    }
    *out_message = memory_strdup(reply->message);
    return 0;
}

int client_api_resolve(struct client_api *api,
                       const char *path,
                       char **out_name,
                       char **out_rest,
                       struct error *err)
{
    Cortex__V1__ResolveEndpointRequest request =
        CORTEX__V1__RESOLVE_ENDPOINT_REQUEST__INIT;
    const Cortex__V1__ResolveEndpointReply *reply = NULL;

    request.path = (char *)path;
    if (CALL(api, resolve_endpoint, ResolveEndpoint, &request, &reply, err) != 0) {
        return -1;
    }
    *out_name = memory_strdup(reply->api_name);
    *out_rest = memory_strdup(reply->rest);
    return 0;
}

int client_api_submit(struct client_api *api,
                      const char *name,
                      const void *body,
                      size_t size,
                      const char *idempotency_key,
                      struct client_job *out,
                      struct error *err)
{
    Cortex__V1__SubmitJobRequest request = CORTEX__V1__SUBMIT_JOB_REQUEST__INIT;
    const Cortex__V1__SubmitJobReply *reply = NULL;

    request.api_name = (char *)name;
    if (idempotency_key) {
        request.idempotency_key = (char *)idempotency_key;
    }
    rpc_client_attach(api->rpc, body, size);
    if (CALL(api, submit_job, SubmitJob, &request, &reply, err) != 0) {
        return -1;
    }
    if (!reply->job) {
        return lacks("job", err);
    }
    take_job(out, reply->job);
    return 0;
}

int client_api_dry_run(struct client_api *api,
                       const char *name,
                       const void *body,
                       size_t size,
                       const char *page_token,
                       struct client_paths *out,
                       char **out_next,
                       struct error *err)
{
    Cortex__V1__DryRunRequest request = CORTEX__V1__DRY_RUN_REQUEST__INIT;
    const Cortex__V1__DryRunReply *reply = NULL;

    request.api_name = (char *)name;
    request.page_token = (char *)page_token;
    rpc_client_attach(api->rpc, body, size);
    if (CALL(api, dry_run, DryRun, &request, &reply, err) != 0) {
        return -1;
    }
    out->count = reply->n_paths;
    out->paths = array_of(out->count, sizeof(*out->paths));
    for (size_t i = 0; i < out->count; i++) {
        out->paths[i] = memory_strdup(reply->paths[i]);
    }
    *out_next = memory_strdup(reply->next_page_token);
    return 0;
}

void client_paths_fini(struct client_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        free(paths->paths[i]);
    }
    free(paths->paths);
    *paths = (struct client_paths){0};
}

int client_api_get_job(struct client_api *api,
                       const char *name,
                       uint64_t job_id,
                       struct client_job *out_job,
                       struct client_definition *out_definition,
                       struct error *err)
{
    Cortex__V1__GetJobRequest request = CORTEX__V1__GET_JOB_REQUEST__INIT;
    const Cortex__V1__GetJobReply *reply = NULL;

    request.api_name = (char *)name;
    request.job_id = job_id;
    if (CALL(api, get_job, GetJob, &request, &reply, err) != 0) {
        return -1;
    }
    if (!reply->job || !reply->api) {
        return lacks(reply->job ? "api" : "job", err);
    }
    take_job(out_job, reply->job);
    take_definition(out_definition, reply->api);
    return 0;
}

int client_api_stop_job(struct client_api *api,
                        const char *name,
                        uint64_t job_id,
                        char **out_message,
                        struct error *err)
{
    Cortex__V1__StopJobRequest request = CORTEX__V1__STOP_JOB_REQUEST__INIT;
    const Cortex__V1__StopJobReply *reply = NULL;

    request.api_name = (char *)name;
    request.job_id = job_id;
    if (CALL(api, stop_job, StopJob, &request, &reply, err) != 0) {
        return -1;
    }
    *out_message = memory_strdup(reply->message);
    return 0;
}

static void take_batch(struct client_batch *out, const Cortex__V1__Batch *batch)
{
    unsigned state = (unsigned)batch->state;

    *out = (struct client_batch){
        .index = batch->index,
        .state = state <= CLIENT_BATCH_FAILED ? (enum client_batch_state)state
                                              : CLIENT_BATCH_ANY,
        .attempts = batch->attempts,
        .worker = memory_strdup(batch->worker),
        .start_ns = batch->start_ns,
        .duration_us = batch->duration_us,
        .error = memory_strdup(batch->error),
    };
    (void)snprintf(out->batch_id, sizeof(out->batch_id), "%s", batch->batch_id);
}

int client_api_list_batches(struct client_api *api,
                            const char *name,
                            uint64_t job_id,
                            enum client_batch_state state,
                            uint32_t limit,
                            uint64_t from_index,
                            struct client_batches *out,
                            struct error *err)
{
    Cortex__V1__ListBatchesRequest request = CORTEX__V1__LIST_BATCHES_REQUEST__INIT;
    const Cortex__V1__ListBatchesReply *reply = NULL;

    request.api_name = (char *)name;
    request.job_id = job_id;
    request.state = (Cortex__V1__BatchState)state;
    request.limit = limit;
    request.from_index = from_index;
    if (CALL(api, list_batches, ListBatches, &request, &reply, err) != 0) {
        return -1;
    }
    *out = (struct client_batches){
        .batches = array_of(reply->n_batches, sizeof(*out->batches)),
        .count = reply->n_batches,
        .more = reply->more,
        .next_index = reply->next_index,
    };
    for (size_t i = 0; i < out->count; i++) {
        take_batch(&out->batches[i], reply->batches[i]);
    }
    return 0;
}

void client_batches_fini(struct client_batches *batches)
{
    for (size_t i = 0; i < batches->count; i++) {
        free(batches->batches[i].worker);
        free(batches->batches[i].error);
    }
    free(batches->batches);
    *batches = (struct client_batches){0};
}

int client_api_get_payload(struct client_api *api,
                           const char *name,
                           uint64_t job_id,
                           const char *batch_id,
                           const void **out_data,
                           size_t *out_size,
                           struct error *err)
{
    Cortex__V1__GetPayloadRequest request = CORTEX__V1__GET_PAYLOAD_REQUEST__INIT;
    const Cortex__V1__GetPayloadReply *reply = NULL;

    request.api_name = (char *)name;
    request.job_id = job_id;
    request.batch_id = (char *)batch_id;
    if (CALL(api, get_payload, GetPayload, &request, &reply, err) != 0) {
        return -1;
    }
    *out_data = rpc_client_attachment(api->rpc, out_size);
    return 0;
}

int client_api_read_log(struct client_api *api,
                        const char *name,
                        uint64_t job_id,
                        uint64_t offset,
                        uint32_t wait_ms,
                        struct client_log *out,
                        struct error *err)
{
    Cortex__V1__ReadLogRequest request = CORTEX__V1__READ_LOG_REQUEST__INIT;
    const Cortex__V1__ReadLogReply *reply = NULL;
    int64_t timeout_ms = api->timeout_ms;

    request.api_name = (char *)name;
    request.job_id = job_id;
    request.offset = offset;
    request.wait_ms = wait_ms < LOG_WAIT_MAX_MS ? wait_ms : LOG_WAIT_MAX_MS;
    api->timeout_ms += request.wait_ms; // parked is not late
    int result = CALL(api, read_log, ReadLog, &request, &reply, err);
    api->timeout_ms = timeout_ms;
    if (result != 0) {
        return -1;
    }
    out->data = rpc_client_attachment(api->rpc, &out->size);
    out->offset = reply->offset;
    out->next_offset = reply->next_offset;
    out->end = reply->end;
    return 0;
}
