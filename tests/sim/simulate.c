/* SPDX-License-Identifier: Apache-2.0 */
/* simulate.c - runs simulated clusters, seed after seed, until an invariant breaks */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/id.h"
#include "common/options.h"
#include "master/store.h"
#include "tests/sim/sim.h"

static const char summary[] =
    "Runs a simulated cluster (master, agents, users, network, clocks) for each seed "
    "and\n"
    "checks what must hold after every step. The same seed is the same run. Exit "
    "status\n"
    "1 if an invariant was broken; the seed, the step and the last events are printed.";

struct totals {
    uint64_t seeds;
    uint64_t steps;
    uint64_t kills;
    uint64_t jobs;
    uint64_t predicts;
    uint64_t letters;
    uint64_t late_begins;
    uint64_t broken;
};

static void add(struct totals *totals, const struct sim_result *result)
{
    totals->seeds++;
    totals->steps += result->steps;
    totals->kills += result->kills;
    totals->jobs += result->jobs;
    totals->predicts += result->predicts;
    totals->letters += result->letters;
    totals->late_begins += result->late_begins;
    totals->broken += result->violated;
}

static void tell(const struct sim_options *options, const struct sim_result *result)
{
    printf("seed %" PRIu64 ", step %" PRIu64 " (%" PRId64 " ms): %s\n",
           options->seed,
           result->step,
           result->now_ms,
           result->sentence);
    printf("replay: tests/simulate --seed %" PRIu64 " --steps %" PRIu64 "\n",
           options->seed,
           options->steps);
    (void)fflush(stdout);
}

// Once more with every event noted, which costs too much for those that go well.
static void show(struct sim_options options)
{
    struct sim_result result;

    options.print = true;
    options.store = NULL;
    sim_run(&options, &result);
}

static bool read_plant(const char *name, enum sim_plant *out)
{
    for (int i = 0; i < SIM_PLANT_COUNT; i++) {
        if (strcmp(sim_plant_name((enum sim_plant)i), name) == 0) {
            *out = (enum sim_plant)i;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct sim_options options = {0};
    int64_t seed = 1;
    int64_t seeds = 1;
    int64_t steps = 3000;
    int64_t time_ms = 0;
    int64_t agents = 0;
    bool keep_going = false;
    bool quiet = false;
    const char *plant = "none";
    struct store *store = NULL;
    const struct option_row rows[] = {
        {"seed", 0, OPTION_NUMBER, &seed, "N", "the first seed (default 1)", 0, 0},
        {"seeds", 0, OPTION_NUMBER, &seeds, "N", "how many seeds (default 1)", 0, 0},
        {"steps",
         0,
         OPTION_NUMBER,
         &steps,
         "N",
         "steps with faults in each (default 3000)",
         0,
         0},
        {"time", 0, OPTION_DURATION, &time_ms, "TIME", "begin no seed later", 0, 0},
        {"trace", 0, OPTION_FLAG, &options.trace, NULL, "print every event", 0, 0},
        {"brief", 0, OPTION_FLAG, &quiet, NULL, "print no events", 0, 0},
        {"keep-going", 0, OPTION_FLAG, &keep_going, NULL, "run all seeds", 0, 0},
        {"agents",
         0,
         OPTION_NUMBER,
         &agents,
         "N",
         "so many, no fault, but that the master dies once all are there",
         0,
         0},
        {"plant", 0, OPTION_TEXT, &plant, "FAULT", "put a fault into the master", 0, 0},
        {0},
    };
    const struct options table = {"simulate", "[OPTION]...", summary, rows, 0, 0};
    struct totals totals = {0};
    struct error err = {0};
    int positional;

    if (id_init() != 0 || options_parse(&table, argc, argv, &positional, &err) != 0 ||
        !read_plant(plant, &options.plant)) {
        (void)fprintf(
            stderr, "simulate: %s\n", err.code ? err.message : "no such fault");
        return 2;
    }
    int64_t start_ms = clock_monotonic_ms();
    options.steps = (uint64_t)steps;
    options.agents = agents < SIM_AGENTS_MAX ? (size_t)agents : SIM_AGENTS_MAX;
    options.store = &store;
    for (int64_t i = 0; i < seeds && (keep_going || totals.broken == 0); i++) {
        struct sim_result result;
        if (time_ms > 0 && clock_monotonic_ms() - start_ms >= time_ms) {
            break;
        }
        options.seed = (uint64_t)(seed + i);
        sim_run(&options, &result);
        add(&totals, &result);
        if (agents > 0) {
            printf("back %" PRId64 " ms after the master, with %" PRIu64 " calls\n",
                   result.rejoin_ms,
                   result.rejoin_calls);
        }
        if (result.violated && !quiet) {
            show(options);
        }
        if (result.violated) {
            tell(&options, &result);
        }
    }
    store_close(store);
    int64_t took_ms = clock_monotonic_ms() - start_ms;
    printf("%" PRIu64 " seeds, %" PRIu64 " steps in %" PRId64 " ms (%" PRId64
           " a second), %" PRIu64 " jobs, %" PRIu64 " predicts (%" PRIu64
           " after a stop), %" PRIu64 " dead letters, %" PRIu64
           " deaths of the master, %" PRIu64 " broken\n",
           totals.seeds,
           totals.steps,
           took_ms,
           (int64_t)totals.steps * 1000 / (took_ms ? took_ms : 1),
           totals.jobs,
           totals.predicts,
           totals.late_begins,
           totals.letters,
           totals.kills,
           totals.broken);
    return totals.broken ? 1 : 0;
}
