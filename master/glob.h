/* SPDX-License-Identifier: Apache-2.0 */
/* glob.h - whether a URL is one that `includes` or `excludes` means
 *
 * The dialect, matched against the whole text, character by character (a byte that is
 * no UTF-8 counts as U+FFFD):
 *
 *   *            any run of characters but '/'; may be empty
 *   **           any run of characters
 *   ?            one character but '/'
 *   [abc] [!abc] one character in, or not in, the set; may be '/'
 *   [a-z] [!a-z] one range; '-' means a range only as the second character
 *   {p,q}        either pattern; nests; one that is not closed ends with the pattern
 *   \c           the character c, also in a set; a '\' at the end is dropped
 *
 * Matching takes at most (pattern length) x (text length) steps, whatever the pattern.
 * Pure. A compiled glob may be used by many threads at a time.
 */
#ifndef CORTEX_MASTER_GLOB_H
#define CORTEX_MASTER_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define GLOB_PATTERN_SIZE_MAX 1024 /* bytes */

struct glob;

/* INVALID_ARGUMENT says what is wrong, and at which character, counted from 1; the
 * pattern itself is for the caller to name. */
int glob_create(const char *pattern, struct glob **out_glob, struct error *err);
void glob_destroy(struct glob *glob);

bool glob_match(const struct glob *glob, const char *text, size_t size);

#endif
