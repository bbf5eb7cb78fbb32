#include "symbol/names.h"

#include "base/text.h"
#include "symbol/cxx_name.h"
#include <stdlib.h>
#include <string.h>

#define DEPTH 64

struct walk {
    struct unit *unit;
    struct names *names;
    bool cxx;
};

unsigned name_kind(const struct name *name) {
    switch (name->tag) {
    case DW_TAG_subprogram: return NAME_FUNCTION;
    case DW_TAG_variable:
    case DW_TAG_member: return NAME_VARIABLE;
    case DW_TAG_enumerator: return NAME_ENUMERATOR;
    case DW_TAG_namespace:
    case DW_TAG_module: return NAME_SPACE;
    case DW_TAG_base_type:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_interface_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_unspecified_type:
    case DW_TAG_typedef: return NAME_TYPE;
    default: return 0;
    }
}

static bool has_inside(unsigned tag) {
    return tag == DW_TAG_namespace || tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
           tag == DW_TAG_union_type || tag == DW_TAG_enumeration_type || tag == DW_TAG_module;
}

/* The entry that this one was made from, where it stands in the same index. */
static struct name *origin(struct walk *walk, struct die die) {
    struct die from;
    if (!die_ref(die, DW_AT_specification, &from) && !die_ref(die, DW_AT_abstract_origin, &from))
        return NULL;
    uintptr_t index = (uintptr_t)map_get(&walk->names->by_offset, die_key(die_place(from)));
    bool same = from.dwarf == die.dwarf;
    die_free(&from);
    return index && same ? &walk->names->list[index - 1] : NULL;
}

static void describe_code(struct die die, struct name *name) {
    uint64_t how = 0;
    name->declaration = die_flag(die, DW_AT_declaration);
    if (name->tag != DW_TAG_subprogram)
        return;
    name->code = die_has(die, DW_AT_low_pc) || die_has(die, DW_AT_ranges);
    /* gcc says "declared, and not inlined" of some that it has inlined. */
    if (!name->code && die_unsigned(die, DW_AT_inline, &how))
        name->inlined = how != DW_INL_not_inlined;
}

const char *name_canonical(struct module *module, const char *name) {
    struct buffer out = BUFFER_INIT(1 << 16);
    if (!name || !strchr(name, '<'))
        return name;
    cxx_canonical(name, &out);
    if (out.data && !out.failed && strcmp(out.data, name)) {
        const char *copy = arena_strdup(&module->arena, out.data);
        name = copy ? copy : name;
    }
    buffer_free(&out);
    return name;
}

/* The namespaces and classes around an entry of a type unit, and its own name. Entries stand in the
 * order of their offsets, so each level has one that can hold it. */
static void path_to(struct die parent, uint64_t offset, struct buffer *out, int depth) {
    struct die die, holder = {0};
    if (depth > DEPTH || !die_child(parent, &die))
        return;
    do {
        if (die_place(die).offset > offset)
            break;
        die_free(&holder);
        if (!die_at(die_place(die), &holder))
            holder.raw = NULL;
    } while (die_step(&die));
    die_free(&die);
    const char *name = holder.raw ? die_string(holder, DW_AT_name) : NULL;
    if (!name && holder.raw && die_tag(holder) == DW_TAG_namespace)
        name = "(anonymous namespace)";
    if (name) /* not a function whose own type it is */
        buffer_printf(out, "%s%s", out->len ? "::" : "", name);
    if (holder.raw && die_place(holder).offset < offset)
        path_to(holder, offset, out, depth + 1);
    die_free(&holder);
}

/* A stand-in for the type of a type unit: clang's have no name, gcc's stand outside of their
 * namespaces. */
static void name_of_type_unit(struct walk *walk, struct die whole, struct name *name) {
    struct unit *unit = unit_of(whole);
    struct buffer path = BUFFER_INIT(4096);
    struct die root, declared;
    if (name->parent || !unit ||
        !die_at((struct die_place){unit->dwarf, unit->die, unit->version < 5}, &root)) {
        name->name = die_string(whole, DW_AT_name);
        return;
    }
    uint64_t offset = die_place(whole).offset;
    if (die_ref(whole, DW_AT_specification, &declared)) {
        offset = die_place(declared).offset;
        die_free(&declared);
    }
    path_to(root, offset, &path, 0);
    if (path.data && !path.failed)
        name->name = arena_strdup(&walk->unit->module->arena, path.data);
    buffer_free(&path);
    die_free(&root);
}

/* What a type is called, where its entry alone does not say so. */
static void find_type_name(struct walk *walk, struct die die, struct name *name) {
    struct die whole;
    if (die_ref(die, DW_AT_signature, &whole)) {
        name_of_type_unit(walk, whole, name);
        die_free(&whole);
    }
    /* In gcc's type units the definition stands outside of its namespaces. */
    const struct name *from = die_has(die, DW_AT_specification) ? origin(walk, die) : NULL;
    if (from)
        name->parent = from->parent;
    if (name->tag == DW_TAG_namespace && !name->name) /* -flto: its name is in another unit */
        name->name = die_name(die);
    name->transparent =
        name->tag == DW_TAG_namespace && (!name->name || die_flag(die, DW_AT_export_symbols));
}

static uint32_t add(struct walk *walk, struct die die, unsigned tag, uint32_t parent) {
    struct names *names = walk->names;
    struct name *name =
        names->count < NAMES_MAX ? ARRAY_ADD(names->list, names->count, names->cap) : NULL;
    if (!name)
        return parent;
    struct die_place place = die_place(die);
    *name = (struct name){.offset = place.offset,
                          .types = place.types,
                          .parent = parent,
                          .tag = (uint16_t)tag,
                          .name = die_string(die, DW_AT_name)};
    if (has_inside(tag))
        find_type_name(walk, die, name);
    bool made = tag == DW_TAG_subprogram || tag == DW_TAG_variable;
    if (made || has_inside(tag))
        describe_code(die, name);
    if (made && !name->name) {
        size_t at = (size_t)(name - names->list);
        struct name *from = origin(walk, die);
        name = &names->list[at];
        name->name = from ? from->name : die_name(die);
        name->parent = from ? from->parent : parent;
        name->loose =
            !from && (die_has(die, DW_AT_specification) || die_has(die, DW_AT_abstract_origin));
    }
    name->name = name_canonical(walk->unit->module, name->name);
    if (tag != DW_TAG_enumerator)
        map_put(&names->by_offset, die_key(place), (void *)names->count);
    return (uint32_t)names->count;
}

static void walk_inside(struct walk *walk, struct die parent_die, uint32_t parent, int depth);

/* DW_TAG_imported_unit: dwz moves what units share into partial ones. */
static void walk_import(struct walk *walk, struct die die, uint32_t parent, int depth) {
    struct die unit;
    if (!die_ref(die, DW_AT_import, &unit))
        return;
    if (unit.dwarf == die.dwarf) /* those of another file are found in that file */
        walk_inside(walk, unit, parent, depth + 1);
    die_free(&unit);
}

/* Before DWARF 4 an inline namespace is one that the namespace around it imports. */
static void note_import(struct walk *walk, struct die die, uint32_t parent) {
    struct die space;
    if (!parent || !die_ref(die, DW_AT_import, &space))
        return;
    struct names *names = walk->names;
    uintptr_t index = (uintptr_t)map_get(&names->by_offset, die_key(die_place(space)));
    struct name *inner = index && space.dwarf == die.dwarf ? &names->list[index - 1] : NULL;
    if (inner && inner->parent == parent && inner->tag == DW_TAG_namespace)
        inner->transparent = true;
    die_free(&space);
}

/* Classes that a function declares (lambdas, too) have methods with names of their own. */
static void walk_function(struct walk *walk, struct die parent_die, int depth) {
    struct die die;
    if (depth > DEPTH || !die_child(parent_die, &die))
        return;
    do {
        unsigned tag = die_tag(die);
        if (tag == DW_TAG_lexical_block) {
            walk_function(walk, die, depth + 1);
        } else if (tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
                   tag == DW_TAG_union_type) {
            uint32_t self = add(walk, die, tag, 0);
            walk_inside(walk, die, self, depth + 1);
        }
    } while (walk->names->count < NAMES_MAX && die_step(&die));
    die_free(&die);
}

static void walk_inside(struct walk *walk, struct die parent_die, uint32_t parent, int depth) {
    struct die die;
    if (depth > DEPTH || !die_child(parent_die, &die))
        return;
    do {
        unsigned tag = die_tag(die);
        if (tag == DW_TAG_imported_unit) {
            walk_import(walk, die, parent, depth);
            continue;
        }
        if (tag == DW_TAG_imported_module)
            note_import(walk, die, parent);
        struct name probe = {.tag = (uint16_t)tag};
        if (!name_kind(&probe))
            continue;
        /* Only the static ones of a class are variables. */
        if (tag == DW_TAG_member && !die_flag(die, DW_AT_external) &&
            !die_flag(die, DW_AT_declaration))
            continue;
        uint32_t self = add(walk, die, tag, parent);
        if (tag == DW_TAG_subprogram && walk->cxx)
            walk_function(walk, die, depth + 1);
        if (has_inside(tag)) {
            bool plain = tag == DW_TAG_enumeration_type && !die_flag(die, DW_AT_enum_class);
            uint32_t outside = self ? walk->names->list[self - 1].parent : 0;
            walk_inside(walk, die, plain ? outside : self, depth + 1);
        }
    } while (walk->names->count < NAMES_MAX && die_step(&die));
    die_free(&die);
}

#define OF_ANOTHER_FILE ((uint64_t)1 << 62) /* in a key: no section is that long */

/* Takes a name of another unit's, and its parents, into this index. */
static uint32_t adopt(struct walk *walk, const struct names *home, uint64_t file, uint32_t index,
                      int depth) {
    struct names *names = walk->names;
    if (!index || depth > DEPTH)
        return 0;
    struct name name = home->list[index - 1];
    uint64_t key = name.offset | (uint64_t)name.types << 63 | file;
    uintptr_t known = (uintptr_t)map_get(&names->by_offset, key);
    if (known)
        return (uint32_t)known;
    name.parent = adopt(walk, home, file, name.parent, depth + 1);
    name.adopted = true;
    struct name *slot =
        names->count < NAMES_MAX ? ARRAY_ADD(names->list, names->count, names->cap) : NULL;
    if (!slot)
        return 0;
    *slot = name;
    map_put(&names->by_offset, key, (void *)names->count);
    return (uint32_t)names->count;
}

#define NAMING 8 /* units that are read for one another; -flto takes two */

/* -flto: a function's code is in one unit, what it is called in the one that it was compiled in.
 * dwz: what it is called may be in the file that it shares. */
static void resolve_elsewhere(struct walk *walk, struct die die, size_t at) {
    struct die from;
    struct module *module = walk->unit->module;
    if (!die_ref(die, DW_AT_specification, &from) && !die_ref(die, DW_AT_abstract_origin, &from))
        return;
    struct unit *unit = module->naming < NAMING ? unit_of(from) : NULL;
    uint64_t key = die_key(die_place(from)), file = from.dwarf == die.dwarf ? 0 : OF_ANOTHER_FILE;
    die_free(&from);
    if (!unit || unit == walk->unit)
        return;
    module->naming++;
    const struct names *home = unit_names(unit);
    module->naming--;
    uintptr_t index = (uintptr_t)map_get(&home->by_offset, key);
    if (!index)
        return;
    const char *name = home->list[index - 1].name;
    uint32_t parent = adopt(walk, home, file, home->list[index - 1].parent, 0);
    struct name *own = &walk->names->list[at];
    own->name = name ? name : own->name;
    own->parent = parent;
}

/* clang writes definitions before the classes that declare them. */
static void resolve_loose(struct walk *walk) {
    size_t count = walk->names->count; /* what is adopted is whole */
    for (size_t i = 0; i < count; i++) {
        struct name *name = &walk->names->list[i];
        struct die die;
        if (!name->loose || !die_at(name_place(walk->unit, name), &die))
            continue;
        struct name *from = origin(walk, die);
        if (from)
            name->parent = from->parent;
        else
            resolve_elsewhere(walk, die, i);
        die_free(&die);
    }
}

/* A pattern with thousands of matches compares each of them with all names. */
static void measure(struct names *names) {
    for (size_t i = 0; i < names->count; i++) {
        size_t len = names->list[i].name ? strlen(names->list[i].name) : 0;
        names->list[i].len = (uint16_t)(len < UINT16_MAX ? len : UINT16_MAX);
    }
}

const struct names *unit_names(struct unit *unit) {
    static const struct names none;
    unit = unit_entries(unit);
    if (unit->names)
        return unit->names;
    unit->names = calloc(1, sizeof *unit->names);
    if (!unit->names)
        return &none;
    unit_load(unit);
    struct walk walk = {
        unit, unit->names,
        unit->language == DW_LANG_C_plus_plus ||
            (unit->language >= DW_LANG_C_plus_plus_03 && unit->language <= DW_LANG_C_plus_plus_14)};
    struct die die;
    if (die_at((struct die_place){unit->dwarf, unit->die, unit->types && unit->version < 5},
               &die)) {
        if (die_tag(die) != DW_TAG_partial_unit || !unit->dwarf->main)
            walk_inside(&walk, die, 0, 0);
        resolve_loose(&walk);
        die_free(&die);
    }
    measure(unit->names);
    return unit->names;
}

struct die_place name_place(struct unit *unit, const struct name *name) {
    return (struct die_place){unit_entries(unit)->dwarf, name->offset, name->types};
}

static void spell(const struct names *names, const struct name *name, bool visible,
                  struct buffer *out) {
    const struct name *path[DEPTH + 1];
    size_t n = 0;
    for (const struct name *at = name; at && n < DEPTH;) {
        if (!visible || !at->transparent)
            path[n++] = at;
        at = at->parent ? &names->list[at->parent - 1] : NULL;
    }
    while (n--) {
        const char *part = path[n]->name;
        if (!part && path[n]->tag == DW_TAG_namespace)
            part = "(anonymous namespace)";
        if (!part) /* a lambda's class, or another one without a name */
            continue;
        buffer_puts(out, part);
        buffer_puts(out, n ? "::" : "");
    }
}

void name_qualified(const struct names *names, const struct name *name, struct buffer *out) {
    spell(names, name, false, out);
}

void name_visible(const struct names *names, const struct name *name, struct buffer *out) {
    spell(names, name, true, out);
}

bool go_without_brackets(const char *name, char *out, size_t cap) {
    const char *open = strchr(name, '['), *close = strrchr(name, ']');
    if (!open || !close || close < open || (size_t)(open - name) + strlen(close) > cap)
        return false;
    memcpy(out, name, (size_t)(open - name));
    strcpy(out + (open - name), close + 1);
    return true;
}
