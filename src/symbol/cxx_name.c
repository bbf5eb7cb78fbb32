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

void cxx_canonical(const char *name, struct buffer *out) {
    if (!strchr(name, '<')) {
        buffer_puts(out, name);
        return;
    }
    int depth = 0;
    for (const char *at = name; *at;) {
        struct words words = {0};
        size_t n = depth && (at == name || !is_word(at[-1])) ? take_integer(at, &words) : 0;
        if (n) {
            write_integer(&words, out);
            at += n;
            continue;
        }
        bool bracket = !strncmp(at, "operator", 8);
        if (bracket) { /* its own signs are no brackets */
            while (*at && *at != '(' && !isspace((unsigned char)*at))
                buffer_putc(out, *at++);
            continue;
        }
        depth += *at == '<' ? 1 : *at == '>' && depth ? -1 : 0;
        char last = out->len ? out->data[out->len - 1] : 0;
        if (*at == ',') {
            buffer_puts(out, ", ");
            at++;
            at += strspn(at, " ");
            continue;
        }
        if (*at == '>' && last == '>')
            buffer_putc(out, ' ');
        if (*at == ' ' && (last == ' ' || at[1] == '>')) {
            at++;
            continue;
        }
        buffer_putc(out, *at++);
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
