/* SPDX-License-Identifier: Apache-2.0 */
/* finish.c - when a job is over, and what happens then */
#include "master/finish.h"

#include <inttypes.h>
#include <stdio.h>

// Workers are told to go: at once, or (after success) in good order, but for the one
// that closes the log: let_close tells it.
static void dismiss(struct state *state, struct job *job)
{
    bool in_order = job->record.state == JOB_SUCCEEDED ||
                    job->record.state == JOB_COMPLETED_WITH_FAILURES;
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    job->log_open = in_order;
    while (map_next(&state->roster.workers, &cursor, &key, &entry)) {
        struct roster_worker *worker = entry;
        if (worker->job_id == job->record.job_id &&
            !(in_order && worker->worker_id == job->closer)) {
            roster_wish(worker, in_order ? ROSTER_DRAIN : ROSTER_STOP, false);
        }
    }
}

// The closing line is the log's last: when all others have left, the closer writes it
// and leaves. If there is none (any more), it is written here.
static void let_close(struct state *state, struct job *job)
{
    struct roster_worker *closer = roster_worker_get(&state->roster, job->closer);
    size_t others = roster_count_job(&state->roster, job->record.job_id) - !!closer;

    if (!job->log_open || others > 0) {
        return;
    }
    job->log_open = false;
    if (closer) {
        roster_wish(closer, ROSTER_DRAIN, true);
    } else {
        state_log(state,
                  job->record.job_id,
                  "no batches left in queue, job has been completed");
    }
}

// A worker that can do the job's last things: one that stays rather than one that has
// been told to go, which begins nothing more.
static struct roster_worker *last_worker(const struct state *state, uint64_t job_id)
{
    struct roster_worker *leaving = NULL;
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.workers, &cursor, &key, &entry)) {
        struct roster_worker *worker = entry;
        if (worker->job_id != job_id || worker->state != ROSTER_RUNNING) {
            continue;
        }
        if (worker->wish == ROSTER_RUN) {
            return worker;
        }
        leaving = worker;
    }
    return leaving;
}

void finish_forget(struct state *state, struct job *job)
{
    uint64_t job_id = job->record.job_id;

    if (!job_state_terminal(job->record.state) ||
        roster_count_job(&state->roster, job_id) > 0) {
        return;
    }
    outbox_add(&state->outbox, ACTION_JOB_CLOSE)->job_id = job_id;
    (void)map_remove(&state->jobs, job_id);
    job_destroy(job);
}

// The words in the log for an end that the user did not wait for.
static void log_end(struct state *state, const struct job *job, const char *reason)
{
    if (reason[0]) {
        state_log(state, job->record.job_id, "%s", reason);
    }
}

static int end_job(struct state *state,
                   struct job *job,
                   enum job_state to,
                   const char *reason,
                   uint64_t closer,
                   struct error *err)
{
    if (job->record.state == JOB_ENQUEUING) {
        outbox_add(&state->outbox, ACTION_ENQUEUE_CANCEL)->job_id = job->record.job_id;
    }
    job_apply(job, to, reason, state->wall_ns);
    log_end(state, job, reason);
    if (store_job_put(state->store, &job->record, err) != 0 ||
        state_job_event(state, job->record.job_id, job_state_name(to), reason, err) !=
            0) {
        return -1;
    }
    job->closer = closer;
    dismiss(state, job);
    let_close(state, job);
    state->schedule_dirty = true;
    finish_forget(state, job);
    return 0;
}

int finish_job(struct state *state,
               struct job *job,
               enum job_state to,
               const char *reason,
               struct error *err)
{
    return end_job(state, job, to, reason, 0, err);
}

// Stored before the worker hears of it: it starts at most once.
static int give_callback(struct state *state,
                         struct job *job,
                         struct roster_worker *worker,
                         struct error *err)
{
    job->record.callback = JOB_CALLBACK_GIVEN;
    job->record.callback_worker = worker->worker_id;
    if (store_job_put(state->store, &job->record, err) != 0 ||
        state_job_event(
            state, job->record.job_id, "on_job_complete", "given out", err) != 0) {
        return -1;
    }
    roster_wish(worker, ROSTER_COMPLETE, false);
    return 0;
}

int finish_check(struct state *state, struct job *job, struct error *err)
{
    if (job->record.state != JOB_RUNNING || !batch_all_done(&job->book) ||
        job->record.callback != JOB_CALLBACK_WAITING || job->workers_awaited > 0) {
        return 0;
    }
    struct roster_worker *worker = last_worker(state, job->record.job_id);
    if (job->callback_known && !job->callback_exists) {
        bool stays = worker && worker->wish == ROSTER_RUN;
        uint64_t closer = stays ? worker->worker_id : 0;
        return end_job(state, job, job_outcome(job), "", closer, err);
    }
    if (!job->callback_known || !worker || worker->wish != ROSTER_RUN) {
        state->schedule_dirty = true; // a worker has to come up and tell
        return 0;
    }
    return give_callback(state, job, worker, err);
}

int finish_callback(struct state *state,
                    struct job *job,
                    struct roster_worker *worker,
                    struct error *err)
{
    if (job->record.state != JOB_RUNNING ||
        job->record.callback != JOB_CALLBACK_GIVEN ||
        job->record.callback_worker != worker->worker_id) {
        return 0;
    }
    job->record.callback = JOB_CALLBACK_BACK;
    bool stays = worker->state == ROSTER_COMPLETED; // else it has left already
    return end_job(
        state, job, job_outcome(job), "", stays ? worker->worker_id : 0, err);
}

int finish_callback_unbegun(struct state *state,
                            struct job *job,
                            const struct roster_worker *worker,
                            struct error *err)
{
    if (job->record.state != JOB_RUNNING ||
        job->record.callback != JOB_CALLBACK_GIVEN ||
        job->record.callback_worker != worker->worker_id) {
        return 0;
    }
    job->record.callback = JOB_CALLBACK_WAITING;
    job->record.callback_worker = 0;
    return store_job_put(state->store, &job->record, err) != 0 ||
                   state_job_event(state,
                                   job->record.job_id,
                                   "on_job_complete",
                                   "given back",
                                   err) != 0
               ? -1
               : 0;
}

// What a worker's going means for a job that is running. NULL: nothing; else why it is
// over, and *out_to.
static const char *verdict(struct job *job,
                           uint64_t worker_id,
                           enum finish_cause cause,
                           enum job_state *out_to)
{
    *out_to = JOB_WORKER_ERROR;
    if (cause == FINISH_CALLBACK) {
        return "on_job_complete failed; its traceback is above";
    }
    if (job->record.callback == JOB_CALLBACK_GIVEN &&
        job->record.callback_worker == worker_id) {
        return "on_job_complete was interrupted: its worker is gone, and it is not run "
               "a second time";
    }
    if (cause == FINISH_SETUP) {
        return "a worker could not start; its log is above";
    }
    if (cause == FINISH_MEMORY || cause == FINISH_DIED) {
        job->workers_failed++;
        if (++job->deaths_in_row >= JOB_DEATHS_MAX) {
            *out_to = cause == FINISH_MEMORY ? JOB_WORKER_OOM : JOB_WORKER_ERROR;
            return cause == FINISH_MEMORY
                       ? "workers ran out of memory three times without a batch done "
                         "in between"
                       : "workers died three times without a batch done in between";
        }
    }
    return NULL;
}

static int take_leave(struct state *state,
                      struct job *job,
                      uint64_t worker_id,
                      enum finish_cause cause,
                      const char *detail,
                      struct error *err)
{
    enum job_state to;

    if (cause == FINISH_EXITED) {
        job->workers_exited++;
    } else if (cause == FINISH_SETUP) {
        job->workers_failed++;
    }
    if (job->record.state != JOB_RUNNING) {
        let_close(state, job);
        finish_forget(state, job);
        return 0;
    }
    if (cause == FINISH_MACHINE) {
        state_log(state,
                  job->record.job_id,
                  "worker %016" PRIx64
                  ": %s; another is started on another agent, or there in %d s",
                  worker_id,
                  detail,
                  ROSTER_UNFIT_MS / 1000);
    } else if (cause != FINISH_EXITED) {
        state_log(
            state, job->record.job_id, "worker %016" PRIx64 ": %s", worker_id, detail);
    }
    const char *reason = verdict(job, worker_id, cause, &to);
    return reason ? finish_job(state, job, to, reason, err)
                  : finish_check(state, job, err);
}

int finish_worker(struct state *state,
                  struct roster_worker *worker,
                  enum finish_cause cause,
                  const char *detail,
                  struct error *err)
{
    uint64_t worker_id = worker->worker_id;
    struct job *job = state_job(state, worker->job_id);
    char name[20];

    (void)snprintf(name, sizeof(name), "%016" PRIx64, worker_id);
    if (worker->agent->state == ROSTER_EXPECTED && job && job->workers_awaited > 0) {
        job->workers_awaited--;
        state->work_appeared = true;
    }
    if (cause == FINISH_LOST && job &&
        batch_release_worker(&job->book, worker_id, state->now_ms) > 0) {
        state->work_appeared = true;
    }
    if (cause == FINISH_MACHINE) {
        worker->agent->unfit_until_ms = state->now_ms + ROSTER_UNFIT_MS;
        state_wake_at(state, worker->agent->unfit_until_ms);
    }
    roster_worker_remove(&state->roster, worker);
    state->schedule_dirty = true;
    if (store_worker_delete(state->store, worker_id, err) != 0 ||
        store_event_add(
            state->store, state->wall_ns, "worker", name, "gone", detail, err) != 0) {
        return -1;
    }
    return job ? take_leave(state, job, worker_id, cause, detail, err) : 0;
}
