/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - which character the bytes are
 *
 * Pure, thread-safe. Source: RFC 3629 (no overlong forms, no surrogates, nothing past
 * U+10FFFF). */
#ifndef CORTEX_COMMON_UTF8_H
#define CORTEX_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xFFFD /* stands for a byte that is no UTF-8 */

/* Bytes of the character at text, 1 to 4, and its code point; 0 if there is none. */
size_t utf8_decode(const char *text, size_t size, uint32_t *out_code);

/* Writes the code point's bytes, 1 to 4, and returns how many. A surrogate or what is
 * past U+10FFFF becomes UTF8_REPLACEMENT. */
size_t utf8_encode(uint32_t code, char out[4]);

bool utf8_valid(const char *text, size_t size);

#endif
