/* The functions of the language, one row each; and how an expression is printed. */
#include "expr/parts.h"

#include <inttypes.h>

static struct expr_value call_len(const struct expr *expr, const struct node *node,
                                  const struct expr_env *env, const struct expr_value *args,
                                  int n) {
    (void)expr, (void)node, (void)n;
    if (args[0].kind == EXPR_STRING)
        return (struct expr_value){.kind = EXPR_INT, .i = (int64_t)args[0].len};
    if (args[0].kind == EXPR_NIL)
        return (struct expr_value){.kind = EXPR_INT, .i = 0};
    if (args[0].kind != EXPR_TREE)
        return expr_failed("len() needs a string, list, struct or map");
    const struct value *v = value_get(env->in, args[0].tree);
    uint64_t len = v->flags & VALUE_TRUNCATED ? v->of
                   : v->kind == VALUE_PAIRS   ? v->len / 2
                                              : v->len;
    return (struct expr_value){.kind = EXPR_INT, .i = (int64_t)len};
}

/* A NUL-terminated copy in the scratch buffer, for regexec; its offset, or -1. */
static int64_t terminated(const struct expr_env *env, const struct expr_value *text) {
    size_t at = env->scratch->len;
    buffer_add(env->scratch, text->text, text->len);
    buffer_putc(env->scratch, '\0');
    return env->scratch->failed ? -1 : (int64_t)at;
}

static struct expr_value call_matches(const struct expr *expr, const struct node *node,
                                      const struct expr_env *env, const struct expr_value *args,
                                      int n) {
    (void)expr, (void)n;
    if (args[0].kind != EXPR_STRING)
        return expr_failed("matches() needs a string");
    int64_t at = terminated(env, &args[0]);
    if (at < 0)
        return expr_failed("the text is too long");
    return (struct expr_value){.kind = EXPR_BOOL,
                               .b = !regexec(node->regex, env->scratch->data + at, 0, NULL, 0)};
}

static struct expr_value call_replace(const struct expr *expr, const struct node *node,
                                      const struct expr_env *env, const struct expr_value *args,
                                      int n) {
    (void)expr, (void)n;
    if (args[0].kind != EXPR_STRING || args[2].kind != EXPR_STRING)
        return expr_failed("replace() needs strings");
    int64_t subject = terminated(env, &args[0]);
    if (subject < 0)
        return expr_failed("the text is too long");
    struct buffer *out = env->scratch;
    size_t start = out->len, from = (size_t)subject, end = from + args[0].len;
    regmatch_t hit;
    int flags = 0;
    while (from <= end && !out->failed && !regexec(node->regex, out->data + from, 1, &hit, flags)) {
        size_t length = (size_t)(hit.rm_eo - hit.rm_so);
        buffer_add(out, out->data + from, (size_t)hit.rm_so);
        buffer_add(out, args[2].text, args[2].len);
        from += (size_t)hit.rm_eo;
        if (!length && from < end) /* what matches nothing passes over one character */
            buffer_add(out, out->data + from, 1);
        from += !length;
        flags = REG_NOTBOL;
    }
    if (from < end && buffer_reserve(out, end - from))
        buffer_add(out, out->data + from, end - from);
    if (out->failed)
        return expr_failed("the text becomes too long");
    return (struct expr_value){
        .kind = EXPR_STRING, .text = out->data + start, .len = out->len - start};
}

/* Those without a `call` are judged over a whole run, by `expect`. */
static const struct function functions[] = {
    {"len", 1, 1, -1, false, call_len},
    {"matches", 2, 2, 1, false, call_matches},
    {"replace", 3, 3, 1, false, call_replace},
    {"never", 1, 1, -1, true, NULL},
    {"none", 1, 1, -1, true, NULL},
    {"all", 1, 1, -1, true, NULL},
    {"any", 1, 1, -1, true, NULL},
    {"count", 1, 1, -1, true, NULL},
    {"total", 1, 1, -1, true, NULL},
    {"min", 1, 1, -1, true, NULL},
    {"max", 1, 1, -1, true, NULL},
    {"avg", 1, 1, -1, true, NULL},
    {"sum", 1, 1, -1, true, NULL},
    {"p50", 1, 1, -1, true, NULL},
    {"p90", 1, 1, -1, true, NULL},
    {"p95", 1, 1, -1, true, NULL},
    {"p99", 1, 1, -1, true, NULL},
};

const struct function *function_find(const char *name) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i].name, name))
            return &functions[i];
    return NULL;
}

const char *function_name(void *ctx, size_t i) {
    const struct expr_scope *scope = ctx;
    size_t n = sizeof functions / sizeof *functions;
    while (!scope->aggregates && n && functions[n - 1].aggregate)
        n--; /* they stand last */
    return i < n ? functions[i].name : NULL;
}

static void print_constant(const struct expr_value *v, struct buffer *out) {
    if (v->kind == EXPR_STRING)
        value_json_string(out, v->text, v->len);
    else if (v->unit == UNIT_TIME)
        text_duration_exact(out, v->kind == EXPR_INT ? (double)v->i : v->f);
    else
        expr_show(v, NULL, out);
}

static void print(const struct expr *expr, int index, struct buffer *out);

/* What a member or element is taken of: `(-a).x` is not `-a.x`. */
static void print_base(const struct expr *expr, int index, struct buffer *out) {
    bool wrapped = expr->nodes[index].kind == N_UNARY;
    buffer_puts(out, wrapped ? "(" : "");
    print(expr, index, out);
    buffer_puts(out, wrapped ? ")" : "");
}

static void print(const struct expr *expr, int index, struct buffer *out) {
    const struct node *node = &expr->nodes[index];
    switch (node->kind) {
    case N_CONST: print_constant(&node->constant, out); return;
    case N_NAME: buffer_puts(out, node->text); return;
    case N_UNARY:
        buffer_puts(out, op_texts[node->op]);
        print(expr, node->args[0], out);
        return;
    case N_MEMBER:
        print_base(expr, node->args[0], out);
        buffer_printf(out, ".%s", node->text);
        return;
    case N_INDEX:
        print_base(expr, node->args[0], out);
        buffer_putc(out, '[');
        print(expr, node->args[1], out);
        buffer_putc(out, ']');
        return;
    case N_BINARY:
        buffer_putc(out, '(');
        print(expr, node->args[0], out);
        buffer_printf(out, " %s ", op_texts[node->op]);
        print(expr, node->args[1], out);
        buffer_putc(out, ')');
        return;
    case N_CALL:
        buffer_printf(out, "%s(", node->function->name);
        for (int i = 0; i < 3 && node->args[i] >= 0; i++) {
            buffer_puts(out, i ? ", " : "");
            print(expr, node->args[i], out);
        }
        buffer_putc(out, ')');
    }
}

void expr_print(const struct expr *expr, struct buffer *out) {
    print(expr, expr->root, out);
}
