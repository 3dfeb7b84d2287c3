/* SPDX-License-Identifier: Apache-2.0 */
/* keys_file.h - how authorized_keys is changed
 *
 * The file is people's as much as the program's: what is not changed stays as it is,
 * comments included. A change is written whole or not at all; two who change the file
 * wait for each other; a change that would make it unreadable (keys.h) is refused.
 * Blocks on the disk. Thread-safe. */
#ifndef CORTEX_MASTER_KEYS_FILE_H
#define CORTEX_MASTER_KEYS_FILE_H

#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"

/* One line of the file, in its parts; NULL for what it has not. */
struct keys_line {
    const char *role;
    const char *apis;
    const char *from;
    const char *expires;
    const char *uses;
    const char *token; /* id of the token that the key has joined with */
    const char *agent; /* id of the agent whose key it is now */
    const char *what;  /* "cortex-public:..." or "cortex-token:..." */
    const char *comment;
};

/* Makes the file with nothing in it but how it is written, unless there is one. */
int keys_file_make(const char *path, struct error *err);

/* ALREADY_EXISTS for a key that is there; INVALID_ARGUMENT quotes what cannot be. */
int keys_file_add(const char *path, const struct keys_line *line, struct error *err);

/* Puts `revoked` in front of a key, or of a token named by its id; *out_text, for the
 * caller to free, is the line that was meant. A beginning that only one line has will
 * do. NOT_FOUND. */
int keys_file_revoke(const char *path,
                     const char *what,
                     char **out_text,
                     struct error *err);

/* Puts a line for the public key `next` behind that of `old`, with the same options,
 * and the same agent's id if it is one's, and has the old one expire then (a time as
 * expires= takes it), unless it does before. A `next` that is there changes nothing.
 * NOT_FOUND. */
int keys_file_rotate(const char *path,
                     const char *old,
                     const char *next,
                     const char *expires,
                     struct error *err);

/* Adds a table of all keys and tokens for people. A token is shown by its id. */
int keys_file_list(const char *path, struct buffer *out, struct error *err);

#endif
