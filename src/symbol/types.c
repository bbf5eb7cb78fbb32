#include "symbol/types.h"

#include "base/text.h"
#include "symbol/names.h"
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_DEPTH 64
#define DW_AT_GO_KIND 0x2900
#define DW_AT_GO_DICT_INDEX 0x2906

static const struct type unknown_type = {
    .kind = TYPE_UNKNOWN, .name = "<unknown type>", .complete = true, .shared = true};

#define BASIC(basic_kind, basic_name, bytes, basic_sign)                                           \
    {                                                                                              \
        .kind = basic_kind, .name = basic_name, .size = bytes, .sign = basic_sign,                 \
        .complete = true, .shared = true                                                           \
    }

static const struct type basics[BASICS] = {
    [BASIC_INT] = BASIC(TYPE_INT, "int", 4, true),
    [BASIC_UINT] = BASIC(TYPE_INT, "unsigned int", 4, false),
    [BASIC_LONG] = BASIC(TYPE_INT, "long", 8, true),
    [BASIC_ULONG] = BASIC(TYPE_INT, "unsigned long", 8, false),
    [BASIC_LLONG] = BASIC(TYPE_INT, "long long", 8, true),
    [BASIC_ULLONG] = BASIC(TYPE_INT, "unsigned long long", 8, false),
    [BASIC_INT128] = BASIC(TYPE_INT, "__int128", 16, true),
    [BASIC_UINT128] = BASIC(TYPE_INT, "unsigned __int128", 16, false),
    [BASIC_SCHAR] = BASIC(TYPE_CHAR, "signed char", 1, true),
    [BASIC_UCHAR] = BASIC(TYPE_CHAR, "unsigned char", 1, false),
    [BASIC_SHORT] = BASIC(TYPE_INT, "short", 2, true),
    [BASIC_USHORT] = BASIC(TYPE_INT, "unsigned short", 2, false),
    [BASIC_LONG32] = BASIC(TYPE_INT, "long", 4, true),
    [BASIC_ULONG32] = BASIC(TYPE_INT, "unsigned long", 4, false),
    [BASIC_CHAR] = BASIC(TYPE_CHAR, "char", 1, true),
    [BASIC_BOOL] = BASIC(TYPE_BOOL, "bool", 1, false),
    [BASIC_DOUBLE] = BASIC(TYPE_FLOAT, "double", 8, true),
    [BASIC_LONG_DOUBLE] = BASIC(TYPE_FLOAT, "long double", 16, true),
    [BASIC_FLOAT] = BASIC(TYPE_FLOAT, "float", 4, true),
    [BASIC_VOID] = BASIC(TYPE_VOID, "void", 0, false),
    [BASIC_POINTER] = {.kind = TYPE_POINTER,
                       .size = 8,
                       .target = &basics[BASIC_VOID],
                       .complete = true,
                       .shared = true},
};

const struct type *type_basic(enum basic basic) {
    return &basics[basic];
}

/* ---- from entries ---- */

static void read_base(struct die die, struct type *type) {
    static const struct {
        unsigned encoding;
        enum type_kind kind;
        bool sign;
    } rows[] = {
        {DW_ATE_address, TYPE_POINTER, false},
        {DW_ATE_boolean, TYPE_BOOL, false},
        {DW_ATE_complex_float, TYPE_COMPLEX, false},
        {DW_ATE_float, TYPE_FLOAT, true},
        {DW_ATE_signed, TYPE_INT, true},
        {DW_ATE_signed_char, TYPE_CHAR, true},
        {DW_ATE_unsigned, TYPE_INT, false},
        {DW_ATE_unsigned_char, TYPE_CHAR, false},
        {DW_ATE_UTF, TYPE_CHAR, false},
    };
    uint64_t encoding = 0;
    type->kind = TYPE_UNKNOWN;
    die_unsigned(die, DW_AT_encoding, &encoding);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].encoding == encoding) {
            type->kind = rows[i].kind;
            type->sign = rows[i].sign;
        }
    type->quad = (type->kind == TYPE_FLOAT || type->kind == TYPE_COMPLEX) && type->size >= 16 &&
                 die.dwarf->elf->machine != EM_X86_64 && die.dwarf->elf->machine != EM_386;
    if (type->kind == TYPE_POINTER)
        type->target = &basics[BASIC_VOID];
    /* wchar_t is an int with a name of its own. */
    if (type->kind == TYPE_INT && type->name && !strcmp(type->name, "wchar_t"))
        type->kind = TYPE_CHAR;
    if (type->unit_go && type->kind == TYPE_CHAR)
        type->kind = TYPE_INT;
}

static const struct {
    unsigned tag;
    enum type_kind kind;
    const char *name;
} tags[] = {
    {DW_TAG_base_type, TYPE_INT, NULL},
    {DW_TAG_pointer_type, TYPE_POINTER, NULL},
    {DW_TAG_reference_type, TYPE_REFERENCE, NULL},
    {DW_TAG_rvalue_reference_type, TYPE_REFERENCE, NULL},
    {DW_TAG_ptr_to_member_type, TYPE_MEMBER_POINTER, NULL},
    {DW_TAG_array_type, TYPE_ARRAY, NULL},
    {DW_TAG_structure_type, TYPE_STRUCT, NULL},
    {DW_TAG_class_type, TYPE_CLASS, NULL},
    {DW_TAG_interface_type, TYPE_CLASS, NULL},
    {DW_TAG_union_type, TYPE_UNION, NULL},
    {DW_TAG_enumeration_type, TYPE_ENUM, NULL},
    {DW_TAG_subroutine_type, TYPE_FUNCTION, NULL},
    {DW_TAG_subprogram, TYPE_FUNCTION, NULL},
    {DW_TAG_typedef, TYPE_TYPEDEF, NULL},
    {DW_TAG_const_type, TYPE_CONST, NULL},
    {DW_TAG_volatile_type, TYPE_VOLATILE, NULL},
    {DW_TAG_restrict_type, TYPE_QUALIFIED, "restrict"},
    {DW_TAG_atomic_type, TYPE_QUALIFIED, "_Atomic"},
    {DW_TAG_unspecified_type, TYPE_VOID, NULL},
    {DW_TAG_subrange_type, TYPE_TYPEDEF, NULL},
};

static const char *qualified_name(struct module *module, struct die die, struct unit *unit) {
    const char *name = die_string(die, DW_AT_name);
    struct buffer out = BUFFER_INIT(4096);
    if (!name || !unit || unit_is_go(unit) || unit->language == DW_LANG_C ||
        unit->language == DW_LANG_C89 || unit->language == DW_LANG_C99 ||
        unit->language == DW_LANG_C11)
        return name;
    const struct names *names = unit_names(unit);
    uintptr_t index = (uintptr_t)map_get(&names->by_offset, die_key(die_place(die)));
    if (!index || !names->list[index - 1].parent)
        return name_canonical(module, name);
    name_qualified(names, &names->list[index - 1], &out);
    if (!out.failed && out.data)
        name = arena_strdup(&module->arena, out.data);
    buffer_free(&out);
    return name;
}

/* DW_TAG_subrange_type: the number of elements, if it is a constant. */
static bool constant_count(struct die range, uint64_t *count) {
    uint64_t upper, lower = 0;
    Dwarf_Attribute at;
    Dwarf_Half form = 0;
    Dwarf_Error error = NULL;
    if (die_unsigned(range, DW_AT_count, count))
        return true;
    if (!dwarf_fine(range.dwarf, dwarf_attr(range.raw, DW_AT_upper_bound, &at, &error), &error))
        return false;
    dwarf_fine(range.dwarf, dwarf_whatform(at, &form, &error), &error);
    dwarf_dealloc_attribute(at);
    if (form == DW_FORM_exprloc || form == DW_FORM_ref4 || form == DW_FORM_block1 ||
        !die_unsigned(range, DW_AT_upper_bound, &upper))
        return false;
    die_unsigned(range, DW_AT_lower_bound, &lower);
    *count = upper - lower + 1; /* -1 is how an empty one is written */
    return true;
}

static const struct type *dimension(struct module *module, struct die_place place,
                                    const struct type *element, struct die range, bool vector) {
    struct type *array = ARENA_NEW(&module->arena, struct type);
    if (!array)
        return &unknown_type;
    array->kind = TYPE_ARRAY;
    array->target = element;
    array->place = place;
    array->vector = vector;
    array->complete = true;
    array->has_count = constant_count(range, &array->count);
    if (!array->has_count && (die_has(range, DW_AT_upper_bound) || die_has(range, DW_AT_count)))
        array->bound = die_place(range);
    uint64_t stride = type_plain(element)->size;
    die_unsigned(range, DW_AT_byte_stride, &stride);
    array->stride = stride;
    if (array->has_count && !__builtin_mul_overflow(array->count, stride, &array->size))
        return array;
    array->size = 0;
    return array;
}

#define DIMENSIONS 16

/* int a[2][3] has one entry with two subranges, the outermost first. */
static const struct type *read_array(struct module *module, struct die die,
                                     const struct type *element) {
    struct die ranges[DIMENSIONS], child;
    size_t n = 0;
    uint64_t size, stride;
    bool vector = die_flag(die, DW_AT_GNU_vector);
    if (die_child(die, &child)) {
        bool more = true;
        while (more && n < DIMENSIONS) {
            struct die next;
            bool there = die_next(child, &next);
            if (die_tag(child) == DW_TAG_subrange_type)
                ranges[n++] = child;
            else
                die_free(&child);
            child = next;
            more = there;
        }
        if (more)
            die_free(&child);
    }
    const struct type *type = element;
    while (n--) {
        type = dimension(module, die_place(die), type, ranges[n], vector);
        die_free(&ranges[n]);
    }
    if (type == element) /* no subrange at all */
        return &unknown_type;
    struct type *outer = (struct type *)type;
    if (outer->kind == TYPE_ARRAY && die_unsigned(die, DW_AT_byte_stride, &stride))
        outer->stride = stride;
    if (outer->kind == TYPE_ARRAY && die_unsigned(die, DW_AT_byte_size, &size))
        outer->size = size;
    return type;
}

static struct type *make(struct module *module, struct die die, unsigned tag) {
    struct unit *unit = unit_of(die);
    uint64_t kind;
    struct type *type = ARENA_NEW(&module->arena, struct type);
    if (!type)
        return NULL;
    if (unit)
        unit_load(unit);
    type->kind = TYPE_UNKNOWN;
    type->place = die_place(die);
    type->unit_go = unit && unit_is_go(unit);
    if (type->unit_go && die_unsigned(die, DW_AT_GO_KIND, &kind))
        type->go_kind = (uint8_t)kind;
    type->rvalue = tag == DW_TAG_rvalue_reference_type;
    type->declaration = die_flag(die, DW_AT_declaration);
    type->prototyped = die_flag(die, DW_AT_prototyped);
    die_unsigned(die, DW_AT_byte_size, &type->size);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tags[i].tag == tag) {
            type->kind = tags[i].kind;
            type->name = tags[i].name;
        }
    if (!type->name && tag != DW_TAG_subprogram)
        type->name = qualified_name(module, die, unit);
    if (tag == DW_TAG_base_type)
        read_base(die, type);
    if (tag == DW_TAG_unspecified_type && type->name && strstr(type->name, "nullptr")) {
        type->kind = TYPE_POINTER;
        type->target = &basics[BASIC_VOID];
    }
    bool pointer = type->kind == TYPE_POINTER || type->kind == TYPE_REFERENCE;
    if (pointer && !type->size)
        type->size = die.dwarf->elf->is64 ? 8 : 4;
    if (type->kind == TYPE_MEMBER_POINTER && !type->size)
        type->size = 8;
    return type;
}

static const struct type *type_at_depth(struct module *module, struct die_place place, int depth);

const struct type *type_target(struct module *module, struct die die, int depth) {
    struct die target;
    if (!die_ref(die, DW_AT_type, &target))
        return &basics[BASIC_VOID];
    const struct type *type = type_at_depth(module, die_place(target), depth + 1);
    die_free(&target);
    return type;
}

/* The compiler calls all pointers alike where only that counts: "go.shape.*uint8", in Go 1.18 and
 * 1.19 with "_" and a number behind it. */
static void read_alias(struct module *module, struct die die, struct type *type) {
    static const char any[] = "go.shape.*uint8";
    uint64_t index;
    if (die_unsigned(die, DW_AT_GO_DICT_INDEX, &index) && index < UINT16_MAX)
        type->dictionary = (uint16_t)(index + 1);
    const char *rest = type->name && !strncmp(type->name, any, sizeof any - 1)
                           ? type->name + sizeof any - 1
                           : NULL;
    if (rest && (!*rest || *rest == '_'))
        type->target = type_pointer_to(module, &basics[BASIC_VOID]);
}

/* C has its wide characters as names of integers. */
static void read_wide(struct module *module, struct type *type) {
    static const char *const names[] = {"wchar_t", "char16_t", "char32_t"};
    const struct type *plain = type_plain(type->target);
    for (size_t i = 0; plain->kind == TYPE_INT && i < sizeof names / sizeof *names; i++) {
        if (!type->name || strcmp(type->name, names[i]))
            continue;
        struct type *wide = ARENA_NEW(&module->arena, struct type);
        if (!wide)
            return;
        *wide = *plain;
        wide->kind = TYPE_CHAR;
        wide->name = type->name;
        type->target = wide;
    }
}

static void inherit_size(struct type *type) {
    bool passes = type->kind == TYPE_TYPEDEF || type->kind == TYPE_CONST ||
                  type->kind == TYPE_VOLATILE || type->kind == TYPE_QUALIFIED;
    if (passes && type->target && !type->size)
        type->size = type->target->size;
}

/* Pointers are cached before their targets are read, so a type may contain a pointer to itself. */
static const struct type *type_at_depth(struct module *module, struct die_place place, int depth) {
    const struct type *known = place.dwarf ? map_get(&place.dwarf->types, die_key(place)) : NULL;
    struct die die, holder;
    if (known)
        return known;
    if (depth > PLAIN_DEPTH || !die_at(place, &die))
        return &unknown_type;
    if (die_ref(die, DW_AT_signature, &holder)) { /* it stands for the type of a type unit */
        known = type_at_depth(module, die_place(holder), depth + 1);
        map_put(&place.dwarf->types, die_key(place), (void *)known);
        die_free(&holder);
        die_free(&die);
        return known;
    }
    unsigned tag = die_tag(die);
    struct type *type = make(module, die, tag);
    if (!type || !map_put(&place.dwarf->types, die_key(place), type)) {
        die_free(&die);
        return &unknown_type;
    }
    bool composite = type_is_composite(type);
    if (tag == DW_TAG_subprogram && depth < PLAIN_DEPTH)
        type->target = type_of_entry(die);
    else if (!composite && tag != DW_TAG_base_type)
        type->target = type_target(module, die, depth);
    if (tag == DW_TAG_ptr_to_member_type && die_ref(die, DW_AT_containing_type, &holder)) {
        type->holder = type_at_depth(module, die_place(holder), depth + 1);
        die_free(&holder);
        if (type_plain(type->target)->kind == TYPE_FUNCTION)
            type->size = 16; /* Itanium C++ ABI, section 2.3 */
    }
    if (tag == DW_TAG_array_type) {
        const struct type *array = read_array(module, die, type->target);
        map_put(&place.dwarf->types, die_key(place), (void *)array);
        die_free(&die);
        return array;
    }
    if (tag == DW_TAG_typedef)
        type->unit_go ? read_alias(module, die, type) : read_wide(module, type);
    inherit_size(type);
    die_free(&die);
    return type;
}

const struct type *type_at(struct module *module, struct die_place place) {
    return type_at_depth(module, place, 0);
}

static struct module *module_of(struct die die) {
    struct unit *unit = unit_of(die);
    return unit ? unit->module : NULL;
}

const struct type *type_of_entry(struct die die) {
    struct die from;
    struct module *module = module_of(die);
    if (!module || !die_inherited(die, DW_AT_type, &from))
        return &basics[BASIC_VOID];
    const struct type *type = type_target(module, from, 0);
    die_free(&from);
    return type;
}

/* ---- derived ---- */

const struct type *type_plain(const struct type *type) {
    for (int i = 0; i < PLAIN_DEPTH; i++) {
        if (type->kind != TYPE_TYPEDEF && type->kind != TYPE_CONST && type->kind != TYPE_VOLATILE &&
            type->kind != TYPE_QUALIFIED)
            return type;
        type = type->target;
    }
    return &unknown_type;
}

const struct type *type_pointer_to(struct module *module, const struct type *type) {
    struct type *base = (struct type *)type;
    if (base->pointer_to_me)
        return base->pointer_to_me;
    struct type *pointer = ARENA_NEW(&module->arena, struct type);
    if (!pointer)
        return &basics[BASIC_POINTER];
    *pointer = (struct type){.kind = TYPE_POINTER,
                             .size = module->elf->is64 ? 8 : 4,
                             .target = type,
                             .unit_go = type->unit_go,
                             .complete = true};
    if (!type->shared)
        base->pointer_to_me = pointer;
    return pointer;
}

const struct type *type_array_of(struct module *module, const struct type *type, uint64_t count) {
    struct type *array = ARENA_NEW(&module->arena, struct type);
    uint64_t stride = type_plain(type)->size;
    if (!array)
        return &unknown_type;
    *array = (struct type){.kind = TYPE_ARRAY,
                           .target = type,
                           .count = count,
                           .has_count = true,
                           .stride = stride,
                           .unit_go = type->unit_go,
                           .complete = true};
    if (__builtin_mul_overflow(count, stride, &array->size))
        array->size = 0;
    return array;
}

bool type_is_integer(const struct type *plain) {
    return plain->kind == TYPE_BOOL || plain->kind == TYPE_INT || plain->kind == TYPE_CHAR ||
           plain->kind == TYPE_ENUM;
}

bool type_is_number(const struct type *plain) {
    return type_is_integer(plain) || plain->kind == TYPE_FLOAT;
}

bool type_is_composite(const struct type *plain) {
    return plain->kind == TYPE_STRUCT || plain->kind == TYPE_CLASS || plain->kind == TYPE_UNION;
}

bool type_is_text(const struct type *plain) {
    return plain->kind == TYPE_CHAR;
}
