/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - what a daemon tells its operator
 *
 * One line a call on standard error, written with one write(2):
 *   2026-01-31 23:59:59.123 INFO  master: listening on tcp://127.0.0.1:8790
 * Library code never logs; only the edges (main, loops, callbacks at the rim) do.
 * Thread-safe. Newlines and control characters in a message are shown escaped, and a
 * line is cut at LOG_LINE_SIZE bytes. */
#ifndef CORTEX_COMMON_LOG_H
#define CORTEX_COMMON_LOG_H

#include <stdbool.h>

#define LOG_LINE_SIZE 4096

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* The name in every line ("master") and the lowest level that is written. Call before
 * threads start. The default is "cortex" and LOG_INFO. */
void log_init(const char *program, enum log_level level);

/* "debug", "info", "warning" or "error"; false for anything else. */
bool log_level_parse(const char *text, enum log_level *out);

void log_write(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_write(LOG_ERROR, __VA_ARGS__)

#endif
