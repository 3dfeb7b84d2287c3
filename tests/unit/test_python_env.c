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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/python_envs.h"
#include "agent/resources.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/id.h"

#define PYTHON "/usr/bin/python3"

static char *folder;
static char *envs_folder;
static struct python_envs *envs;
static char *output;
static int output_fd;
static int cancel_fd;

static int set_up(void **state)
{
    char template[] = "/tmp/cortex-test-XXXXXX";

    (void)state;
    folder = memory_strdup(mkdtemp(template));
    envs_folder = fs_join(folder, "envs");
    envs = python_envs_create(envs_folder, UINT64_MAX);
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
    python_envs_destroy(envs);
    free(envs_folder);
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

static int take(const char *requirements, struct python_env *out, struct error *err)
{
    struct command command = make_command();

    write_requirements(requirements);
    return python_envs_take(envs, &command, PYTHON, "project-1", out, err);
}

/* Takes one and gives it back; the interpreter's path, which the caller frees. */
static char *make(const char *requirements)
{
    struct python_env env = {0};
    struct error err = {0};
    char *python;

    if (take(requirements, &env, &err) != 0) {
        fail_msg("%s", err.message);
    }
    python = memory_strdup(env.python);
    python_envs_give_back(envs, &env);
    return python;
}

static char *marker_of(const char *python)
{
    return memory_format(
        "%.*s/ready", (int)(strlen(python) - strlen("/bin/python")), python);
}

static off_t said(void)
{
    return lseek(output_fd, 0, SEEK_END);
}

static void without_requirements_it_is_the_interpreter_itself(void **state)
{
    const char *texts[] = {NULL, "", "# only a comment\n\n   \n"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        char *python = make(texts[i]);

        assert_string_equal(python, PYTHON);
        free(python);
    }
    assert_false(fs_exists(envs_folder));
}

static void what_the_system_has_needs_no_download_and_is_made_once(void **state)
{
    const char *argv[] = {
        NULL,
        "-c",
        "import boto3, requests, sys; sys.exit(sys.prefix == sys.base_prefix)",
        NULL};
    struct command command = make_command();
    char *first = make("requests\nboto3>=1.20\n");
    char *second;

    (void)state;
    argv[0] = first;
    assert_int_equal(command_run(&command, "looking", argv, NULL), 0);
    assert_int_equal(ftruncate(output_fd, 0), 0);
    second = make("requests\nboto3>=1.20\n");
    assert_string_equal(first, second);
    assert_int_equal(said(), 0); // pip said nothing
    free(first);
    free(second);
}

static void other_requirements_are_another_environment(void **state)
{
    char *first = make("requests\n");
    char *second = make("requests>=1\n");

    (void)state;
    assert_string_not_equal(first, second);
    free(first);
    free(second);
}

static void what_cannot_be_installed_is_an_error_and_leaves_nothing(void **state)
{
    struct error err = {0};
    struct buffer text = BUFFER_INIT;
    struct python_env env = {0};

    (void)state;
    assert_int_equal(take("no-such-package-at-all\n", &env, &err), -1);
    assert_null(env.python);
    assert_int_equal(err.code, ERROR_FAILED_PRECONDITION);
    assert_string_equal(err.message,
                        "pip install -r requirements.txt exited with status 1");
    assert_int_equal(fs_read(output, 1 << 20, &text, NULL), 0);
    assert_non_null(strstr(text.data, "no-such-package-at-all"));
    buffer_fini(&text);
}

static void a_damaged_environment_is_made_anew(void **state)
{
    const char *broken = "#!/bin/sh\nexit 1\n";
    char *python = make("requests\n");
    char *marker = marker_of(python);

    (void)state;
    // Half made: no marker. No interpreter. One that does not run.
    assert_int_equal(fs_remove(marker, NULL), 0);
    free(make("requests\n"));
    assert_true(fs_exists(marker));
    assert_int_equal(fs_remove(python, NULL), 0);
    free(make("requests\n"));
    assert_true(fs_exists(python));
    assert_int_equal(fs_remove(python, NULL), 0);
    assert_int_equal(fs_write_durable(python, broken, strlen(broken), 0755, NULL), 0);
    assert_int_equal(ftruncate(output_fd, 0), 0);
    free(make("requests\n"));
    assert_int_not_equal(said(), 0);
    assert_int_equal(ftruncate(output_fd, 0), 0);
    free(make("requests\n"));
    assert_int_equal(said(), 0);
    free(marker);
    free(python);
}

static void set_used(const char *python, time_t when)
{
    struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
    char *marker = marker_of(python);

    assert_int_equal(utimensat(AT_FDCWD, marker, times, 0), 0);
    free(marker);
}

static void the_least_recently_used_that_nobody_uses_make_room(void **state)
{
    char *path = fs_join(folder, "bounded");
    struct python_envs *whole = envs;
    struct python_env used = {0};
    char *oldest;
    char *old;
    char *newer;

    (void)state;
    envs = python_envs_create(path, UINT64_MAX);
    oldest = make("requests>=0.1\n");
    old = make("requests>=0.2\n");
    newer = make("requests>=0.3\n");
    python_envs_destroy(envs);
    set_used(oldest, 1000);
    set_used(old, 2000);
    // Of four there is room for one or two: what is in use stays, however old.
    {
        char *marker = marker_of(newer);
        struct buffer text = BUFFER_INIT;

        assert_int_equal(fs_read(marker, 100, &text, NULL), 0);
        assert_true(strtoull(text.data, NULL, 10) > 4096);
        envs = python_envs_create(path, strtoull(text.data, NULL, 10) * 5 / 2);
        buffer_fini(&text);
        free(marker);
    }
    assert_int_equal(take("requests>=0.1\n", &used, NULL), 0);
    set_used(oldest, 1000);
    free(make("requests>=0.4\n"));
    assert_true(fs_exists(oldest));
    assert_false(fs_exists(old));
    assert_false(fs_exists(newer));
    python_envs_give_back(envs, &used);
    set_used(oldest, 1000);
    free(make("requests>=0.5\n"));
    assert_false(fs_exists(oldest));
    python_envs_destroy(envs);
    envs = whole;
    free(oldest);
    free(old);
    free(newer);
    free(path);
}

static void what_is_no_requirements_file_is_refused(void **state)
{
    struct python_env env = {0};
    struct error err = {0};
    char *path = fs_join(folder, "requirements.txt");
    struct command command = make_command();

    (void)state;
    write_requirements(NULL);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(python_envs_take(envs, &command, PYTHON, "p", &env, &err), -1);
    assert_string_equal(err.message, "requirements.txt: expected a regular file");
    assert_int_equal(fs_remove(path, NULL), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(python_envs_take(envs, &command, PYTHON, "p", &env, &err), -1);
    assert_int_equal(fs_remove(path, NULL), 0);
    free(path);
}

static void *take_in_thread(void *arg)
{
    struct command command = make_command();

    return (void *)(intptr_t)python_envs_take(envs, &command, PYTHON, "p", arg, NULL);
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;

    for (; (text = strstr(text, word)) != NULL; text++) {
        n++;
    }
    return n;
}

static void two_that_need_the_same_at_once_make_it_once(void **state)
{
    struct python_env taken[2] = {{0}, {0}};
    struct buffer text = BUFFER_INIT;
    pthread_t threads[2];
    void *result;

    (void)state;
    write_requirements("requests>=2\n");
    assert_int_equal(ftruncate(output_fd, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_in_thread, &taken[i]),
                         0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    assert_string_equal(taken[0].python, taken[1].python);
    assert_int_equal(fs_read(output, 1 << 20, &text, NULL), 0);
    assert_int_equal(count(text.data, "already satisfied: requests>=2"), 1);
    buffer_fini(&text);
    python_envs_give_back(envs, &taken[0]);
    python_envs_give_back(envs, &taken[1]);
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
        cmocka_unit_test(a_damaged_environment_is_made_anew),
        cmocka_unit_test(the_least_recently_used_that_nobody_uses_make_room),
        cmocka_unit_test(what_is_no_requirements_file_is_refused),
        cmocka_unit_test(two_that_need_the_same_at_once_make_it_once),
        cmocka_unit_test(hidden_output_is_shown_when_it_fails),
        cmocka_unit_test(cores_are_read_as_people_write_them),
        cmocka_unit_test(an_installer_that_is_told_to_give_up_does),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
