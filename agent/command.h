/* SPDX-License-Identifier: Apache-2.0 */
/* command.h - how an installer is run to its end
 *
 * Blocks until the program has ended or is cancelled (it is killed then, with all that
 * it started: process.h). Any thread. */
#ifndef CORTEX_AGENT_COMMAND_H
#define CORTEX_AGENT_COMMAND_H

#include <stdbool.h>

#include "agent/sandbox.h"
#include "common/error.h"

struct command {
    char *const *envp;
    const char *folder;
    int output_fd; /* where its output goes */
    int quiet_fd;  /* if not -1, a file that it goes to instead, shown on failure */
    int cancel_fd; /* an eventfd: readable means "give up" */
    struct sandbox_user user;
};

/* 0 if it ended with status 0; else FAILED_PRECONDITION, or CANCELLED. `what` begins
 * the sentence: "dependencies.sh exited with status 3". */
int command_run(const struct command *command,
                const char *what,
                const char *const *argv,
                struct error *err);

#endif
