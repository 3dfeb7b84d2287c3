/* SPDX-License-Identifier: Apache-2.0 */
/* test_rpc_peers.c - whether a connection that nng forgot is found
 *
 * What a stuck reaper leaves behind is a descriptor whose other side is gone. Plain
 * sockets stand for it; test_rpc.c holds the limits with real servers. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/rpc_peers.h"

/* A listener with one connection to it. */
struct connection {
    int listener;
    int near;
    int far;
};

static void
connect_pair(struct connection *out, struct sockaddr *address, socklen_t size)
{
    int family = address->sa_family;

    out->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(out->listener, address, size), 0);
    assert_int_equal(listen(out->listener, 1), 0);
    assert_int_equal(getsockname(out->listener, address, &size), 0);
    out->far = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(out->far, address, size), 0);
    out->near = accept(out->listener, NULL, NULL);
    assert_true(out->near >= 0);
}

static void is_counted_once_the_other_side_is_gone(struct connection *pair,
                                                   const char *url)
{
    assert_int_equal(rpc_peers_hung_up(url), 0);
    (void)close(pair->far);
    assert_int_equal(rpc_peers_hung_up(url), 1);
    assert_int_equal(rpc_peers_hung_up("tcp://127.0.0.1:1"), 0);
    assert_int_equal(rpc_peers_hung_up("ipc:///nowhere"), 0);
    (void)close(pair->near);
    assert_int_equal(rpc_peers_hung_up(url), 0);
    (void)close(pair->listener);
}

static void a_tcp_descriptor_that_outlives_its_peer_is_counted(void **state)
{
    (void)state;
    struct connection pair;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    connect_pair(&pair, (struct sockaddr *)&address, sizeof(address));
    char *url = memory_format("tcp://127.0.0.1:%d", ntohs(address.sin_port));
    is_counted_once_the_other_side_is_gone(&pair, url);
    free(url);
}

static void a_unix_descriptor_that_outlives_its_peer_is_counted(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_rpc_peers.XXXXXX";
    struct connection pair;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
    char *path = memory_strdup(address.sun_path);
    connect_pair(&pair, (struct sockaddr *)&address, sizeof(address));
    char *url = memory_format("ipc://%s", path);
    is_counted_once_the_other_side_is_gone(&pair, url);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    free(url);
    free(path);
}

static void a_connection_cut_on_this_side_but_not_closed_is_counted(void **state)
{
    (void)state;
    struct connection pair;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    connect_pair(&pair, (struct sockaddr *)&address, sizeof(address));
    char *url = memory_format("tcp://127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(shutdown(pair.near, SHUT_RDWR), 0);
    assert_int_equal(rpc_peers_hung_up(url), 1);
    (void)close(pair.near);
    (void)close(pair.far);
    (void)close(pair.listener);
    free(url);
}

static void a_peer_that_has_left_is_described_as_unknown(void **state)
{
    (void)state;
    char text[RPC_PEER_TEXT_SIZE];

    rpc_peers_describe(12345, text);
    assert_string_equal(text, "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tcp_descriptor_that_outlives_its_peer_is_counted),
        cmocka_unit_test(a_unix_descriptor_that_outlives_its_peer_is_counted),
        cmocka_unit_test(a_connection_cut_on_this_side_but_not_closed_is_counted),
        cmocka_unit_test(a_peer_that_has_left_is_described_as_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
