/* SPDX-License-Identifier: Apache-2.0 */
/* json_text.c - what a JSON document in memory holds, and how a piece of it is quoted
 */
#include "common/json_text.h"

#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

#define EXCERPT_BEFORE 24 /* bytes shown before the one at fault */
#define EXCERPT_AFTER  40

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// Why the scan of a whole text that has ended here is no document; NULL if it is one.
static const char *reason_against(const struct json_scan *scan,
                                  enum json_scan_result result,
                                  const char *text,
                                  size_t size,
                                  size_t *used)
{
    if (result == JSON_SCAN_BAD) {
        return scan->reason;
    }
    if (json_trim(text, size).size == 0) {
        return "the text is empty";
    }
    if (result == JSON_SCAN_INCOMPLETE && !json_scan_finish(scan)) {
        return "the text is cut off";
    }
    while (*used < size && is_space(text[*used])) {
        (*used)++;
    }
    return *used < size ? "expected nothing behind the value" : NULL;
}

int json_check(const char *text, size_t size, struct error *err)
{
    struct json_scan scan;
    size_t used = 0;
    char excerpt[JSON_EXCERPT_SIZE];

    json_scan_init(&scan);
    enum json_scan_result result = json_scan_feed(&scan, text, size, &used);
    const char *reason = reason_against(&scan, result, text, size, &used);
    if (!reason) {
        return 0;
    }
    json_excerpt(text, size, used, excerpt);
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "not JSON at byte %zu: %s, at '%s'",
                     used,
                     reason,
                     excerpt);
}

void json_cursor_init(struct json_cursor *cursor, struct json_slice container)
{
    json_cursor_seek(cursor, container, 1);
}

void json_cursor_seek(struct json_cursor *cursor,
                      struct json_slice container,
                      size_t offset)
{
    cursor->at = container.text + offset;
    cursor->end = container.text + container.size;
}

// Past whitespace and separators; false at the container's end.
static bool cursor_skip(struct json_cursor *cursor)
{
    while (cursor->at < cursor->end &&
           (is_space(*cursor->at) || *cursor->at == ',' || *cursor->at == ':')) {
        cursor->at++;
    }
    return cursor->at < cursor->end && *cursor->at != ']' && *cursor->at != '}';
}

bool json_cursor_element(struct json_cursor *cursor, struct json_slice *out_value)
{
    struct json_scan scan;
    size_t used = 0;

    if (!cursor_skip(cursor)) {
        return false;
    }
    json_scan_init(&scan);
    (void)json_scan_feed(
        &scan, cursor->at, (size_t)(cursor->end - cursor->at), &used); // valid already
    *out_value = (struct json_slice){cursor->at, used};
    cursor->at += used;
    return true;
}

bool json_cursor_member(struct json_cursor *cursor,
                        struct json_slice *out_key,
                        struct json_slice *out_value)
{
    return json_cursor_element(cursor, out_key) &&
           json_cursor_element(cursor, out_value);
}

struct json_slice json_trim(const char *text, size_t size)
{
    while (size && is_space(*text)) {
        text++;
        size--;
    }
    while (size && is_space(text[size - 1])) {
        size--;
    }
    return (struct json_slice){text, size};
}

void json_excerpt(const char *text, size_t size, size_t at, char out[JSON_EXCERPT_SIZE])
{
    size_t start = at > EXCERPT_BEFORE ? at - EXCERPT_BEFORE : 0;
    size_t stop = size - at > EXCERPT_AFTER ? at + EXCERPT_AFTER : size;
    char *to = out;

    while (start > 0 && start < stop && ((unsigned char)text[start] & 0xC0) == 0x80) {
        start++; // not into the middle of a character
    }
    to += snprintf(to, 4, "%s", start ? "..." : "");
    while (start < stop) {
        uint32_t code = 0;
        size_t length = utf8_decode(text + start, size - start, &code);
        if (length == 0 || code < 0x20 || code == 0x7F) {
            to += snprintf(to, 5, "\\x%02x", (unsigned char)text[start]);
            length = 1;
        } else {
            memcpy(to, text + start, length);
            to += length;
        }
        start += length;
    }
    (void)snprintf(to, 4, "%s", stop < size ? "..." : "");
}
