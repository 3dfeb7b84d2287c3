/* SPDX-License-Identifier: Apache-2.0 */
/* store_batch.c - what the master remembers of segments, batches and workers */
#include <stdio.h>
#include <string.h>

#include "master/store_sql.h"

int store_segment_put(struct store *store,
                      uint64_t job_id,
                      const struct segment *segment,
                      struct error *err)
{
    const struct payload_segment *payload = &segment->payload;
    const struct enqueuer_position *after = &segment->after;

    return store_run(store,
                     err,
                     "INSERT INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                     " ?10, ?11, ?12)",
                     "iiiiiiiiiitt",
                     (int64_t)job_id,
                     (int64_t)payload->number,
                     (int64_t)payload->first_index,
                     (int64_t)payload->count,
                     (int64_t)payload->bytes,
                     (int64_t)payload->checksum,
                     (int64_t)after->entry,
                     (int64_t)after->offset,
                     (int64_t)after->item,
                     (int64_t)after->line,
                     after->etag,
                     after->key);
}

static struct segment read_segment(sqlite3_stmt *row)
{
    struct segment segment = {
        .payload = {.number = (uint64_t)sqlite3_column_int64(row, 0),
                    .first_index = (uint64_t)sqlite3_column_int64(row, 1),
                    .count = (uint32_t)sqlite3_column_int64(row, 2),
                    .bytes = (uint64_t)sqlite3_column_int64(row, 3),
                    .checksum = (uint32_t)sqlite3_column_int64(row, 4)},
        .after = {.entry = (uint32_t)sqlite3_column_int64(row, 5),
                  .offset = (uint64_t)sqlite3_column_int64(row, 6),
                  .item = (uint64_t)sqlite3_column_int64(row, 7),
                  .line = (uint64_t)sqlite3_column_int64(row, 8)},
    };
    struct enqueuer_position *after = &segment.after;

    (void)snprintf(after->etag, sizeof(after->etag), "%s", store_text(row, 9));
    (void)snprintf(after->key, sizeof(after->key), "%s", store_text(row, 10));
    return segment;
}

#define SEGMENT_COLUMNS                                                                \
    "number, first_index, batches, bytes, checksum, source_entry, source_offset,"      \
    " source_item, source_line, source_etag, source_key"

int store_segment_of(struct store *store,
                     uint64_t job_id,
                     uint64_t index,
                     struct payload_segment *out_segment,
                     bool *out_found,
                     struct error *err)
{
    sqlite3_stmt *row =
        store_query(store,
                    err,
                    "SELECT " SEGMENT_COLUMNS
                    " FROM segment WHERE job_id = ?1 AND first_index <= ?2"
                    " ORDER BY number DESC LIMIT 1",
                    "ii",
                    (int64_t)job_id,
                    (int64_t)index);
    int got = row ? store_step(store, row, err) : -1;

    if (got > 0) {
        struct segment segment = read_segment(row);
        *out_segment = segment.payload;
        *out_found = index - segment.payload.first_index < segment.payload.count;
    } else if (got == 0) {
        *out_found = false;
    }
    store_done(row);
    return got < 0 ? -1 : 0;
}

int store_segment_each(struct store *store,
                       uint64_t job_id,
                       store_segment_fn each,
                       void *arg,
                       struct error *err)
{
    sqlite3_stmt *rows = store_query(store,
                                     err,
                                     "SELECT " SEGMENT_COLUMNS
                                     " FROM segment WHERE job_id = ?1 ORDER BY number",
                                     "i",
                                     (int64_t)job_id);
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        struct segment segment = read_segment(rows);
        got = each(arg, &segment, err) == 0 ? 1 : -1;
    }
    store_done(rows);
    return got;
}

int store_batch_put(struct store *store,
                    uint64_t job_id,
                    const struct batch_row *row,
                    struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT OR REPLACE INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
                     " ?8, ?9, ?10, ?11)",
                     "iiiiiiiiiti",
                     (int64_t)job_id,
                     (int64_t)row->index,
                     (int64_t)row->state,
                     (int64_t)row->attempts,
                     (int64_t)row->failures,
                     (int64_t)row->deaths,
                     (int64_t)row->worker_id,
                     row->start_ms,
                     (int64_t)row->duration_us,
                     row->error,
                     (int64_t)row->attempt);
}

#define BATCH_SELECT                                                                   \
    "SELECT idx, state, attempts, failures, deaths, worker, start_ms, duration_us,"    \
    " error, attempt FROM batch WHERE job_id = ?1 AND idx >= ?2"

int store_batch_each(struct store *store,
                     uint64_t job_id,
                     int state,
                     uint64_t from_index,
                     uint64_t limit,
                     store_batch_fn each,
                     void *arg,
                     struct error *err)
{
    // Failed ones have an index of their own, which needs its own condition.
    static const char *const all = BATCH_SELECT " ORDER BY idx LIMIT ?3";
    static const char *const failed =
        BATCH_SELECT " AND state = 4 ORDER BY idx LIMIT ?3";
    static const char *const other =
        BATCH_SELECT " AND state = ?4 ORDER BY idx LIMIT ?3";
    const char *sql = state == 0 ? all : state == BATCH_FAILED ? failed : other;
    int64_t limit_most = limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
    sqlite3_stmt *rows = store_query(store,
                                     err,
                                     sql,
                                     sql == other ? "iiii" : "iii",
                                     (int64_t)job_id,
                                     (int64_t)from_index,
                                     limit_most,
                                     (int64_t)state);
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        struct batch_row row = {
            .index = (uint64_t)sqlite3_column_int64(rows, 0),
            .state = (enum batch_state)sqlite3_column_int(rows, 1),
            .attempts = (uint32_t)sqlite3_column_int64(rows, 2),
            .failures = (uint32_t)sqlite3_column_int64(rows, 3),
            .deaths = (uint32_t)sqlite3_column_int64(rows, 4),
            .worker_id = (uint64_t)sqlite3_column_int64(rows, 5),
            .start_ms = sqlite3_column_int64(rows, 6),
            .duration_us = (uint64_t)sqlite3_column_int64(rows, 7),
            .error = store_text(rows, 8),
            .attempt = (uint64_t)sqlite3_column_int64(rows, 9),
        };
        int told = each(arg, &row, err);
        got = told < 0 ? -1 : told == 0;
    }
    store_done(rows);
    return got;
}

int store_worker_put(struct store *store,
                     uint64_t worker_id,
                     uint64_t job_id,
                     const unsigned char agent_id[16],
                     struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT OR REPLACE INTO worker VALUES (?1, ?2, ?3)",
                     "iib",
                     (int64_t)worker_id,
                     (int64_t)job_id,
                     agent_id,
                     (size_t)16);
}

int store_worker_delete(struct store *store, uint64_t worker_id, struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT OR REPLACE INTO ended_worker"
                     " SELECT worker_id, job_id, agent_id FROM worker"
                     " WHERE worker_id = ?1",
                     "i",
                     (int64_t)worker_id) != 0
               ? -1
               : store_run(store,
                           err,
                           "DELETE FROM worker WHERE worker_id = ?1",
                           "i",
                           (int64_t)worker_id);
}

int store_worker_was(struct store *store,
                     uint64_t worker_id,
                     uint64_t job_id,
                     const unsigned char agent_id[16],
                     bool *out_was,
                     struct error *err)
{
    sqlite3_stmt *row = store_query(store,
                                    err,
                                    "SELECT 1 FROM ended_worker WHERE worker_id = ?1"
                                    " AND job_id = ?2 AND agent_id = ?3",
                                    "iib",
                                    (int64_t)worker_id,
                                    (int64_t)job_id,
                                    agent_id,
                                    (size_t)16);
    int got = row ? store_step(store, row, err) : -1;

    if (row) {
        store_done(row);
    }
    *out_was = got > 0;
    return got < 0 ? -1 : 0;
}

int store_worker_each(struct store *store,
                      store_worker_fn each,
                      void *arg,
                      struct error *err)
{
    sqlite3_stmt *rows =
        store_query(store, err, "SELECT worker_id, job_id, agent_id FROM worker", "");
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        unsigned char agent_id[16] = {0};
        const void *blob = sqlite3_column_blob(rows, 2);
        if (blob && sqlite3_column_bytes(rows, 2) == (int)sizeof(agent_id)) {
            memcpy(agent_id, blob, sizeof(agent_id));
        }
        got = each(arg,
                   (uint64_t)sqlite3_column_int64(rows, 0),
                   (uint64_t)sqlite3_column_int64(rows, 1),
                   agent_id,
                   err) == 0
                  ? 1
                  : -1;
    }
    store_done(rows);
    return got;
}
