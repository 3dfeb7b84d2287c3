/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h - which commands there are, and how the one that was typed is found
 *
 * Pure but for commands_help, which writes to standard output. */
#ifndef CORTEX_CLIENT_CLI_COMMANDS_H
#define CORTEX_CLIENT_CLI_COMMANDS_H

#include "client/cli/command.h"

/* In the order of the help; ended by NULL. */
extern const struct command *const commands[];

/* Finds the command that argv[1] (and argv[2], for one of two words) names, in full or
 * by a beginning that only one has. *out_words says how many words its name took.
 * INVALID_ARGUMENT quotes what is none and lists what could have been meant. */
int commands_find(int argc,
                  char **argv,
                  const struct command **out_command,
                  int *out_words,
                  struct error *err);

void commands_help(void);

#endif
