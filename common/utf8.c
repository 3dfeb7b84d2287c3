/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c - which character the bytes are */
#include "common/utf8.h"

// By number of bytes: the smallest code point that needs so many.
static const uint32_t code_min[] = {0, 0, 0x80, 0x800, 0x10000};

static bool is_character(uint32_t code)
{
    return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

static size_t length_of(unsigned char lead)
{
    return lead < 0x80             ? 1
           : (lead & 0xE0) == 0xC0 ? 2
           : (lead & 0xF0) == 0xE0 ? 3
           : (lead & 0xF8) == 0xF0 ? 4
                                   : 0;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *out_code)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = size ? length_of(bytes[0]) : 0;

    if (length == 0 || length > size) {
        return 0;
    }
    uint32_t code = length == 1 ? bytes[0] : bytes[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | (bytes[i] & 0x3F);
    }
    if (code < code_min[length] || !is_character(code)) {
        return 0;
    }
    *out_code = code;
    return length;
}

size_t utf8_encode(uint32_t code, char out[4])
{
    if (!is_character(code)) {
        code = UTF8_REPLACEMENT;
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)((0xF00u >> length & 0xFF) | code);
    return length;
}

bool utf8_valid(const char *text, size_t size)
{
    uint32_t code = 0;

    while (size) {
        size_t length = utf8_decode(text, size, &code);
        if (length == 0) {
            return false;
        }
        text += length;
        size -= length;
    }
    return true;
}
