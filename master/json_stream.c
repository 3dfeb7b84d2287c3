/* SPDX-License-Identifier: Apache-2.0 */
/* json_stream.c - which JSON values follow one another in a file */
#include "master/json_stream.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define EXCERPT_AHEAD 64 /* bytes behind a fault that its excerpt may show */

static const unsigned char byte_order_mark[] = {0xEF, 0xBB, 0xBF};

void json_stream_init(struct json_stream *stream,
                      size_t item_size_max,
                      const struct json_stream_position *from)
{
    *stream = (struct json_stream){
        .item_size_max = item_size_max,
        .carry = BUFFER_INIT,
        .offset = from ? from->offset : 0,
        .line = from ? from->line : 1,
        .item = from ? from->item : 0,
        .at_start = !from || from->offset == 0,
    };
}

void json_stream_fini(struct json_stream *stream)
{
    buffer_fini(&stream->carry);
}

// Brings `line` up to where the piece has been taken.
static void count_lines(struct json_stream *stream, size_t upto)
{
    const char *at = stream->piece + stream->counted;
    const char *end = stream->piece + upto;

    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        stream->line++;
        at++;
    }
    stream->counted = upto;
}

void json_stream_push(struct json_stream *stream, const char *data, size_t size)
{
    if (stream->size) {
        count_lines(stream, stream->size);
    }
    stream->offset += stream->size;
    stream->piece = data;
    stream->size = size;
    stream->at = 0;
    stream->counted = 0;
}

// Fails at `used` bytes behind where the piece has been taken, with the item's text up
// to there and a little further.
static int
fail_at(struct json_stream *stream, size_t used, const char *reason, struct error *err)
{
    char excerpt[JSON_EXCERPT_SIZE];
    size_t fault = stream->at + used;
    size_t ahead =
        stream->size - fault < EXCERPT_AHEAD ? stream->size - fault : EXCERPT_AHEAD;
    size_t carried = stream->carry.size;

    if (stream->size) {
        buffer_add(&stream->carry, stream->piece + stream->at, used + ahead);
        count_lines(stream, fault);
    }
    json_excerpt(
        buffer_text(&stream->carry), stream->carry.size, carried + used, excerpt);
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "item %" PRIu64 ", line %" PRIu64 ", byte %" PRIu64
                     ": %s, at '%s'",
                     stream->item,
                     stream->line,
                     stream->offset + fault,
                     reason,
                     excerpt);
}

static int too_large(struct json_stream *stream, struct error *err)
{
    count_lines(stream, stream->at);
    return error_set_kind(err,
                          ERROR_OUT_OF_RANGE,
                          "batchapi.item_size_exceeds_limit",
                          "item %" PRIu64 ", line %" PRIu64 ", byte %" PRIu64
                          ": the item is larger than the limit of %zu bytes",
                          stream->item,
                          stream->line,
                          stream->offset + stream->at - stream->carry.size,
                          stream->item_size_max);
}

// True if the mark, or a part of it at the piece's end, was skipped or is not there.
static bool skip_byte_order_mark(struct json_stream *stream)
{
    uint64_t place = stream->offset + stream->at;

    while (place < sizeof(byte_order_mark) && stream->at < stream->size &&
           (unsigned char)stream->piece[stream->at] == byte_order_mark[place]) {
        stream->at++;
        place++;
    }
    if (stream->at == stream->size) {
        return true;
    }
    stream->at_start = false;
    return place == 0 || place == sizeof(byte_order_mark);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '+' || c == '.' || c == '_';
}

// Goes to the next item's first byte: 1, or 0 if the piece has none.
static int begin_item(struct json_stream *stream, struct error *err)
{
    if (stream->at_start && !skip_byte_order_mark(stream)) {
        return fail_at(stream, 0, "expected the rest of a byte-order mark", err);
    }
    size_t before = stream->at;
    while (stream->at < stream->size && strchr(" \n\r\t", stream->piece[stream->at]) &&
           stream->piece[stream->at]) {
        stream->at++;
    }
    bool touching = stream->after_word && stream->at == before;
    if (stream->at == stream->size) {
        stream->after_word = touching;
        return 0;
    }
    if (touching && is_word(stream->piece[stream->at])) {
        return fail_at(stream, 0, "expected whitespace between two values", err);
    }
    json_scan_init(&stream->scan);
    stream->in_item = true;
    return 1;
}

static int end_item(struct json_stream *stream, struct json_slice item)
{
    stream->item++;
    stream->in_item = false;
    stream->after_word = is_word(item.text[item.size - 1]);
    return 1;
}

int json_stream_next(struct json_stream *stream,
                     struct json_slice *out_item,
                     struct error *err)
{
    size_t used = 0;

    if (!stream->in_item) {
        buffer_clear(&stream->carry);
        int got = begin_item(stream, err);
        if (got <= 0) {
            return got;
        }
    }
    const char *text = stream->piece + stream->at;
    enum json_scan_result result =
        json_scan_feed(&stream->scan, text, stream->size - stream->at, &used);
    if (stream->carry.size + used > stream->item_size_max) {
        return too_large(stream, err);
    }
    if (result == JSON_SCAN_BAD) {
        return fail_at(stream, used, stream->scan.reason, err);
    }
    struct json_slice item = {text, used};
    if (stream->carry.size || result == JSON_SCAN_INCOMPLETE) {
        buffer_add(&stream->carry, text, used);
        item = (struct json_slice){stream->carry.data, stream->carry.size};
    }
    stream->at += used;
    if (result == JSON_SCAN_INCOMPLETE) {
        return 0;
    }
    *out_item = item;
    return end_item(stream, item);
}

int json_stream_finish(struct json_stream *stream,
                       struct json_slice *out_item,
                       struct error *err)
{
    uint64_t end = stream->offset + stream->size;

    if (stream->at_start && end > 0 && end < sizeof(byte_order_mark)) {
        return fail_at(stream, 0, "the file ends inside a byte-order mark", err);
    }
    if (!stream->in_item) {
        return 0;
    }
    if (!json_scan_finish(&stream->scan)) {
        return fail_at(stream, 0, "the file ends in the middle of a value", err);
    }
    *out_item = (struct json_slice){stream->carry.data, stream->carry.size};
    return end_item(stream, *out_item);
}

struct json_stream_position json_stream_position(struct json_stream *stream)
{
    count_lines(stream, stream->at);
    return (struct json_stream_position){
        stream->offset + stream->at, stream->line, stream->item};
}
