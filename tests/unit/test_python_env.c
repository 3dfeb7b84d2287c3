/* SPDX-License-Identifier: Apache-2.0 */
/* test_python_env.c - is the right environment made, once, without a network */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/python_env.h"
#include "agent/resources.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/id.h"

#define PYTHON "/usr/bin/python3"

static char *folder;
static char *envs;
static char *output;
static int output_fd;
static int cancel_fd;

static int set_up(void **state)
{
    char template[] = "/tmp/cortex-test-XXXXXX";

    (void)state;
    folder = memory_strdup(mkdtemp(template));
    envs = fs_join(folder, "envs");
    output = fs_join(folder, "output");
    output_fd = open(output, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    cancel_fd = eventfd(0, EFD_CLOEXEC);
    (void)setenv("PIP_NO_INDEX", "1", 1);
    return id_init();
}

static int tear_down(void **state)
{
    (void)state;
    (void)fs_remove_tree(folder, NULL);
    (void)close(output_fd);
    (void)close(cancel_fd);
    free(output);
    free(envs);
    free(folder);
    return 0;
}

static void write_requirements(const char *text)
{
    char *path = fs_join(folder, "requirements.txt");

    if (text == NULL) {
        (void)fs_remove(path, NULL);
    } else {
        assert_int_equal(fs_write_durable(path, text, strlen(text), 0600, NULL), 0);
    }
    free(path);
}

static struct command make_command(void)
{
    return (struct command){.envp = environ,
                            .folder = folder,
                            .output_fd = output_fd,
                            .quiet_fd = -1,
                            .cancel_fd = cancel_fd};
}

static int make(const char *requirements, char **out_python, struct error *err)
{
    struct command command = make_command();

    write_requirements(requirements);
    return python_env_make(&command, envs, PYTHON, "project-1", out_python, err);
}

static void without_requirements_it_is_the_interpreter_itself(void **state)
{
    const char *texts[] = {NULL, "", "# only a comment\n\n   \n"};
    char *python = NULL;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(make(texts[i], &python, NULL), 0);
        assert_string_equal(python, PYTHON);
        free(python);
    }
    assert_false(fs_exists(envs));
}

static void what_the_system_has_needs_no_download_and_is_made_once(void **state)
{
    const char *argv[] = {
        NULL,
        "-c",
        "import requests, sys; sys.exit(sys.prefix == sys.base_prefix)",
        NULL};
    struct command command = make_command();
    struct error err = {0};
    char *first = NULL;
    char *second = NULL;

    (void)state;
    if (make("requests\n", &first, &err) != 0) {
        fail_msg("%s", err.message);
    }
    argv[0] = first;
    assert_int_equal(command_run(&command, "looking", argv, NULL), 0);
    assert_int_equal(ftruncate(output_fd, 0), 0);
    assert_int_equal(make("requests\n", &second, NULL), 0);
    assert_string_equal(first, second);
    assert_int_equal(lseek(output_fd, 0, SEEK_END), 0); // pip said nothing
    free(first);
    free(second);
}

static void other_requirements_are_another_environment(void **state)
{
    char *first = NULL;
    char *second = NULL;

    (void)state;
    assert_int_equal(make("requests\n", &first, NULL), 0);
    assert_int_equal(make("requests>=1\n", &second, NULL), 0);
    assert_string_not_equal(first, second);
    free(first);
    free(second);
}

static void what_cannot_be_installed_is_an_error_and_leaves_nothing(void **state)
{
    struct error err = {0};
    struct buffer text = BUFFER_INIT;
    char *python = NULL;

    (void)state;
    assert_int_equal(make("no-such-package-at-all\n", &python, &err), -1);
    assert_int_equal(err.code, ERROR_FAILED_PRECONDITION);
    assert_string_equal(err.message,
                        "pip install -r requirements.txt exited with status 1");
    assert_int_equal(fs_read(output, 1 << 20, &text, NULL), 0);
    assert_non_null(strstr(text.data, "no-such-package-at-all"));
    buffer_fini(&text);
}

static void a_half_made_environment_is_made_anew(void **state)
{
    char *python = NULL;
    char *marker;

    (void)state;
    assert_int_equal(make("requests\n", &python, NULL), 0);
    marker = memory_format(
        "%.*s/ready", (int)(strlen(python) - strlen("/bin/python")), python);
    assert_int_equal(fs_remove(marker, NULL), 0);
    assert_int_equal(fs_remove(python, NULL), 0);
    free(python);
    assert_int_equal(make("requests\n", &python, NULL), 0);
    assert_true(fs_exists(python));
    assert_true(fs_exists(marker));
    free(marker);
    free(python);
}

static void *make_in_thread(void *arg)
{
    struct command command = make_command();

    return (void *)(intptr_t)python_env_make(&command, envs, PYTHON, "p", arg, NULL);
}

static void two_that_need_the_same_at_once_get_the_same(void **state)
{
    pthread_t threads[2];
    char *pythons[2] = {NULL, NULL};
    void *result;

    (void)state;
    write_requirements("requests>=2\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, make_in_thread, &pythons[i]),
                         0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    assert_string_equal(pythons[0], pythons[1]);
    free(pythons[0]);
    free(pythons[1]);
}

static void an_installer_that_is_told_to_give_up_does(void **state)
{
    const char *argv[] = {"sleep", "1000", NULL};
    struct command command = make_command();
    struct error err = {0};

    (void)state;
    assert_int_equal(eventfd_write(cancel_fd, 1), 0);
    assert_int_equal(command_run(&command, "sleeping", argv, &err), -1);
    assert_int_equal(err.code, ERROR_CANCELLED);
}

static void hidden_output_is_shown_when_it_fails(void **state)
{
    const char *good[] = {"sh", "-c", "echo fine", NULL};
    const char *bad[] = {"sh", "-c", "echo broken; exit 7", NULL};
    struct command command = make_command();
    struct buffer text = BUFFER_INIT;
    struct error err = {0};
    char *hidden = fs_join(folder, "hidden");

    (void)state;
    assert_int_equal(ftruncate(output_fd, 0), 0);
    command.quiet_fd = open(hidden, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(command_run(&command, "a", good, NULL), 0);
    assert_int_equal(command_run(&command, "the step", bad, &err), -1);
    assert_string_equal(err.message, "the step exited with status 7");
    assert_int_equal(fs_read(output, 1 << 20, &text, NULL), 0);
    assert_string_equal(text.data, "broken\n");
    buffer_fini(&text);
    (void)close(command.quiet_fd);
    free(hidden);
}

static void cores_are_read_as_people_write_them(void **state)
{
    const struct {
        const char *text;
        uint32_t millis; /* 0: refused */
    } cases[] = {{"2", 2000},
                 {"500m", 500},
                 {"1.5", 1500},
                 {"0.25", 250},
                 {"1.0005", 0},
                 {"", 0},
                 {"0", 0},
                 {"-1", 0},
                 {"2x", 0},
                 {"1.", 0},
                 {"m", 0},
                 {"99999999999999", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t millis = 0;

        assert_int_equal(resources_read_cpu(cases[i].text, &millis),
                         cases[i].millis != 0);
        assert_int_equal(millis, cases[i].millis);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_requirements_it_is_the_interpreter_itself),
        cmocka_unit_test(what_the_system_has_needs_no_download_and_is_made_once),
        cmocka_unit_test(other_requirements_are_another_environment),
        cmocka_unit_test(what_cannot_be_installed_is_an_error_and_leaves_nothing),
        cmocka_unit_test(a_half_made_environment_is_made_anew),
        cmocka_unit_test(two_that_need_the_same_at_once_get_the_same),
        cmocka_unit_test(hidden_output_is_shown_when_it_fails),
        cmocka_unit_test(cores_are_read_as_people_write_them),
        cmocka_unit_test(an_installer_that_is_told_to_give_up_does),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
