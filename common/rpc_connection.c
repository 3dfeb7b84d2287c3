/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_connection.c - how one message goes out over nng and its answer comes back */
#include "common/rpc_connection.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "common/buffer.h"
#include "common/clock.h"

/* nng's pause between attempts to connect: doubles from the first to the second. */
#define RECONNECT_MIN_MS 20
#define RECONNECT_MAX_MS 500

/* When nothing could be sent for so long though somebody listens, the dialer is taken
 * to be stuck and another is made; twice as long each time, up to the second. */
#define REDIAL_MIN_MS 5000
#define REDIAL_MAX_MS 60000
#define PROBE_MS      1000 /* to see whether somebody listens */

/* Without a connection the dialer may be waiting for the kernel, which says SYN again
 * ever later: after packets were lost for a minute, a minute later. */
#define UNCONNECTED_MS 2000

/* What is waited for. */
enum step { STEP_SEND, STEP_RECEIVE, STEP_PAUSE };
#define STEPS (STEP_PAUSE + 1)

struct rpc_connection {
    nng_socket socket;
    nng_dialer dialer;
    /* One a step: in nng 1.5 the timeout of an aio's last operation may end its next
     * one, and an aio that has slept once ends its timeouts as successes. */
    nng_aio *aios[STEPS];
    char *url;
    int64_t stuck_ms;    /* since when nothing could be sent; 0: the last was sent */
    int64_t patience_ms; /* with that, before another dialer is made */
    atomic_uint redials;
    _Atomic int64_t heard_ms;

    pthread_mutex_t lock; /* guards what follows; ids are 0 while there is none */
    bool cancelled;       /* for good */
    nng_pipe newest;      /* the connection that came last */
    nng_pipe pipe;        /* the connection, once nng has started it */
};

/* A pipe that another thread closes before REQ has started it makes nng 1.5 abort the
 * process (req0_pipe_start), so it is ours to close only after ADD_POST; which may come
 * after REM_POST. */
static void pipe_changed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct rpc_connection *connection = arg;

    pthread_mutex_lock(&connection->lock);
    switch (event) {
    case NNG_PIPE_EV_ADD_PRE:
        connection->newest = pipe;
        break;
    case NNG_PIPE_EV_ADD_POST:
        if (connection->newest.id == pipe.id) {
            connection->pipe = pipe;
        }
        break;
    default: // it was removed
        if (connection->newest.id == pipe.id) {
            connection->newest.id = 0;
        }
        if (connection->pipe.id == pipe.id) {
            connection->pipe.id = 0;
        }
        break;
    }
    pthread_mutex_unlock(&connection->lock);
}

static bool is_connected(struct rpc_connection *connection)
{
    pthread_mutex_lock(&connection->lock);
    bool connected = connection->pipe.id != 0;
    pthread_mutex_unlock(&connection->lock);
    return connected;
}

/* False if there is no connection now. */
static bool close_pipe(struct rpc_connection *connection)
{
    pthread_mutex_lock(&connection->lock);
    nng_pipe pipe = connection->pipe;
    pthread_mutex_unlock(&connection->lock);
    if (pipe.id != 0) {
        (void)nng_pipe_close(pipe);
    }
    return pipe.id != 0;
}

/* Starts a step and waits for its end: nng's result. A cancel either comes before the
 * start, and is seen here, or finds the step under way. */
static int
take_step(struct rpc_connection *connection, enum step step, int64_t timeout_ms)
{
    nng_duration duration = (nng_duration)(timeout_ms < 1 ? 1 : timeout_ms);
    nng_aio *aio = connection->aios[step];

    pthread_mutex_lock(&connection->lock);
    if (connection->cancelled) {
        pthread_mutex_unlock(&connection->lock);
        return NNG_ECANCELED;
    }
    switch (step) {
    case STEP_SEND:
        nng_aio_set_timeout(aio, duration);
        nng_send_aio(connection->socket, aio);
        break;
    case STEP_RECEIVE:
        nng_aio_set_timeout(aio, duration);
        nng_recv_aio(connection->socket, aio);
        break;
    case STEP_PAUSE:
        nng_sleep_aio(duration, aio);
        break;
    }
    pthread_mutex_unlock(&connection->lock);
    nng_aio_wait(aio);
    return nng_aio_result(aio);
}

static enum rpc_end give_up_cancelled(struct rpc_connection *connection,
                                      struct error *err)
{
    (void)error_set(
        err, ERROR_CANCELLED, "the call to %s was cancelled", connection->url);
    return RPC_GIVEN_UP;
}

/* Why a message did not go out. */
static enum rpc_end sending_failed(struct rpc_connection *connection,
                                   const struct rpc_exchange *exchange,
                                   int rc,
                                   struct error *err)
{
    int64_t waited_ms = clock_monotonic_ms() - exchange->start_ms;

    if (rc == NNG_ECANCELED) {
        return give_up_cancelled(connection, err);
    }
    if (rc == NNG_ETIMEDOUT && close_pipe(connection)) {
        (void)error_set(err,
                        ERROR_UNAVAILABLE,
                        "%s takes no requests (tried for %lld ms)",
                        connection->url,
                        (long long)waited_ms);
    } else if (rc == NNG_ETIMEDOUT) {
        (void)error_set(err,
                        ERROR_UNAVAILABLE,
                        "nobody listens on %s (tried for %lld ms)",
                        connection->url,
                        (long long)waited_ms);
    } else {
        (void)error_set(err,
                        ERROR_UNAVAILABLE,
                        "cannot send to %s: %s",
                        connection->url,
                        nng_strerror(rc));
    }
    return RPC_LOST;
}

/* Why no answer came to a message that went out. */
static enum rpc_end receiving_failed(struct rpc_connection *connection,
                                     const struct rpc_exchange *exchange,
                                     int rc,
                                     struct error *err)
{
    int64_t waited_ms = clock_monotonic_ms() - exchange->start_ms;

    if (rc == NNG_ECANCELED) {
        return give_up_cancelled(connection, err);
    }
    if (rc == NNG_ETIMEDOUT) {
        // Perhaps the connection is dead and nobody has said so.
        (void)close_pipe(connection);
        (void)error_set(err,
                        ERROR_DEADLINE_EXCEEDED,
                        "%s did not answer %s within %lld ms",
                        connection->url,
                        exchange->what,
                        (long long)waited_ms);
        return RPC_LOST;
    }
    (void)error_set(err,
                    ERROR_UNAVAILABLE,
                    "the connection to %s broke before %s was answered",
                    connection->url,
                    exchange->what);
    return RPC_LOST;
}

/* --- a stuck dialer --- */

/* Connects to where the URL points, by itself: what nng would leave behind if it is
 * stuck is closed here. */
static bool somebody_listens(const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int failure = 0;
    socklen_t failure_size = sizeof(failure);
    bool listens = fd >= 0 && connect(fd, address, size) == 0;

    if (fd >= 0 && !listens && errno == EINPROGRESS) {
        listens = poll(&poll_fd, 1, PROBE_MS) == 1 &&
                  getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &failure_size) == 0 &&
                  failure == 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return listens;
}

static bool somebody_listens_on_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return somebody_listens((const struct sockaddr *)&address, sizeof(address));
}

static bool somebody_listens_on_tcp(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool listens = false;

    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return false;
    }
    for (const struct addrinfo *at = found; at && !listens; at = at->ai_next) {
        listens = somebody_listens(at->ai_addr, at->ai_addrlen);
    }
    freeaddrinfo(found);
    return listens;
}

static bool probe(const char *url)
{
    nng_url *parsed = NULL;

    if (nng_url_parse(&parsed, url) != 0) {
        return false;
    }
    bool listens = strncmp(parsed->u_scheme, "tcp", strlen("tcp")) == 0
                       ? somebody_listens_on_tcp(parsed->u_hostname, parsed->u_port)
                       : somebody_listens_on_unix(parsed->u_path);
    nng_url_free(parsed);
    return listens;
}

/* nng 1.5's dialer connects again only after its reaper has taken the connection that
 * ended, and the reaper can be stuck for good (nng #1636): the connection is still
 * there then. A new dialer of the same socket connects at once; it costs the descriptor
 * that such a connection keeps. */
static void redial(struct rpc_connection *connection, bool stuck)
{
    nng_dialer dialer;

    if (!probe(connection->url) ||
        nng_dialer_create(&dialer, connection->socket, connection->url) != 0) {
        return;
    }
    (void)nng_dialer_close(connection->dialer);
    (void)nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
    connection->dialer = dialer;
    if (stuck) {
        connection->patience_ms *= 2;
        if (connection->patience_ms > REDIAL_MAX_MS) {
            connection->patience_ms = REDIAL_MAX_MS;
        }
        atomic_fetch_add(&connection->redials, 1);
    }
}

/* nng's result; the message is the sending aio's, still if it was not 0. It is not
 * sent again here: nng 1.5 says at times that it has sent what is given to it at the
 * moment in which its time was over. */
static int send_message(struct rpc_connection *connection, int64_t timeout_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    bool connected = is_connected(connection);
    int64_t patience_ms = connected ? connection->patience_ms : UNCONNECTED_MS;

    if (connection->stuck_ms == 0) {
        connection->stuck_ms = now_ms;
    } else if (now_ms - connection->stuck_ms >= patience_ms) {
        redial(connection, connected);
        connection->stuck_ms = now_ms;
    }
    int64_t left_ms = connection->stuck_ms + patience_ms - now_ms;
    int rc =
        take_step(connection, STEP_SEND, left_ms < timeout_ms ? left_ms : timeout_ms);
    if (rc == 0) {
        connection->stuck_ms = 0;
    }
    return rc;
}

enum rpc_end rpc_connection_exchange(struct rpc_connection *connection,
                                     const struct rpc_exchange *exchange,
                                     struct nng_msg *message,
                                     struct nng_msg **out_answer,
                                     struct error *err)
{
    int64_t left_ms = exchange->end_ms - clock_monotonic_ms();

    nng_aio_set_msg(connection->aios[STEP_SEND], message);
    int rc = send_message(
        connection, left_ms < exchange->connect_ms ? left_ms : exchange->connect_ms);
    if (rc != 0) {
        nng_msg_free(message);
        nng_aio_set_msg(connection->aios[STEP_SEND], NULL);
        return sending_failed(connection, exchange, rc, err);
    }
    rc = take_step(connection, STEP_RECEIVE, exchange->end_ms - clock_monotonic_ms());
    if (rc != 0) {
        return receiving_failed(connection, exchange, rc, err);
    }
    atomic_store(&connection->heard_ms, clock_monotonic_ms());
    connection->patience_ms = REDIAL_MIN_MS;
    *out_answer = nng_aio_get_msg(connection->aios[STEP_RECEIVE]);
    return RPC_ANSWERED;
}

int rpc_connection_pause(struct rpc_connection *connection,
                         int64_t duration_ms,
                         struct error *err)
{
    if (take_step(connection, STEP_PAUSE, duration_ms) != 0) {
        (void)give_up_cancelled(connection, err);
        return -1;
    }
    return 0;
}

void rpc_connection_hang_up(struct rpc_connection *connection)
{
    (void)close_pipe(connection);
}

void rpc_connection_cancel(struct rpc_connection *connection)
{
    pthread_mutex_lock(&connection->lock);
    connection->cancelled = true;
    pthread_mutex_unlock(&connection->lock);
    for (int i = 0; i < STEPS; i++) {
        nng_aio_cancel(connection->aios[i]);
    }
}

int64_t rpc_connection_heard_ms(const struct rpc_connection *connection)
{
    return atomic_load(&connection->heard_ms);
}

unsigned rpc_connection_redials(const struct rpc_connection *connection)
{
    return atomic_load(&connection->redials);
}

const char *rpc_connection_url(const struct rpc_connection *connection)
{
    return connection->url;
}

/* --- opening --- */

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

static int open_socket(struct rpc_connection *connection, size_t size_max)
{
    int rc = nng_req0_open(&connection->socket);

    for (int i = 0; rc == 0 && i < STEPS; i++) {
        rc = nng_aio_alloc(&connection->aios[i], NULL, NULL);
    }
    if (rc != 0) {
        return rc;
    }
    nng_aio_set_timeout(connection->aios[STEP_PAUSE], NNG_DURATION_INFINITE);
    const struct {
        const char *name;
        nng_duration value;
    } times[] = {
        {NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE},
        {NNG_OPT_RECONNMINT, RECONNECT_MIN_MS},
        {NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS},
    };
    for (size_t i = 0; rc == 0 && i < sizeof(times) / sizeof(times[0]); i++) {
        rc = nng_socket_set_ms(connection->socket, times[i].name, times[i].value);
    }
    if (rc == 0) {
        rc = nng_socket_set_size(connection->socket, NNG_OPT_RECVMAXSZ, size_max);
    }
    return rc;
}

static int dial(struct rpc_connection *connection)
{
    nng_socket socket = connection->socket;
    const nng_pipe_ev events[] = {
        NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST};
    int rc = nng_dialer_create(&connection->dialer, socket, connection->url);

    for (size_t i = 0; rc == 0 && i < sizeof(events) / sizeof(events[0]); i++) {
        rc = nng_pipe_notify(socket, events[i], pipe_changed, connection);
    }
    return rc == 0 ? nng_dialer_start(connection->dialer, NNG_FLAG_NONBLOCK) : rc;
}

int rpc_connection_open(const char *url,
                        size_t size_max,
                        struct rpc_connection **out_connection,
                        struct error *err)
{
    struct rpc_connection *connection = memory_zalloc(sizeof(*connection));

    connection->url = memory_strdup(url);
    connection->patience_ms = REDIAL_MIN_MS;
    pthread_mutex_init(&connection->lock, NULL);
    atomic_init(&connection->heard_ms, clock_monotonic_ms());
    int rc = open_socket(connection, size_max);
    if (rc == 0) {
        rc = dial(connection);
    }
    if (rc != 0) {
        // The socket, which never had a connection, is left behind.
        (void)set_nng_error(err, rc, url);
        for (int i = 0; i < STEPS; i++) {
            nng_aio_free(connection->aios[i]);
        }
        pthread_mutex_destroy(&connection->lock);
        free(connection->url);
        free(connection);
        return -1;
    }
    *out_connection = connection;
    return 0;
}
