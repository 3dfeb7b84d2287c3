/* SPDX-License-Identifier: Apache-2.0 */
/* sim_agent.c - when an agent calls, and what it makes of the answers */
#include "tests/sim/sim_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "tests/sim/sim_invariants.h"
#include "tests/sim/sim_master.h"
#include "tests/sim/sim_wire.h"
#include "tests/sim/sim_worker.h"

/* As agent/session.c and agent/daemon.c have them. */
#define SYNC_TIMEOUT_MS (AGENT_PARK_MS + 4000)
#define WORK_TIMEOUT_MS 20000
#define RETRY_MS        100
#define GRACE_MS        3000
#define FLUSH_MS        2000

static void turn(struct sim *sim, void *arg);
static void start(struct sim *sim, void *arg);

int64_t sim_agent_clock_ms(const struct sim *sim, const struct sim_agent *agent)
{
    return sim->now_ms + agent->clock_offset_ms;
}

static void plan_turn(struct sim *sim, struct sim_agent *agent, int64_t at_ms)
{
    if (agent->up && at_ms < agent->turn_at_ms) {
        agent->turns++;
        agent->turn_at_ms = at_ms;
        sim_at(sim, at_ms, turn, agent, &agent->turns);
    }
}

void sim_agent_wake(struct sim *sim, struct sim_agent *agent)
{
    plan_turn(sim, agent, sim->now_ms + sim_between(sim, 0, 1));
}

/* --- answers ---------------------------------------------------------------------- */

static void take_sync(struct sim *sim,
                      struct sim_agent *agent,
                      uint64_t number,
                      const ProtobufCMessage *reply,
                      int64_t *after_ms)
{
    int64_t now_ms = sim_agent_clock_ms(sim, agent);
    struct agent_sync_reply said;

    if (!reply) {
        agent_sync_failed(agent->core);
        *after_ms = now_ms + RETRY_MS;
        return;
    }
    sim_wire_sync_reply(reply, &said);
    agent_sync_apply(agent->core, number, &said, now_ms);
    agent_sync_reply_fini(&said);
    agent->work_refused = false;
}

static void sync_done(struct sim *sim,
                      struct sim_call *call,
                      const ProtobufCMessage *reply,
                      const struct error *err)
{
    struct sim_agent *agent = call->owner;

    (void)err;
    agent->sync = NULL;
    sim_trace(sim, "%s: parked Sync %s", agent->name, reply ? "answered" : "failed");
    take_sync(sim, agent, agent->sync_number, reply, &agent->sync_after_ms);
    sim_agent_wake(sim, agent);
}

static void work_sync_done(struct sim *sim,
                           struct sim_call *call,
                           const ProtobufCMessage *reply,
                           const struct error *err)
{
    struct sim_agent *agent = call->owner;

    (void)err;
    agent->work = NULL;
    sim_trace(sim, "%s: Sync %s", agent->name, reply ? "answered" : "failed");
    take_sync(sim, agent, agent->work_sync_number, reply, &agent->work_after_ms);
    sim_agent_wake(sim, agent);
}

static void note_grants(struct sim *sim, const struct agent_work_reply *said)
{
    for (size_t i = 0; i < said->grants_count; i++) {
        const struct agent_grant *grant = &said->grants[i];
        for (size_t k = 0; k < grant->count; k++) {
            sim_grant_taken(sim,
                            grant->job_id,
                            grant->first_index + k,
                            grant->first_attempt + k,
                            grant->worker_id);
        }
    }
}

static void work_done(struct sim *sim,
                      struct sim_call *call,
                      const ProtobufCMessage *reply,
                      const struct error *err)
{
    struct sim_agent *agent = call->owner;
    int64_t now_ms = sim_agent_clock_ms(sim, agent);
    struct agent_work_reply said;

    agent->work = NULL;
    sim_trace(sim, "%s: Work %s", agent->name, reply ? "answered" : "failed");
    if (reply) {
        struct agent_grant *grants = sim_wire_work_reply(reply, &said);
        note_grants(sim, &said);
        agent_work_apply(agent->core, &said, now_ms);
        free(grants);
        agent_work_request_fini(&agent->request);
        agent->work_pending = false;
    } else if (err->code == ERROR_FAILED_PRECONDITION) {
        agent_work_refused(agent->core);
        agent->work_refused = true;
    } else {
        agent->work_after_ms = now_ms + RETRY_MS;
    }
    sim_agent_wake(sim, agent);
}

/* --- calls ------------------------------------------------------------------------ */

static struct sim_call *call_sync(struct sim *sim,
                                  struct sim_agent *agent,
                                  uint32_t park_ms,
                                  sim_done_fn done,
                                  uint64_t *out_number)
{
    struct agent_sync_request request;

    agent_sync_build(agent->core, park_ms, &request);
    *out_number = request.number;
    struct sim_call_options options = {
        .method = "cortex.v1.AgentService/Sync",
        .message = sim_wire_sync_request(agent, &request),
        .link = &agent->link,
        .epoch = &agent->epoch,
        .timeout_ms = SYNC_TIMEOUT_MS,
        .retry = false,
        .done = done,
        .owner = agent,
    };
    agent_sync_request_fini(&request);
    return sim_call_start(sim, &options);
}

static void call_work(struct sim *sim, struct sim_agent *agent)
{
    agent->work =
        sim_call_start(sim,
                       &(struct sim_call_options){
                           .method = "cortex.v1.AgentService/Work",
                           .message = sim_wire_work_request(agent, &agent->request),
                           .link = &agent->link,
                           .epoch = &agent->epoch,
                           .timeout_ms = WORK_TIMEOUT_MS,
                           .retry = true,
                           .done = work_done,
                           .owner = agent,
                       });
}

static void lower(int64_t *wake_ms, int64_t to_ms)
{
    *wake_ms = to_ms < *wake_ms ? to_ms : *wake_ms;
}

static void
use_work(struct sim *sim, struct sim_agent *agent, int64_t now_ms, int64_t *out_wake_ms)
{
    if (agent->work) {
        return;
    }
    if (now_ms < agent->work_after_ms) {
        lower(out_wake_ms, agent->work_after_ms);
        return;
    }
    enum agent_call call = agent_next_call(agent->core, now_ms, out_wake_ms);
    if (call == AGENT_CALL_SYNC) {
        agent->work =
            call_sync(sim, agent, 0, work_sync_done, &agent->work_sync_number);
    } else if (agent->work_pending && !agent->work_refused) {
        call_work(sim, agent); // the same again
    } else if (call == AGENT_CALL_WORK) {
        agent_work_build(agent->core, now_ms, &agent->request);
        agent->work_pending = true;
        call_work(sim, agent);
    }
}

static void
use_sync(struct sim *sim, struct sim_agent *agent, int64_t now_ms, int64_t *out_wake_ms)
{
    if (agent->sync) {
        return;
    }
    if (now_ms < agent->sync_after_ms) {
        lower(out_wake_ms, agent->sync_after_ms);
        return;
    }
    agent->sync = call_sync(sim, agent, AGENT_PARK_MS, sync_done, &agent->sync_number);
}

/* --- life ------------------------------------------------------------------------- */

static void leave(struct sim *sim, struct sim_agent *agent, int64_t away_ms)
{
    sim_workers_die(sim, agent);
    agent->up = false;
    agent->epoch++;
    agent->turns++;
    agent->turn_at_ms = INT64_MAX;
    agent_destroy(agent->core);
    agent->core = NULL;
    if (agent->work_pending) {
        agent_work_request_fini(&agent->request);
    }
    agent->workers = NULL;
    sim_at(sim, sim->now_ms + away_ms, start, agent, &agent->epoch);
}

// True once it has left.
static bool advance_stage(struct sim *sim,
                          struct sim_agent *agent,
                          int64_t now_ms,
                          int64_t *out_wake_ms)
{
    bool over = now_ms >= agent->deadline_ms;

    if (agent->stage == SIM_SERVING) {
        return false;
    }
    if ((agent_finished(agent->core) && sim_workers_finished(agent) && !agent->work) ||
        (over && agent->stage == SIM_STOPPING)) {
        sim_trace(sim, "%s has left in order", agent->name);
        leave(sim, agent, sim_between(sim, 50, 3000));
        return true;
    }
    if (over) {
        agent->stage = SIM_STOPPING;
        agent->deadline_ms = now_ms + FLUSH_MS;
        agent_stop(agent->core);
    }
    lower(out_wake_ms, agent->deadline_ms);
    return false;
}

static void turn(struct sim *sim, void *arg)
{
    struct sim_agent *agent = arg;
    int64_t now_ms = sim_agent_clock_ms(sim, agent);
    int64_t wake_ms = INT64_MAX;

    agent->turn_at_ms = INT64_MAX;
    if (sim->now_ms < agent->link.stopped_until_ms) {
        plan_turn(sim, agent, agent->link.stopped_until_ms);
        return;
    }
    sim_workers_turn(sim, agent);
    if (advance_stage(sim, agent, now_ms, &wake_ms)) {
        return;
    }
    use_work(sim, agent, now_ms, &wake_ms);
    use_sync(sim, agent, now_ms, &wake_ms);
    if (now_ms >= agent->ship_after_ms) {
        sim_workers_ship(sim, agent);
    } else {
        lower(&wake_ms, agent->ship_after_ms);
    }
    if (wake_ms != INT64_MAX) {
        int64_t at_ms = wake_ms - agent->clock_offset_ms;
        plan_turn(sim, agent, at_ms > sim->now_ms ? at_ms : sim->now_ms + 1);
    }
}

static void start(struct sim *sim, void *arg)
{
    struct sim_agent *agent = arg;
    struct sim_agent_arg *effects_arg = sim_new(sim, sizeof(*effects_arg));

    *effects_arg = (struct sim_agent_arg){sim, agent};
    agent->epoch++;
    agent->up = true;
    agent->link.stopped_until_ms = 0;
    if (sim->now_ms > agent->well_since_ms) {
        agent->well_since_ms = sim->now_ms;
    }
    agent->incarnation = sim_random(sim);
    agent->core = agent_create(&agent->capacity, &sim_worker_effects, effects_arg);
    agent->stage = SIM_SERVING;
    agent->clock_offset_ms = sim_between(sim, 0, 1000000);
    agent->sync = agent->work = agent->files = NULL;
    agent->work_pending = agent->work_refused = false;
    agent->sync_after_ms = agent->work_after_ms = agent->ship_after_ms = 0;
    sim_trace(sim, "%s starts", agent->name);
    sim_agent_wake(sim, agent);
}

void sim_agent_kill(struct sim *sim, struct sim_agent *agent)
{
    if (agent->up) {
        sim_trace(sim, "%s dies", agent->name);
        leave(sim, agent, sim_between(sim, 50, sim_chance(sim, 200) ? 20000 : 2000));
    }
}

void sim_agent_drain(struct sim *sim, struct sim_agent *agent)
{
    if (agent->up && agent->stage == SIM_SERVING &&
        sim->now_ms >= agent->link.stopped_until_ms) {
        sim_trace(sim, "%s is told to leave", agent->name);
        agent->stage = SIM_DRAINING;
        agent->told_ms = sim->now_ms;
        agent->deadline_ms = sim_agent_clock_ms(sim, agent) + GRACE_MS;
        agent_drain(agent->core);
        sim_agent_wake(sim, agent);
    }
}

void sim_agent_pause(struct sim *sim, struct sim_agent *agent, int64_t length_ms)
{
    sim_trace(sim, "%s is stopped for %lld ms", agent->name, (long long)length_ms);
    agent->link.stopped_until_ms = sim->now_ms + length_ms;
    if (agent->link.stopped_until_ms > agent->well_since_ms) {
        agent->well_since_ms = agent->link.stopped_until_ms;
    }
    sim_agent_wake(sim, agent);
}

void sim_agent_create(struct sim *sim, size_t number)
{
    struct sim_agent *agent = sim_new(sim, sizeof(*agent));

    agent->number = number;
    for (size_t i = 0; i < sizeof(agent->agent_id); i++) {
        agent->agent_id[i] = (unsigned char)sim_random(sim);
    }
    (void)snprintf(agent->name, sizeof(agent->name), "agent-%zu", number);
    // The first is large enough for whatever is deployed.
    agent->capacity = (struct agent_capacity){
        .cpu_millis = number == 0 ? 2000 : (uint32_t)sim_between(sim, 1, 4) * 500,
        .memory_bytes = (uint64_t)(number == 0 ? 8 : sim_between(sim, 1, 8)) << 30,
        .gpus = number == 0 ? 1 : (uint32_t)sim_between(sim, 0, 1)};
    agent->turn_at_ms = INT64_MAX;
    sim->agents[number] = agent;
    sim_at(sim, sim->now_ms + sim_between(sim, 0, 2000), start, agent, &agent->epoch);
}

void sim_agents_destroy(struct sim *sim)
{
    for (size_t i = 0; i < sim->agent_count; i++) {
        struct sim_agent *agent = sim->agents[i];
        if (agent->up) {
            agent_destroy(agent->core);
            if (agent->work_pending) {
                agent_work_request_fini(&agent->request);
            }
        }
    }
}
