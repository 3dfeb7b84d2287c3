/* SPDX-License-Identifier: Apache-2.0 */
/* workers.h - which workers an agent has, and how each comes nearer to what is wished
 *
 * A worker is added when the master first names it, started when there is room, led by
 * effects to what is wished of it (run, complete, drain, stop: each told once), and
 * forgotten when it is over, told, and no longer named. Part of agent.h, whose other
 * part is what is said to the master: pure, single-threaded.
 */
#ifndef CORTEX_AGENT_WORKERS_H
#define CORTEX_AGENT_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/effects.h"
#include "agent/hand.h"
#include "agent/worker.h"

struct worker {
    uint64_t id;
    uint64_t job_id;
    enum agent_worker_state state;
    /* What the state becomes once every batch in hand is told: 0 while it lives. So the
     * master hears what became of a worker's batches before it hears of its end. */
    enum agent_worker_state end;
    enum agent_wish wish; /* the master's, or the agent's own when it drains */
    enum agent_wish told; /* what the effects were last called for */
    bool closes_job;
    struct agent_desired_worker start; /* as the master first named it */
    bool started;                      /* there is room for it: the effect was called */
    bool desired;                      /* named by the last Sync reply */
    bool ready;                        /* its job has batches, as far as is known */
    bool has_on_job_complete;
    uint32_t pid;
    enum agent_callback callback;
    enum agent_worker_failure failure;
    char *error;
    uint64_t log_shipped;
    struct hand hand;
};

struct workers {
    struct agent_capacity capacity;
    struct agent_effects effects;
    void *arg;
    struct worker **all;
    size_t count;
    size_t last_found; /* most calls are about the same worker as the one before */
    bool leaving;      /* the agent takes nothing new */
    uint64_t changes;  /* counts what the master should hear of at once */
};

void workers_init(struct workers *workers,
                  const struct agent_capacity *capacity,
                  const struct agent_effects *effects,
                  void *arg);
void workers_fini(struct workers *workers);

/* NULL: there is none. */
struct worker *workers_find(struct workers *workers, uint64_t worker_id);

/* Its process is no more, though not every batch that it had may be told yet. */
bool workers_is_over(const struct worker *worker);

/* To a state that it is in from now on; of one that is over, to its final state once
 * all that it had in hand is told. */
void workers_move(struct workers *workers,
                  struct worker *worker,
                  enum agent_worker_state state);
void workers_settle(struct workers *workers, struct worker *worker);

/* Brings a worker nearer to what is wished of it. Repeats do nothing. */
void workers_follow(struct workers *workers, struct worker *worker);

/* Starts those that have waited for another's end. */
void workers_start_waiting(struct workers *workers);

/* All that the master wants there to be: adds, changes, stops and forgets.
 * work_pending: batches may still come for one that is over, so none is forgotten now.
 */
void workers_desire(struct workers *workers,
                    const struct agent_desired_worker *desired,
                    size_t count,
                    bool work_pending);

/* No more are added; those there end what they are about, or at once. */
void workers_drain(struct workers *workers);
void workers_stop(struct workers *workers);

/* Some are not in their final state. */
bool workers_any(const struct workers *workers);

#endif
