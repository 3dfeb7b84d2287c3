/* SPDX-License-Identifier: Apache-2.0 */
/* test_finish.c - is a job over when it should be, in the way it should be? */
#include <string.h>

#include "tests/unit/master_fixture.h"

static struct fixture_agent agent_of(bool has_callback)
{
    return (struct fixture_agent){
        .id = 1, .incarnation = 1, .cpu_millis = 8000, .has_callback = has_callback};
}

static uint64_t start(struct master_fixture *master,
                      struct fixture_agent *agent,
                      struct fixture_job wanted)
{
    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    fixture_bring_up(master, agent);
    return job_id;
}

// The worker is gone, the way it says.
static void leave(struct master_fixture *master,
                  struct fixture_agent *agent,
                  struct fixture_worker *worker,
                  Cortex__V1__WorkerFailure failure)
{
    worker->state = failure ? WORKER(FAILED) : WORKER(EXITED);
    worker->failure = failure;
    fixture_sync(master, agent);
}

static void without_on_job_complete_the_last_batch_ends_the_job(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 2});
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    assert_int_equal(fixture_job(master, job_id)->end_ns, 0);
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(SUCCEEDED));
    assert_int_equal(job->succeeded, 2);
    assert_string_equal(job->reason, "");
    // Its worker goes in good order and writes the last line, and then all is told.
    fixture_sync(master, &agent);
    assert_int_equal(worker->wish, WISH(DRAIN));
    assert_true(worker->closes_job);
    assert_int_equal(fixture_count(master, ACTION_JOB_CLOSE, job_id), 0);
    leave(master, &agent, worker, FAILURE(UNSPECIFIED));
    assert_int_equal(agent.worker_count, 0);
    assert_int_equal(fixture_count(master, ACTION_JOB_CLOSE, job_id), 1);
}

static void the_closing_worker_leaves_when_all_others_have(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id =
        start(master, &agent, (struct fixture_job){.batches = 3, .workers = 3});

    assert_int_equal(agent.worker_count, 3);
    for (size_t i = 0; i < 3; i++) {
        (void)fixture_do_batch(master, &agent, &agent.workers[i], OUTCOME(SUCCEEDED));
    }
    assert_int_equal(fixture_job(master, job_id)->state, JOB(SUCCEEDED)); // at once
    fixture_sync(master, &agent);
    for (size_t left = agent.worker_count; left > 1; left--) {
        size_t at = 0;
        while (agent.workers[at].wish != WISH(DRAIN)) {
            assert_false(agent.workers[at].closes_job);
            at++;
        }
        leave(master, &agent, &agent.workers[at], FAILURE(UNSPECIFIED));
        fixture_sync(master, &agent);
        assert_int_equal(agent.worker_count, left - 1);
    }
    assert_int_equal(agent.workers[0].wish, WISH(DRAIN));
    assert_true(agent.workers[0].closes_job);
    leave(master, &agent, &agent.workers[0], FAILURE(UNSPECIFIED));
    assert_false(fixture_logged(master, "job has been completed"));
    assert_int_equal(fixture_count(master, ACTION_JOB_CLOSE, job_id), 1);
}

static void if_the_closing_worker_dies_the_log_is_closed_without_it(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id =
        start(master, &agent, (struct fixture_job){.batches = 2, .workers = 2});

    assert_int_equal(agent.worker_count, 2);
    for (size_t i = 0; i < 2; i++) {
        (void)fixture_do_batch(master, &agent, &agent.workers[i], OUTCOME(SUCCEEDED));
    }
    fixture_sync(master, &agent);
    size_t closer = agent.workers[0].wish == WISH(DRAIN) ? 1 : 0;
    leave(master, &agent, &agent.workers[closer], FAILURE(DIED));
    fixture_sync(master, &agent);
    assert_false(fixture_logged(master, "job has been completed"));
    leave(master, &agent, &agent.workers[0], FAILURE(UNSPECIFIED));
    assert_true(
        fixture_logged(master, "no batches left in queue, job has been completed\n"));
    assert_int_equal(fixture_count(master, ACTION_JOB_CLOSE, job_id), 1);
}

static void one_failed_batch_makes_it_completed_with_failures(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 2});
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    (void)fixture_do_batch(master, &agent, worker, OUTCOME(FAILED));
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(COMPLETED_WITH_FAILURES));
    assert_int_equal(job->succeeded + job->failed, job->total);
}

static void
on_job_complete_is_wished_for_only_when_every_batch_is_terminal(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(true);
    uint64_t job_id =
        start(master, &agent, (struct fixture_job){.batches = 2, .max_attempts = 2});
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(FAILED)); // one try is left
    fixture_sync(master, &agent);
    assert_int_equal(worker->wish, WISH(RUN));
    fixture_pass(master, 1000);
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(FAILED));
    fixture_sync(master, &agent);
    assert_int_equal(worker->wish, WISH(COMPLETE));
    assert_int_equal(fixture_job(master, job_id)->end_ns, 0);
    worker->state = WORKER(COMPLETING);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_job(master, job_id)->end_ns, 0);
    worker->state = WORKER(COMPLETED);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(COMPLETED_WITH_FAILURES));
    assert_int_equal(worker->wish, WISH(DRAIN));
    assert_true(worker->closes_job);
}

static void on_job_complete_goes_to_one_worker_of_many(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(true);
    (void)start(master, &agent, (struct fixture_job){.batches = 3, .workers = 3});
    int completing = 0;

    assert_int_equal(agent.worker_count, 3);
    for (size_t i = 0; i < 3; i++) {
        (void)fixture_do_batch(master, &agent, &agent.workers[i], OUTCOME(SUCCEEDED));
    }
    fixture_sync(master, &agent);
    for (size_t i = 0; i < agent.worker_count; i++) {
        completing += agent.workers[i].wish == WISH(COMPLETE);
    }
    assert_int_equal(completing, 1);
}

static void on_job_complete_is_not_run_a_second_time(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(true);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 1});
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    leave(master, &agent, worker, FAILURE(DIED));
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(WORKER_ERROR));
    assert_int_equal(job->succeeded, 1);
    assert_true(fixture_logged(master, "on_job_complete was interrupted"));
    fixture_sync(master, &agent);
    assert_int_equal(agent.worker_count, 0); // nobody is started to do it again
}

static void on_job_complete_that_raises_is_a_worker_error(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(true);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 1});
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);

    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    leave(master, &agent, worker, FAILURE(CALLBACK));
    assert_int_equal(fixture_job(master, job_id)->state, JOB(WORKER_ERROR));
    assert_true(fixture_logged(master, "on_job_complete failed"));
}

static void on_job_complete_is_not_given_to_a_worker_that_is_leaving(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent leaving = agent_of(true);
    struct fixture_agent staying = agent_of(true);
    uint64_t job_id =
        start(master, &leaving, (struct fixture_job){.batches = 2, .workers = 1});
    struct fixture_worker *worker = fixture_worker_of(&leaving, job_id);
    uint64_t attempt =
        fixture_ask(master, &leaving, worker->worker_id, 2)->grants[0]->first_attempt;

    leaving.draining = true;
    fixture_sync(master, &leaving);
    assert_int_equal(worker->wish, WISH(DRAIN));
    staying.id = 2;
    fixture_bring_up(master, &staying);
    // What it had in hand was finished, and it is told nothing new.
    (void)fixture_report(master, &leaving, worker, 0, attempt, OUTCOME(SUCCEEDED));
    (void)fixture_report(master, &leaving, worker, 1, attempt + 1, OUTCOME(SUCCEEDED));
    fixture_sync(master, &leaving);
    assert_int_equal(worker->wish, WISH(DRAIN));
    leave(master, &leaving, worker, FAILURE(UNSPECIFIED));
    fixture_bring_up(master, &staying);
    assert_int_equal(fixture_worker_of(&staying, job_id)->wish, WISH(COMPLETE));
    assert_int_equal(fixture_job(master, job_id)->state, JOB(RUNNING));
}

static void a_worker_that_cannot_start_ends_the_job(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id =
        start(master, &agent, (struct fixture_job){.batches = 9, .workers = 2});

    leave(master, &agent, &agent.workers[1], FAILURE(SETUP));
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(WORKER_ERROR));
    assert_true(fixture_logged(master, "a worker could not start"));
    fixture_sync(master, &agent); // the other one is told at once
    assert_int_equal(fixture_worker_of(&agent, job_id)->wish, WISH(STOP));
}

static void a_worker_that_dies_later_is_replaced(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 9});
    uint64_t first = fixture_worker_of(&agent, job_id)->worker_id;

    leave(master, &agent, fixture_worker_of(&agent, job_id), FAILURE(DIED));
    fixture_sync(master, &agent);
    assert_int_not_equal(fixture_worker_of(&agent, job_id)->worker_id, first);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(RUNNING));
    assert_int_equal(job->worker_counts->failed, 1);
    assert_int_equal(job->worker_counts->initializing, 1);
}

static void three_deaths_without_a_batch_between_end_the_job(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 9});

    for (int death = 1; death <= 5; death++) { // the third comes behind a batch
        if (death == 3) {
            (void)fixture_do_batch(
                master, &agent, fixture_worker_of(&agent, job_id), OUTCOME(SUCCEEDED));
        }
        assert_int_equal(fixture_job(master, job_id)->state, JOB(RUNNING));
        leave(master, &agent, fixture_worker_of(&agent, job_id), FAILURE(DIED));
        fixture_bring_up(master, &agent);
    }
    assert_int_equal(fixture_job(master, job_id)->state, JOB(WORKER_ERROR));
}

static void three_deaths_of_memory_are_out_of_memory(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 9});

    for (int death = 1; death <= 3; death++) {
        leave(master, &agent, fixture_worker_of(&agent, job_id), FAILURE(MEMORY));
        fixture_bring_up(master, &agent);
    }
    assert_int_equal(fixture_job(master, job_id)->state, JOB(WORKER_OOM));
    assert_true(fixture_logged(master, "ran out of memory three times"));
}

static void losing_agents_is_no_death_of_workers(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 9});

    for (int i = 0; i < 5; i++) {
        agent.incarnation++; // it was started anew
        agent.worker_count = 0;
        fixture_bring_up(master, &agent);
    }
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(RUNNING));
    assert_int_equal(job->worker_counts->failed, 0);
    assert_int_equal(job->worker_counts->running, 1);
}

static void
a_job_ends_though_its_last_worker_is_gone_before_its_last_batch_counts(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 1});
    struct fixture_worker worker = *fixture_worker_of(&agent, job_id);
    uint64_t attempt =
        fixture_ask(master, &agent, worker.worker_id, 1)->grants[0]->first_attempt;

    leave(master, &agent, fixture_worker_of(&agent, job_id), FAILURE(DIED));
    (void)fixture_report(master, &agent, &worker, 0, attempt, OUTCOME(SUCCEEDED));
    assert_int_equal(fixture_job(master, job_id)->state, JOB(SUCCEEDED));
    fixture_sync(master, &agent); // has the one that took its place, which goes too
    leave(master, &agent, fixture_worker_of(&agent, job_id), FAILURE(UNSPECIFIED));
    assert_true(
        fixture_logged(master, "no batches left in queue, job has been completed\n"));
}

static void the_end_is_on_disk_with_its_counts(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(false);
    uint64_t job_id = start(master, &agent, (struct fixture_job){.batches = 1});

    (void)fixture_do_batch(
        master, &agent, fixture_worker_of(&agent, job_id), OUTCOME(SUCCEEDED));
    int64_t end_ns = fixture_job(master, job_id)->end_ns;
    fixture_restart(master);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(SUCCEEDED));
    assert_int_equal(job->total, 1);
    assert_int_equal(job->succeeded, 1);
    assert_int_equal(job->succeeded_us, 2500);
    assert_int_equal(job->end_ns, end_ns);
    assert_null(state_job(&master->state, job_id));
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(without_on_job_complete_the_last_batch_ends_the_job),
        HOLDS(the_closing_worker_leaves_when_all_others_have),
        HOLDS(if_the_closing_worker_dies_the_log_is_closed_without_it),
        HOLDS(one_failed_batch_makes_it_completed_with_failures),
        HOLDS(on_job_complete_is_wished_for_only_when_every_batch_is_terminal),
        HOLDS(on_job_complete_goes_to_one_worker_of_many),
        HOLDS(on_job_complete_is_not_run_a_second_time),
        HOLDS(on_job_complete_that_raises_is_a_worker_error),
        HOLDS(on_job_complete_is_not_given_to_a_worker_that_is_leaving),
        HOLDS(a_worker_that_cannot_start_ends_the_job),
        HOLDS(a_worker_that_dies_later_is_replaced),
        HOLDS(three_deaths_without_a_batch_between_end_the_job),
        HOLDS(three_deaths_of_memory_are_out_of_memory),
        HOLDS(losing_agents_is_no_death_of_workers),
        HOLDS(a_job_ends_though_its_last_worker_is_gone_before_its_last_batch_counts),
        HOLDS(the_end_is_on_disk_with_its_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
