/* SPDX-License-Identifier: Apache-2.0 */
/* document.c - how apis, jobs and batches are written as JSON */
#include "client/document.h"

#include "client/json_writer.h"
#include "common/clock.h"

#define INDENT   4
#define NS_PER_S 1000000000

static void add_time_ns(struct json_writer *writer, const char *key, int64_t wall_ns)
{
    char text[CLOCK_TEXT_SIZE] = "";

    if (wall_ns != 0) {
        clock_format_rfc3339(wall_ns, text);
    }
    json_writer_text_or_null(writer, key, text);
}

static void add_dead_letter(struct json_writer *writer, const struct client_job *job)
{
    static const char key[] = "sqs_dead_letter_queue";

    if (!*job->dead_letter_arn) {
        json_writer_null(writer, key);
        return;
    }
    json_writer_open(writer, key, '{');
    json_writer_text(writer, "arn", job->dead_letter_arn);
    json_writer_number(writer, "max_receive_count", job->max_attempts);
    json_writer_close(writer, '}');
}

// What a job's record begins with wherever it is shown.
static void add_record(struct json_writer *writer,
                       const struct client_job *job,
                       uint64_t total_batch_count)
{
    char job_id[ID_JOB_TEXT_SIZE];

    id_job_format(job->job_id, job_id);
    json_writer_text(writer, "job_id", job_id);
    json_writer_text(writer, "api_name", job->api_name);
    json_writer_number(writer, "workers", job->workers);
    add_dead_letter(writer, job);
    json_writer_raw(writer, "config", job->config);
    if (job->timeout_s > 0) {
        json_writer_number(writer, "timeout", job->timeout_s);
    } else {
        json_writer_null(writer, "timeout");
    }
    json_writer_text(writer, "api_id", job->api_id);
    json_writer_text(writer, "spec_id", job->spec_id);
    json_writer_text(writer, "predictor_id", job->predictor_id);
    json_writer_text(writer, "sqs_url", ""); // there is no queue service
    json_writer_number(writer, "total_batch_count", total_batch_count);
    add_time_ns(writer, "start_time", job->start_ns);
}

// null while the total is still growing.
static void add_metrics(struct json_writer *writer, const struct client_job *job)
{
    if (job->state == CLIENT_JOB_ENQUEUING) {
        json_writer_null(writer, "batch_metrics");
        return;
    }
    json_writer_open(writer, "batch_metrics", '{');
    json_writer_number(writer, "succeeded", job->succeeded);
    json_writer_number(writer, "failed", job->failed);
    if (job->succeeded > 0) {
        json_writer_millionths(
            writer, "average_time_per_batch", job->succeeded_us / job->succeeded);
    } else {
        json_writer_null(writer, "average_time_per_batch");
    }
    json_writer_close(writer, '}');
}

static void add_worker_counts(struct json_writer *writer, const struct client_job *job)
{
    if (!job->has_worker_counts) {
        json_writer_null(writer, "worker_counts");
        return;
    }
    json_writer_open(writer, "worker_counts", '{');
    json_writer_number(writer, "pending", job->workers_pending);
    json_writer_number(writer, "initializing", job->workers_initializing);
    json_writer_number(writer, "running", job->workers_running);
    json_writer_number(writer, "succeeded", job->workers_succeeded);
    json_writer_number(writer, "failed", job->workers_failed);
    json_writer_number(writer, "stalled", job->workers_stalled);
    json_writer_number(writer, "unknown", 0); // a master knows its workers
    json_writer_close(writer, '}');
}

static void
add_status(struct json_writer *writer, const char *key, const struct client_job *job)
{
    bool live = !client_job_state_terminal(job->state);

    json_writer_open(writer, key, '{');
    add_record(writer, job, job->total);
    add_time_ns(writer, "end_time", job->end_ns);
    json_writer_text(writer, "status", client_job_state_code(job->state));
    json_writer_number(
        writer, "batches_in_queue", live ? job->queued + job->in_hand : 0);
    json_writer_number(writer, "batches_in_hand", live ? job->in_hand : 0);
    add_metrics(writer, job);
    add_worker_counts(writer, job);
    json_writer_number(writer, "max_attempts", job->max_attempts);
    json_writer_text_or_null(writer, "reason", job->reason);
    json_writer_close(writer, '}');
}

static void add_endpoint(struct json_writer *writer,
                         const char *key,
                         const char *bridge_url,
                         const struct client_definition *definition,
                         const struct client_job *job)
{
    struct buffer url = BUFFER_INIT;

    buffer_add_text(&url, bridge_url);
    buffer_add_text(&url, definition->endpoint);
    if (job) {
        char job_id[ID_JOB_TEXT_SIZE];
        id_job_format(job->job_id, job_id);
        buffer_add_format(&url, "/%s", job_id);
    }
    json_writer_text(writer, key, buffer_text(&url));
    buffer_fini(&url);
}

void document_submitted(struct buffer *out, const struct client_job *job)
{
    struct json_writer writer = {.out = out};

    json_writer_open(&writer, NULL, '{');
    // A submission is answered before its first batch is made, and a repeat of it is
    // answered with the same bytes.
    add_record(&writer, job, 0);
    json_writer_close(&writer, '}');
    buffer_add_char(out, '\n');
}

void document_job(struct buffer *out,
                  const struct client_job *job,
                  const struct client_definition *definition,
                  const char *bridge_url)
{
    struct json_writer writer = {.out = out, .indent = INDENT};

    json_writer_open(&writer, NULL, '{');
    add_status(&writer, "job_status", job);
    json_writer_raw(&writer, "api_spec", definition->spec);
    add_endpoint(&writer, "job_endpoint", bridge_url, definition, job);
    add_endpoint(&writer, "endpoint", bridge_url, definition, NULL);
    json_writer_close(&writer, '}');
    buffer_add_char(out, '\n');
}

static void add_versions(struct json_writer *writer, const struct client_detail *detail)
{
    json_writer_open(writer, "api_versions", '[');
    for (size_t i = 0; i < detail->version_count; i++) {
        int64_t deployed_s = detail->versions[i].deployed_ns / NS_PER_S;
        json_writer_open(writer, NULL, '{');
        json_writer_text(writer, "api_id", detail->versions[i].api_id);
        json_writer_number(
            writer, "last_updated", deployed_s > 0 ? (uint64_t)deployed_s : 0);
        json_writer_close(writer, '}');
    }
    json_writer_close(writer, ']');
}

static void
add_jobs(struct json_writer *writer, const struct client_job *jobs, size_t count)
{
    json_writer_open(writer, "job_statuses", '[');
    for (size_t i = 0; i < count; i++) {
        add_status(writer, NULL, &jobs[i]);
    }
    json_writer_close(writer, ']');
}

void document_api(struct buffer *out,
                  const struct client_detail *detail,
                  const char *bridge_url)
{
    struct json_writer writer = {.out = out, .indent = INDENT};

    json_writer_open(&writer, NULL, '{');
    json_writer_raw(&writer, "spec", detail->definition.spec);
    add_jobs(&writer, detail->jobs, detail->job_count);
    json_writer_bool(&writer, "more", detail->more);
    add_versions(&writer, detail);
    add_endpoint(&writer, "endpoint", bridge_url, &detail->definition, NULL);
    json_writer_close(&writer, '}');
    buffer_add_char(out, '\n');
}

void document_apis(struct buffer *out,
                   const struct client_listing *listing,
                   const char *bridge_url)
{
    struct json_writer writer = {.out = out, .indent = INDENT};

    json_writer_open(&writer, NULL, '[');
    for (size_t i = 0; i < listing->count; i++) {
        const struct client_listed *listed = &listing->apis[i];
        json_writer_open(&writer, NULL, '{');
        json_writer_raw(&writer, "spec", listed->definition.spec);
        add_jobs(&writer, &listed->latest_job, listed->has_latest_job ? 1 : 0);
        json_writer_number(
            &writer, "jobs_in_progress", listed->definition.jobs_in_progress);
        add_endpoint(&writer, "endpoint", bridge_url, &listed->definition, NULL);
        json_writer_close(&writer, '}');
    }
    json_writer_close(&writer, ']');
    buffer_add_char(out, '\n');
}

void document_deployment(struct buffer *out,
                         const struct client_deployment *deployment,
                         const char *bridge_url)
{
    struct json_writer writer = {.out = out, .indent = INDENT};

    json_writer_open(&writer, NULL, '[');
    for (size_t i = 0; i < deployment->count; i++) {
        const struct client_deployed *result = &deployment->results[i];
        json_writer_open(&writer, NULL, '{');
        json_writer_open(&writer, "api", '{');
        json_writer_raw(&writer, "spec", result->definition.spec);
        add_endpoint(&writer, "endpoint", bridge_url, &result->definition, NULL);
        json_writer_close(&writer, '}');
        json_writer_text(&writer, "message", result->message);
        json_writer_text(&writer, "error", ""); // a deploy is all or nothing
        json_writer_close(&writer, '}');
    }
    json_writer_close(&writer, ']');
    buffer_add_char(out, '\n');
}

static void add_batch(struct json_writer *writer, const struct client_batch *batch)
{
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "id", batch->batch_id);
    json_writer_number(writer, "index", batch->index);
    json_writer_text(writer, "state", client_batch_state_name(batch->state));
    json_writer_number(writer, "attempts", batch->attempts);
    json_writer_text_or_null(writer, "worker", batch->worker);
    add_time_ns(writer, "start_time", batch->start_ns);
    if (batch->start_ns != 0) {
        json_writer_millionths(writer, "duration", batch->duration_us);
    } else {
        json_writer_null(writer, "duration");
    }
    json_writer_text_or_null(writer, "error", batch->error);
    json_writer_close(writer, '}');
}

void document_batches(struct buffer *out, const struct client_batches *batches)
{
    struct json_writer writer = {.out = out, .indent = INDENT};

    json_writer_open(&writer, NULL, '{');
    json_writer_open(&writer, "batches", '[');
    for (size_t i = 0; i < batches->count; i++) {
        add_batch(&writer, &batches->batches[i]);
    }
    json_writer_close(&writer, ']');
    // What to pass as `after` to go on.
    if (batches->more && batches->next_index > 0) {
        json_writer_number(&writer, "next_after", batches->next_index - 1);
    } else {
        json_writer_null(&writer, "next_after");
    }
    json_writer_close(&writer, '}');
    buffer_add_char(out, '\n');
}

void document_message(struct buffer *out, const char *message)
{
    struct json_writer writer = {.out = out};

    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "message", message);
    json_writer_close(&writer, '}');
    buffer_add_char(out, '\n');
}

void document_error(struct buffer *out, const struct error *err)
{
    struct json_writer writer = {.out = out};

    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "kind", error_kind(err));
    json_writer_text(&writer, "message", err->message);
    json_writer_close(&writer, '}');
    buffer_add_char(out, '\n');
}
