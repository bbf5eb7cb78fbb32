#include "gdb/trace.h"

#include <string.h>

static uint64_t number(const uint8_t *bytes, size_t n) {
    uint64_t value = 0;
    for (size_t i = n; i--;)
        value = value << 8 | bytes[i];
    return value;
}

/* The tracepoint's number and the size, 2 and 4 bytes, then the blocks. */
bool gdb_frame_next(const uint8_t **at, const uint8_t *end, struct gdb_frame *out) {
    size_t left = (size_t)(end - *at);
    if (left < 6)
        return false;
    *out = (struct gdb_frame){(unsigned)number(*at, 2), *at + 6, number(*at + 2, 4)};
    if (out->size > left - 6)
        return false;
    *at = out->data + out->size;
    return true;
}

/* 'M', address, size in 2 bytes, the bytes. 'V', number in 4 bytes, value. */
bool gdb_block_next(const uint8_t **at, const uint8_t *end, struct gdb_block *out) {
    size_t left = (size_t)(end - *at);
    *out = (struct gdb_block){.kind = left ? (char)**at : '\0'};
    if (out->kind == 'M' && left >= 11) {
        out->address = number(*at + 1, 8);
        out->size = (size_t)number(*at + 9, 2);
        out->bytes = *at + 11;
        if (out->size > left - 11)
            return false;
        *at = out->bytes + out->size;
        return true;
    }
    if (out->kind != 'V' || left < 13)
        return false;
    out->number = (int32_t)number(*at + 1, 4);
    out->value = (int64_t)number(*at + 5, 8);
    *at += 13;
    return true;
}
