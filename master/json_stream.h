/* SPDX-License-Identifier: Apache-2.0 */
/* json_stream.h - which JSON values follow one another in a file
 *
 * Values may be separated by any whitespace or none, share a line or span several, and
 * be of any type; only a number or word must not touch another ("01" and "1true" are
 * refused). A UTF-8 byte-order mark at the start is skipped. Bytes are pushed in as
 * they come, cut anywhere; items come out byte for byte, without a copy where one lies
 * whole in a piece. Memory is bounded by the largest item allowed.
 *
 *   json_stream_push(stream, data, size);
 *   while ((got = json_stream_next(stream, &item, err)) > 0) ...
 *   ... and after the last piece: got = json_stream_finish(stream, &item, err)
 *
 * Errors: "item 3, line 4, byte 120: expected ',' or '}', at '{"a":1;'". Items and
 * bytes count from 0, lines from 1. INVALID_ARGUMENT for what is not JSON, OUT_OF_RANGE
 * (kind batchapi.item_size_exceeds_limit) for an item that is too large.
 *
 * Pure; one thread at a time. Embedded in its owner.
 */
#ifndef CORTEX_MASTER_JSON_STREAM_H
#define CORTEX_MASTER_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/json_scan.h"
#include "common/json_text.h"

/* How far a stream has been taken: just behind an item. */
struct json_stream_position {
    uint64_t offset; /* bytes */
    uint64_t line;   /* from 1 */
    uint64_t item;   /* index of the next item */
};

struct json_stream {
    size_t item_size_max;
    struct json_scan scan;
    struct buffer carry; /* what earlier pieces held of the item under way */
    const char *piece;
    size_t size;
    size_t at;       /* taken of the piece */
    size_t counted;  /* bytes of the piece whose newlines are in `line` */
    uint64_t offset; /* of the piece in the stream */
    uint64_t line;
    uint64_t item;
    bool in_item;
    bool at_start;   /* nothing but (a part of) a byte-order mark was seen */
    bool after_word; /* the last byte was a number's or a word's */
};

/* `from` is where to go on, NULL: the start. */
void json_stream_init(struct json_stream *stream,
                      size_t item_size_max,
                      const struct json_stream_position *from);
void json_stream_fini(struct json_stream *stream);

/* The next piece, borrowed until the next push. Only when json_stream_next returned 0
 * or was never called. */
void json_stream_push(struct json_stream *stream, const char *data, size_t size);

/* 1 and the next item, borrowed until the next call; 0 when more bytes are needed; -1.
 */
int json_stream_next(struct json_stream *stream,
                     struct json_slice *out_item,
                     struct error *err);

/* There are no more bytes: 1 and a last item (a number that only the end ends), 0 if
 * there is none, -1 if one is cut off. */
int json_stream_finish(struct json_stream *stream,
                       struct json_slice *out_item,
                       struct error *err);

/* Just behind the last item that was returned. */
struct json_stream_position json_stream_position(struct json_stream *stream);

#endif
