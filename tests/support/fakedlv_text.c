// Text, and members of what came as JSON.
#include "fakedlv.h"
#include <stdarg.h>

void die(const char *what) {
    fprintf(stderr, "fakedlv: %s\n", what);
    exit(EXIT_USAGE);
}

void *must(void *p) {
    if (!p)
        die("out of memory");
    return p;
}

void buf_room(struct buf *b, size_t n) {
    if (b->len + n + 1 <= b->cap)
        return;
    b->cap = (b->len + n + 1) * 2;
    b->p = must(realloc(b->p, b->cap));
}

void buf_add(struct buf *b, const void *p, size_t n) {
    buf_room(b, n);
    memcpy(b->p + b->len, p, n);
    b->len += n;
    b->p[b->len] = 0;
}

void put(struct buf *b, const char *s) {
    buf_add(b, s, strlen(s));
}

void putf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    buf_room(b, 256);
    va_start(ap, fmt);
    int n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
    va_end(ap);
    if ((size_t)n >= b->cap - b->len) {
        buf_room(b, (size_t)n + 1);
        va_start(ap, fmt);
        vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
}

void put_string(struct buf *b, const char *s) {
    put(b, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putf(b, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            putf(b, "\\u%04x", (unsigned)*s);
        else
            buf_add(b, s, 1);
    }
    put(b, "\"");
}

void put_json(struct buf *b, const json_t *j) {
    char *s = j ? json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    put(b, s ? s : "null");
    free(s);
}

const char *str_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

json_int_t int_of(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}
