#include "expr/target_scope.h"

#include "base/text.h"
#include "symbol/cxx_name.h"
#include "symbol/match.h"
#include "symbol/names.h"
#include <stdio.h>
#include <string.h>

void scope_view_init(struct scope_view *view, const struct target_site *site, struct arena *arena) {
    *view = (struct scope_view){.site = site, .arena = arena};
    struct loaded *loaded = site->loaded         ? site->loaded
                            : site->space->count ? &site->space->list[0]
                                                 : NULL;
    view->module = loaded ? loaded->module : NULL;
    if (!view->module)
        return;
    view->function = site->loaded ? function_at(view->module, site->pc) : NULL;
    if (view->function) {
        const struct line_row *row = line_at(unit_lines(view->function->unit), site->pc);
        unsigned line = row ? row->line : 0;
        view->innermost = scope_around(view->function, site->pc, site->callers, &line);
        view->unit = view->function->unit;
        view->go = unit_is_go(view->unit);
        view->line = view->go ? line : 0;
        unsigned language = unit_entries(view->unit)->language;
        view->cxx = language == DW_LANG_C_plus_plus || language == DW_LANG_C_plus_plus_03 ||
                    language == DW_LANG_C_plus_plus_11 || language == DW_LANG_C_plus_plus_14;
    } else if (view->module->dwarf && view->module->dwarf->unit_count) {
        struct unit *first = &view->module->dwarf->units[0];
        unit_load(first);
        view->go = unit_is_go(first);
    }
}

/* ---- one entry ---- */

#define WIDEST 16 /* bytes of a number */

/* A number of the debug info has 8 bytes at most; a wider variable's sign goes on. */
static void put_number(int64_t number, bool sign, uint8_t out[static WIDEST]) {
    int64_t more = sign && number < 0 ? -1 : 0;
    memcpy(out, &number, 8);
    memcpy(out + 8, &more, 8);
}

static bool constant_bytes(struct scope_view *view, struct die die, const struct type *type,
                           struct meaning *out) {
    struct die from;
    const uint8_t *bytes;
    uint8_t number[WIDEST] = {0};
    size_t size;
    int64_t small;
    const char *text;
    if (!die_inherited(die, DW_AT_const_value, &from))
        return false;
    const struct type *plain = type_plain(type);
    bool fits = plain->size && plain->size <= WIDEST;
    out->constant_size = fits ? plain->size : 8;
    if (die_block(from, DW_AT_const_value, &bytes, &size)) {
        /* clang leaves out the padding of x86's long double */
        bool padded = fits && plain->kind == TYPE_FLOAT && size < plain->size;
        memcpy(number, bytes, padded ? size : 0);
        out->constant = padded ? arena_copy(view->arena, number, sizeof number) : bytes;
        out->constant_size = padded ? plain->size : size;
    } else if (die_sixteen(from, DW_AT_const_value, number)) {
        out->constant = arena_copy(view->arena, number, sizeof number);
    } else if (die_signed(from, DW_AT_const_value, &small)) {
        put_number(small, plain->sign, number);
        out->constant = arena_copy(view->arena, number, sizeof number);
    } else if ((text = die_string(from, DW_AT_const_value))) {
        out->constant = (const uint8_t *)text;
        out->constant_size = strlen(text) + 1;
    }
    die_free(&from);
    return out->constant;
}

/* An expression that is one fixed address needs no evaluation. */
static bool fixed_address(const struct dwarf_expression *location, uint64_t *address) {
    if (!location || location->count != 1 ||
        (location->ops[0].op != DW_OP_addr && location->ops[0].op != DW_OP_addrx &&
         location->ops[0].op != DW_OP_GNU_addr_index))
        return false;
    *address = location->ops[0].a;
    return true;
}

static struct meaning of_entry(struct scope_view *view, struct loaded *loaded, struct die die,
                               uint64_t pc) {
    struct meaning out = {.kind = MEANS_VARIABLE, .loaded = loaded};
    struct die from;
    out.type = type_of_entry(die);
    out.why = "optimized out";
    if (die_inherited(die, DW_AT_location, &from)) {
        out.location = location_of(loaded->module, from, DW_AT_location, pc, &out.why);
        die_free(&from);
    } else if (constant_bytes(view, die, out.type, &out)) {
        return out;
    }
    if (fixed_address(out.location, &out.address))
        out.kind = MEANS_STATIC;
    return out;
}

struct meaning scope_variable(struct scope_view *view, const struct variable *variable) {
    struct die die;
    struct meaning out = {.kind = MEANS_NOTHING};
    if (variable->declaration) /* extern, inside of a function */
        return out;
    if (die_at(variable->place, &die)) {
        out = of_entry(view, view->site->loaded, die, view->site->pc);
        die_free(&die);
    }
    return out;
}

/* ---- globals ---- */

struct global_search {
    struct scope_view *view;
    struct name_pattern pattern;
    struct loaded *loaded;
    struct meaning best;
    int best_rank;
};

static bool is_transparent(const char *part, size_t n) {
    return (n == 21 && !memcmp(part, "(anonymous namespace)", n)) ||
           (n > 2 && part[0] == '_' && part[1] == '_'); /* the library's inline namespaces */
}

/* `prefix` (n bytes, "ns::C::") is what a name needs in front: visible where the function itself is
 * in that namespace or class. The nearest one wins. 0: not visible. */
static int enclosing_rank(struct scope_view *view, const char *prefix, size_t n) {
    const char *own = view->function ? view->function->name : NULL;
    int shared = 0;
    if (!own || view->go)
        return 1;
    while (n) {
        const char *end = memmem(prefix, n, "::", 2);
        size_t part = end ? (size_t)(end - prefix) + 2 : n;
        if (!is_transparent(prefix, part - 2)) {
            if (strncmp(own, prefix, part))
                return 0;
            own += part;
            shared += (int)part;
        }
        prefix += part;
        n -= part;
    }
    return 16 + shared;
}

/* A definition beats a declaration; the own unit beats others; what is global beats another file's
 * statics. */
static int rank(struct scope_view *view, struct unit *unit, const struct names *names,
                const struct name *name, struct die die, size_t wanted) {
    int rank = 1;
    struct buffer text = BUFFER_INIT(1 << 16);
    if (view->unit && unit_entries(view->unit) == unit_entries(unit))
        rank += 8;
    if (die_flag(die, DW_AT_external) || name->tag == DW_TAG_member)
        rank += 2;
    name_visible(names, name, &text);
    size_t n = text.data && text.len >= wanted ? text.len - wanted : 0;
    int enclosing = n ? enclosing_rank(view, text.data, n) : 4;
    rank = enclosing ? rank + enclosing : 0;
    buffer_free(&text);
    return rank;
}

static void take_enumerator(struct die die, struct meaning *out) {
    out->kind = MEANS_CONSTANT;
    die_signed(die, DW_AT_const_value, &out->value);
}

/* The enumeration that holds an enumerator: its entry is before it in the index. */
static const struct type *enum_of(struct unit *unit, const struct names *names,
                                  const struct name *name) {
    const struct name *holder = NULL;
    for (const struct name *at = name; at-- > names->list && !holder;)
        if (at->tag == DW_TAG_enumeration_type)
            holder = at;
    return holder ? type_at(unit->module, name_place(unit, holder)) : type_basic(BASIC_INT);
}

/* -flto: a variable's place is in the unit that has the code, its declaration in one without. */
static bool is_without_code(struct unit *unit) {
    return !unit->range_count && strstr(unit->producer, "-flto");
}

static bool take_global(void *ctx, struct unit *unit, const struct names *names,
                        const struct name *name) {
    struct global_search *search = ctx;
    struct die die;
    if (!name_pattern_fits(&search->pattern, unit, names, name) ||
        !die_at(name_place(unit, name), &die))
        return true;
    struct meaning found = {.loaded = search->loaded};
    unsigned kind = name_kind(name);
    if (kind == NAME_ENUMERATOR) {
        take_enumerator(die, &found);
        found.type = enum_of(unit, names, name);
    } else if (kind == NAME_FUNCTION) {
        found.kind = name->code && die_address(die, DW_AT_low_pc, &found.address) ? MEANS_FUNCTION
                                                                                  : MEANS_NOTHING;
        found.type = type_at(unit->module, name_place(unit, name));
    } else {
        found = of_entry(search->view, search->loaded, die, 0);
        /* A declaration's definition may follow; a definition without a place was optimised away.
         */
        if (!found.location && !found.constant && (name->declaration || name->tag == DW_TAG_member))
            found.kind = MEANS_NOTHING;
    }
    int value = found.kind == MEANS_NOTHING
                    ? 0
                    : rank(search->view, unit, names, name, die, strlen(search->pattern.text));
    if (value && found.kind == MEANS_VARIABLE && !found.location && is_without_code(unit))
        value = 1;
    if (value > search->best_rank) {
        search->best = found;
        search->best_rank = value;
    }
    die_free(&die);
    return true;
}

/* gdb's function::variable: a static variable of a function. */
struct static_search {
    struct scope_view *view;
    struct loaded *loaded;
    struct name_pattern pattern;
    const char *variable;
    struct meaning found;
};

static void search_scopes(struct static_search *search, struct scope *scope) {
    for (size_t i = 0; i < scope->variable_count && !search->found.kind; i++) {
        struct die die;
        if (strcmp(scope->variables[i].name, search->variable) ||
            !die_at(scope->variables[i].place, &die))
            continue;
        struct meaning meaning = of_entry(search->view, search->loaded, die, 0);
        if (meaning.kind == MEANS_STATIC)
            search->found = meaning;
        die_free(&die);
    }
    for (size_t i = 0; i < scope->child_count; i++)
        search_scopes(search, scope->children[i]);
}

static bool take_function(void *ctx, struct unit *unit, const struct names *names,
                          const struct name *name) {
    struct static_search *search = ctx;
    struct function *function = name->code && name_pattern_fits(&search->pattern, unit, names, name)
                                    ? function_of_entry(unit, name->offset)
                                    : NULL;
    struct scope *scope = function ? function_scope(function) : NULL;
    if (scope)
        search_scopes(search, scope);
    return !search->found.kind;
}

static struct meaning find_function_static(struct scope_view *view, const char *name) {
    struct static_search search = {.view = view, .variable = cxx_last_part(name)};
    char function[1024];
    if (search.variable < name + 3)
        return search.found;
    snprintf(function, sizeof function, "%.*s", (int)(search.variable - 2 - name), name);
    name_pattern_init(&search.pattern, function);
    for (size_t i = 0; i < view->site->space->count && !search.found.kind; i++) {
        search.loaded = &view->site->space->list[i];
        module_find(search.loaded->module, search.pattern.last, search.pattern.last_len,
                    NAME_FUNCTION, take_function, &search);
    }
    return search.found;
}

static struct meaning find_global(struct scope_view *view, const char *name) {
    struct space *space = view->site->space;
    struct global_search search = {.view = view};
    name_pattern_init(&search.pattern, name);
    for (size_t pass = 0; pass < 2; pass++) { /* the own module first */
        for (size_t i = 0; i < space->count; i++) {
            bool own = space->list[i].module == view->module;
            search.loaded = &space->list[i];
            if (own == (pass == 0))
                module_find(space->list[i].module, search.pattern.last, search.pattern.last_len,
                            NAME_VARIABLE | NAME_ENUMERATOR | NAME_FUNCTION, take_global, &search);
        }
        if (search.best_rank)
            break;
    }
    return search.best;
}

/* Data without debug info: an address of no known type. */
static struct meaning find_symbol(struct scope_view *view, const char *name) {
    struct space *space = view->site->space;
    struct meaning out = {.kind = MEANS_NOTHING};
    for (size_t i = 0; i < space->count && !out.kind; i++) {
        struct elf_symbol **list;
        size_t n = module_symbols_named(space->list[i].module, name, &list);
        for (size_t k = 0; k < n && !out.kind; k++)
            if (list[k]->kind == SYMBOL_OBJECT || list[k]->kind == SYMBOL_FUNCTION)
                out = (struct meaning){
                    .kind = MEANS_STATIC, .loaded = &space->list[i], .address = list[k]->address};
    }
    return out;
}

struct meaning scope_static_member(struct scope_view *view, const struct type *type,
                                   const char *name, int depth) {
    struct meaning out = {.kind = MEANS_NOTHING};
    char whole[1024];
    type = type_complete(view->module, type_plain(type));
    if (!type->name || !view->cxx || depth > MEMBER_PATH)
        return out;
    snprintf(whole, sizeof whole, "%s::%s", type->name, name);
    out = find_global(view, whole);
    for (size_t i = 0; i < type->member_count && !out.kind; i++)
        if (type->members[i].base)
            out = scope_static_member(view, type->members[i].type, name, depth + 1);
    return out;
}

static bool is_member_of_this(struct scope_view *view, const char *name, struct meaning *out) {
    const struct member *path[MEMBER_PATH];
    const struct variable *self = variable_named(view->innermost, "this", 4, 0);
    if (!self || strstr(name, "::"))
        return false;
    struct meaning this = scope_variable(view, self);
    const struct type *plain = this.type ? type_plain(this.type) : NULL;
    if (!plain || plain->kind != TYPE_POINTER)
        return false;
    if (type_member(view->module, plain->target, name, strlen(name), path) <= 0) {
        *out = scope_static_member(view, plain->target, name, 0);
        return out->kind;
    }
    *out = this;
    out->kind = MEANS_MEMBER;
    return true;
}

struct meaning scope_lookup(struct scope_view *view, const char *name) {
    struct meaning out = {.kind = MEANS_NOTHING};
    if (!view->module)
        return out;
    bool global = !strncmp(name, "::", 2);
    const char *plain = name + 2 * global;
    size_t n = strlen(plain);
    const struct variable *local =
        !global ? variable_named(view->innermost, name, n, view->line) : NULL;
    if (local)
        out = scope_variable(view, local);
    if (!out.kind && view->go && !global) { /* it escaped: `&x` is what the stack holds */
        char *escaped = arena_alloc(view->arena, n + 2);
        if (escaped) {
            escaped[0] = '&';
            memcpy(escaped + 1, name, n);
            local = variable_named(view->innermost, escaped, n + 1, view->line);
            if (local)
                out = scope_variable(view, local);
        }
    }
    if (!out.kind && view->cxx && view->innermost && is_member_of_this(view, plain, &out))
        return out;
    if (!out.kind)
        out = find_global(view, plain);
    if (!out.kind)
        out = find_function_static(view, plain);
    if (!out.kind)
        out = find_symbol(view, plain);
    return out;
}

/* ---- suggestions and types ---- */

static const char *near_name(void *ctx, size_t i) {
    return variable_name(((struct scope_view *)ctx)->innermost, i);
}

struct near_global {
    const char *wanted, *best;
    unsigned distance;
};

static bool near_entry(void *ctx, struct unit *unit, const struct names *names,
                       const struct name *name) {
    struct near_global *near = ctx;
    (void)unit;
    (void)names;
    unsigned distance = text_distance(near->wanted, name->name, 2);
    if (distance < near->distance) {
        near->best = name->name;
        near->distance = distance;
    }
    return true;
}

const char *scope_nearest(struct scope_view *view, const char *name) {
    const char *found = view->innermost ? text_nearest(name, near_name, view) : NULL;
    if (found || !view->unit)
        return found;
    struct near_global global = {.wanted = name, .distance = strlen(name) > 4 ? 3 : 2};
    const struct names *names = unit_names(view->unit);
    for (size_t i = 0; i < names->count; i++)
        if (names->list[i].name && name_kind(&names->list[i]) & (NAME_VARIABLE | NAME_ENUMERATOR))
            near_entry(&global, view->unit, names, &names->list[i]);
    return global.best;
}

const struct type *scope_type(void *ctx, const char *name) {
    struct scope_view *view = ctx;
    bool tagged = strchr(name, ' ') && !strchr(name, '<');
    if (!tagged && view->innermost && variable_named(view->innermost, name, strlen(name), 0))
        return NULL;
    const struct type *type = NULL;
    struct space *space = view->site->space;
    if (view->module)
        type = type_named(view->module, name, view->unit);
    for (size_t i = 0; i < space->count && !type; i++)
        if (space->list[i].module != view->module)
            type = type_named(space->list[i].module, name, NULL);
    return type;
}

bool scope_known(void *ctx, const char *name) {
    return scope_type(ctx, name) || scope_lookup(ctx, name).kind != MEANS_NOTHING;
}
