/* SPDX-License-Identifier: Apache-2.0 */
/* test_store.c - is what was committed there again, and nothing else? */
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
#include "common/fs.h"
#include "master/store.h"

#define SCHEMA 6

struct fixture {
    char folder[32];
    char *path;
    struct store *store;
};

static void open_store(struct fixture *fixture)
{
    struct error err = {0};

    if (store_open(fixture->path, &fixture->store, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static int setup(void **state)
{
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/store-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->path = fs_join(fixture->folder, "state.db");
    open_store(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    store_close(fixture->store);
    (void)fs_remove_tree(fixture->folder, NULL);
    free(fixture->path);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    open_store(fixture);
}

static void commit(struct fixture *fixture)
{
    assert_int_equal(store_commit(fixture->store, NULL), 0);
    assert_false(store_dirty(fixture->store));
}

// Runs SQL beside the store, which must be closed. Returns what SQLite says.
static int sql(struct fixture *fixture, const char *text, int64_t *out_number)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    int result = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
        if (result == SQLITE_ROW && out_number) {
            *out_number = sqlite3_column_int64(statement, 0);
        }
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return result;
}

/* Schema */

static void a_new_store_has_the_newest_schema_and_says_whose_it_is(void **state)
{
    struct fixture *fixture = *state;
    int64_t version = 0;
    int64_t application = 0;

    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(sql(fixture, "PRAGMA user_version", &version), SQLITE_ROW);
    assert_int_equal(version, SCHEMA);
    assert_int_equal(sql(fixture, "PRAGMA application_id", &application), SQLITE_ROW);
    assert_int_equal(application, 0x43585354);
}

static void every_table_is_strict(void **state)
{
    struct fixture *fixture = *state;
    int64_t loose = -1;

    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(sql(fixture,
                         "SELECT count(*) FROM pragma_table_list WHERE schema = 'main'"
                         " AND name NOT LIKE 'sqlite_%' AND NOT strict",
                         &loose),
                     SQLITE_ROW);
    assert_int_equal(loose, 0);
    assert_int_equal(sql(fixture, "INSERT INTO worker VALUES (1, 'many', x'00')", NULL),
                     SQLITE_CONSTRAINT);
}

static void an_empty_file_is_brought_to_the_schema(void **state)
{
    struct fixture *fixture = *state;
    uint32_t boot = 0;

    store_close(fixture->store);
    assert_int_equal(fs_remove(fixture->path, NULL), 0);
    assert_int_equal(fs_write_durable(fixture->path, "", 0, 0600, NULL), 0);
    open_store(fixture);
    assert_int_equal(store_boot(fixture->store, &boot, NULL), 0);
    assert_int_equal(boot, 1);
}

static void a_newer_database_is_refused_and_left_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    int64_t version = 0;

    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(sql(fixture, "PRAGMA user_version = 99", NULL), SQLITE_DONE);
    assert_int_equal(store_open(fixture->path, &fixture->store, &err), -1);
    assert_null(fixture->store);
    assert_int_equal(err.code, ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, fixture->path));
    assert_non_null(strstr(err.message, "schema 99"));
    assert_non_null(strstr(err.message, "newer than this program's"));
    assert_int_equal(sql(fixture, "PRAGMA user_version", &version), SQLITE_ROW);
    assert_int_equal(version, 99);
}

static void what_is_no_database_of_ours_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    char text[4096] = "this is a letter to my aunt";

    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(sql(fixture, "PRAGMA application_id = 7", NULL), SQLITE_DONE);
    assert_int_equal(store_open(fixture->path, &fixture->store, &err), -1);
    assert_non_null(strstr(err.message, "another program"));
    assert_int_equal(fs_write_durable(fixture->path, text, sizeof(text), 0600, NULL),
                     0);
    assert_int_equal(store_open(fixture->path, &fixture->store, &err), -1);
    assert_int_equal(err.code, ERROR_DATA_LOSS);
    assert_non_null(strstr(err.message, fixture->path));
}

static void a_second_master_cannot_open_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    struct store *second = NULL;
    uint32_t boot;

    assert_int_equal(store_boot(fixture->store, &boot, NULL), 0);
    assert_int_equal(store_open(fixture->path, &second, &err), -1);
    assert_int_equal(err.code, ERROR_FAILED_PRECONDITION);
    assert_null(second);
}

/* Transactions */

static void starts_are_counted(void **state)
{
    struct fixture *fixture = *state;
    uint32_t boot = 0;

    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(store_boot(fixture->store, &boot, NULL), 0);
        assert_int_equal(boot, i);
        assert_false(store_dirty(fixture->store)); // it is committed
        reopen(fixture);
    }
}

static int put_worker(struct fixture *fixture, uint64_t worker_id)
{
    static const unsigned char agent_id[16] = {9, 8, 7};

    return store_worker_put(fixture->store, worker_id, 5, agent_id, NULL);
}

static int sum_workers(void *arg,
                       uint64_t worker_id,
                       uint64_t job_id,
                       const unsigned char agent_id[16],
                       struct error *err)
{
    (void)err;
    assert_int_equal(job_id, 5);
    assert_int_equal(agent_id[2], 7);
    *(uint64_t *)arg += worker_id;
    return 0;
}

static uint64_t workers(struct fixture *fixture)
{
    uint64_t sum = 0;

    assert_int_equal(store_worker_each(fixture->store, sum_workers, &sum, NULL), 0);
    return sum;
}

static void a_read_sees_what_was_written_before_it(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(put_worker(fixture, 1), 0);
    assert_true(store_dirty(fixture->store));
    assert_int_equal(workers(fixture), 1);
}

static void what_was_not_committed_is_gone_after_a_crash(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(put_worker(fixture, 1), 0);
    commit(fixture);
    assert_int_equal(put_worker(fixture, 2), 0);
    reopen(fixture);
    assert_int_equal(workers(fixture), 1);
}

static void a_rollback_leaves_what_was_committed_and_a_store_to_write_to(void **state)
{
    struct fixture *fixture = *state;

    store_rollback(fixture->store); // of nothing
    commit(fixture);                // of nothing
    assert_int_equal(put_worker(fixture, 1), 0);
    commit(fixture);
    assert_int_equal(put_worker(fixture, 2), 0);
    assert_int_equal(store_worker_delete(fixture->store, 1, NULL), 0);
    store_rollback(fixture->store);
    assert_false(store_dirty(fixture->store));
    assert_int_equal(workers(fixture), 1);
    assert_int_equal(put_worker(fixture, 4), 0);
    commit(fixture);
    reopen(fixture);
    assert_int_equal(workers(fixture), 5);
}

static void a_failure_is_remembered_until_the_rollback(void **state)
{
    struct fixture *fixture = *state;
    struct segment segment = {.payload = {.number = 1, .count = 1}};
    struct error err = {0};

    assert_false(store_failed(fixture->store));
    assert_int_equal(store_segment_put(fixture->store, 1, &segment, NULL), 0);
    assert_int_equal(store_segment_put(fixture->store, 1, &segment, &err), -1);
    assert_int_equal(err.code, ERROR_INTERNAL);
    assert_true(store_failed(fixture->store));
    store_rollback(fixture->store);
    assert_false(store_failed(fixture->store));
}

static int refuse_worker(void *arg,
                         uint64_t worker_id,
                         uint64_t job_id,
                         const unsigned char agent_id[16],
                         struct error *err)
{
    (void)worker_id;
    (void)job_id;
    (void)agent_id;
    ++*(int *)arg;
    return error_set(err, ERROR_ABORTED, "enough");
}

static void who_walks_rows_may_end_the_walk(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    int seen = 0;

    assert_int_equal(put_worker(fixture, 1), 0);
    assert_int_equal(put_worker(fixture, 2), 0);
    assert_int_equal(store_worker_each(fixture->store, refuse_worker, &seen, &err), -1);
    assert_int_equal(seen, 1);
    assert_int_equal(err.code, ERROR_ABORTED);
    commit(fixture); // the walk holds nothing open
}

/* Rows */

static struct api_version *
version(const char *name, const char *id, int64_t deployed_ns)
{
    struct api_version *made = api_version_create();

    api_version_set(&made->api_id, id);
    api_version_set(&made->name, name);
    made->endpoint = (free(made->endpoint), memory_format("/%s", name));
    api_version_set(&made->spec_id, "spec");
    api_version_set(&made->predictor_id, "predictor");
    api_version_set(&made->project_id, "project");
    api_version_set(&made->spec, "{\"name\": \"\xC3\xA9\"}");
    api_version_set(&made->predictor_path, "p.py");
    api_version_set(&made->python_path, "src/");
    api_version_set(&made->log_level, "info");
    api_version_set(&made->config, "{\"a\": 1.0}");
    free(made->env);
    made->env = memory_strndup("A=1\0B=", 7);
    made->env_size = 7;
    made->cpu_millis = UINT32_MAX;
    made->memory_bytes = INT64_MAX;
    made->gpus = 8;
    made->deployed_ns = deployed_ns;
    return made;
}

static void
put_version(struct fixture *fixture, const char *name, const char *id, int64_t ns)
{
    struct api_version *made = version(name, id, ns);

    assert_int_equal(store_api_put(fixture->store, made, NULL), 0);
    api_version_unref(made);
}

static int note_id(void *arg, const struct api_version *found, struct error *err)
{
    (void)err;
    buffer_add_format(arg, "%s ", found->api_id);
    return 0;
}

static void an_api_survives_in_every_field(void **state)
{
    struct fixture *fixture = *state;
    struct api_version *found = NULL;

    put_version(fixture, "classifier", "id1", 77);
    commit(fixture);
    reopen(fixture);
    assert_int_equal(store_api_version_get(fixture->store, "id1", &found, NULL), 0);
    assert_non_null(found);
    assert_string_equal(found->name, "classifier");
    assert_string_equal(found->endpoint, "/classifier");
    assert_string_equal(found->spec_id, "spec");
    assert_string_equal(found->predictor_id, "predictor");
    assert_string_equal(found->project_id, "project");
    assert_string_equal(found->spec, "{\"name\": \"\xC3\xA9\"}");
    assert_string_equal(found->predictor_path, "p.py");
    assert_string_equal(found->python_path, "src/");
    assert_string_equal(found->log_level, "info");
    assert_string_equal(found->config, "{\"a\": 1.0}");
    assert_int_equal(found->env_size, 7);
    assert_memory_equal(found->env, "A=1\0B=", 7);
    assert_int_equal(found->cpu_millis, UINT32_MAX);
    assert_int_equal(found->memory_bytes, INT64_MAX);
    assert_int_equal(found->gpus, 8);
    assert_int_equal(found->deployed_ns, 77);
    api_version_unref(found);
    assert_int_equal(store_api_version_get(fixture->store, "id2", &found, NULL), 0);
    assert_null(found);
}

static void
the_newest_version_of_a_name_is_current_and_the_others_are_listed(void **state)
{
    struct fixture *fixture = *state;
    struct buffer ids = BUFFER_INIT;

    put_version(fixture, "b", "b1", 1);
    put_version(fixture, "a", "a1", 1);
    put_version(fixture, "b", "b2", 2);
    put_version(fixture, "b", "b3", 3);
    assert_int_equal(store_api_each(fixture->store, note_id, &ids, NULL), 0);
    assert_string_equal(buffer_text(&ids), "a1 b3 ");
    buffer_clear(&ids);
    assert_int_equal(store_api_versions(fixture->store, "b", 2, note_id, &ids, NULL),
                     0);
    assert_string_equal(buffer_text(&ids), "b3 b2 ");
    assert_int_equal(store_api_delete(fixture->store, "b", NULL), 0);
    buffer_clear(&ids);
    assert_int_equal(store_api_each(fixture->store, note_id, &ids, NULL), 0);
    assert_int_equal(store_api_versions(fixture->store, "b", 9, note_id, &ids, NULL),
                     0);
    assert_string_equal(buffer_text(&ids), "a1 ");
    buffer_fini(&ids);
}

static void put_job(struct fixture *fixture,
                    uint64_t job_id,
                    const char *api_name,
                    enum job_state in)
{
    struct job_record record = {.job_id = job_id,
                                .api_name = (char *)(uintptr_t)api_name,
                                .api_id = (char *)(uintptr_t) "id1",
                                .state = in,
                                .workers = 3,
                                .timeout_s = 60,
                                .max_attempts = 2,
                                .dead_letter_arn = (char *)(uintptr_t) "arn:x",
                                .config = (char *)(uintptr_t) "{\"k\": \"\0\"}",
                                .config_size = 10,
                                .total = UINT64_C(1) << 40,
                                .succeeded = 5,
                                .failed = 6,
                                .succeeded_us = 7,
                                .start_ns = 8,
                                .end_ns = job_state_terminal(in) ? 9 : 0,
                                .callback = JOB_CALLBACK_GIVEN,
                                .callback_worker = UINT64_C(1) << 33,
                                .reason = (char *)(uintptr_t) "because",
                                .deadline_ms = INT64_C(1) << 50,
                                .deadline_boot = "b0"};

    assert_int_equal(store_job_put(fixture->store, &record, NULL), 0);
}

static void a_job_survives_in_every_field(void **state)
{
    struct fixture *fixture = *state;
    struct job_record found = {0};
    bool there = false;

    put_job(fixture, INT64_MAX, "classifier", JOB_WORKER_OOM);
    commit(fixture);
    reopen(fixture);
    assert_int_equal(store_job_get(fixture->store, INT64_MAX, &found, &there, NULL), 0);
    assert_true(there);
    assert_int_equal(found.job_id, INT64_MAX);
    assert_string_equal(found.api_name, "classifier");
    assert_string_equal(found.api_id, "id1");
    assert_int_equal(found.state, JOB_WORKER_OOM);
    assert_int_equal(found.workers, 3);
    assert_int_equal(found.timeout_s, 60);
    assert_int_equal(found.max_attempts, 2);
    assert_string_equal(found.dead_letter_arn, "arn:x");
    assert_int_equal(found.config_size, 10);
    assert_memory_equal(found.config, "{\"k\": \"\0\"}", 10);
    assert_int_equal(found.total, UINT64_C(1) << 40);
    assert_int_equal(found.succeeded, 5);
    assert_int_equal(found.failed, 6);
    assert_int_equal(found.succeeded_us, 7);
    assert_int_equal(found.start_ns, 8);
    assert_int_equal(found.end_ns, 9);
    assert_int_equal(found.callback, JOB_CALLBACK_GIVEN);
    assert_int_equal(found.callback_worker, UINT64_C(1) << 33);
    assert_string_equal(found.reason, "because");
    assert_int_equal(found.deadline_ms, INT64_C(1) << 50);
    assert_string_equal(found.deadline_boot, "b0");
    job_record_fini(&found);
    assert_int_equal(store_job_get(fixture->store, 1, &found, &there, NULL), 0);
    assert_false(there);
}

static int note_job(void *arg, const struct job_record *record, struct error *err)
{
    (void)err;
    buffer_add_format(arg, "%d ", (int)record->job_id);
    return 0;
}

static void jobs_are_listed_newest_first_in_pages_and_by_state(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;
    struct buffer ids = BUFFER_INIT;

    put_job(fixture, 3, "a", JOB_RUNNING);
    put_job(fixture, 1, "a", JOB_SUCCEEDED); // the newest: ids shrink
    put_job(fixture, 2, "a", JOB_STOPPED);
    put_job(fixture, 4, "b", JOB_ENQUEUING);
    put_job(fixture, 2, "a", JOB_TIMED_OUT); // again: one row
    assert_int_equal(store_job_list(store, "a", 0, -1, 2, note_job, &ids, NULL), 0);
    assert_int_equal(store_job_list(store, "a", 2, -1, 9, note_job, &ids, NULL), 0);
    assert_string_equal(buffer_text(&ids), "1 2 3 ");
    buffer_clear(&ids);
    assert_int_equal(
        store_job_list(store, "a", 0, JOB_TIMED_OUT, 9, note_job, &ids, NULL), 0);
    assert_string_equal(buffer_text(&ids), "2 ");
    buffer_clear(&ids);
    assert_int_equal(store_job_each_live(store, note_job, &ids, NULL), 0);
    assert_string_equal(buffer_text(&ids), "4 3 "); // oldest first
    buffer_fini(&ids);
}

static int count_segments(void *arg, const struct segment *segment, struct error *err)
{
    (void)err;
    (void)segment;
    ++*(int *)arg;
    return 0;
}

static int keep_segment(void *arg, const struct segment *segment, struct error *err)
{
    (void)err;
    *(struct segment *)arg = *segment;
    return 0;
}

static void a_segment_survives_with_where_to_go_on(void **state)
{
    struct fixture *fixture = *state;
    struct segment put = {.payload = {.number = 2,
                                      .first_index = UINT64_C(1) << 40,
                                      .count = UINT32_MAX,
                                      .checksum = UINT32_MAX,
                                      .bytes = 99},
                          .after = {.entry = 3,
                                    .offset = 4,
                                    .item = 5,
                                    .line = 6,
                                    .etag = "\"abc\"",
                                    .key = "s3://bucket/\xC3\xA9 key"}};
    struct segment found = {0};

    assert_int_equal(store_segment_put(fixture->store, 5, &put, NULL), 0);
    put.payload.number = 1; // they come by number
    assert_int_equal(store_segment_put(fixture->store, 5, &put, NULL), 0);
    commit(fixture);
    reopen(fixture);
    assert_int_equal(store_segment_each(fixture->store, 5, keep_segment, &found, NULL),
                     0);
    assert_int_equal(found.payload.number, 2);
    assert_int_equal(found.payload.first_index, UINT64_C(1) << 40);
    assert_int_equal(found.payload.count, UINT32_MAX);
    assert_int_equal(found.payload.checksum, UINT32_MAX);
    assert_int_equal(found.payload.bytes, 99);
    assert_int_equal(found.after.entry, 3);
    assert_int_equal(found.after.offset, 4);
    assert_int_equal(found.after.item, 5);
    assert_int_equal(found.after.line, 6);
    assert_string_equal(found.after.etag, "\"abc\"");
    assert_string_equal(found.after.key, "s3://bucket/\xC3\xA9 key");
}

static void
put_batch(struct fixture *fixture, uint64_t job_id, uint64_t index, enum batch_state in)
{
    struct batch_row row = {.index = index,
                            .state = in,
                            .attempts = 4,
                            .failures = 2,
                            .deaths = 1,
                            .worker_id = UINT64_C(3) << 32,
                            .start_ms = 1600000000000,
                            .duration_us = 12345,
                            .error = "ValueError: \xC3\xA9"};

    assert_int_equal(store_batch_put(fixture->store, job_id, &row, NULL), 0);
}

static int note_batch(void *arg, const struct batch_row *row, struct error *err)
{
    (void)err;
    assert_int_equal(row->attempts, 4);
    assert_int_equal(row->failures, 2);
    assert_int_equal(row->deaths, 1);
    assert_int_equal(row->worker_id, UINT64_C(3) << 32);
    assert_int_equal(row->start_ms, 1600000000000);
    assert_int_equal(row->duration_us, 12345);
    assert_string_equal(row->error, "ValueError: \xC3\xA9");
    buffer_add_format(arg, "%d:%d ", (int)row->index, (int)row->state);
    return 0;
}

static void batches_survive_and_are_found_by_index_and_state(void **state)
{
    struct fixture *fixture = *state;
    struct buffer found = BUFFER_INIT;

    put_batch(fixture, 5, 1, BATCH_QUEUED);
    put_batch(fixture, 5, 7, BATCH_FAILED);
    put_batch(fixture, 5, 3, BATCH_SUCCEEDED);
    put_batch(fixture, 5, 1, BATCH_FAILED); // it ended: the row is replaced
    put_batch(fixture, 6, 2, BATCH_FAILED);
    commit(fixture);
    reopen(fixture);
    struct store *store = fixture->store;
    assert_int_equal(
        store_batch_each(store, 5, 0, 0, UINT64_MAX, note_batch, &found, NULL), 0);
    assert_string_equal(buffer_text(&found), "1:4 3:3 7:4 ");
    buffer_clear(&found);
    assert_int_equal(
        store_batch_each(store, 5, BATCH_FAILED, 2, 9, note_batch, &found, NULL), 0);
    assert_int_equal(
        store_batch_each(store, 5, BATCH_SUCCEEDED, 0, 9, note_batch, &found, NULL), 0);
    assert_int_equal(store_batch_each(store, 5, 0, 2, 1, note_batch, &found, NULL), 0);
    assert_string_equal(buffer_text(&found), "7:4 3:3 3:3 ");
    buffer_fini(&found);
}

static void a_key_is_one_apis_own_and_is_forgotten_with_age(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;
    char hash[65] = "";
    uint64_t job_id = 0;
    bool found = false;

    assert_int_equal(store_key_put(store, "a", "key", "hash", 7, 1000, NULL), 0);
    assert_int_equal(store_key_get(store, "b", "key", hash, &job_id, &found, NULL), 0);
    assert_false(found);
    commit(fixture);
    reopen(fixture);
    store = fixture->store;
    assert_int_equal(store_key_prune(store, 1000, NULL), 0);
    assert_int_equal(store_key_get(store, "a", "key", hash, &job_id, &found, NULL), 0);
    assert_true(found);
    assert_string_equal(hash, "hash");
    assert_int_equal(job_id, 7);
    assert_int_equal(store_key_prune(store, 1001, NULL), 0);
    assert_int_equal(store_key_get(store, "a", "key", hash, &job_id, &found, NULL), 0);
    assert_false(found);
}

static void a_job_is_removed_with_all_that_is_its_own(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;
    struct segment segment = {.payload = {.count = 1}};
    struct buffer found = BUFFER_INIT;
    int segments = 0;

    for (uint64_t job_id = 5; job_id <= 7; job_id++) {
        put_job(fixture, job_id, job_id == 7 ? "b" : "a", JOB_RUNNING);
        put_batch(fixture, job_id, 1, BATCH_FAILED);
        assert_int_equal(store_segment_put(store, job_id, &segment, NULL), 0);
    }
    assert_int_equal(store_job_delete(store, 5, NULL), 0);
    assert_int_equal(store_job_delete_all(store, "a", NULL), 0);
    for (uint64_t job_id = 5; job_id <= 7; job_id++) {
        assert_int_equal(
            store_batch_each(store, job_id, 0, 0, 9, note_batch, &found, NULL), 0);
        assert_int_equal(
            store_segment_each(store, job_id, count_segments, &segments, NULL), 0);
    }
    assert_int_equal(store_job_each_live(store, note_job, &found, NULL), 0);
    assert_string_equal(buffer_text(&found), "1:4 7 ");
    assert_int_equal(segments, 1);
    buffer_fini(&found);
}

static void events_are_numbered_in_the_order_they_happened(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;
    int64_t ordered = 0;

    assert_int_equal(store_event_add(store, 9, "job", "1", "submitted", "", NULL), 0);
    assert_int_equal(store_event_add(store, 8, "job", "1", "running", "", NULL), 0);
    commit(fixture);
    store_close(store);
    fixture->store = NULL;
    assert_int_equal(sql(fixture,
                         "SELECT group_concat(action) = 'submitted,running' FROM"
                         " (SELECT action FROM event ORDER BY event_id)",
                         &ordered),
                     SQLITE_ROW);
    assert_int_equal(ordered, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_new_store_has_the_newest_schema_and_says_whose_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(every_table_is_strict, setup, teardown),
        cmocka_unit_test_setup_teardown(
            an_empty_file_is_brought_to_the_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_newer_database_is_refused_and_left_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_is_no_database_of_ours_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_second_master_cannot_open_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(starts_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_read_sees_what_was_written_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_was_not_committed_is_gone_after_a_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_rollback_leaves_what_was_committed_and_a_store_to_write_to,
            setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_failure_is_remembered_until_the_rollback, setup, teardown),
        cmocka_unit_test_setup_teardown(
            who_walks_rows_may_end_the_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(
            an_api_survives_in_every_field, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_newest_version_of_a_name_is_current_and_the_others_are_listed,
            setup,
            teardown),
        cmocka_unit_test_setup_teardown(a_job_survives_in_every_field, setup, teardown),
        cmocka_unit_test_setup_teardown(
            jobs_are_listed_newest_first_in_pages_and_by_state, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_segment_survives_with_where_to_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(
            batches_survive_and_are_found_by_index_and_state, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_key_is_one_apis_own_and_is_forgotten_with_age, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_job_is_removed_with_all_that_is_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(
            events_are_numbered_in_the_order_they_happened, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
