/* SPDX-License-Identifier: Apache-2.0 */
/* recover.c - how a master that starts takes its state up again */
#include "master/recover.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

static int load_api(void *arg, const struct api_version *version, struct error *err)
{
    struct state *state = arg;
    struct api_version *copy = NULL;

    if (store_api_version_get(state->store, version->api_id, &copy, err) != 0) {
        return -1;
    }
    state_api_put(state, copy);
    api_version_unref(copy);
    return 0;
}

static int load_job(void *arg, const struct job_record *record, struct error *err)
{
    struct state *state = arg;
    struct job *job = job_create();

    (void)err;
    job_record_fini(&job->record);
    job->record = *record;
    job->record.api_name = memory_strdup(record->api_name);
    job->record.api_id = memory_strdup(record->api_id);
    job->record.dead_letter_arn = memory_strdup(record->dead_letter_arn);
    job->record.config = memory_strndup(record->config, record->config_size);
    job->record.reason = memory_strdup(record->reason);
    map_put(&state->jobs, record->job_id, job);
    return 0;
}

struct loading {
    struct state *state;
    struct job *job;
    struct segment last;
};

static int load_segment(void *arg, const struct segment *segment, struct error *err)
{
    struct loading *loading = arg;

    loading->last = *segment;
    return job_add_segment(loading->job, &segment->payload)
               ? 0
               : error_set(err,
                           ERROR_DATA_LOSS,
                           "the state database misses batches before %llu of a job",
                           (unsigned long long)segment->payload.first_index);
}

static int load_batch(void *arg, const struct batch_row *row, struct error *err)
{
    const struct loading *loading = arg;

    (void)err;
    batch_recover(&loading->job->book, row, loading->state->now_ms);
    return 0;
}

// A deadline holds while the machine is up. Over its reboot what is left of a timeout
// is known by the wall clock only, and is the deadline from then on.
static int recover_deadline(struct state *state, struct job *job, struct error *err)
{
    const char *boot = state->settings.machine_boot;
    int64_t ran_ms = (state->wall_ns - job->record.start_ns) / 1000000;
    int64_t left_ms = (int64_t)job->record.timeout_s * 1000 - (ran_ms > 0 ? ran_ms : 0);

    if (job->record.timeout_s == 0) {
        job->record.deadline_ms = INT64_MAX;
        return 0;
    }
    if (boot[0] != '\0' && strcmp(job->record.deadline_boot, boot) == 0) {
        state_wake_at(state, job->record.deadline_ms);
        return 0;
    }
    state_set_deadline(state, job, state->now_ms + (left_ms > 0 ? left_ms : 0));
    return state->settings.read_only ? 0
                                     : store_job_put(state->store, &job->record, err);
}

static int complete_job(struct state *state, struct job *job, struct error *err)
{
    struct loading loading = {.state = state, .job = job};
    uint64_t job_id = job->record.job_id;

    if (store_api_version_get(state->store, job->record.api_id, &job->version, err) !=
            0 ||
        store_segment_each(state->store, job_id, load_segment, &loading, err) != 0 ||
        store_batch_each(
            state->store, job_id, 0, 0, UINT64_MAX, load_batch, &loading, err) != 0 ||
        recover_deadline(state, job, err) != 0) {
        return -1;
    }
    if (!job->version) {
        job->version = api_version_create(); // its api was deleted with --keep-cache
    }
    if (job->record.state == JOB_ENQUEUING) {
        struct action *action = outbox_add(&state->outbox, ACTION_ENQUEUE);
        action->job_id = job_id;
        if (job->segment_count > 0) {
            action->last = memory_zalloc(sizeof(*action->last));
            *action->last = loading.last;
        }
    }
    return 0;
}

static void take_room(struct roster_worker *worker, const struct api_version *version)
{
    worker->cpu_millis = version->cpu_millis;
    worker->memory_bytes = version->memory_bytes;
    worker->gpus = version->gpus;
}

// A worker of a job that has ended takes its room until it has left.
static int
take_leavers_room(struct state *state, struct roster_worker *worker, struct error *err)
{
    struct api_version *version = NULL;
    struct job_record record;
    bool found = false;
    int result = store_job_get(state->store, worker->job_id, &record, &found, err);

    if (result == 0 && found) {
        result = store_api_version_get(state->store, record.api_id, &version, err);
        job_record_fini(&record);
    }
    if (version) {
        take_room(worker, version);
        api_version_unref(version);
    }
    return result;
}

static int load_worker(void *arg,
                       uint64_t worker_id,
                       uint64_t job_id,
                       const unsigned char agent_id[16],
                       struct error *err)
{
    struct state *state = arg;
    struct roster_agent *agent = roster_agent_get(&state->roster, agent_id);
    struct job *job = state_job(state, job_id);

    if (!agent) {
        agent = roster_agent_add(&state->roster, agent_id);
        agent->heard_ms = state->now_ms;
    }
    struct roster_worker *worker =
        roster_worker_add(&state->roster, agent, worker_id, job_id);
    if (!job) {
        worker->wish = ROSTER_STOP; // the job ended; its worker has not left yet
        return take_leavers_room(state, worker, err);
    }
    take_room(worker, job->version);
    job->workers_awaited++;
    if (job->record.callback == JOB_CALLBACK_GIVEN &&
        job->record.callback_worker == worker_id) {
        worker->wish = ROSTER_COMPLETE;
    }
    return 0;
}

static int set_steady_clock(struct state *state, struct error *err)
{
    int64_t newest_ns = 0;

    if (store_newest_ns(state->store, &newest_ns, err) != 0) {
        return -1;
    }
    state->steady_base_ns =
        (newest_ns > 0 ? newest_ns : state->wall_ns) - state->now_ms * 1000000;
    return 0;
}

static int load_all(struct state *state, struct error *err)
{
    size_t count;
    int result = 0;

    if (set_steady_clock(state, err) != 0 ||
        store_api_each(state->store, load_api, state, err) != 0 ||
        store_job_each_live(state->store, load_job, state, err) != 0) {
        return -1;
    }
    struct job **jobs = state_jobs_by_age(state, &count);
    for (size_t i = 0; i < count && result == 0; i++) {
        result = complete_job(state, jobs[i], err);
    }
    free(jobs);
    return result != 0 ||
                   store_worker_each(state->store, load_worker, state, err) != 0 ||
                   deadletter_recover(state, err) != 0
               ? -1
               : 0;
}

int recover_state(struct state *state, struct error *err)
{
    store_set_scanning(state->store, true);
    int result = load_all(state, err);
    store_set_scanning(state->store, false);
    if (result != 0) {
        return -1;
    }
    state->schedule_dirty = true;
    state->work_appeared = true;
    state_wake_at(state, state->now_ms); // for what the outbox holds
    return 0;
}
