/* What is known of a target's memory during one stop. Evaluation is pure and synchronous over it: a
 * range that is not known yet is noted and answered with MEMORY_AGAIN. The driver fetches all that
 * was noted in one batch, and evaluates again. Forget everything at a resume. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum memory_result { MEMORY_OK, MEMORY_AGAIN, MEMORY_FAULT };

struct memory_range {
    uint64_t address;
    size_t size;
};

struct memory_block {
    uint64_t address;
    size_t size;
    size_t at;  /* in `bytes` */
    bool fault; /* the target has no such memory */
    bool used;  /* somebody has read it */
};

#define MEMORY_BLOCKS 512
#define MEMORY_BYTES ((size_t)1 << 20) /* what one stop may read */

struct memory {
    struct memory_block blocks[MEMORY_BLOCKS];
    size_t count, last; /* `last`: the one that was read last */
    uint8_t *bytes;
    size_t used, cap;
    struct memory_range wants[MEMORY_BLOCKS];
    size_t want_count;
    bool full; /* a bound was reached: what is not known will not be */
};

/* MEMORY_AGAIN: noted in `wants`. MEMORY_FAULT: not readable, or past a bound (`full`). */
enum memory_result memory_read(struct memory *memory, uint64_t address, void *out, size_t size);

/* How many bytes from `address` on are known, of `size`; 0 at a fault. */
size_t memory_known(struct memory *memory, uint64_t address, size_t size);

/* Notes a range that will be wanted, if it is not known. */
void memory_want(struct memory *memory, uint64_t address, size_t size);

/* The answers to `wants`. `n` bytes were there, from `address` on; what is missing to `size` is a
 * fault. */
void memory_fill(struct memory *memory, uint64_t address, const void *bytes, size_t n, size_t size);
void memory_forget(struct memory *memory);
void memory_free(struct memory *memory);
