/* SPDX-License-Identifier: Apache-2.0 */
/* completion.c - `cortex completion`: what a shell can complete
 *
 * Both scripts are made of the table of commands: a case of words, by what was typed so
 * far, with what may come next. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"

static const struct option_row rows[] = {{0}};

static bool takes_file(const struct command *command)
{
    return command == &command_deploy;
}

static void add_options(struct buffer *out, const struct command *command)
{
    for (const struct option_row *row = command->rows; row->name; row++) {
        buffer_add_format(out, " --%s", row->name);
    }
    buffer_add_text(out, " --help");
}

// Whether the row's first word was that of the row before too: groups stand together.
static bool same_word_as_before(size_t i)
{
    size_t size = commands_first_word(commands[i]);

    return i > 0 && size == commands_first_word(commands[i - 1]) &&
           strncmp(commands[i]->name, commands[i - 1]->name, size) == 0;
}

static void add_first_words(struct buffer *out)
{
    for (size_t i = 0; commands[i]; i++) {
        if (!same_word_as_before(i)) {
            buffer_add_format(
                out, " %.*s", (int)commands_first_word(commands[i]), commands[i]->name);
        }
    }
}

static void add_second_words(struct buffer *out, const char *group)
{
    for (size_t i = 0; commands[i]; i++) {
        size_t size = commands_first_word(commands[i]);
        if (strlen(group) == size && strncmp(group, commands[i]->name, size) == 0) {
            buffer_add_format(out, "%s", commands[i]->name + size);
        }
    }
}

// One case a command, and one a group.
static void add_cases(struct buffer *out)
{
    for (size_t i = 0; commands[i]; i++) {
        size_t size = commands_first_word(commands[i]);
        bool of_two = commands[i]->name[size] != '\0';
        if (of_two && !same_word_as_before(i)) {
            char *group = memory_strndup(commands[i]->name, size);
            buffer_add_format(out, "    \"%s\") choices=\"", group);
            add_second_words(out, group);
            buffer_add_text(out, " --help\" ;;\n");
            free(group);
        }
        buffer_add_format(out,
                          "    \"%s\"%s) choices=\"%s",
                          commands[i]->name,
                          of_two ? "" : "*",
                          commands[i] == &command_completion ? "bash zsh" : "");
        add_options(out, commands[i]);
        buffer_add_format(
            out, "\"%s ;;\n", takes_file(commands[i]) ? "; files=yes" : "");
    }
}

static void add_bash(struct buffer *out)
{
    buffer_add_text(
        out,
        "# completion of cortex for bash: source <(cortex completion bash)\n"
        "_cortex() {\n"
        "    local word=\"${COMP_WORDS[COMP_CWORD]}\" choices=\"\" files=\"\"\n"
        "    local typed=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\"\n"
        "    typed=\"$(printf '%s ' $typed | cut -d' ' -f1,2)\"\n"
        "    case \"${typed% }\" in\n"
        "    \"\") choices=\"");
    add_first_words(out);
    buffer_add_text(out, "\" ;;\n");
    add_cases(out);
    buffer_add_text(out,
                    "    esac\n"
                    "    COMPREPLY=($(compgen -W \"$choices\" -- \"$word\"))\n"
                    "    if [ -n \"$files\" ] && [ \"${word#-}\" = \"$word\" ]; then\n"
                    "        COMPREPLY+=($(compgen -f -- \"$word\"))\n"
                    "    fi\n"
                    "}\n"
                    "complete -o filenames -F _cortex cortex\n");
}

static void add_zsh(struct buffer *out)
{
    buffer_add_text(out,
                    "#compdef cortex\n"
                    "# completion of cortex for zsh: source <(cortex completion zsh)\n"
                    "_cortex() {\n"
                    "    local -a before=(\"${(@)words[2,CURRENT-1]}\")\n"
                    "    local typed=\"${(j: :)before[1,2]}\" choices=\"\" files=\"\"\n"
                    "    case \"$typed\" in\n"
                    "    \"\") choices=\"");
    add_first_words(out);
    buffer_add_text(out, "\" ;;\n");
    add_cases(out);
    buffer_add_text(out,
                    "    esac\n"
                    "    compadd -- ${(s: :)choices}\n"
                    "    local result=$?\n"
                    "    [[ -n \"$files\" ]] && _files && result=0\n"
                    "    return $result\n"
                    "}\n"
                    "compdef _cortex cortex\n");
}

static int completion_run(char **positional, int count, struct error *err)
{
    struct buffer out = BUFFER_INIT;

    (void)count;
    if (strcmp(positional[0], "bash") == 0) {
        add_bash(&out);
    } else if (strcmp(positional[0], "zsh") == 0) {
        add_zsh(&out);
    } else {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "got \"%s\", expected bash or zsh",
                         positional[0]);
    }
    return output_take(&out, err);
}

const struct command command_completion = {
    .name = "completion",
    .usage = "bash|zsh",
    .brief = "write what completes commands in a shell",
    .summary =
        "Writes a script that makes the shell complete commands and options. To "
        "have it in\nevery shell, put the line below into ~/.bashrc or ~/.zshrc.",
    .examples = "source <(cortex completion bash)",
    .rows = rows,
    .positional_min = 1,
    .positional_max = 1,
    .run = completion_run,
};
