/* SPDX-License-Identifier: Apache-2.0 */
/* job.h - what state a job is in, and how it may change
 *
 *   (submit) --> ENQUEUING --> RUNNING --> SUCCEEDED
 *                    |            |------> COMPLETED_WITH_FAILURES
 *                    |            |------> WORKER_ERROR
 *                    |            |------> WORKER_OOM
 *                    |-> ENQUEUE_FAILED    |
 *                    |------------|------> TIMED_OUT
 *                    |------------|------> STOPPED
 *                    +------------+------> UNEXPECTED_ERROR
 *
 * Terminal is final. When the last batch is done, a job that has on_job_complete gives
 * it out to one worker (callback GIVEN, stored before the worker hears of it), so that
 * it starts at most once; the job is terminal when it is BACK.
 *
 * Pure: no clock, no store. The loop's thread only.
 */
#ifndef CORTEX_MASTER_JOB_H
#define CORTEX_MASTER_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "master/api.h"
#include "master/batch.h"
#include "master/payload.h"

/* The numbers are those of the store and of cortex.v1.JobState. */
enum job_state {
    JOB_ENQUEUING = 1,
    JOB_RUNNING = 2,
    JOB_SUCCEEDED = 3,
    JOB_COMPLETED_WITH_FAILURES = 4,
    JOB_ENQUEUE_FAILED = 5,
    JOB_WORKER_ERROR = 6,
    JOB_WORKER_OOM = 7,
    JOB_TIMED_OUT = 8,
    JOB_STOPPED = 9,
    JOB_UNEXPECTED_ERROR = 10,
};

/* on_job_complete, as far as the master knows. */
enum job_callback {
    JOB_CALLBACK_WAITING = 0,
    JOB_CALLBACK_GIVEN = 1,
    JOB_CALLBACK_BACK = 2,
};

#define JOB_DEATHS_MAX                                                                 \
    3 /* worker deaths in a row, no batch done between, end a job                      \
       */

#define JOB_BOOT_SIZE 37 /* of what names a boot of the machine, with NUL */

/* What is stored. Strings are never NULL. */
struct job_record {
    uint64_t job_id;
    char *api_name;
    char *api_id;
    enum job_state state;
    uint32_t workers;
    uint64_t timeout_s; /* 0: none */
    uint32_t max_attempts;
    char *dead_letter_arn; /* "" : none */
    char *config;          /* the submission's, byte for byte; "" : none */
    size_t config_size;
    uint64_t total; /* counts: final in a terminal job, else see `book` */
    uint64_t succeeded;
    uint64_t failed;
    uint64_t succeeded_us;
    int64_t start_ns;
    int64_t end_ns;                    /* 0: not terminal */
    int64_t deadline_ms;               /* monotonic, of the timeout; INT64_MAX: none */
    char deadline_boot[JOB_BOOT_SIZE]; /* whose monotonic time that is */
    enum job_callback callback;
    uint64_t callback_worker;
    char *reason;
};

struct job {
    struct job_record record;

    /* Memory only from here on. */
    struct api_version *version;
    struct batch_book book;
    struct payload_segment *segments; /* by first index */
    size_t segment_count;
    size_t segment_capacity;
    int64_t short_since_ms; /* since when fewer workers run than wanted; 0: no */
    uint32_t short_workers; /* how many are missing */
    uint32_t deaths_in_row;
    uint32_t workers_exited;
    uint32_t workers_failed;
    uint32_t workers_awaited; /* after a restart: not heard of yet, may hold batches */
    uint64_t closer;          /* the worker that writes the log's last line; 0: none */
    bool log_open;       /* the job is over, and that line is still to be written */
    bool callback_known; /* a worker has said whether there is one */
    bool callback_exists;
};

struct job *job_create(void);
void job_destroy(struct job *job); /* NULL is fine */
void job_record_fini(struct job_record *record);

/* Whether the table above has the edge. */
bool job_may_become(enum job_state from, enum job_state to);

/* Moves the state; asserts the edge. Terminal: freezes the counts and the end. */
void job_apply(struct job *job, enum job_state to, const char *reason, int64_t wall_ns);

bool job_state_terminal(enum job_state state);
const char *job_state_name(enum job_state state); /* "running" */

/* The state of a job whose batches are all done. */
enum job_state job_outcome(const struct job *job);

/* How many workers the job could use now: 0 unless running. */
uint32_t job_demand(const struct job *job);

/* Takes a segment in: total grows by its batches. Out of order is refused (false). */
bool job_add_segment(struct job *job, const struct payload_segment *segment);

/* The segment that holds the batch; NULL if none does. */
const struct payload_segment *job_segment_of(const struct job *job, uint64_t index);

/* True if every stored count adds up. For the simulator and debug builds. */
bool job_consistent(const struct job *job);

#endif
