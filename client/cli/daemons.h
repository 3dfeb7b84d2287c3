/* SPDX-License-Identifier: Apache-2.0 */
/* daemons.h - how the daemons of a local cluster are started and stopped
 *
 * Both work on the daemons that are marked in the state, and save the state as they go:
 * whatever kills the caller, cluster.json names every process that runs. What takes
 * over a second is told on standard error. The caller holds the cluster's lock. */
#ifndef CORTEX_CLIENT_CLI_DAEMONS_H
#define CORTEX_CLIENT_CLI_DAEMONS_H

#include "client/cli/cluster_state.h"
#include "common/error.h"

/* Starts the marked ones, the master before the others, and waits until all are ready.
 * UNAVAILABLE says which did not become ready, and its last words; those that were
 * started run on then, still marked. A log over 16 MiB becomes <log>.1 first. */
int daemons_start(struct cluster_state *state, struct error *err);

/* Stops the marked ones by SIGTERM, agents first, which may end the batches in hand,
 * then the bridge, then the master. Who does not end in time is killed, with a warning.
 */
int daemons_stop(struct cluster_state *state, struct error *err);

/* The path of a role's program: the one that was built and installed with this, else
 * its name, to be searched in PATH. The caller frees. */
char *daemons_program(enum cluster_role role);

#endif
