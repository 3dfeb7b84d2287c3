/* SPDX-License-Identifier: Apache-2.0 */
/* test_render.c - do people see the tables, blocks and bars that the tutorial shows? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/progress.h"
#include "client/cli/render.h"
#include "client/cli/show.h"

#define SECOND_NS INT64_C(1000000000)
#define START_NS  (INT64_C(1595862145) * SECOND_NS) /* 27 Jul 2020 15:02:25 UTC */
#define JOB_ID    UINT64_C(0x69d6faf82e4660d3)

static void assert_text(struct buffer *buffer, const char *wanted)
{
    assert_string_equal(buffer_text(buffer), wanted);
    buffer_fini(buffer);
}

static struct client_job job_of(enum client_job_state state)
{
    return (struct client_job){
        .job_id = JOB_ID,
        .api_name = (char *)"image-classifier",
        .api_id = (char *)"1",
        .state = state,
        .workers = 1,
        .dead_letter_arn = (char *)"",
        .config = (char *)"",
        .total = 3,
        .start_ns = START_NS,
        .reason = (char *)"",
        .max_attempts = 1,
    };
}

static struct client_definition definition(void)
{
    return (struct client_definition){
        .name = (char *)"image-classifier",
        .kind = (char *)"BatchAPI",
        .endpoint = (char *)"/image-classifier",
        .spec = (char *)"{\"name\":\"image-classifier\"}",
        .updated_ns = START_NS,
    };
}

static struct show show_at(int64_t seconds)
{
    return (struct show){.bridge_url = "http://h:1",
                         .now_ns = START_NS + seconds * SECOND_NS};
}

/* Tables, pairs, JSON */

static void columns_are_three_spaces_apart_and_end_without_blanks(void **state)
{
    static const struct render_column columns[] = {{"a"}, {"long heading"}, {"c"}};
    char *cells[] = {(char *)"1",
                     (char *)"x",
                     (char *)"",
                     (char *)"wider",
                     (char *)"",
                     (char *)"end"};
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_table(&out, columns, 3, cells, 2, false);
    assert_text(&out,
                "a       long heading   c\n"
                "1       x\n"
                "wider                  end\n");
}

static void a_hidden_column_leaves_no_gap(void **state)
{
    static const struct render_column columns[] = {{"a"}, {"b", .hidden = true}, {"c"}};
    char *cells[] = {(char *)"1", (char *)"2", (char *)"3"};
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_table(&out, columns, 3, cells, 1, false);
    assert_text(&out, "a   c\n1   3\n");
}

static void a_column_is_as_wide_as_its_characters_not_its_bytes(void **state)
{
    static const struct render_column columns[] = {{"a"}, {"b"}};
    char *cells[] = {
        (char *)"\xc3\xa9\xc3\xa9", (char *)"1", (char *)"xx", (char *)"2"};
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_table(&out, columns, 2, cells, 2, false);
    assert_text(&out, "a    b\n\xc3\xa9\xc3\xa9   1\nxx   2\n");
}

static void bold_headings_leave_the_columns_where_they_are(void **state)
{
    static const struct render_column columns[] = {{"a"}, {"b"}};
    char *cells[] = {(char *)"12", (char *)"3"};
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_table(&out, columns, 2, cells, 1, true);
    assert_text(&out, "\x1b[1ma\x1b[0m    \x1b[1mb\x1b[0m\n12   3\n");
}

static void values_stand_below_one_another(void **state)
{
    static const struct render_pair pairs[] = {
        {"start time", "now"}, {"left out", NULL}, {"end", "-"}, {"empty", ""}};
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_pairs(&out, pairs, 4, false);
    assert_text(&out, "start time: now\nend:        -\nempty:\n");
}

static void json_is_laid_out_and_its_values_keep_their_bytes(void **state)
{
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_json(&out, "{\"a\": [1e400,{}, [ ] ],\"b{,:\\\"]\":\"x\\\\\",\"c\":-0.0}");
    assert_text(&out,
                "  {\n"
                "    \"a\": [\n"
                "      1e400,\n"
                "      {},\n"
                "      []\n"
                "    ],\n"
                "    \"b{,:\\\"]\": \"x\\\\\",\n"
                "    \"c\": -0.0\n"
                "  }\n");
}

static void sizes_are_told_in_the_largest_unit_that_fits(void **state)
{
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_size(&out, 1023);
    buffer_add_char(&out, ' ');
    render_size(&out, 1536);
    buffer_add_char(&out, ' ');
    render_size(&out, UINT64_C(12) << 20);
    buffer_add_char(&out, ' ');
    render_size(&out, UINT64_MAX);
    assert_text(&out, "1023 B 1.5 KiB 12.0 MiB 16777216.0 TiB");
}

/* Bars */

static void a_bar_grows_with_what_is_done(void **state)
{
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_bar(&out, 0, 8, 4);
    render_bar(&out, 1, 8, 4);
    render_bar(&out, 4, 8, 4);
    render_bar(&out, 7, 8, 4);
    render_bar(&out, 8, 8, 4);
    assert_text(&out, "[    ]   0%[>   ]  12%[==> ]  50%[===>]  87%[====] 100%");
}

static void a_bar_of_nothing_is_empty_and_of_too_much_is_full(void **state)
{
    struct buffer out = BUFFER_INIT;

    (void)state;
    render_bar(&out, 0, 0, 4);
    render_bar(&out, 9, 8, 4);
    assert_text(&out, "[    ]   0%[====] 100%");
}

static void one_sample_tells_no_rate(void **state)
{
    struct progress progress = {0};

    (void)state;
    progress_add(&progress, 1000, 5);
    assert_true(progress_rate(&progress) == 0);
    assert_int_equal(progress_left_ms(&progress, 10), -1);
}

static void rate_and_time_left_follow_the_samples(void **state)
{
    struct progress progress = {0};
    struct buffer out = BUFFER_INIT;

    (void)state;
    progress_add(&progress, 1000, 0);
    progress_add(&progress, 3000, 5);
    assert_true(progress_rate(&progress) == 2.5);
    assert_int_equal(progress_left_ms(&progress, 10), 2000);
    progress_render(&out, &progress, 10);
    assert_text(
        &out, "[===============>              ]  50%   5/10 batches   2.5/s   2s left");
}

static void a_job_that_stands_still_tells_no_time_left(void **state)
{
    struct progress progress = {0};
    struct buffer out = BUFFER_INIT;

    (void)state;
    progress_add(&progress, 1000, 5);
    progress_add(&progress, 2000, 5);
    progress_render(&out, &progress, 10);
    assert_text(&out, "[===============>              ]  50%   5/10 batches");
}

static void old_samples_are_forgotten(void **state)
{
    struct progress progress = {0};
    int64_t now_ms = 0;

    (void)state;
    progress_add(&progress, now_ms, 1000000); // a burst before the window
    for (unsigned i = 1; i <= PROGRESS_SAMPLES; i++) {
        now_ms += 1000;
        progress_add(&progress, now_ms, 1000000 + 4 * i);
    }
    progress_add(&progress, now_ms + 1000, 1000000 + 4 * PROGRESS_SAMPLES + 4);
    assert_true(progress_rate(&progress) == 4);
}

/* The tutorial's blocks */

static void an_api_without_jobs_shows_its_endpoint(void **state)
{
    struct client_detail detail = {.definition = definition()};
    struct show show = show_at(0);
    struct buffer out = BUFFER_INIT;

    (void)state;
    show_api(&out, &show, &detail);
    assert_text(&out, "no submitted jobs\n\nendpoint: http://h:1/image-classifier\n");
}

static void the_jobs_of_an_api_are_a_table(void **state)
{
    struct client_job job = job_of(CLIENT_JOB_RUNNING);
    struct client_detail detail = {
        .definition = definition(), .jobs = &job, .job_count = 1};
    struct show show = show_at(206);
    struct buffer out = BUFFER_INIT;

    (void)state;
    show_api(&out, &show, &detail);
    assert_text(
        &out,
        "job id             status    progress   start time                 duration\n"
        "69d6faf82e4660d3   running   0/3        27 Jul 2020 15:02:25 UTC   3m26s\n"
        "\nendpoint: http://h:1/image-classifier\n");
}

static void the_column_of_failed_batches_shows_when_a_job_has_one(void **state)
{
    struct client_job jobs[] = {job_of(CLIENT_JOB_RUNNING),
                                job_of(CLIENT_JOB_COMPLETED_WITH_FAILURES)};
    struct client_detail detail = {
        .definition = definition(), .jobs = jobs, .job_count = 2};
    struct show show = show_at(3);
    struct buffer out = BUFFER_INIT;

    (void)state;
    jobs[1].failed = 1;
    jobs[1].end_ns = START_NS + 2 * SECOND_NS;
    show_api(&out, &show, &detail);
    assert_text(&out,
                "job id             status                    progress   failed   "
                "start time                 duration\n"
                "69d6faf82e4660d3   running                   0/3        0        "
                "27 Jul 2020 15:02:25 UTC   3s\n"
                "69d6faf82e4660d3   completed with failures   0/3        1        "
                "27 Jul 2020 15:02:25 UTC   2s\n"
                "\nendpoint: http://h:1/image-classifier\n");
}

#define HEAD(status)                                                                   \
    "job id: 69d6faf82e4660d3\n"                                                       \
    "status: " status "\n\n"                                                           \
    "start time: 27 Jul 2020 15:02:25 UTC\n"
#define FOOT "\njob endpoint: http://h:1/image-classifier/69d6faf82e4660d3\n"

static void
assert_job(const struct client_job *job, int64_t seconds, const char *wanted)
{
    struct client_definition api = definition();
    struct show show = show_at(seconds);
    struct buffer out = BUFFER_INIT;

    show_job(&out, &show, job, &api);
    assert_text(&out, wanted);
}

static void a_running_job_shows_batches_and_workers(void **state)
{
    struct client_job job = job_of(CLIENT_JOB_RUNNING);

    (void)state;
    job.has_worker_counts = true;
    job.workers_initializing = 1;
    assert_job(
        &job,
        42,
        HEAD("running") "end time:   -\n"
                        "duration:   42s\n\n"
                        "batch stats\n"
                        "total   succeeded   failed   avg time per batch\n"
                        "3       0           0        -\n\n"
                        "worker stats\n"
                        "requested   initializing   running   failed   "
                        "succeeded\n"
                        "1           1              0         0        0\n" FOOT);
}

static void workers_that_wait_or_stall_get_a_column(void **state)
{
    struct client_job job = job_of(CLIENT_JOB_RUNNING);
    struct client_definition api = definition();
    struct show show = show_at(0);
    struct buffer out = BUFFER_INIT;

    (void)state;
    job.has_worker_counts = true;
    job.workers_pending = 2;
    job.workers_stalled = 3;
    show_job(&out, &show, &job, &api);
    assert_non_null(strstr(buffer_text(&out),
                           "requested   pending   initializing   stalled   running   "
                           "failed   succeeded\n"
                           "1           2         0              3         0         "
                           "0        0\n"));
    buffer_fini(&out);
}

static void a_job_that_enqueues_has_no_counts_yet(void **state)
{
    struct client_job job = job_of(CLIENT_JOB_ENQUEUING);

    (void)state;
    assert_job(&job,
               0,
               HEAD("enqueuing") "end time:   -\n"
                                 "duration:   0s\n\n"
                                 "batch stats\n"
                                 "total   succeeded   failed   avg time per batch\n"
                                 "-       -           -        -\n\n"
                                 "workers are started when all batches have been "
                                 "enqueued\n" FOOT);
}

static void a_job_that_has_ended_says_how_and_why(void **state)
{
    struct client_job job = job_of(CLIENT_JOB_WORKER_ERROR);

    (void)state;
    job.end_ns = START_NS + 5 * SECOND_NS;
    job.succeeded = 2;
    job.succeeded_us = 3000000;
    job.reason = (char *)"a worker failed";
    assert_job(&job,
               1000,
               "job id: 69d6faf82e4660d3\n"
               "status: worker error\n"
               "reason: a worker failed\n\n"
               "start time: 27 Jul 2020 15:02:25 UTC\n"
               "end time:   27 Jul 2020 15:02:30 UTC\n"
               "duration:   5s\n\n"
               "batch stats\n"
               "total   succeeded   failed   avg time per batch\n"
               "3       2           0        1.5s\n\n"
               "the job has ended and has no workers any more\n" FOOT);
}

static void apis_are_listed_with_their_environment_only_if_asked(void **state)
{
    struct client_listed listed[] = {
        {.definition = definition(),
         .has_latest_job = true,
         .latest_job = job_of(CLIENT_JOB_RUNNING)},
        {.definition = definition()},
    };
    struct client_listing listing = {listed, 2};
    struct show show = show_at(3600);
    struct buffer out = BUFFER_INIT;

    (void)state;
    listed[0].definition.jobs_in_progress = 2;
    listed[1].definition.name = (char *)"other";
    show_apis(&out, &show, NULL, &listing);
    assert_text(
        &out,
        "batch api          running jobs   latest job id                           "
        "last update\n"
        "image-classifier   2              69d6faf82e4660d3 (submitted 1h0m ago)   "
        "1h0m\n"
        "other              0              -                                       "
        "1h0m\n");
    listing.count = 1;
    show_apis(&out, &show, "aws", &listing);
    assert_memory_equal(buffer_text(&out), "env   batch api ", 16);
    buffer_clear(&out);
    listing.count = 0;
    show_apis(&out, &show, NULL, &listing);
    assert_text(&out, "no apis are deployed\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_three_spaces_apart_and_end_without_blanks),
        cmocka_unit_test(a_hidden_column_leaves_no_gap),
        cmocka_unit_test(a_column_is_as_wide_as_its_characters_not_its_bytes),
        cmocka_unit_test(bold_headings_leave_the_columns_where_they_are),
        cmocka_unit_test(values_stand_below_one_another),
        cmocka_unit_test(json_is_laid_out_and_its_values_keep_their_bytes),
        cmocka_unit_test(sizes_are_told_in_the_largest_unit_that_fits),
        cmocka_unit_test(a_bar_grows_with_what_is_done),
        cmocka_unit_test(a_bar_of_nothing_is_empty_and_of_too_much_is_full),
        cmocka_unit_test(one_sample_tells_no_rate),
        cmocka_unit_test(rate_and_time_left_follow_the_samples),
        cmocka_unit_test(a_job_that_stands_still_tells_no_time_left),
        cmocka_unit_test(old_samples_are_forgotten),
        cmocka_unit_test(an_api_without_jobs_shows_its_endpoint),
        cmocka_unit_test(the_jobs_of_an_api_are_a_table),
        cmocka_unit_test(the_column_of_failed_batches_shows_when_a_job_has_one),
        cmocka_unit_test(a_running_job_shows_batches_and_workers),
        cmocka_unit_test(workers_that_wait_or_stall_get_a_column),
        cmocka_unit_test(a_job_that_enqueues_has_no_counts_yet),
        cmocka_unit_test(a_job_that_has_ended_says_how_and_why),
        cmocka_unit_test(apis_are_listed_with_their_environment_only_if_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
