/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - how what the agent decides travels to the master and back */
#include "agent/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/messages.h"
#include "common/rpc_client.h"
#include "common/version.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

#define SYNC_TIMEOUT_MS  (AGENT_PARK_MS + 4000) /* then the state is told anew */
#define WORK_TIMEOUT_MS  20000
#define FILES_TIMEOUT_MS 10000 /* then asked again: results wait for logs */
#define JOIN_TIMEOUT_MS  60000

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

/* --- Sync and Work ---------------------------------------------------------------- */

static ProtobufCBinaryData agent_id(struct session *session)
{
    return (ProtobufCBinaryData){.len = SESSION_AGENT_ID_SIZE,
                                 .data = session->options.agent_id};
}

static void run_sync(struct conversation *conversation)
{
    struct session *session = conversation->session;
    const Cortex__V1__SyncReply *reply = NULL;
    Cortex__V1__SyncRequest request;
    union {
        const char *in;
        char *out;
    } release = {.in = version_text()};

    messages_sync_pack(&conversation->sync, &request);
    request.agent_id = agent_id(session);
    request.incarnation = session->options.incarnation;
    request.name = session->name;
    request.release = release.out;
    // Not retried below us: a later call tells what is true then.
    rpc_client_set_retry(conversation->client, false);
    rpc_client_set_timeout(conversation->client, SYNC_TIMEOUT_MS);
    cortex__v1__agent_service__sync(conversation->service,
                                    &request,
                                    RPC_CLIENT_KEEP(Cortex__V1__SyncReply),
                                    &reply);
    conversation->outcome.is_work = false;
    conversation->outcome.sync_number = conversation->sync.number;
    if (rpc_client_result(conversation->client, &conversation->outcome.error) == 0) {
        messages_sync_unpack(reply, &conversation->outcome.sync);
    }
    messages_sync_fini(&request);
}

static void run_work(struct conversation *conversation)
{
    struct session *session = conversation->session;
    struct session_outcome *outcome = &conversation->outcome;
    const Cortex__V1__WorkReply *reply = NULL;
    Cortex__V1__WorkRequest request;
    const void *payloads;
    size_t size;

    messages_work_pack(conversation->work, &request);
    request.agent_id = agent_id(session);
    request.incarnation = session->options.incarnation;
    rpc_client_set_timeout(conversation->client, WORK_TIMEOUT_MS);
    cortex__v1__agent_service__work(conversation->service,
                                    &request,
                                    RPC_CLIENT_KEEP(Cortex__V1__WorkReply),
                                    &reply);
    outcome->is_work = true;
    if (rpc_client_result(conversation->client, &outcome->error) == 0) {
        payloads = rpc_client_attachment(conversation->client, &size);
        (void)messages_work_unpack(reply,
                                   payloads,
                                   size,
                                   &conversation->grants,
                                   &outcome->work,
                                   &outcome->error);
    }
    messages_work_fini(&request);
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
