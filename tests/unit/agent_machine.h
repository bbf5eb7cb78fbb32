/* A machine for agent bytecode, in the words of gdb's manual (appendix "The GDB Agent Expression
 * Mechanism"); what it does beyond them is gdbserver's. */
#pragma once

#include "symbol/memory.h"
#include "unit.h"
#include <unistd.h>

struct run {
    int target;                                  /* its /proc/PID/mem */
    uint64_t stack[100], registers[64], in_hand; /* what a read that fails leaves, in gdbserver */
    size_t depth;
    bool failed;              /* division by zero */
    struct memory *collected; /* where to put what is traced; NULL: nowhere */
};

static uint64_t pop(struct run *r) {
    cr_assert(r->depth, "the stack is empty");
    return r->stack[--r->depth];
}

static void put(struct run *r, uint64_t value) {
    cr_assert(r->depth < 100, "the stack is full");
    r->stack[r->depth++] = value;
}

static bool fetch(const struct run *r, uint64_t address, void *out, size_t n) {
    return pread(r->target, out, n, (off_t)address) == (ssize_t)n;
}

static void trace(struct run *r, uint64_t address, size_t n) {
    static uint8_t bytes[65536];
    cr_assert(fetch(r, address, bytes, n), "what is not there would be collected");
    if (r->collected)
        memory_fill(r->collected, address, bytes, n, n);
}

static void trace_text(struct run *r, uint64_t address, size_t n) {
    char bytes[4096];
    size_t have = 0;
    do
        cr_assert(fetch(r, address + have, bytes + have, 1),
                  "what is not there would be collected");
    while (bytes[have++] && have < n);
    if (r->collected)
        memory_fill(r->collected, address, bytes, have, have);
}

static void reference(struct run *r, size_t n) {
    uint64_t value = 0;
    if (fetch(r, pop(r), &value, n))
        r->in_hand = value;
    else
        value = n < 8 ? r->in_hand & ((UINT64_C(1) << 8 * n) - 1) : r->in_hand;
    put(r, value);
}

static void divide(struct run *r, bool sign, bool rest) {
    uint64_t b = pop(r), a = pop(r);
    r->failed |= !b;
    cr_assert(!(sign && a == UINT64_C(1) << 63 && b == UINT64_MAX), "gdbserver would die of this");
    if (!b)
        put(r, 0);
    else if (sign)
        put(r, (uint64_t)(rest ? (int64_t)a % (int64_t)b : (int64_t)a / (int64_t)b));
    else
        put(r, rest ? a % b : a / b);
}

static uint64_t binary(uint8_t op, uint64_t a, uint64_t b) {
    switch (op) {
    case 0x02: return a + b;
    case 0x03: return a - b;
    case 0x04: return a * b;
    case 0x09: return b < 64 ? a << b : 0;
    case 0x0a: return (uint64_t)((int64_t)a >> b);
    case 0x0b: return a >> b;
    case 0x0f: return a & b;
    case 0x10: return a | b;
    case 0x11: return a ^ b;
    case 0x13: return a == b;
    case 0x14: return (int64_t)a < (int64_t)b;
    case 0x15: return a < b;
    }
    cr_assert_fail("opcode %x", op);
    return 0;
}

static uint64_t narrow(uint64_t value, unsigned bits, bool sign) {
    uint64_t high = value << (64 - bits);
    return sign ? (uint64_t)((int64_t)high >> (64 - bits)) : high >> (64 - bits);
}

static void interpret(struct run *r, const uint8_t *code, size_t len) {
    size_t at = 0;
    while (at < len && !r->failed) {
        uint8_t op = code[at++];
        uint64_t operand = 0, value;
        static const uint8_t sizes[256] = {
            [0x0d] = 1, [0x16] = 1, [0x20] = 2, [0x21] = 2, [0x22] = 1, [0x23] = 2,
            [0x24] = 4, [0x25] = 8, [0x26] = 2, [0x2a] = 1, [0x2e] = 2};
        for (unsigned i = 0; i < sizes[op]; i++)
            operand = operand << 8 | code[at++];
        switch (op) {
        case 0x05:
        case 0x06:
        case 0x07:
        case 0x08: divide(r, op == 0x05 || op == 0x07, op >= 0x07); break;
        case 0x0c: value = pop(r), trace(r, pop(r), value); break;
        case 0x0d: trace(r, r->stack[r->depth - 1], operand); break;
        case 0x0e: put(r, !pop(r)); break;
        case 0x12: put(r, ~pop(r)); break;
        case 0x16:
        case 0x2a: put(r, narrow(pop(r), (unsigned)operand, op == 0x16)); break;
        case 0x17:
        case 0x18:
        case 0x19:
        case 0x1a: reference(r, (size_t)1 << (op - 0x17)); break;
        case 0x20: at = pop(r) ? operand : at; break;
        case 0x21: at = operand; break;
        case 0x22:
        case 0x23:
        case 0x24:
        case 0x25: put(r, operand); break;
        case 0x26: put(r, r->in_hand = r->registers[operand]); break;
        case 0x27: return;
        case 0x28: value = pop(r), put(r, value), put(r, value); break;
        case 0x29: pop(r); break;
        case 0x2b: {
            uint64_t b = pop(r), a = pop(r);
            put(r, b), put(r, a);
            break;
        }
        case 0x2f: value = pop(r), trace_text(r, pop(r), value); break;
        default: {
            uint64_t b = pop(r), a = pop(r);
            put(r, binary(op, a, b));
        }
        }
    }
    cr_assert(r->failed || at == len, "it ran out of itself");
}
