/* SPDX-License-Identifier: Apache-2.0 */
/* test_cgroup.c - are workers' cgroups made, bounded, killed and removed
 *
 * With the machine's own hierarchy, where it lets us; which controllers there are is
 * the machine's doing, too. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cgroup.h"
#include "common/fs.h"

#define SKIPPED 77 /* exit status, which ctest knows */

static struct cgroups cgroups;
static char name[32];

/* A process in the group, with a child that has left its session; the pipe that both
 * hold is closed when both are gone. */
static pid_t start_in(const char *path, int *out_fd)
{
    int procs = cgroup_open_procs(path);
    int fds[2];
    pid_t pid;

    assert_true(procs >= 0);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        if (write(procs, "0", 1) == 1 && fork() == 0) {
            (void)setsid();
        }
        (void)close(fds[0]);
        (void)!write(fds[1], "x", 1);
        (void)pause();
        _exit(0);
    }
    (void)close(fds[1]);
    (void)close(procs);
    *out_fd = fds[0];
    return pid;
}

static void all_in_a_group_are_killed_whatever_their_session(void **state)
{
    const struct cgroup_limits limits = {.cpu_millis = 1000};
    struct error err = {0};
    char *path = NULL;
    char byte;
    int fd;
    pid_t pid;

    (void)state;
    if (cgroup_make(&cgroups, 7, &limits, &path, &err) != 0) {
        fail_msg("%s", err.message);
    }
    pid = start_in(path, &fd);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
    cgroup_kill(path);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(fd, &byte, 1), 0);
    assert_false(cgroup_ran_out_of_memory(path));
    cgroup_remove(path);
    assert_false(fs_exists(path));
    (void)close(fd);
    free(path);
}

static void what_an_earlier_agent_left_is_killed_and_removed(void **state)
{
    const struct cgroup_limits limits = {.cpu_millis = 1000};
    struct cgroups again;
    char *path = NULL;
    char byte;
    int fd;
    pid_t pid;

    (void)state;
    assert_int_equal(cgroup_make(&cgroups, 8, &limits, &path, NULL), 0);
    pid = start_in(path, &fd);
    assert_int_equal(read(fd, &byte, 1), 1);
    (void)signal(SIGCHLD, SIG_IGN); // an agent's orphans are reaped by others
    assert_int_equal(cgroups_open(name, &again, NULL), 0);
    assert_false(fs_exists(path));
    while (read(fd, &byte, 1) > 0) {
        continue;
    }
    (void)signal(SIGCHLD, SIG_DFL);
    (void)waitpid(pid, NULL, 0);
    (void)close(fd);
    cgroups_close(&again);
    free(cgroups.folder); // which is gone
    assert_int_equal(cgroups_open(name, &cgroups, NULL), 0);
    free(path);
}

static void expect_file(const char *folder, const char *file, const char *expected)
{
    char *path = fs_join(folder, file);
    struct buffer text = BUFFER_INIT;

    assert_int_equal(fs_read(path, 4096, &text, NULL), 0);
    assert_string_equal(buffer_text(&text), expected);
    buffer_fini(&text);
    free(path);
}

static void limits_are_set_where_there_is_a_controller(void **state)
{
    const struct cgroup_limits limits = {
        .memory_bytes = 64 << 20, .cpu_millis = 2500, .processes = 100};
    char *path = NULL;

    (void)state;
    assert_int_equal(cgroup_make(&cgroups, 9, &limits, &path, NULL), 0);
    if (cgroups.memory) {
        expect_file(path, "memory.max", "67108864\n");
        expect_file(path, "memory.oom.group", "1\n");
    }
    if (cgroups.pids) {
        expect_file(path, "pids.max", "100\n");
    }
    if (cgroups.cpu) {
        expect_file(path, "cpu.weight", "250\n");
    }
    (void)fprintf(stderr,
                  "controllers here: memory %d, pids %d, cpu %d\n",
                  cgroups.memory,
                  cgroups.pids,
                  cgroups.cpu);
    cgroup_remove(path);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_in_a_group_are_killed_whatever_their_session),
        cmocka_unit_test(what_an_earlier_agent_left_is_killed_and_removed),
        cmocka_unit_test(limits_are_set_where_there_is_a_controller),
    };
    struct error err = {0};
    int failed;

    (void)snprintf(name, sizeof(name), "test-%d", (int)getpid());
    if (cgroups_open(name, &cgroups, &err) != 0) {
        (void)fprintf(stderr, "skipped: %s\n", err.message);
        return SKIPPED;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cgroups_close(&cgroups);
    return failed;
}
