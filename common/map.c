/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - what belongs to a 64-bit number */
#include "common/map.h"

#include <stdlib.h>

#include "common/buffer.h"

#define MAP_CAPACITY_MIN 16

// The finaliser of SplitMix64: neighbours land far apart.
static uint64_t mix(uint64_t key)
{
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    return key ^ (key >> 31);
}

static size_t slot_of(const struct map *map, uint64_t key)
{
    size_t at = (size_t)mix(key) & (map->capacity - 1);

    while (map->slots[at].value && map->slots[at].key != key) {
        at = (at + 1) & (map->capacity - 1);
    }
    return at;
}

static void grow(struct map *map)
{
    struct map old = *map;

    map->capacity = old.capacity ? old.capacity * 2 : MAP_CAPACITY_MIN;
    map->slots = memory_zalloc(map->capacity * sizeof(*map->slots));
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value) {
            map->slots[slot_of(map, old.slots[i].key)] = old.slots[i];
        }
    }
    free(old.slots);
}

void map_fini(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

void *map_get(const struct map *map, uint64_t key)
{
    return map->capacity ? map->slots[slot_of(map, key)].value : NULL;
}

void map_put(struct map *map, uint64_t key, void *value)
{
    if ((map->count + 1) * 4 > map->capacity * 3) {
        grow(map);
    }
    struct map_slot *slot = &map->slots[slot_of(map, key)];
    map->count += slot->value ? 0 : 1;
    *slot = (struct map_slot){key, value};
}

void *map_remove(struct map *map, uint64_t key)
{
    if (!map->capacity) {
        return NULL;
    }
    size_t hole = slot_of(map, key);
    void *value = map->slots[hole].value;
    if (!value) {
        return NULL;
    }
    // Those behind the hole that were pushed past it move up (Knuth, 6.4 R).
    size_t mask = map->capacity - 1;
    for (size_t at = (hole + 1) & mask; map->slots[at].value; at = (at + 1) & mask) {
        size_t home = (size_t)mix(map->slots[at].key) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].value = NULL;
    map->count--;
    return value;
}

bool map_next(const struct map *map,
              size_t *cursor,
              uint64_t *out_key,
              void **out_value)
{
    for (; *cursor < map->capacity; (*cursor)++) {
        const struct map_slot *slot = &map->slots[*cursor];
        if (slot->value) {
            *out_key = slot->key;
            *out_value = slot->value;
            (*cursor)++;
            return true;
        }
    }
    return false;
}
