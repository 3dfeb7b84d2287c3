/* SPDX-License-Identifier: Apache-2.0 */
/* test_options.c - is a command line read as its table says? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/options.h"
#include "common/version.h"

#define WORDS_MAX 8

struct values {
    bool flag;
    const char *text;
    int64_t number;
    int64_t size;
    int64_t duration;
};

static struct values values;

static const struct option_row rows[] = {
    {"quiet", 'q', OPTION_FLAG, &values.flag, NULL, "say little", 0, 0},
    {"output", 'o', OPTION_TEXT, &values.text, "FORMAT", "how to print", 0, 0},
    {"agents", 0, OPTION_NUMBER, &values.number, "N", "how many; default 1", 1, 64},
    {"cache", 0, OPTION_SIZE, &values.size, "SIZE", "bytes; default 1M", 0, 0},
    {"lease", 0, OPTION_DURATION, &values.duration, "TIME", "default 10s", 1, 60000},
    {0},
};

static const struct options options = {.program = "cortex-test",
                                       .usage = "[OPTION]... NAME [OTHER]",
                                       .summary = "Tests the reading of options.",
                                       .rows = rows,
                                       .positional_min = 1,
                                       .positional_max = 2};

// The words are separated by single spaces. *out_first: the first positional argument.
static int parse(const char *line, char *out_first, size_t size, struct error *err)
{
    char *copy = memory_strdup(line);
    char *argv[WORDS_MAX + 1] = {(char *)(uintptr_t) "cortex-test"};
    char *rest = copy;
    int argc = 1;
    int first = 0;

    values = (struct values){.text = "default", .number = 1, .size = 1, .duration = 1};
    for (char *word; (word = strsep(&rest, " ")) && argc < WORDS_MAX;) {
        argv[argc++] = word;
    }
    int result = options_parse(&options, argc, argv, &first, err);
    if (result == 0) {
        (void)snprintf(out_first, size, "%s", argv[first]);
    }
    values.text = strcmp(values.text, "json") == 0 ? "json" : values.text;
    free(copy);
    return result;
}

static void options_may_stand_before_and_behind_arguments(void **state)
{
    char first[32];

    (void)state;
    assert_int_equal(
        parse("one --agents 5 -o json two --quiet", first, sizeof(first), NULL), 0);
    assert_string_equal(first, "one");
    assert_int_equal(values.number, 5);
    assert_string_equal(values.text, "json");
    assert_true(values.flag);
    assert_int_equal(parse("--agents=64 one", first, sizeof(first), NULL), 0);
    assert_int_equal(values.number, 64);
    assert_false(values.flag);
}

static void what_is_not_given_keeps_its_default(void **state)
{
    char first[32];

    (void)state;
    assert_int_equal(parse("one", first, sizeof(first), NULL), 0);
    assert_int_equal(values.number, 1);
    assert_string_equal(values.text, "default");
}

static void behind_two_dashes_all_are_arguments(void **state)
{
    char first[32];

    (void)state;
    assert_int_equal(parse("-q -- --agents", first, sizeof(first), NULL), 0);
    assert_string_equal(first, "--agents");
}

static void an_error_names_the_option_and_quotes_the_value(void **state)
{
    static const char *const examples[][2] = {
        {"one --agents x", "--agents: got \"x\", expected a whole number (see --help)"},
        {"one --agents 0", "--agents: got \"0\", expected 1 to 64 (see --help)"},
        {"one --agents 65", "--agents: got \"65\", expected 1 to 64 (see --help)"},
        {"one --agents -5",
         "--agents: got \"-5\", expected a whole number (see --help)"},
        {"one --cache 5X",
         "--cache: got \"5X\", expected a size such as 512, 64K, 10M or 2G (see "
         "--help)"},
        {"one --lease 5d",
         "--lease: got \"5d\", expected a time such as 500ms, 10s or 5m (see --help)"},
        {"one --lease 61s", "--lease: got \"61s\", expected 1 to 60000 (see --help)"},
        {"one --nothing", "unknown option \"--nothing\" (see --help)"},
        {"one -x", "unknown option \"-x\" (see --help)"},
        {"one -xq", "unknown option \"-x\" (see --help)"},
        {"one -qx", "unknown option \"-x\" (see --help)"},
        {"one --output", "\"--output\" needs a value (see --help)"},
        {"one -qo", "\"-qo\" needs a value (see --help)"},
        {"-q", "too few arguments; usage: cortex-test [OPTION]... NAME [OTHER]"},
        {"one two three",
         "unexpected argument \"three\"; usage: cortex-test [OPTION]... NAME [OTHER]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        char first[32] = "untouched";
        struct error err = {0};
        assert_int_equal(parse(examples[i][0], first, sizeof(first), &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_string_equal(err.message, examples[i][1]);
        assert_string_equal(first, "untouched");
    }
}

static void sizes_are_binary_and_times_milliseconds(void **state)
{
    int64_t value;

    (void)state;
    assert_true(options_read_size("512", &value) && value == 512);
    assert_true(options_read_size("64K", &value) && value == 65536);
    assert_true(options_read_size("64Ki", &value) && value == 65536);
    assert_true(options_read_size("10M", &value) && value == 10485760);
    assert_true(options_read_size("2Gi", &value) && value == INT64_C(2147483648));
    assert_true(options_read_duration("10", &value) && value == 10000);
    assert_true(options_read_duration("500ms", &value) && value == 500);
    assert_true(options_read_duration("5m", &value) && value == 300000);
    assert_true(options_read_duration("1h", &value) && value == 3600000);
    assert_true(options_read_number("9223372036854775807", &value) &&
                value == INT64_MAX);
}

static void what_is_no_number_or_too_large_is_not_read(void **state)
{
    int64_t value = 7;

    (void)state;
    assert_false(options_read_number("9223372036854775808", &value));
    assert_false(options_read_size("9223372036854775807K", &value));
    assert_false(options_read_number("", &value));
    assert_false(options_read_number(" 5", &value));
    assert_false(options_read_number("+5", &value));
    assert_false(options_read_number("5 ", &value));
    assert_false(options_read_number("0x10", &value));
    assert_false(options_read_size("K", &value));
    assert_false(options_read_duration("1.5s", &value));
    assert_int_equal(value, 7);
}

// What a child prints that parses the line, and whether it ends with status 0.
static void printed_by(const char *line, char *out, size_t size)
{
    int ends[2];
    int status;
    char first[32];
    size_t used = 0;
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)parse(line, first, sizeof(first), NULL);
        _exit(9); // options_parse should have left
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], out + used, size - 1 - used)) > 0) {
        used += (size_t)got;
    }
    out[used] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void help_shows_every_option_and_ends_well(void **state)
{
    char text[4096];

    (void)state;
    printed_by("--help", text, sizeof(text));
    assert_non_null(strstr(text, "usage: cortex-test [OPTION]... NAME [OTHER]\n"));
    assert_non_null(strstr(text, "Tests the reading of options."));
    assert_non_null(strstr(text, "  -q, --quiet                      say little\n"));
    assert_non_null(
        strstr(text, "      --agents N                   how many; default"));
    assert_non_null(strstr(text, "  -h, --help"));
    printed_by("-h", text, sizeof(text));
    assert_non_null(strstr(text, "usage: "));
}

static void version_names_the_program_and_its_release(void **state)
{
    char text[256];
    char expected[64];

    (void)state;
    (void)snprintf(expected, sizeof(expected), "cortex-test %s\n", version_text());
    printed_by("one --version", text, sizeof(text));
    assert_string_equal(text, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_before_and_behind_arguments),
        cmocka_unit_test(what_is_not_given_keeps_its_default),
        cmocka_unit_test(behind_two_dashes_all_are_arguments),
        cmocka_unit_test(an_error_names_the_option_and_quotes_the_value),
        cmocka_unit_test(sizes_are_binary_and_times_milliseconds),
        cmocka_unit_test(what_is_no_number_or_too_large_is_not_read),
        cmocka_unit_test(help_shows_every_option_and_ends_well),
        cmocka_unit_test(version_names_the_program_and_its_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
