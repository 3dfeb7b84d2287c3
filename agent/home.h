/* SPDX-License-Identifier: Apache-2.0 */
/* home.h - what an agent keeps in its state folder
 *
 *   lock       held while an agent runs there: two would share its name
 *   agent_id   16 bytes in hex, made once: the agent's name to a master without keys
 *   key, join  the agent's key, and whose master it may call (common/seal.h)
 *   runner/    the Python side of a worker, written at each start
 *   projects/  archives by SHA-256          envs/     virtual environments by hash
 *   workers/   one folder per worker, emptied at each start
 */
#ifndef CORTEX_AGENT_HOME_H
#define CORTEX_AGENT_HOME_H

#include "agent/sandbox.h"
#include "agent/session.h"
#include "common/error.h"

struct home {
    char *folder; /* absolute */
    int lock_fd;
    unsigned char agent_id[SESSION_AGENT_ID_SIZE];
};

/* Blocks on the disk. Others may pass through the folder if workers are others, and
 * what still runs of workers of an agent that was here is killed. FAILED_PRECONDITION
 * if an agent runs there already, or user code cannot get there. */
int home_open(const char *folder,
              const struct sandbox *sandbox,
              struct home *out,
              struct error *err);
void home_close(struct home *home);

/* Writes the runner package to "<folder>/runner/cortex_runner". */
int home_write_runner(const char *folder, struct error *err);

#endif
