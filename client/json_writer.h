/* SPDX-License-Identifier: Apache-2.0 */
/* json_writer.h - how JSON text is written, piece by piece
 *
 * Adds to a buffer as it goes: no tree is built, numbers are exact, and text that is
 * JSON already is put in byte for byte. Commas and line breaks are the writer's
 * business. Pure; the caller opens and closes in order. Source: RFC 8259.
 *
 *   struct json_writer writer = {.out = &buffer, .indent = 4};
 *   json_writer_open(&writer, NULL, '{');
 *   json_writer_text(&writer, "name", "image-classifier");
 *   json_writer_close(&writer, '}');
 *
 * Every piece takes the key it stands under, NULL for one in an array or at the top.
 */
#ifndef CORTEX_CLIENT_JSON_WRITER_H
#define CORTEX_CLIENT_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buffer.h"

struct json_writer {
    struct buffer *out; /* borrowed */
    unsigned indent;    /* spaces a level; 0: all on one line */
    unsigned depth;     /* set by the writer, as what follows is */
    bool any;           /* something stands in the open object or array */
};

void json_writer_open(struct json_writer *writer, const char *key, char bracket);
void json_writer_close(struct json_writer *writer, char bracket);

/* text must be UTF-8. */
void json_writer_text(struct json_writer *writer, const char *key, const char *text);
/* As json_writer_text, but null for "". */
void json_writer_text_or_null(struct json_writer *writer,
                              const char *key,
                              const char *text);
void json_writer_number(struct json_writer *writer, const char *key, uint64_t number);
/* A number of millionths as a decimal fraction: 1500000 is 1.5. */
void json_writer_millionths(struct json_writer *writer,
                            const char *key,
                            uint64_t millionths);
void json_writer_bool(struct json_writer *writer, const char *key, bool value);
void json_writer_null(struct json_writer *writer, const char *key);
/* json is one JSON value, put in as it is; null for "". */
void json_writer_raw(struct json_writer *writer, const char *key, const char *json);

#endif
