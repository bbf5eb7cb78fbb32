/* The machine that runs compiled expressions of the target's language. */
#include "expr/target_parts.h"

#include <string.h>

#define STACK 64
#define COMPARE_MAX 65536 /* bytes of two texts that are compared */

struct machine {
    struct evaluation *evaluation;
    struct operand stack[STACK];
    size_t depth;
};

/* ---- variables ---- */

static enum outcome take_located(struct evaluation *evaluation, const struct located *located,
                                 const struct type *type, struct operand *out) {
    const struct piece *first = &located->pieces[0];
    const char *why = NULL;
    *out = (struct operand){.type = type};
    if (located->count == 1 && first->kind == PIECE_MEMORY && !first->bits) {
        out->in_memory = true;
        out->address = first->address;
        return EVAL_OK;
    }
    size_t size = type_plain(type)->size;
    if (!size || size > 65536)
        return evaluation_fail(evaluation, "its size is not known");
    uint8_t *bytes = arena_alloc(evaluation->scratch, 2 * size);
    if (!bytes)
        return evaluation_fail(evaluation, "it takes more memory than one hit may");
    enum outcome outcome =
        located_read(located, evaluation->frame, 0, bytes, bytes + size, size, &why);
    if (outcome == EVAL_AGAIN)
        evaluation->again = true;
    if (outcome == EVAL_FAILED)
        return evaluation_fail(evaluation, "%s", why ? why : "cannot read its memory");
    out->bytes = bytes;
    out->missing = bytes + size;
    out->size = size;
    return outcome;
}

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
    return outcome == EVAL_OK ? take_located(evaluation, &located, insn->type, out) : outcome;
}

static enum outcome run_register(struct machine *m, const struct insn *insn, struct operand *out) {
    struct registers *registers = &m->evaluation->frame->registers;
    if (!registers_has(registers, (unsigned)insn->u))
        return evaluation_fail(m->evaluation, "this register is not known in this frame");
    *out = (struct operand){.type = insn->type, .size = type_plain(insn->type)->size};
    memcpy(out->small, registers->bytes[insn->u], sizeof out->small);
    return EVAL_OK;
}

static enum outcome run_result(struct machine *m, const struct insn *insn, struct operand *out) {
    const struct registers *registers = &m->evaluation->frame->registers;
    size_t size = type_plain(insn->type)->size;
    uint8_t *bytes = arena_alloc(m->evaluation->scratch, size);
    if (!bytes)
        return evaluation_fail(m->evaluation, "it takes more memory than one hit may");
    memset(bytes, 0, size);
    for (uint64_t i = 0; i < insn->n; i++) {
        const struct result_piece *piece = &insn->pieces[i];
        if (!registers_has(registers, piece->slot))
            return evaluation_fail(m->evaluation, "its register is not known in this frame");
        memcpy(bytes + piece->to, registers->bytes[piece->slot] + piece->from, piece->size);
    }
    *out = (struct operand){.type = insn->type, .bytes = bytes, .size = size};
    return EVAL_OK;
}

/* ---- steps into objects ---- */

static struct operand part_of(const struct operand *whole, const struct type *type,
                              uint64_t offset) {
    struct operand part = {.type = type, .in_memory = whole->in_memory};
    uint64_t size = type_plain(type)->size;
    if (whole->in_memory) {
        part.address = whole->address + offset;
        return part;
    }
    bool inside = offset <= whole->size && size <= whole->size - offset;
    part.size = inside ? size : 0;
    if (!inside)
        return part;
    if (whole->bytes)
        part.bytes = whole->bytes + offset;
    else
        memcpy(part.small, whole->small + (offset < 16 ? offset : 0),
               offset < 16 ? 16 - offset : 0);
    part.missing = whole->missing ? whole->missing + offset : NULL;
    return part;
}

static void run_member(const struct insn *insn, struct operand *top) {
    const struct member *member = insn->member;
    if (!member->bit_size) {
        *top = part_of(top, member->type, member->offset);
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
    enum outcome outcome = operand_number(m->evaluation, top, &address);
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
    uint64_t address, count;
    if (outcome != EVAL_OK)
        return outcome;
    if (insn->shape) {
        outcome = shape_elements(m->evaluation, top, insn->shape, &address, &count);
        if (outcome != EVAL_OK)
            return outcome;
        if (at.i < 0 || (uint64_t)at.i >= count)
            return evaluation_fail(m->evaluation, "index %lld is outside of its %llu elements",
                                   (long long)at.i, (unsigned long long)count);
        *top = operand_in_memory(insn->type, address + (uint64_t)at.i * insn->n);
        return EVAL_OK;
    }
    uint64_t stride = insn->n;
    if (!stride && (outcome = type_run_size(m->evaluation, insn->type, &stride)) != EVAL_OK)
        return outcome;
    if (plain->kind == TYPE_ARRAY) {
        /* C lets an array's last element be passed; Go does not. */
        if (plain->unit_go && (at.i < 0 || (uint64_t)at.i >= plain->count))
            return evaluation_fail(m->evaluation, "index %lld is outside of its %llu elements",
                                   (long long)at.i, (unsigned long long)plain->count);
        *top = part_of(top, insn->type, (uint64_t)at.i * stride);
        return EVAL_OK;
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
    uint64_t address = 0, count = UINT64_MAX;
    enum outcome outcome = EVAL_OK;
    if (insn->sub & 1)
        outcome = operand_number(m->evaluation, bounds++, &from);
    if (outcome == EVAL_OK && insn->sub & 2)
        outcome = operand_number(m->evaluation, bounds, &to);
    if (outcome == EVAL_OK && insn->shape) {
        outcome = shape_elements(m->evaluation, top, insn->shape, &address, &count);
    } else if (outcome == EVAL_OK) {
        outcome = operand_number(m->evaluation, top, &base);
        address = (uint64_t)base.i;
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
                           .stride = insn->n,
                           .size = (uint64_t)(to.i - from.i) * insn->n,
                           .unit_go = plain->unit_go,
                           .complete = true};
    *top = operand_in_memory(array, address + (uint64_t)from.i * insn->n);
    return EVAL_OK;
}

static enum outcome run_length(struct machine *m, const struct insn *insn, struct operand *top) {
    uint64_t address, count;
    struct shape shape = *insn->shape;
    if (insn->op == I_CAPACITY)
        shape.length = shape.capacity;
    enum outcome outcome = shape_elements(m->evaluation, top, &shape, &address, &count);
    if (outcome == EVAL_OK)
        *top = operand_of_number(insn->type, (struct number){.i = (__int128)count});
    return outcome;
}

/* ---- arithmetic ---- */

static enum outcome run_convert(struct machine *m, const struct insn *insn, struct operand *top) {
    struct number number;
    const struct type *plain = type_plain(insn->type);
    if (type_is_composite(plain) || plain->kind == TYPE_ARRAY) { /* the same bytes, seen anew */
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
    case I_BINARY: return run_binary(m, insn, below, top);
    case I_COMPARE_TEXT: return run_compare_text(m, insn, below, top);
    default: return run_pointer(m, insn, below, top);
    }
}

enum outcome target_expr_evaluate(const struct target_expr *expr, struct evaluation *evaluation,
                                  struct operand *out) {
    struct machine m = {.evaluation = evaluation};
    evaluation->why = NULL;
    evaluation->again = false;
    for (size_t at = 0; at < expr->count;) { /* jumps only go forward */
        const struct insn *insn = &expr->code[at++];
        enum outcome outcome = step(&m, insn, &at);
        if (outcome != EVAL_OK)
            return outcome;
    }
    *out = m.stack[0];
    return EVAL_OK;
}
