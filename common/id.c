/* SPDX-License-Identifier: Apache-2.0 */
/* id.c - how jobs, batches, workers and requests are named */
#include "common/id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/buffer.h"

struct id_hash {
    crypto_hash_sha256_state state;
};

int id_init(void)
{
    return sodium_init() < 0 ? -1 : 0;
}

void id_random_bytes(void *out, size_t size)
{
    randombytes_buf(out, size);
}

uint64_t id_random_number(void)
{
    uint64_t number;

    randombytes_buf(&number, sizeof(number));
    return number;
}

uint64_t id_job_at(int64_t wall_ns)
{
    return (uint64_t)INT64_MAX - (uint64_t)wall_ns;
}

int64_t id_job_time_ns(uint64_t job_id)
{
    return INT64_MAX - (int64_t)(job_id & INT64_MAX);
}

void id_job_format(uint64_t job_id, char out[ID_JOB_TEXT_SIZE])
{
    (void)snprintf(out, ID_JOB_TEXT_SIZE, "%016" PRIx64, job_id);
}

bool id_job_parse(const char *text, uint64_t *out)
{
    uint64_t id = 0;

    for (int i = 0; i < 16; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9') {
            id = id << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            id = id << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    if (text[16] != '\0') {
        return false;
    }
    *out = id;
    return true;
}

static void put_little_endian(unsigned char *out, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (unsigned char)(number >> (8 * i));
    }
}

void id_batch_format(uint64_t job_id, uint64_t batch_index, char out[ID_UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char name[16];
    unsigned char uuid[16];

    put_little_endian(name, job_id);
    put_little_endian(name + 8, batch_index);
    (void)crypto_generichash(uuid, sizeof(uuid), name, sizeof(name), NULL, 0);
    uuid[6] = (unsigned char)((uuid[6] & 0x0F) | 0x80); // version 8
    uuid[8] = (unsigned char)((uuid[8] & 0x3F) | 0x80); // variant of RFC 9562
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = digits[uuid[i] >> 4];
        out[at++] = digits[uuid[i] & 15];
    }
    out[ID_UUID_TEXT_SIZE - 1] = '\0';
}

struct id_hash *id_hash_create(void)
{
    struct id_hash *hash = memory_zalloc(sizeof(*hash));

    (void)crypto_hash_sha256_init(&hash->state);
    return hash;
}

void id_hash_add(struct id_hash *hash, const void *data, size_t size)
{
    (void)crypto_hash_sha256_update(&hash->state, data, size);
}

void id_hash_finish(struct id_hash *hash, char out[ID_PROJECT_TEXT_SIZE])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256_final(&hash->state, digest);
    (void)sodium_bin2hex(out, ID_PROJECT_TEXT_SIZE, digest, sizeof(digest));
    free(hash);
}

void id_hash_of(const void *data, size_t size, char out[ID_PROJECT_TEXT_SIZE])
{
    struct id_hash *hash = id_hash_create();

    id_hash_add(hash, data, size);
    id_hash_finish(hash, out);
}
