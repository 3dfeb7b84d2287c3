/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_handshake.h - how a client gets a session before it asks
 *
 * Blocks for as long as the exchange says. One thread at a time. */
#ifndef CORTEX_COMMON_RPC_HANDSHAKE_H
#define CORTEX_COMMON_RPC_HANDSHAKE_H

#include "common/rpc_connection.h"
#include "common/session_client.h"

/* Shakes hands unless the session lives. RPC_ANSWERED: it lives now. RPC_LOST with
 * UNAUTHENTICATED means that the server rejects the hello as if it were for another
 * (which anybody on the way can pretend); RPC_GIVEN_UP that it has refused the key. */
enum rpc_end rpc_handshake(struct rpc_connection *connection,
                           const struct rpc_exchange *exchange,
                           struct session_client *session,
                           struct error *err);

#endif
