/* SPDX-License-Identifier: Apache-2.0 */
/* open_agent.c - an agent that strangers can reach: what if its nng is wedged?
 *
 * The real agent, linked anew, which also takes calls on CORTEX_TEST_LISTEN (there are
 * none). An agent dials with one request in flight on a connection and cannot be wedged
 * from outside; but nng has one reaper for all sockets of a process, and a server's
 * connections can be ended at the wrong moment. */
#include <stdlib.h>

#include "agent/session.h"
#include "common/rpc_server.h"

int __real_session_create(const struct session_options *options,
                          struct session **out_session,
                          struct error *err);
int __wrap_session_create(const struct session_options *options,
                          struct session **out_session,
                          struct error *err);

int __wrap_session_create(const struct session_options *options,
                          struct session **out_session,
                          struct error *err)
{
    ProtobufCService *none[] = {NULL};
    struct rpc_server_options open = {
        .url = getenv("CORTEX_TEST_LISTEN"),
        .services = none,
    };
    static struct rpc_server *server; // for who looks for leaks

    if (rpc_server_start(&open, &server, err) != 0) {
        return -1;
    }
    return __real_session_create(options, out_session, err);
}
