/* SPDX-License-Identifier: Apache-2.0 */
/* placement.c - how the scheduler's plan becomes workers */
#include "master/placement.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "master/scheduler.h"

/* The scheduler's indexes beside what they stand for. */
struct board {
    struct scheduler_plan plan;
    struct roster_agent **agents;
    struct job **jobs;
    struct roster_worker **workers;
};

static struct scheduler_room need_of(const struct job *job)
{
    return (struct scheduler_room){
        .cpu_millis = job->version->cpu_millis,
        .memory_bytes = (int64_t)job->version->memory_bytes,
        .gpus = job->version->gpus,
        .workers = 1,
    };
}

// An agent that has yet to say what it is, or could not start a worker a moment ago,
// keeps what it has and gets nothing new.
static struct scheduler_room taken_room(const struct roster_agent *agent)
{
    struct scheduler_room room = {0};

    for (const struct roster_worker *worker = agent->workers; worker;
         worker = worker->next) {
        room.cpu_millis += worker->cpu_millis;
        room.memory_bytes += (int64_t)worker->memory_bytes;
        room.gpus += worker->gpus;
        room.workers++;
    }
    return room;
}

static void add_agents(struct board *board, const struct state *state)
{
    size_t cursor = 0;
    uint64_t key;
    void *entry;
    size_t n = state->roster.agents.count;

    board->agents = memory_zalloc(n * sizeof(struct roster_agent *));
    board->plan.agents = memory_zalloc(n * sizeof(*board->plan.agents));
    while (map_next(&state->roster.agents, &cursor, &key, &entry)) {
        struct roster_agent *agent = entry;
        size_t at = board->plan.agent_count++;
        board->agents[at] = agent;
        if (agent->state == ROSTER_EXPECTED || agent->unfit_until_ms > state->now_ms) {
            board->plan.agents[at].room = taken_room(agent);
        } else if (!agent->draining) {
            board->plan.agents[at].room = (struct scheduler_room){
                .cpu_millis = agent->cpu_millis,
                .memory_bytes = (int64_t)agent->memory_bytes,
                .gpus = agent->gpus,
                .workers = ROSTER_WORKERS_PER_AGENT_MAX,
            };
        }
    }
}

static void add_jobs(struct board *board, const struct state *state)
{
    board->jobs = state_jobs_by_age(state, &board->plan.job_count);
    board->plan.jobs = memory_zalloc(board->plan.job_count * sizeof(*board->plan.jobs));
    for (size_t i = 0; i < board->plan.job_count; i++) {
        board->plan.jobs[i].demand = job_demand(board->jobs[i]);
        board->plan.jobs[i].need = need_of(board->jobs[i]);
    }
}

static size_t index_of(void *const *items, size_t count, const void *item)
{
    size_t at = 0;

    while (at < count && items[at] != item) {
        at++;
    }
    return at;
}

static void occupy_now(struct scheduler_room *room, const struct roster_worker *worker)
{
    room->cpu_millis -= worker->cpu_millis;
    room->memory_bytes -= (int64_t)worker->memory_bytes;
    room->gpus -= worker->gpus;
    room->workers--;
}

// The ones that hold most are kept first: constructed before starting, older before
// newer (their ids grow).
static int by_worth(const void *a, const void *b)
{
    const struct roster_worker *left = *(struct roster_worker *const *)a;
    const struct roster_worker *right = *(struct roster_worker *const *)b;
    bool left_ready = left->state >= ROSTER_RUNNING;
    bool right_ready = right->state >= ROSTER_RUNNING;

    if (left_ready != right_ready) {
        return left_ready ? -1 : 1;
    }
    return left->worker_id < right->worker_id ? -1 : 1;
}

// Workers that are wanted or complete a job stand in the plan; those that are leaving,
// or wait to close their job's log, only take room until they are gone.
static bool stands(const struct state *state, const struct roster_worker *worker)
{
    const struct job *job = state_job(state, worker->job_id);

    return job && !job_state_terminal(job->record.state) &&
           roster_worker_alive(worker) &&
           (worker->wish == ROSTER_RUN || worker->wish == ROSTER_COMPLETE);
}

static void
add_workers(struct board *board, const struct state *state, struct scheduler_room *now)
{
    size_t cursor = 0;
    size_t count = 0;
    uint64_t key;
    void *entry;
    size_t n = state->roster.workers.count;

    board->workers = memory_zalloc((n + 1) * sizeof(struct roster_worker *));
    board->plan.workers = memory_zalloc(n * sizeof(*board->plan.workers));
    while (map_next(&state->roster.workers, &cursor, &key, &entry)) {
        struct roster_worker *worker = entry;
        size_t agent = index_of(
            (void *const *)board->agents, board->plan.agent_count, worker->agent);
        occupy_now(&now[agent], worker);
        if (stands(state, worker)) {
            board->workers[count++] = worker;
        }
    }
    qsort(board->workers, count, sizeof(struct roster_worker *), by_worth);
    for (size_t i = 0; i < count; i++) {
        struct roster_worker *worker = board->workers[i];
        struct job *job = state_job(state, worker->job_id);
        board->plan.workers[i].agent = index_of(
            (void *const *)board->agents, board->plan.agent_count, worker->agent);
        board->plan.workers[i].job =
            index_of((void *const *)board->jobs, board->plan.job_count, job);
    }
    board->plan.worker_count = count;
}

static int start_worker(struct state *state,
                        struct roster_agent *agent,
                        const struct job *job,
                        struct error *err)
{
    uint64_t worker_id = state_next_worker_id(state);
    struct roster_worker *worker =
        roster_worker_add(&state->roster, agent, worker_id, job->record.job_id);
    char name[20];
    char detail[ROSTER_NAME_SIZE + 64];

    worker->cpu_millis = job->version->cpu_millis;
    worker->memory_bytes = job->version->memory_bytes;
    worker->gpus = job->version->gpus;
    (void)snprintf(name, sizeof(name), "%016" PRIx64, worker_id);
    (void)snprintf(detail,
                   sizeof(detail),
                   "job %016" PRIx64 " on agent %s",
                   job->record.job_id,
                   agent->name);
    return store_worker_put(
               state->store, worker_id, job->record.job_id, agent->agent_id, err) !=
                       0 ||
                   store_event_add(state->store,
                                   state->wall_ns,
                                   "worker",
                                   name,
                                   "placed",
                                   detail,
                                   err) != 0
               ? -1
               : 0;
}

static bool has_room(const struct scheduler_room *room,
                     const struct scheduler_room *need)
{
    return room->cpu_millis >= need->cpu_millis &&
           room->memory_bytes >= need->memory_bytes && room->gpus >= need->gpus &&
           room->workers >= 1;
}

static int carry_out(struct state *state,
                     struct board *board,
                     struct scheduler_room *now,
                     struct error *err)
{
    for (size_t i = 0; i < board->plan.worker_count; i++) {
        if (!board->plan.workers[i].keep && board->workers[i]->wish == ROSTER_RUN) {
            roster_wish(board->workers[i], ROSTER_DRAIN, false);
        }
    }
    for (size_t i = 0; i < board->plan.placement_count; i++) {
        const struct scheduler_placement *placement = &board->plan.placements[i];
        struct job *job = board->jobs[placement->job];
        struct scheduler_room need = need_of(job);
        // What is planned here may still be taken by a worker on its way out.
        if (!has_room(&now[placement->agent], &need)) {
            continue;
        }
        struct roster_agent *agent = board->agents[placement->agent];
        if (agent->state != ROSTER_PRESENT) {
            continue;
        }
        if (start_worker(state, agent, job, err) != 0) {
            return -1;
        }
        now[placement->agent].cpu_millis -= need.cpu_millis;
        now[placement->agent].memory_bytes -= need.memory_bytes;
        now[placement->agent].gpus -= need.gpus;
        now[placement->agent].workers--;
    }
    return 0;
}

// How many workers a job still lacks, and since when.
static void note_shortage(struct state *state, struct board *board)
{
    for (size_t i = 0; i < board->plan.job_count; i++) {
        struct job *job = board->jobs[i];
        uint32_t has = 0;
        for (size_t j = 0; j < board->plan.worker_count; j++) {
            has += board->plan.workers[j].job == i;
        }
        for (size_t j = 0; j < board->plan.placement_count; j++) {
            has += board->plan.placements[j].job == i;
        }
        uint32_t demand = board->plan.jobs[i].demand;
        job->short_workers = demand > has ? demand - has : 0;
        if (job->short_workers == 0) {
            job->short_since_ms = 0;
        } else if (job->short_since_ms == 0) {
            job->short_since_ms = state->now_ms;
        }
    }
}

static struct scheduler_room *rooms_of(const struct board *board)
{
    struct scheduler_room *rooms =
        memory_zalloc(board->plan.agent_count * sizeof(*rooms));

    for (size_t i = 0; i < board->plan.agent_count; i++) {
        rooms[i] = board->plan.agents[i].room;
    }
    return rooms;
}

int placement_update(struct state *state, struct error *err)
{
    struct board board = {0};

    if (!state->schedule_dirty) {
        return 0;
    }
    state->schedule_dirty = false;
    add_agents(&board, state);
    add_jobs(&board, state);
    struct scheduler_room *now = rooms_of(&board);
    add_workers(&board, state, now);
    scheduler_plan(&board.plan);
    int result = carry_out(state, &board, now, err);
    note_shortage(state, &board);
    free(now);
    free(board.plan.agents);
    free(board.plan.jobs);
    free(board.plan.workers);
    free(board.plan.placements);
    free(board.agents);
    free(board.jobs);
    free(board.workers);
    return result;
}
