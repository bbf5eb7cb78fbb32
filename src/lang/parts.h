/* What the files that know languages share. */
#pragma once

#include "lang/shape.h"

/* Sums the offsets along a path of members, dots between them; "*" is the last base class. False:
 * the type is another one of the same name. */
bool lang_follow(struct module *module, const struct type *type, const char *path, uint64_t *offset,
                 const struct type **out);

/* Maps, interfaces and channels of Go. Slices and strings are rows of shape.c. */
bool lang_go_shape(struct module *module, const struct type *type, struct shape *out);

/* Where the parts of a library's type are: paths of members, dots between them; "*" is the last
 * base class. `name` is the type's name up to its template arguments. */
struct shape_row {
    const char *name;
    uint8_t go; /* Go's kind of such types, which may have names of their own; 0: not Go's */
    enum shape_kind kind;
    const char *data, *length, *capacity;
    bool end_pointer;
    const char *element; /* the template parameter that says it; NULL: what `data` points to */
    const char *holder;  /* the member whose type has that parameter; NULL: the type itself */
    const char *inside;  /* a path from that element to what is meant */
    unsigned links;      /* words before a node's element, and */
    unsigned mark;       /* bytes behind those */
    unsigned link;       /* the word that is the pointer to the next node, or to the left one */
    const char *short_length, *short_text; /* of a text that can be in the object itself */
    const char *count; /* the template parameter that says how many elements there are */
    unsigned header;   /* words before the first element: the length, the capacity, ... */
    bool map, repeats, uncounted, behind;
};

/* The number that a template's parameter stands for. */
bool lang_number(const struct type *plain, const char *name, uint64_t *out);

/* The type that a template's parameter stands for; NULL: it has no such parameter. */
const struct type *lang_argument(const struct type *plain, const char *name);

/* cxx_nodes.c: does the type have the row's parts? They are put into *out. */
typedef bool lang_fits_fn(struct module *module, const struct type *plain,
                          const struct shape_row *row, struct shape *out);
lang_fits_fn lang_fits_nodes, lang_fits_blocks, lang_fits_bits;
lang_fits_fn lang_fits_duration, lang_fits_function, lang_fits_bitset, lang_fits_sequence,
    lang_fits_variant, lang_fits_weak, lang_fits_expected, lang_fits_any,
    lang_fits_held; /* cxx_parts.c */
