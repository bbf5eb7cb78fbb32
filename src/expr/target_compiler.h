/* What the parts of the compiler share. Each compile_* emits the code of one node and gives its
 * type; NULL where the expression is wrong, with the first error kept. */
#pragma once

#include "expr/target_scope.h"

struct compiler {
    struct target_expr *expr;
    struct target_tree tree;
    struct scope_view view;
    struct error *error;
    size_t error_at;
    const struct type
        *reference; /* the last reference that was followed, and the code's end then */
    size_t reference_at;
};

typedef const struct type *compile_fn(struct compiler *c, const struct target_node *node);

const struct type *compiler_compile(struct compiler *c, int node);
const struct type *compiler_fail(struct compiler *c, const struct target_node *node,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Never NULL; good until the next one. */
struct insn *compiler_emit(struct compiler *c, enum insn_op op, const struct type *type);
const char *compiler_type_text(struct compiler *c, const struct type *type);
const struct type *compiler_truth_type(const struct compiler *c);
const struct shape *compiler_shape_of(struct compiler *c, const struct type *type);

/* What a std::array and its like are behind their one member; else the type itself. */
const struct type *compiler_inside(struct compiler *c, const struct type *type);

/* A reference is what it refers to. */
const struct type *compiler_settle(struct compiler *c, const struct type *type);
const struct type *compiler_use(struct compiler *c, const struct target_node *node,
                                const struct meaning *meaning, const char *name);

compile_fn compile_name, compile_member, compile_index, compile_slice; /* target_names.c */
compile_fn compile_return;                                             /* target_result.c */
compile_fn compile_unary, compile_binary, compile_conditional,
    compile_cast; /* target_operators.c */
