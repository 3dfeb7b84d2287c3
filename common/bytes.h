/* SPDX-License-Identifier: Apache-2.0 */
/* bytes.h - how numbers stand in frames: little-endian, at any address
 *
 * Pure, thread-safe; the caller has made sure that the bytes are there. */
#ifndef CORTEX_COMMON_BYTES_H
#define CORTEX_COMMON_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get_u16(const uint8_t *at)
{
    uint16_t number;

    memcpy(&number, at, sizeof(number));
    return le16toh(number);
}

static inline uint32_t bytes_get_u32(const uint8_t *at)
{
    uint32_t number;

    memcpy(&number, at, sizeof(number));
    return le32toh(number);
}

static inline uint64_t bytes_get_u64(const uint8_t *at)
{
    uint64_t number;

    memcpy(&number, at, sizeof(number));
    return le64toh(number);
}

static inline void bytes_put_u16(uint8_t *at, uint16_t number)
{
    number = htole16(number);
    memcpy(at, &number, sizeof(number));
}

static inline void bytes_put_u32(uint8_t *at, uint32_t number)
{
    number = htole32(number);
    memcpy(at, &number, sizeof(number));
}

static inline void bytes_put_u64(uint8_t *at, uint64_t number)
{
    number = htole64(number);
    memcpy(at, &number, sizeof(number));
}

#endif
