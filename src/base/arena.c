#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 65536

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

static struct arena_block *add_block(struct arena *arena, size_t size) {
    size_t want = size > BLOCK / 4 ? size : BLOCK - sizeof(struct arena_block);
    struct arena_block *block = calloc(1, sizeof *block + want);
    if (!block)
        return NULL;
    block->size = want;
    if (arena->blocks && want == size) { /* a big one of its own: go on filling the current one */
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t size) {
    const size_t align = _Alignof(max_align_t);
    if (size > arena->max - arena->used)
        return NULL;
    size = (size + align - 1) / align * align;
    struct arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size)
        block = add_block(arena, size);
    if (!block)
        return NULL;
    void *piece = block->bytes + block->used;
    block->used += size;
    arena->used += size > arena->max - arena->used ? arena->max - arena->used : size;
    return piece;
}

void *arena_copy(struct arena *arena, const void *bytes, size_t n) {
    void *copy = arena_alloc(arena, n);
    if (copy && n)
        memcpy(copy, bytes, n);
    return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t n) {
    char *copy = arena_alloc(arena, n + 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text) {
    return arena_strndup(arena, text, strlen(text));
}

static void free_blocks(struct arena_block *block) {
    for (struct arena_block *next; block; block = next) {
        next = block->next;
        free(block);
    }
}

void arena_reset(struct arena *arena) {
    struct arena_block *kept = arena->blocks;
    arena->used = 0;
    if (!kept)
        return;
    free_blocks(kept->next);
    kept->next = NULL;
    memset(kept->bytes, 0, kept->used);
    kept->used = 0;
}

void arena_free(struct arena *arena) {
    free_blocks(arena->blocks);
    arena->blocks = NULL;
    arena->used = 0;
}
