/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.h - bytes that grow at the end
 *
 * Embedded in its owner: BUFFER_INIT or all zero is an empty one, buffer_fini frees it.
 * Out of memory ends the process with a line on standard error: what runs out here is
 * bounded by the callers' limits, and a daemon restarts with nothing lost. Not
 * thread-safe. */
#ifndef CORTEX_COMMON_BUFFER_H
#define CORTEX_COMMON_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;  /* NULL while nothing was ever added; else NUL behind the last byte */
    size_t size; /* bytes in use, that NUL not counted */
    size_t capacity;
};

#define BUFFER_INIT                                                                    \
    {                                                                                  \
        NULL, 0, 0                                                                     \
    }

void buffer_fini(struct buffer *buffer);

/* Room for `extra` more bytes; returns where they go. The caller then adds to size and
 * needs no NUL. */
char *buffer_reserve(struct buffer *buffer, size_t extra);

void buffer_add(struct buffer *buffer, const void *data, size_t size);
void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_char(struct buffer *buffer, char c);
void buffer_add_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops all but keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Drops the first `size` bytes. */
void buffer_drop_front(struct buffer *buffer, size_t size);

/* The text, "" for an empty buffer. Borrowed until the next change. */
const char *buffer_text(const struct buffer *buffer);

/* Hands the text to the caller, who frees it; the buffer is empty afterwards. */
char *buffer_take(struct buffer *buffer);

/* Allocation that ends the process when there is none left, and its friends. */
void *memory_zalloc(size_t size);
void *memory_realloc(void *old, size_t size);
char *memory_strdup(const char *text);               /* NULL stays NULL */
char *memory_strndup(const char *text, size_t size); /* a NUL is put behind */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
