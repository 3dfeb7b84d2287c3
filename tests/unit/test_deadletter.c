/* SPDX-License-Identifier: Apache-2.0 */
/* test_deadletter.c - is each failed batch sent to its queue, whatever happens on the
 * way, and no other?
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/master_fixture.h"

#define ARN   "arn:aws:sqs:us-west-2:123456789012:failed"
#define OTHER "arn:aws:sqs:eu-west-1:123456789012:other"

static struct fixture_agent agent_of(unsigned char id)
{
    return (struct fixture_agent){.id = id, .incarnation = 1, .cpu_millis = 8000};
}

static uint64_t submit(struct master_fixture *master, struct fixture_job wanted)
{
    if (!state_api(&master->state, "classifier")) {
        (void)fixture_deploy(master, FIXTURE_API);
    }
    return fixture_submit(master, &wanted);
}

static void fail_batches(struct master_fixture *master,
                         struct fixture_agent *agent,
                         uint64_t job_id,
                         uint64_t count)
{
    fixture_bring_up(master, agent);
    for (uint64_t i = 0; i < count; i++) {
        (void)fixture_do_batch(
            master, agent, fixture_worker_of(agent, job_id), OUTCOME(FAILED));
    }
}

// A job of so many batches, all failed; its worker has left.
static uint64_t failed_job(struct master_fixture *master,
                           struct fixture_agent *agent,
                           const char *arn,
                           uint64_t count)
{
    uint64_t job_id =
        submit(master, (struct fixture_job){.batches = count, .dead_letter_arn = arn});

    fail_batches(master, agent, job_id, count);
    fixture_sync(master, agent);
    fixture_worker_of(agent, job_id)->state = WORKER(EXITED);
    fixture_sync(master, agent);
    fixture_sync(master, agent);
    return job_id;
}

static const struct action *letter(const struct master_fixture *master, size_t at)
{
    const struct action *action = master->released.first;

    for (; action; action = action->next) {
        if (action->type == ACTION_DEAD_LETTER && at-- == 0) {
            break;
        }
    }
    return action;
}

static size_t letters(const struct master_fixture *master, uint64_t job_id)
{
    return fixture_count(master, ACTION_DEAD_LETTER, job_id);
}

static void done(struct master_fixture *master,
                 uint64_t job_id,
                 uint64_t index,
                 enum sqs_outcome outcome)
{
    struct error failure = {0};

    error_set(&failure, ERROR_UNAVAILABLE, "the queue is on holiday");
    assert_int_equal(deadletter_done(&master->state,
                                     job_id,
                                     index,
                                     outcome,
                                     outcome == SQS_SENT ? NULL : &failure,
                                     NULL),
                     0);
    fixture_step(master);
}

static int count_letter(void *arg, const struct store_letter *found, struct error *err)
{
    (void)found;
    (void)err;
    (*(size_t *)arg)++;
    return 0;
}

static size_t stored(const struct master_fixture *master, uint64_t job_id)
{
    size_t count = 0;

    assert_int_equal(
        store_letter_each(master->store, job_id, 0, 1000, count_letter, &count, NULL),
        0);
    return count;
}

static void a_batch_that_stays_failed_becomes_a_letter(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(
        master,
        (struct fixture_job){.batches = 3, .max_attempts = 2, .dead_letter_arn = ARN});

    fail_batches(master, &agent, job_id, 1);
    assert_int_equal(letters(master, job_id), 0); // it is tried again
    assert_int_equal(stored(master, job_id), 0);
    fixture_pass(master, BATCH_BACKOFF_MIN_MS);
    fail_batches(master, &agent, job_id, 1);
    // The job goes on with the next batch, or tried the failed one a second time.
    while (letters(master, job_id) == 0) {
        fixture_pass(master, BATCH_BACKOFF_MAX_MS);
        fail_batches(master, &agent, job_id, 1);
    }
    const struct action *action = letter(master, 0);
    assert_string_equal(action->text, ARN);
    assert_string_equal(action->api_name, "classifier");
    assert_int_equal(action->stretches[0].job_id, job_id);
    assert_int_equal(action->stretches[0].count, 1);
    assert_int_equal(action->stretches[0].segment.count, 3);
    assert_int_equal(stored(master, job_id), 1);
    done(master, job_id, action->stretches[0].first_index, SQS_SENT);
    assert_int_equal(stored(master, job_id), 0);
    assert_true(
        fixture_logged(master, "was sent to the dead letter queue " ARN " after 2 "));
}

static void batches_that_succeed_and_jobs_without_a_queue_send_nothing(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t without = failed_job(master, &agent, NULL, 2);
    uint64_t with =
        submit(master, (struct fixture_job){.batches = 1, .dead_letter_arn = ARN});

    fixture_bring_up(master, &agent);
    (void)fixture_do_batch(
        master, &agent, fixture_worker_of(&agent, with), OUTCOME(SUCCEEDED));
    assert_int_equal(letters(master, with), 0);
    assert_int_equal(letters(master, without), 0);
    assert_int_equal(stored(master, without), 0);
    assert_int_equal(master->state.deadletters.jobs.count, 0);
}

static void a_jobs_end_does_not_wait_for_its_letters(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = failed_job(master, &agent, ARN, 2);

    assert_int_equal(fixture_job(master, job_id)->state, JOB(COMPLETED_WITH_FAILURES));
    assert_int_equal(letters(master, job_id), 2);
    done(master, job_id, 1, SQS_SENT);
    done(master, job_id, 0, SQS_SENT);
    assert_int_equal(letters(master, job_id), 2);
    assert_int_equal(master->state.deadletters.jobs.count, 0);
    assert_int_equal(fixture_job(master, job_id)->failed, 2);
}

static void no_more_than_its_share_of_a_job_is_under_way(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = failed_job(master, &agent, ARN, 20);

    assert_int_equal(letters(master, job_id), DEADLETTER_JOB_MAX);
    for (uint64_t i = 0; i < 20; i++) {
        done(master, job_id, i, SQS_SENT);
        done(master, job_id, i, SQS_SENT); // twice is as once
    }
    assert_int_equal(letters(master, job_id), 20);
    assert_int_equal(stored(master, job_id), 0);
    assert_int_equal(master->state.deadletters.sending, 0);
}

static void all_jobs_together_have_a_limit(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_ids[6];
    size_t under_way = 0;
    size_t sent = 0;

    for (size_t i = 0; i < 6; i++) {
        job_ids[i] = failed_job(master, &agent, ARN, 7);
    }
    for (size_t i = 0; i < 6; i++) {
        under_way += letters(master, job_ids[i]);
    }
    assert_int_equal(under_way, DEADLETTER_MAX);
    for (size_t i = 0; letter(master, i); i++) { // done ones let others go
        const struct stretch *stretch = &letter(master, i)->stretches[0];
        done(master, stretch->job_id, stretch->first_index, SQS_SENT);
        sent++;
    }
    assert_int_equal(sent, 6 * 7);
    assert_int_equal(master->state.deadletters.jobs.count, 0);
}

static void a_queue_that_is_away_is_asked_ever_more_rarely(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = failed_job(master, &agent, ARN, 1);
    int64_t longest_ms = 0;
    int64_t first_ms = 0;

    for (int i = 0; i < 30; i++) {
        int64_t before_ms = master->state.now_ms;
        fixture_forget(master);
        done(master, job_id, 0, SQS_AWAY);
        assert_int_equal(letters(master, job_id), 0);
        assert_int_equal(fixture_logged(master, "cannot be reached"), i == 0);
        while (letters(master, job_id) == 0) {
            fixture_pass(master, 100);
        }
        int64_t waited_ms = master->state.now_ms - before_ms;
        assert_in_range(waited_ms, 1, DEADLETTER_BACKOFF_MAX_MS + 100);
        first_ms = i == 0 ? waited_ms : first_ms;
        longest_ms = waited_ms > longest_ms ? waited_ms : longest_ms;
    }
    assert_in_range(first_ms, 1, DEADLETTER_BACKOFF_MIN_MS + 100);
    assert_true(longest_ms > 60000);
    done(master, job_id, 0, SQS_SENT);
    assert_int_equal(stored(master, job_id), 0);
}

static void one_letter_at_a_time_asks_whether_a_queue_is_back(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = failed_job(master, &agent, ARN, 12);
    uint64_t asked = 0;

    for (uint64_t i = 0; i < DEADLETTER_JOB_MAX; i++) {
        done(master, job_id, i, SQS_AWAY);
    }
    for (int i = 0; i < 20; i++) { // round and round, so that no letter is in the way
        fixture_forget(master);
        while (!letter(master, 0)) {
            fixture_pass(master, 1000);
        }
        fixture_pass(master, 2 * DEADLETTER_BACKOFF_MAX_MS);
        assert_int_equal(letters(master, job_id), 1);
        asked = letter(master, 0)->stretches[0].first_index;
        assert_int_equal(asked, (DEADLETTER_JOB_MAX + i) % 12);
        done(master, job_id, asked, SQS_AWAY);
    }
    fixture_pass(master, 2 * DEADLETTER_BACKOFF_MAX_MS);
    fixture_forget(master);
    done(master, job_id, (asked + 1) % 12, SQS_SENT);
    assert_int_equal(letters(master, job_id), DEADLETTER_JOB_MAX);
}

static void another_queue_is_not_held_up(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t away = failed_job(master, &agent, ARN, 1);

    done(master, away, 0, SQS_AWAY);
    uint64_t there = failed_job(master, &agent, OTHER, 1);
    assert_int_equal(letters(master, there), 1);
    done(master, there, 0, SQS_SENT);
    assert_int_equal(stored(master, there), 0);
    assert_int_equal(stored(master, away), 1);
}

static void a_refusal_is_said_in_the_log_and_not_repeated(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = failed_job(master, &agent, ARN, 1);
    char batch_id[ID_UUID_TEXT_SIZE];

    id_batch_format(job_id, 0, batch_id);
    done(master, job_id, 0, SQS_REFUSED);
    assert_true(fixture_logged(master, batch_id));
    assert_true(fixture_logged(master, "could not be sent to the dead letter queue"));
    assert_true(fixture_logged(master, "the queue is on holiday"));
    assert_int_equal(stored(master, job_id), 0);
    fixture_pass(master, 2 * DEADLETTER_BACKOFF_MAX_MS);
    assert_int_equal(letters(master, job_id), 1);
    assert_int_equal(fixture_job(master, job_id)->failed, 1); // and stays listed
}

static void a_restart_sends_what_was_not_known_to_be_there(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = failed_job(master, &agent, ARN, 3);

    done(master, job_id, 1, SQS_SENT);
    done(master, job_id, 2, SQS_AWAY);
    for (int i = 0; i < 2; i++) {
        fixture_forget(master);
        fixture_restart(master);
        assert_int_equal(letters(master, job_id), 2);
        assert_int_equal(letter(master, 0)->stretches[0].first_index, 0);
        assert_int_equal(letter(master, 1)->stretches[0].first_index, 2);
        assert_string_equal(letter(master, 1)->text, ARN);
    }
    done(master, job_id, 0, SQS_SENT);
    done(master, job_id, 2, SQS_SENT);
    fixture_forget(master);
    fixture_restart(master);
    assert_int_equal(letters(master, job_id), 0);
}

static void what_ends_after_a_restart_for_an_earlier_start_changes_nothing(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = failed_job(master, &agent, ARN, 1);

    done(master, job_id, 7, SQS_SENT);
    done(master, job_id + 1, 0, SQS_SENT);
    assert_int_equal(stored(master, job_id), 1);
    assert_int_equal(master->state.deadletters.sending, 1);
}

static void deleting_an_api_drops_its_letters(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    Cortex__V1__DeleteApiRequest said = CORTEX__V1__DELETE_API_REQUEST__INIT;
    uint64_t job_id = failed_job(master, &agent, ARN, 12);

    said.api_name = (char *)(uintptr_t) "classifier";
    assert_non_null(
        fixture_reply(master, fixture_call(master, "Client/DeleteApi", &said)));
    fixture_forget(master);
    for (uint64_t i = 0; i < DEADLETTER_JOB_MAX; i++) {
        done(master, job_id, i, i % 2 ? SQS_SENT : SQS_AWAY);
    }
    assert_int_equal(letters(master, job_id), 0);
    assert_false(fixture_logged(master, "")); // that log is gone
    assert_int_equal(master->state.deadletters.jobs.count, 0);
    assert_int_equal(master->state.deadletters.sending, 0);
}

static void deleting_an_api_with_its_history_kept_keeps_its_letters(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    Cortex__V1__DeleteApiRequest said = CORTEX__V1__DELETE_API_REQUEST__INIT;
    uint64_t job_id = failed_job(master, &agent, ARN, 1);

    said.api_name = (char *)(uintptr_t) "classifier";
    said.keep_cache = true;
    (void)fixture_call(master, "Client/DeleteApi", &said);
    fixture_forget(master);
    fixture_restart(master);
    assert_int_equal(letters(master, job_id), 1);
    assert_string_equal(letter(master, 0)->api_name, "classifier");
}

#define TEST(name)                                                                     \
    cmocka_unit_test_setup_teardown(name, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_that_stays_failed_becomes_a_letter),
        TEST(batches_that_succeed_and_jobs_without_a_queue_send_nothing),
        TEST(a_jobs_end_does_not_wait_for_its_letters),
        TEST(no_more_than_its_share_of_a_job_is_under_way),
        TEST(all_jobs_together_have_a_limit),
        TEST(a_queue_that_is_away_is_asked_ever_more_rarely),
        TEST(one_letter_at_a_time_asks_whether_a_queue_is_back),
        TEST(another_queue_is_not_held_up),
        TEST(a_refusal_is_said_in_the_log_and_not_repeated),
        TEST(a_restart_sends_what_was_not_known_to_be_there),
        TEST(what_ends_after_a_restart_for_an_earlier_start_changes_nothing),
        TEST(deleting_an_api_drops_its_letters),
        TEST(deleting_an_api_with_its_history_kept_keeps_its_letters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
