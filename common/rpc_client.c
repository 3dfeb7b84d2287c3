/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_client.c - how a request goes out over nng and its reply comes back */
#include "common/rpc_client.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/id.h"
#include "common/rpc_server.h"

/* Room for nng's own request id in front of a frame. */
#define TRANSPORT_OVERHEAD_BYTES 16

/* nng's pause between attempts to connect: doubles from the first to the second. */
#define RECONNECT_MIN_MS 20
#define RECONNECT_MAX_MS 500

/* Our own between attempts at a call, less up to a half of it by chance. */
#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 1000

/* A server answers within RPC_PARK_MAX_MS or not at all. */
#define ATTEMPT_TIMEOUT_MS (RPC_PARK_MAX_MS + 5000)

/* How an attempt ended. */
enum attempt_end {
    ATTEMPT_ANSWERED, /* whatever the answer */
    ATTEMPT_REPEAT,   /* not: another one may do better */
    ATTEMPT_GIVE_UP,  /* not, and no other will */
};

/* What a client waits for. */
enum step { STEP_SEND, STEP_RECEIVE, STEP_PAUSE };

/* What the stubs of one descriptor are called on. */
struct service {
    ProtobufCService base; /* first, so that it can be cast back */
    struct rpc_client *client;
    struct service *next;
};

struct rpc_client {
    nng_socket socket;
    nng_aio *aio;
    char *url;
    char release[32];
    size_t frame_size_max;
    struct service *services;
    uint64_t counter; /* of the last attempt */
    _Atomic int64_t heard_ms;

    pthread_mutex_t lock; /* guards the next two */
    bool cancelled;       /* for good */
    nng_pipe pipe;        /* the connection; its id is 0 while there is none */

    /* For the next call: */
    int64_t timeout_ms;
    bool retry;
    const void *attachment;
    size_t attachment_size;

    /* Of the last call: */
    struct error error;
    nng_msg *frame_bytes; /* the attachment points into it; NULL if it failed */
    struct codec_frame frame;
    ProtobufCMessage *reply;
};

struct call {
    struct codec_request request;
    const ProtobufCMessage *message;
    const ProtobufCMessageDescriptor *reply_type;
    int64_t start_ms;
    int64_t deadline_ms;
    uint32_t retry_after_ms; /* as the last answer asked */
};

/* Here a frame is sealed. NULL if it is larger than a frame may be. */
static nng_msg *seal_request(const struct rpc_client *client, const struct call *call)
{
    struct buffer head = BUFFER_INIT;
    nng_msg *frame = NULL;

    codec_pack_request_head(&call->request, client->counter, call->message, &head);
    if (head.size <= client->frame_size_max &&
        client->attachment_size <= client->frame_size_max - head.size) {
        if (nng_msg_alloc(&frame, head.size + client->attachment_size) != 0) {
            abort(); // out of memory ends the process, as in common/buffer.h
        }
        char *body = nng_msg_body(frame);
        memcpy(body, head.data, head.size);
        if (client->attachment_size > 0) {
            memcpy(body + head.size, client->attachment, client->attachment_size);
        }
    }
    buffer_fini(&head);
    return frame;
}

/* Here a frame is opened: what comes out of it is the server's answer to this attempt.
 */
static int open_reply(struct rpc_client *client,
                      const struct call *call,
                      struct codec_reply *out,
                      struct error *err)
{
    if (codec_frame_parse(nng_msg_body(client->frame_bytes),
                          nng_msg_len(client->frame_bytes),
                          &client->frame,
                          err) != 0 ||
        codec_unpack_reply(&client->frame, out, err) != 0) {
        return -1;
    }
    if (client->frame.counter != client->counter ||
        memcmp(out->request_id, call->request.request_id, ID_REQUEST_SIZE) != 0) {
        return error_set(err, ERROR_INVALID_ARGUMENT, "it answers another request");
    }
    return 0;
}

static void forget_reply(struct rpc_client *client)
{
    codec_message_free(client->reply);
    nng_msg_free(client->frame_bytes);
    client->reply = NULL;
    client->frame_bytes = NULL;
    client->frame = (struct codec_frame){.counter = 0};
}

/* --- the connection --- */

static void pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct rpc_client *client = arg;

    (void)event;
    pthread_mutex_lock(&client->lock);
    client->pipe = pipe;
    pthread_mutex_unlock(&client->lock);
}

static void pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct rpc_client *client = arg;

    (void)event;
    pthread_mutex_lock(&client->lock);
    if (client->pipe.id == pipe.id) {
        client->pipe.id = 0;
    }
    pthread_mutex_unlock(&client->lock);
}

static nng_pipe current_pipe(struct rpc_client *client)
{
    pthread_mutex_lock(&client->lock);
    nng_pipe pipe = client->pipe;
    pthread_mutex_unlock(&client->lock);
    return pipe;
}

/* Has nng make a new connection; false if there is none now. */
static bool hang_up(struct rpc_client *client)
{
    nng_pipe pipe = current_pipe(client);

    if (pipe.id != 0) {
        (void)nng_pipe_close(pipe);
    }
    return pipe.id != 0;
}

/* Starts a step and waits for its end: nng's result. A cancel either comes before the
 * start, and is seen here, or finds the step under way. */
static int take_step(struct rpc_client *client, enum step step, int64_t timeout_ms)
{
    nng_duration duration = (nng_duration)(timeout_ms < 1 ? 1 : timeout_ms);

    pthread_mutex_lock(&client->lock);
    if (client->cancelled) {
        pthread_mutex_unlock(&client->lock);
        return NNG_ECANCELED;
    }
    nng_aio_set_timeout(client->aio, duration);
    switch (step) {
    case STEP_SEND:
        nng_send_aio(client->socket, client->aio);
        break;
    case STEP_RECEIVE:
        nng_recv_aio(client->socket, client->aio);
        break;
    case STEP_PAUSE:
        nng_aio_set_timeout(client->aio, NNG_DURATION_INFINITE);
        nng_sleep_aio(duration, client->aio);
        break;
    }
    pthread_mutex_unlock(&client->lock);
    nng_aio_wait(client->aio);
    return nng_aio_result(client->aio);
}

/* --- one attempt --- */

static enum attempt_end give_up_cancelled(struct rpc_client *client)
{
    (void)error_set(
        &client->error, ERROR_CANCELLED, "the call to %s was cancelled", client->url);
    return ATTEMPT_GIVE_UP;
}

/* Why a request did not go out. */
static enum attempt_end
sending_failed(struct rpc_client *client, const struct call *call, int rc)
{
    int64_t waited_ms = clock_monotonic_ms() - call->start_ms;

    if (rc == NNG_ECANCELED) {
        return give_up_cancelled(client);
    }
    if (rc == NNG_ETIMEDOUT && hang_up(client)) {
        (void)error_set(&client->error,
                        ERROR_UNAVAILABLE,
                        "%s takes no requests (tried for %lld ms)",
                        client->url,
                        (long long)waited_ms);
    } else if (rc == NNG_ETIMEDOUT) {
        (void)error_set(&client->error,
                        ERROR_UNAVAILABLE,
                        "nobody listens on %s (tried for %lld ms)",
                        client->url,
                        (long long)waited_ms);
    } else {
        (void)error_set(&client->error,
                        ERROR_UNAVAILABLE,
                        "cannot send to %s: %s",
                        client->url,
                        nng_strerror(rc));
    }
    return ATTEMPT_REPEAT;
}

/* Why no answer came to a request that went out. */
static enum attempt_end
receiving_failed(struct rpc_client *client, const struct call *call, int rc)
{
    int64_t now_ms = clock_monotonic_ms();

    if (rc == NNG_ECANCELED) {
        return give_up_cancelled(client);
    }
    if (rc == NNG_ETIMEDOUT) {
        // Perhaps the connection is dead and nobody has said so.
        (void)hang_up(client);
        (void)error_set(&client->error,
                        ERROR_DEADLINE_EXCEEDED,
                        "%s did not answer %s within %lld ms",
                        client->url,
                        call->request.method,
                        (long long)(now_ms - call->start_ms));
        return ATTEMPT_REPEAT;
    }
    (void)error_set(&client->error,
                    ERROR_UNAVAILABLE,
                    "the connection to %s broke before %s was answered",
                    client->url,
                    call->request.method);
    return ATTEMPT_REPEAT;
}

static enum attempt_end take_reply(struct rpc_client *client, struct call *call)
{
    struct codec_reply reply;
    struct error error;

    client->frame_bytes = nng_aio_get_msg(client->aio);
    if (open_reply(client, call, &reply, &error) != 0) {
        forget_reply(client);
        (void)hang_up(client);
        (void)error_set(&client->error,
                        ERROR_UNAVAILABLE,
                        "%s sent something that is no answer to %s: %s",
                        client->url,
                        call->request.method,
                        error.message);
        return ATTEMPT_REPEAT;
    }
    atomic_store(&client->heard_ms, clock_monotonic_ms());
    if (reply.error.code != ERROR_OK) {
        forget_reply(client);
        client->error = reply.error;
        call->retry_after_ms = reply.retry_after_ms;
        return reply.error.code == ERROR_UNAVAILABLE ? ATTEMPT_REPEAT
                                                     : ATTEMPT_ANSWERED;
    }
    error_clear(&client->error);
    client->reply = codec_unpack_message(
        call->reply_type, client->frame.message, client->frame.message_size, &error);
    if (!client->reply) {
        forget_reply(client);
        (void)error_set(&client->error, ERROR_INTERNAL, "%s", error.message);
        (void)error_wrap(&client->error, "%s answered badly", client->url);
    }
    return ATTEMPT_ANSWERED;
}

static enum attempt_end attempt(struct rpc_client *client, struct call *call)
{
    int64_t left_ms = call->deadline_ms - clock_monotonic_ms();
    int64_t timeout_ms = left_ms < ATTEMPT_TIMEOUT_MS ? left_ms : ATTEMPT_TIMEOUT_MS;
    int64_t end_ms = clock_monotonic_ms() + timeout_ms;

    client->counter++;
    call->retry_after_ms = 0;
    call->request.timeout_ms = (uint32_t)(timeout_ms < 1 ? 1 : timeout_ms);
    nng_msg *frame = seal_request(client, call);
    if (!frame) {
        (void)error_set(&client->error,
                        ERROR_OUT_OF_RANGE,
                        "the request of %s with its %zu bytes is larger than the %zu a "
                        "frame may have",
                        call->request.method,
                        client->attachment_size,
                        client->frame_size_max);
        return ATTEMPT_GIVE_UP;
    }
    nng_aio_set_msg(client->aio, frame);
    int64_t send_ms = timeout_ms;
    if (!client->retry && send_ms > RPC_CLIENT_CONNECT_MS) {
        send_ms = RPC_CLIENT_CONNECT_MS;
    }
    int rc = take_step(client, STEP_SEND, send_ms);
    if (rc != 0) {
        nng_msg_free(frame);
        nng_aio_set_msg(client->aio, NULL);
        return sending_failed(client, call, rc);
    }
    rc = take_step(client, STEP_RECEIVE, end_ms - clock_monotonic_ms());
    return rc == 0 ? take_reply(client, call) : receiving_failed(client, call, rc);
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
        if (attempt(client, call) != ATTEMPT_REPEAT || !client->retry) {
            return;
        }
        int64_t wait_ms = pause_ms(attempts, call->retry_after_ms);
        if (clock_monotonic_ms() + wait_ms >= call->deadline_ms) {
            return;
        }
        if (take_step(client, STEP_PAUSE, wait_ms) != 0) {
            (void)give_up_cancelled(client);
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
    forget_reply(client);
    call_run(client, &call);
    set_defaults(client);
    closure(client->reply, closure_data);
}

/* --- the client --- */

static int set_nng_error(struct error *err, int rc, const char *url)
{
    bool no_memory = rc == NNG_ENOMEM;

    return error_set(err,
                     no_memory ? ERROR_RESOURCE_EXHAUSTED : ERROR_INVALID_ARGUMENT,
                     "cannot dial \"%s\": %s, expected an address such as "
                     "tcp://127.0.0.1:8790 or ipc:///run/cortex.ipc",
                     url,
                     nng_strerror(rc));
}

static int client_open(struct rpc_client *client)
{
    size_t size_max = client->frame_size_max + TRANSPORT_OVERHEAD_BYTES;
    int rc = nng_req0_open(&client->socket);

    if (rc != 0 || (rc = nng_aio_alloc(&client->aio, NULL, NULL)) != 0) {
        return rc;
    }
    const struct {
        const char *name;
        nng_duration value;
    } times[] = {
        {NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE},
        {NNG_OPT_RECONNMINT, RECONNECT_MIN_MS},
        {NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS},
    };
    for (size_t i = 0; rc == 0 && i < sizeof(times) / sizeof(times[0]); i++) {
        rc = nng_socket_set_ms(client->socket, times[i].name, times[i].value);
    }
    if (rc == 0) {
        rc = nng_socket_set_size(client->socket, NNG_OPT_RECVMAXSZ, size_max);
    }
    return rc;
}

static int client_dial(struct rpc_client *client)
{
    nng_dialer dialer;
    int rc = nng_dialer_create(&dialer, client->socket, client->url);

    if (rc == 0) {
        rc = nng_pipe_notify(client->socket, NNG_PIPE_EV_ADD_PRE, pipe_added, client);
    }
    if (rc == 0) {
        rc =
            nng_pipe_notify(client->socket, NNG_PIPE_EV_REM_POST, pipe_removed, client);
    }
    return rc == 0 ? nng_dialer_start(dialer, NNG_FLAG_NONBLOCK) : rc;
}

int rpc_client_create(const struct rpc_client_options *options,
                      struct rpc_client **out_client,
                      struct error *err)
{
    struct rpc_client *client = memory_zalloc(sizeof(*client));

    client->url = memory_strdup(options->url);
    (void)snprintf(client->release,
                   sizeof(client->release),
                   "%s",
                   options->release ? options->release : CORTEX_VERSION);
    client->frame_size_max =
        options->frame_size_max ? options->frame_size_max : RPC_FRAME_SIZE_MAX;
    pthread_mutex_init(&client->lock, NULL);
    atomic_init(&client->heard_ms, clock_monotonic_ms());
    set_defaults(client);
    int rc = client_open(client);
    if (rc == 0) {
        rc = client_dial(client);
    }
    if (rc != 0) {
        // The socket, which never had a connection, is left behind.
        (void)set_nng_error(err, rc, options->url);
        nng_aio_free(client->aio);
        pthread_mutex_destroy(&client->lock);
        free(client->url);
        free(client);
        return -1;
    }
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
    pthread_mutex_lock(&client->lock);
    client->cancelled = true;
    pthread_mutex_unlock(&client->lock);
    nng_aio_cancel(client->aio);
}

int64_t rpc_client_heard_ms(const struct rpc_client *client)
{
    return atomic_load(&client->heard_ms);
}
