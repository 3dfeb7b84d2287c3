/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_payload.c - is a segment that is not what was written refused?
 *
 * The row that the master remembers is taken from the segment's own footer, so that
 * what lies behind the check of both is reached. */
#include <zlib.h>

#include "master/payload.h"
#include "tests/fuzz/store.h"

#define FOOTER_SIZE 24

static uint64_t number_at(const uint8_t *at, int bytes)
{
    uint64_t number = 0;

    for (int i = bytes - 1; i >= 0; i--) {
        number = number << 8 | at[i];
    }
    return number;
}

static void put_checksum(uint8_t *bytes, size_t size)
{
    uint32_t checksum = (uint32_t)crc32(0, bytes, (unsigned)(size - 4));

    for (int i = 0; i < 4; i++) {
        bytes[size - 4 + (size_t)i] = (uint8_t)(checksum >> 8 * i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FOOTER_SIZE) {
        return 0;
    }
    uint8_t *bytes = memory_zalloc(size);
    memcpy(bytes, data, size);
    put_checksum(bytes, size);
    const uint8_t *footer = bytes + size - FOOTER_SIZE;
    const struct payload_segment segment = {
        .number = 1,
        .first_index = number_at(footer + 8, 8),
        .count = (uint32_t)number_at(footer + 16, 4),
        .checksum = (uint32_t)number_at(footer + 20, 4),
        .bytes = size,
    };
    struct payload_cache *cache = payload_cache_create(NULL, 1 << 20);
    struct buffer out = BUFFER_INIT;
    uint32_t sizes[16];
    uint32_t count = 0;
    struct error err = {0};

    store_object = (struct fuzz_input){bytes, size};
    if (payload_cache_read(cache,
                           "s3://b/job",
                           &segment,
                           segment.first_index,
                           16,
                           1 << 16,
                           &out,
                           sizes,
                           &count,
                           &err) == 0) {
        uint64_t total = 0;
        for (uint32_t i = 0; i < count; i++) {
            total += sizes[i];
        }
        fuzz_check(count >= 1 && count <= 16 && total == out.size, "batches are whole");
    } else {
        fuzz_check_error(&err);
    }
    buffer_fini(&out);
    payload_cache_destroy(cache);
    free(bytes);
    return 0;
}
