/* SPDX-License-Identifier: Apache-2.0 */
/* store_letter.c - what the master remembers of dead letters that are to be sent */
#include "master/store_sql.h"

int store_letter_put(struct store *store,
                     uint64_t job_id,
                     uint64_t index,
                     uint32_t attempts,
                     struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT OR REPLACE INTO dead_letter VALUES (?1, ?2, ?3)",
                     "iii",
                     (int64_t)job_id,
                     (int64_t)index,
                     (int64_t)attempts);
}

int store_letter_delete(struct store *store,
                        uint64_t job_id,
                        uint64_t index,
                        struct error *err)
{
    return store_run(store,
                     err,
                     "DELETE FROM dead_letter WHERE job_id = ?1 AND idx = ?2",
                     "ii",
                     (int64_t)job_id,
                     (int64_t)index);
}

int store_letter_each(struct store *store,
                      uint64_t job_id,
                      uint64_t from_index,
                      uint64_t limit,
                      store_letter_fn each,
                      void *arg,
                      struct error *err)
{
    sqlite3_stmt *rows = store_query(store,
                                     err,
                                     "SELECT idx, attempts, dead_letter_arn, api_name"
                                     " FROM dead_letter JOIN job USING (job_id)"
                                     " WHERE job_id = ?1 AND idx >= ?2"
                                     " ORDER BY idx LIMIT ?3",
                                     "iii",
                                     (int64_t)job_id,
                                     (int64_t)from_index,
                                     (int64_t)limit);
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        struct store_letter letter = {
            .index = (uint64_t)sqlite3_column_int64(rows, 0),
            .attempts = (uint32_t)sqlite3_column_int64(rows, 1),
            .queue_arn = store_text(rows, 2),
            .api_name = store_text(rows, 3),
        };
        int told = each(arg, &letter, err);
        got = told < 0 ? -1 : told == 0;
    }
    store_done(rows);
    return got;
}

int store_letter_each_job(struct store *store,
                          store_letter_job_fn each,
                          void *arg,
                          struct error *err)
{
    sqlite3_stmt *rows =
        store_query(store, err, "SELECT DISTINCT job_id FROM dead_letter", "");
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        each(arg, (uint64_t)sqlite3_column_int64(rows, 0));
    }
    store_done(rows);
    return got;
}
