/* SPDX-License-Identifier: Apache-2.0 */
/* test_recover.c - does a restart lose nothing, and give out nothing twice? */
#include <string.h>

#include "tests/unit/master_fixture.h"

static struct fixture_agent agent_of(unsigned char id)
{
    return (struct fixture_agent){.id = id, .incarnation = 1, .cpu_millis = 1000};
}

static uint64_t submit(struct master_fixture *master, struct fixture_job wanted)
{
    if (!state_api(&master->state, "classifier")) {
        (void)fixture_deploy(master, FIXTURE_API);
    }
    return fixture_submit(master, &wanted);
}

static void hold(struct fixture_agent *agent,
                 const struct fixture_worker *worker,
                 const Cortex__V1__Grant *grant)
{
    cortex__v1__held_run__init(&agent->held);
    agent->held.worker_id = worker->worker_id;
    agent->held.job_id = worker->job_id;
    agent->held.first_index = grant->first_index;
    agent->held.first_attempt = grant->first_attempt;
    agent->held.count = (uint32_t)grant->n_sizes;
}

static void apis_and_jobs_are_as_they_were(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    Cortex__V1__ListApisRequest said = CORTEX__V1__LIST_APIS_REQUEST__INIT;
    uint64_t enqueuing = submit(master, (struct fixture_job){0});
    uint64_t running = submit(master, (struct fixture_job){.batches = 5, .workers = 3});

    fixture_bring_up(master, &agent);
    (void)fixture_do_batch(
        master, &agent, fixture_worker_of(&agent, running), OUTCOME(SUCCEEDED));
    for (int i = 0; i < 3; i++) {
        fixture_restart(master);
    }
    assert_int_equal(master->state.boot, 4);
    const Cortex__V1__ListApisReply *apis =
        fixture_reply(master, fixture_call(master, "Client/ListApis", &said));
    assert_int_equal(apis->n_apis, 1);
    assert_string_equal(apis->apis[0]->api->name, "classifier");
    assert_int_equal(apis->apis[0]->api->jobs_in_progress, 2);
    assert_int_equal(fixture_job(master, enqueuing)->state, JOB(ENQUEUING));
    const Cortex__V1__Job *job = fixture_job(master, running);
    assert_int_equal(job->state, JOB(RUNNING));
    assert_int_equal(job->workers, 3);
    assert_int_equal(job->total, 5);
    assert_int_equal(job->succeeded, 1);
    assert_int_equal(job->queued, 4);
}

static void enqueuing_goes_on_behind_the_last_segment(void **state)
{
    struct master_fixture *master = *state;
    uint64_t fresh = submit(master, (struct fixture_job){0});
    uint64_t begun = submit(master, (struct fixture_job){0});
    size_t seen = 0;

    fixture_segment(master, begun, 4);
    fixture_segment(master, begun, 3);
    fixture_forget(master);
    fixture_restart(master);
    for (const struct action *action = master->released.first; action;
         action = action->next) {
        if (action->type == ACTION_ENQUEUE && action->job_id == begun) {
            assert_non_null(action->last);
            assert_int_equal(action->last->payload.number, 1);
            assert_int_equal(action->last->payload.first_index, 4);
            assert_int_equal(action->last->after.item, 7);
            seen++;
        } else if (action->type == ACTION_ENQUEUE) {
            assert_int_equal(action->job_id, fresh);
            assert_null(action->last); // from the start
            seen++;
        }
    }
    assert_int_equal(seen, 2);
    fixture_segment(master, begun, 1); // which follows on
    fixture_enqueued(master, begun);
    assert_int_equal(fixture_job(master, begun)->total, 8);
}

static void
leases_that_agents_hold_are_taken_up_before_anything_is_given_out(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent first = agent_of(1);
    struct fixture_agent second = agent_of(2);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 9, .workers = 2});

    fixture_bring_up(master, &first);
    fixture_bring_up(master, &second);
    struct fixture_worker *one = fixture_worker_of(&first, job_id);
    struct fixture_worker *two = fixture_worker_of(&second, job_id);
    (void)fixture_ask(master, &first, one->worker_id, 3);
    const Cortex__V1__Grant grant =
        *fixture_ask(master, &second, two->worker_id, 2)->grants[0];
    uint64_t attempt = grant.first_attempt;
    hold(&second, two, &grant);
    fixture_restart(master);
    // The first is back and hungry, but who knows what the second holds?
    fixture_sync(master, &first);
    assert_int_equal(fixture_ask(master, &first, one->worker_id, 9)->n_grants, 0);
    fixture_sync(master, &second);
    assert_int_equal(fixture_job(master, job_id)->in_hand, 2);
    assert_int_equal(fixture_worker_of(&second, job_id)->wish, WISH(RUN));
    // It is told as soon as it is known, and gets what nobody holds.
    fixture_sync(master, &first);
    assert_int_equal(first.ready_job, job_id);
    uint64_t seen = 0;
    const Cortex__V1__WorkReply *reply;
    while ((reply = fixture_ask(master, &first, one->worker_id, 9))->n_grants > 0) {
        for (size_t i = 0; i < reply->n_grants; i++) {
            uint64_t from = reply->grants[i]->first_index;
            assert_true(from + reply->grants[i]->n_sizes <= grant.first_index ||
                        from >= grant.first_index + 2);
            assert_true(reply->grants[i]->first_attempt > attempt);
            seen += reply->grants[i]->n_sizes;
        }
    }
    assert_true(seen > 0);
    assert_int_equal(
        fixture_report(
            master, &second, two, grant.first_index, attempt, OUTCOME(SUCCEEDED)),
        0);
    assert_int_equal(fixture_job(master, job_id)->succeeded, 1);
}

static void
an_agent_that_does_not_come_back_is_waited_for_until_it_is_lost(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent first = agent_of(1);
    struct fixture_agent second = agent_of(2);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 9, .workers = 2});

    fixture_bring_up(master, &first);
    fixture_bring_up(master, &second);
    fixture_restart(master);
    struct fixture_worker *one = fixture_worker_of(&first, job_id);
    for (int waited_ms = 0; waited_ms < STATE_LOST_MS; waited_ms += 2000) {
        fixture_sync(master, &first);
        assert_int_equal(fixture_ask(master, &first, one->worker_id, 9)->n_grants, 0);
        fixture_pass(master, 2000);
    }
    fixture_pass(master, 1);
    fixture_sync(master, &first);
    assert_int_equal(first.ready_job, job_id);
    assert_int_equal(fixture_ask(master, &first, one->worker_id, 1)->n_grants, 1);
}

static void a_restart_stops_no_worker_and_places_no_second(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    struct fixture_agent idle = agent_of(2);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 9});

    fixture_bring_up(master, &agent);
    uint64_t worker_id = fixture_worker_of(&agent, job_id)->worker_id;
    fixture_restart(master);
    fixture_sync(master, &idle); // it is back first, and has room
    assert_int_equal(idle.worker_count, 0);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_worker_of(&agent, job_id)->worker_id, worker_id);
    assert_int_equal(fixture_worker_of(&agent, job_id)->wish, WISH(RUN));
}

static void attempts_and_workers_grow_over_restarts(void **state)
{
    struct master_fixture *master = *state;
    uint64_t attempt = state_next_attempts(&master->state, 5);
    uint64_t worker_id = state_next_worker_id(&master->state);

    fixture_restart(master);
    assert_true(state_next_attempts(&master->state, 1) > attempt + 4);
    assert_true(state_next_worker_id(&master->state) > worker_id);
}

static void on_job_complete_that_was_given_out_is_given_to_no_other(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 1});

    agent.has_callback = true;
    fixture_bring_up(master, &agent);
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    fixture_restart(master); // before the agent heard of it
    fixture_sync(master, &agent);
    assert_int_equal(fixture_worker_of(&agent, job_id)->wish, WISH(COMPLETE));
    worker->state = WORKER(COMPLETED);
    fixture_restart(master); // before the master heard of its end
    fixture_sync(master, &agent);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(SUCCEEDED));
}

static void
on_job_complete_is_over_when_its_agent_was_started_anew_meanwhile(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t ids[2];

    agent.cpu_millis = 2000;
    agent.has_callback = true;
    for (int i = 0; i < 2; i++) {
        ids[i] = submit(master, (struct fixture_job){.batches = 1});
    }
    fixture_bring_up(master, &agent);
    for (int i = 0; i < 2; i++) {
        (void)fixture_do_batch(
            master, &agent, fixture_worker_of(&agent, ids[i]), OUTCOME(SUCCEEDED));
    }
    fixture_restart(master);
    agent.incarnation++;
    agent.worker_count = 0;
    fixture_sync(master, &agent);
    for (int i = 0; i < 2; i++) { // of both jobs
        assert_int_equal(fixture_job(master, ids[i])->state, JOB(WORKER_ERROR));
    }
    fixture_sync(master, &agent);
    assert_int_equal(agent.worker_count, 0);
}

static void batches_done_before_the_restart_are_not_done_again(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 20});
    bool done[20] = {false};

    for (int i = 0; i < 20; i++) {
        if (i % 5 == 0) {
            fixture_restart(master);
            fixture_bring_up(master, &agent);
        }
        uint64_t index = fixture_do_batch(master,
                                          &agent,
                                          fixture_worker_of(&agent, job_id),
                                          i % 4 ? OUTCOME(SUCCEEDED) : OUTCOME(FAILED));
        assert_false(done[index]);
        done[index] = true;
    }
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(COMPLETED_WITH_FAILURES));
    assert_int_equal(job->succeeded, 15);
    assert_int_equal(job->failed, 5);
}

static void
all_batches_done_but_the_end_not_told_is_told_after_the_restart(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 1});
    struct batch_row row = {.state = BATCH_SUCCEEDED, .attempts = 1, .error = ""};

    fixture_bring_up(master, &agent);
    // As if the master had died between the result and what follows from it.
    assert_int_equal(store_batch_put(master->store, job_id, &row, NULL), 0);
    assert_int_equal(store_commit(master->store, NULL), 0);
    fixture_restart(master);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(SUCCEEDED));
}

static void what_was_decided_but_not_committed_never_was(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 2});
    Cortex__V1__StopJobRequest said = CORTEX__V1__STOP_JOB_REQUEST__INIT;
    unsigned char request_id[ID_REQUEST_SIZE] = {1};
    struct request request = {.request_id = request_id, .message = &said.base};

    fixture_bring_up(master, &agent);
    said.job_id = job_id;
    assert_int_equal(
        route_handle(
            &master->state, route_find("cortex.v1.Client/StopJob"), &request, NULL),
        0);
    assert_true(store_dirty(master->store));
    fixture_restart(master); // instead of the commit
    assert_int_equal(fixture_job(master, job_id)->state, JOB(RUNNING));
}

static void the_worker_of_a_job_that_ended_is_stopped_not_adopted(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t first = submit(master, (struct fixture_job){.batches = 1, .timeout_s = 5});

    fixture_bring_up(master, &agent);
    fixture_pass(master, 5000);
    assert_int_equal(fixture_job(master, first)->state, JOB(TIMED_OUT));
    uint64_t second = submit(master, (struct fixture_job){.batches = 1});
    fixture_restart(master);
    fixture_sync(master, &agent);
    struct fixture_worker *worker = fixture_worker_of(&agent, first);
    assert_int_equal(worker->wish, WISH(STOP));
    assert_int_equal(agent.worker_count, 1); // there is no room for another yet
    worker->state = WORKER(EXITED);
    fixture_sync(master, &agent);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_worker_of(&agent, second)->wish, WISH(RUN));
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(apis_and_jobs_are_as_they_were),
        HOLDS(enqueuing_goes_on_behind_the_last_segment),
        HOLDS(leases_that_agents_hold_are_taken_up_before_anything_is_given_out),
        HOLDS(an_agent_that_does_not_come_back_is_waited_for_until_it_is_lost),
        HOLDS(a_restart_stops_no_worker_and_places_no_second),
        HOLDS(attempts_and_workers_grow_over_restarts),
        HOLDS(on_job_complete_that_was_given_out_is_given_to_no_other),
        HOLDS(on_job_complete_is_over_when_its_agent_was_started_anew_meanwhile),
        HOLDS(batches_done_before_the_restart_are_not_done_again),
        HOLDS(all_batches_done_but_the_end_not_told_is_told_after_the_restart),
        HOLDS(what_was_decided_but_not_committed_never_was),
        HOLDS(the_worker_of_a_job_that_ended_is_stopped_not_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
