/* SPDX-License-Identifier: Apache-2.0 */
/* sim_client.c - what users ask for, and what they were answered */
#include "tests/sim/sim_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "master/message.h"
#include "proto/client.pb-c.h"
#include "tests/sim/sim_invariants.h"
#include "tests/sim/sim_master.h"

#define TIMEOUT_MS     30000
#define SUBMITTED_MAX  64 /* submissions that may be repeated */
#define THINK_MS       1500
#define DEFINITION_CPU 250

struct sim_client {
    struct sim *sim;
    uint32_t epoch; /* never changes: users live on */
    struct sim_submission *submitted[SUBMITTED_MAX];
    size_t submitted_count;
    struct sim_submission *submission; /* of the call under way */
    uint64_t job_id;                   /* the same */
};

static void act(struct sim *sim, void *arg);

static void think(struct sim_client *client)
{
    sim_at(client->sim,
           client->sim->now_ms + sim_between(client->sim, 0, THINK_MS),
           act,
           client,
           NULL);
}

static void call(struct sim_client *client,
                 const char *method,
                 ProtobufCMessage *message,
                 void *plan,
                 sim_done_fn done)
{
    (void)sim_call_start(client->sim,
                         &(struct sim_call_options){.method = method,
                                                    .message = message,
                                                    .plan = plan,
                                                    .epoch = &client->epoch,
                                                    .timeout_ms = TIMEOUT_MS,
                                                    .retry = true,
                                                    .done = done,
                                                    .owner = client});
}

static void set_text(char **field, const char *text)
{
    message_text(field, text);
}

static void api_name(struct sim *sim, char out[16])
{
    (void)snprintf(out, 16, "api-%d", (int)sim_between(sim, 0, SIM_APIS - 1));
}

static void any_done(struct sim *sim,
                     struct sim_call *sim_call,
                     const ProtobufCMessage *reply,
                     const struct error *err)
{
    (void)sim;
    (void)reply;
    (void)err;
    think(sim_call->owner);
}

/* --- deploy and delete ------------------------------------------------------------ */

static void deploy(struct sim_client *client)
{
    struct sim *sim = client->sim;
    struct sim_definition *definition = sim_new(sim, sizeof(*definition));
    Cortex__V1__DeployRequest *request =
        message_new(&cortex__v1__deploy_request__descriptor);

    api_name(sim, definition->name);
    definition->version = (uint32_t)sim_between(sim, 1, 3);
    definition->cpu_millis = (uint32_t)sim_between(sim, 1, 4) * DEFINITION_CPU;
    definition->memory_bytes = (uint64_t)sim_between(sim, 0, 2) << 30;
    definition->gpus = sim_chance(sim, 100) ? 1 : 0;
    if (sim_chance(sim, 100)) {
        definition->gpus = 2; // no agent has so many
    }
    call(client, "cortex.v1.Client/Deploy", &request->base, definition, any_done);
}

static void delete_api(struct sim_client *client)
{
    Cortex__V1__DeleteApiRequest *request =
        message_new(&cortex__v1__delete_api_request__descriptor);
    char name[16];

    api_name(client->sim, name);
    set_text(&request->api_name, name);
    request->keep_cache = sim_chance(client->sim, 500);
    call(client, "cortex.v1.Client/DeleteApi", &request->base, NULL, any_done);
}

struct deploy_prepared *sim_prepare_deploy(struct sim *sim,
                                           const struct sim_definition *definition)
{
    struct deploy_prepared *prepared = memory_zalloc(sizeof(*prepared));
    struct api_spec *spec = memory_zalloc(sizeof(*spec));

    spec->name = memory_strdup(definition->name);
    spec->endpoint = memory_format("/%s", definition->name);
    spec->predictor_type = memory_strdup("python");
    spec->predictor_path = memory_strdup("predictor.py");
    spec->python_path = memory_strdup("");
    spec->config = memory_strdup("{}");
    spec->log_level = memory_strdup("info");
    spec->submitted = memory_strdup("{}");
    spec->json = memory_strdup("{}");
    spec->cpu_millis = definition->cpu_millis;
    spec->memory_bytes = definition->memory_bytes;
    spec->gpus = definition->gpus;
    (void)snprintf(spec->spec_id,
                   sizeof(spec->spec_id),
                   "%u-%u-%" PRIu64 "-%u",
                   definition->version,
                   definition->cpu_millis,
                   definition->memory_bytes >> 30,
                   definition->gpus);
    (void)snprintf(spec->api_id,
                   sizeof(spec->api_id),
                   "%016" PRIx64 "--%s",
                   id_job_at(sim_master_wall_ns(sim) + sim_between(sim, 0, 999999)),
                   spec->spec_id);
    prepared->specs.specs = spec;
    prepared->specs.count = 1;
    return prepared;
}

/* --- submit ----------------------------------------------------------------------- */

static void submit_done(struct sim *sim,
                        struct sim_call *sim_call,
                        const ProtobufCMessage *message,
                        const struct error *err)
{
    struct sim_client *client = sim_call->owner;
    struct sim_submission *submission = client->submission;
    const Cortex__V1__SubmitJobReply *reply =
        (const Cortex__V1__SubmitJobReply *)message;

    (void)err;
    think(client);
    if (!reply) {
        return;
    }
    struct sim_job *job = sim_job_find(sim, reply->job->job_id);
    if (!job || (job->state == 0 && !job->deleted) || job->submission != submission) {
        sim_violated(
            sim,
            "What is answered OK is on disk: a user was told of job %016" PRIx64
            ", which is not there",
            reply->job->job_id);
        return;
    }
    sim_trace(sim, "job %016" PRIx64 " is acknowledged", job->job_id);
    job->acked = true;
    const struct sim_job *first = sim_job_find(sim, submission->first_ack);
    if (first && first != job && !first->deleted) {
        sim_violated(sim,
                     "A submission repeated with its key is one job: key %s is jobs "
                     "%016" PRIx64 " and %016" PRIx64,
                     submission->key,
                     first->job_id,
                     job->job_id);
    }
    submission->first_ack = job->job_id;
}

static struct sim_submission *new_submission(struct sim_client *client)
{
    struct sim *sim = client->sim;
    struct sim_submission *submission = sim_new(sim, sizeof(*submission));
    bool large = sim_chance(sim, 200);

    api_name(sim, submission->api_name);
    (void)snprintf(
        submission->body, sizeof(submission->body), "%016" PRIx64, sim_random(sim));
    if (sim_chance(sim, 400)) {
        (void)snprintf(submission->key,
                       sizeof(submission->key),
                       "k%" PRIx64,
                       sim_random(sim) >> 32);
    }
    submission->total = (uint64_t)sim_between(sim, 1, large ? SIM_BATCHES_MAX : 6);
    submission->workers = (uint32_t)sim_between(sim, 1, 4);
    submission->timeout_s =
        sim_chance(sim, 150) ? (uint32_t)sim_between(sim, 1, 60) : 0;
    submission->max_attempts = (uint32_t)sim_between(sim, 1, 3);
    submission->dead_letters = sim_chance(sim, 400);
    return submission;
}

static void submit(struct sim_client *client)
{
    struct sim *sim = client->sim;
    Cortex__V1__SubmitJobRequest *request =
        message_new(&cortex__v1__submit_job_request__descriptor);

    if (client->submitted_count > 0 && sim_chance(sim, 300)) {
        client->submission =
            client->submitted[sim_random(sim) % client->submitted_count];
    } else {
        client->submission = new_submission(client);
        if (client->submission->key[0] && client->submitted_count < SUBMITTED_MAX) {
            client->submitted[client->submitted_count++] = client->submission;
        }
    }
    set_text(&request->api_name, client->submission->api_name);
    set_text(&request->idempotency_key, client->submission->key);
    call(client,
         "cortex.v1.Client/SubmitJob",
         &request->base,
         client->submission,
         submit_done);
}

struct submit_prepared *sim_prepare_submit(struct sim *sim,
                                           const struct sim_submission *submission)
{
    struct submit_prepared *prepared = memory_zalloc(sizeof(*prepared));
    const struct sim_job *job = sim_job_make(sim, submission, sim_master_wall_ns(sim));

    prepared->job_id = job->job_id;
    prepared->workers = submission->workers;
    prepared->timeout_s = submission->timeout_s;
    prepared->max_attempts = submission->max_attempts;
    prepared->config = memory_strdup("{}");
    prepared->config_size = 2;
    if (submission->dead_letters) {
        prepared->dead_letter_arn = memory_strdup("arn:aws:sqs:eu-west-1:1:letters");
    }
    (void)snprintf(
        prepared->body_hash, sizeof(prepared->body_hash), "%s", submission->body);
    return prepared;
}

/* --- stop and ask ----------------------------------------------------------------- */

static uint64_t any_job(struct sim *sim)
{
    struct sim_job *job = sim->ledger->newest;

    for (int64_t skip = sim_between(sim, 0, 6); job && skip > 0; skip--) {
        job = job->next;
    }
    return job ? job->job_id : 1;
}

static void stop_done(struct sim *sim,
                      struct sim_call *sim_call,
                      const ProtobufCMessage *reply,
                      const struct error *err)
{
    struct sim_client *client = sim_call->owner;
    struct sim_job *job = sim_job_find(sim, client->job_id);

    (void)err;
    think(client);
    if (reply && job) {
        job->stop_answered = true;
    }
    if (reply && (!job || !job_state_terminal(job->state))) {
        sim_violated(sim,
                     "What is answered OK is on disk: job %016" PRIx64
                     " was reported stopped and is not",
                     client->job_id);
    }
}

static void stop(struct sim_client *client)
{
    Cortex__V1__StopJobRequest *request =
        message_new(&cortex__v1__stop_job_request__descriptor);

    client->job_id = any_job(client->sim);
    request->job_id = client->job_id;
    call(client, "cortex.v1.Client/StopJob", &request->base, NULL, stop_done);
}

static void get_done(struct sim *sim,
                     struct sim_call *sim_call,
                     const ProtobufCMessage *message,
                     const struct error *err)
{
    const Cortex__V1__GetJobReply *reply = (const Cortex__V1__GetJobReply *)message;
    const struct sim_client *client = sim_call->owner;
    const struct sim_job *job = sim_job_find(sim, client->job_id);

    think(sim_call->owner);
    if (!reply) {
        if (err->code == ERROR_NOT_FOUND && job && job->acked && !job->deleted) {
            sim_violated(sim,
                         "What was answered OK is found again: job %016" PRIx64
                         " is not",
                         client->job_id);
        }
        return;
    }
    const Cortex__V1__Job *said = reply->job;
    if (!job_state_terminal((enum job_state)said->state) &&
        said->succeeded + said->failed + said->queued + said->in_hand != said->total) {
        sim_violated(sim,
                     "succeeded + failed + queued + in hand = total: job %016" PRIx64
                     " was shown as %" PRIu64 " + %" PRIu64 " + %" PRIu64 " + %" PRIu64
                     " = %" PRIu64,
                     client->job_id,
                     said->succeeded,
                     said->failed,
                     said->queued,
                     said->in_hand,
                     said->total);
    }
}

static void get(struct sim_client *client)
{
    Cortex__V1__GetJobRequest *request =
        message_new(&cortex__v1__get_job_request__descriptor);

    client->job_id = any_job(client->sim);
    request->job_id = client->job_id;
    call(client, "cortex.v1.Client/GetJob", &request->base, NULL, get_done);
}

static void list(struct sim_client *client)
{
    Cortex__V1__ListBatchesRequest *request =
        message_new(&cortex__v1__list_batches_request__descriptor);

    request->job_id = any_job(client->sim);
    call(client, "cortex.v1.Client/ListBatches", &request->base, NULL, any_done);
}

static void list_apis(struct sim_client *client)
{
    call(client,
         "cortex.v1.Client/ListApis",
         message_new(&cortex__v1__list_apis_request__descriptor),
         NULL,
         any_done);
}

/* --- life ------------------------------------------------------------------------- */

static const struct {
    uint32_t share; /* of 100 */
    void (*act)(struct sim_client *client);
} acts[] = {
    {15, deploy},
    {45, submit},
    {10, stop},
    {3, delete_api},
    {17, get},
    {5, list},
    {5, list_apis},
};

static void act(struct sim *sim, void *arg)
{
    uint32_t drawn = (uint32_t)(sim_random(sim) % 100);

    if (sim->quiet) {
        return;
    }
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        if (drawn < acts[i].share) {
            acts[i].act(arg);
            return;
        }
        drawn -= acts[i].share;
    }
}

void sim_clients_create(struct sim *sim)
{
    for (size_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *client = sim_new(sim, sizeof(*client));
        client->sim = sim;
        sim->clients[i] = client;
        deploy(client);
    }
}
