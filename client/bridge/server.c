/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - who is connected to the bridge, and what wakes it */
#include "client/bridge/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "client/bridge/exchange.h"
#include "client/bridge/peers.h"
#include "common/clock.h"
#include "common/log.h"

#define TICK_MS          500         /* how often deadlines are looked at */
#define REREAD_MS        1000        /* how often files that may change are */
#define ACCEPTS_MAX      1024        /* between looks at who is there already */
#define HEADERS_SIZE_MAX (32u << 10) /* MHD's memory for a connection; more it maps */

struct server {
    struct MHD_Daemon *daemon;
    int listen_fd; // -1: nobody is let in any more
    unsigned connections_max;
    bool cannot_accept; // until the next tick: there is no descriptor, or no memory
    struct tls *tls;    /* NULL: none */
    struct peers peers;
    struct exchanges exchanges;
    int64_t swept_ms;
    int64_t reread_ms;
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

    return exchange_begin(&server->exchanges, uri, connection, peer_of(connection));
}

// MHD is done with a request, answered or not.
static void request_end(void *arg,
                        struct MHD_Connection *connection,
                        void **context,
                        enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    (void)code;
    exchange_end(*context);
    *context = NULL;
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
    size_t size = *inout_size;

    (void)arg;
    (void)connection;
    (void)url;
    (void)version;
    *inout_size = 0;
    return exchange_step(*context, method, data, size) ? MHD_YES : MHD_NO;
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

    server->tls = options->tls;
    server->exchanges =
        (struct exchanges){.bridge = bridge,
                           .access = options->access,
                           .cors_origin = options->cors_origin,
                           .peers = &server->peers,
                           .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    server->listen_fd = options->listen_fd;
    server->connections_max = options->connections_max;
    server->peers.header_ms = options->header_ms;
    server->peers.body_ms = options->body_ms;
    server->peers.idle_ms = options->idle_ms;
    server->daemon = start_daemon(server, options);
    if (server->exchanges.wake_fd < 0 || !server->daemon) {
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
        {.fd = server->exchanges.wake_fd, .events = POLLIN},
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
        (void)eventfd_read(server->exchanges.wake_fd, &count);
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
    if (access_reread(server->exchanges.access, &changed, &err) != 0) {
        log_error("the tokens stay as they were: %s", err.message);
    } else if (changed) {
        log_info("there are %zu tokens now", access_count(server->exchanges.access));
    }
    peers_abandon_strangers(&server->peers, server->exchanges.access, clock_wall_ms());
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
    server->exchanges.leaving = true;
    (void)close(server->listen_fd);
    server->listen_fd = -1;
    while (server->exchanges.count > 0 && clock_monotonic_ms() < deadline_ms) {
        peers_abandon_streams(&server->peers);
        serve_for_a_tick(server);
    }
}
