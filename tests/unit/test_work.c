/* SPDX-License-Identifier: Apache-2.0 */
/* test_work.c - does each result count once, and each batch go to one worker? */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/master_fixture.h"

static uint64_t start(struct master_fixture *master,
                      struct fixture_agent *agent,
                      struct fixture_job wanted)
{
    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    *agent = (struct fixture_agent){
        .id = 1, .incarnation = 1, .cpu_millis = 8000, .has_callback = true};
    fixture_bring_up(master, agent);
    return job_id;
}

static void batches_go_out_in_order_with_growing_attempts(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 10});
    uint64_t worker_id = fixture_worker_of(&agent, job_id)->worker_id;
    const Cortex__V1__WorkReply *first = fixture_ask(master, &agent, worker_id, 4);
    const Cortex__V1__WorkReply *second = fixture_ask(master, &agent, worker_id, 100);

    assert_int_equal(first->n_grants, 1);
    assert_int_equal(first->grants[0]->first_index, 0);
    assert_int_equal(first->grants[0]->n_sizes, 4);
    assert_int_equal(second->grants[0]->first_index, 4);
    assert_int_equal(second->grants[0]->n_sizes, 6);
    assert_true(second->grants[0]->first_attempt >=
                first->grants[0]->first_attempt + 4);
    assert_int_equal(second->work_number, first->work_number + 1);
    assert_int_equal(fixture_ask(master, &agent, worker_id, 1)->n_grants, 0);
}

static void a_grant_over_two_segments_names_both(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 8000};
    struct fixture_job wanted = {0};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    fixture_segment(master, job_id, 3);
    fixture_segment(master, job_id, 3);
    fixture_enqueued(master, job_id);
    fixture_bring_up(master, &agent);
    fixture_forget(master);
    const Cortex__V1__WorkReply *reply =
        fixture_ask(master, &agent, fixture_worker_of(&agent, job_id)->worker_id, 5);
    assert_int_equal(reply->n_grants, 1);
    const struct action *action = master->released.first;
    while (action->type != ACTION_WORK_REPLY) {
        action = action->next;
    }
    assert_int_equal(action->stretch_count, 2);
    assert_int_equal(action->stretches[0].segment.number, 0);
    assert_int_equal(action->stretches[0].count, 3);
    assert_int_equal(action->stretches[1].segment.number, 1);
    assert_int_equal(action->stretches[1].first_index, 3);
    assert_int_equal(action->stretches[1].count, 2);
}

static void one_answer_holds_no_more_bytes_than_its_limit(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 8000};
    struct fixture_job wanted = {0};
    struct segment segment = {
        .payload = {.count = 10, .bytes = UINT64_C(10) * (6u << 20)}};
    bool going_on;

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    assert_int_equal(submit_segment(&master->state, job_id, &segment, &going_on, NULL),
                     0);
    fixture_enqueued(master, job_id);
    fixture_bring_up(master, &agent);
    const Cortex__V1__WorkReply *reply =
        fixture_ask(master, &agent, fixture_worker_of(&agent, job_id)->worker_id, 10);
    assert_int_equal(reply->grants[0]->n_sizes, 3); // of 6 MiB each
}

static void a_repeated_request_is_answered_as_the_first_was(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 10});
    const struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    (void)fixture_report(master, &agent, worker, 0, 77, OUTCOME(SUCCEEDED));
    master->calls--; // the request id is made of the number of the call
    fixture_forget(master);
    // It would report and take again: neither happens twice.
    assert_int_equal(fixture_report(master, &agent, worker, 0, 77, OUTCOME(SUCCEEDED)),
                     1);
    const Cortex__V1__WorkReply *first =
        fixture_ask(master, &agent, worker->worker_id, 4);
    uint64_t attempt = first->grants[0]->first_attempt;
    uint64_t number = first->work_number;
    master->calls--;
    fixture_forget(master);
    const Cortex__V1__WorkReply *again =
        fixture_ask(master, &agent, worker->worker_id, 4);
    assert_int_equal(again->n_grants, 1);
    assert_int_equal(again->grants[0]->first_attempt, attempt);
    assert_int_equal(again->work_number, number);
    assert_int_equal(fixture_job(master, job_id)->in_hand, 4);
}

static void a_result_counts_once_whoever_repeats_it(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 3});
    const struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    uint64_t attempt =
        fixture_ask(master, &agent, worker->worker_id, 2)->grants[0]->first_attempt;

    assert_int_equal(
        fixture_report(master, &agent, worker, 0, attempt, OUTCOME(SUCCEEDED)), 0);
    assert_int_equal(
        fixture_report(master, &agent, worker, 0, attempt, OUTCOME(SUCCEEDED)), 1);
    assert_int_equal(
        fixture_report(master, &agent, worker, 0, attempt, OUTCOME(FAILED)), 1);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->succeeded, 1);
    assert_int_equal(job->failed, 0);
    assert_int_equal(job->in_hand, 1);
    assert_int_equal(job->succeeded_us, 2500);
}

static void a_result_of_no_attempt_of_ours_changes_nothing(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 3});
    struct fixture_worker worker = *fixture_worker_of(&agent, job_id);
    uint64_t attempt =
        fixture_ask(master, &agent, worker.worker_id, 1)->grants[0]->first_attempt;

    assert_int_equal( // another attempt, another batch, no outcome, no job
        fixture_report(master, &agent, &worker, 0, attempt - 1, OUTCOME(SUCCEEDED)),
        1);
    assert_int_equal(
        fixture_report(master, &agent, &worker, 1, attempt, OUTCOME(SUCCEEDED)), 1);
    assert_int_equal(
        fixture_report(master, &agent, &worker, 99, attempt, OUTCOME(SUCCEEDED)), 1);
    assert_int_equal(
        fixture_report(master, &agent, &worker, 0, attempt, OUTCOME(UNSPECIFIED)), 1);
    worker.job_id++;
    assert_int_equal(
        fixture_report(master, &agent, &worker, 0, attempt, OUTCOME(SUCCEEDED)), 1);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->succeeded + job->failed, 0);
    assert_int_equal(job->in_hand, 1);
}

static void a_result_survives_a_crash_right_behind_its_answer(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 3});
    const struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(FAILED));
    fixture_restart(master);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->succeeded, 1);
    assert_int_equal(job->failed, 1);
    assert_int_equal(job->queued, 1);
    assert_int_equal(job->succeeded_us, 2500);
}

static void
a_failure_is_tried_again_while_attempts_are_left_even_over_a_restart(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id =
        start(master, &agent, (struct fixture_job){.batches = 1, .max_attempts = 3});
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    for (int i = 1; i <= 3; i++) {
        assert_int_equal(fixture_job(master, job_id)->failed, 0);
        (void)fixture_do_batch(master, &agent, worker, OUTCOME(FAILED));
        if (i == 1) { // at once it is not given out again, but soon
            assert_int_equal(
                fixture_ask(master, &agent, worker->worker_id, 1)->n_grants, 0);
        }
        fixture_pass(master, 4000);
        if (i == 2) {
            fixture_restart(master);
        }
        fixture_sync(master, &agent);
    }
    assert_int_equal(fixture_job(master, job_id)->failed, 1);
}

static void a_batch_in_predict_at_three_deaths_is_failed_as_the_suspect(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 1});

    for (int death = 1; death <= 3; death++) {
        assert_int_equal(fixture_job(master, job_id)->failed, 0);
        struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
        (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUSPECT));
        worker->state = WORKER(FAILED);
        worker->failure = FAILURE(DIED);
        fixture_sync(master, &agent);
        fixture_bring_up(master, &agent);
    }
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->failed, 1);
    assert_int_equal(job->state, JOB(RUNNING)); // on_job_complete is to come
    assert_true(fixture_logged(master, "when its worker died (1 of 3)"));
    assert_true(fixture_logged(master, "when its worker died (2 of 3)"));
    assert_true(
        fixture_logged(master, "is failed: it was being processed at 3 deaths"));
}

static void a_batch_that_was_given_back_is_as_if_never_given_out(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 1});
    const struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    Cortex__V1__ListBatchesRequest said = CORTEX__V1__LIST_BATCHES_REQUEST__INIT;

    for (int i = 0; i < 5; i++) {
        (void)fixture_do_batch(master, &agent, worker, OUTCOME(RETURNED));
    }
    said.job_id = job_id;
    const Cortex__V1__ListBatchesReply *reply =
        fixture_reply(master, fixture_call(master, "Client/ListBatches", &said));
    assert_int_equal(reply->n_batches, 1);
    assert_int_equal(reply->batches[0]->attempts, 0);
    assert_int_equal(fixture_job(master, job_id)->queued, 1);
}

static void an_agent_that_is_not_registered_has_to_sync_first(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 3});
    Cortex__V1__WorkRequest said = CORTEX__V1__WORK_REQUEST__INIT;
    unsigned char agent_id[16];

    (void)job_id;
    memset(agent_id, 1, sizeof(agent_id));
    said.agent_id = (ProtobufCBinaryData){sizeof(agent_id), agent_id};
    said.incarnation = 2; // another start of it than the one that is known
    const struct error *err =
        fixture_error(master, fixture_call(master, "AgentService/Work", &said));
    assert_int_equal(err->code, ERROR_FAILED_PRECONDITION);
    said.incarnation = 1;
    said.agent_id.len = 15;
    (void)fixture_error(master, fixture_call(master, "AgentService/Work", &said));
    said.agent_id.len = 16;
    fixture_restart(master); // it is only expected then
    (void)fixture_error(master, fixture_call(master, "AgentService/Work", &said));
    fixture_sync(master, &agent);
    assert_non_null(
        fixture_reply(master, fixture_call(master, "AgentService/Work", &said)));
}

static void only_a_worker_that_is_running_and_wanted_is_fed(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 9});
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    assert_int_equal(fixture_ask(master, &agent, worker->worker_id + 7, 1)->n_grants,
                     0);
    worker->state = WORKER(INITIALIZING);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_ask(master, &agent, worker->worker_id, 1)->n_grants, 0);
    worker->state = WORKER(RUNNING);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_ask(master, &agent, worker->worker_id, 0)->n_grants, 0);
    assert_int_equal(fixture_ask(master, &agent, worker->worker_id, 1)->n_grants, 1);
    agent.draining = true;
    fixture_sync(master, &agent);
    assert_int_equal(fixture_ask(master, &agent, worker->worker_id, 1)->n_grants, 0);
}

static void another_agents_worker_cannot_be_fed(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 9});
    struct fixture_agent other = {.id = 2, .incarnation = 1};

    fixture_sync(master, &other);
    assert_int_equal(
        fixture_ask(master, &other, fixture_worker_of(&agent, job_id)->worker_id, 1)
            ->n_grants,
        0);
}

static void near_the_end_nobody_hoards(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id =
        start(master, &agent, (struct fixture_job){.batches = 6, .workers = 3});
    uint64_t granted = 0;

    (void)job_id;
    assert_int_equal(agent.worker_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const Cortex__V1__WorkReply *reply =
            fixture_ask(master, &agent, agent.workers[i].worker_id, 100);
        assert_int_equal(reply->n_grants, 1); // each has something
        assert_in_range(reply->grants[0]->n_sizes, 1, 2);
        granted += reply->grants[0]->n_sizes;
    }
    assert_true(granted <= 6);
    // Who has something waits for those that have nothing.
    while (granted < 6) {
        const Cortex__V1__WorkReply *reply =
            fixture_ask(master, &agent, agent.workers[0].worker_id, 100);
        if (reply->n_grants == 0) {
            break;
        }
        granted += reply->grants[0]->n_sizes;
    }
    assert_true(fixture_job(master, job_id)->queued < 3);
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(batches_go_out_in_order_with_growing_attempts),
        HOLDS(a_grant_over_two_segments_names_both),
        HOLDS(one_answer_holds_no_more_bytes_than_its_limit),
        HOLDS(a_repeated_request_is_answered_as_the_first_was),
        HOLDS(a_result_counts_once_whoever_repeats_it),
        HOLDS(a_result_of_no_attempt_of_ours_changes_nothing),
        HOLDS(a_result_survives_a_crash_right_behind_its_answer),
        HOLDS(a_failure_is_tried_again_while_attempts_are_left_even_over_a_restart),
        HOLDS(a_batch_in_predict_at_three_deaths_is_failed_as_the_suspect),
        HOLDS(a_batch_that_was_given_back_is_as_if_never_given_out),
        HOLDS(an_agent_that_is_not_registered_has_to_sync_first),
        HOLDS(only_a_worker_that_is_running_and_wanted_is_fed),
        HOLDS(another_agents_worker_cannot_be_fed),
        HOLDS(near_the_end_nobody_hoards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
