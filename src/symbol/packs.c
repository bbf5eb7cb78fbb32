/* Parameter packs of C++: as many parameters under one name as a call has. clang gives that name to
 * each of them; g++ puts them into an entry of their own, and writes no name at all. They are
 * numbered as they stand in the function, for a copy of it may have them in another order. */
#include "symbol/functions.h"

#include <string.h>

struct search {
    const char *name; /* NULL: those without one, in entries of packs */
    struct die_place wanted;
    unsigned before;
    bool found;
};

static bool is_alike(struct die parameter, bool packed, const char *wanted) {
    const char *name = die_name(parameter);
    return wanted ? name && !strcmp(name, wanted) : packed && !name;
}

static void look(struct die parent, bool packed, struct search *search) {
    struct die child;
    if (!die_child(parent, &child))
        return;
    do {
        unsigned tag = die_tag(child);
        if (tag == DW_TAG_GNU_formal_parameter_pack) {
            look(child, true, search);
        } else if (tag == DW_TAG_formal_parameter && is_alike(child, packed, search->name)) {
            struct die_place place = die_place(child);
            search->found =
                place.offset == search->wanted.offset && place.dwarf == search->wanted.dwarf;
            search->before += !search->found;
        }
    } while (!search->found && die_step(&child));
    if (search->found)
        die_free(&child);
}

const char *packed_name(struct module *module, struct die function, struct die parameter) {
    struct die whole = {0}, original = {0};
    bool copy = die_ref(function, DW_AT_abstract_origin, &whole);
    bool copied = die_ref(parameter, DW_AT_abstract_origin, &original);
    struct search search = {.name = die_name(parameter),
                            .wanted = die_place(copied ? original : parameter)};
    look(copy ? whole : function, false, &search);
    die_free(&whole);
    die_free(&original);
    if (!search.found)
        return NULL;
    struct buffer text = BUFFER_INIT(4096);
    buffer_printf(&text, "%s#%u", search.name ? search.name : "pack", search.before);
    const char *name = text.failed ? NULL : arena_strdup(&module->arena, text.data);
    buffer_free(&text);
    return name;
}

static void number(struct module *module, struct die function, struct variable *variable) {
    struct die die;
    if (!die_at(variable->place, &die))
        return;
    const char *name = packed_name(module, function, die);
    die_free(&die);
    if (!name)
        return;
    variable->shared = variable->name;
    variable->name = name;
}

static struct die_place origin_of(const struct variable *variable) {
    struct die die, original;
    struct die_place place = variable->place;
    if (!die_at(place, &die))
        return place;
    if (die_ref(die, DW_AT_abstract_origin, &original)) {
        place = die_place(original);
        die_free(&original);
    }
    die_free(&die);
    return place;
}

/* gcc's link-time optimisation tells the named parameters of `f(a, ...)` twice. */
static bool is_the_same(const struct variable *a, const struct variable *b) {
    struct die_place one = origin_of(a), other = origin_of(b);
    return one.offset == other.offset && one.dwarf == other.dwarf;
}

void packs_number(struct module *module, struct scope *scope, struct die function) {
    struct variable *list = scope->variables;
    for (size_t i = 0; i < scope->variable_count; i++) {
        const char *name = list[i].name;
        bool packed = false;
        for (size_t k = i + 1; list[i].parameter && k < scope->variable_count; k++) {
            if (!list[k].parameter || strcmp(list[k].name, name) || is_the_same(&list[i], &list[k]))
                continue;
            number(module, function, &list[k]);
            packed = true;
        }
        if (packed)
            number(module, function, &list[i]);
    }
}
