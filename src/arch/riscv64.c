#include "arch/arch.h"

#include <elf.h>
#include <string.h>

/* RISC-V DWARF specification, table 1. It numbers no pc: 64 is ours. */
static const struct arch_range ranges[] = {
    {"x", 0, 0, 32, 8, REGISTER_INT},
    {"f", 32, 32, 32, 8, REGISTER_FLOAT},
    {"pc", 64, 64, 1, 8, REGISTER_INT},
};

#define X(name, n)                                                                                 \
    { name, n, n, 8, REGISTER_INT }
#define F(name, n)                                                                                 \
    { name, 32 + n, 32 + n, 8, REGISTER_FLOAT }
static const struct arch_register aliases[] = {
    X("zero", 0),  X("ra", 1),   X("sp", 2),   X("gp", 3),    X("tp", 4),    X("t0", 5),
    X("t1", 6),    X("t2", 7),   X("s0", 8),   X("fp", 8),    X("s1", 9),    X("a0", 10),
    X("a1", 11),   X("a2", 12),  X("a3", 13),  X("a4", 14),   X("a5", 15),   X("a6", 16),
    X("a7", 17),   X("s2", 18),  X("s3", 19),  X("s4", 20),   X("s5", 21),   X("s6", 22),
    X("s7", 23),   X("s8", 24),  X("s9", 25),  X("s10", 26),  X("s11", 27),  X("t3", 28),
    X("t4", 29),   X("t5", 30),  X("t6", 31),  F("ft0", 0),   F("ft1", 1),   F("ft2", 2),
    F("ft3", 3),   F("ft4", 4),  F("ft5", 5),  F("ft6", 6),   F("ft7", 7),   F("fs0", 8),
    F("fs1", 9),   F("fa0", 10), F("fa1", 11), F("fa2", 12),  F("fa3", 13),  F("fa4", 14),
    F("fa5", 15),  F("fa6", 16), F("fa7", 17), F("fs2", 18),  F("fs3", 19),  F("fs4", 20),
    F("fs5", 21),  F("fs6", 22), F("fs7", 23), F("fs8", 24),  F("fs9", 25),  F("fs10", 26),
    F("fs11", 27), F("ft8", 28), F("ft9", 29), F("ft10", 30), F("ft11", 31),
};

static size_t returns(const uint8_t *code, size_t size, uint64_t address, bool thumb,
                      size_t *offsets, size_t max, size_t *tail_calls) {
    size_t count = 0;
    (void)address;
    (void)thumb;
    *tail_calls = 0;
    for (size_t at = 0; at + 2 <= size;) {
        uint16_t half;
        uint32_t word = 0;
        memcpy(&half, code + at, 2);
        bool full = (half & 3) == 3; /* not a compressed instruction */
        if (full && at + 4 > size)
            break;
        if (full)
            memcpy(&word, code + at, 4);
        if (word == 0x00008067 || half == 0x8082) { /* jalr x0, 0(ra); c.jr ra */
            if (count < max)
                offsets[count] = at;
            count++;
        }
        at += full ? 4 : 2;
    }
    return count;
}

const struct arch arch_riscv64 = {
    .name = "riscv64",
    .bfd = "riscv:rv64",
    .machine = EM_RISCV,
    .word = 8,
    .pc = 64,
    .sp = 2,
    .fp = 8,
    .link = 1,
    .return_column = 1,
    .breakpoint = {0x02, 0x90}, /* c.ebreak: fits every place */
    .breakpoint_len = 2,
    .tls_variant = 1,
    .tls = 4,
    .go_g = 27,
    .ranges = ranges,
    .range_count = sizeof ranges / sizeof *ranges,
    .aliases = aliases,
    .alias_count = sizeof aliases / sizeof *aliases,
    .arguments = {10, 11, 12, 13, 14, 15, 16, 17},
    .argument_count = 8,
    .syscall_arguments = {10, 11, 12, 13, 14, 15},
    .results = {10, 11},
    .float_result = 42,
    .returns = returns,
};
