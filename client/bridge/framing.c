/* SPDX-License-Identifier: Apache-2.0 */
/* framing.c - how long a request's body is, if that can be said for sure */
#include "client/bridge/framing.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static uint64_t read_length(const char *text, bool *out_odd)
{
    uint64_t length = 0;

    *out_odd = *text == '\0';
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            *out_odd = true;
            return 0;
        }
        unsigned digit = (unsigned)(*text - '0');
        length = length > (UINT64_MAX - digit) / 10 ? UINT64_MAX : length * 10 + digit;
    }
    return length;
}

/* RFC 9110, section 5.6.2. */
static bool is_token(const char *text)
{
    static const char characters[] = "!#$%&'*+-.^_`|~0123456789"
                                     "abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return *text && !text[strspn(text, characters)];
}

/* libmicrohttpd 0.9.75 adds a folded line to the name of the header it continues, so
 * that "Transfer-Encoding:" with "chunked" on the next line hides there; and a key that
 * is not seen makes two jobs of one submission. */
static bool is_folded(const char *name)
{
    static const char *const names[] = {
        "Content-Length", "Transfer-Encoding", "Idempotency-Key"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t size = strlen(names[i]);
        if (strncasecmp(name, names[i], size) == 0 && name[size]) {
            return true;
        }
    }
    return false;
}

void framing_header(struct framing *framing, const char *name, const char *value)
{
    const char *text = value ? value : "";

    framing->odd_name |= !is_token(name) || is_folded(name);
    framing->hosts += strcasecmp(name, "Host") == 0;
    if (strcasecmp(name, "Content-Length") == 0) {
        bool odd;
        framing->lengths++;
        framing->length = read_length(text, &odd);
        framing->odd_length |= odd;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        framing->encodings++;
        framing->odd_encoding |= strcasecmp(text, "chunked") != 0;
    }
}

int framing_check(const struct framing *framing, struct error *err)
{
    const char *fault = NULL;

    if (framing->odd_name) {
        fault =
            "the request has a header with a malformed name, or on more than one line";
    } else if (framing->hosts > 1) {
        fault = "the request has more than one Host";
    } else if (framing->lengths > 1) {
        fault = "the request has more than one Content-Length";
    } else if (framing->encodings > 1) {
        fault = "the request has more than one Transfer-Encoding";
    } else if (framing->lengths > 0 && framing->encodings > 0) {
        fault = "the request has both Content-Length and Transfer-Encoding";
    } else if (framing->odd_length) {
        fault = "the request's Content-Length is not a whole number";
    } else if (framing->odd_encoding) {
        fault = "the request's Transfer-Encoding is not \"chunked\"";
    }
    return fault ? error_set(err, ERROR_INVALID_ARGUMENT, "%s", fault) : 0;
}
