/* SPDX-License-Identifier: Apache-2.0 */
/* effects.h - what an agent's decisions have its owner do
 *
 * Whoever decides (agent.h) calls these; its owner, the daemon or a simulator, carries
 * them out and reports what became of them. They are called from inside the functions
 * of agent.h and must not call back into them. */
#ifndef CORTEX_AGENT_EFFECTS_H
#define CORTEX_AGENT_EFFECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/worker.h"

#define AGENT_WORKERS_MAX 1024 /* a bound for the loops over them, beyond any node */

struct agent_capacity {
    uint32_t cpu_millis;
    uint64_t memory_bytes;
    uint32_t gpus;
};

/* What the master wants of one worker. */
struct agent_desired_worker {
    uint64_t worker_id;
    uint64_t job_id;
    struct agent_capacity share;
    enum agent_wish wish;
    bool closes_job;
};

/* Why a worker is told to leave; the numbers are the runner protocol's. */
enum agent_leave {
    AGENT_LEAVE_QUIETLY = 0, /* the agent itself is leaving */
    AGENT_LEAVE_EMPTY = 1,   /* the job has nothing more for it */
    AGENT_LEAVE_CLOSING = 2, /* and it writes the job's closing line */
};

struct agent_feed {
    uint64_t worker_id;
    uint64_t job_id;
    uint64_t index;
    const void *payload; /* borrowed until the effect returns */
    uint32_t size;
};

struct agent_effects {
    /* Get the worker ready; agent_worker_ready or agent_worker_ended follows. Called
     * when there is room for it: workers that have not ended are still in the way. */
    void (*start)(void *arg, const struct agent_desired_worker *desired);
    /* Queue a batch behind those it has; agent_batch_ended follows, or the end of the
     * worker. */
    void (*feed)(void *arg, const struct agent_feed *batch);
    /* Run on_job_complete; agent_worker_completed follows, or its end. */
    void (*complete)(void *arg, uint64_t worker_id);
    /* End what is in predict, begin no more, leave. agent_worker_ended follows. */
    void (*drain)(void *arg, uint64_t worker_id, enum agent_leave why);
    /* Kill it now. agent_worker_ended follows. */
    void (*stop)(void *arg, uint64_t worker_id);
    /* It is over and told: free what belongs to it. */
    void (*forget)(void *arg, uint64_t worker_id);
};

#endif
