/* One instruction of x86-64, to be executed somewhere else than where it stands: a breakpoint stays
 * in its place while the thread that has hit it goes on.
 *
 * Most are copied into a slot that ends in a jump back. What looks at its own address (branches and
 * calls) is not executed at all: its effect is computed. */
#pragma once

#include "arch/arch.h"

#define DISPLACED_SLOT 32 /* bytes that a copy takes, at most */

enum displaced_kind {
    DISPLACED_COPY,   /* from a slot */
    DISPLACED_BRANCH, /* to `target` where `condition` holds, else to `next` */
    DISPLACED_CALL,   /* to `target`, or to what the operand says */
};

struct displaced {
    enum displaced_kind kind;
    uint8_t bytes[15], length;
    uint64_t next, target;
    uint8_t condition;     /* as in the opcode of jcc; CONDITION_... */
    int8_t relative_at;    /* COPY: where its rip-relative displacement stands; -1: none */
    uint64_t relative_to;  /* ... and the address that it names */
    bool indirect, memory; /* CALL: through a register or memory */
    int8_t base, index;    /* slots of `struct registers`; -1: none */
    uint8_t scale;
    int64_t displacement;
    bool ends; /* COPY: it never falls through: a return, an indirect jump */
};

enum {
    CONDITION_ALWAYS = 16,
    CONDITION_RCXZ,
    CONDITION_ECXZ,
    CONDITION_LOOP,
    CONDITION_LOOPE,
    CONDITION_LOOPNE
};

/* Decodes the instruction at `address`. False: it cannot be executed elsewhere (a breakpoint of the
 * program's own, a transaction), or is none; *why then says so. */
bool displaced_decode(const uint8_t *code, size_t size, uint64_t address, struct displaced *out,
                      const char **why);

/* The bytes for a slot at `slot`: the copy and the jump back. 0: the slot is too far from what the
 * instruction refers to. */
size_t displaced_write(const struct displaced *displaced, uint64_t slot,
                       uint8_t out[static DISPLACED_SLOT]);

/* Where an instruction that is not copied leads. CALL: the address whose 8 bytes are to be pushed
 * is `next`; an operand in memory is at *pointer (has to be read: the result is 0 then). `loops`
 * becomes what is left in rcx for LOOP and its kin, which the caller stores. */
uint64_t displaced_leads_to(const struct displaced *displaced, const struct registers *registers,
                            uint64_t *pointer, bool *counts);

/* Is `address` the begin of an instruction, counted from the function's begin `code`? */
bool displaced_is_boundary(const uint8_t *code, size_t size, size_t offset);
