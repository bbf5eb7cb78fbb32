#include "lang/parts.h"

#include <string.h>

#define TEXT(type, bytes, count)                                                                   \
    { .name = type, .kind = SHAPE_TEXT, .data = bytes, .length = count }
#define LIST(type, first, count)                                                                   \
    { .name = type, .kind = SHAPE_LIST, .data = first, .length = count }
#define POINTER(type, target)                                                                      \
    { .name = type, .kind = SHAPE_POINTER, .data = target }
#define PART(type, inside)                                                                         \
    { .name = type, .kind = SHAPE_PART, .data = inside }
#define TREE(type, is_map, many)                                                                   \
    {                                                                                              \
        .name = type, .kind = SHAPE_TREE, .data = "_M_t._M_impl._M_header._M_parent",              \
        .length = "_M_t._M_impl._M_node_count", .holder = "_M_t", .element = "_Val",               \
        .map = is_map, .repeats = many, .links = 4, .link = 2                                      \
    }
#define CHAIN(type, is_map, many)                                                                  \
    {                                                                                              \
        .name = type, .kind = SHAPE_CHAIN, .data = "_M_h._M_before_begin._M_nxt",                  \
        .length = "_M_h._M_element_count", .holder = "_M_h", .element = "_Value", .map = is_map,   \
        .repeats = many, .links = 1                                                                \
    }
#define RING(type, count)                                                                          \
    {                                                                                              \
        .name = type, .kind = SHAPE_RING, .data = "_M_impl._M_node._M_next", .length = count,      \
        .element = "_Tp", .uncounted = !count, .links = 2                                          \
    }
/* libc++'s: its nodes of trees begin with two pointers, a third and the colour */
#define LLVM_TREE(type, is_map, many)                                                              \
    {                                                                                              \
        .name = type, .kind = SHAPE_TREE, .data = "__tree_.__pair1_.__value_.__left_",             \
        .length = "__tree_.__pair3_.__value_", .holder = "__tree_", .element = "_Tp",              \
        .inside = is_map ? "__cc" : NULL, .map = is_map, .repeats = many, .links = 3, .mark = 1    \
    }
#define LLVM_CHAIN(type, is_map, many)                                                             \
    {                                                                                              \
        .name = type, .kind = SHAPE_CHAIN, .data = "__table_.__p1_.__value_.__next_",              \
        .length = "__table_.__p2_.__value_", .holder = "__table_", .element = "_Tp",               \
        .inside = is_map ? "__cc" : NULL, .map = is_map, .repeats = many, .links = 2               \
    }
enum { GO_SLICE = 23, GO_STRING = 24 }; /* internal/abi.Kind */

static const struct shape_row rows[] = {
    /* libstdc++, with its inline namespace for the new ABI */
    TEXT("std::__cxx11::basic_string", "_M_dataplus._M_p", "_M_string_length"),
    TEXT("std::basic_string_view", "_M_str", "_M_len"),
    TEXT("std::filesystem::__cxx11::path", "_M_pathname._M_dataplus._M_p",
         "_M_pathname._M_string_length"),
    {.name = "std::basic_string", /* of the old ABI, which will not change any more */
     .kind = SHAPE_TEXT,
     .data = "_M_dataplus._M_p",
     .header = 3},
    {.name = "std::filesystem::path",
     .kind = SHAPE_TEXT,
     .data = "_M_pathname._M_dataplus._M_p",
     .header = 3},
    {.name = "std::vector",
     .kind = SHAPE_LIST,
     .data = "_M_impl._M_start",
     .length = "_M_impl._M_finish",
     .capacity = "_M_impl._M_end_of_storage",
     .end_pointer = true},
    {.name = "std::vector", /* of bool */
     .kind = SHAPE_BITS,
     .data = "_M_impl._M_start",
     .length = "_M_impl._M_finish"},
    {.name = "std::bitset", .kind = SHAPE_FIXED_BITS, .data = "_M_w"},
    {.name = "std::tuple", .kind = SHAPE_SEQUENCE},
    {.name = "std::_Tuple_impl", .kind = SHAPE_SEQUENCE},
    {.name = "std::variant", .kind = SHAPE_VARIANT, .data = "_M_u", .length = "_M_index"},
    {.name = "std::__detail::__variant::_Variadic_union",
     .kind = SHAPE_SEQUENCE,
     .data = "_M_first"},
    LIST("std::initializer_list", "_M_array", "_M_len"),
    LIST("std::span", "_M_ptr", "_M_extent._M_extent_value"),
    {.name = "std::span", .kind = SHAPE_LIST, .data = "_M_ptr", .count = "_Extent"},
    PART("std::array", "_M_elems"),
    PART("std::atomic", "_M_i"),
    PART("std::atomic", "_M_base._M_i"), /* of a bool */
    PART("std::atomic", "_M_b._M_p"),    /* of a pointer */
    PART("std::atomic", "_M_fp"),        /* of a float, since C++20 */
    {.name = "std::chrono::duration", .kind = SHAPE_DURATION, .data = "__r"},
    PART("std::chrono::time_point", "__d"),
    {.name = "std::function",
     .kind = SHAPE_FUNCTION,
     .data = "_M_functor",
     .length = "_M_invoker",
     .capacity = "_M_manager"},
    PART("std::stack", "c"),
    PART("std::queue", "c"),
    PART("std::priority_queue", "c"),
    PART("std::complex", "_M_value"),
    {.name = "std::optional",
     .kind = SHAPE_OPTIONAL,
     .data = "_M_payload._M_payload._M_value",
     .length = "_M_payload._M_engaged"},
    POINTER("std::unique_ptr", "_M_t._M_t.*.*._M_head_impl"), /* of a tuple's two heads the first */
    POINTER("std::shared_ptr", "_M_ptr"),
    POINTER("std::reference_wrapper", "_M_data"),
    {.name = "std::weak_ptr",
     .kind = SHAPE_WEAK,
     .data = "_M_ptr",
     .length = "_M_refcount._M_pi",
     .capacity = "_M_use_count"},
    {.name = "std::expected",
     .kind = SHAPE_EXPECTED,
     .data = "_M_val",
     .length = "_M_has_value",
     .capacity = "_M_unex"},
    PART("std::unexpected", "_M_unex"),
    {.name = "std::any", .kind = SHAPE_ANY, .data = "_M_storage", .length = "_M_manager"},
    {.name = "std::any::_Manager_internal", .kind = SHAPE_HELD, .element = "_Tp"},
    {.name = "std::any::_Manager_external", .kind = SHAPE_HELD, .element = "_Tp", .behind = true},
    TREE("std::map", true, false),
    TREE("std::multimap", true, true),
    TREE("std::set", false, false),
    TREE("std::multiset", false, true),
    RING("std::__cxx11::list", "_M_impl._M_node._M_size"),
    RING("std::list", NULL), /* with the old ABI */
    {.name = "std::forward_list",
     .kind = SHAPE_CHAIN,
     .data = "_M_impl._M_head._M_next",
     .element = "_Tp",
     .uncounted = true,
     .links = 1},
    {.name = "std::deque",
     .kind = SHAPE_BLOCKS,
     .data = "_M_impl._M_start",
     .length = "_M_impl._M_finish",
     .element = "_Tp"},
    CHAIN("std::unordered_map", true, false),
    CHAIN("std::unordered_multimap", true, true),
    CHAIN("std::unordered_set", false, false),
    CHAIN("std::unordered_multiset", false, true),
    /* libc++ 14 */
    {.name = "std::__1::basic_string",
     .kind = SHAPE_TEXT,
     .data = "__r_.__value_.__l.__data_",
     .length = "__r_.__value_.__l.__size_",
     .short_length = "__r_.__value_.__s",
     .short_text = "__r_.__value_.__s.__data_"},
    TEXT("std::__1::basic_string_view", "__data", "__size"),
    {.name = "std::__1::vector",
     .kind = SHAPE_LIST,
     .data = "__begin_",
     .length = "__end_",
     .capacity = "__end_cap_.__value_",
     .end_pointer = true},
    LIST("std::initializer_list", "__begin_", "__size_"),
    PART("std::__1::array", "__elems_"),
    PART("std::__1::atomic", "__a_.__a_value"),
    {.name = "std::__1::optional",
     .kind = SHAPE_OPTIONAL,
     .data = "__val_",
     .length = "__engaged_"},
    POINTER("std::__1::unique_ptr", "__ptr_.__value_"),
    POINTER("std::__1::shared_ptr", "__ptr_"),
    LLVM_TREE("std::__1::map", true, false),
    LLVM_TREE("std::__1::multimap", true, true),
    LLVM_TREE("std::__1::set", false, false),
    LLVM_TREE("std::__1::multiset", false, true),
    LLVM_CHAIN("std::__1::unordered_map", true, false),
    LLVM_CHAIN("std::__1::unordered_multimap", true, true),
    LLVM_CHAIN("std::__1::unordered_set", false, false),
    LLVM_CHAIN("std::__1::unordered_multiset", false, true),
    {.name = "std::__1::list",
     .kind = SHAPE_RING,
     .data = "__end_.__next_",
     .length = "__size_alloc_.__value_",
     .element = "_Tp",
     .links = 2,
     .link = 1},
    /* Rust: the newest library first */
    TEXT("&str", "data_ptr", "length"),
    TEXT("&mut str", "data_ptr", "length"),
    TEXT("alloc::boxed::Box<str", "data_ptr", "length"),
    TEXT("alloc::string::String", "vec.buf.inner.ptr.pointer.pointer", "vec.len"),
    TEXT("alloc::string::String", "vec.buf.ptr.pointer.pointer", "vec.len"),
    LIST("&[", "data_ptr", "length"),
    LIST("&mut [", "data_ptr", "length"),
    LIST("alloc::boxed::Box<[", "data_ptr", "length"),
    {.name = "alloc::vec::Vec",
     .kind = SHAPE_LIST,
     .data = "buf.inner.ptr.pointer.pointer",
     .length = "len",
     .capacity = "buf.inner.cap.__0",
     .element = "T"},
    {.name = "alloc::vec::Vec",
     .kind = SHAPE_LIST,
     .data = "buf.ptr.pointer.pointer",
     .length = "len",
     .element = "T"},
    {.name = "string", .go = GO_STRING, .kind = SHAPE_TEXT, .data = "str", .length = "len"},
    {.name = "[]",
     .go = GO_SLICE,
     .kind = SHAPE_LIST,
     .data = "array",
     .length = "len",
     .capacity = "cap"},
};

static int last_base(struct module *module, const struct type *type,
                     const struct member *steps[static MEMBER_PATH]) {
    type = type_complete(module, type_plain(type));
    int found = 0;
    for (size_t i = 0; i < type->member_count; i++)
        if (type->members[i].base) {
            steps[0] = &type->members[i];
            found = 1;
        }
    return found;
}

bool lang_follow(struct module *module, const struct type *type, const char *path, uint64_t *offset,
                 const struct type **out) {
    const struct member *steps[MEMBER_PATH];
    *offset = 0;
    while (*path) {
        size_t n = strcspn(path, ".");
        int count = *path == '*' ? last_base(module, type, steps)
                                 : type_member(module, type, path, n, steps);
        if (count <= 0)
            return false;
        for (int i = 0; i < count; i++) {
            if (steps[i]->location || steps[i]->bit_size)
                return false;
            *offset += steps[i]->offset;
            type = steps[i]->type;
        }
        path += n + (path[n] == '.');
    }
    *out = type;
    return true;
}

static bool is_named(const struct type *plain, const struct shape_row *row) {
    size_t n = strlen(row->name);
    if (plain->unit_go && plain->go_kind)
        return plain->go_kind == row->go;
    if (!plain->name || plain->unit_go != !!row->go || strncmp(plain->name, row->name, n))
        return false;
    bool begins = memchr(row->name, '[', n) || memchr(row->name, '<', n);
    return begins || plain->name[n] == '\0' || plain->name[n] == '<';
}

/* Strict DWARF 3 has no encoding for char16_t and char32_t. */
static bool is_wide(const struct type *plain) {
    bool text = type_is_text(plain) ||
                (plain->kind == TYPE_INT && plain->name && !strncmp(plain->name, "char", 4));
    return text && (plain->size == 2 || plain->size == 4);
}

static bool fits_length(struct module *module, const struct type *plain,
                        const struct shape_row *row, struct shape *out) {
    const struct type *unwanted, *text;
    uint64_t word = module->elf->is64 ? 8 : 4;
    out->has_short = row->short_text;
    if (row->short_text) {
        if (!lang_follow(module, plain, row->short_length, &out->short_length, &unwanted) ||
            !lang_follow(module, plain, row->short_text, &out->short_text, &text))
            return false;
        out->short_most = type_plain(text)->count;
    }
    if (row->header) {
        out->header = row->header * word;
        out->capacity = word;
        return true;
    }
    if (row->count) {
        out->is_fixed = lang_number(plain, row->count, &out->fixed);
        return out->is_fixed && out->fixed <= INT64_MAX;
    }
    if (!lang_follow(module, plain, row->length, &out->length, &unwanted))
        return false;
    out->capacity = out->length;
    return !row->capacity || lang_follow(module, plain, row->capacity, &out->capacity, &unwanted);
}

static bool fits(struct module *module, const struct type *plain, const struct shape_row *row,
                 struct shape *out) {
    static lang_fits_fn *const by_kind[SHAPE_KINDS] = {
        [SHAPE_TREE] = lang_fits_nodes,        [SHAPE_CHAIN] = lang_fits_nodes,
        [SHAPE_RING] = lang_fits_nodes,        [SHAPE_BLOCKS] = lang_fits_blocks,
        [SHAPE_BITS] = lang_fits_bits,         [SHAPE_FIXED_BITS] = lang_fits_bitset,
        [SHAPE_SEQUENCE] = lang_fits_sequence, [SHAPE_VARIANT] = lang_fits_variant,
        [SHAPE_DURATION] = lang_fits_duration, [SHAPE_FUNCTION] = lang_fits_function,
        [SHAPE_WEAK] = lang_fits_weak,         [SHAPE_EXPECTED] = lang_fits_expected,
        [SHAPE_ANY] = lang_fits_any,           [SHAPE_HELD] = lang_fits_held,
    };
    const struct type *data, *length;
    *out = (struct shape){.kind = row->kind, .end_pointer = row->end_pointer};
    if (by_kind[row->kind])
        return by_kind[row->kind](module, plain, row, out);
    if (!lang_follow(module, plain, row->data, &out->data, &data))
        return false;
    out->element = data;
    if (row->kind == SHAPE_PART)
        return true;
    if (row->kind == SHAPE_OPTIONAL)
        return lang_follow(module, plain, row->length, &out->length, &length);
    if (type_plain(data)->kind != TYPE_POINTER)
        return false;
    out->element = row->element ? lang_argument(plain, row->element) : type_plain(data)->target;
    if (row->kind == SHAPE_POINTER || !out->element)
        return out->element;
    if (!fits_length(module, plain, row, out))
        return false;
    const struct type *element = type_plain(out->element);
    return row->kind != SHAPE_TEXT || element->size == 1 || is_wide(element);
}

bool lang_shape(struct module *module, const struct type *type, struct shape *out) {
    const struct type *plain = type_plain(type);
    if (plain->unit_go && lang_go_shape(module, type, out))
        return true;
    for (size_t i = 0; plain->name && i < sizeof rows / sizeof *rows; i++)
        if (is_named(plain, &rows[i]) && fits(module, plain, &rows[i], out))
            return true;
    return false;
}
