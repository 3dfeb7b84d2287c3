/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.c - how text is quoted for JSON */
#include "common/json_write.h"

#include <string.h>

static const char *short_escape(char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

void json_write_bytes(struct buffer *out, const char *text, size_t size)
{
    buffer_add_char(out, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *escape = short_escape(text[i]);
        if (escape) {
            buffer_add_text(out, escape);
        } else if (c < 0x20 || c == 0x7F) {
            buffer_add_format(out, "\\u%04x", (unsigned)c);
        } else {
            buffer_add_char(out, text[i]);
        }
    }
    buffer_add_char(out, '"');
}

void json_write_text(struct buffer *out, const char *text)
{
    json_write_bytes(out, text, strlen(text));
}

void json_write_member(struct buffer *out, const char *name, const char *text)
{
    json_write_text(out, name);
    buffer_add_char(out, ':');
    if (text) {
        json_write_text(out, text);
    } else {
        buffer_add_text(out, "null");
    }
}
