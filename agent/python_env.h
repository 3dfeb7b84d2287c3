/* SPDX-License-Identifier: Apache-2.0 */
/* python_env.h - which interpreter a project's worker runs in
 *
 * Without requirements the agent's interpreter itself. With a requirements.txt a
 * virtual environment over the system's packages, made once per distinct requirements
 * and interpreter: "<envs>/<hash>", ready when it holds the file "ready". Workers that
 * need the same one wait for whoever makes it. Requirements that name local files count
 * as distinct per project. Blocks, for minutes; any thread. */
#ifndef CORTEX_AGENT_PYTHON_ENV_H
#define CORTEX_AGENT_PYTHON_ENV_H

#include "agent/command.h"
#include "common/error.h"

#define PYTHON_ENV_REQUIREMENTS_MAX (1u << 20) /* bytes of requirements.txt */

/* command->folder is the project. On success the caller frees *out_python. Failure:
 * pip's words are in the log already. */
int python_env_make(const struct command *command,
                    const char *envs,
                    const char *python,
                    const char *project_id,
                    char **out_python,
                    struct error *err);

#endif
