/* What DWARF expressions ask of the frame, of its caller and of the thread. */
#include "symbol/machine.h"

#include <string.h>

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
    if (function && m->nesting < 4 && die_at(function->place, &die)) {
        base = location_of(m->module, die, DW_AT_frame_base, pc, &why);
        die_free(&die);
    }
    if (!base)
        return machine_fail(m, why);
    enum outcome outcome = machine_run(base, frame, NULL, &where, &why, m->nesting + 1);
    if (outcome == OUTCOME_AGAIN)
        return machine_again(m);
    if (outcome != OUTCOME_OK)
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

/* The ELF TLS ABI: the program's own block is at a fixed distance of the thread pointer. Blocks of
 * libraries need the dynamic linker's table. */
bool machine_tls_address(struct machine *m) {
    const struct arch *arch = m->frame->registers.arch;
    struct loaded *loaded = m->frame->loaded;
    struct cell offset;
    uint64_t base;
    if (!machine_pop(m, &offset))
        return false;
    if (!loaded || loaded->tls_module != 1 || arch->tls < 0 || !loaded->module->elf->has_tls)
        return machine_fail(m, "thread-local variables of a library cannot be found yet");
    if (!registers_get(&m->frame->registers, (unsigned)arch->tls, &base))
        return machine_fail(m, "the thread pointer is not known here");
    const struct elf_file *elf = loaded->module->elf;
    uint64_t align = elf->tls_align;
    if (arch->tls_variant == 2)
        return machine_push(m, base - (elf->tls_size + align - 1) / align * align + offset.i);
    uint64_t gap = (arch->tls_gap + align - 1) / align * align;
    return machine_push(m, base + gap + offset.i);
}

/* ---- entry values: what the caller says it has passed (DWARF 5, section 3.4) ---- */

static bool same_register(const struct dwarf_expression *a, const struct dwarf_expression *b) {
    if (!a || !b || a->count != 1 || b->count != 1)
        return false;
    uint64_t x = a->ops[0].op == DW_OP_regx ? a->ops[0].a : a->ops[0].op - (uint64_t)DW_OP_reg0;
    uint64_t y = b->ops[0].op == DW_OP_regx ? b->ops[0].a : b->ops[0].op - (uint64_t)DW_OP_reg0;
    return x == y;
}

static const struct dwarf_expression *passed(struct machine *m, struct module *module,
                                             struct die site,
                                             const struct dwarf_expression *wanted) {
    struct die child;
    const struct dwarf_expression *value = NULL;
    const char *why;
    if (!die_child(site, &child))
        return NULL;
    do {
        unsigned tag = die_tag(child);
        if (tag != DW_TAG_call_site_parameter && tag != DW_TAG_GNU_call_site_parameter)
            continue;
        bool same = same_register(location_of(module, child, DW_AT_location, 0, &why), wanted);
        unsigned attribute =
            die_has(child, DW_AT_call_value) ? DW_AT_call_value : DW_AT_GNU_call_site_value;
        if (same)
            value = location_of(module, child, attribute, 0, &why);
    } while (!value && die_step(&child));
    die_free(&child);
    (void)m;
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

/* Only while nothing stands between: a tail call in the middle would make the site a lie. */
static bool is_call_of(struct machine *m, struct die site) {
    struct die target;
    struct loaded *loaded = m->frame->loaded;
    struct function *self = loaded ? function_at(loaded->module, frame_lookup_pc(m->frame)) : NULL;
    bool named =
        die_ref(site, DW_AT_call_origin, &target) || die_ref(site, DW_AT_abstract_origin, &target);
    if (!self)
        return false;
    if (!named)
        return true; /* an indirect call: gdb believes these when the target can be computed */
    const char *name = die_name(target), *own = strrchr(self->name, ':');
    own = own ? own + 1 : self->name;
    bool same = name && !strcmp(name, own);
    die_free(&target);
    return same;
}

bool machine_entry_value(struct machine *m, const struct location_op *op) {
    struct frame *caller = m->frame->scratch;
    const struct dwarf_expression *value = NULL;
    const char *why = "optimized out (its value at the function's entry is not known)";
    struct die function_die, site;
    struct located where;
    if (!op->inner || !caller || m->nesting >= 4)
        return machine_fail(m, why);
    if (m->frame->caller != caller) {
        switch (frame_unwind(m->frame, caller, &why)) {
        case UNWIND_OK: m->frame->caller = caller; break;
        case UNWIND_AGAIN: return machine_again(m);
        default: return machine_fail(m, why);
        }
    }
    uint64_t pc = caller->loaded ? caller->pc - caller->loaded->bias : 0;
    struct function *function =
        caller->loaded ? function_at(caller->loaded->module, pc ? pc - 1 : 0) : NULL;
    if (function && die_at(function->place, &function_die)) {
        if (find_site(function_die, pc, 0, &site)) {
            if (is_call_of(m, site))
                value = passed(m, caller->loaded->module, site, op->inner);
            die_free(&site);
        }
        die_free(&function_die);
    }
    if (!value)
        return machine_fail(m, why);
    enum outcome outcome = machine_run(value, caller, NULL, &where, &why, m->nesting + 1);
    if (outcome == OUTCOME_AGAIN)
        return machine_again(m);
    uint64_t number = 0;
    if (outcome == OUTCOME_OK && where.pieces[0].kind == PIECE_MEMORY)
        return machine_push(m, where.pieces[0].address);
    if (outcome == OUTCOME_OK && where.pieces[0].kind == PIECE_VALUE) {
        memcpy(&number, where.pieces[0].value, 8);
        return machine_push(m, number);
    }
    return machine_fail(m, "optimized out (its value at the function's entry is not known)");
}
