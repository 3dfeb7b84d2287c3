/* SPDX-License-Identifier: Apache-2.0 */
/* submit.c - how a checked submission becomes a job */
#include "master/submit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "master/finish.h"
#include "master/message.h"
#include "master/query.h"
#include "proto/client.pb-c.h"

#define REQUEST_KEY_PREFIX "request " /* before a call's id, where users have a key */
#define REQUEST_KEY_SIZE   (sizeof(REQUEST_KEY_PREFIX) + 2 * ID_REQUEST_SIZE)

void submit_prepared_free(struct submit_prepared *prepared)
{
    if (prepared) {
        free(prepared->dead_letter_arn);
        free(prepared->config);
        free(prepared);
    }
}

struct api_version *submit_find_api(const struct state *state,
                                    const struct caller *caller,
                                    const char *name,
                                    struct error *err)
{
    struct api_version *version =
        caller_may_see(caller, name) ? state_api(state, name) : NULL;

    if (!version) {
        error_set_kind(err,
                       ERROR_NOT_FOUND,
                       "resources.api_not_deployed",
                       "%s is not deployed",
                       name);
    }
    return version;
}

static void reply_with(struct state *state,
                       void *call,
                       const struct job_record *record,
                       const struct api_version *version,
                       bool repeated)
{
    Cortex__V1__SubmitJobReply *reply =
        message_new(&cortex__v1__submit_job_reply__descriptor);
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);

    // The first answer and its repeats are the same: none speaks of what came after.
    reply->job = query_submitted(record, version);
    reply->repeated_request = repeated;
    action->call = call;
    action->message = &reply->base;
}

// What names the submission: the user's key, or else the call, whose repeats (the first
// answer was lost) have its request id. Written to `own` if need be.
static const char *key_of(const struct request *request,
                          const Cortex__V1__SubmitJobRequest *said,
                          char own[REQUEST_KEY_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = strlen(REQUEST_KEY_PREFIX);

    if (said->idempotency_key[0]) {
        return said->idempotency_key;
    }
    memcpy(own, REQUEST_KEY_PREFIX, at);
    for (size_t i = 0; i < ID_REQUEST_SIZE; i++) {
        own[at++] = digits[request->request_id[i] >> 4];
        own[at++] = digits[request->request_id[i] & 15];
    }
    own[at] = '\0';
    return own;
}

// 1: the key was known and the call has been answered; 0: it is new; -1: refused.
static int look_up_key(struct state *state,
                       const struct request *request,
                       const char *api_name,
                       const char *key,
                       struct error *err)
{
    const struct submit_prepared *prepared = request->prepared;
    char body_hash[65];
    uint64_t job_id = 0;
    bool found = false;
    struct job_record record = {0};

    if (strlen(key) > SUBMIT_KEY_SIZE_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "Idempotency-Key: it has %zu bytes, expected at most %d",
                         strlen(key),
                         SUBMIT_KEY_SIZE_MAX);
    }
    if (store_key_prune(state->store, state_steady_ns(state) - STATE_KEY_NS, err) !=
            0 ||
        store_key_get(state->store, api_name, key, body_hash, &job_id, &found, err) !=
            0) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    if (strcmp(body_hash, prepared->body_hash) != 0) {
        return error_set(err,
                         ERROR_ALREADY_EXISTS,
                         "Idempotency-Key: \"%s\" was used for job %016" PRIx64
                         " with a different body",
                         key,
                         job_id);
    }
    if (store_job_get(state->store, job_id, &record, &found, err) != 0) {
        return -1;
    }
    if (!found) {
        return 0; // its job was deleted: this is a new one
    }
    struct api_version *version = NULL;
    int result = store_api_version_get(state->store, record.api_id, &version, err);
    if (result == 0) {
        reply_with(state, request->call, &record, version, true);
        result = 1;
    }
    api_version_unref(version);
    job_record_fini(&record);
    return result;
}

static struct job *make_job(struct state *state,
                            const struct submit_prepared *prepared,
                            struct api_version *version)
{
    struct job *job = job_create();
    struct job_record *record = &job->record;

    api_version_set(&record->api_name, version->name);
    api_version_set(&record->api_id, version->api_id);
    api_version_set(&record->dead_letter_arn,
                    prepared->dead_letter_arn ? prepared->dead_letter_arn : "");
    free(record->config);
    record->config = memory_strndup(prepared->config, prepared->config_size);
    record->config_size = prepared->config_size;
    record->job_id = prepared->job_id;
    record->workers = prepared->workers;
    record->timeout_s = prepared->timeout_s;
    record->max_attempts = prepared->max_attempts;
    record->start_ns = id_job_time_ns(prepared->job_id);
    job->version = api_version_ref(version);
    if (record->timeout_s > 0) {
        int64_t timeout_ms = (int64_t)record->timeout_s * 1000;
        state_set_deadline(state, job, state->now_ms + timeout_ms);
    }
    return job;
}

static int decide(struct state *state,
                  const struct request *request,
                  const Cortex__V1__SubmitJobRequest *said,
                  struct error *err)
{
    const struct submit_prepared *prepared = request->prepared;
    struct api_version *version = NULL;
    char own_key[REQUEST_KEY_SIZE];

    if (!(version = submit_find_api(state, &request->caller, said->api_name, err))) {
        return -1;
    }
    if (prepared->error.code != ERROR_OK) {
        return error_copy(err, &prepared->error);
    }
    const char *key = key_of(request, said, own_key);
    int known = look_up_key(state, request, said->api_name, key, err);
    if (known != 0) {
        return known;
    }
    if (state->jobs.count >= STATE_LIVE_JOBS_MAX) {
        return error_set(err,
                         ERROR_RESOURCE_EXHAUSTED,
                         "there are %d jobs in progress, which is the limit",
                         STATE_LIVE_JOBS_MAX);
    }
    struct job *job = make_job(state, prepared, version);
    if (store_job_put(state->store, &job->record, err) != 0 ||
        store_key_put(state->store,
                      said->api_name,
                      key,
                      prepared->body_hash,
                      prepared->job_id,
                      state_steady_ns(state),
                      err) != 0 ||
        state_job_event(state, prepared->job_id, "submitted", version->name, err) !=
            0) {
        job_destroy(job);
        return -1;
    }
    map_put(&state->jobs, job->record.job_id, job);
    outbox_add(&state->outbox, ACTION_ENQUEUE)->job_id = job->record.job_id;
    reply_with(state, request->call, &job->record, version, false);
    return 0;
}

int submit_handle(struct state *state, const struct request *request, struct error *err)
{
    const struct submit_prepared *prepared = request->prepared;
    int result = decide(
        state, request, (const Cortex__V1__SubmitJobRequest *)request->message, err);

    // What was refused, or was there already, leaves no trace.
    if (result != 0 && prepared->error.code == ERROR_OK) {
        outbox_add(&state->outbox, ACTION_FORGET_JOB)->job_id = prepared->job_id;
    }
    return result < 0 ? -1 : 0;
}

int submit_segment(struct state *state,
                   uint64_t job_id,
                   const struct segment *segment,
                   bool *out_going_on,
                   struct error *err)
{
    struct job *job = state_job(state, job_id);

    *out_going_on = job && job->record.state == JOB_ENQUEUING;
    if (!*out_going_on) {
        return 0;
    }
    if (!job_add_segment(job, &segment->payload)) {
        return error_set(err,
                         ERROR_INTERNAL,
                         "job %016" PRIx64 ": segment %" PRIu64
                         " begins at batch %" PRIu64 ", expected %" PRIu64,
                         job_id,
                         segment->payload.number,
                         segment->payload.first_index,
                         job->book.total);
    }
    return store_segment_put(state->store, job_id, segment, err);
}

static int start_running(struct state *state, struct job *job, struct error *err)
{
    uint64_t job_id = job->record.job_id;

    job_apply(job, JOB_RUNNING, "", state->wall_ns);
    if (store_job_put(state->store, &job->record, err) != 0 ||
        state_job_event(state, job_id, "running", "", err) != 0) {
        return -1;
    }
    state_log(state,
              job_id,
              "completed enqueuing a total of %" PRIu64 " batches",
              job->book.total);
    state_log(state, job_id, "spinning up workers...");
    state->schedule_dirty = true;
    return 0;
}

int submit_enqueued(struct state *state,
                    uint64_t job_id,
                    const struct error *failure,
                    struct error *err)
{
    struct job *job = state_job(state, job_id);

    if (!job || job->record.state != JOB_ENQUEUING) {
        return 0;
    }
    if (failure) {
        struct error reason = *failure;
        error_wrap(&reason, "failed to enqueue all batches");
        return finish_job(state, job, JOB_ENQUEUE_FAILED, reason.message, err);
    }
    return start_running(state, job, err);
}
