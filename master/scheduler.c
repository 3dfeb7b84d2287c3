/* SPDX-License-Identifier: Apache-2.0 */
/* scheduler.c - which workers should run where */
#include "master/scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

#define NOWHERE SIZE_MAX

static bool fits(const struct scheduler_room *room, const struct scheduler_room *need)
{
    return room->cpu_millis >= need->cpu_millis &&
           room->memory_bytes >= need->memory_bytes && room->gpus >= need->gpus &&
           room->workers >= 1;
}

static void occupy(struct scheduler_room *room, const struct scheduler_room *need)
{
    room->cpu_millis -= need->cpu_millis;
    room->memory_bytes -= need->memory_bytes;
    room->gpus -= need->gpus;
    room->workers--;
}

// The emptiest agent that has room: work spreads out, and so does the risk. An agent
// with GPUs is left to those who need them while another will do.
static size_t best_agent(const struct scheduler_plan *plan,
                         const struct scheduler_room *need)
{
    size_t best = NOWHERE;

    for (size_t i = 0; i < plan->agent_count; i++) {
        const struct scheduler_room *room = &plan->agents[i].room;
        if (!fits(room, need)) {
            continue;
        }
        if (best == NOWHERE) {
            best = i;
            continue;
        }
        const struct scheduler_room *other = &plan->agents[best].room;
        if (need->gpus == 0 && (room->gpus > 0) != (other->gpus > 0)) {
            best = room->gpus > 0 ? best : i;
        } else if (room->cpu_millis > other->cpu_millis) {
            best = i;
        }
    }
    return best;
}

// The job's next worker that exists and still has its place.
static struct scheduler_worker *
keepable(const struct scheduler_plan *plan, size_t job, size_t *from)
{
    const struct scheduler_room *need = &plan->jobs[job].need;

    for (; *from < plan->worker_count; (*from)++) {
        struct scheduler_worker *worker = &plan->workers[*from];
        if (worker->job == job && !worker->keep &&
            fits(&plan->agents[worker->agent].room, need)) {
            (*from)++;
            return worker;
        }
    }
    return NULL;
}

static void
place(struct scheduler_plan *plan, size_t job, size_t agent, size_t *capacity)
{
    if (plan->placement_count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 16;
        plan->placements =
            memory_realloc(plan->placements, *capacity * sizeof(*plan->placements));
    }
    plan->placements[plan->placement_count++] =
        (struct scheduler_placement){job, agent};
}

// Deals one worker to the job. False: it wants none, or fits nowhere.
static bool
deal(struct scheduler_plan *plan, size_t job, size_t *from, size_t *capacity)
{
    struct scheduler_job *wants = &plan->jobs[job];

    if (wants->planned >= wants->demand) {
        return false;
    }
    struct scheduler_worker *kept = keepable(plan, job, from);
    size_t agent = kept ? kept->agent : best_agent(plan, &wants->need);
    if (agent == NOWHERE) {
        return false;
    }
    occupy(&plan->agents[agent].room, &wants->need);
    wants->planned++;
    if (kept) {
        kept->keep = true;
    } else {
        place(plan, job, agent, capacity);
    }
    return true;
}

void scheduler_plan(struct scheduler_plan *plan)
{
    size_t *from = memory_zalloc(plan->job_count * sizeof(*from));
    bool *done = memory_zalloc(plan->job_count * sizeof(*done));
    size_t capacity = 0;
    size_t left = plan->job_count;

    plan->placements = NULL;
    plan->placement_count = 0;
    for (size_t i = 0; i < plan->job_count; i++) {
        plan->jobs[i].planned = 0;
    }
    for (size_t i = 0; i < plan->worker_count; i++) {
        plan->workers[i].keep = false;
    }
    while (left > 0) {
        for (size_t job = 0; job < plan->job_count; job++) {
            if (!done[job] && !deal(plan, job, &from[job], &capacity)) {
                done[job] = true;
                left--;
            }
        }
    }
    free(from);
    free(done);
}
