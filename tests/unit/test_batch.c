/* SPDX-License-Identifier: Apache-2.0 */
/* test_batch.c - does every batch have one owner, and do the counts add up? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/batch.h"

static struct batch_book book_of(uint64_t total)
{
    return (struct batch_book){.total = total};
}

static uint64_t lease(struct batch_book *book, uint64_t worker, uint64_t attempt)
{
    const struct batch *batch = batch_lease(book, worker, attempt, 1000, 2000);

    assert_non_null(batch);
    return batch->index;
}

static bool report(struct batch_book *book,
                   uint64_t index,
                   uint64_t attempt,
                   enum batch_outcome how)
{
    struct batch_row row;
    struct batch_report said = {.index = index, .attempt = attempt, .outcome = how};

    return batch_finish(book, &said, 1, 1000, 7, &row);
}

static void batches_are_given_out_in_order_and_once(void **state)
{
    struct batch_book book = book_of(3);

    (void)state;
    assert_int_equal(lease(&book, 1, 1), 0);
    assert_int_equal(lease(&book, 1, 2), 1);
    assert_int_equal(lease(&book, 2, 3), 2);
    assert_null(batch_lease(&book, 2, 4, 1000, 2000));
    assert_int_equal(book.in_hand, 3);
    assert_int_equal(batch_queued(&book), 0);
    batch_book_fini(&book);
}

static void a_result_counts_once_and_only_from_the_holder(void **state)
{
    struct batch_book book = book_of(1);

    (void)state;
    (void)lease(&book, 1, 5);
    assert_false(report(&book, 0, 4, BATCH_OUTCOME_SUCCEEDED));
    assert_true(report(&book, 0, 5, BATCH_OUTCOME_SUCCEEDED));
    assert_false(report(&book, 0, 5, BATCH_OUTCOME_SUCCEEDED));
    assert_int_equal(book.succeeded, 1);
    assert_true(batch_all_done(&book));
    batch_book_fini(&book);
}

static void a_late_result_of_an_expired_lease_is_refused(void **state)
{
    struct batch_book book = book_of(1);

    (void)state;
    (void)lease(&book, 1, 5);
    assert_int_equal(batch_release_expired(&book, 2000), 0);
    assert_int_equal(batch_release_expired(&book, 2001), 1);
    assert_false(report(&book, 0, 5, BATCH_OUTCOME_SUCCEEDED));
    assert_int_equal(batch_queued(&book), 1);
    (void)batch_lease(&book, 2, 6, 3000, 4000);
    assert_false(report(&book, 0, 5, BATCH_OUTCOME_SUCCEEDED));
    assert_true(report(&book, 0, 6, BATCH_OUTCOME_SUCCEEDED));
    batch_book_fini(&book);
}

static void what_a_lost_worker_held_is_queued_again_and_nothing_else(void **state)
{
    struct batch_book book = book_of(4);

    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        (void)lease(&book, i % 2, 10 + i);
    }
    assert_int_equal(batch_release_worker(&book, 1, 1000), 2);
    assert_int_equal(book.in_hand, 2);
    assert_int_equal(lease(&book, 3, 20), 1);
    assert_int_equal(lease(&book, 3, 21), 3);
    assert_null(batch_lease(&book, 3, 22, 1000, 2000));
    batch_book_fini(&book);
}

static void prolonged_leases_run_out_later(void **state)
{
    struct batch_book book = book_of(1);

    (void)state;
    (void)lease(&book, 1, 1); // until 2000
    batch_prolong(&book, 5000);
    assert_int_equal(batch_release_expired(&book, 6999), 0);
    assert_int_equal(batch_release_expired(&book, 7001), 1);
    batch_book_fini(&book);
}

static void a_failure_is_tried_again_until_no_attempt_is_left(void **state)
{
    struct batch_book book = book_of(1);
    struct batch_row row;
    struct batch_report said = {.attempt = 1, .outcome = BATCH_OUTCOME_FAILED};

    (void)state;
    (void)lease(&book, 1, 1);
    assert_true(batch_finish(&book, &said, 2, 1000, 7, &row));
    assert_int_equal(row.state, BATCH_QUEUED);
    assert_null(batch_lease(&book, 1, 2, 1000, 2000)); // it waits before it is retried
    int64_t ready_ms = batch_next_ready_ms(&book);
    assert_in_range(ready_ms, 1001, 1000 + BATCH_BACKOFF_MIN_MS);
    assert_non_null(batch_lease(&book, 1, 2, ready_ms, 9000));
    said.attempt = 2;
    assert_true(batch_finish(&book, &said, 2, 1000, 7, &row));
    assert_int_equal(row.state, BATCH_FAILED);
    assert_int_equal(row.attempts, 2);
    assert_int_equal(book.failed, 1);
    batch_book_fini(&book);
}

static void an_attempt_that_has_ended_takes_nothing_up_again(void **state)
{
    struct batch_book book = book_of(1);
    struct batch_row row;
    struct batch_report said = {.attempt = 5, .outcome = BATCH_OUTCOME_FAILED};

    (void)state;
    (void)lease(&book, 1, 5);
    assert_true(batch_finish(&book, &said, 2, 1000, 7, &row));
    assert_int_equal(row.attempt, 5);
    assert_false(batch_hold(&book, 0, 1, 5, 9000));
    batch_book_fini(&book);
    book = book_of(1); // after a restart
    batch_recover(&book, &row, 1000);
    assert_false(batch_hold(&book, 0, 1, 5, 9000));
    assert_int_equal(book.in_hand, 0);
    batch_book_fini(&book);
}

static void of_two_who_claim_a_batch_after_a_restart_the_newer_has_it(void **state)
{
    struct batch_book book = book_of(1);

    (void)state;
    assert_true(batch_hold(&book, 0, 1, 5, 9000));
    assert_true(batch_hold(&book, 0, 2, 7, 9000));
    assert_false(batch_hold(&book, 0, 1, 5, 9000));
    assert_int_equal(book.in_hand, 1);
    assert_int_equal(batch_held_by(&book, 2), 1);
    assert_int_equal(batch_release_worker(&book, 2, 1000), 1);
    assert_false(batch_hold(&book, 0, 1, 5, 9000));
    assert_true(batch_hold(&book, 0, 2, 7, 9000));
    batch_book_fini(&book);
}

static void a_batch_in_predict_at_three_deaths_is_failed_and_not_before(void **state)
{
    struct batch_book book = book_of(1);

    (void)state;
    for (uint64_t death = 1; death <= BATCH_DEATHS_MAX; death++) {
        assert_int_equal(book.failed, 0);
        (void)lease(&book, death, death);
        assert_true(report(&book, 0, death, BATCH_OUTCOME_SUSPECT));
    }
    assert_int_equal(book.failed, 1);
    batch_book_fini(&book);
}

static void one_that_was_never_begun_costs_no_attempt(void **state)
{
    struct batch_book book = book_of(1);
    struct batch_row row;
    struct batch_report said = {.outcome = BATCH_OUTCOME_RETURNED};

    (void)state;
    for (said.attempt = 1; said.attempt < 10; said.attempt++) {
        (void)lease(&book, 1, said.attempt);
        assert_true(batch_finish(&book, &said, 1, 1000, 7, &row));
        assert_int_equal(row.attempts, 0);
    }
    batch_book_fini(&book);
}

static void recovery_queues_the_gaps_and_takes_up_what_is_still_held(void **state)
{
    struct batch_book book = book_of(6);
    struct batch_row first = {.index = 1, .state = BATCH_SUCCEEDED, .error = ""};
    struct batch_row second = {.index = 3, .state = BATCH_FAILED, .error = ""};

    (void)state;
    batch_recover(&book, &first, 1000);
    batch_recover(&book, &second, 1000);
    assert_int_equal(batch_queued(&book), 4);
    assert_true(batch_hold(&book, 2, 9, 77, 5000));
    assert_true(batch_hold(&book, 4, 9, 78, 5000));
    assert_false(batch_hold(&book, 1, 9, 76, 5000)); // done
    assert_false(batch_hold(&book, 6, 9, 79, 5000)); // there is none
    assert_int_equal(lease(&book, 1, 100), 0);
    assert_int_equal(lease(&book, 1, 101), 5);
    assert_null(batch_lease(&book, 1, 102, 1000, 2000));
    assert_true(report(&book, 2, 77, BATCH_OUTCOME_SUCCEEDED));
    batch_book_fini(&book);
}

static void a_lease_that_another_attempt_has_cannot_be_held(void **state)
{
    struct batch_book book = book_of(1);

    (void)state;
    (void)lease(&book, 1, 5);
    assert_false(batch_hold(&book, 0, 2, 4, 9000));
    assert_true(batch_hold(&book, 0, 1, 5, 9000));
    assert_int_equal(batch_release_expired(&book, 5000), 0);
    batch_book_fini(&book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_given_out_in_order_and_once),
        cmocka_unit_test(a_result_counts_once_and_only_from_the_holder),
        cmocka_unit_test(a_late_result_of_an_expired_lease_is_refused),
        cmocka_unit_test(what_a_lost_worker_held_is_queued_again_and_nothing_else),
        cmocka_unit_test(prolonged_leases_run_out_later),
        cmocka_unit_test(a_failure_is_tried_again_until_no_attempt_is_left),
        cmocka_unit_test(an_attempt_that_has_ended_takes_nothing_up_again),
        cmocka_unit_test(of_two_who_claim_a_batch_after_a_restart_the_newer_has_it),
        cmocka_unit_test(a_batch_in_predict_at_three_deaths_is_failed_and_not_before),
        cmocka_unit_test(one_that_was_never_begun_costs_no_attempt),
        cmocka_unit_test(recovery_queues_the_gaps_and_takes_up_what_is_still_held),
        cmocka_unit_test(a_lease_that_another_attempt_has_cannot_be_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
