/* What the parts of the compiler share. Each compile_* emits the code of one node and gives its
 * type; NULL where the expression is wrong, with the first error kept. */
#pragma once

#include "expr/target_scope.h"

/* The argument of Go's generic functions that says what their type parameters are. */
#define GO_DICTIONARY ".dict"

struct compiler {
    const char *text;
    struct target_expr *expr;
    struct target_tree tree;
    struct scope_view view;
    struct error *error;
    size_t error_at;
    const struct type
        *reference; /* the last reference that was followed, and the code's end then */
    size_t reference_at;
    const uint64_t *words; /* of a generic function's dictionary; NULL: not known yet */
    size_t word_count;
    bool any_pointer; /* it depends on a type of which only that is known */
};

typedef const struct type *compile_fn(struct compiler *c, const struct target_node *node);

/* target_expr_compile() for a call of a generic function with this dictionary. */
struct error *target_expr_compile_for(const char *text, const struct target_site *site,
                                      const uint64_t *words, size_t word_count,
                                      struct target_expr **out, size_t *at);

const struct type *compiler_compile(struct compiler *c, int node);
const struct type *compiler_fail(struct compiler *c, const struct target_node *node,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Never NULL; good until the next one. */
struct insn *compiler_emit(struct compiler *c, enum insn_op op, const struct type *type);
const char *compiler_type_text(struct compiler *c, const struct type *type);
const struct type *compiler_truth_type(const struct compiler *c);
const struct shape *compiler_shape_of(struct compiler *c, const struct type *type);

/* From an object to a part of it that is no member of its own. */
const struct type *compiler_part(struct compiler *c, const struct type *type, uint64_t offset);

/* What a std::array and its like are behind their one member; else the type itself. */
const struct type *compiler_inside(struct compiler *c, const struct type *type);

/* A node that is calculated with: a std::atomic of a number or pointer is that. */
const struct type *compiler_operand(struct compiler *c, int node);

/* A reference is what it refers to. */
const struct type *compiler_settle(struct compiler *c, const struct type *type);
const struct type *compiler_use(struct compiler *c, const struct target_node *node,
                                const struct meaning *meaning, const char *name);

compile_fn compile_name, compile_member, compile_index, compile_slice; /* target_names.c */
const struct type *compile_lookup(struct compiler *c, const struct target_node *node,
                                  const struct type *map,
                                  const struct shape *shape); /* target_lookup.c */
compile_fn compile_return;                                    /* target_result.c */
compile_fn compile_unary, compile_binary, compile_conditional,
    compile_cast; /* target_operators.c */
