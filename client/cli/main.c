/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the command line of a cluster: reads which command it is, and runs it */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "common/id.h"
#include "common/version.h"

static bool is_option(const char *text, const char *name, const char *letter)
{
    return strcmp(text, name) == 0 || (letter && strcmp(text, letter) == 0);
}

// `cortex`, `cortex --help`, `cortex --version`, `cortex cluster --help`.
static bool run_without_command(int argc, char **argv)
{
    if (argc < 2 || is_option(argv[1], "--help", "-h")) {
        commands_help(NULL);
        return true;
    }
    if (is_option(argv[1], "--version", NULL)) {
        printf("cortex %s\n", version_text());
        return true;
    }
    if (argc == 3 && is_option(argv[2], "--help", "-h") && commands_is_group(argv[1])) {
        commands_help(argv[1]);
        return true;
    }
    return false;
}

static int run_command(int argc, char **argv, struct error *err)
{
    const struct command *command;
    struct buffer text = BUFFER_INIT;
    int words;
    int positional;

    if (commands_find(argc, argv, &command, &words, err) != 0) {
        return -1;
    }
    struct options options = commands_options(command, &text);
    argc -= words;
    argv += words;
    if (options_parse(&options, argc, argv, &positional, err) != 0) {
        buffer_fini(&text);
        return -1;
    }
    buffer_fini(&text);
    return command->run(argv + positional, argc - positional, err);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    int status = 0;

    (void)signal(SIGPIPE, SIG_DFL); // a reader that leaves ends the process quietly
    if (id_init() != 0) {
        (void)error_set(&err, ERROR_INTERNAL, "there is no source of random numbers");
        status = 1;
    } else if (!run_without_command(argc, argv) && run_command(argc, argv, &err) != 0) {
        status = 1;
    }
    if (fflush(stdout) != 0 && status == 0) {
        (void)error_set_errno(&err, ERROR_INTERNAL, "cannot write to standard output");
        status = 1;
    }
    if (status != 0) {
        output_error(&err);
    }
    _exit(status); // nng's sockets cannot be closed (common/rpc_client.h)
}
