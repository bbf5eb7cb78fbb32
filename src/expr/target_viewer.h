/* What the parts that show operands share. */
#pragma once

#include "expr/target_parts.h"

#define NESTING 64 /* composites inside of each other, also those that take no depth */

struct viewer {
    struct evaluation *evaluation;
    const struct show_limits *limits;
    struct buffer *into;
    enum show_as as;
    struct module *module;
    int nesting;
    size_t budget; /* bytes of the target that may still be read */
};

typedef value_ref show_fn(struct viewer *v, const struct operand *operand, unsigned depth);

show_fn show_operand; /* of any type */
show_fn show_variant; /* target_show_variant.c */

/* Of an operand that has the shape. */
typedef value_ref show_shape_fn(struct viewer *v, const struct operand *operand,
                                const struct shape *shape, unsigned depth);

show_shape_fn show_shape;                   /* of any kind */
show_shape_fn show_nodes;                   /* what shape_has_entries(), as a map or a list */
show_shape_fn show_shaped_text;             /* target_show_text.c */
show_shape_fn show_interface, show_channel; /* target_show_go.c */
show_fn show_closure;
show_shape_fn show_duration, show_callable;       /* target_show_cxx.c */
show_shape_fn show_weak, show_expected, show_any; /* target_show_held.c */

/* `whole` is where the first element is. */
value_ref show_elements(struct viewer *v, const struct operand *whole, const struct type *element,
                        uint64_t stride, uint64_t count, unsigned depth);

value_ref show_bytes_at(struct viewer *v, const struct operand *first, uint64_t count);

/* target_show_text.c: `n` bytes of a text of `of`; up to a NUL; an array up to its first NUL */
value_ref show_text(struct viewer *v, const char *bytes, size_t n, uint64_t of, bool cut);
value_ref show_c_string(struct viewer *v, uint64_t address, const struct type *element);
value_ref show_char_array(struct viewer *v, const struct operand *operand,
                          const struct type *element, uint64_t count);

/* The name of the function whose code is at `address`. */
value_ref show_function(struct viewer *v, uint64_t address);

/* Is there so much left of what a value may read? */
bool viewer_spend(struct viewer *v, uint64_t bytes);
value_ref show_cut(struct viewer *v, enum value_kind kind, uint64_t of);

/* The last failure as a value. While something is missing the tree is unfinished anyway. */
value_ref show_failed(struct viewer *v);
show_fn show_number, show_complex, show_enum; /* target_show_number.c */
