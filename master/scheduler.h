/* SPDX-License-Identifier: Apache-2.0 */
/* scheduler.h - which workers should run where
 *
 * Max-min fair: agents' room is dealt out one worker at a time, each job in turn,
 * until nobody who still wants one fits anywhere. So no job starves another, and one
 * that fits nowhere blocks nobody. A job keeps the workers it has before it is given
 * new ones; what it has beyond its share is drained. (Progressive filling: Bertsekas &
 * Gallager, Data Networks, 6.5.2.)
 *
 * Pure: plain arrays in, decisions out.
 */
#ifndef CORTEX_MASTER_SCHEDULER_H
#define CORTEX_MASTER_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scheduler_room {
    int64_t cpu_millis;
    int64_t memory_bytes;
    int64_t gpus;
    int64_t workers; /* how many more, whatever their size */
};

struct scheduler_agent {
    struct scheduler_room room; /* of the whole agent; 0 when it is draining */
};

struct scheduler_job {
    uint32_t demand;            /* workers it could use */
    struct scheduler_room need; /* of one worker; workers is 1 */
    uint32_t planned;           /* out: workers it is going to have */
};

/* A worker that exists. Those of one job in the order in which they are kept. */
struct scheduler_worker {
    size_t job;
    size_t agent;
    bool keep; /* out: false: drain it */
};

struct scheduler_placement {
    size_t job;
    size_t agent;
};

struct scheduler_plan {
    struct scheduler_agent *agents;
    size_t agent_count;
    struct scheduler_job *jobs; /* in the order in which they are served */
    size_t job_count;
    struct scheduler_worker *workers;
    size_t worker_count;
    struct scheduler_placement *placements; /* out; the caller frees */
    size_t placement_count;
};

void scheduler_plan(struct scheduler_plan *plan);

#endif
