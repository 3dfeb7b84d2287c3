/* SPDX-License-Identifier: Apache-2.0 */
/* custody.h - whose the files are that user code sees
 *
 * With users of their own for workers (sandbox.h) a worker's folder "<state>/workers/
 * <id>" is root's, and only the worker may pass it. Below it "project" holds files that
 * the worker reads, in a folder to which it may add; "tmp" and "home" are its own.
 * While dependencies are being installed the project is the worker's, too. Environments
 * are everybody's to read.
 *
 * User code may have made any tree: nothing here follows a link, and only files of the
 * expected owner are touched. Without users (all zero) the functions make folders of
 * the agent's and change nothing. All block; any thread, while no process of the user
 * runs. */
#ifndef CORTEX_AGENT_CUSTODY_H
#define CORTEX_AGENT_CUSTODY_H

#include "agent/sandbox.h"
#include "common/error.h"

#define CUSTODY_DEPTH_MAX 256 /* of a tree that is given over */

/* Makes a folder that is the user's alone. */
int custody_make_folder(const struct sandbox_user *user,
                        const char *path,
                        struct error *err);

/* Makes a folder of root's through which only the user may pass. */
int custody_make_passage(const struct sandbox_user *user,
                         const char *path,
                         struct error *err);

/* Gives root's files below path, and it, to the user. */
int custody_hand_over(const struct sandbox_user *user,
                      const char *path,
                      struct error *err);

/* Takes them, root's or the user's: the user may read them, and add to the folder. */
int custody_seal_project(const struct sandbox_user *user,
                         const char *path,
                         struct error *err);

/* Takes the user's files below path: everybody may read them. */
int custody_seal_shared(const struct sandbox_user *user,
                        const char *path,
                        struct error *err);

/* Removes what a sole user has in /tmp, /var/tmp and /dev/shm. */
void custody_sweep(const struct sandbox_user *user);

#endif
