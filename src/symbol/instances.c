/* Inlined copies of functions. */
#include "symbol/functions.h"

struct instance_search {
    struct die_place origin;
    struct instance *out;
    size_t max, count;
    struct function *host;
};

static void add_instance(struct instance_search *search, const struct scope *scope,
                         struct die die) {
    if (search->count < search->max)
        search->out[search->count] =
            (struct instance){search->origin, scope->place,
                              code_entry(die, scope->ranges, scope->range_count), search->host};
    search->count++;
}

static void find_instances(struct scope *scope, struct instance_search *search) {
    struct die die, origin;
    if (scope->kind == SCOPE_INLINED && scope->range_count && die_at(scope->place, &die)) {
        if (die_ref(die, DW_AT_abstract_origin, &origin)) {
            struct die_place place = die_place(origin);
            if (place.dwarf == search->origin.dwarf && place.offset == search->origin.offset)
                add_instance(search, scope, die);
            die_free(&origin);
        }
        die_free(&die);
    }
    for (size_t i = 0; i < scope->child_count; i++)
        find_instances(scope->children[i], search);
}

/* Go's functions do not nest: the i-th has the entries up to the next one's. Most of a large unit's
 * need not be read then. */
static bool may_host(struct unit *unit, size_t i, struct die_place origin) {
    uint64_t end = i + 1 < unit->function_count ? unit->by_offset[i + 1]->place.offset : unit->end;
    return unit_mentions(unit, unit->by_offset[i]->place.offset, end, origin.offset);
}

size_t unit_instances(struct unit *unit, struct die_place origin, struct instance *out,
                      size_t max) {
    struct instance_search search = {.origin = origin, .out = out, .max = max};
    size_t count;
    struct function **list = unit_functions(unit, &count);
    unit = unit_entries(unit);
    bool flat = unit_is_go(unit) && unit->by_offset;
    for (size_t i = 0; i < count; i++) {
        search.host = flat ? unit->by_offset[i] : list[i];
        struct scope *scope =
            !flat || may_host(unit, i, origin) ? function_scope(search.host) : NULL;
        if (scope)
            find_instances(scope, &search);
    }
    return search.count;
}

#define DEPTH 128

static void note_inlined(struct die parent, struct map *origins, int depth) {
    struct die die, origin;
    if (depth > DEPTH || !die_child(parent, &die))
        return;
    do {
        unsigned tag = die_tag(die);
        if (tag == DW_TAG_inlined_subroutine && die_ref(die, DW_AT_abstract_origin, &origin)) {
            map_put(origins, die_key(die_place(origin)), origins);
            die_free(&origin);
        }
        if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
            tag == DW_TAG_subprogram || tag == DW_TAG_namespace)
            note_inlined(die, origins, depth + 1);
    } while (die_step(&die));
}

void unit_inlined(struct unit *unit, struct map *origins) {
    struct die die;
    unit = unit_entries(unit);
    if (!die_at((struct die_place){unit->dwarf, unit->die, false}, &die))
        return;
    note_inlined(die, origins, 0);
    die_free(&die);
}
