/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h - the master that a command speaks to
 *
 * Picks the environment and makes sure at once that its master answers, so that a
 * command without one fails within seconds and says what to do. Single-threaded.
 */
#ifndef CORTEX_CLIENT_CLI_CONNECTION_H
#define CORTEX_CLIENT_CLI_CONNECTION_H

#include "client/api.h"
#include "client/cli/environment.h"
#include "common/options.h"
#include "common/seal.h"

/* The row of every command that speaks to a master; target, a const char *. */
#define CONNECTION_OPTION(target_)                                                     \
    {                                                                                  \
        .name = "env", .letter = 'e', .type = OPTION_TEXT, .target = (target_),        \
        .value = "NAME", .help = "environment to use (default: the default one)"       \
    }

#define CONNECTION_TIMEOUT_MS 30000 /* of later calls */

struct connection {
    struct environment environment;
    struct seal seal;       /* with keys */
    struct client_api *api; /* each call of it has CONNECTION_TIMEOUT_MS */
    char *release;          /* the master's */
    char *bridge_url;       /* base of endpoints, without a slash at its end */
};

/* env_name: what --env says, or NULL. Blocks for some seconds at most: UNAVAILABLE
 * names the environment and its address. Tells a person on standard error which
 * environment was taken when there are several and none was named. */
int connection_open(const char *env_name, struct connection *out, struct error *err);

/* Frees what is freed before the process ends; nng's sockets stay (rpc_client.h). */
void connection_fini(struct connection *connection);

#endif
