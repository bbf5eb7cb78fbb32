#include "symbol/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct die unit_die(const struct unit *unit) {
    struct die die = {0};
    die_at((struct die_place){unit->dwarf, unit->die, unit->types && unit->version < 5}, &die);
    return die;
}

static const char *string_or_empty(struct die die, unsigned attribute) {
    const char *text = die_string(die, attribute);
    return text ? text : "";
}

#define SECT_STR_OFFSETS 6 /* DWARF 5, table 7.1 */

/* Of a contribution to .debug_str_offsets: length, version, padding (DWARF 5, section 7.26). */
static unsigned strings_header(const struct unit *unit) {
    return unit->version < 5 ? 0 : unit->offset_size == 8 ? 16 : 8;
}

uint64_t unit_contribution(struct unit *unit, unsigned section) {
    struct Dwarf_Debug_Fission_Per_CU_s parts = {0};
    struct die die = unit_die(unit);
    Dwarf_Error error = NULL;
    bool there =
        die.raw &&
        dwarf_fine(unit->dwarf, dwarf_get_debugfission_for_die(die.raw, &parts, &error), &error);
    die_free(&die);
    return there ? parts.pcu_offset[section] : 0;
}

/* GNU's extension before DWARF 5, which has the id in the unit's header. */
static uint64_t dwo_id(const struct unit *unit, struct die root) {
    uint64_t id = unit->signature;
    if (unit->version < 5)
        die_unsigned(root, DW_AT_GNU_dwo_id, &id);
    return id;
}

static void read_splits(struct dwarf *dwo) {
    dwo->splits_read = true;
    for (size_t i = 0; i < dwo->unit_count; i++) {
        struct die root = dwo->units[i].types ? (struct die){0} : unit_die(&dwo->units[i]);
        if (root.raw)
            map_put(&dwo->splits, dwo_id(&dwo->units[i], root), (void *)(uintptr_t)(i + 1));
        die_free(&root);
    }
}

static struct unit *split_of(struct dwarf *dwo, uint64_t id) {
    if (dwo && !dwo->splits_read)
        read_splits(dwo);
    uintptr_t index = dwo ? (uintptr_t)map_get(&dwo->splits, id) : 0;
    return index ? &dwo->units[index - 1] : NULL;
}

/* The unit with this skeleton's entries, in the program's .dwp or in a .dwo file (DWARF 5, section
 * 3.1.3; GNU's extensions before that). */
static void find_split(struct unit *unit, struct die die) {
    const char *name = die_string(die, DW_AT_dwo_name);
    name = name ? name : die_string(die, DW_AT_GNU_dwo_name);
    char path[8192];
    struct dwarf *dwo;
    if (!name || unit->dwarf->main)
        return;
    uint64_t id = dwo_id(unit, die);
    struct unit *split = split_of(module_package(unit->module), id);
    if (!split) {
        snprintf(path, sizeof path, "%s%s%s", *name == '/' ? "" : unit->comp_dir,
                 *name == '/' ? "" : "/", name);
        struct error *error = module_add_split(unit->module, path, &dwo);
        if (error && !unit->module->note)
            unit->module->note = strdup(error->message);
        error_free(error);
        split = split_of(dwo, id);
    }
    if (!split)
        return;
    unit->split = split;
    split->skeleton = unit;
    split->strings_base = unit_contribution(split, SECT_STR_OFFSETS) + strings_header(split);
    unit_load(split);
}

static unsigned language_of_others(const struct unit *unit) {
    struct dwarf *dwarf = unit->module->dwarf;
    for (size_t i = 0; i < dwarf->unit_count; i++) {
        uint64_t language = 0;
        struct die die = unit_die(&dwarf->units[i]);
        bool found = die.raw && die_unsigned(die, DW_AT_language, &language);
        die_free(&die);
        if (found)
            return (unsigned)language;
    }
    return 0;
}

void unit_load(struct unit *unit) {
    if (unit->loaded)
        return;
    unit->loaded = true;
    unit->name = unit->comp_dir = unit->producer = "";
    struct die die = unit_die(unit);
    if (!die.raw)
        return;
    uint64_t language = 0, low = 0;
    size_t cap = 0;
    die_unsigned(die, DW_AT_language, &language);
    unit->language = (unsigned)language;
    if (!language && die_tag(die) == DW_TAG_partial_unit) /* what dwz has moved there is of all */
        unit->language = language_of_others(unit);
    unit->name = string_or_empty(die, DW_AT_name);
    unit->comp_dir = string_or_empty(die, DW_AT_comp_dir);
    unit->producer = string_or_empty(die, DW_AT_producer);
    die_address(die, DW_AT_low_pc, &low);
    die_offset(die, unit->version < 5 ? DW_AT_GNU_ranges_base : DW_AT_rnglists_base,
               &unit->ranges_base);
    unit->base = unit->skeleton ? unit->skeleton->base : low;
    if (!unit->types)
        die_ranges(die, low, &unit->ranges, &unit->range_count, &cap);
    find_split(unit, die);
    if (unit->split)
        unit->language = unit->split->language;
    die_free(&die);
}

struct unit *unit_entries(struct unit *unit) {
    unit_load(unit);
    return unit->split ? unit->split : unit;
}

struct unit *unit_of(struct die die) {
    struct die_place place = die_place(die);
    struct dwarf *dwarf = die.dwarf;
    for (size_t low = 0, high = dwarf->unit_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        struct unit *unit = &dwarf->units[middle];
        bool old_types = unit->types && unit->version < 5;
        if (old_types != place.types) {
            if (old_types)
                high = middle;
            else
                low = middle + 1;
        } else if (place.offset < unit->offset) {
            high = middle;
        } else if (place.offset >= unit->end) {
            low = middle + 1;
        } else {
            return unit;
        }
    }
    return NULL;
}

bool unit_address(struct unit *unit, uint64_t index, uint64_t *out) {
    Dwarf_Addr address = 0;
    Dwarf_Error error = NULL;
    unit = unit->skeleton ? unit->skeleton : unit;
    struct die die = unit_die(unit);
    bool there =
        die.raw &&
        dwarf_fine(unit->dwarf, dwarf_debug_addr_index_to_addr(die.raw, index, &address, &error),
                   &error);
    die_free(&die);
    *out = address;
    return there;
}

bool die_of_signature(struct dwarf *dwarf, uint64_t signature, struct die *out) {
    uintptr_t index = (uintptr_t)map_get(&dwarf->signatures, signature);
    if (!index)
        return false;
    const struct unit *unit = &dwarf->units[index - 1];
    return die_at((struct die_place){dwarf, unit->type_die, unit->version < 5}, out);
}

/* ---- which unit has this pc ---- */

static int by_low(const void *a, const void *b) {
    const struct pc_range *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

static void read_pcs(struct module *module) {
    size_t count = 0;
    struct dwarf *dwarf = module->dwarf;
    module->pcs_read = true;
    for (size_t i = 0; i < dwarf->unit_count; i++) {
        unit_load(&dwarf->units[i]);
        count += dwarf->units[i].range_count;
    }
    module->pcs = calloc(count + 1, sizeof *module->pcs);
    for (size_t i = 0; module->pcs && i < dwarf->unit_count; i++) {
        struct unit *unit = &dwarf->units[i];
        for (size_t k = 0; k < unit->range_count; k++)
            if (unit->ranges[k].low) /* 0: code that the linker has dropped */
                module->pcs[module->pc_count++] =
                    (struct pc_range){unit->ranges[k].low, unit->ranges[k].high, unit};
    }
    if (module->pcs)
        qsort(module->pcs, module->pc_count, sizeof *module->pcs, by_low);
}

struct unit *unit_at(struct module *module, uint64_t pc) {
    if (!module->dwarf)
        return NULL;
    if (!module->pcs_read)
        read_pcs(module);
    size_t low = 0, high = module->pc_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (module->pcs[middle].low <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low && pc < module->pcs[low - 1].high ? module->pcs[low - 1].unit : NULL;
}

/* ---- may a unit have this name? ----
 *
 * Compilers put a name either into .debug_info itself, or into a section of strings, and its offset
 * (or the index of its offset) into .debug_info. So a search for those bytes rules most units out
 * without decoding any of them. */

const uint8_t *dwarf_section(struct dwarf *dwarf, const char *name, size_t *size) {
    char variant[64];
    struct elf_section *section = elf_section_named(dwarf->elf, name);
    if (!section) {
        snprintf(variant, sizeof variant, ".z%s", name + 1);
        section = elf_section_named(dwarf->elf, variant);
    }
    const uint8_t *bytes = section ? elf_section_data(dwarf->elf, section, NULL) : NULL;
    *size = bytes ? section->size : 0;
    return bytes;
}

/* Go writes what stands for type parameters into brackets, also in the middle: "p.(*T[int]).M". */
static bool ends_name(uint8_t byte, bool go) {
    return byte == '\0' || byte == '<' || (go && (byte == '[' || byte == ')' || byte == '.'));
}

static size_t up_to_brackets(const char *name, size_t n) {
    const char *last = memrchr(name, '.', n);
    size_t before = last ? (size_t)(last - name) : 0;
    if (!memchr(name, '.', before))
        return n;
    return name[before - 1] == ')' ? before - 1 : before;
}

static bool has_text(const uint8_t *bytes, size_t size, const char *name, size_t n, bool go) {
    const uint8_t *end = bytes + size;
    for (const uint8_t *at = bytes; (at = memmem(at, (size_t)(end - at), name, n)); at++)
        if (at + n < end && ends_name(at[n], go))
            return true;
    return false;
}

#define STRINGS_MAX 16 /* places of one name in .debug_str; more: every unit may have it */

static bool mentions_string(const uint8_t *info, size_t info_size, const uint8_t *strings,
                            size_t size, const char *name, size_t n, bool go) {
    const uint8_t *end = strings + size;
    size_t found = 0;
    for (const uint8_t *at = strings; (at = memmem(at, (size_t)(end - at), name, n)); at++) {
        if (at + n >= end || !ends_name(at[n], go))
            continue;
        /* Strings may share their ends: "f" is also the end of "elf". */
        if (++found > STRINGS_MAX)
            return true;
        uint32_t offset = (uint32_t)(at - strings);
        if (memmem(info, info_size, &offset, sizeof offset))
            return true;
    }
    return false;
}

bool unit_may_name(struct unit *unit, const char *name, size_t n) {
    struct dwarf *dwarf = unit->dwarf;
    bool old_types = unit->types && unit->version < 5;
    size_t size, strings_size, index_size;
    bool go = unit_is_go(unit);
    n = go ? up_to_brackets(name, n) : n;
    if (dwarf->main || dwarf->alt ||
        dwarf->shares) /* indices and strings of other files: too many ways */
        return true;
    if (unit_refers(unit) & REFERS_NAMES)
        return true;
    const uint8_t *info = dwarf_section(dwarf, old_types ? ".debug_types" : ".debug_info", &size);
    if (!info || unit->end > size || unit->offset >= unit->end)
        return false;
    info += unit->offset;
    size = unit->end - unit->offset;
    if (has_text(info, size, name, n, go))
        return true;
    const uint8_t *strings = dwarf_section(dwarf, ".debug_str", &strings_size);
    if (!strings)
        return false;
    if (dwarf_section(dwarf, ".debug_str_offsets", &index_size))
        return has_text(strings, strings_size, name, n, go);
    return mentions_string(info, size, strings, strings_size, name, n, go);
}

/* ---- optimised? ---- */

static bool has_location_list(struct die die, int depth, int *budget) {
    Dwarf_Attribute at;
    Dwarf_Half form = 0;
    Dwarf_Error error = NULL;
    struct die child;
    bool found = false;
    unsigned tag = die_tag(die);
    if (!--*budget)
        return false;
    if ((tag == DW_TAG_variable || tag == DW_TAG_formal_parameter) &&
        dwarf_fine(die.dwarf, dwarf_attr(die.raw, DW_AT_location, &at, &error), &error)) {
        dwarf_fine(die.dwarf, dwarf_whatform(at, &form, &error), &error);
        found = form == DW_FORM_sec_offset || form == DW_FORM_loclistx || form == DW_FORM_data4 ||
                form == DW_FORM_data8;
        dwarf_dealloc_attribute(at);
    }
    bool inner = tag == DW_TAG_compile_unit || tag == DW_TAG_subprogram ||
                 tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine ||
                 tag == DW_TAG_namespace;
    if (found || !inner || depth > 32 || !die_child(die, &child))
        return found;
    do
        found = has_location_list(child, depth + 1, budget);
    while (!found && die_step(&child));
    die_free(&child);
    return found;
}

bool unit_is_optimised(struct unit *unit) {
    unit = unit_entries(unit);
    if (!unit->optimised) {
        int budget = 200000;
        struct die die = unit_die(unit);
        unit->optimised = die.raw && has_location_list(die, 0, &budget) ? 1 : -1;
        die_free(&die);
    }
    return unit->optimised > 0;
}
