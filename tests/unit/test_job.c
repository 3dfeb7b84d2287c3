/* SPDX-License-Identifier: Apache-2.0 */
/* test_job.c - may a job only go where its diagram leads? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/job.h"

#define STATES 11 // numbers below it; 0 is none

static struct job *job_in(enum job_state state, uint64_t batches)
{
    struct job *job = job_create();
    struct payload_segment segment = {.count = (uint32_t)batches};

    job->record.workers = 4;
    if (batches > 0) {
        assert_true(job_add_segment(job, &segment));
    }
    job->record.state = state;
    return job;
}

static void finish_batch(struct job *job, enum batch_outcome outcome)
{
    struct batch_row row;
    static uint64_t attempt;
    const struct batch *batch = batch_lease(&job->book, 1, ++attempt, 0, 1000);
    struct batch_report said = {.index = batch->index,
                                .attempt = attempt,
                                .outcome = outcome,
                                .duration_us = 5};

    assert_true(batch_finish(&job->book, &said, 1, 0, 0, &row));
}

static void every_edge_is_in_the_diagram_and_no_other(void **state)
{
    // Rows: from. A letter for each state that may follow, in the order of the enum.
    static const char *const edges[STATES] = {
        [JOB_ENQUEUING] = "-R--E--TSX", // -: not there
        [JOB_RUNNING] = "--SC-WOTSX",
    };

    (void)state;
    for (int from = 1; from < STATES; from++) {
        for (int to = 1; to < STATES; to++) {
            bool expected = edges[from] && edges[from][to - 1] != '-';
            assert_int_equal(job_may_become((enum job_state)from, (enum job_state)to),
                             expected);
        }
    }
}

static void terminal_is_final(void **state)
{
    (void)state;
    for (int from = JOB_SUCCEEDED; from < STATES; from++) {
        assert_true(job_state_terminal((enum job_state)from));
        for (int to = 1; to < STATES; to++) {
            assert_false(job_may_become((enum job_state)from, (enum job_state)to));
        }
    }
    assert_false(job_state_terminal(JOB_ENQUEUING));
    assert_false(job_state_terminal(JOB_RUNNING));
}

static void a_state_has_the_name_that_people_read(void **state)
{
    static const char *const names[] = {"enqueuing",
                                        "running",
                                        "succeeded",
                                        "completed with failures",
                                        "failed while enqueuing",
                                        "worker error",
                                        "out of memory",
                                        "timed out",
                                        "stopped",
                                        "unexpected error"};

    (void)state;
    for (int i = 1; i < STATES; i++) {
        assert_string_equal(job_state_name((enum job_state)i), names[i - 1]);
    }
}

static void the_end_freezes_counts_reason_and_time(void **state)
{
    struct job *job = job_in(JOB_RUNNING, 3);

    (void)state;
    job->record.start_ns = 100;
    finish_batch(job, BATCH_OUTCOME_SUCCEEDED);
    finish_batch(job, BATCH_OUTCOME_FAILED);
    job_apply(job, JOB_STOPPED, "because", 900);
    assert_int_equal(job->record.total, 3);
    assert_int_equal(job->record.succeeded, 1);
    assert_int_equal(job->record.failed, 1);
    assert_int_equal(job->record.succeeded_us, 5);
    assert_int_equal(job->record.end_ns, 900);
    assert_string_equal(job->record.reason, "because");
    assert_int_equal(job_demand(job), 0);
    job_destroy(job);
}

static void a_clock_set_back_does_not_end_a_job_before_its_start(void **state)
{
    struct job *job = job_in(JOB_RUNNING, 0);

    (void)state;
    job->record.start_ns = 1000;
    job_apply(job, JOB_TIMED_OUT, "", 500);
    assert_int_equal(job->record.end_ns, 1000);
    job_destroy(job);
}

static void running_is_no_end(void **state)
{
    struct job *job = job_in(JOB_ENQUEUING, 2);

    (void)state;
    job_apply(job, JOB_RUNNING, "ignored", 900);
    assert_int_equal(job->record.end_ns, 0);
    assert_string_equal(job->record.reason, "");
    job_destroy(job);
}

static void one_failed_batch_decides_the_outcome(void **state)
{
    struct job *job = job_in(JOB_RUNNING, 2);

    (void)state;
    finish_batch(job, BATCH_OUTCOME_SUCCEEDED);
    assert_int_equal(job_outcome(job), JOB_SUCCEEDED);
    finish_batch(job, BATCH_OUTCOME_FAILED);
    assert_int_equal(job_outcome(job), JOB_COMPLETED_WITH_FAILURES);
    job_destroy(job);
}

static void no_more_workers_are_wanted_than_there_are_batches_left(void **state)
{
    struct job *job = job_in(JOB_ENQUEUING, 5);

    (void)state;
    assert_int_equal(job_demand(job), 0);
    job->record.state = JOB_RUNNING;
    assert_int_equal(job_demand(job), 4);
    finish_batch(job, BATCH_OUTCOME_SUCCEEDED);
    finish_batch(job, BATCH_OUTCOME_SUCCEEDED);
    assert_int_equal(job_demand(job), 3);
    (void)batch_lease(&job->book, 1, 1000, 0, 1000); // in hand is not done
    assert_int_equal(job_demand(job), 3);
    job_destroy(job);
}

static void a_job_whose_batches_are_done_wants_one_for_on_job_complete(void **state)
{
    struct job *job = job_in(JOB_RUNNING, 1);

    (void)state;
    finish_batch(job, BATCH_OUTCOME_SUCCEEDED);
    assert_int_equal(job_demand(job), 1);
    job_destroy(job);
}

static void segments_must_follow_one_another(void **state)
{
    struct job *job = job_in(JOB_ENQUEUING, 3);
    struct payload_segment gap = {.number = 1, .first_index = 4, .count = 1};
    struct payload_segment again = {.number = 0, .first_index = 0, .count = 3};
    struct payload_segment next = {.number = 1, .first_index = 3, .count = 2};

    (void)state;
    assert_false(job_add_segment(job, &gap));
    assert_false(job_add_segment(job, &again));
    assert_int_equal(job->book.total, 3);
    assert_true(job_add_segment(job, &next));
    assert_int_equal(job->record.total, 5);
    job_destroy(job);
}

static void each_batch_is_found_in_its_segment(void **state)
{
    struct job *job = job_in(JOB_ENQUEUING, 0);

    (void)state;
    for (uint64_t i = 0; i < 9; i++) { // of 1, 2, ... 9 batches
        struct payload_segment segment = {
            .number = i, .first_index = job->book.total, .count = (uint32_t)i + 1};
        assert_true(job_add_segment(job, &segment));
    }
    for (uint64_t index = 0, number = 0, left = 1; index < 45; index++) {
        assert_int_equal(job_segment_of(job, index)->number, number);
        if (--left == 0) {
            left = ++number + 1;
        }
    }
    assert_null(job_segment_of(job, 45));
    job_destroy(job);
}

static void counts_that_do_not_add_up_are_noticed(void **state)
{
    struct job *job = job_in(JOB_RUNNING, 3);

    (void)state;
    finish_batch(job, BATCH_OUTCOME_SUCCEEDED);
    (void)batch_lease(&job->book, 1, 1000, 0, 1000);
    assert_true(job_consistent(job));
    job->book.succeeded++;
    assert_false(job_consistent(job));
    job->book.succeeded--;
    job->book.in_hand++;
    assert_false(job_consistent(job));
    job_destroy(job);
    job_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_edge_is_in_the_diagram_and_no_other),
        cmocka_unit_test(terminal_is_final),
        cmocka_unit_test(a_state_has_the_name_that_people_read),
        cmocka_unit_test(the_end_freezes_counts_reason_and_time),
        cmocka_unit_test(a_clock_set_back_does_not_end_a_job_before_its_start),
        cmocka_unit_test(running_is_no_end),
        cmocka_unit_test(one_failed_batch_decides_the_outcome),
        cmocka_unit_test(no_more_workers_are_wanted_than_there_are_batches_left),
        cmocka_unit_test(a_job_whose_batches_are_done_wants_one_for_on_job_complete),
        cmocka_unit_test(segments_must_follow_one_another),
        cmocka_unit_test(each_batch_is_found_in_its_segment),
        cmocka_unit_test(counts_that_do_not_add_up_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
