/* SPDX-License-Identifier: Apache-2.0 */
/* test_scheduler.c - is room dealt out fairly, and never twice? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "master/scheduler.h"

#define GIB (INT64_C(1) << 30)
#define MAX 64

struct board {
    struct scheduler_agent agents[MAX];
    struct scheduler_job jobs[MAX];
    struct scheduler_worker workers[MAX * 4];
    struct scheduler_plan plan;
};

static struct scheduler_room room(int64_t cpus, int64_t gibs, int64_t gpus)
{
    return (struct scheduler_room){cpus * 1000, gibs * GIB, gpus, 1000};
}

static void add_agent(struct board *board, struct scheduler_room has)
{
    board->agents[board->plan.agent_count++].room = has;
}

static void add_job(struct board *board, uint32_t demand, struct scheduler_room need)
{
    struct scheduler_job *job = &board->jobs[board->plan.job_count++];

    need.workers = 1;
    *job = (struct scheduler_job){.demand = demand, .need = need};
}

static void add_worker(struct board *board, size_t job, size_t agent)
{
    board->workers[board->plan.worker_count++] =
        (struct scheduler_worker){.job = job, .agent = agent};
}

// Plans, and checks what must hold of every plan: nothing given twice, nobody above
// demand, and the numbers agree.
static void run(struct board *board)
{
    struct scheduler_agent rooms[MAX];
    struct scheduler_plan *plan = &board->plan;
    uint32_t has[MAX] = {0};

    memcpy(rooms, board->agents, sizeof(rooms));
    free(plan->placements);
    plan->agents = board->agents;
    plan->jobs = board->jobs;
    plan->workers = board->workers;
    scheduler_plan(plan);
    for (size_t i = 0; i < plan->worker_count + plan->placement_count; i++) {
        bool old = i < plan->worker_count;
        const struct scheduler_placement *made =
            old ? NULL : &plan->placements[i - plan->worker_count];
        if (old && !plan->workers[i].keep) {
            continue;
        }
        size_t job = old ? plan->workers[i].job : made->job;
        struct scheduler_room *left =
            &rooms[old ? plan->workers[i].agent : made->agent].room;
        has[job]++;
        left->cpu_millis -= board->jobs[job].need.cpu_millis;
        left->memory_bytes -= board->jobs[job].need.memory_bytes;
        left->gpus -= board->jobs[job].need.gpus;
        left->workers--;
        assert_true(left->cpu_millis >= 0 && left->memory_bytes >= 0 &&
                    left->gpus >= 0 && left->workers >= 0);
    }
    for (size_t i = 0; i < plan->job_count; i++) {
        assert_int_equal(board->jobs[i].planned, has[i]);
        assert_true(has[i] <= board->jobs[i].demand);
    }
}

static int setup(void **state)
{
    *state = memory_zalloc(sizeof(struct board));
    return 0;
}

static int teardown(void **state)
{
    struct board *board = *state;

    free(board->plan.placements);
    free(board);
    return 0;
}

static void nothing_is_planned_where_nothing_is(void **state)
{
    struct board *board = *state;

    run(board);
    assert_int_equal(board->plan.placement_count, 0);
    add_job(board, 5, room(1, 1, 0));
    run(board);
    assert_int_equal(board->jobs[0].planned, 0);
}

static void
room_is_shared_alike_and_what_one_does_not_want_goes_to_the_others(void **state)
{
    struct board *board = *state;

    add_agent(board, room(12, 64, 0));
    add_job(board, 100, room(1, 1, 0));
    add_job(board, 2, room(1, 1, 0));
    add_job(board, 100, room(1, 1, 0));
    run(board);
    assert_int_equal(board->jobs[0].planned, 5);
    assert_int_equal(board->jobs[1].planned, 2);
    assert_int_equal(board->jobs[2].planned, 5);
}

static void a_late_job_gets_its_share_of_what_others_have(void **state)
{
    struct board *board = *state;

    add_agent(board, room(4, 64, 0));
    add_job(board, 100, room(1, 1, 0));
    for (int i = 0; i < 4; i++) {
        add_worker(board, 0, 0);
    }
    add_job(board, 100, room(1, 1, 0));
    run(board);
    assert_int_equal(board->jobs[0].planned, 2);
    assert_int_equal(board->jobs[1].planned, 2);
    // The first of the old ones stay.
    assert_true(board->workers[0].keep && board->workers[1].keep);
    assert_false(board->workers[2].keep || board->workers[3].keep);
}

static void nobody_starves_while_there_is_room_for_one_each(void **state)
{
    struct board *board = *state;

    add_agent(board, room(MAX, 64 * MAX, 0));
    for (int i = 0; i < MAX; i++) {
        add_job(board, i == 0 ? 100000 : 1, room(1, 1, 0));
    }
    run(board);
    for (int i = 0; i < MAX; i++) {
        assert_int_equal(board->jobs[i].planned, 1);
    }
}

static void one_that_fits_nowhere_blocks_nobody(void **state)
{
    struct board *board = *state;

    add_agent(board, room(2, 4, 0));
    add_job(board, 3, room(3, 1, 0)); // too many cpus
    add_job(board, 3, room(1, 8, 0)); // too much memory
    add_job(board, 3, room(1, 1, 1)); // no gpu
    add_job(board, 2, room(1, 1, 0));
    run(board);
    assert_int_equal(board->jobs[3].planned, 2);
    assert_int_equal(board->plan.placement_count, 2);
}

static void memory_and_gpus_are_room_like_cpus(void **state)
{
    struct board *board = *state;

    add_agent(board, room(100, 4, 0));
    add_agent(board, room(100, 100, 3));
    add_job(board, 50, room(1, 3, 0)); // one on the first
    add_job(board, 50, room(1, 1, 1)); // three on the second
    run(board);
    assert_int_equal(board->jobs[1].planned, 3);
    assert_int_equal(board->jobs[0].planned, 1 + 97 / 3);
}

static void
who_needs_no_gpu_leaves_the_gpus_alone_while_another_agent_will_do(void **state)
{
    struct board *board = *state;

    add_agent(board, room(64, 64, 8));
    add_agent(board, room(2, 64, 0));
    add_job(board, 3, room(1, 1, 0));
    run(board);
    size_t on_gpus = 0;
    for (size_t i = 0; i < board->plan.placement_count; i++) {
        on_gpus += board->plan.placements[i].agent == 0;
    }
    assert_int_equal(board->plan.placement_count, 3);
    assert_int_equal(on_gpus, 1); // only what fits nowhere else
}

static void work_spreads_over_the_agents(void **state)
{
    struct board *board = *state;
    int on[4] = {0};

    for (int i = 0; i < 4; i++) {
        add_agent(board, room(8, 64, 0));
    }
    add_job(board, 8, room(1, 1, 0));
    run(board);
    for (size_t i = 0; i < board->plan.placement_count; i++) {
        on[board->plan.placements[i].agent]++;
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(on[i], 2);
    }
}

static void workers_stay_where_they_are_when_nothing_has_changed(void **state)
{
    struct board *board = *state;

    add_agent(board, room(4, 64, 0));
    add_agent(board, room(64, 64, 0)); // emptier, which is no reason to move
    add_job(board, 4, room(1, 1, 0));
    for (int i = 0; i < 4; i++) {
        add_worker(board, 0, 0);
    }
    run(board);
    assert_int_equal(board->plan.placement_count, 0);
    for (int i = 0; i < 4; i++) {
        assert_true(board->workers[i].keep);
    }
}

static void an_agent_without_room_loses_its_workers_to_others(void **state)
{
    struct board *board = *state;

    add_agent(board, (struct scheduler_room){0}); // it drains
    add_agent(board, room(4, 64, 0));
    add_job(board, 2, room(1, 1, 0));
    add_worker(board, 0, 0);
    add_worker(board, 0, 1);
    run(board);
    assert_false(board->workers[0].keep);
    assert_true(board->workers[1].keep);
    assert_int_equal(board->plan.placement_count, 1);
    assert_int_equal(board->plan.placements[0].agent, 1);
}

static void a_job_with_no_demand_keeps_nothing(void **state)
{
    struct board *board = *state;

    add_agent(board, room(4, 64, 0));
    add_job(board, 0, room(1, 1, 0));
    add_worker(board, 0, 0);
    run(board);
    assert_false(board->workers[0].keep);
    assert_int_equal(board->plan.placement_count, 0);
}

static void workers_that_need_nothing_are_still_bounded(void **state)
{
    struct board *board = *state;

    add_agent(board, (struct scheduler_room){.cpu_millis = 1000, .workers = 7});
    add_job(board, 1000000, (struct scheduler_room){0});
    run(board);
    assert_int_equal(board->jobs[0].planned, 7);
}

static size_t one_of(size_t count, unsigned *seed)
{
    return count > 0 ? (size_t)rand_r(seed) % count : 0;
}

// What max-min fair means at least: whoever has less than it wants fits nowhere. Over
// many random boards.
static void whoever_lacks_a_worker_fits_nowhere(void **state)
{
    struct board *board = *state;
    unsigned seed = 1;

    for (int round = 0; round < 300; round++) {
        free(board->plan.placements);
        *board = (struct board){0};
        size_t agents = (size_t)rand_r(&seed) % 5 + 1;
        for (size_t i = 0; i < agents; i++) {
            add_agent(board,
                      room(rand_r(&seed) % 9, rand_r(&seed) % 33, rand_r(&seed) % 3));
        }
        size_t jobs = (size_t)rand_r(&seed) % 6 + 1;
        for (size_t i = 0; i < jobs; i++) {
            add_job(board,
                    (uint32_t)rand_r(&seed) % 9,
                    room(rand_r(&seed) % 3 + 1, rand_r(&seed) % 5, rand_r(&seed) % 2));
        }
        for (int i = rand_r(&seed) % 12; i > 0; i--) {
            add_worker(board, one_of(jobs, &seed), one_of(agents, &seed));
        }
        run(board);
        // The scheduler took from the rooms it was given: what is left is free.
        for (size_t job = 0; job < jobs; job++) {
            if (board->jobs[job].planned == board->jobs[job].demand) {
                continue;
            }
            for (size_t i = 0; i < board->plan.agent_count; i++) {
                const struct scheduler_room *left = &board->agents[i].room;
                const struct scheduler_room *need = &board->jobs[job].need;
                assert_false(left->cpu_millis >= need->cpu_millis &&
                             left->memory_bytes >= need->memory_bytes &&
                             left->gpus >= need->gpus);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            nothing_is_planned_where_nothing_is, setup, teardown),
        cmocka_unit_test_setup_teardown(
            room_is_shared_alike_and_what_one_does_not_want_goes_to_the_others,
            setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_late_job_gets_its_share_of_what_others_have, setup, teardown),
        cmocka_unit_test_setup_teardown(
            nobody_starves_while_there_is_room_for_one_each, setup, teardown),
        cmocka_unit_test_setup_teardown(
            one_that_fits_nowhere_blocks_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(
            memory_and_gpus_are_room_like_cpus, setup, teardown),
        cmocka_unit_test_setup_teardown(
            who_needs_no_gpu_leaves_the_gpus_alone_while_another_agent_will_do,
            setup,
            teardown),
        cmocka_unit_test_setup_teardown(work_spreads_over_the_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(
            workers_stay_where_they_are_when_nothing_has_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            an_agent_without_room_loses_its_workers_to_others, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_job_with_no_demand_keeps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            workers_that_need_nothing_are_still_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(
            whoever_lacks_a_worker_fits_nowhere, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
