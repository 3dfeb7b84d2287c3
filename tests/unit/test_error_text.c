/* SPDX-License-Identifier: Apache-2.0 */
/* test_error_text.c - is an error's sentence text, whatever it quotes? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"
#include "common/utf8.h"

static void bytes_that_are_no_text_become_question_marks(void **state)
{
    (void)state;
    struct error err;

    error_set(&err, ERROR_INTERNAL, "\xff: \xc3\xa9 \xed\xa0\x80 \xe2\x82");
    assert_string_equal(err.message, "?: \xc3\xa9 ??? ??");
    error_wrap(&err, "a\x80");
    assert_string_equal(err.message, "a?: ?: \xc3\xa9 ??? ??");
}

static void a_character_is_not_cut_in_two(void **state)
{
    (void)state;
    char text[ERROR_MESSAGE_SIZE + 16];
    struct error err;

    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t at = shift; at + 3 < sizeof(text); at += 3) {
            memcpy(text + at, "\xe2\x82\xac", 4);
        }
        error_set(&err, ERROR_INTERNAL, "%s", text);
        size_t size = strlen(err.message);
        assert_true(utf8_valid(err.message, size));
        assert_true(size > ERROR_MESSAGE_SIZE - 4);
        assert_memory_equal(err.message, text, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_text_become_question_marks),
        cmocka_unit_test(a_character_is_not_cut_in_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
