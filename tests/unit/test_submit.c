/* SPDX-License-Identifier: Apache-2.0 */
/* test_submit.c - does a submission become one job, or leave no trace? */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/master_fixture.h"

static const Cortex__V1__SubmitJobReply *submitted(struct master_fixture *master,
                                                   const struct fixture_job *wanted)
{
    uint64_t job_id;

    return fixture_reply(master, fixture_try_submit(master, wanted, &job_id));
}

static void a_submission_is_on_disk_before_it_is_answered(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.workers = 3, .timeout_s = 60, .max_attempts = 2};

    (void)fixture_deploy(master, FIXTURE_API);
    const Cortex__V1__SubmitJobReply *reply = submitted(master, &wanted);
    assert_non_null(reply);
    uint64_t job_id = reply->job->job_id;
    assert_int_equal(reply->job->state, JOB(ENQUEUING));
    assert_false(reply->repeated_request);
    assert_int_equal(fixture_count(master, ACTION_ENQUEUE, job_id), 1);
    fixture_restart(master);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_string_equal(job->api_name, "classifier");
    assert_int_equal(job->state, JOB(ENQUEUING));
    assert_int_equal(job->workers, 3);
    assert_int_equal(job->timeout_s, 60);
    assert_int_equal(job->max_attempts, 2);
    assert_int_equal(job->start_ns / 1000000000, FIXTURE_WALL_NS / 1000000000);
}

static void a_repeat_with_its_key_is_the_same_job(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.key = "once", .batches = 1};
    uint64_t repeat_id;

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t first_id = fixture_submit(master, &wanted);
    fixture_restart(master);
    uintptr_t call = fixture_try_submit(master, &wanted, &repeat_id);
    const Cortex__V1__SubmitJobReply *reply = fixture_reply(master, call);
    assert_non_null(reply);
    assert_int_equal(reply->job->job_id, first_id);
    assert_true(reply->repeated_request);
    // As the first was told, though the job runs by now.
    assert_int_equal(reply->job->state, JOB(ENQUEUING));
    assert_int_equal(reply->job->total, 0);
    // What was prepared for the repeat is removed; the first's is not.
    assert_int_equal(fixture_count(master, ACTION_FORGET_JOB, repeat_id), 1);
    assert_int_equal(fixture_count(master, ACTION_FORGET_JOB, first_id), 0);
    assert_int_equal(fixture_count(master, ACTION_ENQUEUE, repeat_id), 0);
}

static void the_same_key_with_another_body_is_a_conflict(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.key = "once"};
    struct fixture_job other = {.key = "once", .body_hash = "other"};
    uint64_t job_id;

    (void)fixture_deploy(master, FIXTURE_API);
    (void)fixture_submit(master, &wanted);
    uintptr_t call = fixture_try_submit(master, &other, &job_id);
    const struct error *err = fixture_error(master, call);
    assert_int_equal(err->code, ERROR_ALREADY_EXISTS); // HTTP 409
    assert_non_null(strstr(err->message, "\"once\""));
    assert_int_equal(fixture_count(master, ACTION_FORGET_JOB, job_id), 1);
    assert_null(state_job(&master->state, job_id));
}

static void a_key_is_forgotten_after_a_day_and_not_before(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.key = "once"};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t first_id = fixture_submit(master, &wanted);
    master->state.now_ms += STATE_KEY_NS / 1000000 - 1000;
    assert_int_equal(submitted(master, &wanted)->job->job_id, first_id);
    master->state.now_ms += 2000;
    assert_int_not_equal(submitted(master, &wanted)->job->job_id, first_id);
}

static void a_key_is_kept_when_somebody_sets_the_time(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.key = "once"};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t first_id = fixture_submit(master, &wanted);
    master->state.wall_ns += 50 * 365 * STATE_KEY_NS;
    assert_int_equal(submitted(master, &wanted)->job->job_id, first_id);
    fixture_restart(master);
    assert_int_equal(submitted(master, &wanted)->job->job_id, first_id);
}

static void a_key_belongs_to_its_api_and_no_key_to_nobody(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job keyed = {.key = "once"};
    struct fixture_job elsewhere = {.key = "once", .api_name = "other"};
    struct fixture_job keyless = {0};

    (void)fixture_deploy(master,
                         FIXTURE_API "- name: other\n  kind: BatchAPI\n"
                                     "  predictor: {type: python, path: p.py}\n");
    uint64_t first_id = submitted(master, &keyed)->job->job_id;
    assert_int_not_equal(submitted(master, &elsewhere)->job->job_id, first_id);
    first_id = submitted(master, &keyless)->job->job_id;
    assert_int_not_equal(submitted(master, &keyless)->job->job_id, first_id);
}

static void a_key_that_is_too_long_is_refused(void **state)
{
    struct master_fixture *master = *state;
    char key[SUBMIT_KEY_SIZE_MAX + 2] = {0};
    struct fixture_job wanted = {.key = key};
    uint64_t job_id;

    (void)fixture_deploy(master, FIXTURE_API);
    memset(key, 'k', SUBMIT_KEY_SIZE_MAX + 1);
    uintptr_t call = fixture_try_submit(master, &wanted, &job_id);
    const struct error *err = fixture_error(master, call);
    assert_int_equal(err->code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(err->message, "256 bytes, expected at most 255"));
    key[SUBMIT_KEY_SIZE_MAX] = '\0';
    assert_non_null(submitted(master, &wanted));
}

static void what_is_refused_leaves_no_trace(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.key = "once"};
    uint64_t job_id;

    uintptr_t call = fixture_try_submit(master, &wanted, &job_id); // no such api
    const struct error *err = fixture_error(master, call);
    assert_int_equal(err->code, ERROR_NOT_FOUND);
    assert_string_equal(err->kind, "resources.api_not_deployed");
    assert_string_equal(err->message, "classifier is not deployed");
    assert_int_equal(fixture_count(master, ACTION_FORGET_JOB, job_id), 1);
    (void)fixture_deploy(master, FIXTURE_API);
    assert_int_not_equal(submitted(master, &wanted)->job->job_id, job_id);
}

static void
a_body_that_was_bad_or_could_not_be_kept_is_an_answer_not_an_end(void **state)
{
    static const enum error_code codes[] = {
        ERROR_INVALID_ARGUMENT, ERROR_DATA_LOSS, ERROR_INTERNAL, ERROR_UNAVAILABLE};
    struct master_fixture *master = *state;

    (void)fixture_deploy(master, FIXTURE_API);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct submit_prepared *prepared = memory_zalloc(sizeof(*prepared));
        Cortex__V1__SubmitJobRequest said = CORTEX__V1__SUBMIT_JOB_REQUEST__INIT;
        said.api_name = (char *)(uintptr_t) "classifier";
        error_set_kind(&prepared->error, codes[i], "a.kind", "it is full");
        uintptr_t call =
            fixture_call_prepared(master, "Client/SubmitJob", &said, prepared);
        const struct error *err = fixture_error(master, call);
        assert_int_equal(err->code, codes[i]);
        assert_string_equal(err->kind, "a.kind");
        assert_string_equal(err->message, "it is full");
        submit_prepared_free(prepared);
    }
    assert_int_equal(master->state.jobs.count, 0);
}

static void a_job_runs_once_all_its_batches_are_known(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {0};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    fixture_segment(master, job_id, 3);
    fixture_segment(master, job_id, 4);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(ENQUEUING));
    assert_int_equal(job->total, 7);
    assert_false(job->has_worker_counts);
    fixture_enqueued(master, job_id);
    job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(RUNNING));
    assert_int_equal(job->queued, 7);
    assert_true(job->has_worker_counts);
    assert_int_equal(job->worker_counts->pending, 1);
    assert_true(fixture_logged(master, "completed enqueuing a total of 7 batches\n"));
    assert_true(fixture_logged(master, "spinning up workers...\n"));
}

static void an_enqueuing_that_failed_ends_the_job_and_says_why(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {0};
    struct error failure = {0};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    fixture_segment(master, job_id, 3);
    error_set(&failure, ERROR_INVALID_ARGUMENT, "file 7 is no JSON");
    assert_int_equal(submit_enqueued(&master->state, job_id, &failure, NULL), 0);
    fixture_step(master);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->state, JOB(ENQUEUE_FAILED));
    assert_string_equal(job->reason,
                        "failed to enqueue all batches: file 7 is no JSON");
    assert_true(fixture_logged(master, "file 7 is no JSON"));
    assert_int_equal(fixture_count(master, ACTION_JOB_CLOSE, job_id), 1);
}

static void an_enqueuer_is_told_that_its_job_is_over(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {0};
    struct segment segment = {.payload = {.count = 1}};
    Cortex__V1__StopJobRequest stop = CORTEX__V1__STOP_JOB_REQUEST__INIT;
    bool going_on = true;

    (void)fixture_deploy(master, FIXTURE_API);
    stop.job_id = fixture_submit(master, &wanted);
    (void)fixture_call(master, "Client/StopJob", &stop);
    assert_int_equal(fixture_count(master, ACTION_ENQUEUE_CANCEL, stop.job_id), 1);
    assert_int_equal(
        submit_segment(&master->state, stop.job_id, &segment, &going_on, NULL), 0);
    assert_false(going_on);
    fixture_enqueued(master, stop.job_id); // it came to its end all the same
    assert_int_equal(fixture_job(master, stop.job_id)->state, JOB(STOPPED));
}

static void a_repeat_is_answered_even_at_the_limit_of_jobs(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.key = "once"};
    struct fixture_job other = {0};
    uint64_t job_id;

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t first_id = fixture_submit(master, &wanted);
    size_t count = master->state.jobs.count;
    master->state.jobs.count = STATE_LIVE_JOBS_MAX; // as if there were so many
    const Cortex__V1__SubmitJobReply *reply = submitted(master, &wanted);
    uintptr_t call = fixture_try_submit(master, &other, &job_id);
    master->state.jobs.count = count;
    assert_non_null(reply);
    assert_int_equal(reply->job->job_id, first_id);
    assert_int_equal(fixture_error(master, call)->code, ERROR_RESOURCE_EXHAUSTED);
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(a_submission_is_on_disk_before_it_is_answered),
        HOLDS(a_repeat_with_its_key_is_the_same_job),
        HOLDS(the_same_key_with_another_body_is_a_conflict),
        HOLDS(a_key_is_forgotten_after_a_day_and_not_before),
        HOLDS(a_key_is_kept_when_somebody_sets_the_time),
        HOLDS(a_key_belongs_to_its_api_and_no_key_to_nobody),
        HOLDS(a_key_that_is_too_long_is_refused),
        HOLDS(what_is_refused_leaves_no_trace),
        HOLDS(a_body_that_was_bad_or_could_not_be_kept_is_an_answer_not_an_end),
        HOLDS(a_job_runs_once_all_its_batches_are_known),
        HOLDS(an_enqueuing_that_failed_ends_the_job_and_says_why),
        HOLDS(an_enqueuer_is_told_that_its_job_is_over),
        HOLDS(a_repeat_is_answered_even_at_the_limit_of_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
