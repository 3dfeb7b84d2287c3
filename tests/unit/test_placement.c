/* SPDX-License-Identifier: Apache-2.0 */
/* test_placement.c - do workers come to be where there is room for them? */
#include <string.h>

#include "tests/unit/master_fixture.h"

#define API(name, compute)                                                             \
    "- name: " name "\n  kind: BatchAPI\n"                                             \
    "  predictor: {type: python, path: p.py}\n  compute: {" compute "}\n"

static struct fixture_agent agent_of(unsigned char id, uint32_t cpus, uint64_t gibs)
{
    return (struct fixture_agent){.id = id,
                                  .incarnation = 1,
                                  .cpu_millis = cpus * 1000,
                                  .memory_bytes = gibs << 30};
}

static uint64_t submit(struct master_fixture *master, const char *api, uint32_t workers)
{
    return fixture_submit(
        master,
        &(struct fixture_job){.api_name = api, .workers = workers, .batches = 100});
}

static size_t count(const struct fixture_agent *agent, uint64_t job_id)
{
    size_t n = 0;

    for (size_t i = 0; i < agent->worker_count; i++) {
        n += agent->workers[i].job_id == job_id && agent->workers[i].wish == WISH(RUN);
    }
    return n;
}

static void leave_all(struct fixture_agent *agent)
{
    for (size_t i = 0; i < agent->worker_count; i++) {
        if (agent->workers[i].wish >= WISH(DRAIN)) {
            agent->workers[i].state = WORKER(EXITED);
        }
    }
}

static void capacity_is_never_exceeded_in_any_dimension(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 8, 8);

    agent.gpus = 1;
    (void)fixture_deploy(master,
                         API("a", "cpu: 3") API("b", "cpu: 1, mem: 5Gi")
                             API("c", "cpu: 1, gpu: 1"));
    uint64_t ids[] = {
        submit(master, "a", 9), submit(master, "b", 9), submit(master, "c", 9)};
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, ids[0]), 2); // 6 of 8 cpus
    assert_int_equal(count(&agent, ids[1]), 1); // 5 of 8 GiB
    assert_int_equal(count(&agent, ids[2]), 1); // the gpu
}

static void
a_job_that_fits_nowhere_is_pending_then_stalled_and_blocks_nobody(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 2, 8);

    (void)fixture_deploy(master, API("big", "cpu: 3") API("small", "cpu: 1"));
    uint64_t big = submit(master, "big", 2);
    uint64_t small = submit(master, "small", 2);
    for (int i = 0; i < 121; i++) { // ten minutes of its being heard of
        fixture_sync(master, &agent);
        if (i == 120) {
            assert_int_equal(fixture_job(master, big)->worker_counts->pending, 2);
            assert_int_equal(fixture_job(master, big)->worker_counts->stalled, 0);
        }
        fixture_pass(master, 5000);
    }
    const Cortex__V1__Job *job = fixture_job(master, big);
    assert_int_equal(job->worker_counts->pending, 0);
    assert_int_equal(job->worker_counts->stalled, 2);
    assert_int_equal(job->state, JOB(RUNNING));
    assert_int_equal(count(&agent, small), 2);
    // Room comes at last.
    struct fixture_agent other = agent_of(2, 8, 8);
    fixture_sync(master, &agent);
    fixture_sync(master, &other);
    assert_int_equal(count(&other, big), 2);
    assert_int_equal(fixture_job(master, big)->worker_counts->stalled, 0);
    assert_int_equal(fixture_job(master, big)->worker_counts->initializing, 2);
}

static void a_late_job_gets_its_share_once_others_have_drained(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 4, 8);

    (void)fixture_deploy(master, API("a", "cpu: 1"));
    uint64_t first = submit(master, "a", 4);
    fixture_bring_up(master, &agent);
    assert_int_equal(count(&agent, first), 4);
    uint64_t second = submit(master, "a", 4);
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, first), 2);
    assert_int_equal(count(&agent, second), 0); // the room is still taken
    leave_all(&agent);
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, first), 2);
    assert_int_equal(count(&agent, second), 2);
}

static void workers_that_are_starting_go_before_those_that_run(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 2, 8);

    (void)fixture_deploy(master, API("a", "cpu: 1"));
    uint64_t first = submit(master, "a", 2);
    fixture_sync(master, &agent);
    agent.workers[1].state = WORKER(RUNNING);
    agent.workers[0].state = WORKER(INITIALIZING);
    fixture_sync(master, &agent);
    (void)submit(master, "a", 1);
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, first), 1);
    for (size_t i = 0; i < agent.worker_count; i++) {
        bool running = agent.workers[i].state == WORKER(RUNNING);
        assert_int_equal(agent.workers[i].wish, running ? WISH(RUN) : WISH(DRAIN));
    }
}

static void a_draining_agent_gets_nothing_and_gives_up_what_it_has(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 4, 8);
    struct fixture_agent other = agent_of(2, 4, 8);

    (void)fixture_deploy(master, API("a", "cpu: 1"));
    uint64_t job_id = submit(master, "a", 2);
    fixture_bring_up(master, &agent);
    fixture_sync(master, &other);
    agent.draining = true;
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, job_id), 0);
    fixture_sync(master, &other);
    assert_int_equal(count(&other, job_id), 2);
}

static void the_room_of_a_lost_agent_is_found_elsewhere(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 4, 8);
    struct fixture_agent other = agent_of(2, 4, 8);

    (void)fixture_deploy(master, API("a", "cpu: 1"));
    uint64_t job_id = submit(master, "a", 1);
    fixture_bring_up(master, &agent);
    for (int i = 0; i < 3; i++) {
        fixture_sync(master, &other);
        fixture_pass(master, 5000);
    }
    fixture_sync(master, &other);
    assert_int_equal(count(&other, job_id), 1);
}

static void fail_for_the_machine(struct master_fixture *master,
                                 struct fixture_agent *agent,
                                 uint64_t job_id)
{
    struct fixture_worker *worker = fixture_worker_of(agent, job_id);

    worker->state = WORKER(FAILED);
    worker->failure = FAILURE(MACHINE);
    fixture_sync(master, agent);
}

static void an_agent_whose_disk_is_full_is_passed_over_for_ten_seconds(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 8, 8); // the emptiest, so the first choice
    struct fixture_agent other = agent_of(2, 2, 8);

    (void)fixture_deploy(master, API("a", "cpu: 1"));
    fixture_sync(master, &agent);
    uint64_t job_id = submit(master, "a", 1);
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, job_id), 1);
    for (int i = 0; i < 5; i++) { // a worker that dies three times ends its job
        fail_for_the_machine(master, &agent, job_id);
        assert_int_equal(count(&agent, job_id), 0);
        fixture_pass(master, 4999);
        fixture_sync(master, &agent);
        fixture_pass(master, 5000);
        fixture_sync(master, &agent);
        assert_int_equal(count(&agent, job_id), 0);
        fixture_pass(master, 1);
        fixture_sync(master, &agent);
        assert_int_equal(count(&agent, job_id), 1);
    }
    fail_for_the_machine(master, &agent, job_id);
    fixture_sync(master, &other); // there is another now
    assert_int_equal(count(&other, job_id), 1);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(RUNNING));
}

static void an_api_that_was_updated_leaves_running_jobs_their_room(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 4, 8);

    (void)fixture_deploy(master, API("a", "cpu: 1"));
    uint64_t old = submit(master, "a", 1);
    fixture_bring_up(master, &agent);
    (void)fixture_deploy(master, API("a", "cpu: 3"));
    uint64_t new = submit(master, "a", 1);
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, old), 1);
    assert_int_equal(count(&agent, new), 1);
    assert_int_equal(roster_worker_get(&master->state.roster,
                                       fixture_worker_of(&agent, new)->worker_id)
                         ->cpu_millis,
                     3000);
}

static void a_job_near_its_end_leaves_its_room_to_one_that_waits(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = agent_of(1, 2, 8);
    struct fixture_job few = {.api_name = "a", .workers = 2, .batches = 2};

    (void)fixture_deploy(master, API("a", "cpu: 1") API("b", "cpu: 2"));
    uint64_t ending = fixture_submit(master, &few);
    fixture_bring_up(master, &agent);
    (void)submit(master, "b", 1); // needs both cpus
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, ending), 2);
    (void)fixture_do_batch(master, &agent, &agent.workers[0], OUTCOME(SUCCEEDED));
    fixture_sync(master, &agent);
    assert_int_equal(count(&agent, ending), 1); // one batch is left
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(capacity_is_never_exceeded_in_any_dimension),
        HOLDS(a_job_that_fits_nowhere_is_pending_then_stalled_and_blocks_nobody),
        HOLDS(a_late_job_gets_its_share_once_others_have_drained),
        HOLDS(workers_that_are_starting_go_before_those_that_run),
        HOLDS(a_draining_agent_gets_nothing_and_gives_up_what_it_has),
        HOLDS(the_room_of_a_lost_agent_is_found_elsewhere),
        HOLDS(an_agent_whose_disk_is_full_is_passed_over_for_ten_seconds),
        HOLDS(an_api_that_was_updated_leaves_running_jobs_their_room),
        HOLDS(a_job_near_its_end_leaves_its_room_to_one_that_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
