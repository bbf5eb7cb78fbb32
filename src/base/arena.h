/* Memory that is given out in small pieces and freed as a whole, up to a hard maximum: what hostile
 * input can make us build costs no more than that. */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used, max; /* bytes given out, and the most that may be */
};

#define ARENA_INIT(maximum) ((struct arena){.max = (maximum)})

/* Zeroed and aligned for everything; NULL without memory or past the maximum. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strndup(struct arena *arena, const char *text, size_t n);
char *arena_strdup(struct arena *arena, const char *text);
void *arena_copy(struct arena *arena, const void *bytes, size_t n);

/* Takes everything back and keeps the newest block: for what is needed again and again. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
