/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - what a worker is doing, and what may come next
 *
 *      INITIALIZING ──▶ RUNNING ──▶ COMPLETING ──▶ COMPLETED
 *         │  │           │  │          │              │
 *         │  └───────────┼──┴──────────┼──────────────┤
 *         ▼              ▼             ▼              ▼
 *       FAILED ◀─────────┴─────────────┴─────▶      EXITED
 *
 * Every state may end in FAILED or EXITED; those two are final. The numbers are the
 * wire's (proto/agent.proto). What the master wishes and what the worker was last told
 * are not states: workers.c compares them with the state. Pure. */
#ifndef CORTEX_AGENT_WORKER_H
#define CORTEX_AGENT_WORKER_H

#include <stdbool.h>

enum agent_worker_state {
    AGENT_WORKER_INITIALIZING = 1, /* installing, importing, constructing */
    AGENT_WORKER_RUNNING = 2,      /* constructed; idle or in predict */
    AGENT_WORKER_COMPLETING = 3,   /* in on_job_complete */
    AGENT_WORKER_COMPLETED = 4,    /* on_job_complete has returned */
    AGENT_WORKER_EXITED = 5,       /* left in good order, or was told to stop */
    AGENT_WORKER_FAILED = 6,
};

enum agent_worker_failure {
    AGENT_FAILURE_NONE = 0,
    AGENT_FAILURE_SETUP = 1,    /* dependencies, import, signature or constructor */
    AGENT_FAILURE_DIED = 2,     /* exited or was killed after construction */
    AGENT_FAILURE_MEMORY = 3,   /* killed for memory */
    AGENT_FAILURE_CALLBACK = 4, /* on_job_complete raised */
    AGENT_FAILURE_MACHINE = 5,  /* not begun: the agent's disk is full or fails */
};

/* How far it has come with on_job_complete; said of it even when it has ended. */
enum agent_callback {
    AGENT_CALLBACK_NOT_BEGUN = 1,
    AGENT_CALLBACK_BEGUN = 2,
    AGENT_CALLBACK_RETURNED = 3,
};

/* What the master wants of a worker, in the order in which one overrides another. */
enum agent_wish {
    AGENT_WISH_RUN = 1,
    AGENT_WISH_COMPLETE = 2,
    AGENT_WISH_DRAIN = 3,
    AGENT_WISH_STOP = 4,
};

const char *agent_worker_state_name(enum agent_worker_state state);
bool agent_worker_state_final(enum agent_worker_state state);
bool agent_worker_state_allows(enum agent_worker_state from,
                               enum agent_worker_state to);

/* Moves *state; asserts that the table has the edge. */
void agent_worker_state_move(enum agent_worker_state *state,
                             enum agent_worker_state to);

#endif
