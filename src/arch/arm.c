#include "arch/arch.h"

#include <elf.h>
#include <string.h>

/* DWARF for the Arm architecture (AADWARF32), section 4.1. */
static const struct arch_range ranges[] = {
    {"r", 0, 0, 16, 4, REGISTER_INT},          {"s", 64, 32, 32, 4, REGISTER_FLOAT},
    {"d", 256, 64, 32, 8, REGISTER_FLOAT},     {"cpsr", 128, 16, 1, 4, REGISTER_FLAGS},
    {"tpidruro", 322, 17, 1, 4, REGISTER_INT},
};

static const struct arch_register aliases[] = {
    {"fp", 11, 11, 4, REGISTER_INT}, {"ip", 12, 12, 4, REGISTER_INT},
    {"sp", 13, 13, 4, REGISTER_INT}, {"lr", 14, 14, 4, REGISTER_INT},
    {"pc", 15, 15, 4, REGISTER_INT},
};

static bool arm_return(uint32_t word) {
    return (word & 0x0fffffff) == 0x012fff1e || /* bx lr */
           (word & 0x0fff8000) == 0x08bd8000 || /* pop {..., pc} */
           (word & 0x0fffffff) == 0x049df004 || /* pop {pc} */
           (word & 0x0fffffff) == 0x01a0f00e;   /* mov pc, lr */
}

static bool thumb_return(uint16_t half, uint32_t word) {
    return half == 0x4770 ||                    /* bx lr */
           (half & 0xff00) == 0xbd00 ||         /* pop {..., pc} */
           (word & 0xffff8000) == 0xe8bd8000 || /* pop.w {..., pc} */
           word == 0xf85dfb04;                  /* ldr.w pc, [sp], #4 */
}

static size_t returns(const uint8_t *code, size_t size, uint64_t address, bool thumb,
                      size_t *offsets, size_t max, size_t *tail_calls) {
    size_t count = 0, step;
    (void)address;
    *tail_calls = 0;
    for (size_t at = 0; at + 2 <= size; at += step) {
        uint16_t half[2] = {0};
        uint32_t word = 0;
        memcpy(half, code + at, size - at < 4 ? 2 : 4);
        memcpy(&word, half, 4);
        bool wide = (half[0] & 0xe000) == 0xe000 && (half[0] & 0x1800);
        step = thumb && !wide ? 2 : 4;
        if (at + step > size)
            break;
        bool found =
            !thumb ? arm_return(word)
                   : thumb_return(wide ? 0 : half[0], wide ? (uint32_t)half[0] << 16 | half[1] : 0);
        if (found && count < max)
            offsets[count] = at;
        count += found;
    }
    return count;
}

const struct arch arch_arm = {
    .name = "arm",
    .bfd = "arm",
    .machine = EM_ARM,
    .word = 4,
    .pc = 15,
    .sp = 13,
    .fp = 11,
    .link = 14,
    .return_column = 14,
    .breakpoint = {0xf0, 0x01, 0xf0, 0xe7}, /* udf #16: what Linux takes for a breakpoint */
    .breakpoint_len = 4,
    .tls_variant = 1,
    .tls_gap = 8,
    .tls = 17,
    .go_g = 10,
    .ranges = ranges,
    .range_count = sizeof ranges / sizeof *ranges,
    .aliases = aliases,
    .alias_count = sizeof aliases / sizeof *aliases,
    .arguments = {0, 1, 2, 3},
    .argument_count = 4,
    .syscall_arguments = {0, 1, 2, 3, 4, 5},
    .results = {0, 1},
    .float_result = 64,
    .returns = returns,
};
