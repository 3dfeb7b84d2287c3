/* SPDX-License-Identifier: Apache-2.0 */
/* test_agent.c - does the agent decide as it should, without a process or a socket */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent.h"

#define JOB 77u

/* What the effects were called for, as text: "start 1, feed 1:5, ". */
static char said[65536];
static size_t said_size;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    said_size +=
        (size_t)vsnprintf(said + said_size, sizeof(said) - said_size, format, args);
    va_end(args);
}

static void on_start(void *arg, const struct agent_desired_worker *desired)
{
    (void)arg;
    say("start %d, ", (int)desired->worker_id);
}

static void on_feed(void *arg, const struct agent_feed *batch)
{
    (void)arg;
    say("feed %d:%d %.*s, ",
        (int)batch->worker_id,
        (int)batch->index,
        (int)batch->size,
        (const char *)batch->payload);
}

static void on_complete(void *arg, uint64_t worker_id)
{
    (void)arg;
    say("complete %d, ", (int)worker_id);
}

static void on_drain(void *arg, uint64_t worker_id, enum agent_leave why)
{
    (void)arg;
    say("drain %d %d, ", (int)worker_id, (int)why);
}

static void on_stop(void *arg, uint64_t worker_id)
{
    (void)arg;
    say("stop %d, ", (int)worker_id);
}

static void on_forget(void *arg, uint64_t worker_id)
{
    (void)arg;
    say("forget %d, ", (int)worker_id);
}

static const struct agent_effects effects = {
    on_start, on_feed, on_complete, on_drain, on_stop, on_forget};

static void check_said(const char *expected)
{
    assert_string_equal(said, expected);
    said_size = 0;
    said[0] = '\0';
}

static struct agent *make_agent(void)
{
    const struct agent_capacity capacity = {2000, 1 << 30, 0};

    said_size = 0;
    said[0] = '\0';
    return agent_create(&capacity, &effects, NULL);
}

static uint64_t next_version = 1;

/* A whole Sync: one desired worker (0: none) and whether its job is ready. */
static void
sync_one(struct agent *agent, uint64_t worker, enum agent_wish wish, bool ready)
{
    struct agent_sync_request request;
    struct agent_desired_worker desired = {
        .worker_id = worker, .job_id = JOB, .wish = wish};
    uint64_t job = JOB;
    struct agent_sync_reply reply = {.desired_version = next_version++,
                                     .workers = &desired,
                                     .workers_count = worker == 0 ? 0 : 1,
                                     .ready_jobs = &job,
                                     .ready_jobs_count = ready ? 1 : 0};

    agent_sync_build(agent, AGENT_PARK_MS, &request);
    agent_sync_apply(agent, request.number, &reply, 0);
    agent_sync_request_fini(&request);
}

/* A whole Sync: these workers, each with this share of the cores. */
static void sync_shares(struct agent *agent, const uint64_t *workers, size_t count)
{
    struct agent_sync_request request;
    struct agent_desired_worker desired[4];
    struct agent_sync_reply reply = {
        .desired_version = next_version++, .workers = desired, .workers_count = count};

    for (size_t i = 0; i < count; i++) {
        desired[i] = (struct agent_desired_worker){.worker_id = workers[i],
                                                   .job_id = JOB,
                                                   .wish = AGENT_WISH_RUN,
                                                   .share = {.cpu_millis = 1500}};
    }
    agent_sync_build(agent, AGENT_PARK_MS, &request);
    agent_sync_apply(agent, request.number, &reply, 0);
    agent_sync_request_fini(&request);
}

static enum agent_call next_call(struct agent *agent, int64_t now_ms)
{
    int64_t wake_ms = INT64_MAX;

    return agent_next_call(agent, now_ms, &wake_ms);
}

/* Answers the pending Work with `count` batches of the payload "[1]" for worker 1. */
static void grant(
    struct agent *agent, uint64_t first, uint64_t attempt, size_t count, int64_t now_ms)
{
    static uint32_t sizes[HAND_HELD_MAX];
    static char payloads[HAND_HELD_MAX * 3];
    struct agent_grant row = {.worker_id = 1,
                              .job_id = JOB,
                              .first_index = first,
                              .first_attempt = attempt,
                              .sizes = sizes,
                              .count = count};
    struct agent_work_reply reply = {.work_number = 1,
                                     .grants = &row,
                                     .grants_count = count == 0 ? 0 : 1,
                                     .payloads = payloads,
                                     .payloads_size = count * 3};

    for (size_t i = 0; i < count; i++) {
        sizes[i] = 3;
        payloads[3 * i] = '[';
        payloads[3 * i + 1] = '1';
        payloads[3 * i + 2] = ']';
    }
    agent_work_apply(agent, &reply, now_ms);
}

static void end_batch(struct agent *agent, uint64_t duration_us, int64_t now_ms)
{
    struct hand_end end = {.outcome = HAND_SUCCEEDED, .duration_us = duration_us};

    agent_batch_ended(agent, 1, &end, now_ms);
}

/* An agent whose worker 1 runs and has asked, and been given, `count` batches. */
static struct agent *running_agent(size_t count)
{
    struct agent *agent = make_agent();
    struct agent_work_request work;

    sync_one(agent, 1, AGENT_WISH_RUN, true);
    agent_worker_ready(agent, 1, true, 4711, 0);
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    assert_int_equal(next_call(agent, 0), AGENT_CALL_WORK);
    agent_work_build(agent, 0, &work);
    assert_int_equal(work.asks_count, 1);
    agent_work_request_fini(&work);
    grant(agent, 0, 100, count, 0);
    said_size = 0;
    said[0] = '\0';
    return agent;
}

static void an_agent_that_is_not_registered_syncs_before_it_works(void **state)
{
    struct agent *agent = make_agent();

    (void)state;
    assert_false(agent_registered(agent));
    assert_int_equal(next_call(agent, 0), AGENT_CALL_SYNC);
    sync_one(agent, 0, 0, false);
    assert_true(agent_registered(agent));
    assert_int_equal(next_call(agent, 0), AGENT_CALL_NONE);
    agent_destroy(agent);
}

static void a_desired_worker_is_started_once_however_often_it_is_named(void **state)
{
    struct agent *agent = make_agent();

    (void)state;
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    check_said("start 1, ");
    agent_destroy(agent);
}

static void a_worker_no_longer_named_is_stopped_then_forgotten(void **state)
{
    struct agent *agent = make_agent();

    (void)state;
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    sync_one(agent, 0, 0, false);
    sync_one(agent, 0, 0, false);
    check_said("start 1, stop 1, ");
    agent_worker_ended(agent, 1, AGENT_FAILURE_DIED, "killed", false, 0);
    sync_one(agent, 0, 0, false);
    check_said("forget 1, ");
    agent_destroy(agent);
}

static void a_reply_to_an_older_sync_starts_and_stops_nothing(void **state)
{
    struct agent *agent = make_agent();
    struct agent_sync_request old;
    struct agent_desired_worker desired = {
        .worker_id = 9, .job_id = JOB, .wish = AGENT_WISH_RUN};
    struct agent_sync_reply late = {.workers = &desired, .workers_count = 1};

    (void)state;
    agent_sync_build(agent, 0, &old);
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    agent_sync_apply(agent, old.number, &late, 0);
    check_said("start 1, ");
    agent_sync_request_fini(&old);
    agent_destroy(agent);
}

static void a_newer_sync_answered_with_older_wishes_stops_nothing(void **state)
{
    struct agent *agent = make_agent();
    struct agent_sync_request first;
    struct agent_sync_request second;
    struct agent_desired_worker desired = {
        .worker_id = 1, .job_id = JOB, .wish = AGENT_WISH_RUN};
    struct agent_sync_reply before = {.desired_version = next_version++};
    struct agent_sync_reply after = {
        .desired_version = next_version++, .workers = &desired, .workers_count = 1};

    (void)state;
    agent_sync_build(agent, 0, &first);
    agent_sync_build(agent, AGENT_PARK_MS, &second);
    agent_sync_apply(agent, first.number, &after, 0);
    agent_sync_apply(agent, second.number, &before, 0); // it was handled before
    check_said("start 1, ");
    agent_sync_request_fini(&first);
    agent_sync_request_fini(&second);
    agent_destroy(agent);
}

static void both_conversations_may_meet_another_start_of_the_master(void **state)
{
    struct agent *agent = running_agent(0);
    struct agent_sync_request request[2];
    struct agent_sync_reply stranger = {.boot = 7};

    (void)state;
    agent_sync_build(agent, AGENT_PARK_MS, &request[0]);
    agent_sync_build(agent, 0, &request[1]);
    agent_sync_apply(agent, request[0].number, &stranger, 0);
    agent_sync_apply(agent, request[1].number, &stranger, 0);
    check_said("");
    agent_sync_request_fini(&request[0]);
    agent_sync_request_fini(&request[1]);
    agent_destroy(agent);
}

static void a_grant_of_a_former_start_of_the_master_is_not_taken(void **state)
{
    struct agent *agent = running_agent(0);
    struct agent_sync_request request;
    struct agent_sync_reply stranger = {.boot = 7};

    (void)state;
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.boot, 0);
    agent_sync_apply(agent, request.number, &stranger, 0); // stops nobody
    agent_sync_request_fini(&request);
    grant(agent, 3, 100, 1, 1); // by the start before
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.boot, 7);
    assert_int_equal(request.workers_count, 1);
    assert_int_equal(request.held_count, 0);
    agent_sync_request_fini(&request);
    check_said("");
    agent_destroy(agent);
}

static void a_ready_job_is_heard_of_in_an_older_reply_too(void **state)
{
    struct agent *agent = running_agent(0);
    struct agent_sync_request old;
    uint64_t job = JOB;
    struct agent_sync_reply late = {.ready_jobs = &job, .ready_jobs_count = 1};

    (void)state;
    agent_sync_build(agent, 0, &old);
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    assert_int_equal(next_call(agent, 1), AGENT_CALL_NONE);
    agent_sync_apply(agent, old.number, &late, 1);
    assert_int_equal(next_call(agent, 1), AGENT_CALL_WORK);
    check_said("");
    agent_sync_request_fini(&old);
    agent_destroy(agent);
}

static void a_change_is_told_while_the_parked_sync_is_under_way(void **state)
{
    struct agent *agent = make_agent();
    struct agent_sync_request request;

    (void)state;
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    assert_int_equal(next_call(agent, 0), AGENT_CALL_SYNC); // it is initializing
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.workers[0].state, AGENT_WORKER_INITIALIZING);
    agent_sync_request_fini(&request);
    assert_int_equal(next_call(agent, 0), AGENT_CALL_NONE);
    agent_worker_ready(agent, 1, true, 12, 0);
    assert_int_equal(next_call(agent, 0), AGENT_CALL_SYNC);
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.workers[0].state, AGENT_WORKER_RUNNING);
    assert_true(request.workers[0].has_on_job_complete);
    assert_int_equal(request.workers[0].pid, 12);
    agent_sync_request_fini(&request);
    agent_destroy(agent);
}

static void a_new_worker_asks_for_one_batch_and_is_fed_it(void **state)
{
    struct agent *agent = make_agent();
    struct agent_work_request work;

    (void)state;
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    agent_worker_ready(agent, 1, false, 1, 0);
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    agent_work_build(agent, 0, &work);
    assert_int_equal(work.results_count, 0);
    assert_int_equal(work.asks[0].worker_id, 1);
    assert_int_equal(work.asks[0].count, 1);
    agent_work_request_fini(&work);
    assert_int_equal(next_call(agent, 0), AGENT_CALL_NONE); // one at a time
    grant(agent, 5, 100, 1, 0);
    check_said("start 1, feed 1:5 [1], ");
    agent_destroy(agent);
}

static void short_batches_are_leased_for_200_ms_ahead(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;

    (void)state;
    end_batch(agent, 990, 1); // and 10 us around it
    assert_int_equal(next_call(agent, 1), AGENT_CALL_WORK);
    agent_work_build(agent, 1, &work);
    assert_int_equal(work.results_count, 1);
    assert_int_equal(work.results[0].index, 0);
    assert_int_equal(work.results[0].attempt, 100);
    assert_int_equal(work.results[0].outcome, HAND_SUCCEEDED);
    assert_int_equal(work.asks[0].count, 201);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void an_ask_never_exceeds_the_wires_limit(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;

    (void)state;
    end_batch(agent, 0, 1);
    agent_work_build(agent, 1, &work);
    assert_int_equal(work.asks[0].count, HAND_HELD_MAX);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void a_long_batch_has_the_next_one_leased_only_near_its_end(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;
    int64_t wake_ms = INT64_MAX;

    (void)state;
    end_batch(agent, 1000000, 1000);
    agent_work_build(agent, 1000, &work);
    assert_int_equal(work.asks[0].count, 1);
    agent_work_request_fini(&work);
    grant(agent, 1, 101, 1, 1000);
    assert_int_equal(agent_next_call(agent, 1001, &wake_ms), AGENT_CALL_NONE);
    assert_int_equal(wake_ms, 1800);
    assert_int_equal(next_call(agent, 1800), AGENT_CALL_WORK);
    agent_work_build(agent, 1800, &work);
    assert_int_equal(work.asks[0].count, 1);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void
an_ask_answered_short_is_not_repeated_until_the_master_says_ready(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;

    (void)state;
    end_batch(agent, 1000, 1);
    agent_work_build(agent, 1, &work);
    agent_work_request_fini(&work);
    grant(agent, 0, 0, 0, 1);
    assert_int_equal(next_call(agent, 100), AGENT_CALL_NONE);
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    assert_int_equal(next_call(agent, 100), AGENT_CALL_WORK);
    agent_destroy(agent);
}

static void results_of_a_busy_worker_wait_a_little_for_more(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;
    int64_t wake_ms = INT64_MAX;

    (void)state;
    end_batch(agent, 1000, 1);
    agent_work_build(agent, 1, &work);
    agent_work_request_fini(&work);
    grant(agent, 1, 101, 200, 2);
    end_batch(agent, 1000, 10);
    assert_int_equal(agent_next_call(agent, 10, &wake_ms), AGENT_CALL_NONE);
    assert_int_equal(wake_ms, 10 + AGENT_TELL_MS);
    assert_int_equal(next_call(agent, 10 + AGENT_TELL_MS), AGENT_CALL_WORK);
    agent_destroy(agent);
}

static void the_last_result_waits_for_the_log_before_it(void **state)
{
    struct agent *agent = running_agent(1);
    struct hand_end end = {.outcome = HAND_SUCCEEDED, .log_mark = 500};

    (void)state;
    sync_one(agent, 1, AGENT_WISH_COMPLETE, false);
    agent_batch_ended(agent, 1, &end, 1);
    said_size = 0;
    sync_one(agent, 1, AGENT_WISH_COMPLETE, false);
    assert_int_equal(next_call(agent, 100), AGENT_CALL_NONE);
    agent_log_shipped(agent, 1, 499);
    assert_int_equal(next_call(agent, 100), AGENT_CALL_NONE);
    agent_log_shipped(agent, 1, 500);
    assert_int_equal(next_call(agent, 100), AGENT_CALL_WORK);
    agent_destroy(agent);
}

static void a_batch_counts_only_when_its_result_is_stored(void **state)
{
    struct agent *agent = running_agent(1);
    struct hand_end end = {.outcome = HAND_SUCCEEDED, .storing = true};
    struct agent_work_request work;

    (void)state;
    sync_one(agent, 1, AGENT_WISH_DRAIN, false);
    sync_one(agent, 1, AGENT_WISH_DRAIN, false);
    agent_batch_ended(agent, 1, &end, 1);
    assert_int_equal(next_call(agent, 100), AGENT_CALL_NONE);
    agent_batch_stored(agent, 1, 100, "disk full", 101);
    agent_work_build(agent, 101, &work);
    assert_int_equal(work.results_count, 1);
    assert_int_equal(work.results[0].outcome, HAND_FAILED);
    assert_string_equal(work.results[0].error, "disk full");
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void only_the_batch_in_predict_is_suspect_when_a_worker_dies(void **state)
{
    struct agent *agent = running_agent(3);
    struct agent_work_request work;

    (void)state;
    agent_worker_ended(agent, 1, AGENT_FAILURE_DIED, "segfault", true, 5);
    agent_work_build(agent, 5, &work);
    assert_int_equal(work.results_count, 3);
    assert_int_equal(work.results[0].outcome, HAND_SUSPECT);
    assert_string_equal(work.results[0].error, "segfault");
    assert_int_equal(work.results[1].outcome, HAND_RETURNED);
    assert_int_equal(work.results[2].outcome, HAND_RETURNED);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void a_workers_end_is_told_after_what_became_of_its_batches(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_sync_request request;
    struct agent_work_request work;

    (void)state;
    agent_worker_ended(agent, 1, AGENT_FAILURE_DIED, "killed", true, 5);
    assert_int_equal(next_call(agent, 5), AGENT_CALL_WORK);
    agent_work_build(agent, 5, &work);
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.workers[0].state, AGENT_WORKER_RUNNING);
    agent_sync_request_fini(&request);
    grant(agent, 0, 0, 0, 6);
    assert_int_equal(next_call(agent, 6), AGENT_CALL_SYNC);
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.workers[0].state, AGENT_WORKER_FAILED);
    assert_string_equal(request.workers[0].error, "killed");
    agent_sync_request_fini(&request);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void a_worker_that_dies_between_batches_makes_none_suspect(void **state)
{
    struct agent *agent = running_agent(2);
    struct agent_work_request work;

    (void)state;
    agent_worker_ended(agent, 1, AGENT_FAILURE_DIED, "killed", false, 5);
    agent_work_build(agent, 5, &work);
    assert_int_equal(work.results[0].outcome, HAND_RETURNED);
    assert_int_equal(work.results[1].outcome, HAND_RETURNED);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void a_stopped_worker_drops_what_it_holds(void **state)
{
    struct agent *agent = running_agent(3);

    (void)state;
    sync_one(agent, 1, AGENT_WISH_STOP, false);
    check_said("stop 1, ");
    agent_worker_ended(agent, 1, AGENT_FAILURE_DIED, "killed", true, 5);
    sync_one(agent, 1, AGENT_WISH_STOP, false);
    assert_int_equal(next_call(agent, 100), AGENT_CALL_NONE);
    assert_true(agent_finished(agent));
    agent_destroy(agent);
}

static void a_worker_starts_when_the_one_before_it_has_left_its_room(void **state)
{
    const uint64_t first[] = {1};
    const uint64_t second[] = {2};
    struct agent *agent = make_agent();

    (void)state;
    sync_shares(agent, first, 1);
    check_said("start 1, ");
    sync_shares(agent, second, 1); // the master has given the first one up
    check_said("stop 1, ");
    agent_worker_ended(agent, 1, AGENT_FAILURE_NONE, NULL, false, 10);
    check_said("start 2, ");
    agent_destroy(agent);
}

static void a_worker_that_waits_for_room_is_stopped_without_an_effect(void **state)
{
    const uint64_t both[] = {1, 2};
    struct agent *agent = make_agent();

    (void)state;
    sync_shares(agent, both, 2);
    check_said("start 1, ");
    sync_shares(agent, both, 1);
    check_said("");
    agent_worker_ended(agent, 1, AGENT_FAILURE_NONE, NULL, false, 10);
    check_said("");
    assert_false(agent_has_workers(agent));
    agent_destroy(agent);
}

static bool says_hungry(struct agent *agent)
{
    struct agent_sync_request request;

    agent_sync_build(agent, AGENT_PARK_MS, &request);
    bool hungry = request.workers[0].hungry;
    agent_sync_request_fini(&request);
    return hungry;
}

static void a_worker_that_knows_of_no_batch_says_so_with_every_sync(void **state)
{
    struct agent_work_request request;
    struct agent_work_reply nothing = {.work_number = 1};
    struct agent *agent = make_agent();

    (void)state;
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    assert_false(says_hungry(agent)); // not yet up
    agent_worker_ready(agent, 1, false, 100, 0);
    assert_false(says_hungry(agent)); // about to ask
    agent_work_build(agent, 0, &request);
    agent_work_apply(agent, &nothing, 0);
    agent_work_request_fini(&request);
    assert_true(says_hungry(agent));
    assert_true(says_hungry(agent));
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    assert_false(says_hungry(agent));
    agent_destroy(agent);
}

static void completion_waits_for_the_last_batch_and_runs_once(void **state)
{
    struct agent *agent = running_agent(1);

    (void)state;
    sync_one(agent, 1, AGENT_WISH_COMPLETE, false);
    check_said("");
    end_batch(agent, 10, 1);
    check_said("complete 1, ");
    sync_one(agent, 1, AGENT_WISH_COMPLETE, false);
    agent_worker_completed(agent, 1, 2);
    sync_one(agent, 1, AGENT_WISH_COMPLETE, false);
    check_said("");
    agent_destroy(agent);
}

static void on_job_complete_is_not_interrupted_by_a_drain(void **state)
{
    struct agent *agent = running_agent(1);

    (void)state;
    end_batch(agent, 10, 1);
    sync_one(agent, 1, AGENT_WISH_COMPLETE, false);
    sync_one(agent, 1, AGENT_WISH_DRAIN, false);
    check_said("complete 1, ");
    agent_worker_completed(agent, 1, 2);
    check_said("drain 1 1, ");
    agent_destroy(agent);
}

static void batches_in_hand_and_results_not_yet_taken_are_held(void **state)
{
    struct agent *agent = running_agent(3);
    struct agent_sync_request request;

    (void)state;
    end_batch(agent, 10, 1);
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.held_count, 1);
    assert_int_equal(request.held[0].first_index, 0);
    assert_int_equal(request.held[0].first_attempt, 100);
    assert_int_equal(request.held[0].count, 3);
    agent_sync_request_fini(&request);
    agent_destroy(agent);
}

static void results_survive_a_work_call_that_was_refused(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;
    struct agent_sync_request request;

    (void)state;
    end_batch(agent, 1000, 1);
    agent_work_build(agent, 1, &work);
    agent_work_refused(agent);
    assert_int_equal(next_call(agent, 2), AGENT_CALL_SYNC);
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.held_count, 1); // the lease is claimed again
    assert_int_equal(request.desired_version, 0);
    agent_sync_request_fini(&request);
    sync_one(agent, 1, AGENT_WISH_RUN, false);
    assert_int_equal(next_call(agent, 2), AGENT_CALL_NONE); // the same is repeated
    grant(agent, 1, 101, 1, 3);
    agent_sync_build(agent, 0, &request);
    assert_int_equal(request.held_count, 1);
    assert_int_equal(request.held[0].first_index, 1);
    agent_sync_request_fini(&request);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void a_draining_agent_gives_back_and_takes_nothing(void **state)
{
    struct agent *agent = running_agent(2);
    struct agent_work_request work;

    (void)state;
    agent_drain(agent);
    check_said("drain 1 0, ");
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    end_batch(agent, 100, 1);
    agent_worker_ended(agent, 1, AGENT_FAILURE_NONE, NULL, false, 2);
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    assert_false(agent_finished(agent));
    agent_work_build(agent, 2, &work);
    assert_int_equal(work.results_count, 2);
    assert_int_equal(work.results[0].outcome, HAND_SUCCEEDED);
    assert_int_equal(work.results[1].outcome, HAND_RETURNED);
    assert_int_equal(work.asks_count, 0);
    agent_work_request_fini(&work);
    grant(agent, 0, 0, 0, 3);
    assert_false(agent_finished(agent)); // its end is not told yet
    sync_one(agent, 0, 0, false);
    assert_true(agent_finished(agent));
    agent_destroy(agent);
}

static void what_a_leaving_worker_has_not_begun_goes_back_before_its_end(void **state)
{
    struct agent *agent = running_agent(5);
    struct agent_work_request work;
    uint64_t index;
    uint64_t attempt;

    (void)state;
    agent_batches_unbegun(agent, 1, 1, 1); // it was not told to leave
    assert_int_equal(next_call(agent, 1), AGENT_CALL_NONE);
    end_batch(agent, 100, 1);
    agent_drain(agent);
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    agent_batches_unbegun(agent, 1, 2, 2);
    agent_batches_unbegun(agent, 1, 2, 2);
    assert_true(agent_batch_current(agent, 1, &index, &attempt));
    assert_int_equal(index, 1);
    agent_work_build(agent, 2, &work);
    assert_int_equal(work.results_count, 3);
    assert_int_equal(work.results[0].index, 0);
    assert_int_equal(work.results[0].outcome, HAND_SUCCEEDED);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(work.results[i].index, 2 + i);
        assert_int_equal(work.results[i].attempt, 102 + i);
        assert_int_equal(work.results[i].outcome, HAND_RETURNED);
    }
    agent_work_request_fini(&work);
    grant(agent, 0, 0, 0, 3);
    end_batch(agent, 100, 4);
    end_batch(agent, 100, 5);
    agent_work_build(agent, 5, &work);
    assert_int_equal(work.results_count, 2);
    assert_int_equal(work.results[1].index, 2);
    assert_int_equal(work.results[1].outcome, HAND_SUCCEEDED);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void a_batch_cut_short_by_the_agents_own_leaving_is_no_suspect(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;

    (void)state;
    agent_stop(agent);
    check_said("drain 1 0, stop 1, ");
    agent_worker_ended(agent, 1, AGENT_FAILURE_DIED, "killed", true, 2);
    sync_one(agent, 1, AGENT_WISH_RUN, true);
    agent_work_build(agent, 2, &work);
    assert_int_equal(work.results[0].outcome, HAND_RETURNED);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

static void batches_granted_to_a_worker_that_has_died_go_back(void **state)
{
    struct agent *agent = running_agent(1);
    struct agent_work_request work;

    (void)state;
    end_batch(agent, 100, 1);
    agent_work_build(agent, 1, &work);
    agent_work_request_fini(&work);
    agent_worker_ended(agent, 1, AGENT_FAILURE_DIED, "killed", false, 2);
    sync_one(agent, 0, 0, false);
    check_said(""); // not forgotten while a Work call may bring it batches
    grant(agent, 7, 107, 2, 3);
    sync_one(agent, 0, 0, false);
    assert_int_equal(next_call(agent, 3), AGENT_CALL_WORK);
    agent_work_build(agent, 3, &work);
    assert_int_equal(work.results_count, 2);
    assert_int_equal(work.results[1].outcome, HAND_RETURNED);
    assert_int_equal(work.results[1].attempt, 108);
    agent_work_request_fini(&work);
    grant(agent, 0, 0, 0, 4);
    sync_one(agent, 0, 0, false);
    check_said("forget 1, ");
    agent_destroy(agent);
}

static void a_long_error_is_cut_between_characters(void **state)
{
    struct agent *agent = running_agent(1);
    char text[2000];
    struct hand_end end = {.outcome = HAND_FAILED, .error = text};
    struct agent_work_request work;

    (void)state;
    for (size_t i = 0; i < sizeof(text) - 2; i += 3) {
        memcpy(text + i, "\xE2\x82\xAC", 3);
    }
    text[1998] = '\0';
    agent_batch_ended(agent, 1, &end, 1);
    agent_work_build(agent, 100, &work);
    assert_int_equal(strlen(work.results[0].error), 1023);
    agent_work_request_fini(&work);
    agent_destroy(agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_that_is_not_registered_syncs_before_it_works),
        cmocka_unit_test(a_desired_worker_is_started_once_however_often_it_is_named),
        cmocka_unit_test(a_worker_no_longer_named_is_stopped_then_forgotten),
        cmocka_unit_test(a_reply_to_an_older_sync_starts_and_stops_nothing),
        cmocka_unit_test(a_newer_sync_answered_with_older_wishes_stops_nothing),
        cmocka_unit_test(both_conversations_may_meet_another_start_of_the_master),
        cmocka_unit_test(a_ready_job_is_heard_of_in_an_older_reply_too),
        cmocka_unit_test(a_grant_of_a_former_start_of_the_master_is_not_taken),
        cmocka_unit_test(a_change_is_told_while_the_parked_sync_is_under_way),
        cmocka_unit_test(a_new_worker_asks_for_one_batch_and_is_fed_it),
        cmocka_unit_test(short_batches_are_leased_for_200_ms_ahead),
        cmocka_unit_test(an_ask_never_exceeds_the_wires_limit),
        cmocka_unit_test(a_long_batch_has_the_next_one_leased_only_near_its_end),
        cmocka_unit_test(
            an_ask_answered_short_is_not_repeated_until_the_master_says_ready),
        cmocka_unit_test(results_of_a_busy_worker_wait_a_little_for_more),
        cmocka_unit_test(the_last_result_waits_for_the_log_before_it),
        cmocka_unit_test(a_batch_counts_only_when_its_result_is_stored),
        cmocka_unit_test(only_the_batch_in_predict_is_suspect_when_a_worker_dies),
        cmocka_unit_test(a_workers_end_is_told_after_what_became_of_its_batches),
        cmocka_unit_test(a_worker_that_dies_between_batches_makes_none_suspect),
        cmocka_unit_test(a_stopped_worker_drops_what_it_holds),
        cmocka_unit_test(a_worker_starts_when_the_one_before_it_has_left_its_room),
        cmocka_unit_test(a_worker_that_waits_for_room_is_stopped_without_an_effect),
        cmocka_unit_test(a_worker_that_knows_of_no_batch_says_so_with_every_sync),
        cmocka_unit_test(completion_waits_for_the_last_batch_and_runs_once),
        cmocka_unit_test(on_job_complete_is_not_interrupted_by_a_drain),
        cmocka_unit_test(batches_in_hand_and_results_not_yet_taken_are_held),
        cmocka_unit_test(results_survive_a_work_call_that_was_refused),
        cmocka_unit_test(a_draining_agent_gives_back_and_takes_nothing),
        cmocka_unit_test(what_a_leaving_worker_has_not_begun_goes_back_before_its_end),
        cmocka_unit_test(a_batch_cut_short_by_the_agents_own_leaving_is_no_suspect),
        cmocka_unit_test(batches_granted_to_a_worker_that_has_died_go_back),
        cmocka_unit_test(a_long_error_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
