/* SPDX-License-Identifier: Apache-2.0 */
/* json_text.h - what a JSON document in memory holds, and how a piece of it is quoted
 *
 * Values are slices of the document: nothing is copied, unescaped or converted. Pure,
 * thread-safe.
 */
#ifndef CORTEX_COMMON_JSON_TEXT_H
#define CORTEX_COMMON_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/json_scan.h"

/* A piece of text. Borrowed from whoever holds the text. */
struct json_slice {
    const char *text; /* no NUL at its end */
    size_t size;
};

/* Checks a whole document: one value and whitespace. INVALID_ARGUMENT says what was
 * expected at which byte and quotes what is there. */
int json_check(const char *text, size_t size, struct error *err);

/* Walks the elements of an array or the members of an object that has passed
 * json_check, in order, duplicates included. */
struct json_cursor {
    const char *at;
    const char *end;
};
void json_cursor_init(struct json_cursor *cursor, struct json_slice container);
/* The same from a byte offset a cursor stood at. */
void json_cursor_seek(struct json_cursor *cursor,
                      struct json_slice container,
                      size_t offset);
/* False at the end. A key includes its quotes. */
bool json_cursor_element(struct json_cursor *cursor, struct json_slice *out_value);
bool json_cursor_member(struct json_cursor *cursor,
                        struct json_slice *out_key,
                        struct json_slice *out_value);

/* A value without the whitespace around it. */
struct json_slice json_trim(const char *text, size_t size);

/* Text for an error sentence: at most about 60 bytes around text[at], control
 * characters and bytes that are not UTF-8 as \xNN, "..." where it was cut. */
#define JSON_EXCERPT_SIZE 320
void json_excerpt(const char *text,
                  size_t size,
                  size_t at,
                  char out[JSON_EXCERPT_SIZE]);

#endif
