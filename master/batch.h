/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h - which batches of a job are queued, in whose hand, and done
 *
 *              lease                 success
 *   QUEUED ------------> IN_HAND ---------------> SUCCEEDED
 *     ^                     |  \
 *     +---------------------+   +---------------> FAILED
 *      given back, expired,      no attempt left, or
 *      or tried again            suspect of three deaths
 *
 * A job of ten million batches keeps a cursor, not ten million objects: batches at or
 * behind the cursor have never been given out; those before it are done unless they are
 * `open` (queued again or in hand). A book's counts always add up:
 *   queued + in hand + succeeded + failed = total.
 *
 * Pure: the time is an argument, nothing blocks. The loop's thread only.
 */
#ifndef CORTEX_MASTER_BATCH_H
#define CORTEX_MASTER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/map.h"

/* The numbers are those of the store and of cortex.v1.BatchState. */
enum batch_state {
    BATCH_QUEUED = 1,
    BATCH_IN_HAND = 2,
    BATCH_SUCCEEDED = 3,
    BATCH_FAILED = 4,
};

/* How an attempt ended. Numbers of cortex.v1.BatchOutcome. */
enum batch_outcome {
    BATCH_OUTCOME_SUCCEEDED = 1,
    BATCH_OUTCOME_FAILED = 2,
    BATCH_OUTCOME_SUSPECT = 3,  /* its worker died while it was in predict */
    BATCH_OUTCOME_RETURNED = 4, /* was never begun */
};

#define BATCH_DEATHS_MAX     3     /* a batch in predict at so many deaths is failed */
#define BATCH_BACKOFF_MIN_MS 500   /* upper bound of the first wait before a retry */
#define BATCH_BACKOFF_MAX_MS 60000 /* of every later one; it doubles up to here */
#define BATCH_ERROR_SIZE     1024  /* bytes of an error that are kept, with NUL */

/* What is stored of a batch to which something has happened. */
struct batch_row {
    uint64_t index;
    enum batch_state state; /* never IN_HAND */
    uint32_t attempts;      /* that ended, in whatever way */
    uint32_t failures;      /* that count against max_attempts */
    uint32_t deaths;
    uint64_t attempt;   /* the last of them */
    uint64_t worker_id; /* of the last attempt */
    int64_t start_ms;   /* of the last attempt, wall clock */
    uint64_t duration_us;
    const char *error; /* never NULL */
};

/* A batch before the cursor that is not done. */
struct batch {
    uint64_t index;
    enum batch_state state; /* QUEUED or IN_HAND */
    uint32_t attempts;
    uint32_t failures;
    uint32_t deaths;
    uint64_t over;    /* this attempt and those before it have ended */
    int64_t ready_ms; /* QUEUED: not given out before */
    /* IN_HAND: the lease; QUEUED: the last one. Memory only: after a restart the agents
     * say what they hold. */
    uint64_t worker_id;
    uint64_t attempt;
    int64_t deadline_ms;
};

struct batch_queue_entry {
    int64_t ready_ms;
    uint64_t index;
};

struct batch_book {
    uint64_t total;
    uint64_t cursor;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t in_hand;
    uint64_t succeeded_us;           /* predict time of those that succeeded */
    struct map open;                 /* index -> struct batch */
    struct batch_queue_entry *queue; /* heap by ready_ms; may hold stale entries */
    size_t queue_count;
    size_t queue_capacity;
};

void batch_book_fini(struct batch_book *book);

uint64_t batch_queued(const struct batch_book *book);

/* All are terminal. True for an empty book. */
bool batch_all_done(const struct batch_book *book);

/* Batches that could be given out at now_ms: 0, 1 or many; for "is there work". */
bool batch_ready(const struct batch_book *book, int64_t now_ms);

/* When the next queued batch becomes ready; INT64_MAX if none is queued. */
int64_t batch_next_ready_ms(const struct batch_book *book);

/* Gives out the next ready batch. NULL if there is none. */
const struct batch *batch_lease(struct batch_book *book,
                                uint64_t worker_id,
                                uint64_t attempt,
                                int64_t now_ms,
                                int64_t deadline_ms);

/* The holder says that it still has it: the lease is prolonged. A batch that nobody
 * has and that is not done is taken up again (after a restart of the master, or when a
 * lost agent comes back before anyone else was given it), but never by an attempt that
 * has ended or was followed by another: what is said may be late. Of two that claim it
 * after a restart the newer one has it. False: it is not the holder's, and what it will
 * report is going to be refused. */
bool batch_hold(struct batch_book *book,
                uint64_t index,
                uint64_t worker_id,
                uint64_t attempt,
                int64_t deadline_ms);

struct batch_report {
    uint64_t index;
    uint64_t attempt;
    enum batch_outcome outcome;
    int64_t start_ms;
    uint64_t duration_us;
    const char *error; /* may be NULL */
};

/* Takes in how an attempt ended. False: the attempt does not hold the batch, nothing
 * changed. Otherwise *out_row is what there is to store; its error is the report's, or
 * *out_suspect's sentence, and borrowed. out_row->attempts == 0 with state QUEUED means
 * that nothing has happened to the batch and no row is needed. `random` decides the
 * jitter of a retry. */
bool batch_finish(struct batch_book *book,
                  const struct batch_report *report,
                  uint32_t attempts_max,
                  int64_t now_ms,
                  uint64_t random,
                  struct batch_row *out_row);

/* All that the worker holds is queued again, as if it had never been given out. Returns
 * how many. */
uint64_t
batch_release_worker(struct batch_book *book, uint64_t worker_id, int64_t now_ms);

/* The same for leases that ran out before now_ms. */
uint64_t batch_release_expired(struct batch_book *book, int64_t now_ms);

/* All leases run out so much later. */
void batch_prolong(struct batch_book *book, int64_t by_ms);

/* How many batches the worker holds. Walks what is open. */
uint64_t batch_held_by(const struct batch_book *book, uint64_t worker_id);

/* Recovery: takes in stored rows in ascending order of index; batches between two rows
 * are queued. Call before anything else. */
void batch_recover(struct batch_book *book,
                   const struct batch_row *row,
                   int64_t now_ms);

/* The state of any batch below total. *out_batch is NULL unless it is open. */
enum batch_state batch_state_of(const struct batch_book *book,
                                uint64_t index,
                                const struct batch **out_batch);

const char *batch_state_name(enum batch_state state);

#endif
