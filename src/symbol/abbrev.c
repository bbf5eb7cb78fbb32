/* What the abbreviations of a unit say of its entries, without reading any (DWARF 5, sections 7.5.1
 * and 7.5.3). */
#include "symbol/module.h"

#include <string.h>

#define TABLE_MAX 65536 /* bytes of a table that are looked at; compilers write a few thousand */

struct cursor {
    const uint8_t *at, *end;
};

static uint64_t take_leb(struct cursor *cursor) {
    uint64_t value = 0;
    for (unsigned shift = 0; cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (!(byte & 0x80))
            break;
    }
    return value;
}

static unsigned referrer(uint64_t tag) {
    switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_variable: return REFERS_NAMES;
    case DW_TAG_inlined_subroutine: return REFERS_INLINED;
    default: return 0;
    }
}

/* To an entry outside of the unit: of the file, or (dwz) of the one that it shares. */
static bool leads_out(uint64_t form) {
    return form == DW_FORM_ref_addr || form == DW_FORM_GNU_ref_alt || form == DW_FORM_ref_sup4 ||
           form == DW_FORM_ref_sup8;
}

static unsigned read_table(const uint8_t *bytes, size_t size) {
    struct cursor cursor = {bytes, bytes + (size < TABLE_MAX ? size : TABLE_MAX)};
    unsigned found = 0;
    while (take_leb(&cursor)) {
        unsigned mine = referrer(take_leb(&cursor));
        cursor.at += cursor.at < cursor.end; /* whether it has children */
        while (cursor.at < cursor.end) {
            uint64_t attribute = take_leb(&cursor), form = take_leb(&cursor);
            if (form == DW_FORM_implicit_const)
                take_leb(&cursor);
            if (!attribute && !form)
                break;
            bool made_from = attribute == DW_AT_abstract_origin || attribute == DW_AT_specification;
            found |= made_from && leads_out(form) ? mine : 0;
        }
    }
    return cursor.at < cursor.end || size <= TABLE_MAX ? found : REFERS_NAMES | REFERS_INLINED;
}

unsigned unit_refers(struct unit *unit) {
    size_t size, table_size;
    uint32_t length, table;
    bool old_types = unit->types && unit->version < 5;
    if (unit->refers_read)
        return unit->refers;
    unit->refers_read = true;
    unit_load(unit);
    if (unit_is_go(unit)) /* names are in their package's unit, copies in every one */
        return unit->refers = REFERS_INLINED;
    const uint8_t *info =
        dwarf_section(unit->dwarf, old_types ? ".debug_types" : ".debug_info", &size);
    const uint8_t *tables = dwarf_section(unit->dwarf, ".debug_abbrev", &table_size);
    unsigned at = unit->version < 5 ? 6 : 8; /* of the table's offset in the unit's header */
    if (!info || !tables || unit->offset > size || size - unit->offset < at + sizeof table)
        return 0;
    memcpy(&length, info + unit->offset, sizeof length);
    memcpy(&table, info + unit->offset + at, sizeof table);
    if (length >= 0xfffffff0) /* DWARF's 64-bit format, which few write: it is not looked into */
        unit->refers = REFERS_NAMES | REFERS_INLINED;
    else if (table < table_size)
        unit->refers = (uint8_t)read_table(tables + table, table_size - table);
    return unit->refers;
}

bool unit_mentions(struct unit *unit, uint64_t from, uint64_t to, uint64_t offset) {
    size_t size;
    uint32_t length, references[] = {(uint32_t)offset, (uint32_t)(offset - unit->offset)};
    const uint8_t *info = unit->types ? NULL : dwarf_section(unit->dwarf, ".debug_info", &size);
    if (!info || from > to || to > size || unit->offset > size ||
        size - unit->offset < sizeof length)
        return true;
    memcpy(&length, info + unit->offset, sizeof length);
    return length >= 0xfffffff0 || offset > UINT32_MAX ||
           memmem(info + from, to - from, &references[0], sizeof *references) ||
           memmem(info + from, to - from, &references[1], sizeof *references);
}
