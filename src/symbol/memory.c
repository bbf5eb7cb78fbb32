#include "symbol/memory.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define NEAR 32 /* bytes between two ranges that are fetched as one */

static bool covers(const struct memory_block *block, uint64_t address) {
    return address - block->address < block->size;
}

static struct memory_block *block_at(struct memory *memory, uint64_t address) {
    if (memory->last < memory->count && covers(&memory->blocks[memory->last], address))
        return &memory->blocks[memory->last];
    for (size_t i = 0; i < memory->count; i++)
        if (covers(&memory->blocks[i], address)) {
            memory->last = i;
            return &memory->blocks[i];
        }
    return NULL;
}

enum memory_result memory_read(struct memory *memory, uint64_t address, void *out, size_t size) {
    if (address + size < address) /* nobody can read beyond the last address */
        return MEMORY_FAULT;
    for (size_t done = 0; done < size;) {
        struct memory_block *block = block_at(memory, address + done);
        if (!block) {
            memory_want(memory, address + done, size - done);
            return memory->full ? MEMORY_FAULT : MEMORY_AGAIN;
        }
        if (block->fault)
            return MEMORY_FAULT;
        size_t at = (size_t)(address + done - block->address);
        size_t n = block->size - at < size - done ? block->size - at : size - done;
        block->used = true;
        memcpy((uint8_t *)out + done, memory->bytes + block->at + at, n);
        done += n;
    }
    return MEMORY_OK;
}

size_t memory_known(struct memory *memory, uint64_t address, size_t size) {
    size_t known = 0;
    while (known < size) {
        const struct memory_block *block = block_at(memory, address + known);
        if (!block || block->fault)
            break;
        known += block->size - (size_t)(address + known - block->address);
    }
    return known < size ? known : size;
}

/* Neighbours are fetched as one. Not across the end of a page: the other one may not be there. */
static bool join(struct memory_range *want, uint64_t address, size_t size) {
    uint64_t end = address + size, want_end = want->address + want->size;
    uint64_t low = address < want->address ? address : want->address;
    uint64_t high = end > want_end ? end : want_end;
    if (low / PAGE != (high - 1) / PAGE || high - low > want->size + size + NEAR)
        return false;
    *want = (struct memory_range){low, (size_t)(high - low)};
    return true;
}

void memory_want(struct memory *memory, uint64_t address, size_t size) {
    if (!size || address + size < address)
        return;
    const struct memory_block *block = block_at(memory, address);
    if (block && block->size - (size_t)(address - block->address) >= size)
        return;
    for (size_t i = 0; i < memory->want_count; i++) {
        struct memory_range *want = &memory->wants[i];
        if (address >= want->address && address - want->address + size <= want->size)
            return;
        if (address == want->address) {
            want->size = size;
            return;
        }
        if (join(want, address, size))
            return;
    }
    if (memory->want_count == MEMORY_BLOCKS || memory->count == MEMORY_BLOCKS ||
        memory->used + size > MEMORY_BYTES) {
        memory->full = true;
        return;
    }
    memory->wants[memory->want_count++] = (struct memory_range){address, size};
}

static bool add_block(struct memory *memory, uint64_t address, size_t size, bool fault) {
    if (!size)
        return true;
    if (memory->count == MEMORY_BLOCKS)
        return memory->full = true, false;
    memory->blocks[memory->count++] =
        (struct memory_block){.address = address, .size = size, .at = memory->used, .fault = fault};
    return true;
}

static bool make_room(struct memory *memory, size_t n) {
    size_t cap = memory->cap ? memory->cap : 4096;
    if (memory->used + n > MEMORY_BYTES)
        return false;
    while (cap < memory->used + n)
        cap *= 2;
    uint8_t *bytes = cap > memory->cap ? realloc(memory->bytes, cap) : memory->bytes;
    if (!bytes)
        return false;
    memory->bytes = bytes;
    memory->cap = cap;
    return true;
}

void memory_fill(struct memory *memory, uint64_t address, const void *bytes, size_t n,
                 size_t size) {
    if (!make_room(memory, n)) {
        memory->full = true;
        return;
    }
    if (!add_block(memory, address, n, false))
        return;
    if (n)
        memcpy(memory->bytes + memory->used, bytes, n);
    memory->used += n;
    if (n < size)
        add_block(memory, address + n, size - n, true);
}

void memory_forget(struct memory *memory) {
    memory->count = memory->used = memory->want_count = 0;
    memory->full = false;
}

void memory_free(struct memory *memory) {
    free(memory->bytes);
    memory->bytes = NULL;
    memory->cap = 0;
    memory_forget(memory);
}
