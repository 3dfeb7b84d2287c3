/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - `cortex help`: what there is, as text or as a manual page */
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "common/version.h"

static bool man;

static const struct option_row rows[] = {
    {
        .name = "man",
        .type = OPTION_FLAG,
        .target = &man,
        .help = "write the manual page cortex(1) instead, for `man -l -`",
    },
    {0},
};

/* Text in roff: what it would take for a command or an escape is disarmed. */
static void add_roff(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\') {
            buffer_add_text(out, "\\e");
        } else if (*text == '-') {
            buffer_add_text(out, "\\-");
        } else {
            bool starts = out->size == 0 || out->data[out->size - 1] == '\n';
            buffer_add_text(out,
                            starts && (*text == '.' || *text == '\'') ? "\\&" : "");
            buffer_add_char(out, *text);
        }
    }
}

// Lines as they are, indented.
static void add_roff_lines(struct buffer *out, const char *text)
{
    buffer_add_text(out, ".PP\n.RS 4\n.nf\n");
    add_roff(out, text);
    buffer_add_text(out, "\n.fi\n.RE\n");
}

static void add_roff_option(struct buffer *out, const struct option_row *row)
{
    buffer_add_text(out, ".TP\n.B ");
    if (row->letter) {
        buffer_add_format(out, "\\-%c, ", row->letter);
    }
    buffer_add_text(out, "\\-\\-");
    add_roff(out, row->name);
    if (row->value) {
        buffer_add_format(out, " \\fI%s\\fR", row->value);
    }
    buffer_add_char(out, '\n');
    add_roff(out, row->help);
    buffer_add_char(out, '\n');
}

// Paragraphs of the summary, at empty lines.
static void add_roff_text(struct buffer *out, const char *text)
{
    for (const char *line = text; *line;) {
        size_t size = strcspn(line, "\n");
        char *copy = memory_strndup(line, size);
        if (size == 0) {
            buffer_add_text(out, ".PP");
        }
        add_roff(out, copy);
        buffer_add_char(out, '\n');
        free(copy);
        line += size + (line[size] == '\n');
    }
}

static void add_roff_command(struct buffer *out, const struct command *command)
{
    buffer_add_text(out, ".SS \"cortex ");
    add_roff(out, command->name);
    buffer_add_char(out, ' ');
    add_roff(out, command->usage);
    buffer_add_text(out, "\"\n");
    add_roff_text(out, command->summary);
    for (const struct option_row *row = command->rows; row->name; row++) {
        add_roff_option(out, row);
    }
    if (command->examples) {
        add_roff_lines(out, command->examples);
    }
}

static int write_man(struct error *err)
{
    struct buffer out = BUFFER_INIT;

    buffer_add_format(&out, ".TH CORTEX 1 \"\" \"cortex %s\"\n", version_text());
    buffer_add_text(&out,
                    ".SH NAME\ncortex \\- batch inference over a lot of data\n"
                    ".SH SYNOPSIS\n.B cortex\n\\fICOMMAND\\fR [\\fIOPTION\\fR]... "
                    "[\\fIARGUMENT\\fR]...\n"
                    ".SH DESCRIPTION\nDeploys Python classes to a Cortex cluster and "
                    "shows what becomes of the jobs that are submitted to them over "
                    "HTTP. A command may be cut short as long as only one begins like "
                    "it.\n.SH COMMANDS\n");
    for (const struct command *const *row = commands; *row; row++) {
        add_roff_command(&out, *row);
    }
    buffer_add_text(&out,
                    ".SH EXIT STATUS\n0, or 1 with a line \"error: ...\" on standard "
                    "error.\n.SH FILES\n.TP\n.I ~/.cortex/cli.yaml\nthe environments; "
                    "CORTEX_CLI_CONFIG_DIR names another folder\n");
    return output_take(&out, err);
}

static int help_run(char **positional, int count, struct error *err)
{
    char *argv[] = {NULL, count > 0 ? positional[0] : NULL, NULL, NULL};
    const struct command *command;
    int words;

    if (man) {
        return write_man(err);
    }
    if (count == 0) {
        commands_help(NULL);
        return 0;
    }
    argv[2] = count > 1 ? positional[1] : NULL;
    if (commands_find(count + 1, argv, &command, &words, err) != 0) {
        return -1;
    }
    struct buffer text = BUFFER_INIT;
    struct options options = commands_options(command, &text);
    options_help(&options);
    buffer_fini(&text);
    return 0;
}

const struct command command_help = {
    .name = "help",
    .usage = "[OPTION]... [COMMAND]",
    .brief = "explain a command, or list them all",
    .summary =
        "Explains a command as its --help does; without one, lists all commands.",
    .examples = "cortex help deploy\n"
                "cortex help --man | man -l -",
    .rows = rows,
    .positional_min = 0,
    .positional_max = 2,
    .run = help_run,
};
