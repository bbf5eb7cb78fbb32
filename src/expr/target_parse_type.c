/* Types in expressions: casts and sizeof. */
#include "expr/target_parser.h"

#include "base/text.h"

static bool starts_type(const struct parser *p) {
    static const char *const words[] = {
        "struct", "union", "enum", "class", "const", "volatile", "signed", "unsigned", "void",
        "char",   "short", "int",  "long",  "float", "double",   "bool",   "_Bool",    "__int128"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (parser_is_word(p, words[i]))
            return true;
    return false;
}

/* The words of a type's name, "const" and "volatile" left out, up to what cannot be part of it. */
static void read_words(struct parser *p, struct buffer *name) {
    int angles = 0;
    while (!p->error) {
        bool word = p->token.kind == TT_NAME || (angles && p->token.kind == TT_INT);
        bool scope = parser_is(p, TOP_SCOPE);
        bool inside = angles && (parser_is(p, TOP_COMMA) || parser_is(p, TOP_MUL) ||
                                 parser_is(p, TOP_BIT_AND));
        bool open = parser_is(p, TOP_LT) && name->len, close = angles && parser_is(p, TOP_GT);
        bool two = angles > 1 && parser_is(p, TOP_SHR);
        if (!word && !scope && !inside && !open && !close && !two)
            return;
        angles += open - close - 2 * two;
        if (parser_is_word(p, "const") || parser_is_word(p, "volatile")) {
            parser_advance(p);
            continue;
        }
        bool space = word && name->len && text_is_name((char[]){name->data[name->len - 1], 0});
        if (space || (name->len && name->data[name->len - 1] == ','))
            buffer_putc(name, ' ');
        if (two)
            buffer_puts(name, "> >");
        else
            buffer_add(name, p->text + p->token.at, p->token.len);
        parser_advance(p);
        while (word && parser_is(p, TOP_DOT)) { /* Go: main.T */
            parser_advance(p);
            buffer_putc(name, '.');
            buffer_add(name, p->text + p->token.at, p->token.len);
            parser_advance(p);
        }
    }
}

#define DIMENSIONS 8

/* "[2][3]" */
static const struct type *read_dimensions(struct parser *p, const struct type *type) {
    uint64_t counts[DIMENSIONS];
    int n = 0;
    while (n < DIMENSIONS && parser_take(p, TOP_INDEX)) {
        if (p->token.kind != TT_INT)
            return NULL;
        counts[n++] = p->token.i;
        parser_advance(p);
        if (!parser_take(p, TOP_INDEX_END))
            return NULL;
    }
    while (n--)
        type = type_array_of(p->module, type, counts[n]);
    return type;
}

/* The "(*)" of a pointer to an array: how many; 0, and nothing read, where it is something else. */
static size_t read_inner_pointers(struct parser *p) {
    size_t at = p->at, n = 0;
    struct target_token token = p->token;
    if (!parser_take(p, TOP_OPEN))
        return 0;
    while (parser_take(p, TOP_MUL))
        n++;
    if (n && parser_take(p, TOP_CLOSE))
        return n;
    p->at = at;
    p->token = token;
    return 0;
}

static const struct type *read_type(struct parser *p) {
    struct buffer name = BUFFER_INIT(4096);
    const struct type *type = NULL;
    size_t go_pointers = 0;
    while (parser_take(p, TOP_MUL)) /* Go: (*main.T)(p) */
        go_pointers++;
    read_words(p, &name);
    if (!p->error && name.data && !name.failed)
        type = p->type(p->ctx, name.data);
    buffer_free(&name);
    while (type && (parser_is(p, TOP_MUL) || parser_is_word(p, "const"))) {
        if (parser_is(p, TOP_MUL))
            type = type_pointer_to(p->module, type);
        parser_advance(p);
    }
    size_t pointers = type ? read_inner_pointers(p) : 0;
    type = pointers ? read_dimensions(p, type) : type;
    for (pointers += go_pointers; type && pointers; pointers--)
        type = type_pointer_to(p->module, type);
    return type;
}

const struct type *parser_try_type(struct parser *p) {
    size_t at = p->at;
    struct target_token token = p->token;
    bool sure = starts_type(p);
    size_t start = p->token.at;
    const struct type *type = p->error || (!sure && token.kind != TT_NAME && !parser_is(p, TOP_MUL))
                                  ? NULL
                                  : read_type(p);
    if (type && parser_is(p, TOP_CLOSE))
        return type;
    if (sure && !p->error && type) {
        parser_fail(p, p->token.at, "expected \")\" behind the type");
        return NULL;
    }
    if (sure && !p->error) {
        int n = (int)(p->token.at - start);
        while (n && p->text[start + (size_t)n - 1] == ' ')
            n--;
        parser_fail(p, start, "there is no type \"%.*s\" in the debug info", n, p->text + start);
        error_because(p->error, REASON_NO_NAME);
        return NULL;
    }
    error_free(p->error);
    p->error = NULL;
    p->at = at;
    p->token = token;
    return NULL;
}

/* Go's types have names of many forms, "[]int" and "map[string]main.T": all up to the ")" is one.
 */
const struct type *parser_try_whole_type(struct parser *p) {
    size_t start = p->token.at, end = start;
    int depth = 0;
    for (; p->text[end] && (depth || p->text[end] != ')'); end++)
        depth += p->text[end] == '(' ? 1 : p->text[end] == ')' ? -1 : 0;
    char *name = p->text[end] ? arena_strndup(p->arena, p->text + start, end - start) : NULL;
    const struct type *type = name ? p->type(p->ctx, name) : NULL;
    if (type) {
        p->at = end;
        parser_advance(p);
    }
    return type;
}
