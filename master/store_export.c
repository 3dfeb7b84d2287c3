/* SPDX-License-Identifier: Apache-2.0 */
/* store_export.c - how all that is remembered is told to others */
#include <inttypes.h>

#include "common/json_write.h"
#include "master/store_sql.h"

// In the order of their keys, so that two exports can be compared.
static const struct {
    const char *name;
    const char *select;
} tables[] = {
    {"master", "SELECT * FROM master"},
    {"api", "SELECT * FROM api ORDER BY name"},
    {"api_version", "SELECT * FROM api_version ORDER BY api_id"},
    {"job", "SELECT * FROM job ORDER BY job_id"},
    {"submission_key", "SELECT * FROM submission_key ORDER BY api_name, key"},
    {"segment", "SELECT * FROM segment ORDER BY job_id, number"},
    {"batch", "SELECT * FROM batch ORDER BY job_id, idx"},
    {"worker", "SELECT * FROM worker ORDER BY worker_id"},
    {"event", "SELECT * FROM event ORDER BY event_id"},
};

static void add_hex(struct buffer *out, sqlite3_stmt *row, int column)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *data = sqlite3_column_blob(row, column);
    size_t size = (size_t)sqlite3_column_bytes(row, column);
    char *to = buffer_reserve(out, 2 * size + 2);

    *to++ = '"';
    for (size_t i = 0; i < size; i++) {
        *to++ = digits[data[i] >> 4];
        *to++ = digits[data[i] & 15];
    }
    *to = '"';
    out->size += 2 * size + 2;
}

static void add_value(struct buffer *out, sqlite3_stmt *row, int column)
{
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
        buffer_add_format(out, "%" PRId64, (int64_t)sqlite3_column_int64(row, column));
        break;
    case SQLITE_TEXT:
        json_write_text(out, store_text(row, column));
        break;
    default: // the schema has no other type
        add_hex(out, row, column);
        break;
    }
}

static void add_row(struct buffer *out, const char *table, sqlite3_stmt *row)
{
    buffer_add_format(out, "{\"table\":\"%s\"", table);
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        buffer_add_format(out, ",\"%s\":", sqlite3_column_name(row, i));
        add_value(out, row, i);
    }
    buffer_add(out, "}\n", 2);
}

static int export_table(
    struct store *store, size_t table, store_line_fn each, void *arg, struct error *err)
{
    sqlite3_stmt *rows = store_query(store, err, tables[table].select, "");
    struct buffer line = {0};
    int got = rows ? 1 : -1;

    while (got > 0 && (got = store_step(store, rows, err)) > 0) {
        buffer_clear(&line);
        add_row(&line, tables[table].name, rows);
        got = each(arg, line.data, line.size, err) == 0 ? 1 : -1;
    }
    buffer_fini(&line);
    store_done(rows);
    return got;
}

int store_export(struct store *store, store_line_fn each, void *arg, struct error *err)
{
    int result = 0;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && result == 0; i++) {
        result = export_table(store, i, each, arg, err);
    }
    return result;
}
