/* SPDX-License-Identifier: Apache-2.0 */
/* sim_worker.h - what a worker's process does, and when its agent sees it
 *
 * The process goes on by itself, in events; what it says (ready, a result, its end)
 * waits until the agent's next turn, as frames on a socket do. */
#ifndef CORTEX_TESTS_SIM_WORKER_H
#define CORTEX_TESTS_SIM_WORKER_H

#include "tests/sim/sim_agent.h"

enum sim_phase {
    SIM_SETTING_UP,
    SIM_STARTING,
    SIM_SERVING_BATCHES,
    SIM_CALLING,
    SIM_ENDING,
    SIM_OVER,
};

extern const struct agent_effects sim_worker_effects; /* arg: struct sim_agent */

/* Takes in what the agent's workers have said since the last turn. */
void sim_workers_turn(struct sim *sim, struct sim_agent *agent);

/* Starts an AppendLog call if there is something to ship. */
void sim_workers_ship(struct sim *sim, struct sim_agent *agent);

/* The agent's process is gone, and all of these with it. */
void sim_workers_die(struct sim *sim, struct sim_agent *agent);

bool sim_worker_is_of(const struct sim_agent *agent, uint64_t worker_id);

bool sim_workers_finished(const struct sim_agent *agent);

/* The room that processes take now. */
struct agent_capacity sim_workers_taken(const struct sim_agent *agent);

/* The agent whose process the effects' arg is. */
struct sim_agent_arg {
    struct sim *sim;
    struct sim_agent *agent;
};

#endif
