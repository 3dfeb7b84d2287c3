/* SPDX-License-Identifier: Apache-2.0 */
/* output.h - where results, hints and warnings go
 *
 * Results go to standard output, whole, once they are there; hints only to a person,
 * on standard error. Single-threaded; blocks on the terminal or pipe. */
#ifndef CORTEX_CLIENT_CLI_OUTPUT_H
#define CORTEX_CLIENT_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/options.h"

/* The row of every command that prints a result; target, a const char *. */
#define OUTPUT_OPTION(target_)                                                         \
    {                                                                                  \
        .name = "output", .letter = 'o', .type = OPTION_TEXT, .target = (target_),     \
        .value = "FORMAT", .help = "pretty, for people (default), or json"             \
    }

/* What --output says; text NULL if it was not given. */
int output_is_json(const char *text, bool *out_json, struct error *err);

/* Whether standard output is a terminal: then headings are bold. */
bool output_is_terminal(void);

/* Writes it all to standard output. A reader that has left ends the process as SIGPIPE
 * does. */
int output_write(const void *data, size_t size, struct error *err);
/* The same of a buffer, which it frees. */
int output_take(struct buffer *buffer, struct error *err);

/* A line on standard error, if that is a terminal. */
void output_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "warning: ..." on standard error. */
void output_warn(const char *text);

/* "error: ..." on standard error. */
void output_error(const struct error *err);

#endif
