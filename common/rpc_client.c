/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_client.c - how a request goes out over nng and its reply comes back */
#include "common/rpc_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/id.h"
#include "common/rpc_connection.h"
#include "common/rpc_frame.h"
#include "common/rpc_handshake.h"
#include "common/rpc_server.h"

/* Our pause between attempts at a call, less up to a half of it by chance. */
#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 1000

/* A server answers within RPC_PARK_MAX_MS or not at all. */
#define ATTEMPT_TIMEOUT_MS (RPC_PARK_MAX_MS + 5000)

/* Hellos of a call that may be rejected: a person waits, and a wrong key stays wrong.
 */
#define REJECTS_MAX 3

/* Sessions that one attempt may find ended: they cost nobody an execution. */
#define SESSIONS_PER_ATTEMPT 2

/* What the stubs of one descriptor are called on. */
struct service {
    ProtobufCService base; /* first, so that it can be cast back */
    struct rpc_client *client;
    struct service *next;
};

struct rpc_client {
    struct rpc_connection *connection;
    struct session_client *session; /* NULL: frames are clear */
    enum key_role acting_role;      /* of every call */
    char acting_apis[CODEC_APIS_SIZE];
    char release[32];
    size_t frame_size_max;
    struct service *services;
    struct rpc_client *older; /* in the list of all */
    uint64_t counter;         /* of the last request sent */

    /* For the next call: */
    int64_t timeout_ms;
    bool retry;
    const void *attachment;
    size_t attachment_size;

    /* Of the last call: */
    struct error error;
    struct nng_msg *answer; /* the attachment points into it; NULL if it failed */
    struct codec_frame frame;
    ProtobufCMessage *reply;
};

/* All clients, for those who look for leaks: a client stays though its owner forgot it,
 * since nng's threads go on with its connection. */
static struct rpc_client *_Atomic newest;

struct call {
    struct codec_request request;
    const ProtobufCMessage *message;
    const ProtobufCMessageDescriptor *reply_type;
    int64_t start_ms;
    int64_t deadline_ms;
    uint32_t retry_after_ms; /* as the last answer asked */
    unsigned rejects;        /* of hellos */
};

static void forget_reply(struct rpc_client *client)
{
    codec_message_free(client->reply);
    rpc_frame_free(client->answer);
    client->reply = NULL;
    client->answer = NULL;
    client->frame = (struct codec_frame){.counter = 0};
}

/* --- one attempt --- */

static size_t frame_size_max(const struct rpc_client *client)
{
    size_t theirs =
        client->session ? session_client_frame_size_max(client->session) : SIZE_MAX;

    return theirs < client->frame_size_max ? theirs : client->frame_size_max;
}

/* NULL if it is larger than a frame may be. */
static struct nng_msg *pack_request(struct rpc_client *client, const struct call *call)
{
    struct buffer head = BUFFER_INIT;
    struct nng_msg *message = NULL;
    size_t size_max = frame_size_max(client);

    codec_pack_request_head(&call->request, client->counter, call->message, &head);
    if (head.size <= size_max && client->attachment_size <= size_max - head.size) {
        message = rpc_frame_request(
            client->session, &head, client->attachment, client->attachment_size);
    }
    buffer_fini(&head);
    return message;
}

/* Reads the answer as one to this request. */
static enum session_reply open_reply(struct rpc_client *client,
                                     const struct call *call,
                                     struct codec_reply *out,
                                     struct error *err)
{
    enum session_reply opened =
        rpc_frame_open_reply(client->session, client->answer, &client->frame, err);

    if (opened != SESSION_REPLY_OPENED) {
        return opened;
    }
    if (codec_unpack_reply(&client->frame, out, err) != 0) {
        return SESSION_REPLY_GARBAGE;
    }
    if (client->frame.counter != client->counter ||
        memcmp(out->request_id, call->request.request_id, ID_REQUEST_SIZE) != 0) {
        (void)error_set(err, ERROR_INVALID_ARGUMENT, "it answers another request");
        return SESSION_REPLY_GARBAGE;
    }
    return SESSION_REPLY_OPENED;
}

static enum rpc_end take_reply(struct rpc_client *client,
                               struct call *call,
                               const struct codec_reply *reply)
{
    struct error error;

    if (reply->error.code != ERROR_OK) {
        forget_reply(client);
        client->error = reply->error;
        call->retry_after_ms = reply->retry_after_ms;
        return reply->error.code == ERROR_UNAVAILABLE ? RPC_LOST : RPC_ANSWERED;
    }
    error_clear(&client->error);
    client->reply = codec_unpack_message(
        call->reply_type, client->frame.message, client->frame.message_size, &error);
    if (!client->reply) {
        forget_reply(client);
        (void)error_set(&client->error, ERROR_INTERNAL, "%s", error.message);
        (void)error_wrap(&client->error,
                         "%s answered badly",
                         rpc_connection_url(client->connection));
    }
    return RPC_ANSWERED;
}

static enum rpc_end
take_answer(struct rpc_client *client, struct call *call, bool *out_rejected)
{
    const char *url = rpc_connection_url(client->connection);
    struct codec_reply reply;
    struct error error;

    switch (open_reply(client, call, &reply, &error)) {
    case SESSION_REPLY_OPENED:
        return take_reply(client, call, &reply);
    case SESSION_REPLY_REJECTED:
        *out_rejected = true;
        (void)error_set(
            &client->error, ERROR_UNAVAILABLE, "%s rejects its own session", url);
        break;
    case SESSION_REPLY_GARBAGE:
        rpc_connection_hang_up(client->connection);
        (void)error_set(&client->error,
                        ERROR_UNAVAILABLE,
                        "%s sent something that is no answer to %s: %s",
                        url,
                        call->request.method,
                        error.message);
        break;
    }
    forget_reply(client);
    return RPC_LOST;
}

/* Sends the request and takes what comes back; *out_rejected if that is a reject. */
static enum rpc_end ask(struct rpc_client *client,
                        struct call *call,
                        const struct rpc_exchange *exchange,
                        bool *out_rejected)
{
    int64_t left_ms = exchange->end_ms - clock_monotonic_ms();

    client->counter++;
    call->retry_after_ms = 0;
    call->request.timeout_ms = (uint32_t)(left_ms < 1 ? 1 : left_ms);
    struct nng_msg *message = pack_request(client, call);
    if (!message) {
        (void)error_set(&client->error,
                        ERROR_OUT_OF_RANGE,
                        "the request of %s with its %zu bytes is larger than the %zu a "
                        "frame may have",
                        call->request.method,
                        client->attachment_size,
                        frame_size_max(client));
        return RPC_GIVEN_UP;
    }
    enum rpc_end end = rpc_connection_exchange(
        client->connection, exchange, message, &client->answer, &client->error);
    return end == RPC_ANSWERED ? take_answer(client, call, out_rejected) : end;
}

static enum rpc_end attempt(struct rpc_client *client, struct call *call)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t left_ms = call->deadline_ms - now_ms;
    int64_t timeout_ms = left_ms < ATTEMPT_TIMEOUT_MS ? left_ms : ATTEMPT_TIMEOUT_MS;
    struct rpc_exchange exchange = {
        .what = call->request.method,
        .start_ms = call->start_ms,
        .connect_ms = client->retry ? timeout_ms : RPC_CLIENT_CONNECT_MS,
        .end_ms = now_ms + timeout_ms,
    };
    enum rpc_end end = RPC_LOST;
    bool rejected = true;

    for (int i = 0; i < SESSIONS_PER_ATTEMPT && rejected; i++) {
        rejected = false;
        end = client->session
                  ? rpc_handshake(
                        client->connection, &exchange, client->session, &client->error)
                  : RPC_ANSWERED;
        if (end == RPC_ANSWERED) {
            end = ask(client, call, &exchange, &rejected);
        } else if (end == RPC_LOST && client->error.code == ERROR_UNAUTHENTICATED &&
                   ++call->rejects >= REJECTS_MAX) {
            end = RPC_GIVEN_UP;
        }
    }
    return end;
}

/* --- a call --- */

static int64_t pause_ms(unsigned attempts, uint32_t retry_after_ms)
{
    int64_t longest = BACKOFF_MAX_MS;

    if (attempts < 6) {
        longest = (int64_t)BACKOFF_MIN_MS << attempts;
    }
    if (longest < retry_after_ms) {
        longest = (int64_t)retry_after_ms * 2;
    }
    return longest / 2 + (int64_t)(id_random_number() % (uint64_t)(longest / 2 + 1));
}

static void call_run(struct rpc_client *client, struct call *call)
{
    for (unsigned attempts = 0;; attempts++) {
        if (attempt(client, call) != RPC_LOST || !client->retry) {
            return;
        }
        int64_t wait_ms = pause_ms(attempts, call->retry_after_ms);
        if (clock_monotonic_ms() + wait_ms >= call->deadline_ms ||
            rpc_connection_pause(client->connection, wait_ms, &client->error) != 0) {
            return;
        }
    }
}

static void set_defaults(struct rpc_client *client)
{
    client->timeout_ms = RPC_CLIENT_TIMEOUT_MS;
    client->retry = true;
    client->attachment = NULL;
    client->attachment_size = 0;
}

/* What every stub calls. */
static void service_invoke(ProtobufCService *base,
                           unsigned method_index,
                           const ProtobufCMessage *message,
                           ProtobufCClosure closure,
                           void *closure_data)
{
    struct rpc_client *client = ((struct service *)base)->client;
    const ProtobufCMethodDescriptor *method = &base->descriptor->methods[method_index];
    struct call call = {
        .message = message,
        .reply_type = method->output,
        .start_ms = clock_monotonic_ms(),
    };

    call.deadline_ms = call.start_ms + client->timeout_ms;
    id_random_bytes(call.request.request_id, sizeof(call.request.request_id));
    (void)snprintf(call.request.method,
                   sizeof(call.request.method),
                   "%s/%s",
                   base->descriptor->name,
                   method->name);
    memcpy(call.request.release, client->release, sizeof(call.request.release));
    call.request.acting_role = client->acting_role;
    memcpy(call.request.acting_apis,
           client->acting_apis,
           sizeof(call.request.acting_apis));
    forget_reply(client);
    call_run(client, &call);
    set_defaults(client);
    closure(client->reply, closure_data);
}

/* --- the client --- */

int rpc_client_create(const struct rpc_client_options *options,
                      struct rpc_client **out_client,
                      struct error *err)
{
    struct rpc_client *client = memory_zalloc(sizeof(*client));

    (void)snprintf(client->release,
                   sizeof(client->release),
                   "%s",
                   options->release ? options->release : CORTEX_VERSION);
    client->frame_size_max =
        options->frame_size_max ? options->frame_size_max : RPC_FRAME_SIZE_MAX;
    set_defaults(client);
    if ((options->seal &&
         session_client_create(options->seal, &client->session, err) != 0) ||
        rpc_connection_open(options->url,
                            client->frame_size_max + RPC_FRAME_OVERHEAD,
                            &client->connection,
                            err) != 0) {
        session_client_destroy(client->session);
        free(client);
        return -1;
    }
    client->older = atomic_exchange(&newest, client);
    *out_client = client;
    return 0;
}

ProtobufCService *rpc_client_service(struct rpc_client *client,
                                     const ProtobufCServiceDescriptor *descriptor)
{
    struct service *service = client->services;

    while (service && service->base.descriptor != descriptor) {
        service = service->next;
    }
    if (!service) {
        service = memory_zalloc(sizeof(*service));
        service->base.descriptor = descriptor;
        service->base.invoke = service_invoke;
        service->client = client;
        service->next = client->services;
        client->services = service;
    }
    return &service->base;
}

void rpc_client_set_timeout(struct rpc_client *client, int64_t timeout_ms)
{
    client->timeout_ms = timeout_ms < 1                    ? 1
                         : timeout_ms > RPC_TIMEOUT_MAX_MS ? RPC_TIMEOUT_MAX_MS
                                                           : timeout_ms;
}

void rpc_client_set_retry(struct rpc_client *client, bool retry)
{
    client->retry = retry;
}

void rpc_client_attach(struct rpc_client *client, const void *data, size_t size)
{
    client->attachment = data;
    client->attachment_size = size;
}

int rpc_client_act_for(struct rpc_client *client,
                       enum key_role role,
                       const char *apis,
                       struct error *err)
{
    if (apis && strlen(apis) >= sizeof(client->acting_apis)) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "the scope has %zu bytes, expected at most %zu",
                         strlen(apis),
                         sizeof(client->acting_apis) - 1);
    }
    client->acting_role = role;
    (void)snprintf(
        client->acting_apis, sizeof(client->acting_apis), "%s", apis ? apis : "");
    return 0;
}

int rpc_client_result(const struct rpc_client *client, struct error *err)
{
    return client->error.code == ERROR_OK ? 0 : error_copy(err, &client->error);
}

const void *rpc_client_attachment(const struct rpc_client *client, size_t *out_size)
{
    *out_size = client->frame.attachment_size;
    return client->frame.attachment;
}

void rpc_client_keep(const ProtobufCMessage *message, void *data)
{
    memcpy(data, &message, sizeof(message)); // its type is that of some reply
}

void rpc_client_cancel(struct rpc_client *client)
{
    rpc_connection_cancel(client->connection);
}

int64_t rpc_client_heard_ms(const struct rpc_client *client)
{
    return rpc_connection_heard_ms(client->connection);
}

unsigned rpc_client_redials(const struct rpc_client *client)
{
    return rpc_connection_redials(client->connection);
}
