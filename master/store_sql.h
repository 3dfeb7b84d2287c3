/* SPDX-License-Identifier: Apache-2.0 */
/* store_sql.h - how the store's files speak to SQLite
 *
 * Private to master/store*.c. Statements are prepared once and found again by the
 * address of their text, which must therefore be a constant. */
#ifndef CORTEX_MASTER_STORE_SQL_H
#define CORTEX_MASTER_STORE_SQL_H

#include <sqlite3.h>

#include "master/store.h"

#define STORE_STATEMENTS_MAX 96

struct store {
    sqlite3 *db;
    bool writing; /* a transaction is open */
    bool failed;  /* a call failed since the last rollback */
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } statements[STORE_STATEMENTS_MAX];
    size_t statement_count;
};

/* Sets the error to what SQLite says. Returns -1. */
int store_fail(struct store *store, struct error *err, const char *doing);

/* A statement with its parameters bound, ready to be stepped. types has a letter for
 * each: i (int64_t), t (const char *, copied), b (const void *, size_t; copied).
 * NULL on failure. Reset it (store_done) when through. */
sqlite3_stmt *store_query(
    struct store *store, struct error *err, const char *sql, const char *types, ...);
void store_done(sqlite3_stmt *statement);

/* Runs a statement that changes rows, in the transaction that is open or a new one. */
int store_run(
    struct store *store, struct error *err, const char *sql, const char *types, ...);

/* Steps once: 1 a row, 0 no more, -1 failed. */
int store_step(struct store *store, sqlite3_stmt *statement, struct error *err);

/* A column's text, "" for NULL; lives until the next step. */
const char *store_text(sqlite3_stmt *statement, int column);

#endif
