/* SPDX-License-Identifier: Apache-2.0 */
/* sim_master.c - a master that decides as the real one does, and dies at any point */
#include "tests/sim/sim_master.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "master/recover.h"
#include "master/store_sql.h"
#include "master/submit.h"
#include "proto/agent.pb-c.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_invariants.h"

#define WALL_START_NS INT64_C(1700000000000000000)

enum item_type { ITEM_REQUEST, ITEM_SEGMENT, ITEM_ENQUEUED, ITEM_LETTER };

/* Reads a job's input and writes its segments, as enqueuer.c does on its thread. */
struct enqueuing {
    struct sim_job *job;
    uint64_t number; /* of the next segment */
    uint64_t index;  /* of the next batch */
    bool stopped;
    bool failed;
    struct enqueuing *next;
};

struct sim_item {
    struct sim_item *next;
    enum item_type type;
    struct sim_frame *frame;
    void *prepared;
    struct enqueuing *enqueuing;
    struct segment segment;
    struct stretch letter;
    enum sqs_outcome outcome;
    struct sim_item *settled; /* letters of the turn: known once it is committed */
};

int64_t sim_master_wall_ns(const struct sim *sim)
{
    return WALL_START_NS + sim->now_ms * 1000000 + sim->master->wall_offset_ns;
}

static void set_clocks(struct sim *sim)
{
    struct sim_master *master = sim->master;

    master->state.now_ms = sim->now_ms + master->clock_offset_ms;
    if (sim->options.plant == SIM_PLANT_WALL_CLOCK) {
        master->state.now_ms += master->wall_offset_ns / 1000000;
    }
    master->state.wall_ns = sim_master_wall_ns(sim);
}

/* --- turns ------------------------------------------------------------------------ */

static void turn(struct sim *sim, void *arg);

static void plan_turn(struct sim *sim, int64_t at_ms)
{
    struct sim_master *master = sim->master;

    if (at_ms < master->turn_at_ms) {
        master->turns++;
        master->turn_at_ms = at_ms;
        sim_at(sim, at_ms, turn, NULL, &master->turns);
    }
}

static void post(struct sim *sim, struct sim_item *item)
{
    struct sim_master *master = sim->master;

    *master->last = item;
    master->last = &item->next;
    master->inbox_count++;
    plan_turn(sim, sim->now_ms + sim_between(sim, 0, 1));
}

static void free_prepared(const struct sim_item *item)
{
    if (item->prepared && item->frame->call->route->prepare == ROUTE_SUBMIT) {
        submit_prepared_free(item->prepared);
    } else if (item->prepared) {
        deploy_prepared_free(item->prepared);
    }
}

static struct sim_item *take(struct sim_master *master)
{
    struct sim_item *item = master->first;

    master->first = item->next;
    master->last = master->first ? master->last : &master->first;
    master->inbox_count--;
    return item;
}

/* --- requests --------------------------------------------------------------------- */

static void prepare(struct sim *sim, void *arg)
{
    struct sim_item *item = arg;
    const struct sim_call *call = item->frame->call;

    item->prepared = call->route->prepare == ROUTE_SUBMIT
                         ? (void *)sim_prepare_submit(sim, call->plan)
                         : (void *)sim_prepare_deploy(sim, call->plan);
    post(sim, item);
}

void sim_master_take(struct sim *sim, struct sim_frame *frame)
{
    struct sim_item *item = sim_new(sim, sizeof(*item));
    struct sim_master *master = sim->master;

    item->type = ITEM_REQUEST;
    item->frame = frame;
    if (frame->call->route->prepare == ROUTE_DIRECT) {
        post(sim, item);
    } else {
        sim_at(
            sim, sim->now_ms + sim_between(sim, 0, 20), prepare, item, &master->epoch);
    }
}

static const struct batch *held_batch(struct sim *sim, uint64_t job_id, uint64_t index)
{
    struct job *job = state_job(&sim->master->state, job_id);
    const struct batch *batch = NULL;

    if (job && index < job->book.total) {
        (void)batch_state_of(&job->book, index, &batch);
    }
    return batch && batch->state == BATCH_IN_HAND ? batch : NULL;
}

// Whether the master is going to look at the request's results at all.
static bool counts(const struct sim *sim,
                   const struct sim_call *call,
                   const Cortex__V1__WorkRequest *said)
{
    const struct roster_agent *agent =
        roster_agent_get(&sim->master->state.roster, said->agent_id.data);

    return agent && agent->state == ROSTER_PRESENT &&
           agent->incarnation == said->incarnation &&
           memcmp(agent->work_request_id, call->request_id, ID_REQUEST_SIZE) != 0;
}

// Notes what is reported; plants a fault in it.
static void look_at_results(struct sim *sim,
                            const struct sim_call *call,
                            Cortex__V1__WorkRequest *said)
{
    for (size_t i = 0; counts(sim, call, said) && i < said->n_results; i++) {
        Cortex__V1__BatchResult *result = said->results[i];
        const struct batch *batch = held_batch(sim, result->job_id, result->index);
        sim_note_report(sim,
                        &(struct sim_report){.job_id = result->job_id,
                                             .index = result->index,
                                             .attempt = result->attempt,
                                             .outcome = (int)result->outcome});
        if (batch && batch->attempt != result->attempt &&
            sim->options.plant == SIM_PLANT_OLD_ATTEMPT) {
            result->attempt = batch->attempt;
        } else if (batch && sim->options.plant == SIM_PLANT_LOST_RESULT &&
                   sim_fault(sim, 20)) {
            result->attempt = 1;
        } else if (sim->options.plant == SIM_PLANT_RETURNS &&
                   (int)result->outcome == BATCH_OUTCOME_RETURNED) {
            result->outcome = (Cortex__V1__BatchOutcome)BATCH_OUTCOME_FAILED;
        }
    }
}

static int handle_request(struct sim *sim, struct sim_item *item, struct error *err)
{
    struct sim_call *call = item->frame->call;
    struct request request = {.call = item->frame,
                              .request_id = call->request_id,
                              .message = call->message,
                              .prepared = item->prepared};

    if (call->message->descriptor == &cortex__v1__work_request__descriptor) {
        look_at_results(sim, call, (Cortex__V1__WorkRequest *)call->message);
    }
    sim_note_request(sim, call->message);
    sim->result.agent_calls += item->frame->call->link != NULL;
    sim_trace(sim, "master handles %s", call->route->method);
    int result = route_handle(&sim->master->state, call->route, &request, err);
    free_prepared(item);
    return result;
}

/* --- enqueuing -------------------------------------------------------------------- */

static void write_segment(struct sim *sim, void *arg)
{
    struct enqueuing *enqueuing = arg;
    struct sim_job *job = enqueuing->job;
    uint64_t left = job->submission->total - enqueuing->index;
    struct sim_item *item = sim_new(sim, sizeof(*item));

    if (enqueuing->stopped) {
        return;
    }
    item->enqueuing = enqueuing;
    if (job->enqueue_fails && sim_chance(sim, 500)) {
        enqueuing->failed = true;
    }
    if (left == 0 || enqueuing->failed) {
        item->type = ITEM_ENQUEUED;
        post(sim, item);
        return;
    }
    uint32_t count = (uint32_t)sim_between(sim, 1, (int64_t)left);
    item->type = ITEM_SEGMENT;
    item->segment.payload = (struct payload_segment){.number = enqueuing->number++,
                                                     .first_index = enqueuing->index,
                                                     .count = count,
                                                     .bytes = (uint64_t)count * 8};
    enqueuing->index += count;
    job->enqueued = enqueuing->index > job->enqueued ? enqueuing->index : job->enqueued;
    post(sim, item);
}

static void plan_segment(struct sim *sim, struct enqueuing *enqueuing)
{
    sim_at(sim,
           sim->now_ms + sim_between(sim, 0, 20),
           write_segment,
           enqueuing,
           &sim->master->epoch);
}

static void start_enqueuing(struct sim *sim, const struct action *action)
{
    struct enqueuing *enqueuing = sim_new(sim, sizeof(*enqueuing));

    enqueuing->job = sim_job_find(sim, action->job_id);
    if (action->last) {
        enqueuing->number = action->last->payload.number + 1;
        enqueuing->index =
            action->last->payload.first_index + action->last->payload.count;
    }
    enqueuing->next = sim->master->enqueuings;
    sim->master->enqueuings = enqueuing;
    plan_segment(sim, enqueuing);
}

static void cancel_enqueuing(struct sim *sim, uint64_t job_id)
{
    for (struct enqueuing *at = sim->master->enqueuings; at; at = at->next) {
        at->stopped = at->stopped || at->job->job_id == job_id;
    }
}

static int handle_segment(struct sim *sim, struct sim_item *item, struct error *err)
{
    struct enqueuing *enqueuing = item->enqueuing;
    bool going_on = false;
    int result = submit_segment(
        &sim->master->state, enqueuing->job->job_id, &item->segment, &going_on, err);

    enqueuing->failed = !going_on;
    plan_segment(sim, enqueuing); // before the commit, as the real one
    return result;
}

static int
handle_enqueued(struct sim *sim, const struct sim_item *item, struct error *err)
{
    struct error failure = {0};

    error_set(&failure, ERROR_INVALID_ARGUMENT, "the input is not readable");
    return submit_enqueued(&sim->master->state,
                           item->enqueuing->job->job_id,
                           item->enqueuing->failed ? &failure : NULL,
                           err);
}

/* --- dead letters ----------------------------------------------------------------- */

// What the queue makes of it, and what is heard of that.
static void deliver(struct sim *sim, void *arg)
{
    struct sim_item *item = arg;
    struct sim_job *job = sim_job_find(sim, item->letter.job_id);

    item->outcome = SQS_SENT;
    if (job->payload_gone || sim_fault(sim, sim->faults.queue_refuses)) {
        item->outcome = SQS_REFUSED;
    } else if (sim_fault(sim, sim->faults.queue_away)) {
        item->outcome = SQS_AWAY;
    }
    if (item->outcome == SQS_SENT ||
        (item->outcome == SQS_AWAY && sim_fault(sim, sim->faults.queue_keeps))) {
        sim_letter_arrives(sim, job, item->letter.first_index);
    }
    post(sim, item);
}

static void carry_letter(struct sim *sim, const struct action *action)
{
    struct sim_item *item = sim_new(sim, sizeof(*item));

    item->type = ITEM_LETTER;
    item->letter = action->stretches[0];
    sim_at(sim,
           sim->now_ms + sim_between(sim, 0, 300),
           deliver,
           item,
           &sim->master->epoch);
}

static int handle_letter(struct sim *sim, struct sim_item *item, struct error *err)
{
    struct sim_master *master = sim->master;
    struct error failure = {0};

    error_set(&failure, ERROR_UNAVAILABLE, "the queue does not answer");
    if (item->outcome != SQS_AWAY) {
        item->settled = master->settled;
        master->settled = item;
    }
    return deadletter_done(
        &master->state,
        item->letter.job_id,
        item->letter.first_index,
        sim->options.plant == SIM_PLANT_LETTER ? SQS_AWAY : item->outcome,
        item->outcome == SQS_SENT && sim->options.plant != SIM_PLANT_LETTER ? NULL
                                                                            : &failure,
        err);
}

static void settle_letters(struct sim *sim)
{
    for (struct sim_item *item = sim->master->settled; item; item = item->settled) {
        sim->ledger->progress++;
        sim_letter_settled(sim_job_find(sim, item->letter.job_id),
                           item->letter.first_index);
    }
    sim->master->settled = NULL;
}

/* --- acting ----------------------------------------------------------------------- */

static void free_action(void *action)
{
    action_free(action);
}

static bool on_disk(const struct sim *sim, const struct stretch *stretch)
{
    const struct sim_job *job = sim_job_find(sim, stretch->job_id);

    return job && !job->payload_gone &&
           stretch->first_index + stretch->count <= job->enqueued;
}

static void reply_work(struct sim *sim, void *arg)
{
    struct action *action = arg;
    Cortex__V1__WorkReply *reply = (Cortex__V1__WorkReply *)action->message;
    struct error err = {0};

    for (size_t i = 0; i < action->stretch_count; i++) {
        if (!on_disk(sim, &action->stretches[i])) {
            error_set(&err, ERROR_DATA_LOSS, "a segment is missing");
        }
    }
    for (size_t i = 0; i < reply->n_grants; i++) {
        for (size_t k = 0; k < reply->grants[i]->n_sizes; k++) {
            reply->grants[i]->sizes[k] = 8;
        }
    }
    sim_reply(sim, action->call, err.code == ERROR_OK ? action->message : NULL, &err);
}

static void reply_log(struct sim *sim, void *arg)
{
    Cortex__V1__AppendLogReply reply = CORTEX__V1__APPEND_LOG_REPLY__INIT;

    sim_reply(sim, arg, &reply.base, NULL);
}

static void forget_job(struct sim *sim, uint64_t job_id)
{
    struct sim_job *job = sim_job_find(sim, job_id);
    const struct job *live = state_job(&sim->master->state, job_id);

    if (live && !job_state_terminal(live->record.state)) {
        sim_violated(sim,
                     "The payloads of a job that is in progress are kept: those of "
                     "%016" PRIx64 " were removed",
                     job_id);
    }
    if (job) {
        job->payload_gone = true;
    }
}

static void carry_out(struct sim *sim, struct action *action)
{
    struct sim_master *master = sim->master;
    int64_t soon_ms = sim->now_ms + sim_between(sim, 0, 3);

    switch (action->type) {
    case ACTION_REPLY:
        sim_reply(sim, action->call, action->message, NULL);
        break;
    case ACTION_WORK_REPLY:
        sim_at(sim,
               soon_ms,
               reply_work,
               sim_own(sim, action, free_action),
               &master->epoch);
        return;
    case ACTION_FAIL:
        sim_trace(sim, "master refuses: %.80s", action->error->message);
        sim_reply(sim, action->call, NULL, action->error);
        break;
    case ACTION_ENQUEUE:
        start_enqueuing(sim, action);
        break;
    case ACTION_ENQUEUE_CANCEL:
        cancel_enqueuing(sim, action->job_id);
        break;
    case ACTION_LOG_APPEND:
        sim_at(sim, soon_ms, reply_log, action->call, &master->epoch);
        break;
    case ACTION_DEAD_LETTER:
        carry_letter(sim, action);
        break;
    case ACTION_FORGET_JOB:
        forget_job(sim, action->job_id);
        break;
    case ACTION_LOG:
        sim_trace(sim, "log %" PRIx64 ": %.100s", action->job_id, action->text);
        break;
    default:
        break; // logs are not simulated
    }
    action_free(action);
}

static void act(struct sim *sim, bool dies_meanwhile)
{
    struct action *action;

    while ((action = outbox_take(&sim->master->state.outbox))) {
        if (dies_meanwhile && sim_chance(sim, 500)) {
            action_free(action);
            return;
        }
        carry_out(sim, action);
    }
}

/* --- life ------------------------------------------------------------------------- */

static void start(struct sim *sim, void *arg);

static void die(struct sim *sim)
{
    struct sim_master *master = sim->master;
    int64_t away_ms = sim_between(sim, 20, sim_chance(sim, 100) ? 25000 : 1500);

    sim_trace(sim, "master dies");
    sim->result.kills++;
    master->up = false;
    master->died_ms = sim->now_ms;
    master->epoch++;
    master->turns++;
    master->turn_at_ms = INT64_MAX;
    while (master->first) {
        free_prepared(take(master));
    }
    master->enqueuings = NULL;
    master->settled = NULL;
    store_rollback(master->store);
    state_fini(&master->state);
    sim_network_master_died(sim);
    sim_at(sim, sim->now_ms + away_ms, start, NULL, &master->epoch);
}

static void plant_at_start(struct sim *sim)
{
    size_t count;
    struct job **jobs = state_jobs_by_age(&sim->master->state, &count);

    for (size_t i = 0; sim->options.plant == SIM_PLANT_CALLBACK && i < count; i++) {
        jobs[i]->record.callback = JOB_CALLBACK_WAITING;
    }
    free(jobs);
}

static void start(struct sim *sim, void *arg)
{
    struct sim_master *master = sim->master;
    struct state_settings settings = {
        .lease_ms = master->lease_ms, .lost_ms = master->lost_ms, .bridge_url = ""};
    struct error err = {0};

    (void)arg;
    if (master->machine_boots == 0 || sim_chance(sim, 300)) {
        master->machine_boots++;
        master->clock_offset_ms = sim_between(sim, 0, 1000000);
    }
    (void)snprintf(settings.machine_boot,
                   sizeof(settings.machine_boot),
                   "%u",
                   master->machine_boots);
    if (state_init(&master->state, &settings, master->store, sim_random(sim), &err) !=
        0) {
        sim_violated(sim, "A master starts on what it has stored: %s", err.message);
        return;
    }
    set_clocks(sim);
    if (recover_state(&master->state, &err) != 0) {
        sim_violated(sim, "A master starts on what it has stored: %s", err.message);
        return;
    }
    plant_at_start(sim);
    master->up = true;
    if (sim->now_ms > master->well_since_ms) {
        master->well_since_ms = sim->now_ms;
    }
    sim_trace(sim, "master starts, boot %u", master->state.boot);
    sim_check_master(sim, true);
    plan_turn(sim, master->state.wake_ms - master->clock_offset_ms);
}

// Faults in what the master has just decided.
static void plant(struct sim *sim)
{
    struct sim_master *master = sim->master;
    size_t count;
    struct job **jobs = state_jobs_by_age(&master->state, &count);

    for (size_t i = 0; i < count; i++) {
        struct job *job = jobs[i];
        size_t cursor = 0;
        uint64_t index;
        void *batch;
        if (sim->options.plant == SIM_PLANT_MISCOUNT && !master->planted &&
            job->book.succeeded > 0) {
            job->book.succeeded++;
            master->planted = true;
        }
        if (sim->options.plant == SIM_PLANT_STARVATION && job->record.job_id % 2 == 0) {
            job->record.workers = 0;
        }
        const struct sim_job *known = sim_job_find(sim, job->record.job_id);
        if (sim->options.plant == SIM_PLANT_REVIVAL && !master->planted &&
            known->state != 0 && job_state_terminal(known->state)) {
            job->record.state = JOB_RUNNING;
            master->planted = true;
        }
        while (sim->options.plant == SIM_PLANT_NO_EXPIRY &&
               map_next(&job->book.open, &cursor, &index, &batch)) {
            ((struct batch *)batch)->deadline_ms =
                INT64_MAX / 2; // so that it can be prolonged
        }
    }
    free(jobs);
}

static int decide(struct sim *sim, struct error *err)
{
    struct sim_master *master = sim->master;
    size_t count = master->inbox_count;
    int result = 0;

    if (count > 1 && sim_chance(sim, 500)) {
        count = (size_t)sim_between(sim, 1, (int64_t)count);
    }
    set_clocks(sim);
    for (size_t i = 0; i < count && result == 0; i++) {
        struct sim_item *item = take(master);
        switch (item->type) {
        case ITEM_REQUEST:
            result = handle_request(sim, item, err);
            break;
        case ITEM_SEGMENT:
            result = handle_segment(sim, item, err);
            break;
        case ITEM_ENQUEUED:
            result = handle_enqueued(sim, item, err);
            break;
        case ITEM_LETTER:
            result = handle_letter(sim, item, err);
            break;
        }
    }
    return result == 0 ? route_settle(&master->state, err) : -1;
}

static void turn(struct sim *sim, void *arg)
{
    struct sim_master *master = sim->master;
    struct error err = {0};

    (void)arg;
    master->turn_at_ms = INT64_MAX;
    if (sim->now_ms < master->paused_until_ms) {
        plan_turn(sim, master->paused_until_ms);
        return;
    }
    if (decide(sim, &err) != 0) {
        sim_violated(sim, "The store takes what is decided: %s", err.message);
        return;
    }
    plant(sim);
    bool early = sim->options.plant == SIM_PLANT_EARLY_REPLY;
    if (early) {
        act(sim, false);
    }
    bool crash = store_dirty(master->store) &&
                 sim_fault(sim, sim->faults.crash_commit + (early ? 50 : 0));
    if (crash && sim_chance(sim, 400)) {
        die(sim); // before the commit
        return;
    }
    if (store_commit(master->store, &err) != 0) {
        sim_violated(sim, "The store takes what is decided: %s", err.message);
        return;
    }
    settle_letters(sim);
    sim_check_master(sim, false);
    act(sim, crash);
    if (crash) {
        die(sim);
        return;
    }
    plan_turn(sim,
              master->first ? sim->now_ms
                            : master->state.wake_ms - master->clock_offset_ms);
}

void sim_master_kill(struct sim *sim)
{
    if (sim->master->up) {
        die(sim);
    }
}

void sim_master_pause(struct sim *sim, int64_t length_ms)
{
    sim_trace(sim, "master is stopped for %lld ms", (long long)length_ms);
    sim->master->paused_until_ms = sim->now_ms + length_ms;
    if (sim->master->paused_until_ms > sim->master->well_since_ms) {
        sim->master->well_since_ms = sim->master->paused_until_ms;
    }
    if (sim->master->up) {
        plan_turn(sim, sim->master->paused_until_ms);
    }
}

// Empties what another run has left, so that it is as good as a new one.
static int store_clear(struct store *store, struct error *err)
{
    sqlite3_stmt *all = store_query(store,
                                    err,
                                    "SELECT group_concat('DELETE FROM ' || name, ';')"
                                    " FROM sqlite_schema WHERE type = 'table'",
                                    "");
    int result = all && store_step(store, all, err) > 0 ? 0 : -1;
    char *sql = result == 0 ? memory_strdup(store_text(all, 0)) : NULL;

    store_done(all);
    if (sql && sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        result = store_fail(store, err, sql);
    }
    free(sql);
    return result;
}

static int open_store(struct sim *sim, struct error *err)
{
    struct store **kept = sim->options.store;

    if (kept && *kept) {
        sim->master->store = *kept;
        return store_clear(*kept, err);
    }
    if (store_open(":memory:", &sim->master->store, err) != 0) {
        return -1;
    }
    if (kept) {
        *kept = sim->master->store;
    }
    return 0;
}

void sim_master_create(struct sim *sim)
{
    struct sim_master *master = memory_zalloc(sizeof(*master));
    struct error err = {0};

    sim->master = master;
    master->last = &master->first;
    master->turn_at_ms = INT64_MAX;
    master->lease_ms = sim_between(sim, 2, 10) * 1000;
    master->lost_ms = sim_between(sim, 2, 10) * 1000;
    if (open_store(sim, &err) != 0) {
        sim_violated(sim, "A store opens: %s", err.message);
        return;
    }
    start(sim, NULL);
}

void sim_master_destroy(struct sim *sim)
{
    struct sim_master *master = sim->master;

    while (master->first) {
        free_prepared(take(master));
    }
    if (master->up) {
        state_fini(&master->state);
    }
    if (sim->options.store) {
        store_rollback(master->store);
    } else {
        store_close(master->store);
    }
    free(master);
}
