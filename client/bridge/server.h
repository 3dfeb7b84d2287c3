/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - who is connected to the bridge, and what wakes it
 *
 * libmicrohttpd without threads of its own: whoever calls server_run accepts, reads,
 * and writes, and never blocks on the master (exchange.h).
 *
 * What is limited: connections, headers (by MHD, 32 KiB), one body and all bodies
 * together, and the time a client takes to send a request (peers.h).
 */
#ifndef CORTEX_CLIENT_BRIDGE_SERVER_H
#define CORTEX_CLIENT_BRIDGE_SERVER_H

#include <signal.h>
#include <stdint.h>

#include "client/bridge/access.h"
#include "client/bridge/tls.h"
#include "client/bridge/translate.h"

#define SERVER_DRAIN_TIMEOUT_MS 10000

struct server;

struct server_options {
    int listen_fd;           /* taken over */
    struct tls *tls;         /* NULL: plain HTTP. Borrowed, reread as it changes */
    struct access *access;   /* the same */
    const char *cors_origin; /* cors.h; NULL: none. Borrowed */
    unsigned connections_max;
    unsigned connections_per_address_max;
    int64_t header_ms; /* for a request's headers to arrive */
    int64_t body_ms;   /* for its body */
    int64_t idle_ms;   /* between requests, and while a client takes nothing */
};

/* bridge is borrowed. */
int server_create(const struct server_options *options,
                  struct bridge *bridge,
                  struct server **out_server,
                  struct error *err);

/* Serves until *stop is set by the handler of a signal that is blocked otherwise; then
 * accepts nothing more, breaks the streams, answers what is in flight (at most
 * SERVER_DRAIN_TIMEOUT_MS) and returns. */
void server_run(struct server *server, const volatile sig_atomic_t *stop);

#endif
