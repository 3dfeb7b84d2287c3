/* SPDX-License-Identifier: Apache-2.0 */
/* test_submission.c - is a POST's body checked as the Batch API says? */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "common/fs.h"
#include "common/json.h"
#include "master/submission.h"

#define CORPUS TEST_SOURCE_DIR "/tests/corpus/submission"

static const struct submission_limits small = {4000, 1000, 4000};
static const struct submission_limits usual = SUBMISSION_LIMITS_DEFAULT;

static int check_url(void *arg, const char *url, struct error *err)
{
    (void)arg;
    if (strncmp(url, "s3://", 5) == 0 && url[5]) {
        return 0;
    }
    return error_set_kind(err,
                          ERROR_INVALID_ARGUMENT,
                          "aws.invalid_s3_path",
                          "%s: expected s3://bucket/key",
                          url);
}

static int parse(const char *text, struct submission **out, struct error *err)
{
    return submission_parse(text, strlen(text), &usual, check_url, NULL, out, err);
}

static const char *text_of(const cJSON *row, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, key));
}

static void check_row(const char *file, const cJSON *row)
{
    struct submission *submission = NULL;
    struct error err = {0};
    const char *body = text_of(row, "body");
    const cJSON *fragment = NULL;
    char *exact = memory_strndup(body, strlen(body)); // so that asan sees the end
    int result = submission_parse(
        exact, strlen(body), &small, check_url, NULL, &submission, &err);

    if (strcmp(error_code_name(err.code), text_of(row, "code")) != 0 ||
        (result != 0 && strcmp(error_kind(&err), text_of(row, "kind")) != 0)) {
        fail_msg("%s: %s: %s %s: %s",
                 file,
                 text_of(row, "name"),
                 error_code_name(err.code),
                 error_kind(&err),
                 err.message);
    }
    cJSON_ArrayForEach(fragment, cJSON_GetObjectItemCaseSensitive(row, "message"))
    {
        if (!strstr(err.message, fragment->valuestring)) {
            fail_msg("%s: %s: expected '%s' in: %s",
                     file,
                     text_of(row, "name"),
                     fragment->valuestring,
                     err.message);
        }
    }
    submission_destroy(submission);
    free(exact);
}

static size_t check_file(const char *name)
{
    struct buffer text = BUFFER_INIT;
    char *path = fs_join(CORPUS, name);
    const cJSON *row = NULL;
    size_t count = 0;

    assert_int_equal(fs_read(path, 1 << 20, &text, NULL), 0);
    cJSON *rows = cJSON_Parse(buffer_text(&text));
    assert_non_null(rows);
    cJSON_ArrayForEach(row, rows)
    {
        check_row(name, row);
        count++;
    }
    cJSON_Delete(rows);
    buffer_fini(&text);
    free(path);
    return count;
}

static void every_case_of_the_corpus_ends_as_it_says(void **state)
{
    (void)state;
    DIR *folder = opendir(CORPUS);
    struct dirent *entry = NULL;
    size_t count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        if (strstr(entry->d_name, ".json")) {
            count += check_file(entry->d_name);
        }
    }
    (void)closedir(folder);
    assert_true(count >= 80);
}

static void an_item_list_keeps_items_and_config_byte_for_byte(void **state)
{
    (void)state;
    static const char items[] = "[ 12345678901234567890,1.0 , 1e400,\"\\u00e9\"]";
    static const char config[] = "{\"b\": 1.0, \"a\":1e400, \"a\" : \"\\u00e9\"}";
    struct submission *submission = NULL;
    char *body = memory_format("{\"workers\":3,\"timeout\":60,\"max_attempts\":4,"
                               "\"item_list\":{\"items\":%s,\"batch_size\":2},"
                               "\"config\": %s }",
                               items,
                               config);

    assert_int_equal(parse(body, &submission, NULL), 0);
    assert_int_equal(submission->input, SUBMISSION_ITEM_LIST);
    assert_int_equal(submission->workers, 3);
    assert_int_equal(submission->timeout_s, 60);
    assert_int_equal(submission->max_attempts, 4);
    assert_int_equal(submission->batch_size, 2);
    assert_int_equal(submission->item_count, 4);
    assert_int_equal(submission->items.size, sizeof(items) - 1);
    assert_memory_equal(submission->items.text, items, sizeof(items) - 1);
    assert_int_equal(submission->config.size, sizeof(config) - 1);
    assert_memory_equal(submission->config.text, config, sizeof(config) - 1);
    submission_destroy(submission);
    free(body);
}

static void what_is_absent_has_its_default(void **state)
{
    (void)state;
    struct submission *submission = NULL;
    static const char body[] =
        "{\"workers\":1,\"item_list\":{\"items\":[1],\"batch_size\":1}}";

    assert_int_equal(parse(body, &submission, NULL), 0);
    assert_int_equal(submission->timeout_s, 0);
    assert_int_equal(submission->max_attempts, 1);
    assert_null(submission->dead_letter_arn);
    assert_int_equal(submission->config.size, 0);
    submission_destroy(submission);
}

static void a_dead_letter_queue_sets_the_attempts(void **state)
{
    (void)state;
    struct submission *submission = NULL;
    static const char body[] =
        "{\"workers\":1,\"item_list\":{\"items\":[1],\"batch_size\":1},"
        "\"sqs_dead_letter_queue\":{\"arn\":\"arn:aws:sqs:us-east-1:123456789012:x\","
        "\"max_receive_count\":5}}";

    assert_int_equal(parse(body, &submission, NULL), 0);
    assert_int_equal(submission->max_attempts, 5);
    assert_string_equal(submission->dead_letter_arn,
                        "arn:aws:sqs:us-east-1:123456789012:x");
    submission_destroy(submission);
}

static void a_path_that_another_covers_is_marked(void **state)
{
    (void)state;
    struct submission *submission = NULL;
    static const char body[] =
        "{\"workers\":1,\"delimited_files\":{\"batch_size\":1,\"s3_paths\":["
        "\"s3://b/x/y\",\"s3://b/x\",\"s3://b/xy\",\"s3://c/1\",\"s3://c\",\"s3://cc/"
        "1\","
        "\"s3://b/x\",\"s3://d/2\",\"s3://b/w\"]}}";
    static const size_t covered_by[] = {1,
                                        LISTER_UNCOVERED,
                                        1,
                                        4,
                                        LISTER_UNCOVERED,
                                        LISTER_UNCOVERED,
                                        1,
                                        LISTER_UNCOVERED,
                                        LISTER_UNCOVERED};

    assert_int_equal(parse(body, &submission, NULL), 0);
    assert_int_equal(submission->lister.path_count, 9);
    for (size_t i = 0; i < submission->lister.path_count; i++) {
        assert_int_equal(submission->lister.paths[i].covered_by, covered_by[i]);
    }
    submission_destroy(submission);
}

static void files_are_selected_by_includes_and_then_excludes(void **state)
{
    (void)state;
    struct submission *submission = NULL;
    static const char body[] = "{\"workers\":1,\"file_path_lister\":{\"batch_size\":1,"
                               "\"s3_paths\":[\"s3://b\"],"
                               "\"includes\":[\"**.jpg\",\"**.png\"],\"excludes\":[\"**"
                               "/tmp/**\",\"**_1.*\"]}}";
    static const struct {
        const char *url;
        bool selected;
    } rows[] = {{"s3://b/a.jpg", true},
                {"s3://b/x/a.png", true},
                {"s3://b/a.gif", false},
                {"s3://b/tmp/a.jpg", false},
                {"s3://b/a_1.jpg", false}};

    assert_int_equal(parse(body, &submission, NULL), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(
            lister_selects(&submission->lister, rows[i].url, strlen(rows[i].url)),
            rows[i].selected);
    }
    submission_destroy(submission);
}

static void a_body_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    static const char body[] =
        "{\"workers\":1,\"file_path_lister\":{\"batch_size\":1,\"s3_paths\":[\"s3://"
        "b\"],"
        "\"includes\":[\"**.jp\\u0067\"]},\"config\":{\"a\":[1,2.5]}}";

    for (size_t size = 0; size < sizeof(body) - 1; size++) {
        struct submission *submission = NULL;
        char *cut = memory_strndup(body, size);
        assert_int_equal(
            submission_parse(cut, size, &usual, check_url, NULL, &submission, NULL),
            -1);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_the_corpus_ends_as_it_says),
        cmocka_unit_test(an_item_list_keeps_items_and_config_byte_for_byte),
        cmocka_unit_test(what_is_absent_has_its_default),
        cmocka_unit_test(a_dead_letter_queue_sets_the_attempts),
        cmocka_unit_test(a_path_that_another_covers_is_marked),
        cmocka_unit_test(files_are_selected_by_includes_and_then_excludes),
        cmocka_unit_test(a_body_cut_at_any_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
