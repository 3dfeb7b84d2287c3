/* SPDX-License-Identifier: Apache-2.0 */
/* python_envs.h - which virtual environments there are, who uses them, which must go
 *
 * Workers that need the same environment share it: the first makes it, the others wait.
 * One that is damaged is made anew, unless somebody uses it. Together they are kept
 * within a size: before and after one is made, the least recently used that nobody uses
 * are removed. So they may exceed it by those in use and the one being made. Any
 * thread; python_envs_take blocks, for minutes. */
#ifndef CORTEX_AGENT_PYTHON_ENVS_H
#define CORTEX_AGENT_PYTHON_ENVS_H

#include "agent/python_env.h"

struct python_envs;

/* folder is made when it is needed. */
struct python_envs *python_envs_create(const char *folder, uint64_t size_max);
/* When nobody uses any. NULL is fine. */
void python_envs_destroy(struct python_envs *envs);

/* A worker's hold on its interpreter. */
struct python_env {
    char *python;
    struct shared_env *shared; /* NULL: the agent's own interpreter, no requirements */
};

/* command->folder is the project. python is what an environment is made from, and the
 * interpreter itself where there are no requirements. Failure: the installers' words
 * are in the log already. */
int python_envs_take(struct python_envs *envs,
                     const struct command *command,
                     const char *python,
                     const char *project_id,
                     struct python_env *out,
                     struct error *err);

/* The worker is gone. All zero is fine. */
void python_envs_give_back(struct python_envs *envs, struct python_env *env);

#endif
