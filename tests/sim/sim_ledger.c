/* SPDX-License-Identifier: Apache-2.0 */
/* sim_ledger.c - what the simulation itself knows of every job */
#include "tests/sim/sim_ledger.h"

#include <stdlib.h>

#include "common/buffer.h"
#include "common/id.h"

static void release(void *arg)
{
    struct sim_ledger *ledger = arg;

    map_fini(&ledger->jobs);
    free(ledger->reports);
    free(ledger);
}

void sim_ledger_create(struct sim *sim)
{
    sim->ledger = sim_own(sim, memory_zalloc(sizeof(*sim->ledger)), release);
}

struct sim_job *sim_job_find(const struct sim *sim, uint64_t job_id)
{
    return map_get(&sim->ledger->jobs, job_id);
}

// As prepare.c does it: never the same again in one process. Over a restart with a
// clock that was set back it could, to the nanosecond; not here.
static uint64_t next_id(struct sim *sim, int64_t wall_ns)
{
    uint64_t id = id_job_at(wall_ns + sim_between(sim, 0, 999999));

    while (sim_job_find(sim, id)) {
        id--;
    }
    return id;
}

struct sim_job *
sim_job_make(struct sim *sim, const struct sim_submission *submission, int64_t wall_ns)
{
    const struct sim_faults *faults = &sim->faults;
    struct sim_job *job = sim_new(sim, sizeof(*job));

    job->job_id = next_id(sim, wall_ns);
    job->submission = submission;
    job->sent_ms = sim->now_ms;
    job->next = sim->ledger->newest;
    job->enqueue_fails = sim_chance(sim, faults->enqueue_fails);
    job->has_callback = sim_chance(sim, 500);
    job->duration_ms =
        sim_chance(sim, 300) ? sim_between(sim, 200, 2500) : sim_between(sim, 1, 60);
    job->setup_ms = sim_between(sim, 1, sim_chance(sim, 300) ? 3000 : 300);
    job->predict_raises = sim_chance(sim, 700) ? faults->predict_raises : 0;
    job->predict_dies = sim_chance(sim, 700) ? faults->predict_dies : 0;
    job->predict_kills_memory = sim_chance(sim, 700) ? faults->predict_kills_memory : 0;
    job->setup_fails = sim_chance(sim, 700) ? faults->setup_fails : 0;
    job->callback_fails = sim_chance(sim, 700) ? faults->callback_fails : 0;
    for (size_t i = 0; i < SIM_BATCHES_MAX; i++) {
        job->batches[i].state = BATCH_QUEUED;
    }
    map_put(&sim->ledger->jobs, job->job_id, job);
    sim->ledger->newest = job;
    sim->ledger->job_count++;
    return job;
}
