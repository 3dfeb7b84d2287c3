/* SPDX-License-Identifier: Apache-2.0 */
/* test_shipper.c - do the right lines of a worker's output reach the log */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shipper.h"

/* What the log holds after this output, given in pieces of `step` bytes. */
static void check_log(const char *output, size_t size, const char *expected)
{
    for (size_t step = 1; step <= size; step++) {
        struct shipper shipper = {0};
        const struct buffer *chunk;

        for (size_t at = 0; at < size; at += step) {
            shipper_add(&shipper, output + at, size - at < step ? size - at : step, 1);
        }
        shipper_end(&shipper, 1);
        chunk = shipper_chunk(&shipper, 1);
        assert_string_equal(chunk == NULL ? "" : chunk->data, expected);
        shipper_fini(&shipper);
    }
}

#define CHECK(output, expected) check_log((output), sizeof(output) - 1, (expected))

static void lines_are_kept_as_they_are(void **state)
{
    (void)state;
    CHECK("one\n\ntwo\tx\n", "one\n\ntwo\tx\n");
    CHECK("caf\xC3\xA9 \x1B[31mred\x1B[0m\n", "caf\xC3\xA9 \x1B[31mred\x1B[0m\n");
}

static void an_open_line_is_closed_at_the_end(void **state)
{
    (void)state;
    CHECK("half", "half\n");
}

static void a_line_ended_as_on_windows_is_one_line(void **state)
{
    (void)state;
    CHECK("a\r\nb\r\n", "a\nb\n");
}

static void of_a_progress_bar_only_the_last_state_is_kept(void **state)
{
    (void)state;
    CHECK("\r 10%\r 50%\r100%\ndone\n", "100%\ndone\n");
    CHECK("10%\r20%\r", "20%\n");
    CHECK("10%\r\r\r20%\n", "20%\n");
}

static void a_line_of_the_runner_ends_one_that_was_left_open(void **state)
{
    (void)state;
    CHECK("abc\x1EINFO:x\n", "abc\nINFO:x\n");
    CHECK("abc\n\x1EINFO:x\n", "abc\nINFO:x\n");
    CHECK("10%\r\x1EINFO:x\n", "10%\nINFO:x\n");
}

static void what_is_no_text_is_replaced(void **state)
{
    (void)state;
    CHECK("a\xFF\xC3(b\0c\n",
          "a\xEF\xBF\xBD\xEF\xBF\xBD(b\xEF\xBF\xBD"
          "c\n");
    CHECK("\xED\xA0\x80\n", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\n");
    CHECK("\xE2\x82\n", "\xEF\xBF\xBD\xEF\xBF\xBD\n");
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    struct shipper shipper = {0};
    char piece[1000];
    const struct buffer *chunk;

    (void)state;
    memset(piece, 'x', sizeof(piece));
    for (int i = 0; i < 100; i++) {
        shipper_add(&shipper, piece, sizeof(piece), 1);
    }
    shipper_add(&shipper, "\nnext\n", 6, 1);
    chunk = shipper_chunk(&shipper, 1);
    assert_int_equal(memcmp(chunk->data + SHIPPER_LINE_MAX, " ... (line cut at", 17),
                     0);
    assert_non_null(strstr(chunk->data, ")\nnext\n"));
    shipper_fini(&shipper);
}

static void a_chunk_is_kept_until_it_is_acknowledged(void **state)
{
    struct shipper shipper = {0};

    (void)state;
    shipper_add(&shipper, "a\n", 2, 1);
    assert_string_equal(shipper_chunk(&shipper, 1)->data, "a\n");
    assert_int_equal(shipper.sequence, 1);
    shipper_add(&shipper, "b\n", 2, 1);
    assert_string_equal(shipper_chunk(&shipper, 1)->data, "a\n");
    assert_int_equal(shipper.sequence, 1);
    assert_int_equal(shipper.shipped, 0);
    shipper_acknowledge(&shipper);
    assert_int_equal(shipper.shipped, 2);
    assert_string_equal(shipper_chunk(&shipper, 1)->data, "b\n");
    assert_int_equal(shipper.sequence, 2);
    assert_false(shipper_done(&shipper));
    shipper_acknowledge(&shipper);
    assert_true(shipper_done(&shipper));
    assert_int_equal(shipper.shipped, shipper.mark);
    shipper_fini(&shipper);
}

static void lines_gather_for_a_while_unless_hurried(void **state)
{
    struct shipper shipper = {0};
    int64_t wake_ms = INT64_MAX;

    (void)state;
    assert_false(shipper_due(&shipper, true, 100, &wake_ms));
    shipper_add(&shipper, "a\n", 2, 100);
    assert_false(shipper_due(&shipper, false, 100, &wake_ms));
    assert_int_equal(wake_ms, 100 + SHIPPER_GATHER_MS);
    assert_true(shipper_due(&shipper, true, 100, &wake_ms));
    assert_true(shipper_due(&shipper, false, 100 + SHIPPER_GATHER_MS, &wake_ms));
    shipper_fini(&shipper);
}

static void chunks_end_with_a_line_and_hold_a_limited_size(void **state)
{
    struct shipper shipper = {0};
    size_t total = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        shipper_add(&shipper, "0123456789\n", 11, 1);
    }
    while (!shipper_done(&shipper)) {
        const struct buffer *chunk = shipper_chunk(&shipper, 1);

        assert_true(chunk->size <= SHIPPER_CHUNK_MAX);
        assert_int_equal(chunk->data[chunk->size - 1], '\n');
        assert_int_equal(chunk->size % 11, 0);
        total += chunk->size;
        shipper_acknowledge(&shipper);
    }
    assert_int_equal(total, 1100000);
    shipper_fini(&shipper);
}

static void a_full_log_first_holds_the_worker_and_then_drops_lines(void **state)
{
    struct shipper shipper = {0};
    int64_t wake_ms = INT64_MAX;
    char line[1001];
    bool told = false;

    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    line[1000] = '\n';
    while (shipper_accepts(&shipper, 1000, &wake_ms)) {
        shipper_add(&shipper, line, sizeof(line), 1000);
    }
    assert_int_equal(wake_ms, 1000 + SHIPPER_PATIENCE_MS);
    assert_true(shipper.ready.size < SHIPPER_WAITING_MAX + 2000);
    assert_true(shipper_accepts(&shipper, 1000 + SHIPPER_PATIENCE_MS, &wake_ms));
    for (int i = 0; i < 10; i++) {
        shipper_add(&shipper, line, sizeof(line), 4000);
    }
    assert_true(shipper.ready.size < SHIPPER_WAITING_MAX + 2000);
    shipper_end(&shipper, 4000);
    while (!shipper_done(&shipper)) {
        told = told || strstr(shipper_chunk(&shipper, 1)->data,
                              "... 10 lines are missing") != NULL;
        shipper_acknowledge(&shipper);
    }
    assert_true(told);
    assert_int_equal(shipper.shipped, shipper.mark);
    shipper_fini(&shipper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_kept_as_they_are),
        cmocka_unit_test(an_open_line_is_closed_at_the_end),
        cmocka_unit_test(a_line_ended_as_on_windows_is_one_line),
        cmocka_unit_test(of_a_progress_bar_only_the_last_state_is_kept),
        cmocka_unit_test(a_line_of_the_runner_ends_one_that_was_left_open),
        cmocka_unit_test(what_is_no_text_is_replaced),
        cmocka_unit_test(a_long_line_is_cut_and_says_so),
        cmocka_unit_test(a_chunk_is_kept_until_it_is_acknowledged),
        cmocka_unit_test(lines_gather_for_a_while_unless_hurried),
        cmocka_unit_test(chunks_end_with_a_line_and_hold_a_limited_size),
        cmocka_unit_test(a_full_log_first_holds_the_worker_and_then_drops_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
