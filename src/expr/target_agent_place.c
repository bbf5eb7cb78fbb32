/* Where variables are, as agent bytecode finds them. */
#include "expr/target_agent_parts.h"

#include <string.h>

#define TRIALS 3

/* One register, a constant added, or a constant alone: found by evaluating the location with
 * several sets of registers and looking which one the answer moves with. */
struct found {
    bool place;
    int slot;  /* -1: no register */
    bool wild; /* it is based on a register that may hold anything */
    uint64_t offset;
};

static void random_registers(const struct agent_site *site, uint64_t seed, struct registers *out) {
    const struct arch *arch = site->space->arch;
    memset(out, 0, sizeof *out);
    out->arch = arch;
    for (size_t i = 0; i < arch->range_count; i++)
        for (unsigned k = 0; k < arch->ranges[i].count && arch->ranges[i].size <= 8; k++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            registers_set(out, arch->ranges[i].slot + k, seed >> 8);
        }
    registers_set(out, (unsigned)arch->pc, site->pc);
}

struct trial {
    struct registers registers;
    struct located located;
    uint64_t cfa;
    bool has_cfa;
};

static bool try_location(struct agent_compiler *c, const struct insn *insn, uint64_t seed,
                         struct trial *out) {
    static struct frame frame;   /* large; one thread compiles */
    static struct memory memory; /* empty: a location that needs memory has no form */
    const char *why = "";
    random_registers(c->site, seed, &out->registers);
    memory_forget(&memory);
    frame_start(&frame, c->site->space, &memory, &out->registers);
    if (insn->loaded && insn->loaded != frame.loaded)
        frame.loaded = insn->loaded;
    out->has_cfa = frame_find_cfa(&frame, &why) == UNWIND_OK;
    out->cfa = frame.cfa;
    enum outcome outcome = location_evaluate(insn->location, &frame, NULL, &out->located, &why);
    return outcome == EVAL_OK && out->located.count == 1 && !out->located.pieces[0].bits;
}

static bool value_of_piece(const struct piece *piece, uint64_t *out) {
    *out = piece->address;
    if (piece->kind == PIECE_VALUE)
        memcpy(out, piece->value, sizeof *out);
    return piece->kind == PIECE_MEMORY || piece->kind == PIECE_VALUE;
}

/* In all trials the answer is this register and one and the same offset. */
static bool moves_with(const struct trial trials[static TRIALS],
                       const uint64_t values[static TRIALS], unsigned slot, uint64_t *offset) {
    for (size_t i = 0; i < TRIALS; i++) {
        uint64_t value;
        if (!registers_get(&trials[i].registers, slot, &value) ||
            (i && values[i] - value != *offset))
            return false;
        *offset = values[i] - value;
    }
    return true;
}

/* Does the register hold the frame? The stack is there, and what it holds. */
static bool holds_frame(const struct agent_site *site, const struct trial trials[static TRIALS],
                        unsigned slot) {
    const struct arch *arch = site->space->arch;
    uint64_t cfas[TRIALS], ignored = 0;
    bool all = true;
    for (size_t i = 0; i < TRIALS; i++) {
        cfas[i] = trials[i].cfa;
        all &= trials[i].has_cfa;
    }
    return slot == (unsigned)arch->sp || (int)slot == arch->tls ||
           (all && moves_with(trials, cfas, slot, &ignored));
}

static bool find(struct agent_compiler *c, const struct insn *insn, struct found *out) {
    static struct trial trials[TRIALS]; /* large; one thread compiles */
    uint64_t values[TRIALS];
    for (size_t i = 0; i < TRIALS; i++) {
        if (!try_location(c, insn, 0x9e3779b9 * (i + 1), &trials[i]))
            return agent_fail(c, "its location is not a simple one");
        const struct piece *piece = &trials[i].located.pieces[0];
        if (piece->kind == PIECE_REGISTER) {
            *out = (struct found){.slot = (int)piece->slot};
            return true;
        }
        if (!value_of_piece(piece, &values[i]))
            return agent_fail(c, "its location is not a simple one");
    }
    *out = (struct found){.place = trials[0].located.pieces[0].kind == PIECE_MEMORY, .slot = -1};
    out->offset = values[0];
    if (values[0] == values[1] && values[0] == values[2])
        return true;
    for (unsigned slot = 0; slot < ARCH_SLOTS; slot++)
        if (moves_with(trials, values, slot, &out->offset)) {
            out->slot = (int)slot;
            out->wild = !holds_frame(c->site, trials, slot);
            return true;
        }
    return agent_fail(c, "its location is not a simple one");
}

static bool push_register(struct agent_compiler *c, unsigned slot) {
    const struct arch *arch = c->site->space->arch;
    int number = c->site->number(c->site->ctx, slot);
    if (slot == (unsigned)arch->pc) /* a stub may show it behind the breakpoint */
        agent_constant(c->agent, c->site->pc);
    else if (number >= 0)
        agent_register(c->agent, (unsigned)number);
    else
        return agent_fail(c, "the stub's agent does not read this register");
    return true;
}

bool agent_constant_of(struct agent_compiler *c, const struct type *type, uint64_t value) {
    agent_constant(c->agent, value);
    return agent_push(c, (struct agent_entry){.type = type, .known = true, .value = value}) &&
           agent_fit(c, type_plain(type));
}

bool agent_variable(struct agent_compiler *c, const struct insn *insn) {
    struct found found = {0};
    uint64_t value = 0;
    if (insn->constant) {
        memcpy(&value, insn->constant, insn->n < 8 ? insn->n : 8);
        return agent_constant_of(c, insn->type, value);
    }
    if (!insn->location)
        return agent_fail(c, "it is optimized out");
    if (!find(c, insn, &found) || (found.slot >= 0 && !push_register(c, (unsigned)found.slot)))
        return false;
    if (found.slot < 0 || found.offset)
        agent_constant(c->agent, found.offset);
    if (found.slot >= 0 && found.offset)
        agent_op(c->agent, AGENT_ADD);
    struct agent_entry entry = {.type = insn->type, .place = found.place, .wild = found.wild};
    return agent_push(c, entry) && (found.place || agent_fit(c, type_plain(insn->type)));
}

bool agent_register_of(struct agent_compiler *c, const struct insn *insn) {
    return push_register(c, (unsigned)insn->u) &&
           agent_push(c, (struct agent_entry){.type = insn->type}) &&
           agent_fit(c, type_plain(insn->type));
}

/* gdbserver (13) does not notice that it could not read: its answer is then what it had in hand
 * before, and a register's value if that was the last thing it looked at. So the 8 bytes around the
 * address are read twice, after two registers that differ: if the answers differ, there is nothing
 * to be read (or somebody is writing there). */
bool agent_guard(struct agent_compiler *c) {
    const struct arch *arch = c->site->space->arch;
    int pc = c->site->number(c->site->ctx, (unsigned)arch->pc);
    int sp = c->site->number(c->site->ctx, (unsigned)arch->sp);
    if (!c->site->guards || pc < 0 || sp < 0)
        return agent_fail(c, "it follows a pointer, and the stub does not tell bad ones");
    struct agent *agent = c->agent;
    agent_op(agent, AGENT_DUP);
    agent_constant(agent, ~UINT64_C(7));
    agent_op(agent, AGENT_BIT_AND);
    agent_register(agent, (unsigned)pc);
    agent_op(agent, AGENT_POP);
    agent_op(agent, AGENT_DUP);
    agent_ref(agent, 8);
    agent_op(agent, AGENT_SWAP);
    agent_register(agent, (unsigned)sp);
    agent_op(agent, AGENT_POP);
    agent_ref(agent, 8);
    agent_op(agent, AGENT_EQUAL);
    agent_op(agent, AGENT_LOG_NOT);
    return agent_undecided_if(c);
}

bool target_agent_can_guard(const struct agent_site *site, uint64_t address, struct agent *agent) {
    static struct agent_compiler c; /* large; one thread compiles */
    struct agent_site willing = *site;
    willing.guards = true;
    c = (struct agent_compiler){.agent = agent, .site = &willing};
    agent_constant(agent, address);
    c.now.depth = 1;
    if (!agent_guard(&c))
        return false;
    agent_constant(agent, 0);
    agent_op(agent, AGENT_END);
    agent_land(agent, c.undecided[0]);
    agent_constant(agent, 1);
    agent_op(agent, AGENT_END);
    return !agent->failed;
}
