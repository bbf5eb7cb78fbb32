#include "symbol/module.h"

#include <string.h>

/* How far abstract origins and specifications are followed. */
#define ORIGINS 8

bool die_at(struct die_place place, struct die *out) {
    Dwarf_Error error = NULL;
    out->dwarf = place.dwarf;
    return place.dwarf && dwarf_fine(place.dwarf,
                                     dwarf_offdie_b(place.dwarf->dbg, place.offset, !place.types,
                                                    &out->raw, &error),
                                     &error);
}

struct die_place die_place(struct die die) {
    Dwarf_Off offset = 0;
    Dwarf_Error error = NULL;
    dwarf_fine(die.dwarf, dwarf_dieoffset(die.raw, &offset, &error), &error);
    return (struct die_place){die.dwarf, offset, !dwarf_get_die_infotypes_flag(die.raw)};
}

uint64_t die_key(struct die_place place) {
    return place.offset | (uint64_t)place.types << 63;
}

void die_free(struct die *die) {
    if (die->raw)
        dwarf_dealloc_die(die->raw);
    die->raw = NULL;
}

bool die_child(struct die die, struct die *out) {
    Dwarf_Error error = NULL;
    out->dwarf = die.dwarf;
    out->raw = NULL;
    return dwarf_fine(die.dwarf, dwarf_child(die.raw, &out->raw, &error), &error);
}

bool die_next(struct die die, struct die *out) {
    Dwarf_Error error = NULL;
    Dwarf_Bool info = dwarf_get_die_infotypes_flag(die.raw);
    out->dwarf = die.dwarf;
    out->raw = NULL;
    return dwarf_fine(die.dwarf,
                      dwarf_siblingof_b(die.dwarf->dbg, die.raw, info, &out->raw, &error), &error);
}

bool die_step(struct die *die) {
    struct die next;
    bool there = die_next(*die, &next);
    die_free(die);
    if (there)
        *die = next;
    return there;
}

unsigned die_tag(struct die die) {
    Dwarf_Half tag = 0;
    Dwarf_Error error = NULL;
    dwarf_fine(die.dwarf, dwarf_tag(die.raw, &tag, &error), &error);
    return tag;
}

bool die_has(struct die die, unsigned attribute) {
    Dwarf_Bool has = 0;
    Dwarf_Error error = NULL;
    dwarf_fine(die.dwarf, dwarf_hasattr(die.raw, (Dwarf_Half)attribute, &has, &error), &error);
    return has;
}

static bool get(struct die die, unsigned attribute, Dwarf_Attribute *out) {
    Dwarf_Error error = NULL;
    return dwarf_fine(die.dwarf, dwarf_attr(die.raw, (Dwarf_Half)attribute, out, &error), &error);
}

static unsigned form_of(struct die die, Dwarf_Attribute attribute) {
    Dwarf_Half form = 0;
    Dwarf_Error error = NULL;
    dwarf_fine(die.dwarf, dwarf_whatform(attribute, &form, &error), &error);
    return form;
}

/* A string of the dwz file: libdwarf gives the offset, and the bytes are ours to check. */
static const char *alt_string(struct die die, Dwarf_Attribute attribute) {
    struct dwarf *alt = die.dwarf->alt;
    struct elf_section *section = alt ? elf_section_named(alt->elf, ".debug_str") : NULL;
    const uint8_t *bytes = section ? elf_section_data(alt->elf, section, NULL) : NULL;
    Dwarf_Off offset;
    Dwarf_Error error = NULL;
    if (!bytes ||
        !dwarf_fine(die.dwarf, dwarf_global_formref(attribute, &offset, &error), &error) ||
        offset >= section->size)
        return NULL;
    for (size_t i = offset; i < section->size; i++)
        if (!bytes[i])
            return (const char *)bytes + offset;
    return NULL;
}

static bool is_index(unsigned form) {
    return form == DW_FORM_strx || (form >= DW_FORM_strx1 && form <= DW_FORM_strx4) ||
           form == DW_FORM_GNU_str_index;
}

/* A string of a split unit. libdwarf of 2021 counts its index from where the skeleton's begin. */
static const char *split_string(struct die die, Dwarf_Attribute attribute) {
    struct unit *unit = unit_of(die);
    size_t offsets_size, size;
    const uint8_t *offsets = dwarf_section(die.dwarf, ".debug_str_offsets.dwo", &offsets_size);
    const uint8_t *strings = dwarf_section(die.dwarf, ".debug_str.dwo", &size);
    Dwarf_Unsigned index;
    uint64_t offset = 0;
    Dwarf_Error error = NULL;
    if (!unit || !offsets || !strings ||
        !dwarf_fine(die.dwarf, dwarf_get_debug_str_index(attribute, &index, &error), &error))
        return NULL;
    uint64_t base = unit->strings_base;
    size_t word = unit->offset_size;
    if (base > offsets_size || index >= (offsets_size - base) / word)
        return NULL;
    memcpy(&offset, offsets + base + index * word, word);
    return offset < size && memchr(strings + offset, 0, size - offset)
               ? (const char *)strings + offset
               : NULL;
}

const char *die_string(struct die die, unsigned attribute) {
    Dwarf_Attribute at;
    Dwarf_Error error = NULL;
    char *text = NULL;
    if (!get(die, attribute, &at))
        return NULL;
    unsigned form = form_of(die, at);
    if (form == DW_FORM_GNU_strp_alt || form == DW_FORM_strp_sup)
        text = (char *)alt_string(die, at);
    else if (die.dwarf->main && is_index(form))
        text = (char *)split_string(die, at);
    else if (!dwarf_fine(die.dwarf, dwarf_formstring(at, &text, &error), &error))
        text = NULL;
    dwarf_dealloc_attribute(at);
    return text;
}

bool die_unsigned(struct die die, unsigned attribute, uint64_t *out) {
    Dwarf_Attribute at;
    Dwarf_Unsigned value;
    Dwarf_Signed negative;
    Dwarf_Error error = NULL;
    if (!get(die, attribute, &at))
        return false;
    bool there = dwarf_fine(die.dwarf, dwarf_formudata(at, &value, &error), &error);
    if (!there && dwarf_fine(die.dwarf, dwarf_formsdata(at, &negative, &error), &error)) {
        value = (Dwarf_Unsigned)negative;
        there = true;
    }
    dwarf_dealloc_attribute(at);
    if (there)
        *out = value;
    return there;
}

bool die_offset(struct die die, unsigned attribute, uint64_t *out) {
    Dwarf_Attribute at;
    Dwarf_Off offset = 0;
    Dwarf_Error error = NULL;
    if (die_unsigned(die, attribute, out))
        return true;
    if (!get(die, attribute, &at))
        return false;
    bool there = dwarf_fine(die.dwarf, dwarf_global_formref(at, &offset, &error), &error);
    dwarf_dealloc_attribute(at);
    if (there)
        *out = offset;
    return there;
}

/* DW_FORM_data1 to data4 carry no sign of their own: compilers write negative numbers as
 * DW_FORM_sdata. */
bool die_signed(struct die die, unsigned attribute, int64_t *out) {
    Dwarf_Attribute at;
    Dwarf_Signed value = 0;
    Dwarf_Unsigned positive;
    Dwarf_Error error = NULL;
    if (!get(die, attribute, &at))
        return false;
    unsigned form = form_of(die, at);
    bool sign = form == DW_FORM_sdata || form == DW_FORM_implicit_const;
    bool there = !sign && dwarf_fine(die.dwarf, dwarf_formudata(at, &positive, &error), &error);
    if (there)
        value = (Dwarf_Signed)positive;
    else
        there = dwarf_fine(die.dwarf, dwarf_formsdata(at, &value, &error), &error);
    dwarf_dealloc_attribute(at);
    if (there)
        *out = value;
    return there;
}

bool die_flag(struct die die, unsigned attribute) {
    Dwarf_Attribute at;
    Dwarf_Bool flag = 0;
    Dwarf_Error error = NULL;
    if (!get(die, attribute, &at))
        return false;
    dwarf_fine(die.dwarf, dwarf_formflag(at, &flag, &error), &error);
    dwarf_dealloc_attribute(at);
    return flag;
}

bool die_address(struct die die, unsigned attribute, uint64_t *out) {
    Dwarf_Attribute at;
    Dwarf_Addr address;
    Dwarf_Error error = NULL;
    if (!get(die, attribute, &at))
        return false;
    bool there = dwarf_fine(die.dwarf, dwarf_formaddr(at, &address, &error), &error);
    dwarf_dealloc_attribute(at);
    if (there)
        *out = address;
    return there;
}

/* libdwarf's own search reads every type unit for each. */
static bool by_signature(struct die die, Dwarf_Attribute at, struct die *out) {
    Dwarf_Sig8 signature;
    uint64_t key;
    Dwarf_Error error = NULL;
    if (!dwarf_fine(die.dwarf, dwarf_formsig8(at, &signature, &error), &error))
        return false;
    memcpy(&key, signature.signature, sizeof key);
    return die_of_signature(die.dwarf, key, out);
}

static bool by_offset(struct die die, Dwarf_Attribute at, unsigned form, struct die *out) {
    bool alt = form == DW_FORM_GNU_ref_alt || form == DW_FORM_ref_sup4 || form == DW_FORM_ref_sup8;
    struct die_place place = {alt ? die.dwarf->alt : die.dwarf, 0, false};
    Dwarf_Off offset;
    Dwarf_Error error = NULL;
    if (!dwarf_fine(die.dwarf, dwarf_global_formref(at, &offset, &error), &error))
        return false;
    place.offset = offset;
    place.types = !alt && form != DW_FORM_ref_addr && !dwarf_get_die_infotypes_flag(die.raw);
    return die_at(place, out);
}

bool die_ref(struct die die, unsigned attribute, struct die *out) {
    Dwarf_Attribute at;
    out->raw = NULL;
    if (!get(die, attribute, &at))
        return false;
    unsigned form = form_of(die, at);
    bool there =
        form == DW_FORM_ref_sig8 ? by_signature(die, at, out) : by_offset(die, at, form, out);
    dwarf_dealloc_attribute(at);
    return there;
}

bool die_block(struct die die, unsigned attribute, const uint8_t **bytes, size_t *size) {
    Dwarf_Attribute at;
    Dwarf_Block *block;
    Dwarf_Unsigned length;
    Dwarf_Ptr data;
    Dwarf_Error error = NULL;
    if (!get(die, attribute, &at))
        return false;
    unsigned form = form_of(die, at);
    bool there = false;
    if (form == DW_FORM_exprloc) {
        there = dwarf_fine(die.dwarf, dwarf_formexprloc(at, &length, &data, &error), &error);
    } else if (form == DW_FORM_block || form == DW_FORM_block1 || form == DW_FORM_block2 ||
               form == DW_FORM_block4) {
        there = dwarf_fine(die.dwarf, dwarf_formblock(at, &block, &error), &error);
        if (there) {
            length = block->bl_len;
            data = block->bl_data;
            dwarf_dealloc(die.dwarf->dbg, block, DW_DLA_BLOCK);
        }
    }
    dwarf_dealloc_attribute(at);
    if (there) {
        *bytes = data;
        *size = length;
    }
    return there;
}

bool die_sixteen(struct die die, unsigned attribute, uint8_t out[static 16]) {
    Dwarf_Attribute at;
    Dwarf_Form_Data16 data;
    Dwarf_Error error = NULL;
    if (!get(die, attribute, &at))
        return false;
    bool there = form_of(die, at) == DW_FORM_data16 &&
                 dwarf_fine(die.dwarf, dwarf_formdata16(at, &data, &error), &error);
    dwarf_dealloc_attribute(at);
    if (there)
        memcpy(out, &data, 16);
    return there;
}

static bool die_copy(struct die die, struct die *out) {
    return die_at(die_place(die), out);
}

bool die_inherited(struct die die, unsigned attribute, struct die *out) {
    struct die at, next;
    if (!die_copy(die, &at))
        return false;
    for (int i = 0; i < ORIGINS; i++) {
        if (die_has(at, attribute)) {
            *out = at;
            return true;
        }
        bool more =
            die_ref(at, DW_AT_abstract_origin, &next) || die_ref(at, DW_AT_specification, &next);
        die_free(&at);
        if (!more)
            return false;
        at = next;
    }
    die_free(&at);
    return false;
}

const char *die_name(struct die die) {
    const char *name = die_string(die, DW_AT_name);
    struct die from;
    if (name || (!die_has(die, DW_AT_abstract_origin) && !die_has(die, DW_AT_specification)) ||
        !die_inherited(die, DW_AT_name, &from))
        return name;
    name = die_string(from, DW_AT_name);
    die_free(&from);
    return name;
}
