/* SPDX-License-Identifier: Apache-2.0 */
/* deploy.c - how definitions come to be current, and cease to be */
#include "master/deploy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "master/control.h"
#include "master/finish.h"
#include "master/message.h"
#include "master/query.h"
#include "master/scheduler.h"
#include "master/submit.h"
#include "proto/client.pb-c.h"

void deploy_prepared_free(struct deploy_prepared *prepared)
{
    if (prepared) {
        api_specs_fini(&prepared->specs);
        free(prepared);
    }
}

static char *pack_env(const struct api_spec *spec, size_t *out_size)
{
    struct buffer env = BUFFER_INIT;

    for (size_t i = 0; i < spec->env_count; i++) {
        buffer_add(&env, spec->env[i], strlen(spec->env[i]) + 1);
    }
    *out_size = env.size;
    return buffer_take(&env);
}

static struct api_version *version_of(const struct state *state,
                                      const struct api_spec *spec,
                                      const char *project_id)
{
    struct api_version *version = api_version_create();

    api_version_set(&version->api_id, spec->api_id);
    api_version_set(&version->name, spec->name);
    api_version_set(&version->endpoint, spec->endpoint);
    api_version_set(&version->spec_id, spec->spec_id);
    api_version_set(&version->predictor_id, spec->predictor_id);
    api_version_set(&version->project_id, project_id);
    api_version_set(&version->spec, spec->json);
    api_version_set(&version->predictor_path, spec->predictor_path);
    api_version_set(&version->python_path, spec->python_path);
    api_version_set(&version->log_level, spec->log_level);
    api_version_set(&version->config, spec->config);
    free(version->env);
    version->env = pack_env(spec, &version->env_size);
    version->cpu_millis = spec->cpu_millis;
    version->memory_bytes = spec->memory_bytes;
    version->gpus = spec->gpus;
    version->deployed_ns = state->wall_ns;
    return version;
}

static bool has_name(const struct api_specs *specs, const char *name)
{
    for (size_t i = 0; i < specs->count; i++) {
        if (strcmp(specs->specs[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// An endpoint belongs to one name, in the cluster and in the file, of which the latter
// is checked already: whoever is in it, too, has another one afterwards.
static int check_endpoint(const struct state *state,
                          const struct caller *caller,
                          const struct api_specs *specs,
                          const struct api_spec *spec,
                          struct error *err)
{
    for (size_t i = 0; i < state->api_count; i++) {
        const struct api_version *other = state->apis[i];
        if (strcmp(other->endpoint, spec->endpoint) == 0 &&
            !has_name(specs, other->name)) {
            return error_set_kind(err,
                                  ERROR_INVALID_ARGUMENT,
                                  "spec.duplicate_endpoint",
                                  "%s (BatchAPI): networking: endpoint: \"%s\" is "
                                  "already used by %s",
                                  spec->name,
                                  spec->endpoint,
                                  caller_may_see(caller, other->name) ? other->name
                                                                      : "another api");
        }
    }
    return 0;
}

// Whether some agent that is here now could run a worker, were it empty. Which one came
// nearest is told by the most that any offers.
static int
check_compute(const struct state *state, const struct api_spec *spec, struct error *err)
{
    struct scheduler_room most = {0};
    size_t cursor = 0;
    uint64_t key;
    void *entry;
    bool any = false;

    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        const struct roster_agent *agent = entry;
        if (agent->state != ROSTER_PRESENT) {
            continue;
        }
        if (agent->cpu_millis >= spec->cpu_millis &&
            agent->memory_bytes >= spec->memory_bytes && agent->gpus >= spec->gpus) {
            return 0;
        }
        any = true;
        most.cpu_millis =
            agent->cpu_millis > most.cpu_millis ? agent->cpu_millis : most.cpu_millis;
        most.memory_bytes = (int64_t)agent->memory_bytes > most.memory_bytes
                                ? (int64_t)agent->memory_bytes
                                : most.memory_bytes;
        most.gpus = agent->gpus > most.gpus ? agent->gpus : most.gpus;
    }
    // Where there is no agent yet, nobody knows how large they will be.
    return any ? error_set_kind(err,
                                ERROR_INVALID_ARGUMENT,
                                "resources.no_available_node_compute_limit",
                                "%s (BatchAPI): compute: no agent can run a worker "
                                "with cpu %" PRIu32 "m, mem %" PRIu64
                                " bytes and gpu %" PRIu32
                                "; the most that any offers is cpu %" PRId64
                                "m, mem %" PRId64 " bytes, gpu %" PRId64,
                                spec->name,
                                spec->cpu_millis,
                                spec->memory_bytes,
                                spec->gpus,
                                most.cpu_millis,
                                most.memory_bytes,
                                most.gpus)
               : 0;
}

// Its api= says which names a key may give.
static int
check_scope(const struct caller *caller, const struct api_spec *spec, struct error *err)
{
    return caller_may_see(caller, spec->name)
               ? 0
               : error_set(err,
                           ERROR_PERMISSION_DENIED,
                           "%s (BatchAPI): this key is for other apis: its api= in the "
                           "master's authorized_keys has no pattern that fits the name",
                           spec->name);
}

static int check_all(const struct state *state,
                     const struct caller *caller,
                     const struct api_specs *specs,
                     struct error *err)
{
    for (size_t i = 0; i < specs->count; i++) {
        if (check_scope(caller, &specs->specs[i], err) != 0 ||
            check_endpoint(state, caller, specs, &specs->specs[i], err) != 0 ||
            check_compute(state, &specs->specs[i], err) != 0) {
            return -1;
        }
    }
    if (state->api_count + specs->count > STATE_APIS_MAX) {
        return error_set(err,
                         ERROR_RESOURCE_EXHAUSTED,
                         "%zu apis are deployed; the limit is %d",
                         state->api_count,
                         STATE_APIS_MAX);
    }
    return 0;
}

static Cortex__V1__DeployResult *result_of(const struct state *state,
                                           const struct api_version *version,
                                           const char *before,
                                           const char *after)
{
    Cortex__V1__DeployResult *result =
        message_new(&cortex__v1__deploy_result__descriptor);

    message_text(&result->api_name, version->name);
    result->message = memory_format("%s%s (BatchAPI)%s", before, version->name, after);
    result->api = query_definition(state, version);
    return result;
}

static int deploy_one(struct state *state,
                      const struct api_spec *spec,
                      const char *project_id,
                      Cortex__V1__DeployReply *reply,
                      struct error *err)
{
    struct api_version *current = state_api(state, spec->name);
    Cortex__V1__DeployResult *result;

    if (current && strcmp(current->spec_id, spec->spec_id) == 0) {
        result = result_of(state, current, "", " is up to date");
        message_append(&reply->n_results, (void ***)&reply->results, result);
        return 0;
    }
    const char *action = current ? "updated" : "created";
    struct api_version *version = version_of(state, spec, project_id);
    int stored = store_api_put(state->store, version, err);
    if (stored == 0) {
        stored = store_event_add(state->store,
                                 state->wall_ns,
                                 "api",
                                 version->name,
                                 action,
                                 version->api_id,
                                 err);
    }
    if (stored == 0) {
        state_api_put(state, version);
        result = result_of(state, version, current ? "updated " : "created ", "");
        message_append(&reply->n_results, (void ***)&reply->results, result);
    }
    api_version_unref(version);
    return stored;
}

// Of those that get another one, so that they can be exchanged.
static int free_endpoints(const struct state *state,
                          const struct api_specs *specs,
                          struct error *err)
{
    int result = 0;

    for (size_t i = 0; i < specs->count && result == 0; i++) {
        const struct api_spec *spec = &specs->specs[i];
        const struct api_version *current = state_api(state, spec->name);
        if (current && strcmp(current->endpoint, spec->endpoint) != 0) {
            result = store_api_free_endpoint(state->store, spec->name, err);
        }
    }
    return result;
}

int deploy_handle(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__DeployRequest *said =
        (const Cortex__V1__DeployRequest *)request->message;
    const struct deploy_prepared *prepared = request->prepared;

    if (prepared->error.code != ERROR_OK) {
        return error_copy(err, &prepared->error);
    }
    if (check_all(state, &request->caller, &prepared->specs, err) != 0 ||
        free_endpoints(state, &prepared->specs, err) != 0) {
        return -1;
    }
    Cortex__V1__DeployReply *reply = message_new(&cortex__v1__deploy_reply__descriptor);
    for (size_t i = 0; i < prepared->specs.count; i++) {
        if (deploy_one(
                state, &prepared->specs.specs[i], said->project_id, reply, err) != 0) {
            protobuf_c_message_free_unpacked(&reply->base, NULL);
            return -1;
        }
    }
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);
    action->call = request->call;
    action->message = &reply->base;
    return 0;
}

static int stop_jobs(struct state *state, const char *api_name, struct error *err)
{
    size_t count;
    struct job **jobs = state_jobs_by_age(state, &count);
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++) {
        if (strcmp(jobs[i]->record.api_name, api_name) == 0 &&
            !job_state_terminal(jobs[i]->record.state)) {
            result = finish_job(
                state, jobs[i], JOB_STOPPED, "stopped: its api is being deleted", err);
        }
    }
    free(jobs);
    return result;
}

static int forget_files(void *arg, const struct job_record *record, struct error *err)
{
    struct state *state = arg;

    (void)err;
    outbox_add(&state->outbox, ACTION_FORGET_JOB)->job_id = record->job_id;
    return 0;
}

static void reply_deleting(struct state *state, void *call, const char *api_name)
{
    Cortex__V1__DeleteApiReply *reply =
        message_new(&cortex__v1__delete_api_reply__descriptor);
    struct action *action = outbox_add(&state->outbox, ACTION_REPLY);

    reply->message = memory_format("deleting %s", api_name);
    action->call = call;
    action->message = &reply->base;
}

int deploy_delete(struct state *state, const struct request *request, struct error *err)
{
    const Cortex__V1__DeleteApiRequest *said =
        (const Cortex__V1__DeleteApiRequest *)request->message;

    bool known = false;

    if (store_request_known(state->store, request->request_id, &known, err) != 0) {
        return -1;
    }
    if (known) {
        reply_deleting(state, request->call, said->api_name);
        return 0;
    }
    if (!submit_find_api(state, &request->caller, said->api_name, err) ||
        stop_jobs(state, said->api_name, err) != 0) {
        return -1;
    }
    if (!said->keep_cache) {
        if (store_job_list(state->store,
                           said->api_name,
                           0,
                           -1,
                           INT64_MAX,
                           forget_files,
                           state,
                           err) != 0 ||
            store_job_delete_all(state->store, said->api_name, err) != 0) {
            return -1;
        }
    }
    if (store_api_delete(state->store, said->api_name, err) != 0 ||
        store_event_add(
            state->store, state->wall_ns, "api", said->api_name, "deleted", "", err) !=
            0 ||
        control_remember(state, request, err) != 0) {
        return -1;
    }
    state_api_remove(state, said->api_name);
    reply_deleting(state, request->call, said->api_name);
    return 0;
}
