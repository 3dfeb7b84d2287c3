/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_connection.h - how one message goes out over nng and its answer comes back
 *
 * A REQ socket with one connection, which is made again when it broke, and at most one
 * message in flight (more wedges nng 1.5). One thread at a time, but for
 * rpc_connection_cancel and _heard_ms. There is no way to end one: see rpc_client.h.
 * Messages are nng's (nng_msg), named so that no other file needs its headers. */
#ifndef CORTEX_COMMON_RPC_CONNECTION_H
#define CORTEX_COMMON_RPC_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct nng_msg;
struct rpc_connection;

/* How an exchange, or a whole attempt at a call, ended. */
enum rpc_end {
    RPC_ANSWERED, /* whatever the answer */
    RPC_LOST,     /* not: another attempt may do better */
    RPC_GIVEN_UP, /* not, and no other will */
};

struct rpc_exchange {
    const char *what;   /* is asked, for errors: "cortex.v1.Client/GetJob" */
    int64_t start_ms;   /* when the call began, for errors */
    int64_t connect_ms; /* how long it waits for a connection at most */
    int64_t end_ms;     /* monotonic: when it waits for the answer no longer */
};

/* Dials in the background; never blocks. Takes messages of at most size_max bytes.
 * -1 only for a malformed URL or when nng has no memory. */
int rpc_connection_open(const char *url,
                        size_t size_max,
                        struct rpc_connection **out_connection,
                        struct error *err);

const char *rpc_connection_url(const struct rpc_connection *connection);

/* Sends the message, which is taken whatever happens, and waits for the answer, which
 * the caller frees. Any other end sets err. Blocks. */
enum rpc_end rpc_connection_exchange(struct rpc_connection *connection,
                                     const struct rpc_exchange *exchange,
                                     struct nng_msg *message,
                                     struct nng_msg **out_answer,
                                     struct error *err);

/* Blocks for so long: 0, or -1 with CANCELLED. */
int rpc_connection_pause(struct rpc_connection *connection,
                         int64_t duration_ms,
                         struct error *err);

/* Has nng make a new connection, since what comes over this one makes no sense. */
void rpc_connection_hang_up(struct rpc_connection *connection);

/* From another thread: what is waited for, now or later, ends at once. */
void rpc_connection_cancel(struct rpc_connection *connection);

/* Monotonic ms when an answer last came; the opening's until then. Any thread. */
int64_t rpc_connection_heard_ms(const struct rpc_connection *connection);

/* How often nng did not connect again though somebody listens, and was helped to. More
 * than a few mean that it is wedged (nng #1636): each costs a descriptor then, and all
 * is well, but only an execution anew gives them back. Any thread. */
unsigned rpc_connection_redials(const struct rpc_connection *connection);

#endif
