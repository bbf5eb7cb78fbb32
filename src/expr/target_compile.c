/* From the tree of an expression to its program: names resolved, types checked. */
#include "expr/target_generic.h"

#include "base/text.h"
#include <stdlib.h>
#include <string.h>

const struct type *compiler_fail(struct compiler *c, const struct target_node *node,
                                 const char *format, ...) {
    if (!c->error) {
        va_list args;
        va_start(args, format);
        c->error = error_newv(ERROR_RECIPE, format, args);
        va_end(args);
        c->error_at = node->at;
    }
    return NULL;
}

struct insn *compiler_emit(struct compiler *c, enum insn_op op, const struct type *type) {
    static struct insn lost;
    struct insn *insn = ARRAY_ADD(c->expr->code, c->expr->count, c->expr->cap);
    if (!insn) {
        if (!c->error)
            c->error = error_no_memory();
        return &lost;
    }
    insn->op = (uint8_t)op;
    insn->type = type;
    return insn;
}

const char *compiler_type_text(struct compiler *c, const struct type *type) {
    struct buffer out = BUFFER_INIT(1024);
    type_print(type, &out);
    const char *text = out.data ? arena_strdup(&c->expr->arena, out.data) : NULL;
    buffer_free(&out);
    return text ? text : "?";
}

const struct type *compiler_truth_type(const struct compiler *c) {
    return type_basic(c->view.cxx || c->view.go ? BASIC_BOOL : BASIC_INT);
}

const struct shape *compiler_shape_of(struct compiler *c, const struct type *type) {
    struct shape shape = {0};
    shape_fn *fn = c->view.site->shape;
    const struct type *plain = type_plain(type);
    bool may = type_is_composite(plain) || (plain->kind == TYPE_POINTER && plain->unit_go);
    if (!fn || !may || !fn(c->view.module, type, &shape))
        return NULL;
    return arena_copy(&c->expr->arena, &shape, sizeof shape);
}

const struct type *compiler_part(struct compiler *c, const struct type *type, uint64_t offset) {
    struct member part = {.type = type, .offset = offset};
    const struct member *copy = arena_copy(&c->expr->arena, &part, sizeof part);
    if (!copy && !c->error)
        c->error = error_no_memory();
    compiler_emit(c, I_MEMBER, type)->member = copy;
    return copy ? type : NULL;
}

const struct type *compiler_inside(struct compiler *c, const struct type *type) {
    const struct shape *shape = type ? compiler_shape_of(c, type) : NULL;
    if (!shape || shape->kind != SHAPE_PART)
        return type;
    return compiler_part(c, shape->element, shape->data);
}

const struct type *compiler_operand(struct compiler *c, int node) {
    const struct type *type = compiler_compile(c, node);
    const struct shape *shape = type ? compiler_shape_of(c, type) : NULL;
    const struct type *inside =
        shape && shape->kind == SHAPE_PART ? type_plain(shape->element) : NULL;
    bool scalar = inside && (type_is_number(inside) || inside->kind == TYPE_POINTER);
    return scalar ? compiler_inside(c, type) : type;
}

/* A reference is what it refers to. */
const struct type *compiler_settle(struct compiler *c, const struct type *type) {
    const struct type *plain = type_plain(type);
    if (plain->kind != TYPE_REFERENCE)
        return type;
    compiler_emit(c, I_FOLLOW, plain->target);
    c->reference = type;
    c->reference_at = c->expr->count;
    return plain->target;
}

/* ---- leaves ---- */

static const struct type *compile_number(struct compiler *c, const struct target_node *node) {
    const struct type *type = type_basic(node->basic);
    struct insn *insn = compiler_emit(c, I_NUMBER, type);
    if (node->kind == TN_FLOAT)
        insn->f = node->f;
    else
        insn->u = node->i;
    return type;
}

static const struct type *compile_string(struct compiler *c, const struct target_node *node) {
    const struct type *type = type_array_of(c->view.module, type_basic(BASIC_CHAR), node->len + 1);
    struct insn *insn = compiler_emit(c, I_TEXT, type);
    insn->text = node->text;
    insn->n = node->len;
    return type;
}

static const struct type *register_type(const struct arch *arch, const struct arch_register *reg) {
    if (reg->slot == arch->pc || reg->slot == arch->sp)
        return type_basic(BASIC_POINTER);
    if (reg->class == REGISTER_FLOAT && reg->size == 8)
        return type_basic(BASIC_DOUBLE);
    if (reg->class == REGISTER_FLOAT && reg->size == 4)
        return type_basic(BASIC_FLOAT);
    if (reg->class == REGISTER_FLOAT)
        return type_basic(reg->size == 10 ? BASIC_LONG_DOUBLE : BASIC_UINT128);
    return type_basic(reg->size == 8   ? BASIC_LONG
                      : reg->size == 2 ? BASIC_SHORT
                      : reg->size == 1 ? BASIC_SCHAR
                                       : BASIC_INT);
}

static const char *register_name(void *ctx, size_t i) {
    return arch_register_name(ctx, i);
}

static const struct type *compile_register(struct compiler *c, const struct target_node *node) {
    const struct arch *arch = c->view.site->space->arch;
    struct arch_register reg;
    if (!arch)
        return compiler_fail(c, node, "registers of this architecture are not known here");
    if (!arch_register_named(arch, node->text, &reg)) {
        const char *near = text_nearest(node->text, register_name, (void *)arch);
        return compiler_fail(c, node, "%s has no register \"%s\"%s%s%s", arch->name, node->text,
                             near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    }
    const struct type *type = register_type(arch, &reg);
    compiler_emit(c, I_REGISTER, type)->u = reg.slot;
    return type;
}

static const struct type *compile_syscall_argument(struct compiler *c,
                                                   const struct target_node *node,
                                                   const struct arch *arch) {
    if (c->view.site->returning)
        return compiler_fail(c, node, "arg%llu is known where the system call is entered only",
                             (unsigned long long)node->i);
    if (node->i >= ARCH_SYSCALL_ARGUMENTS)
        return compiler_fail(c, node, "a system call has arg0 to arg%d, and no arg%llu",
                             ARCH_SYSCALL_ARGUMENTS - 1, (unsigned long long)node->i);
    const struct type *type = type_basic(arch->word == 8 ? BASIC_LONG : BASIC_INT);
    compiler_emit(c, I_REGISTER, type)->u = arch->syscall_arguments[node->i];
    return type;
}

static const struct type *compile_argument(struct compiler *c, const struct target_node *node) {
    const struct arch *arch = c->view.site->space->arch;
    if (!arch)
        return compiler_fail(c, node, "registers of this architecture are not known here");
    if (c->view.site->syscall)
        return compile_syscall_argument(c, node, arch);
    if (!c->view.site->entry)
        return compiler_fail(c, node,
                             "arg%llu is known at a function's first instruction only: use the "
                             "argument's name here",
                             (unsigned long long)node->i);
    if (node->i >= arch->argument_count)
        return compiler_fail(c, node, "arg%llu is not in a register: %s passes %u there",
                             (unsigned long long)node->i, arch->name, arch->argument_count);
    const struct type *type = type_basic(arch->word == 8 ? BASIC_LONG : BASIC_INT);
    compiler_emit(c, I_REGISTER, type)->u = arch->arguments[node->i];
    return type;
}

static const struct type *compile_measure(struct compiler *c, const struct target_node *node) {
    const struct type *type = compiler_inside(c, compiler_compile(c, node->args[0]));
    const struct type *result = type_basic(c->view.go ? BASIC_LONG : BASIC_ULONG);
    if (!type)
        return NULL;
    const struct type *plain = type_plain(type);
    const struct shape *shape = compiler_shape_of(c, type);
    if (plain->kind == TYPE_ARRAY && plain->has_count) {
        compiler_emit(c, I_POP, NULL);
        compiler_emit(c, I_NUMBER, result)->u = plain->count;
        return result;
    }
    if (shape && shape->kind == SHAPE_SEQUENCE && node->kind == TN_LEN) {
        compiler_emit(c, I_POP, NULL);
        struct insn *insn = compiler_emit(c, I_NUMBER, result);
        sequence_element(c->view.site->shape, c->view.module, shape, UINT64_MAX, &insn->u);
        return result;
    }
    bool nodes = shape && (shape_has_entries(shape) || shape->kind == SHAPE_BITS ||
                           shape->kind == SHAPE_FIXED_BITS);
    if (!shape || (!shape_has_order(shape) && !nodes && shape->kind != SHAPE_CHANNEL) ||
        (nodes && node->kind == TN_CAP))
        return compiler_fail(c, node, "%s has no %s", compiler_type_text(c, type),
                             nodes ? "capacity" : "length");
    compiler_emit(c, node->kind == TN_CAP ? I_CAPACITY : I_LENGTH, result)->shape = shape;
    return result;
}

static const struct type *compile_sizeof(struct compiler *c, const struct target_node *node) {
    const struct type *type = node->type, *result = type_basic(BASIC_ULONG);
    if (node->kind == TN_SIZEOF) { /* its operand is not evaluated, unless its size is */
        size_t before = c->expr->count;
        type = compiler_compile(c, node->args[0]);
        const struct type *array = type ? type_plain(type) : NULL;
        if (array && array->kind == TYPE_ARRAY && !array->size) {
            compiler_emit(c, I_SIZE, result);
            return result;
        }
        c->expr->count = before;
    }
    if (!type)
        return NULL;
    const struct type *plain = type_complete(c->view.module, type_plain(type));
    if (!plain->size && plain->kind != TYPE_ARRAY && !type_is_composite(plain))
        return compiler_fail(c, node, "the size of %s is not known", compiler_type_text(c, type));
    compiler_emit(c, I_NUMBER, result)->u = plain->size;
    return result;
}

static const struct type *compile_simple(struct compiler *c, const struct target_node *node) {
    const struct type *type = type_basic(node->kind == TN_CHAR   ? BASIC_CHAR
                                         : node->kind == TN_BOOL ? BASIC_BOOL
                                                                 : BASIC_POINTER);
    compiler_emit(c, I_NUMBER, type)->u = node->i;
    return type;
}

const struct type *compiler_compile(struct compiler *c, int at) {
    static const struct type *(*const compilers[])(struct compiler *,
                                                   const struct target_node *) = {
        [TN_INT] = compile_number,
        [TN_FLOAT] = compile_number,
        [TN_CHAR] = compile_simple,
        [TN_STRING] = compile_string,
        [TN_BOOL] = compile_simple,
        [TN_NIL] = compile_simple,
        [TN_NAME] = compile_name,
        [TN_REGISTER] = compile_register,
        [TN_ARGUMENT] = compile_argument,
        [TN_RETURN] = compile_return,
        [TN_UNARY] = compile_unary,
        [TN_BINARY] = compile_binary,
        [TN_MEMBER] = compile_member,
        [TN_INDEX] = compile_index,
        [TN_SLICE] = compile_slice,
        [TN_CAST] = compile_cast,
        [TN_SIZEOF] = compile_sizeof,
        [TN_SIZEOF_TYPE] = compile_sizeof,
        [TN_LEN] = compile_measure,
        [TN_CAP] = compile_measure,
        [TN_CONDITIONAL] = compile_conditional,
    };
    return c->error || at < 0 ? NULL : compilers[c->tree.nodes[at].kind](c, &c->tree.nodes[at]);
}

struct error *target_expr_compile_for(const char *text, const struct target_site *site,
                                      const uint64_t *words, size_t word_count,
                                      struct target_expr **out, size_t *at) {
    struct compiler c = {.text = text,
                         .expr = calloc(1, sizeof(struct target_expr)),
                         .words = words,
                         .word_count = word_count};
    *at = 0;
    if (!c.expr)
        return error_no_memory();
    c.expr->arena = ARENA_INIT((size_t)4 << 20);
    scope_view_init(&c.view, site, &c.expr->arena);
    c.error = c.view.module ? target_parse(text, &c.expr->arena, scope_type, scope_known, &c.view,
                                           c.view.module, &c.tree, &c.error_at)
                            : error_new(ERROR_RECIPE, "no program is known");
    if (!c.error)
        c.expr->type = compiler_compile(&c, c.tree.root);
    if (c.reference &&
        c.reference_at == c.expr->count) /* nothing was done with what it refers to */
        c.expr->type = c.reference;
    free(c.tree.nodes);
    if (c.error && !generic_put_off(&c)) {
        *at = c.error_at;
        target_expr_free(c.expr);
        return c.error;
    }
    *out = c.expr;
    return NULL;
}

struct error *target_expr_compile(const char *text, const struct target_site *site,
                                  struct target_expr **out, size_t *at) {
    return target_expr_compile_for(text, site, NULL, 0, out, at);
}

void target_expr_free(struct target_expr *expr) {
    if (!expr)
        return;
    generic_free(expr->generic);
    arena_free(&expr->arena);
    free(expr->code);
    free(expr);
}

const struct type *target_expr_type(const struct target_expr *expr) {
    return expr->type;
}

const char *target_expr_unavailable(const struct target_expr *expr) {
    return expr->unavailable;
}
