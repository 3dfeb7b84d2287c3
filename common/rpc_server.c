/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_server.c - how requests come in over nng and replies go out */
#include "common/rpc_server.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/rpc_frame.h"
#include "common/rpc_peers.h"

#define CONTEXTS_MAX_DEFAULT    4096
#define CONNECTIONS_MAX_DEFAULT 8192

/* The longest error fits a frame, whatever the options say. */
#define FRAME_SIZE_MAX_LEAST 4096

/* With UNAVAILABLE; clients add jitter. */
#define RETRY_AFTER_MS 100

#define SOCKET_MODE 0600 /* of a Unix socket */

/* RECEIVING -> HELD -> SENDING -> RECEIVING. What turns out to be no request goes back
 * to RECEIVING from HELD. */
enum call_state { CALL_RECEIVING, CALL_HELD, CALL_SENDING };

/* One of nng's REP contexts, and the request it holds. */
struct rpc_call {
    struct rpc_server *server;
    nng_ctx context;
    nng_aio *aio;
    _Atomic enum call_state state;

    nng_pipe pipe;     /* this and all below: of the call, until it is sent */
    size_t held_bytes; /* counted in the server's */
    nng_msg *frame_bytes;
    struct rpc_caller caller;
    struct codec_frame frame; /* points into frame_bytes */
    struct codec_request request;
    ProtobufCMessage *message;
    char peer[RPC_PEER_TEXT_SIZE];
};

struct rpc_server {
    nng_socket socket;
    char *url;
    size_t frame_size_max;
    unsigned contexts_max;
    ProtobufCService **services;
    struct rpc_peers *peers;
    struct session_server *sessions; /* NULL: frames are clear */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t idle;  /* all contexts are receiving */
    unsigned contexts;
    unsigned receiving;
    size_t held_bytes; /* of the frames held by the other contexts */
    bool draining;
};

static void call_step(void *arg);

/* What the message that came in is; the call knows its caller and request then. */
static enum rpc_arrival open_request(struct rpc_call *call, nng_msg **out_answer)
{
    char host[SESSION_HOST_SIZE];

    rpc_peers_host(nng_pipe_id(call->pipe), host);
    enum rpc_arrival arrival = rpc_frame_arrive(call->server->sessions,
                                                host,
                                                call->frame_bytes,
                                                &call->caller,
                                                &call->frame,
                                                out_answer);
    if (arrival == RPC_ARRIVAL_REQUEST &&
        codec_unpack_request(&call->frame, &call->request, NULL) != 0) {
        arrival = RPC_ARRIVAL_GARBAGE;
    }
    return arrival;
}

/* --- a context's round --- */

static void call_receive(struct rpc_call *call)
{
    atomic_store(&call->state, CALL_RECEIVING);
    nng_aio_set_timeout(call->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(call->context, call->aio);
}

static int call_create(struct rpc_server *server)
{
    struct rpc_call *call = memory_zalloc(sizeof(*call));

    call->server = server;
    int rc = nng_aio_alloc(&call->aio, call_step, call);
    if (rc == 0) {
        rc = nng_ctx_open(&call->context, server->socket);
    }
    if (rc != 0) {
        nng_aio_free(call->aio);
        free(call);
        return -1;
    }
    call_receive(call);
    return 0;
}

static void call_drop_request(struct rpc_call *call)
{
    codec_message_free(call->message);
    nng_msg_free(call->frame_bytes);
    call->message = NULL;
    call->frame_bytes = NULL;
}

/* Ends the call: nothing of it may be touched afterwards. */
static void call_send(struct rpc_call *call, nng_msg *frame)
{
    enum call_state before = atomic_exchange(&call->state, CALL_SENDING);

    assert(before == CALL_HELD); // else it was answered twice
    (void)before;
    call_drop_request(call);
    nng_aio_set_msg(call->aio, frame);
    nng_aio_set_timeout(call->aio, RPC_REPLY_TIMEOUT_MS);
    nng_ctx_send(call->context, call->aio);
}

/* The context leaves the receiving ones. Another takes its place if too few are left;
 * if none may, or the server takes no calls, -1 with UNAVAILABLE. */
static int server_admit(struct rpc_server *server, size_t held_bytes, struct error *err)
{
    bool replace = false;
    int result = 0;

    pthread_mutex_lock(&server->lock);
    server->receiving--;
    server->held_bytes += held_bytes;
    unsigned held = server->contexts - server->receiving - 1;
    if (server->draining) {
        result = error_set(err, ERROR_UNAVAILABLE, "the server is shutting down");
    } else if (server->held_bytes > RPC_HELD_SIZE_MAX) {
        result = error_set(err,
                           ERROR_UNAVAILABLE,
                           "the server is busy: %zu bytes of requests are waiting",
                           server->held_bytes - held_bytes);
    } else if (server->receiving < RPC_SERVER_RECEIVING) {
        replace = server->contexts < server->contexts_max;
        if (!replace) {
            result = error_set(err,
                               ERROR_UNAVAILABLE,
                               "the server is busy: %u requests are waiting",
                               held);
        }
    }
    server->contexts += replace;
    server->receiving += replace;
    pthread_mutex_unlock(&server->lock);

    if (replace && call_create(server) != 0) {
        pthread_mutex_lock(&server->lock);
        server->contexts--;
        server->receiving--;
        pthread_mutex_unlock(&server->lock);
        result = error_set(err, ERROR_UNAVAILABLE, "the server is out of contexts");
    }
    return result;
}

/* The call is over and its context receives again. */
static void call_readmit(struct rpc_call *call)
{
    struct rpc_server *server = call->server;

    pthread_mutex_lock(&server->lock);
    server->receiving++;
    server->held_bytes -= call->held_bytes;
    if (server->receiving == server->contexts) {
        pthread_cond_broadcast(&server->idle);
    }
    pthread_mutex_unlock(&server->lock);
    call_receive(call);
}

/* The peer is told by the hang-up, and by nothing else. */
static void call_abandon(struct rpc_call *call)
{
    call_drop_request(call);
    (void)nng_pipe_close(call->pipe);
    call_readmit(call);
}

/* False, and nothing done, if the reply is larger than a frame may be. */
static bool call_answer(struct rpc_call *call,
                        const struct codec_reply *reply,
                        const ProtobufCMessage *message,
                        const void *attachment,
                        size_t attachment_size)
{
    struct buffer head = BUFFER_INIT;
    size_t size_max = call->server->frame_size_max;
    nng_msg *frame = NULL;

    codec_pack_reply_head(reply, call->frame.counter, message, &head);
    bool fits = head.size <= size_max && attachment_size <= size_max - head.size;
    if (fits) {
        frame = rpc_frame_reply(
            call->server->sessions, &call->caller, &head, attachment, attachment_size);
    }
    buffer_fini(&head);
    if (frame) {
        call_send(call, frame);
    } else if (fits) {
        call_abandon(call); // the session of who asked has ended
    }
    return fits;
}

/* The service and method that a full name such as "cortex.v1.Client/GetJob" means. */
static ProtobufCService *
find_method(const struct rpc_server *server, const char *name, unsigned *out_index)
{
    const char *slash = strchr(name, '/');

    for (ProtobufCService **at = server->services; slash && *at; at++) {
        const ProtobufCServiceDescriptor *service = (*at)->descriptor;
        size_t size = strlen(service->name);
        if (size != (size_t)(slash - name) || memcmp(service->name, name, size) != 0) {
            continue;
        }
        const ProtobufCMethodDescriptor *method =
            protobuf_c_service_descriptor_get_method_by_name(service, slash + 1);
        if (method) {
            *out_index = (unsigned)(method - service->methods);
            return *at;
        }
    }
    return NULL;
}

static void call_dispatch(struct rpc_call *call)
{
    unsigned index = 0;
    ProtobufCService *service = find_method(call->server, call->request.method, &index);
    struct error error;

    if (!service) {
        (void)error_set(&error,
                        ERROR_UNIMPLEMENTED,
                        "this server has no method \"%s\"",
                        call->request.method);
        rpc_call_fail(call, &error, 0);
        return;
    }
    call->message = codec_unpack_message(service->descriptor->methods[index].input,
                                         call->frame.message,
                                         call->frame.message_size,
                                         &error);
    if (!call->message) {
        rpc_call_fail(call, &error, 0);
        return;
    }
    service->invoke(service, index, call->message, NULL, call);
}

static void call_received(struct rpc_call *call)
{
    nng_msg *answer = NULL;
    struct error busy;

    call->frame_bytes = nng_aio_get_msg(call->aio);
    call->pipe = nng_msg_get_pipe(call->frame_bytes);
    call->held_bytes = nng_msg_len(call->frame_bytes);
    atomic_store(&call->state, CALL_HELD);
    int admitted = server_admit(call->server, call->held_bytes, &busy);
    switch (open_request(call, &answer)) {
    case RPC_ARRIVAL_GARBAGE:
        call_abandon(call);
        break;
    case RPC_ARRIVAL_ANSWER:
        call_send(call, answer);
        break;
    case RPC_ARRIVAL_REQUEST:
        if (admitted != 0) {
            rpc_call_fail(call, &busy, RETRY_AFTER_MS);
        } else {
            rpc_peers_describe(nng_pipe_id(call->pipe), call->peer);
            call_dispatch(call);
        }
        break;
    }
}

static void call_sent(struct rpc_call *call)
{
    if (nng_aio_result(call->aio) != 0) {
        // The peer did not read its last reply within the time for this one.
        nng_msg_free(nng_aio_get_msg(call->aio));
        (void)nng_pipe_close(call->pipe);
    }
    call_readmit(call);
}

/* nng's callback: receiving or sending has ended. */
static void call_step(void *arg)
{
    struct rpc_call *call = arg;

    if (atomic_load(&call->state) == CALL_SENDING) {
        call_sent(call);
    } else if (nng_aio_result(call->aio) == 0) {
        call_received(call);
    } else if (nng_aio_result(call->aio) != NNG_ECLOSED) {
        call_receive(call);
    }
}

/* --- the server --- */

static int set_nng_error(struct error *err, int rc, const char *url)
{
    return error_set(
        err, ERROR_UNAVAILABLE, "cannot listen on %s: %s", url, nng_strerror(rc));
}

static struct session_server *sessions_create(const struct session_server_options *seal,
                                              size_t frame_size_max)
{
    struct session_server_options options = *seal;
    struct session_time now = {
        .monotonic_ms = clock_monotonic_ms(),
        .wall_ms = clock_wall_ms(),
    };
    struct session_server *sessions;

    options.frame_size_max = frame_size_max;
    session_server_create(&options, now, &sessions);
    key_wipe(&options, sizeof(options));
    return sessions;
}

static struct rpc_server *server_create(const struct rpc_server_options *options)
{
    struct rpc_server *server = memory_zalloc(sizeof(*server));
    pthread_condattr_t monotonic;
    size_t count = 0;

    while (options->services[count]) {
        count++;
    }
    server->services = memory_zalloc((count + 1) * sizeof(*server->services));
    memcpy(server->services, options->services, count * sizeof(*server->services));
    server->frame_size_max =
        options->frame_size_max ? options->frame_size_max : RPC_FRAME_SIZE_MAX;
    if (server->frame_size_max < FRAME_SIZE_MAX_LEAST) {
        server->frame_size_max = FRAME_SIZE_MAX_LEAST;
    }
    server->contexts_max =
        options->contexts_max ? options->contexts_max : CONTEXTS_MAX_DEFAULT;
    if (server->contexts_max <= RPC_SERVER_RECEIVING) {
        server->contexts_max = RPC_SERVER_RECEIVING + 1;
    }
    if (options->seal) {
        server->sessions = sessions_create(options->seal, server->frame_size_max);
    }
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return server;
}

/* Of one that never listened. */
static void server_destroy(struct rpc_server *server)
{
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->lock);
    session_server_destroy(server->sessions);
    free(server->services);
    free(server);
}

static int server_open(struct rpc_server *server,
                       const struct rpc_server_options *options,
                       struct error *err)
{
    struct rpc_peers_limits limits = {
        .connections_max = options->connections_max ? options->connections_max
                                                    : CONNECTIONS_MAX_DEFAULT,
        .connections_per_address_max = options->connections_per_address_max,
    };
    int rc = nng_rep0_open(&server->socket);

    if (rc == 0) {
        rc = nng_socket_set_size(server->socket,
                                 NNG_OPT_RECVMAXSZ,
                                 server->frame_size_max + RPC_FRAME_OVERHEAD);
    }
    if (rc != 0) {
        return set_nng_error(err, rc, options->url);
    }
    return rpc_peers_watch(server->socket.id, &limits, &server->peers, err);
}

static int server_listen(struct rpc_server *server, const char *url, struct error *err)
{
    nng_listener listener;
    char *bound = NULL;

    int rc = nng_listener_create(&listener, server->socket, url);
    if (rc == 0) {
        rc = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, SOCKET_MODE);
        rc = rc == NNG_ENOTSUP ? 0 : rc; // not a Unix socket
    }
    if (rc == 0) {
        rc = nng_listener_start(listener, 0);
    }
    if (rc == 0) {
        rc = nng_listener_get_string(listener, NNG_OPT_URL, &bound);
    }
    if (rc != 0) {
        return set_nng_error(err, rc, url);
    }
    server->url = memory_strdup(bound);
    nng_strfree(bound);
    return 0;
}

int rpc_server_start(const struct rpc_server_options *options,
                     struct rpc_server **out_server,
                     struct error *err)
{
    if (rpc_peers_check_url(options->url, options->seal != NULL, err) != 0) {
        return -1;
    }
    struct rpc_server *server = server_create(options);
    if (server_open(server, options, err) != 0 ||
        server_listen(server, options->url, err) != 0) {
        // The socket, which nobody is connected to, is left behind with its peers.
        server_destroy(server);
        return -1;
    }
    server->contexts = RPC_SERVER_RECEIVING;
    server->receiving = RPC_SERVER_RECEIVING;
    for (int i = 0; i < RPC_SERVER_RECEIVING; i++) {
        if (call_create(server) != 0) {
            return set_nng_error(err, NNG_ENOMEM, options->url);
        }
    }
    *out_server = server;
    return 0;
}

void rpc_server_rekey(struct rpc_server *server,
                      const struct key_pair *key,
                      const struct key_pair *next)
{
    session_server_rekey(server->sessions, key, next);
}

const char *rpc_server_url(const struct rpc_server *server)
{
    return server->url;
}

unsigned rpc_server_drain(struct rpc_server *server, int64_t timeout_ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&server->lock);
    server->draining = true;
    while (server->receiving < server->contexts &&
           pthread_cond_timedwait(&server->idle, &server->lock, &until) == 0) {
        continue;
    }
    unsigned left = server->contexts - server->receiving;
    pthread_mutex_unlock(&server->lock);
    return left;
}

int rpc_server_descriptor_drift(struct rpc_server *server)
{
    return rpc_peers_hung_up(server->url);
}

/* --- a call, as its service sees it --- */

const char *rpc_call_method(const struct rpc_call *call)
{
    return call->request.method;
}

const unsigned char *rpc_call_request_id(const struct rpc_call *call)
{
    return call->request.request_id;
}

const ProtobufCMessage *rpc_call_message(const struct rpc_call *call)
{
    return call->message;
}

const void *rpc_call_attachment(const struct rpc_call *call, size_t *out_size)
{
    *out_size = call->frame.attachment_size;
    return call->frame.attachment;
}

uint32_t rpc_call_timeout_ms(const struct rpc_call *call)
{
    return call->request.timeout_ms;
}

const char *rpc_call_release(const struct rpc_call *call)
{
    return call->request.release;
}

const char *rpc_call_peer(const struct rpc_call *call)
{
    return call->peer;
}

const unsigned char *rpc_call_key(const struct rpc_call *call)
{
    return call->server->sessions ? call->caller.key : NULL;
}

enum key_role rpc_call_role(const struct rpc_call *call)
{
    return call->caller.role;
}

enum key_role rpc_call_acting_role(const struct rpc_call *call)
{
    return call->request.acting_role;
}

const char *rpc_call_acting_apis(const struct rpc_call *call)
{
    return call->request.acting_apis;
}

const char *rpc_call_token(const struct rpc_call *call)
{
    return call->caller.token;
}

void rpc_call_reply(struct rpc_call *call,
                    const ProtobufCMessage *message,
                    const void *attachment,
                    size_t attachment_size)
{
    struct codec_reply reply = {.error = {.code = ERROR_OK}};
    struct error error;

    memcpy(reply.request_id, call->request.request_id, sizeof(reply.request_id));
    if (!call_answer(call, &reply, message, attachment, attachment_size)) {
        (void)error_set(&error,
                        ERROR_INTERNAL,
                        "the reply of %s is larger than the %zu bytes a frame may have",
                        call->request.method,
                        call->server->frame_size_max);
        rpc_call_fail(call, &error, 0);
    }
}

void rpc_call_fail(struct rpc_call *call,
                   const struct error *err,
                   uint32_t retry_after_ms)
{
    struct codec_reply reply = {.error = *err, .retry_after_ms = retry_after_ms};

    memcpy(reply.request_id, call->request.request_id, sizeof(reply.request_id));
    if (reply.error.code == ERROR_OK) {
        (void)error_set(
            &reply.error, ERROR_INTERNAL, "the call failed without saying why");
    }
    (void)call_answer(call, &reply, NULL, NULL, 0); // an error fits any frame
}
