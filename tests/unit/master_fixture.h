/* SPDX-License-Identifier: Apache-2.0 */
/* master_fixture.h - a master's deciding part in a test's hands
 *
 * A state with a real store in a temporary folder and a clock that stands still unless
 * it is moved. Calls go through the table of routes, are settled and committed as the
 * loop does it; what the outbox held then is kept for looking at. Agents are played by
 * the test. Whatever must not fail is asserted in here. */
#ifndef CORTEX_TESTS_MASTER_FIXTURE_H
#define CORTEX_TESTS_MASTER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "master/deploy.h"
#include "master/routes.h"
#include "master/submit.h"
#include "proto/agent.pb-c.h"
#include "proto/client.pb-c.h"

#define FIXTURE_WORKERS_MAX 8
#define FIXTURE_WALL_NS     INT64_C(1600000000000000000)
#define FIXTURE_API                                                                    \
    "- name: classifier\n"                                                             \
    "  kind: BatchAPI\n"                                                               \
    "  predictor: {type: python, path: predictor.py}\n"                                \
    "  compute: {cpu: 1}\n"

/* The wire's words, without its mouthfuls. */
#define OUTCOME(name) CORTEX__V1__BATCH_OUTCOME__BATCH_OUTCOME_##name
#define WORKER(name)  CORTEX__V1__WORKER_STATE__WORKER_STATE_##name
#define FAILURE(name) CORTEX__V1__WORKER_FAILURE__WORKER_FAILURE_##name
#define WISH(name)    CORTEX__V1__WORKER_WISH__WORKER_WISH_##name
#define JOB(name)     CORTEX__V1__JOB_STATE__JOB_STATE_##name

struct master_fixture {
    char folder[32];
    char *path; /* of the database */
    struct store *store;
    struct state state;
    char machine_boot[JOB_BOOT_SIZE];
    struct caller caller;   /* of every call; all zero: nothing is hidden from it */
    uintptr_t repeated;     /* what the next call's request id is made of; 0: its own */
    uintptr_t calls;        /* made so far; a call's handle is its number */
    struct outbox released; /* what was committed, oldest first */
};

/* For cmocka_unit_test_setup_teardown; *state is a struct master_fixture. */
int master_fixture_setup(void **state);
int master_fixture_teardown(void **state);

/* The master ends without a word and is started anew on what it had committed. */
void fixture_restart(struct master_fixture *fixture);

/* Settles, commits, releases the outbox. */
void fixture_step(struct master_fixture *fixture);

/* Lets so much time pass, with a step whenever the state wants to be woken. */
void fixture_pass(struct master_fixture *fixture, int64_t ms);

/* Forgets what was released so far. */
void fixture_forget(struct master_fixture *fixture);

/* The next call has the same request id as others of that number: it repeats them. */
void fixture_request_id(struct master_fixture *fixture, uintptr_t number);

/* Makes a call ("Client/GetJob"), with a step behind it; returns its handle. */
uintptr_t
fixture_call(struct master_fixture *fixture, const char *method, void *message);
/* The same, for the handlers that want something prepared. */
uintptr_t fixture_call_prepared(struct master_fixture *fixture,
                                const char *method,
                                void *message,
                                void *prepared);
/* What the call was answered with; NULL if it was not, or with an error. */
const void *fixture_reply(const struct master_fixture *fixture, uintptr_t call);
/* The call must have been answered with an error. */
const struct error *fixture_error(const struct master_fixture *fixture, uintptr_t call);

/* How many actions of the type were released; for logs: that hold the text. */
size_t fixture_count(const struct master_fixture *fixture,
                     enum action_type type,
                     uint64_t job_id);
bool fixture_logged(const struct master_fixture *fixture, const char *text);

/* Deploys what the text of a cortex.yaml describes; returns the call. */
uintptr_t fixture_deploy(struct master_fixture *fixture, const char *text);

struct fixture_job {
    const char *api_name; /* NULL: "classifier" */
    uint32_t workers;     /* 0: 1 */
    uint64_t batches;     /* 0: left enqueuing */
    uint64_t timeout_s;
    uint32_t max_attempts;       /* 0: 1 */
    const char *key;             /* NULL: none */
    const char *body_hash;       /* NULL: "hash" */
    const char *dead_letter_arn; /* NULL: none */
};

/* Calls SubmitJob; *out_job_id is what was prepared. */
uintptr_t fixture_try_submit(struct master_fixture *fixture,
                             const struct fixture_job *wanted,
                             uint64_t *out_job_id);
/* Submits and enqueues; it must be taken. Returns the id. */
uint64_t fixture_submit(struct master_fixture *fixture,
                        const struct fixture_job *wanted);
/* Adds a segment of so many batches to a job that is enqueuing. */
void fixture_segment(struct master_fixture *fixture, uint64_t job_id, uint32_t batches);
void fixture_enqueued(struct master_fixture *fixture, uint64_t job_id);

struct fixture_worker {
    uint64_t worker_id;
    uint64_t job_id;
    Cortex__V1__WorkerState state;
    Cortex__V1__WorkerFailure failure;
    Cortex__V1__WorkerWish wish; /* the last one heard; UNSPECIFIED: not desired */
    bool closes_job;
};

/* An agent as the test plays it. */
struct fixture_agent {
    unsigned char id; /* fills its 16 bytes */
    uint64_t incarnation;
    uint32_t cpu_millis;
    uint64_t memory_bytes;
    uint32_t gpus;
    bool draining;
    bool has_callback; /* what its workers say of on_job_complete */
    uint64_t desired_version;
    uint64_t work_number;
    uint32_t park_ms;
    struct fixture_worker workers[FIXTURE_WORKERS_MAX];
    size_t worker_count;
    Cortex__V1__HeldRun held; /* count 0: nothing */
    uint64_t ready_job;       /* the first of the last answer; 0: none */
};

/* Says all it has and takes in what it should have: a worker it did not have begins to
 * initialize; one that is not desired and over is forgotten. */
void fixture_sync(struct master_fixture *fixture, struct fixture_agent *agent);

/* Syncs until every worker that it should run is running. */
void fixture_bring_up(struct master_fixture *fixture, struct fixture_agent *agent);

/* The agent's only worker of that job, which must be there. */
struct fixture_worker *fixture_worker_of(struct fixture_agent *agent, uint64_t job_id);

/* Asks for batches for a worker; the answer lives until fixture_forget. */
const Cortex__V1__WorkReply *fixture_ask(struct master_fixture *fixture,
                                         struct fixture_agent *agent,
                                         uint64_t worker_id,
                                         uint32_t count);

/* Reports one batch. Returns how many results were refused. */
uint32_t fixture_report(struct master_fixture *fixture,
                        struct fixture_agent *agent,
                        const struct fixture_worker *worker,
                        uint64_t index,
                        uint64_t attempt,
                        Cortex__V1__BatchOutcome outcome);

/* Asks for one batch and reports it so. Returns its index. */
uint64_t fixture_do_batch(struct master_fixture *fixture,
                          struct fixture_agent *agent,
                          const struct fixture_worker *worker,
                          Cortex__V1__BatchOutcome outcome);

/* GetJob; the job must be there. Lives until fixture_forget. */
const Cortex__V1__Job *fixture_job(struct master_fixture *fixture, uint64_t job_id);

#endif
