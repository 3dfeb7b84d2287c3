/* SPDX-License-Identifier: Apache-2.0 */
/* batchlist.c - what the master tells about single batches */
#include "master/batchlist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/id.h"
#include "master/message.h"
#include "master/query.h"
#include "proto/client.pb-c.h"

struct page {
    struct state *state;
    const struct job *live; /* NULL: the job is terminal */
    Cortex__V1__ListBatchesReply *reply;
    uint64_t job_id;
    int wanted; /* a state; 0: any */
    uint64_t total;
    uint64_t next; /* the first index that is not looked at yet */
    uint64_t limit;
    uint64_t rows; /* looked at */
};

static bool is_full(const struct page *page)
{
    return page->reply->n_batches >= page->limit;
}

static bool is_wanted(const struct page *page, enum batch_state state)
{
    return page->wanted == 0 || (int)state == page->wanted;
}

static Cortex__V1__Batch *
add(struct page *page, uint64_t index, enum batch_state state, uint64_t worker_id)
{
    Cortex__V1__Batch *batch = message_new(&cortex__v1__batch__descriptor);
    char worker[20];

    batch->batch_id = memory_zalloc(ID_UUID_TEXT_SIZE);
    id_batch_format(page->job_id, index, batch->batch_id);
    batch->index = index;
    batch->state = (Cortex__V1__BatchState)state;
    if (worker_id != 0) {
        (void)snprintf(worker, sizeof(worker), "%016" PRIx64, worker_id);
        message_text(&batch->worker, worker);
    }
    message_append(&page->reply->n_batches, (void ***)&page->reply->batches, batch);
    return batch;
}

// A batch with or without a row. Its state now is that of `open`, if it is open.
static void add_batch(struct page *page,
                      uint64_t index,
                      const struct batch_row *row,
                      const struct batch *open)
{
    enum batch_state state = open ? open->state : row ? row->state : BATCH_QUEUED;
    bool in_hand = open && state == BATCH_IN_HAND;
    uint64_t worker_id = in_hand ? open->worker_id : row ? row->worker_id : 0;
    Cortex__V1__Batch *batch = add(page, index, state, worker_id);

    batch->attempts = (row ? row->attempts : 0) + in_hand;
    if (row) {
        batch->start_ns = row->start_ms * 1000000;
        batch->duration_us = row->duration_us;
        message_text(&batch->error, row->error);
    }
}

static const struct batch *open_batch(const struct page *page, uint64_t index)
{
    const struct batch *open = NULL;

    if (page->live) {
        (void)batch_state_of(&page->live->book, index, &open);
    }
    return open;
}

// Batches up to `end` that have no row: queued, or in hand.
static void list_rowless(struct page *page, uint64_t end)
{
    for (; page->next < end && !is_full(page); page->next++) {
        const struct batch *open = open_batch(page, page->next);
        if (is_wanted(page, open ? open->state : BATCH_QUEUED)) {
            add_batch(page, page->next, NULL, open);
        }
    }
}

static int list_row(void *arg, const struct batch_row *row, struct error *err)
{
    struct page *page = arg;
    const struct batch *open = open_batch(page, row->index);

    (void)err;
    page->rows++;
    list_rowless(page, row->index);
    if (is_full(page)) {
        return 1;
    }
    page->next = row->index + 1;
    if (is_wanted(page, open ? open->state : row->state)) {
        add_batch(page, row->index, row, open);
    }
    return 0;
}

// Those before the job's end in the order of their index, rows and others.
static int list_all(struct page *page, struct error *err)
{
    if (store_batch_each(page->state->store,
                         page->job_id,
                         0,
                         page->next,
                         BATCHLIST_ROWS_MAX,
                         list_row,
                         page,
                         err) != 0) {
        return -1;
    }
    if (page->rows < BATCHLIST_ROWS_MAX) {
        list_rowless(page, page->total);
    }
    return 0;
}

static int list_done_row(void *arg, const struct batch_row *row, struct error *err)
{
    struct page *page = arg;

    (void)err;
    page->next = row->index + 1;
    add_batch(page, row->index, row, NULL);
    return 0;
}

// Succeeded or failed: they have rows, which the store finds by state.
static int list_done(struct page *page, struct error *err)
{
    if (store_batch_each(page->state->store,
                         page->job_id,
                         page->wanted,
                         page->next,
                         page->limit,
                         list_done_row,
                         page,
                         err) != 0) {
        return -1;
    }
    page->next = is_full(page) ? page->next : page->total;
    return 0;
}

static int by_index(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

// The wanted ones of those that are open, by index. The caller frees.
static uint64_t *find_open(const struct page *page, size_t *out_count)
{
    const struct map *open = &page->live->book.open;
    uint64_t *found = memory_zalloc((open->count + 1) * sizeof(*found));
    size_t cursor = 0;
    uint64_t index;
    void *entry;

    *out_count = 0;
    while (map_next(open, &cursor, &index, &entry)) {
        const struct batch *batch = entry;
        if (index >= page->next && is_wanted(page, batch->state)) {
            found[(*out_count)++] = index;
        }
    }
    qsort(found, *out_count, sizeof(*found), by_index);
    return found;
}

struct finding {
    struct page *page;
    uint64_t index;
    bool found;
};

static int list_open_row(void *arg, const struct batch_row *row, struct error *err)
{
    struct finding *finding = arg;

    (void)err;
    if (row->index == finding->index) {
        finding->found = true;
        add_batch(
            finding->page, row->index, row, open_batch(finding->page, row->index));
    }
    return 0;
}

// Queued or in hand in a live job: those that are open, then those never touched.
static int list_open(struct page *page, struct error *err)
{
    size_t count;
    uint64_t *found = find_open(page, &count);
    int result = 0;

    for (size_t i = 0; i < count && !is_full(page) && result == 0; i++) {
        struct finding finding = {page, found[i], false};
        result = store_batch_each(page->state->store,
                                  page->job_id,
                                  0,
                                  found[i],
                                  1,
                                  list_open_row,
                                  &finding,
                                  err);
        if (!finding.found) {
            add_batch(page, found[i], NULL, open_batch(page, found[i]));
        }
        page->next = found[i] + 1;
    }
    free(found);
    if (!is_full(page)) {
        uint64_t cursor = page->live->book.cursor;
        page->next = page->next > cursor ? page->next : cursor;
        list_rowless(page, page->total);
    }
    return result;
}

static int fill(struct page *page, struct error *err)
{
    if (page->wanted == BATCH_SUCCEEDED || page->wanted == BATCH_FAILED) {
        return list_done(page, err);
    }
    if (page->live && page->wanted != 0) {
        return list_open(page, err);
    }
    return list_all(page, err);
}

int batchlist_handle(struct state *state,
                     const struct request *request,
                     struct error *err)
{
    const Cortex__V1__ListBatchesRequest *said =
        (const Cortex__V1__ListBatchesRequest *)request->message;
    struct job_record record = {0};

    if (query_find_job(
            state, &request->caller, said->api_name, said->job_id, &record, err) != 0) {
        return -1;
    }
    const struct job *job = state_job(state, said->job_id);
    const struct job *live = job && !job_state_terminal(job->record.state) ? job : NULL;
    uint64_t limit = said->limit ? said->limit : BATCHLIST_DEFAULT;
    struct page page = {
        .state = state,
        .live = live,
        .reply = message_new(&cortex__v1__list_batches_reply__descriptor),
        .job_id = said->job_id,
        .wanted = (int)said->state,
        .total = live ? live->book.total : record.total,
        .next = said->from_index,
        .limit = limit < BATCHLIST_MAX ? limit : BATCHLIST_MAX,
    };
    int result = fill(&page, err);
    job_record_fini(&record);
    if (result != 0) {
        protobuf_c_message_free_unpacked(&page.reply->base, NULL);
        return -1;
    }
    page.reply->more = page.next < page.total;
    page.reply->next_index = page.next;
    query_reply(state, request->call, &page.reply->base);
    return 0;
}

static int unknown_batch(const Cortex__V1__GetPayloadRequest *said, struct error *err)
{
    return error_set_kind(err,
                          ERROR_NOT_FOUND,
                          "batchapi.batch_not_found",
                          "job %016" PRIx64 " has no batch \"%s\"",
                          said->job_id,
                          said->batch_id);
}

int batchlist_payload(struct state *state,
                      const struct request *request,
                      struct error *err)
{
    const Cortex__V1__GetPayloadRequest *said =
        (const Cortex__V1__GetPayloadRequest *)request->message;
    struct job_record record = {0};
    struct payload_segment segment;
    uint64_t index;
    bool found = false;

    if (query_find_job(
            state, &request->caller, said->api_name, said->job_id, &record, err) != 0) {
        return -1;
    }
    job_record_fini(&record);
    if (!id_batch_parse(said->job_id, said->batch_id, &index)) {
        return unknown_batch(said, err);
    }
    if (store_segment_of(state->store, said->job_id, index, &segment, &found, err) !=
        0) {
        return -1;
    }
    if (!found) {
        return unknown_batch(said, err);
    }
    struct action *action = outbox_add(&state->outbox, ACTION_PAYLOAD_READ);
    action->call = request->call;
    action->stretches = memory_zalloc(sizeof(*action->stretches));
    action->stretch_count = 1;
    action->stretches[0] = (struct stretch){
        .job_id = said->job_id, .segment = segment, .first_index = index, .count = 1};
    return 0;
}
