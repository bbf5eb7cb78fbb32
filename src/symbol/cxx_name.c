#include "symbol/cxx_name.h"

#include <ctype.h>
#include <string.h>

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* The words of an integer type, counted. */
struct words {
    int longs, shorts, unsigned_, signed_, int_, char_;
};

static int *slot(struct words *words, const char *at, size_t n) {
    static const struct {
        const char *text;
        size_t offset;
    } known[] = {{"long", offsetof(struct words, longs)},
                 {"short", offsetof(struct words, shorts)},
                 {"unsigned", offsetof(struct words, unsigned_)},
                 {"signed", offsetof(struct words, signed_)},
                 {"int", offsetof(struct words, int_)},
                 {"char", offsetof(struct words, char_)}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].text) == n && !memcmp(known[i].text, at, n))
            return (int *)((char *)words + known[i].offset);
    return NULL;
}

/* Takes as many words of an integer type as follow each other; how many bytes they are. */
static size_t take_integer(const char *at, struct words *words) {
    size_t done = 0;
    for (size_t n = 0;; n = done + strspn(at + done, " ")) {
        size_t length = 0;
        while (is_word(at[n + length]))
            length++;
        int *count = length ? slot(words, at + n, length) : NULL;
        if (!count)
            return done;
        ++*count;
        done = n + length;
    }
}

static void write_integer(const struct words *w, struct buffer *out) {
    bool sized = w->longs || w->shorts;
    if (w->unsigned_)
        buffer_puts(out, "unsigned ");
    else if (w->signed_ && w->char_)
        buffer_puts(out, "signed ");
    for (int i = 0; i < w->longs; i++)
        buffer_puts(out, i ? " long" : "long");
    if (w->shorts)
        buffer_puts(out, "short");
    if (!sized)
        buffer_puts(out, w->char_ ? "char" : "int");
}

/* "const T *" is "T const*", the argument at `start` of what is written. In place: both take the
 * same bytes. */
static void put_const_behind(struct buffer *out, size_t start) {
    static const char word[] = "const ";
    const size_t n = sizeof word - 1;
    char *text = out->data ? out->data + start : NULL;
    size_t length = out->len > start ? out->len - start : 0, head = 0;
    int depth = 0;
    if (!text || length <= n || memcmp(text, word, n))
        return;
    for (; head < length && (depth || !strchr("*&([)", text[head])); head++)
        depth += text[head] == '<' ? 1 : text[head] == '>' ? -1 : 0;
    while (head > n && text[head - 1] == ' ')
        head--;
    memmove(text, text + n, head - n);
    memcpy(text + head - n, " const", n);
}

#define NESTING 64 /* templates in templates that are looked into */

struct canonical {
    struct buffer *out;
    size_t starts[NESTING]; /* of the argument that is being written, at each depth */
    int depth;
};

static void end_argument(struct canonical *made) {
    if (made->depth && made->depth < NESTING && !made->out->failed)
        put_const_behind(made->out, made->starts[made->depth]);
}

static void begin_argument(struct canonical *made) {
    if (made->depth && made->depth < NESTING)
        made->starts[made->depth] = made->out->len;
}

/* One sign, and the spaces behind it that do not count. Returns what is next. */
static const char *take_sign(struct canonical *made, const char *at) {
    struct buffer *out = made->out;
    switch (*at) {
    case ',':
        end_argument(made);
        buffer_puts(out, ", ");
        begin_argument(made);
        return at + 1 + strspn(at + 1, " ");
    case '<':
        buffer_putc(out, '<');
        made->depth++;
        begin_argument(made);
        return at + 1;
    case '(':
        buffer_putc(out, '(');
        made->depth += made->depth > 0;
        begin_argument(made);
        return at + 1;
    case ')':
    case '>':
        end_argument(made);
        made->depth -= made->depth > 0;
        if (*at == '>' && out->len && out->data[out->len - 1] == '>')
            buffer_putc(out, ' ');
        break;
    case ' ':
        if ((out->len && out->data[out->len - 1] == ' ') || at[1] == '>' ||
            (made->depth && (at[1] == '*' || at[1] == '&')))
            return at + 1;
        break;
    default: break;
    }
    buffer_putc(out, *at);
    return at + 1;
}

/* How many bytes at `at`, behind the word, say which operator it is; what follows may be a
 * template's arguments. */
static size_t operator_signs(const char *at) {
    static const char *const with_brackets[] = {"()", "[]", "->*", "->", "<=>", "<<=", "<<",
                                                "<=", "<",  ">>=", ">>", ">=",  ">"};
    for (size_t i = 0; i < sizeof with_brackets / sizeof *with_brackets; i++)
        if (!strncmp(at, with_brackets[i], strlen(with_brackets[i])))
            return strlen(with_brackets[i]);
    return strspn(at, "+-*/%^&|~!=,");
}

void cxx_canonical(const char *name, struct buffer *out) {
    struct canonical made = {.out = out};
    if (!strchr(name, '<')) {
        buffer_puts(out, name);
        return;
    }
    for (const char *at = name; *at;) {
        struct words words = {0};
        size_t n = made.depth && (at == name || !is_word(at[-1])) ? take_integer(at, &words) : 0;
        if (n) {
            write_integer(&words, out);
            at += n;
            continue;
        }
        if (!strncmp(at, "operator", 8) &&
            (at == name || !is_word(at[-1]))) { /* its own signs are no brackets */
            size_t signs = operator_signs(at + 8);
            buffer_add(out, at, 8 + signs);
            at += 8 + signs;
            continue;
        }
        at = take_sign(&made, at);
    }
}

const char *cxx_last_part(const char *name) {
    const char *last = name;
    int depth = 0;
    for (const char *at = name; *at; at++) {
        bool arrow = *at == '>' && at > name && at[-1] == '-';
        if (!depth && !strncmp(at, "operator", 8) && at == last) /* its signs are no brackets */
            break;
        depth += *at == '<' || *at == '(' ? 1 : (*at == '>' || *at == ')') && !arrow ? -1 : 0;
        if (!depth && at[0] == ':' && at[1] == ':')
            last = at + 2;
    }
    return last;
}
