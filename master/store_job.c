/* SPDX-License-Identifier: Apache-2.0 */
/* store_job.c - what the master remembers of jobs and idempotency keys */
#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/id.h"
#include "master/store_sql.h"

#define JOB_COLUMNS                                                                    \
    "job_id, api_name, api_id, state, workers, timeout_s, max_attempts,"               \
    " dead_letter_arn, config, total, succeeded, failed, succeeded_us, start_ns,"      \
    " end_ns, callback, callback_worker, reason, deadline_ms, deadline_boot"

int store_job_put(struct store *store, const struct job_record *job, struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT OR REPLACE INTO job (" JOB_COLUMNS ") VALUES (?1, ?2, ?3,"
                     " ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
                     " ?18, ?19, ?20)",
                     "ittiiiitbiiiiiiiitit",
                     (int64_t)job->job_id,
                     job->api_name,
                     job->api_id,
                     (int64_t)job->state,
                     (int64_t)job->workers,
                     (int64_t)job->timeout_s,
                     (int64_t)job->max_attempts,
                     job->dead_letter_arn,
                     job->config,
                     job->config_size,
                     (int64_t)job->total,
                     (int64_t)job->succeeded,
                     (int64_t)job->failed,
                     (int64_t)job->succeeded_us,
                     job->start_ns,
                     job->end_ns,
                     (int64_t)job->callback,
                     (int64_t)job->callback_worker,
                     job->reason,
                     job->deadline_ms,
                     job->deadline_boot);
}

// Strings are copied: the caller of an `each` gets them borrowed all the same.
static struct job_record read_job(sqlite3_stmt *row)
{
    struct job_record job = {
        .job_id = (uint64_t)sqlite3_column_int64(row, 0),
        .api_name = memory_strdup(store_text(row, 1)),
        .api_id = memory_strdup(store_text(row, 2)),
        .state = (enum job_state)sqlite3_column_int(row, 3),
        .workers = (uint32_t)sqlite3_column_int64(row, 4),
        .timeout_s = (uint64_t)sqlite3_column_int64(row, 5),
        .max_attempts = (uint32_t)sqlite3_column_int64(row, 6),
        .dead_letter_arn = memory_strdup(store_text(row, 7)),
        .config = memory_strndup(sqlite3_column_blob(row, 8),
                                 (size_t)sqlite3_column_bytes(row, 8)),
        .config_size = (size_t)sqlite3_column_bytes(row, 8),
        .total = (uint64_t)sqlite3_column_int64(row, 9),
        .succeeded = (uint64_t)sqlite3_column_int64(row, 10),
        .failed = (uint64_t)sqlite3_column_int64(row, 11),
        .succeeded_us = (uint64_t)sqlite3_column_int64(row, 12),
        .start_ns = sqlite3_column_int64(row, 13),
        .end_ns = sqlite3_column_int64(row, 14),
        .callback = (enum job_callback)sqlite3_column_int(row, 15),
        .callback_worker = (uint64_t)sqlite3_column_int64(row, 16),
        .reason = memory_strdup(store_text(row, 17)),
        .deadline_ms = sqlite3_column_int64(row, 18),
    };

    (void)snprintf(
        job.deadline_boot, sizeof(job.deadline_boot), "%s", store_text(row, 19));
    return job;
}

int store_job_get(struct store *store,
                  uint64_t job_id,
                  struct job_record *out_job,
                  bool *out_found,
                  struct error *err)
{
    sqlite3_stmt *row = store_query(store,
                                    err,
                                    "SELECT " JOB_COLUMNS " FROM job WHERE job_id = ?1",
                                    "i",
                                    (int64_t)job_id);
    int got = row ? store_step(store, row, err) : -1;

    if (got > 0) {
        *out_job = read_job(row);
    }
    if (got >= 0) {
        *out_found = got > 0;
    }
    store_done(row);
    return got < 0 ? -1 : 0;
}

static int each_job(struct store *store,
                    sqlite3_stmt *rows,
                    store_job_fn each,
                    void *arg,
                    struct error *err)
{
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        struct job_record job = read_job(rows);
        got = each(arg, &job, err) == 0 ? 1 : -1;
        job_record_fini(&job);
    }
    store_done(rows);
    return got;
}

int store_job_each_live(struct store *store,
                        store_job_fn each,
                        void *arg,
                        struct error *err)
{
    return each_job(store,
                    store_query(store,
                                err,
                                "SELECT " JOB_COLUMNS
                                " FROM job WHERE end_ns = 0 ORDER BY job_id DESC",
                                ""),
                    each,
                    arg,
                    err);
}

int store_job_list(struct store *store,
                   const char *api_name,
                   uint64_t after_job_id,
                   int state,
                   size_t limit,
                   store_job_fn each,
                   void *arg,
                   struct error *err)
{
    return each_job(store,
                    store_query(store,
                                err,
                                "SELECT " JOB_COLUMNS
                                " FROM job WHERE api_name = ?1 AND job_id > ?2"
                                " AND (?3 < 0 OR state = ?3)"
                                " ORDER BY job_id LIMIT ?4",
                                "tiii",
                                api_name,
                                (int64_t)after_job_id,
                                (int64_t)state,
                                (int64_t)limit),
                    each,
                    arg,
                    err);
}

int store_job_delete(struct store *store, uint64_t job_id, struct error *err)
{
    static const char *const statements[] = {
        "DELETE FROM job WHERE job_id = ?1",
        "DELETE FROM segment WHERE job_id = ?1",
        "DELETE FROM batch WHERE job_id = ?1",
        "DELETE FROM dead_letter WHERE job_id = ?1",
        "DELETE FROM submission_key WHERE job_id = ?1",
    };

    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (store_run(store, err, statements[i], "i", (int64_t)job_id) != 0) {
            return -1;
        }
    }
    return 0;
}

int store_job_delete_all(struct store *store, const char *api_name, struct error *err)
{
    static const char *const statements[] = {
        "DELETE FROM segment WHERE job_id IN (SELECT job_id FROM job WHERE api_name = "
        "?1)",
        "DELETE FROM batch WHERE job_id IN (SELECT job_id FROM job WHERE api_name = "
        "?1)",
        "DELETE FROM dead_letter WHERE job_id IN (SELECT job_id FROM job WHERE "
        "api_name = ?1)",
        "DELETE FROM ended_worker WHERE job_id IN (SELECT job_id FROM job WHERE "
        "api_name = ?1)",
        "DELETE FROM submission_key WHERE api_name = ?1",
        "DELETE FROM job WHERE api_name = ?1",
    };

    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (store_run(store, err, statements[i], "t", api_name) != 0) {
            return -1;
        }
    }
    return 0;
}

int store_key_put(struct store *store,
                  const char *api_name,
                  const char *key,
                  const char *body_hash,
                  uint64_t job_id,
                  int64_t created_ns,
                  struct error *err)
{
    return store_run(
        store,
        err,
        "INSERT OR REPLACE INTO submission_key VALUES (?1, ?2, ?3, ?4, ?5)",
        "tttii",
        api_name,
        key,
        body_hash,
        (int64_t)job_id,
        created_ns);
}

int store_key_get(struct store *store,
                  const char *api_name,
                  const char *key,
                  char out_body_hash[65],
                  uint64_t *out_job_id,
                  bool *out_found,
                  struct error *err)
{
    sqlite3_stmt *row = store_query(store,
                                    err,
                                    "SELECT body_hash, job_id FROM submission_key"
                                    " WHERE api_name = ?1 AND key = ?2",
                                    "tt",
                                    api_name,
                                    key);
    int got = row ? store_step(store, row, err) : -1;

    if (got > 0) {
        (void)snprintf(out_body_hash, 65, "%s", store_text(row, 0));
        *out_job_id = (uint64_t)sqlite3_column_int64(row, 1);
    }
    if (got >= 0) {
        *out_found = got > 0;
    }
    store_done(row);
    return got < 0 ? -1 : 0;
}

int store_key_prune(struct store *store, int64_t before_ns, struct error *err)
{
    return store_run(
        store, err, "DELETE FROM submission_key WHERE created_ns < ?1", "i", before_ns);
}

int store_newest_ns(struct store *store, int64_t *out_ns, struct error *err)
{
    sqlite3_stmt *row = store_query(
        store,
        err,
        "SELECT max(ifnull((SELECT max(created_ns) FROM submission_key), 0),"
        " ifnull((SELECT max(at_ns) FROM request), 0))",
        "");
    int got = row ? store_step(store, row, err) : -1;

    if (got > 0) {
        *out_ns = sqlite3_column_int64(row, 0);
    }
    store_done(row);
    return got < 0 ? -1 : 0;
}

int store_request_put(struct store *store,
                      const unsigned char *request_id,
                      int64_t at_ns,
                      struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT OR REPLACE INTO request VALUES (?1, ?2)",
                     "bi",
                     request_id,
                     (size_t)ID_REQUEST_SIZE,
                     at_ns);
}

int store_request_known(struct store *store,
                        const unsigned char *request_id,
                        bool *out_known,
                        struct error *err)
{
    sqlite3_stmt *row = store_query(store,
                                    err,
                                    "SELECT 1 FROM request WHERE request_id = ?1",
                                    "b",
                                    request_id,
                                    (size_t)ID_REQUEST_SIZE);
    int got = row ? store_step(store, row, err) : -1;

    if (got >= 0) {
        *out_known = got > 0;
    }
    store_done(row);
    return got < 0 ? -1 : 0;
}

int store_request_prune(struct store *store, int64_t before_ns, struct error *err)
{
    return store_run(
        store, err, "DELETE FROM request WHERE at_ns < ?1", "i", before_ns);
}
