/* SPDX-License-Identifier: Apache-2.0 */
/* hand.h - which batches a worker holds, and how many it should
 *
 * A hand is a queue in the order in which its worker runs the batches:
 *
 *   HELD ──▶ STORING ──▶ DONE ──▶ SENT ──▶ (acknowledged: gone)
 *     └──────────────────▲
 *
 * The worker has yet to end what is HELD, the first of them being in predict; STORING
 * waits for its result's upload; DONE waits to be told to the master; SENT is in a
 * Work call. All but the gone count as in hand, so that their lease is kept.
 *
 * How many to hold follows from how long predict took: enough for HAND_AHEAD_US, so
 * that a worker never waits for a round trip and none hoards what others could run.
 * Pure and single-threaded. Embedded in its owner. */
#ifndef CORTEX_AGENT_HAND_H
#define CORTEX_AGENT_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HAND_AHEAD_US    200000 /* work to have ahead: many round trips, yet little */
#define HAND_HELD_MAX    4096   /* batches ahead; the wire's limit of an ask too */
#define HAND_BYTES_MAX   (32u << 20) /* payload ahead, so that memory is bounded */
#define HAND_STORING_MAX 4096  /* uploads behind: beyond it no more is asked for */
#define HAND_BEHIND_MAX  65536 /* results that wait for an absent master */
#define HAND_ERROR_SIZE  1024  /* bytes of a result's line, the wire's limit */

enum hand_state { HAND_HELD = 1, HAND_STORING, HAND_DONE, HAND_SENT };

enum hand_outcome {
    HAND_SUCCEEDED = 1,
    HAND_FAILED = 2,
    HAND_SUSPECT = 3,  /* its worker died in predict */
    HAND_RETURNED = 4, /* was never begun */
};

struct hand_batch {
    uint64_t index;
    uint64_t attempt;
    uint32_t size; /* bytes of payload */
    enum hand_state state;
    enum hand_outcome outcome; /* from STORING on */
    int64_t start_ms;          /* wall clock, when predict began */
    uint64_t duration_us;
    uint64_t log_mark; /* what the worker had logged when it ended */
    char *error;       /* NULL: none; owned */
};

struct hand {
    struct hand_batch *batches; /* a ring without wrap: [first, first + count) */
    size_t first;
    size_t count;
    size_t capacity;
    size_t held; /* the last `held` of them are HELD */
    size_t storing;
    size_t done;
    size_t sent;
    uint64_t held_bytes;
    uint64_t estimate_us;  /* of one batch; 0: none has ended yet */
    int64_t begun_ms;      /* when the first HELD one began, monotonic */
    int64_t done_since_ms; /* when the oldest DONE one came, monotonic */
};

void hand_fini(struct hand *hand);

/* Takes a granted batch in. */
void hand_add(
    struct hand *hand, uint64_t index, uint64_t attempt, uint32_t size, int64_t now_ms);

/* The batch in predict, or NULL if none is held. Borrowed until the next change. */
struct hand_batch *hand_first_held(struct hand *hand);

/* The first HELD batch has ended: moves it to STORING or DONE. error (may be NULL) is
 * copied and cut. Ignored if nothing is held. */
struct hand_end {
    enum hand_outcome outcome;
    bool storing;
    int64_t start_ms;
    uint64_t duration_us;
    uint64_t log_mark;
    const char *error;
};
void hand_end(struct hand *hand, const struct hand_end *end, int64_t now_ms);

/* The upload of an attempt is over; error NULL: it is stored. False if no such attempt
 * is STORING. */
bool hand_stored(struct hand *hand,
                 uint64_t attempt,
                 const char *error,
                 int64_t now_ms);

/* The worker is no more: the batch in predict, if one was, is a suspect with this
 * error, the others go back untouched. */
void hand_give_back(struct hand *hand,
                    bool executing,
                    const char *error,
                    int64_t now_ms);

/* The worker begins no more: of what is HELD all but the first `kept` go back. */
void hand_return_rest(struct hand *hand, size_t kept, int64_t now_ms);

/* Forgets what is HELD. */
void hand_drop_held(struct hand *hand);

/* How many more batches it should ask for now. *out_wake_ms is lowered to when the
 * answer may change by itself. */
uint32_t hand_wanted(const struct hand *hand, int64_t now_ms, int64_t *out_wake_ms);

/* How many DONE results may be told now: all, but when the worker has nothing else in
 * hand only those whose log has been shipped up to `log_shipped`: the last result may
 * end the job, and its log must be whole by then. */
size_t hand_tellable(const struct hand *hand, uint64_t log_shipped);

/* Moves the next tellable batch to SENT and returns it, or NULL. *cursor starts at 0.
 */
const struct hand_batch *
hand_tell(struct hand *hand, uint64_t log_shipped, size_t *cursor);

/* The master has taken in all that is SENT. */
void hand_acknowledge(struct hand *hand);

#endif
