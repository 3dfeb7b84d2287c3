/* SPDX-License-Identifier: Apache-2.0 */
/* test_detached.c - is a process that was left alone found, and no other one touched */
#include "client/cli/detached.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/fs.h"

#define PATIENCE_MS 20000

static char folder[] = "/tmp/cortex-detached-XXXXXX";
static char *log_path;

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    log_path = fs_join(folder, "x.log");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    free(log_path);
    return fs_remove_tree(folder, NULL);
}

static int remove_log(void **state)
{
    (void)state;
    return fs_remove(log_path, NULL);
}

static void
start(const char *script, struct detached *process, struct detached_start *started)
{
    char *argv[] = {(char *)(uintptr_t) "sh",
                    (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t)script,
                    NULL};
    struct error err = {0};

    if (detached_start(argv, folder, log_path, process, started, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void wait_end(const struct detached *process)
{
    int fd = detached_open(process);

    if (fd >= 0) {
        assert_true(detached_wait(fd, PATIENCE_MS));
        (void)close(fd);
    }
    (void)waitpid(process->pid, NULL, 0);
}

static void kill_it(const struct detached *process)
{
    int fd = detached_open(process);

    assert_true(fd >= 0);
    detached_signal(fd, SIGKILL);
    (void)close(fd);
    wait_end(process);
}

static void check_log(const char *expected)
{
    struct buffer text = BUFFER_INIT;

    assert_int_equal(fs_read(log_path, 65536, &text, NULL), 0);
    assert_string_equal(buffer_text(&text), expected);
    buffer_fini(&text);
}

// What is read from it first: 1 for a line, 0 for the end.
static ssize_t wait_ready(const struct detached_start *started)
{
    struct pollfd wait = {.fd = started->ready_fd, .events = POLLIN};
    char byte;

    assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
    return read(started->ready_fd, &byte, 1);
}

static void test_a_process_says_when_it_is_ready_and_goes_on_alone(void **state)
{
    struct detached process = {0};
    struct detached_start started;

    (void)state;
    start("echo ready >&3; exec 3>&-; exec sleep 100", &process, &started);
    detached_release(&started);
    assert_int_equal(wait_ready(&started), 1);
    detached_start_fini(&started);
    assert_true(detached_alive(&process));
    assert_int_equal(getsid(process.pid), process.pid);
    kill_it(&process);
    assert_false(detached_alive(&process));
    assert_int_equal(detached_open(&process), -1);
}

static void test_a_process_that_ends_before_it_is_ready_shows(void **state)
{
    struct detached process = {0};
    struct detached_start started;

    (void)state;
    start("echo no >&2; exit 3", &process, &started);
    detached_release(&started);
    assert_int_equal(wait_ready(&started), 0);
    detached_start_fini(&started);
    wait_end(&process);
    check_log("no\n");
}

static void test_a_program_that_is_not_there_is_named_in_the_log(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "/nowhere/at-all", NULL};
    struct detached process = {0};
    struct detached_start started;

    (void)state;
    assert_int_equal(detached_start(argv, folder, log_path, &process, &started, NULL),
                     0);
    detached_release(&started);
    assert_int_equal(wait_ready(&started), 0);
    detached_start_fini(&started);
    wait_end(&process);
    check_log("error: cannot run /nowhere/at-all: No such file or directory\n");
}

static void test_a_process_that_is_not_released_never_runs(void **state)
{
    struct detached process = {0};
    struct detached_start started;

    (void)state;
    start("echo ran", &process, &started);
    assert_true(detached_alive(&process));
    detached_start_fini(&started);
    wait_end(&process);
    check_log("");
}

static void test_it_has_its_folder_its_log_and_nothing_of_the_caller(void **state)
{
    struct detached process = {0};
    struct detached_start started;
    int mine = dup2(STDERR_FILENO, 500); // inherited unless it is closed

    (void)state;
    assert_int_equal(mine, 500);
    assert_int_equal(fs_write_durable(log_path, "old\n", 4, 0600, NULL), 0);
    start("pwd; cat; test -e /proc/self/fd/500 && echo inherited; echo x >&2",
          &process,
          &started);
    detached_release(&started);
    wait_end(&process);
    detached_start_fini(&started);
    (void)close(mine);
    char *expected = memory_format("old\n%s\nx\n", folder);
    check_log(expected);
    free(expected);
}

static void test_signals_that_the_caller_ignores_end_it_all_the_same(void **state)
{
    struct detached process = {0};
    struct detached_start started;

    (void)state;
    (void)signal(SIGTERM, SIG_IGN);
    start("echo ready >&3; exec sleep 100", &process, &started);
    (void)signal(SIGTERM, SIG_DFL);
    detached_release(&started);
    assert_int_equal(wait_ready(&started), 1);
    detached_start_fini(&started);
    int fd = detached_open(&process);
    assert_false(detached_wait(fd, 0));
    detached_signal(fd, SIGTERM);
    assert_true(detached_wait(fd, PATIENCE_MS));
    (void)close(fd);
    (void)waitpid(process.pid, NULL, 0);
}

static void test_another_process_of_that_pid_is_not_taken_for_it(void **state)
{
    struct detached process = {0};
    struct detached_start started;
    struct detached other;

    (void)state;
    start("exec sleep 100", &process, &started);
    detached_release(&started);
    detached_start_fini(&started);
    other = process;
    other.identity[strlen(other.identity) - 1] ^= 1; // another start time
    assert_false(detached_alive(&other));
    assert_int_equal(detached_open(&other), -1);
    other = process;
    other.identity[0] ^= 1; // another boot
    assert_false(detached_alive(&other));
    other = (struct detached){.pid = getpid()};
    assert_false(detached_alive(&other));
    assert_true(detached_alive(&process));
    kill_it(&process);
}

static void test_a_zombie_does_not_run(void **state)
{
    struct detached process = {0};
    struct detached_start started;
    siginfo_t info;

    (void)state;
    start("exit 0", &process, &started);
    detached_release(&started);
    assert_int_equal(waitid(P_PID, (id_t)process.pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(detached_alive(&process));
    detached_start_fini(&started);
    (void)waitpid(process.pid, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_process_says_when_it_is_ready_and_goes_on_alone,
                               remove_log),
        cmocka_unit_test_setup(test_a_process_that_ends_before_it_is_ready_shows,
                               remove_log),
        cmocka_unit_test_setup(test_a_program_that_is_not_there_is_named_in_the_log,
                               remove_log),
        cmocka_unit_test_setup(test_a_process_that_is_not_released_never_runs,
                               remove_log),
        cmocka_unit_test_setup(test_it_has_its_folder_its_log_and_nothing_of_the_caller,
                               remove_log),
        cmocka_unit_test_setup(test_signals_that_the_caller_ignores_end_it_all_the_same,
                               remove_log),
        cmocka_unit_test_setup(test_another_process_of_that_pid_is_not_taken_for_it,
                               remove_log),
        cmocka_unit_test_setup(test_a_zombie_does_not_run, remove_log),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
