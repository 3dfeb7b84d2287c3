/* SPDX-License-Identifier: Apache-2.0 */
/* sim_agent.h - an agent: its real deciding core, and a stand-in for daemon and crew
 *
 * Stands for agent/daemon.c, session.c and crew.c: which call is made when, what is
 * made of its answer, what workers do with what they are told. A worker takes time to
 * get ready, runs what it is fed, uploads results, logs; it fails in the ways that
 * real ones do. The agent sees what a worker did only when it takes a turn. */
#ifndef CORTEX_TESTS_SIM_AGENT_H
#define CORTEX_TESTS_SIM_AGENT_H

#include "agent/agent.h"
#include "tests/sim/sim_ledger.h"
#include "tests/sim/sim_network.h"

struct sim_worker;

enum sim_stage { SIM_SERVING, SIM_DRAINING, SIM_STOPPING };

struct sim_agent {
    size_t number;
    unsigned char agent_id[16];
    char name[16];
    struct agent_capacity capacity;
    struct sim_link link;
    int64_t clock_offset_ms;
    int64_t wall_offset_ms;
    int64_t well_since_ms; /* neither stopped nor parted since then */
    /* Of the process. */
    bool up;
    uint32_t epoch; /* grows at every start and end */
    uint64_t incarnation;
    struct agent *core;
    enum sim_stage stage;
    int64_t deadline_ms;
    int64_t told_ms; /* to leave */
    struct sim_worker *workers;
    struct sim_call *sync; /* under way, NULL: none */
    struct sim_call *work; /* Work, or a Sync that is answered at once */
    struct sim_call *files;
    uint64_t sync_number;
    uint64_t work_sync_number;
    struct agent_work_request request; /* unanswered */
    bool work_pending;
    bool work_refused;
    int64_t sync_after_ms;
    int64_t work_after_ms;
    int64_t ship_after_ms;
    bool turn_planned;
    int64_t turn_at_ms;
    uint32_t turns;
};

void sim_agent_create(struct sim *sim, size_t number);
void sim_agents_destroy(struct sim *sim);
void sim_agent_kill(struct sim *sim, struct sim_agent *agent);
void sim_agent_drain(struct sim *sim, struct sim_agent *agent);
void sim_agent_pause(struct sim *sim, struct sim_agent *agent, int64_t length_ms);
/* Something happened that it should look at. */
void sim_agent_wake(struct sim *sim, struct sim_agent *agent);
int64_t sim_agent_clock_ms(const struct sim *sim, const struct sim_agent *agent);

#endif
