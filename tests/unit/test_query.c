/* SPDX-License-Identifier: Apache-2.0 */
/* test_query.c - is what the master tells true, whole and of one moment? */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "tests/unit/master_fixture.h"

static uint64_t submit(struct master_fixture *master, struct fixture_job wanted)
{
    if (!state_api(&master->state, "classifier")) {
        (void)fixture_deploy(master, FIXTURE_API);
    }
    return fixture_submit(master, &wanted);
}

static void stop(struct master_fixture *master, uint64_t job_id)
{
    Cortex__V1__StopJobRequest said = CORTEX__V1__STOP_JOB_REQUEST__INIT;

    said.job_id = job_id;
    (void)fixture_call(master, "Client/StopJob", &said);
}

static const Cortex__V1__GetApiReply *get_api(struct master_fixture *master,
                                              uint32_t limit,
                                              uint64_t after,
                                              Cortex__V1__JobState in)
{
    Cortex__V1__GetApiRequest said = CORTEX__V1__GET_API_REQUEST__INIT;

    said.api_name = (char *)(uintptr_t) "classifier";
    said.limit = limit;
    said.after_job_id = after;
    said.state = in;
    return fixture_reply(master, fixture_call(master, "Client/GetApi", &said));
}

static void the_newest_job_comes_first_and_ten_are_shown(void **state)
{
    struct master_fixture *master = *state;
    uint64_t newest = 0;

    for (int i = 0; i < 12; i++) {
        newest = submit(master, (struct fixture_job){.batches = 1});
        if (i < 8) {
            stop(master, newest);
        }
    }
    const Cortex__V1__GetApiReply *reply = get_api(master, 0, 0, JOB(UNSPECIFIED));
    assert_int_equal(reply->n_jobs, 10);
    assert_true(reply->more);
    assert_int_equal(reply->jobs[0]->job_id, newest);
    for (size_t i = 1; i < reply->n_jobs; i++) {
        assert_true(reply->jobs[i]->start_ns < reply->jobs[i - 1]->start_ns);
    }
    assert_int_equal(reply->api->jobs_in_progress, 4);
}

static void more_than_ten_are_shown_if_more_are_in_progress(void **state)
{
    struct master_fixture *master = *state;

    for (int i = 0; i < 12; i++) {
        (void)submit(master, (struct fixture_job){.batches = 1});
    }
    const Cortex__V1__GetApiReply *reply = get_api(master, 0, 0, JOB(UNSPECIFIED));
    assert_int_equal(reply->n_jobs, 12);
    assert_false(reply->more);
}

static void pages_follow_one_another_without_gap_or_repeat(void **state)
{
    struct master_fixture *master = *state;
    uint64_t after = 0;
    size_t seen = 0;

    for (int i = 0; i < 7; i++) {
        uint64_t job_id = submit(master, (struct fixture_job){.batches = 1});
        if (i % 2) {
            stop(master, job_id);
        }
    }
    bool more = true;
    while (more) {
        const Cortex__V1__GetApiReply *reply =
            get_api(master, 3, after, JOB(UNSPECIFIED));
        more = reply->more;
        seen += reply->n_jobs;
        assert_true(reply->n_jobs > 0);
        assert_true(reply->jobs[0]->job_id > after);
        after = reply->jobs[reply->n_jobs - 1]->job_id;
    }
    assert_int_equal(seen, 7);
    assert_int_equal(get_api(master, 100, 0, JOB(STOPPED))->n_jobs, 3);
    assert_int_equal(get_api(master, 100, 0, JOB(RUNNING))->n_jobs, 4);
    assert_int_equal(get_api(master, 100, 0, JOB(SUCCEEDED))->n_jobs, 0);
}

static void the_list_of_apis_has_each_ones_latest_job(void **state)
{
    struct master_fixture *master = *state;
    Cortex__V1__ListApisRequest said = CORTEX__V1__LIST_APIS_REQUEST__INIT;

    (void)fixture_deploy(master,
                         "- name: zebra\n  kind: BatchAPI\n"
                         "  predictor: {type: python, path: p.py}\n" FIXTURE_API);
    (void)submit(master, (struct fixture_job){.batches = 1});
    uint64_t latest = submit(master, (struct fixture_job){.batches = 1});
    const Cortex__V1__ListApisReply *reply =
        fixture_reply(master, fixture_call(master, "Client/ListApis", &said));
    assert_int_equal(reply->n_apis, 2);
    assert_string_equal(reply->apis[0]->api->name, "classifier"); // by name
    assert_int_equal(reply->apis[0]->latest_job->job_id, latest);
    assert_string_equal(reply->apis[1]->api->name, "zebra");
    assert_false(reply->apis[1]->has_latest_job);
}

static void an_endpoint_covers_what_lies_below_it_and_the_longest_wins(void **state)
{
    static const char *const examples[][3] = {
        {"/a", "short", ""},
        {"/a/", "short", "/"},
        {"/a/69d6faf82e4660d3/logs", "short", "/69d6faf82e4660d3/logs"},
        {"/a/b", "long", ""},
        {"/a/b/c", "long", "/c"},
        {"/a/bc", "short", "/bc"},
    };
    struct master_fixture *master = *state;
    Cortex__V1__ResolveEndpointRequest said =
        CORTEX__V1__RESOLVE_ENDPOINT_REQUEST__INIT;

    (void)fixture_deploy(master,
                         "- name: short\n  kind: BatchAPI\n"
                         "  predictor: {type: python, path: p.py}\n"
                         "  networking: {endpoint: /a}\n"
                         "- name: long\n  kind: BatchAPI\n"
                         "  predictor: {type: python, path: p.py}\n"
                         "  networking: {endpoint: /a/b}\n");
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        said.path = (char *)(uintptr_t)examples[i][0];
        const Cortex__V1__ResolveEndpointReply *reply = fixture_reply(
            master, fixture_call(master, "Client/ResolveEndpoint", &said));
        assert_non_null(reply);
        assert_string_equal(reply->api_name, examples[i][1]);
        assert_string_equal(reply->rest, examples[i][2]);
    }
    said.path = (char *)(uintptr_t) "/ab";
    const struct error *err =
        fixture_error(master, fixture_call(master, "Client/ResolveEndpoint", &said));
    assert_int_equal(err->code, ERROR_NOT_FOUND);
    assert_non_null(strstr(err->message, "\"/ab\""));
}

static void the_counts_of_a_live_job_are_of_now_and_add_up(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 1000};
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 6, .workers = 3});

    fixture_bring_up(master, &agent);
    struct fixture_worker *worker = fixture_worker_of(&agent, job_id);
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(SUCCEEDED));
    (void)fixture_do_batch(master, &agent, worker, OUTCOME(FAILED));
    (void)fixture_ask(master, &agent, worker->worker_id, 1);
    const Cortex__V1__Job *job = fixture_job(master, job_id);
    assert_int_equal(job->succeeded, 1);
    assert_int_equal(job->failed, 1);
    assert_int_equal(job->in_hand, 1);
    assert_int_equal(job->queued, 3);
    assert_int_equal(job->total, 6);
    assert_int_equal(job->worker_counts->running, 1);
    assert_int_equal(job->worker_counts->pending, 2);
    assert_string_equal(job->predictor_id,
                        state_api(&master->state, "classifier")->predictor_id);
}

static void a_job_is_found_under_its_own_api_only(void **state)
{
    struct master_fixture *master = *state;
    Cortex__V1__GetJobRequest said = CORTEX__V1__GET_JOB_REQUEST__INIT;

    said.job_id = submit(master, (struct fixture_job){.batches = 1});
    (void)fixture_deploy(master,
                         "- name: other\n  kind: BatchAPI\n"
                         "  predictor: {type: python, path: p.py}\n");
    said.api_name = (char *)(uintptr_t) "classifier";
    assert_non_null(
        fixture_reply(master, fixture_call(master, "Client/GetJob", &said)));
    said.api_name = (char *)(uintptr_t) "other";
    const struct error *err =
        fixture_error(master, fixture_call(master, "Client/GetJob", &said));
    assert_string_equal(err->kind, "batchapi.job_not_found");
    said.api_name = (char *)(uintptr_t) "nothing";
    err = fixture_error(master, fixture_call(master, "Client/GetJob", &said));
    assert_string_equal(err->kind, "resources.api_not_deployed");
}

static const Cortex__V1__ListBatchesReply *list_batches(struct master_fixture *master,
                                                        uint64_t job_id,
                                                        Cortex__V1__BatchState in,
                                                        uint32_t limit,
                                                        uint64_t from)
{
    Cortex__V1__ListBatchesRequest said = CORTEX__V1__LIST_BATCHES_REQUEST__INIT;

    said.job_id = job_id;
    said.state = in;
    said.limit = limit;
    said.from_index = from;
    return fixture_reply(master, fixture_call(master, "Client/ListBatches", &said));
}

#define BATCH(name) CORTEX__V1__BATCH_STATE__BATCH_STATE_##name

// 0 succeeded, 1 failed, 2 in hand, 3 waits to be tried again, 4 to 9 never given out.
static uint64_t mixed_job(struct master_fixture *master, struct fixture_agent *agent)
{
    uint64_t job_id =
        submit(master, (struct fixture_job){.batches = 10, .max_attempts = 2});

    *agent = (struct fixture_agent){.id = 1, .incarnation = 1, .cpu_millis = 1000};
    fixture_bring_up(master, agent);
    struct fixture_worker *worker = fixture_worker_of(agent, job_id);
    assert_int_equal(fixture_do_batch(master, agent, worker, OUTCOME(SUCCEEDED)), 0);
    assert_int_equal(fixture_do_batch(master, agent, worker, OUTCOME(FAILED)), 1);
    fixture_pass(master, BATCH_BACKOFF_MIN_MS);
    assert_int_equal(fixture_do_batch(master, agent, worker, OUTCOME(FAILED)), 1);
    const Cortex__V1__Grant *grant =
        fixture_ask(master, agent, worker->worker_id, 2)->grants[0];
    assert_int_equal(grant->first_index, 2);
    (void)fixture_report(
        master, agent, worker, 3, grant->first_attempt + 1, OUTCOME(FAILED));
    return job_id;
}

static void every_batch_is_listed_with_its_state_and_story(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = mixed_job(master, &agent);
    const Cortex__V1__ListBatchesReply *reply =
        list_batches(master, job_id, BATCH(UNSPECIFIED), 0, 0);
    static const Cortex__V1__BatchState states[] = {
        BATCH(SUCCEEDED), BATCH(FAILED), BATCH(IN_HAND), BATCH(QUEUED), BATCH(QUEUED)};
    static const uint32_t attempts[] = {1, 2, 1, 1, 0};
    char uuid[ID_UUID_TEXT_SIZE];
    char worker[20];

    assert_int_equal(reply->n_batches, 10);
    assert_false(reply->more);
    (void)snprintf(worker,
                   sizeof(worker),
                   "%016llx",
                   (unsigned long long)fixture_worker_of(&agent, job_id)->worker_id);
    for (uint64_t i = 0; i < 5; i++) {
        const Cortex__V1__Batch *batch = reply->batches[i];
        id_batch_format(job_id, i, uuid);
        assert_int_equal(batch->index, i);
        assert_string_equal(batch->batch_id, uuid);
        assert_int_equal(batch->state, states[i]);
        assert_int_equal(batch->attempts, attempts[i]);
        assert_string_equal(batch->worker, i < 4 ? worker : "");
    }
    assert_string_equal(reply->batches[1]->error, "ValueError: it went wrong");
    assert_int_equal(reply->batches[1]->duration_us, 2500);
    assert_string_equal(reply->batches[0]->error, "");
}

static void batches_are_found_by_state_and_in_pages(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = mixed_job(master, &agent);
    static const uint64_t counts[] = {10, 7, 1, 1, 1};

    for (int in = 0; in <= 4; in++) {
        uint64_t from = 0;
        uint64_t seen = 0;
        bool more = true;
        for (int page = 0; more && page < 20; page++) {
            const Cortex__V1__ListBatchesReply *reply =
                list_batches(master, job_id, (Cortex__V1__BatchState)in, 3, from);
            assert_in_range(reply->n_batches, 0, 3);
            for (size_t i = 0; i < reply->n_batches; i++) {
                assert_true(reply->batches[i]->index >= from);
                assert_true(in == 0 || (int)reply->batches[i]->state == in);
            }
            seen += reply->n_batches;
            from = reply->next_index;
            more = reply->more;
        }
        assert_int_equal(seen, counts[in]);
    }
}

static void the_batches_of_a_stopped_job_are_what_became_of_them(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent;
    uint64_t job_id = mixed_job(master, &agent);

    stop(master, job_id);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            list_batches(master, job_id, BATCH(SUCCEEDED), 0, 0)->n_batches, 1);
        assert_int_equal(list_batches(master, job_id, BATCH(FAILED), 0, 0)->n_batches,
                         1);
        assert_int_equal(list_batches(master, job_id, BATCH(IN_HAND), 0, 0)->n_batches,
                         0);
        assert_int_equal(list_batches(master, job_id, BATCH(QUEUED), 0, 0)->n_batches,
                         8);
        fixture_restart(master);
    }
}

static void the_items_of_any_batch_are_found_by_its_id(void **state)
{
    struct master_fixture *master = *state;
    Cortex__V1__GetPayloadRequest said = CORTEX__V1__GET_PAYLOAD_REQUEST__INIT;
    char uuid[ID_UUID_TEXT_SIZE];
    uint64_t job_id = submit(master, (struct fixture_job){.batches = 10});

    said.job_id = job_id;
    said.batch_id = uuid;
    for (int again = 0; again < 2; again++) {
        id_batch_format(job_id, 7, uuid);
        fixture_forget(master);
        (void)fixture_call(master, "Client/GetPayload", &said);
        const struct action *action = master->released.first;
        assert_int_equal(action->type, ACTION_PAYLOAD_READ);
        assert_int_equal(action->stretch_count, 1);
        assert_int_equal(action->stretches[0].first_index, 7);
        assert_int_equal(action->stretches[0].count, 1);
        assert_int_equal(action->stretches[0].segment.number, 0);
        id_batch_format(job_id, 10, uuid); // one behind the last
        assert_string_equal(
            fixture_error(master, fixture_call(master, "Client/GetPayload", &said))
                ->kind,
            "batchapi.batch_not_found");
        stop(master, job_id);
        fixture_restart(master);
    }
}

static void a_log_is_open_until_the_last_worker_has_left(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 1000};
    Cortex__V1__ReadLogRequest said = CORTEX__V1__READ_LOG_REQUEST__INIT;

    said.job_id = submit(master, (struct fixture_job){.batches = 1});
    fixture_bring_up(master, &agent);
    for (int left = 0; left < 2; left++) {
        stop(master, said.job_id);
        fixture_sync(master, &agent);
        if (left) {
            fixture_worker_of(&agent, said.job_id)->state = WORKER(EXITED);
            fixture_sync(master, &agent);
        }
        fixture_forget(master);
        (void)fixture_call(master, "Client/ReadLog", &said);
        const struct action *action = master->released.first;
        assert_int_equal(action->type, ACTION_LOG_READ);
        assert_int_equal(action->job_id, said.job_id);
        assert_int_equal(action->closed, left);
    }
    said.job_id = 7;
    assert_string_equal(
        fixture_error(master, fixture_call(master, "Client/ReadLog", &said))->kind,
        "batchapi.job_not_found");
}

static void a_worker_is_told_all_it_needs(void **state)
{
    struct master_fixture *master = *state;
    Cortex__V1__GetSetupRequest said = CORTEX__V1__GET_SETUP_REQUEST__INIT;

    (void)fixture_deploy(master,
                         "- name: classifier\n  kind: BatchAPI\n"
                         "  predictor:\n    type: python\n    path: p.py\n"
                         "    config: {dest: \"x\"}\n    env: {B: \"2\", A: \"1\"}\n");
    said.job_id = submit(
        master, (struct fixture_job){.batches = 4, .workers = 2, .timeout_s = 60});
    const Cortex__V1__GetSetupReply *reply =
        fixture_reply(master, fixture_call(master, "AgentService/GetSetup", &said));
    assert_string_equal(reply->api_name, "classifier");
    assert_string_equal(reply->predictor_path, "p.py");
    assert_string_equal(reply->predictor_type, "python");
    assert_int_equal(reply->n_env, 2);
    assert_string_equal(reply->env[0], "A=1");
    assert_string_equal(reply->env[1], "B=2");
    assert_non_null(strstr(reply->api_config, "\"dest\""));
    assert_string_equal(reply->job_config, "");
    assert_non_null(strstr(reply->job_spec, "\"workers\": 2, "));
    assert_non_null(strstr(reply->job_spec, "\"timeout\": 60, "));
    assert_non_null(strstr(reply->job_spec, "\"total_batch_count\": 4, "));
    assert_non_null(strstr(reply->job_spec, "\"config\": null, "));
    struct cJSON *spec = NULL;
    assert_int_equal(json_parse(reply->job_spec, strlen(reply->job_spec), &spec, NULL),
                     0);
    json_free(spec);
    said.job_id = 7;
    assert_int_equal(
        fixture_error(master, fixture_call(master, "AgentService/GetSetup", &said))
            ->code,
        ERROR_NOT_FOUND);
}

static void a_project_is_given_for_a_job_that_is_made_of_it(void **state)
{
    struct master_fixture *master = *state;
    Cortex__V1__GetProjectRequest said = CORTEX__V1__GET_PROJECT_REQUEST__INIT;

    said.job_id = submit(master, (struct fixture_job){.batches = 4});
    said.project_id = state_api(&master->state, "classifier")->project_id;
    fixture_forget(master);
    (void)fixture_call(master, "AgentService/GetProject", &said);
    assert_int_equal(master->released.first->type, ACTION_PROJECT_READ);
    said.project_id = (char *)(uintptr_t) "0000";
    assert_int_equal(
        fixture_error(master, fixture_call(master, "AgentService/GetProject", &said))
            ->code,
        ERROR_PERMISSION_DENIED);
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(the_newest_job_comes_first_and_ten_are_shown),
        HOLDS(more_than_ten_are_shown_if_more_are_in_progress),
        HOLDS(pages_follow_one_another_without_gap_or_repeat),
        HOLDS(the_list_of_apis_has_each_ones_latest_job),
        HOLDS(an_endpoint_covers_what_lies_below_it_and_the_longest_wins),
        HOLDS(the_counts_of_a_live_job_are_of_now_and_add_up),
        HOLDS(a_job_is_found_under_its_own_api_only),
        HOLDS(every_batch_is_listed_with_its_state_and_story),
        HOLDS(batches_are_found_by_state_and_in_pages),
        HOLDS(the_batches_of_a_stopped_job_are_what_became_of_them),
        HOLDS(the_items_of_any_batch_are_found_by_its_id),
        HOLDS(a_log_is_open_until_the_last_worker_has_left),
        HOLDS(a_worker_is_told_all_it_needs),
        HOLDS(a_project_is_given_for_a_job_that_is_made_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
