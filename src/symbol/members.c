/* What is inside of types: members, enumerators, parameters. */
#include "base/text.h"
#include "symbol/cxx_name.h"
#include "symbol/names.h"
#include "symbol/types.h"
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 65536

struct member_list {
    struct member *list;
    size_t count, cap;
};

/* DWARF 5 has the bit's place from the start of the struct; DWARF 3 and before counted from the
 * high end of a storage unit. */
static void read_bits(struct die die, struct member *member) {
    uint64_t size, at, storage;
    if (!die_unsigned(die, DW_AT_bit_size, &size) || !size || size > 128)
        return;
    member->bit_size = (unsigned)size;
    if (die_unsigned(die, DW_AT_data_bit_offset, &at)) {
        member->bit = at;
    } else if (die_unsigned(die, DW_AT_bit_offset, &at)) {
        if (!die_unsigned(die, DW_AT_byte_size, &storage))
            storage = type_plain(member->type)->size;
        member->bit = member->offset * 8 + storage * 8 - at - size;
    } else {
        member->bit = member->offset * 8;
    }
}

static void read_offset(struct die die, struct member *member) {
    const uint8_t *bytes;
    size_t size;
    uint64_t bits;
    if (die_block(die, DW_AT_data_member_location, &bytes, &size)) {
        /* DWARF 2: DW_OP_plus_uconst n. Anything else is computed at the object. */
        member->offset = 0;
        if (size >= 2 && bytes[0] == DW_OP_plus_uconst) {
            for (size_t i = 1, shift = 0; i < size && shift < 64; i++, shift += 7) {
                member->offset |= (uint64_t)(bytes[i] & 0x7f) << shift;
                if (!(bytes[i] & 0x80))
                    break;
            }
        } else {
            member->location = bytes;
            member->dwarf = die.dwarf;
            member->location_size = size;
        }
        return;
    }
    if (!die_unsigned(die, DW_AT_data_member_location, &member->offset) &&
        die_unsigned(die, DW_AT_data_bit_offset, &bits) && !die_has(die, DW_AT_bit_size))
        member->offset = bits / 8;
}

static void read_member(struct module *module, struct die die, unsigned tag,
                        struct member_list *list) {
    if (tag == DW_TAG_member && (die_flag(die, DW_AT_external) || die_flag(die, DW_AT_declaration)))
        return; /* static: a variable */
    struct member *member =
        list->count < MEMBERS_MAX ? ARRAY_ADD(list->list, list->count, list->cap) : NULL;
    uint64_t virtuality = 0;
    if (!member)
        return;
    member->name = die_string(die, DW_AT_name);
    /* A copy's parameters have their types in what they were made from. */
    member->type =
        tag == DW_TAG_formal_parameter ? type_of_entry(die) : type_target(module, die, 0);
    member->artificial = die_flag(die, DW_AT_artificial);
    read_offset(die, member);
    read_bits(die, member);
    if (tag == DW_TAG_inheritance) {
        member->base = true;
        die_unsigned(die, DW_AT_virtuality, &virtuality);
        member->virtual_base = virtuality == DW_VIRTUALITY_virtual;
        member->name = type_plain(member->type)->name;
    }
}

static void read_enumerator(struct die die, struct type *type, size_t *cap) {
    if (type->enumerator_count >= MEMBERS_MAX)
        return;
    struct enumerator *one = ARRAY_ADD(type->enumerators, type->enumerator_count, *cap);
    if (!one)
        return;
    one->name = die_string(die, DW_AT_name);
    die_signed(die, DW_AT_const_value, &one->value);
    one->name = one->name ? one->name : "";
}

/* gdb's rule: every value is one contiguous run of bits, and none overlap. */
static bool are_flags(const struct type *type) {
    uint64_t seen = 0;
    for (size_t i = 0; i < type->enumerator_count; i++) {
        uint64_t value = (uint64_t)type->enumerators[i].value;
        uint64_t run = value ? value >> __builtin_ctzll(value) : 0;
        if (type->enumerators[i].value < 0 || (run & (run + 1)) || (seen & value))
            return false;
        seen |= value;
    }
    return true;
}

static void *into_arena(struct module *module, void *list, size_t bytes) {
    void *copy = bytes ? arena_copy(&module->arena, list, bytes) : NULL;
    free(list);
    return copy;
}

/* DW_TAG_variant_part (DWARF 5, section 5.7.10). */
static void read_variants(struct module *module, struct die part, struct type *type) {
    struct die die, inner;
    size_t cap = 0;
    if (die_ref(part, DW_AT_discr, &die)) {
        type->discriminant.type = type_target(module, die, 0);
        read_offset(die, &type->discriminant);
        die_free(&die);
    }
    if (!die_child(part, &die))
        return;
    do {
        struct member_list members = {0};
        if (die_tag(die) != DW_TAG_variant || type->variant_count >= MEMBERS_MAX ||
            !die_child(die, &inner))
            continue;
        read_member(module, inner, die_tag(inner), &members);
        die_free(&inner);
        struct variant *variant =
            members.count ? ARRAY_ADD(type->variants, type->variant_count, cap) : NULL;
        if (variant) {
            variant->member = members.list[0];
            variant->otherwise = !die_unsigned(die, DW_AT_discr_value, &variant->value);
        }
        free(members.list);
    } while (die_step(&die));
}

static void read_inside(struct module *module, struct die die, struct type *type) {
    struct member_list members = {0};
    size_t enumerator_cap = 0;
    struct die child;
    if (!die_child(die, &child))
        return;
    do {
        unsigned tag = die_tag(child);
        if (type->kind == TYPE_ENUM && tag == DW_TAG_enumerator)
            read_enumerator(child, type, &enumerator_cap);
        else if (type->kind == TYPE_FUNCTION && tag == DW_TAG_formal_parameter)
            read_member(module, child, tag, &members);
        else if (type->kind == TYPE_FUNCTION && tag == DW_TAG_unspecified_parameters)
            type->variadic = true;
        else if (type_is_composite(type) && tag == DW_TAG_variant_part && !type->variants)
            read_variants(module, child, type);
        else if (type_is_composite(type) && (tag == DW_TAG_member || tag == DW_TAG_inheritance))
            read_member(module, child, tag, &members);
    } while (die_step(&child));
    type->members = into_arena(module, members.list, members.count * sizeof *members.list);
    type->member_count = type->members ? members.count : 0;
    type->variants =
        into_arena(module, type->variants, type->variant_count * sizeof *type->variants);
    type->variant_count = type->variants ? type->variant_count : 0;
    type->enumerators =
        into_arena(module, type->enumerators, type->enumerator_count * sizeof *type->enumerators);
    type->enumerator_count = type->enumerators ? type->enumerator_count : 0;
    type->flags = type->kind == TYPE_ENUM && type->enumerator_count && are_flags(type);
}

struct definition {
    const struct type *wanted, *found;
};

static bool is_definition(void *ctx, struct unit *unit, const struct names *names,
                          const struct name *name) {
    struct definition *search = ctx;
    struct buffer text = BUFFER_INIT(4096);
    if (name->declaration ||
        (name->tag != DW_TAG_structure_type && name->tag != DW_TAG_class_type &&
         name->tag != DW_TAG_union_type && name->tag != DW_TAG_enumeration_type))
        return true;
    name_qualified(names, name, &text);
    if (text.data && !strcmp(text.data, search->wanted->name)) {
        const struct type *type = type_at(unit->module, name_place(unit, name));
        search->found = type->declaration ? search->found : type;
    }
    buffer_free(&text);
    return !search->found;
}

static const struct type *find_definition(struct module *module, struct type *type) {
    struct definition search = {.wanted = type};
    const char *last = cxx_last_part(type->name);
    size_t n = strcspn(last, "<");
    module_find(module, last, n, NAME_TYPE, is_definition, &search);
    return search.found;
}

const struct type *type_complete(struct module *module, const struct type *const_type) {
    struct type *type = (struct type *)const_type;
    struct die die;
    if (type->complete)
        return type;
    if (type->declaration && type->name && !type->target) {
        const struct type *found = find_definition(module, type);
        if (found)
            type->target = found; /* remembered; a composite has no other use for it */
    }
    if (type->declaration && type_is_composite(type) && type->target)
        return type_complete(module, type->target);
    type->complete = true;
    if (die_at(type->place, &die)) {
        read_inside(module, die, type);
        die_free(&die);
    }
    return type;
}

/* Two ways to one object: through a base class that both have as a virtual one. */
static bool shared_base(const struct member *const *a, int a_len, const struct member *const *b,
                        int b_len) {
    bool virtual_a = false, virtual_b = false;
    for (int i = 0; i < a_len; i++)
        virtual_a |= a[i]->virtual_base;
    for (int i = 0; i < b_len; i++)
        virtual_b |= b[i]->virtual_base;
    return virtual_a && virtual_b && a[a_len - 1] == b[b_len - 1];
}

static int find_member(struct module *module, const struct type *type, const char *name, size_t n,
                       const struct member *path[static MEMBER_PATH], int depth) {
    int found = 0;
    type = type_complete(module, type_plain(type));
    if (depth >= MEMBER_PATH)
        return 0;
    for (size_t i = 0; i < type->member_count; i++) {
        const struct member *member = &type->members[i];
        if (member->name && !strncmp(member->name, name, n) && !member->name[n]) {
            path[depth] = member;
            return depth + 1;
        }
    }
    for (size_t i = 0; i < type->member_count; i++) {
        const struct member *member = &type->members[i], *inner[MEMBER_PATH];
        bool embedded = type->unit_go && member->name; /* Go's embedded structs are promoted */
        if ((member->name && !member->base && !embedded) ||
            !type_is_composite(type_plain(member->type)))
            continue;
        if (embedded) {
            const char *own = type_plain(member->type)->name;
            const char *dot = own ? strrchr(own, '.') : NULL;
            if (!dot || strcmp(dot + 1, member->name))
                continue;
        }
        memcpy(inner, path, sizeof inner);
        int more = find_member(module, member->type, name, n, inner, depth + 1);
        if (more > 0)
            inner[depth] = member;
        bool same = more > 0 && found > 0 && shared_base(path, found, inner, more);
        if (more < 0 || (more > 0 && found > 0 && !same))
            return -1;
        if (more > 0 && !found) {
            memcpy(path, inner, sizeof inner);
            found = more;
        }
    }
    return found;
}

int type_member(struct module *module, const struct type *type, const char *name, size_t n,
                const struct member *path[static MEMBER_PATH]) {
    return find_member(module, type, name, n, path, 0);
}
