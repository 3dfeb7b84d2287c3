/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - all that the deciding part of the master knows */
#include "master/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/id.h"

#define STATE_LOG_LINE_SIZE 4096

int state_init(struct state *state,
               const struct state_settings *settings,
               struct store *store,
               uint64_t seed,
               struct error *err)
{
    *state = (struct state){0};
    state->settings = *settings;
    state->store = store;
    state->random = seed;
    state->wake_ms = INT64_MAX;
    if (!settings->read_only && store_boot(store, &state->boot, err) != 0) {
        return -1;
    }
    state->roster.version_base = (uint64_t)state->boot << 32;
    return 0;
}

void state_fini(struct state *state)
{
    size_t cursor = 0;
    uint64_t key;
    void *job;
    struct action *action;

    while (map_next(&state->jobs, &cursor, &key, &job)) {
        job_destroy(job);
    }
    map_fini(&state->jobs);
    deadletter_book_fini(&state->deadletters);
    roster_fini(&state->roster);
    for (size_t i = 0; i < state->api_count; i++) {
        api_version_unref(state->apis[i]);
    }
    free(state->apis);
    free(state->stops);
    while ((action = outbox_take(&state->outbox))) {
        action_free(action);
    }
}

int64_t state_steady_ns(const struct state *state)
{
    return state->steady_base_ns + state->now_ms * 1000000;
}

uint64_t state_random(struct state *state)
{
    uint64_t z = (state->random += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void state_wake_at(struct state *state, int64_t when_ms)
{
    if (when_ms < state->wake_ms) {
        state->wake_ms = when_ms;
    }
}

void state_wake_for(struct state *state, const struct job *job)
{
    int64_t ready_ms = batch_next_ready_ms(&job->book);

    if (ready_ms > state->now_ms) {
        state_wake_at(state, ready_ms);
    }
}

void state_set_deadline(struct state *state, struct job *job, int64_t deadline_ms)
{
    job->record.deadline_ms = deadline_ms;
    memcpy(job->record.deadline_boot, state->settings.machine_boot, JOB_BOOT_SIZE);
    state_wake_at(state, deadline_ms);
}

uint64_t state_next_worker_id(struct state *state)
{
    return (uint64_t)state->boot << 32 | ++state->worker_count;
}

uint64_t state_next_attempts(struct state *state, uint32_t count)
{
    uint64_t first = (uint64_t)state->boot << 32 | (state->attempt_count + 1);

    state->attempt_count += count;
    return first;
}

// Where the name is, or would be.
static size_t api_place(const struct state *state, const char *name)
{
    size_t low = 0;
    size_t high = state->api_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(state->apis[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct api_version *state_api(const struct state *state, const char *name)
{
    size_t at = api_place(state, name);

    return at < state->api_count && strcmp(state->apis[at]->name, name) == 0
               ? state->apis[at]
               : NULL;
}

void state_api_put(struct state *state, struct api_version *version)
{
    size_t at = api_place(state, version->name);

    if (state_api(state, version->name)) {
        api_version_unref(state->apis[at]);
    } else {
        state->apis =
            memory_realloc(state->apis, (state->api_count + 1) * sizeof(*state->apis));
        memmove(state->apis + at + 1,
                state->apis + at,
                (state->api_count - at) * sizeof(*state->apis));
        state->api_count++;
    }
    state->apis[at] = api_version_ref(version);
}

void state_api_remove(struct state *state, const char *name)
{
    if (state_api(state, name)) {
        size_t at = api_place(state, name);
        api_version_unref(state->apis[at]);
        state->api_count--;
        memmove(state->apis + at,
                state->apis + at + 1,
                (state->api_count - at) * sizeof(*state->apis));
    }
}

struct job *state_job(const struct state *state, uint64_t job_id)
{
    return map_get(&state->jobs, job_id);
}

void state_log(struct state *state, uint64_t job_id, const char *format, ...)
{
    char line[STATE_LOG_LINE_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    struct action *action = outbox_add(&state->outbox, ACTION_LOG);
    action->job_id = job_id;
    action->text = memory_format("%s\n", line);
}

int state_job_event(struct state *state,
                    uint64_t job_id,
                    const char *action,
                    const char *detail,
                    struct error *err)
{
    char name[ID_JOB_TEXT_SIZE];

    id_job_format(job_id, name);
    return store_event_add(
        state->store, state->wall_ns, "job", name, action, detail, err);
}

// A newer job has a smaller id.
static int by_age(const void *a, const void *b)
{
    const struct job *left = *(struct job *const *)a;
    const struct job *right = *(struct job *const *)b;

    return left->record.job_id > right->record.job_id ? -1 : 1;
}

struct job **state_jobs_by_age(const struct state *state, size_t *out_count)
{
    struct job **jobs = memory_zalloc((state->jobs.count + 1) * sizeof(struct job *));
    size_t cursor = 0;
    size_t count = 0;
    uint64_t key;
    void *job;

    while (map_next(&state->jobs, &cursor, &key, &job)) {
        jobs[count++] = job;
    }
    qsort(jobs, count, sizeof(struct job *), by_age);
    *out_count = count;
    return jobs;
}
