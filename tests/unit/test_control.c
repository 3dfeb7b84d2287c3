/* SPDX-License-Identifier: Apache-2.0 */
/* test_control.c - does a job end when it is told to, and when its time has come? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/master_fixture.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

static uintptr_t
stop(struct master_fixture *master, const char *api_name, uint64_t job_id)
{
    Cortex__V1__StopJobRequest said = CORTEX__V1__STOP_JOB_REQUEST__INIT;

    said.api_name = (char *)(uintptr_t)api_name;
    said.job_id = job_id;
    return fixture_call(master, "Client/StopJob", &said);
}

static uint64_t running_job(struct master_fixture *master,
                            struct fixture_agent *agent,
                            const struct fixture_job *wanted)
{
    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, wanted);
    *agent = (struct fixture_agent){.id = 1, .incarnation = 1, .cpu_millis = 4000};
    fixture_bring_up(master, agent);
    return job_id;
}

static bool is_answered(const struct master_fixture *master, uintptr_t call)
{
    for (const struct action *action = master->released.first; action;
         action = action->next) {
        if (action->call == (void *)call &&
            (action->type == ACTION_REPLY || action->type == ACTION_FAIL)) {
            return true;
        }
    }
    return false;
}

static void a_stop_is_answered_when_the_agents_follow_it(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 9};
    uint64_t job_id = running_job(master, &agent, &wanted);

    uintptr_t call = stop(master, "classifier", job_id);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(STOPPED));
    assert_false(is_answered(master, call));
    fixture_sync(master, &agent); // hears of it
    assert_false(is_answered(master, call));
    fixture_sync(master, &agent); // says that it follows
    assert_true(is_answered(master, call));
    assert_non_null(fixture_reply(master, call));
}

static void a_stop_waits_for_a_silent_agent_until_it_is_lost(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 9};
    uint64_t job_id = running_job(master, &agent, &wanted);
    uintptr_t call = stop(master, "classifier", job_id);

    fixture_pass(master, STATE_LOST_MS);
    assert_false(is_answered(master, call));
    fixture_pass(master, 2);
    assert_non_null(fixture_reply(master, call));
}

static void a_stop_without_workers_is_answered_at_once(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.batches = 9};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    assert_non_null(fixture_reply(master, stop(master, "classifier", job_id)));
}

static void a_stop_answered_before_a_work_request_grants_nothing(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 9};
    uint64_t job_id = running_job(master, &agent, &wanted);
    uint64_t worker_id = fixture_worker_of(&agent, job_id)->worker_id;

    uintptr_t call = stop(master, "classifier", job_id);
    fixture_sync(master, &agent);
    fixture_sync(master, &agent);
    const Cortex__V1__StopJobReply *reply = fixture_reply(master, call);
    assert_non_null(reply);
    char *words = memory_format("stopped job %016llx", (unsigned long long)job_id);
    assert_string_equal(reply->message, words);
    free(words);
    assert_int_equal(fixture_ask(master, &agent, worker_id, 5)->n_grants, 0);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_worker_of(&agent, job_id)->wish, WISH(STOP));
}

static void a_repeated_stop_or_delete_is_answered_as_the_first(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.batches = 9};
    Cortex__V1__DeleteApiRequest said = CORTEX__V1__DELETE_API_REQUEST__INIT;

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    fixture_request_id(master, 77);
    assert_non_null(fixture_reply(master, stop(master, "classifier", job_id)));
    fixture_restart(master);
    fixture_request_id(master, 77);
    assert_non_null(fixture_reply(master, stop(master, "classifier", job_id)));
    // Another call is another matter.
    assert_string_equal(fixture_error(master, stop(master, "classifier", job_id))->kind,
                        "batchapi.job_is_not_in_progress");
    said.api_name = (char *)(uintptr_t) "classifier";
    for (int again = 0; again < 2; again++) {
        fixture_request_id(master, 78);
        const Cortex__V1__DeleteApiReply *reply =
            fixture_reply(master, fixture_call(master, "Client/DeleteApi", &said));
        assert_string_equal(reply->message, "deleting classifier");
    }
}

static void a_stop_survives_a_crash_right_behind_its_answer(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 9};
    uint64_t job_id = running_job(master, &agent, &wanted);

    (void)stop(master, "", job_id);
    fixture_restart(master);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(STOPPED));
    fixture_sync(master, &agent); // whose worker is still there
    assert_int_equal(fixture_worker_of(&agent, job_id)->wish, WISH(STOP));
}

static void results_behind_the_stop_change_nothing(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 2};
    uint64_t job_id = running_job(master, &agent, &wanted);
    const struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    const Cortex__V1__WorkReply *work =
        fixture_ask(master, &agent, worker->worker_id, 1);

    (void)stop(master, "", job_id);
    assert_int_equal(fixture_report(master,
                                    &agent,
                                    worker,
                                    0,
                                    work->grants[0]->first_attempt,
                                    OUTCOME(SUCCEEDED)),
                     1);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->succeeded, 0);
    assert_int_equal(job->state, JOB(STOPPED));
}

static void a_job_that_is_over_cannot_be_stopped(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 9};
    uint64_t job_id = running_job(master, &agent, &wanted);

    (void)stop(master, "", job_id);
    const struct error *err = fixture_error(master, stop(master, "", job_id));
    assert_int_equal(err->code, ERROR_FAILED_PRECONDITION); // HTTP 409
    assert_string_equal(err->kind, "batchapi.job_is_not_in_progress");
    fixture_sync(master, &agent);
    fixture_worker_of(&agent, job_id)->state = WORKER(EXITED);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_count(master, ACTION_JOB_CLOSE, job_id), 1);
    assert_null(state_job(&master->state, job_id)); // its worker has left
    err = fixture_error(master, stop(master, "", job_id));
    assert_string_equal(err->kind, "batchapi.job_is_not_in_progress");
}

static void an_unknown_job_or_one_of_another_api_is_not_found(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 9};
    uint64_t job_id = running_job(master, &agent, &wanted);

    (void)fixture_deploy(master,
                         "- name: other\n  kind: BatchAPI\n"
                         "  predictor: {type: python, path: p.py}\n");
    const struct error *err = fixture_error(master, stop(master, "other", job_id));
    assert_int_equal(err->code, ERROR_NOT_FOUND);
    assert_string_equal(err->kind, "batchapi.job_not_found");
    err = fixture_error(master, stop(master, "", 7));
    assert_string_equal(err->kind, "batchapi.job_not_found");
    assert_non_null(strstr(err->message, "0000000000000007"));
    err = fixture_error(master, stop(master, "nothing", job_id));
    assert_string_equal(err->kind, "resources.api_not_deployed");
    assert_int_equal(fixture_job(master, job_id)->state, JOB(RUNNING));
}

static void a_job_over_its_timeout_ends_timed_out(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job enqueuing = {.timeout_s = 60};
    struct fixture_job running = {.timeout_s = 60, .batches = 1};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t ids[] = {fixture_submit(master, &enqueuing),
                      fixture_submit(master, &running)};
    fixture_pass(master, 59999);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fixture_job(master, ids[i])->end_ns, 0);
    }
    fixture_pass(master, 1);
    for (size_t i = 0; i < 2; i++) {
        const Cortex__V1__Job *job = fixture_job(master, ids[i]);
        assert_int_equal(job->state, JOB(TIMED_OUT));
        assert_string_equal(job->reason,
                            "the job ran longer than its timeout of 60 seconds");
    }
    assert_int_equal(fixture_count(master, ACTION_ENQUEUE_CANCEL, ids[0]), 1);
}

// A job with 20 of its 60 seconds left.
static uint64_t job_of_a_minute(struct master_fixture *master)
{
    struct fixture_job wanted = {.timeout_s = 60, .batches = 1};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    fixture_pass(master, 40000);
    return job_id;
}

static void assert_20_seconds_are_left(struct master_fixture *master, uint64_t job_id)
{
    fixture_pass(master, 19000);
    assert_int_equal(fixture_job(master, job_id)->end_ns, 0);
    fixture_pass(master, 2000);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(TIMED_OUT));
}

static void a_timeout_is_counted_over_a_restart(void **state)
{
    uint64_t job_id = job_of_a_minute(*state);

    fixture_restart(*state);
    assert_20_seconds_are_left(*state, job_id);
}

static void a_timeout_does_not_follow_the_wall_clock_over_a_restart(void **state)
{
    struct master_fixture *master = *state;
    uint64_t job_id = job_of_a_minute(master);

    master->state.wall_ns += DAY_NS;
    fixture_restart(master);
    assert_20_seconds_are_left(master, job_id);
}

static void over_a_reboot_a_timeout_is_counted_by_the_wall_clock_once(void **state)
{
    struct master_fixture *master = *state;
    uint64_t job_id = job_of_a_minute(master);

    (void)snprintf(master->machine_boot, sizeof(master->machine_boot), "the next one");
    master->state.now_ms = 5000;
    fixture_restart(master);
    master->state.wall_ns += DAY_NS;
    fixture_restart(master);
    assert_20_seconds_are_left(master, job_id);
}

static void a_jump_of_the_wall_clock_ends_nothing(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.timeout_s = 60, .batches = 1};
    uint64_t job_id = running_job(master, &agent, &wanted);

    (void)fixture_ask(master, &agent, fixture_worker_of(&agent, job_id)->worker_id, 1);
    master->state.wall_ns += 365 * DAY_NS;
    fixture_pass(master, 1000);
    assert_int_equal(fixture_job(master, job_id)->end_ns, 0);
    assert_int_equal(fixture_job(master, job_id)->in_hand, 1);
}

static void
a_lease_that_runs_out_gives_the_batch_to_another_and_costs_no_attempt(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 1};
    uint64_t job_id = running_job(master, &agent, &wanted);
    const struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    uint64_t late =
        fixture_ask(master, &agent, worker->worker_id, 1)->grants[0]->first_attempt;

    fixture_pass(master, 6000);
    fixture_sync(master, &agent); // which says nothing of holding it
    fixture_pass(master, 6000);
    assert_int_equal(fixture_job(master, job_id)->queued, 1);
    const Cortex__V1__WorkReply *again =
        fixture_ask(master, &agent, worker->worker_id, 1);
    assert_int_equal(again->n_grants, 1);
    assert_true(again->grants[0]->first_attempt > late);
    assert_int_equal(fixture_report(master, &agent, worker, 0, late, OUTCOME(FAILED)),
                     1);
    assert_int_equal(fixture_job(master, job_id)->failed, 0);
}

static void a_lease_is_prolonged_by_whoever_says_that_it_holds_it(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 1};
    uint64_t job_id = running_job(master, &agent, &wanted);
    const struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    const Cortex__V1__Grant *grant =
        fixture_ask(master, &agent, worker->worker_id, 1)->grants[0];

    cortex__v1__held_run__init(&agent.held);
    agent.held.worker_id = worker->worker_id;
    agent.held.job_id = job_id;
    agent.held.first_attempt = grant->first_attempt;
    agent.held.count = 1;
    for (int i = 0; i < 10; i++) {
        fixture_pass(master, 5000);
        fixture_sync(master, &agent);
    }
    assert_int_equal(fixture_job(master, job_id)->in_hand, 1);
    assert_int_equal(
        fixture_report(
            master, &agent, worker, 0, grant->first_attempt, OUTCOME(SUCCEEDED)),
        0);
}

static void an_agent_not_heard_of_is_lost_and_its_batches_are_queued(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    struct fixture_job wanted = {.batches = 2};
    uint64_t job_id = running_job(master, &agent, &wanted);

    (void)fixture_ask(master, &agent, fixture_worker_of(&agent, job_id)->worker_id, 1);
    fixture_pass(master, STATE_LOST_MS);
    assert_int_equal(master->state.roster.agents.count, 1);
    fixture_pass(master, 1);
    assert_int_equal(master->state.roster.agents.count, 0);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->queued, 2);
    assert_int_equal(job->worker_counts->pending, 1);
    assert_int_equal(job->worker_counts->failed, 0); // it was not its fault
    struct fixture_agent other = {.id = 2, .incarnation = 1, .cpu_millis = 4000};
    fixture_bring_up(master, &other);
    assert_int_equal(
        fixture_do_batch(
            master, &other, fixture_worker_of(&other, job_id), OUTCOME(SUCCEEDED)),
        0);
}

static void a_state_with_nothing_due_sleeps(void **state)
{
    struct master_fixture *master = *state;

    fixture_pass(master, 3600000);
    assert_int_equal(master->state.wake_ms, INT64_MAX);
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(a_stop_answered_before_a_work_request_grants_nothing),
        HOLDS(a_stop_is_answered_when_the_agents_follow_it),
        HOLDS(a_stop_waits_for_a_silent_agent_until_it_is_lost),
        HOLDS(a_stop_without_workers_is_answered_at_once),
        HOLDS(a_repeated_stop_or_delete_is_answered_as_the_first),
        HOLDS(a_stop_survives_a_crash_right_behind_its_answer),
        HOLDS(results_behind_the_stop_change_nothing),
        HOLDS(a_job_that_is_over_cannot_be_stopped),
        HOLDS(an_unknown_job_or_one_of_another_api_is_not_found),
        HOLDS(a_job_over_its_timeout_ends_timed_out),
        HOLDS(a_timeout_is_counted_over_a_restart),
        HOLDS(a_timeout_does_not_follow_the_wall_clock_over_a_restart),
        HOLDS(over_a_reboot_a_timeout_is_counted_by_the_wall_clock_once),
        HOLDS(a_jump_of_the_wall_clock_ends_nothing),
        HOLDS(a_lease_that_runs_out_gives_the_batch_to_another_and_costs_no_attempt),
        HOLDS(a_lease_is_prolonged_by_whoever_says_that_it_holds_it),
        HOLDS(an_agent_not_heard_of_is_lost_and_its_batches_are_queued),
        HOLDS(a_state_with_nothing_due_sleeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
