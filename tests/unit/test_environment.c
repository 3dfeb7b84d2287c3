/* SPDX-License-Identifier: Apache-2.0 */
/* test_environment.c - is cli.yaml read and written as people and commands need it */
#include "client/cli/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/fs.h"

#define MASTER "tcp://127.0.0.1:8790"

static char folder[] = "/tmp/cortex-environment-XXXXXX";
static char *file; // cli.yaml in it

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    file = fs_join(folder, "cli.yaml");
    return setenv("CORTEX_CLI_CONFIG_DIR", folder, 1);
}

static int remove_folder(void **state)
{
    (void)state;
    free(file);
    return fs_remove_tree(folder, NULL);
}

static int remove_file(void **state)
{
    (void)state;
    return fs_remove(file, NULL);
}

static void write_file(const char *text)
{
    assert_int_equal(fs_write_durable(file, text, strlen(text), 0600, NULL), 0);
}

static void load(struct environments *out)
{
    struct error err = {0};

    if (environments_load(out, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void put(struct environments *environments, const char *name)
{
    const struct environment environment = {.name = (char *)(uintptr_t)name,
                                            .master = (char *)(uintptr_t)MASTER};
    struct error err = {0};

    if (environments_put(environments, &environment, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

// A file that is refused, and what the sentence must hold.
static void check_refused(const char *text, const char *words, const char *place)
{
    struct environments environments = {0};
    struct error err = {0};

    write_file(text);
    assert_int_equal(environments_load(&environments, &err), -1);
    if (!strstr(err.message, words) || !strstr(err.message, place) ||
        !strstr(err.message, file)) {
        fail_msg("\"%s\" should hold \"%s\", \"%s\" and the file's name",
                 err.message,
                 words,
                 place);
    }
    assert_null(environments.rows);
}

static void test_without_a_file_there_is_no_environment(void **state)
{
    struct environments environments = {0};

    (void)state;
    load(&environments);
    assert_int_equal(environments.count, 0);
    assert_string_equal(environments.default_name, "");
    environments_fini(&environments);
}

static void test_what_was_saved_is_loaded_again(void **state)
{
    struct environments environments = {0};
    const struct environment full = {.name = (char *)(uintptr_t) "null",
                                     .master = (char *)(uintptr_t)MASTER,
                                     .join = (char *)(uintptr_t) "a: \"b\" # c",
                                     .key_file = (char *)(uintptr_t) "/k\\\xc3\xa9y",
                                     .bridge = (char *)(uintptr_t) "http://x:1"};

    (void)state;
    load(&environments);
    put(&environments, "123");
    assert_int_equal(environments_put(&environments, &full, NULL), 0);
    assert_int_equal(environments_save(&environments, NULL), 0);
    environments_fini(&environments);

    load(&environments);
    assert_int_equal(environments.count, 2);
    assert_string_equal(environments.default_name, "123");
    const struct environment *row = environments_find(&environments, "null");
    assert_non_null(row);
    assert_string_equal(row->master, MASTER);
    assert_string_equal(row->join, full.join);
    assert_string_equal(row->key_file, full.key_file);
    assert_string_equal(row->bridge, full.bridge);
    assert_string_equal(environments.rows[0].bridge, "");
    environments_fini(&environments);
}

static void test_only_the_user_may_read_the_file(void **state)
{
    struct environments environments = {0};
    struct stat status;

    (void)state;
    load(&environments);
    put(&environments, "a");
    write_file("");
    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(environments_save(&environments, NULL), 0);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    environments_fini(&environments);
}

static void test_a_save_that_fails_leaves_the_file_as_it_was(void **state)
{
    struct environments environments = {0};
    struct error err = {0};
    struct buffer text = BUFFER_INIT;
    char *below = fs_join(file, "x"); // no folder can be made below a file

    (void)state;
    load(&environments);
    write_file("environments: []\n");
    put(&environments, "a");
    assert_int_equal(setenv("CORTEX_CLI_CONFIG_DIR", below, 1), 0);
    assert_int_equal(environments_save(&environments, &err), -1);
    assert_non_null(strstr(err.message, file));
    assert_int_equal(setenv("CORTEX_CLI_CONFIG_DIR", folder, 1), 0);
    assert_int_equal(fs_read(file, 100, &text, NULL), 0);
    assert_string_equal(buffer_text(&text), "environments: []\n");
    buffer_fini(&text);
    environments_fini(&environments);
    free(below);
}

static void test_a_file_that_a_person_wrote_is_understood(void **state)
{
    struct environments environments = {0};

    (void)state;
    write_file("# mine\nenvironments:\n"
               "  - {name: work, master: 'tcp://10.0.0.1:8790', bridge: ~}\n"
               "  - name: home\n    master: ipc:///run/cortex\n"
               "default_environment: null\n");
    load(&environments);
    assert_int_equal(environments.count, 2);
    assert_string_equal(environments.rows[1].name, "home");
    assert_string_equal(environments.rows[0].bridge, "");
    assert_string_equal(environments.default_name, "");
    environments_fini(&environments);
    write_file("environments:\n");
    load(&environments);
    assert_int_equal(environments.count, 0);
    environments_fini(&environments);
}

static void test_a_file_that_is_wrong_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *words;
        const char *place;
    } rows[] = {
        {"envs: []\n", "unknown key \"envs\"", "line 1"},
        {"environments:\n- name: a\n  provider: aws\n",
         "unknown key \"provider\"",
         "line 3"},
        {"environments:\n- name: a\n  name: b\n", "name", "line 3"},
        {"environments:\n- name: a\n  master: " MASTER "\n- name: a\n  master: " MASTER
         "\n",
         "two environments \"a\"",
         "line 4"},
        {"environments:\n- name: a\n", "master is required", "line 2"},
        {"environments:\n- master: " MASTER "\n", "name is required", "line 2"},
        {"environments:\n- name: 12\n", "expected a string", "line 2"},
        {"environments:\n- name: a b\n  master: " MASTER "\n", "\"a b\"", "line 2"},
        {"environments:\n- name: a\n  master: 10.0.0.1\n", "\"10.0.0.1\"", "line 2"},
        {"environments:\n- name: a\n  master: " MASTER "\n  bridge: x:1\n",
         "\"x:1\"",
         "line 2"},
        {"environments:\n- a\n", "expected a map", "line 2"},
        {"environments: {}\n", "expected a list", "line 1"},
        {"default_environment: b\nenvironments:\n- name: a\n  master: " MASTER "\n",
         "no environment \"b\"",
         "line 1"},
        {"- a\n", "expected a map", "line 1"},
        {"environments: [\n", "", "line"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_refused(rows[i].text, rows[i].words, rows[i].place);
    }
}

static void test_names_and_addresses_that_cannot_be_are_refused(void **state)
{
    static const char *const names[] = {
        "",
        "-a",
        ".a",
        "a/b",
        "a b",
        "\xc3\xa4",
        "a\n",
        "a234567890123456789012345678901234567890123456789012345678901234"};
    static const char *const masters[] = {"",
                                          "127.0.0.1:8790",
                                          "tcp://",
                                          "tcp://host",
                                          "http://a:1",
                                          "ipc://x",
                                          "tcp://a:1\n"};
    struct environments environments = {0};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct environment environment = {.name = (char *)(uintptr_t)names[i],
                                                .master = (char *)(uintptr_t)MASTER};
        assert_int_equal(environments_put(&environments, &environment, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    }
    for (size_t i = 0; i < sizeof(masters) / sizeof(masters[0]); i++) {
        const struct environment environment = {
            .name = (char *)(uintptr_t) "a", .master = (char *)(uintptr_t)masters[i]};
        assert_int_equal(environments_put(&environments, &environment, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    }
    assert_int_equal(environments.count, 0);
    put(&environments,
        "a23456789012345678901234567890123456789012345678901234567890123");
    put(&environments, "aws");
    environments_fini(&environments);
}

static void test_there_are_no_more_environments_than_the_limit(void **state)
{
    struct environments environments = {0};
    const struct environment more = {.name = (char *)(uintptr_t) "more",
                                     .master = (char *)(uintptr_t)MASTER};
    struct error err = {0};

    (void)state;
    for (int i = 0; i < ENVIRONMENTS_MAX; i++) {
        char *name = memory_format("e%d", i);
        put(&environments, name);
        free(name);
    }
    assert_int_equal(environments_put(&environments, &more, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    put(&environments, "e7"); // one that is there may be replaced
    assert_int_equal(environments.count, ENVIRONMENTS_MAX);
    environments_fini(&environments);
}

static void test_the_first_environment_becomes_the_default(void **state)
{
    struct environments environments = {0};

    (void)state;
    load(&environments);
    put(&environments, "a");
    put(&environments, "b");
    put(&environments, "a");
    assert_int_equal(environments.count, 2);
    assert_string_equal(environments.default_name, "a");
    environments_fini(&environments);
}

static void test_a_row_can_be_put_again_from_itself(void **state)
{
    struct environments environments = {0};

    (void)state;
    put(&environments, "a");
    assert_int_equal(environments_put(&environments, &environments.rows[0], NULL), 0);
    assert_string_equal(environments.rows[0].master, MASTER);
    environments_fini(&environments);
}

static void check_pick(const char *name, const char *expected)
{
    struct environment environment = {0};
    struct error err = {0};

    if (environment_pick(name, &environment, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(environment.name, expected);
    environment_fini(&environment);
}

static void check_no_pick(const char *name, const char *words)
{
    struct environment environment = {0};
    struct error err = {0};

    assert_int_equal(environment_pick(name, &environment, &err), -1);
    if (!strstr(err.message, words)) {
        fail_msg("\"%s\" should hold \"%s\"", err.message, words);
    }
    assert_null(environment.name);
}

static void
test_a_command_gets_the_named_the_default_or_the_only_environment(void **state)
{
    (void)state;
    check_no_pick(NULL, "cortex cluster up");
    check_no_pick("a", "\"a\"");
    write_file("environments:\n- {name: a, master: '" MASTER "'}\n");
    check_pick(NULL, "a");
    check_pick("a", "a");
    check_no_pick("b", "but a;");
    write_file("environments:\n- {name: a, master: '" MASTER "'}\n"
               "- {name: b, master: '" MASTER "'}\n");
    check_no_pick(NULL, "one of a, b");
    write_file("default_environment: b\n"
               "environments:\n- {name: a, master: '" MASTER "'}\n"
               "- {name: b, master: '" MASTER "'}\n");
    check_pick(NULL, "b");
    check_pick("a", "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_without_a_file_there_is_no_environment,
                               remove_file),
        cmocka_unit_test_setup(test_what_was_saved_is_loaded_again, remove_file),
        cmocka_unit_test_setup(test_only_the_user_may_read_the_file, remove_file),
        cmocka_unit_test_setup(test_a_save_that_fails_leaves_the_file_as_it_was,
                               remove_file),
        cmocka_unit_test(test_a_file_that_a_person_wrote_is_understood),
        cmocka_unit_test(test_a_file_that_is_wrong_is_refused_with_its_line),
        cmocka_unit_test(test_names_and_addresses_that_cannot_be_are_refused),
        cmocka_unit_test(test_there_are_no_more_environments_than_the_limit),
        cmocka_unit_test_setup(test_the_first_environment_becomes_the_default,
                               remove_file),
        cmocka_unit_test(test_a_row_can_be_put_again_from_itself),
        cmocka_unit_test_setup(
            test_a_command_gets_the_named_the_default_or_the_only_environment,
            remove_file),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
