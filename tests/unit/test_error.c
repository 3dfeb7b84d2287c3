/* SPDX-License-Identifier: Apache-2.0 */
/* test_error.c - does an error say what went wrong, whole and only once? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"

static void failing_is_one_statement(void **state)
{
    struct error err = {0};

    (void)state;
    assert_int_equal(error_set(&err, ERROR_NOT_FOUND, "no %s", "job"), -1);
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_string_equal(err.message, "no job");
    assert_string_equal(error_kind(&err), "not_found");
    assert_int_equal(
        error_set_kind(&err, ERROR_NOT_FOUND, "batchapi.job_not_found", "%d", 5), -1);
    assert_string_equal(error_kind(&err), "batchapi.job_not_found");
    assert_int_equal(error_set(&err, ERROR_INTERNAL, "again"), -1);
    assert_string_equal(error_kind(&err), "internal"); // the old kind is gone
    error_clear(&err);
    assert_int_equal(err.code, ERROR_OK);
    assert_string_equal(err.message, "");
}

static void nobody_has_to_want_the_error(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERROR_INTERNAL, "x"), -1);
    assert_int_equal(error_set_errno(NULL, ERROR_INTERNAL, "x"), -1);
    assert_int_equal(error_set_kind(NULL, ERROR_INTERNAL, "k", "x"), -1);
    assert_int_equal(error_wrap(NULL, "x"), -1);
    assert_int_equal(error_copy(NULL, NULL), -1);
    error_clear(NULL);
}

static void errno_is_told_and_kept(void **state)
{
    struct error err = {0};

    (void)state;
    errno = ENOENT;
    assert_int_equal(error_set_errno(&err, ERROR_NOT_FOUND, "cannot open %s", "x"), -1);
    assert_string_equal(err.message, "cannot open x: No such file or directory");
    assert_int_equal(errno, ENOENT);
    assert_int_equal(error_wrap(&err, "while starting"), -1);
    assert_int_equal(errno, ENOENT);
}

static void context_goes_in_front_and_the_rest_stays(void **state)
{
    struct error err = {0};

    (void)state;
    error_set_kind(&err, ERROR_ALREADY_EXISTS, "spec.duplicate", "it is there");
    assert_int_equal(error_wrap(&err, "job %d", 7), -1);
    assert_string_equal(err.message, "job 7: it is there");
    assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
    assert_string_equal(err.kind, "spec.duplicate");
}

static void an_error_may_be_worded_with_its_own_words(void **state)
{
    struct error err = {0};

    (void)state;
    error_set(&err, ERROR_INTERNAL, "inner");
    error_set(&err, ERROR_INTERNAL, "outer (%s)", err.message);
    assert_string_equal(err.message, "outer (inner)");
    error_wrap(&err, "%s", err.message);
    assert_string_equal(err.message, "outer (inner): outer (inner)");
}

// "é" is two bytes: wherever the limit falls, no half of one may be left.
static void a_long_sentence_is_cut_between_characters(void **state)
{
    struct error err = {0};
    char text[ERROR_MESSAGE_SIZE * 2 + 1] = {0};

    (void)state;
    for (size_t i = 0; i < ERROR_MESSAGE_SIZE; i++) {
        text[2 * i] = (char)0xC3;
        text[2 * i + 1] = (char)0xA9;
    }
    for (int shift = 0; shift < 2; shift++) {
        error_set(&err, ERROR_INTERNAL, "%.*s%s", shift, "x", text);
        size_t length = strlen(err.message);
        assert_in_range(length, ERROR_MESSAGE_SIZE - 3, ERROR_MESSAGE_SIZE - 1);
        assert_int_equal((length - (size_t)shift) % 2, 0);
        error_wrap(&err, "%.*sy", shift, "x");
        assert_int_equal((unsigned char)err.message[strlen(err.message) - 1], 0xA9);
    }
}

static void a_code_has_one_name_one_status_and_one_number(void **state)
{
    (void)state;
    assert_string_equal(error_code_name(ERROR_NOT_FOUND), "NOT_FOUND");
    assert_int_equal(error_code_http_status(ERROR_OK), 200);
    assert_int_equal(error_code_http_status(ERROR_INVALID_ARGUMENT), 400);
    assert_int_equal(error_code_http_status(ERROR_UNAUTHENTICATED), 401);
    assert_int_equal(error_code_http_status(ERROR_PERMISSION_DENIED), 403);
    assert_int_equal(error_code_http_status(ERROR_NOT_FOUND), 404);
    assert_int_equal(error_code_http_status(ERROR_FAILED_PRECONDITION), 409);
    assert_int_equal(error_code_http_status(ERROR_OUT_OF_RANGE), 413);
    assert_int_equal(error_code_http_status(ERROR_RESOURCE_EXHAUSTED), 429);
    assert_int_equal(error_code_http_status(ERROR_UNAVAILABLE), 503);
    assert_true(error_code_retryable(ERROR_UNAVAILABLE));
    assert_false(error_code_retryable(ERROR_INVALID_ARGUMENT));
    for (int number = 0; number <= 16; number++) {
        assert_int_equal(error_code_from_number(number), number);
    }
}

static void a_number_of_no_code_is_unknown(void **state)
{
    (void)state;
    assert_int_equal(error_code_from_number(17), ERROR_UNKNOWN);
    assert_int_equal(error_code_from_number(-1), ERROR_UNKNOWN);
    assert_string_equal(error_code_name((enum error_code)99), "UNKNOWN");
    assert_int_equal(error_code_http_status((enum error_code)99), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_is_one_statement),
        cmocka_unit_test(nobody_has_to_want_the_error),
        cmocka_unit_test(errno_is_told_and_kept),
        cmocka_unit_test(context_goes_in_front_and_the_rest_stays),
        cmocka_unit_test(an_error_may_be_worded_with_its_own_words),
        cmocka_unit_test(a_long_sentence_is_cut_between_characters),
        cmocka_unit_test(a_code_has_one_name_one_status_and_one_number),
        cmocka_unit_test(a_number_of_no_code_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
