/* SPDX-License-Identifier: Apache-2.0 */
/* detached.h - a process that outlives whoever started it, and is known again later
 *
 * It runs in a session of its own with no input, its output appended to a log. What is
 * kept of it is its pid and an identity (boot and start time), which together belong to
 * no other process ever, so that nothing is ever signalled but what was started here.
 *
 * Starting has two steps, since whoever starts may be killed in between: the process
 * waits until detached_release, which the caller calls once the identity is on disk,
 * and ends by itself if the caller is gone. Single-threaded. */
#ifndef CORTEX_CLIENT_CLI_DETACHED_H
#define CORTEX_CLIENT_CLI_DETACHED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

#define DETACHED_IDENTITY_SIZE 64 /* bytes with NUL */
#define DETACHED_READY_FD      3  /* where the process writes its line when ready */

struct detached {
    pid_t pid; /* 0: none */
    char identity[DETACHED_IDENTITY_SIZE];
};

/* A process that waits to be released, and later to become ready. */
struct detached_start {
    int go_fd;    /* -1 once released */
    int ready_fd; /* readable: a line when ready, the end if it will never be; -1: none
                   */
};

/* Starts argv[0] (searched in PATH unless it holds a slash) in the folder. The log is
 * made if it is missing. RESOURCE_EXHAUSTED, or what opening the log says. */
int detached_start(char *const *argv,
                   const char *folder,
                   const char *log_path,
                   struct detached *out_process,
                   struct detached_start *out_start,
                   struct error *err);
void detached_release(struct detached_start *start);

/* Closes what is open; a process that was not released ends. Idempotent. */
void detached_start_fini(struct detached_start *start);

/* Whether it runs; false for pid 0, a zombie, or another process of that pid. */
bool detached_alive(const struct detached *process);

/* A descriptor of the process for detached_signal and detached_wait, which the caller
 * closes; -1 if it does not run. */
int detached_open(const struct detached *process);
void detached_signal(int process_fd, int signal_number);

/* Waits until it has ended; false if it has not by then. 0 only looks. */
bool detached_wait(int process_fd, int64_t timeout_ms);

#endif
