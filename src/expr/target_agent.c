/* From the program of an expression to agent bytecode.
 *
 * Integers are kept on the agent's stack as 64 bits, extended as their type says, so that what is
 * computed modulo 2^64 and extended again is what target_run.c computes in 128. */
#include "expr/target_agent_parts.h"

bool agent_fail(struct agent_compiler *c, const char *why) {
    if (!c->why)
        c->why = why;
    return false;
}

bool agent_push(struct agent_compiler *c, struct agent_entry entry) {
    if (c->now.depth == AGENT_ENTRIES)
        return agent_fail(c, "it needs too deep a stack");
    c->now.entries[c->now.depth++] = entry;
    return true;
}

size_t agent_size(const struct type *plain) {
    return plain->size ? plain->size : 8;
}

bool agent_is_signed(const struct type *plain) {
    return plain->sign ||
           (plain->kind == TYPE_ENUM && plain->target && type_plain(plain->target)->sign);
}

bool agent_is_word(const struct type *plain) {
    bool kind =
        type_is_integer(plain) || plain->kind == TYPE_POINTER || plain->kind == TYPE_REFERENCE;
    return kind && agent_size(plain) <= 8;
}

/* Back to what the type holds, from 64 bits of anything. */
bool agent_fit(struct agent_compiler *c, const struct type *plain) {
    if (!agent_is_word(plain))
        return agent_fail(c, "floating-point numbers and wide integers are not the agent's");
    if (plain->kind == TYPE_BOOL) {
        agent_op(c->agent, AGENT_LOG_NOT);
        agent_op(c->agent, AGENT_LOG_NOT);
    } else {
        agent_extend(c->agent, 8 * (unsigned)agent_size(plain), agent_is_signed(plain));
    }
    return true;
}

/* ---- from places to values ---- */

/* Both ends of it, so that it may cross a page. */
static bool guard(struct agent_compiler *c, uint64_t bytes) {
    if (!agent_guard(c) || bytes == 1)
        return !c->why;
    agent_op(c->agent, AGENT_DUP);
    agent_constant(c->agent, bytes - 1);
    agent_op(c->agent, AGENT_ADD);
    c->now.depth++;
    bool fine = agent_guard(c);
    c->now.depth--;
    agent_op(c->agent, AGENT_POP);
    return fine;
}

/* Collected, too, where that is what the program is for. */
bool agent_will_read(struct agent_compiler *c, bool wild, uint64_t bytes) {
    if (wild && !guard(c, bytes))
        return false;
    if (c->collects && bytes <= UINT8_MAX) {
        agent_trace_quick(c->agent, (unsigned)bytes);
    } else if (c->collects) {
        agent_op(c->agent, AGENT_DUP);
        agent_constant(c->agent, bytes);
        agent_op(c->agent, AGENT_TRACE);
    }
    return true;
}

static bool load_bits(struct agent_compiler *c, struct agent_entry *entry,
                      const struct type *plain) {
    unsigned shift = entry->bit % 8, size = (shift + entry->bit_size + 7) / 8;
    if (size != 1 && size != 2 && size != 4 && size != 8)
        return agent_fail(c, "this bit-field is not read by the agent");
    agent_constant(c->agent, entry->bit / 8);
    agent_op(c->agent, AGENT_ADD);
    if (!agent_will_read(c, entry->wild, size))
        return false;
    agent_ref(c->agent, size);
    agent_constant(c->agent, shift);
    agent_op(c->agent, AGENT_RSH_UNSIGNED);
    agent_extend(c->agent, entry->bit_size, agent_is_signed(plain));
    return true;
}

/* The entry is on top of the agent's stack. */
static bool load_top(struct agent_compiler *c, struct agent_entry *entry) {
    const struct type *plain = type_plain(entry->type);
    bool code = plain->kind == TYPE_FUNCTION && !plain->unit_go; /* Go's are pointers */
    bool decays = plain->kind == TYPE_ARRAY || code;
    if (!entry->place)
        return agent_is_word(plain) || agent_fail(c, "it is no integer");
    entry->place = false;
    if (decays)
        return true;
    size_t size = agent_size(plain);
    if (!agent_is_word(plain) || (size & (size - 1)))
        return agent_fail(c, "floating-point numbers and wide integers are not the agent's");
    if (entry->bit_size) {
        bool fine = load_bits(c, entry, plain);
        entry->bit_size = entry->bit = 0;
        return fine;
    }
    if (!agent_will_read(c, entry->wild, size))
        return false;
    agent_ref(c->agent, (unsigned)size);
    if (agent_is_signed(plain))
        agent_extend(c->agent, 8 * (unsigned)size, true);
    return true;
}

bool agent_load(struct agent_compiler *c) {
    return load_top(c, agent_top(c));
}

/* The one below the top. */
bool agent_load_below(struct agent_compiler *c) {
    struct agent_entry *below = agent_top(c) - 1;
    if (!below->place)
        return load_top(c, below);
    agent_op(c->agent, AGENT_SWAP);
    bool fine = load_top(c, below);
    agent_op(c->agent, AGENT_SWAP);
    return fine;
}

bool agent_undecided_if_zero(struct agent_compiler *c) {
    agent_op(c->agent, AGENT_DUP);
    agent_op(c->agent, AGENT_LOG_NOT);
    return agent_undecided_if(c);
}

bool agent_undecided_if(struct agent_compiler *c) {
    if (c->undecided_count == AGENT_JUMPS)
        return agent_fail(c, "it has too many pointers");
    c->undecided_depth[c->undecided_count] = c->now.depth;
    c->undecided[c->undecided_count++] = agent_jump(c->agent, AGENT_IF_GOTO);
    return true;
}

static bool settle(struct agent_compiler *c, const struct type *type) {
    *agent_top(c) = (struct agent_entry){.type = type};
    return true;
}

/* ---- leaves ---- */

static bool compile_static(struct agent_compiler *c, const struct insn *insn) {
    agent_constant(c->agent, insn->n + (insn->loaded ? insn->loaded->bias : 0));
    return agent_push(c, (struct agent_entry){.type = insn->type, .place = true});
}

static bool compile_number(struct agent_compiler *c, const struct insn *insn) {
    return agent_constant_of(c, insn->type, insn->u);
}

/* ---- steps into objects ---- */

static bool compile_member(struct agent_compiler *c, const struct insn *insn) {
    struct agent_entry *top = agent_top(c);
    const struct member *member = insn->member;
    if (!top->place)
        return agent_fail(c, "it is a part of what is in registers");
    top->type = member->type;
    top->bit = (unsigned)member->bit;
    top->bit_size = member->bit_size;
    if (!member->bit_size && member->offset) {
        agent_constant(c->agent, member->offset);
        agent_op(c->agent, AGENT_ADD);
    }
    return true;
}

static bool compile_follow(struct agent_compiler *c, const struct insn *insn) {
    if (!agent_load(c) || !agent_undecided_if_zero(c))
        return false;
    *agent_top(c) = (struct agent_entry){.type = insn->type, .place = true, .wild = true};
    return true;
}

static bool compile_address(struct agent_compiler *c, const struct insn *insn) {
    struct agent_entry *top = agent_top(c);
    if (!top->place || top->bit_size)
        return agent_fail(c, "it has no address");
    return settle(c, insn->type);
}

/* The top becomes an offset. */
static void scale(struct agent_compiler *c, uint64_t n) {
    agent_constant(c->agent, n);
    agent_op(c->agent, AGENT_MUL);
}

static bool compile_index(struct agent_compiler *c, const struct insn *insn) {
    struct agent_entry *base = agent_top(c) - 1;
    const struct type *plain = type_plain(base->type);
    if (insn->shape || !insn->n || plain->unit_go)
        return agent_fail(c, "its elements are behind a length");
    if (plain->kind == TYPE_ARRAY && !base->place)
        return agent_fail(c, "it is a part of what is in registers");
    const struct agent_entry *index = agent_top(c);
    bool inside = index->known && plain->kind == TYPE_ARRAY && plain->has_count &&
                  index->value < plain->count && !base->wild;
    if (!agent_load(c) || !agent_load_below(c))
        return false;
    scale(c, insn->n);
    agent_op(c->agent, AGENT_ADD);
    c->now.depth--;
    *agent_top(c) = (struct agent_entry){.type = insn->type, .place = true, .wild = !inside};
    return true;
}

/* ---- arithmetic ---- */

static bool compile_convert(struct agent_compiler *c, const struct insn *insn) {
    const struct type *plain = type_plain(insn->type);
    if (type_is_composite(plain) || plain->kind == TYPE_ARRAY) {
        agent_top(c)->type = insn->type;
        return true;
    }
    struct agent_entry *top = agent_top(c);
    bool known = top->known && top->value <= INT8_MAX; /* every type holds it as it is */
    if (!agent_load(c) || !agent_fit(c, plain))
        return false;
    *top = (struct agent_entry){.type = insn->type, .known = known, .value = top->value};
    return true;
}

static bool compile_unary(struct agent_compiler *c, const struct insn *insn) {
    if (!agent_load(c))
        return false;
    switch (insn->op) {
    case I_NEGATE:
        agent_constant(c->agent, 0);
        agent_op(c->agent, AGENT_SWAP);
        agent_op(c->agent, AGENT_SUB);
        break;
    case I_BIT_NOT: agent_op(c->agent, AGENT_BIT_NOT); break;
    case I_TRUTH: agent_op(c->agent, AGENT_LOG_NOT); /* fall through */
    default: agent_op(c->agent, AGENT_LOG_NOT); break;
    }
    return agent_fit(c, type_plain(insn->type)) && settle(c, insn->type);
}

static bool fit_both(struct agent_compiler *c, const struct type *in) {
    const struct agent_entry *top = agent_top(c), *below = top - 1;
    if (type_plain(top->type) != in && !agent_fit(c, in))
        return false;
    if (type_plain(below->type) == in)
        return true;
    agent_op(c->agent, AGENT_SWAP);
    bool fine = agent_fit(c, in);
    agent_op(c->agent, AGENT_SWAP);
    return fine;
}

static bool compile_division(struct agent_compiler *c, const struct type *in, bool rest) {
    const struct agent_entry *by = agent_top(c);
    bool sign = agent_is_signed(in);
    /* The least number divided by -1 would be the end of gdbserver. */
    if (sign && agent_size(in) == 8 && (!by->known || by->value + 1 <= 1))
        return agent_fail(c, "64-bit divisions are left to pickglass");
    if (!agent_undecided_if_zero(c))
        return false;
    agent_op(c->agent, rest ? (sign ? AGENT_REM_SIGNED : AGENT_REM_UNSIGNED)
                            : (sign ? AGENT_DIV_SIGNED : AGENT_DIV_UNSIGNED));
    return true;
}

static bool compile_shift(struct agent_compiler *c, const struct type *in, bool left) {
    const struct agent_entry *by = agent_top(c);
    if (!by->known || by->value >= 8 * agent_size(in))
        return agent_fail(c, "shifts by what is not constant are left to pickglass");
    agent_op(c->agent, left                  ? AGENT_LSH
                       : agent_is_signed(in) ? AGENT_RSH_SIGNED
                                             : AGENT_RSH_UNSIGNED);
    return true;
}

/* a <= b is !(b < a). */
static void compile_order(struct agent_compiler *c, const struct type *in, bool swaps,
                          bool negates) {
    if (swaps)
        agent_op(c->agent, AGENT_SWAP);
    agent_op(c->agent, agent_is_signed(in) ? AGENT_LESS_SIGNED : AGENT_LESS_UNSIGNED);
    if (negates)
        agent_op(c->agent, AGENT_LOG_NOT);
}

static bool compile_operator(struct agent_compiler *c, const struct type *in, enum target_op op) {
    switch (op) {
    case TOP_ADD: agent_op(c->agent, AGENT_ADD); return true;
    case TOP_SUB: agent_op(c->agent, AGENT_SUB); return true;
    case TOP_MUL: agent_op(c->agent, AGENT_MUL); return true;
    case TOP_BIT_AND: agent_op(c->agent, AGENT_BIT_AND); return true;
    case TOP_BIT_OR: agent_op(c->agent, AGENT_BIT_OR); return true;
    case TOP_BIT_XOR: agent_op(c->agent, AGENT_BIT_XOR); return true;
    case TOP_DIV:
    case TOP_MOD: return compile_division(c, in, op == TOP_MOD);
    case TOP_SHL:
    case TOP_SHR: return compile_shift(c, in, op == TOP_SHL);
    case TOP_NE:
        agent_op(c->agent, AGENT_EQUAL);
        agent_op(c->agent, AGENT_LOG_NOT);
        return true;
    case TOP_EQ: agent_op(c->agent, AGENT_EQUAL); return true;
    case TOP_LT:
    case TOP_GE: compile_order(c, in, false, op == TOP_GE); return true;
    case TOP_GT:
    case TOP_LE: compile_order(c, in, true, op == TOP_LE); return true;
    default: return agent_fail(c, "the agent has no such operator");
    }
}

static bool compile_binary(struct agent_compiler *c, const struct insn *insn) {
    const struct type *in = type_plain((const struct type *)(uintptr_t)insn->u);
    bool shifts = insn->sub == TOP_SHL || insn->sub == TOP_SHR;
    if (!agent_load(c) || !agent_load_below(c))
        return false;
    if (!agent_is_word(in))
        return agent_fail(c, "floating-point numbers and wide integers are not the agent's");
    if (shifts && type_plain(agent_top(c)[-1].type) != in) {
        agent_op(c->agent, AGENT_SWAP);
        agent_fit(c, in);
        agent_op(c->agent, AGENT_SWAP);
    }
    if ((!shifts && !fit_both(c, in)) || !compile_operator(c, in, insn->sub))
        return false;
    c->now.depth--;
    return agent_fit(c, type_plain(insn->type)) && settle(c, insn->type);
}

static bool compile_pointer_step(struct agent_compiler *c, const struct insn *insn) {
    if (!agent_load(c))
        return false;
    scale(c, insn->n);
    if (!agent_load_below(c))
        return false;
    agent_op(c->agent, insn->sub == TOP_SUB ? AGENT_SUB : AGENT_ADD);
    c->now.depth--;
    return agent_fit(c, type_plain(insn->type)) && settle(c, insn->type);
}

/* ---- flow ---- */

static bool add_jump(struct agent_compiler *c, enum agent_op op, size_t goal) {
    if (c->branch_count == AGENT_JUMPS)
        return agent_fail(c, "it has too many branches");
    struct agent_branch *jump = &c->branches[c->branch_count++];
    jump->goal = goal;
    jump->from = agent_jump(c->agent, op);
    jump->state = c->now;
    return true;
}

static bool compile_jump(struct agent_compiler *c, const struct insn *insn) {
    bool fine = agent_load(c) && add_jump(c, AGENT_GOTO, insn->n);
    c->reached = false;
    return fine;
}

static bool compile_branch(struct agent_compiler *c, const struct insn *insn) {
    if (!agent_load(c))
        return false;
    if (insn->op == I_JUMP_UNLESS)
        agent_op(c->agent, AGENT_LOG_NOT);
    c->now.depth--;
    return add_jump(c, AGENT_IF_GOTO, insn->n);
}

/* Values of any integer types are alike; what is shown differs with its type. */
static bool same_kind(const struct type *a, const struct type *b) {
    return type_plain(a) == type_plain(b) ||
           (type_is_number(type_plain(a)) && type_is_number(type_plain(b)));
}

static bool same_state(const struct agent_compiler *c, const struct agent_state *b) {
    const struct agent_state *a = &c->now;
    bool same = a->depth == b->depth;
    for (size_t i = 0; same && i < a->depth; i++) {
        const struct agent_entry *x = &a->entries[i], *y = &b->entries[i];
        same = x->place == y->place && x->wild == y->wild && x->bit_size == y->bit_size &&
               (x->place      ? type_plain(x->type) == type_plain(y->type)
                : c->collects ? same_kind(x->type, y->type)
                              : true);
    }
    return same;
}

/* Where branches meet, what they leave must be of one kind: values, which have been extended. */
static bool land(struct agent_compiler *c, size_t at) {
    bool any = false;
    for (size_t i = 0; i < c->branch_count; i++)
        any |= c->branches[i].goal == at;
    if (any && c->reached && c->now.depth && agent_top(c)->place && !agent_load(c))
        return false;
    for (size_t i = 0; i < c->branch_count; i++) {
        struct agent_branch *jump = &c->branches[i];
        if (jump->goal != at)
            continue;
        if (c->reached && !same_state(c, &jump->state))
            return agent_fail(c, "its branches have different types");
        c->now = jump->state;
        for (size_t k = 0; k < c->now.depth; k++)
            c->now.entries[k].known = false;
        c->reached = true;
        agent_land(c->agent, jump->from);
    }
    return c->reached || agent_fail(c, "nothing leads to a part of it");
}

static bool compile_pop(struct agent_compiler *c, const struct insn *insn) {
    (void)insn;
    agent_op(c->agent, AGENT_POP);
    c->now.depth--;
    return true;
}

static bool (*const compilers[])(struct agent_compiler *c, const struct insn *insn) = {
    [I_NUMBER] = compile_number,
    [I_VARIABLE] = agent_variable,
    [I_ADDRESS_OF_STATIC] = compile_static,
    [I_REGISTER] = agent_register_of,
    [I_MEMBER] = compile_member,
    [I_FOLLOW] = compile_follow,
    [I_ADDRESS] = compile_address,
    [I_INDEX] = compile_index,
    [I_CONVERT] = compile_convert,
    [I_NEGATE] = compile_unary,
    [I_BIT_NOT] = compile_unary,
    [I_NOT] = compile_unary,
    [I_TRUTH] = compile_unary,
    [I_BINARY] = compile_binary,
    [I_POINTER_STEP] = compile_pointer_step,
    [I_JUMP] = compile_jump,
    [I_JUMP_IF] = compile_branch,
    [I_JUMP_UNLESS] = compile_branch,
    [I_POP] = compile_pop,
};

bool agent_compile(struct agent_compiler *c, const struct target_expr *expr) {
    if (expr->generic)
        return agent_fail(c, "what its types are is known at run time only");
    if (c->site->space->arch->word != 8)
        return agent_fail(c, "only 64-bit targets are compiled for");
    for (size_t at = 0; at <= expr->count; at++) {
        if (!land(c, at))
            return false;
        if (at == expr->count)
            break;
        const struct insn *insn = &expr->code[at];
        if (insn->op >= sizeof compilers / sizeof *compilers || !compilers[insn->op])
            return agent_fail(c, "the agent has no form of a part of it (texts, slices, lengths)");
        if (!compilers[insn->op](c, insn))
            return false;
    }
    return true;
}

static bool finish(struct agent_compiler *c, const char **why) {
    if (c->agent->failed)
        agent_fail(c, "it is too long");
    *why = c->why;
    return !c->why;
}

bool target_agent_condition(const struct target_expr *expr, const struct agent_site *site,
                            struct agent *agent, const char **why) {
    static struct agent_compiler c; /* large; one thread compiles */
    c = (struct agent_compiler){.agent = agent, .site = site, .reached = true};
    if (agent_compile(&c, expr) && agent_load(&c)) {
        agent_op(agent, AGENT_END);
        for (size_t i = 0; i < c.undecided_count; i++) { /* one each: their stacks differ */
            agent_land(agent, c.undecided[i]);
            agent_constant(agent, 1);
            agent_op(agent, AGENT_END);
        }
    }
    return finish(&c, why);
}
