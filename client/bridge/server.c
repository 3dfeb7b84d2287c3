/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - how HTTP requests come in and replies go out */
#include "client/bridge/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "client/bridge/cors.h"
#include "client/bridge/framing.h"
#include "client/bridge/peers.h"
#include "client/bridge/routes.h"
#include "client/bridge/stream.h"
#include "common/clock.h"
#include "common/log.h"

#define TICK_MS                 500         /* how often deadlines are looked at */
#define REREAD_MS               1000        /* how often files that may change are */
#define ACCEPTS_MAX             1024        /* between looks at who is there already */
#define HEADERS_SIZE_MAX        (32u << 10) /* MHD's memory for a connection; more it maps */
#define ORIGIN_SCHEME_SEPARATOR "://"

// Where a request is on its way.
enum exchange_state {
    EXCHANGE_HEADERS, /* the request line is there */
    EXCHANGE_BODY,    /* its body is being read */
    EXCHANGE_DISCARD, /* a refusal stands; the rest of the body is thrown away */
    EXCHANGE_ASKED,   /* a pool has it; afterwards the reply stands */
};

struct exchange {
    struct callers_work work;
    struct server *server;
    struct MHD_Connection *connection;
    struct peer *peer;
    enum exchange_state state;
    struct request request;
    struct framing framing;
    const char *authorization; /* MHD's; NULL: none, or more than one */
    unsigned authorizations;
    bool allowed_origin; /* a page that is allowed to sends it (cors.h) */
    bool expects_continue;
    bool close;       /* the connection cannot be used further */
    size_t body_size; /* counted in the server's bodies_size */
    uint64_t discarded;
    int64_t deadline_ms;
};

struct server {
    struct MHD_Daemon *daemon;
    int wake_fd;   // eventfd: a connection was resumed
    int listen_fd; // -1: nobody is let in any more
    unsigned connections_max;
    bool cannot_accept; // until the next tick: there is no descriptor, or no memory
    struct bridge *bridge;
    struct tls *tls; /* NULL: none */
    struct access *access;
    const char *cors_origin; /* NULL: none */
    struct peers peers;
    size_t bodies_size;
    unsigned exchange_count;
    int64_t swept_ms;
    int64_t reread_ms;
    bool leaving;
};

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static struct peer *peer_begin(struct server *server, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = info->connect_fd;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct peer *peer =
        peers_add(&server->peers, fd, info->client_addr, clock_monotonic_ms());

    if (server->tls) {
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        peer->session = info->tls_session;
        peer->certificate = tls_enter(server->tls, peer->session);
    }
    return peer;
}

// MHD accepted a connection, or is about to close one.
static void connection_notify(void *arg,
                              struct MHD_Connection *connection,
                              void **socket_context,
                              enum MHD_ConnectionNotificationCode code)
{
    struct server *server = arg;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = peer_begin(server, connection);
    } else if (*socket_context) {
        peers_remove(*socket_context);
        *socket_context = NULL;
    }
}

// MHD read a request line: the request begins. What this returns is its context.
static void *
request_begin(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct server *server = arg;
    struct exchange *exchange = memory_zalloc(sizeof(*exchange));

    exchange->server = server;
    exchange->connection = connection;
    exchange->peer = peer_of(connection);
    (void)target_parse(uri, &exchange->request.target, &exchange->request.target_error);
    server->exchange_count++;
    peers_enter(&server->peers, exchange->peer, PEER_HEADER, clock_monotonic_ms());
    return exchange;
}

// MHD is done with a request, answered or not.
static void request_end(void *arg,
                        struct MHD_Connection *connection,
                        void **context,
                        enum MHD_RequestTerminationCode code)
{
    struct server *server = arg;
    struct exchange *exchange = *context;

    (void)connection;
    (void)code;
    if (exchange) {
        exchange->peer->stream = NULL;
        exchange->peer->token = NULL;
        peers_enter(&server->peers, exchange->peer, PEER_IDLE, clock_monotonic_ms());
        server->bodies_size -= exchange->body_size;
        server->exchange_count--;
        request_fini(&exchange->request);
        free(exchange);
        *context = NULL;
    }
}

// curl -d sends a form's type without being asked, so only what cannot be JSON counts.
static bool is_unfit_type(const char *type)
{
    static const char *const unfit[] = {"multipart/",
                                        "image/",
                                        "audio/",
                                        "video/",
                                        "text/html",
                                        "text/xml",
                                        "application/xml",
                                        "application/zip",
                                        "application/gzip",
                                        "application/pdf"};

    for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
        if (strncasecmp(type, unfit[i], strlen(unfit[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void take_key(struct request *request, const char *value)
{
    size_t size = strlen(value);
    bool fine = size > 0 && size <= SERVER_KEY_SIZE_MAX;

    for (size_t i = 0; i < size; i++) {
        fine = fine && value[i] >= 0x20 && value[i] <= 0x7E;
    }
    if (!fine || request->idempotency_key) {
        error_set(
            &request->target_error,
            ERROR_INVALID_ARGUMENT,
            "Idempotency-Key: expected one, of 1 to %d printable ASCII characters",
            SERVER_KEY_SIZE_MAX);
        return;
    }
    request->idempotency_key = memory_strdup(value);
}

static bool is_foreign(struct MHD_Connection *connection, const char *origin)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *authority = strstr(origin, ORIGIN_SCHEME_SEPARATOR);

    return !host || !authority ||
           strcasecmp(authority + strlen(ORIGIN_SCHEME_SEPARATOR), host) != 0;
}

static enum MHD_Result
take_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *text)
{
    struct exchange *exchange = arg;
    struct request *request = &exchange->request;
    const char *value = text ? text : "";

    (void)kind;
    framing_header(&exchange->framing, name, value);
    if (strcasecmp(name, "Idempotency-Key") == 0) {
        take_key(request, value);
    } else if (strcasecmp(name, "Accept") == 0) {
        request->wants_json |= strcasestr(value, "application/json") != NULL;
    } else if (strcasecmp(name, "Content-Type") == 0) {
        request->unfit_media |= is_unfit_type(value);
    } else if (strcasecmp(name, "Content-Encoding") == 0) {
        request->unfit_media |= strcasecmp(value, "identity") != 0;
    } else if (strcasecmp(name, "Origin") == 0) {
        exchange->allowed_origin = cors_allows(exchange->server->cors_origin, value);
        request->foreign_origin |=
            !exchange->allowed_origin && is_foreign(exchange->connection, value);
    } else if (strcasecmp(name, "Authorization") == 0) {
        exchange->authorization = exchange->authorizations++ == 0 ? value : NULL;
    } else if (strcasecmp(name, "Expect") == 0) {
        exchange->expects_continue = true;
    }
    return MHD_YES;
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
    struct reply *reply = &exchange->request.reply;

    if (reply->stream) {
        return stream_response(
            reply->stream, exchange->connection, exchange->server->wake_fd);
    }
    // The exchange, and with it the body, outlives the response's use of it.
    return MHD_create_response_from_buffer(
        reply->body.size, (void *)buffer_text(&reply->body), MHD_RESPMEM_PERSISTENT);
}

static void add_headers(const struct exchange *exchange, struct MHD_Response *response)
{
    const struct reply *reply = &exchange->request.reply;
    char number[16];

    (void)MHD_add_response_header(response, "Content-Type", reply->content_type);
    if (strcmp(reply->content_type, "application/json") != 0) {
        (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    }
    cors_add_headers(response, exchange->server->cors_origin, exchange->allowed_origin);
    if (reply->status == 401) {
        (void)MHD_add_response_header(
            response, "WWW-Authenticate", "Bearer realm=\"cortex\"");
    }
    if (*reply->allow) {
        (void)MHD_add_response_header(response, "Allow", reply->allow);
    }
    if (reply->retry_after_s > 0) {
        (void)snprintf(number, sizeof(number), "%u", reply->retry_after_s);
        (void)MHD_add_response_header(response, "Retry-After", number);
    }
    if (exchange->close || exchange->server->leaving) {
        (void)MHD_add_response_header(response, "Connection", "close");
    }
}

static enum MHD_Result send_reply(struct exchange *exchange)
{
    struct reply *reply = &exchange->request.reply;
    struct MHD_Response *response = make_response(exchange);

    if (!response) {
        return MHD_NO;
    }
    add_headers(exchange, response);
    peers_enter(
        &exchange->server->peers, exchange->peer, PEER_ANSWER, clock_monotonic_ms());
    exchange->peer->stream = reply->stream;
    exchange->peer->token = &exchange->request.token;
    enum MHD_Result result =
        MHD_queue_response(exchange->connection, reply->status, response);
    MHD_destroy_response(response); // MHD keeps it until it is sent
    return result;
}

static void refuse_size(struct exchange *exchange)
{
    (void)reply_refuse(&exchange->request.reply,
                       413,
                       "too_large",
                       "the request's body is larger than 10 MiB (10485760 bytes)");
}

static void refuse_bodies(struct exchange *exchange)
{
    (void)reply_refuse(&exchange->request.reply,
                       503,
                       "resource_exhausted",
                       "the requests being read hold %u MiB, which is the most this "
                       "bridge keeps at a time: try again",
                       SERVER_BODIES_SIZE_MAX >> 20);
}

// Whether the reply is that the request is not allowed, as far as its path need not be
// known (routes.c has the rest). The same words whatever is wrong with the token.
static bool refuse_stranger(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct error err;

    if (routes_open(request)) {
        return false;
    }
    if (!access_admit(exchange->server->access,
                      exchange->authorization,
                      clock_wall_ms(),
                      &request->token)) {
        error_set(&err,
                  ERROR_UNAUTHENTICATED,
                  "this needs a token, expected \"Authorization: Bearer <token>\"");
    } else if (!token_may_call(&request->token, request->method)) {
        error_set(&err, ERROR_PERMISSION_DENIED, ROUTES_FORBIDDEN);
    } else {
        return false;
    }
    reply_fail(&request->reply, &err);
    return true;
}

// Whether the reply stands, whatever follows.
static bool answer_early(struct exchange *exchange)
{
    struct request *request = &exchange->request;

    if (cors_is_preflight(exchange->allowed_origin, request->method)) {
        request->reply.status = 204;
        request->reply.content_type = "text/plain";
        return true;
    }
    return refuse_stranger(exchange);
}

// The headers are there: what can be refused by them is, before any of the body.
static enum MHD_Result headers_done(struct exchange *exchange, const char *method)
{
    struct request *request = &exchange->request;
    struct error err;

    (void)snprintf(request->method, sizeof(request->method), "%s", method);
    (void)MHD_get_connection_values(
        exchange->connection, MHD_HEADER_KIND, take_header, exchange);
    if (framing_check(&exchange->framing, &err) != 0) {
        reply_fail(&request->reply, &err);
        exchange->close = true;
        return send_reply(exchange);
    }
    exchange->state = EXCHANGE_BODY;
    peers_enter(
        &exchange->server->peers, exchange->peer, PEER_BODY, clock_monotonic_ms());
    bool answered = answer_early(exchange);
    if (!answered && exchange->framing.length > SERVER_BODY_SIZE_MAX) {
        refuse_size(exchange);
        answered = true;
    }
    if (answered) {
        exchange->state = EXCHANGE_DISCARD;
        if (exchange->expects_continue ||
            exchange->framing.length > SERVER_DISCARD_SIZE_MAX) {
            exchange->close = true;
            return send_reply(exchange);
        }
    }
    return MHD_YES;
}

static void drop_body(struct exchange *exchange)
{
    exchange->server->bodies_size -= exchange->body_size;
    exchange->body_size = 0;
    buffer_fini(&exchange->request.body);
    exchange->state = EXCHANGE_DISCARD;
}

static enum MHD_Result
body_piece(struct exchange *exchange, const char *data, size_t size)
{
    struct server *server = exchange->server;

    if (exchange->state == EXCHANGE_BODY) {
        if (exchange->body_size + size > SERVER_BODY_SIZE_MAX) {
            refuse_size(exchange);
            drop_body(exchange);
        } else if (server->bodies_size + size > SERVER_BODIES_SIZE_MAX) {
            refuse_bodies(exchange);
            drop_body(exchange);
        } else {
            buffer_add(&exchange->request.body, data, size);
            exchange->body_size += size;
            server->bodies_size += size;
            return MHD_YES;
        }
    }
    exchange->discarded += size;
    return exchange->discarded <= SERVER_DISCARD_SIZE_MAX ? MHD_YES : MHD_NO;
}

// On a pool's thread.
static void exchange_answer(struct callers_work *work, struct client_api *api)
{
    struct exchange *exchange = (struct exchange *)work; // its first member
    int wake_fd = exchange->server->wake_fd;

    routes_answer(
        exchange->server->bridge, api, &exchange->request, exchange->deadline_ms);
    MHD_resume_connection(exchange->connection); // exchange may be gone from here on
    (void)eventfd_write(wake_fd, 1);
}

// All of the request is there, and whoever needs the master waits for it.
static enum MHD_Result request_done(struct exchange *exchange)
{
    struct server *server = exchange->server;
    int64_t now_ms = clock_monotonic_ms();

    if (routes_answer_now(&exchange->request)) {
        return send_reply(exchange);
    }
    peers_enter(&server->peers, exchange->peer, PEER_ANSWER, now_ms);
    exchange->state = EXCHANGE_ASKED;
    exchange->deadline_ms = now_ms + server->bridge->timeout_ms;
    exchange->work.run = exchange_answer;
    exchange->work.client = exchange->peer->address;
    MHD_suspend_connection(exchange->connection);
    callers_submit(routes_pool(server->bridge, &exchange->request), &exchange->work);
    return MHD_YES;
}

// MHD calls this with the headers, with each piece of the body, when the request is
// complete, and again when its connection was resumed.
static enum MHD_Result request_handle(void *arg,
                                      struct MHD_Connection *connection,
                                      const char *url,
                                      const char *method,
                                      const char *version,
                                      const char *data,
                                      size_t *inout_size,
                                      void **context)
{
    struct exchange *exchange = *context;
    size_t size = *inout_size;

    (void)arg;
    (void)connection;
    (void)url;
    (void)version;
    if (exchange->state == EXCHANGE_HEADERS) {
        return headers_done(exchange, method);
    }
    if (size > 0) {
        *inout_size = 0;
        return body_piece(exchange, data, size);
    }
    return exchange->state == EXCHANGE_BODY ? request_done(exchange)
                                            : send_reply(exchange);
}

// Paths and queries are decoded by target.c, which refuses what MHD would let pass.
static size_t leave_escaped(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg;
    (void)connection;
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct server *server,
                                       const struct server_options *options)
{
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT,
         0,
         options->tls ? (void *)tls_certificate_text(options->tls) : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY,
         0,
         options->tls ? (void *)tls_key_text(options->tls) : NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem no_tls[] = {{MHD_OPTION_END, 0, NULL}};

    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
                                MHD_ALLOW_SUSPEND_RESUME |
                                (options->tls ? MHD_USE_TLS : 0),
                            0,
                            NULL,
                            NULL,
                            request_handle,
                            server,
                            MHD_OPTION_ARRAY,
                            options->tls ? tls : no_tls,
                            MHD_OPTION_CONNECTION_LIMIT,
                            options->connections_max,
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            options->connections_per_address_max,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)HEADERS_SIZE_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)(options->idle_ms / 1000 + 1),
                            MHD_OPTION_STRICT_FOR_CLIENT,
                            1,
                            MHD_OPTION_UNESCAPE_CALLBACK,
                            leave_escaped,
                            NULL,
                            MHD_OPTION_URI_LOG_CALLBACK,
                            request_begin,
                            server,
                            MHD_OPTION_NOTIFY_COMPLETED,
                            request_end,
                            server,
                            MHD_OPTION_NOTIFY_CONNECTION,
                            connection_notify,
                            server,
                            MHD_OPTION_END);
}

int server_create(const struct server_options *options,
                  struct bridge *bridge,
                  struct server **out_server,
                  struct error *err)
{
    struct server *server = memory_zalloc(sizeof(*server));

    server->bridge = bridge;
    server->tls = options->tls;
    server->access = options->access;
    server->cors_origin = options->cors_origin;
    server->listen_fd = options->listen_fd;
    server->connections_max = options->connections_max;
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->peers.header_ms = options->header_ms;
    server->peers.body_ms = options->body_ms;
    server->peers.idle_ms = options->idle_ms;
    server->daemon = start_daemon(server, options);
    if (server->wake_fd < 0 || !server->daemon) {
        // What the daemon holds is freed by the process's end, which is next.
        return error_set(err, ERROR_INTERNAL, "libmicrohttpd cannot start");
    }
    *out_server = server;
    return 0;
}

// Whoever comes while there are as many as may be waits in the kernel's queue.
static bool may_accept(const struct server *server)
{
    return !server->cannot_accept &&
           MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
                   ->num_connections < server->connections_max;
}

// Lets in all who wait: MHD takes ten a turn, so that strangers who come faster fill
// the kernel's queue and others are turned away, for a second, by their own kernel.
// Who is one too many of an address is closed by MHD at once.
static void accept_all(struct server *server)
{
    struct sockaddr_storage address;

    for (int i = 0; i < ACCEPTS_MAX && may_accept(server); i++) {
        socklen_t size = sizeof(address);
        int fd = accept4(server->listen_fd,
                         (struct sockaddr *)&address,
                         &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            (void)MHD_add_connection(
                server->daemon, fd, (struct sockaddr *)&address, size);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            server->cannot_accept = errno != EAGAIN;
            break;
        }
    }
}

// Waits for what there is to do, a signal or the next tick. Signals are blocked but
// here, so none comes just before the wait and is seen only after it.
static void wait_for_work(struct server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[] = {
        {.fd = info->epoll_fd, .events = POLLIN},
        {.fd = server->wake_fd, .events = POLLIN},
        {.fd = may_accept(server) ? server->listen_fd : -1, .events = POLLIN}};
    MHD_UNSIGNED_LONG_LONG wait_ms = TICK_MS;
    struct timespec wait;
    sigset_t none;
    eventfd_t count;

    if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES || wait_ms > TICK_MS) {
        wait_ms = TICK_MS;
    }
    wait.tv_sec = (time_t)(wait_ms / 1000);
    wait.tv_nsec = (long)(wait_ms % 1000 * 1000000);
    sigemptyset(&none);
    if (ppoll(fds, sizeof(fds) / sizeof(fds[0]), &wait, &none) <= 0) {
        return;
    }
    if (fds[1].revents) {
        (void)eventfd_read(server->wake_fd, &count);
    }
    if (fds[2].revents) {
        accept_all(server);
    }
}

static void reread(struct server *server)
{
    struct error err;
    bool changed = false;

    if (server->tls) {
        if (tls_reread(server->tls, &changed, &err) != 0) {
            log_error("the certificate stays as it was: %s", err.message);
        } else if (changed) {
            log_info("new connections are served with another certificate");
        }
    }
    changed = false;
    if (access_reread(server->access, &changed, &err) != 0) {
        log_error("the tokens stay as they were: %s", err.message);
    } else if (changed) {
        log_info("there are %zu tokens now", access_count(server->access));
    }
    peers_abandon_strangers(&server->peers, server->access, clock_wall_ms());
}

static void serve_for_a_tick(struct server *server)
{
    wait_for_work(server);
    (void)MHD_run_wait(server->daemon, 0);
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - server->swept_ms >= TICK_MS) {
        peers_sweep(&server->peers, now_ms);
        server->cannot_accept = false;
        server->swept_ms = now_ms;
    }
    if (now_ms - server->reread_ms >= REREAD_MS) {
        reread(server);
        server->reread_ms = now_ms;
    }
}

void server_run(struct server *server, const volatile sig_atomic_t *stop)
{
    while (!*stop) {
        serve_for_a_tick(server);
    }
    int64_t deadline_ms = clock_monotonic_ms() + SERVER_DRAIN_TIMEOUT_MS;
    server->leaving = true;
    (void)close(server->listen_fd);
    server->listen_fd = -1;
    while (server->exchange_count > 0 && clock_monotonic_ms() < deadline_ms) {
        peers_abandon_streams(&server->peers);
        serve_for_a_tick(server);
    }
}
