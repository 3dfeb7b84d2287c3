/* SPDX-License-Identifier: Apache-2.0 */
/* supply.c - what agents get for their workers, and where they leave their logs */
#include "master/supply.h"

#include <inttypes.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/json.h"
#include "master/message.h"
#include "master/query.h"
#include "proto/agent.pb-c.h"

static void add_member(struct buffer *out, const char *name, const char *text)
{
    buffer_add_format(out, "\"%s\": ", name);
    json_add_string(out, text, strlen(text));
    buffer_add_text(out, ", ");
}

// What a predictor gets as job_spec.
static char *job_spec_of(const struct job *job)
{
    struct buffer out = BUFFER_INIT;
    const struct job_record *record = &job->record;
    char job_id[ID_JOB_TEXT_SIZE];
    char start[CLOCK_TEXT_SIZE];

    id_job_format(record->job_id, job_id);
    clock_format_rfc3339(record->start_ns, start);
    buffer_add_char(&out, '{');
    add_member(&out, "job_id", job_id);
    add_member(&out, "api_name", record->api_name);
    buffer_add_format(&out, "\"workers\": %" PRIu32 ", ", record->workers);
    if (record->dead_letter_arn[0]) {
        buffer_add_text(&out, "\"sqs_dead_letter_queue\": {\"arn\": ");
        json_add_string(&out, record->dead_letter_arn, strlen(record->dead_letter_arn));
        buffer_add_format(
            &out, ", \"max_receive_count\": %" PRIu32 "}, ", record->max_attempts);
    } else {
        buffer_add_text(&out, "\"sqs_dead_letter_queue\": null, ");
    }
    buffer_add_format(
        &out, "\"config\": %s, ", record->config[0] ? record->config : "null");
    if (record->timeout_s > 0) {
        buffer_add_format(&out, "\"timeout\": %" PRIu64 ", ", record->timeout_s);
    } else {
        buffer_add_text(&out, "\"timeout\": null, ");
    }
    add_member(&out, "api_id", record->api_id);
    add_member(&out, "spec_id", job->version->spec_id);
    add_member(&out, "predictor_id", job->version->predictor_id);
    add_member(&out, "sqs_url", "");
    buffer_add_format(&out, "\"total_batch_count\": %" PRIu64 ", ", job->book.total);
    buffer_add_format(&out, "\"start_time\": \"%s\"}", start);
    return buffer_take(&out);
}

static void add_env(Cortex__V1__GetSetupReply *reply, const struct api_version *version)
{
    for (size_t at = 0; at < version->env_size; at += strlen(version->env + at) + 1) {
        message_append(
            &reply->n_env, (void ***)&reply->env, memory_strdup(version->env + at));
    }
}

/* The caller, if it is an agent with a key. Where there are no keys any agent may ask
 * for anything. */
static const struct roster_agent *agent_of(const struct state *state,
                                           const struct request *request)
{
    unsigned char agent_id[KEY_NAME_SIZE];

    caller_agent_id(&request->caller, agent_id);
    return roster_agent_get(&state->roster, agent_id);
}

static bool
has_job(const struct state *state, const struct request *request, uint64_t job_id)
{
    if (!request->caller.key) {
        return true;
    }
    const struct roster_agent *agent = agent_of(state, request);
    for (const struct roster_worker *worker = agent ? agent->workers : NULL; worker;
         worker = worker->next) {
        if (worker->job_id == job_id) {
            return true;
        }
    }
    return false;
}

static int not_its_job(uint64_t job_id, struct error *err)
{
    return error_set(err,
                     ERROR_PERMISSION_DENIED,
                     "job_id: this agent has no worker of job %016" PRIx64,
                     job_id);
}

int supply_setup(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__GetSetupRequest *said =
        (const Cortex__V1__GetSetupRequest *)request->message;
    const struct job *job = state_job(state, said->job_id);

    if (!has_job(state, request, said->job_id)) {
        return not_its_job(said->job_id, err);
    }
    if (!job) {
        return query_unknown_job("any", said->job_id, err);
    }
    const struct api_version *version = job->version;
    Cortex__V1__GetSetupReply *reply =
        message_new(&cortex__v1__get_setup_reply__descriptor);
    message_text(&reply->api_name, version->name);
    message_text(&reply->project_id, version->project_id);
    message_text(&reply->predictor_type, "python");
    message_text(&reply->predictor_path, version->predictor_path);
    message_text(&reply->python_path, version->python_path);
    message_text(&reply->log_level, version->log_level);
    add_env(reply, version);
    message_text(&reply->api_config, version->config);
    message_text(&reply->job_config, job->record.config);
    reply->job_spec = job_spec_of(job);
    query_reply(state, request->call, &reply->base);
    return 0;
}

/* Whether the agent has the worker, or had it: last lines come behind its end. */
static int check_chunk(struct state *state,
                       const struct request *request,
                       const Cortex__V1__LogChunk *chunk,
                       struct error *err)
{
    const struct roster_worker *worker =
        roster_worker_get(&state->roster, chunk->worker_id);
    bool was = false;

    if (worker && worker->job_id == chunk->job_id &&
        worker->agent == agent_of(state, request)) {
        return 0;
    }
    if (store_worker_was(state->store,
                         chunk->worker_id,
                         chunk->job_id,
                         request->caller.key,
                         &was,
                         err) != 0) {
        return -1;
    }
    return was ? 0 : not_its_job(chunk->job_id, err);
}

int supply_log(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__AppendLogRequest *said =
        (const Cortex__V1__AppendLogRequest *)request->message;

    for (size_t i = 0; request->caller.key && i < said->n_chunks; i++) {
        if (check_chunk(state, request, said->chunks[i], err) != 0) {
            return -1;
        }
    }
    outbox_add(&state->outbox, ACTION_LOG_APPEND)->call = request->call;
    return 0;
}

int supply_project(struct state *state,
                   const struct request *request,
                   struct error *err)
{
    const Cortex__V1__GetProjectRequest *said =
        (const Cortex__V1__GetProjectRequest *)request->message;
    const struct job *job = state_job(state, said->job_id);

    if (!has_job(state, request, said->job_id)) {
        return not_its_job(said->job_id, err);
    }
    if (!job || strcmp(job->version->project_id, said->project_id) != 0) {
        return error_set(err,
                         ERROR_PERMISSION_DENIED,
                         "project_id: \"%s\" is not the project of job %016" PRIx64,
                         said->project_id,
                         said->job_id);
    }
    outbox_add(&state->outbox, ACTION_PROJECT_READ)->call = request->call;
    return 0;
}
