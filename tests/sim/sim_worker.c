/* SPDX-License-Identifier: Apache-2.0 */
/* sim_worker.c - what a worker's process does, and when its agent sees it */
#include "tests/sim/sim_worker.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/codec.h"
#include "master/message.h"
#include "proto/agent.pb-c.h"
#include "tests/sim/sim_invariants.h"

#define FILES_TIMEOUT_MS 30000
#define RESEND_MS        100
#define FED_MAX          256 /* batches ahead in a worker; more than an agent asks for */

enum saying_type { SAY_READY, SAY_RESULT, SAY_COMPLETED, SAY_UNBEGUN, SAY_GONE };

/* What a process has said and its agent has not seen yet. */
struct saying {
    struct saying *next;
    enum saying_type type;
    bool failed;
    bool storing;
    size_t begun;
    int64_t duration_ms;
};

struct sim_worker {
    struct sim_worker *next;
    struct sim *sim;
    struct sim_agent *agent;
    uint64_t worker_id;
    struct sim_job *job;
    struct agent_capacity share;
    enum sim_phase phase; /* as the agent sees it */
    uint32_t epoch;       /* grows when the process ends */
    /* The process. */
    bool running;
    bool leaving; /* begins nothing more */
    bool executing;
    uint64_t fed[FED_MAX];
    size_t fed_first;
    size_t fed_count;
    uint64_t current;
    int64_t begun_ms;
    struct saying *said;
    struct saying **said_last;
    /* The agent's view. */
    bool stopped;
    enum agent_worker_failure failure;
    uint64_t log_mark;
    uint64_t log_shipped;
    uint64_t log_sending;
};

/* An upload under way. */
struct upload {
    struct sim_worker *worker;
    uint64_t index;
    uint64_t attempt;
    bool failed;
};

static struct sim_worker *find(const struct sim_agent *agent, uint64_t worker_id)
{
    struct sim_worker *worker = agent->workers;

    while (worker && worker->worker_id != worker_id) {
        worker = worker->next;
    }
    return worker;
}

/* --- the process ------------------------------------------------------------------ */

static void begin(struct sim *sim, void *arg);

static struct saying *say(struct sim_worker *worker, enum saying_type type)
{
    struct saying *saying = sim_new(worker->sim, sizeof(*saying));

    saying->type = type;
    *worker->said_last = saying;
    worker->said_last = &saying->next;
    sim_agent_wake(worker->sim, worker->agent);
    return saying;
}

static void process_end(struct sim_worker *worker, enum agent_worker_failure failure)
{
    worker->running = false;
    worker->epoch++;
    if (worker->failure == AGENT_FAILURE_NONE) {
        worker->failure = failure;
    }
    if (failure != AGENT_FAILURE_NONE) {
        worker->job->worker_deaths++;
    }
    say(worker, SAY_GONE);
}

static void go_on(struct sim_worker *worker)
{
    if (worker->leaving) {
        process_end(worker, AGENT_FAILURE_NONE);
    } else if (worker->fed_count > 0) {
        sim_at(worker->sim,
               worker->sim->now_ms + sim_between(worker->sim, 0, 1),
               begin,
               worker,
               &worker->epoch);
    }
}

static void end_predict(struct sim *sim, void *arg)
{
    struct sim_worker *worker = arg;
    const struct sim_job *job = worker->job;

    if (sim_chance(sim, job->predict_dies)) {
        sim_trace(sim, "worker %llx dies", (unsigned long long)worker->worker_id);
        process_end(worker, AGENT_FAILURE_DIED);
        return;
    }
    if (sim_chance(sim, job->predict_kills_memory)) {
        process_end(worker, AGENT_FAILURE_MEMORY);
        return;
    }
    worker->executing = false;
    struct saying *saying = say(worker, SAY_RESULT);
    saying->failed = sim_chance(sim, job->predict_raises);
    saying->storing = !saying->failed && sim_chance(sim, 500);
    saying->duration_ms = sim->now_ms - worker->begun_ms;
    go_on(worker);
}

static void begin(struct sim *sim, void *arg)
{
    struct sim_worker *worker = arg;

    if (worker->executing || worker->phase != SIM_SERVING_BATCHES) {
        return;
    }
    if (worker->fed_count == 0 || worker->leaving) {
        return;
    }
    worker->current = worker->fed[worker->fed_first++ % FED_MAX];
    worker->fed_count--;
    worker->executing = true;
    worker->begun_ms = sim->now_ms;
    sim_trace(sim,
              "worker %llx begins %llx/%llu",
              (unsigned long long)worker->worker_id,
              (unsigned long long)worker->job->job_id,
              (unsigned long long)worker->current);
    sim_predict_begins(sim, worker->job, worker->current, worker->worker_id);
    int64_t mean_ms = worker->job->duration_ms;
    sim_at(sim,
           sim->now_ms + sim_between(sim, mean_ms / 2, mean_ms * 3 / 2),
           end_predict,
           worker,
           &worker->epoch);
}

static void constructed(struct sim *sim, void *arg)
{
    struct sim_worker *worker = arg;

    if (sim_chance(sim, worker->job->setup_fails)) {
        process_end(worker,
                    sim_chance(sim, 200) ? AGENT_FAILURE_MEMORY : AGENT_FAILURE_SETUP);
        return;
    }
    say(worker, SAY_READY);
}

static void end_callback(struct sim *sim, void *arg)
{
    struct sim_worker *worker = arg;

    if (sim_chance(sim, worker->job->callback_fails)) {
        process_end(worker,
                    sim_chance(sim, 500) ? AGENT_FAILURE_DIED : AGENT_FAILURE_CALLBACK);
        return;
    }
    worker->job->callbacks_done++;
    say(worker, SAY_COMPLETED);
    go_on(worker);
}

static void begin_callback(struct sim *sim, void *arg)
{
    struct sim_worker *worker = arg;

    sim_trace(sim,
              "worker %llx begins on_job_complete",
              (unsigned long long)worker->worker_id);
    sim_callback_begins(sim, worker->job);
    sim_at(sim,
           sim->now_ms + sim_between(sim, 1, 500),
           end_callback,
           worker,
           &worker->epoch);
}

/* --- getting ready ---------------------------------------------------------------- */

static void begin_end(struct sim_worker *worker)
{
    worker->log_mark++;
    worker->phase = SIM_ENDING;
    sim_agent_wake(worker->sim, worker->agent);
}

static void get_setup(struct sim *sim, struct sim_worker *worker);

static void get_setup_again(struct sim *sim, void *arg)
{
    get_setup(sim, arg);
}

static void setup_done(struct sim *sim,
                       struct sim_call *call,
                       const ProtobufCMessage *reply,
                       const struct error *err)
{
    struct sim_worker *worker = call->owner;
    int64_t half_ms = worker->job->setup_ms / 2;

    if (worker->phase != SIM_SETTING_UP) {
        return; // stopped meanwhile
    }
    if (!reply && error_code_retryable(err->code)) {
        sim_at(sim,
               sim->now_ms + RESEND_MS,
               get_setup_again,
               worker,
               &worker->agent->epoch);
        return;
    }
    if (!reply) {
        worker->failure = AGENT_FAILURE_SETUP;
        begin_end(worker);
        return;
    }
    if (sim_fault(sim, sim->faults.disk_full)) {
        worker->failure = AGENT_FAILURE_MACHINE;
        begin_end(worker);
        return;
    }
    worker->phase = SIM_STARTING;
    worker->running = true;
    sim_at(sim,
           sim->now_ms + half_ms + sim_between(sim, 0, half_ms),
           constructed,
           worker,
           &worker->epoch);
}

static void get_setup(struct sim *sim, struct sim_worker *worker)
{
    Cortex__V1__GetSetupRequest *request =
        message_new(&cortex__v1__get_setup_request__descriptor);

    if (worker->phase != SIM_SETTING_UP) {
        codec_message_free(&request->base);
        return;
    }
    request->job_id = worker->job->job_id;
    (void)sim_call_start(sim,
                         &(struct sim_call_options){
                             .method = "cortex.v1.AgentService/GetSetup",
                             .message = &request->base,
                             .link = &worker->agent->link,
                             .epoch = &worker->agent->epoch,
                             .timeout_ms = FILES_TIMEOUT_MS,
                             .retry = true,
                             .done = setup_done,
                             .owner = worker,
                         });
}

/* --- effects ---------------------------------------------------------------------- */

static void effect_start(void *arg, const struct agent_desired_worker *desired)
{
    const struct sim_agent_arg *to = arg;
    struct sim_worker *worker = sim_new(to->sim, sizeof(*worker));

    sim_trace(to->sim,
              "%s starts worker %llx of job %llx",
              to->agent->name,
              (unsigned long long)desired->worker_id,
              (unsigned long long)desired->job_id);
    worker->sim = to->sim;
    worker->agent = to->agent;
    worker->worker_id = desired->worker_id;
    worker->job = sim_job_find(to->sim, desired->job_id);
    worker->share = desired->share;
    worker->said_last = &worker->said;
    worker->next = to->agent->workers;
    to->agent->workers = worker;
    get_setup(to->sim, worker);
}

static void effect_feed(void *arg, const struct agent_feed *batch)
{
    const struct sim_agent_arg *to = arg;
    struct sim_worker *worker = find(to->agent, batch->worker_id);

    if (!worker || worker->phase != SIM_SERVING_BATCHES || !worker->running) {
        return;
    }
    if (worker->fed_count == FED_MAX) {
        sim_violated(to->sim, "A worker is not fed more than it can hold");
        return;
    }
    worker->fed[(worker->fed_first + worker->fed_count++) % FED_MAX] = batch->index;
    sim_at(to->sim, to->sim->now_ms, begin, worker, &worker->epoch);
}

static void effect_complete(void *arg, uint64_t worker_id)
{
    const struct sim_agent_arg *to = arg;
    struct sim_worker *worker = find(to->agent, worker_id);

    if (worker && worker->phase == SIM_SERVING_BATCHES) {
        worker->phase = SIM_CALLING;
        if (worker->running) {
            sim_at(to->sim,
                   to->sim->now_ms + sim_between(to->sim, 0, 2),
                   begin_callback,
                   worker,
                   &worker->epoch);
        }
    }
}

// It begins no more, and says so.
static void leave_the_rest(struct sim *sim, void *arg)
{
    struct sim_worker *worker = arg;

    (void)sim;
    worker->fed_count = 0;
    say(worker, SAY_UNBEGUN)->begun = worker->executing;
    if (!worker->executing) {
        process_end(worker, AGENT_FAILURE_NONE);
    }
}

static void effect_drain(void *arg, uint64_t worker_id, enum agent_leave why)
{
    const struct sim_agent_arg *to = arg;
    struct sim_worker *worker = find(to->agent, worker_id);

    (void)why;
    if (worker && worker->phase == SIM_SERVING_BATCHES && worker->running) {
        worker->leaving = true;
        sim_at(to->sim,
               to->sim->now_ms + sim_between(to->sim, 0, 2),
               leave_the_rest,
               worker,
               &worker->epoch);
    }
}

static void effect_stop(void *arg, uint64_t worker_id)
{
    const struct sim_agent_arg *to = arg;
    struct sim_worker *worker = find(to->agent, worker_id);

    if (!worker || worker->phase >= SIM_ENDING) {
        return;
    }
    worker->stopped = true;
    sim_worker_stopped(to->sim, to->agent, worker_id);
    if (worker->phase == SIM_SETTING_UP) {
        begin_end(worker);
    } else if (worker->running) {
        process_end(worker, AGENT_FAILURE_NONE);
    }
}

static void effect_forget(void *arg, uint64_t worker_id)
{
    const struct sim_agent_arg *to = arg;
    struct sim_worker **link = &to->agent->workers;

    while (*link && (*link)->worker_id != worker_id) {
        link = &(*link)->next;
    }
    if (*link) {
        *link = (*link)->next;
    }
}

const struct agent_effects sim_worker_effects = {
    .start = effect_start,
    .feed = effect_feed,
    .complete = effect_complete,
    .drain = effect_drain,
    .stop = effect_stop,
    .forget = effect_forget,
};

/* --- what the agent sees ---------------------------------------------------------- */

static void upload_done(struct sim *sim, void *arg)
{
    const struct upload *upload = arg;
    struct sim_worker *worker = upload->worker;
    struct sim_agent *agent = worker->agent;

    if (agent->link.stopped_until_ms > sim->now_ms) {
        sim_at(sim, agent->link.stopped_until_ms, upload_done, arg, &agent->epoch);
        return;
    }
    if (!upload->failed) {
        sim_result_stored(worker->job, upload->index, upload->attempt);
    }
    agent_batch_stored(agent->core,
                       worker->worker_id,
                       upload->attempt,
                       upload->failed ? "no such bucket" : NULL,
                       sim_agent_clock_ms(sim, agent));
    sim_agent_wake(sim, agent);
}

static void
take_result(struct sim *sim, struct sim_worker *worker, const struct saying *saying)
{
    struct sim_agent *agent = worker->agent;
    int64_t now_ms = sim_agent_clock_ms(sim, agent);
    struct upload *upload = sim_new(sim, sizeof(*upload));
    struct hand_end end = {
        .outcome = saying->failed ? HAND_FAILED : HAND_SUCCEEDED,
        .storing = saying->storing,
        .start_ms = now_ms + agent->wall_offset_ms,
        .duration_us = (uint64_t)saying->duration_ms * 1000,
        .error = saying->failed ? "ValueError" : NULL,
    };

    upload->worker = worker;
    if (!agent_batch_current(
            agent->core, worker->worker_id, &upload->index, &upload->attempt)) {
        return;
    }
    end.log_mark = ++worker->log_mark;
    agent_batch_ended(agent->core, worker->worker_id, &end, now_ms);
    if (saying->storing) {
        upload->failed = sim_chance(sim, sim->faults.store_fails);
        sim_at(sim,
               sim->now_ms + sim_between(sim, 0, 30),
               upload_done,
               upload,
               &agent->epoch);
    } else if (!saying->failed) {
        sim_result_stored(worker->job, upload->index, upload->attempt);
    }
}

static void
take_saying(struct sim *sim, struct sim_worker *worker, const struct saying *saying)
{
    struct agent *core = worker->agent->core;
    int64_t now_ms = sim_agent_clock_ms(sim, worker->agent);

    switch (saying->type) {
    case SAY_READY:
        if (worker->phase == SIM_STARTING) {
            worker->phase = SIM_SERVING_BATCHES;
            worker->log_mark++;
            agent_worker_ready(
                core, worker->worker_id, worker->job->has_callback, 1000, now_ms);
        }
        break;
    case SAY_RESULT:
        take_result(sim, worker, saying);
        break;
    case SAY_COMPLETED:
        if (worker->phase == SIM_CALLING) {
            worker->phase = SIM_SERVING_BATCHES;
            agent_worker_completed(core, worker->worker_id, now_ms);
        }
        break;
    case SAY_UNBEGUN:
        agent_batches_unbegun(core, worker->worker_id, saying->begun, now_ms);
        break;
    case SAY_GONE:
        begin_end(worker);
        break;
    }
}

static void report_end(struct sim *sim, struct sim_worker *worker)
{
    enum agent_worker_failure failure = worker->failure;

    sim_trace(sim,
              "worker %llx has ended (%d)",
              (unsigned long long)worker->worker_id,
              (int)failure);
    worker->phase = SIM_OVER;
    agent_worker_ended(worker->agent->core,
                       worker->worker_id,
                       failure,
                       failure == AGENT_FAILURE_NONE ? NULL : "it died",
                       worker->executing && failure != AGENT_FAILURE_NONE,
                       sim_agent_clock_ms(sim, worker->agent));
}

void sim_workers_turn(struct sim *sim, struct sim_agent *agent)
{
    for (struct sim_worker *worker = agent->workers, *next; worker; worker = next) {
        next = worker->next;
        while (worker->said) {
            struct saying *saying = worker->said;
            worker->said = saying->next;
            if (!worker->said) {
                worker->said_last = &worker->said;
            }
            take_saying(sim, worker, saying);
        }
        if (worker->phase == SIM_ENDING && worker->log_shipped == worker->log_mark) {
            report_end(sim, worker);
        }
    }
}

/* --- logs ------------------------------------------------------------------------- */

static void shipped(struct sim *sim,
                    struct sim_call *call,
                    const ProtobufCMessage *reply,
                    const struct error *err)
{
    struct sim_agent *agent = call->owner;
    bool again = !reply && (error_code_retryable(err->code) ||
                            err->code == ERROR_FAILED_PRECONDITION);

    agent->files = NULL;
    agent->ship_after_ms = again ? sim_agent_clock_ms(sim, agent) + RESEND_MS : 0;
    for (struct sim_worker *worker = agent->workers; worker; worker = worker->next) {
        if (!again && worker->log_sending > 0) {
            worker->log_shipped = worker->log_sending;
            agent_log_shipped(agent->core, worker->worker_id, worker->log_shipped);
        }
        worker->log_sending = 0;
    }
    sim_agent_wake(sim, agent);
}

void sim_workers_ship(struct sim *sim, struct sim_agent *agent)
{
    bool any = false;

    if (agent->files) {
        return;
    }
    for (struct sim_worker *worker = agent->workers; worker; worker = worker->next) {
        if (worker->log_shipped < worker->log_mark) {
            worker->log_sending = worker->log_mark;
            any = true;
        }
    }
    if (any) {
        agent->files = sim_call_start(
            sim,
            &(struct sim_call_options){
                .method = "cortex.v1.AgentService/AppendLog",
                .message = message_new(&cortex__v1__append_log_request__descriptor),
                .link = &agent->link,
                .epoch = &agent->epoch,
                .timeout_ms = FILES_TIMEOUT_MS,
                .retry = true,
                .done = shipped,
                .owner = agent,
            });
    }
}

/* --- the rest --------------------------------------------------------------------- */

void sim_workers_die(struct sim *sim, struct sim_agent *agent)
{
    (void)sim;
    for (struct sim_worker *worker = agent->workers; worker; worker = worker->next) {
        worker->epoch++;
        worker->running = false;
        worker->job->losses++;
        for (size_t i = 0; i < SIM_BATCHES_MAX; i++) {
            struct sim_batch *batch = &worker->job->batches[i];
            batch->holder_died =
                batch->holder_died || batch->taken_worker == worker->worker_id;
        }
    }
}

bool sim_worker_is_of(const struct sim_agent *agent, uint64_t worker_id)
{
    return find(agent, worker_id) != NULL;
}

bool sim_workers_finished(const struct sim_agent *agent)
{
    for (const struct sim_worker *worker = agent->workers; worker;
         worker = worker->next) {
        if (worker->phase < SIM_OVER) {
            return false;
        }
    }
    return true;
}

struct agent_capacity sim_workers_taken(const struct sim_agent *agent)
{
    struct agent_capacity taken = {0};

    for (const struct sim_worker *worker = agent->workers; worker;
         worker = worker->next) {
        if (worker->phase < SIM_OVER) {
            taken.cpu_millis += worker->share.cpu_millis;
            taken.memory_bytes += worker->share.memory_bytes;
            taken.gpus += worker->share.gpus;
        }
    }
    return taken;
}
