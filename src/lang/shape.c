#include "lang/shape.h"

#include <string.h>

/* Where the parts of a library's type are: paths of members, dots between them. `name` is the
 * type's name up to its template arguments; "*" in front: any namespace. */
struct row {
    const char *name;
    bool go;
    enum shape_kind kind;
    const char *data, *length, *capacity;
    bool end_pointer;
};

static const struct row rows[] = {
    /* libstdc++, with its inline namespace for the new ABI */
    {"std::__cxx11::basic_string", false, SHAPE_TEXT, "_M_dataplus._M_p", "_M_string_length", NULL,
     false},
    {"std::basic_string_view", false, SHAPE_TEXT, "_M_str", "_M_len", NULL, false},
    {"std::vector", false, SHAPE_LIST, "_M_impl._M_start", "_M_impl._M_finish",
     "_M_impl._M_end_of_storage", true},
    {"std::unique_ptr", false, SHAPE_POINTER, "_M_t._M_t._M_head_impl", NULL, NULL, false},
    {"std::shared_ptr", false, SHAPE_POINTER, "_M_ptr", NULL, NULL, false},
    /* Rust */
    {"&str", false, SHAPE_TEXT, "data_ptr", "length", NULL, false},
    {"alloc::string::String", false, SHAPE_TEXT, "vec.buf.inner.ptr.pointer.pointer", "vec.len",
     NULL, false},
    /* Go: what the compiler calls every slice and string */
    {"string", true, SHAPE_TEXT, "str", "len", NULL, false},
    {"[]", true, SHAPE_LIST, "array", "len", "cap", false},
};

/* Sums the offsets along a path. False: the type is another one of the same name. */
static bool follow(struct module *module, const struct type *type, const char *path,
                   uint64_t *offset, const struct type **out) {
    const struct member *steps[MEMBER_PATH];
    *offset = 0;
    while (*path) {
        size_t n = strcspn(path, ".");
        int count = type_member(module, type, path, n, steps);
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
    bool slice = !strcmp(row->name, "[]");
    return slice || plain->name[n] == '\0' || plain->name[n] == '<';
}

bool lang_shape(struct module *module, const struct type *plain, struct shape *out) {
    for (size_t i = 0; plain->name && i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        const struct type *data, *length, *capacity;
        if (!is_named(plain, row))
            continue;
        *out = (struct shape){.kind = row->kind, .end_pointer = row->end_pointer};
        if (!follow(module, plain, row->data, &out->data, &data) ||
            type_plain(data)->kind != TYPE_POINTER)
            return false;
        out->element = type_plain(data)->target;
        if (row->kind == SHAPE_POINTER)
            return true;
        if (!follow(module, plain, row->length, &out->length, &length))
            return false;
        out->capacity = out->length;
        if (row->capacity && !follow(module, plain, row->capacity, &out->capacity, &capacity))
            return false;
        return row->kind != SHAPE_TEXT || type_plain(out->element)->size == 1;
    }
    return false;
}
