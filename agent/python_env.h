/* SPDX-License-Identifier: Apache-2.0 */
/* python_env.h - how a virtual environment is named, made and looked over
 *
 * An environment lies over the system's packages, so that what these satisfy is not
 * downloaded, and is named by its requirements.txt and interpreter. Requirements that
 * name local files count as distinct per project. It is "<folder>/bin/python" and more,
 * belongs to the agent, and is done when it holds the file "ready", which says how many
 * bytes it takes on the disk. All block; any thread, but one at a time for a folder. */
#ifndef CORTEX_AGENT_PYTHON_ENV_H
#define CORTEX_AGENT_PYTHON_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/command.h"
#include "common/error.h"
#include "common/id.h"

#define PYTHON_ENV_REQUIREMENTS_MAX (1u << 20) /* bytes of requirements.txt */
#define PYTHON_ENV_NAME_SIZE        ID_PROJECT_TEXT_SIZE
#define PYTHON_ENV_READY            "ready"

/* Which environment the project in command->folder needs; *out_any false: none. Fails
 * for a requirements.txt that is too large or no regular file. */
int python_env_name(const struct command *command,
                    const char *python,
                    const char *project_id,
                    bool *out_any,
                    char out_name[PYTHON_ENV_NAME_SIZE],
                    struct error *err);

/* Whether one is there that works: its interpreter is run. False, too, if cancelled. */
bool python_env_works(const struct command *command, const char *folder);

/* Makes it anew, as the command's user, for the requirements.txt of command->folder. On
 * failure nothing is left, and pip's words are in the log. */
int python_env_build(const struct command *command,
                     const char *folder,
                     const char *python,
                     struct error *err);

/* When it was last used (seconds since 1970) and its bytes on the disk; false if it is
 * not done. */
bool python_env_look(const char *folder, int64_t *out_used_s, uint64_t *out_size_bytes);
/* Notes that it is used now. */
void python_env_touch(const char *folder);

#endif
