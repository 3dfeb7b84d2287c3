/* SPDX-License-Identifier: Apache-2.0 */
/* job.c - what state a job is in, and how it may change */
#include "master/job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

#define BIT(state) (1u << (state))

struct state_row {
    const char *name;
    unsigned next; /* bits of the states that may follow; 0: terminal */
};

static const struct state_row states[] = {
    [JOB_ENQUEUING] = {"enqueuing",
                       BIT(JOB_RUNNING) | BIT(JOB_ENQUEUE_FAILED) | BIT(JOB_TIMED_OUT) |
                           BIT(JOB_STOPPED) | BIT(JOB_UNEXPECTED_ERROR)},
    [JOB_RUNNING] = {"running",
                     BIT(JOB_SUCCEEDED) | BIT(JOB_COMPLETED_WITH_FAILURES) |
                         BIT(JOB_WORKER_ERROR) | BIT(JOB_WORKER_OOM) |
                         BIT(JOB_TIMED_OUT) | BIT(JOB_STOPPED) |
                         BIT(JOB_UNEXPECTED_ERROR)},
    [JOB_SUCCEEDED] = {"succeeded", 0},
    [JOB_COMPLETED_WITH_FAILURES] = {"completed with failures", 0},
    [JOB_ENQUEUE_FAILED] = {"failed while enqueuing", 0},
    [JOB_WORKER_ERROR] = {"worker error", 0},
    [JOB_WORKER_OOM] = {"out of memory", 0},
    [JOB_TIMED_OUT] = {"timed out", 0},
    [JOB_STOPPED] = {"stopped", 0},
    [JOB_UNEXPECTED_ERROR] = {"unexpected error", 0},
};

struct job *job_create(void)
{
    struct job *job = memory_zalloc(sizeof(*job));

    job->record.api_name = memory_strdup("");
    job->record.api_id = memory_strdup("");
    job->record.dead_letter_arn = memory_strdup("");
    job->record.config = memory_strdup("");
    job->record.reason = memory_strdup("");
    job->record.state = JOB_ENQUEUING;
    job->record.deadline_ms = INT64_MAX;
    return job;
}

void job_record_fini(struct job_record *record)
{
    free(record->api_name);
    free(record->api_id);
    free(record->dead_letter_arn);
    free(record->config);
    free(record->reason);
    *record = (struct job_record){0};
}

void job_destroy(struct job *job)
{
    if (!job) {
        return;
    }
    job_record_fini(&job->record);
    api_version_unref(job->version);
    batch_book_fini(&job->book);
    free(job->segments);
    free(job);
}

bool job_may_become(enum job_state from, enum job_state to)
{
    return (states[from].next & BIT(to)) != 0;
}

bool job_state_terminal(enum job_state state)
{
    return states[state].next == 0;
}

const char *job_state_name(enum job_state state)
{
    return states[state].name;
}

void job_apply(struct job *job, enum job_state to, const char *reason, int64_t wall_ns)
{
    assert(job_may_become(job->record.state, to));
    job->record.state = to;
    job->record.total = job->book.total;
    job->record.succeeded = job->book.succeeded;
    job->record.failed = job->book.failed;
    job->record.succeeded_us = job->book.succeeded_us;
    if (job_state_terminal(to)) {
        // A wall clock that was set back must not end a job before its start.
        job->record.end_ns =
            wall_ns > job->record.start_ns ? wall_ns : job->record.start_ns;
        free(job->record.reason);
        job->record.reason = memory_strdup(reason);
    }
}

enum job_state job_outcome(const struct job *job)
{
    return job->book.failed > 0 ? JOB_COMPLETED_WITH_FAILURES : JOB_SUCCEEDED;
}

uint32_t job_demand(const struct job *job)
{
    if (job->record.state != JOB_RUNNING) {
        return 0;
    }
    if (batch_all_done(&job->book)) {
        return 1; // for on_job_complete
    }
    uint64_t left = batch_queued(&job->book) + job->book.in_hand;
    return left < job->record.workers ? (uint32_t)left : job->record.workers;
}

bool job_add_segment(struct job *job, const struct payload_segment *segment)
{
    if (segment->first_index != job->book.total) {
        return false;
    }
    if (job->segment_count == job->segment_capacity) {
        job->segment_capacity = job->segment_capacity ? job->segment_capacity * 2 : 4;
        job->segments = memory_realloc(job->segments,
                                       job->segment_capacity * sizeof(*job->segments));
    }
    job->segments[job->segment_count++] = *segment;
    job->book.total += segment->count;
    job->record.total = job->book.total;
    return true;
}

const struct payload_segment *job_segment_of(const struct job *job, uint64_t index)
{
    size_t low = 0;
    size_t high = job->segment_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct payload_segment *at = &job->segments[middle];
        if (index < at->first_index) {
            high = middle;
        } else if (index >= at->first_index + at->count) {
            low = middle + 1;
        } else {
            return &job->segments[middle];
        }
    }
    return NULL;
}

bool job_consistent(const struct job *job)
{
    const struct batch_book *book = &job->book;
    uint64_t in_hand = 0;
    size_t cursor = 0;
    uint64_t index;
    void *entry;

    while (map_next(&book->open, &cursor, &index, &entry)) {
        in_hand += ((const struct batch *)entry)->state == BATCH_IN_HAND;
    }
    uint64_t before = book->cursor - book->open.count; // done ones
    return in_hand == book->in_hand && book->cursor <= book->total &&
           before == book->succeeded + book->failed &&
           book->succeeded + book->failed + book->in_hand <= book->total;
}
