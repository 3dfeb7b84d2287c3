/* SPDX-License-Identifier: Apache-2.0 */
/* trust.c - by which keys a program knows its master */
#include "common/trust.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"

struct trust {
    trust_keep_fn keep;
    void *arg;
    pthread_mutex_t lock; /* guards what follows */
    unsigned char keys[TRUST_KEYS_MAX][KEY_SIZE];
    size_t count;
};

struct trust *trust_create(trust_keep_fn keep, void *arg)
{
    struct trust *trust = memory_zalloc(sizeof(*trust));

    trust->keep = keep;
    trust->arg = arg;
    pthread_mutex_init(&trust->lock, NULL);
    return trust;
}

void trust_destroy(struct trust *trust)
{
    if (trust) {
        pthread_mutex_destroy(&trust->lock);
        free(trust);
    }
}

static void add(struct trust *trust, const unsigned char key[KEY_SIZE])
{
    for (size_t i = 0; i < trust->count; i++) {
        if (memcmp(trust->keys[i], key, KEY_SIZE) == 0) {
            return;
        }
    }
    assert(trust->count < TRUST_KEYS_MAX);
    memcpy(trust->keys[trust->count++], key, KEY_SIZE);
}

void trust_add(struct trust *trust, const unsigned char key[KEY_SIZE])
{
    pthread_mutex_lock(&trust->lock);
    add(trust, key);
    pthread_mutex_unlock(&trust->lock);
}

size_t trust_keys(struct trust *trust, unsigned char out[TRUST_KEYS_MAX][KEY_SIZE])
{
    pthread_mutex_lock(&trust->lock);
    size_t count = trust->count;
    memcpy(out, trust->keys, count * KEY_SIZE);
    pthread_mutex_unlock(&trust->lock);
    return count;
}

void trust_proven(struct trust *trust,
                  const unsigned char key[KEY_SIZE],
                  const unsigned char *next)
{
    unsigned char before[TRUST_KEYS_MAX][KEY_SIZE];

    pthread_mutex_lock(&trust->lock);
    size_t count = trust->count;
    memcpy(before, trust->keys, sizeof(before));
    trust->count = 0;
    add(trust, key);
    if (next) {
        add(trust, next);
    }
    bool changed =
        count != trust->count || memcmp(before, trust->keys, count * KEY_SIZE) != 0;
    if (changed && trust->keep) {
        trust->keep(trust->arg, key, trust->count > 1 ? next : NULL);
    }
    pthread_mutex_unlock(&trust->lock);
}
