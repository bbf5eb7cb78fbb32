/* Values on the stack of DWARF expressions, and arithmetic with them (DWARF 5, section 2.5.1). */
#include "symbol/machine.h"

#include <string.h>

static bool is_float(const struct type *type) {
    return type && type->kind == TYPE_FLOAT;
}

/* The bytes of a base type as a cell, and back. */
struct cell cell_of(const struct type *type, const uint8_t *bytes, size_t size) {
    struct cell cell = {.type = type};
    if (is_float(type) && size == 4) {
        float f;
        memcpy(&f, bytes, 4);
        cell.f = f;
    } else if (is_float(type) && size == 8) {
        memcpy(&cell.f, bytes, 8);
    } else {
        memcpy(&cell.i, bytes, size > 8 ? 8 : size);
        unsigned shift = size < 8 ? 64 - 8 * (unsigned)size : 0;
        if (type && type->sign && size)
            cell.i = (uint64_t)((int64_t)(cell.i << shift) >> shift);
    }
    return cell;
}

size_t cell_bytes(const struct cell *cell, uint8_t out[static 16], unsigned word) {
    size_t size = cell->type && cell->type->size ? cell->type->size : word;
    memset(out, 0, 16);
    if (is_float(cell->type) && size == 4) {
        float f = (float)cell->f;
        memcpy(out, &f, 4);
    } else if (is_float(cell->type) && size == 8) {
        memcpy(out, &cell->f, 8);
    } else {
        uint64_t sign = cell->type && cell->type->sign && (int64_t)cell->i < 0 ? UINT64_MAX : 0;
        memcpy(out, &cell->i, 8);
        memcpy(out + 8, &sign, 8);
    }
    return size > 16 ? 16 : size;
}

const struct type *machine_base_type(struct machine *m, uint64_t offset) {
    struct unit *unit = m->expression->unit;
    if (!offset || !unit)
        return NULL;
    return type_plain(type_at(m->module, (struct die_place){unit->dwarf, unit->offset + offset,
                                                            unit->types && unit->version < 5}));
}

/* ---- arithmetic ---- */

static struct cell float_binary(unsigned op, struct cell a, struct cell b) {
    struct cell out = {.type = a.type};
    switch (op) {
    case DW_OP_plus: out.f = a.f + b.f; break;
    case DW_OP_minus: out.f = a.f - b.f; break;
    case DW_OP_mul: out.f = a.f * b.f; break;
    case DW_OP_div: out.f = a.f / b.f; break;
    case DW_OP_eq: return (struct cell){.i = a.f == b.f};
    case DW_OP_ne: return (struct cell){.i = a.f != b.f};
    case DW_OP_lt: return (struct cell){.i = a.f < b.f};
    case DW_OP_le: return (struct cell){.i = a.f <= b.f};
    case DW_OP_gt: return (struct cell){.i = a.f > b.f};
    case DW_OP_ge: return (struct cell){.i = a.f >= b.f};
    default: break;
    }
    return out;
}

/* Generic values compare and divide signed, but their remainder is unsigned (section 2.5.1.4). */
bool machine_binary(struct machine *m, unsigned op) {
    struct cell a, b;
    if (!machine_pop(m, &b) || !machine_pop(m, &a))
        return false;
    if (is_float(a.type))
        return machine_push_cell(m, float_binary(op, a, b));
    unsigned bits = m->frame->registers.arch->word * 8;
    unsigned shift = 64 - bits;
    bool sign = !a.type || a.type->sign;
    int64_t x = (int64_t)(a.i << shift) >> shift, y = (int64_t)(b.i << shift) >> shift;
    struct cell out = {.type = a.type};
    switch (op) {
    case DW_OP_plus: out.i = a.i + b.i; break;
    case DW_OP_minus: out.i = a.i - b.i; break;
    case DW_OP_mul: out.i = a.i * b.i; break;
    case DW_OP_and: out.i = a.i & b.i; break;
    case DW_OP_or: out.i = a.i | b.i; break;
    case DW_OP_xor: out.i = a.i ^ b.i; break;
    case DW_OP_shl: out.i = b.i < 64 ? a.i << b.i : 0; break;
    case DW_OP_shr: out.i = b.i < 64 ? a.i >> b.i : 0; break;
    case DW_OP_shra: out.i = (uint64_t)(x >> (b.i < 63 ? b.i : 63)); break;
    case DW_OP_div:
        if (!b.i || (x == INT64_MIN && y == -1))
            return machine_fail(m, "its location divides by zero");
        out.i = sign ? (uint64_t)(x / y) : a.i / b.i;
        break;
    case DW_OP_mod:
        if (!b.i)
            return machine_fail(m, "its location divides by zero");
        out.i = a.i % b.i;
        break;
    case DW_OP_eq: return machine_push(m, a.i == b.i);
    case DW_OP_ne: return machine_push(m, a.i != b.i);
    case DW_OP_lt: return machine_push(m, sign ? x < y : a.i < b.i);
    case DW_OP_le: return machine_push(m, sign ? x <= y : a.i <= b.i);
    case DW_OP_gt: return machine_push(m, sign ? x > y : a.i > b.i);
    default: return machine_push(m, sign ? x >= y : a.i >= b.i);
    }
    return machine_push_cell(m, out);
}

bool machine_unary(struct machine *m, const struct location_op *op) {
    struct cell a;
    if (!machine_pop(m, &a))
        return false;
    switch (op->op) {
    case DW_OP_abs:
        a.i = (int64_t)a.i < 0 ? -a.i : a.i;
        a.f = a.f < 0 ? -a.f : a.f;
        break;
    case DW_OP_neg:
        a.i = -a.i;
        a.f = -a.f;
        break;
    case DW_OP_not: a.i = ~a.i; break;
    default: a.i += op->a; break; /* DW_OP_plus_uconst */
    }
    return machine_push_cell(m, a);
}

bool machine_shuffle(struct machine *m, const struct location_op *op) {
    size_t n = m->depth;
    struct cell *top = m->stack + n;
    size_t need = op->op == DW_OP_rot                            ? 3
                  : op->op == DW_OP_swap || op->op == DW_OP_over ? 2
                  : op->op == DW_OP_pick                         ? (size_t)op->a + 1
                                                                 : 1;
    if (n < need)
        return machine_fail(m, "its location is damaged");
    struct cell one;
    switch (op->op) {
    case DW_OP_dup: return machine_push_cell(m, top[-1]);
    case DW_OP_drop: m->depth--; return true;
    case DW_OP_over: return machine_push_cell(m, top[-2]);
    case DW_OP_pick: return machine_push_cell(m, m->stack[n - 1 - op->a]);
    case DW_OP_swap:
        one = top[-1];
        top[-1] = top[-2];
        top[-2] = one;
        return true;
    default: /* rot: the top becomes the third */
        one = top[-1];
        top[-1] = top[-2];
        top[-2] = top[-3];
        top[-3] = one;
        return true;
    }
}

bool machine_convert(struct machine *m, const struct location_op *op) {
    const struct type *type = machine_base_type(m, op->a);
    struct cell cell;
    uint8_t bytes[16];
    if (!machine_pop(m, &cell))
        return false;
    bool reinterpret = op->op == DW_OP_reinterpret || op->op == DW_OP_GNU_reinterpret;
    unsigned word = m->frame->registers.arch->word;
    if (reinterpret) {
        cell_bytes(&cell, bytes, word);
        return machine_push_cell(m, cell_of(type, bytes, type && type->size ? type->size : word));
    }
    if (is_float(type)) {
        double f = is_float(cell.type)             ? cell.f
                   : !cell.type || cell.type->sign ? (double)(int64_t)cell.i
                                                   : (double)cell.i;
        return machine_push_cell(m, (struct cell){.type = type, .f = f});
    }
    uint64_t i = is_float(cell.type) ? (uint64_t)(int64_t)cell.f : cell.i;
    memcpy(bytes, &i, 8);
    memset(bytes + 8, 0, 8);
    return machine_push_cell(m, cell_of(type, bytes, type && type->size ? type->size : word));
}
