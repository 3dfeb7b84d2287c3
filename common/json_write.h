/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.h - how text is quoted for JSON
 *
 * Pure; each function adds to *out. Thread-safe. */
#ifndef CORTEX_COMMON_JSON_WRITE_H
#define CORTEX_COMMON_JSON_WRITE_H

#include <stddef.h>

#include "common/buffer.h"

/* The text in double quotes (RFC 8259): quote, backslash and control characters are
 * escaped, all else stays as it is. The text must be UTF-8. */
void json_write_text(struct buffer *out, const char *text);

/* The same for the first `size` bytes. */
void json_write_bytes(struct buffer *out, const char *text, size_t size);

/* `"name":` and the text in quotes, or null for a NULL text. */
void json_write_member(struct buffer *out, const char *name, const char *text);

#endif
