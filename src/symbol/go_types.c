#include "symbol/go_types.h"

#include <string.h>

#define DW_AT_GO_RUNTIME_TYPE 0x2904 /* an offset from the symbol runtime.types */
#define GO_TYPES_MAX 4000000
#define DIRECT 0x20 /* internal/abi: KindDirectIface; from Go 1.26 on TFlagDirectIface */

static bool describes_type(unsigned tag) {
    return tag != DW_TAG_subprogram && tag != DW_TAG_variable && tag != DW_TAG_constant;
}

static void read_unit(struct module *module, struct unit *unit) {
    struct die root, die;
    uint64_t at;
    if (!die_at((struct die_place){unit->dwarf, unit->die, false}, &root))
        return;
    bool there = die_child(root, &die);
    while (there) {
        if (describes_type(die_tag(die)) && die_address(die, DW_AT_GO_RUNTIME_TYPE, &at) && at)
            map_put(&module->go_types, at, (void *)(uintptr_t)die_place(die).offset);
        there = module->go_types.count < GO_TYPES_MAX && die_step(&die);
    }
    die_free(&die);
    die_free(&root);
}

/* Where the runtime's own records of types begin (link-time); 0: unknown. */
static uint64_t find_types(struct module *module) {
    struct elf_symbol **found;
    return module_symbols_named(module, "runtime.types", &found) ? found[0]->address : 0;
}

/* The linker puts all types into the last part of the unit of package runtime. */
void go_types_read(struct module *module) {
    struct dwarf *dwarf = module->dwarf;
    if (module->go_types_read)
        return;
    module->go_types_read = true;
    module->go_types_base = dwarf ? find_types(module) : 0;
    for (size_t i = 0; module->go_types_base && i < dwarf->unit_count; i++) {
        struct unit *unit = &dwarf->units[i];
        unit_load(unit);
        if (unit_is_go(unit) && !unit->types && !strcmp(unit->name, "runtime"))
            read_unit(module, unit);
    }
}

/* The flag is in one of two bytes of the record, and the same bit of the other is always clear. */
static bool is_direct(struct elf_file *elf, uint64_t record) {
    unsigned word = elf->is64 ? 8 : 4;
    uint8_t bytes[4]; /* tflag, align, fieldAlign, kind */
    uint64_t at = record + 2 * word + 4;
    return elf_read(elf, at, bytes, sizeof bytes) == sizeof bytes && (bytes[0] | bytes[3]) & DIRECT;
}

static bool type_in(struct module *module, uint64_t record, struct go_type *out) {
    go_types_read(module);
    void *found = map_get(&module->go_types, record - module->go_types_base);
    if (!found)
        return false;
    struct die_place place = {module->dwarf, (uintptr_t)found, false};
    *out = (struct go_type){type_at(module, place), is_direct(module->elf, record)};
    return true;
}

bool go_type_at(const struct space *space, uint64_t address, struct go_type *out) {
    for (size_t i = 0; i < space->count; i++) {
        const struct loaded *loaded = &space->list[i];
        if (address >= loaded->low && address < loaded->high &&
            type_in(loaded->module, address - loaded->bias, out))
            return true;
    }
    return false;
}
