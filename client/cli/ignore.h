/* SPDX-License-Identifier: Apache-2.0 */
/* ignore.h - which files a .cortexignore leaves out
 *
 * The syntax and meaning are those of gitignore(5): one pattern a line, `#` comments,
 * `!` takes back, a slash at the end means folders only, a slash elsewhere anchors the
 * pattern at the project's root, `*`, `?`, `[...]` within a name, `**` over folders,
 * the last pattern that matches decides. As there, a file below a folder that is left
 * out cannot be taken back: the walker never looks into that folder. Pure; bytes, not
 * characters, are compared. */
#ifndef CORTEX_CLIENT_CLI_IGNORE_H
#define CORTEX_CLIENT_CLI_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define IGNORE_SIZE_MAX     (1u << 20) /* bytes of a file */
#define IGNORE_PATTERNS_MAX 10000

struct ignore;

/* Reads the text of a .cortexignore. Only the limits can fail. */
int ignore_create(const char *text,
                  size_t size,
                  struct ignore **out_ignore,
                  struct error *err);
void ignore_destroy(struct ignore *ignore);

/* Whether the file or folder is left out. path is relative to the root, with no slash
 * at either end. A NULL ignore leaves nothing out. */
bool ignore_match(const struct ignore *ignore, const char *path, bool folder);

#endif
