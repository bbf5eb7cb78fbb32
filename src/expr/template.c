/* Texts with {expr} in them. */
#include "expr/expr.h"

#include <stdlib.h>

struct part {
    char *text; /* literal text before the expression */
    struct expr *expr;
};

struct expr_template {
    struct part *parts;
    size_t count, cap;
};

/* The end of the expression that starts at `p`: braces inside of strings do not count. */
static const char *closing(const char *p) {
    char quote = 0;
    for (; *p; p++) {
        if (quote) {
            if (*p == '\\' && quote == '"' && p[1])
                p++;
            else if (*p == quote)
                quote = 0;
        } else if (*p == '"' || *p == '`') {
            quote = *p;
        } else if (*p == '}') {
            return p;
        }
    }
    return NULL;
}

static struct error *add_expr(struct part *part, const char *from, const char *end,
                              const struct expr_scope *scope, size_t *at) {
    char *text = strndup(from, (size_t)(end - from));
    if (!text)
        return error_no_memory();
    struct error *error = expr_parse(text, scope, &part->expr, at);
    free(text);
    return error;
}

/* Reads literal text up to a brace into `literal`; the brace, or the end. */
static const char *read_literal(const char *p, struct buffer *literal) {
    for (; *p; p++) {
        if ((*p == '{' || *p == '}') && p[1] == *p)
            p++;
        else if (*p == '{' || *p == '}')
            break;
        buffer_putc(literal, *p);
    }
    return p;
}

static struct error *parse_parts(struct expr_template *template, const char *text,
                                 const struct expr_scope *scope, size_t *at) {
    const char *p = text;
    while (*p) {
        struct buffer literal = BUFFER_INIT(64 << 10);
        p = read_literal(p, &literal);
        struct part *part = ARRAY_ADD(template->parts, template->count, template->cap);
        if (!part || !(part->text = buffer_take(&literal))) {
            buffer_free(&literal);
            return error_no_memory();
        }
        *at = (size_t)(p - text);
        if (*p == '}')
            return error_new(ERROR_RECIPE, "\"}\" without \"{\" (write \"}}\" for a brace)");
        if (!*p)
            break;
        const char *end = closing(p + 1);
        if (!end)
            return error_new(ERROR_RECIPE, "\"{\" is not closed (write \"{{\" for a brace)");
        size_t inner = 0;
        struct error *error = add_expr(part, p + 1, end, scope, &inner);
        *at = (size_t)(p + 1 - text) + inner;
        if (error)
            return error;
        p = end + 1;
    }
    return NULL;
}

struct error *expr_template_parse(const char *text, const struct expr_scope *scope,
                                  struct expr_template **out, size_t *at) {
    struct expr_template *template = calloc(1, sizeof *template);
    *at = 0;
    if (!template)
        return error_no_memory();
    struct error *error = parse_parts(template, text, scope, at);
    if (error)
        expr_template_free(template);
    else
        *out = template;
    return error;
}

void expr_template_free(struct expr_template *template) {
    for (size_t i = 0; template && i < template->count; i++) {
        free(template->parts[i].text);
        expr_free(template->parts[i].expr);
    }
    if (template)
        free(template->parts);
    free(template);
}

void expr_template_render(const struct expr_template *template, const struct expr_env *env,
                          struct buffer *out) {
    for (size_t i = 0; i < template->count; i++) {
        buffer_puts(out, template->parts[i].text);
        if (!template->parts[i].expr)
            continue;
        struct expr_value value = expr_eval(template->parts[i].expr, env);
        expr_show(&value, env->in, out);
    }
}
