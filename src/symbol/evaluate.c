/* The machine of DWARF expressions. */
#include "symbol/machine.h"

#include <string.h>

bool machine_fail(struct machine *m, const char *why) {
    if (m->outcome == EVAL_OK) {
        m->outcome = EVAL_FAILED;
        m->why = why;
    }
    return false;
}

bool machine_again(struct machine *m) {
    if (m->outcome == EVAL_OK)
        m->outcome = EVAL_AGAIN;
    return false;
}

static uint64_t mask(const struct machine *m, uint64_t value) {
    return m->frame->registers.arch->word == 4 ? (uint32_t)value : value;
}

bool machine_push_cell(struct machine *m, struct cell cell) {
    if (m->depth == LOCATION_STACK)
        return machine_fail(m, "its location needs too deep a stack");
    if (cell.type && cell.type->size > 8) /* long double, __int128: a cell has no room for them */
        return machine_fail(m, "its location computes with numbers of more than 8 bytes");
    if (!cell.type)
        cell.i = mask(m, cell.i);
    m->stack[m->depth++] = cell;
    return true;
}

bool machine_push(struct machine *m, uint64_t value) {
    return machine_push_cell(m, (struct cell){.i = value});
}

bool machine_pop(struct machine *m, struct cell *out) {
    if (!m->depth)
        return machine_fail(m, "its location is damaged");
    *out = m->stack[--m->depth];
    return true;
}

/* ---- results ---- */

static bool locate(struct machine *m, struct piece piece) {
    m->next = piece;
    m->located = true;
    return true;
}

static bool locate_register(struct machine *m, uint64_t number) {
    struct arch_register reg;
    if (!arch_register_of_dwarf(m->frame->registers.arch, number, &reg))
        return machine_fail(m, "it is in a register that is not known here");
    return locate(m, (struct piece){.kind = PIECE_REGISTER, .slot = reg.slot});
}

static bool implicit_pointer(struct machine *m, const struct location_op *op) {
    struct dwarf *dwarf = m->expression->unit ? m->expression->unit->dwarf : NULL;
    return locate(m, (struct piece){.kind = PIECE_POINTER,
                                    .place = {dwarf, op->a, false},
                                    .offset = (int64_t)op->b});
}

static bool stack_value(struct machine *m) {
    struct cell cell;
    struct piece piece = {.kind = PIECE_VALUE};
    if (!machine_pop(m, &cell))
        return false;
    piece.size = cell_bytes(&cell, piece.value, m->frame->registers.arch->word);
    /* Generic values are wider than what they stand for: sign and zero bytes are both fine. */
    if (!cell.type)
        piece.size = 16;
    return locate(m, piece);
}

static bool take_piece(struct machine *m, uint64_t bits, uint64_t bit) {
    struct cell address;
    if (m->out->count == LOCATION_PIECES)
        return machine_fail(m, "its location has too many pieces");
    struct piece piece = {.kind = PIECE_MISSING};
    if (m->located) {
        piece = m->next;
    } else if (m->depth) {
        machine_pop(m, &address);
        piece = (struct piece){.kind = PIECE_MEMORY, .address = address.i};
    }
    piece.bits = bits;
    piece.bit = bit;
    m->located = false;
    m->out->pieces[m->out->count++] = piece;
    return true;
}

static bool finish(struct machine *m) {
    struct cell address;
    if (m->out->count)
        return true;
    if (m->located) {
        m->out->pieces[m->out->count++] = m->next;
        return true;
    }
    if (!m->depth)
        return machine_fail(m, "optimized out");
    machine_pop(m, &address);
    m->out->pieces[m->out->count++] = (struct piece){.kind = PIECE_MEMORY, .address = address.i};
    return true;
}

static bool typed(struct machine *m, const struct location_op *op) {
    struct arch_register reg;
    uint64_t value;
    const struct type *type;
    switch (op->op) {
    case DW_OP_regval_type:
    case DW_OP_GNU_regval_type:
        if (!machine_register(m, op->a, &reg, &value))
            return false;
        type = machine_base_type(m, op->b);
        return machine_push_cell(m, cell_of(type, m->frame->registers.bytes[reg.slot],
                                            type && type->size <= 16 ? type->size : 8));
    case DW_OP_deref_type:
    case DW_OP_GNU_deref_type: return machine_dereference(m, op->a, machine_base_type(m, op->b));
    default: /* const_type */
        type = machine_base_type(m, op->a);
        if (!op->block || op->b > 16)
            return machine_fail(m, "its location is damaged");
        return machine_push_cell(m, cell_of(type, op->block, op->b));
    }
}

/* ---- the table of operations ---- */

/* What a frame's rules compute cannot be asked for in a rule (DWARF 5, section 6.4.2): that would
 * never end. A member's place has nothing to do with a frame. */
static bool asks_the_frame(unsigned op) {
    return op == DW_OP_fbreg || op == DW_OP_call_frame_cfa || op == DW_OP_entry_value ||
           op == DW_OP_GNU_entry_value || op == DW_OP_GNU_parameter_ref;
}

static bool step_special(struct machine *m, const struct location_op *op, size_t *at) {
    struct cell cell;
    if (!m->expression->unit && asks_the_frame(op->op))
        return machine_fail(m, "a frame rule asks for what such rules compute");
    switch (op->op) {
    case DW_OP_nop: return true;
    case DW_OP_fbreg: return machine_frame_base(m, (int64_t)op->a);
    case DW_OP_bregx: return machine_based_on(m, op->a, (int64_t)op->b);
    case DW_OP_regx: return locate_register(m, op->a);
    case DW_OP_call_frame_cfa: return machine_cfa(m);
    case DW_OP_deref: return machine_dereference(m, m->frame->registers.arch->word, NULL);
    case DW_OP_deref_size: return machine_dereference(m, op->a, NULL);
    case DW_OP_stack_value: return stack_value(m);
    case DW_OP_piece: return take_piece(m, op->a * 8, 0);
    case DW_OP_bit_piece: return take_piece(m, op->a, op->b);
    case DW_OP_implicit_value:
        return locate(m, (struct piece){.kind = PIECE_BYTES, .bytes = op->block, .size = op->a});
    case DW_OP_form_tls_address:
    case DW_OP_GNU_push_tls_address: return machine_tls_address(m);
    case DW_OP_entry_value:
    case DW_OP_GNU_parameter_ref:
    case DW_OP_GNU_entry_value: return machine_entry_value(m, op);
    case DW_OP_convert:
    case DW_OP_GNU_convert:
    case DW_OP_reinterpret:
    case DW_OP_GNU_reinterpret: return machine_convert(m, op);
    case DW_OP_regval_type:
    case DW_OP_GNU_regval_type:
    case DW_OP_deref_type:
    case DW_OP_GNU_deref_type:
    case DW_OP_const_type:
    case DW_OP_GNU_const_type: return typed(m, op);
    case DW_OP_skip: *at = op->branch; return true;
    case DW_OP_bra:
        if (!machine_pop(m, &cell))
            return false;
        *at = cell.i ? op->branch : *at;
        return true;
    case DW_OP_implicit_pointer:
    case DW_OP_GNU_implicit_pointer: return implicit_pointer(m, op);
    case DW_OP_push_object_address:
    default: return machine_fail(m, "its location uses an operation that is not known here");
    }
}

static bool step(struct machine *m, const struct location_op *op, size_t *at) {
    if (op->op >= DW_OP_lit0 && op->op <= DW_OP_lit31)
        return machine_push(m, op->op - (uint64_t)DW_OP_lit0);
    if (op->op >= DW_OP_reg0 && op->op <= DW_OP_reg31)
        return locate_register(m, op->op - (uint64_t)DW_OP_reg0);
    if (op->op >= DW_OP_breg0 && op->op <= DW_OP_breg31)
        return machine_based_on(m, op->op - (uint64_t)DW_OP_breg0, (int64_t)op->a);
    switch (op->op) {
    case DW_OP_addr:
    case DW_OP_addrx:
    case DW_OP_GNU_addr_index: return machine_push(m, op->a + m->bias);
    case DW_OP_const1u ... DW_OP_consts:
    case DW_OP_constx:
    case DW_OP_GNU_const_index: return machine_push(m, op->a);
    case DW_OP_dup ... DW_OP_swap:
    case DW_OP_rot: return machine_shuffle(m, op);
    case DW_OP_abs:
    case DW_OP_neg:
    case DW_OP_not:
    case DW_OP_plus_uconst: return machine_unary(m, op);
    case DW_OP_and:
    case DW_OP_div:
    case DW_OP_minus:
    case DW_OP_mod:
    case DW_OP_mul:
    case DW_OP_or:
    case DW_OP_plus:
    case DW_OP_shl:
    case DW_OP_shr:
    case DW_OP_shra:
    case DW_OP_xor:
    case DW_OP_eq:
    case DW_OP_ge:
    case DW_OP_gt:
    case DW_OP_le:
    case DW_OP_lt:
    case DW_OP_ne: return machine_binary(m, op->op);
    default: return step_special(m, op, at);
    }
}

static bool go(struct machine *m) {
    size_t steps = 0;
    bool going = true;
    for (size_t at = 0; going && at < m->expression->count;) {
        const struct location_op *op = &m->expression->ops[at++];
        going = ++steps <= LOCATION_STEPS ? step(m, op, &at)
                                          : machine_fail(m, "its location never comes to an end");
    }
    return going;
}

static struct machine start(const struct dwarf_expression *expression, struct frame *frame,
                            struct located *out, int nesting) {
    out->count = 0;
    return (struct machine){.expression = expression,
                            .frame = frame,
                            .out = out,
                            .nesting = nesting,
                            .module = expression->unit ? expression->unit->module
                                      : frame->loaded  ? frame->loaded->module
                                                       : NULL,
                            .bias = frame->loaded ? frame->loaded->bias : 0};
}

enum outcome machine_run(const struct dwarf_expression *expression, struct frame *frame,
                         const uint64_t *initial, struct located *out, const char **why,
                         int nesting) {
    if (!nesting)
        frame->asked = 0;
    struct machine m = start(expression, frame, out, nesting);
    if (initial)
        machine_push(&m, *initial);
    if (go(&m))
        finish(&m);
    if (m.outcome == EVAL_FAILED)
        *why = m.why;
    return m.outcome;
}

enum outcome machine_value(const struct dwarf_expression *expression, struct frame *frame,
                           struct cell *out, const char **why, int nesting) {
    struct located located;
    struct machine m = start(expression, frame, &located, nesting);
    if (go(&m) && m.located && m.next.kind == PIECE_BYTES)
        *out = cell_of(NULL, m.next.bytes, m.next.size);
    else if (m.outcome == EVAL_OK && !m.located)
        machine_pop(&m, out);
    else if (m.outcome == EVAL_OK)
        machine_fail(&m, "optimized out");
    if (m.outcome == EVAL_FAILED)
        *why = m.why;
    return m.outcome;
}

enum outcome location_evaluate(const struct dwarf_expression *expression, struct frame *frame,
                               const uint64_t *initial, struct located *out, const char **why) {
    return machine_run(expression, frame, initial, out, why, 0);
}
