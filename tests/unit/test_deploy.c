/* SPDX-License-Identifier: Apache-2.0 */
/* test_deploy.c - do definitions come and go as a user says? */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/master_fixture.h"

#define API(name, rest)                                                                \
    "- name: " name "\n  kind: BatchAPI\n"                                             \
    "  predictor: {type: python, path: p.py}\n" rest

static const Cortex__V1__DeployReply *deployed(struct master_fixture *master,
                                               const char *text)
{
    const Cortex__V1__DeployReply *reply =
        fixture_reply(master, fixture_deploy(master, text));

    assert_non_null(reply);
    return reply;
}

static uintptr_t
delete_api(struct master_fixture *master, const char *name, bool keep_cache)
{
    Cortex__V1__DeleteApiRequest said = CORTEX__V1__DELETE_API_REQUEST__INIT;

    said.api_name = (char *)(uintptr_t)name;
    said.keep_cache = keep_cache;
    return fixture_call(master, "Client/DeleteApi", &said);
}

static const Cortex__V1__GetApiReply *get_api(struct master_fixture *master,
                                              const char *name)
{
    Cortex__V1__GetApiRequest said = CORTEX__V1__GET_API_REQUEST__INIT;

    said.api_name = (char *)(uintptr_t)name;
    return fixture_reply(master, fixture_call(master, "Client/GetApi", &said));
}

static void a_deploy_says_created_updated_or_up_to_date(void **state)
{
    struct master_fixture *master = *state;

    assert_string_equal(deployed(master, API("a", ""))->results[0]->message,
                        "created a (BatchAPI)");
    assert_string_equal(deployed(master, API("a", ""))->results[0]->message,
                        "a (BatchAPI) is up to date");
    master->state.wall_ns++;
    assert_string_equal(
        deployed(master, API("a", "  compute: {cpu: 2}\n"))->results[0]->message,
        "updated a (BatchAPI)");
    const Cortex__V1__GetApiReply *reply = get_api(master, "a");
    assert_int_equal(reply->n_versions,
                     2); // not one for the deploy that changed nothing
    assert_string_equal(reply->versions[0]->api_id, reply->api->api_id);
}

static void an_older_definition_can_be_deployed_again(void **state)
{
    struct master_fixture *master = *state;

    for (int i = 0; i < 4; i++) {
        master->state.wall_ns++;
        (void)deployed(master,
                       i % 2 ? API("a", "") : API("a", "  compute: {cpu: 2}\n"));
    }
    assert_int_equal(get_api(master, "a")->n_versions, 4);
}

static void what_is_deployed_survives_a_restart(void **state)
{
    struct master_fixture *master = *state;

    (void)deployed(master, API("b", "") API("a", "  networking: {endpoint: /x/y}\n"));
    fixture_restart(master);
    assert_string_equal(get_api(master, "a")->api->endpoint, "/x/y");
    assert_string_equal(get_api(master, "b")->api->endpoint, "/b");
    assert_string_equal(deployed(master, API("b", ""))->results[0]->message,
                        "b (BatchAPI) is up to date");
}

static void
an_endpoint_belongs_to_one_api_and_a_file_is_taken_whole_or_not(void **state)
{
    struct master_fixture *master = *state;

    (void)deployed(master, API("a", ""));
    uintptr_t call =
        fixture_deploy(master, API("b", "") API("c", "  networking: {endpoint: /a}\n"));
    const struct error *err = fixture_error(master, call);
    assert_int_equal(err->code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(err->kind, "spec.duplicate_endpoint");
    assert_non_null(strstr(err->message, "\"/a\""));
    assert_null(get_api(master, "b")); // the good one neither
    // Given up, it can be taken.
    (void)delete_api(master, "a", false);
    assert_int_equal(
        deployed(master, API("c", "  networking: {endpoint: /a}\n"))->n_results, 1);
}

static void endpoints_are_exchanged_in_one_deploy(void **state)
{
    struct master_fixture *master = *state;

    (void)deployed(master, API("a", "") API("b", "") API("c", ""));
    (void)deployed(master,
                   API("a", "  networking: {endpoint: /b}\n")
                       API("b", "  networking: {endpoint: /c}\n")
                           API("c", "  networking: {endpoint: /a}\n"));
    fixture_restart(master);
    assert_string_equal(get_api(master, "a")->api->endpoint, "/b");
    assert_string_equal(get_api(master, "b")->api->endpoint, "/c");
    assert_string_equal(get_api(master, "c")->api->endpoint, "/a");
}

static void jobs_stay_with_the_version_they_were_submitted_to(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.batches = 1};
    Cortex__V1__GetJobRequest said = CORTEX__V1__GET_JOB_REQUEST__INIT;

    (void)fixture_deploy(master, FIXTURE_API);
    said.job_id = fixture_submit(master, &wanted);
    char *before = memory_strdup(get_api(master, "classifier")->api->api_id);
    master->state.wall_ns++;
    (void)fixture_deploy(master,
                         "- name: classifier\n  kind: BatchAPI\n"
                         "  predictor: {type: python, path: other.py}\n");
    for (int i = 0; i < 2; i++) {
        const Cortex__V1__GetJobReply *reply =
            fixture_reply(master, fixture_call(master, "Client/GetJob", &said));
        assert_string_equal(reply->job->api_id, before);
        assert_string_equal(reply->api->api_id, before);
        assert_string_equal(
            state_job(&master->state, said.job_id)->version->predictor_path,
            "predictor.py");
        fixture_restart(master);
    }
    assert_string_not_equal(get_api(master, "classifier")->api->api_id, before);
    free(before);
}

static void deleting_an_api_stops_its_jobs_and_frees_its_name(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job running = {.batches = 5, .key = "once"};
    struct fixture_job enqueuing = {0};
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 4000};
    Cortex__V1__GetJobRequest said = CORTEX__V1__GET_JOB_REQUEST__INIT;

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t ids[] = {fixture_submit(master, &running),
                      fixture_submit(master, &enqueuing)};
    fixture_bring_up(master, &agent);
    uint64_t worker_id = fixture_worker_of(&agent, ids[0])->worker_id;
    const Cortex__V1__DeleteApiReply *reply =
        fixture_reply(master, delete_api(master, "classifier", false));
    assert_string_equal(reply->message, "deleting classifier");
    assert_null(get_api(master, "classifier"));
    for (int i = 0; i < 2; i++) { // with rows, payloads and log
        said.job_id = ids[i];
        assert_string_equal(
            fixture_error(master, fixture_call(master, "Client/GetJob", &said))->kind,
            "batchapi.job_not_found");
        assert_int_equal(fixture_count(master, ACTION_FORGET_JOB, ids[i]), 1);
    }
    assert_int_equal(fixture_count(master, ACTION_ENQUEUE_CANCEL, ids[1]), 1);
    assert_int_equal(fixture_ask(master, &agent, worker_id, 5)->n_grants, 0);
    fixture_sync(master, &agent);
    assert_int_equal(fixture_worker_of(&agent, ids[0])->wish, WISH(STOP));
    // The name is free, its history gone: even the key is new.
    (void)fixture_deploy(master, FIXTURE_API);
    assert_int_equal(get_api(master, "classifier")->n_jobs, 0);
    assert_int_equal(get_api(master, "classifier")->n_versions, 1);
    assert_int_not_equal(fixture_submit(master, &running), ids[0]);
    // The old worker leaves, and brings nothing back.
    fixture_worker_of(&agent, ids[0])->state = WORKER(EXITED);
    fixture_sync(master, &agent);
    assert_int_equal(get_api(master, "classifier")->n_jobs, 1);
}

static void a_delete_survives_a_crash_right_behind_its_answer(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.batches = 5};
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 4000};

    (void)fixture_deploy(master, FIXTURE_API);
    (void)fixture_submit(master, &wanted);
    fixture_bring_up(master, &agent);
    (void)delete_api(master, "classifier", false);
    fixture_restart(master);
    assert_int_equal(master->state.api_count, 0);
    assert_int_equal(master->state.jobs.count, 0);
    fixture_sync(master, &agent); // its worker is to be stopped, named or not
    assert_true(agent.workers[0].wish == WISH(UNSPECIFIED) ||
                agent.workers[0].wish == WISH(STOP));
}

static void with_keep_cache_the_jobs_stay_listed(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_job wanted = {.batches = 5};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &wanted);
    (void)delete_api(master, "classifier", true);
    assert_int_equal(fixture_job(master, job_id)->state, JOB(STOPPED));
    assert_int_equal(fixture_count(master, ACTION_FORGET_JOB, job_id), 0);
    (void)fixture_deploy(master, FIXTURE_API);
    assert_int_equal(get_api(master, "classifier")->n_jobs, 1);
}

static void one_that_is_not_deployed_cannot_be_deleted(void **state)
{
    struct master_fixture *master = *state;
    const struct error *err = fixture_error(master, delete_api(master, "a", false));

    assert_int_equal(err->code, ERROR_NOT_FOUND);
    assert_string_equal(err->kind, "resources.api_not_deployed");
}

static void a_file_that_could_not_be_read_is_an_answer_not_an_end(void **state)
{
    struct master_fixture *master = *state;
    struct deploy_prepared *prepared = memory_zalloc(sizeof(*prepared));
    Cortex__V1__DeployRequest said = CORTEX__V1__DEPLOY_REQUEST__INIT;

    error_set(&prepared->error, ERROR_INTERNAL, "the object store is away");
    uintptr_t call = fixture_call_prepared(master, "Client/Deploy", &said, prepared);
    assert_string_equal(fixture_error(master, call)->message,
                        "the object store is away");
    deploy_prepared_free(prepared);
}

static void what_no_agent_could_run_is_refused_with_the_most_there_is(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent agent = {.id = 1, .incarnation = 1, .cpu_millis = 2000};

    // Before there is an agent nobody knows how large they will be.
    (void)deployed(master, API("early", "  compute: {cpu: 64}\n"));
    fixture_sync(master, &agent);
    const struct error *err = fixture_error(
        master, fixture_deploy(master, API("a", "  compute: {cpu: 3}\n")));
    assert_string_equal(err->kind, "resources.no_available_node_compute_limit");
    assert_non_null(strstr(err->message, "a (BatchAPI): compute: "));
    assert_non_null(strstr(err->message, "cpu 3000m"));
    assert_non_null(strstr(err->message, "the most that any offers is cpu 2000m"));
    assert_null(get_api(master, "a"));
    (void)deployed(master, API("a", "  compute: {cpu: 2}\n"));
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, master_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(a_deploy_says_created_updated_or_up_to_date),
        HOLDS(an_older_definition_can_be_deployed_again),
        HOLDS(what_is_deployed_survives_a_restart),
        HOLDS(an_endpoint_belongs_to_one_api_and_a_file_is_taken_whole_or_not),
        HOLDS(endpoints_are_exchanged_in_one_deploy),
        HOLDS(jobs_stay_with_the_version_they_were_submitted_to),
        HOLDS(deleting_an_api_stops_its_jobs_and_frees_its_name),
        HOLDS(a_delete_survives_a_crash_right_behind_its_answer),
        HOLDS(with_keep_cache_the_jobs_stay_listed),
        HOLDS(one_that_is_not_deployed_cannot_be_deleted),
        HOLDS(a_file_that_could_not_be_read_is_an_answer_not_an_end),
        HOLDS(what_no_agent_could_run_is_refused_with_the_most_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
