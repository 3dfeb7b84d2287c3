/* SPDX-License-Identifier: Apache-2.0 */
/* deadletter.h - which failed batches are sent to their job's queue, and when
 *
 * A batch that is failed in a job with a dead letter queue gets a row in the same
 * transaction. The row goes when the queue has the batch or refuses it for good, so a
 * restart in between sends it once more and never forgets it. Rows of a job or api that
 * is deleted go with it.
 *
 * In memory are only the jobs that have rows, and at most DEADLETTER_MAX letters under
 * way, DEADLETTER_JOB_MAX of one job. A queue that gives no answer is tried again with
 * one letter at a time, after a wait between nothing and DEADLETTER_BACKOFF_MIN_MS *
 * 2^n, at most DEADLETTER_BACKOFF_MAX_MS; other jobs' letters go on meanwhile. A job's
 * end does not wait for any of this.
 *
 * Decides only: what it wants sent are actions (ACTION_DEAD_LETTER), how it ended comes
 * back by deadletter_done. The loop's thread only; -1 is the store's failure.
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
 */
#ifndef CORTEX_MASTER_DEADLETTER_H
#define CORTEX_MASTER_DEADLETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/map.h"
#include "common/sqs.h"

#define DEADLETTER_MAX            32
#define DEADLETTER_JOB_MAX        8
#define DEADLETTER_BACKOFF_MIN_MS 500
#define DEADLETTER_BACKOFF_MAX_MS 300000

struct state;
struct job;
struct batch_row;

struct deadletter_book {
    struct map jobs;  /* job id -> what is under way of its letters */
    uint32_t sending; /* letters under way */
    bool changed;     /* there may be one to send */
    int64_t due_ms;   /* when a queue is tried again; of use unless changed */
};

void deadletter_book_fini(struct deadletter_book *book);

/* Takes up what an earlier start has left. */
int deadletter_recover(struct state *state, struct error *err);

/* The batch was failed, which the caller has stored: a letter, if its job wants one. */
int deadletter_add(struct state *state,
                   const struct job *job,
                   const struct batch_row *row,
                   struct error *err);

/* Puts the letters whose time has come into the outbox; once a step. */
int deadletter_update(struct state *state, struct error *err);

/* How a letter that was put there ended; failure is NULL if it was sent. */
int deadletter_done(struct state *state,
                    uint64_t job_id,
                    uint64_t index,
                    enum sqs_outcome outcome,
                    const struct error *failure,
                    struct error *err);

#endif
