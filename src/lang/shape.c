#include "lang/shape.h"

#include <string.h>

/* Where the parts of a library's type are: paths of members, dots between them; "*" is the last
 * base class. `name` is the type's name up to its template arguments. */
struct row {
    const char *name;
    bool go;
    enum shape_kind kind;
    const char *data, *length, *capacity;
    bool end_pointer;
    const char *element; /* the template parameter that says it; NULL: what `data` points to */
    const char *holder;  /* SHAPE_TREE, SHAPE_CHAIN: the member whose type has that parameter */
    bool map, repeats;
};

#define TEXT(type, bytes, count)                                                                   \
    { .name = type, .kind = SHAPE_TEXT, .data = bytes, .length = count }
#define LIST(type, first, count)                                                                   \
    { .name = type, .kind = SHAPE_LIST, .data = first, .length = count }
#define POINTER(type, target)                                                                      \
    { .name = type, .kind = SHAPE_POINTER, .data = target }
#define TREE(type, is_map, many)                                                                   \
    {                                                                                              \
        .name = type, .kind = SHAPE_TREE, .data = "_M_t._M_impl._M_header._M_parent",              \
        .length = "_M_t._M_impl._M_node_count", .holder = "_M_t", .element = "_Val",               \
        .map = is_map, .repeats = many                                                             \
    }
#define CHAIN(type, is_map, many)                                                                  \
    {                                                                                              \
        .name = type, .kind = SHAPE_CHAIN, .data = "_M_h._M_before_begin._M_nxt",                  \
        .length = "_M_h._M_element_count", .holder = "_M_h", .element = "_Value", .map = is_map,   \
        .repeats = many                                                                            \
    }
static const struct row rows[] = {
    /* libstdc++, with its inline namespace for the new ABI */
    TEXT("std::__cxx11::basic_string", "_M_dataplus._M_p", "_M_string_length"),
    TEXT("std::basic_string_view", "_M_str", "_M_len"),
    {.name = "std::vector",
     .kind = SHAPE_LIST,
     .data = "_M_impl._M_start",
     .length = "_M_impl._M_finish",
     .capacity = "_M_impl._M_end_of_storage",
     .end_pointer = true},
    {.name = "std::array", .kind = SHAPE_PART, .data = "_M_elems"},
    {.name = "std::optional",
     .kind = SHAPE_OPTIONAL,
     .data = "_M_payload._M_payload._M_value",
     .length = "_M_payload._M_engaged"},
    POINTER("std::unique_ptr", "_M_t._M_t.*.*._M_head_impl"), /* of a tuple's two heads the first */
    POINTER("std::shared_ptr", "_M_ptr"),
    TREE("std::map", true, false),
    TREE("std::multimap", true, true),
    TREE("std::set", false, false),
    TREE("std::multiset", false, true),
    CHAIN("std::unordered_map", true, false),
    CHAIN("std::unordered_multimap", true, true),
    CHAIN("std::unordered_set", false, false),
    CHAIN("std::unordered_multiset", false, true),
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
    /* Go: what the compiler calls every slice and string */
    {.name = "string", .go = true, .kind = SHAPE_TEXT, .data = "str", .length = "len"},
    {.name = "[]",
     .go = true,
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

/* Sums the offsets along a path. False: the type is another one of the same name. */
static bool follow(struct module *module, const struct type *type, const char *path,
                   uint64_t *offset, const struct type **out) {
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

static bool is_named(const struct type *plain, const struct row *row) {
    size_t n = strlen(row->name);
    if (!plain->name || plain->unit_go != row->go || strncmp(plain->name, row->name, n))
        return false;
    bool begins = memchr(row->name, '[', n) || memchr(row->name, '<', n);
    return begins || plain->name[n] == '\0' || plain->name[n] == '<';
}

/* The type that a template's parameter stands for. */
static const struct type *argument(const struct type *plain, const char *name) {
    struct die die, child;
    const struct type *found = NULL;
    if (!die_at(plain->place, &die))
        return NULL;
    if (die_child(die, &child)) {
        do {
            const char *own = die_tag(child) == DW_TAG_template_type_parameter && !found
                                  ? die_string(child, DW_AT_name)
                                  : NULL;
            found = own && !strcmp(own, name) ? type_of_entry(child) : found;
        } while (die_step(&child));
    }
    die_free(&die);
    return found;
}

#define ALIGNED_DEPTH 16

static uint64_t alignment(struct module *module, const struct type *type, int depth) {
    const struct type *plain = type_complete(module, type_plain(type));
    uint64_t most = 1;
    if (depth > ALIGNED_DEPTH)
        return most;
    if (plain->kind == TYPE_ARRAY)
        return alignment(module, plain->target, depth + 1);
    if (!type_is_composite(plain))
        return plain->size && plain->size <= 16 && !(plain->size & (plain->size - 1)) ? plain->size
                                                                                      : most;
    for (size_t i = 0; i < plain->member_count; i++) {
        uint64_t one = alignment(module, plain->members[i].type, depth + 1);
        most = one > most ? one : most;
    }
    return most;
}

/* libstdc++'s nodes: a colour and three pointers, or one pointer, and then the element. */
static bool fits_nodes(struct module *module, const struct type *plain, const struct row *row,
                       struct shape *out) {
    const struct type *holder, *length;
    uint64_t at, word = module->elf->is64 ? 8 : 4;
    if (!follow(module, plain, row->length, &out->length, &length) ||
        !follow(module, plain, row->holder, &at, &holder))
        return false;
    out->element = argument(type_complete(module, type_plain(holder)), row->element);
    if (!out->element || !type_plain(out->element)->size)
        return false;
    uint64_t align = alignment(module, out->element, 0), head = row->kind == SHAPE_TREE ? 4 : 1;
    out->node = (head * word + align - 1) / align * align;
    out->repeats = row->repeats;
    return !row->map || (follow(module, out->element, "first", &at, &out->key) && !at &&
                         follow(module, out->element, "second", &out->mapped_at, &out->mapped));
}

static bool fits(struct module *module, const struct type *plain, const struct row *row,
                 struct shape *out) {
    const struct type *data, *length, *capacity;
    *out = (struct shape){.kind = row->kind, .end_pointer = row->end_pointer};
    if (!follow(module, plain, row->data, &out->data, &data))
        return false;
    out->element = data;
    if (row->kind == SHAPE_PART)
        return true;
    if (row->holder)
        return fits_nodes(module, plain, row, out);
    if (row->kind == SHAPE_OPTIONAL)
        return follow(module, plain, row->length, &out->length, &length);
    if (type_plain(data)->kind != TYPE_POINTER)
        return false;
    out->element = row->element ? argument(plain, row->element) : type_plain(data)->target;
    if (row->kind == SHAPE_POINTER || !out->element)
        return out->element;
    if (!follow(module, plain, row->length, &out->length, &length))
        return false;
    out->capacity = out->length;
    if (row->capacity && !follow(module, plain, row->capacity, &out->capacity, &capacity))
        return false;
    return row->kind != SHAPE_TEXT || type_plain(out->element)->size == 1;
}

bool lang_shape(struct module *module, const struct type *plain, struct shape *out) {
    for (size_t i = 0; plain->name && i < sizeof rows / sizeof *rows; i++)
        if (is_named(plain, &rows[i]) && fits(module, plain, &rows[i], out))
            return true;
    return false;
}
