/* SPDX-License-Identifier: Apache-2.0 */
/* daemon.h - what wakes the agent, and in which order it then does things
 *
 * One thread decides: it waits for workers, finished calls and signals, hands what came
 * to agent.c and crew.c, and starts the calls they want. It also starts the processes,
 * which die with it. */
#ifndef CORTEX_AGENT_DAEMON_H
#define CORTEX_AGENT_DAEMON_H

#include <stdbool.h>

#include "agent/agent.h"
#include "common/error.h"

#define DAEMON_ENV_SIZE   ((int64_t)20 << 30) /* of virtual environments */
#define DAEMON_GRACE_MS   10000 /* after SIGTERM, for what is in predict */
#define DAEMON_FLUSH_MS   3000  /* after that, for results and logs */
#define DAEMON_MASTER_URL "tcp://127.0.0.1:8790"

struct daemon_options {
    const char *master_url; /* NULL: the join string's, or the default one */
    const char *join;       /* join string; NULL: the state folder's, if it has one */
    const char *key_file;   /* NULL: the state folder's */
    const char *state_dir;
    const char *name;
    const char *python;
    const char *user;       /* as whom user code runs: sandbox_parse */
    bool root_dependencies; /* dependencies.sh runs as the agent */
    int64_t env_size_max;   /* bytes of virtual environments */
    struct agent_capacity capacity;
    bool allow_file;
    int ready_fd; /* -1: none; gets a line when the master knows the agent */
    int64_t grace_ms;
    char **argv; /* to execute the agent anew with */
};

/* Runs until SIGTERM or SIGINT and everything is given back (0), or -1 if it cannot
 * start. If nng got stuck it executes the program anew once there is no worker; until
 * then all goes on. Call it from the main thread, before there are others. Afterwards
 * the process must end by _exit: nng's sockets cannot be closed. */
int daemon_run(const struct daemon_options *options, struct error *err);

#endif
