/* SPDX-License-Identifier: Apache-2.0 */
/* sim_invariants.c - what must hold after every step */
#include "tests/sim/sim_invariants.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buffer.h"
#include "master/scheduler.h"
#include "master/store_sql.h"
#include "proto/client.pb-c.h"
#include "tests/sim/sim_agent.h"
#include "tests/sim/sim_master.h"
#include "tests/sim/sim_worker.h"

#define ROWS_EVERY       16    /* turns between comparisons of memory and rows, about */
#define STANDSTILL_MS    90000 /* quiet: longer without progress is a hang */
#define SPEAKS_WITHIN_MS 6000  /* a Sync and its repeat, when nothing is in the way */
#define SLIGHTED_MS      45000 /* until those who have too much let go, a call repeated */
#define LEAVES_WITHIN_MS 2000
#define QUIET_MAX_MS     20000000

/* --- batches ---------------------------------------------------------------------- */

static const struct sim_report *
find_report(const struct sim *sim, uint64_t job_id, uint64_t index, uint64_t attempt)
{
    const struct sim_ledger *ledger = sim->ledger;

    for (size_t i = 0; i < ledger->report_count; i++) {
        const struct sim_report *report = &ledger->reports[i];
        if (report->job_id == job_id && report->index == index &&
            report->attempt == attempt) {
            return report;
        }
    }
    return NULL;
}

// The report that the master may have taken in this turn: from whoever has the batch,
// or from an attempt that took it up again in the same turn. NULL: none.
static const struct sim_report *
acceptable_report(const struct sim *sim, const struct sim_job *job, uint64_t index)
{
    const struct sim_ledger *ledger = sim->ledger;
    const struct sim_batch *batch = &job->batches[index];
    const struct sim_report *found = NULL;

    for (size_t i = 0; i < ledger->report_count; i++) {
        const struct sim_report *report = &ledger->reports[i];
        if (report->job_id != job->job_id || report->index != index ||
            report->attempt <= batch->over || report->attempt <= batch->boot_over ||
            report->attempt < batch->boot_newest) {
            continue;
        }
        if (!found || report->attempt > found->attempt) {
            found = report;
        }
    }
    return found;
}

static bool is_stored(const struct sim_batch *batch, uint64_t attempt)
{
    for (size_t i = 0; i < SIM_STORED_MAX; i++) {
        if (batch->stored[i] == attempt) {
            return true;
        }
    }
    return false;
}

static void count_attempt(struct sim_batch *batch, const struct sim_report *report)
{
    batch->failures += report->outcome == BATCH_OUTCOME_FAILED;
    batch->deaths += report->outcome == BATCH_OUTCOME_SUSPECT;
}

// A batch ends by a report of the attempt that has it, and succeeds if that attempt
// has stored its result.
static void
check_batch_done(struct sim *sim, struct sim_job *job, uint64_t index, bool restarted)
{
    struct sim_batch *batch = &job->batches[index];
    const struct sim_report *report = acceptable_report(sim, job, index);

    if (batch->state == BATCH_SUCCEEDED || batch->state == BATCH_FAILED) {
        return;
    }
    if (restarted || !report || report->outcome == BATCH_OUTCOME_RETURNED) {
        sim_violated(sim,
                     "A batch ends by a result of the attempt that has it: %016" PRIx64
                     "/%" PRIu64 " (attempt %" PRIx64 ") was counted without one",
                     job->job_id,
                     index,
                     batch->attempt);
        return;
    }
    batch->state =
        report->outcome == BATCH_OUTCOME_SUCCEEDED ? BATCH_SUCCEEDED : BATCH_FAILED;
    batch->over = report->attempt;
    count_attempt(batch, report);
    if (batch->state == BATCH_SUCCEEDED && !is_stored(batch, report->attempt)) {
        sim_violated(sim,
                     "A batch that succeeded has its result stored: %016" PRIx64
                     "/%" PRIu64 " has not",
                     job->job_id,
                     index);
    }
}

// A batch leaves a hand by a report, when its lease runs out, or when its worker is
// lost.
static void check_batch_left(struct sim *sim, struct sim_job *job, uint64_t index)
{
    struct sim_batch *batch = &job->batches[index];
    const struct state *state = &sim->master->state;
    const struct sim_report *report =
        find_report(sim, job->job_id, index, batch->attempt);

    if (!report && batch->deadline_ms >= state->now_ms &&
        roster_worker_get(&state->roster, batch->worker_id)) {
        sim_violated(sim,
                     "A lease ends by a report, when its time is over, or with its "
                     "worker: %016" PRIx64 "/%" PRIu64
                     " was taken from attempt %" PRIx64,
                     job->job_id,
                     index,
                     batch->attempt);
    }
    if (report) {
        batch->boot_over = batch->attempt;
    }
    batch->state = BATCH_QUEUED;
}

// An attempt ended and the batch is tried again: each attempt is counted once.
static void check_batch_counted(struct sim *sim,
                                struct sim_job *job,
                                const struct batch *now,
                                bool restarted)
{
    struct sim_batch *batch = &job->batches[now->index];
    const struct sim_report *report = acceptable_report(sim, job, now->index);

    if (now->attempts == batch->attempts) {
        return;
    }
    if (restarted || now->attempts != batch->attempts + 1 || !report ||
        report->outcome == BATCH_OUTCOME_RETURNED) {
        sim_violated(sim,
                     "An attempt that was begun is counted once: %016" PRIx64
                     "/%" PRIu64 " went from %u to %u attempts",
                     job->job_id,
                     now->index,
                     batch->attempts,
                     now->attempts);
        return;
    }
    batch->attempts = now->attempts;
    count_attempt(batch, report);
    batch->over = report->attempt;
    batch->boot_over = report->attempt;
    sim->ledger->progress++;
}

// Whether the attempt that had it when the master died is known to be over.
static bool holder_is_gone(const struct sim *sim, const struct sim_batch *batch)
{
    return batch->holder_died || batch->taken != batch->attempt ||
           batch->told >= batch->attempt ||
           !roster_worker_get(&sim->master->state.roster, batch->worker_id);
}

// A batch comes into a hand newly, or goes back into the one it was in.
static void
check_batch_given(struct sim *sim, struct sim_job *job, const struct batch *now)
{
    struct sim_batch *batch = &job->batches[now->index];
    bool newly = now->attempt >> 32 == sim->master->state.boot &&
                 now->attempt > batch->boot_newest && now->attempt != batch->attempt;

    if (!newly && (now->attempt <= batch->over || now->attempt <= batch->boot_over ||
                   now->attempt < batch->boot_newest ||
                   (batch->state == BATCH_IN_HAND && now->attempt < batch->attempt))) {
        sim_violated(sim,
                     "A batch is held by its newest attempt only: %016" PRIx64
                     "/%" PRIu64 " went to attempt %" PRIx64 " after %" PRIx64,
                     job->job_id,
                     now->index,
                     now->attempt,
                     batch->attempt);
    }
    if (newly && (!batch->unresolved || holder_is_gone(sim, batch))) {
        batch->allowed++;
    }
    if (newly && job_state_terminal(job->state)) {
        sim_violated(sim,
                     "A job that has ended gives out no batch: %016" PRIx64
                     " gave out %" PRIu64,
                     job->job_id,
                     now->index);
    }
    batch->unresolved = false;
    batch->state = BATCH_IN_HAND;
    batch->attempt = now->attempt;
    batch->worker_id = now->worker_id;
    batch->boot_newest =
        now->attempt > batch->boot_newest ? now->attempt : batch->boot_newest;
}

// The holder's report of this turn has had its effect.
static void
check_report_taken(struct sim *sim, const struct sim_job *job, const struct batch *now)
{
    if (find_report(sim, job->job_id, now->index, now->attempt)) {
        sim_violated(
            sim,
            "A result from the attempt that has the batch is taken in: that of "
            "%016" PRIx64 "/%" PRIu64 " (attempt %" PRIx64 ") was not",
            job->job_id,
            now->index,
            now->attempt);
    }
}

// After a restart two may claim a batch; the newer one has it.
static bool takes_over(const struct sim *sim,
                       const struct sim_batch *batch,
                       const struct batch *now)
{
    uint64_t boot = sim->master->state.boot;

    return now && now->attempt > batch->attempt && now->attempt >> 32 != boot;
}

static void check_batch(struct sim *sim,
                        struct sim_job *job,
                        const struct job *now,
                        uint64_t index,
                        bool restarted)
{
    struct sim_batch *batch = &job->batches[index];
    const struct batch *open;
    enum batch_state state = batch_state_of(&now->book, index, &open);

    if (state == BATCH_SUCCEEDED) { // or failed: its report says which
        check_batch_done(sim, job, index, restarted);
        return;
    }
    if (batch->state == BATCH_SUCCEEDED || batch->state == BATCH_FAILED) {
        sim_violated(sim,
                     "A batch that has ended stays so: %016" PRIx64 "/%" PRIu64
                     " is %s again",
                     job->job_id,
                     index,
                     batch_state_name(state));
        return;
    }
    if (restarted) {
        batch->unresolved = batch->unresolved || batch->state == BATCH_IN_HAND;
        batch->state = BATCH_QUEUED;
        batch->boot_newest = 0;
        batch->boot_over = 0;
    }
    if (open) {
        check_batch_counted(sim, job, open, restarted);
    }
    const struct batch *held = open && state == BATCH_IN_HAND ? open : NULL;
    bool same =
        held && batch->state == BATCH_IN_HAND && held->attempt == batch->attempt;
    if (batch->state == BATCH_IN_HAND && !same && !takes_over(sim, batch, held)) {
        check_batch_left(sim, job, index);
    }
    if (held && !same) {
        check_batch_given(sim, job, held);
    } else if (held && now->record.state == JOB_RUNNING) {
        check_report_taken(sim, job, held);
    }
    if (held) {
        batch->deadline_ms = held->deadline_ms;
    }
}

/* --- room ------------------------------------------------------------------------- */

static bool is_enough(const struct roster_agent *agent,
                      const struct scheduler_room *taken,
                      const struct api_version *need)
{
    return agent->cpu_millis >= taken->cpu_millis + need->cpu_millis &&
           agent->memory_bytes >= (uint64_t)taken->memory_bytes + need->memory_bytes &&
           agent->gpus >= taken->gpus + need->gpus;
}

// What an agent's workers take, of each job but one.
static struct scheduler_room taken_by(const struct state *state,
                                      const struct roster_agent *agent)
{
    struct scheduler_room taken = {0};

    for (const struct roster_worker *worker = agent->workers; worker;
         worker = worker->next) {
        taken.cpu_millis += worker->cpu_millis;
        taken.memory_bytes += (int64_t)worker->memory_bytes;
        taken.gpus += worker->gpus;
        // One a job keeps; what it has beyond is not its own while another has none.
        for (const struct roster_worker *other = agent->workers; other != worker;
             other = other->next) {
            const struct job *job = state_job(state, worker->job_id);
            if (job && other->job_id == worker->job_id) {
                taken.cpu_millis -= worker->cpu_millis;
                taken.memory_bytes -= (int64_t)worker->memory_bytes;
                taken.gpus -= worker->gpus;
                break;
            }
        }
    }
    return taken;
}

// Whether a worker of the job fits into what is free, or more than others' first share.
static bool is_slighted(const struct sim *sim, const struct job *job)
{
    const struct state *state = &sim->master->state;

    if (job->record.state != JOB_RUNNING || job->workers_awaited > 0 ||
        !batch_ready(&job->book, state->now_ms) ||
        roster_count_job(&state->roster, job->record.job_id) > 0) {
        return false;
    }
    for (size_t i = 0; i < sim->agent_count; i++) {
        const struct roster_agent *agent =
            roster_agent_get(&state->roster, sim->agents[i]->agent_id);
        if (agent && agent->state == ROSTER_PRESENT && !agent->draining) {
            struct scheduler_room taken = taken_by(state, agent);
            if (is_enough(agent, &taken, job->version)) {
                return true;
            }
        }
    }
    return false;
}

static bool fits_anywhere(const struct sim *sim, const struct api_version *need)
{
    for (size_t i = 0; i < sim->agent_count; i++) {
        const struct agent_capacity *whole = &sim->agents[i]->capacity;
        if (whole->cpu_millis >= need->cpu_millis &&
            whole->memory_bytes >= need->memory_bytes && whole->gpus >= need->gpus) {
            return true;
        }
    }
    return false;
}

// Nobody starves: when all is well, a job with batches to give has a worker soon, or
// there is no room for one though every job had but one.
static void check_share(struct sim *sim, struct sim_job *job, const struct job *now)
{
    job->fits = fits_anywhere(sim, now->version);
    if (!sim->quiet || !is_slighted(sim, now)) {
        job->slighted_ms = 0;
    } else if (job->slighted_ms == 0) {
        job->slighted_ms = sim->now_ms;
    } else if (sim->now_ms - job->slighted_ms > SLIGHTED_MS) {
        sim_violated(sim,
                     "A job that could have a worker is given one: %016" PRIx64
                     " has had none for %" PRId64 " ms",
                     job->job_id,
                     sim->now_ms - job->slighted_ms);
    }
}

// An agent that is told to leave gives back at once what its workers have not begun.
static void check_leaving(struct sim *sim, const struct sim_agent *agent)
{
    const struct sim_faults *faults = &sim->faults;
    bool network_is_well = faults->lose == 0 && faults->cut == 0 &&
                           faults->very_slow == 0 && faults->late_words == 0;
    int64_t since_ms =
        agent->told_ms > agent->well_since_ms ? agent->told_ms : agent->well_since_ms;

    since_ms =
        sim->master->well_since_ms > since_ms ? sim->master->well_since_ms : since_ms;
    if (!agent->up || agent->stage == SIM_SERVING || !network_is_well ||
        sim->now_ms - since_ms <= LEAVES_WITHIN_MS) {
        return;
    }
    for (struct sim_job *job = sim->ledger->newest; job; job = job->next) {
        bool over =
            job->forgotten || (job->state != 0 && job_state_terminal(job->state));
        for (uint64_t i = 0; !over && i < job->total; i++) {
            const struct sim_batch *batch = &job->batches[i];
            if (batch->state == BATCH_IN_HAND && batch->begun_by != batch->worker_id &&
                sim_worker_is_of(agent, batch->worker_id)) {
                sim_violated(sim,
                             "An agent that leaves gives back at once what it has not "
                             "begun: %s still has %016" PRIx64 "/%" PRIu64,
                             agent->name,
                             job->job_id,
                             i);
            }
        }
    }
}

/* --- jobs ------------------------------------------------------------------------- */

// Whether a job may end like this.
static bool verdict_is_true(const struct sim *sim,
                            const struct sim_job *job,
                            const struct job_record *record)
{
    bool done = record->succeeded + record->failed == record->total &&
                record->total == job->submission->total;
    bool called = !job->has_callback || job->callbacks_done == 1;
    int64_t ran_ms = sim->now_ms - job->sent_ms;

    switch (record->state) {
    case JOB_SUCCEEDED:
        return done && called && record->failed == 0;
    case JOB_COMPLETED_WITH_FAILURES:
        return done && called && record->failed > 0;
    case JOB_ENQUEUE_FAILED:
        return job->enqueue_fails;
    case JOB_WORKER_ERROR:
    case JOB_WORKER_OOM:
        return job->worker_deaths > 0 || job->losses > 0;
    case JOB_TIMED_OUT:
        return job->submission->timeout_s > 0 &&
               (ran_ms >= (int64_t)job->submission->timeout_s * 1000 - 2 ||
                // What is left over a reboot is known by the wall clock only.
                (sim->ledger->clocks_jumped && sim->master->machine_boots > 1));
    case JOB_STOPPED:
        return job->stop_asked;
    default:
        return false;
    }
}

static void
check_verdict(struct sim *sim, struct sim_job *job, const struct job_record *record)
{
    sim_trace(sim,
              "job %016" PRIx64 ": %s %s",
              job->job_id,
              job_state_name(record->state),
              record->reason);
    if (!verdict_is_true(sim, job, record)) {
        sim_violated(sim,
                     "A job ends as what happened to it: %016" PRIx64 " is \"%s\" (%s)"
                     " with %" PRIu64 " + %" PRIu64 " of %" PRIu64
                     ", %u deaths, %u losses, on_job_complete %u times begun, %u done",
                     job->job_id,
                     job_state_name(record->state),
                     record->reason,
                     record->succeeded,
                     record->failed,
                     job->submission->total,
                     job->worker_deaths,
                     job->losses,
                     job->callbacks_begun,
                     job->callbacks_done);
    }
}

// One submission is one job.
static void check_once(struct sim *sim, const struct sim_job *job)
{
    for (const struct sim_job *other = sim->ledger->newest; other;
         other = other->next) {
        if (other != job && other->state != 0 && !other->deleted &&
            other->submission == job->submission) {
            sim_violated(sim,
                         "One submission is one job: %s%s became %016" PRIx64
                         " and %016" PRIx64,
                         job->submission->key[0] ? "key " : "a call without a key",
                         job->submission->key,
                         other->job_id,
                         job->job_id);
        }
    }
}

static void
take_record(struct sim *sim, struct sim_job *job, const struct job_record *record)
{
    if (job->state == record->state) {
        return;
    }
    sim->ledger->progress++;
    if (job->state == 0) {
        check_once(sim, job);
    }
    if (job->state != 0 && job_state_terminal(job->state)) {
        sim_violated(sim,
                     "Terminal is final: job %016" PRIx64 " was \"%s\" and is \"%s\"",
                     job->job_id,
                     job_state_name(job->state),
                     job_state_name(record->state));
        return;
    }
    if (job_state_terminal(record->state)) {
        check_verdict(sim, job, record);
    }
    job->state = record->state;
}

// Counts are those of what was reported.
static void check_counts(struct sim *sim, struct sim_job *job, const struct job *now)
{
    uint64_t succeeded = 0;
    uint64_t failed = 0;

    for (uint64_t i = 0; i < now->book.total; i++) {
        succeeded += job->batches[i].state == BATCH_SUCCEEDED;
        failed += job->batches[i].state == BATCH_FAILED;
    }
    if (!job_consistent(now) || succeeded != now->book.succeeded ||
        failed != now->book.failed) {
        sim_violated(sim,
                     "succeeded + failed + queued + in hand = total: job %016" PRIx64
                     " has %" PRIu64 " + %" PRIu64 " (should be %" PRIu64 " + %" PRIu64
                     "), %" PRIu64 " in hand, of %" PRIu64,
                     job->job_id,
                     now->book.succeeded,
                     now->book.failed,
                     succeeded,
                     failed,
                     now->book.in_hand,
                     now->book.total);
    }
    sim->ledger->progress += succeeded + failed - job->succeeded - job->failed;
    job->succeeded = succeeded;
    job->failed = failed;
}

// What is stored of a job: its row, and its batches' by state.
static bool read_rows(struct sim *sim,
                      uint64_t job_id,
                      struct job_record *out_record,
                      uint64_t out_counts[5])
{
    struct store *store = sim->master->store;
    struct error err = {0};
    bool found = false;

    memset(out_counts, 0, 5 * sizeof(*out_counts));
    if (store_job_get(store, job_id, out_record, &found, &err) != 0) {
        sim_violated(sim, "The store can be read: %s", err.message);
        return false;
    }
    sqlite3_stmt *rows = store_query(
        store,
        &err,
        "SELECT state, count(*) FROM batch WHERE job_id = ?1 GROUP BY state",
        "i",
        (int64_t)job_id);
    while (store_step(store, rows, &err) > 0) {
        out_counts[sqlite3_column_int(rows, 0)] =
            (uint64_t)sqlite3_column_int64(rows, 1);
    }
    store_done(rows);
    return found;
}

// Rows say the same as memory, or, of a job that is over, as memory last did.
static void check_rows(struct sim *sim, struct sim_job *job)
{
    struct job_record record = {0};
    uint64_t counts[5];

    if (job->state == 0) {
        return;
    }
    bool found = read_rows(sim, job->job_id, &record, counts);
    if (!found && !job->deleted) {
        sim_violated(sim,
                     "What was accepted is there: job %016" PRIx64 " has no row",
                     job->job_id);
    }
    if (found &&
        (record.state != job->state || counts[BATCH_SUCCEEDED] != job->succeeded ||
         counts[BATCH_FAILED] != job->failed)) {
        sim_violated(sim,
                     "Rows say what memory says: job %016" PRIx64
                     " is \"%s\" with %" PRIu64 " + %" PRIu64
                     " in rows, \"%s\" with %" PRIu64 " + %" PRIu64 " in memory",
                     job->job_id,
                     job_state_name(record.state),
                     counts[BATCH_SUCCEEDED],
                     counts[BATCH_FAILED],
                     job_state_name(job->state),
                     job->succeeded,
                     job->failed);
    }
    job_record_fini(&record);
}

// What ended in the turn in which memory let go of the job is told by rows.
static void check_last_rows(struct sim *sim, struct sim_job *job)
{
    struct error err = {0};
    sqlite3_stmt *rows = store_query(
        sim->master->store,
        &err,
        "SELECT idx, state FROM batch WHERE job_id = ?1 AND state IN (?2, ?3)",
        "iii",
        (int64_t)job->job_id,
        (int64_t)BATCH_SUCCEEDED,
        (int64_t)BATCH_FAILED);

    while (store_step(sim->master->store, rows, &err) > 0) {
        uint64_t index = (uint64_t)sqlite3_column_int64(rows, 0);
        enum batch_state state = (enum batch_state)sqlite3_column_int(rows, 1);
        check_batch_done(sim, job, index, false);
        if (job->batches[index].state != state) {
            sim_violated(sim,
                         "A batch's row says what was reported: %016" PRIx64 "/%" PRIu64
                         " is %s, expected %s",
                         job->job_id,
                         index,
                         batch_state_name(state),
                         batch_state_name(job->batches[index].state));
        }
    }
    store_done(rows);
}

// A job that memory no longer has: its row is final.
static void check_gone(struct sim *sim, struct sim_job *job, bool restarted)
{
    struct job_record record = {0};
    uint64_t counts[5];

    if (job->state == 0 && !read_rows(sim, job->job_id, &record, counts)) {
        return; // not decided upon, or refused
    }
    if (job->state != 0 && !read_rows(sim, job->job_id, &record, counts)) {
        if (!job->deleted) {
            sim_violated(sim,
                         "What was accepted is there: job %016" PRIx64 " is gone",
                         job->job_id);
        }
        job->forgotten = true;
        // How it ended if it was deleted in the same turn, no row tells.
        job->end_unseen = !job_state_terminal(job->state);
        job->state = job->end_unseen ? JOB_STOPPED : job->state;
        return;
    }
    if (!job_state_terminal(record.state)) {
        sim_violated(
            sim, "A job in progress is in memory: %016" PRIx64 " is not", job->job_id);
    }
    if (!restarted) {
        check_last_rows(sim, job);
    }
    job->succeeded = record.succeeded;
    job->failed = record.failed;
    take_record(sim, job, &record);
    job->forgotten = true;
    job_record_fini(&record);
}

static void check_job(struct sim *sim, struct sim_job *job, bool restarted)
{
    const struct job *now = state_job(&sim->master->state, job->job_id);

    if (!now) {
        if (!job->forgotten && (job->state != 0 || job->stop_asked || restarted)) {
            check_gone(sim, job, restarted);
        }
        return;
    }
    if (job->state != 0 && job_state_terminal(job->state)) {
        take_record(sim, job, &now->record);
        return;
    }
    job->total = now->book.total;
    for (uint64_t i = 0; i < now->book.total && !sim->result.violated; i++) {
        check_batch(sim, job, now, i, restarted);
    }
    check_counts(sim, job, now);
    check_share(sim, job, now);
    take_record(sim, job, &now->record);
}

/* --- apis and agents -------------------------------------------------------------- */

static void check_apis(struct sim *sim, bool restarted)
{
    for (int i = 0; i < SIM_APIS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "api-%d", i);
        const struct api_version *version = state_api(&sim->master->state, name);
        const char *api_id = version ? version->api_id : "";
        if (restarted && strcmp(api_id, sim->ledger->apis[i]) != 0) {
            sim_violated(sim,
                         "A restart keeps what is deployed: %s was %s and is %s",
                         name,
                         sim->ledger->apis[i],
                         api_id);
        }
        (void)snprintf(
            sim->ledger->apis[i], sizeof(sim->ledger->apis[i]), "%s", api_id);
    }
}

// What the master wants of an agent fits into it.
static void check_room(struct sim *sim, const struct roster_agent *agent)
{
    uint64_t cpu_millis = 0;
    uint64_t memory_bytes = 0;
    uint64_t gpus = 0;

    for (const struct roster_worker *worker = agent->workers; worker;
         worker = worker->next) {
        cpu_millis += worker->cpu_millis;
        memory_bytes += worker->memory_bytes;
        gpus += worker->gpus;
    }
    if (agent->state == ROSTER_PRESENT &&
        (cpu_millis > agent->cpu_millis || memory_bytes > agent->memory_bytes ||
         gpus > agent->gpus)) {
        sim_violated(
            sim, "Workers fit into their agent: those of %s do not", agent->name);
    }
}

// An agent that could speak all the time is not lost, even by a master that was
// stopped. Its former self is.
static void check_loss(struct sim *sim, const struct sim_agent *agent, uint64_t as)
{
    const struct sim_faults *faults = &sim->faults;
    bool network_is_well = faults->lose == 0 && faults->cut == 0 &&
                           faults->very_slow == 0 && faults->late_words == 0;

    if (agent->up && agent->incarnation == as && (network_is_well || sim->quiet) &&
        sim->now_ms - agent->well_since_ms > sim->master->lost_ms + SPEAKS_WITHIN_MS) {
        sim_violated(
            sim, "An agent is lost only if it is not heard of: %s spoke", agent->name);
    }
}

static void check_agents(struct sim *sim, bool restarted)
{
    for (size_t i = 0; i < sim->agent_count; i++) {
        const struct roster_agent *agent =
            roster_agent_get(&sim->master->state.roster, sim->agents[i]->agent_id);
        bool present = agent != NULL;
        if (sim->ledger->present[i] && !present && !restarted) {
            check_loss(sim, sim->agents[i], sim->ledger->present_as[i]);
            for (struct sim_job *job = sim->ledger->newest; job; job = job->next) {
                job->losses += !job->forgotten;
            }
        }
        sim->ledger->present[i] = present;
        sim->ledger->present_as[i] = agent ? agent->incarnation : 0; // 0: expected
        if (agent && !restarted) {
            check_room(sim, agent);
        }
    }
}

void sim_check_master(struct sim *sim, bool restarted)
{
    struct sim_ledger *ledger = sim->ledger;
    bool rows = restarted || sim_random(sim) % ROWS_EVERY == 0;

    check_agents(sim, restarted);
    check_apis(sim, restarted);
    for (struct sim_job *job = ledger->newest; job && !sim->result.violated;
         job = job->next) {
        if (!job->forgotten) {
            check_job(sim, job, restarted);
        }
        if (rows && !job->forgotten && !sim->result.violated) {
            check_rows(sim, job);
        }
    }
    for (size_t i = 0; i < sim->agent_count && !restarted; i++) {
        check_leaving(sim, sim->agents[i]);
    }
    ledger->report_count = 0;
}

/* --- notes ------------------------------------------------------------------------ */

void sim_note_report(struct sim *sim, const struct sim_report *report)
{
    struct sim_ledger *ledger = sim->ledger;

    if (ledger->report_count == ledger->report_capacity) {
        ledger->report_capacity =
            ledger->report_capacity ? ledger->report_capacity * 2 : 64;
        ledger->reports = memory_realloc(
            ledger->reports, ledger->report_capacity * sizeof(*ledger->reports));
    }
    ledger->reports[ledger->report_count++] = *report;
    struct sim_job *job = sim_job_find(sim, report->job_id);
    if (job && report->index < SIM_BATCHES_MAX &&
        report->attempt > job->batches[report->index].told) {
        job->batches[report->index].told = report->attempt;
    }
}

static void note_delete(struct sim *sim, const Cortex__V1__DeleteApiRequest *said)
{
    for (struct sim_job *job = sim->ledger->newest; job; job = job->next) {
        if (strcmp(job->submission->api_name, said->api_name) == 0) {
            job->stop_asked = true;
            job->deleted = job->deleted || !said->keep_cache;
        }
    }
}

void sim_note_request(struct sim *sim, const ProtobufCMessage *message)
{
    if (message->descriptor == &cortex__v1__delete_api_request__descriptor) {
        note_delete(sim, (const Cortex__V1__DeleteApiRequest *)message);
    } else if (message->descriptor == &cortex__v1__stop_job_request__descriptor) {
        struct sim_job *job =
            sim_job_find(sim, ((const Cortex__V1__StopJobRequest *)message)->job_id);
        if (job) {
            job->stop_asked = true;
        }
    }
}

/* --- agents and workers ----------------------------------------------------------- */

void sim_grant_taken(struct sim *sim,
                     uint64_t job_id,
                     uint64_t index,
                     uint64_t attempt,
                     uint64_t worker_id)
{
    struct sim_job *job = sim_job_find(sim, job_id);

    if (job && index < SIM_BATCHES_MAX && attempt > job->batches[index].taken) {
        job->batches[index].taken = attempt;
        job->batches[index].taken_worker = worker_id;
        job->batches[index].holder_died = false;
    }
}

void sim_predict_begins(struct sim *sim,
                        struct sim_job *job,
                        uint64_t index,
                        uint64_t worker_id)
{
    struct sim_batch *batch = &job->batches[index];

    sim->result.predicts++;
    sim->result.late_begins += job->stop_answered;
    batch->begun_by = worker_id;
    if (++batch->begun > batch->allowed) {
        sim_violated(sim,
                     "predict runs again only if it failed, its worker is gone or its "
                     "lease ran out: %016" PRIx64 "/%" PRIu64
                     " began %u times, %u were "
                     "allowed",
                     job->job_id,
                     index,
                     batch->begun,
                     batch->allowed);
    }
}

void sim_result_stored(struct sim_job *job, uint64_t index, uint64_t attempt)
{
    uint64_t *stored = job->batches[index].stored;

    memmove(stored + 1, stored, (SIM_STORED_MAX - 1) * sizeof(*stored));
    stored[0] = attempt;
}

void sim_callback_begins(struct sim *sim, struct sim_job *job)
{
    if (++job->callbacks_begun > 1) {
        sim_violated(sim,
                     "on_job_complete starts at most once: that of %016" PRIx64
                     " started twice",
                     job->job_id);
    }
    if (job->succeeded + job->failed != job->submission->total) {
        sim_violated(sim,
                     "on_job_complete starts when every batch has ended: %016" PRIx64
                     " had %" PRIu64 " + %" PRIu64 " of %" PRIu64,
                     job->job_id,
                     job->succeeded,
                     job->failed,
                     job->submission->total);
    }
}

/* --- dead letters ----------------------------------------------------------------- */

void sim_letter_arrives(struct sim *sim, struct sim_job *job, uint64_t index)
{
    struct sim_batch *batch = &job->batches[index];

    sim->result.letters++;
    batch->letters++;
    if (batch->state != BATCH_FAILED ||
        (batch->failures < job->submission->max_attempts &&
         batch->deaths < BATCH_DEATHS_MAX)) {
        sim_violated(
            sim,
            "A batch comes to the dead letter queue when its attempts are used "
            "up: %016" PRIx64 "/%" PRIu64 " (%s) came after %u of %u",
            job->job_id,
            index,
            batch_state_name(batch->state),
            batch->failures,
            job->submission->max_attempts);
    }
    if (batch->letter_settled) {
        sim_violated(sim,
                     "A letter that is known to be sent or refused is not sent again: "
                     "that of %016" PRIx64 "/%" PRIu64 " was",
                     job->job_id,
                     index);
    }
}

void sim_letter_settled(struct sim_job *job, uint64_t index)
{
    job->batches[index].letter_settled = true;
}

// At the end all are, of jobs that were not deleted.
static void check_letters(struct sim *sim, const struct sim_job *job)
{
    for (uint64_t i = 0; i < job->submission->total; i++) {
        const struct sim_batch *batch = &job->batches[i];
        if (job->submission->dead_letters && batch->state == BATCH_FAILED &&
            !job->deleted && !batch->letter_settled) {
            sim_violated(sim,
                         "A failed batch comes to the dead letter queue of its job: "
                         "%016" PRIx64 "/%" PRIu64 " did not",
                         job->job_id,
                         i);
        }
    }
}

void sim_worker_stopped(struct sim *sim,
                        const struct sim_agent *agent,
                        uint64_t worker_id)
{
    const struct roster_worker *worker =
        sim->master->up ? roster_worker_get(&sim->master->state.roster, worker_id)
                        : NULL;

    if (agent->stage == SIM_SERVING && worker &&
        worker->agent->state == ROSTER_PRESENT &&
        worker->agent->incarnation == agent->incarnation &&
        worker->wish == ROSTER_RUN) {
        sim_violated(sim,
                     "A worker that should run is not stopped: %" PRIx64 " on %s was",
                     worker_id,
                     agent->name);
    }
}

size_t sim_agents_present(const struct sim *sim)
{
    size_t present = 0;
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (sim->master->up &&
           map_next(&sim->master->state.roster.agents, &cursor, &key, &entry)) {
        present += ((const struct roster_agent *)entry)->state == ROSTER_PRESENT;
    }
    return present;
}

void sim_check_step(struct sim *sim)
{
    for (size_t i = 0; i < sim->agent_count && i < SIM_AGENTS_DRAWN; i++) {
        // All, or where there are many some in turn.
        const struct sim_agent *agent = sim->agents[(sim->step + i) % sim->agent_count];
        struct agent_capacity taken = sim_workers_taken(agent);
        if (taken.cpu_millis > agent->capacity.cpu_millis ||
            taken.memory_bytes > agent->capacity.memory_bytes ||
            taken.gpus > agent->capacity.gpus) {
            sim_violated(sim,
                         "Processes fit into their machine: those of %s take %u of %u "
                         "thousandths of a core",
                         agent->name,
                         taken.cpu_millis,
                         agent->capacity.cpu_millis);
        }
    }
}

/* --- the end ---------------------------------------------------------------------- */

// A job that is larger than any agent waits for one that is large enough.
static bool stays(const struct sim_job *job)
{
    return job->state == JOB_RUNNING && !job->fits;
}

static bool all_over(const struct sim *sim)
{
    size_t unplaceable = 0;

    for (const struct sim_job *job = sim->ledger->newest; job; job = job->next) {
        if (stays(job)) {
            unplaceable++;
        } else if (job->state != 0 && !job_state_terminal(job->state)) {
            return false;
        }
    }
    return sim->master->up && sim->master->state.jobs.count == unplaceable &&
           sim->master->state.deadletters.jobs.count == 0 &&
           sim->master->state.roster.workers.count == 0;
}

// The workers that the master has of a job, or of all.
static void trace_workers(struct sim *sim, uint64_t job_id)
{
    const struct state *state = &sim->master->state;
    size_t cursor = 0;
    uint64_t key;
    void *entry;

    while (map_next(&state->roster.workers, &cursor, &key, &entry)) {
        const struct roster_worker *worker = entry;
        const struct job *job = state_job(state, worker->job_id);
        if (job_id == 0 || worker->job_id == job_id) {
            sim_trace(sim,
                      "worker %" PRIx64 " of %016" PRIx64
                      " on %s: state %d, wish %d, %shungry, holds %" PRIu64,
                      worker->worker_id,
                      worker->job_id,
                      worker->agent->name,
                      (int)worker->state,
                      (int)worker->wish,
                      worker->hungry ? "" : "not ",
                      job ? batch_held_by(&job->book, worker->worker_id) : 0);
        }
    }
}

// What the master has of a job that does not get on, for the trace.
static void trace_job(struct sim *sim, uint64_t job_id)
{
    const struct state *state = &sim->master->state;
    const struct job *job = sim->master->up ? state_job(state, job_id) : NULL;

    if (job) {
        sim_trace(sim,
                  "job %016" PRIx64 ": %" PRIu64 " queued (%s), %" PRIu64
                  " in hand, %u workers awaited, on_job_complete %d",
                  job_id,
                  batch_queued(&job->book),
                  batch_ready(&job->book, state->now_ms) ? "ready" : "not ready",
                  job->book.in_hand,
                  job->workers_awaited,
                  (int)job->record.callback);
        trace_workers(sim, job_id);
    }
}

static void tell_standstill(struct sim *sim)
{
    uint64_t waiting = 0;
    const struct sim_job *one = NULL;

    for (const struct sim_job *job = sim->ledger->newest; job; job = job->next) {
        if (job->state != 0 && !job_state_terminal(job->state) && !stays(job)) {
            waiting++;
            one = job;
        }
    }
    if (one) {
        trace_job(sim, one->job_id);
        sim_violated(sim,
                     "Once faults cease every job ends: %" PRIu64
                     " stand still, such as %016" PRIx64 " (%s, %" PRIu64 " + %" PRIu64
                     " of %" PRIu64 ")",
                     waiting,
                     one->job_id,
                     job_state_name(one->state),
                     one->succeeded,
                     one->failed,
                     one->total);
    } else {
        trace_workers(sim, 0);
        sim_violated(sim,
                     "Workers of jobs that have ended leave: %zu jobs, %zu workers and "
                     "%zu jobs' letters are still in the master's memory",
                     sim->master->state.jobs.count,
                     sim->master->state.roster.workers.count,
                     sim->master->state.deadletters.jobs.count);
    }
}

bool sim_check_quiet(struct sim *sim)
{
    struct sim_ledger *ledger = sim->ledger;
    static const int64_t settle_ms = 3000;

    if (sim->now_ms - sim->quiet_ms > settle_ms && all_over(sim)) {
        return true;
    }
    if (ledger->progress_ms < sim->quiet_ms ||
        ledger->progress != ledger->progress_seen) {
        ledger->progress_seen = ledger->progress;
        ledger->progress_ms = sim->now_ms;
    }
    int64_t patience_ms =
        sim->master->state.deadletters.jobs.count > 0 ? DEADLETTER_BACKOFF_MAX_MS : 0;
    if (sim->now_ms - ledger->progress_ms > STANDSTILL_MS + patience_ms ||
        sim->now_ms - sim->quiet_ms > QUIET_MAX_MS) {
        tell_standstill(sim);
    }
    return false;
}

// The events of a job tell what its row says.
static void check_events(struct sim *sim, const struct sim_job *job)
{
    struct store *store = sim->master->store;
    struct error err = {0};
    char name[ID_JOB_TEXT_SIZE];
    char last[40] = "";

    id_job_format(job->job_id, name);
    sqlite3_stmt *rows =
        store_query(store,
                    &err,
                    "SELECT action FROM event WHERE subject = 'job' AND name = ?1"
                    " AND action <> 'on_job_complete' ORDER BY event_id",
                    "t",
                    name);
    while (store_step(store, rows, &err) > 0) {
        (void)snprintf(last, sizeof(last), "%s", store_text(rows, 0));
    }
    store_done(rows);
    if (!job->end_unseen && strcmp(last, job_state_name(job->state)) != 0) {
        sim_violated(
            sim,
            "Events fold to the tables: the last of job %s is \"%s\", and it is "
            "\"%s\"",
            name,
            last,
            job_state_name(job->state));
    }
}

// Workers that were placed and are not gone are those of the table: none.
static void check_worker_events(struct sim *sim)
{
    struct store *store = sim->master->store;
    struct error err = {0};
    sqlite3_stmt *row =
        store_query(store,
                    &err,
                    "SELECT (SELECT count(*) FROM event WHERE subject = 'worker' AND"
                    " action = 'placed') - (SELECT count(*) FROM event WHERE subject ="
                    " 'worker' AND action = 'gone'), (SELECT count(*) FROM worker)",
                    "");

    if (store_step(store, row, &err) > 0 &&
        sqlite3_column_int64(row, 0) != sqlite3_column_int64(row, 1)) {
        sim_violated(sim,
                     "Events fold to the tables: %lld workers by events, %lld by rows",
                     (long long)sqlite3_column_int64(row, 0),
                     (long long)sqlite3_column_int64(row, 1));
    }
    store_done(row);
}

void sim_check_end(struct sim *sim)
{
    for (struct sim_job *job = sim->ledger->newest; job && !sim->result.violated;
         job = job->next) {
        if (job->state == 0) {
            continue;
        }
        check_rows(sim, job);
        check_events(sim, job);
        check_letters(sim, job);
    }
    if (!sim->result.violated) {
        check_worker_events(sim);
    }
}
