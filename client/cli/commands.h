/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h - which commands there are, and how the one that was typed is found
 *
 * Pure but for what ends in _help, which writes to standard output. */
#ifndef CORTEX_CLIENT_CLI_COMMANDS_H
#define CORTEX_CLIENT_CLI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "client/cli/command.h"
#include "common/buffer.h"

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

/* How long the first word of a command's name is: 7 for "cluster up". */
size_t commands_first_word(const struct command *command);

/* Whether it is the first word of commands of two words, such as "cluster". */
bool commands_is_group(const char *word);

/* All commands, or those whose first word is `group`, unless that is NULL. */
void commands_help(const char *group);

/* What options_parse needs to know of a command; its program and summary live in *text.
 */
struct options commands_options(const struct command *command, struct buffer *text);

#endif
