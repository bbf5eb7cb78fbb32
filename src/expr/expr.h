/* pickglass's own expression language: `keep`, `expect`, `by` and the {...} of `log`. (Expressions
 * of the target's language, `when` and `capture`, are the back end's.)
 *
 *   or   = and { "||" and }          cmp  = sum [ ("=="|"!="|"<"|"<="|">"|">=") sum ]
 *   and  = cmp { "&&" cmp }          sum  = term { ("+"|"-") term }
 *   term = unary { ("*"|"/"|"%") unary }
 *   unary = ("!"|"-") unary | post   post = atom { "." name | "[" or "]" }
 *   atom = number[unit] | "string" | `string` | true | false | nil | name | name "(" args ")" | "("
 * or ")"
 *
 * An expression is parsed and checked once, is immutable afterwards and pure: it reads names
 * through a callback and has no other effect. Strings of a result point into the environment, the
 * expression or the scratch buffer and live as long as the shortest-lived of them. */
#pragma once

#include "base/error.h"
#include "base/text.h"
#include "value/value.h"

#define EXPR_TEXT_MAX 4096 /* bytes */
#define EXPR_DEPTH_MAX 48  /* nested operators and parentheses */

struct expr;

enum expr_kind { EXPR_NIL, EXPR_BOOL, EXPR_INT, EXPR_FLOAT, EXPR_STRING, EXPR_TREE, EXPR_FAILED };

struct expr_value {
    enum expr_kind kind;
    enum unit_kind unit; /* UNIT_TIME: a number of nanoseconds */
    union {
        bool b;
        int64_t i;
        double f;
    };
    const char
        *text; /* of a string (not always NUL-terminated), or why it failed (NUL-terminated) */
    size_t len;
    value_ref tree; /* EXPR_TREE: a list, object, ... in the environment's buffer */
};

/* Which names and functions an expression may use. */
struct expr_scope {
    /* Is `name` (a plain name, or "hit.x") known? */
    bool (*known)(void *ctx, const char *name);
    /* The i-th name for suggestions, NULL after the last. */
    const char *(*name)(void *ctx, size_t i);
    /* Names that have no members (a probe, where PROBE.CAPTURE is a name of its own); may be NULL.
     */
    bool (*opaque)(void *ctx, const char *name);
    void *ctx;
    bool aggregates; /* p99(), none(), never(), ...: only where runs are judged */
};

/* On failure `*at` is the byte offset in `text` that the error is about. */
struct error *expr_parse(const char *text, const struct expr_scope *scope, struct expr **out,
                         size_t *at);
void expr_free(struct expr *expr);

/* The text with all parentheses that its precedence implies, for `check`. Appends. */
void expr_print(const struct expr *expr, struct buffer *out);

struct expr_env {
    const struct buffer *in; /* where trees live */
    /* The value of a name that the scope knew. */
    struct expr_value (*lookup)(void *ctx, const char *name);
    void *ctx;
    struct buffer *scratch; /* for strings that are made; its max bounds the work */
};

/* EXPR_FAILED, with the reason in `text`, where there is no true answer: a value that could not be
 * read, a type that does not fit, a division by zero. */
struct expr_value expr_eval(const struct expr *expr, const struct expr_env *env);

struct expr_value expr_failed(const char *why);
struct expr_value expr_from_value(const struct buffer *in, value_ref ref);

/* As people read it: strings bare, durations with units, trees as JSON. Appends. */
void expr_show(const struct expr_value *value, const struct buffer *in, struct buffer *out);

/* A text with {expr} in it; `{{` and `}}` stand for braces. */
struct expr_template;
struct error *expr_template_parse(const char *text, const struct expr_scope *scope,
                                  struct expr_template **out, size_t *at);
void expr_template_free(struct expr_template *template);
void expr_template_render(const struct expr_template *template, const struct expr_env *env,
                          struct buffer *out);
