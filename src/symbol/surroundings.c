/* What DWARF expressions ask of the frame, of its caller and of the thread. */
#include "symbol/call_sites.h"
#include "symbol/machine.h"

#include <string.h>

#define ENTRY_DEPTH 8    /* calls back, from one to the next */
#define ENTRY_CALLERS 64 /* for one location: their values may each need several */

/* ---- what a frame has ---- */

bool machine_register(struct machine *m, uint64_t number, struct arch_register *out,
                      uint64_t *value) {
    if (!arch_register_of_dwarf(m->frame->registers.arch, number, out))
        return machine_fail(m, "it is in a register that is not known here");
    if (!registers_get(&m->frame->registers, out->slot, value))
        return machine_fail(m, "optimized out (it was in a register that is not saved)");
    return true;
}

bool machine_based_on(struct machine *m, uint64_t number, int64_t offset) {
    struct arch_register reg;
    uint64_t value;
    return machine_register(m, number, &reg, &value) && machine_push(m, value + (uint64_t)offset);
}

bool machine_dereference(struct machine *m, size_t size, const struct type *type) {
    struct cell address;
    uint8_t bytes[16] = {0};
    if (!machine_pop(m, &address) || size > sizeof bytes)
        return machine_fail(m, "its location is damaged");
    switch (memory_read(m->frame->memory, address.i, bytes, size)) {
    case MEMORY_AGAIN: return machine_again(m);
    case MEMORY_FAULT: return machine_fail(m, "its location depends on memory that cannot be read");
    default: break;
    }
    return machine_push_cell(m, cell_of(type, bytes, size));
}

bool machine_frame_base(struct machine *m, int64_t offset) {
    struct frame *frame = m->frame;
    uint64_t pc = frame_lookup_pc(frame);
    struct function *function = frame->loaded ? function_at(frame->loaded->module, pc) : NULL;
    const struct dwarf_expression *base = NULL;
    struct located where;
    struct die die;
    const char *why = "its function has no frame base";
    if (function && m->nesting <= ENTRY_DEPTH && die_at(function->place, &die)) {
        base = location_of(m->module, die, DW_AT_frame_base, pc, &why);
        die_free(&die);
    }
    if (!base)
        return machine_fail(m, why);
    enum outcome outcome = machine_run(base, frame, NULL, &where, &why, m->nesting + 1);
    if (outcome == EVAL_AGAIN)
        return machine_again(m);
    if (outcome != EVAL_OK)
        return machine_fail(m, why);
    uint64_t value;
    if (where.pieces[0].kind == PIECE_MEMORY)
        return machine_push(m, where.pieces[0].address + (uint64_t)offset);
    if (where.pieces[0].kind == PIECE_REGISTER &&
        registers_get(&frame->registers, where.pieces[0].slot, &value))
        return machine_push(m, value + (uint64_t)offset);
    return machine_fail(m, "its function's frame base cannot be computed");
}

bool machine_cfa(struct machine *m) {
    const char *why = "";
    switch (frame_find_cfa(m->frame, &why)) {
    case UNWIND_OK: return machine_push(m, m->frame->cfa);
    case UNWIND_AGAIN: return machine_again(m);
    default: return machine_fail(m, why);
    }
}

/* ---- entry values: what the caller says it has passed (DWARF 5, section 3.4) ---- */

/* A call through a pointer, of which the debug info says where it leads to. */
static bool leads_to(struct machine *m, struct die site, struct frame *caller,
                     const struct function *self) {
    const char *why = "";
    struct cell target = {0};
    unsigned attribute =
        die_has(site, DW_AT_call_target) ? DW_AT_call_target : DW_AT_GNU_call_site_target;
    const struct dwarf_expression *expression =
        location_of(caller->loaded->module, site, attribute, 0, &why);
    enum outcome outcome =
        expression ? machine_value(expression, caller, &target, &why, m->nesting + 1) : EVAL_FAILED;
    if (outcome == EVAL_AGAIN)
        machine_again(m);
    return outcome == EVAL_OK && target.i == self->entry + m->frame->loaded->bias;
}

/* Only while nothing stands between: a tail call in the middle would make the site a lie. */
static bool is_call_of(struct machine *m, struct die site, struct frame *caller) {
    struct die target;
    struct loaded *loaded = m->frame->loaded;
    struct function *self = loaded ? function_at(loaded->module, frame_lookup_pc(m->frame)) : NULL;
    bool named =
        die_ref(site, DW_AT_call_origin, &target) || die_ref(site, DW_AT_abstract_origin, &target);
    if (!self)
        return false;
    if (!named)
        return leads_to(m, site, caller, self);
    const char *name = die_name(target), *own = strrchr(self->name, ':');
    own = own ? own + 1 : self->name;
    bool same = name && !strcmp(name, own);
    die_free(&target);
    return same;
}

static bool may_tail_call_itself(struct machine *m) {
    struct loaded *loaded = m->frame->loaded;
    struct function *self = loaded ? function_at(loaded->module, frame_lookup_pc(m->frame)) : NULL;
    return !self || function_may_tail_call_itself(self);
}

static const char unknown_entry[] =
    "optimized out (its value at the function's entry is not known)";

static bool unwind_caller(struct machine *m, struct frame *caller) {
    const char *why = "";
    switch (frame_unwind(m->frame, caller, &why)) {
    case UNWIND_OK: return true;
    case UNWIND_AGAIN: return machine_again(m);
    default: return machine_fail(m, unknown_entry);
    }
}

static const struct dwarf_expression *passed_value(struct machine *m, struct frame *caller,
                                                   const struct passed *wanted) {
    uint64_t pc = caller->loaded ? caller->pc - caller->loaded->bias : 0;
    const struct call_site *site =
        caller->loaded ? call_site_returning_to(caller->loaded->module, pc) : NULL;
    const struct dwarf_expression *value = site ? call_site_passes(site, wanted) : NULL;
    struct die die;
    if (!value || !die_at(site->place, &die))
        return NULL;
    bool is_ours = is_call_of(m, die, caller);
    die_free(&die);
    return is_ours ? value : NULL;
}

/* One more caller for the location that is evaluated? */
static bool may_ask(struct machine *m, struct frame **asker) {
    *asker = m->frame->asker ? m->frame->asker : m->frame;
    return m->nesting < ENTRY_DEPTH && (*asker)->asked++ < ENTRY_CALLERS &&
           !may_tail_call_itself(m);
}

bool machine_entry_value(struct machine *m, const struct location_op *op) {
    struct frame caller, *asker;
    struct cell cell = {0};
    const char *why = "";
    struct unit *unit = m->expression->unit;
    bool by_parameter = op->op == DW_OP_GNU_parameter_ref && unit;
    struct passed wanted = {.in = op->inner};
    if (by_parameter)
        wanted.parameter = unit->offset + op->a;
    if ((!op->inner && !by_parameter) || !may_ask(m, &asker))
        return machine_fail(m, unknown_entry);
    if (!unwind_caller(m, &caller))
        return false;
    caller.asker = asker;
    const struct dwarf_expression *value = passed_value(m, &caller, &wanted);
    if (m->outcome == EVAL_AGAIN)
        return false;
    enum outcome outcome =
        value ? machine_value(value, &caller, &cell, &why, m->nesting + 1) : EVAL_FAILED;
    if (outcome == EVAL_AGAIN)
        return machine_again(m);
    if (outcome != EVAL_OK)
        return machine_fail(m, unknown_entry);
    const struct location_op *inner = by_parameter ? op : &op->inner->ops[0];
    bool typed = inner->op == DW_OP_regval_type || inner->op == DW_OP_GNU_regval_type;
    if (typed && !cell.type) {
        uint8_t bytes[16];
        const struct type *type = machine_base_type(m, inner->b);
        cell_bytes(&cell, bytes, 8);
        cell = cell_of(type, bytes, type && type->size <= 8 ? type->size : 8);
    }
    return machine_push_cell(m, cell);
}
