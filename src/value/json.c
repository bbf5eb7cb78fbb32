/* struct value to JSON, one writer a kind. */
#include "base/text.h"
#include "value/value.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* 2^53 - 1: beyond it jq and JavaScript lose digits. */
#define EXACT_MAX INT64_C(9007199254740991)
#define NEST_MAX 64

static void write_value(const struct buffer *in, value_ref ref, struct buffer *out, int nest);

void value_json_string(struct buffer *out, const char *text, size_t n) {
    buffer_putc(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buffer_add(out, text + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", c);
        else if (c == '\n' || c == '\t' || c == '\r')
            buffer_puts(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        else
            buffer_printf(out, "\\u%04x", c);
    }
    buffer_add(out, text + start, n - start);
    buffer_putc(out, '"');
}

static void write_double(struct buffer *out, double f) {
    bool plain = isfinite(f);
    buffer_puts(out, plain ? "" : "\"");
    text_double(out, f);
    buffer_puts(out, plain ? "" : "\"");
}

static void write_null(const struct buffer *in, const struct value *v, struct buffer *out,
                       int nest) {
    (void)in, (void)v, (void)nest;
    buffer_puts(out, "null");
}

static void write_bool(const struct buffer *in, const struct value *v, struct buffer *out,
                       int nest) {
    (void)in, (void)nest;
    buffer_puts(out, v->b ? "true" : "false");
}

/* What a double cannot hold exactly is written as a text. */
static void put_number(struct buffer *out, bool negative, uint64_t n) {
    const char *quote = n > (uint64_t)EXACT_MAX ? "\"" : "";
    buffer_puts(out, quote);
    buffer_puts(out, negative ? "-" : "");
    buffer_put_uint(out, n);
    buffer_puts(out, quote);
}

static void write_int(const struct buffer *in, const struct value *v, struct buffer *out,
                      int nest) {
    (void)in, (void)nest;
    put_number(out, v->i < 0, v->i < 0 ? -(uint64_t)v->i : (uint64_t)v->i);
}

static void write_uint(const struct buffer *in, const struct value *v, struct buffer *out,
                       int nest) {
    (void)in, (void)nest;
    put_number(out, false, v->u);
}

static void write_float(const struct buffer *in, const struct value *v, struct buffer *out,
                        int nest) {
    (void)in, (void)nest;
    write_double(out, v->f);
}

static void write_complex(const struct buffer *in, const struct value *v, struct buffer *out,
                          int nest) {
    (void)in, (void)nest;
    buffer_puts(out, "{\"$complex\":[");
    write_double(out, v->complex.re);
    buffer_putc(out, ',');
    write_double(out, v->complex.im);
    buffer_puts(out, "]}");
}

static void write_string(const struct buffer *in, const struct value *v, struct buffer *out,
                         int nest) {
    (void)nest;
    value_json_string(out, value_text(in, v), v->len);
}

static void write_bytes(const struct buffer *in, const struct value *v, struct buffer *out,
                        int nest) {
    (void)nest;
    buffer_puts(out, "{\"$bytes\":\"");
    text_base64(out, value_text(in, v), v->len);
    buffer_puts(out, "\"}");
}

static void write_list(const struct buffer *in, const struct value *v, struct buffer *out,
                       int nest) {
    buffer_putc(out, '[');
    for (value_ref at = v->at; at; at = value_get(in, at)->next) {
        if (at != v->at)
            buffer_putc(out, ',');
        write_value(in, at, out, nest);
    }
    buffer_putc(out, ']');
}

static void write_object(const struct buffer *in, const struct value *v, struct buffer *out,
                         int nest) {
    buffer_putc(out, '{');
    for (value_ref at = v->at; at; at = value_get(in, at)->next) {
        const struct value *child = value_get(in, at);
        if (at != v->at)
            buffer_putc(out, ',');
        value_json_string(out, value_key(in, child), child->key_len);
        buffer_putc(out, ':');
        write_value(in, at, out, nest);
    }
    buffer_putc(out, '}');
}

static void write_pairs(const struct buffer *in, const struct value *v, struct buffer *out,
                        int nest) {
    buffer_putc(out, '[');
    bool key = true;
    for (value_ref at = v->at; at; at = value_get(in, at)->next, key = !key) {
        buffer_puts(out, !key ? "," : at == v->at ? "[" : ",[");
        write_value(in, at, out, nest);
        if (!key)
            buffer_putc(out, ']');
    }
    buffer_putc(out, ']');
}

static void write_address(const struct buffer *in, const struct value *v, struct buffer *out,
                          int nest) {
    (void)in, (void)nest;
    buffer_printf(out, "{\"%s\":\"0x%" PRIx64 "\"}", v->kind == VALUE_PTR ? "$ptr" : "$chan", v->u);
}

static void write_marked(const struct buffer *in, const struct value *v, struct buffer *out,
                         int nest) {
    (void)nest;
    buffer_puts(out, v->kind == VALUE_FUNC ? "{\"$func\":" : "{\"$error\":");
    value_json_string(out, value_text(in, v), v->len);
    buffer_putc(out, '}');
}

static void write_redacted(const struct buffer *in, const struct value *v, struct buffer *out,
                           int nest) {
    (void)in, (void)v, (void)nest;
    buffer_puts(out, "{\"$redacted\":true}");
}

typedef void writer(const struct buffer *in, const struct value *v, struct buffer *out, int nest);

static writer *const writers[] = {
    [VALUE_NULL] = write_null,     [VALUE_BOOL] = write_bool,
    [VALUE_INT] = write_int,       [VALUE_UINT] = write_uint,
    [VALUE_FLOAT] = write_float,   [VALUE_COMPLEX] = write_complex,
    [VALUE_STRING] = write_string, [VALUE_BYTES] = write_bytes,
    [VALUE_LIST] = write_list,     [VALUE_OBJECT] = write_object,
    [VALUE_PAIRS] = write_pairs,   [VALUE_PTR] = write_address,
    [VALUE_FUNC] = write_marked,   [VALUE_CHAN] = write_address,
    [VALUE_ERROR] = write_marked,  [VALUE_REDACTED] = write_redacted,
};
_Static_assert(sizeof writers / sizeof *writers == VALUE_REDACTED + 1, "every kind has a writer");

static void write_value(const struct buffer *in, value_ref ref, struct buffer *out, int nest) {
    const struct value *v = value_get(in, ref);
    if (!v || v->kind > VALUE_REDACTED || nest > NEST_MAX) {
        buffer_puts(out, "null");
        return;
    }
    if (v->flags & VALUE_TRUNCATED)
        buffer_printf(out,
                      v->of <= (uint64_t)EXACT_MAX
                          ? "{\"$truncated\":{\"of\":%" PRIu64 ",\"value\":"
                          : "{\"$truncated\":{\"of\":\"%" PRIu64 "\",\"value\":",
                      v->of);
    writers[v->kind](in, v, out, nest + 1);
    if (v->flags & VALUE_TRUNCATED)
        buffer_puts(out, "}}");
}

void value_json(const struct buffer *in, value_ref ref, struct buffer *out) {
    write_value(in, ref, out, 0);
}
