/* An expression and a template of our own language: parsed, evaluated, printed, parsed again. */
#include "expr/expr.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool known(void *ctx, const char *name) {
    (void)ctx;
    return strlen(name) == 1 || !strcmp(name, "hit.x") || !strcmp(name, "path");
}

static const char *name_at(void *ctx, size_t i) {
    static const char *const names[] = {"path", "hit.x", "a"};
    (void)ctx;
    return i < 3 ? names[i] : NULL;
}

static struct expr_value lookup(void *ctx, const char *name) {
    switch (*name) {
    case 'a': return (struct expr_value){.kind = EXPR_INT, .i = 7};
    case 'b': return (struct expr_value){.kind = EXPR_FLOAT, .f = -2.5};
    case 'c': return (struct expr_value){.kind = EXPR_BOOL, .b = true};
    case 'd': return (struct expr_value){.kind = EXPR_INT, .i = INT64_MIN, .unit = UNIT_TIME};
    case 'n': return (struct expr_value){.kind = EXPR_NIL};
    case 'p': return (struct expr_value){.kind = EXPR_STRING, .text = "/a/12\0x", .len = 7};
    case 't': return expr_from_value(ctx, 8);
    default: return expr_failed("not read");
    }
}

static const struct expr_scope scope = {.known = known, .name = name_at, .aggregates = true};

static void evaluate(const char *text, struct expr_env *env) {
    struct expr *expr = NULL;
    size_t at = 0;
    struct error *error = expr_parse(text, &scope, &expr, &at);
    if (error && at > strlen(text))
        abort();
    error_free(error);
    if (!expr)
        return;
    struct buffer out = BUFFER_INIT(1 << 20);
    struct expr_value value = expr_eval(expr, env);
    expr_show(&value, env->in, &out);
    buffer_clear(&out);
    expr_print(expr, &out);
    expr_free(expr);
    buffer_free(&out);
    buffer_clear(env->scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer text = BUFFER_INIT(8192), in = BUFFER_INIT(4096), scratch = BUFFER_INIT(16384);
    struct buffer out = BUFFER_INIT(1 << 20);
    struct expr_template *template = NULL;
    size_t at = 0;
    buffer_add(&text, data, size);
    value_ref object = value_new(&in, VALUE_OBJECT), list = value_new(&in, VALUE_LIST);
    value_append(&in, list, value_int(&in, 1));
    value_set(&in, object, "l", list);
    value_set_text(&in, object, "s", "text");
    struct expr_env env = {.in = &in, .lookup = lookup, .ctx = &in, .scratch = &scratch};
    if (!text.failed && text.data) {
        evaluate(text.data, &env);
        struct error *error = expr_template_parse(text.data, &scope, &template, &at);
        if (error && at > text.len)
            abort();
        error_free(error);
        if (template)
            expr_template_render(template, &env, &out);
        expr_template_free(template);
    }
    buffer_free(&text);
    buffer_free(&in);
    buffer_free(&scratch);
    buffer_free(&out);
    return 0;
}
