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

#define TAG_MASK                                                                       \
    ((UINT64_C(1) << 58) - 1) /* what a UUID has room for beside the index */

static uint64_t get_little_endian(const unsigned char *in)
{
    uint64_t number = 0;

    for (int i = 7; i >= 0; i--) {
        number = number << 8 | in[i];
    }
    return number;
}

// 64 bits that depend on both numbers; `use` tells the hashes apart.
static uint64_t hash_pair(uint64_t job_id, uint64_t number, unsigned char use)
{
    unsigned char in[17];
    unsigned char out[16];

    put_little_endian(in, job_id);
    put_little_endian(in + 8, number);
    in[16] = use;
    (void)crypto_generichash(out, sizeof(out), in, sizeof(in), NULL, 0);
    return get_little_endian(out);
}

// A UUID's 122 free bits: a tag of 58, which is a hash of job and index, and the index
// behind a mask, which is a hash of job and tag.
static void uuid_fill(uint64_t tag, uint64_t masked, unsigned char out[16])
{
    unsigned char tags[8];
    unsigned char body[8];

    put_little_endian(tags, tag);
    put_little_endian(body, masked);
    memcpy(out, tags, 6);
    out[6] = (unsigned char)(0x80 | (tags[6] & 0x0F)); // version 8
    out[7] = body[0];
    // The variant of RFC 9562, and what is left of the tag: bits 52 to 57.
    out[8] = (unsigned char)(0x80 | (tag >> 52 & 0x3F));
    memcpy(out + 9, body + 1, 7);
}

void id_batch_format(uint64_t job_id, uint64_t batch_index, char out[ID_UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t tag = hash_pair(job_id, batch_index, 't') & TAG_MASK;
    unsigned char uuid[16];

    uuid_fill(tag, batch_index ^ hash_pair(job_id, tag, 'm'), uuid);
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = digits[uuid[i] >> 4];
        out[at++] = digits[uuid[i] & 15];
    }
    out[ID_UUID_TEXT_SIZE - 1] = '\0';
}

bool id_batch_parse(uint64_t job_id, const char *text, uint64_t *out_index)
{
    unsigned char uuid[16];
    unsigned char body[8];
    char expected[ID_UUID_TEXT_SIZE];
    size_t size;

    if (strlen(text) != ID_UUID_TEXT_SIZE - 1 ||
        sodium_hex2bin(uuid, sizeof(uuid), text, strlen(text), "-", &size, NULL) != 0 ||
        size != sizeof(uuid)) {
        return false;
    }
    body[0] = uuid[7];
    memcpy(body + 1, uuid + 9, 7);
    uint64_t tag = (get_little_endian(uuid) & ((UINT64_C(1) << 48) - 1)) |
                   (uint64_t)(uuid[6] & 0x0F) << 48 | (uint64_t)(uuid[8] & 0x3F) << 52;
    uint64_t index = get_little_endian(body) ^ hash_pair(job_id, tag, 'm');
    id_batch_format(job_id, index, expected);
    if (strcmp(expected, text) != 0) {
        return false;
    }
    *out_index = index;
    return true;
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
