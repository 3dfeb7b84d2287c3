/* SPDX-License-Identifier: Apache-2.0 */
/* test_clock.c - are times and durations written as people are promised? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

struct example {
    int64_t ms;
    const char *text;
};

static void
check(void (*format)(int64_t, char *), const struct example *examples, size_t count)
{
    char text[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < count; i++) {
        format(examples[i].ms, text);
        assert_string_equal(text, examples[i].text);
    }
}

#define CHECK(format, examples)                                                        \
    check(format, examples, sizeof(examples) / sizeof((examples)[0]))

static void a_time_has_a_two_digit_day_and_a_four_digit_year(void **state)
{
    static const struct example examples[] = {
        {INT64_C(1595207264000), "20 Jul 2020 01:07:44 UTC"},
        {INT64_C(1595207264999), "20 Jul 2020 01:07:44 UTC"},
        {INT64_C(951782400000), "29 Feb 2000 00:00:00 UTC"},
        {0, "01 Jan 1970 00:00:00 UTC"},
    };

    (void)state;
    CHECK(clock_format_display, examples);
}

static void documents_hold_nanoseconds_and_logs_microseconds(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    clock_format_rfc3339(INT64_C(1595207264000000009), text);
    assert_string_equal(text, "2020-07-20T01:07:44.000000009Z");
    clock_format_log(INT64_C(1596811445557598), text);
    assert_string_equal(text, "2020-08-07 14:44:05.557598");
    clock_format_log(INT64_C(1596811445000007), text);
    assert_string_equal(text, "2020-08-07 14:44:05.000007");
}

static void a_duration_is_cut_to_seconds_and_never_rolls_into_days(void **state)
{
    static const struct example examples[] = {
        {0, "0s"},
        {-5, "0s"},
        {999, "0s"},
        {42 * SECOND + 999, "42s"},
        {MINUTE, "1m0s"},
        {3 * MINUTE + 26 * SECOND, "3m26s"},
        {HOUR + 5 * SECOND, "1h0m5s"},
        {49 * HOUR + 3 * MINUTE, "49h3m0s"},
    };

    (void)state;
    CHECK(clock_format_duration, examples);
}

static void an_average_is_cut_to_milliseconds_without_trailing_zeros(void **state)
{
    static const struct example examples[] = {
        {0, "0s"},
        {-1, "0s"},
        {1, "1ms"},
        {250, "250ms"},
        {1000, "1s"},
        {1500, "1.5s"},
        {1020, "1.02s"},
        {1007, "1.007s"},
        {62250, "1m2.25s"},
        {60500, "1m0.5s"},
        {HOUR + 1, "1h0m0.001s"},
    };

    (void)state;
    CHECK(clock_format_average, examples);
}

static void how_long_ago_gets_coarser_with_time(void **state)
{
    static const struct example examples[] = {
        {0, "0s"},
        {59 * SECOND, "59s"},
        {MINUTE, "1m0s"},
        {59 * MINUTE + 59 * SECOND, "59m59s"},
        {HOUR, "1h0m"},
        {5 * HOUR + 12 * MINUTE + 59 * SECOND, "5h12m"},
        {48 * HOUR - 1, "47h59m"},
        {48 * HOUR, "2d0h"},
        {76 * HOUR + 30 * MINUTE, "3d4h"},
    };

    (void)state;
    CHECK(clock_format_ago, examples);
}

static void the_largest_durations_fit(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    clock_format_duration(INT64_MAX, text);
    assert_string_equal(text, "2562047788015h12m55s");
    clock_format_average(INT64_MAX, text);
    assert_string_equal(text, "2562047788015h12m55.807s");
    clock_format_ago(INT64_MAX, text);
    assert_string_equal(text, "106751991167d7h");
}

static void clocks_go_forward(void **state)
{
    int64_t before_ms = clock_monotonic_ms();

    (void)state;
    assert_true(before_ms > 0);
    assert_true(clock_monotonic_ms() >= before_ms);
    // The same clock in two units.
    int64_t wall_ms = clock_wall_ms();
    assert_in_range(clock_wall_ns() / 1000000, wall_ms, wall_ms + HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_has_a_two_digit_day_and_a_four_digit_year),
        cmocka_unit_test(documents_hold_nanoseconds_and_logs_microseconds),
        cmocka_unit_test(a_duration_is_cut_to_seconds_and_never_rolls_into_days),
        cmocka_unit_test(an_average_is_cut_to_milliseconds_without_trailing_zeros),
        cmocka_unit_test(how_long_ago_gets_coarser_with_time),
        cmocka_unit_test(the_largest_durations_fit),
        cmocka_unit_test(clocks_go_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
