/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - how a child process is started, watched and killed
 *
 * A child has a session and process group of its own, /dev/null as standard input, one
 * pipe as standard output and error, and no other descriptor of the agent's. A runner
 * has besides a socket to the agent as descriptor 3 and a shared page as descriptor 4.
 * It dies with the thread that started it (PR_SET_PDEATHSIG is bound to that thread),
 * so it is started by one that outlives it. A runner, and whoever runs as a user of the
 * sandbox, can gain no privileges by exec. Memory pressure falls on children before the
 * agent. When a child is killed or has ended, so are its group, its cgroup and all else
 * that runs as its user, if that user is its alone. See also: prctl(2), pidfd_open(2),
 * memfd_create(2). */
#ifndef CORTEX_AGENT_PROCESS_H
#define CORTEX_AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/sandbox.h"
#include "common/error.h"

#define PROCESS_CHANNEL_TEXT "3" /* the numbers in the child, for its argv */
#define PROCESS_PAGE_TEXT    "4"

struct process {
    pid_t pid;               /* 0: none */
    int pidfd;               /* readable when it has ended */
    int channel_fd;          /* ours of the socket, non-blocking; -1: none */
    volatile uint64_t *page; /* [0] begin no more, [1] batches begun; NULL: none */
    struct sandbox_user user;
    char *cgroup; /* NULL: none */
};

struct process_options {
    const char *const *argv; /* argv[0] is looked up by process_find */
    char *const *envp;
    const char *folder; /* its working directory */
    int output_fd;      /* standard output and error; stays the caller's */
    bool with_channel;
    struct sandbox_user user;
    const char *cgroup; /* the one it joins, or NULL */
};

/* The path of a program, looked up in the PATH of envp if its name has no slash. NULL
 * if there is none; the caller frees. */
char *process_find(const char *name, char *const *envp);

/* Blocks until the child has executed its program, some milliseconds. On failure
 * nothing is left. */
int process_start(const struct process_options *options,
                  struct process *out,
                  struct error *err);

/* Kills it and all that it started, as far as that can be told. Does nothing for one
 * that was reaped. */
void process_kill(const struct process *process);

/* If it has ended: kills what is left of it, closes pidfd, sets *out_status as waitpid
 * does, and returns true. channel_fd and page stay until process_fini. */
bool process_reap(struct process *process, int *out_status);

void process_fini(struct process *process);

/* "exited with status 3", "was killed by signal 11 (Segmentation fault)". The caller
 * frees. */
char *process_describe(int status);

#endif
