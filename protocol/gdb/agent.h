/* Agent expressions: the bytecode that a stub runs at a breakpoint or a tracepoint (manual,
 * appendix F, "The GDB Agent Expression Mechanism"). A stack machine of 64-bit integers; jumps go
 * to absolute offsets; every program ends in `end`. */
#pragma once

#include "base/buffer.h"
#include <stdint.h>

#define AGENT_MAX 2000 /* bytes of one program: a packet of the smallest real stubs has room */
#define AGENT_STACK 90 /* gdbserver has 100 */

/* name, opcode, bytes of its operand, taken from the stack, left there */
#define AGENT_OPS(X)                                                                               \
    X(ADD, "add", 0x02, 0, 2, 1)                                                                   \
    X(SUB, "sub", 0x03, 0, 2, 1)                                                                   \
    X(MUL, "mul", 0x04, 0, 2, 1)                                                                   \
    X(DIV_SIGNED, "div_signed", 0x05, 0, 2, 1)                                                     \
    X(DIV_UNSIGNED, "div_unsigned", 0x06, 0, 2, 1)                                                 \
    X(REM_SIGNED, "rem_signed", 0x07, 0, 2, 1)                                                     \
    X(REM_UNSIGNED, "rem_unsigned", 0x08, 0, 2, 1)                                                 \
    X(LSH, "lsh", 0x09, 0, 2, 1)                                                                   \
    X(RSH_SIGNED, "rsh_signed", 0x0a, 0, 2, 1)                                                     \
    X(RSH_UNSIGNED, "rsh_unsigned", 0x0b, 0, 2, 1)                                                 \
    X(TRACE, "trace", 0x0c, 0, 2, 0)                                                               \
    X(TRACE_QUICK, "trace_quick", 0x0d, 1, 1, 1)                                                   \
    X(LOG_NOT, "log_not", 0x0e, 0, 1, 1)                                                           \
    X(BIT_AND, "bit_and", 0x0f, 0, 2, 1)                                                           \
    X(BIT_OR, "bit_or", 0x10, 0, 2, 1)                                                             \
    X(BIT_XOR, "bit_xor", 0x11, 0, 2, 1)                                                           \
    X(BIT_NOT, "bit_not", 0x12, 0, 1, 1)                                                           \
    X(EQUAL, "equal", 0x13, 0, 2, 1)                                                               \
    X(LESS_SIGNED, "less_signed", 0x14, 0, 2, 1)                                                   \
    X(LESS_UNSIGNED, "less_unsigned", 0x15, 0, 2, 1)                                               \
    X(EXT, "ext", 0x16, 1, 1, 1)                                                                   \
    X(REF8, "ref8", 0x17, 0, 1, 1)                                                                 \
    X(REF16, "ref16", 0x18, 0, 1, 1)                                                               \
    X(REF32, "ref32", 0x19, 0, 1, 1)                                                               \
    X(REF64, "ref64", 0x1a, 0, 1, 1)                                                               \
    X(IF_GOTO, "if_goto", 0x20, 2, 1, 0)                                                           \
    X(GOTO, "goto", 0x21, 2, 0, 0)                                                                 \
    X(CONST8, "const8", 0x22, 1, 0, 1)                                                             \
    X(CONST16, "const16", 0x23, 2, 0, 1)                                                           \
    X(CONST32, "const32", 0x24, 4, 0, 1)                                                           \
    X(CONST64, "const64", 0x25, 8, 0, 1)                                                           \
    X(REG, "reg", 0x26, 2, 0, 1)                                                                   \
    X(END, "end", 0x27, 0, 0, 0)                                                                   \
    X(DUP, "dup", 0x28, 0, 1, 2)                                                                   \
    X(POP, "pop", 0x29, 0, 1, 0)                                                                   \
    X(ZERO_EXT, "zero_ext", 0x2a, 1, 1, 1)                                                         \
    X(SWAP, "swap", 0x2b, 0, 2, 2)                                                                 \
    X(SETV, "setv", 0x2d, 2, 1, 1)                                                                 \
    X(TRACEV, "tracev", 0x2e, 2, 0, 0)                                                             \
    X(TRACENZ, "tracenz", 0x2f, 0, 2, 0)

enum agent_op {
#define AGENT_ID(id, name, code, operand, takes, leaves) AGENT_##id = code,
    AGENT_OPS(AGENT_ID)
#undef AGENT_ID
};

/* A program being written. A failure (too long) stays, and is asked for at the end. */
struct agent {
    uint8_t bytes[AGENT_MAX];
    size_t len;
    bool failed;
};

void agent_op(struct agent *agent, enum agent_op op); /* one without an operand */
void agent_constant(struct agent *agent, uint64_t value);
void agent_register(struct agent *agent, unsigned number); /* as the target description counts */
void agent_ref(struct agent *agent, unsigned bytes);       /* 1, 2, 4 or 8, zero-extended */
void agent_extend(struct agent *agent, unsigned bits, bool sign);
void agent_trace_quick(struct agent *agent, unsigned bytes); /* up to 255; the address stays */
void agent_trace_variable(struct agent *agent,
                          unsigned number); /* a trace state variable's value */

void agent_set_variable(struct agent *agent, unsigned number); /* to the top, which stays */

/* A jump whose goal is not known yet; agent_land() makes it the next instruction. */
size_t agent_jump(struct agent *agent, enum agent_op op);
void agent_land(struct agent *agent, size_t jump);

/* Is it a program that ends, stays inside itself, and keeps its stack within bounds? Jumps go
 * forward only, so each instruction runs once at most. */
bool agent_check(const uint8_t *bytes, size_t len);

/* One instruction a line: "   3 const8 7". Reads only what is there. */
void agent_print(const uint8_t *bytes, size_t len, struct buffer *out);
