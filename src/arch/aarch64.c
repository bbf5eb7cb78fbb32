#include "arch/arch.h"

#include <elf.h>
#include <string.h>

/* DWARF for the Arm 64-bit architecture (AADWARF64), section 4.1. */
static const struct arch_range ranges[] = {
    {"x", 0, 0, 31, 8, REGISTER_INT},      {"sp", 31, 31, 1, 8, REGISTER_INT},
    {"pc", 32, 32, 1, 8, REGISTER_INT},    {"cpsr", 33, 33, 1, 4, REGISTER_FLAGS},
    {"tpidr", 36, 36, 1, 8, REGISTER_INT}, {"v", 64, 64, 32, 16, REGISTER_FLOAT},
};

static const struct arch_register aliases[] = {
    {"fp", 29, 29, 8, REGISTER_INT},
    {"lr", 30, 30, 8, REGISTER_INT},
};

static size_t returns(const uint8_t *code, size_t size, uint64_t address, bool thumb,
                      size_t *offsets, size_t max, size_t *tail_calls) {
    size_t count = 0;
    (void)address;
    (void)thumb;
    *tail_calls = 0;
    for (size_t at = 0; at + 4 <= size; at += 4) {
        uint32_t word;
        memcpy(&word, code + at, 4);
        /* RET Xn, RETAA, RETAB */
        if ((word & 0xfffffc1f) == 0xd65f0000 || (word & 0xfffffbff) == 0xd65f0bff) {
            if (count < max)
                offsets[count] = at;
            count++;
        } else if ((word & 0xfc000000) == 0x14000000) { /* B */
            int64_t target = (int64_t)at + (int64_t)((int32_t)(word << 6) >> 6) * 4;
            *tail_calls += target < 0 || target >= (int64_t)size;
        }
    }
    return count;
}

const struct arch arch_aarch64 = {
    .name = "aarch64",
    .bfd = "aarch64",
    .machine = EM_AARCH64,
    .word = 8,
    .pc = 32,
    .sp = 31,
    .fp = 29,
    .link = 30,
    .return_column = 30,
    .breakpoint = {0x00, 0x00, 0x20, 0xd4}, /* BRK #0 */
    .breakpoint_len = 4,
    .tls_variant = 1,
    .tls_gap = 16,
    .tls = 36,
    .go_g = 28,
    .ranges = ranges,
    .range_count = sizeof ranges / sizeof *ranges,
    .aliases = aliases,
    .alias_count = sizeof aliases / sizeof *aliases,
    .arguments = {0, 1, 2, 3, 4, 5, 6, 7},
    .argument_count = 8,
    .syscall_arguments = {0, 1, 2, 3, 4, 5},
    .results = {0, 1},
    .float_result = 64,
    .returns = returns,
};
