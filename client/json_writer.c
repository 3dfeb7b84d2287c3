/* SPDX-License-Identifier: Apache-2.0 */
/* json_writer.c - how JSON text is written, piece by piece */
#include "client/json_writer.h"

#include <inttypes.h>
#include <string.h>

#define MILLION 1000000u

static void break_line(struct json_writer *writer)
{
    if (writer->indent > 0 && writer->depth > 0) {
        buffer_add_format(
            writer->out, "\n%*s", (int)(writer->indent * writer->depth), "");
    }
}

static void add_quoted(struct buffer *out, const char *text)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";

    buffer_add_char(out, '"');
    for (const char *at = text; *at; at++) {
        const char *found = strchr(plain, *at);
        if (found) {
            buffer_add_char(out, '\\');
            buffer_add_char(out, letters[found - plain]);
        } else if ((unsigned char)*at < 0x20) {
            buffer_add_format(out, "\\u%04x", (unsigned char)*at);
        } else {
            buffer_add_char(out, *at);
        }
    }
    buffer_add_char(out, '"');
}

// What stands before every value: comma, line break, key.
static void begin(struct json_writer *writer, const char *key)
{
    if (writer->any) {
        buffer_add_char(writer->out, ',');
    }
    break_line(writer);
    if (key) {
        add_quoted(writer->out, key);
        buffer_add_char(writer->out, ':');
    }
    writer->any = true;
}

void json_writer_open(struct json_writer *writer, const char *key, char bracket)
{
    begin(writer, key);
    buffer_add_char(writer->out, bracket);
    writer->depth++;
    writer->any = false;
}

void json_writer_close(struct json_writer *writer, char bracket)
{
    writer->depth--;
    if (writer->any) {
        if (writer->depth == 0 && writer->indent > 0) {
            buffer_add_char(writer->out, '\n');
        }
        break_line(writer);
    }
    buffer_add_char(writer->out, bracket);
    writer->any = true;
}

void json_writer_text(struct json_writer *writer, const char *key, const char *text)
{
    begin(writer, key);
    add_quoted(writer->out, text);
}

void json_writer_text_or_null(struct json_writer *writer,
                              const char *key,
                              const char *text)
{
    if (*text) {
        json_writer_text(writer, key, text);
    } else {
        json_writer_null(writer, key);
    }
}

void json_writer_number(struct json_writer *writer, const char *key, uint64_t number)
{
    begin(writer, key);
    buffer_add_format(writer->out, "%" PRIu64, number);
}

void json_writer_millionths(struct json_writer *writer,
                            const char *key,
                            uint64_t millionths)
{
    begin(writer, key);
    buffer_add_format(writer->out,
                      "%" PRIu64 ".%06" PRIu64,
                      millionths / MILLION,
                      millionths % MILLION);
}

void json_writer_bool(struct json_writer *writer, const char *key, bool value)
{
    json_writer_raw(writer, key, value ? "true" : "false");
}

void json_writer_null(struct json_writer *writer, const char *key)
{
    json_writer_raw(writer, key, "null");
}

void json_writer_raw(struct json_writer *writer, const char *key, const char *json)
{
    begin(writer, key);
    buffer_add_text(writer->out, *json ? json : "null");
}
