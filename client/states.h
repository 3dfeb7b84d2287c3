/* SPDX-License-Identifier: Apache-2.0 */
/* states.h - what the states of jobs and batches are called
 *
 * The words that a client reads and types. Pure. */
#ifndef CORTEX_CLIENT_STATES_H
#define CORTEX_CLIENT_STATES_H

#include <stdbool.h>

/* X(enum suffix, status code in JSON, what a person reads, terminal)
 * The words of a job's states. The order is that of cortex.v1.JobState. */
#define CLIENT_JOB_STATES(X)                                                           \
    X(UNKNOWN, "status_unknown", "unknown", false)                                     \
    X(ENQUEUING, "status_enqueuing", "enqueuing", false)                               \
    X(RUNNING, "status_running", "running", false)                                     \
    X(SUCCEEDED, "status_succeeded", "succeeded", true)                                \
    X(COMPLETED_WITH_FAILURES,                                                         \
      "status_completed_with_failures",                                                \
      "completed with failures",                                                       \
      true)                                                                            \
    X(ENQUEUE_FAILED, "status_enqueue_failed", "failed while enqueuing", true)         \
    X(WORKER_ERROR, "status_worker_error", "worker error", true)                       \
    X(WORKER_OOM, "status_worker_oom", "out of memory", true)                          \
    X(TIMED_OUT, "status_timed_out", "timed out", true)                                \
    X(STOPPED, "status_stopped", "stopped", true)                                      \
    X(UNEXPECTED_ERROR, "status_unexpected_error", "unexpected error", true)

enum client_job_state {
#define CLIENT_JOB_STATE_ENUM(name, code, words, terminal) CLIENT_JOB_##name,
    CLIENT_JOB_STATES(CLIENT_JOB_STATE_ENUM)
#undef CLIENT_JOB_STATE_ENUM
};

const char *client_job_state_code(enum client_job_state state);
const char *client_job_state_words(enum client_job_state state);
bool client_job_state_terminal(enum client_job_state state);
/* Takes a code with or without "status_", or the words; false if it is none. */
bool client_job_state_parse(const char *text, enum client_job_state *out);

enum client_batch_state {
    CLIENT_BATCH_ANY, /* in a request: all of them */
    CLIENT_BATCH_QUEUED,
    CLIENT_BATCH_IN_HAND,
    CLIENT_BATCH_SUCCEEDED,
    CLIENT_BATCH_FAILED,
};

/* "queued", "in_hand", "succeeded", "failed" */
const char *client_batch_state_name(enum client_batch_state state);
bool client_batch_state_parse(const char *text, enum client_batch_state *out);

#endif
