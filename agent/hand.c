/* SPDX-License-Identifier: Apache-2.0 */
/* hand.c - which batches a worker holds, and how many it should */
#include <stdlib.h>
#include <string.h>

#include "agent/hand.h"
#include "common/buffer.h"

#define OVERHEAD_US 10 /* of a batch beside predict: frames, log line, JSON */

static struct hand_batch *batch_at(const struct hand *hand, size_t i)
{
    return &hand->batches[hand->first + i];
}

void hand_fini(struct hand *hand)
{
    for (size_t i = 0; i < hand->count; i++) {
        free(batch_at(hand, i)->error);
    }
    free(hand->batches);
    memset(hand, 0, sizeof(*hand));
}

static void make_room(struct hand *hand)
{
    if (hand->first + hand->count < hand->capacity) {
        return;
    }
    if (hand->first > hand->capacity / 2) {
        memmove(hand->batches,
                hand->batches + hand->first,
                hand->count * sizeof(*hand->batches));
        hand->first = 0;
        return;
    }
    hand->capacity = hand->capacity == 0 ? 16 : hand->capacity * 2;
    hand->batches =
        memory_realloc(hand->batches, hand->capacity * sizeof(*hand->batches));
}

void hand_add(
    struct hand *hand, uint64_t index, uint64_t attempt, uint32_t size, int64_t now_ms)
{
    make_room(hand);
    if (hand->held == 0) {
        hand->begun_ms = now_ms;
    }
    *batch_at(hand, hand->count) = (struct hand_batch){
        .index = index, .attempt = attempt, .size = size, .state = HAND_HELD};
    hand->count++;
    hand->held++;
    hand->held_bytes += size;
}

struct hand_batch *hand_first_held(struct hand *hand)
{
    return hand->held == 0 ? NULL : batch_at(hand, hand->count - hand->held);
}

/* Bytes of text to keep so that no UTF-8 sequence is cut in two. */
static size_t cut_size(const char *text, size_t size_max)
{
    size_t size = strlen(text);

    if (size <= size_max) {
        return size;
    }
    size = size_max;
    while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80) {
        size--;
    }
    return size;
}

static char *copy_error(const char *error)
{
    return error == NULL ? NULL
                         : memory_strndup(error, cut_size(error, HAND_ERROR_SIZE));
}

static void mark_done(struct hand *hand, struct hand_batch *batch, int64_t now_ms)
{
    if (hand->done == 0) {
        hand->done_since_ms = now_ms;
    }
    batch->state = HAND_DONE;
    hand->done++;
}

/* Longer ones are believed sooner than shorter ones: too little ahead costs a round
 * trip, too much keeps batches from idle workers. */
static void learn(struct hand *hand, uint64_t duration_us)
{
    uint64_t sample = duration_us + OVERHEAD_US;

    if (hand->estimate_us == 0) {
        hand->estimate_us = sample;
    } else if (sample > hand->estimate_us) {
        hand->estimate_us += (sample - hand->estimate_us + 1) / 2;
    } else {
        hand->estimate_us -= (hand->estimate_us - sample) / 8;
    }
}

void hand_end(struct hand *hand, const struct hand_end *end, int64_t now_ms)
{
    struct hand_batch *batch = hand_first_held(hand);

    if (batch == NULL) {
        return;
    }
    hand->held--;
    hand->held_bytes -= batch->size;
    hand->begun_ms = now_ms;
    batch->outcome = end->outcome;
    batch->start_ms = end->start_ms;
    batch->duration_us = end->duration_us;
    batch->log_mark = end->log_mark;
    batch->error = copy_error(end->error);
    learn(hand, end->duration_us);
    if (end->storing) {
        batch->state = HAND_STORING;
        hand->storing++;
    } else {
        mark_done(hand, batch, now_ms);
    }
}

bool hand_stored(struct hand *hand, uint64_t attempt, const char *error, int64_t now_ms)
{
    for (size_t i = 0; i < hand->count - hand->held; i++) {
        struct hand_batch *batch = batch_at(hand, i);

        if (batch->attempt == attempt && batch->state == HAND_STORING) {
            if (error != NULL) {
                batch->outcome = HAND_FAILED;
                batch->error = copy_error(error);
            }
            hand->storing--;
            mark_done(hand, batch, now_ms);
            return true;
        }
    }
    return false;
}

void hand_give_back(struct hand *hand,
                    bool executing,
                    const char *error,
                    int64_t now_ms)
{
    while (hand->held > 0) {
        struct hand_batch *batch = hand_first_held(hand);

        batch->outcome = executing ? HAND_SUSPECT : HAND_RETURNED;
        batch->error = executing ? copy_error(error) : NULL;
        hand->held--;
        hand->held_bytes -= batch->size;
        mark_done(hand, batch, now_ms);
        executing = false;
    }
}

/* Swaps two neighbouring stretches of a and b batches. */
static void swap_stretches(struct hand_batch *from, size_t a, size_t b)
{
    struct hand_batch *copy = memory_zalloc((a + 1) * sizeof(*copy));

    memcpy(copy, from, a * sizeof(*from));
    memmove(from, from + a, b * sizeof(*from));
    memcpy(from + b, copy, a * sizeof(*from));
    free(copy);
}

void hand_return_rest(struct hand *hand, size_t kept, int64_t now_ms)
{
    struct hand_batch *first = hand_first_held(hand);

    if (hand->held <= kept) {
        return;
    }
    swap_stretches(first, kept, hand->held - kept); // those HELD come last
    while (hand->held > kept) {
        struct hand_batch *batch = hand_first_held(hand);

        batch->outcome = HAND_RETURNED;
        hand->held--;
        hand->held_bytes -= batch->size;
        mark_done(hand, batch, now_ms);
    }
}

void hand_drop_held(struct hand *hand)
{
    hand->count -= hand->held;
    hand->held = 0;
    hand->held_bytes = 0;
}

/* How many batches to have ahead, the one in predict included. */
static size_t target(const struct hand *hand, int64_t now_ms, int64_t *out_wake_ms)
{
    size_t ahead;

    if (hand->estimate_us == 0 ||
        (hand->held == 0 && hand->estimate_us >= HAND_AHEAD_US)) {
        return 1; // long, or not known how long: leave the others to others
    }
    if (hand->estimate_us >= HAND_AHEAD_US) {
        int64_t next_ms =
            hand->begun_ms + (int64_t)((hand->estimate_us - HAND_AHEAD_US) / 1000);

        if (hand->held == 1 && now_ms < next_ms && next_ms < *out_wake_ms) {
            *out_wake_ms = next_ms;
        }
        return now_ms >= next_ms ? 2 : 1;
    }
    ahead = 1 + HAND_AHEAD_US / hand->estimate_us;
    return ahead < HAND_HELD_MAX ? ahead : HAND_HELD_MAX;
}

uint32_t hand_wanted(const struct hand *hand, int64_t now_ms, int64_t *out_wake_ms)
{
    size_t want = target(hand, now_ms, out_wake_ms);

    if (hand->storing >= HAND_STORING_MAX ||
        hand->done + hand->sent >= HAND_BEHIND_MAX) {
        return 0;
    }
    if (hand->held > 0 && hand->held_bytes > 0) {
        size_t fits = HAND_BYTES_MAX / (hand->held_bytes / hand->held + 1);

        want = want < fits ? want : fits;
    }
    // Half a hand at least, so that an ask is worth its round trip.
    return hand->held > want / 2 ? 0 : (uint32_t)(want - hand->held);
}

static bool
may_tell(const struct hand *hand, const struct hand_batch *batch, uint64_t log_shipped)
{
    return batch->state == HAND_DONE &&
           (hand->held + hand->storing > 0 || batch->log_mark <= log_shipped);
}

size_t hand_tellable(const struct hand *hand, uint64_t log_shipped)
{
    size_t n = 0;

    for (size_t i = 0; hand->done > 0 && i < hand->count - hand->held; i++) {
        n += may_tell(hand, batch_at(hand, i), log_shipped);
    }
    return n;
}

const struct hand_batch *
hand_tell(struct hand *hand, uint64_t log_shipped, size_t *cursor)
{
    while (hand->done > 0 && *cursor < hand->count - hand->held) {
        struct hand_batch *batch = batch_at(hand, (*cursor)++);

        if (may_tell(hand, batch, log_shipped)) {
            batch->state = HAND_SENT;
            hand->done--;
            hand->sent++;
            return batch;
        }
    }
    return NULL;
}

void hand_acknowledge(struct hand *hand)
{
    size_t ended = hand->count - hand->held;
    size_t kept = 0; // counted from the end of those that have ended

    for (size_t i = ended; i > 0; i--) {
        struct hand_batch *batch = batch_at(hand, i - 1);

        if (batch->state == HAND_SENT) {
            free(batch->error);
            continue;
        }
        kept++;
        if (kept != ended - i + 1) {
            *batch_at(hand, ended - kept) = *batch;
        }
    }
    hand->first += ended - kept;
    hand->count = hand->held + kept;
    hand->sent = 0;
    if (hand->count == 0) {
        hand->first = 0;
    }
}
