#include "base/map.h"

#include <stdlib.h>

static size_t start(uint64_t key, size_t cap) {
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (cap - 1);
}

static struct map_slot *find(struct map_slot *slots, size_t cap, uint64_t key) {
    size_t at = start(key, cap);
    while (slots[at].value && slots[at].key != key)
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

void *map_get(const struct map *map, uint64_t key) {
    return map->cap ? find(map->slots, map->cap, key)->value : NULL;
}

static bool grow(struct map *map) {
    size_t cap = map->cap ? map->cap * 2 : 64;
    struct map_slot *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < map->cap; i++)
        if (map->slots[i].value)
            *find(slots, cap, map->slots[i].key) = map->slots[i];
    free(map->slots);
    map->slots = slots;
    map->cap = cap;
    return true;
}

bool map_put(struct map *map, uint64_t key, void *value) {
    if (map->count * 4 >= map->cap * 3 && !grow(map))
        return false;
    struct map_slot *slot = find(map->slots, map->cap, key);
    map->count += !slot->value;
    *slot = (struct map_slot){key, value};
    return true;
}

/* What stands behind the gap and was pushed there by what is gone moves up. */
void map_remove(struct map *map, uint64_t key) {
    struct map_slot *slot = map->cap ? find(map->slots, map->cap, key) : NULL;
    if (!slot || !slot->value)
        return;
    map->count--;
    size_t gap = (size_t)(slot - map->slots), mask = map->cap - 1;
    for (size_t at = (gap + 1) & mask; map->slots[at].value; at = (at + 1) & mask) {
        size_t home = start(map->slots[at].key, map->cap);
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        map->slots[gap] = map->slots[at];
        gap = at;
    }
    map->slots[gap].value = NULL;
}

void map_free(struct map *map) {
    free(map->slots);
    *map = (struct map){0};
}
