/* SPDX-License-Identifier: Apache-2.0 */
/* test_buffer.c - do bytes come out as they went in? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"

static void text_is_ended_by_a_nul_that_does_not_count(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    (void)state;
    assert_string_equal(buffer_text(&buffer), "");
    buffer_add_text(&buffer, "batch");
    buffer_add_char(&buffer, ' ');
    buffer_add_format(&buffer, "%d of %s", 7, "8");
    assert_string_equal(buffer_text(&buffer), "batch 7 of 8");
    assert_int_equal(buffer.size, 12);
    buffer_fini(&buffer);
    assert_string_equal(buffer_text(&buffer), "");
}

static void any_byte_can_be_held(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    (void)state;
    buffer_add(&buffer, NULL, 0);
    for (int i = 0; i < 1024; i++) {
        buffer_add_char(&buffer, (char)i);
    }
    assert_int_equal(buffer.size, 1024);
    for (int i = 0; i < 1024; i++) {
        assert_int_equal(buffer.data[i], (char)i);
    }
    assert_int_equal(buffer.data[1024], 0);
    buffer_fini(&buffer);
}

static void a_format_longer_than_the_room_is_written_whole(void **state)
{
    struct buffer buffer = BUFFER_INIT;
    char long_text[5000];

    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    buffer_add_format(&buffer, "<%s>", long_text);
    assert_int_equal(buffer.size, 5001);
    assert_int_equal(buffer.data[5000], '>');
    buffer_add_format(&buffer, "%s", "");
    assert_int_equal(buffer.size, 5001);
    buffer_fini(&buffer);
}

static void reserved_room_is_the_callers_to_fill(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    (void)state;
    buffer_add_text(&buffer, "ab");
    memcpy(buffer_reserve(&buffer, 3), "cde", 3);
    buffer.size += 3;
    char *text = buffer_take(&buffer);
    assert_string_equal(text, "abcde");
    assert_null(buffer.data);
    free(text);
    text = buffer_take(&buffer);
    assert_string_equal(text, ""); // of an empty one
    free(text);
}

static void dropping_the_front_keeps_the_rest(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    (void)state;
    buffer_drop_front(&buffer, 3);
    buffer_add_text(&buffer, "abcdef");
    buffer_drop_front(&buffer, 0);
    buffer_drop_front(&buffer, 2);
    assert_string_equal(buffer_text(&buffer), "cdef");
    buffer_drop_front(&buffer, 100);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_add_text(&buffer, "g");
    assert_string_equal(buffer_text(&buffer), "g");
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_true(buffer.capacity > 0);
    buffer_fini(&buffer);
}

static void errno_outlives_the_freeing(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    (void)state;
    buffer_add_text(&buffer, "x");
    errno = EIO;
    buffer_fini(&buffer);
    assert_int_equal(errno, EIO);
}

static void copies_end_where_they_are_told_to(void **state)
{
    char *copy = memory_strndup("a\0b", 3);

    (void)state;
    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
    copy = memory_strndup(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
    assert_null(memory_strdup(NULL));
    free(memory_zalloc(0)); // never NULL
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_ended_by_a_nul_that_does_not_count),
        cmocka_unit_test(any_byte_can_be_held),
        cmocka_unit_test(a_format_longer_than_the_room_is_written_whole),
        cmocka_unit_test(reserved_room_is_the_callers_to_fill),
        cmocka_unit_test(dropping_the_front_keeps_the_rest),
        cmocka_unit_test(errno_outlives_the_freeing),
        cmocka_unit_test(copies_end_where_they_are_told_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
