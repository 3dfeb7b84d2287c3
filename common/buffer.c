/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.c - bytes that grow at the end */
#include "common/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_CAPACITY_MIN 64

static void *or_die(void *memory)
{
    static const char words[] = "out of memory\n";

    if (!memory) {
        ssize_t written = write(STDERR_FILENO, words, sizeof(words) - 1);
        (void)written;
        abort();
    }
    return memory;
}

void *memory_zalloc(size_t size)
{
    return or_die(calloc(1, size ? size : 1));
}

void *memory_realloc(void *old, size_t size)
{
    return or_die(realloc(old, size ? size : 1));
}

char *memory_strdup(const char *text)
{
    return text ? or_die(strdup(text)) : NULL;
}

char *memory_strndup(const char *text, size_t size)
{
    char *copy = or_die(malloc(size + 1));

    if (size) {
        memcpy(copy, text, size);
    }
    copy[size] = '\0';
    return copy;
}

char *memory_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return or_die(length < 0 ? NULL : text);
}

void buffer_fini(struct buffer *buffer)
{
    int saved = errno;

    free(buffer->data);
    *buffer = (struct buffer)BUFFER_INIT;
    errno = saved;
}

char *buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t need = buffer->size + extra + 1;

    if (need > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_CAPACITY_MIN;
        while (capacity < need) {
            capacity *= 2;
        }
        buffer->data = memory_realloc(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void buffer_add(struct buffer *buffer, const void *data, size_t size)
{
    char *end = buffer_reserve(buffer, size);

    if (size) {
        memcpy(end, data, size);
    }
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
}

void buffer_add_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void buffer_add_char(struct buffer *buffer, char c)
{
    buffer_add(buffer, &c, 1);
}

void buffer_add_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length > 0) {
        char *end = buffer_reserve(buffer, (size_t)length);
        (void)vsnprintf(end, (size_t)length + 1, format, again);
        buffer->size += (size_t)length;
    }
    va_end(again);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data) {
        buffer->data[0] = '\0';
    }
}

void buffer_drop_front(struct buffer *buffer, size_t size)
{
    if (size >= buffer->size) {
        buffer_clear(buffer);
    } else if (size > 0) {
        memmove(buffer->data, buffer->data + size, buffer->size - size);
        buffer->size -= size;
        buffer->data[buffer->size] = '\0';
    }
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->data ? buffer->data : "";
}

char *buffer_take(struct buffer *buffer)
{
    char *text = buffer->data ? buffer->data : memory_strdup("");

    if (buffer->data) {
        text[buffer->size] = '\0';
    }
    *buffer = (struct buffer)BUFFER_INIT;
    return text;
}
