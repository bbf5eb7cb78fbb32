/* What DWARF expressions ask of the frame, of its caller and of the thread. */
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

/* The register that an expression is about: a plain one, or one seen as a base type. */
static bool register_of(const struct dwarf_expression *expression, uint64_t *number) {
    const struct location_op *op = expression && expression->count == 1 ? expression->ops : NULL;
    if (!op)
        return false;
    bool plain = op->op >= DW_OP_reg0 && op->op <= DW_OP_reg31;
    *number = plain ? op->op - (uint64_t)DW_OP_reg0 : op->a;
    return plain || op->op == DW_OP_regx || op->op == DW_OP_regval_type ||
           op->op == DW_OP_GNU_regval_type;
}

static bool same_register(const struct dwarf_expression *a, const struct dwarf_expression *b) {
    uint64_t x, y;
    return register_of(a, &x) && register_of(b, &y) && x == y;
}

/* What is asked of a call site: what it passes in a register, or for a parameter (GNU's
 * DW_OP_GNU_parameter_ref, for one that has no register). */
struct wanted {
    const struct dwarf_expression *in;
    struct die_place parameter;
};

static bool is_wanted(struct module *module, struct die parameter, const struct wanted *wanted) {
    struct die named;
    const char *why;
    if (wanted->in)
        return same_register(location_of(module, parameter, DW_AT_location, 0, &why), wanted->in);
    if (!die_ref(parameter, DW_AT_call_parameter, &named) &&
        !die_ref(parameter, DW_AT_abstract_origin, &named))
        return false;
    bool same = die_place(named).offset == wanted->parameter.offset;
    die_free(&named);
    return same;
}

static const struct dwarf_expression *passed(struct module *module, struct die site,
                                             const struct wanted *wanted) {
    struct die child;
    const struct dwarf_expression *value = NULL;
    const char *why;
    if (!die_child(site, &child))
        return NULL;
    do {
        unsigned tag = die_tag(child);
        if (tag != DW_TAG_call_site_parameter && tag != DW_TAG_GNU_call_site_parameter)
            continue;
        unsigned attribute =
            die_has(child, DW_AT_call_value) ? DW_AT_call_value : DW_AT_GNU_call_site_value;
        if (is_wanted(module, child, wanted))
            value = location_of(module, child, attribute, 0, &why);
    } while (!value && die_step(&child));
    die_free(&child);
    return value;
}

/* The call site whose return address is `pc`; walks the function's entries. */
static bool find_site(struct die parent, uint64_t pc, int depth, struct die *out) {
    struct die child;
    uint64_t at;
    bool found = false;
    if (depth > 32 || !die_child(parent, &child))
        return false;
    do {
        unsigned tag = die_tag(child);
        if (tag == DW_TAG_call_site || tag == DW_TAG_GNU_call_site) {
            bool has = die_address(child, DW_AT_call_return_pc, &at) ||
                       die_address(child, DW_AT_low_pc, &at);
            if (has && at == pc) {
                *out = child;
                return true;
            }
        } else if (tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) {
            found = find_site(child, pc, depth + 1, out);
        }
    } while (!found && die_step(&child));
    die_free(&child);
    return found;
}

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

#define TAIL_CALLS 32

struct tail_walk {
    struct function *self, *seen[TAIL_CALLS];
    size_t count;
    bool doubtful;
};

static void follow_tails(struct tail_walk *walk, struct function *function, int depth);

static void visit_tails(struct tail_walk *walk, struct die parent, struct unit *unit, int depth) {
    struct die child, target;
    if (depth > 32 || walk->doubtful || !die_child(parent, &child))
        return;
    do {
        unsigned tag = die_tag(child);
        bool site = tag == DW_TAG_call_site || tag == DW_TAG_GNU_call_site;
        if (tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine)
            visit_tails(walk, child, unit, depth + 1);
        if (!site ||
            !(die_flag(child, DW_AT_call_tail_call) || die_flag(child, DW_AT_GNU_tail_call)))
            continue;
        if (!die_ref(child, DW_AT_call_origin, &target) &&
            !die_ref(child, DW_AT_abstract_origin, &target)) {
            walk->doubtful = true; /* through a pointer: to anywhere */
            continue;
        }
        struct function *next = function_of_entry(unit, die_place(target).offset);
        const char *name = die_name(target), *own = strrchr(walk->self->name, ':');
        walk->doubtful |= name && !strcmp(name, own ? own + 1 : walk->self->name);
        die_free(&target);
        if (next)
            follow_tails(walk, next, depth + 1);
    } while (die_step(&child));
}

static void follow_tails(struct tail_walk *walk, struct function *function, int depth) {
    struct die die;
    for (size_t i = 0; i < walk->count; i++)
        if (walk->seen[i] == function)
            return;
    if (walk->count == TAIL_CALLS) {
        walk->doubtful = true;
        return;
    }
    walk->seen[walk->count++] = function;
    if (die_at(function->place, &die)) {
        visit_tails(walk, die, function->unit, depth);
        die_free(&die);
    }
}

/* A function that may come back to itself by tail calls has other arguments then than its caller
 * has passed: gdb does not guess, and neither do we. */
static bool may_tail_call_itself(struct machine *m) {
    struct loaded *loaded = m->frame->loaded;
    struct tail_walk walk = {.self = loaded ? function_at(loaded->module, frame_lookup_pc(m->frame))
                                            : NULL};
    if (!walk.self)
        return true;
    follow_tails(&walk, walk.self, 0);
    return walk.doubtful;
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
                                                   const struct wanted *wanted) {
    const struct dwarf_expression *value = NULL;
    struct die function_die, site;
    uint64_t pc = caller->loaded ? caller->pc - caller->loaded->bias : 0;
    struct function *function =
        caller->loaded ? function_at(caller->loaded->module, pc ? pc - 1 : 0) : NULL;
    if (!function || !die_at(function->place, &function_die))
        return NULL;
    if (find_site(function_die, pc, 0, &site)) {
        if (is_call_of(m, site, caller))
            value = passed(caller->loaded->module, site, wanted);
        die_free(&site);
    }
    die_free(&function_die);
    return value;
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
    struct wanted wanted = {.in = op->inner};
    if (by_parameter)
        wanted.parameter.offset = unit->offset + op->a;
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
