/* The bytes of an object from where its expression located it. */
#include "symbol/location.h"

#include <string.h>

static enum outcome read_piece(const struct piece *piece, struct frame *frame, uint64_t at,
                               uint8_t *out, size_t size, bool *missing, const char **why) {
    *missing = false;
    switch (piece->kind) {
    case PIECE_MEMORY:
        switch (memory_read(frame->memory, piece->address + at, out, size)) {
        case MEMORY_OK: return EVAL_OK;
        case MEMORY_AGAIN: return EVAL_AGAIN;
        default: *why = NULL; return EVAL_FAILED;
        }
    case PIECE_REGISTER:
        *missing = !registers_has(&frame->registers, piece->slot) || at + size > ARCH_REGISTER;
        if (!*missing)
            memcpy(out, frame->registers.bytes[piece->slot] + at, size);
        return EVAL_OK;
    case PIECE_VALUE:
        *missing = at + size > sizeof piece->value;
        if (!*missing)
            memcpy(out, piece->value + at, size);
        return EVAL_OK;
    case PIECE_BYTES:
        *missing = at > piece->size || size > piece->size - at;
        if (!*missing)
            memcpy(out, piece->bytes + at, size);
        return EVAL_OK;
    default: *missing = true; return EVAL_OK;
    }
}

/* One bit at a time, for pieces that do not sit on bytes: rare and small. */
static enum outcome read_bits(const struct piece *piece, struct frame *frame, uint64_t from,
                              uint8_t *out, uint64_t to, uint64_t bits, uint8_t *missing,
                              const char **why) {
    for (uint64_t i = 0; i < bits; i++) {
        uint64_t source = from + i, target = to + i;
        uint8_t byte;
        bool absent;
        enum outcome outcome = read_piece(piece, frame, source / 8, &byte, 1, &absent, why);
        if (outcome != EVAL_OK)
            return outcome;
        missing[target / 8] |= absent;
        out[target / 8] &= (uint8_t) ~(1u << target % 8);
        out[target / 8] |= (uint8_t)((byte >> source % 8 & 1) << target % 8);
    }
    return EVAL_OK;
}

enum outcome located_read(const struct located *located, struct frame *frame, uint64_t offset,
                          void *out, uint8_t *missing, size_t size, const char **why) {
    uint64_t start = 0, from = offset * 8, until = (offset + size) * 8;
    enum outcome worst = EVAL_OK;
    memset(missing, 0, size);
    memset(out, 0, size);
    for (size_t i = 0; i < located->count; i++) {
        const struct piece *piece = &located->pieces[i];
        uint64_t bits = piece->bits ? piece->bits : UINT64_MAX / 2, end = start + bits;
        uint64_t low = start > from ? start : from, high = end < until ? end : until;
        if (low < high) {
            uint64_t source = piece->bit + (low - start), target = low - from;
            enum outcome one;
            bool absent = false;
            if (source % 8 || target % 8 || (high - low) % 8) {
                one = read_bits(piece, frame, source, out, target, high - low, missing, why);
            } else {
                one = read_piece(piece, frame, source / 8, (uint8_t *)out + target / 8,
                                 (high - low) / 8, &absent, why);
                if (absent)
                    memset(missing + target / 8, 1, (high - low) / 8);
            }
            worst = one > worst ? one : worst;
        }
        start = end;
    }
    if (start < until && start > from)
        memset(missing + (start - from) / 8, 1, (until - start) / 8);
    return worst;
}
