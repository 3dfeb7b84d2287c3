/* SPDX-License-Identifier: Apache-2.0 */
/* test_sim.c - does the simulator notice what it should, and stay silent otherwise? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/id.h"
#include "master/store.h"
#include "tests/sim/sim.h"

#define SEEDS_MAX   400 /* within so many a planted fault is noticed */
#define PLANT_STEPS 3000

/* Runs that once broke an invariant. */
static const struct kept {
    uint64_t seed;
    uint64_t steps;
    const char *was;
} kept_seeds[] = {
    {1, 1500, "on_job_complete was given to a worker on its way out"},
    {2, 1500, "a batch was taken up by an attempt that had failed"},
    {3, 1500, "a worker ran beside one that was being stopped"},
    {6, 1500, "a submission whose call was repeated became two jobs"},
    {13, 1500, "a late Sync took up what had ended"},
    {17, 1500, "a worker that was never started kept its room"},
    {28, 1500, "nobody asked for a batch that was ready"},
    {31, 1500, "worker rows vanished with their api"},
    {44, 1500, "a job whose worker was never started stayed in memory"},
    {153, 5000, "a master that was stopped declared its agents lost"},
    {1025, 1500, "an agent left between on_job_complete and telling of it"},
    {2398, 1500, "on_job_complete returned and its worker left at once"},
    {30559, 2000, "on_job_complete of the second of two jobs was run again"},
    {6029, 6000, "a dead agent's Sync dropped the workers of its next start"},
    {2045160, 600, "so did a Sync of one that had been taken for lost"},
    {2209859, 600, "and one of an agent that had not been heard of"},
};

/* One after the other uses it, as under tests/simulate. */
static struct store *store;

static void seeds_that_failed_once_do_not_fail_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kept_seeds) / sizeof(kept_seeds[0]); i++) {
        struct sim_options options = {
            .seed = kept_seeds[i].seed, .steps = kept_seeds[i].steps, .store = &store};
        struct sim_result result;
        sim_run(&options, &result);
        if (result.violated) {
            fail_msg("seed %llu (%s): %s",
                     (unsigned long long)options.seed,
                     kept_seeds[i].was,
                     result.sentence);
        }
    }
}

static void the_same_seed_is_the_same_run(void **state)
{
    struct sim_options options = {.seed = 7, .steps = 800};
    struct sim_result first;
    struct sim_result second;

    (void)state;
    sim_run(&options, &first);
    options.store = &store; // in which others have run
    sim_run(&options, &second);
    assert_memory_equal(&first, &second, sizeof(first));
    options.seed = 8;
    sim_run(&options, &second);
    assert_int_not_equal(first.steps, second.steps);
}

static void jobs_run_and_masters_die_in_these_runs(void **state)
{
    struct sim_result total = {0};

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options options = {
            .seed = seed, .steps = PLANT_STEPS, .store = &store};
        struct sim_result result;
        sim_run(&options, &result);
        total.jobs += result.jobs;
        total.kills += result.kills;
        total.predicts += result.predicts;
    }
    assert_true(total.jobs > 100);
    assert_true(total.predicts > 500);
    assert_true(total.kills > 5);
}

// Until a run with the fault breaks an invariant that begins with these words.
static void notices(enum sim_plant plant, const char *sentence)
{
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
        struct sim_options options = {
            .seed = seed, .steps = PLANT_STEPS, .plant = plant, .store = &store};
        struct sim_result result;
        sim_run(&options, &result);
        if (result.violated &&
            strncmp(result.sentence, sentence, strlen(sentence)) == 0) {
            return;
        }
    }
    fail_msg("%s was planted, and \"%s\" held all the same",
             sim_plant_name(plant),
             sentence);
}

static void a_skipped_attempt_check_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_OLD_ATTEMPT, "A batch ends by a result of the attempt that has");
}

static void an_acknowledgement_before_the_commit_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_EARLY_REPLY, "What is answered OK is on disk");
}

static void a_dropped_result_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_LOST_RESULT, "A result from the attempt that has the batch");
}

static void a_batch_counted_twice_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_MISCOUNT, "succeeded + failed + queued + in hand = total");
}

static void on_job_complete_run_twice_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_CALLBACK, "on_job_complete starts at most once");
}

static void a_job_that_lives_on_after_its_end_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_REVIVAL, "Terminal is final");
}

static void leases_that_never_run_out_are_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_NO_EXPIRY, "Once faults cease every job ends");
}

static void leases_by_the_wall_clock_are_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_WALL_CLOCK, "A job ends as what happened to it");
}

static void a_job_that_is_given_no_worker_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_STARVATION, "A job that could have a worker is given one");
}

static void an_attempt_counted_without_having_begun_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_RETURNS, "An attempt that was begun is counted once");
}

static void a_dead_letter_sent_twice_is_noticed(void **state)
{
    (void)state;
    notices(SIM_PLANT_LETTER, "A letter that is known to be sent or refused");
}

static void two_thousand_agents_are_back_soon_after_the_master(void **state)
{
    struct sim_options options = {.seed = 1, .steps = 1, .agents = SIM_AGENTS_MAX};
    struct sim_result result;

    (void)state;
    sim_run(&options, &result);
    if (result.violated) {
        fail_msg("%s", result.sentence);
    }
    assert_int_equal(result.kills, 1);
    assert_true(result.rejoin_ms <= 3000);
    assert_true(result.rejoin_calls <= 5 * SIM_AGENTS_MAX);
}

static int set_up(void **state)
{
    (void)state;
    return id_init();
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_that_failed_once_do_not_fail_again),
        cmocka_unit_test(the_same_seed_is_the_same_run),
        cmocka_unit_test(jobs_run_and_masters_die_in_these_runs),
        cmocka_unit_test(a_skipped_attempt_check_is_noticed),
        cmocka_unit_test(an_acknowledgement_before_the_commit_is_noticed),
        cmocka_unit_test(a_dropped_result_is_noticed),
        cmocka_unit_test(a_batch_counted_twice_is_noticed),
        cmocka_unit_test(on_job_complete_run_twice_is_noticed),
        cmocka_unit_test(a_job_that_lives_on_after_its_end_is_noticed),
        cmocka_unit_test(leases_that_never_run_out_are_noticed),
        cmocka_unit_test(leases_by_the_wall_clock_are_noticed),
        cmocka_unit_test(a_job_that_is_given_no_worker_is_noticed),
        cmocka_unit_test(an_attempt_counted_without_having_begun_is_noticed),
        cmocka_unit_test(a_dead_letter_sent_twice_is_noticed),
        cmocka_unit_test(two_thousand_agents_are_back_soon_after_the_master),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
