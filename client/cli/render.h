/* SPDX-License-Identifier: Apache-2.0 */
/* render.h - how results are laid out for people
 *
 * Everything is added to a buffer, so that it is printed whole or not at all. `bold`
 * puts headings and keys in bold by ANSI codes; it is for terminals only. Widths are
 * counted in characters. Pure.
 */
#ifndef CORTEX_CLIENT_CLI_RENDER_H
#define CORTEX_CLIENT_CLI_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

/* In bold if asked for. */
void render_bold(struct buffer *out, const char *text, bool bold);

struct render_column {
    const char *heading;
    bool hidden;
};

/* A heading and rows: columns as wide as their longest cell, 3 spaces apart, nothing
 * at the ends of lines. cells holds every row's cells one after the other, those of
 * hidden columns too. */
void render_table(struct buffer *out,
                  const struct render_column *columns,
                  size_t column_count,
                  char *const *cells,
                  size_t row_count,
                  bool bold);

struct render_pair {
    const char *key;
    const char *value; /* NULL: the pair is left out */
};

/* "key: value" lines with the values below one another. */
void render_pairs(struct buffer *out,
                  const struct render_pair *pairs,
                  size_t count,
                  bool bold);

/* JSON text that is known to be sound, a line for each value, 2 spaces a level and the
 * whole 2 spaces in. Values keep their bytes. */
void render_json(struct buffer *out, const char *json);

/* "[=======>            ]  35%", with `width` characters between the brackets; more
 * done than there is counts as all. */
void render_bar(struct buffer *out, uint64_t done, uint64_t total, unsigned width);

/* "512 B", "1.5 KiB", "12.0 MiB" */
void render_size(struct buffer *out, uint64_t size);

#endif
