#include "expr/parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct expr_value eval(const struct expr *expr, int index, const struct expr_env *env);

struct expr_value expr_failed(const char *why) {
    return (struct expr_value){.kind = EXPR_FAILED, .text = why, .len = strlen(why)};
}

static struct expr_value from_bool(bool b) {
    return (struct expr_value){.kind = EXPR_BOOL, .b = b};
}

static struct expr_value from_text(const char *text, size_t len) {
    return (struct expr_value){.kind = EXPR_STRING, .text = text, .len = len};
}

struct expr_value expr_from_value(const struct buffer *in, value_ref ref) {
    const struct value *v = value_get(in, ref);
    if (!v)
        return expr_failed("no value");
    switch ((enum value_kind)v->kind) {
    case VALUE_NULL: return (struct expr_value){.kind = EXPR_NIL};
    case VALUE_BOOL: return from_bool(v->b);
    case VALUE_INT: return (struct expr_value){.kind = EXPR_INT, .i = v->i};
    case VALUE_UINT:
        if (v->u <= INT64_MAX)
            return (struct expr_value){.kind = EXPR_INT, .i = (int64_t)v->u};
        return (struct expr_value){.kind = EXPR_FLOAT, .f = (double)v->u};
    case VALUE_FLOAT: return (struct expr_value){.kind = EXPR_FLOAT, .f = v->f};
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_FUNC: return from_text(value_text(in, v), v->len);
    case VALUE_ERROR: return expr_failed(value_text(in, v));
    case VALUE_REDACTED: return expr_failed("the value is redacted");
    default: return (struct expr_value){.kind = EXPR_TREE, .tree = ref};
    }
}

static bool is_number(const struct expr_value *v) {
    return v->kind == EXPR_INT || v->kind == EXPR_FLOAT;
}

static double as_double(const struct expr_value *v) {
    return v->kind == EXPR_INT ? (double)v->i : v->f;
}

static int order_text(const struct expr_value *a, const struct expr_value *b) {
    size_t n = a->len < b->len ? a->len : b->len;
    int order = n ? memcmp(a->text, b->text, n) : 0;
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* Sets *order to <0, 0, >0, or to 2 for 'unordered' (NaN). False if the two do not compare. */
static bool compare(const struct expr_value *a, const struct expr_value *b, int *order) {
    if (a->kind == EXPR_INT && b->kind == EXPR_INT) {
        *order = (a->i > b->i) - (a->i < b->i);
    } else if (is_number(a) && is_number(b)) {
        double x = as_double(a), y = as_double(b);
        *order = isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
    } else if (a->kind == EXPR_STRING && b->kind == EXPR_STRING) {
        *order = order_text(a, b);
        *order = (*order > 0) - (*order < 0);
    } else if (a->kind == EXPR_BOOL && b->kind == EXPR_BOOL) {
        *order = a->b - b->b;
    } else if (a->kind == EXPR_NIL || b->kind == EXPR_NIL) {
        *order = a->kind == b->kind ? 0 : 2;
    } else {
        return false;
    }
    return true;
}

static struct expr_value compared(enum op op, const struct expr_value *a,
                                  const struct expr_value *b) {
    int order;
    if (!compare(a, b, &order))
        return expr_failed("values of these types do not compare");
    switch (op) {
    case OP_EQ: return from_bool(order == 0);
    case OP_NE: return from_bool(order != 0);
    case OP_LT: return from_bool(order == -1);
    case OP_LE: return from_bool(order == -1 || order == 0);
    case OP_GT: return from_bool(order == 1);
    default: return from_bool(order == 1 || order == 0);
    }
}

static bool whole(enum op op, int64_t a, int64_t b, int64_t *out) {
    switch (op) {
    case OP_ADD: return !__builtin_add_overflow(a, b, out);
    case OP_SUB: return !__builtin_sub_overflow(a, b, out);
    case OP_MUL: return !__builtin_mul_overflow(a, b, out);
    case OP_MOD: *out = b == -1 ? 0 : a % b; return true;
    default: *out = b == -1 ? 0 : a / b; return b != -1 && a % b == 0; /* 7 / 2 is 3.5 */
    }
}

static struct expr_value calculated(enum op op, const struct expr_value *a,
                                    const struct expr_value *b) {
    struct expr_value out = {.kind = EXPR_INT};
    if (!is_number(a) || !is_number(b))
        return expr_failed("arithmetic needs numbers");
    if ((op == OP_DIV || op == OP_MOD) && as_double(b) == 0)
        return expr_failed("division by zero");
    bool keeps_unit = op == OP_ADD || op == OP_SUB || op == OP_MOD || (op == OP_DIV && !b->unit);
    bool time = a->unit == UNIT_TIME || b->unit == UNIT_TIME;
    out.unit = time && (keeps_unit || op == OP_MUL) ? UNIT_TIME : UNIT_NONE;
    if (a->kind == EXPR_INT && b->kind == EXPR_INT && whole(op, a->i, b->i, &out.i))
        return out;
    double x = as_double(a), y = as_double(b);
    out.kind = EXPR_FLOAT;
    out.f = op == OP_ADD   ? x + y
            : op == OP_SUB ? x - y
            : op == OP_MUL ? x * y
            : op == OP_DIV ? x / y
                           : fmod(x, y);
    return out;
}

static struct expr_value joined(const struct expr_value *a, const struct expr_value *b,
                                const struct expr_env *env) {
    size_t at = env->scratch->len;
    buffer_add(env->scratch, a->text, a->len);
    buffer_add(env->scratch, b->text, b->len);
    if (env->scratch->failed)
        return expr_failed("the text becomes too long");
    return from_text(env->scratch->data + at, a->len + b->len);
}

/* Failure passes through; `false && failed` and `true || failed` are decided without it. */
static struct expr_value eval_logic(const struct expr *expr, const struct node *node,
                                    const struct expr_env *env) {
    bool decides = node->op == OP_OR;
    struct expr_value a = eval(expr, node->args[0], env);
    if (a.kind == EXPR_BOOL && a.b == decides)
        return a;
    struct expr_value b = eval(expr, node->args[1], env);
    if (b.kind == EXPR_BOOL && b.b == decides)
        return b;
    if (a.kind == EXPR_FAILED || b.kind == EXPR_FAILED)
        return a.kind == EXPR_FAILED ? a : b;
    return a.kind == EXPR_BOOL && b.kind == EXPR_BOOL ? b
                                                      : expr_failed("&& and || need true or false");
}

static struct expr_value eval_binary(const struct expr *expr, const struct node *node,
                                     const struct expr_env *env) {
    if (node->op == OP_AND || node->op == OP_OR)
        return eval_logic(expr, node, env);
    struct expr_value a = eval(expr, node->args[0], env), b = eval(expr, node->args[1], env);
    if (a.kind == EXPR_FAILED || b.kind == EXPR_FAILED)
        return a.kind == EXPR_FAILED ? a : b;
    if (node->op == OP_ADD && a.kind == EXPR_STRING && b.kind == EXPR_STRING)
        return joined(&a, &b, env);
    return node->op <= OP_GT ? compared(node->op, &a, &b) : calculated(node->op, &a, &b);
}

static struct expr_value eval_unary(const struct expr *expr, const struct node *node,
                                    const struct expr_env *env) {
    struct expr_value a = eval(expr, node->args[0], env);
    if (a.kind == EXPR_FAILED)
        return a;
    if (node->op == OP_NOT)
        return a.kind == EXPR_BOOL ? from_bool(!a.b) : expr_failed("! needs true or false");
    struct expr_value zero = {.kind = EXPR_INT};
    return calculated(OP_SUB, &zero, &a);
}

static struct expr_value eval_member(const struct expr *expr, const struct node *node,
                                     const struct expr_env *env) {
    struct expr_value a = eval(expr, node->args[0], env);
    if (a.kind == EXPR_FAILED)
        return a;
    value_ref child = a.kind == EXPR_TREE ? value_find(env->in, a.tree, node->text) : 0;
    return child ? expr_from_value(env->in, child) : expr_failed("no such field");
}

static struct expr_value nth(const struct buffer *in, value_ref list, int64_t n) {
    const struct value *v = value_get(in, list);
    if (v->kind != VALUE_LIST || n < 0 || (uint64_t)n >= v->len)
        return expr_failed(v->flags & VALUE_TRUNCATED ? "the element was not loaded"
                                                      : "index out of range");
    value_ref at = v->at;
    while (n--)
        at = value_get(in, at)->next;
    return expr_from_value(in, at);
}

static struct expr_value eval_index(const struct expr *expr, const struct node *node,
                                    const struct expr_env *env) {
    struct expr_value a = eval(expr, node->args[0], env), b = eval(expr, node->args[1], env);
    if (a.kind == EXPR_FAILED || b.kind == EXPR_FAILED)
        return a.kind == EXPR_FAILED ? a : b;
    if (a.kind != EXPR_TREE)
        return expr_failed("only lists and maps have elements");
    if (b.kind == EXPR_INT)
        return nth(env->in, a.tree, b.i);
    char key[256];
    if (b.kind != EXPR_STRING || b.len >= sizeof key)
        return expr_failed("an index is a number or a string");
    memcpy(key, b.text, b.len);
    key[b.len] = '\0';
    value_ref child = value_find(env->in, a.tree, key);
    return child ? expr_from_value(env->in, child) : expr_failed("no such key");
}

static struct expr_value eval_call(const struct expr *expr, const struct node *node,
                                   const struct expr_env *env) {
    struct expr_value args[3];
    int n = 0;
    for (; n < 3 && node->args[n] >= 0; n++) {
        args[n] = eval(expr, node->args[n], env);
        if (args[n].kind == EXPR_FAILED)
            return args[n];
    }
    if (!node->function->call)
        return expr_failed("only `expect` can evaluate this function");
    return node->function->call(expr, node, env, args, n);
}

static struct expr_value eval(const struct expr *expr, int index, const struct expr_env *env) {
    const struct node *node = &expr->nodes[index];
    switch (node->kind) {
    case N_CONST: return node->constant;
    case N_NAME: return env->lookup(env->ctx, node->text);
    case N_UNARY: return eval_unary(expr, node, env);
    case N_BINARY: return eval_binary(expr, node, env);
    case N_MEMBER: return eval_member(expr, node, env);
    case N_INDEX: return eval_index(expr, node, env);
    case N_CALL: return eval_call(expr, node, env);
    }
    return expr_failed("bad expression");
}

struct expr_value expr_eval(const struct expr *expr, const struct expr_env *env) {
    /* All the room at once: results point into the scratch buffer, so it must not move. */
    if (env->scratch->cap <= env->scratch->max &&
        !buffer_reserve(env->scratch, env->scratch->max - env->scratch->len))
        return expr_failed("out of memory");
    return eval(expr, expr->root, env);
}

void expr_show(const struct expr_value *value, const struct buffer *in, struct buffer *out) {
    char text[32];
    double number = is_number(value) ? as_double(value) : -1;
    if (value->unit == UNIT_TIME && number >= 0 && number < 0x1p64) {
        buffer_puts(out, text_duration(text, (uint64_t)number));
        return;
    }
    switch (value->kind) {
    case EXPR_NIL: buffer_puts(out, "nil"); break;
    case EXPR_BOOL: buffer_puts(out, value->b ? "true" : "false"); break;
    case EXPR_INT: buffer_printf(out, "%" PRId64, value->i); break;
    case EXPR_FLOAT: text_double(out, value->f); break;
    case EXPR_STRING: buffer_add(out, value->text, value->len); break;
    case EXPR_TREE: value_json(in, value->tree, out); break;
    case EXPR_FAILED: buffer_printf(out, "<%s>", value->text); break;
    }
    if (number >= 0x1p64 && value->unit == UNIT_TIME) /* 584 years */
        buffer_puts(out, "ns");
}
