#include "value/value.h"

#include "base/text.h"
#include <stdio.h>
#include <string.h>

struct value *value_get(const struct buffer *in, value_ref ref) {
    if (!ref || ref % _Alignof(struct value) || in->len < sizeof(struct value) ||
        ref > in->len - sizeof(struct value))
        return NULL;
    return (struct value *)(in->data + ref);
}

const char *value_text(const struct buffer *in, const struct value *value) {
    return value->at && value->at + (size_t)value->len < in->len ? in->data + value->at : "";
}

const char *value_key(const struct buffer *in, const struct value *value) {
    return value->key && value->key + (size_t)value->key_len < in->len ? in->data + value->key : "";
}

value_ref value_new(struct buffer *in, enum value_kind kind) {
    size_t align = _Alignof(struct value), pad = (align - in->len % align) % align;
    pad += in->len ? 0 : align; /* offset 0 means 'none' */
    char *room = buffer_reserve(in, pad + sizeof(struct value));
    if (!room)
        return 0;
    memset(room, 0, pad + sizeof(struct value));
    value_ref ref = (value_ref)(in->len + pad);
    in->len += pad + sizeof(struct value);
    value_get(in, ref)->kind = (uint8_t)kind;
    return ref;
}

value_ref value_bool(struct buffer *in, bool b) {
    value_ref ref = value_new(in, VALUE_BOOL);
    if (ref)
        value_get(in, ref)->b = b;
    return ref;
}

value_ref value_int(struct buffer *in, int64_t i) {
    value_ref ref = value_new(in, VALUE_INT);
    if (ref)
        value_get(in, ref)->i = i;
    return ref;
}

value_ref value_uint(struct buffer *in, uint64_t u) {
    return value_address(in, VALUE_UINT, u);
}

value_ref value_address(struct buffer *in, enum value_kind kind, uint64_t address) {
    value_ref ref = value_new(in, kind);
    if (ref)
        value_get(in, ref)->u = address;
    return ref;
}

value_ref value_float(struct buffer *in, double f) {
    value_ref ref = value_new(in, VALUE_FLOAT);
    if (ref)
        value_get(in, ref)->f = f;
    return ref;
}

/* Text goes behind a NUL of its own, so offset 0 is never a text's. */
static uint32_t add_text(struct buffer *in, const char *bytes, size_t n) {
    uint32_t at = (uint32_t)in->len;
    char *room = buffer_reserve(in, n + 1);
    if (!room)
        return 0;
    if (n)
        memcpy(room, bytes, n);
    room[n] = '\0';
    in->len += n + 1;
    return at;
}

value_ref value_texted(struct buffer *in, enum value_kind kind, const char *bytes, size_t n) {
    value_ref ref = value_new(in, kind);
    uint32_t at = ref ? add_text(in, bytes, n) : 0;
    if (!at)
        return 0;
    value_get(in, ref)->at = at;
    value_get(in, ref)->len = (uint32_t)n;
    return ref;
}

value_ref value_string(struct buffer *in, const char *bytes, size_t n) {
    return value_texted(in, text_is_utf8(bytes, n) ? VALUE_STRING : VALUE_BYTES, bytes, n);
}

value_ref value_error(struct buffer *in, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t n = strlen(text);
    for (int cut = 0; cut < 3 && n && !text_is_utf8(text, n); cut++)
        n--; /* the end of a text that was too long */
    n = text_is_utf8(text, n) ? n : strlen(text);
    for (size_t i = 0; i < n && !text_is_utf8(text, n); i++)
        text[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    return value_texted(in, VALUE_ERROR, text, n);
}

void value_append(struct buffer *in, value_ref parent, value_ref child) {
    struct value *p = value_get(in, parent);
    if (!p || !child)
        return;
    if (p->last)
        value_get(in, p->last)->next = child;
    else
        p->at = child;
    p->last = child;
    p->len++;
}

void value_set_n(struct buffer *in, value_ref parent, const char *key, size_t n, value_ref child) {
    uint32_t at = child ? add_text(in, key, n) : 0;
    if (!at)
        return;
    value_get(in, child)->key = at;
    value_get(in, child)->key_len = (uint32_t)n;
    value_append(in, parent, child);
}

void value_set(struct buffer *in, value_ref parent, const char *key, value_ref child) {
    value_set_n(in, parent, key, strlen(key), child);
}

void value_set_text(struct buffer *in, value_ref parent, const char *key, const char *text) {
    value_set(in, parent, key, value_string(in, text, strlen(text)));
}

void value_truncate(struct buffer *in, value_ref ref, uint64_t of) {
    struct value *value = value_get(in, ref);
    if (!value)
        return;
    value->flags |= VALUE_TRUNCATED;
    value->of = of;
}

value_ref value_find(const struct buffer *in, value_ref parent, const char *key) {
    const struct value *p = value_get(in, parent);
    size_t n = strlen(key);
    for (value_ref at = p && p->kind == VALUE_OBJECT ? p->at : 0; at;) {
        const struct value *child = value_get(in, at);
        if (child->key_len == n && !memcmp(value_key(in, child), key, n))
            return at;
        at = child->next;
    }
    return 0;
}

static bool is_composite(const struct value *value) {
    return value->kind >= VALUE_LIST && value->kind <= VALUE_PAIRS;
}

static bool has_text(const struct value *value) {
    return value->kind == VALUE_STRING || value->kind == VALUE_BYTES || value->kind == VALUE_FUNC ||
           value->kind == VALUE_ERROR;
}

value_ref value_copy(struct buffer *into, const struct buffer *from, value_ref ref) {
    const struct value *value = value_get(from, ref);
    if (!value)
        return 0;
    struct value old = *value;
    /* `into` may be `from`: what is appended must not move what is read. */
    if (into == from &&
        !buffer_reserve(into, 2 * sizeof old + (size_t)old.len + 2 + _Alignof(struct value)))
        return 0;
    value_ref copy = has_text(&old) ? value_texted(into, old.kind, value_text(from, &old), old.len)
                                    : value_new(into, old.kind);
    if (!copy)
        return 0;
    struct value *fresh = value_get(into, copy);
    fresh->flags = old.flags;
    fresh->of = old.of;
    fresh->complex = old.complex; /* the widest member carries all the others */
    for (value_ref at = is_composite(&old) ? old.at : 0; at;) {
        value_ref child = value_copy(into, from, at);
        const struct value *source = value_get(from, at);
        if (source->key && into == from && !buffer_reserve(into, (size_t)source->key_len + 1))
            return 0;
        source = value_get(from, at);
        if (source->key)
            value_set_n(into, copy, value_key(from, source), source->key_len, child);
        else
            value_append(into, copy, child);
        at = value_get(from, at)->next;
    }
    return copy;
}

bool value_number(const struct value *value, double *out) {
    switch (value->kind) {
    case VALUE_INT: *out = (double)value->i; return true;
    case VALUE_UINT: *out = (double)value->u; return true;
    case VALUE_FLOAT: *out = value->f; return true;
    default: return false;
    }
}

#define VALID_DEPTH 64

static bool text_inside(const struct buffer *in, uint32_t at, uint32_t len) {
    return at && (size_t)at + len < in->len && in->data[at + len] == '\0';
}

/* `budget` bounds the walk: what is linked in a circle has more nodes than there is room for. */
static bool valid(const struct buffer *in, value_ref ref, size_t *budget, int depth) {
    const struct value *value = value_get(in, ref);
    if (!value || value->kind > VALUE_REDACTED || depth > VALID_DEPTH || !(*budget)--)
        return false;
    if (has_text(value))
        return text_inside(in, value->at, value->len);
    if (!is_composite(value))
        return value->kind != VALUE_BOOL || *(const unsigned char *)&value->b <= 1;
    uint32_t children = 0;
    for (value_ref at = value->at; at; at = value_get(in, at)->next, children++) {
        const struct value *child = value_get(in, at);
        if (!child || !valid(in, at, budget, depth + 1))
            return false;
        if (child->key ? !text_inside(in, child->key, child->key_len) : value->kind == VALUE_OBJECT)
            return false;
    }
    return children == value->len && (value->kind != VALUE_PAIRS || children % 2 == 0);
}

bool value_valid(const struct buffer *in, value_ref ref) {
    size_t budget = in->len / sizeof(struct value) + 1;
    return valid(in, ref, &budget, 0);
}
