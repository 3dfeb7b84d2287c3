/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - how a program's command line is read and explained
 *
 * One table of options yields the parsing (getopt_long), --help and completions, so
 * they cannot drift apart. --help and --version are understood by themselves and end
 * the process with status 0. Single-threaded. */
#ifndef CORTEX_COMMON_OPTIONS_H
#define CORTEX_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

enum option_type {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char *, pointing into argv */
    OPTION_NUMBER,   /* int64_t, decimal, min to max */
    OPTION_SIZE,     /* int64_t bytes: 512, 64K, 10M, 2G (binary), also Ki/Mi/Gi */
    OPTION_DURATION, /* int64_t ms: 500ms, 10s, 5m, 1h; a bare number is seconds */
};

struct option_row {
    const char *name; /* "state-dir" */
    char letter;      /* 'o', or 0 */
    enum option_type type;
    void *target;      /* where the value goes; keeps its default if not given */
    const char *value; /* "DIR" in the help, NULL for a flag */
    const char *help;  /* one line, begins lower case, says the default */
    int64_t min;       /* for numbers, sizes and durations; */
    int64_t max;       /* both 0: 0 to INT64_MAX */
};

struct options {
    const char *program;           /* "cortex-master" */
    const char *usage;             /* "[OPTION]..." */
    const char *summary;           /* what it does: one or more lines */
    const struct option_row *rows; /* ended by a row without a name */
    int positional_min;
    int positional_max;
};

/* Reads argv (argv[0] is skipped). On success *out_positional is the index in argv of
 * the first positional argument, all of which stand at the end then. Errors are
 * INVALID_ARGUMENT: they name the option, quote the value and point to --help. */
int options_parse(const struct options *options,
                  int argc,
                  char **argv,
                  int *out_positional,
                  struct error *err);

/* Writes the help to standard output. */
void options_help(const struct options *options);

/* The readers behind the types; each takes the whole text. */
bool options_read_number(const char *text, int64_t *out);
bool options_read_size(const char *text, int64_t *out);
bool options_read_duration(const char *text, int64_t *out_ms);

#endif
