/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - how what the agent decides travels to the master and back */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session.h"
#include "common/rpc_client.h"
#include "common/version.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

#define SYNC_TIMEOUT_MS  (AGENT_PARK_MS + 4000) /* then the state is told anew */
#define WORK_TIMEOUT_MS  20000
#define FILES_TIMEOUT_MS 30000
#define JOIN_TIMEOUT_MS  60000

typedef Cortex__V1__SyncRequest sync_request;
typedef Cortex__V1__WorkRequest work_request;

/* The domain's numbers are the wire's, so they are converted by a cast. */
#define SAME(ours, wire) _Static_assert((int)(ours) == (int)(wire), "numbers differ")
SAME(AGENT_WORKER_INITIALIZING, CORTEX__V1__WORKER_STATE__WORKER_STATE_INITIALIZING);
SAME(AGENT_WORKER_COMPLETED, CORTEX__V1__WORKER_STATE__WORKER_STATE_COMPLETED);
SAME(AGENT_WORKER_FAILED, CORTEX__V1__WORKER_STATE__WORKER_STATE_FAILED);
SAME(AGENT_FAILURE_SETUP, CORTEX__V1__WORKER_FAILURE__WORKER_FAILURE_SETUP);
SAME(AGENT_FAILURE_CALLBACK, CORTEX__V1__WORKER_FAILURE__WORKER_FAILURE_CALLBACK);
SAME(AGENT_FAILURE_MACHINE, CORTEX__V1__WORKER_FAILURE__WORKER_FAILURE_MACHINE);
SAME(AGENT_CALLBACK_NOT_BEGUN,
     CORTEX__V1__CALLBACK_PROGRESS__CALLBACK_PROGRESS_NOT_BEGUN);
SAME(AGENT_CALLBACK_RETURNED,
     CORTEX__V1__CALLBACK_PROGRESS__CALLBACK_PROGRESS_RETURNED);
SAME(AGENT_WISH_RUN, CORTEX__V1__WORKER_WISH__WORKER_WISH_RUN);
SAME(AGENT_WISH_STOP, CORTEX__V1__WORKER_WISH__WORKER_WISH_STOP);
SAME(HAND_SUCCEEDED, CORTEX__V1__BATCH_OUTCOME__BATCH_OUTCOME_SUCCEEDED);
SAME(HAND_RETURNED, CORTEX__V1__BATCH_OUTCOME__BATCH_OUTCOME_RETURNED);

struct conversation {
    struct session *session;
    struct rpc_client *client;
    ProtobufCService *service;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum session_phase phase;
    /* What the thread does; NULL: nothing was started yet. */
    void (*run)(struct conversation *conversation);
    struct agent_sync_request sync;
    const struct agent_work_request *work;
    struct session_log_chunk chunks[SESSION_LOG_CHUNKS];
    size_t chunks_count;
    struct session_outcome outcome;
    struct agent_grant *grants;
};

struct session {
    struct session_options options;
    char *name;
    struct conversation conversations[3];
    /* Who may use the FILES client: served in the order of asking. */
    pthread_mutex_t files_mutex;
    pthread_cond_t files_changed;
    uint64_t files_next;
    uint64_t files_served;
};

/* --- taking turns on the FILES connection ----------------------------------------- */

static void files_lock(struct session *session)
{
    uint64_t mine;

    pthread_mutex_lock(&session->files_mutex);
    mine = session->files_next++;
    while (session->files_served != mine) {
        pthread_cond_wait(&session->files_changed, &session->files_mutex);
    }
    pthread_mutex_unlock(&session->files_mutex);
}

static void files_unlock(struct session *session)
{
    pthread_mutex_lock(&session->files_mutex);
    session->files_served++;
    pthread_cond_broadcast(&session->files_changed);
    pthread_mutex_unlock(&session->files_mutex);
}

/* --- Sync ------------------------------------------------------------------------- */

static ProtobufCBinaryData agent_id(struct session *session)
{
    return (ProtobufCBinaryData){.len = SESSION_AGENT_ID_SIZE,
                                 .data = session->options.agent_id};
}

static void pack_status(const struct agent_worker_status *from,
                        Cortex__V1__WorkerStatus *out)
{
    cortex__v1__worker_status__init(out);
    out->worker_id = from->worker_id;
    out->job_id = from->job_id;
    out->state = (Cortex__V1__WorkerState)from->state;
    out->failure = (Cortex__V1__WorkerFailure)from->failure;
    if (from->error != NULL) {
        out->error = from->error;
    }
    out->has_on_job_complete = from->has_on_job_complete;
    out->hungry = from->hungry;
    out->pid = from->pid;
    out->callback = (Cortex__V1__CallbackProgress)from->callback;
}

static void pack_held(const struct agent_held_run *from, Cortex__V1__HeldRun *out)
{
    cortex__v1__held_run__init(out);
    out->worker_id = from->worker_id;
    out->job_id = from->job_id;
    out->first_index = from->first_index;
    out->first_attempt = from->first_attempt;
    out->count = from->count;
}

static void pack_sync_head(struct session *session,
                           const struct agent_sync_request *from,
                           sync_request *out)
{
    union {
        const char *in;
        char *out;
    } release = {.in = version_text()};

    cortex__v1__sync_request__init(out);
    out->agent_id = agent_id(session);
    out->incarnation = session->options.incarnation;
    out->name = session->name;
    out->release = release.out;
    out->cpu_millis = from->capacity.cpu_millis;
    out->memory_bytes = from->capacity.memory_bytes;
    out->gpus = from->capacity.gpus;
    out->work_number = from->work_number;
    out->desired_version = from->desired_version;
    out->draining = from->draining;
    out->park_ms = from->park_ms;
    out->boot = from->boot;
}

static void unpack_sync(const Cortex__V1__SyncReply *from, struct agent_sync_reply *out)
{
    out->desired_version = from->desired_version;
    out->lease_ms = from->lease_ms;
    out->boot = from->boot;
    out->workers = memory_zalloc((from->n_workers + 1) * sizeof(*out->workers));
    out->ready_jobs = memory_zalloc((from->n_ready_jobs + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < from->n_workers; i++) {
        const Cortex__V1__DesiredWorker *worker = from->workers[i];

        if (worker->wish < CORTEX__V1__WORKER_WISH__WORKER_WISH_RUN ||
            worker->wish > CORTEX__V1__WORKER_WISH__WORKER_WISH_STOP) {
            continue; // of a newer master; not named is to be stopped
        }
        out->workers[out->workers_count++] = (struct agent_desired_worker){
            .worker_id = worker->worker_id,
            .job_id = worker->job_id,
            .wish = (enum agent_wish)worker->wish,
            .share = {.cpu_millis = worker->cpu_millis,
                      .memory_bytes = worker->memory_bytes,
                      .gpus = worker->gpus},
            .closes_job = worker->closes_job};
    }
    for (size_t i = 0; i < from->n_ready_jobs; i++) {
        out->ready_jobs[out->ready_jobs_count++] = from->ready_jobs[i];
    }
}

static void run_sync(struct conversation *conversation)
{
    const struct agent_sync_request *from = &conversation->sync;
    const Cortex__V1__SyncReply *reply = NULL;
    Cortex__V1__WorkerStatus *statuses =
        memory_zalloc((from->workers_count + 1) * sizeof(*statuses));
    Cortex__V1__HeldRun *held = memory_zalloc((from->held_count + 1) * sizeof(*held));
    Cortex__V1__WorkerStatus **status_rows =
        memory_zalloc((from->workers_count + 1) * sizeof(Cortex__V1__WorkerStatus *));
    Cortex__V1__HeldRun **held_rows =
        memory_zalloc((from->held_count + 1) * sizeof(Cortex__V1__HeldRun *));
    sync_request request;

    pack_sync_head(conversation->session, from, &request);
    for (size_t i = 0; i < from->workers_count; i++) {
        pack_status(&from->workers[i], &statuses[i]);
        status_rows[i] = &statuses[i];
    }
    for (size_t i = 0; i < from->held_count; i++) {
        pack_held(&from->held[i], &held[i]);
        held_rows[i] = &held[i];
    }
    request.workers = status_rows;
    request.n_workers = from->workers_count;
    request.held = held_rows;
    request.n_held = from->held_count;
    // Not retried below us: a later call tells what is true then.
    rpc_client_set_retry(conversation->client, false);
    rpc_client_set_timeout(conversation->client, SYNC_TIMEOUT_MS);
    cortex__v1__agent_service__sync(conversation->service,
                                    &request,
                                    RPC_CLIENT_KEEP(Cortex__V1__SyncReply),
                                    &reply);
    conversation->outcome.is_work = false;
    conversation->outcome.sync_number = from->number;
    if (rpc_client_result(conversation->client, &conversation->outcome.error) == 0) {
        unpack_sync(reply, &conversation->outcome.sync);
    }
    free(held_rows);
    free(status_rows);
    free(held);
    free(statuses);
}

/* --- Work ------------------------------------------------------------------------- */

static void pack_result(const struct agent_result *from, Cortex__V1__BatchResult *out)
{
    cortex__v1__batch_result__init(out);
    out->worker_id = from->worker_id;
    out->job_id = from->job_id;
    out->index = from->index;
    out->attempt = from->attempt;
    out->outcome = (Cortex__V1__BatchOutcome)from->outcome;
    out->start_ms = from->start_ms;
    out->duration_us = from->duration_us;
    if (from->error != NULL) {
        out->error = from->error;
    }
}

static void pack_ask(const struct agent_ask *from, Cortex__V1__WorkAsk *out)
{
    cortex__v1__work_ask__init(out);
    out->worker_id = from->worker_id;
    out->count = from->count;
}

/* Points the domain's grants into the reply, after checking that its sizes are those of
 * the attachment. */
static int unpack_work(struct conversation *conversation,
                       const Cortex__V1__WorkReply *reply,
                       struct error *err)
{
    struct agent_work_reply *out = &conversation->outcome.work;
    uint64_t total = 0;

    out->payloads = rpc_client_attachment(conversation->client, &out->payloads_size);
    conversation->grants =
        memory_zalloc((reply->n_grants + 1) * sizeof(*conversation->grants));
    for (size_t i = 0; i < reply->n_grants; i++) {
        const Cortex__V1__Grant *grant = reply->grants[i];

        for (size_t k = 0; k < grant->n_sizes; k++) {
            total += grant->sizes[k];
        }
        conversation->grants[i] =
            (struct agent_grant){.worker_id = grant->worker_id,
                                 .job_id = grant->job_id,
                                 .first_index = grant->first_index,
                                 .first_attempt = grant->first_attempt,
                                 .sizes = grant->sizes,
                                 .count = grant->n_sizes};
    }
    if (total != out->payloads_size) {
        return error_set(err,
                         ERROR_INTERNAL,
                         "Work reply: %zu bytes of payload, expected %llu",
                         out->payloads_size,
                         (unsigned long long)total);
    }
    out->grants = conversation->grants;
    out->grants_count = reply->n_grants;
    out->work_number = reply->work_number;
    out->refused = reply->refused;
    return 0;
}

static void run_work(struct conversation *conversation)
{
    const struct agent_work_request *from = conversation->work;
    const Cortex__V1__WorkReply *reply = NULL;
    Cortex__V1__BatchResult *results =
        memory_zalloc((from->results_count + 1) * sizeof(*results));
    Cortex__V1__BatchResult **result_rows =
        memory_zalloc((from->results_count + 1) * sizeof(Cortex__V1__BatchResult *));
    Cortex__V1__WorkAsk *asks = memory_zalloc((from->asks_count + 1) * sizeof(*asks));
    Cortex__V1__WorkAsk **ask_rows =
        memory_zalloc((from->asks_count + 1) * sizeof(Cortex__V1__WorkAsk *));
    work_request request = CORTEX__V1__WORK_REQUEST__INIT;
    struct error *err = &conversation->outcome.error;

    for (size_t i = 0; i < from->results_count; i++) {
        pack_result(&from->results[i], &results[i]);
        result_rows[i] = &results[i];
    }
    for (size_t i = 0; i < from->asks_count; i++) {
        pack_ask(&from->asks[i], &asks[i]);
        ask_rows[i] = &asks[i];
    }
    request.agent_id = agent_id(conversation->session);
    request.incarnation = conversation->session->options.incarnation;
    request.results = result_rows;
    request.n_results = from->results_count;
    request.asks = ask_rows;
    request.n_asks = from->asks_count;
    rpc_client_set_timeout(conversation->client, WORK_TIMEOUT_MS);
    cortex__v1__agent_service__work(conversation->service,
                                    &request,
                                    RPC_CLIENT_KEEP(Cortex__V1__WorkReply),
                                    &reply);
    conversation->outcome.is_work = true;
    if (rpc_client_result(conversation->client, err) == 0) {
        (void)unpack_work(conversation, reply, err);
    }
    free(ask_rows);
    free(asks);
    free(result_rows);
    free(results);
}

/* --- files ------------------------------------------------------------------------ */

static void run_log(struct conversation *conversation)
{
    Cortex__V1__LogChunk chunks[SESSION_LOG_CHUNKS];
    Cortex__V1__LogChunk *rows[SESSION_LOG_CHUNKS];
    Cortex__V1__AppendLogRequest request = CORTEX__V1__APPEND_LOG_REQUEST__INIT;
    const Cortex__V1__AppendLogReply *reply = NULL;
    struct buffer bytes = BUFFER_INIT;

    for (size_t i = 0; i < conversation->chunks_count; i++) {
        const struct session_log_chunk *from = &conversation->chunks[i];

        cortex__v1__log_chunk__init(&chunks[i]);
        chunks[i].job_id = from->job_id;
        chunks[i].worker_id = from->worker_id;
        chunks[i].sequence = from->sequence;
        chunks[i].size = (uint32_t)from->size;
        rows[i] = &chunks[i];
        buffer_add(&bytes, from->data, from->size);
    }
    request.agent_id = agent_id(conversation->session);
    request.incarnation = conversation->session->options.incarnation;
    request.chunks = rows;
    request.n_chunks = conversation->chunks_count;
    files_lock(conversation->session);
    rpc_client_set_timeout(conversation->client, FILES_TIMEOUT_MS);
    rpc_client_attach(conversation->client, bytes.data, bytes.size);
    cortex__v1__agent_service__append_log(conversation->service,
                                          &request,
                                          RPC_CLIENT_KEEP(Cortex__V1__AppendLogReply),
                                          &reply);
    (void)rpc_client_result(conversation->client, &conversation->outcome.error);
    files_unlock(conversation->session);
    buffer_fini(&bytes);
}

static char **copy_list(char *const *list, size_t count)
{
    char **copy = memory_zalloc((count + 1) * sizeof(char *));

    for (size_t i = 0; i < count; i++) {
        copy[i] = memory_strdup(list[i]);
    }
    return copy;
}

static void copy_setup(const Cortex__V1__GetSetupReply *from, struct session_setup *out)
{
    out->api_name = memory_strdup(from->api_name);
    out->project_id = memory_strdup(from->project_id);
    out->predictor_type = memory_strdup(from->predictor_type);
    out->predictor_path = memory_strdup(from->predictor_path);
    out->python_path = memory_strdup(from->python_path);
    out->log_level = memory_strdup(from->log_level);
    out->env = copy_list(from->env, from->n_env);
    out->api_config = memory_strdup(from->api_config);
    out->job_config = memory_strdup(from->job_config);
    out->job_spec = memory_strdup(from->job_spec);
}

int session_setup_get(struct session *session,
                      uint64_t job_id,
                      struct session_setup *out,
                      struct error *err)
{
    struct conversation *files = &session->conversations[SESSION_FILES];
    Cortex__V1__GetSetupRequest request = CORTEX__V1__GET_SETUP_REQUEST__INIT;
    const Cortex__V1__GetSetupReply *reply = NULL;
    int result;

    request.job_id = job_id;
    files_lock(session);
    rpc_client_set_timeout(files->client, FILES_TIMEOUT_MS);
    cortex__v1__agent_service__get_setup(
        files->service, &request, RPC_CLIENT_KEEP(Cortex__V1__GetSetupReply), &reply);
    result = rpc_client_result(files->client, err);
    if (result == 0) {
        copy_setup(reply, out);
    }
    files_unlock(session);
    return result;
}

void session_setup_fini(struct session_setup *setup)
{
    char *texts[] = {setup->api_name,
                     setup->project_id,
                     setup->predictor_type,
                     setup->predictor_path,
                     setup->python_path,
                     setup->log_level,
                     setup->api_config,
                     setup->job_config,
                     setup->job_spec};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        free(texts[i]);
    }
    for (char **env = setup->env; env != NULL && *env != NULL; env++) {
        free(*env);
    }
    free(setup->env);
    memset(setup, 0, sizeof(*setup));
}

int session_project_get(struct session *session,
                        const char *project_id,
                        uint64_t job_id,
                        uint64_t offset,
                        struct buffer *out,
                        uint64_t *out_size,
                        struct error *err)
{
    struct conversation *files = &session->conversations[SESSION_FILES];
    Cortex__V1__GetProjectRequest request = CORTEX__V1__GET_PROJECT_REQUEST__INIT;
    const Cortex__V1__GetProjectReply *reply = NULL;
    char *id = memory_strdup(project_id);
    const void *bytes;
    size_t size;
    int result;

    request.project_id = id;
    request.job_id = job_id;
    request.offset = offset;
    files_lock(session);
    rpc_client_set_timeout(files->client, FILES_TIMEOUT_MS);
    cortex__v1__agent_service__get_project(
        files->service, &request, RPC_CLIENT_KEEP(Cortex__V1__GetProjectReply), &reply);
    result = rpc_client_result(files->client, err);
    if (result == 0) {
        bytes = rpc_client_attachment(files->client, &size);
        buffer_add(out, bytes, size);
        *out_size = reply->size;
    }
    files_unlock(session);
    free(id);
    return result;
}

/* --- threads ---------------------------------------------------------------------- */

static void *converse(void *arg)
{
    struct conversation *conversation = arg;
    struct session *session = conversation->session;

    for (;;) {
        pthread_mutex_lock(&conversation->mutex);
        while (conversation->phase != SESSION_BUSY) {
            pthread_cond_wait(&conversation->changed, &conversation->mutex);
        }
        pthread_mutex_unlock(&conversation->mutex);
        conversation->run(conversation);
        pthread_mutex_lock(&conversation->mutex);
        conversation->phase = SESSION_OVER;
        pthread_mutex_unlock(&conversation->mutex);
        session->options.notify(session->options.arg);
    }
    return NULL;
}

static void start(struct conversation *conversation, void (*run)(struct conversation *))
{
    pthread_mutex_lock(&conversation->mutex);
    conversation->run = run;
    conversation->phase = SESSION_BUSY;
    pthread_cond_signal(&conversation->changed);
    pthread_mutex_unlock(&conversation->mutex);
}

enum session_phase session_phase(struct session *session,
                                 enum session_conversation conversation)
{
    struct conversation *c = &session->conversations[conversation];
    enum session_phase phase;

    pthread_mutex_lock(&c->mutex);
    phase = c->phase;
    pthread_mutex_unlock(&c->mutex);
    return phase;
}

void session_sync_start(struct session *session,
                        enum session_conversation conversation,
                        struct agent_sync_request *request)
{
    struct conversation *c = &session->conversations[conversation];

    c->sync = *request;
    memset(request, 0, sizeof(*request));
    start(c, run_sync);
}

void session_work_start(struct session *session,
                        const struct agent_work_request *request)
{
    session->conversations[SESSION_WORK].work = request;
    start(&session->conversations[SESSION_WORK], run_work);
}

void session_log_start(struct session *session,
                       const struct session_log_chunk *chunks,
                       size_t count)
{
    struct conversation *c = &session->conversations[SESSION_FILES];

    c->chunks_count = count < SESSION_LOG_CHUNKS ? count : SESSION_LOG_CHUNKS;
    memcpy(c->chunks, chunks, c->chunks_count * sizeof(*chunks));
    start(c, run_log);
}

const struct session_outcome *session_outcome(struct session *session,
                                              enum session_conversation conversation)
{
    return &session->conversations[conversation].outcome;
}

void session_finish(struct session *session, enum session_conversation conversation)
{
    struct conversation *c = &session->conversations[conversation];

    agent_sync_request_fini(&c->sync);
    agent_sync_reply_fini(&c->outcome.sync);
    free(c->grants);
    c->grants = NULL;
    memset(&c->outcome, 0, sizeof(c->outcome));
    pthread_mutex_lock(&c->mutex);
    c->phase = SESSION_IDLE;
    pthread_mutex_unlock(&c->mutex);
}

static int open_conversation(struct conversation *conversation, struct error *err)
{
    struct session *session = conversation->session;
    struct rpc_client_options options = {.url = session->options.master_url,
                                         .seal = session->options.seal};

    pthread_mutex_init(&conversation->mutex, NULL);
    pthread_cond_init(&conversation->changed, NULL);
    if (rpc_client_create(&options, &conversation->client, err) != 0) {
        return -1;
    }
    conversation->service = rpc_client_service(conversation->client,
                                               &cortex__v1__agent_service__descriptor);
    if (pthread_create(&conversation->thread, NULL, converse, conversation) != 0) {
        return error_set(err, ERROR_RESOURCE_EXHAUSTED, "cannot start a thread");
    }
    return 0;
}

int session_join(const char *master_url,
                 const struct session_client_options *seal,
                 const char *name,
                 struct error *err)
{
    const struct rpc_client_options options = {.url = master_url, .seal = seal};
    Cortex__V1__JoinRequest request = CORTEX__V1__JOIN_REQUEST__INIT;
    const Cortex__V1__JoinReply *reply = NULL;
    struct rpc_client *client;

    if (rpc_client_create(&options, &client, err) != 0) {
        return -1;
    }
    request.name = memory_strdup(name);
    rpc_client_set_timeout(client, JOIN_TIMEOUT_MS);
    cortex__v1__agent_service__join(
        rpc_client_service(client, &cortex__v1__agent_service__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__JoinReply),
        &reply);
    free(request.name);
    return rpc_client_result(client, err);
}

int session_rotate(const char *master_url,
                   const struct session_client_options *seal,
                   const unsigned char next_key[KEY_SIZE],
                   struct error *err)
{
    const struct rpc_client_options options = {.url = master_url, .seal = seal};
    Cortex__V1__RotateKeyRequest request = CORTEX__V1__ROTATE_KEY_REQUEST__INIT;
    const Cortex__V1__RotateKeyReply *reply = NULL;
    unsigned char next[KEY_SIZE];
    struct rpc_client *client;

    if (rpc_client_create(&options, &client, err) != 0) {
        return -1;
    }
    memcpy(next, next_key, sizeof(next));
    request.next_key = (ProtobufCBinaryData){sizeof(next), next};
    rpc_client_set_timeout(client, JOIN_TIMEOUT_MS);
    cortex__v1__client__rotate_key(
        rpc_client_service(client, &cortex__v1__client__descriptor),
        &request,
        RPC_CLIENT_KEEP(Cortex__V1__RotateKeyReply),
        &reply);
    return rpc_client_result(client, err);
}

int session_create(const struct session_options *options,
                   struct session **out_session,
                   struct error *err)
{
    struct session *session = memory_zalloc(sizeof(*session));

    session->options = *options;
    session->name = memory_strdup(options->name);
    pthread_mutex_init(&session->files_mutex, NULL);
    pthread_cond_init(&session->files_changed, NULL);
    for (int i = 0; i < 3; i++) {
        session->conversations[i].session = session;
        if (open_conversation(&session->conversations[i], err) != 0) {
            return -1; // the program ends: what was begun cannot be undone (nng)
        }
    }
    *out_session = session;
    return 0;
}

bool session_was_stuck(const struct session *session)
{
    for (int i = 0; i < 3; i++) {
        if (rpc_client_redials(session->conversations[i].client) > 0) {
            return true;
        }
    }
    return false;
}

void session_cancel(struct session *session)
{
    for (int i = 0; i < 3; i++) {
        rpc_client_cancel(session->conversations[i].client);
    }
}
