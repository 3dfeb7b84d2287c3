/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h - what an agent decides: which workers to run, what to ask for, what to tell
 *
 * The master states which workers an agent should have; this module compares that with
 * those it has and calls `struct agent_effects` for the difference. Its owner reports
 * what became of the effects, carries the requests built here to the master and the
 * replies back. It knows no process, socket, thread or clock: times are arguments
 * (now_ms is monotonic), so the daemon and a simulator run the same code.
 *
 * Two conversations. One is parked: agent_sync_build, the call, agent_sync_apply,
 * again and again. The other never is: agent_next_call says whether it should carry a
 * Work call, a Sync call that is to be answered at once (something changed while the
 * parked one was under way), or nothing. A Work call that failed is repeated with the
 * very same request until agent_work_apply has its reply.
 *
 * Single-threaded. Requests own their memory: they may be read on another thread.
 */
#ifndef CORTEX_AGENT_AGENT_H
#define CORTEX_AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/effects.h"
#include "agent/hand.h"
#include "agent/worker.h"

#define AGENT_PARK_MS     1000  /* longest park of a Sync: the heartbeat */
#define AGENT_TELL_MS     5     /* results of busy workers wait this long for more */
#define AGENT_RESULTS_MAX 16384 /* in one Work call: under 1 MiB without errors */
#define AGENT_LEASE_MS    10000 /* until the master has said another */

struct agent;

struct agent *agent_create(const struct agent_capacity *capacity,
                           const struct agent_effects *effects,
                           void *arg);
void agent_destroy(struct agent *agent);

/* --- the parked conversation ------------------------------------------------------ */

struct agent_worker_status {
    uint64_t worker_id;
    uint64_t job_id;
    enum agent_worker_state state;
    enum agent_worker_failure failure;
    char *error; /* one line, NULL unless FAILED */
    bool has_on_job_complete;
    bool hungry; /* RUNNING, and does not know of batches for it */
    uint32_t pid;
    enum agent_callback callback;
};

/* Batches first_index, first_index + 1, ... with attempts first_attempt, ... */
struct agent_held_run {
    uint64_t worker_id;
    uint64_t job_id;
    uint64_t first_index;
    uint64_t first_attempt;
    uint32_t count;
};

struct agent_sync_request {
    uint64_t number; /* counts the Sync calls; not on the wire */
    struct agent_capacity capacity;
    struct agent_worker_status *workers;
    size_t workers_count;
    struct agent_held_run *held;
    size_t held_count;
    uint64_t work_number;
    uint64_t desired_version;
    bool draining;
    uint32_t park_ms;
    uint32_t boot; /* the master's start that it is said to; 0: none is known */
};

struct agent_sync_reply {
    uint64_t desired_version;
    struct agent_desired_worker *workers;
    size_t workers_count;
    uint64_t *ready_jobs;
    size_t ready_jobs_count;
    uint32_t lease_ms;
    uint32_t boot; /* the start of the master that answers */
};

/* All that the agent has, as of now. Free with agent_sync_request_fini. */
void agent_sync_build(struct agent *agent,
                      uint32_t park_ms,
                      struct agent_sync_request *out);
void agent_sync_request_fini(struct agent_sync_request *request);
void agent_sync_reply_fini(struct agent_sync_reply *reply);

/* Takes a reply in. Of one to a call older than the last one taken in only the ready
 * jobs count: the two conversations may overtake each other. */
void agent_sync_apply(struct agent *agent,
                      uint64_t number,
                      const struct agent_sync_reply *reply,
                      int64_t now_ms);

/* A Sync had no reply: the next one asks for everything anew. */
void agent_sync_failed(struct agent *agent);

/* --- the conversation that is never parked ---------------------------------------- */

struct agent_result {
    uint64_t worker_id;
    uint64_t job_id;
    uint64_t index;
    uint64_t attempt;
    enum hand_outcome outcome;
    int64_t start_ms;
    uint64_t duration_us;
    char *error; /* NULL: none */
};

struct agent_ask {
    uint64_t worker_id;
    uint32_t count;
};

struct agent_work_request {
    struct agent_result *results;
    size_t results_count;
    struct agent_ask *asks;
    size_t asks_count;
};

struct agent_grant {
    uint64_t worker_id;
    uint64_t job_id;
    uint64_t first_index;
    uint64_t first_attempt;
    const uint32_t *sizes; /* of the payloads, one after another in `payloads` */
    size_t count;
};

/* Borrowed from whoever received it. */
struct agent_work_reply {
    uint64_t work_number;
    const struct agent_grant *grants;
    size_t grants_count;
    const char *payloads;
    size_t payloads_size;
    uint32_t refused;
};

enum agent_call { AGENT_CALL_NONE, AGENT_CALL_SYNC, AGENT_CALL_WORK };

/* What that conversation should carry now. While a Work call is unanswered: SYNC or
 * NONE. *out_wake_ms is lowered to when to ask again if nothing else happens. */
enum agent_call
agent_next_call(const struct agent *agent, int64_t now_ms, int64_t *out_wake_ms);

/* Builds the Work call; only when agent_next_call said so. Keep the request until its
 * reply is applied. Free with agent_work_request_fini. */
void agent_work_build(struct agent *agent,
                      int64_t now_ms,
                      struct agent_work_request *out);
void agent_work_request_fini(struct agent_work_request *request);
void agent_work_apply(struct agent *agent,
                      const struct agent_work_reply *reply,
                      int64_t now_ms);

/* The master answered Work with FAILED_PRECONDITION: Sync first, then repeat it. */
void agent_work_refused(struct agent *agent);
/* Whether the master knows this agent; false until the first Sync is answered. */
bool agent_registered(const struct agent *agent);

/* --- what became of the effects --------------------------------------------------- */

void agent_worker_ready(struct agent *agent,
                        uint64_t worker_id,
                        bool has_on_job_complete,
                        uint32_t pid,
                        int64_t now_ms);
void agent_worker_completed(struct agent *agent, uint64_t worker_id, int64_t now_ms);

/* The worker is no more and its log is shipped. The master is told so once it knows
 * what became of every batch the worker had in hand. failure NONE: it left in good
 * order. executing: a batch was in predict. error may be NULL. */
void agent_worker_ended(struct agent *agent,
                        uint64_t worker_id,
                        enum agent_worker_failure failure,
                        const char *error,
                        bool executing,
                        int64_t now_ms);

/* Which batch the worker has in predict (the first it holds); false if it has none. */
bool agent_batch_current(struct agent *agent,
                         uint64_t worker_id,
                         uint64_t *out_index,
                         uint64_t *out_attempt);

/* That batch has ended. With end->storing agent_batch_stored follows. */
void agent_batch_ended(struct agent *agent,
                       uint64_t worker_id,
                       const struct hand_end *end,
                       int64_t now_ms);
void agent_batch_stored(struct agent *agent,
                        uint64_t worker_id,
                        uint64_t attempt,
                        const char *error,
                        int64_t now_ms);

/* A worker that was told to leave has `begun` of the batches it holds, and begins no
 * more: the others go back. Nothing happens to one that was not told. */
void agent_batches_unbegun(struct agent *agent,
                           uint64_t worker_id,
                           size_t begun,
                           int64_t now_ms);

/* The worker's log is with the master up to this mark. */
void agent_log_shipped(struct agent *agent, uint64_t worker_id, uint64_t mark);

/* --- leaving ---------------------------------------------------------------------- */

/* Take nothing new, let workers end what is in predict, give the rest back. */
void agent_drain(struct agent *agent);
/* Kill the workers that are still there; what they hold goes back. */
void agent_stop(struct agent *agent);
/* No worker is left, and every result has been told. */
bool agent_finished(const struct agent *agent);
/* As above, but for workers only. */
bool agent_has_workers(const struct agent *agent);

/* True while the worker holds or stores nothing: its log is then worth hurrying. */
bool agent_worker_idle(const struct agent *agent, uint64_t worker_id);

#endif
