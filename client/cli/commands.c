/* SPDX-License-Identifier: Apache-2.0 */
/* commands.c - which commands there are, and how the one that was typed is found */
#include "client/cli/commands.h"

#include <stdio.h>
#include <string.h>

const struct command *const commands[] = {
    &command_deploy,
    &command_get,
    &command_logs,
    &command_delete,
    &command_env_configure,
    &command_env_list,
    &command_env_default,
    &command_env_delete,
    &command_env_rotate,
    &command_cluster_up,
    &command_cluster_info,
    &command_cluster_down,
    &command_version,
    &command_completion,
    &command_help,
    NULL,
};

size_t commands_first_word(const struct command *command)
{
    return strcspn(command->name, " ");
}

static bool begins_with_word(const struct command *command, const char *word)
{
    size_t size = commands_first_word(command);

    return strlen(word) == size && strncmp(word, command->name, size) == 0;
}

bool commands_is_group(const char *word)
{
    for (const struct command *const *row = commands; *row; row++) {
        if (begins_with_word(*row, word)) {
            return (*row)->name[commands_first_word(*row)] != '\0';
        }
    }
    return false;
}

// A word to choose by: the first of the names, or the second of those of one group.
struct choice {
    const struct command *group; /* NULL: among all first words */
    const char *typed;
};

// The word of a command's name that is chosen by; false if it has none.
static bool word_of(const struct choice *choice,
                    const struct command *command,
                    const char **out_word,
                    size_t *out_size)
{
    size_t first = commands_first_word(command);

    *out_word = command->name;
    *out_size = first;
    if (!choice->group) {
        return true;
    }
    *out_word = command->name + first + 1;
    *out_size = command->name[first] ? strlen(*out_word) : 0;
    return command->name[first] && first == commands_first_word(choice->group) &&
           strncmp(command->name, choice->group->name, first) == 0;
}

// The names among which to choose, each once: "cluster, completion".
static void
add_names(struct buffer *out, const struct choice *choice, const char *beginning)
{
    const char *last = "";
    size_t last_size = 0;

    for (const struct command *const *row = commands; *row; row++) {
        const char *word;
        size_t size;
        if (!word_of(choice, *row, &word, &size) ||
            strncmp(word, beginning, strlen(beginning)) != 0 ||
            (size == last_size && strncmp(word, last, size) == 0)) {
            continue;
        }
        buffer_add_text(out, out->size > 0 ? ", " : "");
        buffer_add(out, word, size);
        last = word;
        last_size = size;
    }
}

// What cannot be chosen: quotes it and lists what could have been meant.
static void refuse(const struct choice *choice, bool many, struct error *err)
{
    struct buffer names = BUFFER_INIT;
    size_t size = choice->group ? commands_first_word(choice->group) : 0;
    const char *group = choice->group ? choice->group->name : "";
    const char *gap = *choice->typed && choice->group ? " " : "";
    const char *what = many ? "ambiguous" : "unknown";

    add_names(&names, choice, many ? choice->typed : "");
    (void)error_set(err,
                    ERROR_INVALID_ARGUMENT,
                    "%s command \"%.*s%s%.100s\", expected %s: %s (see `cortex help`)",
                    *choice->typed ? what : "incomplete",
                    (int)size,
                    group,
                    gap,
                    choice->typed,
                    *choice->typed ? "one of" : "behind it one of",
                    buffer_text(&names));
    buffer_fini(&names);
}

// The only command, or group of commands, that the word begins; a whole word is chosen
// before any that goes on.
static int choose(const struct choice *choice,
                  const struct command **out_command,
                  struct error *err)
{
    const struct command *found = NULL;
    size_t typed = strlen(choice->typed);
    size_t found_size = 0;
    const char *found_word = NULL;
    bool many = false;

    for (const struct command *const *row = commands; *row && typed > 0; row++) {
        const char *word;
        size_t size;
        if (!word_of(choice, *row, &word, &size) || size < typed ||
            strncmp(word, choice->typed, typed) != 0) {
            continue;
        }
        if (size == typed) {
            *out_command = *row;
            return 0;
        }
        many |= found && (size != found_size || strncmp(word, found_word, size) != 0);
        found = *row;
        found_word = word;
        found_size = size;
    }
    if (!found || many) {
        refuse(choice, many, err);
        return -1;
    }
    *out_command = found;
    return 0;
}

int commands_find(int argc,
                  char **argv,
                  const struct command **out_command,
                  int *out_words,
                  struct error *err)
{
    struct choice first = {.typed = argc > 1 ? argv[1] : ""};
    struct choice second = {.typed = argc > 2 ? argv[2] : ""};
    const struct command *command;

    if (choose(&first, &command, err) != 0) {
        return -1;
    }
    bool of_two = command->name[commands_first_word(command)] != '\0';
    second.group = command;
    if (of_two && choose(&second, &command, err) != 0) {
        return -1;
    }
    *out_command = command;
    *out_words = of_two ? 2 : 1;
    return 0;
}

struct options commands_options(const struct command *command, struct buffer *text)
{
    buffer_add_text(text, command->summary);
    for (const char *line = command->examples; line && *line;) {
        size_t size = strcspn(line, "\n");
        buffer_add_text(text, line == command->examples ? "\n\nexamples:" : "");
        buffer_add_format(text, "\n  %.*s", (int)size, line);
        line += size + (line[size] == '\n');
    }
    size_t program = text->size + 1;
    buffer_add_char(text, '\0');
    buffer_add_format(text, "cortex %s", command->name);
    return (struct options){
        .program = text->data + program,
        .usage = command->usage,
        .summary = text->data,
        .rows = command->rows,
        .positional_min = command->positional_min,
        .positional_max = command->positional_max,
    };
}

void commands_help(const char *group)
{
    printf("usage: cortex %s%sCOMMAND [OPTION]... [ARGUMENT]...\n\n%s\n\ncommands:\n",
           group ? group : "",
           group ? " " : "",
           "Cortex runs a Python class over a lot of data, in batches, on one machine "
           "or on many.");
    for (const struct command *const *row = commands; *row; row++) {
        if (!group || begins_with_word(*row, group)) {
            printf("  %-16s %s\n", (*row)->name, (*row)->brief);
        }
    }
    printf("\nEach command has its own help: `cortex COMMAND --help`. A command may be "
           "cut short as\nlong as only one begins like it: `cortex dep`.\n");
    if (!group) {
        printf("\nto begin:\n"
               "  cortex cluster up --env local     start a cluster on this machine\n"
               "  cortex deploy --env local         in a folder with a cortex.yaml\n"
               "  cortex get --env local            see what is there\n");
    }
}
