/* From 64-bit keys to pointers, by open addressing. The pointers are not owned. Key 0 is allowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t key;
    void *value; /* NULL: the slot is empty */
};

struct map {
    struct map_slot *slots;
    size_t count, cap;
};

void *map_get(const struct map *map, uint64_t key);

/* False without memory. `value` is not NULL; an older one under the same key is replaced. */
bool map_put(struct map *map, uint64_t key, void *value);
void map_remove(struct map *map, uint64_t key);
void map_free(struct map *map);
