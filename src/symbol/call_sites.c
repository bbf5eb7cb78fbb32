#include "symbol/call_sites.h"

#include "base/text.h"
#include "symbol/functions.h"
#include <stdlib.h>

#define SITES_MAX 65536

/* ---- what it passes ---- */

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

const struct dwarf_expression *call_site_passes(const struct call_site *site,
                                                const struct passed *wanted) {
    for (size_t i = 0; i < site->count; i++) {
        const struct passed *passed = &site->passed[i];
        bool same = wanted->in ? same_register(passed->in, wanted->in)
                               : passed->parameter && passed->parameter == wanted->parameter;
        if (same && passed->value)
            return passed->value;
    }
    return NULL;
}

static struct passed read_passed(struct module *module, struct die parameter) {
    struct passed passed = {0};
    struct die named;
    const char *why;
    unsigned attribute =
        die_has(parameter, DW_AT_call_value) ? DW_AT_call_value : DW_AT_GNU_call_site_value;
    passed.in = location_of(module, parameter, DW_AT_location, 0, &why);
    passed.value = location_of(module, parameter, attribute, 0, &why);
    if (die_ref(parameter, DW_AT_call_parameter, &named) ||
        die_ref(parameter, DW_AT_abstract_origin, &named)) {
        passed.parameter = die_place(named).offset;
        die_free(&named);
    }
    return passed;
}

static void read_site(struct module *module, struct die site, struct call_site *out) {
    struct die child;
    struct passed *list = NULL;
    size_t cap = 0;
    out->place = die_place(site);
    if (!die_child(site, &child))
        return;
    do {
        unsigned tag = die_tag(child);
        bool parameter = tag == DW_TAG_call_site_parameter || tag == DW_TAG_GNU_call_site_parameter;
        struct passed *slot = parameter ? ARRAY_ADD(list, out->count, cap) : NULL;
        if (slot)
            *slot = read_passed(module, child);
    } while (die_step(&child));
    die_free(&child);
    out->passed = arena_copy(&module->arena, list, out->count * sizeof *list);
    out->count = out->passed ? out->count : 0;
    free(list);
}

/* ---- which one ---- */

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

const struct call_site *call_site_returning_to(struct module *module, uint64_t pc) {
    struct call_site *known = map_get(&module->call_sites, pc);
    struct function *function = known ? NULL : function_at(module, pc ? pc - 1 : 0);
    struct die die, site;
    if (!known && function && module->call_sites.count < SITES_MAX &&
        (known = ARENA_NEW(&module->arena, struct call_site)) && die_at(function->place, &die)) {
        if (find_site(die, pc, 0, &site)) {
            read_site(module, site, known);
            die_free(&site);
        }
        die_free(&die);
        map_put(&module->call_sites, pc, known);
    }
    return known && known->place.dwarf ? known : NULL;
}

/* ---- tail calls ---- */

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

bool function_may_tail_call_itself(struct function *function) {
    if (!function->tail_calls) {
        struct tail_walk walk = {.self = function};
        follow_tails(&walk, function, 0);
        function->tail_calls = walk.doubtful ? 1 : -1;
    }
    return function->tail_calls > 0;
}
