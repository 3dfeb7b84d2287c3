/* SPDX-License-Identifier: Apache-2.0 */
/* render.c - how results are laid out for people */
#include "client/cli/render.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_GAP  3
#define JSON_INDENT 2

static void add_spaces(struct buffer *out, size_t count)
{
    while (count-- > 0) {
        buffer_add_char(out, ' ');
    }
}

// Characters of UTF-8 text, each taken to be one column wide.
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

void render_bold(struct buffer *out, const char *text, bool bold)
{
    buffer_add_text(out, bold ? "\x1b[1m" : "");
    buffer_add_text(out, text);
    buffer_add_text(out, bold ? "\x1b[0m" : "");
}

static void measure(size_t *widths,
                    const struct render_column *columns,
                    size_t column_count,
                    char *const *cells,
                    size_t row_count)
{
    for (size_t column = 0; column < column_count; column++) {
        widths[column] = width_of(columns[column].heading);
        for (size_t row = 0; row < row_count; row++) {
            size_t width = width_of(cells[row * column_count + column]);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
}

// One line; row is NULL for the headings. Blanks are added only before a cell that
// follows, so none ends a line.
static void add_row(struct buffer *out,
                    const struct render_column *columns,
                    const size_t *widths,
                    size_t column_count,
                    char *const *row,
                    bool bold)
{
    size_t blanks = 0;

    for (size_t i = 0; i < column_count; i++) {
        const char *cell = row ? row[i] : columns[i].heading;
        if (columns[i].hidden) {
            continue;
        }
        if (*cell) {
            add_spaces(out, blanks);
            blanks = 0;
            render_bold(out, cell, bold && !row);
        }
        blanks += widths[i] - width_of(cell) + COLUMN_GAP;
    }
    buffer_add_char(out, '\n');
}

void render_table(struct buffer *out,
                  const struct render_column *columns,
                  size_t column_count,
                  char *const *cells,
                  size_t row_count,
                  bool bold)
{
    size_t *widths = memory_zalloc(column_count * sizeof(*widths));

    measure(widths, columns, column_count, cells, row_count);
    add_row(out, columns, widths, column_count, NULL, bold);
    for (size_t row = 0; row < row_count; row++) {
        add_row(out, columns, widths, column_count, cells + row * column_count, bold);
    }
    free(widths);
}

void render_pairs(struct buffer *out,
                  const struct render_pair *pairs,
                  size_t count,
                  bool bold)
{
    size_t widest = 0;

    for (size_t i = 0; i < count; i++) {
        size_t width = pairs[i].value ? width_of(pairs[i].key) : 0;
        widest = width > widest ? width : widest;
    }
    for (size_t i = 0; i < count; i++) {
        if (!pairs[i].value) {
            continue;
        }
        render_bold(out, pairs[i].key, bold);
        buffer_add_char(out, ':');
        if (*pairs[i].value) {
            add_spaces(out, widest - width_of(pairs[i].key) + 1);
            buffer_add_text(out, pairs[i].value);
        }
        buffer_add_char(out, '\n');
    }
}

// Copies a string with its quotes; returns what is behind it.
static const char *add_json_string(struct buffer *out, const char *at)
{
    const char *end = at + 1;

    while (*end && *end != '"') {
        end += end[0] == '\\' && end[1] ? 2 : 1;
    }
    end += *end == '"';
    buffer_add(out, at, (size_t)(end - at));
    return end;
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static void new_json_line(struct buffer *out, size_t depth)
{
    buffer_add_char(out, '\n');
    add_spaces(out, JSON_INDENT * (depth + 1));
}

// Puts one character that is outside strings; returns what is behind it.
static const char *add_json_mark(struct buffer *out, const char *at, size_t *depth)
{
    const char *next = skip_space(at + 1);
    bool opens = *at == '{' || *at == '[';
    bool closes = *at == '}' || *at == ']';

    if (opens && (*next == '}' || *next == ']')) {
        buffer_add(out, at, 1);
        buffer_add(out, next, 1);
        return skip_space(next + 1);
    }
    if (closes) {
        *depth -= *depth > 0;
        new_json_line(out, *depth);
    }
    buffer_add(out, at, 1);
    *depth += opens;
    if (opens || *at == ',') {
        new_json_line(out, *depth);
    } else if (*at == ':') {
        buffer_add_char(out, ' ');
    }
    return next;
}

void render_json(struct buffer *out, const char *json)
{
    const char *at = skip_space(json);
    size_t depth = 0;

    add_spaces(out, JSON_INDENT);
    while (*at) {
        at = *at == '"' ? skip_space(add_json_string(out, at))
                        : add_json_mark(out, at, &depth);
    }
    buffer_add_char(out, '\n');
}

void render_bar(struct buffer *out, uint64_t done, uint64_t total, unsigned width)
{
    double part = total > 0 ? (double)done / (double)total : 0;
    part = part > 1 ? 1 : part;
    unsigned filled = (unsigned)(part * width);

    buffer_add_char(out, '[');
    for (unsigned i = 0; i < width; i++) {
        char head = i == filled && done > 0 ? '>' : ' ';
        buffer_add_char(out, i < filled ? '=' : head);
    }
    buffer_add_format(out, "] %3u%%", (unsigned)(part * 100));
}

void render_size(struct buffer *out, uint64_t size)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double scaled = (double)size / 1024;
    size_t unit = 0;

    if (size < 1024) {
        buffer_add_format(out, "%" PRIu64 " B", size);
        return;
    }
    while (scaled >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        scaled /= 1024;
        unit++;
    }
    buffer_add_format(out, "%.1f %s", scaled, units[unit]);
}
