/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - which batches of a job are queued, in whose hand, and done */
#include "master/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "common/buffer.h"

static void queue_swap(struct batch_book *book, size_t a, size_t b)
{
    struct batch_queue_entry saved = book->queue[a];

    book->queue[a] = book->queue[b];
    book->queue[b] = saved;
}

static bool entry_before(const struct batch_queue_entry *a,
                         const struct batch_queue_entry *b)
{
    return a->ready_ms != b->ready_ms ? a->ready_ms < b->ready_ms : a->index < b->index;
}

static void queue_push(struct batch_book *book, int64_t ready_ms, uint64_t index)
{
    if (book->queue_count == book->queue_capacity) {
        book->queue_capacity = book->queue_capacity ? book->queue_capacity * 2 : 16;
        book->queue =
            memory_realloc(book->queue, book->queue_capacity * sizeof(*book->queue));
    }
    size_t at = book->queue_count++;
    book->queue[at] = (struct batch_queue_entry){ready_ms, index};
    while (at > 0 && entry_before(&book->queue[at], &book->queue[(at - 1) / 2])) {
        queue_swap(book, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void queue_pop(struct batch_book *book)
{
    size_t at = 0;

    book->queue[0] = book->queue[--book->queue_count];
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < book->queue_count &&
                entry_before(&book->queue[child], &book->queue[least])) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        queue_swap(book, at, least);
        at = least;
    }
}

// A batch that was taken up again behind the queue's back leaves a stale entry.
static struct batch *queue_first(const struct batch_book *book, size_t at)
{
    struct batch *batch = map_get(&book->open, book->queue[at].index);

    return batch && batch->state == BATCH_QUEUED &&
                   batch->ready_ms == book->queue[at].ready_ms
               ? batch
               : NULL;
}

static void queue_drop_stale(struct batch_book *book)
{
    while (book->queue_count > 0 && !queue_first(book, 0)) {
        queue_pop(book);
    }
}

static struct batch *open_batch(struct batch_book *book, uint64_t index)
{
    struct batch *batch = memory_zalloc(sizeof(*batch));

    batch->index = index;
    batch->state = BATCH_QUEUED;
    map_put(&book->open, index, batch);
    return batch;
}

static void close_batch(struct batch_book *book, struct batch *batch)
{
    (void)map_remove(&book->open, batch->index);
    free(batch);
}

static void give(struct batch_book *book,
                 struct batch *batch,
                 uint64_t worker_id,
                 uint64_t attempt,
                 int64_t deadline_ms)
{
    assert(batch->state == BATCH_QUEUED);
    batch->state = BATCH_IN_HAND;
    batch->worker_id = worker_id;
    batch->attempt = attempt;
    batch->deadline_ms = deadline_ms;
    book->in_hand++;
}

static void take_back(struct batch_book *book, struct batch *batch, int64_t ready_ms)
{
    assert(batch->state == BATCH_IN_HAND);
    batch->state = BATCH_QUEUED;
    batch->ready_ms = ready_ms;
    book->in_hand--;
    queue_push(book, ready_ms, batch->index);
}

void batch_book_fini(struct batch_book *book)
{
    size_t cursor = 0;
    uint64_t index;
    void *batch;

    while (map_next(&book->open, &cursor, &index, &batch)) {
        free(batch);
    }
    map_fini(&book->open);
    free(book->queue);
    *book = (struct batch_book){0};
}

uint64_t batch_queued(const struct batch_book *book)
{
    return book->total - book->succeeded - book->failed - book->in_hand;
}

bool batch_all_done(const struct batch_book *book)
{
    return book->succeeded + book->failed == book->total;
}

int64_t batch_next_ready_ms(const struct batch_book *book)
{
    if (book->cursor < book->total) {
        return INT64_MIN;
    }
    if (batch_queued(book) == 0) {
        return INT64_MAX;
    }
    // The heap's first may be stale, which only wakes its asker too early.
    return book->queue_count > 0 ? book->queue[0].ready_ms : INT64_MAX;
}

bool batch_ready(const struct batch_book *book, int64_t now_ms)
{
    return batch_queued(book) > 0 && batch_next_ready_ms(book) <= now_ms;
}

const struct batch *batch_lease(struct batch_book *book,
                                uint64_t worker_id,
                                uint64_t attempt,
                                int64_t now_ms,
                                int64_t deadline_ms)
{
    struct batch *batch = NULL;

    queue_drop_stale(book);
    if (book->queue_count > 0 && book->queue[0].ready_ms <= now_ms) {
        batch = queue_first(book, 0);
        queue_pop(book);
    } else if (book->cursor < book->total) {
        batch = open_batch(book, book->cursor++);
    } else {
        return NULL;
    }
    give(book, batch, worker_id, attempt, deadline_ms);
    return batch;
}

// Makes a batch that nobody was given yet one before the cursor; those that are skipped
// are queued.
static void move_cursor_past(struct batch_book *book, uint64_t index, int64_t ready_ms)
{
    while (book->cursor <= index) {
        struct batch *batch = open_batch(book, book->cursor++);
        batch->ready_ms = ready_ms;
        queue_push(book, ready_ms, batch->index);
    }
}

bool batch_hold(struct batch_book *book,
                uint64_t index,
                uint64_t worker_id,
                uint64_t attempt,
                int64_t deadline_ms)
{
    if (index >= book->total) {
        return false;
    }
    move_cursor_past(book, index, INT64_MIN);
    struct batch *batch = map_get(&book->open, index);
    if (!batch) {
        return false; // done
    }
    if (attempt <= batch->over || attempt < batch->attempt) {
        return false;
    }
    if (batch->state == BATCH_QUEUED) {
        give(book, batch, worker_id, attempt, deadline_ms);
        return true;
    }
    batch->worker_id = worker_id;
    batch->attempt = attempt;
    batch->deadline_ms = deadline_ms;
    return true;
}

static int64_t backoff_ms(uint32_t failures, uint64_t random)
{
    int64_t bound = BATCH_BACKOFF_MIN_MS;

    for (uint32_t i = 1; i < failures && bound < BATCH_BACKOFF_MAX_MS; i++) {
        bound *= 2;
    }
    bound = bound < BATCH_BACKOFF_MAX_MS ? bound : BATCH_BACKOFF_MAX_MS;
    return (int64_t)(random % (uint64_t)bound) + 1;
}

// Counts the attempt and says what becomes of the batch.
static enum batch_state
judge(struct batch *batch, enum batch_outcome outcome, uint32_t attempts_max)
{
    switch (outcome) {
    case BATCH_OUTCOME_SUCCEEDED:
        batch->attempts++;
        return BATCH_SUCCEEDED;
    case BATCH_OUTCOME_FAILED:
        batch->attempts++;
        batch->failures++;
        return batch->failures >= attempts_max ? BATCH_FAILED : BATCH_QUEUED;
    case BATCH_OUTCOME_SUSPECT:
        batch->attempts++;
        batch->deaths++;
        return batch->deaths >= BATCH_DEATHS_MAX ? BATCH_FAILED : BATCH_QUEUED;
    case BATCH_OUTCOME_RETURNED:
        break;
    }
    return BATCH_QUEUED;
}

bool batch_finish(struct batch_book *book,
                  const struct batch_report *report,
                  uint32_t attempts_max,
                  int64_t now_ms,
                  uint64_t random,
                  struct batch_row *out_row)
{
    struct batch *batch = map_get(&book->open, report->index);

    if (!batch || batch->state != BATCH_IN_HAND || batch->attempt != report->attempt) {
        return false;
    }
    enum batch_state state = judge(batch, report->outcome, attempts_max);
    batch->over = report->attempt;
    *out_row = (struct batch_row){
        .index = batch->index,
        .state = state,
        .attempts = batch->attempts,
        .failures = batch->failures,
        .deaths = batch->deaths,
        .attempt = report->attempt,
        .worker_id = batch->worker_id,
        .start_ms = report->start_ms,
        .duration_us = report->duration_us,
        .error = report->error ? report->error : "",
    };
    if (state == BATCH_QUEUED) {
        bool wait = report->outcome == BATCH_OUTCOME_FAILED;
        take_back(
            book, batch, wait ? now_ms + backoff_ms(batch->failures, random) : now_ms);
        return true;
    }
    book->in_hand--;
    if (state == BATCH_SUCCEEDED) {
        book->succeeded++;
        book->succeeded_us += report->duration_us;
    } else {
        book->failed++;
    }
    close_batch(book, batch);
    return true;
}

static uint64_t release_if(struct batch_book *book,
                           bool (*match)(const struct batch *, uint64_t, int64_t),
                           uint64_t worker_id,
                           int64_t now_ms)
{
    uint64_t released = 0;
    size_t cursor = 0;
    uint64_t index;
    void *entry;

    while (book->in_hand > 0 && map_next(&book->open, &cursor, &index, &entry)) {
        struct batch *batch = entry;
        if (batch->state == BATCH_IN_HAND && match(batch, worker_id, now_ms)) {
            take_back(book, batch, now_ms);
            released++;
        }
    }
    return released;
}

static bool held_by(const struct batch *batch, uint64_t worker_id, int64_t now_ms)
{
    (void)now_ms;
    return batch->worker_id == worker_id;
}

static bool expired(const struct batch *batch, uint64_t worker_id, int64_t now_ms)
{
    (void)worker_id;
    return batch->deadline_ms < now_ms;
}

uint64_t
batch_release_worker(struct batch_book *book, uint64_t worker_id, int64_t now_ms)
{
    return release_if(book, held_by, worker_id, now_ms);
}

uint64_t batch_release_expired(struct batch_book *book, int64_t now_ms)
{
    return release_if(book, expired, 0, now_ms);
}

void batch_prolong(struct batch_book *book, int64_t by_ms)
{
    size_t cursor = 0;
    uint64_t index;
    void *entry;

    while (book->in_hand > 0 && map_next(&book->open, &cursor, &index, &entry)) {
        struct batch *batch = entry;
        batch->deadline_ms += batch->state == BATCH_IN_HAND ? by_ms : 0;
    }
}

uint64_t batch_held_by(const struct batch_book *book, uint64_t worker_id)
{
    uint64_t held = 0;
    size_t cursor = 0;
    uint64_t index;
    void *entry;

    while (map_next(&book->open, &cursor, &index, &entry)) {
        const struct batch *batch = entry;
        held += batch->state == BATCH_IN_HAND && batch->worker_id == worker_id;
    }
    return held;
}

void batch_recover(struct batch_book *book, const struct batch_row *row, int64_t now_ms)
{
    if (row->index > 0) {
        move_cursor_past(book, row->index - 1, now_ms);
    }
    book->cursor = row->index + 1;
    if (row->state == BATCH_SUCCEEDED) {
        book->succeeded++;
        book->succeeded_us += row->duration_us;
    } else if (row->state == BATCH_FAILED) {
        book->failed++;
    } else {
        struct batch *batch = open_batch(book, row->index);
        batch->attempts = row->attempts;
        batch->failures = row->failures;
        batch->deaths = row->deaths;
        batch->over = row->attempt;
        batch->ready_ms = now_ms;
        queue_push(book, now_ms, row->index);
    }
}

enum batch_state batch_state_of(const struct batch_book *book,
                                uint64_t index,
                                const struct batch **out_batch)
{
    *out_batch = map_get(&book->open, index);
    if (*out_batch) {
        return (*out_batch)->state;
    }
    // One before the cursor that is not open is done; which way, its row says.
    return index >= book->cursor ? BATCH_QUEUED : BATCH_SUCCEEDED;
}

const char *batch_state_name(enum batch_state state)
{
    static const char *const names[] = {"", "queued", "in_hand", "succeeded", "failed"};

    return names[state];
}
