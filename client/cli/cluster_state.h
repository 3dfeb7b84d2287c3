/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_state.h - what is known of a local cluster: its settings and its daemons
 *
 * A local cluster is a state folder. cluster.json in it holds the settings that `up`
 * was given, so that a bare `up` starts the same again, and the processes that were
 * started. A program or an agent's number is found by the daemon's name:
 *
 *   cluster.json  lock  master.log  bridge.log  agent-1.log ...
 *   master/  bridge/  agent-1/ ...
 *
 * Blocks on the disk; single-threaded. Whoever changes it holds the lock. */
#ifndef CORTEX_CLIENT_CLI_CLUSTER_STATE_H
#define CORTEX_CLIENT_CLI_CLUSTER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/detached.h"
#include "common/error.h"

#define CLUSTER_AGENTS_MAX 64 /* of a local cluster */

/* In the order they are started in; they are stopped in the reverse one. */
enum cluster_role { CLUSTER_MASTER, CLUSTER_BRIDGE, CLUSTER_AGENT };

/* "master", "bridge", "agent" */
const char *cluster_role_name(enum cluster_role role);

/* As they were given on the command line; "" for what was not and has no default. */
struct cluster_settings {
    char *env;           /* the environment that is kept up to date */
    char *bridge_listen; /* "127.0.0.1:8888" */
    char *master_listen; /* "tcp://127.0.0.1:8790" */
    char *agent_cpu;     /* of each agent */
    char *agent_mem;
    char *python;
};

struct cluster_daemon {
    enum cluster_role role;
    char *name;   /* "master", "bridge", "agent-1" */
    char *folder; /* its own state */
    char *log;
    struct detached process;
    bool ready; /* has said so */
    /* --- memory only --- */
    bool marked; /* for whoever works on some of them */
};

struct cluster_state {
    char *folder; /* absolute */
    bool known;   /* was there before */
    struct cluster_settings settings;
    struct cluster_daemon *daemons; /* master, bridge, agents by number */
    size_t daemon_count;
};

/* Without cluster.json: the defaults, one agent, known false. Nothing is made. */
int cluster_state_load(const char *folder,
                       struct cluster_state *out,
                       struct error *err);
/* Whole or not at all. */
int cluster_state_save(const struct cluster_state *state, struct error *err);
void cluster_state_fini(struct cluster_state *state);

/* 1 to CLUSTER_AGENTS_MAX. Those that go must not run. */
void cluster_state_set_agents(struct cluster_state *state, size_t agents);

/* There was a process when this was last looked at. */
bool cluster_state_runs(const struct cluster_daemon *daemon);

/* Frees what *setting held. */
void cluster_setting_set(char **setting, const char *value);

#endif
