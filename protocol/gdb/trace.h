/* What a stub has collected at tracepoints, as qTBuffer gives it: frames, and the blocks in them
 * (gdbserver's trace buffer; little-endian). All of it is outside bytes: each step is bounded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gdb_frame {
    unsigned number; /* of the tracepoint */
    const uint8_t *data;
    size_t size;
};

struct gdb_block {
    char kind;        /* 'M' memory, 'V' a trace state variable */
    uint64_t address; /* M */
    const uint8_t *bytes;
    size_t size;
    int32_t number; /* V */
    int64_t value;
};

/* Takes the next one off [*at, end). False: there is none, or not all of it, or (block) one of a
 * kind that nobody has asked for; *at stays. */
bool gdb_frame_next(const uint8_t **at, const uint8_t *end, struct gdb_frame *out);
bool gdb_block_next(const uint8_t **at, const uint8_t *end, struct gdb_block *out);
