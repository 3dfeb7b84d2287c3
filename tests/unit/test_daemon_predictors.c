/* SPDX-License-Identifier: Apache-2.0 */
/* test_daemon_predictors.c - do bad predictors fail as they should, and nobody else
 *
 * Every file of tests/corpus/predictors is run as a job of its own, on one agent, and
 * says in comments what must come of it:
 *
 *   # worker: exited, or failed for setup, died, memory or callback
 *   # outcomes: 1 2 0     a batch each: 0 none, 1 succeeded, 2 failed
 *   # suspect: 1          the batch that was in predict when the worker died
 *   # log: text           that is there, once or more often per file
 *   # most log: bytes     100,000 unless said otherwise
 *   # stop: text          the worker is stopped when its log has this
 *   # memory: bytes       of the worker
 *   # root                makes sense only with a user of its own for the worker
 *
 * After each a job that does nothing wrong must go well on the same agent. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/worker.h"
#include "common/fs.h"
#include "tests/support/fake_master.h"

#define FOLDER    TEST_SOURCE_DIR "/tests/corpus/predictors"
#define LOG_MAX   100000
#define FILES_MIN 40
/* The agent's memory after all of them. */
#ifdef __SANITIZE_ADDRESS__
#define AGENT_KB_MAX (500 << 10) // what was freed is kept for a while
#else
#define AGENT_KB_MAX (100 << 10)
#endif

static char *config;
static const char *stop_text; /* of the file that runs */

static int set_up(void **state)
{
    int result = fake_master_start(NULL);

    (void)state;
    config = memory_format("{\"dest_s3_dir\": \"file://%s/out\"}", master.folder);
    return result;
}

static int tear_down(void **state)
{
    free(config);
    return fake_master_stop(state);
}

/* --- what a file says ------------------------------------------------------------- */

/* The next "# <key>: <value>" from *at on, which the caller frees; NULL: none. */
static char *next_value(const char **at, const char *key)
{
    char *start = memory_format("\n# %s: ", key);
    const char *found = strstr(*at, start);
    char *value = NULL;

    if (found != NULL) {
        found += strlen(start);
        value = memory_strndup(found, strcspn(found, "\n"));
        *at = found;
    }
    free(start);
    return value;
}

static uint64_t get_number(const char *text, const char *key, uint64_t otherwise)
{
    char *value = next_value(&text, key);
    uint64_t number = value == NULL ? otherwise : strtoull(value, NULL, 10);

    free(value);
    return number;
}

/* The outcomes; returns how many. */
static uint64_t get_outcomes(const char *text, int *out, uint64_t max)
{
    char *value = next_value(&text, "outcomes");
    uint64_t n = 0;

    assert_non_null(value);
    for (const char *at = value; *at != '\0' && n < max; at++) {
        if (*at != ' ') {
            out[n++] = *at - '0';
        }
    }
    free(value);
    return n;
}

/* --- what came -------------------------------------------------------------------- */

static bool may_stop(const struct job *job)
{
    return strstr(buffer_text(&job->log), stop_text) != NULL;
}

static void check_worker(const struct job *job, const char *worker)
{
    const char *failures[] = {"exited", "setup", "died", "memory", "callback"};
    int expected = 0;

    while (strcmp(failures[expected], worker) != 0) {
        assert_int_not_equal(++expected, 5);
    }
    if (job->failure != expected ||
        job->state != (expected == 0 ? AGENT_WORKER_EXITED : AGENT_WORKER_FAILED)) {
        fail_msg("state %d, failure %d (%s), expected %s; log:\n%.3000s",
                 job->state,
                 job->failure,
                 job->error,
                 worker,
                 buffer_text(&job->log));
    }
}

static void check(const struct job *job, const char *text, const int *outcomes)
{
    uint64_t suspect = get_number(text, "suspect", UINT64_MAX);
    const char *at = text;
    char *value = next_value(&at, "worker");

    assert_non_null(value);
    check_worker(job, value);
    free(value);
    for (uint64_t i = 0; i < job->total; i++) {
        assert_int_equal(job->outcomes[i].outcome, outcomes[i]);
        assert_int_equal(job->outcomes[i].attempts, i == suspect);
    }
    for (at = text; (value = next_value(&at, "log")) != NULL; free(value)) {
        expect_log(job, value);
    }
    assert_true(job->log.size <= get_number(text, "most log", LOG_MAX));
}

static void run_file(const char *text)
{
    const char *files[] = {"predictor.py", text, NULL};
    const char *at = text;
    char *stop = next_value(&at, "stop");
    int outcomes[16] = {0};
    uint64_t total = get_outcomes(text, outcomes, 16);
    struct job *job =
        job_begin_with(files, config, "info", total, get_number(text, "memory", 0));

    if (stop != NULL) {
        stop_text = stop;
        wait_until(job, may_stop);
        pthread_mutex_lock(&master.mutex);
        wish(job, 4, false);
        pthread_mutex_unlock(&master.mutex);
    }
    wait_until(job, is_over);
    check(job, text, outcomes);
    free(stop);
    job_end(job);
}

static void run_good_one(void)
{
    struct job *job = run_job("class PythonPredictor:\n"
                              "    def __init__(self, config): pass\n"
                              "    def predict(self, payload): return payload\n",
                              config,
                              3);

    check_worker(job, "exited");
    expect_all(job, 1);
    expect_last_line(job, CLOSING);
    job_end(job);
}

static void bad_predictors_fail_as_they_should_and_nobody_else(void **state)
{
    struct dirent **entries;
    int n = scandir(FOLDER, &entries, NULL, alphasort);
    int ran = 0;

    (void)state;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char *path = fs_join(FOLDER, entries[i]->d_name);
        struct buffer text = BUFFER_INIT;

        if (entries[i]->d_name[0] != '.') {
            assert_int_equal(fs_read(path, 1 << 20, &text, NULL), 0);
            print_message("  %s\n", entries[i]->d_name);
        }
        if (text.size > 0 &&
            (geteuid() == 0 || strstr(text.data, "\n# root\n") == NULL)) {
            run_file(text.data);
            run_good_one();
            ran++;
        }
        buffer_fini(&text);
        free(path);
        free(entries[i]);
    }
    free(entries);
    assert_true(ran >= FILES_MIN);
}

static void the_agent_has_not_grown(void **state)
{
    char *path = memory_format("/proc/%d/status", (int)master.agent);
    struct buffer text = BUFFER_INIT;
    const char *at;

    (void)state;
    assert_int_equal(fs_read(path, 65536, &text, NULL), 0);
    at = strstr(text.data, "\nVmRSS:");
    assert_non_null(at);
    assert_true(strtoull(at + 7, NULL, 10) < AGENT_KB_MAX);
    buffer_fini(&text);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_predictors_fail_as_they_should_and_nobody_else),
        cmocka_unit_test(the_agent_has_not_grown),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
