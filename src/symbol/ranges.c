/* The code that entries cover (DWARF 5, section 2.17). */
#include "base/text.h"
#include "symbol/module.h"
#include <string.h>

static bool add_range(struct range **ranges, size_t *count, size_t *cap, uint64_t low,
                      uint64_t high) {
    if (low >= high || *count >= RANGES_MAX)
        return low >= high; /* an empty one says nothing */
    struct range *range = ARRAY_ADD(*ranges, *count, *cap);
    if (range)
        *range = (struct range){low, high};
    return range;
}

static bool is_range(unsigned code) {
    return code != DW_RLE_end_of_list && code != DW_RLE_base_address &&
           code != DW_RLE_base_addressx;
}

bool list_range(struct unit *unit, unsigned code, uint64_t a, uint64_t b, uint64_t *base,
                uint64_t *low, uint64_t *high) {
    bool indexed =
        code == DW_RLE_base_addressx || code == DW_RLE_startx_endx || code == DW_RLE_startx_length;
    if (indexed && !unit_address(unit, a, &a))
        return false;
    if (code == DW_RLE_startx_endx && !unit_address(unit, b, &b))
        return false;
    if (code == DW_RLE_base_addressx || code == DW_RLE_base_address)
        *base = a;
    bool pair = code == DW_RLE_offset_pair;
    bool length = code == DW_RLE_startx_length || code == DW_RLE_start_length;
    *low = pair ? *base + a : a;
    *high = pair ? *base + b : length ? a + b : b;
    return is_range(code);
}

static void old_ranges(struct die die, uint64_t offset, uint64_t base, struct range **ranges,
                       size_t *count, size_t *cap) {
    Dwarf_Ranges *list;
    Dwarf_Signed n;
    Dwarf_Unsigned bytes;
    Dwarf_Off real;
    Dwarf_Error error = NULL;
    if (!dwarf_fine(
            die.dwarf,
            dwarf_get_ranges_b(die.dwarf->dbg, offset, die.raw, &real, &list, &n, &bytes, &error),
            &error))
        return;
    for (Dwarf_Signed i = 0; i < n && list[i].dwr_type != DW_RANGES_END; i++) {
        if (list[i].dwr_type == DW_RANGES_ADDRESS_SELECTION)
            base = list[i].dwr_addr2;
        else if (!add_range(ranges, count, cap, base + list[i].dwr_addr1, base + list[i].dwr_addr2))
            break;
    }
#ifdef DW_LIBDWARF_VERSION
    dwarf_dealloc_ranges(die.dwarf->dbg, list, n);
#else
    dwarf_ranges_dealloc(die.dwarf->dbg, list, n);
#endif
}

/* ---- lists of DWARF 5: libdwarf of 2021 reads none of split units, and beyond the end of damaged
 * ones ---- */

struct cursor {
    const uint8_t *at, *end;
    bool short_; /* it went beyond the end */
};

static uint64_t take(struct cursor *cursor, size_t size) {
    uint64_t value = 0;
    if ((size_t)(cursor->end - cursor->at) < size) {
        cursor->short_ = true;
        return 0;
    }
    memcpy(&value, cursor->at, size);
    cursor->at += size;
    return value;
}

static uint64_t take_leb(struct cursor *cursor) {
    uint64_t value = 0;
    uint8_t byte = 0x80;
    for (unsigned shift = 0; byte & 0x80 && !cursor->short_; shift += 7) {
        byte = (uint8_t)take(cursor, 1);
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
    }
    return value;
}

#define SECT_RNGLISTS 8 /* DWARF 5, table 7.1 */

/* Of a contribution, before its offsets: length, version, two sizes and their number. */
static unsigned lists_header(const struct unit *unit) {
    return (unit->offset_size == 8 ? 12 : 4) + 8;
}

/* .debug_rnglists (DWARF 5, section 7.28). An index is that of the table behind the header, whose
 * offsets count from there. */
static bool find_list(struct unit *unit, bool index, uint64_t at, struct cursor *out) {
    bool split = unit->skeleton;
    size_t size;
    const uint8_t *bytes =
        dwarf_section(unit->dwarf, split ? ".debug_rnglists.dwo" : ".debug_rnglists", &size);
    uint64_t first = split ? unit_contribution(unit, SECT_RNGLISTS) : 0;
    unsigned header = lists_header(unit), word = unit->offset_size;
    uint64_t table = split ? first + header : unit->ranges_base, from = first;
    if (!bytes)
        return false;
    if (index) {
        if (table < header || table > size)
            return false;
        *out = (struct cursor){bytes + table - 4, bytes + size, false};
        if (at >= take(out, 4) || at > (size - table) / word)
            return false;
        out->at += at * word;
        at = take(out, word);
        from = table;
    }
    if (from > size || at > size - from)
        return false;
    *out = (struct cursor){bytes + from + at, bytes + size, false};
    return true;
}

static void new_ranges(struct unit *unit, uint64_t base, bool index, uint64_t at,
                       struct range **ranges, size_t *count, size_t *cap) {
    uint64_t low, high;
    size_t word = unit->dwarf->elf->is64 ? 8 : 4;
    struct cursor cursor;
    if (!find_list(unit, index, at, &cursor))
        return;
    for (size_t i = 0; i < RANGES_MAX; i++) {
        unsigned code = (unsigned)take(&cursor, 1);
        bool plain = code >= DW_RLE_base_address;
        uint64_t a = plain ? take(&cursor, word) : code ? take_leb(&cursor) : 0, b = 0;
        if (code == DW_RLE_start_end)
            b = take(&cursor, word);
        else if (code != DW_RLE_base_address && code != DW_RLE_base_addressx && code)
            b = take_leb(&cursor);
        if (cursor.short_ || !code || code > DW_RLE_start_length)
            return;
        if (list_range(unit, code, a, b, &base, &low, &high) &&
            !add_range(ranges, count, cap, low, high))
            return;
    }
}

/* A split unit of GNU's extension to DWARF 4: its ranges are in the program's file, behind a base
 * that its skeleton names. */
static void gnu_ranges(struct unit *skeleton, uint64_t at, struct range **ranges, size_t *count,
                       size_t *cap) {
    struct elf_file *elf = skeleton->dwarf->elf;
    struct elf_section *section = elf_section_named(elf, ".debug_ranges");
    section = section ? section : elf_section_named(elf, ".zdebug_ranges");
    const uint8_t *bytes = section ? elf_section_data(elf, section, NULL) : NULL;
    size_t word = elf->is64 ? 8 : 4;
    uint64_t base = skeleton->base, first = skeleton->ranges_base;
    if (__builtin_add_overflow(at, first, &at))
        return;
    for (size_t i = 0; bytes && i < RANGES_MAX; i++, at += 2 * word) {
        uint64_t low = 0, high = 0;
        if (at > section->size || section->size - at < 2 * word)
            return;
        memcpy(&low, bytes + at, word);
        memcpy(&high, bytes + at + word, word);
        if (!low && !high)
            return;
        if (low == (word == 8 ? UINT64_MAX : UINT32_MAX))
            base = high;
        else if (!add_range(ranges, count, cap, base + low, base + high))
            return;
    }
}

static bool listed_ranges(struct die die, uint64_t base, struct range **ranges, size_t *count,
                          size_t *cap) {
    Dwarf_Attribute attribute;
    Dwarf_Half form = 0, version = 0, offset_size = 0;
    Dwarf_Unsigned at = 0;
    Dwarf_Off offset = 0;
    Dwarf_Error error = NULL;
    if (!dwarf_fine(die.dwarf, dwarf_attr(die.raw, DW_AT_ranges, &attribute, &error), &error))
        return false;
    dwarf_get_version_of_die(die.raw, &version, &offset_size);
    dwarf_fine(die.dwarf, dwarf_whatform(attribute, &form, &error), &error);
    bool there = true;
    if (form == DW_FORM_rnglistx) {
        there = dwarf_fine(die.dwarf, dwarf_formudata(attribute, &at, &error), &error);
    } else if ((there = dwarf_fine(die.dwarf, dwarf_global_formref(attribute, &offset, &error),
                                   &error))) {
        at = offset;
    } else {
        there = dwarf_fine(die.dwarf, dwarf_formudata(attribute, &at, &error), &error);
    }
    struct unit *unit = unit_of(die), *skeleton = unit ? unit->skeleton : NULL;
    if (there && unit && version >= 5)
        new_ranges(unit, base, form == DW_FORM_rnglistx, at, ranges, count, cap);
    else if (there && skeleton)
        gnu_ranges(skeleton, at, ranges, count, cap);
    else if (there)
        old_ranges(die, at, base, ranges, count, cap);
    dwarf_dealloc_attribute(attribute);
    return there;
}

bool die_ranges(struct die die, uint64_t base, struct range **ranges, size_t *count, size_t *cap) {
    Dwarf_Addr high;
    Dwarf_Half form;
    enum Dwarf_Form_Class class;
    Dwarf_Error error = NULL;
    uint64_t low;
    size_t before = *count;
    if (listed_ranges(die, base, ranges, count, cap))
        return *count > before;
    if (!die_address(die, DW_AT_low_pc, &low))
        return false;
    if (!dwarf_fine(die.dwarf, dwarf_highpc_b(die.raw, &high, &form, &class, &error), &error))
        return false;
    return add_range(ranges, count, cap, low, class == DW_FORM_CLASS_ADDRESS ? high : low + high) &&
           *count > before;
}

bool ranges_contain(const struct range *ranges, size_t count, uint64_t pc) {
    for (size_t i = 0; i < count; i++)
        if (pc >= ranges[i].low && pc < ranges[i].high)
            return true;
    return false;
}
