#include "delve/scan.h"

#include <stdlib.h>
#include <string.h>

struct span span_of(const char *text, size_t len) {
    return (struct span){text, len};
}

static const char *end_of(struct span span) {
    return span.at ? span.at + span.len : NULL;
}

static const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* Behind the closing quote of the string that starts at `p`, or NULL. */
static const char *skip_string(const char *p, const char *end) {
    const char *from = ++p;
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        size_t escapes = 0;
        while (p - escapes > from && p[-1 - (ptrdiff_t)escapes] == '\\')
            escapes++;
        p++;
        if (escapes % 2 == 0)
            return p;
    }
    return NULL;
}

/* What a byte means between the parts of an object or array: from C_QUOTE on, its nesting. */
enum { C_OTHER, C_BETWEEN, C_QUOTE, C_OPEN, C_CLOSE };

static const unsigned char classes[256] = {
    [','] = C_BETWEEN,  [':'] = C_BETWEEN,  [' '] = C_BETWEEN, ['\t'] = C_BETWEEN,
    ['\r'] = C_BETWEEN, ['\n'] = C_BETWEEN, ['"'] = C_QUOTE,   ['{'] = C_OPEN,
    ['['] = C_OPEN,     ['}'] = C_CLOSE,    [']'] = C_CLOSE};

/* Behind the object or array at `p`, or NULL. */
static const char *skip_composite(const char *p, const char *end) {
    int depth = 0;
    do {
        while (p < end && classes[(unsigned char)*p] < C_QUOTE)
            p++;
        if (p == end)
            return NULL;
        switch (classes[(unsigned char)*p]) {
        case C_QUOTE:
            if (!(p = skip_string(p, end)))
                return NULL;
            continue;
        case C_OPEN:
            if (++depth > SPAN_DEPTH_MAX)
                return NULL;
            break;
        default: depth--;
        }
        p++;
    } while (depth > 0);
    return p;
}

/* Behind the value at `p`, or NULL. Finds its end; the grammar within is jansson's to check, for
 * what is decoded. */
static const char *skip_value(const char *p, const char *end) {
    p = skip_space(p, end);
    if (p == end)
        return NULL;
    if (*p == '"')
        return skip_string(p, end);
    if (*p == '{' || *p == '[')
        return skip_composite(p, end);
    const char *from = p;
    while (p < end && classes[(unsigned char)*p] == C_OTHER)
        p++;
    return p == from ? NULL : p;
}

static size_t find_name(const char *key, size_t len, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (len && names[i][0] == key[0] && strlen(names[i]) == len && !memcmp(names[i], key, len))
            return i;
    return n;
}

/* Behind the object at `p`, or NULL. */
static const char *walk_members(const char *p, const char *end, const char *const *names,
                                struct span *out, size_t n) {
    memset(out, 0, n * sizeof *out);
    if (p == end || *p++ != '{')
        return NULL;
    if ((p = skip_space(p, end)) < end && *p == '}')
        return p + 1;
    while (p < end && *p == '"') {
        const char *key = p + 1, *key_end = skip_string(p, end);
        if (!key_end || (p = skip_space(key_end, end)) == end || *p++ != ':')
            return NULL;
        const char *value = skip_space(p, end);
        if (!(p = skip_value(value, end)))
            return NULL;
        size_t i = find_name(key, (size_t)(key_end - 1 - key), names, n);
        if (i < n)
            out[i] = span_of(value, (size_t)(p - value));
        p = skip_space(p, end);
        if (p < end && *p == '}')
            return p + 1;
        if (p == end || *p++ != ',')
            return NULL;
        p = skip_space(p, end);
    }
    return NULL;
}

bool span_members(struct span object, const char *const *names, struct span *out, size_t n) {
    const char *end = end_of(object);
    const char *p = walk_members(skip_space(object.at, end), end, names, out, n);
    return p && skip_space(p, end) == end;
}

/* Where the next element begins, or NULL. */
static const char *element_at(struct span rest, const char *end, bool *broken) {
    *broken = false;
    if (span_is_null(rest))
        return NULL;
    const char *p = skip_space(rest.at, end);
    *broken = p == end || (*p != '[' && *p != ',' && *p != ']');
    if (*broken || *p == ']')
        return NULL;
    bool first = *p == '[';
    p = skip_space(p + 1, end);
    if (p == end || *p != ']')
        return p;
    *broken = !first; /* [1,] */
    return NULL;
}

static bool element_ends(struct span *rest, const char *behind, const char *end, bool *broken) {
    *broken = !behind;
    if (*broken)
        return false;
    behind = skip_space(behind, end);
    *rest = span_of(behind, (size_t)(end - behind));
    return true;
}

bool span_element(struct span *rest, struct span *element, bool *broken) {
    const char *end = end_of(*rest), *p = element_at(*rest, end, broken);
    const char *behind = p ? skip_value(p, end) : NULL;
    if (!p || !element_ends(rest, behind, end, broken))
        return false;
    *element = span_of(p, (size_t)(behind - p));
    return true;
}

bool span_element_members(struct span *rest, const char *const *names, struct span *out, size_t n,
                          bool *broken) {
    const char *end = end_of(*rest), *p = element_at(*rest, end, broken);
    return p && element_ends(rest, walk_members(p, end, names, out, n), end, broken);
}

int64_t span_int(struct span span) {
    return span.at && span.len && span.len < 24 &&
                   (*span.at == '-' || (*span.at >= '0' && *span.at <= '9'))
               ? strtoll(span.at, NULL, 10)
               : 0;
}

uint64_t span_uint(struct span span) {
    return span.at && span.len && span.len < 24 && *span.at >= '0' && *span.at <= '9'
               ? strtoull(span.at, NULL, 10)
               : 0;
}

bool span_true(struct span span) {
    return span.len == 4 && !memcmp(span.at, "true", 4);
}

bool span_is_null(struct span span) {
    return !span.at || (span.len == 4 && !memcmp(span.at, "null", 4));
}

bool span_equals(struct span span, const char *text) {
    size_t n = strlen(text);
    return span.at && span.len == n + 2 && *span.at == '"' && !memcmp(span.at + 1, text, n);
}

/* Quotes integers of 19 digits and more; everything else is copied. */
static void quote_big(const char *p, const char *end, struct buffer *out) {
    while (p < end) {
        const char *from = p;
        if (*p == '"') {
            p = skip_string(p, end);
            if (!p)
                p = end;
            buffer_add(out, from, (size_t)(p - from));
            continue;
        }
        if (*p != '-' && (*p < '0' || *p > '9')) {
            while (p < end && *p != '"' && *p != '-' && (*p < '0' || *p > '9'))
                p++;
            buffer_add(out, from, (size_t)(p - from));
            continue;
        }
        size_t digits = 0;
        for (p++; p < end && *p >= '0' && *p <= '9'; p++)
            digits++;
        bool integer = p == end || (*p != '.' && (*p | 32) != 'e');
        bool big = integer && digits >= 18;
        if (big)
            buffer_putc(out, '"');
        buffer_add(out, from, (size_t)(p - from));
        if (big)
            buffer_putc(out, '"');
        while (p < end && !integer && (strchr("0123456789.eE+-", *p))) {
            buffer_putc(out, *p);
            p++;
        }
    }
}

json_t *span_decode(struct span span, struct buffer *scratch) {
    buffer_clear(scratch);
    if (!span.at)
        return NULL;
    quote_big(span.at, span.at + span.len, scratch);
    if (scratch->failed || !scratch->len)
        return NULL;
    return json_loadb(scratch->data, scratch->len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

int64_t delve_int(const json_t *json) {
    if (json_is_integer(json))
        return json_integer_value(json);
    char *end = NULL;
    const char *text = delve_text(json);
    long long number = strtoll(text, &end, 10);
    return *end || end == text ? 0 : number;
}

uint64_t delve_uint(const json_t *json) {
    if (json_is_integer(json))
        return (uint64_t)json_integer_value(json);
    char *end = NULL;
    const char *text = delve_text(json);
    unsigned long long number = strtoull(text, &end, 10);
    return *end || end == text ? 0 : number;
}

const char *delve_text(const json_t *json) {
    return json_is_string(json) ? json_string_value(json) : "";
}

/* Every reply of a success looks like {"id":N,"result":...,"error":null}: no need to walk through
 * the result to learn that. */
static bool parse_success(struct span line, struct delve_reply *out) {
    static const char head[] = "{\"id\":", middle[] = ",\"result\":", tail[] = ",\"error\":null}";
    size_t head_len = sizeof head - 1, middle_len = sizeof middle - 1, tail_len = sizeof tail - 1;
    if (line.len < head_len + middle_len + tail_len + 3 || memcmp(line.at, head, head_len) ||
        memcmp(line.at + line.len - tail_len, tail, tail_len))
        return false;
    size_t digits = 0;
    while (digits < 20 && line.at[head_len + digits] >= '0' && line.at[head_len + digits] <= '9')
        digits++;
    size_t at = head_len + digits;
    if (!digits || memcmp(line.at + at, middle, middle_len))
        return false;
    at += middle_len;
    *out = (struct delve_reply){.id = span_uint(span_of(line.at + head_len, digits)),
                                .result = span_of(line.at + at, line.len - tail_len - at)};
    return true;
}

bool delve_reply_parse(struct span line, struct delve_reply *out) {
    if (parse_success(line, out))
        return true;
    static const char *const names[] = {"id", "result", "error"};
    struct span found[3];
    if (!span_members(line, names, found, 3) || !found[0].at || *found[0].at < '0' ||
        *found[0].at > '9')
        return false;
    out->id = span_uint(found[0]);
    out->result = found[1];
    out->error = span_is_null(found[2]) ? (struct span){0} : found[2];
    return true;
}
