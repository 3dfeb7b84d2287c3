/* SPDX-License-Identifier: Apache-2.0 */
/* test_daemon.c - does a real cortex-agent run real predictors for a master's wishes */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/worker.h"
#include "common/clock.h"
#include "common/fs.h"
#include "tests/support/fake_master.h"

static int set_up(void **state)
{
    (void)state;
    return fake_master_start(NULL);
}

/* --- the tests -------------------------------------------------------------------- */

static void a_job_runs_from_its_first_batch_to_its_closing_line(void **state)
{
    struct job *job = run_job("import os\n"
                              "class PythonPredictor:\n"
                              "    def __init__(self, config, job_spec):\n"
                              "        print('config', config, job_spec['workers'])\n"
                              "        print('env', os.environ['FROM_YAML'],"
                              " os.environ['CORTEX_API_NAME'])\n"
                              "    def predict(self, payload, batch_id):\n"
                              "        print('payload', payload)\n"
                              "    def on_job_complete(self):\n"
                              "        print('called', end='')\n",
                              "{\"a\": {\"y\": 3}}",
                              3);

    (void)state;
    assert_int_equal(job->state, 5);
    expect_all(job, 1);
    expect_log(job, ":cortex:pid-1:INFO:downloading the project code\n");
    expect_log(job, "config {'a': {'x': 1, 'y': 3}} 1\n");
    expect_log(job, "env yes test-api\n");
    expect_log(job, "payload [2]\n");
    expect_log(job, ":INFO:executing on_job_complete\ncalled\n");
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void ten_thousand_batches_are_each_done_once(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self): pass\n",
                              "",
                              10000);

    (void)state;
    expect_all(job, 1);
    expect_last_line(job, CLOSING);
    expect_no_log(job, "executing on_job_complete");
    job_end(job);
}

static void a_constructor_that_raises_fails_the_worker_with_its_traceback(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config):\n"
                              "        raise Exception('no model here')\n"
                              "    def predict(self): pass\n",
                              "",
                              1);

    (void)state;
    assert_int_equal(job->state, 6);
    assert_int_equal(job->failure, 1);
    assert_string_equal(job->error, "predictor.py: __init__: Exception: no model here");
    expect_log(job, "Traceback (most recent call last):\n");
    expect_log(job, "predictor.py\", line 3, in __init__\n");
    expect_no_log(job, "cortex_runner");
    job_end(job);
}

static void setup_failures_say_what_is_wrong(void **state)
{
    const char *cases[][2] = {
        {"import no_such_module\n", "No module named 'no_such_module'"},
        {"class PythonPredictor(:\n", "SyntaxError"},
        {"x = 1\n", "class PythonPredictor is not defined"},
        {"import sys\nsys.exit(3)\n", "import: SystemExit: 3"},
        {"import os\nos._exit(3)\n", "exited with status 3 before"},
        {"class PythonPredictor:\n"
         "    def __init__(self, config): pass\n"
         "    def predict(self, payloads): pass\n",
         "unknown argument \"payloads\""},
        {"class PythonPredictor:\n"
         "    def __init__(self, config, python_client): pass\n"
         "    def predict(self): pass\n",
         "TypeError"},
        {"import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
         "was killed by signal 9 (Killed) before"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct job *job = run_job(cases[i][0], "", 1);

        assert_int_equal(job->state, 6);
        assert_int_equal(job->failure, 1);
        assert_non_null(strstr(job->error, cases[i][1]));
        expect_log(job, cases[i][1]);
        job_end(job);
    }
}

static void predict_may_raise_anything_and_the_worker_goes_on(void **state)
{
    struct job *job = run_job("import sys\n"
                              "class Hostile(Exception):\n"
                              "    def __str__(self): raise ValueError('no text')\n"
                              "class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self, payload):\n"
                              "        n = payload[0]\n"
                              "        if n == 0: raise KeyError('zero')\n"
                              "        if n == 1: sys.exit('one')\n"
                              "        if n == 2: raise KeyboardInterrupt\n"
                              "        if n == 3: raise Hostile()\n"
                              "        if n == 4: return self.predict(payload)\n",
                              "",
                              6);

    (void)state;
    assert_int_equal(job->state, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(job->outcomes[i].outcome, 2);
    }
    assert_int_equal(job->outcomes[5].outcome, 1);
    assert_string_equal(job->outcomes[0].error, "KeyError: 'zero'");
    assert_string_equal(job->outcomes[1].error, "SystemExit: one");
    expect_log(job, ":ERROR:failed processing batch ");
    expect_log(job, "in predict\n");
    expect_no_log(job, "cortex_runner");
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void what_predict_returns_is_stored_or_the_batch_fails(void **state)
{
    char *config = memory_format("{\"dest_s3_dir\": \"file://%s/out\"}", master.folder);
    struct job *job =
        run_job("class Array:\n"
                "    def tolist(self): return [1.5, 2]\n"
                "class PythonPredictor:\n"
                "    def __init__(self, config):\n"
                "        import sys\n"
                "        sys.modules['cortex_runner.worker'].RESULT_SIZE_MAX = 1000\n"
                "    def predict(self, payload):\n"
                "        n = payload[0]\n"
                "        if n == 0: return {'class': 'h\\u00e9'}\n"
                "        if n == 1: return float('nan')\n"
                "        if n == 2: return b'bytes'\n"
                "        if n == 3:\n"
                "            a = []\n"
                "            a.append(a)\n"
                "            return a\n"
                "        if n == 4: return Array()\n"
                "        if n == 5: return object()\n"
                "        if n == 6: return 'x' * 2000\n",
                config,
                8);
    char id[ID_UUID_TEXT_SIZE];
    char text[ID_JOB_TEXT_SIZE];
    struct buffer stored = BUFFER_INIT;
    const int outcomes[] = {1, 2, 2, 2, 1, 2, 2, 1};
    char *path;

    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(job->outcomes[i].outcome, outcomes[i]);
    }
    assert_non_null(strstr(job->outcomes[1].error, "cannot be stored as JSON"));
    assert_non_null(
        strstr(job->outcomes[6].error, "is 2002 bytes of JSON, expected at most 1000"));
    id_job_format(job->id, text);
    id_batch_format(job->id, 0, id);
    path = memory_format("%s/out/%s/%s.json", master.folder, text, id);
    assert_int_equal(fs_read(path, 1000, &stored, NULL), 0);
    assert_string_equal(stored.data, "{\"class\": \"h\\u00e9\"}");
    free(path);
    buffer_clear(&stored);
    id_batch_format(job->id, 4, id);
    path = memory_format("%s/out/%s/%s.json", master.folder, text, id);
    assert_int_equal(fs_read(path, 1000, &stored, NULL), 0);
    assert_string_equal(stored.data, "[1.5, 2]");
    free(path);
    buffer_fini(&stored);
    free(config);
    job_end(job);
}

static uint64_t ended(struct job *job)
{
    pthread_mutex_lock(&master.mutex);
    uint64_t count = job->ended;
    pthread_mutex_unlock(&master.mutex);
    return count;
}

static void expect_exited(struct job *job)
{
    pthread_mutex_lock(&master.mutex);
    int found = job->state;
    pthread_mutex_unlock(&master.mutex);
    assert_int_equal(found, AGENT_WORKER_EXITED);
}

static void expect_outcome(struct job *job, size_t index, int outcome)
{
    pthread_mutex_lock(&master.mutex);
    int found = job->outcomes[index].outcome;
    pthread_mutex_unlock(&master.mutex);
    assert_int_equal(found, outcome);
}

#ifdef CORTEX_SANITIZED
#define EXTRA_MIB 1000 /* what was freed is kept for a while, to find its users */
#else
#define EXTRA_MIB 0
#endif

static uint64_t agent_peak_mib(void)
{
    char *path = memory_format("/proc/%d/status", (int)master.agent);
    struct buffer text = BUFFER_INIT;
    uint64_t mib;

    assert_int_equal(fs_read(path, 65536, &text, NULL), 0);
    mib = strtoull(strstr(text.data, "\nVmHWM:") + 7, NULL, 10) >> 10;
    buffer_fini(&text);
    free(path);
    return mib;
}

/* That the first batch's result is a string of so many bytes, all "a". */
static void check_stored(const struct job *job, uint64_t size)
{
    struct buffer stored = BUFFER_INIT;
    char text[ID_JOB_TEXT_SIZE];
    char batch[ID_UUID_TEXT_SIZE];
    char *path;

    id_job_format(job->id, text);
    id_batch_format(job->id, 0, batch);
    path = memory_format("%s/out/%s/%s.json", master.folder, text, batch);
    assert_int_equal(fs_read(path, size, &stored, NULL), 0);
    assert_int_equal(stored.size, size);
    assert_int_equal(strspn(stored.data + 1, "a"), size - 2);
    buffer_fini(&stored);
    free(path);
}

static void large_results_of_many_workers_are_stored_in_bounded_memory(void **state)
{
    const uint64_t size = 60 << 20;
    const char *files[] = {"predictor.py",
                           "class PythonPredictor:\n"
                           "    def __init__(self, config): pass\n"
                           "    def predict(self):\n"
                           "        return 'a' * ((60 << 20) - 2)\n",
                           NULL};
    char *config = memory_format("{\"dest_s3_dir\": \"file://%s/out\"}", master.folder);
    uint64_t peak_mib = agent_peak_mib();
    struct job *jobs[JOBS_MAX];

    (void)state;
    for (int i = 0; i < JOBS_MAX; i++) {
        jobs[i] = job_begin(files, config, "info", 1);
    }
    for (int i = 0; i < JOBS_MAX; i++) {
        wait_until(jobs[i], is_over);
        expect_exited(jobs[i]);
        expect_all(jobs[i], 1);
    }
    for (int i = 0; i < JOBS_MAX; i++) {
        check_stored(jobs[i], size);
        job_end(jobs[i]);
    }
    // Four at once would be 240 MiB.
    assert_true(agent_peak_mib() < (peak_mib > 60 ? peak_mib : 60) + 140 + EXTRA_MIB);
    free(config);
}

static void
a_result_with_no_place_to_go_is_dropped_and_the_log_says_so_once(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self): return float('nan')\n",
                              "",
                              3);
    const char *line = "what predict returns is not stored: config has no dest_s3_dir";

    (void)state;
    expect_all(job, 1);
    expect_log(job, line);
    assert_null(strstr(strstr(buffer_text(&job->log), line) + 1, line));
    job_end(job);
}

static void a_worker_that_dies_in_predict_makes_only_that_batch_suspect(void **state)
{
    const char *deaths[] = {"os._exit(0)",
                            "ctypes.string_at(0)",
                            "os.kill(os.getpid(), 9)",
                            "os.closerange(0, 100000)"};

    (void)state;
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
        char *predictor = memory_format("import ctypes, os\n"
                                        "class PythonPredictor:\n"
                                        "    def __init__(self, config): pass\n"
                                        "    def predict(self, payload):\n"
                                        "        if payload[0] == 40: %s\n",
                                        deaths[i]);
        struct job *job = run_job(predictor, "", 100);

        assert_int_equal(job->state, 6);
        assert_int_equal(job->failure, 2);
        assert_int_equal(job->outcomes[40].attempts, 1);
        for (int k = 0; k < 40; k++) {
            assert_int_equal(job->outcomes[k].outcome, 1);
        }
        for (int k = 41; k < 100; k++) {
            assert_int_equal(job->outcomes[k].outcome, 0);
            assert_int_equal(job->outcomes[k].attempts, 0);
        }
        expect_log(job, " while processing batch ");
        free(predictor);
        job_end(job);
    }
}

static void
a_predictor_that_upsets_its_process_does_not_upset_the_next_batch(void **state)
{
    struct job *job =
        run_job("import os, signal, sys, threading, time\n"
                "class PythonPredictor:\n"
                "    def __init__(self, config):\n"
                "        t = threading.Thread(target=time.sleep, args=(1000,))\n"
                "        t.start()\n"
                "    def predict(self, payload):\n"
                "        n = payload[0]\n"
                "        if n == 0: os.close(1); os.close(2)\n"
                "        if n == 1: os.closerange(3, 256)\n"
                "        if n == 2: sys.stdout = sys.stderr = None\n"
                "        if n == 3: os.chdir('/')\n"
                "        if n == 4: signal.pthread_sigmask(signal.SIG_BLOCK,"
                " range(1, 32))\n"
                "        if n == 5: os.fork()\n"
                "        if n == 6: print('x')\n",
                "",
                8);

    (void)state;
    assert_int_equal(job->state, 5);
    expect_all(job, 1);
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void on_job_complete_that_raises_fails_the_worker(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self): pass\n"
                              "    def on_job_complete(self): raise OSError('disk')\n",
                              "",
                              1);

    (void)state;
    assert_int_equal(job->state, 6);
    assert_int_equal(job->failure, 4);
    expect_log(job, ":ERROR:failed to handle on_job_complete\nTraceback");
    expect_no_log(job, "job has been completed");
    job_end(job);
}

static void the_log_level_hides_what_is_below_it(void **state)
{
    const char *files[] = {"predictor.py",
                           "class PythonPredictor:\n"
                           "    def __init__(self, config): pass\n"
                           "    def predict(self, payload): assert payload[0]\n",
                           NULL};
    struct job *job = job_begin(files, "", "error", 2);

    (void)state;
    wait_until(job, is_over);
    expect_no_log(job, ":INFO:");
    expect_log(job, ":ERROR:failed processing batch ");
    job_end(job);
}

static void dependencies_are_installed_and_their_words_are_in_the_log(void **state)
{
    const char *files[] = {"predictor.py",
                           "import requests, sys, os\n"
                           "class PythonPredictor:\n"
                           "    def __init__(self, config):\n"
                           "        print('in', sys.prefix, open('made').read(),"
                           " os.environ['DOT'])\n"
                           "    def predict(self): pass\n",
                           "requirements.txt",
                           "# satisfied by the system's packages\nrequests\n",
                           "dependencies.sh",
                           "echo from the script; printf %s made > made\n",
                           ".env",
                           "DOT=\"a b\"\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 1);

    (void)state;
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    expect_log(job, "\nfrom the script\n");
    expect_log(job, "Requirement already satisfied: requests");
    expect_log(job, "/envs/");
    expect_log(job, " made a b\n");
    job_end(job);
}

static void a_failed_installation_fails_the_setup(void **state)
{
    const char *files[] = {"predictor.py",
                           "x = 1\n",
                           "dependencies.sh",
                           "echo hidden words; false; echo never\n",
                           NULL};
    struct job *job = job_begin(files, "", "error", 1);

    (void)state;
    wait_until(job, is_over);
    assert_int_equal(job->failure, 1);
    assert_string_equal(job->error, "dependencies.sh exited with status 1");
    expect_log(job, "hidden words\n");
    expect_no_log(job, "never");
    job_end(job);
}

static bool is_running(const struct job *job)
{
    return job->state == 2 && strstr(buffer_text(&job->log), "in predict") != NULL;
}

static const char *const sleeper[] = {"predictor.py",
                                      "import time\n"
                                      "class PythonPredictor:\n"
                                      "    def __init__(self, config): pass\n"
                                      "    def predict(self):\n"
                                      "        print('in predict')\n"
                                      "        time.sleep(1000)\n",
                                      NULL};

static void a_stop_ends_a_worker_in_predict_at_once(void **state)
{
    struct job *job = job_begin(sleeper, "", "info", 5);
    int64_t begun_ms;

    (void)state;
    wait_until(job, is_running);
    begun_ms = clock_monotonic_ms();
    pthread_mutex_lock(&master.mutex);
    wish(job, 4, false);
    pthread_mutex_unlock(&master.mutex);
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    assert_true(clock_monotonic_ms() - begun_ms < WAIT_MS / 2);
    assert_int_not_equal(kill((pid_t)job->pid, 0), 0);
    job_end(job);
}

static void a_stop_ends_an_installation(void **state)
{
    const char *files[] = {"predictor.py",
                           "x = 1\n",
                           "dependencies.sh",
                           "echo in predict; sleep 1000\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 1);

    (void)state;
    (void)usleep(300000);
    pthread_mutex_lock(&master.mutex);
    wish(job, 4, false);
    pthread_mutex_unlock(&master.mutex);
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    job_end(job);
}

static void a_master_that_forgot_the_agent_is_told_all_again(void **state)
{
    const char *files[] = {"predictor.py",
                           "import time\n"
                           "class PythonPredictor:\n"
                           "    def __init__(self, config): pass\n"
                           "    def predict(self): time.sleep(0.01)\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 60);

    (void)state;
    for (int i = 0; i < 5; i++) {
        (void)usleep(100000);
        pthread_mutex_lock(&master.mutex);
        master.want_unregistered = true;
        pthread_mutex_unlock(&master.mutex);
    }
    wait_until(job, is_over);
    expect_all(job, 1);
    job_end(job);
}

static bool is_one_ended(const struct job *job)
{
    return job->ended > 0;
}

static void a_leaving_agent_gives_back_what_it_cannot_finish(void **state)
{
    const char *files[] = {"predictor.py",
                           "import time\n"
                           "class PythonPredictor:\n"
                           "    def __init__(self, config): pass\n"
                           "    def predict(self, payload):\n"
                           "        time.sleep(1000 if payload[0] == 2 else 0.001)\n",
                           NULL};
    struct job *job = job_begin(files, "", "info", 40);
    int status;

    (void)state;
    wait_until(job, is_one_ended);
    (void)usleep(300000);
    status = stop_agent(SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    pthread_mutex_lock(&master.mutex);
    assert_true(master.draining);
    assert_int_equal(job->ended, 2);
    assert_int_equal(job->returned + (job->total - job->next), 38);
    assert_int_equal(job->outcomes[2].attempts, 0);
    expect_log(job, "in predict"); // the stack of what did not end
    wish(job, 0, false);
    pthread_mutex_unlock(&master.mutex);
    start_agent(); // its state folder is in order
    job_end(job);
}

static bool is_in_predict(const struct job *job)
{
    return strstr(buffer_text(&job->log), "in predict of 3\n") != NULL;
}

static bool has_returned(const struct job *job)
{
    return job->returned + (job->total - job->next) == 36 && job->ended == 3;
}

static void a_leaving_agent_returns_the_unbegun_at_once_and_finishes_what_is_in_predict(
    void **state)
{
    const char *files[] = {
        "predictor.py",
        "import os, time\n"
        "class PythonPredictor:\n"
        "    def __init__(self, config): self.go = config['go']\n"
        "    def predict(self, payload):\n"
        "        print('in predict of', payload[0])\n"
        "        while payload[0] == 3 and not os.path.exists(self.go):\n"
        "            time.sleep(0.01)\n"
        "        print('done with', payload[0])\n"
        "        return payload\n",
        NULL};
    char *go = fs_join(master.folder, "go");
    char *config = memory_format(
        "{\"dest_s3_dir\": \"file://%s/out\", \"go\": \"%s\"}", master.folder, go);
    struct job *job = job_begin(files, config, "info", 40);
    char text[ID_JOB_TEXT_SIZE];
    char batch[ID_UUID_TEXT_SIZE];
    char *path;
    int status = -1;

    (void)state;
    wait_until(job, is_in_predict);
    assert_int_equal(kill(master.agent, SIGTERM), 0);
    wait_until(job, has_returned); // while it is in predict
    assert_int_equal(fs_write_durable(go, "", 0, 0644, NULL), 0);
    assert_int_equal(waitpid(master.agent, &status, 0), master.agent);
    assert_int_equal(status, 0);
    assert_int_equal(ended(job), 4);
    expect_outcome(job, 3, 1);
    expect_log(job, "done with 3\n");
    expect_no_log(job, "in predict of 4");
    id_job_format(job->id, text);
    id_batch_format(job->id, 3, batch);
    path = memory_format("%s/out/%s/%s.json", master.folder, text, batch);
    assert_true(fs_exists(path));
    pthread_mutex_lock(&master.mutex);
    wish(job, 0, false);
    pthread_mutex_unlock(&master.mutex);
    start_agent();
    free(path);
    free(config);
    free(go);
    job_end(job);
}

/* Gone, or dead and not yet collected by whoever collects orphans here. */
static bool is_dead(pid_t pid)
{
    char *path = memory_format("/proc/%d/stat", (int)pid);
    struct buffer text = BUFFER_INIT;
    bool dead = fs_read(path, 4096, &text, NULL) != 0 ||
                strstr(buffer_text(&text), ") Z ") != NULL;

    buffer_fini(&text);
    free(path);
    return dead;
}

static void workers_die_with_their_agent(void **state)
{
    struct job *job = job_begin(sleeper, "", "info", 1);
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;

    (void)state;
    wait_until(job, is_running);
    assert_false(is_dead((pid_t)job->pid));
    (void)stop_agent(SIGKILL);
    while (!is_dead((pid_t)job->pid) && clock_monotonic_ms() < end_ms) {
        (void)usleep(2000);
    }
    assert_true(is_dead((pid_t)job->pid));
    pthread_mutex_lock(&master.mutex);
    wish(job, 0, false);
    pthread_mutex_unlock(&master.mutex);
    start_agent();
    job_end(job);
}

/* --- memory ----------------------------------------------------------------------- */

#define MIB (1u << 20)

static void a_worker_over_its_memory_is_killed_and_its_neighbour_is_not(void **state)
{
    // In the constructor; in predict; in a process that the predictor forked.
    const char *predictors[] = {
        "class PythonPredictor:\n"
        "    def __init__(self, config):\n"
        "        self.a = bytearray(300 << 20)\n"
        "        import time; time.sleep(1000)\n"
        "    def predict(self): pass\n",
        "class PythonPredictor:\n"
        "    def __init__(self, config): pass\n"
        "    def predict(self, payload):\n"
        "        if payload[0] == 2:\n"
        "            a = bytearray(300 << 20)\n"
        "            import time; time.sleep(1000)\n",
        "import os, time\n"
        "class PythonPredictor:\n"
        "    def __init__(self, config): pass\n"
        "    def predict(self, payload):\n"
        "        if payload[0] == 2:\n"
        "            if os.fork() == 0: a = bytearray(300 << 20)\n"
        "            time.sleep(1000)\n",
    };
    const char *neighbour[] = {"predictor.py",
                               "import time\n"
                               "class PythonPredictor:\n"
                               "    def __init__(self, config): pass\n"
                               "    def predict(self): time.sleep(0.001)\n",
                               NULL};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *files[] = {"predictor.py", predictors[i], NULL};
        struct job *job = job_begin_with(files, "", "info", 6, (uint64_t)128 * MIB);
        struct job *beside = job_begin_with(neighbour, "", "info", 500, 128 * MIB);

        wait_until(job, is_over);
        assert_int_equal(job->state, 6);
        assert_int_equal(job->failure, 3);
        assert_non_null(strstr(job->error, "compute.mem allows 128 MiB"));
        expect_log(job, "the worker was killed for its memory (");
        assert_int_equal(job->outcomes[2].attempts, i == 0 ? 0 : 1);
        wait_until(beside, is_over);
        assert_int_equal(beside->state, 5);
        expect_all(beside, 1);
        job_end(job);
        job_end(beside);
    }
}

static void pages_of_files_do_not_count_as_a_workers_memory(void **state)
{
    const char *files[] = {"predictor.py",
                           "import mmap, os, time\n"
                           "class PythonPredictor:\n"
                           "    def __init__(self, config):\n"
                           "        with open('large', 'wb') as f:\n"
                           "            for i in range(300): f.write(bytes(1 << 20))\n"
                           "        f = open('large', 'rb')\n"
                           "        self.m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE,"
                           " mmap.PROT_READ)\n"
                           "    def predict(self, payload):\n"
                           "        sum(self.m[i] for i in range(0, 300 << 20, 4096))\n"
                           "        time.sleep(0.4)\n",
                           NULL};
    struct job *job = job_begin_with(files, "", "info", 4, (uint64_t)128 * MIB);

    (void)state;
    wait_until(job, is_over);
    assert_int_equal(job->state, 5);
    expect_all(job, 1);
    job_end(job);
}

static void for_want_of_memory_in_python_an_attempt_or_the_job_fails(void **state)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self, payload):\n"
                              "        if payload[0] == 0: bytearray(1 << 60)\n",
                              "",
                              2);

    (void)state;
    assert_int_equal(job->outcomes[0].outcome, 2);
    assert_int_equal(job->outcomes[1].outcome, 1);
    assert_string_equal(job->outcomes[0].error, "MemoryError");
    job_end(job);
    job = run_job("class PythonPredictor:\n"
                  "    def __init__(self, config): bytearray(1 << 60)\n"
                  "    def predict(self): pass\n",
                  "",
                  1);
    assert_int_equal(job->failure, 3);
    job_end(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_from_its_first_batch_to_its_closing_line),
        cmocka_unit_test(ten_thousand_batches_are_each_done_once),
        cmocka_unit_test(a_constructor_that_raises_fails_the_worker_with_its_traceback),
        cmocka_unit_test(setup_failures_say_what_is_wrong),
        cmocka_unit_test(predict_may_raise_anything_and_the_worker_goes_on),
        cmocka_unit_test(what_predict_returns_is_stored_or_the_batch_fails),
        cmocka_unit_test(large_results_of_many_workers_are_stored_in_bounded_memory),
        cmocka_unit_test(
            a_result_with_no_place_to_go_is_dropped_and_the_log_says_so_once),
        cmocka_unit_test(a_worker_that_dies_in_predict_makes_only_that_batch_suspect),
        cmocka_unit_test(
            a_predictor_that_upsets_its_process_does_not_upset_the_next_batch),
        cmocka_unit_test(on_job_complete_that_raises_fails_the_worker),
        cmocka_unit_test(the_log_level_hides_what_is_below_it),
        cmocka_unit_test(dependencies_are_installed_and_their_words_are_in_the_log),
        cmocka_unit_test(a_failed_installation_fails_the_setup),
        cmocka_unit_test(a_stop_ends_a_worker_in_predict_at_once),
        cmocka_unit_test(a_stop_ends_an_installation),
        cmocka_unit_test(a_master_that_forgot_the_agent_is_told_all_again),
        cmocka_unit_test(a_leaving_agent_gives_back_what_it_cannot_finish),
        cmocka_unit_test(
            a_leaving_agent_returns_the_unbegun_at_once_and_finishes_what_is_in_predict),
        cmocka_unit_test(workers_die_with_their_agent),
        cmocka_unit_test(a_worker_over_its_memory_is_killed_and_its_neighbour_is_not),
        cmocka_unit_test(pages_of_files_do_not_count_as_a_workers_memory),
        cmocka_unit_test(for_want_of_memory_in_python_an_attempt_or_the_job_fails),
    };

    return cmocka_run_group_tests(tests, set_up, fake_master_stop);
}
