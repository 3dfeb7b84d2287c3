/* SPDX-License-Identifier: Apache-2.0 */
/* tls_tunnel.c - a socket whose bytes go to a server by TLS */
#include "tests/support/tls_tunnel.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "common/buffer.h"

struct tunnel {
    int server_fd;
    int plain_fd;
    bool deaf; /* the server takes nothing more */
};

// False when who writes to the tunnel has hung up.
static bool carry_there(struct tunnel *tunnel, gnutls_session_t session)
{
    char data[16384];
    ssize_t size = recv(tunnel->plain_fd, data, sizeof(data), 0);

    for (ssize_t sent = 0; sent < size && !tunnel->deaf;) {
        ssize_t more = gnutls_record_send(session, data + sent, (size_t)(size - sent));
        if (more < 0 && gnutls_error_is_fatal((int)more)) {
            tunnel->deaf = true;
        } else if (more > 0) {
            sent += more;
        }
    }
    return size > 0;
}

// False when there is nothing more to come, or nobody who reads it.
static bool carry_back(const struct tunnel *tunnel, gnutls_session_t session)
{
    char data[16384];
    ssize_t size = gnutls_record_recv(session, data, sizeof(data));

    if (size < 0 && !gnutls_error_is_fatal((int)size)) {
        return true;
    }
    for (ssize_t sent = 0; sent < size;) {
        ssize_t more =
            send(tunnel->plain_fd, data + sent, (size_t)(size - sent), MSG_NOSIGNAL);
        if (more <= 0) {
            return false;
        }
        sent += more;
    }
    return size > 0;
}

static void carry(struct tunnel *tunnel, gnutls_session_t session)
{
    bool open = true;

    while (open) {
        struct pollfd fds[] = {
            {.fd = tunnel->server_fd, .events = POLLIN},
            {.fd = tunnel->deaf ? -1 : tunnel->plain_fd, .events = POLLIN},
        };
        bool pending = gnutls_record_check_pending(session) > 0;
        (void)poll(fds, 2, pending ? 0 : -1);
        if (fds[1].revents) {
            open = carry_there(tunnel, session);
        }
        if (open && (pending || fds[0].revents)) {
            open = carry_back(tunnel, session);
        }
    }
}

static void *tunnel_run(void *arg)
{
    struct tunnel *tunnel = arg;
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;

    (void)gnutls_certificate_allocate_credentials(&credentials);
    (void)gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    (void)gnutls_set_default_priority(session);
    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, tunnel->server_fd);
    int result;
    do {
        result = gnutls_handshake(session);
    } while (result < 0 && !gnutls_error_is_fatal(result));
    if (result == 0) {
        carry(tunnel, session);
    }
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    (void)close(tunnel->server_fd);
    (void)close(tunnel->plain_fd);
    free(tunnel);
    return NULL;
}

int tls_tunnel_open(int server_fd)
{
    struct tunnel *tunnel = memory_zalloc(sizeof(*tunnel));
    pthread_t thread;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    tunnel->server_fd = server_fd;
    tunnel->plain_fd = ends[1];
    assert_int_equal(pthread_create(&thread, NULL, tunnel_run, tunnel), 0);
    (void)pthread_detach(thread);
    return ends[0];
}
