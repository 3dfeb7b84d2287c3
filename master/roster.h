/* SPDX-License-Identifier: Apache-2.0 */
/* roster.h - which agents there are, and which workers they have
 *
 * An agent is EXPECTED after a restart of the master until it says what it has,
 * PRESENT while it is heard of, and gone otherwise. A worker is what the master wants
 * on an agent (wish) and what the agent says of it (state):
 *
 *   PLACED -> INITIALIZING -> RUNNING -> COMPLETING -> COMPLETED -> EXITED
 *      \___________\_____________\____________\____________\_____-> FAILED
 *
 * Pure; the loop's thread only.
 */
#ifndef CORTEX_MASTER_ROSTER_H
#define CORTEX_MASTER_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/id.h"
#include "common/key.h"
#include "common/map.h"

#define ROSTER_AGENT_ID_SIZE         16
#define ROSTER_NAME_SIZE             64
#define ROSTER_UNFIT_MS              10000
#define ROSTER_STARTS_MAX            16384 /* incarnations that are remembered */
#define ROSTER_WORKERS_PER_AGENT_MAX 1024  /* more would not fit one Sync message */

enum roster_agent_state {
    ROSTER_EXPECTED,
    ROSTER_PRESENT,
};

/* From PLACED on the numbers are those of cortex.v1.WorkerState. */
enum roster_worker_state {
    ROSTER_PLACED = 0,
    ROSTER_INITIALIZING = 1,
    ROSTER_RUNNING = 2,
    ROSTER_COMPLETING = 3,
    ROSTER_COMPLETED = 4,
    ROSTER_EXITED = 5,
    ROSTER_FAILED = 6,
};

/* The numbers are those of cortex.v1.WorkerWish. */
enum roster_wish {
    ROSTER_RUN = 1,
    ROSTER_COMPLETE = 2,
    ROSTER_DRAIN = 3,
    ROSTER_STOP = 4,
};

/* The numbers are those of cortex.v1.WorkerFailure. */
enum roster_failure {
    ROSTER_FAILURE_NONE = 0,
    ROSTER_FAILURE_SETUP = 1,
    ROSTER_FAILURE_DIED = 2,
    ROSTER_FAILURE_MEMORY = 3,
    ROSTER_FAILURE_CALLBACK = 4,
    ROSTER_FAILURE_MACHINE = 5,
};

/* The numbers are those of cortex.v1.CallbackProgress. */
enum roster_callback {
    ROSTER_CALLBACK_NOT_BEGUN = 1,
    ROSTER_CALLBACK_BEGUN = 2,
    ROSTER_CALLBACK_RETURNED = 3,
};

struct roster_agent;

struct roster_worker {
    uint64_t worker_id;
    uint64_t job_id;
    struct roster_agent *agent;
    enum roster_worker_state state;
    enum roster_wish wish;
    uint64_t wish_version; /* the desired version that told of the wish first */
    bool closes_job;
    bool hungry; /* wants to hear when there are batches for it */
    uint32_t cpu_millis;
    uint64_t memory_bytes;
    uint32_t gpus;
    struct roster_worker *next; /* of the same agent */
};

/* A run of batches that was granted together. */
struct roster_grant {
    uint64_t worker_id;
    uint64_t job_id;
    uint64_t first_index;
    uint64_t first_attempt;
    uint32_t count;
};

struct roster_agent {
    unsigned char agent_id[ROSTER_AGENT_ID_SIZE];
    enum roster_agent_state state;
    bool has_key;
    unsigned char key[KEY_SIZE]; /* with has_key: what it has proven who it is with */
    uint64_t incarnation;
    char name[ROSTER_NAME_SIZE];
    char release[32];
    uint32_t cpu_millis;
    uint64_t memory_bytes;
    uint32_t gpus;
    bool draining;
    int64_t unfit_until_ms; /* it could not start a worker: gets none until then */
    int64_t heard_ms;
    uint64_t desired_version; /* grows with every change of a wish here */
    uint64_t applied_version; /* the highest it has said that it follows */
    uint64_t work_number;     /* Work replies given to this incarnation */
    struct roster_worker *workers;
    uint32_t worker_count;
    /* The parked Sync, if any; opaque. */
    void *parked;
    uint64_t parked_version; /* the desired version it has seen */
    int64_t parked_until_ms;
    /* What the last Work request was answered with, for a repeat of it. */
    unsigned char work_request_id[ID_REQUEST_SIZE];
    uint32_t work_refused;
    struct roster_grant *grants;
    size_t grant_count;
    size_t grant_capacity;
};

struct roster {
    struct map agents;     /* first 8 bytes of the id -> roster_agent */
    struct map workers;    /* worker id -> roster_worker */
    uint64_t version_base; /* no desired version was above it when its agent went */
    /* Incarnations in the order in which they said their first word, a ring: what an
     * older one said may still be on its way when a newer one is at work. */
    uint64_t starts[ROSTER_STARTS_MAX];
    uint64_t start_count;
};

void roster_fini(struct roster *roster);

struct roster_agent *
roster_agent_get(const struct roster *roster,
                 const unsigned char agent_id[ROSTER_AGENT_ID_SIZE]);
/* Makes one that is EXPECTED. */
struct roster_agent *
roster_agent_add(struct roster *roster,
                 const unsigned char agent_id[ROSTER_AGENT_ID_SIZE]);
/* An agent with this incarnation has said its first word to this start of the master.
 * It says no second one before that is answered, so that whoever says a second one was
 * alive when it said the first. Once more does nothing. */
void roster_introduce(struct roster *roster, uint64_t incarnation);
/* Whether it was introduced after the other one. One that is not known was before. */
bool roster_is_newer(const struct roster *roster, uint64_t incarnation, uint64_t other);
/* It must have no workers. Frees it. */
void roster_agent_remove(struct roster *roster, struct roster_agent *agent);

struct roster_worker *roster_worker_get(const struct roster *roster,
                                        uint64_t worker_id);
struct roster_worker *roster_worker_add(struct roster *roster,
                                        struct roster_agent *agent,
                                        uint64_t worker_id,
                                        uint64_t job_id);
void roster_worker_remove(struct roster *roster, struct roster_worker *worker);

/* Changes what the agent should do with it; the agent's desired version grows if it is
 * a change. */
void roster_wish(struct roster_worker *worker, enum roster_wish wish, bool closes_job);

/* Neither EXITED nor FAILED. */
bool roster_worker_alive(const struct roster_worker *worker);

/* Workers of the job, of any state. */
size_t roster_count_job(const struct roster *roster, uint64_t job_id);

#endif
