/* What was seen in a target: a tree of values in one pointer-free buffer.
 *
 * A tree lives in a `struct buffer` and is addressed by offsets, so ring, pipe and recording copy
 * it as it is. All builders append to that buffer and return the new value's offset; when the
 * buffer is full they return 0, which every other function accepts as 'no value', and the buffer's
 * `failed` says so at the end. Pointers into the buffer are good until the next append. */
#pragma once

#include "base/buffer.h"
#include <stdbool.h>
#include <stdint.h>

typedef uint32_t value_ref; /* an offset into the buffer; 0 is 'none' */

enum value_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,     /* i */
    VALUE_UINT,    /* u */
    VALUE_FLOAT,   /* f */
    VALUE_COMPLEX, /* complex */
    VALUE_STRING,  /* valid UTF-8 */
    VALUE_BYTES,
    VALUE_LIST,     /* arrays, slices */
    VALUE_OBJECT,   /* structs, maps with string keys; every child has a key */
    VALUE_PAIRS,    /* maps with other keys: children are key, value, key, value */
    VALUE_PTR,      /* u: an address that was not followed */
    VALUE_FUNC,     /* text: the function's name */
    VALUE_CHAN,     /* u: address */
    VALUE_ERROR,    /* text: why it could not be read */
    VALUE_REDACTED, /* it was there and is withheld */
};

#define VALUE_TRUNCATED 1 /* flag: `of` says how long it really is */

struct value {
    uint8_t kind;
    uint8_t flags;
    uint16_t unused;
    value_ref next; /* the next child of the same parent */
    uint32_t key;   /* offset of the key's bytes, NUL-terminated; 0 where there is none */
    uint32_t key_len;
    uint32_t len;   /* bytes of a text, children of a composite */
    uint32_t at;    /* offset of a text (NUL-terminated), or the first child */
    value_ref last; /* the last child */
    uint32_t unused2;
    uint64_t of; /* bytes or elements there were, with VALUE_TRUNCATED */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double f;
        struct {
            double re, im;
        } complex;
    };
};

/* NULL for 0 and for offsets outside of the buffer. */
struct value *value_get(const struct buffer *in, value_ref ref);
const char *value_text(const struct buffer *in, const struct value *value); /* "" if it has none */
const char *value_key(const struct buffer *in, const struct value *value);

value_ref value_new(struct buffer *in, enum value_kind kind);
value_ref value_bool(struct buffer *in, bool b);
value_ref value_int(struct buffer *in, int64_t i);
value_ref value_uint(struct buffer *in, uint64_t u);
value_ref value_float(struct buffer *in, double f);
value_ref value_address(struct buffer *in, enum value_kind kind, uint64_t address);

/* VALUE_STRING, or VALUE_BYTES where `bytes` is not UTF-8. */
value_ref value_string(struct buffer *in, const char *bytes, size_t n);

/* `kind` is one of those with a text. */
value_ref value_texted(struct buffer *in, enum value_kind kind, const char *bytes, size_t n);
value_ref value_error(struct buffer *in, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends `child` to a composite. A child belongs to one parent. */
void value_append(struct buffer *in, value_ref parent, value_ref child);
void value_set(struct buffer *in, value_ref parent, const char *key, value_ref child);
void value_set_n(struct buffer *in, value_ref parent, const char *key, size_t n, value_ref child);
void value_set_text(struct buffer *in, value_ref parent, const char *key, const char *text);

void value_truncate(struct buffer *in, value_ref ref, uint64_t of);

/* The child with this key, or 0. */
value_ref value_find(const struct buffer *in, value_ref parent, const char *key);

/* A deep copy into another buffer (or the same). */
value_ref value_copy(struct buffer *into, const struct buffer *from, value_ref ref);

/* Does the whole tree stay inside of the buffer, without circles? For bytes that came from
 * elsewhere. */
bool value_valid(const struct buffer *in, value_ref ref);

/* A number as a double; false for what is none. */
bool value_number(const struct value *value, double *out);

/* Appends the JSON of recipe.md: one line, no spaces. 0 is null. */
void value_json(const struct buffer *in, value_ref ref, struct buffer *out);
void value_json_string(struct buffer *out, const char *text, size_t n);
