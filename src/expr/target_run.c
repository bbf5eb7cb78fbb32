/* The machine that runs compiled expressions of the target's language. */
#include "expr/target_generic.h"

#include <string.h>

#define STACK 64
#define COMPARE_MAX 65536 /* bytes of two texts that are compared */

struct machine {
    struct evaluation *evaluation;
    struct operand stack[STACK];
    size_t depth;
};

/* ---- variables ---- */

static enum outcome run_variable(struct machine *m, const struct insn *insn, struct operand *out) {
    struct evaluation *evaluation = m->evaluation;
    struct located located;
    const char *why = "";
    if (insn->constant) {
        *out = (struct operand){.type = insn->type, .bytes = insn->constant, .size = insn->n};
        return EVAL_OK;
    }
    if (!insn->location)
        return evaluation_fail(evaluation, "%s", insn->text ? insn->text : "optimized out");
    struct frame *frame = evaluation->frame, global;
    if (insn->loaded && insn->loaded != frame->loaded) { /* of another module than the frame's */
        global = *frame;
        global.loaded = insn->loaded;
        frame = &global;
    }
    enum outcome outcome = location_evaluate(insn->location, frame, NULL, &located, &why);
    if (outcome == EVAL_AGAIN)
        evaluation->again = true;
    if (outcome == EVAL_FAILED)
        return evaluation_fail(evaluation, "%s", why);
    return outcome == EVAL_OK ? operand_of_location(evaluation, &located, insn->type, out)
                              : outcome;
}

static enum outcome run_register(struct machine *m, const struct insn *insn, struct operand *out) {
    struct registers *registers = &m->evaluation->frame->registers;
    if (!registers_has(registers, (unsigned)insn->u))
        return evaluation_fail(m->evaluation, "this register is not known in this frame");
    *out = (struct operand){.type = insn->type, .size = type_plain(insn->type)->size};
    memcpy(out->small, registers->bytes[insn->u], sizeof out->small);
    return EVAL_OK;
}

/* Damaged debug info has members that lie outside of their struct. */
static bool is_inside(const struct result_piece *piece, size_t whole) {
    bool fits = piece->to <= whole && piece->size <= whole - piece->to;
    return fits && (piece->on_stack || piece->from + piece->size <= ARCH_REGISTER);
}

static enum outcome read_piece(struct machine *m, const struct result_piece *piece, uint8_t *out) {
    const struct registers *registers = &m->evaluation->frame->registers;
    uint64_t address;
    if (!registers_get(registers, piece->slot, &address))
        return evaluation_fail(m->evaluation, "its register is not known in this frame");
    if (piece->on_stack) {
        struct operand part = operand_in_memory(NULL, address + piece->from);
        return operand_read(m->evaluation, &part, 0, out, piece->size);
    }
    memcpy(out, registers->bytes[piece->slot] + piece->from, piece->size);
    return EVAL_OK;
}

static enum outcome run_result(struct machine *m, const struct insn *insn, struct operand *out) {
    const struct result_piece *first = insn->pieces;
    size_t size = type_plain(insn->type)->size;
    enum outcome worst = EVAL_OK;
    uint64_t address;
    if (insn->n == 1 && first->on_stack) { /* it may be large, and little of it wanted */
        if (!registers_get(&m->evaluation->frame->registers, first->slot, &address))
            return evaluation_fail(m->evaluation, "its register is not known in this frame");
        *out = operand_in_memory(insn->type, address + first->from);
        return EVAL_OK;
    }
    uint8_t *bytes = arena_alloc(m->evaluation->scratch, size);
    if (!bytes)
        return evaluation_fail(m->evaluation, "it takes more memory than one hit may");
    memset(bytes, 0, size);
    for (uint64_t i = 0; i < insn->n; i++) {
        if (!is_inside(&first[i], size))
            return evaluation_fail(m->evaluation, "its type is damaged");
        enum outcome outcome = read_piece(m, &first[i], bytes + first[i].to);
        worst = outcome > worst ? outcome : worst;
    }
    *out = (struct operand){.type = insn->type, .bytes = bytes, .size = size};
    return worst;
}

/* ---- steps into objects ---- */

static void run_member(const struct insn *insn, struct operand *top) {
    const struct member *member = insn->member;
    if (!member->bit_size) {
        *top = operand_part(top, member->type, member->offset);
        return;
    }
    top->type = member->type;
    top->bit = (unsigned)member->bit;
    top->bit_size = member->bit_size;
}

/* The offset of a virtual base class is in the object's vtable: the expression finds it. */
static enum outcome run_virtual(struct machine *m, const struct insn *insn, struct operand *top) {
    const struct member *member = insn->member;
    struct located located;
    const char *why = "";
    struct module *module = insn->loaded ? insn->loaded->module : NULL;
    if (!top->in_memory || !module)
        return evaluation_fail(m->evaluation, "its virtual base class is not in memory");
    const struct dwarf_expression *expression =
        location_decode(module, member->dwarf, member->location, member->location_size);
    if (!expression)
        return evaluation_fail(m->evaluation, "the place of its virtual base class is damaged");
    enum outcome outcome =
        location_evaluate(expression, m->evaluation->frame, &top->address, &located, &why);
    if (outcome == EVAL_AGAIN)
        m->evaluation->again = true;
    if (outcome == EVAL_FAILED)
        return evaluation_fail(m->evaluation, "%s", why);
    if (outcome == EVAL_OK)
        *top = operand_in_memory(member->type, located.pieces[0].address);
    return outcome;
}

static enum outcome run_follow(struct machine *m, const struct insn *insn, struct operand *top) {
    struct number address;
    struct operand target;
    enum outcome outcome;
    if (operand_is_implicit(top)) {
        outcome = implicit_target(m->evaluation, top, insn->type, 0, &target);
        if (outcome == EVAL_OK)
            *top = target;
        return outcome;
    }
    outcome = operand_number(m->evaluation, top, &address);
    if (outcome != EVAL_OK)
        return outcome;
    if (!address.i)
        return evaluation_fail(m->evaluation, "a null pointer is followed");
    *top = operand_in_memory(insn->type, (uint64_t)address.i);
    return EVAL_OK;
}

static enum outcome run_address(struct machine *m, const struct insn *insn, struct operand *top) {
    if (!top->in_memory || top->bit_size)
        return evaluation_fail(m->evaluation, top->bit_size
                                                  ? "a bit-field has no address"
                                                  : "it is not in memory: it has no address");
    *top = operand_of_number(insn->type, (struct number){.i = (__int128)top->address});
    return EVAL_OK;
}

/* ---- elements ---- */

static enum outcome run_index(struct machine *m, const struct insn *insn, struct operand *top,
                              const struct operand *index) {
    struct number at, base;
    enum outcome outcome = operand_number(m->evaluation, index, &at);
    const struct type *plain = type_plain(top->type);
    if (outcome != EVAL_OK)
        return outcome;
    if (insn->shape) {
        struct operand element;
        outcome = shape_element(m->evaluation, top, insn->shape, at.i, &element);
        if (outcome == EVAL_OK)
            *top = element;
        return outcome;
    }
    uint64_t stride = insn->n;
    if (!stride && (outcome = type_run_size(m->evaluation, insn->type, &stride)) != EVAL_OK)
        return outcome;
    if (plain->kind == TYPE_ARRAY) {
        /* C lets an array's last element be passed; Go does not. */
        if (plain->unit_go && (at.i < 0 || (uint64_t)at.i >= plain->count))
            return evaluation_fail(m->evaluation, "index %lld is outside of its %llu elements",
                                   (long long)at.i, (unsigned long long)plain->count);
        *top = operand_part(top, insn->type, (uint64_t)at.i * stride);
        return EVAL_OK;
    }
    struct operand target;
    if (operand_is_implicit(top)) {
        outcome = implicit_target(m->evaluation, top, insn->type, (uint64_t)at.i * stride, &target);
        if (outcome == EVAL_OK)
            *top = target;
        return outcome;
    }
    outcome = operand_number(m->evaluation, top, &base);
    if (outcome == EVAL_OK)
        *top = operand_in_memory(insn->type, (uint64_t)base.i + (uint64_t)at.i * stride);
    return outcome;
}

/* `insn->sub`: 1 has a lower bound, 2 an upper one, on the stack in this order. The result is an
 * array of so many elements. */
static enum outcome run_slice(struct machine *m, const struct insn *insn, struct operand *top,
                              const struct operand *bounds) {
    struct number from = {0}, to = {0}, base;
    const struct type *plain = type_plain(top->type);
    struct operand first = operand_in_memory(insn->type, 0);
    uint64_t count = UINT64_MAX, stride = insn->n;
    enum outcome outcome = stride ? EVAL_OK : type_run_size(m->evaluation, insn->type, &stride);
    if (outcome == EVAL_OK && insn->sub & 1)
        outcome = operand_number(m->evaluation, bounds++, &from);
    if (outcome == EVAL_OK && insn->sub & 2)
        outcome = operand_number(m->evaluation, bounds, &to);
    if (outcome == EVAL_OK && insn->shape) {
        outcome = shape_elements(m->evaluation, top, insn->shape, &first, &count);
    } else if (outcome == EVAL_OK) {
        outcome = operand_number(m->evaluation, top, &base);
        first.address = (uint64_t)base.i;
        count = plain->kind == TYPE_ARRAY && plain->has_count ? plain->count : UINT64_MAX;
    }
    if (outcome != EVAL_OK)
        return outcome;
    if (!(insn->sub & 2))
        to.i = (__int128)count;
    if (from.i < 0 || from.i > to.i || to.i > (__int128)count || to.i - from.i > 1 << 20)
        return evaluation_fail(m->evaluation, "[%lld:%lld] is no part of it", (long long)from.i,
                               (long long)to.i);
    struct type *array = arena_alloc(m->evaluation->scratch, sizeof *array);
    if (!array)
        return evaluation_fail(m->evaluation, "it takes more memory than one hit may");
    *array = (struct type){.kind = TYPE_ARRAY,
                           .target = insn->type,
                           .count = (uint64_t)(to.i - from.i),
                           .has_count = true,
                           .stride = stride,
                           .size = (uint64_t)(to.i - from.i) * stride,
                           .unit_go = plain->unit_go,
                           .complete = true};
    operand_move(&first, (uint64_t)from.i * stride);
    first.type = array;
    *top = first;
    return EVAL_OK;
}

static enum outcome run_length(struct machine *m, const struct insn *insn, struct operand *top) {
    uint64_t count;
    struct shape shape = *insn->shape;
    if (insn->op == I_CAPACITY)
        shape.length = shape.capacity;
    enum outcome outcome = shape_count(m->evaluation, top, &shape, &count);
    if (outcome == EVAL_OK)
        *top = operand_of_number(insn->type, (struct number){.i = (__int128)count});
    return outcome;
}

static enum outcome run_lookup(struct machine *m, const struct insn *insn, struct operand *top,
                               const struct operand *key) {
    struct operand found;
    enum outcome outcome = entry_lookup(m->evaluation, top, insn->shape, key, insn->sub, &found);
    if (outcome == EVAL_OK)
        *top = found;
    return outcome;
}

static enum outcome run_assert(struct machine *m, const struct insn *insn, struct operand *top) {
    struct operand held;
    enum outcome outcome = interface_assert(m->evaluation, top, insn->shape, insn->type, &held);
    if (outcome == EVAL_OK)
        *top = held;
    return outcome;
}

/* ---- arithmetic ---- */

static enum outcome run_convert(struct machine *m, const struct insn *insn, struct operand *top) {
    struct number number;
    const struct type *plain = type_plain(insn->type);
    bool implicit = plain->kind == TYPE_POINTER && operand_is_implicit(top);
    if (type_is_composite(plain) || plain->kind == TYPE_ARRAY || implicit) { /* the same bytes */
        top->type = insn->type;
        return EVAL_OK;
    }
    enum outcome outcome = operand_number(m->evaluation, top, &number);
    if (outcome == EVAL_OK)
        *top = operand_of_number(insn->type, number_fit(plain, number));
    return outcome;
}

static enum outcome run_unary(struct machine *m, const struct insn *insn, struct operand *top) {
    struct number number;
    enum outcome outcome = operand_number(m->evaluation, top, &number);
    if (outcome != EVAL_OK)
        return outcome;
    const struct type *plain = type_plain(insn->type);
    switch (insn->op) {
    case I_NEGATE:
        number.i = (__int128)(0 - (unsigned __int128)number.i);
        number.f = -number.f;
        break;
    case I_BIT_NOT: number.i = ~number.i; break;
    case I_NOT: number = (struct number){.i = number.is_float ? !number.f : !number.i}; break;
    default: number = (struct number){.i = number.is_float ? number.f != 0 : number.i != 0}; break;
    }
    *top = operand_of_number(insn->type, number_fit(plain, number));
    return EVAL_OK;
}

/* `u` is the type of the operands of a comparison, whose own type is `type`. */
static enum outcome run_binary(struct machine *m, const struct insn *insn, struct operand *left,
                               const struct operand *right) {
    struct number a, b, result;
    const char *why = "";
    const struct type *in = (const struct type *)(uintptr_t)insn->u;
    enum outcome x = operand_number(m->evaluation, left, &a);
    enum outcome y = operand_number(m->evaluation, right, &b);
    if (x != EVAL_OK || y != EVAL_OK)
        return x > y ? x : y;
    a = number_fit(in, a);
    bool shifts = insn->sub == TOP_SHL || insn->sub == TOP_SHR;
    b = shifts ? b : number_fit(in, b);
    if (!number_binary(insn->sub, in, a, b, &result, &why))
        return evaluation_fail(m->evaluation, "%s", why);
    *left = operand_of_number(insn->type, result);
    return EVAL_OK;
}

static enum outcome run_pointer(struct machine *m, const struct insn *insn, struct operand *left,
                                const struct operand *right) {
    struct number a, b;
    enum outcome x = operand_number(m->evaluation, left, &a);
    enum outcome y = operand_number(m->evaluation, right, &b);
    if (x != EVAL_OK || y != EVAL_OK)
        return x > y ? x : y;
    struct number result = {0};
    if (insn->op == I_POINTER_DIFFERENCE)
        result.i = insn->n ? (a.i - b.i) / (__int128)insn->n : 0;
    else
        result.i =
            insn->sub == TOP_SUB ? a.i - b.i * (__int128)insn->n : a.i + b.i * (__int128)insn->n;
    *left = operand_of_number(insn->type, number_fit(type_plain(insn->type), result));
    return EVAL_OK;
}

/* A pointer to a class, seen as one to a base class of it, or the other way. Null stays null. */
static enum outcome run_shift(struct machine *m, const struct insn *insn, struct operand *top) {
    struct number number;
    enum outcome outcome = operand_number(m->evaluation, top, &number);
    if (outcome != EVAL_OK)
        return outcome;
    if (number.i)
        number.i += insn->sub == TOP_SUB ? -(__int128)insn->n : (__int128)insn->n;
    *top = operand_of_number(insn->type, number);
    return EVAL_OK;
}

static enum outcome run_size(struct machine *m, const struct insn *insn, struct operand *top) {
    uint64_t size;
    enum outcome outcome = type_run_size(m->evaluation, top->type, &size);
    if (outcome == EVAL_OK)
        *top = operand_of_number(insn->type, (struct number){.i = (__int128)size});
    return outcome;
}

static enum outcome run_compare_text(struct machine *m, const struct insn *insn,
                                     struct operand *left, const struct operand *right) {
    const char *a, *b;
    size_t a_len, b_len;
    uint64_t a_whole, b_whole;
    enum outcome x = operand_text(m->evaluation, left, COMPARE_MAX, &a, &a_len, &a_whole);
    enum outcome y = operand_text(m->evaluation, right, COMPARE_MAX, &b, &b_len, &b_whole);
    if (x != EVAL_OK || y != EVAL_OK)
        return x > y ? x : y;
    if (a_len < a_whole && b_len < b_whole && a_whole == b_whole)
        return evaluation_fail(m->evaluation, "both texts are too long to be compared");
    size_t n = a_len < b_len ? a_len : b_len;
    int order = memcmp(a, b, n);
    order = order ? order : (a_whole > b_whole) - (a_whole < b_whole);
    struct number zero = {0}, number = {.i = order}, truth;
    const char *why;
    number_binary(insn->sub, type_basic(BASIC_INT), number, zero, &truth, &why);
    *left = operand_of_number(insn->type, truth);
    return EVAL_OK;
}

/* ---- the loop ---- */

static enum outcome push(struct machine *m, const struct insn *insn) {
    struct operand *top = &m->stack[m->depth];
    if (m->depth == STACK)
        return evaluation_fail(m->evaluation, "the expression needs too deep a stack");
    enum outcome outcome = EVAL_OK;
    switch (insn->op) {
    case I_NUMBER:
        *top = operand_of_number(insn->type,
                                 type_plain(insn->type)->kind == TYPE_FLOAT
                                     ? (struct number){.is_float = true, .f = insn->f}
                                     : (struct number){.i = type_plain(insn->type)->sign
                                                                ? (__int128)(int64_t)insn->u
                                                                : (__int128)insn->u});
        break;
    case I_TEXT:
        *top = (struct operand){.type = insn->type,
                                .bytes = (const uint8_t *)insn->text,
                                .size = insn->n,
                                .has_text = true};
        break;
    case I_REGISTER: outcome = run_register(m, insn, top); break;
    case I_RESULT: outcome = run_result(m, insn, top); break;
    case I_ADDRESS_OF_STATIC:
        *top = operand_in_memory(insn->type, insn->n + (insn->loaded ? insn->loaded->bias : 0));
        break;
    default: outcome = run_variable(m, insn, top); break;
    }
    m->depth++;
    return outcome;
}

static enum outcome step(struct machine *m, const struct insn *insn, size_t *at) {
    struct operand *top = m->depth ? &m->stack[m->depth - 1] : NULL;
    struct operand *below = m->depth > 1 ? top - 1 : NULL;
    enum outcome outcome = EVAL_OK;
    bool truth = false;
    switch (insn->op) {
    case I_NUMBER:
    case I_TEXT:
    case I_VARIABLE:
    case I_ADDRESS_OF_STATIC:
    case I_REGISTER:
    case I_RESULT: return push(m, insn);
    case I_MEMBER: run_member(insn, top); return EVAL_OK;
    case I_VIRTUAL_BASE: return run_virtual(m, insn, top);
    case I_FOLLOW: return run_follow(m, insn, top);
    case I_ADDRESS: return run_address(m, insn, top);
    case I_CONVERT: return run_convert(m, insn, top);
    case I_NEGATE:
    case I_BIT_NOT:
    case I_NOT:
    case I_TRUTH: return run_unary(m, insn, top);
    case I_SHIFT: return run_shift(m, insn, top);
    case I_ASSERT: return run_assert(m, insn, top);
    case I_SIZE: return run_size(m, insn, top);
    case I_LENGTH:
    case I_CAPACITY: return run_length(m, insn, top);
    case I_SLICE: {
        size_t bounds = (insn->sub & 1) + (insn->sub >> 1 & 1);
        m->depth -= bounds;
        return run_slice(m, insn, &m->stack[m->depth - 1], &m->stack[m->depth]);
    }
    case I_JUMP: *at = insn->n; return EVAL_OK;
    case I_JUMP_IF:
    case I_JUMP_UNLESS:
        outcome = operand_truth(m->evaluation, top, &truth);
        m->depth--;
        if (outcome == EVAL_OK && truth == (insn->op == I_JUMP_IF))
            *at = insn->n;
        return outcome;
    case I_POP: m->depth--; return EVAL_OK;
    default: break;
    }
    m->depth--;
    switch (insn->op) {
    case I_INDEX: return run_index(m, insn, below, top);
    case I_LOOKUP: return run_lookup(m, insn, below, top);
    case I_BINARY: return run_binary(m, insn, below, top);
    case I_COMPARE_TEXT: return run_compare_text(m, insn, below, top);
    default: return run_pointer(m, insn, below, top);
    }
}

enum outcome target_code_run(const struct insn *code, size_t count, struct evaluation *evaluation,
                             struct operand *out) {
    struct machine m = {.evaluation = evaluation};
    for (size_t at = 0; at < count;) { /* jumps only go forward */
        const struct insn *insn = &code[at++];
        enum outcome outcome = step(&m, insn, &at);
        if (outcome != EVAL_OK)
            return outcome;
    }
    *out = m.stack[0];
    return EVAL_OK;
}

enum outcome target_expr_evaluate(const struct target_expr *expr, struct evaluation *evaluation,
                                  struct operand *out) {
    evaluation->why = NULL;
    evaluation->again = false;
    enum outcome outcome = expr->generic ? generic_choose(expr, evaluation, &expr) : EVAL_OK;
    return outcome == EVAL_OK ? target_code_run(expr->code, expr->count, evaluation, out) : outcome;
}
