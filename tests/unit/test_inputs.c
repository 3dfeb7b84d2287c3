/* SPDX-License-Identifier: Apache-2.0 */
/* test_inputs.c - are the files of a submission found, listed in pages, and checked? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"
#include "master/inputs.h"
#include "master/submission.h"

struct fixture {
    char folder[64];
    struct object_store *store;
    struct buffer listed;
    size_t count;
    char *body;
    struct submission *submission;
};

static int setup(void **state)
{
    static const struct object_options options = {.allow_file = true, .backoff_ms = 1};
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/inputs-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(object_store_create(&options, &fixture->store, NULL), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    object_store_destroy(fixture->store);
    submission_destroy(fixture->submission);
    (void)fs_remove_tree(fixture->folder, NULL);
    buffer_fini(&fixture->listed);
    free(fixture->body);
    free(fixture);
    return 0;
}

static void put(struct fixture *fixture, const char *name)
{
    char *path = memory_format("%s/%s", fixture->folder, name);
    char *folder = memory_strndup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(fs_make_folder(folder, 0700, NULL), 0);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    free(folder);
    free(path);
}

static int check_url(void *arg, const char *url, struct error *err)
{
    return object_check_url(arg, url, err);
}

// paths: the inside of s3_paths, '$' standing for "file://<folder>".
static void submit(struct fixture *fixture, const char *paths, const char *more)
{
    static const struct submission_limits limits = SUBMISSION_LIMITS_DEFAULT;
    struct buffer list = BUFFER_INIT;

    for (; *paths; paths++) {
        if (*paths == '$') {
            buffer_add_format(&list, "file://%s", fixture->folder);
        } else {
            buffer_add_char(&list, *paths);
        }
    }
    submission_destroy(fixture->submission);
    free(fixture->body);
    fixture->submission = NULL;
    fixture->body =
        memory_format("{\"workers\":1,\"file_path_lister\":{\"batch_size\":1,"
                      "\"s3_paths\":[%s]%s}}",
                      buffer_text(&list),
                      more);
    buffer_fini(&list);
    assert_int_equal(submission_parse(fixture->body,
                                      strlen(fixture->body),
                                      &limits,
                                      check_url,
                                      fixture->store,
                                      &fixture->submission,
                                      NULL),
                     0);
}

static void note(void *arg, const char *url)
{
    struct fixture *fixture = arg;

    buffer_add_format(
        &fixture->listed, "%s ", url + strlen("file://") + strlen(fixture->folder));
    fixture->count++;
}

// All pages; returns how many there were, or -1.
static int list_all(struct fixture *fixture, struct error *err)
{
    struct buffer token = BUFFER_INIT;
    struct buffer next = BUFFER_INIT;
    int pages = 0;
    int result = 0;

    buffer_clear(&fixture->listed);
    fixture->count = 0;
    do {
        buffer_clear(&next);
        result = inputs_page(fixture->store,
                             &fixture->submission->lister,
                             buffer_text(&token),
                             note,
                             fixture,
                             &next,
                             err);
        buffer_clear(&token);
        buffer_add(&token, buffer_text(&next), next.size);
        pages++;
    } while (result == 0 && token.size);
    buffer_fini(&token);
    buffer_fini(&next);
    return result == 0 ? pages : -1;
}

static void a_prefix_means_all_that_begins_with_it(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "samples/b");
    put(fixture, "samples/a");
    put(fixture, "samples2/x");
    put(fixture, "samples.txt");
    put(fixture, "other");
    submit(fixture, "\"$/samples\"", "");
    assert_int_equal(list_all(fixture, NULL), 1);
    assert_string_equal(fixture->listed.data,
                        "/samples.txt /samples/a /samples/b /samples2/x ");
    submit(fixture, "\"$/samples/\"", ",\"excludes\":[\"**a\"]");
    assert_int_equal(list_all(fixture, NULL), 1);
    assert_string_equal(fixture->listed.data, "/samples/b ");
}

static void entries_come_in_the_order_given_and_each_file_once(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "a/1");
    put(fixture, "b/2");
    submit(fixture, "\"$/b/\",\"$/a/1\",\"$/a/\",\"$/b/2\"", "");
    assert_int_equal(list_all(fixture, NULL), 1);
    assert_string_equal(fixture->listed.data, "/b/2 /a/1 ");
}

static void pages_join_to_the_whole_listing(void **state)
{
    struct fixture *fixture = *state;
    size_t files = 2 * INPUTS_PAGE_PATHS_MAX;

    for (size_t i = 0; i < files; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%c/%05zu", i % 2 ? 'x' : 'y', i);
        put(fixture, name);
    }
    submit(fixture, "\"$/y/\",\"$/x/\"", "");
    assert_int_equal(list_all(fixture, NULL), 3);
    assert_int_equal(fixture->count, files);
    const char *turn = strstr(fixture->listed.data, "/y/01998 /x/00001 ");
    assert_non_null(turn);
    assert_int_equal(strncmp(fixture->listed.data, "/y/00000 /y/00002 ", 18), 0);
}

static void nothing_that_matches_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    put(fixture, "a/1");
    submit(fixture, "\"$/a/\",\"$/a/2\"", ",\"includes\":[\"**.jpg\"]");
    assert_int_equal(list_all(fixture, &err), -1);
    assert_string_equal(err.kind, "batchapi.no_s3_files_found");
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    error_clear(&err);
    assert_int_equal(
        inputs_check(fixture->store, &fixture->submission->lister, NULL, NULL, &err),
        -1);
    assert_string_equal(err.kind, "batchapi.no_s3_files_found");
    assert_non_null(strstr(err.message, "/a/ and 1 more), includes and excludes"));
}

static void one_match_is_enough_for_the_check(void **state)
{
    struct fixture *fixture = *state;

    put(fixture, "a/1");
    put(fixture, "b/1");
    submit(fixture, "\"$/a/nothing\",\"$/b/\"", "");
    assert_int_equal(
        inputs_check(fixture->store, &fixture->submission->lister, NULL, NULL, NULL),
        0);
}

static void a_page_token_that_was_not_returned_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const tokens[] = {
        "x", "1 0 ", "0", "0 ", "0 2 x", "-1 0 x", "99999999999999999999 0 x", "0 0"};

    put(fixture, "a/1");
    submit(fixture, "\"$/a/\"", "");
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        struct buffer next = BUFFER_INIT;
        struct error err = {0};
        assert_int_equal(inputs_page(fixture->store,
                                     &fixture->submission->lister,
                                     tokens[i],
                                     note,
                                     fixture,
                                     &next,
                                     &err),
                         -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        buffer_fini(&next);
    }
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void the_check_can_be_stopped(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    put(fixture, "a/1");
    submit(fixture, "\"$/a/\"", "");
    assert_int_equal(
        inputs_check(fixture->store, &fixture->submission->lister, always, NULL, &err),
        -1);
    assert_int_equal(err.code, ERROR_CANCELLED);
}

static void a_file_name_that_is_no_utf8_is_refused_when_it_is_meant(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    put(fixture, "a/1");
    put(fixture, "a/\xff.jpg");
    submit(fixture, "\"$/a/\"", ",\"excludes\":[\"**.jpg\"]");
    assert_int_equal(list_all(fixture, NULL), 1);
    submit(fixture, "\"$/a/\"", "");
    assert_int_equal(list_all(fixture, &err), -1);
    assert_non_null(strstr(err.message, "in UTF-8"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_prefix_means_all_that_begins_with_it),
        TEST(entries_come_in_the_order_given_and_each_file_once),
        TEST(pages_join_to_the_whole_listing),
        TEST(nothing_that_matches_is_an_error),
        TEST(one_match_is_enough_for_the_check),
        TEST(a_page_token_that_was_not_returned_is_refused),
        TEST(the_check_can_be_stopped),
        TEST(a_file_name_that_is_no_utf8_is_refused_when_it_is_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
