/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.h - how a request is read, refused or handed on, and answered
 *
 * One request of a connection, from its first line until its answer is sent. What
 * leaves doubt about where it ends is refused (framing.h), and so is, before its body
 * is read, the request of one who may not ask (access.h). A request that needs the
 * master is handed to a pool with its connection suspended; the reply is sent once it
 * is resumed, which is said by a write to wake_fd. All else is the server's thread's.
 */
#ifndef CORTEX_CLIENT_BRIDGE_EXCHANGE_H
#define CORTEX_CLIENT_BRIDGE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include <microhttpd.h>

#include "client/bridge/access.h"
#include "client/bridge/peers.h"
#include "client/bridge/translate.h"

/* 10 MiB, and a margin so that a little too much is the master's to say. */
#define EXCHANGE_BODY_SIZE_MAX    ((10u << 20) + (64u << 10))
#define EXCHANGE_BODIES_SIZE_MAX  (256u << 20) /* of all requests at a time */
#define EXCHANGE_DISCARD_SIZE_MAX (64u << 20)  /* read on, so that 413 is seen */
#define EXCHANGE_KEY_SIZE_MAX     255          /* bytes of an Idempotency-Key */

struct exchange;

/* What they share. All borrowed. */
struct exchanges {
    struct bridge *bridge;
    struct access *access;
    const char *cors_origin; /* NULL: none */
    struct peers *peers;
    int wake_fd;        /* eventfd: a connection was resumed */
    bool leaving;       /* connections are closed when they are answered */
    size_t bodies_size; /* of the bodies being read */
    unsigned count;
};

/* The request's line is there. */
struct exchange *exchange_begin(struct exchanges *all,
                                const char *uri,
                                struct MHD_Connection *connection,
                                struct peer *peer);
void exchange_end(struct exchange *exchange); /* NULL is fine */

/* The headers are there; or a piece of the body, all of which is taken; or, with size
 * 0, the whole request, or the connection was resumed. False: close the connection. */
bool exchange_step(struct exchange *exchange,
                   const char *method,
                   const char *data,
                   size_t size);

#endif
