/* The instructions of x86-64 that functions begin and end with, carried out on a copy of the
 * registers: a stopped thread is moved behind one by writing back what it would have done. */
#pragma once

#include "arch/arch.h"

enum emulated_op {
    EMULATE_NOTHING,
    EMULATE_MOVE, /* also zero-extending */
    EMULATE_EXTEND,
    EMULATE_ADDRESS,
    EMULATE_PUSH,
    EMULATE_POP,
    EMULATE_LEAVE,
    EMULATE_RETURN,
    EMULATE_CALL,
    EMULATE_BRANCH,
    EMULATE_ADD,
    EMULATE_SUB,
    EMULATE_COMPARE,
    EMULATE_AND,
    EMULATE_OR,
    EMULATE_XOR,
    EMULATE_TEST,
};

enum emulated_place { PLACE_NONE, PLACE_REGISTER, PLACE_CONSTANT, PLACE_MEMORY };

struct emulated_operand {
    enum emulated_place place;
    uint8_t size;
    int8_t slot;        /* PLACE_REGISTER */
    int64_t value;      /* PLACE_CONSTANT; PLACE_MEMORY: the displacement, with rip's part in it */
    int8_t base, index; /* slots; -1: none */
    uint8_t scale;
    bool fixed; /* PLACE_MEMORY: relative to rip, so within the program's own image */
};

struct emulation {
    enum emulated_op op;
    uint8_t condition; /* EMULATE_BRANCH: of the opcode jcc; 16: always */
    uint64_t next, target;
    struct emulated_operand to, from;
};

struct emulated_access {
    uint64_t address;
    uint8_t size; /* 0: no access */
    bool fixed;
};

/* False: not one of these. */
bool emulate_decode(const uint8_t *code, size_t size, uint64_t address, struct emulation *out);

/* May a thread still stand at the instruction when it has executed it once: does it repeat (`rep
 * movsb`), or jump to itself? Also true for what is no instruction. */
bool emulate_repeats(const uint8_t *code, size_t size);

/* What it reads and writes of memory. False: it depends on a register that is not valid. */
bool emulate_accesses(const struct emulation *e, const struct registers *registers,
                      struct emulated_access *reads, struct emulated_access *writes);

/* `in` is what was read; what is to be written goes to `out`. False: a register is not valid. */
bool emulate_run(const struct emulation *e, struct registers *registers, const uint8_t in[8],
                 uint8_t out[8]);
