/* SPDX-License-Identifier: Apache-2.0 */
/* test_commands.c - is the command that was typed the one that is found? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/commands.h"

#define WORDS_MAX 4

// Finds what "cortex <a> <b>" means; b may be NULL. words: what its name took.
static const struct command *
find(const char *a, const char *b, int *out_words, struct error *err)
{
    char first[64];
    char second[64];
    char *argv[WORDS_MAX] = {(char *)"cortex", first, second, NULL};
    const struct command *command = NULL;

    (void)snprintf(first, sizeof(first), "%s", a);
    (void)snprintf(second, sizeof(second), "%s", b ? b : "");
    return commands_find(b ? 3 : 2, argv, &command, out_words, err) == 0 ? command
                                                                         : NULL;
}

static void
assert_found(const char *a, const char *b, const struct command *wanted, int words)
{
    struct error err = {0};
    int taken = 0;
    const struct command *found = find(a, b, &taken, &err);

    if (found != wanted) {
        fail_msg("%s %s: %s", a, b ? b : "", found ? found->name : err.message);
    }
    assert_int_equal(taken, words);
}

static void assert_refused(const char *a, const char *b, const char *sentence)
{
    struct error err = {0};
    int words = -7;

    assert_null(find(a, b, &words, &err));
    assert_int_equal(words, -7);
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    if (!strstr(err.message, sentence)) {
        fail_msg("\"%s\" is not in: %s", sentence, err.message);
    }
}

static void every_command_is_found_by_its_whole_name(void **state)
{
    (void)state;
    for (const struct command *const *row = commands; *row; row++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s", (*row)->name);
        char *space = strchr(name, ' ');
        if (space) {
            *space = '\0';
        }
        assert_found(name, space ? space + 1 : "x", *row, space ? 2 : 1);
    }
}

static void a_beginning_that_only_one_has_is_enough(void **state)
{
    (void)state;
    assert_found("g", NULL, &command_get, 1);
    assert_found("dep", NULL, &command_deploy, 1);
    assert_found("cl", "d", &command_cluster_down, 2);
    assert_found("e", "def", &command_env_default, 2);
}

static void an_ambiguous_beginning_lists_what_it_could_mean(void **state)
{
    (void)state;
    assert_refused("c", NULL, "ambiguous command \"c\"");
    assert_refused("c", NULL, "cluster, completion (");
    assert_refused("de", "x", "deploy, delete (");
    assert_refused("env", "de", "ambiguous command \"env de\"");
    assert_refused("env", "de", "default, delete (");
}

static void an_unknown_command_is_quoted_with_those_there_are(void **state)
{
    (void)state;
    assert_refused("explode", NULL, "unknown command \"explode\"");
    assert_refused("explode", NULL, "deploy, get, logs, delete, env, cluster, version");
    assert_refused("getx", NULL, "unknown command \"getx\"");
    assert_refused("", NULL, "incomplete command");
    assert_refused("cluster", "explode", "unknown command \"cluster explode\"");
    assert_refused("cluster", "explode", "one of: up, info, down (");
}

static void a_group_alone_lists_its_commands(void **state)
{
    (void)state;
    assert_refused("cluster", NULL, "incomplete command \"cluster\"");
    assert_refused("cluster", NULL, "up, info, down (");
    assert_true(commands_is_group("cluster"));
    assert_false(commands_is_group("get"));
    assert_false(commands_is_group("clus"));
}

static void every_command_explains_itself(void **state)
{
    (void)state;
    for (const struct command *const *row = commands; *row; row++) {
        assert_non_null((*row)->usage);
        assert_non_null((*row)->brief);
        assert_non_null((*row)->summary);
        assert_non_null((*row)->run);
        for (const struct option_row *option = (*row)->rows; option->name; option++) {
            assert_non_null(option->help);
            assert_non_null(option->target);
            assert_true((option->type == OPTION_FLAG) == (option->value == NULL));
        }
    }
}

static void no_two_options_of_a_command_share_a_name_or_letter(void **state)
{
    (void)state;
    for (const struct command *const *row = commands; *row; row++) {
        const struct option_row *rows = (*row)->rows;
        for (size_t i = 0; rows[i].name; i++) {
            for (size_t j = 0; j < i; j++) {
                assert_string_not_equal(rows[i].name, rows[j].name);
                assert_true(rows[i].letter == 0 || rows[i].letter != rows[j].letter);
            }
        }
    }
}

static void the_help_of_a_command_shows_its_examples(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct options options = commands_options(&command_delete, &text);

    (void)state;
    assert_string_equal(options.program, "cortex delete");
    assert_string_equal(options.usage, command_delete.usage);
    assert_int_equal(options.positional_max, 2);
    assert_non_null(
        strstr(options.summary, "\n\nexamples:\n  cortex delete image-classifier "));
    assert_non_null(strstr(options.summary, "\n  cortex delete image-classifier"));
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_found_by_its_whole_name),
        cmocka_unit_test(a_beginning_that_only_one_has_is_enough),
        cmocka_unit_test(an_ambiguous_beginning_lists_what_it_could_mean),
        cmocka_unit_test(an_unknown_command_is_quoted_with_those_there_are),
        cmocka_unit_test(a_group_alone_lists_its_commands),
        cmocka_unit_test(every_command_explains_itself),
        cmocka_unit_test(no_two_options_of_a_command_share_a_name_or_letter),
        cmocka_unit_test(the_help_of_a_command_shows_its_examples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
