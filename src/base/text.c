#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORD_MAX 96

unsigned text_distance(const char *a, const char *b, unsigned limit) {
    size_t la = strlen(a), lb = strlen(b);
    if (la > WORD_MAX || lb > WORD_MAX || (la > lb ? la - lb : lb - la) > limit)
        return limit + 1;
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned change = last[j - 1] + (a[i - 1] != b[j - 1]);
            unsigned drop = last[j] + 1, add = row[j - 1] + 1;
            row[j] = change < drop ? change : drop;
            row[j] = add < row[j] ? add : row[j];
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[lb] > limit ? limit + 1 : last[lb];
}

const char *text_nearest(const char *word, const char *(*candidate)(void *, size_t), void *ctx) {
    unsigned limit = (unsigned)strlen(word) / 3 + 1, best = limit + 1;
    const char *nearest = NULL, *name;
    for (size_t i = 0; (name = candidate(ctx, i)); i++) {
        unsigned distance = text_distance(word, name, limit);
        if (distance && distance < best && distance < strlen(name)) {
            best = distance;
            nearest = name;
        }
    }
    return nearest;
}

static const char *array_candidate(void *ctx, size_t i) {
    return ((const char *const *)ctx)[i];
}

const char *text_nearest_of(const char *word, const char *const *names) {
    return text_nearest(word, array_candidate, (void *)names);
}

static const struct {
    const char *name;
    enum unit_kind kind;
    double factor;
} units[] = {
    {"ns", UNIT_TIME, 1},      {"us", UNIT_TIME, 1e3},       {"ms", UNIT_TIME, 1e6},
    {"s", UNIT_TIME, 1e9},     {"m", UNIT_TIME, 60e9},       {"h", UNIT_TIME, 3600e9},
    {"k", UNIT_COUNT, 1e3},    {"M", UNIT_COUNT, 1e6},       {"G", UNIT_COUNT, 1e9},
    {"Ki", UNIT_COUNT, 1024},  {"Mi", UNIT_COUNT, 1048576},  {"Gi", UNIT_COUNT, 1073741824},
    {"kB", UNIT_COUNT, 1e3},   {"MB", UNIT_COUNT, 1e6},      {"GB", UNIT_COUNT, 1e9},
    {"KiB", UNIT_COUNT, 1024}, {"MiB", UNIT_COUNT, 1048576}, {"GiB", UNIT_COUNT, 1073741824},
    {"B", UNIT_COUNT, 1},      {"%", UNIT_PERCENT, 0.01},
};

bool text_unit(const char *unit, size_t len, enum unit_kind *kind, double *factor) {
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].name) == len && !memcmp(units[i].name, unit, len)) {
            *kind = units[i].kind;
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

bool text_quantity(const char *text, double *value, enum unit_kind *kind) {
    if (!isdigit((unsigned char)*text) && *text != '-' && *text != '.')
        return false;
    char *end;
    double factor = 1;
    *value = strtod(text, &end);
    *kind = UNIT_NONE;
    const char *digits = text + (*text == '-');
    if (end == text || !isfinite(*value) || (digits[0] == '0' && (digits[1] | 0x20) == 'x'))
        return false;
    if (*end && !text_unit(end, strlen(end), kind, &factor))
        return false;
    *value *= factor;
    return isfinite(*value);
}

const char *text_duration(char out[static 16], uint64_t ns) {
    static const struct {
        const char *unit;
        double factor;
    } steps[] = {{"h", 3600e9}, {"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if ((double)ns >= steps[i].factor) {
            snprintf(out, 16, "%.4g%s", (double)ns / steps[i].factor, steps[i].unit);
            return out;
        }
    }
    snprintf(out, 16, "%uns", (unsigned)ns);
    return out;
}

void text_double(struct buffer *out, double f) {
    char text[32];
    if (isnan(f) || isinf(f)) {
        buffer_puts(out, isnan(f) ? "NaN" : f < 0 ? "-Inf" : "+Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f);
        if (strtod(text, NULL) == f)
            break;
    }
    buffer_puts(out, text);
}

void text_duration_exact(struct buffer *out, double ns) {
    static const struct {
        const char *unit;
        double factor;
    } steps[] = {{"h", 3600e9}, {"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}};
    size_t i = 0, last = sizeof steps / sizeof *steps - 1;
    while (i < last &&
           (fabs(ns) < steps[i].factor || ns / steps[i].factor * steps[i].factor != ns ||
            (i < 2 && fmod(ns, steps[i].factor) != 0)))
        i++;
    text_double(out, ns / steps[i].factor);
    buffer_puts(out, steps[i].unit);
}

bool text_is_name(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '_' && *text != '-')
            return false;
    return true;
}

static size_t utf8_length(const unsigned char *p, size_t n) {
    size_t len = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
    if (!len || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

bool text_is_utf8(const char *bytes, size_t n) {
    const unsigned char *p = (const unsigned char *)bytes;
    while (n) {
        size_t len = utf8_length(p, n);
        if (!len)
            return false;
        p += len;
        n -= len;
    }
    return true;
}

uint64_t text_hash(const void *bytes, size_t n) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const uint8_t *at = bytes, *end = at + n; at < end; at++)
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    return hash;
}

void text_time(char out[static 32], int64_t ns) {
    int64_t rest = ns % 1000000000;
    rest += rest < 0 ? 1000000000 : 0;
    time_t seconds = (time_t)((ns - rest) / 1000000000);
    static _Thread_local char known[32]; /* of the second that the last event was in, too */
    static _Thread_local time_t of;
    if (!*known || of != seconds) {
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(known, sizeof known, "%Y-%m-%dT%H:%M:%S", &tm);
        of = seconds;
    }
    memcpy(out, known, 19);
    memcpy(out + 19, ".000000000Z", 12);
    for (char *at = out + 28; rest; rest /= 10)
        *at-- = (char)('0' + rest % 10);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64(struct buffer *out, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (; n; n -= n < 3 ? n : 3, p += 3) {
        unsigned group =
            (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        char quad[4] = {base64_digits[group >> 18], base64_digits[group >> 12 & 63],
                        n > 1 ? base64_digits[group >> 6 & 63] : '=',
                        n > 2 ? base64_digits[group & 63] : '='};
        buffer_add(out, quad, 4);
    }
}

bool text_unbase64(char *text, size_t *len) {
    size_t n = *len, out = 0;
    unsigned bits = 0, have = 0;
    if (n % 4)
        return false;
    for (int padding = 0; padding < 2 && n && text[n - 1] == '='; padding++)
        n--;
    for (size_t i = 0; i < n; i++) {
        const char *digit = text[i] ? strchr(base64_digits, text[i]) : NULL;
        if (!digit)
            return false;
        bits = bits << 6 | (unsigned)(digit - base64_digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            text[out++] = (char)(bits >> have & 0xff);
        }
    }
    *len = out;
    return true;
}

size_t text_whole(const char *bytes, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)bytes[n - back];
        size_t needs = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
        if ((c & 0xc0) != 0x80)
            return needs > back ? n - back : n;
    }
    return n;
}

void *array_grow(void *array, size_t *cap, size_t count, size_t size) {
    if (count < *cap)
        return array;
    size_t grown = *cap ? *cap * 2 : 8;
    void *memory = reallocarray(array, grown, size);
    if (memory)
        *cap = grown;
    return memory;
}
