/* SPDX-License-Identifier: Apache-2.0 */
/* test_document.c - are apis, jobs and batches written as the Batch API has them? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/document.h"
#include "client/json_writer.h"

#define URL "http://127.0.0.1:8888"

static struct client_job job_of_tutorial(void)
{
    return (struct client_job){
        .job_id = 0x69d6faf82e4660d3,
        .api_name = (char *)"image-classifier",
        .api_id = (char *)"69d6f-0a1b",
        .spec_id = (char *)"spec1",
        .predictor_id = (char *)"pred1",
        .state = CLIENT_JOB_RUNNING,
        .workers = 1,
        .max_attempts = 1,
        .dead_letter_arn = (char *)"",
        .config = (char *)"{\"dest_s3_dir\": \"s3://b/d\"}",
        .total = 3,
        .succeeded = 2,
        .queued = 0,
        .in_hand = 1,
        .succeeded_us = 2500001,
        .start_ns = 1595207264000000007,
        .has_worker_counts = true,
        .workers_running = 1,
        .reason = (char *)"",
    };
}

static struct client_definition definition_of_tutorial(void)
{
    return (struct client_definition){
        .name = (char *)"image-classifier",
        .kind = (char *)"BatchAPI",
        .endpoint = (char *)"/image-classifier",
        .api_id = (char *)"69d6f-0a1b",
        .spec = (char *)"{\"name\":\"image-classifier\"}",
    };
}

static void a_job_has_every_key_with_status_first_and_endpoint_last(void **state)
{
    struct client_job job = job_of_tutorial();
    struct client_definition definition = definition_of_tutorial();
    struct buffer out = BUFFER_INIT;

    (void)state;
    document_job(&out, &job, &definition, URL);
    assert_string_equal(buffer_text(&out),
                        "{\n"
                        "    \"job_status\":{\n"
                        "        \"job_id\":\"69d6faf82e4660d3\",\n"
                        "        \"api_name\":\"image-classifier\",\n"
                        "        \"workers\":1,\n"
                        "        \"sqs_dead_letter_queue\":null,\n"
                        "        \"config\":{\"dest_s3_dir\": \"s3://b/d\"},\n"
                        "        \"timeout\":null,\n"
                        "        \"api_id\":\"69d6f-0a1b\",\n"
                        "        \"spec_id\":\"spec1\",\n"
                        "        \"predictor_id\":\"pred1\",\n"
                        "        \"sqs_url\":\"\",\n"
                        "        \"total_batch_count\":3,\n"
                        "        \"start_time\":\"2020-07-20T01:07:44.000000007Z\",\n"
                        "        \"end_time\":null,\n"
                        "        \"status\":\"status_running\",\n"
                        "        \"batches_in_queue\":1,\n"
                        "        \"batches_in_hand\":1,\n"
                        "        \"batch_metrics\":{\n"
                        "            \"succeeded\":2,\n"
                        "            \"failed\":0,\n"
                        "            \"average_time_per_batch\":1.250000\n"
                        "        },\n"
                        "        \"worker_counts\":{\n"
                        "            \"pending\":0,\n"
                        "            \"initializing\":0,\n"
                        "            \"running\":1,\n"
                        "            \"succeeded\":0,\n"
                        "            \"failed\":0,\n"
                        "            \"stalled\":0,\n"
                        "            \"unknown\":0\n"
                        "        },\n"
                        "        \"max_attempts\":1,\n"
                        "        \"reason\":null\n"
                        "    },\n"
                        "    \"api_spec\":{\"name\":\"image-classifier\"},\n"
                        "    \"job_endpoint\":\"" URL
                        "/image-classifier/69d6faf82e4660d3\",\n"
                        "    \"endpoint\":\"" URL "/image-classifier\"\n"
                        "}\n");
    buffer_fini(&out);
}

static void a_finished_job_has_no_queue_and_no_workers(void **state)
{
    struct client_job job = job_of_tutorial();
    struct client_definition definition = definition_of_tutorial();
    struct buffer out = BUFFER_INIT;

    (void)state;
    job.state = CLIENT_JOB_STOPPED;
    job.has_worker_counts = false;
    job.end_ns = 1595207265000000000;
    job.reason = (char *)"stopped by a request";
    document_job(&out, &job, &definition, URL);
    const char *text = buffer_text(&out);
    assert_non_null(strstr(text, "\"status\":\"status_stopped\""));
    assert_non_null(strstr(text, "\"batches_in_queue\":0,"));
    assert_non_null(strstr(text, "\"worker_counts\":null,"));
    assert_non_null(strstr(text, "\"end_time\":\"2020-07-20T01:07:45.000000000Z\""));
    assert_non_null(strstr(text, "\"reason\":\"stopped by a request\""));
    buffer_fini(&out);
}

static void metrics_are_null_while_a_job_is_enqueuing(void **state)
{
    struct client_job job = job_of_tutorial();
    struct client_definition definition = definition_of_tutorial();
    struct buffer out = BUFFER_INIT;

    (void)state;
    job.state = CLIENT_JOB_ENQUEUING;
    document_job(&out, &job, &definition, URL);
    assert_non_null(strstr(buffer_text(&out), "\"batch_metrics\":null,"));
    buffer_fini(&out);
}

static void the_answer_to_a_submit_is_one_line_beginning_with_id_and_name(void **state)
{
    struct client_job job = job_of_tutorial();
    struct buffer out = BUFFER_INIT;

    (void)state;
    job.timeout_s = 3600;
    job.max_attempts = 4;
    job.dead_letter_arn = (char *)"arn:aws:sqs:us-west-2:1:q";
    document_submitted(&out, &job);
    assert_string_equal(buffer_text(&out),
                        "{\"job_id\":\"69d6faf82e4660d3\","
                        "\"api_name\":\"image-classifier\",\"workers\":1,"
                        "\"sqs_dead_letter_queue\":{\"arn\":"
                        "\"arn:aws:sqs:us-west-2:1:q\",\"max_receive_count\":4},"
                        "\"config\":{\"dest_s3_dir\": \"s3://b/d\"},\"timeout\":3600,"
                        "\"api_id\":\"69d6f-0a1b\",\"spec_id\":\"spec1\","
                        "\"predictor_id\":\"pred1\",\"sqs_url\":\"\","
                        "\"total_batch_count\":0,"
                        "\"start_time\":\"2020-07-20T01:07:44.000000007Z\"}\n");
    buffer_fini(&out);
}

static void a_config_is_put_in_byte_for_byte(void **state)
{
    static char config[] = "{ \"z\":12345678901234567890,\n\t\"a\" : 1e400, \"a\":"
                           "\"\\u00e9\\u0000\", \"f\":1.0}";
    struct client_job job = job_of_tutorial();
    struct client_definition definition = definition_of_tutorial();
    struct buffer out = BUFFER_INIT;

    (void)state;
    job.config = config;
    document_job(&out, &job, &definition, URL);
    assert_non_null(strstr(buffer_text(&out), config));
    buffer_clear(&out);
    document_submitted(&out, &job);
    assert_non_null(strstr(buffer_text(&out), config));
    job.config = (char *)"";
    buffer_clear(&out);
    document_submitted(&out, &job);
    assert_non_null(strstr(buffer_text(&out), "\"config\":null,"));
    buffer_fini(&out);
}

static void numbers_beyond_two_to_the_53_stay_exact(void **state)
{
    struct client_job job = job_of_tutorial();
    struct client_definition definition = definition_of_tutorial();
    struct buffer out = BUFFER_INIT;

    (void)state;
    job.total = UINT64_MAX;
    document_job(&out, &job, &definition, URL);
    assert_non_null(
        strstr(buffer_text(&out), "\"total_batch_count\":18446744073709551615,"));
    buffer_fini(&out);
}

static void an_api_lists_its_jobs_and_versions(void **state)
{
    struct client_job job = job_of_tutorial();
    struct client_version version = {.api_id = (char *)"v1",
                                     .deployed_ns = 1595207264999999999};
    struct client_detail detail = {
        .definition = definition_of_tutorial(),
        .jobs = &job,
        .job_count = 1,
        .versions = &version,
        .version_count = 1,
        .more = true,
    };
    struct buffer out = BUFFER_INIT;

    (void)state;
    document_api(&out, &detail, URL);
    const char *text = buffer_text(&out);
    assert_non_null(
        strstr(text, "\"job_statuses\":[\n        {\n            \"job_id\""));
    assert_non_null(strstr(text, "\"last_updated\":1595207264\n"));
    assert_non_null(strstr(text, "    \"more\":true,\n"));
    assert_non_null(strstr(text, "    \"endpoint\":\"" URL "/image-classifier\"\n}\n"));
    detail.job_count = 0;
    detail.version_count = 0;
    buffer_clear(&out);
    document_api(&out, &detail, URL);
    assert_non_null(strstr(buffer_text(&out), "\"job_statuses\":[],"));
    buffer_fini(&out);
}

static void no_apis_are_an_empty_array(void **state)
{
    struct client_listing listing = {0};
    struct buffer out = BUFFER_INIT;

    (void)state;
    document_apis(&out, &listing, URL);
    assert_string_equal(buffer_text(&out), "[]\n");
    buffer_fini(&out);
}

static void an_api_without_jobs_has_an_empty_list_among_all_apis(void **state)
{
    struct client_listed listed = {.definition = definition_of_tutorial()};
    struct client_listing listing = {.apis = &listed, .count = 1};
    struct buffer out = BUFFER_INIT;

    (void)state;
    document_apis(&out, &listing, URL);
    assert_string_equal(buffer_text(&out),
                        "[\n"
                        "    {\n"
                        "        \"spec\":{\"name\":\"image-classifier\"},\n"
                        "        \"job_statuses\":[],\n"
                        "        \"jobs_in_progress\":0,\n"
                        "        \"endpoint\":\"" URL "/image-classifier\"\n"
                        "    }\n"
                        "]\n");
    buffer_fini(&out);
}

static void a_deployment_says_what_was_done_to_each_api(void **state)
{
    struct client_deployed result = {.message =
                                         (char *)"created image-classifier (BatchAPI)",
                                     .definition = definition_of_tutorial()};
    struct client_deployment deployment = {.results = &result, .count = 1};
    struct buffer out = BUFFER_INIT;

    (void)state;
    document_deployment(&out, &deployment, URL);
    assert_non_null(strstr(buffer_text(&out),
                           "        \"message\":\"created image-classifier "
                           "(BatchAPI)\",\n        \"error\":\"\"\n"));
    buffer_fini(&out);
}

static void batches_say_where_to_go_on(void **state)
{
    struct client_batch rows[] = {
        {.batch_id = "1de0bc65-04ea-8b9e-9e96-5a0bb52fcc37",
         .index = 7,
         .state = CLIENT_BATCH_FAILED,
         .attempts = 2,
         .worker = (char *)"w1",
         .start_ns = 1595207264000000000,
         .duration_us = 1500,
         .error = (char *)"ValueError: \"x\"\tand a tab"},
        {.batch_id = "2de0bc65-04ea-8b9e-9e96-5a0bb52fcc37",
         .index = 8,
         .state = CLIENT_BATCH_QUEUED,
         .worker = (char *)"",
         .error = (char *)""},
    };
    struct client_batches batches = {
        .batches = rows, .count = 2, .more = true, .next_index = 9};
    struct buffer out = BUFFER_INIT;

    (void)state;
    document_batches(&out, &batches);
    assert_string_equal(
        buffer_text(&out),
        "{\n"
        "    \"batches\":[\n"
        "        {\n"
        "            \"id\":\"1de0bc65-04ea-8b9e-9e96-5a0bb52fcc37\",\n"
        "            \"index\":7,\n"
        "            \"state\":\"failed\",\n"
        "            \"attempts\":2,\n"
        "            \"worker\":\"w1\",\n"
        "            \"start_time\":\"2020-07-20T01:07:44.000000000Z\",\n"
        "            \"duration\":0.001500,\n"
        "            \"error\":\"ValueError: \\\"x\\\"\\tand a tab\"\n"
        "        },\n"
        "        {\n"
        "            \"id\":\"2de0bc65-04ea-8b9e-9e96-5a0bb52fcc37\",\n"
        "            \"index\":8,\n"
        "            \"state\":\"queued\",\n"
        "            \"attempts\":0,\n"
        "            \"worker\":null,\n"
        "            \"start_time\":null,\n"
        "            \"duration\":null,\n"
        "            \"error\":null\n"
        "        }\n"
        "    ],\n"
        "    \"next_after\":8\n"
        "}\n");
    batches.more = false;
    buffer_clear(&out);
    document_batches(&out, &batches);
    assert_non_null(strstr(buffer_text(&out), "\"next_after\":null\n"));
    buffer_fini(&out);
}

static void messages_and_errors_are_one_line(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct error err;

    (void)state;
    document_message(&out, "stopped job 69d96a01ea55da8c");
    assert_string_equal(buffer_text(&out),
                        "{\"message\":\"stopped job 69d96a01ea55da8c\"}\n");
    buffer_clear(&out);
    error_set_kind(&err,
                   ERROR_INVALID_ARGUMENT,
                   "configreader.too_few_elements",
                   "items: \\ \x01 caf\xc3\xa9");
    document_error(&out, &err);
    assert_string_equal(buffer_text(&out),
                        "{\"kind\":\"configreader.too_few_elements\","
                        "\"message\":\"items: \\\\ \\u0001 caf\xc3\xa9\"}\n");
    buffer_clear(&out);
    error_set(&err, ERROR_NOT_FOUND, "no such path");
    document_error(&out, &err);
    assert_string_equal(buffer_text(&out),
                        "{\"kind\":\"not_found\",\"message\":\"no such path\"}\n");
    buffer_fini(&out);
}

static void state_words_are_understood_in_every_spelling(void **state)
{
    enum client_job_state job;
    enum client_batch_state batch;

    (void)state;
    assert_true(client_job_state_parse("status_worker_oom", &job));
    assert_int_equal(job, CLIENT_JOB_WORKER_OOM);
    assert_true(client_job_state_parse("worker_oom", &job));
    assert_int_equal(job, CLIENT_JOB_WORKER_OOM);
    assert_true(client_job_state_parse("out of memory", &job));
    assert_int_equal(job, CLIENT_JOB_WORKER_OOM);
    assert_false(client_job_state_parse("oom", &job));
    assert_true(client_batch_state_parse("in_hand", &batch));
    assert_int_equal(batch, CLIENT_BATCH_IN_HAND);
    assert_false(client_batch_state_parse("any", &batch));
    assert_string_equal(client_job_state_code((enum client_job_state)99),
                        "status_unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_has_every_key_with_status_first_and_endpoint_last),
        cmocka_unit_test(a_finished_job_has_no_queue_and_no_workers),
        cmocka_unit_test(metrics_are_null_while_a_job_is_enqueuing),
        cmocka_unit_test(the_answer_to_a_submit_is_one_line_beginning_with_id_and_name),
        cmocka_unit_test(a_config_is_put_in_byte_for_byte),
        cmocka_unit_test(numbers_beyond_two_to_the_53_stay_exact),
        cmocka_unit_test(an_api_lists_its_jobs_and_versions),
        cmocka_unit_test(no_apis_are_an_empty_array),
        cmocka_unit_test(an_api_without_jobs_has_an_empty_list_among_all_apis),
        cmocka_unit_test(a_deployment_says_what_was_done_to_each_api),
        cmocka_unit_test(batches_say_where_to_go_on),
        cmocka_unit_test(messages_and_errors_are_one_line),
        cmocka_unit_test(state_words_are_understood_in_every_spelling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
