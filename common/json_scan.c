/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan.c - where a JSON value begins and ends, and whether it is one */
#include "common/json_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define STRINGIFY(x) #x
#define TEXT_OF(x)   STRINGIFY(x)

enum state {
    WANT_VALUE,
    WANT_FIRST_ELEMENT,
    WANT_FIRST_KEY,
    WANT_KEY,
    WANT_COLON,
    WANT_NEXT, // ',' or the end of the container
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    IN_UTF8,
    IN_MINUS, // the number states, each named by what was read last
    IN_ZERO,
    IN_INTEGER,
    IN_POINT,
    IN_FRACTION,
    IN_EXPONENT,
    IN_EXPONENT_SIGN,
    IN_EXPONENT_DIGITS,
    IN_LITERAL,
    DONE,
    BAD,
};

// A step takes bytes or changes the state. Where the next step is known it goes on
// with it, else json_scan_feed finds it by the state.
typedef const unsigned char *(*step_fn)(struct json_scan *scan,
                                        const unsigned char *at,
                                        const unsigned char *end);

static const unsigned char *
bad(struct json_scan *scan, const unsigned char *at, const char *reason)
{
    scan->state = BAD;
    scan->reason = reason;
    return at;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(unsigned char c)
{
    return (unsigned)(c - '0') < 10;
}

static bool is_hex(unsigned char c)
{
    return is_digit(c) || (unsigned)((c | 0x20) - 'a') < 6;
}

static const unsigned char *skip_space(const unsigned char *at,
                                       const unsigned char *end)
{
    while (at < end && is_space(*at)) {
        at++;
    }
    return at;
}

static bool in_object(const struct json_scan *scan)
{
    unsigned level = scan->depth - 1;

    return scan->objects[level / 64] >> (level % 64) & 1;
}

static void value_done(struct json_scan *scan)
{
    scan->state = scan->depth ? WANT_NEXT : DONE;
}

static const unsigned char *open_container(struct json_scan *scan,
                                           const unsigned char *at)
{
    uint64_t bit = (uint64_t)1 << (scan->depth % 64);
    uint64_t *word = &scan->objects[scan->depth / 64];

    if (scan->depth == JSON_DEPTH_MAX) {
        return bad(scan, at, "nested deeper than " TEXT_OF(JSON_DEPTH_MAX) " levels");
    }
    scan->depth++;
    if (*at == '{') {
        *word |= bit;
        scan->state = WANT_FIRST_KEY;
    } else {
        *word &= ~bit;
        scan->state = WANT_FIRST_ELEMENT;
    }
    return at + 1;
}

static const unsigned char *close_container(struct json_scan *scan,
                                            const unsigned char *at)
{
    scan->depth--;
    value_done(scan);
    return at + 1;
}

// The first byte that is not plain ASCII text: '"', '\\', a control or a lead byte.
static const unsigned char *skip_plain(const unsigned char *at,
                                       const unsigned char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' '); // signed: bytes from 0x80 on are less too

    while (end - at >= 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i stop = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, backslash)),
            _mm_cmplt_epi8(text, space));
        int mask = _mm_movemask_epi8(stop);
        if (mask) {
            return at + __builtin_ctz((unsigned)mask);
        }
        at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20 && *at < 0x80) {
        at++;
    }
    return at;
}

// What may follow a lead byte: how many bytes, and between what bounds the first of
// them lies (which rules out overlong forms, surrogates and what is past U+10FFFF).
static bool utf8_lead(unsigned char lead, struct json_scan *scan)
{
    scan->low = 0x80;
    scan->high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        scan->need = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        scan->need = 2;
        scan->low = lead == 0xE0 ? 0xA0 : 0x80;
        scan->high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        scan->need = 3;
        scan->low = lead == 0xF0 ? 0x90 : 0x80;
        scan->high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return false;
    }
    return true;
}

static const unsigned char *
in_utf8(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    while (at < end && scan->need) {
        if (*at < scan->low || *at > scan->high) {
            return bad(scan, at, "invalid UTF-8");
        }
        scan->low = 0x80;
        scan->high = 0xBF;
        scan->need--;
        at++;
    }
    scan->state = scan->need ? IN_UTF8 : IN_STRING;
    return at;
}

static const unsigned char *
in_string(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    at = skip_plain(at, end);
    while (at < end && *at >= 0x80) {
        if (!utf8_lead(*at, scan)) {
            return bad(scan, at, "invalid UTF-8");
        }
        at = in_utf8(scan, at + 1, end);
        if (scan->state != IN_STRING) {
            return at;
        }
    }
    if (at == end || (*at >= 0x20 && *at != '"' && *at != '\\')) {
        return at;
    }
    if (*at == '\\') {
        scan->state = IN_ESCAPE;
    } else if (*at != '"') {
        return bad(scan, at, "control character in a string");
    } else if (scan->in_key) {
        scan->state = WANT_COLON;
    } else {
        value_done(scan);
    }
    return at + 1;
}

static const unsigned char *
in_escape(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    (void)end; // one byte is there
    switch (*at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        scan->state = IN_STRING;
        return at + 1;
    case 'u':
        scan->need = 4;
        scan->state = IN_HEX;
        return at + 1;
    default:
        return bad(scan, at, "unknown escape in a string");
    }
}

static const unsigned char *
in_hex(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    for (; at < end && scan->need; scan->need--, at++) {
        if (!is_hex(*at)) {
            return bad(scan, at, "expected four hexadecimal digits behind \\u");
        }
    }
    if (!scan->need) {
        scan->state = IN_STRING;
    }
    return at;
}

static const unsigned char *number_ends(struct json_scan *scan, const unsigned char *at)
{
    value_done(scan);
    return at;
}

static const unsigned char *
want_digit(struct json_scan *scan, const unsigned char *at, unsigned next)
{
    if (!is_digit(*at)) {
        return bad(scan, at, "expected a digit");
    }
    scan->state = next;
    return at + 1;
}

static const unsigned char *
in_minus(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    (void)end;
    return want_digit(scan, at, *at == '0' ? IN_ZERO : IN_INTEGER);
}

static const unsigned char *
in_zero(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    (void)end;
    if (*at != '.' && *at != 'e' && *at != 'E') {
        return number_ends(scan, at);
    }
    scan->state = *at == '.' ? IN_POINT : IN_EXPONENT;
    return at + 1;
}

static const unsigned char *skip_digits(const unsigned char *at,
                                        const unsigned char *end)
{
    while (at < end && is_digit(*at)) {
        at++;
    }
    return at;
}

static const unsigned char *
in_integer(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    at = skip_digits(at, end);
    return at < end ? in_zero(scan, at, end) : at;
}

static const unsigned char *
in_point(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    (void)end;
    return want_digit(scan, at, IN_FRACTION);
}

static const unsigned char *
in_fraction(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    at = skip_digits(at, end);
    if (at == end) {
        return at;
    }
    if (*at != 'e' && *at != 'E') {
        return number_ends(scan, at);
    }
    scan->state = IN_EXPONENT;
    return at + 1;
}

static const unsigned char *
in_exponent(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    (void)end;
    if (*at == '+' || *at == '-') {
        scan->state = IN_EXPONENT_SIGN;
        return at + 1;
    }
    return want_digit(scan, at, IN_EXPONENT_DIGITS);
}

static const unsigned char *in_exponent_sign(struct json_scan *scan,
                                             const unsigned char *at,
                                             const unsigned char *end)
{
    (void)end;
    return want_digit(scan, at, IN_EXPONENT_DIGITS);
}

static const unsigned char *in_exponent_digits(struct json_scan *scan,
                                               const unsigned char *at,
                                               const unsigned char *end)
{
    at = skip_digits(at, end);
    return at < end ? number_ends(scan, at) : at;
}

static const unsigned char *
in_literal(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    for (; at < end && *scan->literal; scan->literal++, at++) {
        if (*at != (unsigned char)*scan->literal) {
            return bad(scan, at, "expected true, false or null");
        }
    }
    if (!*scan->literal) {
        value_done(scan);
    }
    return at;
}

static const unsigned char *
open_literal(struct json_scan *scan, const unsigned char *at, const char *rest)
{
    scan->literal = rest;
    scan->state = IN_LITERAL;
    return at + 1;
}

static const unsigned char *open_string(struct json_scan *scan,
                                        const unsigned char *at,
                                        const unsigned char *end,
                                        bool in_key)
{
    scan->in_key = in_key;
    scan->state = IN_STRING;
    return in_string(scan, at + 1, end);
}

static const unsigned char *
begin_value(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    switch (*at) {
    case '"':
        return open_string(scan, at, end, false);
    case '{':
    case '[':
        return open_container(scan, at);
    case 't':
        return open_literal(scan, at, "rue");
    case 'f':
        return open_literal(scan, at, "alse");
    case 'n':
        return open_literal(scan, at, "ull");
    case '-':
        scan->state = IN_MINUS;
        return at + 1;
    case '0':
        scan->state = IN_ZERO;
        return at + 1;
    default:
        if (is_digit(*at)) {
            scan->state = IN_INTEGER;
            return in_integer(scan, at + 1, end);
        }
        return bad(scan, at, "expected a value");
    }
}

static const unsigned char *
want_value(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    at = skip_space(at, end);
    return at < end ? begin_value(scan, at, end) : at;
}

static const unsigned char *want_first_element(struct json_scan *scan,
                                               const unsigned char *at,
                                               const unsigned char *end)
{
    at = skip_space(at, end);
    if (at < end && *at == ']') {
        return close_container(scan, at);
    }
    return at < end ? begin_value(scan, at, end) : at;
}

static const unsigned char *want_first_key(struct json_scan *scan,
                                           const unsigned char *at,
                                           const unsigned char *end)
{
    at = skip_space(at, end);
    if (at == end) {
        return at;
    }
    if (*at == '}') {
        return close_container(scan, at);
    }
    return *at == '"' ? open_string(scan, at, end, true)
                      : bad(scan, at, "expected a string as key or '}'");
}

static const unsigned char *
want_key(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    at = skip_space(at, end);
    if (at == end) {
        return at;
    }
    return *at == '"' ? open_string(scan, at, end, true)
                      : bad(scan, at, "expected a string as key");
}

static const unsigned char *
want_colon(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    at = skip_space(at, end);
    if (at == end) {
        return at;
    }
    if (*at != ':') {
        return bad(scan, at, "expected ':'");
    }
    scan->state = WANT_VALUE;
    return want_value(scan, at + 1, end);
}

static const unsigned char *
want_next(struct json_scan *scan, const unsigned char *at, const unsigned char *end)
{
    bool object = in_object(scan);

    at = skip_space(at, end);
    if (at == end) {
        return at;
    }
    if (*at == ',') {
        scan->state = object ? WANT_KEY : WANT_VALUE;
        return object ? want_key(scan, at + 1, end) : want_value(scan, at + 1, end);
    }
    if (*at == (object ? '}' : ']')) {
        return close_container(scan, at);
    }
    return bad(scan, at, object ? "expected ',' or '}'" : "expected ',' or ']'");
}

static const step_fn steps[] = {
    [WANT_VALUE] = want_value,
    [WANT_FIRST_ELEMENT] = want_first_element,
    [WANT_FIRST_KEY] = want_first_key,
    [WANT_KEY] = want_key,
    [WANT_COLON] = want_colon,
    [WANT_NEXT] = want_next,
    [IN_STRING] = in_string,
    [IN_ESCAPE] = in_escape,
    [IN_HEX] = in_hex,
    [IN_UTF8] = in_utf8,
    [IN_MINUS] = in_minus,
    [IN_ZERO] = in_zero,
    [IN_INTEGER] = in_integer,
    [IN_POINT] = in_point,
    [IN_FRACTION] = in_fraction,
    [IN_EXPONENT] = in_exponent,
    [IN_EXPONENT_SIGN] = in_exponent_sign,
    [IN_EXPONENT_DIGITS] = in_exponent_digits,
    [IN_LITERAL] = in_literal,
};

void json_scan_init(struct json_scan *scan)
{
    scan->reason = NULL;
    scan->literal = NULL;
    scan->state = WANT_VALUE;
    scan->depth = 0; // which makes the bits of `objects` void
    scan->in_key = false;
    scan->need = 0;
}

enum json_scan_result
json_scan_feed(struct json_scan *scan, const char *text, size_t size, size_t *out_used)
{
    const unsigned char *begin = (const unsigned char *)text;
    const unsigned char *at = begin;
    const unsigned char *end = begin + size;

    while (at < end && scan->state < DONE) {
        at = steps[scan->state](scan, at, end);
    }
    *out_used = (size_t)(at - begin);
    return scan->state == DONE  ? JSON_SCAN_VALUE
           : scan->state == BAD ? JSON_SCAN_BAD
                                : JSON_SCAN_INCOMPLETE;
}

bool json_scan_finish(const struct json_scan *scan)
{
    return scan->depth == 0 &&
           (scan->state == IN_ZERO || scan->state == IN_INTEGER ||
            scan->state == IN_FRACTION || scan->state == IN_EXPONENT_DIGITS);
}
