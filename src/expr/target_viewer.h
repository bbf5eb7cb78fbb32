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

/* target_show_nodes.c: a tree or a chain, as a map or a list */
value_ref show_nodes(struct viewer *v, const struct operand *operand, const struct shape *shape,
                     unsigned depth);

/* Is there so much left of what a value may read? */
bool viewer_spend(struct viewer *v, uint64_t bytes);
value_ref show_cut(struct viewer *v, enum value_kind kind, uint64_t of);

/* The last failure as a value. While something is missing the tree is unfinished anyway. */
value_ref show_failed(struct viewer *v);
show_fn show_number, show_complex, show_enum; /* target_show_number.c */
