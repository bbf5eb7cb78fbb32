#include "expr/parts.h"

#include <ctype.h>
#include <stdlib.h>

struct parser {
    const char *text;
    size_t at; /* behind `token` */
    struct token token;
    const char *why;
    const struct expr_scope *scope;
    struct expr *expr;
    struct error *error;
    size_t error_at;
    int depth;
};

static int parse_or(struct parser *p);

static int fail(struct parser *p, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct parser *p, size_t at, const char *format, ...) {
    if (!p->error) {
        va_list args;
        va_start(args, format);
        p->error = error_newv(ERROR_RECIPE, format, args);
        va_end(args);
        p->error_at = at;
    }
    return -1;
}

static void advance(struct parser *p) {
    p->token = lex(p->text, &p->at, &p->why);
    if (p->token.kind == T_BAD)
        fail(p, p->token.at, "%s at \"%.*s\"", p->why, (int)p->token.len, p->text + p->token.at);
}

static bool is_op(const struct parser *p, enum op op) {
    return p->token.kind == T_OP && p->token.op == op;
}

static bool take(struct parser *p, enum op op) {
    if (!is_op(p, op))
        return false;
    advance(p);
    return true;
}

static int add(struct parser *p, struct node node) {
    struct expr *expr = p->expr;
    struct node *place = ARRAY_ADD(expr->nodes, expr->count, expr->cap);
    if (!place) {
        free(node.text);
        return fail(p, p->token.at, "out of memory");
    }
    *place = node;
    return (int)expr->count - 1;
}

static char *token_text(const struct parser *p) {
    return strndup(p->text + p->token.at, p->token.len);
}

/* The text between the quotes; \n \t \r \\ \" and \xNN are undone in "...", nothing is in `...`. */
static char *unquote(const char *quoted, size_t len) {
    char *out = malloc(len);
    if (!out)
        return NULL;
    size_t n = 0;
    for (size_t i = 1; i + 1 < len; i++) {
        char c = quoted[i];
        if (c == '\\' && quoted[0] == '"') {
            c = quoted[++i];
            if (c == 'x' && isxdigit((unsigned char)quoted[i + 1]) &&
                isxdigit((unsigned char)quoted[i + 2])) {
                char digits[3] = {quoted[i + 1], quoted[i + 2], 0};
                out[n++] = (char)strtoul(digits, NULL, 16);
                i += 2;
                continue;
            }
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
            if (c != '\n' && c != '\t' && c != '\r' && c != '\\' && c != '"')
                out[n++] = '\\'; /* "\d" stays what a regular expression means by it */
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return out;
}

static int parse_constant(struct parser *p) {
    static const struct {
        const char *name;
        struct expr_value value;
    } words[] = {{"true", {.kind = EXPR_BOOL, .b = true}},
                 {"false", {.kind = EXPR_BOOL, .b = false}},
                 {"nil", {.kind = EXPR_NIL}},
                 {"null", {.kind = EXPR_NIL}}};
    for (size_t i = 0; p->token.kind == T_NAME && i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].name) == p->token.len &&
            !memcmp(words[i].name, p->text + p->token.at, p->token.len)) {
            advance(p);
            return add(p, (struct node){.kind = N_CONST, .constant = words[i].value});
        }
    }
    if (p->token.kind == T_NUMBER) {
        struct expr_value number = p->token.number;
        advance(p);
        return add(p, (struct node){.kind = N_CONST, .constant = number});
    }
    if (p->token.kind == T_STRING) {
        char *text = unquote(p->text + p->token.at, p->token.len);
        struct expr_value value = {
            .kind = EXPR_STRING, .text = text, .len = text ? strlen(text) : 0};
        advance(p);
        return text ? add(p, (struct node){.kind = N_CONST, .constant = value, .text = text})
                    : fail(p, p->at, "out of memory");
    }
    return -2; /* no constant stands here */
}

static int compile_pattern(struct parser *p, int node, size_t at) {
    struct node *n = &p->expr->nodes[node];
    const struct node *pattern = &p->expr->nodes[n->args[n->function->pattern]];
    if (pattern->kind != N_CONST || pattern->constant.kind != EXPR_STRING)
        return fail(p, at, "the pattern of %s() must be a string", n->function->name);
    n->regex = calloc(1, sizeof *n->regex);
    int code = n->regex ? regcomp(n->regex, pattern->text, REG_EXTENDED) : REG_ESPACE;
    if (!code)
        return node;
    char why[128];
    regerror(code, n->regex, why, sizeof why);
    free(n->regex);
    n->regex = NULL;
    return fail(p, at, "the pattern \"%s\" is no regular expression: %s", pattern->text, why);
}

static int parse_call(struct parser *p, char *name, size_t at) {
    const struct function *function = function_find(name);
    struct node node = {.kind = N_CALL, .function = function, .args = {-1, -1, -1}};
    if (!function || (function->aggregate && !p->scope->aggregates)) {
        const char *near = text_nearest(name, function_name, (void *)p->scope);
        fail(p, at, "unknown function \"%s\"%s%s%s", name, near ? " (did you mean \"" : "",
             near ? near : "", near ? "\"?)" : "");
        free(name);
        return -1;
    }
    free(name);
    int n = 0;
    while (!p->error && !is_op(p, OP_CLOSE)) {
        if (n && !take(p, OP_COMMA))
            return fail(p, p->token.at, "expected \",\" or \")\"");
        if (n == 3 || n == function->max)
            return fail(p, p->token.at, "too many arguments for %s()", function->name);
        node.args[n++] = parse_or(p);
    }
    if (p->error || !take(p, OP_CLOSE))
        return -1;
    if (n < function->min)
        return fail(p, at, "%s() needs %d argument%s", function->name, function->min,
                    function->min == 1 ? "" : "s");
    int made = add(p, node);
    return made >= 0 && function->pattern >= 0 ? compile_pattern(p, made, at) : made;
}

static bool known(const struct parser *p, const char *name) {
    return p->scope->known(p->scope->ctx, name);
}

#define CHAIN_MAX 8 /* dots in one name */

/* The ends of `a`, `a.b`, `a.b-c`, ... at the current token; how many. */
static size_t chain(const struct parser *p, size_t ends[static CHAIN_MAX]) {
    size_t n = 0, end = p->token.at + p->token.len;
    ends[n++] = end;
    while (n < CHAIN_MAX && (p->text[end] == '.' || p->text[end] == '-') &&
           text_is_name((char[]){p->text[end + 1], 0})) {
        end += 2;
        while (isalnum((unsigned char)p->text[end]) || p->text[end] == '_')
            end++;
        ends[n++] = end;
    }
    return n;
}

static int unknown_name(struct parser *p, size_t at, size_t short_end, size_t long_end,
                        bool whole) {
    char *name = strndup(p->text + at, short_end - at),
         *dotted = strndup(p->text + at, long_end - at);
    const char *near = dotted ? text_nearest(dotted, p->scope->name, p->scope->ctx) : NULL;
    if (!near && name)
        near = text_nearest(name, p->scope->name, p->scope->ctx);
    fail(p, at, "\"%s\" is not captured here%s%s%s",
         (near || whole) && dotted ? dotted
         : name                    ? name
                                   : "",
         near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    free(name);
    free(dotted);
    return -1;
}

/* The longest known name wins: `hit.function` and a capture `main.cfg.depth` are one name each,
 * `path.Host` is the capture `path` and a member. */
static int parse_name(struct parser *p) {
    size_t at = p->token.at, ends[CHAIN_MAX], n = chain(p, ends);
    char *name = NULL;
    if (p->text[ends[0]] == '(') {
        name = token_text(p);
        advance(p);
        advance(p);
        return name ? parse_call(p, name, at) : fail(p, at, "out of memory");
    }
    for (size_t k = n; k--;) {
        name = strndup(p->text + at, ends[k] - at);
        if (!name)
            return fail(p, at, "out of memory");
        if (known(p, name)) {
            if (p->scope->opaque && p->scope->opaque(p->scope->ctx, name) &&
                p->text[ends[k]] == '.') {
                free(name);
                return unknown_name(p, at, ends[k], ends[n - 1], true);
            }
            p->at = ends[k];
            advance(p);
            return add(p, (struct node){.kind = N_NAME, .text = name});
        }
        free(name);
    }
    return unknown_name(p, at, ends[0], ends[n - 1], false);
}

static int parse_atom(struct parser *p) {
    int constant = parse_constant(p);
    if (constant != -2)
        return constant;
    if (p->token.kind == T_NAME)
        return parse_name(p);
    if (take(p, OP_OPEN)) {
        int inner = parse_or(p);
        if (!p->error && !take(p, OP_CLOSE))
            return fail(p, p->token.at, "expected \")\"");
        return inner;
    }
    if (p->token.kind == T_END)
        return fail(p, p->token.at, "the expression ends where a value is expected");
    return fail(p, p->token.at, "expected a value at \"%.*s\"", (int)p->token.len,
                p->text + p->token.at);
}

static int parse_post(struct parser *p) {
    int left = parse_atom(p);
    while (!p->error && (is_op(p, OP_DOT) || is_op(p, OP_INDEX))) {
        if (take(p, OP_DOT)) {
            if (p->token.kind != T_NAME)
                return fail(p, p->token.at, "expected a field name behind \".\"");
            char *name = token_text(p);
            if (!name)
                return fail(p, p->token.at, "out of memory");
            advance(p);
            left = add(p, (struct node){.kind = N_MEMBER, .args = {left, -1, -1}, .text = name});
            continue;
        }
        advance(p);
        int index = parse_or(p);
        if (!p->error && !take(p, OP_INDEX_END))
            return fail(p, p->token.at, "expected \"]\"");
        left = add(p, (struct node){.kind = N_INDEX, .args = {left, index, -1}});
    }
    return left;
}

static int parse_unary(struct parser *p) {
    enum op op = is_op(p, OP_NOT) ? OP_NOT : is_op(p, OP_SUB) ? OP_SUB : OP_NONE;
    if (op == OP_NONE)
        return parse_post(p);
    if (++p->depth > EXPR_DEPTH_MAX)
        return fail(p, p->token.at, "the expression is nested too deeply");
    advance(p);
    int operand = parse_unary(p);
    p->depth--;
    return p->error ? -1
                    : add(p, (struct node){.kind = N_UNARY, .op = op, .args = {operand, -1, -1}});
}

static int binding(enum op op) {
    static const char table[OP_COUNT] = {
        [OP_OR] = 1,  [OP_AND] = 2, [OP_EQ] = 3, [OP_NE] = 3,  [OP_LE] = 3,
        [OP_GE] = 3,  [OP_LT] = 3,  [OP_GT] = 3, [OP_ADD] = 4, [OP_SUB] = 4,
        [OP_MUL] = 5, [OP_DIV] = 5, [OP_MOD] = 5};
    return table[op];
}

static int parse_binary(struct parser *p, int least) {
    if (++p->depth > EXPR_DEPTH_MAX)
        return fail(p, p->token.at, "the expression is nested too deeply");
    int left = parse_unary(p);
    while (!p->error && p->token.kind == T_OP && binding(p->token.op) >= least) {
        enum op op = p->token.op;
        size_t at = p->token.at;
        advance(p);
        int right = parse_binary(p, binding(op) + 1);
        if (!p->error && binding(op) == 3 && p->token.kind == T_OP && binding(p->token.op) == 3)
            return fail(p, at, "comparisons do not chain: write a < b && b < c");
        if (!p->error)
            left = add(p, (struct node){.kind = N_BINARY, .op = op, .args = {left, right, -1}});
    }
    p->depth--;
    return p->error ? -1 : left;
}

static int parse_or(struct parser *p) {
    return parse_binary(p, 1);
}

struct error *expr_parse(const char *text, const struct expr_scope *scope, struct expr **out,
                         size_t *at) {
    struct parser p = {.text = text, .scope = scope, .expr = calloc(1, sizeof(struct expr))};
    *at = 0;
    if (!p.expr)
        return error_no_memory();
    if (strlen(text) > EXPR_TEXT_MAX)
        fail(&p, 0, "the expression is longer than %d bytes", EXPR_TEXT_MAX);
    else
        advance(&p);
    if (!p.error)
        p.expr->root = parse_or(&p);
    if (!p.error && p.token.kind != T_END)
        fail(&p, p.token.at, "unexpected \"%.*s\" behind the expression", (int)p.token.len,
             text + p.token.at);
    if (p.error) {
        *at = p.error_at;
        expr_free(p.expr);
        return p.error;
    }
    *out = p.expr;
    return NULL;
}

void expr_free(struct expr *expr) {
    for (size_t i = 0; expr && i < expr->count; i++) {
        free(expr->nodes[i].text);
        if (expr->nodes[i].regex)
            regfree(expr->nodes[i].regex);
        free(expr->nodes[i].regex);
    }
    if (expr)
        free(expr->nodes);
    free(expr);
}
