#include "symbol/functions.h"

#include "base/text.h"
#include "symbol/names.h"
#include <stdlib.h>
#include <string.h>

#define DEPTH 128
#define FUNCTIONS_MAX 4000000

struct function_list {
    struct function **list;
    size_t count, cap;
};

static struct die root_of(struct unit *unit) {
    struct die die = {0};
    die_at((struct die_place){unit->dwarf, unit->die, unit->types && unit->version < 5}, &die);
    return die;
}

/* "ns::C::f" for an entry; looked up in the index of its unit. */
static const char *qualified(struct module *module, struct die die) {
    struct die from;
    const char *plain = die_name(die);
    struct buffer out = BUFFER_INIT(4096);
    plain = name_canonical(module, plain ? plain : "");
    if (!*plain || !die_inherited(die, DW_AT_name, &from))
        return plain;
    struct unit *unit = unit_of(from);
    const struct names *names = unit ? unit_names(unit) : NULL;
    uintptr_t index = names ? (uintptr_t)map_get(&names->by_offset, die_key(die_place(from))) : 0;
    die_free(&from);
    if (!index || !names->list[index - 1].parent)
        return plain;
    name_qualified(names, &names->list[index - 1], &out);
    const char *text = out.data && !out.failed ? arena_strdup(&module->arena, out.data) : NULL;
    buffer_free(&out);
    return text ? text : plain;
}

uint64_t code_entry(struct die die, const struct range *ranges, size_t count) {
    uint64_t entry = count ? ranges[0].low : 0;
    die_address(die, DW_AT_entry_pc, &entry);
    if (!die_address(die, DW_AT_low_pc, &entry) && !ranges_contain(ranges, count, entry) && count)
        entry = ranges[0].low;
    return entry;
}

static void add_function(struct unit *unit, struct die die, struct function_list *list) {
    struct function *function = ARENA_NEW(&unit->module->arena, struct function);
    struct die from;
    uint64_t line = 0;
    if (!function || list->count >= FUNCTIONS_MAX)
        return;
    function->unit = unit->skeleton ? unit->skeleton : unit;
    function->place = die_place(die);
    if (!die_ranges(die, function->unit->base, &function->ranges, &function->range_count,
                    &function->range_cap))
        return;
    function->entry = code_entry(die, function->ranges, function->range_count);
    if (!function->entry) { /* dropped by the linker */
        free(function->ranges);
        return;
    }
    function->name = qualified(unit->module, die);
    if (!*function->name && module_label(unit->module, function->entry)) /* a thunk of clang's */
        function->name = module_label(unit->module, function->entry);
    function->linkage = die_string(die, DW_AT_linkage_name);
    if (!function->linkage && die_inherited(die, DW_AT_linkage_name, &from)) {
        function->linkage = die_string(from, DW_AT_linkage_name);
        die_free(&from);
    }
    if (die_inherited(die, DW_AT_decl_line, &from)) {
        die_unsigned(from, DW_AT_decl_line, &line);
        die_free(&from);
    }
    function->line = (unsigned)line;
    struct function **slot = ARRAY_ADD(list->list, list->count, list->cap);
    if (slot)
        *slot = function;
    else
        free(function->ranges);
}

/* Functions may stand in namespaces, classes, and (lambdas, nested ones) in functions. */
static void walk(struct unit *unit, struct die parent, struct function_list *list, int depth) {
    struct die die;
    if (depth > DEPTH || !die_child(parent, &die))
        return;
    do {
        switch (die_tag(die)) {
        case DW_TAG_subprogram:
            if (die_has(die, DW_AT_low_pc) || die_has(die, DW_AT_ranges))
                add_function(unit, die, list);
            walk(unit, die, list, depth + 1);
            break;
        case DW_TAG_namespace:
        case DW_TAG_module:
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
        case DW_TAG_union_type:
        case DW_TAG_lexical_block: walk(unit, die, list, depth + 1); break;
        default: break;
        }
    } while (die_step(&die));
}

static int by_entry(const void *a, const void *b) {
    const struct function *x = *(struct function *const *)a, *y = *(struct function *const *)b;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static int by_place(const void *a, const void *b) {
    const struct function *x = *(struct function *const *)a, *y = *(struct function *const *)b;
    return x->place.offset < y->place.offset ? -1 : x->place.offset > y->place.offset;
}

/* One range of a function; `reach` is the end of the farthest one up to here. */
struct span {
    uint64_t low, high, reach;
    size_t function;
};

static int by_low(const void *a, const void *b) {
    uint64_t x = ((const struct span *)a)->low, y = ((const struct span *)b)->low;
    return x < y ? -1 : x > y;
}

static void make_spans(struct unit *unit) {
    size_t count = 0;
    for (size_t i = 0; i < unit->function_count; i++)
        count += unit->functions[i]->range_count;
    unit->spans = count ? calloc(count, sizeof *unit->spans) : NULL;
    for (size_t i = 0; unit->spans && i < unit->function_count; i++) {
        const struct function *function = unit->functions[i];
        for (size_t k = 0; k < function->range_count; k++)
            unit->spans[unit->span_count++] = (struct span){
                .low = function->ranges[k].low, .high = function->ranges[k].high, .function = i};
    }
    if (unit->span_count)
        qsort(unit->spans, unit->span_count, sizeof *unit->spans, by_low);
    for (size_t i = 0; i < unit->span_count; i++) {
        struct span *span = &unit->spans[i];
        span->reach = i && span[-1].reach > span->high ? span[-1].reach : span->high;
    }
}

static void index_functions(struct unit *unit) {
    size_t n = unit->function_count, size = n * sizeof(struct function *);
    unit->by_offset = n ? malloc(size) : NULL;
    if (!unit->by_offset)
        return;
    qsort(unit->functions, n, sizeof(struct function *), by_entry);
    memcpy(unit->by_offset, unit->functions, size);
    qsort(unit->by_offset, n, sizeof(struct function *), by_place);
    make_spans(unit);
}

struct function **unit_functions(struct unit *unit, size_t *count) {
    unit = unit_entries(unit);
    if (!unit->functions_read) {
        struct function_list list = {0};
        struct die root = root_of(unit);
        unit->functions_read = true;
        if (root.raw)
            walk(unit, root, &list, 0);
        die_free(&root);
        unit->functions = list.list;
        unit->function_count = list.count;
        index_functions(unit);
    }
    *count = unit->function_count;
    return unit->functions;
}

/* A nested one comes after its host. */
struct function *function_at(struct module *module, uint64_t pc) {
    size_t count, low = 0, best = SIZE_MAX;
    struct unit *unit = unit_at(module, pc);
    struct function **list = unit ? unit_functions(unit, &count) : NULL;
    if (!list)
        return NULL;
    unit = unit_entries(unit);
    for (size_t high = unit->span_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (unit->spans[middle].low <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low-- && unit->spans[low].reach > pc;)
        if (pc < unit->spans[low].high && (best == SIZE_MAX || unit->spans[low].function > best))
            best = unit->spans[low].function;
    return best == SIZE_MAX ? NULL : list[best];
}

struct function *function_of_entry(struct unit *unit, uint64_t die_offset) {
    size_t count;
    struct function wanted = {.place.offset = die_offset}, *key = &wanted, **found = NULL;
    unit_functions(unit, &count);
    unit = unit_entries(unit);
    if (unit->by_offset)
        found = bsearch(&key, unit->by_offset, count, sizeof(struct function *), by_place);
    return found ? *found : NULL;
}

/* ---- scopes ---- */

struct builder {
    struct module *module;
    uint64_t base;
    bool packs; /* parameters of one name are a pack's */
};

/* Whether what stands at place is the copy of what origin declares. */
static bool is_copy(struct die_place place, struct die_place origin) {
    struct die die, from;
    if (!die_at(place, &die))
        return false;
    bool found = die_ref(die, DW_AT_abstract_origin, &from);
    if (found) {
        found = die_place(from).offset == origin.offset && from.dwarf == origin.dwarf;
        die_free(&from);
    }
    die_free(&die);
    return found;
}

static bool has_variable(const struct scope *scope, struct die_place origin) {
    for (size_t i = 0; i < scope->variable_count; i++)
        if (is_copy(scope->variables[i].place, origin))
            return true;
    return false;
}

static bool has_block(const struct scope *scope, struct die_place origin) {
    for (size_t i = 0; i < scope->child_count; i++)
        if (scope->children[i]->kind == SCOPE_BLOCK && is_copy(scope->children[i]->place, origin))
            return true;
    return false;
}

static void add_variable(struct builder *builder, struct scope *scope, struct die function,
                         struct die die, unsigned tag) {
    struct die from;
    uint64_t line = 0;
    const char *name = die_name(die);
    if (!name && tag == DW_TAG_formal_parameter)
        name = packed_name(builder->module, function, die);
    struct variable *variable =
        name ? ARRAY_ADD(scope->variables, scope->variable_count, scope->variable_cap) : NULL;
    if (!variable)
        return;
    if (die_inherited(die, DW_AT_decl_line, &from)) {
        die_unsigned(from, DW_AT_decl_line, &line);
        die_free(&from);
    }
    bool result = die_inherited(die, DW_AT_variable_parameter, &from);
    if (result) {
        result = die_flag(from, DW_AT_variable_parameter);
        die_free(&from);
    }
    *variable = (struct variable){.name = name,
                                  .result = result,
                                  .place = die_place(die),
                                  .parameter = tag == DW_TAG_formal_parameter,
                                  .declaration = die_flag(die, DW_AT_declaration),
                                  .line = (unsigned)line};
}

/* Variables, and blocks, of which a copy of the function kept nothing stand in its abstract
 * instance alone. */
static void inherit_from(struct builder *builder, struct scope *scope, struct die function,
                         struct die origin, int depth) {
    struct die child;
    if (depth > DEPTH || !die_child(origin, &child))
        return;
    do {
        unsigned tag = die_tag(child);
        if ((tag == DW_TAG_variable || tag == DW_TAG_formal_parameter) &&
            !has_variable(scope, die_place(child)))
            add_variable(builder, scope, function, child, tag);
        else if (tag == DW_TAG_GNU_formal_parameter_pack ||
                 (tag == DW_TAG_lexical_block && !has_block(scope, die_place(child))))
            inherit_from(builder, scope, function, child, depth + 1);
    } while (die_step(&child));
}

static void inherit(struct builder *builder, struct scope *scope, struct die die) {
    struct die origin;
    if (!die_ref(die, DW_AT_abstract_origin, &origin))
        return;
    inherit_from(builder, scope, origin, origin, 0);
    die_free(&origin);
}

static void fill(struct builder *builder, struct scope *scope, struct die die, int depth);

static void add_scope(struct builder *builder, struct scope *parent, struct die die, unsigned tag,
                      int depth) {
    struct scope *scope = ARENA_NEW(&builder->module->arena, struct scope);
    struct scope **slot =
        scope ? ARRAY_ADD(parent->children, parent->child_count, parent->child_cap) : NULL;
    uint64_t number = 0;
    if (!slot)
        return;
    *slot = scope;
    scope->kind = tag == DW_TAG_inlined_subroutine ? SCOPE_INLINED : SCOPE_BLOCK;
    scope->parent = parent;
    scope->place = die_place(die);
    die_ranges(die, builder->base, &scope->ranges, &scope->range_count, &scope->range_cap);
    if (scope->kind == SCOPE_INLINED) {
        scope->name = qualified(builder->module, die);
        die_unsigned(die, DW_AT_call_file, &number);
        scope->call_file = (unsigned)number;
        number = 0;
        die_unsigned(die, DW_AT_call_line, &number);
        scope->call_line = (unsigned)number;
    }
    fill(builder, scope, die, depth + 1);
}

static void add_pack(struct builder *builder, struct scope *scope, struct die function,
                     struct die pack) {
    struct die child;
    if (!die_child(pack, &child))
        return;
    do {
        if (die_tag(child) == DW_TAG_formal_parameter)
            add_variable(builder, scope, function, child, DW_TAG_formal_parameter);
    } while (die_step(&child));
}

static void fill(struct builder *builder, struct scope *scope, struct die die, int depth) {
    struct die child;
    if (depth > DEPTH)
        return;
    if (die_child(die, &child)) {
        do {
            unsigned tag = die_tag(child);
            if (tag == DW_TAG_variable || tag == DW_TAG_formal_parameter)
                add_variable(builder, scope, die, child, tag);
            else if (tag == DW_TAG_GNU_formal_parameter_pack)
                add_pack(builder, scope, die, child);
            else if (tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine)
                add_scope(builder, scope, child, tag, depth);
        } while (die_step(&child));
    }
    if (scope->kind != SCOPE_BLOCK || die_has(die, DW_AT_abstract_origin))
        inherit(builder, scope, die);
    if (scope->kind != SCOPE_BLOCK && builder->packs)
        packs_number(builder->module, scope, die);
}

struct scope *function_scope(struct function *function) {
    struct die die;
    struct builder builder = {function->unit->module, function->unit->base,
                              !unit_is_go(function->unit)};
    if (function->scope)
        return function->scope;
    struct scope *scope = ARENA_NEW(&builder.module->arena, struct scope);
    if (!scope)
        return NULL;
    function->scope = scope;
    scope->kind = SCOPE_FUNCTION;
    scope->place = function->place;
    scope->name = function->name;
    if (die_at(function->place, &die)) {
        fill(&builder, scope, die, 0);
        die_free(&die);
    }
    return scope;
}

struct scope *scope_at(struct function *function, uint64_t pc) {
    struct scope *scope = function_scope(function), *inner = scope;
    while (inner) {
        scope = inner;
        inner = NULL;
        for (size_t i = 0; i < scope->child_count; i++) {
            struct scope *child = scope->children[i];
            if (ranges_contain(child->ranges, child->range_count, pc))
                inner = child;
        }
    }
    return scope;
}

struct scope *scope_around(struct function *function, uint64_t pc, unsigned calls, unsigned *line) {
    struct scope *scope = scope_at(function, pc);
    for (unsigned i = 0; i < calls && scope; i++) {
        while (scope->kind == SCOPE_BLOCK && scope->parent)
            scope = scope->parent;
        if (scope->kind == SCOPE_INLINED)
            *line = scope->call_line;
        if (scope->parent)
            scope = scope->parent;
    }
    return scope;
}

/* Nothing of it is in front: as gdb's block_starting_point_at() has it. */
static bool begins_at(const struct scope *scope, uint64_t pc) {
    return scope->range_count && (scope->ranges[0].low == pc ||
                                  !ranges_contain(scope->ranges, scope->range_count, pc - 1));
}

unsigned scope_calls_at(struct function *function, uint64_t pc, uint64_t copy) {
    unsigned calls = 0;
    for (struct scope *at = scope_at(function, pc); at && at->parent; at = at->parent) {
        if (at->kind != SCOPE_INLINED)
            continue;
        if (at->place.offset == copy || !begins_at(at, pc))
            break;
        calls++;
    }
    return calls;
}

static void free_scope(struct scope *scope) {
    if (!scope)
        return;
    for (size_t i = 0; i < scope->child_count; i++)
        free_scope(scope->children[i]);
    free(scope->children);
    free(scope->ranges);
    free(scope->variables);
}

void function_free(struct function *function) {
    free_scope(function->scope);
    free(function->ranges);
}

static bool is_called(const char *its, const char *name, size_t n) {
    return its && !strncmp(its, name, n) && !its[n];
}

const struct variable *variable_named(struct scope *innermost, const char *name, size_t n,
                                      unsigned line) {
    for (struct scope *scope = innermost; scope; scope = scope->parent) {
        const struct variable *found = NULL;
        for (size_t i = 0; i < scope->variable_count; i++) {
            const struct variable *v = &scope->variables[i];
            bool seen = !line || v->parameter || !v->line || v->line < line;
            /* Go redeclares a name in its block, and the last one counts; so it is with the
             * parameters of a pack. Where clang has merged blocks of C, the outer one comes first.
             */
            bool later = !found || line || (found->parameter && v->parameter);
            if (seen && (is_called(v->name, name, n) || is_called(v->shared, name, n)) && later)
                found = v;
        }
        if (found)
            return found;
        if (scope->kind == SCOPE_INLINED) /* the caller's names are not those of the callee */
            return NULL;
    }
    return NULL;
}

const char *variable_name(struct scope *innermost, size_t i) {
    for (struct scope *scope = innermost; scope; scope = scope->parent) {
        if (i < scope->variable_count)
            return scope->variables[i].name;
        i -= scope->variable_count;
        if (scope->kind == SCOPE_INLINED)
            return NULL;
    }
    return NULL;
}
