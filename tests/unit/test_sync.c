/* SPDX-License-Identifier: Apache-2.0 */
/* test_sync.c - does an agent hear what it should have, and when? */
#include <string.h>

#include "tests/unit/master_fixture.h"

static struct fixture_agent agent_of(unsigned char id)
{
    return (struct fixture_agent){
        .id = id, .incarnation = 1, .cpu_millis = 4000, .memory_bytes = 1u << 30};
}

static uint64_t submit(struct master_fixture *master, struct fixture_job wanted)
{
    if (!state_api(&master->state, "classifier")) {
        (void)fixture_deploy(master, FIXTURE_API);
    }
    return fixture_submit(master, &wanted);
}

// A Sync that may be parked; its handle.
static uintptr_t
park(struct master_fixture *master, const struct fixture_agent *agent, uint32_t park_ms)
{
    Cortex__V1__SyncRequest said = CORTEX__V1__SYNC_REQUEST__INIT;
    Cortex__V1__WorkerStatus statuses[FIXTURE_WORKERS_MAX];
    Cortex__V1__WorkerStatus *workers[FIXTURE_WORKERS_MAX];
    unsigned char agent_id[ROSTER_AGENT_ID_SIZE];

    memset(agent_id, agent->id, sizeof(agent_id));
    said.agent_id = (ProtobufCBinaryData){sizeof(agent_id), agent_id};
    said.incarnation = agent->incarnation;
    said.cpu_millis = agent->cpu_millis;
    said.desired_version = agent->desired_version;
    said.boot = master->state.boot;
    roster_introduce(&master->state.roster, agent->incarnation);
    said.park_ms = park_ms;
    said.workers = workers;
    for (size_t i = 0; i < agent->worker_count; i++) {
        cortex__v1__worker_status__init(&statuses[i]);
        statuses[i].worker_id = agent->workers[i].worker_id;
        statuses[i].state = agent->workers[i].state;
        workers[said.n_workers++] = &statuses[i];
    }
    return fixture_call(master, "AgentService/Sync", &said);
}

static void a_newcomer_is_answered_at_once_and_listed(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(0xAB);
    Cortex__V1__InfoRequest said = CORTEX__V1__INFO_REQUEST__INIT;

    uintptr_t call = park(master, &agent, 20000);
    const Cortex__V1__SyncReply *reply = fixture_reply(master, call);
    assert_non_null(reply);
    assert_int_equal(reply->n_workers, 0);
    assert_int_equal(reply->lease_ms, STATE_LEASE_MS);
    const Cortex__V1__InfoReply *info =
        fixture_reply(master, fixture_call(master, "Client/Info", &said));
    assert_int_equal(info->n_agents, 1);
    assert_string_equal(info->agents[0]->agent_id, "abababababababababababababababab");
    assert_int_equal(info->agents[0]->cpu_millis, 4000);
}

static void a_call_is_parked_until_there_is_news(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);

    fixture_sync(master, &agent);
    uintptr_t call = park(master, &agent, 20000);
    fixture_pass(master, 5000);
    assert_null(fixture_reply(master, call));
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 1});
    const Cortex__V1__SyncReply *reply = fixture_reply(master, call);
    assert_non_null(reply); // in the same step: nobody polls
    assert_int_equal(reply->n_workers, 1);
    assert_int_equal(reply->workers[0]->job_id, job_id);
    assert_int_equal(reply->workers[0]->wish, WISH(RUN));
    assert_int_equal(reply->workers[0]->cpu_millis, 1000);
    assert_true(reply->desired_version > agent.desired_version);
}

static void a_call_without_news_is_answered_when_its_time_is_up(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);

    fixture_sync(master, &agent);
    uintptr_t call = park(master, &agent, 1000);
    fixture_pass(master, 999);
    assert_null(fixture_reply(master, call));
    fixture_pass(master, 20);
    const Cortex__V1__SyncReply *reply = fixture_reply(master, call);
    assert_non_null(reply);
    assert_int_equal(reply->desired_version, agent.desired_version);
}

static void a_newer_call_takes_the_place_of_the_older(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);

    fixture_sync(master, &agent);
    uintptr_t older = park(master, &agent, 5000);
    uintptr_t newer = park(master, &agent, 5000);
    assert_non_null(fixture_reply(master, older)); // answered, not forgotten
    assert_null(fixture_reply(master, newer));
    agent.incarnation++;
    (void)park(master, &agent, 5000); // its former self's is refused
    assert_int_equal(fixture_error(master, newer)->code, ERROR_ABORTED);
}

static void a_hungry_worker_hears_of_work_as_soon_as_there_is_some(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id =
        submit(master, (struct fixture_job){.batches = 1, .max_attempts = 2});

    fixture_bring_up(master, &agent);
    assert_int_equal(agent.ready_job, job_id); // it has not asked yet
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(FAILED));
    assert_int_equal(fixture_ask(master, &agent, worker->worker_id, 1)->n_grants, 0);
    fixture_sync(master, &agent);
    assert_int_equal(agent.ready_job, 0);
    uintptr_t call = park(master, &agent, 20000);
    assert_null(fixture_reply(master, call));
    fixture_pass(master, BATCH_BACKOFF_MIN_MS); // the retry becomes ready
    const Cortex__V1__SyncReply *reply = fixture_reply(master, call);
    assert_non_null(reply);
    assert_int_equal(reply->n_ready_jobs, 1);
    assert_int_equal(reply->ready_jobs[0], job_id);
}

static void one_that_was_started_anew_has_nothing_of_its_former_self(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 2});

    fixture_bring_up(master, &agent);
    uint64_t worker_id = fixture_worker_of(&agent, job_id)->worker_id;
    (void)fixture_ask(master, &agent, worker_id, 2);
    assert_int_equal(fixture_job(master, job_id)->in_hand, 2);
    agent.incarnation++;
    agent.worker_count = 0;
    fixture_sync(master, &agent);
    assert_int_equal(fixture_job(master, job_id)->queued, 2);
    assert_int_not_equal(fixture_worker_of(&agent, job_id)->worker_id, worker_id);
}

static void what_a_former_self_said_does_not_end_the_one_that_came_after(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent former = agent_of(1);
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 2});

    fixture_sync(master, &former);
    fixture_pass(master, master->state.settings.lost_ms + 1);
    assert_int_equal(master->state.roster.agents.count, 0);
    agent.incarnation++;
    fixture_bring_up(master, &agent);
    uint64_t worker_id = fixture_worker_of(&agent, job_id)->worker_id;
    uintptr_t late = park(master, &former, 5000); // it was on its way all the time
    assert_int_equal(fixture_error(master, late)->code, ERROR_ABORTED);
    assert_non_null(roster_worker_get(&master->state.roster, worker_id));
}

static void who_spoke_first_does_not_end_who_spoke_after_him(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent former = agent_of(1);
    struct fixture_agent agent = agent_of(1);

    // It was told the master's start, and died; what it said then is late.
    roster_introduce(&master->state.roster, former.incarnation);
    agent.incarnation++;
    fixture_sync(master, &agent);
    uintptr_t late = park(master, &former, 5000);
    assert_int_equal(fixture_error(master, late)->code, ERROR_ABORTED);
}

static void what_is_said_of_another_agents_worker_is_not_believed(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    struct fixture_agent liar = agent_of(2);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 2});

    fixture_bring_up(master, &agent);
    liar.workers[0] = *fixture_worker_of(&agent, job_id);
    liar.workers[0].state = WORKER(FAILED);
    liar.workers[0].failure = FAILURE(SETUP);
    liar.worker_count = 1;
    fixture_sync(master, &liar);
    assert_int_equal(liar.worker_count, 0); // it should have none
    assert_int_equal(fixture_job(master, job_id)->state, JOB(RUNNING));
    assert_int_equal(fixture_job(master, job_id)->worker_counts->running, 1);
}

static void an_unknown_state_of_a_worker_changes_nothing(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 2});

    fixture_bring_up(master, &agent);
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    worker->state = (Cortex__V1__WorkerState)99;
    fixture_sync(master, &agent);
    assert_int_equal(fixture_ask(master, &agent, worker->worker_id, 1)->n_grants, 1);
}

static void an_attempt_that_has_reported_cannot_be_held_any_more(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 1});

    fixture_bring_up(master, &agent);
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    uint64_t attempt =
        fixture_ask(master, &agent, worker->worker_id, 1)->grants[0]->first_attempt;
    (void)fixture_report(master, &agent, worker, 0, attempt, OUTCOME(RETURNED));
    // A Sync that was written before and comes in behind.
    cortex__v1__held_run__init(&agent.held);
    agent.held.worker_id = worker->worker_id;
    agent.held.job_id = job_id;
    agent.held.first_attempt = attempt;
    agent.held.count = 1;
    fixture_sync(master, &agent);
    assert_int_equal(fixture_job(master, job_id)->in_hand, 0);
    assert_int_equal(fixture_ask(master, &agent, worker->worker_id, 1)->n_grants, 1);
}

static void
a_lost_agent_that_comes_back_still_reports_what_nobody_else_was_given(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 1});

    fixture_bring_up(master, &agent);
    struct fixture_worker worker = *fixture_worker_of(&agent, job_id);
    uint64_t attempt =
        fixture_ask(master, &agent, worker.worker_id, 1)->grants[0]->first_attempt;
    fixture_pass(master, STATE_LOST_MS + STATE_LEASE_MS);
    assert_int_equal(fixture_job(master, job_id)->queued, 1);
    cortex__v1__held_run__init(&agent.held);
    agent.held.worker_id = worker.worker_id;
    agent.held.job_id = job_id;
    agent.held.first_attempt = attempt;
    agent.held.count = 1;
    fixture_sync(master, &agent);
    assert_int_equal(
        fixture_report(master, &agent, &worker, 0, attempt, OUTCOME(SUCCEEDED)), 0);
    assert_int_equal(fixture_job(master, job_id)->succeeded, 1);
}

static void
what_is_said_to_a_former_start_of_the_master_is_asked_for_again(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 1000};
    Cortex__V1__SyncRequest said = CORTEX__V1__SYNC_REQUEST__INIT;
    unsigned char agent_id[ROSTER_AGENT_ID_SIZE];

    fixture_sync(master, &agent);
    fixture_restart(master);
    memset(agent_id, agent.id, sizeof(agent_id));
    said.agent_id = (ProtobufCBinaryData){sizeof(agent_id), agent_id};
    said.incarnation = agent.incarnation;
    said.boot = master->state.boot - 1;
    said.park_ms = 1000;
    const Cortex__V1__SyncReply *reply =
        fixture_reply(master, fixture_call(master, "AgentService/Sync", &said));
    assert_int_equal(reply->boot, master->state.boot);
    assert_int_equal(master->state.roster.agents.count, 0); // nothing was taken in
    fixture_sync(master, &agent);
    assert_int_equal(master->state.roster.agents.count, 1);
}

static void an_id_of_the_wrong_size_is_refused(void **state)
{
    struct master_fixture *master = *state;
    Cortex__V1__SyncRequest said = CORTEX__V1__SYNC_REQUEST__INIT;
    unsigned char agent_id[15] = {0};

    said.agent_id = (ProtobufCBinaryData){sizeof(agent_id), agent_id};
    const struct error *err =
        fixture_error(master, fixture_call(master, "AgentService/Sync", &said));
    assert_int_equal(err->code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(err->message, "agent_id: got 15 bytes, expected 16");
    assert_int_equal(master->state.roster.agents.count, 0);
}

static void a_master_that_leaves_lets_nobody_wait(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1);

    fixture_sync(master, &agent);
    uintptr_t call = park(master, &agent, 20000);
    route_leave(&master->state, NULL, NULL);
    fixture_step(master);
    assert_non_null(fixture_reply(master, call));
    call = park(master, &agent, 20000);
    fixture_step(master);
    assert_non_null(fixture_reply(master, call));
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(a_newcomer_is_answered_at_once_and_listed),
        HOLDS(a_call_is_parked_until_there_is_news),
        HOLDS(a_call_without_news_is_answered_when_its_time_is_up),
        HOLDS(a_newer_call_takes_the_place_of_the_older),
        HOLDS(a_hungry_worker_hears_of_work_as_soon_as_there_is_some),
        HOLDS(one_that_was_started_anew_has_nothing_of_its_former_self),
        HOLDS(who_spoke_first_does_not_end_who_spoke_after_him),
        HOLDS(what_a_former_self_said_does_not_end_the_one_that_came_after),
        HOLDS(what_is_said_of_another_agents_worker_is_not_believed),
        HOLDS(an_unknown_state_of_a_worker_changes_nothing),
        HOLDS(an_attempt_that_has_reported_cannot_be_held_any_more),
        HOLDS(a_lost_agent_that_comes_back_still_reports_what_nobody_else_was_given),
        HOLDS(an_id_of_the_wrong_size_is_refused),
        HOLDS(what_is_said_to_a_former_start_of_the_master_is_asked_for_again),
        HOLDS(a_master_that_leaves_lets_nobody_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
