#include "expr/parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

const char *const op_texts[OP_COUNT] = {
    [OP_NONE] = "",   [OP_OR] = "||",  [OP_AND] = "&&",  [OP_EQ] = "==",   [OP_NE] = "!=",
    [OP_LE] = "<=",   [OP_GE] = ">=",  [OP_LT] = "<",    [OP_GT] = ">",    [OP_ADD] = "+",
    [OP_SUB] = "-",   [OP_MUL] = "*",  [OP_DIV] = "/",   [OP_MOD] = "%",   [OP_NOT] = "!",
    [OP_DOT] = ".",   [OP_OPEN] = "(", [OP_CLOSE] = ")", [OP_INDEX] = "[", [OP_INDEX_END] = "]",
    [OP_COMMA] = ",",
};

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* `7 % 2` is a remainder, `7%` a percentage: after the sign of a percentage no operand can stand.
 */
static size_t unit_length(const char *p) {
    size_t n = 0;
    if (*p == '%') {
        const char *q = p + 1;
        while (*q == ' ' || *q == '\t' || *q == '\n')
            q++;
        return !is_word(*q) && *q != '(' && *q != '"' && *q != '`';
    }
    while (is_word(p[n]))
        n++;
    return n;
}

static struct token lex_number(const char *text, size_t at, const char **why) {
    struct token token = {.kind = T_NUMBER, .at = at};
    const char *p = text + at;
    char *end, *real_end;
    errno = 0;
    long long i = strtoll(p, &end, p[0] == '0' && (p[1] | 32) == 'x' ? 16 : 10);
    bool overflow = errno != 0;
    double f = strtod(p, &real_end);
    bool real = real_end > end || overflow;
    end = real_end > end ? real_end : end;
    token.number = (struct expr_value){.kind = real ? EXPR_FLOAT : EXPR_INT};
    if (real)
        token.number.f = f;
    else
        token.number.i = i;
    size_t unit = unit_length(end);
    double factor;
    token.len = (size_t)(end - p) + unit;
    if (!unit)
        return token;
    if (!text_unit(end, unit, &token.number.unit, &factor)) {
        token.kind = T_BAD;
        *why = "unknown unit (ns us ms s m h, k M G, Ki Mi Gi, %)";
        return token;
    }
    double value = (real ? f : (double)i) * factor;
    bool whole = value < 9e18 && value > -9e18 && value == (double)(int64_t)value;
    token.number.kind = whole ? EXPR_INT : EXPR_FLOAT;
    if (whole)
        token.number.i = (int64_t)value;
    else
        token.number.f = value;
    return token;
}

static struct token lex_string(const char *text, size_t at, const char **why) {
    struct token token = {.kind = T_STRING, .at = at};
    char quote = text[at];
    size_t i = at + 1;
    for (; text[i] && text[i] != quote; i++)
        if (quote == '"' && text[i] == '\\' && text[i + 1])
            i++;
    token.len = i + 1 - at;
    if (!text[i]) {
        token.kind = T_BAD;
        token.len = i - at;
        *why = "this string is not closed";
    }
    return token;
}

struct token lex(const char *text, size_t *at, const char **why) {
    while (text[*at] == ' ' || text[*at] == '\t' || text[*at] == '\n')
        ++*at;
    const char *p = text + *at;
    struct token token = {.kind = T_END, .at = *at};
    if (isdigit((unsigned char)*p)) {
        token = lex_number(text, *at, why);
    } else if (*p == '"' || *p == '`') {
        token = lex_string(text, *at, why);
    } else if (is_word(*p)) {
        token.kind = T_NAME;
        while (is_word(p[token.len]))
            token.len++;
    } else if (*p) {
        token.kind = T_BAD;
        token.len = 1;
        *why = "unexpected character";
        for (enum op op = OP_OR; op < OP_COUNT; op++) {
            size_t n = strlen(op_texts[op]);
            if (!strncmp(p, op_texts[op], n)) {
                token.kind = T_OP;
                token.op = op;
                token.len = n;
                break;
            }
        }
    }
    *at += token.len;
    return token;
}
