#include "expr/target_parser.h"

#include "base/text.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int parse_conditional(struct parser *p);
static int parse_unary(struct parser *p);

int parser_fail(struct parser *p, size_t at, const char *format, ...) {
    if (!p->error) {
        va_list args;
        va_start(args, format);
        p->error = error_newv(ERROR_RECIPE, format, args);
        va_end(args);
        p->error_at = at;
    }
    return -1;
}

void parser_advance(struct parser *p) {
    p->token = target_lex(p->text, &p->at, &p->why);
    if (p->token.kind == TT_BAD)
        parser_fail(p, p->token.at, "%s at \"%.*s\"", p->why, (int)p->token.len,
                    p->text + p->token.at);
}

bool parser_is(const struct parser *p, enum target_op op) {
    return p->token.kind == TT_OP && p->token.op == op;
}

bool parser_take(struct parser *p, enum target_op op) {
    if (!parser_is(p, op))
        return false;
    parser_advance(p);
    return true;
}

static bool expect(struct parser *p, enum target_op op) {
    if (!p->error && !parser_take(p, op))
        parser_fail(p, p->token.at, "expected \"%s\"", target_op_texts[op]);
    return !p->error;
}

static int add(struct parser *p, struct target_node node) {
    if (p->error)
        return -1;
    struct target_node *place = ARRAY_ADD(p->tree->nodes, p->tree->count, p->tree->cap);
    if (!place)
        return parser_fail(p, p->token.at, "out of memory");
    *place = node;
    return (int)p->tree->count - 1;
}

bool parser_is_word(const struct parser *p, const char *word) {
    return p->token.kind == TT_NAME && p->token.len == strlen(word) &&
           !memcmp(p->text + p->token.at, word, p->token.len);
}

/* ---- literals ---- */

static enum basic int_type(const struct target_token *token) {
    bool fits_int = token->i <= INT32_MAX, fits_uint = token->i <= UINT32_MAX;
    if (token->longs || !(token->unsigned_ || token->hex ? fits_uint : fits_int)) {
        bool wide = token->unsigned_ || token->i > INT64_MAX;
        return (token->longs > 1 ? BASIC_LLONG : BASIC_LONG) + wide;
    }
    return token->unsigned_ || (token->hex && !fits_int) ? BASIC_UINT : BASIC_INT;
}

static int parse_number(struct parser *p) {
    struct target_token token = p->token;
    struct target_node node = {.kind = token.kind == TT_INT ? TN_INT : TN_FLOAT,
                               .at = token.at,
                               .i = token.i,
                               .f = token.f,
                               .args = {-1, -1, -1}};
    enum unit_kind unit;
    double factor;
    if (token.unit_len) {
        if (!text_unit(token.unit, token.unit_len, &unit, &factor))
            return parser_fail(p, token.at,
                               "unknown unit \"%.*s\" (ns us ms s m h, k M G, Ki Mi Gi)",
                               (int)token.unit_len, token.unit);
        double value = (token.kind == TT_INT ? (double)token.i : token.f) * factor;
        bool whole = value < 9e18 && value == (double)(int64_t)value;
        node.kind = whole ? TN_INT : TN_FLOAT;
        node.f = value;
        node.i = token.i = whole ? (uint64_t)value : 0;
    }
    node.basic = node.kind == TN_INT ? int_type(&token)
                 : token.is_float    ? BASIC_FLOAT
                 : token.longs       ? BASIC_LONG_DOUBLE
                                     : BASIC_DOUBLE;
    parser_advance(p);
    return add(p, node);
}

/* The bytes between the quotes, escapes undone. */
static char *unquote(struct parser *p, size_t *len) {
    const char *from = p->text + p->token.at;
    char *out = arena_alloc(p->arena, p->token.len + 1);
    static const char names[] = "nrtabfv0", values[] = "\n\r\t\a\b\f\v";
    size_t n = 0;
    for (size_t i = 1; out && i + 1 < p->token.len; i++) {
        char c = from[i];
        if (c == '\\' && from[0] != '`') {
            c = from[++i];
            const char *name = strchr(names, c);
            if (c == 'x' && isxdigit((unsigned char)from[i + 1])) {
                char *end;
                char digits[3] = {from[i + 1], from[i + 2], 0};
                c = (char)strtoul(digits, &end, 16);
                i += (size_t)(end - digits);
            } else if (name && c) {
                c = values[name - names];
            }
        }
        out[n++] = c;
    }
    *len = n;
    return out;
}

static int parse_quoted(struct parser *p) {
    struct target_node node = {.at = p->token.at, .args = {-1, -1, -1}};
    bool character = p->token.kind == TT_CHAR;
    node.kind = character ? TN_CHAR : TN_STRING;
    node.text = unquote(p, &node.len);
    if (!node.text)
        return parser_fail(p, p->token.at, "out of memory");
    if (character && node.len != 1)
        return parser_fail(p, p->token.at, "a character constant holds one byte");
    node.i = character ? (uint64_t)(int64_t)node.text[0] : 0;
    parser_advance(p);
    return add(p, node);
}

/* ---- atoms ---- */

static int parse_sizeof(struct parser *p) {
    size_t at = p->token.at;
    parser_advance(p);
    if (parser_is(p, TOP_OPEN)) {
        size_t back = p->at;
        struct target_token token = p->token;
        parser_advance(p);
        const struct type *type = parser_try_type(p);
        if (type && parser_take(p, TOP_CLOSE))
            return add(p,
                       (struct target_node){
                           .kind = TN_SIZEOF_TYPE, .at = at, .type = type, .args = {-1, -1, -1}});
        p->at = back;
        p->token = token;
    }
    int operand = parse_unary(p);
    return add(p, (struct target_node){.kind = TN_SIZEOF, .at = at, .args = {operand, -1, -1}});
}

static int parse_measure(struct parser *p, enum target_node_kind kind) {
    size_t at = p->token.at;
    parser_advance(p);
    parser_advance(p); /* "(" */
    int operand = parse_conditional(p);
    expect(p, TOP_CLOSE);
    return add(p, (struct target_node){.kind = kind, .at = at, .args = {operand, -1, -1}});
}

static bool next_is(const struct parser *p, char c) {
    size_t at = p->at;
    while (isspace((unsigned char)p->text[at]))
        at++;
    return p->text[at] == c;
}

/* "C<int>" or "f<int>": `<` begins template arguments only where the debug info has that name. */
static bool take_arguments(struct parser *p, struct buffer *name) {
    int depth = 0;
    size_t end = p->token.at, had = name->len;
    for (; p->text[end]; end++) {
        depth += p->text[end] == '<' ? 1 : p->text[end] == '>' ? -1 : 0;
        if (!depth)
            break;
    }
    if (!p->text[end])
        return false;
    buffer_add(name, p->text + p->token.at, end + 1 - p->token.at);
    if (name->failed || !p->known(p->ctx, name->data)) {
        name->len = had;
        return false;
    }
    p->at = end + 1;
    parser_advance(p);
    return true;
}

/* A name with its scopes and template arguments: "ns::C<int>::x". */
static int parse_name(struct parser *p) {
    size_t at = p->token.at;
    struct buffer name = BUFFER_INIT(TARGET_EXPR_MAX);
    bool more = true;
    while (more && !p->error) {
        if (parser_is(p, TOP_SCOPE)) {
            buffer_puts(&name, "::");
        } else {
            bool quoted = p->text[p->token.at] == '\'';
            buffer_add(&name, p->text + p->token.at + quoted, p->token.len - 2 * quoted);
        }
        bool scope = parser_is(p, TOP_SCOPE);
        parser_advance(p);
        if (!scope && parser_is(p, TOP_LT))
            take_arguments(p, &name);
        more = scope ? p->token.kind == TT_NAME : parser_is(p, TOP_SCOPE);
    }
    struct target_node node = {.kind = TN_NAME, .at = at, .args = {-1, -1, -1}};
    node.text = name.data ? arena_strdup(p->arena, name.data) : NULL;
    buffer_free(&name);
    return node.text ? add(p, node) : parser_fail(p, at, "out of memory");
}

static int parse_word(struct parser *p) {
    size_t at = p->token.at;
    struct target_node node = {.kind = TN_BOOL, .at = at, .args = {-1, -1, -1}};
    const char *word = p->text + at;
    size_t digits = 0;
    if (parser_is_word(p, "true") || parser_is_word(p, "false")) {
        node.i = *word == 't';
    } else if (parser_is_word(p, "nil") || parser_is_word(p, "NULL") ||
               parser_is_word(p, "nullptr")) {
        node.kind = TN_NIL;
    } else if (parser_is_word(p, "return")) {
        node.kind = TN_RETURN;
    } else if (p->token.len > 3 && !memcmp(word, "arg", 3) &&
               (digits = strspn(word + 3, "0123456789")) == p->token.len - 3 && digits < 3) {
        node.kind = TN_ARGUMENT;
        node.i = strtoul(word + 3, NULL, 10);
    } else if (parser_is_word(p, "sizeof")) {
        return parse_sizeof(p);
    } else if ((parser_is_word(p, "len") || parser_is_word(p, "cap")) && next_is(p, '(')) {
        return parse_measure(p, *word == 'l' ? TN_LEN : TN_CAP);
    } else {
        return parse_name(p);
    }
    parser_advance(p);
    return add(p, node);
}

static int parse_atom(struct parser *p) {
    switch (p->token.kind) {
    case TT_INT:
    case TT_FLOAT: return parse_number(p);
    case TT_CHAR:
    case TT_STRING: return parse_quoted(p);
    case TT_NAME: return parse_word(p);
    case TT_REGISTER: {
        struct target_node node = {.kind = TN_REGISTER, .at = p->token.at, .args = {-1, -1, -1}};
        node.text = arena_strndup(p->arena, p->text + p->token.at + 1, p->token.len - 1);
        parser_advance(p);
        return node.text ? add(p, node) : parser_fail(p, p->token.at, "out of memory");
    }
    default: break;
    }
    if (parser_is(p, TOP_SCOPE))
        return parse_name(p);
    if (parser_take(p, TOP_OPEN)) {
        int inner = parse_conditional(p);
        expect(p, TOP_CLOSE);
        return inner;
    }
    if (p->token.kind == TT_END)
        return parser_fail(p, p->token.at, "the expression ends where a value is expected");
    return parser_fail(p, p->token.at, "expected a value at \"%.*s\"", (int)p->token.len,
                       p->text + p->token.at);
}

/* ---- operators ---- */

static int parse_member(struct parser *p, int left, enum target_op op) {
    struct target_node node = {.kind = TN_MEMBER, .op = op, .args = {left, -1, -1}};
    node.at = p->token.at;
    if (op == TOP_DOT && parser_take(p, TOP_OPEN)) { /* Go: x.(T) */
        const struct type *type = parser_try_type(p);
        type = type || p->error ? type : parser_try_whole_type(p);
        if (!type) {
            parser_fail(p, node.at, "there is no such type in the debug info");
            error_because(p->error, REASON_NO_NAME);
            return -1;
        }
        expect(p, TOP_CLOSE);
        node.kind = TN_CAST;
        node.type = type;
        return add(p, node);
    }
    if (p->token.kind != TT_NAME)
        return parser_fail(p, p->token.at, "expected a member's name behind \"%s\"",
                           target_op_texts[op]);
    node.text = arena_strndup(p->arena, p->text + p->token.at, p->token.len);
    parser_advance(p);
    return node.text ? add(p, node) : parser_fail(p, node.at, "out of memory");
}

static int parse_index(struct parser *p, int left, size_t at) {
    int from = parser_is(p, TOP_COLON) ? -1 : parse_conditional(p), to = -1;
    enum target_node_kind kind = TN_INDEX;
    if (parser_take(p, TOP_COLON)) {
        kind = TN_SLICE;
        to = parser_is(p, TOP_INDEX_END) ? -1 : parse_conditional(p);
    }
    expect(p, TOP_INDEX_END);
    return add(p, (struct target_node){.kind = kind, .at = at, .args = {left, from, to}});
}

static int parse_post(struct parser *p) {
    int left = parse_atom(p);
    while (!p->error) {
        size_t at = p->token.at;
        if (parser_take(p, TOP_DOT))
            left = parse_member(p, left, TOP_DOT);
        else if (parser_take(p, TOP_ARROW))
            left = parse_member(p, left, TOP_ARROW);
        else if (parser_take(p, TOP_INDEX))
            left = parse_index(p, left, at);
        else if (parser_is(p, TOP_OPEN))
            return parser_fail(p, at,
                               "functions of the target cannot be called: reading is all that an "
                               "expression may do");
        else
            break;
    }
    return left;
}

static int parse_cast(struct parser *p) {
    size_t at = p->token.at, back = p->at;
    struct target_token token = p->token;
    if (!parser_take(p, TOP_OPEN))
        return parse_post(p);
    const struct type *type = parser_try_type(p);
    if (!type) {
        if (p->error)
            return -1;
        p->at = back;
        p->token = token;
        return parse_post(p);
    }
    parser_advance(p);
    int operand = parse_unary(p);
    return add(p, (struct target_node){
                      .kind = TN_CAST, .at = at, .type = type, .args = {operand, -1, -1}});
}

static int parse_unary(struct parser *p) {
    static const enum target_op ops[] = {TOP_NOT,     TOP_SUB, TOP_ADD,
                                         TOP_BIT_NOT, TOP_MUL, TOP_BIT_AND};
    size_t at = p->token.at;
    if (++p->depth > TARGET_DEPTH_MAX)
        return parser_fail(p, at, "the expression is nested too deeply");
    int node = -2;
    for (size_t i = 0; i < sizeof ops / sizeof *ops && node == -2 && !p->error; i++)
        if (parser_take(p, ops[i])) {
            int operand = parse_unary(p);
            node = add(p, (struct target_node){
                              .kind = TN_UNARY, .op = ops[i], .at = at, .args = {operand, -1, -1}});
        }
    node = node == -2 ? parse_cast(p) : node;
    p->depth--;
    return node;
}

static int binding(enum target_op op) {
    static const char table[TOP_COUNT] = {
        [TOP_OR] = 1,   [TOP_AND] = 2,  [TOP_BIT_OR] = 3, [TOP_BIT_XOR] = 4, [TOP_BIT_AND] = 5,
        [TOP_EQ] = 6,   [TOP_NE] = 6,   [TOP_LT] = 7,     [TOP_GT] = 7,      [TOP_LE] = 7,
        [TOP_GE] = 7,   [TOP_SHL] = 8,  [TOP_SHR] = 8,    [TOP_ADD] = 9,     [TOP_SUB] = 9,
        [TOP_MUL] = 10, [TOP_DIV] = 10, [TOP_MOD] = 10};
    return table[op];
}

static int parse_binary(struct parser *p, int least) {
    if (++p->depth > TARGET_DEPTH_MAX)
        return parser_fail(p, p->token.at, "the expression is nested too deeply");
    int left = parse_unary(p);
    while (!p->error && p->token.kind == TT_OP && binding(p->token.op) >= least) {
        enum target_op op = p->token.op;
        size_t at = p->token.at;
        parser_advance(p);
        int right = parse_binary(p, binding(op) + 1);
        left = add(p, (struct target_node){
                          .kind = TN_BINARY, .op = op, .at = at, .args = {left, right, -1}});
    }
    p->depth--;
    return left;
}

static int parse_conditional(struct parser *p) {
    int test = parse_binary(p, 1);
    size_t at = p->token.at;
    if (p->error || !parser_take(p, TOP_QUESTION))
        return test;
    if (++p->depth > TARGET_DEPTH_MAX)
        return parser_fail(p, at, "the expression is nested too deeply");
    int yes = parse_conditional(p);
    expect(p, TOP_COLON);
    int no = parse_conditional(p);
    p->depth--;
    return add(p, (struct target_node){.kind = TN_CONDITIONAL, .at = at, .args = {test, yes, no}});
}

struct error *target_parse(const char *text, struct arena *arena, target_type_fn *type,
                           target_known_fn *known, void *ctx, struct module *module,
                           struct target_tree *out, size_t *at) {
    struct parser p = {.text = text,
                       .arena = arena,
                       .tree = out,
                       .type = type,
                       .known = known,
                       .ctx = ctx,
                       .module = module};
    *at = 0;
    if (strlen(text) > TARGET_EXPR_MAX)
        parser_fail(&p, 0, "the expression is longer than %d bytes", TARGET_EXPR_MAX);
    else
        parser_advance(&p);
    if (!p.error)
        out->root = parse_conditional(&p);
    if (!p.error && p.token.kind != TT_END)
        parser_fail(&p, p.token.at, "unexpected \"%.*s\" behind the expression", (int)p.token.len,
                    text + p.token.at);
    *at = p.error_at;
    return p.error;
}
