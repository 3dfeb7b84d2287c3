/* SPDX-License-Identifier: Apache-2.0 */
/* power_cuts.c - is all that was committed there again, wherever the disk fails?
 *
 * A run of transactions as a master makes them, against the real store on a disk that
 * fails (support/faulty_disk.h): at any of its operations the power is cut, an error
 * comes, or room runs out. What is there afterwards must be, to the byte of its export,
 * what was there behind the last commit that succeeded, or behind the one under way.
 * CORTEX_FULL=1 is the full dose. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/buffer.h"
#include "common/id.h"
#include "master/store.h"
#include "tests/support/fault_row.h"
#include "tests/support/faulty_disk.h"

#define STEPS       64
#define REOPEN_AT   40
#define CONFIG_SIZE 200000 /* the log outgrows its bound, so that it is copied back */
#define RESULTS     100
#define PATH        "state.db"
#ifdef CORTEX_SANITIZED
#define USUAL_CUTS     20
#define USUAL_FAILURES 5
#else
#define USUAL_CUTS     100
#define USUAL_FAILURES 25
#endif

struct run {
    struct store *store;
    char *config;
    unsigned done; // steps whose commit succeeded
    char dumps[STEPS + 1][ID_PROJECT_TEXT_SIZE];
    uint64_t operations; // of a run without a fault
    unsigned lost;       // times a state was there of before the last commit
    unsigned beyond;     // times one was that no commit had made
};

static uint64_t job_of(unsigned round)
{
    return 1000 - round; // a newer one is smaller
}

static int put_job(struct run *run, unsigned round, enum job_state state)
{
    char name[] = "squares";
    char api_id[] = "v1";
    char none[] = "";
    bool over = state == JOB_COMPLETED_WITH_FAILURES;
    struct job_record job = {.job_id = job_of(round),
                             .api_name = name,
                             .api_id = api_id,
                             .state = state,
                             .workers = 2,
                             .max_attempts = 1,
                             .dead_letter_arn = none,
                             .config = run->config,
                             .config_size = CONFIG_SIZE,
                             .total = RESULTS,
                             .succeeded = over ? RESULTS - 10 : 0,
                             .failed = over ? 10 : 0,
                             .start_ns = round + 1,
                             .end_ns = over ? round + 2 : 0,
                             .reason = none};

    return store_job_put(run->store, &job, NULL) == 0
               ? store_event_add(
                     run->store, round, "job", "a job", job_state_name(state), "", NULL)
               : -1;
}

static int deploy(struct run *run, unsigned round)
{
    struct api_version *version = api_version_create();
    char *id = memory_format("v%u", round);

    api_version_set(&version->api_id, id);
    api_version_set(&version->name, "squares");
    api_version_set(&version->endpoint, "/squares");
    api_version_set(&version->spec, "{}");
    int result = store_api_put(run->store, version, NULL);
    api_version_unref(version);
    free(id);
    return result;
}

static int submit(struct run *run, unsigned round)
{
    char *key = memory_format("key-%u", round);
    int result = store_key_put(
        run->store, "squares", key, "hash", job_of(round), (int64_t)round, NULL);

    free(key);
    return result == 0 ? put_job(run, round, JOB_ENQUEUING) : -1;
}

static int enqueue(struct run *run, unsigned round)
{
    struct segment segment = {
        .payload = {.count = RESULTS, .checksum = round, .bytes = 9}};

    return store_segment_put(run->store, job_of(round), &segment, NULL);
}

static int place(struct run *run, unsigned round)
{
    const unsigned char agent[16] = {1, 2, 3};

    return store_worker_put(run->store, round + 1, job_of(round), agent, NULL);
}

static int results(struct run *run, unsigned round)
{
    int result = 0;

    for (uint64_t i = 0; i < RESULTS && result == 0; i++) {
        struct batch_row row = {.index = i,
                                .state = i % 10 ? BATCH_SUCCEEDED : BATCH_FAILED,
                                .attempts = 1,
                                .attempt = i + 1,
                                .worker_id = round + 1,
                                .error = i % 10 ? "" : "ValueError: a bad item"};
        result = store_batch_put(run->store, job_of(round), &row, NULL);
    }
    return result;
}

static int end(struct run *run, unsigned round)
{
    return put_job(run, round, JOB_COMPLETED_WITH_FAILURES) == 0
               ? store_worker_delete(run->store, round + 1, NULL)
               : -1;
}

static int start(struct run *run, unsigned round)
{
    return put_job(run, round, JOB_RUNNING);
}

static int forget(struct run *run, unsigned round)
{
    return round ? store_job_delete(run->store, job_of(round - 1), NULL) : 0;
}

static int step(struct run *run, unsigned number)
{
    static int (*const kinds[])(struct run *, unsigned) = {
        deploy, submit, enqueue, start, place, results, end, forget};
    unsigned round = number / 8;

    return kinds[number % 8](run, round) == 0 ? store_commit(run->store, NULL) : -1;
}

/* --- what is there ---------------------------------------------------------------- */

static int hash_line(void *arg, const char *line, size_t size, struct error *err)
{
    (void)err;
    if (strncmp(line, "{\"table\":\"master\"", 17) != 0) { // which has random numbers
        id_hash_add(arg, line, size);
    }
    return 0;
}

static void dump(struct run *run, char out[ID_PROJECT_TEXT_SIZE])
{
    struct id_hash *hash = id_hash_create();
    struct error err = {0};

    if (store_export(run->store, hash_line, hash, &err) != 0) {
        fail_msg("%s", err.message);
    }
    id_hash_finish(hash, out);
}

static void check_integrity(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(PATH, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
}

static void open_well(struct run *run, const char *what, uint64_t at)
{
    struct error err = {0};

    if (store_open(PATH, &run->store, &err) != 0) {
        fail_msg("%s at operation %" PRIu64 ": %s", what, at, err.message);
    }
}

static bool seen_before(const struct run *run,
                        const char there[static ID_PROJECT_TEXT_SIZE])
{
    for (unsigned i = 0; i < run->done; i++) {
        if (strcmp(there, run->dumps[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void check_behind(struct run *run, bool under_way, const char *what, uint64_t at)
{
    char there[ID_PROJECT_TEXT_SIZE];

    dump(run, there);
    if (strcmp(there, run->dumps[run->done]) == 0) {
        return;
    }
    if (under_way && strcmp(there, run->dumps[run->done + 1]) == 0) {
        run->done++; // it was durable before the answer
        return;
    }
    print_error("%s at operation %" PRIu64 ": not what was there after %u commits\n",
                what,
                at,
                run->done);
    *(seen_before(run, there) ? &run->lost : &run->beyond) += 1;
}

static void assert_exact(struct run *run, const char *fault, unsigned dose)
{
    fault_row_add(fault, dose, run->lost, run->beyond);
    assert_int_equal(run->lost + run->beyond, 0);
}

/* --- runs ------------------------------------------------------------------------- */

// Goes on until a step fails. A step in the middle closes and opens the store.
static bool go_on(struct run *run)
{
    if (!run->store && store_open(PATH, &run->store, NULL) != 0) {
        return false;
    }
    while (run->done < STEPS) {
        if (run->done == REOPEN_AT) {
            store_close(run->store);
            run->store = NULL;
            if (store_open(PATH, &run->store, NULL) != 0) {
                return false;
            }
        }
        if (step(run, run->done) != 0) {
            return false;
        }
        run->done++;
    }
    return true;
}

static void leave(struct run *run)
{
    store_close(run->store);
    run->store = NULL;
}

static int setup(void **state)
{
    struct run *run = memory_zalloc(sizeof(*run));

    assert_int_equal(id_init(), 0);
    run->config = memory_zalloc(CONFIG_SIZE);
    memset(run->config, 'c', CONFIG_SIZE);
    disk_create();
    open_well(run, "no fault", 0);
    dump(run, run->dumps[0]);
    while (run->done < STEPS) {
        assert_int_equal(step(run, run->done), 0);
        dump(run, run->dumps[++run->done]);
    }
    leave(run);
    disk_wipe();
    disk_plan(DISK_WELL, 0);
    run->done = 0;
    assert_true(go_on(run));
    leave(run);
    run->operations = disk_operations();
    *state = run;
    return 0;
}

static int teardown(void **state)
{
    struct run *run = *state;

    disk_destroy();
    free(run->config);
    free(run);
    return 0;
}

static unsigned dose(unsigned usual, unsigned full)
{
    const char *chosen = getenv("CORTEX_FULL");

    return chosen && strcmp(chosen, "1") == 0 ? full : usual;
}

// The operations are spread evenly over the run; each seed ends differently.
static uint64_t point(const struct run *run, unsigned i, unsigned count)
{
    return 1 + (uint64_t)i * run->operations / count;
}

static void cut_once(struct run *run, uint64_t at, uint64_t seed)
{
    disk_wipe();
    run->done = 0;
    disk_plan(DISK_CUT, at);
    bool ended = go_on(run);
    leave(run);
    disk_power_cut(seed);
    if (seed % 4 == 0) { // once more, while the log is being read again
        disk_plan(DISK_CUT, 1 + seed / 4 % 40);
        (void)store_open(PATH, &run->store, NULL);
        leave(run);
        disk_power_cut(seed + 1);
    }
    open_well(run, "power cut", at);
    check_behind(run, !ended, "power cut", at);
    assert_true(go_on(run));
    check_behind(run, false, "after a power cut", at);
    leave(run);
}

static void a_power_cut_at_any_operation_loses_no_commit(void **state)
{
    struct run *run = *state;
    unsigned count = dose(USUAL_CUTS, 10000);

    for (unsigned i = 0; i < count; i++) {
        cut_once(run, point(run, i, count), i);
        if (i % 50 == 0) {
            check_integrity();
        }
    }
    assert_exact(
        run, "power cut: unsynced writes of the master dropped or torn", count);
}

static void
fail_once(struct run *run, enum disk_fault fault, uint64_t at, uint64_t seed)
{
    disk_wipe();
    run->done = 0;
    disk_plan(fault, at);
    for (int tries = 0; !go_on(run); tries++) {
        assert_true(tries < 50);
        if (run->store) {
            store_rollback(run->store);
            check_behind(run, false, "a failed operation", at);
        }
    }
    check_behind(run, false, "after a failed operation", at);
    disk_plan(DISK_CUT, 1); // nothing more arrives
    leave(run);
    disk_power_cut(seed);
    open_well(run, "a failed operation and a power cut", at);
    check_behind(run, false, "a failed operation and a power cut", at);
    leave(run);
}

static void a_failed_operation_costs_a_retry_only(void **state)
{
    struct run *run = *state;
    unsigned count = dose(USUAL_FAILURES, 5000);

    for (unsigned i = 0; i < count; i++) {
        fail_once(run, i % 2 ? DISK_EIO : DISK_FULL, point(run, i, count), i);
    }
    assert_exact(
        run, "EIO or no room at the n-th operation of the master's disk", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_at_any_operation_loses_no_commit),
        cmocka_unit_test(a_failed_operation_costs_a_retry_only),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
