/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h - what a simulated cluster is made of, and how its time goes on
 *
 * One seed makes one run: a master (its real deciding code on a real store in memory),
 * agents (their real deciding core), workers, users, a network and clocks, all in one
 * thread. Whatever happens is an event at a time; a step is one event, and the checks
 * of sim_invariants.h follow each. Everything that is random is drawn from the seed, so
 * the same seed is the same run.
 *
 * What is made during a run lives until its end (sim_own), so that an event never finds
 * its object gone; whether it still matters is told by an epoch (sim_at).
 *
 * A run has two parts: `steps` steps with faults, then quiet: faults cease, everybody
 * is up, and all jobs must come to an end. */
#ifndef CORTEX_TESTS_SIM_SIM_H
#define CORTEX_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/map.h"

#define SIM_AGENTS_MAX   2000
#define SIM_AGENTS_DRAWN 4 /* at most, unless it is said how many */
#define SIM_APIS         3
#define SIM_CLIENTS      3
#define SIM_TRACE_LINES  60
#define SIM_TRACE_SIZE   200
#define SIM_SENTENCE_MAX 512

/* Faults put into the master itself, each to be noticed. */
enum sim_plant {
    SIM_PLANT_NONE,
    SIM_PLANT_OLD_ATTEMPT, /* results of older attempts pass for the holder's */
    SIM_PLANT_EARLY_REPLY, /* replies leave before the commit */
    SIM_PLANT_LOST_RESULT, /* a result is acknowledged and thrown away */
    SIM_PLANT_MISCOUNT,    /* a batch is counted twice */
    SIM_PLANT_CALLBACK,    /* a restart forgets that on_job_complete was given out */
    SIM_PLANT_REVIVAL,     /* a job that has ended runs again */
    SIM_PLANT_NO_EXPIRY,   /* leases never run out */
    SIM_PLANT_WALL_CLOCK,  /* the wall clock is taken for the monotonic one */
    SIM_PLANT_STARVATION,  /* every other job is given no worker */
    SIM_PLANT_RETURNS,     /* a batch that was not begun is counted as a failure */
    SIM_PLANT_LETTER,      /* a dead letter that was sent is sent again */
    SIM_PLANT_COUNT,
};
const char *sim_plant_name(enum sim_plant plant);

struct sim_options {
    uint64_t seed;
    uint64_t steps; /* with faults; the quiet part comes on top */
    enum sim_plant plant;
    size_t agents; /* 0: a few, with faults. Else so many and no fault, but that the
                      master dies once all are there */
    bool trace;    /* print every event as it happens */
    bool print;    /* print the last events before a violation */
    struct store **store; /* to be used, emptied, by one run after another: *store NULL
                             at first, the caller's to close */
};

struct sim_result {
    bool violated;
    uint64_t step;
    int64_t now_ms;
    char sentence[SIM_SENTENCE_MAX]; /* the invariant, and what broke it */
    uint64_t steps;                  /* all that were made */
    uint64_t kills;                  /* of the master, at whatever point */
    uint64_t jobs;
    uint64_t predicts;
    uint64_t agent_calls; /* of agents, that the master handled */
    uint64_t letters;     /* that came to a dead letter queue */
    int64_t
        rejoin_ms; /* with `agents`: until all were back, from the master's start, */
    uint64_t rejoin_calls; /* and their calls until then */
    uint64_t late_begins;  /* of them, begun when its user had been told of the stop */
};

/* How likely things are in this run, in 1/1000 unless it says so. Drawn from the seed:
 * most runs have a few kinds of faults, some have none, some all. */
struct sim_faults {
    uint32_t lose;          /* a message is lost, nobody is told */
    uint32_t cut;           /* a connection breaks under a call */
    uint32_t crash_commit;  /* the master dies around a commit */
    uint32_t slow_ms;       /* longest ordinary delay of a message */
    uint32_t very_slow;     /* a message takes up to 3 s */
    uint32_t late_words;    /* a reply is held up in a connection that does not break:
                               it comes when another master may be there */
    int64_t master_kill_ms; /* mean times between; 0: never */
    int64_t master_stop_ms;
    int64_t agent_kill_ms;
    int64_t agent_stop_ms;
    int64_t agent_drain_ms;
    int64_t partition_ms;
    int64_t clock_jump_ms;
    uint32_t predict_raises;
    uint32_t predict_dies;
    uint32_t predict_kills_memory;
    uint32_t setup_fails;
    uint32_t disk_full; /* an agent cannot start a worker */
    uint32_t callback_fails;
    uint32_t store_fails; /* a result's upload fails */
    uint32_t enqueue_fails;
    uint32_t queue_away;  /* the dead letter queue gives no answer, */
    uint32_t queue_keeps; /* and has the letter all the same */
    uint32_t queue_refuses;
};

struct sim;
struct store;
struct sim_master;
struct sim_agent;
struct sim_client;
struct sim_ledger;

typedef void (*sim_fn)(struct sim *sim, void *arg);

struct sim_event {
    int64_t at_ms;
    uint64_t tie; /* random: events of one millisecond come in any order */
    sim_fn fn;
    void *arg;
    const uint32_t *epoch; /* NULL: whatever happens */
    uint32_t seen;
};

struct sim {
    struct sim_options options;
    struct sim_result result;
    struct sim_faults faults;
    uint64_t random;
    int64_t now_ms;
    uint64_t step;
    bool quiet;
    int64_t quiet_ms; /* since when */

    struct sim_event *events; /* heap */
    size_t event_count;
    size_t event_capacity;

    struct sim_owned *owned;
    struct sim_chunk *chunks; /* of memory; see sim_new */

    struct sim_master *master;
    struct sim_agent *agents[SIM_AGENTS_MAX];
    size_t agent_count;
    struct sim_client *clients[SIM_CLIENTS];
    struct sim_ledger *ledger;

    char trace[SIM_TRACE_LINES][SIM_TRACE_SIZE];
    uint64_t trace_count;
};

/* Makes one run. */
void sim_run(const struct sim_options *options, struct sim_result *out);

/* --- for the parts ---------------------------------------------------------------- */

uint64_t sim_random(struct sim *sim);
/* Even over [from, to]. */
int64_t sim_between(struct sim *sim, int64_t from, int64_t to);
/* True with this probability in 1/1000. */
bool sim_chance(struct sim *sim, uint32_t thousandths);
/* The same for faults: never once it is quiet. */
bool sim_fault(struct sim *sim, uint32_t thousandths);

/* Calls fn at that time, unless *epoch has changed by then. */
void sim_at(
    struct sim *sim, int64_t at_ms, sim_fn fn, void *arg, const uint32_t *epoch);

/* Keeps it until the run ends, then frees it by that function. Returns it. */
void *sim_own(struct sim *sim, void *what, void (*release)(void *));
void *sim_new(struct sim *sim, size_t size); /* zeroed, owned */

void sim_trace(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The run is over: an invariant does not hold. The first one counts. */
void sim_violated(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
