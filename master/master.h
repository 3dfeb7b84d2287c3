/* SPDX-License-Identifier: Apache-2.0 */
/* master.h - how the master is put together, run and taken apart */
#ifndef CORTEX_MASTER_MASTER_H
#define CORTEX_MASTER_MASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct master_options {
    const char *state_folder;
    const char *listen_url; /* where agents, CLI and bridge call */
    const char *bridge_url; /* base of the endpoints that users see; "" : unknown */
    bool allow_file;
    int64_t lease_ms;
    int64_t lost_ms;
    int ready_fd; /* -1, or where the URL is written once calls are taken */
};

/* Runs until SIGTERM or SIGINT (0), or until the state can no longer be written (-1).
 * Single-threaded until then; signals are blocked for all threads. Does not free what
 * nng holds: the process is to end. */
int master_run(const struct master_options *options, struct error *err);

#endif
