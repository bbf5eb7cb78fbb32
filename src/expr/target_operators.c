/* Operators and casts: the rules of C, with what C++ and Go need on top. */
#include "expr/target_compiler.h"

const struct type *compile_unary(struct compiler *c, const struct target_node *node) {
    const struct type *type = node->op == TOP_BIT_AND ? compiler_compile(c, node->args[0])
                                                      : compiler_operand(c, node->args[0]),
                      *plain;
    if (!type)
        return NULL;
    plain = type_plain(type);
    bool array = plain->kind == TYPE_ARRAY;
    switch (node->op) {
    case TOP_MUL: {
        const struct shape *shape = compiler_shape_of(c, type);
        if (shape && shape->kind == SHAPE_POINTER) {
            compiler_part(c, type_pointer_to(c->view.module, shape->element), shape->data);
            compiler_emit(c, I_FOLLOW, shape->element);
            return compiler_settle(c, shape->element);
        }
        if (plain->kind == TYPE_FUNCTION)
            return type;
        if (plain->kind != TYPE_POINTER && !array)
            return compiler_fail(c, node, "%s is no pointer: it cannot be followed",
                                 compiler_type_text(c, type));
        if (type_plain(plain->target)->kind == TYPE_VOID)
            return compiler_fail(c, node, "a pointer to void cannot be followed: cast it first");
        compiler_emit(c, I_FOLLOW, plain->target);
        return compiler_settle(c, plain->target);
    }
    case TOP_BIT_AND: {
        const struct type *pointer = type_pointer_to(c->view.module, type);
        compiler_emit(c, I_ADDRESS, pointer);
        return pointer;
    }
    case TOP_NOT:
        if (!type_is_number(plain) && plain->kind != TYPE_POINTER && !array)
            return compiler_fail(c, node, "\"!\" needs a number or a pointer, not %s",
                                 compiler_type_text(c, type));
        compiler_emit(c, I_NOT, compiler_truth_type(c));
        return compiler_truth_type(c);
    default: break;
    }
    if (!type_is_number(plain) || (node->op == TOP_BIT_NOT && plain->kind == TYPE_FLOAT))
        return compiler_fail(c, node, "\"%s\" needs a number, not %s", target_op_texts[node->op],
                             compiler_type_text(c, type));
    const struct type *result = number_promoted(plain);
    compiler_emit(c, I_CONVERT, result);
    if (node->op != TOP_ADD)
        compiler_emit(c, node->op == TOP_SUB ? I_NEGATE : I_BIT_NOT, result);
    return result;
}

static bool is_text_type(struct compiler *c, const struct type *type) {
    const struct shape *shape = compiler_shape_of(c, type);
    const struct type *plain = type_plain(type);
    return (shape && shape->kind == SHAPE_TEXT) ||
           ((plain->kind == TYPE_ARRAY || plain->kind == TYPE_POINTER) &&
            type_is_text(type_plain(plain->target)) && type_plain(plain->target)->size == 1);
}

static bool is_comparison(enum target_op op) {
    return op == TOP_EQ || op == TOP_NE || op == TOP_LT || op == TOP_GT || op == TOP_LE ||
           op == TOP_GE;
}

static bool is_address(const struct type *plain) {
    return plain->kind == TYPE_POINTER || plain->kind == TYPE_ARRAY ||
           plain->kind == TYPE_FUNCTION || plain->kind == TYPE_REFERENCE;
}

static const struct type *binary_addresses(struct compiler *c, const struct target_node *node,
                                           const struct type *left, const struct type *right) {
    const struct type *l = type_plain(left), *r = type_plain(right);
    struct insn *insn;
    bool l_address = is_address(l), r_address = is_address(r);
    if (is_comparison(node->op) && (l_address || type_is_integer(l)) &&
        (r_address || type_is_integer(r))) {
        insn = compiler_emit(c, I_BINARY, compiler_truth_type(c));
        insn->sub = (uint8_t)node->op;
        insn->u = (uint64_t)(uintptr_t)type_basic(BASIC_ULONG);
        return compiler_truth_type(c);
    }
    uint64_t stride =
        l_address && l->target ? type_complete(c->view.module, type_plain(l->target))->size : 1;
    stride = stride ? stride : 1; /* void, as gdb and GNU C count */
    const struct type *pointer =
        l->kind == TYPE_ARRAY ? type_pointer_to(c->view.module, l->target) : left;
    if (node->op == TOP_SUB && l_address && r_address) {
        insn = compiler_emit(c, I_POINTER_DIFFERENCE, type_basic(BASIC_LONG));
        insn->n = stride;
        return type_basic(BASIC_LONG);
    }
    if ((node->op == TOP_ADD || node->op == TOP_SUB) && l_address && type_is_integer(r)) {
        insn = compiler_emit(c, I_POINTER_STEP, pointer);
        insn->sub = (uint8_t)node->op;
        insn->n = stride;
        return pointer;
    }
    return compiler_fail(c, node, "\"%s\" cannot join %s and %s", target_op_texts[node->op],
                         compiler_type_text(c, left), compiler_type_text(c, right));
}

static const struct type *compile_logic(struct compiler *c, const struct target_node *node) {
    const struct type *type = compiler_truth_type(c);
    bool either = node->op == TOP_OR;
    const struct type *left = compiler_operand(c, node->args[0]);
    if (left && !type_is_number(type_plain(left)) && !is_address(type_plain(left)))
        return compiler_fail(c, node, "\"%s\" needs conditions, not %s", target_op_texts[node->op],
                             compiler_type_text(c, left));
    size_t jump = c->expr->count;
    compiler_emit(c, either ? I_JUMP_IF : I_JUMP_UNLESS, NULL);
    const struct type *right = left ? compiler_operand(c, node->args[1]) : NULL;
    if (right && !type_is_number(type_plain(right)) && !is_address(type_plain(right)))
        return compiler_fail(c, node, "\"%s\" needs conditions, not %s", target_op_texts[node->op],
                             compiler_type_text(c, right));
    compiler_emit(c, I_TRUTH, type);
    size_t over = c->expr->count;
    compiler_emit(c, I_JUMP, NULL);
    compiler_emit(c, I_NUMBER, type)->u = either;
    if (c->error)
        return NULL;
    c->expr->code[jump].n = over + 1;
    c->expr->code[over].n = c->expr->count;
    return right ? type : NULL;
}

/* Go's slices and interfaces are nil where one word of them is null. */
static const struct type *compare_nil(struct compiler *c, const struct target_node *node,
                                      const struct shape *shape) {
    const struct type *word = type_basic(c->view.module->elf->is64 ? BASIC_ULONG : BASIC_ULONG32);
    bool interface = shape->kind == SHAPE_INTERFACE;
    compiler_part(c, word, interface ? shape->length : shape->data);
    compiler_emit(c, I_NUMBER, word);
    struct insn *insn = compiler_emit(c, I_BINARY, compiler_truth_type(c));
    insn->sub = (uint8_t)node->op;
    insn->u = (uint64_t)(uintptr_t)word;
    return compiler_truth_type(c);
}

const struct type *compile_binary(struct compiler *c, const struct target_node *node) {
    if (node->op == TOP_AND || node->op == TOP_OR)
        return compile_logic(c, node);
    bool equality = node->op == TOP_EQ || node->op == TOP_NE;
    bool turned = equality && c->tree.nodes[node->args[0]].kind == TN_NIL;
    int first = node->args[turned], second = node->args[!turned];
    const struct type *left = compiler_operand(c, first);
    const struct shape *shape = left && c->view.go ? compiler_shape_of(c, left) : NULL;
    if (shape && equality && c->tree.nodes[second].kind == TN_NIL &&
        (shape->kind == SHAPE_LIST || shape->kind == SHAPE_INTERFACE))
        return compare_nil(c, node, shape);
    const struct type *right = left ? compiler_operand(c, second) : NULL;
    if (!right)
        return NULL;
    bool literal =
        c->tree.nodes[first].kind == TN_STRING || c->tree.nodes[second].kind == TN_STRING;
    bool shaped = compiler_shape_of(c, left) || compiler_shape_of(c, right);
    if (is_comparison(node->op) && (literal || shaped) && is_text_type(c, left) &&
        is_text_type(c, right)) {
        compiler_emit(c, I_COMPARE_TEXT, compiler_truth_type(c))->sub = (uint8_t)node->op;
        return compiler_truth_type(c);
    }
    const struct type *l = type_plain(left), *r = type_plain(right);
    bool numbers = type_is_number(l) && type_is_number(r);
    if (!numbers && (is_address(l) || is_address(r))) {
        /* 1 + p is p + 1 */
        return binary_addresses(c, node, left, right);
    }
    if (!numbers)
        return compiler_fail(c, node, "\"%s\" cannot join %s and %s", target_op_texts[node->op],
                             compiler_type_text(c, left), compiler_type_text(c, right));
    bool shift = node->op == TOP_SHL || node->op == TOP_SHR;
    const struct type *in = shift ? number_promoted(l) : number_common(l, r);
    bool bits = shift || node->op == TOP_MOD || node->op == TOP_BIT_AND || node->op == TOP_BIT_OR ||
                node->op == TOP_BIT_XOR;
    if (bits && (l->kind == TYPE_FLOAT || r->kind == TYPE_FLOAT))
        return compiler_fail(c, node, "\"%s\" needs integers", target_op_texts[node->op]);
    const struct type *result = is_comparison(node->op) ? compiler_truth_type(c) : in;
    struct insn *insn = compiler_emit(c, I_BINARY, result);
    insn->sub = (uint8_t)node->op;
    insn->u = (uint64_t)(uintptr_t)in;
    return result;
}

const struct type *compile_conditional(struct compiler *c, const struct target_node *node) {
    const struct type *test = compiler_operand(c, node->args[0]);
    if (test && !type_is_number(type_plain(test)) && !is_address(type_plain(test)))
        return compiler_fail(c, node, "\"?\" needs a condition, not %s",
                             compiler_type_text(c, test));
    size_t jump = c->expr->count;
    compiler_emit(c, I_JUMP_UNLESS, NULL);
    const struct type *yes = test ? compiler_operand(c, node->args[1]) : NULL;
    size_t over = c->expr->count;
    compiler_emit(c, I_JUMP, NULL);
    size_t otherwise = c->expr->count;
    const struct type *no = yes ? compiler_operand(c, node->args[2]) : NULL;
    if (!no || c->error)
        return NULL;
    const struct type *y = type_plain(yes), *n = type_plain(no);
    if (type_is_number(y) && type_is_number(n)) {
        yes = number_common(y, n);
        compiler_emit(c, I_CONVERT, yes); /* where both arms meet */
    }
    c->expr->code[jump].n = otherwise;
    c->expr->code[over].n = c->expr->count - (type_is_number(y) && type_is_number(n));
    return yes;
}

/* Where in `derived` its base class `base` is; false: it is no base class, or a virtual one. */
static bool base_offset(struct compiler *c, const struct type *derived, const struct type *base,
                        uint64_t *offset, int depth) {
    derived = type_complete(c->view.module, type_plain(derived));
    for (size_t i = 0; depth < MEMBER_PATH && i < derived->member_count; i++) {
        const struct member *member = &derived->members[i];
        uint64_t inner = 0;
        if (!member->base || member->location)
            continue;
        if (type_plain(member->type) == base ||
            base_offset(c, member->type, base, &inner, depth + 1)) {
            *offset = member->offset + inner;
            return true;
        }
    }
    return false;
}

static void cast_class(struct compiler *c, const struct type *from, const struct type *to) {
    if (from->kind != TYPE_POINTER || to->kind != TYPE_POINTER)
        return;
    const struct type *f = type_plain(from->target), *t = type_plain(to->target);
    uint64_t offset = 0;
    if (!type_is_composite(f) || !type_is_composite(t) || f == t)
        return;
    bool up = base_offset(c, f, t, &offset, 0);
    if ((up || base_offset(c, t, f, &offset, 0)) && offset) {
        struct insn *insn = compiler_emit(c, I_SHIFT, to);
        insn->sub = up ? TOP_ADD : TOP_SUB;
        insn->n = offset;
    }
}

const struct type *compile_cast(struct compiler *c, const struct target_node *node) {
    const struct target_node *operand = &c->tree.nodes[node->args[0]];
    const struct type *to = type_plain(node->type);
    /* (int)name of what has no debug info: gdb's way to say its type. */
    if (operand->kind == TN_NAME) {
        struct meaning meaning = scope_lookup(&c->view, operand->text);
        if (meaning.kind == MEANS_STATIC && !meaning.type) {
            meaning.type = node->type;
            return compiler_use(c, operand, &meaning, operand->text);
        }
    }
    const struct type *from = compiler_operand(c, node->args[0]);
    if (!from)
        return NULL;
    const struct type *plain = type_plain(from);
    const struct shape *shape = compiler_shape_of(c, from);
    if (shape && shape->kind == SHAPE_INTERFACE) {
        compiler_emit(c, I_ASSERT, node->type)->shape = shape;
        return node->type;
    }
    if (plain == to) {
        compiler_emit(c, I_CONVERT, node->type);
        return node->type;
    }
    bool scalar_to = type_is_number(to) || to->kind == TYPE_POINTER;
    bool scalar_from = type_is_number(plain) || is_address(plain);
    if (!scalar_to || !scalar_from)
        return compiler_fail(c, node, "%s cannot be cast to %s", compiler_type_text(c, from),
                             compiler_type_text(c, node->type));
    cast_class(c, plain, to);
    compiler_emit(c, I_CONVERT, node->type);
    return node->type;
}
