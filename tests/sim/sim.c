/* SPDX-License-Identifier: Apache-2.0 */
/* sim.c - what happens next in a simulated cluster */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "tests/sim/sim_agent.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_faults.h"
#include "tests/sim/sim_invariants.h"
#include "tests/sim/sim_ledger.h"
#include "tests/sim/sim_master.h"

#define QUIET_STEPS_MAX 400000 /* a bound; time ends the quiet part long before */
#define CHUNK_SIZE      (64 << 10)

struct sim_owned {
    struct sim_owned *next;
    void *what;
    void (*release)(void *);
};

/* Memory is given out from the front of the newest chunk, and freed with the run. */
struct sim_chunk {
    struct sim_chunk *next;
    size_t used;
    size_t size;
    max_align_t bytes[];
};

const char *sim_plant_name(enum sim_plant plant)
{
    static const char *const names[] = {"none",
                                        "old-attempt",
                                        "early-reply",
                                        "lost-result",
                                        "miscount",
                                        "callback",
                                        "revival",
                                        "no-expiry",
                                        "wall-clock",
                                        "starvation",
                                        "returns",
                                        "letter"};

    return names[plant];
}

/* --- chance ----------------------------------------------------------------------- */

// SplitMix64, as the master's.
uint64_t sim_random(struct sim *sim)
{
    uint64_t z = (sim->random += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

int64_t sim_between(struct sim *sim, int64_t from, int64_t to)
{
    return from + (int64_t)(sim_random(sim) % (uint64_t)(to - from + 1));
}

bool sim_chance(struct sim *sim, uint32_t thousandths)
{
    return thousandths > 0 && sim_random(sim) % 1000 < thousandths;
}

bool sim_fault(struct sim *sim, uint32_t thousandths)
{
    return !sim->quiet && sim_chance(sim, thousandths);
}

/* --- memory ----------------------------------------------------------------------- */

void *sim_own(struct sim *sim, void *what, void (*release)(void *))
{
    struct sim_owned *owned = sim_new(sim, sizeof(*owned));

    owned->what = what;
    owned->release = release;
    owned->next = sim->owned;
    sim->owned = owned;
    return what;
}

void *sim_new(struct sim *sim, size_t size)
{
    size_t rounded = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t);
    size_t wanted = rounded * sizeof(max_align_t);

    if (!sim->chunks || sim->chunks->size - sim->chunks->used < wanted) {
        size_t room = wanted > CHUNK_SIZE ? wanted : CHUNK_SIZE;
        struct sim_chunk *chunk = memory_zalloc(sizeof(*chunk) + room);
        chunk->size = room;
        chunk->next = sim->chunks;
        sim->chunks = chunk;
    }
    void *memory = (char *)sim->chunks->bytes + sim->chunks->used;
    sim->chunks->used += wanted;
    return memory;
}

/* --- events ----------------------------------------------------------------------- */

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->tie < b->tie;
}

static void event_swap(struct sim *sim, size_t a, size_t b)
{
    struct sim_event saved = sim->events[a];

    sim->events[a] = sim->events[b];
    sim->events[b] = saved;
}

void sim_at(struct sim *sim, int64_t at_ms, sim_fn fn, void *arg, const uint32_t *epoch)
{
    if (sim->event_count == sim->event_capacity) {
        sim->event_capacity = sim->event_capacity ? sim->event_capacity * 2 : 256;
        sim->events =
            memory_realloc(sim->events, sim->event_capacity * sizeof(*sim->events));
    }
    size_t at = sim->event_count++;
    sim->events[at] =
        (struct sim_event){.at_ms = at_ms > sim->now_ms ? at_ms : sim->now_ms,
                           .tie = sim_random(sim),
                           .fn = fn,
                           .arg = arg,
                           .epoch = epoch,
                           .seen = epoch ? *epoch : 0};
    while (at > 0 && event_before(&sim->events[at], &sim->events[(at - 1) / 2])) {
        event_swap(sim, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static struct sim_event event_take(struct sim *sim)
{
    struct sim_event first = sim->events[0];
    size_t at = 0;

    sim->events[0] = sim->events[--sim->event_count];
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < sim->event_count &&
                event_before(&sim->events[child], &sim->events[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        event_swap(sim, at, least);
        at = least;
    }
}

/* --- what is said of it ----------------------------------------------------------- */

void sim_trace(struct sim *sim, const char *format, ...)
{
    char *line = sim->trace[sim->trace_count % SIM_TRACE_LINES];
    va_list args;

    if (!sim->options.trace && !sim->options.print) {
        return;
    }
    sim->trace_count++;
    int size = snprintf(line,
                        SIM_TRACE_SIZE,
                        "%7llu %8lld ms  ",
                        (unsigned long long)sim->step,
                        (long long)sim->now_ms);
    va_start(args, format);
    (void)vsnprintf(line + size, SIM_TRACE_SIZE - (size_t)size, format, args);
    va_end(args);
    if (sim->options.trace) {
        puts(line);
    }
}

void sim_violated(struct sim *sim, const char *format, ...)
{
    va_list args;

    if (sim->result.violated) {
        return;
    }
    sim->result.violated = true;
    sim->result.step = sim->step;
    sim->result.now_ms = sim->now_ms;
    va_start(args, format);
    (void)vsnprintf(sim->result.sentence, sizeof(sim->result.sentence), format, args);
    va_end(args);
}

static void print_trace(const struct sim *sim)
{
    uint64_t from =
        sim->trace_count > SIM_TRACE_LINES ? sim->trace_count - SIM_TRACE_LINES : 0;

    for (uint64_t i = from; i < sim->trace_count; i++) {
        puts(sim->trace[i % SIM_TRACE_LINES]);
    }
}

/* --- a run ------------------------------------------------------------------------ */

static void step(struct sim *sim)
{
    struct sim_event event = event_take(sim);

    sim->now_ms = event.at_ms;
    if (event.epoch && *event.epoch != event.seen) {
        return; // what it was about is over
    }
    sim->step++;
    event.fn(sim, event.arg);
    sim_check_step(sim);
}

static void make(struct sim *sim)
{
    sim->now_ms = 1000;
    sim_faults_draw(sim);
    sim_ledger_create(sim);
    sim_master_create(sim);
    sim->agent_count = sim->options.agents > 0
                           ? sim->options.agents
                           : (size_t)sim_between(sim, 1, SIM_AGENTS_DRAWN);
    for (size_t i = 0; i < sim->agent_count; i++) {
        sim_agent_create(sim, i);
    }
    sim_clients_create(sim);
    sim_faults_start(sim);
}

// Everybody comes; the master dies; everybody comes again.
static void gather(struct sim *sim)
{
    while (!sim->result.violated && sim_agents_present(sim) < sim->agent_count) {
        step(sim);
    }
    sim_master_kill(sim);
    while (!sim->result.violated && !sim->master->up) {
        step(sim);
    }
    int64_t start_ms = sim->now_ms;
    uint64_t calls = sim->result.agent_calls;
    while (!sim->result.violated && sim_agents_present(sim) < sim->agent_count) {
        step(sim);
    }
    sim->result.rejoin_ms = sim->now_ms - start_ms;
    sim->result.rejoin_calls = sim->result.agent_calls - calls;
}

static void run(struct sim *sim)
{
    if (sim->options.agents > 0) {
        gather(sim);
    }
    while (sim->step < sim->options.steps && sim->event_count > 0 &&
           !sim->result.violated) {
        step(sim);
    }
    if (sim->result.violated) {
        return;
    }
    sim->quiet = true;
    sim->quiet_ms = sim->now_ms;
    sim_trace(sim, "faults cease");
    sim_faults_cease(sim);
    while (!sim->result.violated && sim->step < sim->options.steps + QUIET_STEPS_MAX &&
           !sim_check_quiet(sim)) {
        step(sim);
    }
    if (!sim->result.violated) {
        sim_check_end(sim);
    }
}

static void unmake(struct sim *sim)
{
    sim_agents_destroy(sim);
    sim_master_destroy(sim);
    while (sim->owned) {
        struct sim_owned *owned = sim->owned;
        sim->owned = owned->next;
        owned->release(owned->what);
    }
    while (sim->chunks) {
        struct sim_chunk *chunk = sim->chunks;
        sim->chunks = chunk->next;
        free(chunk);
    }
    free(sim->events);
}

void sim_run(const struct sim_options *options, struct sim_result *out)
{
    struct sim *sim = memory_zalloc(sizeof(*sim));

    sim->options = *options;
    sim->random = options->seed;
    make(sim);
    run(sim);
    sim->result.steps = sim->step;
    sim->result.jobs = sim->ledger->job_count;
    if (sim->result.violated && options->print) {
        print_trace(sim);
    }
    *out = sim->result;
    unmake(sim);
    free(sim);
}
