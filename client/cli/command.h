/* SPDX-License-Identifier: Apache-2.0 */
/* command.h - what a command of `cortex` is called, takes and does
 *
 * One table (commands.c) of these yields the parsing, every --help, the completions and
 * the man page, so they cannot drift apart. The process runs one command and ends, so
 * the rows' targets are static variables of the command's file. Single-threaded.
 */
#ifndef CORTEX_CLIENT_CLI_COMMAND_H
#define CORTEX_CLIENT_CLI_COMMAND_H

#include "common/error.h"
#include "common/options.h"

struct command {
    const char *name;              /* "get", "cluster up" */
    const char *usage;             /* "[OPTION]... [API [JOB_ID]]" */
    const char *brief;             /* one line for `cortex --help` */
    const char *summary;           /* what it does: one or more lines */
    const char *examples;          /* lines such as "cortex get digits", or NULL */
    const struct option_row *rows; /* ended by a row without a name */
    int positional_min;
    int positional_max;
    /* Does it: prints the result on standard output, and nothing there on failure.
     * Blocks as long as it takes. */
    int (*run)(char **positional, int count, struct error *err);
};

extern const struct command command_deploy;
extern const struct command command_get;
extern const struct command command_logs;
extern const struct command command_delete;
extern const struct command command_env_configure;
extern const struct command command_env_list;
extern const struct command command_env_default;
extern const struct command command_env_delete;
extern const struct command command_env_rotate;
extern const struct command command_cluster_up;
extern const struct command command_cluster_info;
extern const struct command command_cluster_down;
extern const struct command command_version;
extern const struct command command_completion;
extern const struct command command_help;

#endif
