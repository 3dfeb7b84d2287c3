/* SPDX-License-Identifier: Apache-2.0 */
/* test_target.c - is the first line of a request read for what it says? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/bridge/framing.h"
#include "client/bridge/target.h"
#include "common/buffer.h"

#define JOB   "69d6faf82e4660d3"
#define OTHER "69d6faf82e4660d4"

static void parse(const char *text, struct target *out)
{
    struct error err;

    if (target_parse(text, out, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
}

static void paths_are_percent_decoded(void **state)
{
    static const char *const cases[][2] = {
        {"/image-classifier", "/image-classifier"},
        {"/image%2Dclassifier/x", "/image-classifier/x"},
        {"/caf%c3%A9", "/caf\xc3\xa9"},
        {"/a+b", "/a+b"},
        {"/a/../b/.", "/a/../b/."},
        {"/%2e%2e/x", "/../x"},
        {"http://example.org:80/a?b", "/a"},
        {"http://example.org", "/"},
        {"http://example.org?" JOB, "/"},
        {"/a#b?c", "/a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target target;
        parse(cases[i][0], &target);
        assert_string_equal(target.path, cases[i][1]);
        target_fini(&target);
    }
}

static void broken_text_is_refused(void **state)
{
    static const char *const cases[] = {"",
                                        "a",
                                        "*",
                                        "/%",
                                        "/%4",
                                        "/%zz",
                                        "/%00",
                                        "/%0a",
                                        "/%7f",
                                        "/\xff",
                                        "/%c3",
                                        "/%c3/",
                                        "/%c0%af",
                                        "/%ed%a0%80",
                                        "/%f4%90%80%80",
                                        "/a?b=%",
                                        "/a?%00",
                                        "/a?b=%1"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target target;
        struct error err;
        if (target_parse(cases[i], &target, &err) == 0) {
            fail_msg("\"%s\" was taken", cases[i]);
        }
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        target_fini(&target);
    }
}

static void too_long_a_path_and_too_many_parts_are_refused(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct target target;
    struct error err;

    (void)state;
    buffer_add_char(&text, '/');
    for (int i = 0; i < TARGET_PATH_SIZE_MAX; i++) {
        buffer_add_char(&text, 'a');
    }
    assert_int_equal(target_parse(buffer_text(&text), &target, &err), -1);
    target_fini(&target);
    buffer_clear(&text);
    buffer_add_text(&text, "/a?x");
    for (int i = 0; i < TARGET_PAIRS_MAX; i++) {
        buffer_add_text(&text, "&x");
    }
    assert_int_equal(target_parse(buffer_text(&text), &target, &err), -1);
    target_fini(&target);
    buffer_fini(&text);
}

static void a_job_is_named_in_every_form(void **state)
{
    static const char *const cases[][2] = {
        {"/a?jobID=" JOB, NULL},
        {"/a?job_id=" JOB, NULL},
        {"/a?jobId=" JOB, NULL},
        {"/a?" JOB, NULL},
        {"/a?" JOB "=", NULL},
        {"/a?x=1&" JOB "&y", NULL},
        {"/a", JOB},
        {"/a?jobID=" JOB, JOB},
        {"/a?jobID=" JOB "&job_id=" JOB "&" JOB, JOB},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target target;
        const char *text = NULL;
        struct error err;
        parse(cases[i][0], &target);
        assert_int_equal(target_get_job(&target, cases[i][1], &text, &err), 0);
        assert_non_null(text);
        assert_string_equal(text, JOB);
        target_fini(&target);
    }
}

static void two_different_jobs_in_a_request_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"/a?jobID=" JOB "&job_id=" OTHER, NULL},
        {"/a?" JOB "&" OTHER, NULL},
        {"/a?jobID=" OTHER, JOB},
        {"/a?" OTHER, JOB},
        {"/a?jobID=nonsense", JOB},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target target;
        const char *text = NULL;
        struct error err;
        parse(cases[i][0], &target);
        assert_int_equal(target_get_job(&target, cases[i][1], &text, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        target_fini(&target);
    }
}

static void what_is_no_job_id_names_no_job(void **state)
{
    static const char *const cases[] = {
        "/a", "/a?foo", "/a?69D6FAF82E4660D3", "/a?" JOB "0", "/a?" JOB "=x", "/a?"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target target;
        const char *text = "untouched";
        struct error err;
        parse(cases[i], &target);
        assert_int_equal(target_get_job(&target, "", &text, &err), 0);
        assert_null(text);
        target_fini(&target);
    }
}

static void a_job_key_without_a_job_is_an_error(void **state)
{
    struct target target;
    const char *text = NULL;
    struct error err;

    (void)state;
    parse("/a?jobID=", &target);
    assert_int_equal(target_get_job(&target, NULL, &text, &err), -1);
    assert_string_equal(err.kind, "endpoints.query_param_required");
    target_fini(&target);
}

static void booleans_are_spelled_as_in_go(void **state)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    static const char *const neither[] = {"yes", "", "tRUE", "on", "2", "true "};
    char text[64];
    struct target target;
    struct error err;

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        bool value = false;
        (void)snprintf(text, sizeof(text), "/a?dryRun=%s", yes[i]);
        parse(text, &target);
        assert_int_equal(target_get_bool(&target, "dryRun", &value, &err), 0);
        assert_true(value);
        target_fini(&target);
        (void)snprintf(text, sizeof(text), "/a?dryRun=%s", no[i]);
        parse(text, &target);
        assert_int_equal(target_get_bool(&target, "dryRun", &value, &err), 0);
        assert_false(value);
        target_fini(&target);
        (void)snprintf(text, sizeof(text), "/a?dryRun=%s", neither[i]);
        parse(text, &target);
        assert_int_equal(target_get_bool(&target, "dryRun", &value, &err), -1);
        target_fini(&target);
    }
}

static void a_parameter_that_is_not_there_changes_nothing(void **state)
{
    struct target target;
    struct error err;
    bool flag = true;
    uint64_t number = 7;

    (void)state;
    parse("/a?other=1", &target);
    assert_int_equal(target_get_bool(&target, "dryRun", &flag, &err), 0);
    assert_true(flag);
    assert_int_equal(target_get_number(&target, "limit", 10, &number, &err), 0);
    assert_int_equal(number, 7);
    target_fini(&target);
}

static void numbers_are_whole_and_bounded(void **state)
{
    static const char *const bad[] = {
        "", "-1", "1001", "1.0", "x", "+1", "1 ", "99999999999999999999"};
    struct target target;
    struct error err;
    uint64_t number = 0;
    char text[64];

    (void)state;
    parse("/a?limit=1000", &target);
    assert_int_equal(target_get_number(&target, "limit", 1000, &number, &err), 0);
    assert_int_equal(number, 1000);
    target_fini(&target);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(text, sizeof(text), "/a?limit=%s", bad[i]);
        parse(text, &target);
        if (target_get_number(&target, "limit", 1000, &number, &err) == 0) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        target_fini(&target);
    }
    (void)snprintf(text, sizeof(text), "/a?o=%lld", (long long)INT64_MAX);
    parse(text, &target);
    assert_int_equal(target_get_number(&target, "o", INT64_MAX, &number, &err), 0);
    assert_true(number == INT64_MAX);
    target_fini(&target);
}

static void a_bound_below_ten_bounds_too(void **state)
{
    (void)state;
    struct target target;
    struct error err = {0};
    uint64_t number = 0;

    parse("/a?limit=8&other=5", &target);
    assert_int_equal(target_get_number(&target, "limit", 5, &number, &err), -1);
    assert_int_equal(number, 0);
    assert_int_equal(target_get_number(&target, "other", 5, &number, &err), 0);
    assert_int_equal(number, 5);
    target_fini(&target);
}

static void a_parameter_said_twice_must_say_the_same(void **state)
{
    struct target target;
    struct error err;
    bool dry = false;

    (void)state;
    parse("/a?dryRun=true&dryRun=true", &target);
    assert_int_equal(target_get_bool(&target, "dryRun", &dry, &err), 0);
    target_fini(&target);
    parse("/a?dryRun=true&dryRun=false", &target);
    assert_int_equal(target_get_bool(&target, "dryRun", &dry, &err), -1);
    target_fini(&target);
}

struct header {
    const char *name;
    const char *value;
};

static int check(const struct header *headers, uint64_t *out_length)
{
    struct framing framing = {0};
    struct error err;

    for (; headers->name; headers++) {
        framing_header(&framing, headers->name, headers->value);
    }
    *out_length = framing.length;
    return framing_check(&framing, &err);
}

static void a_body_whose_end_is_in_doubt_is_refused(void **state)
{
    static const struct header cases[][3] = {
        {{"Content-Length", "1"}, {"Content-Length", "1"}},
        {{"Content-Length", "1"}, {"content-length", "2"}},
        {{"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}},
        {{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
        {{"Transfer-Encoding", "gzip, chunked"}},
        {{"Transfer-Encoding", "identity"}},
        {{"Transfer-Encoding", "xchunked"}},
        {{"Content-Length", "+1"}},
        {{"Content-Length", "1, 1"}},
        {{"Content-Length", "0x1"}},
        {{"Content-Length", ""}},
        {{"Content-Length", NULL}},
        {{"Content-Length ", "1"}},
        {{"Transfer-Encoding\t", "chunked"}},
        {{"Transfer-Encodingchunked", ""}},
        {{"Idempotency-Keymine", ""}},
        {{"content-length3", "2"}},
        {{"", "1"}},
        {{"X Y", "1"}},
        {{"Host", "a"}, {"host", "a"}},
    };
    uint64_t length;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(check(cases[i], &length), -1);
    }
}

static void a_clear_length_is_read(void **state)
{
    static const struct header none[] = {{NULL, NULL}};
    static const struct header chunked[] = {{"transfer-encoding", "Chunked"}, {NULL}};
    static const struct header some[] = {{"Content-Length", "1234"}, {NULL}};
    static const struct header huge[] = {{"Content-Length", "99999999999999999999"},
                                         {NULL}};
    uint64_t length;

    (void)state;
    assert_int_equal(check(none, &length), 0);
    assert_int_equal(check(chunked, &length), 0);
    assert_int_equal(check(some, &length), 0);
    assert_int_equal(length, 1234);
    assert_int_equal(check(huge, &length), 0);
    assert_true(length == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_percent_decoded),
        cmocka_unit_test(broken_text_is_refused),
        cmocka_unit_test(too_long_a_path_and_too_many_parts_are_refused),
        cmocka_unit_test(a_job_is_named_in_every_form),
        cmocka_unit_test(two_different_jobs_in_a_request_are_refused),
        cmocka_unit_test(what_is_no_job_id_names_no_job),
        cmocka_unit_test(a_job_key_without_a_job_is_an_error),
        cmocka_unit_test(booleans_are_spelled_as_in_go),
        cmocka_unit_test(a_parameter_that_is_not_there_changes_nothing),
        cmocka_unit_test(numbers_are_whole_and_bounded),
        cmocka_unit_test(a_bound_below_ten_bounds_too),
        cmocka_unit_test(a_parameter_said_twice_must_say_the_same),
        cmocka_unit_test(a_body_whose_end_is_in_doubt_is_refused),
        cmocka_unit_test(a_clear_length_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
