/* SPDX-License-Identifier: Apache-2.0 */
/* error.c - what went wrong, in one sentence a user can act on */
#include "common/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

struct error_row {
    enum error_code code;
    const char *name;
    int http_status;
    bool retryable;
    const char *kind;
};

static const struct error_row error_rows[] = {
#define ERROR_ROW(name, number, http, retryable, kind)                                 \
    {ERROR_##name, #name, http, retryable, kind},
    ERROR_CODES(ERROR_ROW)
#undef ERROR_ROW
};

#define ERROR_ROW_COUNT (sizeof(error_rows) / sizeof(error_rows[0]))

// The codes count up from 0 without a gap, so a code is its row.
static const struct error_row *row_of(enum error_code code)
{
    unsigned index = (unsigned)code;

    return index < ERROR_ROW_COUNT ? &error_rows[index] : &error_rows[ERROR_UNKNOWN];
}

// vsnprintf may cut a UTF-8 sequence in two: drop the broken tail.
static void drop_cut_tail(char *text)
{
    size_t length = strlen(text);
    size_t start = length;

    while (start > 0 && start + 4 > length &&
           ((unsigned char)text[start - 1] & 0xC0) == 0x80) {
        start--;
    }
    if (start == 0) {
        return;
    }
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < need) {
        text[start - 1] = '\0';
    }
}

// A sentence may quote bytes that are no text: each becomes a '?'.
static void make_text(char *text)
{
    uint32_t code;

    for (size_t left = strlen(text); left > 0;) {
        size_t size = utf8_decode(text, left, &code);
        if (size == 0) {
            *text = '?';
            size = 1;
        }
        text += size;
        left -= size;
    }
}

// What vsnprintf or snprintf wrote to a message, which was to have `length` bytes.
static void settle(char message[ERROR_MESSAGE_SIZE], int length)
{
    if (length >= ERROR_MESSAGE_SIZE) {
        drop_cut_tail(message);
    }
    make_text(message);
}

__attribute__((format(printf, 4, 0))) static int set(struct error *err,
                                                     enum error_code code,
                                                     const char *kind,
                                                     const char *format,
                                                     va_list args)
{
    int saved = errno;

    if (err) {
        char message[ERROR_MESSAGE_SIZE]; // the arguments may point into *err
        int length = vsnprintf(message, sizeof(message), format, args);
        settle(message, length);
        (void)snprintf(err->kind, sizeof(err->kind), "%s", kind);
        memcpy(err->message, message, sizeof(message));
        err->code = code;
    }
    errno = saved;
    return -1;
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set(err, code, "", format, args);
    va_end(args);
    return -1;
}

int error_set_kind(
    struct error *err, enum error_code code, const char *kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set(err, code, kind, format, args);
    va_end(args);
    return -1;
}

int error_set_errno(struct error *err, enum error_code code, const char *format, ...)
{
    int saved = errno;
    va_list args;

    va_start(args, format);
    set(err, code, "", format, args);
    va_end(args);
    if (err) {
        char reason[128];
        const char *text = strerror_r(saved, reason, sizeof(reason));
        size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", text);
    }
    errno = saved;
    return -1;
}

int error_wrap(struct error *err, const char *format, ...)
{
    int saved = errno;

    if (err) {
        char context[ERROR_MESSAGE_SIZE];
        char whole[ERROR_MESSAGE_SIZE];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(context, sizeof(context), format, args);
        va_end(args);
        int length = snprintf(whole, sizeof(whole), "%s: %s", context, err->message);
        settle(whole, length);
        memcpy(err->message, whole, sizeof(whole));
    }
    errno = saved;
    return -1;
}

void error_clear(struct error *err)
{
    if (err) {
        err->code = ERROR_OK;
        err->kind[0] = '\0';
        err->message[0] = '\0';
    }
}

int error_copy(struct error *to, const struct error *from)
{
    if (to && from) {
        *to = *from;
    }
    return -1;
}

const char *error_kind(const struct error *err)
{
    return err->kind[0] ? err->kind : row_of(err->code)->kind;
}

const char *error_code_name(enum error_code code)
{
    return row_of(code)->name;
}

int error_code_http_status(enum error_code code)
{
    return row_of(code)->http_status;
}

bool error_code_retryable(enum error_code code)
{
    return row_of(code)->retryable;
}

enum error_code error_code_from_number(int number)
{
    return number >= 0 && (size_t)number < ERROR_ROW_COUNT ? (enum error_code)number
                                                           : ERROR_UNKNOWN;
}
