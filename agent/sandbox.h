/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - as whom user code runs, and within which limits
 *
 * An agent that is root gives each worker a user of its own, out of a range of numbers
 * that belong to no account: it reaches no file of the agent's or of another worker's
 * (custody.h), cannot signal them, and all that it starts is found and killed by its
 * number, wherever it hides. A named account is shared by the workers, so it keeps them
 * from the agent only, and nothing is killed by its number. An agent that is not root
 * runs user code as itself.
 *
 * Any thread, but sandbox_next. See also: credentials(7), setrlimit(2), kill(2). */
#ifndef CORTEX_AGENT_SANDBOX_H
#define CORTEX_AGENT_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

/* The usual range: no accounts, no subordinate ids of theirs, nothing of systemd's. */
#define SANDBOX_FIRST     2000000000u
#define SANDBOX_LAST      2000065535u
#define SANDBOX_LEAST     65536u /* accounts are below it: no range may begin there */
#define SANDBOX_FILES_MAX 65536u /* open files of a process */
/* Processes and threads of a sole user: some for every library and core. */
#define SANDBOX_PROCESSES      256u
#define SANDBOX_CORE_PROCESSES 128u

/* Whom a process runs as. All zero: as the agent. */
struct sandbox_user {
    uid_t uid;
    gid_t gid;
    bool sole;              /* nothing else runs as uid */
    unsigned processes_max; /* of a sole user */
};

struct sandbox {
    bool active; /* false: everything runs as the agent */
    bool named;  /* one account for all */
    uid_t first;
    uid_t last;
    gid_t gid; /* of the account */
    uid_t next;
    unsigned processes_max;
};

/* "none", "FIRST-LAST" or the name of an account; NULL: the usual range if the agent is
 * root, else "none". INVALID_ARGUMENT for anything else, FAILED_PRECONDITION if the
 * agent may not change users. */
int sandbox_parse(const char *text, struct sandbox *out, struct error *err);

/* The user for a worker; the owner asks again when it is taken. A range is gone through
 * from a random number on, so that a user is seldom one that left something behind. */
struct sandbox_user sandbox_next(struct sandbox *sandbox);

/* Whether uid is one of a range's, and that user. */
bool sandbox_find(const struct sandbox *sandbox, uid_t uid, struct sandbox_user *out);

/* Whether user code can read the file; FAILED_PRECONDITION if it, or a folder above it,
 * is closed to others. */
int sandbox_check_readable(const struct sandbox *sandbox,
                           const char *path,
                           struct error *err);

/* In a child between fork and exec: becomes the user, within the limits. -1 with errno:
 * the child must end. Safe after fork. */
int sandbox_enter(const struct sandbox_user *user);

/* Kills all processes of a sole user; nothing for others. */
void sandbox_kill(const struct sandbox_user *user);

#endif
