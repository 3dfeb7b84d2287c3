/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_peers.c - who is connected to a server, and who may be */
#include "common/rpc_peers.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <nng/nng.h>

#include "common/buffer.h"

/* A living connection. */
struct peer {
    int pipe_id;
    char address[INET6_ADDRSTRLEN]; /* without port; "" on a Unix socket */
};

struct rpc_peers {
    struct rpc_peers_limits limits;
    pthread_mutex_t lock; /* guards what follows */
    struct peer *peers;   /* connections_max of them */
    size_t count;
};

/* Where a connection came in. */
struct local_address {
    bool is_unix;
    in_port_t port; /* network order */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

static bool is_unix_scheme(const char *scheme)
{
    return strcmp(scheme, "ipc") == 0 || strcmp(scheme, "unix") == 0;
}

static bool is_loopback(const char *host)
{
    struct in_addr in;
    struct in6_addr in6;

    if (inet_pton(AF_INET, host, &in) == 1) {
        return ntohl(in.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &in6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&in6);
    }
    return strcmp(host, "localhost") == 0;
}

int rpc_peers_check_url(const char *url, bool sealed, struct error *err)
{
    nng_url *parsed = NULL;
    bool known = false;
    bool ours = false;

    if (nng_url_parse(&parsed, url) == 0) {
        bool is_unix = is_unix_scheme(parsed->u_scheme);
        known = is_unix || strncmp(parsed->u_scheme, "tcp", strlen("tcp")) == 0;
        ours = is_unix || (known && is_loopback(parsed->u_hostname));
        nng_url_free(parsed);
    }
    if (sealed ? known : ours) {
        return 0;
    }
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "cannot listen on \"%s\": expected %s, such as "
                     "tcp://127.0.0.1:8790 or ipc:///run/cortex.ipc%s",
                     url,
                     sealed ? "an address" : "an address of this machine only",
                     sealed ? "" : ", since calls are not sealed");
}

static void format_host(const nng_sockaddr *address, char out[INET6_ADDRSTRLEN])
{
    out[0] = '\0';
    if (address->s_family == NNG_AF_INET) {
        (void)inet_ntop(AF_INET, &address->s_in.sa_addr, out, INET6_ADDRSTRLEN);
    } else if (address->s_family == NNG_AF_INET6) {
        (void)inet_ntop(AF_INET6, &address->s_in6.sa_addr, out, INET6_ADDRSTRLEN);
    }
}

void rpc_peers_describe(int pipe_id, char out[RPC_PEER_TEXT_SIZE])
{
    nng_pipe pipe = {.id = (uint32_t)pipe_id};
    nng_sockaddr address = {.s_family = NNG_AF_UNSPEC};
    char host[INET6_ADDRSTRLEN];
    uint64_t pid;

    (void)snprintf(out, RPC_PEER_TEXT_SIZE, "unknown");
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &address) != 0) {
        return;
    }
    format_host(&address, host);
    if (address.s_family == NNG_AF_INET) {
        unsigned port = ntohs(address.s_in.sa_port);
        (void)snprintf(out, RPC_PEER_TEXT_SIZE, "%s:%u", host, port);
    } else if (address.s_family == NNG_AF_INET6) {
        unsigned port = ntohs(address.s_in6.sa_port);
        (void)snprintf(out, RPC_PEER_TEXT_SIZE, "[%s]:%u", host, port);
    } else if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_PID, &pid) == 0) {
        (void)snprintf(out, RPC_PEER_TEXT_SIZE, "pid %llu", (unsigned long long)pid);
    }
}

void rpc_peers_host(int pipe_id, char out[RPC_PEER_HOST_SIZE])
{
    nng_pipe pipe = {.id = (uint32_t)pipe_id};
    nng_sockaddr address = {.s_family = NNG_AF_UNSPEC};
    char host[INET6_ADDRSTRLEN];

    bool there = nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &address) == 0;
    format_host(&address, host);
    (void)snprintf(out,
                   RPC_PEER_HOST_SIZE,
                   "%s",
                   host[0] ? host
                   : there ? "local"
                           : "unknown");
}

static unsigned count_of(const struct rpc_peers *peers, const char *address)
{
    unsigned count = 0;

    for (size_t i = 0; i < peers->count; i++) {
        count += strcmp(peers->peers[i].address, address) == 0;
    }
    return count;
}

static bool may_connect(const struct rpc_peers *peers, const char *address)
{
    unsigned limit = peers->limits.connections_per_address_max;

    return peers->count < peers->limits.connections_max &&
           (limit == 0 || address[0] == '\0' || count_of(peers, address) < limit);
}

static void pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct rpc_peers *peers = arg;
    struct peer peer = {.pipe_id = nng_pipe_id(pipe)};
    nng_sockaddr address = {.s_family = NNG_AF_UNSPEC};

    (void)event;
    (void)nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &address);
    format_host(&address, peer.address);
    pthread_mutex_lock(&peers->lock);
    bool welcome = may_connect(peers, peer.address);
    if (welcome) {
        peers->peers[peers->count++] = peer;
    }
    pthread_mutex_unlock(&peers->lock);
    if (!welcome) {
        (void)nng_pipe_close(pipe);
    }
}

static void pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct rpc_peers *peers = arg;

    (void)event;
    pthread_mutex_lock(&peers->lock);
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->peers[i].pipe_id == nng_pipe_id(pipe)) {
            peers->peers[i] = peers->peers[--peers->count];
            break;
        }
    }
    pthread_mutex_unlock(&peers->lock);
}

int rpc_peers_watch(uint32_t socket_id,
                    const struct rpc_peers_limits *limits,
                    struct rpc_peers **out_peers,
                    struct error *err)
{
    nng_socket socket = {.id = socket_id};
    struct rpc_peers *peers = memory_zalloc(sizeof(*peers));

    peers->limits = *limits;
    peers->peers = memory_zalloc(limits->connections_max * sizeof(*peers->peers));
    pthread_mutex_init(&peers->lock, NULL);
    int rc = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, pipe_added, peers);
    if (rc == 0) {
        rc = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, pipe_removed, peers);
    }
    if (rc != 0) {
        free(peers->peers);
        free(peers);
        return error_set(
            err, ERROR_INTERNAL, "cannot watch connections: %s", nng_strerror(rc));
    }
    *out_peers = peers;
    return 0;
}

unsigned rpc_peers_count(struct rpc_peers *peers)
{
    pthread_mutex_lock(&peers->lock);
    unsigned count = (unsigned)peers->count;
    pthread_mutex_unlock(&peers->lock);
    return count;
}

static bool parse_local_address(const char *url, struct local_address *out)
{
    nng_url *parsed = NULL;

    if (nng_url_parse(&parsed, url) != 0) {
        return false;
    }
    *out = (struct local_address){.is_unix = is_unix_scheme(parsed->u_scheme)};
    if (out->is_unix) {
        (void)snprintf(out->path, sizeof(out->path), "%s", parsed->u_path);
    } else {
        out->port = htons((uint16_t)strtoul(parsed->u_port, NULL, 10));
    }
    nng_url_free(parsed);
    return true;
}

/* Whether fd is a connection (not the listener) that came in at the address. */
static bool came_in_at(int fd, const struct local_address *local)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } name = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof(name);
    int listens = 0;
    socklen_t listens_size = sizeof(listens);

    if (getsockname(fd, &name.any, &size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) != 0 ||
        listens) {
        return false;
    }
    switch (name.any.sa_family) {
    case AF_INET:
        return !local->is_unix && name.in.sin_port == local->port;
    case AF_INET6:
        return !local->is_unix && name.in6.sin6_port == local->port;
    case AF_UNIX:
        return local->is_unix && size > offsetof(struct sockaddr_un, sun_path) &&
               strncmp(name.un.sun_path, local->path, sizeof(local->path)) == 0;
    default:
        return false;
    }
}

static bool has_hung_up(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};

    return poll(&poll_fd, 1, 0) == 1 &&
           (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

int rpc_peers_hung_up(const char *url)
{
    struct local_address local;
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    if (folder && parse_local_address(url, &local)) {
        const struct dirent *entry;
        while ((entry = readdir(folder)) != NULL) {
            char *end;
            long fd = strtol(entry->d_name, &end, 10);
            if (*end == '\0' && came_in_at((int)fd, &local) && has_hung_up((int)fd)) {
                count++;
            }
        }
    }
    if (folder) {
        (void)closedir(folder);
    }
    return count;
}
