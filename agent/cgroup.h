/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup.h - the kernel's own bounds around a worker, where this machine gives us any
 *
 * With a cgroup v2 hierarchy in which the agent may make groups, each worker gets one:
 * "<the agent's group>/cortex-<name>/<worker id>". All in it can be killed at once. Of
 * the controllers those that the agent's group has are used: memory.max (and the
 * verdict of the kernel when it was not enough), pids.max, and cpu.weight. For that the
 * agent's group must be the agent's alone, as a service's is with systemd's Delegate=;
 * the agent then moves itself into a group below it. All block briefly; any thread. See
 * also: cgroups(7), Documentation/admin-guide/cgroup-v2.rst. */
#ifndef CORTEX_AGENT_CGROUP_H
#define CORTEX_AGENT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct cgroups {
    char *folder; /* of the workers' groups; NULL: there are none */
    bool memory;  /* memory.max works */
    bool pids;
    bool cpu;
};

/* What an earlier agent of that name has left is killed and removed. Failure: the
 * sentence says why there can be no groups. */
int cgroups_open(const char *name, struct cgroups *out, struct error *err);
/* Kills and removes all of them. */
void cgroups_close(struct cgroups *cgroups);

struct cgroup_limits {
    uint64_t memory_bytes; /* 0: none */
    uint32_t cpu_millis;
    uint32_t processes; /* 0: none */
};

/* A new group; *out_path is the caller's. A limit that has no controller is left out.
 */
int cgroup_make(const struct cgroups *cgroups,
                uint64_t worker_id,
                const struct cgroup_limits *limits,
                char **out_path,
                struct error *err);

/* The file to which a process writes "0" to join; -1: none. */
int cgroup_open_procs(const char *path);

void cgroup_kill(const char *path);

/* Whether the kernel has killed a process in it for want of memory. */
bool cgroup_ran_out_of_memory(const char *path);

/* Kills what is in it and removes it. Waits for the kernel for up to a second. */
void cgroup_remove(const char *path);

#endif
