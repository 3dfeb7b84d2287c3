/* SPDX-License-Identifier: Apache-2.0 */
/* crew.h - how the agent's decisions about workers become processes, and their doings
 * reports
 *
 * A member of the crew is one worker: its setup, then its process, socket, pipe and
 * log. crew_effects carries the agent's decisions out; what comes of them is reported
 * to the agent from crew_turn and crew_event only, never from inside an effect.
 *
 *   SETTING_UP ──▶ STARTING ──▶ SERVING ◀──▶ CALLING     (on_job_complete)
 *       │             │            │            │
 *       └─────────────┴────────────┴────────────┴──▶ ENDING ──▶ OVER
 *
 * ENDING: no process any more, its last lines are being shipped. OVER: reported; waits
 * to be forgotten. Single-threaded; nothing blocks but the start of a process. */
#ifndef CORTEX_AGENT_CREW_H
#define CORTEX_AGENT_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "agent/cgroup.h"
#include "agent/output.h"
#include "agent/sandbox.h"
#include "agent/session.h"

#define CREW_LEAVE_MS    5000         /* from "I leave" to the end of the process */
#define CREW_IN_MAX      OUTPUT_LARGE /* read from one worker in a turn */
#define CREW_STORING_MAX (64u << 20)  /* bytes on their way to the store, */
/* and of large results, half received ones included: one alone may be larger. They are
 * received in the order in which they came, while their workers wait. */
#define CREW_LARGE_MAX (128u << 20)
#define CREW_ORDER_MS  2 /* for an order in the shared page to be seen */
#define CREW_GPUS_MAX  64
#define CREW_MEMORY_MS 500 /* between looks at what workers use */

struct crew;

struct crew_options {
    struct session *session;
    struct output *output;
    const char *state_dir; /* absolute */
    const char *python;
    struct sandbox *sandbox;
    const struct cgroups *cgroups;
    bool root_dependencies; /* dependencies.sh runs as the agent */
    uint64_t env_size_max;  /* bytes of virtual environments */
    uint32_t gpus;
    int epoll_fd;              /* events whose data.ptr is not NULL are the crew's */
    void (*notify)(void *arg); /* wakes the owner's loop, from any thread */
    void *arg;
};

int crew_create(const struct crew_options *options,
                struct crew **out_crew,
                struct error *err);

/* Whom to report to; its effects are crew_effects with the crew as their argument. */
void crew_set_agent(struct crew *crew, struct agent *agent);
extern const struct agent_effects crew_effects;

/* An epoll event of the crew's. */
void crew_event(struct crew *crew, void *data, uint32_t events, int64_t now_ms);

/* Everything else: finished setups and uploads, workers that are over, deadlines; then
 * sends what the effects queued and sets what is waited for. Once a round, last.
 * *out_wake_ms is lowered. */
void crew_turn(struct crew *crew, int64_t now_ms, int64_t *out_wake_ms);

/* Starts an AppendLog call if the conversation is idle and lines are due. */
void crew_ship(struct crew *crew, int64_t now_ms, int64_t *out_wake_ms);
/* How that call ended; err NULL: well. */
void crew_shipped(struct crew *crew, const struct error *err, int64_t now_ms);

/* Whether results or batches moved since the last call: more are likely soon. */
bool crew_was_busy(struct crew *crew);

/* Asks the predictors that run to write their stacks to the log. */
void crew_dump(struct crew *crew);

/* No process is left and every line is shipped. */
bool crew_finished(const struct crew *crew);

#endif
