/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - what a worker is doing, and what may come next */
#include <assert.h>
#include <stddef.h>

#include "agent/worker.h"

#define BIT(state) (1u << (state))
#define ENDS       (BIT(AGENT_WORKER_EXITED) | BIT(AGENT_WORKER_FAILED))

static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [AGENT_WORKER_INITIALIZING] = {"initializing", BIT(AGENT_WORKER_RUNNING) | ENDS},
    [AGENT_WORKER_RUNNING] = {"running", BIT(AGENT_WORKER_COMPLETING) | ENDS},
    [AGENT_WORKER_COMPLETING] = {"completing", BIT(AGENT_WORKER_COMPLETED) | ENDS},
    [AGENT_WORKER_COMPLETED] = {"completed", ENDS},
    [AGENT_WORKER_EXITED] = {"exited", 0},
    [AGENT_WORKER_FAILED] = {"failed", 0},
};

const char *agent_worker_state_name(enum agent_worker_state state)
{
    return states[state].name;
}

bool agent_worker_state_final(enum agent_worker_state state)
{
    return states[state].next == 0;
}

bool agent_worker_state_allows(enum agent_worker_state from, enum agent_worker_state to)
{
    return (states[from].next & BIT(to)) != 0;
}

void agent_worker_state_move(enum agent_worker_state *state, enum agent_worker_state to)
{
    assert(agent_worker_state_allows(*state, to));
    *state = to;
}
