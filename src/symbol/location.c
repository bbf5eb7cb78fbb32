/* Reading DWARF expressions out of the debug info. evaluate.c runs them. */
#include "symbol/location.h"

#include "base/text.h"
#include "symbol/functions.h"
#include <stdlib.h>
#include <string.h>

#ifdef DW_LIBDWARF_VERSION
#define OP_VALUE(locdesc, i, op, a, b, c, at, error)                                               \
    dwarf_get_location_op_value_c(locdesc, i, op, a, b, c, at, error)
#define HEAD_FREE(head) dwarf_dealloc_loc_head_c(head)
#else
#define OP_VALUE(locdesc, i, op, a, b, c, at, error)                                               \
    dwarf_get_location_op_value_d(locdesc, i, op, a, b, c, &(Dwarf_Unsigned){0},                   \
                                  &(Dwarf_Unsigned){0}, &(Dwarf_Unsigned){0}, at, error)
#define HEAD_FREE(head) dwarf_loc_head_c_dealloc(head)
#endif

static struct dwarf_expression *decode(struct module *module, struct dwarf *dwarf,
                                       struct unit *unit, const uint8_t *bytes, size_t size,
                                       int depth);

/* DW_OP_addrx and DW_OP_constx name entries of .debug_addr: that of the file that was linked. */
static bool resolve_index(struct unit *unit, struct location_op *op) {
    bool indexed = op->op == DW_OP_addrx || op->op == DW_OP_constx ||
                   op->op == DW_OP_GNU_addr_index || op->op == DW_OP_GNU_const_index;
    return !indexed || (unit && unit_address(unit, op->a, &op->a));
}

static void read_blocks(struct module *module, struct dwarf *dwarf, struct unit *unit,
                        struct location_op *op, int depth) {
    switch (op->op) {
    case DW_OP_entry_value:
    case DW_OP_GNU_entry_value:
        op->inner =
            decode(module, dwarf, unit, (const uint8_t *)(uintptr_t)op->b, op->a, depth + 1);
        break;
    case DW_OP_implicit_value: op->block = (const uint8_t *)(uintptr_t)op->b; break;
    default: break;
    }
}

/* DW_OP_skip and DW_OP_bra count bytes from behind themselves. */
static void resolve_branches(struct dwarf_expression *expression, const uint64_t *offsets) {
    for (size_t i = 0; i < expression->count; i++) {
        struct location_op *op = &expression->ops[i];
        if (op->op != DW_OP_skip && op->op != DW_OP_bra)
            continue;
        uint64_t target = offsets[i] + 3 + (uint64_t)(int64_t)(int16_t)op->a;
        op->branch = (uint32_t)expression->count;
        for (size_t k = 0; k < expression->count; k++)
            if (offsets[k] == target)
                op->branch = (uint32_t)k;
    }
}

static struct dwarf_expression *read_ops(struct module *module, struct unit *unit,
                                         struct dwarf *dwarf, Dwarf_Locdesc_c locdesc,
                                         Dwarf_Unsigned count, int depth) {
    struct dwarf_expression *expression = ARENA_NEW(&module->arena, struct dwarf_expression);
    if (!expression || count > LOCATION_OPS)
        return NULL;
    expression->unit = unit;
    expression->ops = arena_alloc(&module->arena, (count + 1) * sizeof *expression->ops);
    uint64_t *offsets = calloc(count + 1, sizeof *offsets);
    bool fine = expression->ops && offsets;
    for (Dwarf_Unsigned i = 0; fine && i < count; i++) {
        struct location_op *op = &expression->ops[i];
        Dwarf_Unsigned a = 0, b = 0, c = 0, at = 0;
        Dwarf_Error error = NULL;
        fine = dwarf_fine(dwarf, OP_VALUE(locdesc, i, &op->op, &a, &b, &c, &at, &error), &error);
        op->a = a;
        op->b = b;
        if (op->op == DW_OP_const_type || op->op == DW_OP_GNU_const_type)
            op->block = (const uint8_t *)(uintptr_t)c;
        offsets[i] = at;
        expression->count++;
        fine = fine && resolve_index(unit, op);
        if (fine)
            read_blocks(module, dwarf, unit, op, depth);
    }
    if (fine)
        resolve_branches(expression, offsets);
    free(offsets);
    return fine ? expression : NULL;
}

static struct dwarf_expression *decode(struct module *module, struct dwarf *dwarf,
                                       struct unit *unit, const uint8_t *bytes, size_t size,
                                       int depth) {
    Dwarf_Loc_Head_c head;
    Dwarf_Unsigned count, low, high, ops, at, where;
    Dwarf_Addr start, end;
    Dwarf_Locdesc_c locdesc;
    Dwarf_Small kind, source;
    Dwarf_Bool missing;
    Dwarf_Error error = NULL;
    struct dwarf_expression *expression = NULL;
    if (!dwarf || depth > 4 || !size || size > 65536)
        return NULL;
    if (!dwarf_fine(dwarf,
                    dwarf_loclist_from_expr_c(
                        dwarf->dbg, (Dwarf_Ptr)bytes, size, dwarf->elf->is64 ? 8 : 4,
                        unit ? unit->offset_size : 4, (Dwarf_Small)(unit ? unit->version : 4),
                        &head, &count, &error),
                    &error))
        return NULL;
    if (count &&
        dwarf_fine(dwarf,
                   dwarf_get_locdesc_entry_d(head, 0, &kind, &low, &high, &missing, &start, &end,
                                             &ops, &locdesc, &source, &at, &where, &error),
                   &error))
        expression = read_ops(module, unit, dwarf, locdesc, ops, depth);
    HEAD_FREE(head);
    return expression;
}

const struct dwarf_expression *location_decode(struct module *module, struct dwarf *dwarf,
                                               const uint8_t *bytes, size_t size) {
    return decode(module, dwarf, NULL, bytes, size, 0);
}

struct wanted_pc {
    struct module *module;
    uint64_t pc;
};

/* gcc writes an empty range of what is so before a function's first instruction alone; Go's mean
 * nothing. */
static bool within(uint64_t low, uint64_t high, const struct wanted_pc *where) {
    if (low != high || where->pc != low)
        return where->pc >= low && where->pc < high;
    const struct function *function = function_at(where->module, where->pc);
    return function && function->entry == where->pc && !unit_is_go(function->unit);
}

/* Is this entry of a list the one that is looked up? A plain expression is for every pc. */
static bool covers(Dwarf_Small kind, Dwarf_Small source, uint64_t low, uint64_t high,
                   const struct wanted_pc *where) {
    if (source == 0)
        return true;
    if (source == 1 || source == 2) { /* .debug_loc: base selections and ends have no code */
        return within(low, high, where);
    }
    switch (kind) {
    case DW_LLE_default_location: return true;
    case DW_LLE_offset_pair:
    case DW_LLE_start_end:
    case DW_LLE_start_length:
    case DW_LLE_startx_endx:
    case DW_LLE_startx_length: return within(low, high, where);
    default: return false;
    }
}

/* A list's entry of a split unit: the codes are those of ranges, but for one in their midst. gcc's
 * lengths in split DWARF 4 are two too small where a range begins before a label (`end-label-1`).
 * What they lack is not known to be there; below zero, in their four bytes, they are no lengths. */
static bool split_covers(struct unit *unit, Dwarf_Small kind, uint64_t a, uint64_t b,
                         uint64_t *base, const struct wanted_pc *where) {
    uint64_t low, high;
    unsigned code = kind > DW_LLE_default_location ? kind - 1u : kind;
    return kind == DW_LLE_default_location || (list_range(unit, code, a, b, base, &low, &high) &&
                                               high - low <= INT32_MAX && within(low, high, where));
}

static struct dwarf_expression *pick(struct module *module, struct unit *unit, struct dwarf *dwarf,
                                     Dwarf_Loc_Head_c head, Dwarf_Unsigned count, uint64_t pc,
                                     const char **why) {
    uint64_t base = unit ? unit->base : 0;
    struct wanted_pc where_pc = {module, pc};
    for (Dwarf_Unsigned i = 0; i < count; i++) {
        Dwarf_Small kind, source;
        Dwarf_Unsigned low, high, ops, at, where;
        Dwarf_Addr start, end;
        Dwarf_Bool missing;
        Dwarf_Locdesc_c locdesc;
        Dwarf_Error error = NULL;
        if (!dwarf_fine(dwarf,
                        dwarf_get_locdesc_entry_d(head, i, &kind, &low, &high, &missing, &start,
                                                  &end, &ops, &locdesc, &source, &at, &where,
                                                  &error),
                        &error))
            continue;
        bool split = unit && unit->skeleton && source > 2;
        if (split ? !split_covers(unit, kind, low, high, &base, &where_pc)
                  : !covers(kind, source, start, end, &where_pc))
            continue;
        if (!ops)
            return NULL;
        struct dwarf_expression *found = read_ops(module, unit, dwarf, locdesc, ops, 0);
        *why = found ? NULL : "its location cannot be decoded";
        return found;
    }
    return NULL;
}

static struct dwarf_expression *look_up(struct module *module, struct die die, unsigned attribute,
                                        uint64_t pc, const char **why) {
    Dwarf_Attribute at;
    Dwarf_Loc_Head_c head;
    Dwarf_Unsigned count = 0;
    Dwarf_Error error = NULL;
    struct dwarf_expression *found = NULL;
    *why = "optimized out";
    if (!dwarf_fine(die.dwarf, dwarf_attr(die.raw, (Dwarf_Half)attribute, &at, &error), &error))
        return NULL;
    if (dwarf_fine(die.dwarf, dwarf_get_loclist_c(at, &head, &count, &error), &error)) {
        found = pick(module, unit_of(die), die.dwarf, head, count, pc, why);
        HEAD_FREE(head);
    }
    dwarf_dealloc_attribute(at);
    return found;
}

/* ---- each once: evaluations ask for the same again, at every hit ---- */

#define KNOWN_MAX 65536

struct known_location {
    struct die_place place;
    unsigned attribute;
    uint64_t pc;
    struct dwarf_expression *found;
    const char *why;
    struct known_location *next; /* of the same hash */
};

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 32;
}

static uint64_t key_of(const struct known_location *of) {
    uint64_t hash = mix((uintptr_t)of->place.dwarf, of->place.offset << 1 | of->place.types);
    return mix(mix(hash, of->attribute), of->pc);
}

static bool is_same(const struct known_location *a, const struct known_location *b) {
    return a->place.offset == b->place.offset && a->place.dwarf == b->place.dwarf &&
           a->place.types == b->place.types && a->attribute == b->attribute && a->pc == b->pc;
}

static void remember(struct module *module, uint64_t key, const struct known_location *known) {
    struct known_location *copy = module->locations.count < KNOWN_MAX
                                      ? arena_copy(&module->arena, known, sizeof *known)
                                      : NULL;
    if (!copy)
        return;
    copy->next = map_get(&module->locations, key);
    map_put(&module->locations, key, copy);
}

const struct dwarf_expression *location_of(struct module *module, struct die die,
                                           unsigned attribute, uint64_t pc, const char **why) {
    struct known_location wanted = {.place = die_place(die), .attribute = attribute, .pc = pc};
    uint64_t key = key_of(&wanted);
    const struct known_location *known = map_get(&module->locations, key);
    while (known && !is_same(known, &wanted))
        known = known->next;
    if (!known) {
        wanted.found = look_up(module, die, attribute, pc, &wanted.why);
        remember(module, key, &wanted);
        known = &wanted;
    }
    *why = known->why;
    return known->found;
}
