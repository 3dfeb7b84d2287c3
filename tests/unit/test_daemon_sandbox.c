/* SPDX-License-Identifier: Apache-2.0 */
/* test_daemon_sandbox.c - what can hostile user code do to agent, neighbours, machine
 *
 * A real agent that is root, so only root can run it. Every predictor tries something
 * and prints "<what>: denied" or "<what>: done". */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/sandbox.h"
#include "common/clock.h"
#include "common/fs.h"
#include "tests/support/fake_master.h"

#define SKIPPED 77 /* exit status, which ctest knows */
/* Before every predictor here. */
#define TRIES                                                                          \
    "import os, signal, sys, tempfile, time\n"                                         \
    "def attempt(what, do, *args):\n"                                                  \
    "    try:\n"                                                                       \
    "        do(*args)\n"                                                              \
    "    except PermissionError:\n"                                                    \
    "        print(what + ': denied')\n"                                               \
    "    else:\n"                                                                      \
    "        print(what + ': done')\n"                                                 \
    "def read(path):\n"                                                                \
    "    open(path, 'rb').read(1)\n"                                                   \
    "def write(path):\n"                                                               \
    "    open(path, 'ab').close()\n"
#define IDLE                                                                           \
    "class PythonPredictor:\n"                                                         \
    "    def __init__(self, config): pass\n"                                           \
    "    def predict(self): pass\n"

static int set_up(void **state)
{
    (void)state;
    (void)setenv("THE_AGENTS_SECRET", "x", 1);
    (void)setenv("AWS_REGION", "eu-test-1", 1);
    (void)setenv("PIP_NO_INDEX", "1", 1);
    return fake_master_start(NULL);
}

/* --- looking from outside --------------------------------------------------------- */

/* The number behind "<what>=" in the job's log. */
static long find_number(struct job *job, const char *what)
{
    char *key = memory_format("%s=", what);
    char *at;
    long number = -1;

    pthread_mutex_lock(&master.mutex);
    at = strstr(buffer_text(&job->log), key);
    if (at != NULL) {
        number = strtol(at + strlen(key), NULL, 10);
    }
    pthread_mutex_unlock(&master.mutex);
    free(key);
    return number;
}

/* Processes of a user that can still run. */
static unsigned count_processes(uid_t uid)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    unsigned n = 0;

    while ((entry = readdir(folder)) != NULL) {
        char *path = memory_format("/proc/%s/stat", entry->d_name);
        struct buffer text = BUFFER_INIT;
        struct stat info;

        if (stat(path, &info) == 0 && info.st_uid == uid &&
            fs_read(path, 4096, &text, NULL) == 0) {
            n += strstr(buffer_text(&text), ") Z ") == NULL;
        }
        buffer_fini(&text);
        free(path);
    }
    (void)closedir(folder);
    return n;
}

static void wait_no_processes(uid_t uid)
{
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;

    while (count_processes(uid) > 0) {
        assert_true(clock_monotonic_ms() < end_ms);
        (void)usleep(5000);
    }
}

static void wait_gone(const char *path)
{
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;

    while (fs_exists(path)) {
        assert_true(clock_monotonic_ms() < end_ms);
        (void)usleep(2000);
    }
}

static bool is_running(const struct job *job)
{
    return strstr(buffer_text(&job->log), "in predict") != NULL;
}

static void stop_job(struct job *job)
{
    pthread_mutex_lock(&master.mutex);
    wish(job, 4, false);
    pthread_mutex_unlock(&master.mutex);
    wait_until(job, is_over);
}

/* --- the tests -------------------------------------------------------------------- */

static void user_code_reaches_nothing_of_the_agents(void **state)
{
    char *config = memory_format("{\"state\": \"%s\"}", master.state_dir);
    struct job *job = run_job(
        TRIES
        "class PythonPredictor:\n"
        "    def __init__(self, config):\n"
        "        s = config['state']\n"
        "        agent = os.getppid()\n"
        "        attempt('read id', read, s + '/agent_id')\n"
        "        attempt('list state', os.listdir, s)\n"
        "        attempt('list archives', os.listdir, s + '/projects')\n"
        "        attempt('list workers', os.listdir, s + '/workers')\n"
        "        attempt('add to state', write, s + '/mine')\n"
        "        attempt('add to workers', os.mkdir, s + '/workers/mine')\n"
        "        attempt('change runner', write, s + '/runner/cortex_runner/main.py')\n"
        "        attempt('add to runner', write, s + '/runner/cortex_runner/x.py')\n"
        "        attempt('rename project', os.rename, os.getcwd(), os.getcwd() + '2')\n"
        "        attempt('change project', write, 'predictor.py')\n"
        "        attempt('remove from project', os.unlink, 'predictor.py')\n"
        "        attempt('read environ', read, '/proc/%d/environ' % agent)\n"
        "        attempt('read memory', read, '/proc/%d/mem' % agent)\n"
        "        attempt('list descriptors', os.listdir, '/proc/%d/fd' % agent)\n"
        "        attempt('signal', os.kill, agent, signal.SIGCONT)\n"
        "        attempt('be root', os.setuid, 0)\n"
        "        attempt('read shadow', read, '/etc/shadow')\n"
        "    def predict(self): pass\n",
        config,
        1);

    (void)state;
    assert_int_equal(job->state, 5);
    expect_no_log(job, ": done");
    expect_log(job, "read shadow: denied\n");
    free(config);
    job_end(job);
}

static void user_code_has_what_it_needs_and_no_more(void **state)
{
    struct job *job =
        run_job(TRIES "import resource\n"
                      "e = os.environ\n"
                      "print('secret', 'THE_AGENTS_SECRET' in e, 'PIP_NO_INDEX' in e)\n"
                      "print('settings', e['AWS_REGION'], 'PATH' in e)\n"
                      "attempt('own file', write, 'made.txt')\n"
                      "attempt('temporary file', tempfile.TemporaryFile)\n"
                      "attempt('home', write, os.path.expanduser('~/x'))\n"
                      "here = os.path.dirname(os.getcwd())\n"
                      "print('inside', e['TMPDIR'].startswith(here),"
                      " e['HOME'].startswith(here))\n"
                      "links = [os.readlink('/proc/self/fd/' + f) for f in"
                      " os.listdir('/proc/self/fd') if os.path.lexists("
                      "'/proc/self/fd/' + f)]\n"
                      "print('strange', [l for l in links if not l.startswith(("
                      "'/dev/null', '/memfd:cortex', 'pipe:', 'socket:', '/proc/'))],"
                      " len([l for l in links if l.startswith('socket:')]))\n"
                      "print('core', resource.getrlimit(resource.RLIMIT_CORE))\n"
                      "status = open('/proc/self/status').read()\n"
                      "print('privileges', 'NoNewPrivs:\\t1' in status,"
                      " 'CapEff:\\t0000000000000000' in status, os.getgroups())\n"
                      "print('session', os.getsid(0) == os.getpid())\n"
                      "print('id', os.getuid() == os.getgid() >= 65536)\n" IDLE,
                "",
                1);

    (void)state;
    assert_int_equal(job->state, 5);
    expect_log(job, "secret False False\n");
    expect_log(job, "settings eu-test-1 True\n");
    expect_log(job, "own file: done\n");
    expect_log(job, "temporary file: done\n");
    expect_log(job, "home: done\n");
    expect_log(job, "inside True True\n");
    expect_log(job, "strange [] 1\n");
    expect_log(job, "core (0, 0)\n");
    expect_log(job, "privileges True True []\n");
    expect_log(job, "session True\n");
    expect_log(job, "id True\n");
    job_end(job);
}

static void workers_do_not_reach_one_another(void **state)
{
    const char *victim[] = {"predictor.py",
                            TRIES "print('uid=%d' % os.getuid())\n"
                                  "class PythonPredictor:\n"
                                  "    def __init__(self, config): pass\n"
                                  "    def predict(self):\n"
                                  "        print('in predict')\n"
                                  "        time.sleep(1000)\n",
                            NULL};
    struct job *first = job_begin(victim, "", "info", 1);
    struct job *second;
    char *config;

    (void)state;
    wait_until(first, is_running);
    config = memory_format("{\"pid\": %u, \"folder\": \"%s/workers/%016llx\"}",
                           first->pid,
                           master.state_dir,
                           (unsigned long long)first->worker_id);
    second = run_job(
        TRIES "class PythonPredictor:\n"
              "    def __init__(self, config):\n"
              "        print('uid=%d' % os.getuid())\n"
              "        pid, folder = config['pid'], config['folder']\n"
              "        attempt('folder', os.listdir, folder)\n"
              "        attempt('project', read, folder + '/project/predictor.py')\n"
              "        attempt('tmp', os.listdir, folder + '/tmp')\n"
              "        attempt('environ', read, '/proc/%d/environ' % pid)\n"
              "        attempt('memory', read, '/proc/%d/mem' % pid)\n"
              "        attempt('output', write, '/proc/%d/fd/1' % pid)\n"
              "        attempt('kill', os.kill, pid, 9)\n"
              "    def predict(self): pass\n",
        config,
        1);
    assert_int_equal(second->state, 5);
    expect_no_log(second, ": done");
    expect_log(second, "kill: denied\n");
    assert_int_not_equal(find_number(first, "uid"), find_number(second, "uid"));
    assert_int_equal(first->state, 2);
    stop_job(first);
    free(config);
    job_end(first);
    job_end(second);
}

#define DAEMON                                                                         \
    "def daemon():\n"                                                                  \
    "    print('uid=%d' % os.getuid(), flush=True)\n"                                  \
    "    if os.fork() == 0:\n"                                                         \
    "        os.setsid()\n"                                                            \
    "        for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\n"                  \
    "        if os.fork() == 0:\n"                                                     \
    "            os.closerange(0, 100000)\n"                                           \
    "            time.sleep(1000)\n"                                                   \
    "        os._exit(0)\n"                                                            \
    "    for path in ('/tmp', '/var/tmp', '/dev/shm'):\n"                              \
    "        os.makedirs('%s/cortex-left-%d/below' % (path, os.getuid()))\n"

static void expect_nothing_left(long uid)
{
    const char *places[] = {"/tmp", "/var/tmp", "/dev/shm"};

    assert_true(uid >= (long)SANDBOX_FIRST);
    wait_no_processes((uid_t)uid);
    for (int i = 0; i < 3; i++) {
        char *path = memory_format("%s/cortex-left-%ld", places[i], uid);

        wait_gone(path);
        free(path);
    }
}

static void what_a_worker_leaves_behind_goes_with_it(void **state)
{
    struct job *job = run_job(TRIES DAEMON "class PythonPredictor:\n"
                                           "    def __init__(self, config): daemon()\n"
                                           "    def predict(self): pass\n",
                              "",
                              2);
    char *folder = memory_format(
        "%s/workers/%016llx", master.state_dir, (unsigned long long)job->worker_id);

    (void)state;
    assert_int_equal(job->state, 5);
    expect_all(job, 1);
    expect_nothing_left(find_number(job, "uid"));
    wait_gone(folder);
    free(folder);
    job_end(job);
}

static void a_stop_ends_daemons_too(void **state)
{
    const char *files[] = {"predictor.py",
                           TRIES DAEMON "class PythonPredictor:\n"
                                        "    def __init__(self, config): daemon()\n"
                                        "    def predict(self):\n"
                                        "        print('in predict')\n"
                                        "        time.sleep(1000)\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 1);

    (void)state;
    wait_until(job, is_running);
    assert_int_equal(count_processes((uid_t)find_number(job, "uid")), 2);
    stop_job(job);
    expect_nothing_left(find_number(job, "uid"));
    job_end(job);
}

static void what_outlives_a_killed_agent_ends_when_it_is_back(void **state)
{
    const char *files[] = {"predictor.py",
                           TRIES DAEMON "class PythonPredictor:\n"
                                        "    def __init__(self, config): daemon()\n"
                                        "    def predict(self):\n"
                                        "        print('in predict')\n"
                                        "        time.sleep(1000)\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 1);

    (void)state;
    wait_until(job, is_running);
    (void)stop_agent(SIGKILL);
    pthread_mutex_lock(&master.mutex);
    wish(job, 0, false);
    pthread_mutex_unlock(&master.mutex);
    start_agent();
    expect_nothing_left(find_number(job, "uid"));
    job_end(job);
}

static void installers_run_as_the_worker_and_leave_nothing_running(void **state)
{
    const char *files[] = {"predictor.py",
                           "import os, sys\n"
                           "print('predictor', os.getuid(), open('made').read())\n"
                           "try:\n"
                           "    open(sys.prefix + '/x', 'w')\n"
                           "except PermissionError:\n"
                           "    print('environment: denied')\n" IDLE,
                           "requirements.txt",
                           "requests>=0.0.1\n",
                           "dependencies.sh",
                           "echo uid=$(id -u); printf %s made > made\n"
                           "test \"$PIP_NO_INDEX\" = 1\n"
                           "cat /etc/shadow || echo shadow is closed\n"
                           "setsid nohup sleep 1000 > /dev/null 2>&1 &\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 1);
    char *line;

    (void)state;
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    line = memory_format("predictor %ld made\n", find_number(job, "uid"));
    expect_log(job, line);
    expect_log(job, "environment: denied\n");
    expect_log(job, "shadow is closed\n");
    expect_nothing_left(find_number(job, "uid"));
    free(line);
    job_end(job);
}

static void a_fork_bomb_is_bounded_and_the_next_batch_unaffected(void **state)
{
    struct job *job = run_job(TRIES "class PythonPredictor:\n"
                                    "    def __init__(self, config):\n"
                                    "        print('uid=%d' % os.getuid())\n"
                                    "    def predict(self, payload):\n"
                                    "        if payload[0] != 1: return\n"
                                    "        me = os.getpid()\n"
                                    "        while True:\n"
                                    "            try:\n"
                                    "                os.fork()\n"
                                    "            except OSError:\n"
                                    "                if os.getpid() == me: raise\n"
                                    "                time.sleep(1)\n",
                              "",
                              3);

    (void)state;
    assert_int_equal(job->state, 5);
    assert_int_equal(job->outcomes[0].outcome, 1);
    assert_int_equal(job->outcomes[1].outcome, 2);
    assert_int_equal(job->outcomes[2].outcome, 1);
    assert_non_null(strstr(job->outcomes[1].error, "temporarily unavailable"));
    expect_nothing_left(find_number(job, "uid"));
    job_end(job);
}

static void full_descriptors_fail_their_batch_only(void **state)
{
    struct job *job = run_job(TRIES "class PythonPredictor:\n"
                                    "    def __init__(self, config):\n"
                                    "        self.kept = []\n"
                                    "    def predict(self, payload):\n"
                                    "        while payload[0] == 1:\n"
                                    "            self.kept.append(os.dup(0))\n",
                              "",
                              3);

    (void)state;
    assert_int_equal(job->state, 5);
    assert_int_equal(job->outcomes[1].outcome, 2);
    assert_non_null(strstr(job->outcomes[1].error, "Too many open files"));
    assert_int_equal(job->outcomes[2].outcome, 1);
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void a_hostile_tree_leads_no_removal_elsewhere(void **state)
{
    char *kept = fs_join(master.folder, "kept");
    char *config = memory_format("{\"kept\": \"%s\"}", master.folder);
    struct job *job;
    char *folder;

    (void)state;
    assert_int_equal(fs_write_durable(kept, "x", 1, 0644, NULL), 0);
    job =
        run_job(TRIES "class PythonPredictor:\n"
                      "    def __init__(self, config):\n"
                      "        os.symlink(config['kept'], 'link')\n"
                      "        os.symlink(config['kept'], tempfile.mkdtemp() + '/l')\n"
                      "        os.chdir(os.environ['TMPDIR'])\n"
                      "        for i in range(3000):\n"
                      "            os.mkdir('d')\n"
                      "            os.chdir('d')\n"
                      "    def predict(self): pass\n",
                config,
                1);
    folder = memory_format(
        "%s/workers/%016llx", master.state_dir, (unsigned long long)job->worker_id);
    wait_gone(folder);
    assert_true(fs_exists(kept));
    free(folder);
    free(config);
    free(kept);
    job_end(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_code_reaches_nothing_of_the_agents),
        cmocka_unit_test(user_code_has_what_it_needs_and_no_more),
        cmocka_unit_test(workers_do_not_reach_one_another),
        cmocka_unit_test(what_a_worker_leaves_behind_goes_with_it),
        cmocka_unit_test(a_stop_ends_daemons_too),
        cmocka_unit_test(what_outlives_a_killed_agent_ends_when_it_is_back),
        cmocka_unit_test(installers_run_as_the_worker_and_leave_nothing_running),
        cmocka_unit_test(a_fork_bomb_is_bounded_and_the_next_batch_unaffected),
        cmocka_unit_test(full_descriptors_fail_their_batch_only),
        cmocka_unit_test(a_hostile_tree_leads_no_removal_elsewhere),
    };

    if (geteuid() != 0) {
        (void)fprintf(stderr,
                      "skipped: only root can give workers users of their own\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, set_up, fake_master_stop);
}
