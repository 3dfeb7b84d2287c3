/* SPDX-License-Identifier: Apache-2.0 */
/* translate.c - how an HTTP request becomes a call to the master, and its answer a
 * reply
 */
#include "client/bridge/translate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/bridge/dry_run.h"
#include "client/document.h"

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

#define SUBMIT_TIMEOUT_MS 60000 /* the master lists S3 before it answers */
#define STOP_TIMEOUT_MS                                                                \
    60000 /* and waits for the job's agents, or till they are lost */

static int answer(struct reply *reply, const char *content_type)
{
    reply->status = 200;
    reply->content_type = content_type;
    return 0;
}

static int answer_stream(struct reply *reply, struct stream *stream)
{
    reply->stream = stream;
    return answer(reply, TEXT);
}

// A near miss of "dryRun" would start a job that nobody wanted.
static int refuse_misspelt_dry_run(const struct target *target, struct error *err)
{
    static const char *const misses[] = {"dryrun", "dry_run", "dry-run"};

    for (size_t i = 0; i < target->pair_count; i++) {
        const char *key = target->pairs[i].key;
        for (size_t k = 0; k < sizeof(misses) / sizeof(misses[0]); k++) {
            if (strcmp(key, "dryRun") != 0 && strcasecmp(key, misses[k]) == 0) {
                return error_set(err,
                                 ERROR_INVALID_ARGUMENT,
                                 "got the query parameter \"%s\", expected \"dryRun\"",
                                 key);
            }
        }
    }
    return 0;
}

// What is wrong with a submission is said as plain text here; whatever else goes wrong,
// as everywhere.
static int fail_dry_run(struct reply *reply, const struct error *err)
{
    int status = error_code_http_status(err->code);

    if (status != 400) {
        return -1;
    }
    reply->status = 400;
    reply->content_type = TEXT;
    buffer_add_format(&reply->body, "\n%s\n", err->message);
    return 0;
}

static int dry_run(const struct call *call, struct error *err)
{
    struct request *request = call->request;
    struct stream *stream;

    if (dry_run_open(call->bridge->slow,
                     call->api,
                     call->api_name,
                     &request->body,
                     &stream,
                     err) != 0) {
        return fail_dry_run(&request->reply, err);
    }
    return answer_stream(&request->reply, stream);
}

int translate_submit(const struct call *call, struct error *err)
{
    struct request *request = call->request;
    struct client_job job = {0};
    bool dry = false;

    if (refuse_misspelt_dry_run(&request->target, err) != 0 ||
        target_get_bool(&request->target, "dryRun", &dry, err) != 0) {
        return -1;
    }
    if (dry) {
        return dry_run(call, err);
    }
    client_api_set_timeout(call->api, SUBMIT_TIMEOUT_MS);
    if (client_api_submit(call->api,
                          call->api_name,
                          buffer_text(&request->body),
                          request->body.size,
                          request->idempotency_key,
                          &job,
                          err) != 0) {
        return -1;
    }
    document_submitted(&request->reply.body, &job);
    client_job_fini(&job);
    return answer(&request->reply, JSON);
}

static int read_job_filter(const struct target *target,
                           struct client_job_filter *out,
                           struct error *err)
{
    const char *after;
    const char *status;
    uint64_t limit = 0;

    *out = (struct client_job_filter){0};
    if (target_get_number(target, "limit", TRANSLATE_PAGE_MAX, &limit, err) != 0 ||
        target_get(target, "after", &after, err) != 0 ||
        target_get(target, "status", &status, err) != 0) {
        return -1;
    }
    out->limit = (uint32_t)limit;
    if (after && !id_job_parse(after, &out->after_job_id)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "after: got \"%s\", expected a job id (16 hex digits)",
                         after);
    }
    if (status && !client_job_state_parse(status, &out->state)) {
        return error_set(
            err,
            ERROR_INVALID_ARGUMENT,
            "status: got \"%s\", expected a job status such as \"running\" "
            "or \"status_succeeded\"",
            status);
    }
    return 0;
}

int translate_get_api(const struct call *call, struct error *err)
{
    struct client_detail detail = {0};
    struct client_job_filter filter;
    char *url = NULL;
    int result = -1;

    if (read_job_filter(&call->request->target, &filter, err) != 0 ||
        client_api_get(call->api, call->api_name, &filter, &detail, err) != 0 ||
        base_url_get(call->bridge->base_url, call->api, &url, err) != 0) {
        goto out;
    }
    document_api(&call->request->reply.body, &detail, url);
    result = answer(&call->request->reply, JSON);
out:
    client_detail_fini(&detail);
    free(url);
    return result;
}

int translate_get_job(const struct call *call, struct error *err)
{
    struct client_job job = {0};
    struct client_definition definition = {0};
    char *url = NULL;
    int result = -1;

    if (client_api_get_job(
            call->api, call->api_name, call->job_id, &job, &definition, err) != 0 ||
        base_url_get(call->bridge->base_url, call->api, &url, err) != 0) {
        goto out;
    }
    document_job(&call->request->reply.body, &job, &definition, url);
    result = answer(&call->request->reply, JSON);
out:
    client_job_fini(&job);
    client_definition_fini(&definition);
    free(url);
    return result;
}

int translate_stop_job(const struct call *call, struct error *err)
{
    struct reply *reply = &call->request->reply;
    char *message;

    client_api_set_timeout(call->api, STOP_TIMEOUT_MS);
    if (client_api_stop_job(call->api, call->api_name, call->job_id, &message, err) !=
        0) {
        return -1;
    }
    if (call->request->wants_json) {
        document_message(&reply->body, message);
    } else {
        buffer_add_format(&reply->body, "%s\n", message);
    }
    free(message);
    return answer(reply, call->request->wants_json ? JSON : TEXT);
}

int translate_get_log(const struct call *call, struct error *err)
{
    const struct target *target = &call->request->target;
    struct client_log piece;
    struct stream *stream;
    bool live = false;
    uint64_t offset = 0;

    if (target_get_bool(target, "follow", &live, err) != 0 ||
        target_get_number(target, "offset", INT64_MAX, &offset, err) != 0 ||
        // Whether there is such a log has to be known before the first byte of it.
        client_api_read_log(
            call->api, call->api_name, call->job_id, offset, 0, &piece, err) != 0 ||
        follow_open(call->bridge->follow,
                    call->api_name,
                    call->job_id,
                    offset,
                    live,
                    &stream,
                    err) != 0) {
        return -1;
    }
    return answer_stream(&call->request->reply, stream);
}

static int read_batch_filter(const struct target *target,
                             enum client_batch_state *out_state,
                             uint64_t *out_limit,
                             uint64_t *out_from,
                             struct error *err)
{
    const char *state;
    uint64_t after = UINT64_MAX;

    *out_state = CLIENT_BATCH_ANY;
    *out_limit = 0;
    if (target_get_number(target, "limit", TRANSLATE_PAGE_MAX, out_limit, err) != 0 ||
        target_get_number(target, "after", INT64_MAX, &after, err) != 0 ||
        target_get(target, "state", &state, err) != 0) {
        return -1;
    }
    *out_from = after + 1; // 0 if it is not there
    if (state && !client_batch_state_parse(state, out_state)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "state: got \"%s\", expected queued, in_hand, succeeded or "
                         "failed",
                         state);
    }
    return 0;
}

int translate_list_batches(const struct call *call, struct error *err)
{
    struct client_batches batches = {0};
    enum client_batch_state state;
    uint64_t limit;
    uint64_t from;

    if (read_batch_filter(&call->request->target, &state, &limit, &from, err) != 0 ||
        client_api_list_batches(call->api,
                                call->api_name,
                                call->job_id,
                                state,
                                (uint32_t)limit,
                                from,
                                &batches,
                                err) != 0) {
        return -1;
    }
    document_batches(&call->request->reply.body, &batches);
    client_batches_fini(&batches);
    return answer(&call->request->reply, JSON);
}

int translate_get_payload(const struct call *call, struct error *err)
{
    const void *items;
    size_t size;

    if (client_api_get_payload(call->api,
                               call->api_name,
                               call->job_id,
                               call->batch_id,
                               &items,
                               &size,
                               err) != 0) {
        return -1;
    }
    buffer_add(&call->request->reply.body, items, size);
    return answer(&call->request->reply, JSON);
}

int translate_no_job(const struct call *call, struct error *err)
{
    return error_set_kind(err,
                          ERROR_INVALID_ARGUMENT,
                          "endpoints.query_param_required",
                          "no job is named: expected %s/<job id> or %s?jobID=<job id>",
                          call->request->target.path,
                          call->request->target.path);
}

int translate_ready(const struct call *call, struct error *err)
{
    struct client_info info = {0};

    if (client_api_info(call->api, &info, err) != 0) {
        return -1;
    }
    client_info_fini(&info);
    return translate_healthy(call, err);
}

int translate_healthy(const struct call *call, struct error *err)
{
    (void)err; // what cannot ask cannot fail
    buffer_add_text(&call->request->reply.body, "ok\n");
    return answer(&call->request->reply, TEXT);
}
