/* SPDX-License-Identifier: Apache-2.0 */
/* test_roster.c - does everyone know which agent has which worker? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/roster.h"

static const unsigned char first_id[ROSTER_AGENT_ID_SIZE] = {1};
static const unsigned char second_id[ROSTER_AGENT_ID_SIZE] = {2};

static void an_agent_is_expected_until_it_says_what_it_has(void **state)
{
    struct roster roster = {0};

    (void)state;
    assert_null(roster_agent_get(&roster, first_id));
    struct roster_agent *agent = roster_agent_add(&roster, first_id);
    assert_int_equal(agent->state, ROSTER_EXPECTED);
    assert_ptr_equal(roster_agent_get(&roster, first_id), agent);
    assert_null(roster_agent_get(&roster, second_id));
    roster_agent_remove(&roster, agent);
    assert_null(roster_agent_get(&roster, first_id));
    roster_fini(&roster);
}

static void an_id_is_the_same_only_if_all_of_it_is(void **state)
{
    struct roster roster = {0};
    unsigned char other[ROSTER_AGENT_ID_SIZE] = {1};

    (void)state;
    other[ROSTER_AGENT_ID_SIZE - 1] = 9;
    (void)roster_agent_add(&roster, first_id);
    assert_null(roster_agent_get(&roster, other));
    roster_fini(&roster);
}

static void workers_are_found_by_id_and_by_agent_and_counted_by_job(void **state)
{
    struct roster roster = {0};
    struct roster_agent *first = roster_agent_add(&roster, first_id);
    struct roster_agent *second = roster_agent_add(&roster, second_id);

    (void)state;
    struct roster_worker *worker = roster_worker_add(&roster, first, 10, 7);
    (void)roster_worker_add(&roster, first, 11, 8);
    (void)roster_worker_add(&roster, second, 12, 7);
    assert_ptr_equal(roster_worker_get(&roster, 10), worker);
    assert_ptr_equal(worker->agent, first);
    assert_int_equal(worker->wish, ROSTER_RUN);
    assert_int_equal(worker->state, ROSTER_PLACED);
    assert_int_equal(first->worker_count, 2);
    assert_int_equal(roster_count_job(&roster, 7), 2);
    assert_int_equal(roster_count_job(&roster, 9), 0);
    roster_fini(&roster);
}

static void removing_one_in_the_middle_keeps_the_others(void **state)
{
    struct roster roster = {0};
    struct roster_agent *agent = roster_agent_add(&roster, first_id);

    (void)state;
    for (uint64_t id = 1; id <= 3; id++) {
        (void)roster_worker_add(&roster, agent, id, 7);
    }
    roster_worker_remove(&roster, roster_worker_get(&roster, 2));
    assert_null(roster_worker_get(&roster, 2));
    assert_int_equal(agent->worker_count, 2);
    uint64_t sum = 0;
    for (const struct roster_worker *at = agent->workers; at; at = at->next) {
        sum += at->worker_id;
    }
    assert_int_equal(sum, 4);
    roster_worker_remove(&roster, roster_worker_get(&roster, 1));
    roster_worker_remove(&roster, roster_worker_get(&roster, 3));
    assert_null(agent->workers);
    roster_fini(&roster);
}

static void only_a_change_of_wish_is_news_for_the_agent(void **state)
{
    struct roster roster = {.version_base = UINT64_C(5) << 32};
    struct roster_agent *agent = roster_agent_add(&roster, first_id);
    uint64_t before = agent->desired_version;

    (void)state;
    assert_true(before > UINT64_C(5) << 32); // above all of an earlier start
    struct roster_worker *worker = roster_worker_add(&roster, agent, 1, 7);
    assert_true(agent->desired_version > before);
    before = agent->desired_version;
    roster_wish(worker, ROSTER_RUN, false);
    assert_int_equal(agent->desired_version, before);
    roster_wish(worker, ROSTER_DRAIN, false);
    assert_int_equal(agent->desired_version, before + 1);
    roster_wish(worker, ROSTER_DRAIN, true); // it is to close the job, too
    assert_int_equal(agent->desired_version, before + 2);
    assert_true(worker->closes_job);
    roster_worker_remove(&roster, worker);
    assert_int_equal(agent->desired_version, before + 3);
    roster_fini(&roster);
}

static void
the_order_of_first_words_is_kept_for_as_many_as_there_is_room_for(void **state)
{
    struct roster roster = {.start_count = 0};

    (void)state;
    assert_false(roster_is_newer(&roster, 1, 2)); // neither is known
    roster_introduce(&roster, 1);
    roster_introduce(&roster, 2);
    roster_introduce(&roster, 1);
    assert_true(roster_is_newer(&roster, 2, 1));
    assert_false(roster_is_newer(&roster, 1, 2));
    assert_false(roster_is_newer(&roster, 2, 2));
    assert_true(roster_is_newer(&roster, 1, 3));
    for (uint64_t i = 0; i < ROSTER_STARTS_MAX; i++) {
        roster_introduce(&roster, 10 + i);
    }
    assert_false(roster_is_newer(&roster, 2, 10));
    assert_true(roster_is_newer(&roster, 9 + ROSTER_STARTS_MAX, 10));
}

static void only_one_that_has_left_or_failed_is_not_alive(void **state)
{
    struct roster_worker worker = {0};

    (void)state;
    for (int i = ROSTER_PLACED; i <= ROSTER_FAILED; i++) {
        worker.state = (enum roster_worker_state)i;
        assert_int_equal(roster_worker_alive(&worker), i < ROSTER_EXITED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_is_expected_until_it_says_what_it_has),
        cmocka_unit_test(an_id_is_the_same_only_if_all_of_it_is),
        cmocka_unit_test(workers_are_found_by_id_and_by_agent_and_counted_by_job),
        cmocka_unit_test(removing_one_in_the_middle_keeps_the_others),
        cmocka_unit_test(only_a_change_of_wish_is_news_for_the_agent),
        cmocka_unit_test(
            the_order_of_first_words_is_kept_for_as_many_as_there_is_room_for),
        cmocka_unit_test(only_one_that_has_left_or_failed_is_not_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
