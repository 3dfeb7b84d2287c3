/* SPDX-License-Identifier: Apache-2.0 */
/* sim_faults.c - what goes wrong in a run, and when */
#include "tests/sim/sim_faults.h"

#include "tests/sim/sim_agent.h"
#include "tests/sim/sim_ledger.h"
#include "tests/sim/sim_master.h"

#define HOUR_MS 3600000
#define YEAR_MS 31557600000

static uint32_t some(struct sim *sim, uint32_t in, uint32_t of, uint32_t up_to)
{
    bool has = sim_random(sim) % of < in;
    uint32_t rate = 1 + (uint32_t)(sim_random(sim) % up_to);

    return has ? rate : 0;
}

static int64_t every(struct sim *sim, uint32_t in, uint32_t of, int64_t at_least_ms)
{
    bool has = sim_random(sim) % of < in;
    int64_t mean_ms = at_least_ms + sim_between(sim, 0, 4 * at_least_ms);

    return has ? mean_ms : 0;
}

void sim_faults_draw(struct sim *sim)
{
    if (sim->options.agents > 0) {
        sim->faults = (struct sim_faults){.slow_ms = 10};
        return;
    }
    sim->faults = (struct sim_faults){
        .lose = some(sim, 1, 3, 100),
        .cut = some(sim, 1, 2, 100),
        .crash_commit = some(sim, 1, 3, 20),
        .slow_ms = (uint32_t)sim_between(sim, 0, 1) * 30 + 2,
        .very_slow = some(sim, 1, 4, 30),
        .late_words = some(sim, 1, 4, 100),
        .master_kill_ms = every(sim, 1, 3, 4000),
        .master_stop_ms = every(sim, 1, 5, 8000),
        .agent_kill_ms = every(sim, 1, 3, 8000),
        .agent_stop_ms = every(sim, 1, 4, 8000),
        .agent_drain_ms = every(sim, 1, 4, 10000),
        .partition_ms = every(sim, 1, 3, 8000),
        .clock_jump_ms = every(sim, 1, 4, 5000),
        .predict_raises = some(sim, 1, 3, 200),
        .predict_dies = some(sim, 1, 4, 40),
        .predict_kills_memory = some(sim, 1, 6, 40),
        .setup_fails = some(sim, 1, 6, 100),
        .disk_full = some(sim, 1, 5, 200),
        .callback_fails = some(sim, 1, 6, 300),
        .store_fails = some(sim, 1, 6, 100),
        .enqueue_fails = some(sim, 1, 6, 100),
        .queue_away = some(sim, 1, 3, 700),
        .queue_keeps = some(sim, 1, 2, 1000),
        .queue_refuses = some(sim, 1, 4, 200),
    };
}

static struct sim_agent *any_agent(struct sim *sim)
{
    return sim->agents[sim_random(sim) % sim->agent_count];
}

static void kill_master(struct sim *sim)
{
    sim_master_kill(sim);
}

static void stop_master(struct sim *sim)
{
    sim_master_pause(sim, sim_between(sim, 100, sim_chance(sim, 200) ? 30000 : 3000));
}

static void kill_agent(struct sim *sim)
{
    sim_agent_kill(sim, any_agent(sim));
}

static void stop_agent(struct sim *sim)
{
    int64_t length_ms = sim_between(sim, 100, sim_chance(sim, 300) ? 40000 : 3000);

    sim_agent_pause(sim, any_agent(sim), length_ms);
}

static void drain_agent(struct sim *sim)
{
    sim_agent_drain(sim, any_agent(sim));
}

static void part_network(struct sim *sim)
{
    struct sim_agent *agent = any_agent(sim);
    int64_t until_ms =
        sim->now_ms + sim_between(sim, 500, sim_chance(sim, 400) ? 30000 : 5000);
    int which = (int)sim_between(sim, 1, 3);

    sim_trace(sim,
              "%s and the master are parted (%s) until %lld ms",
              agent->name,
              which == 3   ? "both ways"
              : which == 1 ? "to it"
                           : "from it",
              (long long)until_ms);
    if (until_ms > agent->well_since_ms) {
        agent->well_since_ms = until_ms;
    }
    if (which & 1) {
        agent->link.to_until_ms = until_ms;
    }
    if (which & 2) {
        agent->link.from_until_ms = until_ms;
    }
}

// By hours and back; or to anywhere within decades.
static void jump_clock(struct sim *sim)
{
    struct sim_agent *agent = any_agent(sim);
    int64_t by_ms = sim_between(sim, -2 * (int64_t)HOUR_MS, 2 * (int64_t)HOUR_MS);

    if (sim_chance(sim, 200)) {
        int64_t to_ms = sim_between(sim, -40 * (int64_t)YEAR_MS, 60 * (int64_t)YEAR_MS);
        by_ms = to_ms - sim->master->wall_offset_ns / 1000000;
    }

    sim_trace(sim, "wall clocks jump by %lld ms", (long long)by_ms);
    sim->ledger->clocks_jumped = true;
    if (sim_chance(sim, 500)) {
        sim->master->wall_offset_ns += by_ms * 1000000;
    } else {
        agent->wall_offset_ms += by_ms;
    }
}

/* The kinds of faults that come by themselves. */
struct kind {
    size_t mean_ms; /* where in struct sim_faults */
    void (*strike)(struct sim *sim);
};

#define KIND(field, strike)                                                            \
    {                                                                                  \
        offsetof(struct sim_faults, field), strike                                     \
    }
static const struct kind kinds[] = {
    KIND(master_kill_ms, kill_master),
    KIND(master_stop_ms, stop_master),
    KIND(agent_kill_ms, kill_agent),
    KIND(agent_stop_ms, stop_agent),
    KIND(agent_drain_ms, drain_agent),
    KIND(partition_ms, part_network),
    KIND(clock_jump_ms, jump_clock),
};

static int64_t mean_of(const struct sim *sim, const struct kind *kind)
{
    const char *faults = (const char *)&sim->faults;

    return *(const int64_t *)(const void *)(faults + kind->mean_ms);
}

static void strike(struct sim *sim, void *arg)
{
    const struct kind *kind = arg;

    if (!sim->quiet) {
        kind->strike(sim);
        sim_at(sim,
               sim->now_ms + sim_between(sim, 1, 2 * mean_of(sim, kind)),
               strike,
               arg,
               NULL);
    }
}

void sim_faults_start(struct sim *sim)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        union {
            const struct kind *in;
            void *out;
        } arg = {.in = &kinds[i]};
        if (mean_of(sim, &kinds[i]) > 0) {
            sim_at(sim,
                   sim->now_ms + sim_between(sim, 1, 2 * mean_of(sim, &kinds[i])),
                   strike,
                   arg.out,
                   NULL);
        }
    }
}

void sim_faults_cease(struct sim *sim)
{
    sim_master_pause(sim, 0);
    for (size_t i = 0; i < sim->agent_count; i++) {
        sim->agents[i]->link = (struct sim_link){0};
        sim_agent_pause(sim, sim->agents[i], 0);
    }
}
