/* SPDX-License-Identifier: Apache-2.0 */
/* sim_master.h - a master that decides as the real one does, and dies at any point
 *
 * Stands for master/loop.c and master/act.c: messages go through the real table of
 * routes, under the same discipline (decide, settle, commit, act), on the real store.
 * A death before the commit loses the transaction; one after it loses what was to be
 * done, or the rest of it. Payloads and bodies are a set of numbers on a disk that
 * survives. */
#ifndef CORTEX_TESTS_SIM_MASTER_H
#define CORTEX_TESTS_SIM_MASTER_H

#include "master/state.h"
#include "tests/sim/sim_network.h"

struct sim_item; /* of the inbox */
struct enqueuing;

struct sim_master {
    struct state state;
    struct store *store;
    bool up;
    uint32_t epoch; /* grows at every death */
    int64_t died_ms;
    int64_t well_since_ms; /* up and not stopped since then */
    int64_t paused_until_ms;
    int64_t clock_offset_ms; /* of its monotonic clock, since the machine's boot */
    unsigned machine_boots;
    int64_t wall_offset_ns;
    struct sim_item *first;
    struct sim_item **last;
    size_t inbox_count;
    struct sim_call *calls; /* under way */
    uint32_t turns;         /* cancels turns that were planned before */
    int64_t turn_at_ms;
    bool planted;
    int64_t lease_ms;
    int64_t lost_ms;
    struct enqueuing *enqueuings;
    struct sim_item *settled;
};

void sim_master_create(struct sim *sim);
void sim_master_destroy(struct sim *sim);

/* Kills it; it starts again after a while. */
void sim_master_kill(struct sim *sim);
void sim_master_pause(struct sim *sim, int64_t length_ms);

/* A request has arrived. */
void sim_master_take(struct sim *sim, struct sim_frame *frame);

int64_t sim_master_wall_ns(const struct sim *sim);

#endif
