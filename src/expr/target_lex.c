#include "expr/target_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const target_op_texts[TOP_COUNT] = {
    [TOP_NONE] = "",   [TOP_OR] = "||",      [TOP_AND] = "&&",    [TOP_EQ] = "==",
    [TOP_NE] = "!=",   [TOP_LE] = "<=",      [TOP_GE] = ">=",     [TOP_SHL] = "<<",
    [TOP_SHR] = ">>",  [TOP_ARROW] = "->",   [TOP_SCOPE] = "::",  [TOP_LT] = "<",
    [TOP_GT] = ">",    [TOP_BIT_OR] = "|",   [TOP_BIT_XOR] = "^", [TOP_BIT_AND] = "&",
    [TOP_ADD] = "+",   [TOP_SUB] = "-",      [TOP_MUL] = "*",     [TOP_DIV] = "/",
    [TOP_MOD] = "%",   [TOP_NOT] = "!",      [TOP_BIT_NOT] = "~", [TOP_DOT] = ".",
    [TOP_OPEN] = "(",  [TOP_CLOSE] = ")",    [TOP_INDEX] = "[",   [TOP_INDEX_END] = "]",
    [TOP_COMMA] = ",", [TOP_QUESTION] = "?", [TOP_COLON] = ":",
};

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static void suffixes(const char *p, size_t *n, struct target_token *token) {
    size_t start = *n;
    for (;; ++*n) {
        char c = p[*n] | 32;
        if (c == 'u' && !token->unsigned_)
            token->unsigned_ = true;
        else if (c == 'l' && token->longs < 2)
            token->longs++;
        else if (c == 'f' && token->kind == TT_FLOAT && !token->is_float)
            token->is_float = true;
        else
            break;
    }
    if (!is_word(p[*n]))
        return;
    /* not suffixes but a unit: 10us, 5m, 4Ki */
    token->unsigned_ = token->is_float = false;
    token->longs = 0;
    *n = start;
    token->unit = p + start;
    while (is_word(p[*n]))
        ++*n;
    token->unit_len = *n - start;
}

static struct target_token lex_number(const char *text, size_t at, const char **why) {
    struct target_token token = {.kind = TT_INT, .at = at};
    const char *p = text + at;
    char *end, *real_end;
    token.hex = p[0] == '0' && (p[1] | 32) == 'x';
    bool binary = p[0] == '0' && (p[1] | 32) == 'b';
    errno = 0;
    token.i = strtoull(p + 2 * binary, &end, binary ? 2 : 0);
    bool overflow = errno == ERANGE;
    token.f = strtod(p, &real_end);
    if (!token.hex && !binary && real_end > end) {
        token.kind = TT_FLOAT;
        end = real_end;
    }
    size_t n = (size_t)(end - p);
    suffixes(p, &n, &token);
    token.len = n;
    if (overflow && token.kind == TT_INT) {
        token.kind = TT_BAD;
        *why = "this number is greater than 2^64-1";
    }
    return token;
}

static struct target_token lex_quoted(const char *text, size_t at, const char **why) {
    char quote = text[at];
    struct target_token token = {.kind = quote == '\'' ? TT_CHAR : TT_STRING, .at = at};
    size_t i = at + 1;
    for (; text[i] && text[i] != quote; i++)
        if (quote != '`' && text[i] == '\\' && text[i + 1])
            i++;
    token.len = i + (text[i] != 0) - at;
    if (!text[i]) {
        token.kind = TT_BAD;
        *why = "this quote is not closed";
    } else if (quote == '\'' && !strncmp(text + i + 1, "::", 2)) {
        token.kind = TT_NAME; /* gdb's 'file.c'::name */
    }
    return token;
}

/* "file.c::name" begins with a word that has dots in it; only "::" behind it tells. */
static size_t file_length(const char *p) {
    size_t n = 0;
    while (is_word(p[n]) || p[n] == '.' || p[n] == '/' || (p[n] == '-' && p[n + 1] != '>'))
        n++;
    return !strncmp(p + n, "::", 2) && memchr(p, '.', n) ? n : 0;
}

static size_t name_length(const char *p) {
    size_t n = file_length(p);
    while (!n && is_word(p[n]))
        for (n = 1; is_word(p[n]);)
            n++;
    if (n && p[n] == '#' && isdigit((unsigned char)p[n + 1])) /* one of a parameter pack */
        for (n += 2; isdigit((unsigned char)p[n]);)
            n++;
    return n;
}

struct target_token target_lex(const char *text, size_t *at, const char **why) {
    while (isspace((unsigned char)text[*at]))
        ++*at;
    const char *p = text + *at;
    struct target_token token = {.kind = TT_END, .at = *at};
    if (isdigit((unsigned char)*p) || (*p == '.' && isdigit((unsigned char)p[1]))) {
        token = lex_number(text, *at, why);
    } else if (*p == '"' || *p == '`' || *p == '\'') {
        token = lex_quoted(text, *at, why);
    } else if (*p == '$') {
        token.kind = TT_REGISTER;
        for (token.len = 1; is_word(p[token.len]);)
            token.len++;
    } else if (is_word(*p)) {
        token.kind = TT_NAME;
        token.len = name_length(p);
    } else if (*p) {
        token.kind = TT_BAD;
        token.len = 1;
        *why = "unexpected character";
        for (enum target_op op = TOP_OR; op < TOP_COUNT && token.kind == TT_BAD; op++)
            if (!strncmp(p, target_op_texts[op], strlen(target_op_texts[op]))) {
                token.kind = TT_OP;
                token.op = op;
                token.len = strlen(target_op_texts[op]);
            }
    }
    *at += token.len;
    return token;
}
