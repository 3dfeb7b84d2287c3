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
    bool read_only;
};

enum master_end {
    MASTER_LEFT,   /* SIGTERM or SIGINT */
    MASTER_FAILED, /* err says why */
    MASTER_AILING, /* the disk took no write, err says why: run it anew, read_only */
    MASTER_WELL,   /* it was read_only, and the disk takes writes: run it anew */
    MASTER_WEDGED, /* nng closes connections no more: run it anew, as it was */
};

/* Runs until one of these. All that was not committed is forgotten then, so to run anew
 * is to begin with what is on disk; agents carry on meanwhile. With read_only it
 * answers what only reads, refuses the rest with DATA_LOSS (agents: UNAVAILABLE), and
 * tries each second whether a commit succeeds. To run anew is to execute the program
 * anew, since nng cannot be taken down. Single-threaded until then; signals are blocked
 * for all threads. Does not free what nng holds: the process is to end. */
enum master_end master_run(const struct master_options *options, struct error *err);

#endif
