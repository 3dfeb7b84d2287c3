/* SPDX-License-Identifier: Apache-2.0 */
/* command.c - how an installer is run to its end */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/command.h"
#include "agent/process.h"
#include "common/fs.h"

#define SHOWN_MAX (64 << 10) /* bytes of hidden output that a failure shows */

/* Copies the end of the hidden output to the log. */
static void show(const struct command *command)
{
    char piece[4096];
    off_t size = lseek(command->quiet_fd, 0, SEEK_END);
    off_t at = size > SHOWN_MAX ? size - SHOWN_MAX : 0;
    ssize_t got;

    while ((got = pread(command->quiet_fd, piece, sizeof(piece), at)) > 0) {
        (void)fs_write_all(command->output_fd, piece, (size_t)got, NULL);
        at += got;
    }
}

/* Waits for the end or the wish to give up; true if it ended by itself. */
static bool wait_for(struct process *process, int cancel_fd, int *out_status)
{
    struct pollfd fds[2] = {{.fd = process->pidfd, .events = POLLIN},
                            {.fd = cancel_fd, .events = POLLIN}};
    bool cancelled = false;

    while (!process_reap(process, out_status)) {
        if (poll(fds, cancelled ? 1 : 2, -1) > 0 && (fds[1].revents & POLLIN) != 0) {
            cancelled = true;
            process_kill(process);
        }
    }
    return !cancelled;
}

int command_run(const struct command *command,
                const char *what,
                const char *const *argv,
                struct error *err)
{
    bool quiet = command->quiet_fd >= 0;
    struct process_options options = {
        .argv = argv,
        .envp = command->envp,
        .folder = command->folder,
        .output_fd = quiet ? command->quiet_fd : command->output_fd,
        .user = command->user,
    };
    struct process process;
    int status = 0;
    bool ended;
    char *end;

    if (quiet) {
        (void)!ftruncate(command->quiet_fd, 0); // an earlier step's output, at worst
        (void)lseek(command->quiet_fd, 0, SEEK_SET);
    }
    if (process_start(&options, &process, err) != 0) {
        return error_wrap(err, "%s", what);
    }
    ended = wait_for(&process, command->cancel_fd, &status);
    process_fini(&process);
    if (!ended) {
        return error_set(err, ERROR_CANCELLED, "%s was stopped", what);
    }
    if (status == 0) {
        return 0;
    }
    if (quiet) {
        show(command);
    }
    end = process_describe(status);
    (void)error_set(err, ERROR_FAILED_PRECONDITION, "%s %s", what, end);
    free(end);
    return -1;
}
