/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - what belongs to a 64-bit number
 *
 * An open-addressing hash table from uint64_t to a pointer that it does not own.
 * Embedded in its owner: all zero is an empty one. Memory shrinks never below what the
 * most entries needed. Not thread-safe. */
#ifndef CORTEX_COMMON_MAP_H
#define CORTEX_COMMON_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t key;
    void *value; /* NULL: the slot is free */
};

struct map {
    struct map_slot *slots;
    size_t capacity; /* 0 or a power of two */
    size_t count;
};

/* Frees the table, not what it points to. */
void map_fini(struct map *map);

/* NULL if there is none. */
void *map_get(const struct map *map, uint64_t key);

/* value must not be NULL; it replaces what was there. */
void map_put(struct map *map, uint64_t key, void *value);

/* Returns what was there, or NULL. */
void *map_remove(struct map *map, uint64_t key);

/* Walks the entries in no order: start with *cursor = 0. The map must not change
 * meanwhile. */
bool map_next(const struct map *map,
              size_t *cursor,
              uint64_t *out_key,
              void **out_value);

#endif
