/* SPDX-License-Identifier: Apache-2.0 */
/* test_glob.c - does a pattern match what the dialect says, in bounded time? */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "master/glob.h"
#include "tests/unit/corpus.h"

struct row {
    const char *pattern;
    const char *text;
    bool match;
};

static const struct row documented[] = {
    {"**.json", "s3://cortex-examples/image-classifier/urls_0.json", true},
    {"*.json", "s3://cortex-examples/image-classifier/urls_0.json", false},
    {"**.jpg", "s3://b/a/x.JPG", false},
    {"s3://b/images/*.jpg", "s3://b/images/x.jpg", true},
    {"s3://b/images/*.jpg", "s3://b/images/2020/x.jpg", false},
    {"s3://b/images/**", "s3://b/images/2020/x.jpg", true},
    {"**_3.jpg", "s3://b/images/img_3.jpg", true},
    {"**/img_?.jpg", "s3://b/images/img_10.jpg", false},
    {"{**.jpg,**.png}", "s3://b/x.png", true},
    {"**[0-9].jpg", "s3://b/img_7.jpg", true},
    {"", "s3://b/x", false},
    {"?", "\xff", true},
    {"[!a]\xff", "b\xfe", true},
};

static void check(const struct row *row)
{
    struct glob *glob = NULL;
    struct error err = {0};

    if (glob_create(row->pattern, &glob, &err) != 0) {
        fail_msg("%s: %s", row->pattern, err.message);
    }
    if (glob_match(glob, row->text, strlen(row->text)) != row->match) {
        fail_msg("'%s' and '%s': expected %d", row->pattern, row->text, row->match);
    }
    glob_destroy(glob);
}

static void the_documented_table_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
        check(&documented[i]);
    }
}

static void check_case(const cJSON *row)
{
    struct glob *glob = NULL;
    struct error err = {0};
    char *pattern = corpus_text(row, "pattern");
    char *text = corpus_text(row, "text");
    char *error = corpus_text(row, "error");
    bool match = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "match"));
    int result = glob_create(pattern, &glob, &err);

    if (error && (result == 0 || !strstr(err.message, error))) {
        fail_msg("'%s': expected '%s', got: %s", pattern, error, err.message);
    } else if (error) {
        assert_null(glob);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    } else if (result != 0) {
        fail_msg("'%s': %s", pattern, err.message);
    } else if (glob_match(glob, text, strlen(text)) != match) {
        fail_msg("'%s' and '%s': expected %d", pattern, text, match);
    }
    glob_destroy(glob);
    free(pattern);
    free(text);
    free(error);
}

static void every_case_of_the_corpus_ends_as_it_says(void **state)
{
    (void)state;
    corpus_each("glob", 180, check_case);
}

static char *repeat(const char *piece, size_t size_max)
{
    struct buffer text = BUFFER_INIT;

    while (text.size + strlen(piece) <= size_max) {
        buffer_add_text(&text, piece);
    }
    return buffer_take(&text);
}

static void hostile_patterns_end_in_bounded_time(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "*a", "**a", "**", "?*", "{", "{a,", "{a,**}", "{,}", "[!b]*", ",", "{**,"};
    char *text = repeat("a", 4096);

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        char *pattern = repeat(pieces[i], GLOB_PATTERN_SIZE_MAX);
        struct glob *glob = NULL;
        assert_int_equal(glob_create(pattern, &glob, NULL), 0);
        (void)glob_match(glob, text, strlen(text));
        glob_destroy(glob);
        free(pattern);
    }
    free(text);
}

static void a_pattern_over_the_limit_is_refused(void **state)
{
    (void)state;
    char *pattern = repeat("a", GLOB_PATTERN_SIZE_MAX + 1);
    struct glob *glob = NULL;
    struct error err = {0};

    assert_int_equal(glob_create(pattern, &glob, &err), -1);
    assert_non_null(strstr(err.message, "1025 bytes, at most 1024"));
    free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_table_holds),
        cmocka_unit_test(every_case_of_the_corpus_ends_as_it_says),
        cmocka_unit_test(hostile_patterns_end_in_bounded_time),
        cmocka_unit_test(a_pattern_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
