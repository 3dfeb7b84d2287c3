/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - what the master remembers over a restart: opening, schema, transactions */
#include "master/store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/embed.h"
#include "common/id.h"
#include "master/store_sql.h"

#define STORE_APPLICATION_ID 0x43585354 /* "CXST" */
#define STORE_CACHE_KIB      65536
#define STORE_SCAN_KIB       2048 // larger ones cost a scan more than they save

extern const struct embed_file embed_schema[]; // master/schema/*.sql

static enum error_code code_of(int result)
{
    switch (result & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERROR_DATA_LOSS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_FAILED_PRECONDITION;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return ERROR_PERMISSION_DENIED;
    default:
        return ERROR_INTERNAL;
    }
}

int store_fail(struct store *store, struct error *err, const char *doing)
{
    store->failed = true;
    return error_set(err,
                     code_of(sqlite3_extended_errcode(store->db)),
                     "the state database failed while %s: %s",
                     doing,
                     sqlite3_errmsg(store->db));
}

static sqlite3_stmt *prepared(struct store *store, const char *sql, struct error *err)
{
    for (size_t i = 0; i < store->statement_count; i++) {
        if (store->statements[i].sql == sql) {
            return store->statements[i].statement;
        }
    }
    sqlite3_stmt *statement = NULL;
    if (store->statement_count == STORE_STATEMENTS_MAX ||
        sqlite3_prepare_v3(
            store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
            SQLITE_OK) {
        store_fail(store, err, "preparing a statement");
        return NULL;
    }
    store->statements[store->statement_count].sql = sql;
    store->statements[store->statement_count++].statement = statement;
    return statement;
}

static int bind_one(sqlite3_stmt *statement, int at, char type, va_list *args)
{
    if (type == 'i') {
        return sqlite3_bind_int64(statement, at, va_arg(*args, int64_t));
    }
    if (type == 't') {
        return sqlite3_bind_text(
            statement, at, va_arg(*args, const char *), -1, SQLITE_TRANSIENT);
    }
    const void *data = va_arg(*args, const void *);
    size_t size = va_arg(*args, size_t);
    return sqlite3_bind_blob64(statement, at, data ? data : "", size, SQLITE_TRANSIENT);
}

static sqlite3_stmt *bound(struct store *store,
                           struct error *err,
                           const char *sql,
                           const char *types,
                           va_list *args)
{
    sqlite3_stmt *statement = prepared(store, sql, err);

    for (int at = 1; statement && types[at - 1]; at++) {
        if (bind_one(statement, at, types[at - 1], args) != SQLITE_OK) {
            store_fail(store, err, "binding a value");
            return NULL;
        }
    }
    return statement;
}

sqlite3_stmt *store_query(
    struct store *store, struct error *err, const char *sql, const char *types, ...)
{
    va_list args;

    va_start(args, types);
    sqlite3_stmt *statement = bound(store, err, sql, types, &args);
    va_end(args);
    return statement;
}

void store_done(sqlite3_stmt *statement)
{
    if (statement) {
        (void)sqlite3_reset(statement); // its error was reported by the step
        (void)sqlite3_clear_bindings(statement);
    }
}

int store_step(struct store *store, sqlite3_stmt *statement, struct error *err)
{
    int result = sqlite3_step(statement);

    if (result == SQLITE_ROW) {
        return 1;
    }
    return result == SQLITE_DONE ? 0 : store_fail(store, err, "reading");
}

const char *store_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text ? text : "";
}

static int execute(struct store *store, const char *sql, struct error *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : store_fail(store, err, sql);
}

// A statement without rows, to its end.
static int finish(struct store *store,
                  sqlite3_stmt *statement,
                  const char *doing,
                  struct error *err)
{
    if (!statement) {
        return -1;
    }
    int result = sqlite3_step(statement) == SQLITE_DONE ? 0 : -1;
    if (result != 0) {
        store_fail(store, err, doing);
    }
    store_done(statement);
    return result;
}

static int begin(struct store *store, struct error *err)
{
    static const char sql[] = "BEGIN IMMEDIATE";

    if (!store->writing && finish(store, prepared(store, sql, err), sql, err) != 0) {
        return -1;
    }
    store->writing = true;
    return 0;
}

int store_run(
    struct store *store, struct error *err, const char *sql, const char *types, ...)
{
    va_list args;

    if (begin(store, err) != 0) {
        return -1;
    }
    va_start(args, types);
    sqlite3_stmt *statement = bound(store, err, sql, types, &args);
    va_end(args);
    return finish(store, statement, "writing", err);
}

int store_commit(struct store *store, struct error *err)
{
    static const char sql[] = "COMMIT";

    if (!store->writing) {
        return 0;
    }
    if (finish(store, prepared(store, sql, err), sql, err) != 0) {
        return -1;
    }
    store->writing = false;
    return 0;
}

void store_rollback(struct store *store)
{
    if (store->writing) {
        (void)execute(store, "ROLLBACK", NULL); // a failed commit may have done it
        store->writing = false;
    }
    store->failed = false;
}

bool store_failed(const struct store *store)
{
    return store->failed;
}

bool store_dirty(const struct store *store)
{
    return store->writing;
}

void store_set_scanning(struct store *store, bool on)
{
    char pragma[64];

    (void)snprintf(pragma,
                   sizeof(pragma),
                   "PRAGMA cache_size = -%d",
                   on ? STORE_SCAN_KIB : STORE_CACHE_KIB);
    (void)sqlite3_exec(store->db, pragma, NULL, NULL, NULL); // a matter of speed
}

static int
read_number(struct store *store, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = -1;

    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
        result = 0;
    } else {
        store_fail(store, err, sql);
    }
    (void)sqlite3_finalize(statement);
    return result;
}

// A schema file is one migration; user_version counts those that were run.
static int migrate_one(struct store *store,
                       const struct embed_file *file,
                       int64_t version,
                       struct error *err)
{
    char done[64];

    (void)snprintf(done, sizeof(done), "PRAGMA user_version = %" PRId64, version);
    if (execute(store, "BEGIN IMMEDIATE", err) == 0 &&
        execute(store, file->text, err) == 0 && execute(store, done, err) == 0 &&
        execute(store, "COMMIT", err) == 0) {
        return 0;
    }
    (void)execute(store, "ROLLBACK", NULL);
    return error_wrap(err, "while bringing the state database to %s", file->name);
}

static int migrate(struct store *store, struct error *err)
{
    int64_t version;
    int64_t newest = 0;

    if (read_number(store, "PRAGMA user_version", &version, err) != 0) {
        return -1;
    }
    while (embed_schema[newest].name) {
        newest++;
    }
    if (version > newest) {
        return error_set(err,
                         ERROR_FAILED_PRECONDITION,
                         "the state database has schema %" PRId64
                         ", which is newer than this program's %" PRId64
                         ": it was written by a later release, use that one",
                         version,
                         newest);
    }
    for (; version < newest; version++) {
        if (migrate_one(store, &embed_schema[version], version + 1, err) != 0) {
            return -1;
        }
    }
    return 0;
}

// A disk that fails leaves the journal as it was, without an error.
static int check_journal(struct store *store, struct error *err)
{
    int64_t in_place;

    if (read_number(store,
                    "SELECT journal_mode NOT IN ('wal', 'memory')"
                    " FROM pragma_journal_mode",
                    &in_place,
                    err) != 0) {
        return -1;
    }
    return in_place ? error_set(err,
                                ERROR_DATA_LOSS,
                                "the state database cannot keep a write-ahead log")
                    : 0;
}

static int set_up(struct store *store, struct error *err)
{
    char pragmas[512];
    int64_t application;

    // Exclusive locking before the first read: no shared memory, and no second process.
    if (execute(store, "PRAGMA locking_mode = EXCLUSIVE", err) != 0 ||
        read_number(store, "PRAGMA application_id", &application, err) != 0) {
        return -1;
    }
    if (application != 0 && application != STORE_APPLICATION_ID) {
        return error_set(
            err, ERROR_FAILED_PRECONDITION, "it is a database of another program");
    }
    (void)snprintf(pragmas,
                   sizeof(pragmas),
                   "PRAGMA journal_mode = WAL;"
                   "PRAGMA synchronous = FULL;"
                   "PRAGMA foreign_keys = ON;"
                   "PRAGMA trusted_schema = OFF;"
                   "PRAGMA cell_size_check = ON;"
                   "PRAGMA temp_store = MEMORY;"
                   "PRAGMA cache_size = -%d;",
                   STORE_CACHE_KIB);
    if (execute(store, pragmas, err) != 0 || check_journal(store, err) != 0) {
        return -1;
    }
    // Only a new one is written to: a full disk's can be read.
    (void)snprintf(
        pragmas, sizeof(pragmas), "PRAGMA application_id = %d", STORE_APPLICATION_ID);
    return (application == 0 && execute(store, pragmas, err) != 0) ||
                   migrate(store, err) != 0
               ? -1
               : 0;
}

int store_open(const char *path, struct store **out_store, struct error *err)
{
    struct store *store = calloc(1, sizeof(*store));

    if (!store) {
        return error_set(err, ERROR_INTERNAL, "out of memory");
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK) {
        store_fail(store, err, "opening");
    } else if (set_up(store, err) == 0) {
        *out_store = store;
        return 0;
    }
    error_wrap(err, "cannot use %s", path);
    store_close(store);
    return -1;
}

void store_close(struct store *store)
{
    if (!store) {
        return;
    }
    store_rollback(store);
    for (size_t i = 0; i < store->statement_count; i++) {
        (void)sqlite3_finalize(store->statements[i].statement);
    }
    (void)sqlite3_close(store->db);
    free(store);
}

int store_boot(struct store *store, uint32_t *out_boot, struct error *err)
{
    unsigned char cluster_id[16];
    int64_t boot;

    id_random_bytes(cluster_id, sizeof(cluster_id));
    if (store_run(store,
                  err,
                  "INSERT INTO master (id, cluster_id, boot) VALUES (1, ?1, 1)"
                  " ON CONFLICT (id) DO UPDATE SET boot = boot + 1",
                  "b",
                  cluster_id,
                  sizeof(cluster_id)) != 0 ||
        store_commit(store, err) != 0 ||
        read_number(store, "SELECT boot FROM master", &boot, err) != 0) {
        return -1;
    }
    *out_boot = (uint32_t)boot;
    return 0;
}

int store_event_add(struct store *store,
                    int64_t at_ns,
                    const char *subject,
                    const char *name,
                    const char *action,
                    const char *detail,
                    struct error *err)
{
    return store_run(store,
                     err,
                     "INSERT INTO event (at_ns, subject, name, action, detail)"
                     " VALUES (?1, ?2, ?3, ?4, ?5)",
                     "itttt",
                     at_ns,
                     subject,
                     name,
                     action,
                     detail);
}
