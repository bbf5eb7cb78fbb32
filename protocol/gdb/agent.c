#include "gdb/agent.h"

#include <string.h>

static const struct row {
    const char *name;
    uint8_t code, operand, takes, leaves;
} rows[] = {
#define AGENT_ROW(id, name, code, operand, takes, leaves) {name, code, operand, takes, leaves},
    AGENT_OPS(AGENT_ROW)
#undef AGENT_ROW
};

static const struct row *row_of(uint8_t code) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

/* ---- writing ---- */

/* Operands are big-endian. */
static void put(struct agent *agent, enum agent_op op, uint64_t operand, unsigned bytes) {
    if (agent->len + 1 + bytes > sizeof agent->bytes) {
        agent->failed = true;
        return;
    }
    agent->bytes[agent->len++] = (uint8_t)op;
    for (unsigned i = bytes; i--;)
        agent->bytes[agent->len++] = (uint8_t)(operand >> 8 * i);
}

void agent_op(struct agent *agent, enum agent_op op) {
    put(agent, op, 0, 0);
}

void agent_constant(struct agent *agent, uint64_t value) {
    if (value <= UINT8_MAX)
        put(agent, AGENT_CONST8, value, 1);
    else if (value <= UINT16_MAX)
        put(agent, AGENT_CONST16, value, 2);
    else if (value <= UINT32_MAX)
        put(agent, AGENT_CONST32, value, 4);
    else
        put(agent, AGENT_CONST64, value, 8);
}

void agent_register(struct agent *agent, unsigned number) {
    agent->failed |= number > UINT16_MAX;
    put(agent, AGENT_REG, number, 2);
}

void agent_ref(struct agent *agent, unsigned bytes) {
    agent_op(agent, bytes == 1   ? AGENT_REF8
                    : bytes == 2 ? AGENT_REF16
                    : bytes == 4 ? AGENT_REF32
                                 : AGENT_REF64);
}

void agent_extend(struct agent *agent, unsigned bits, bool sign) {
    if (bits < 64)
        put(agent, sign ? AGENT_EXT : AGENT_ZERO_EXT, bits, 1);
}

void agent_trace_quick(struct agent *agent, unsigned bytes) {
    agent->failed |= bytes > UINT8_MAX;
    put(agent, AGENT_TRACE_QUICK, bytes, 1);
}

void agent_trace_variable(struct agent *agent, unsigned number) {
    put(agent, AGENT_TRACEV, number, 2);
}

void agent_set_variable(struct agent *agent, unsigned number) {
    put(agent, AGENT_SETV, number, 2);
}

size_t agent_jump(struct agent *agent, enum agent_op op) {
    put(agent, op, 0, 2);
    return agent->len;
}

void agent_land(struct agent *agent, size_t jump) {
    if (agent->failed)
        return;
    agent->bytes[jump - 2] = (uint8_t)(agent->len >> 8);
    agent->bytes[jump - 1] = (uint8_t)agent->len;
}

/* ---- reading ---- */

static uint64_t operand_of(const uint8_t *bytes, unsigned n) {
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The stack's depth at each offset: 0 unknown, else one more than it is. */
static bool set_depth(uint8_t depths[], size_t at, size_t len, unsigned depth) {
    if (at >= len || (depths[at] && depths[at] != depth + 1))
        return false;
    depths[at] = (uint8_t)(depth + 1);
    return true;
}

bool agent_check(const uint8_t *bytes, size_t len) {
    uint8_t depths[AGENT_MAX] = {0};
    bool reached = true; /* from the instruction before */
    unsigned depth = 0;
    if (!len || len > AGENT_MAX)
        return false;
    for (size_t at = 0, next; at < len; at = next) {
        const struct row *row = row_of(bytes[at]);
        if (!row || row->operand > len - at - 1)
            return false;
        next = at + 1 + row->operand;
        for (size_t inside = at + 1; inside < next; inside++)
            if (depths[inside])
                return false; /* somebody jumps into its operand */
        if (!reached && !depths[at])
            return false; /* nothing leads here: how deep the stack is nobody knows */
        depth = reached ? depth : depths[at] - 1u;
        if ((reached && !set_depth(depths, at, len, depth)) || depth < row->takes)
            return false;
        depth = depth - row->takes + row->leaves;
        bool jumps = row->code == AGENT_GOTO || row->code == AGENT_IF_GOTO;
        uint64_t goal = operand_of(bytes + at + 1, row->operand);
        if (depth > AGENT_STACK ||
            (jumps && (goal < next || !set_depth(depths, (size_t)goal, len, depth))))
            return false;
        reached = row->code != AGENT_GOTO && row->code != AGENT_END;
    }
    return !reached;
}

void agent_print(const uint8_t *bytes, size_t len, struct buffer *out) {
    for (size_t at = 0; at < len;) {
        const struct row *row = row_of(bytes[at]);
        if (!row || row->operand > len - at - 1) {
            buffer_printf(out, "%4zu ? %02x\n", at, bytes[at]);
            at++;
            continue;
        }
        buffer_printf(out, "%4zu %s", at, row->name);
        if (row->operand)
            buffer_printf(out, " %llu",
                          (unsigned long long)operand_of(bytes + at + 1, row->operand));
        buffer_putc(out, '\n');
        at += 1u + row->operand;
    }
}
