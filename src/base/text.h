/* Small things about text that several layers need. */
#pragma once

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The candidate nearest to `word` by edit distance, or NULL if none is near enough to be meant.
 * `candidate(i)` yields the i-th name and NULL after the last. */
const char *text_nearest(const char *word, const char *(*candidate)(void *ctx, size_t i),
                         void *ctx);

/* The same over an array that ends with NULL. */
const char *text_nearest_of(const char *word, const char *const *names);

/* Edit distance (Damerau-Levenshtein, adjacent swaps count 1), at most `limit` + 1. */
unsigned text_distance(const char *a, const char *b, unsigned limit);

enum unit_kind { UNIT_NONE, UNIT_TIME, UNIT_COUNT, UNIT_PERCENT };

/* The factor of a unit: ns us ms s m h (to nanoseconds), k M G and Ki Mi Gi, with B behind them or
 * alone (KiB, MB, B), and % (0.01). False if `unit` is none of them. */
bool text_unit(const char *unit, size_t len, enum unit_kind *kind, double *factor);

/* "1h30m" is not accepted: one number, one unit. `kind` UNIT_NONE where no unit is given. */
bool text_quantity(const char *text, double *value, enum unit_kind *kind);

/* 5200000 -> "5.2ms"; at most 15 characters and the NUL. */
const char *text_duration(char out[static 16], uint64_t ns);

/* The shortest decimal text that reads back as `f`. Appends; NaN and infinities as NaN, +Inf, -Inf.
 */
void text_double(struct buffer *out, double f);

/* Nanoseconds without rounding: 1234567 -> "1.234567ms". Appends. */
void text_duration_exact(struct buffer *out, double ns);

/* How many of the first `n` bytes are left when the UTF-8 sequence that the cut goes through is
 * taken off. Bytes that begin no sequence are there because the text has them: they stay. */
size_t text_whole(const char *bytes, size_t n);

bool text_is_name(const char *text);
bool text_is_utf8(const char *bytes, size_t n);

/* FNV-1a, 64 bits: for tables and names, not against those who seek two alike. */
uint64_t text_hash(const void *bytes, size_t n);

/* Nanoseconds since the epoch as RFC 3339 UTC with nine digits: 30 characters and the NUL. */
void text_time(char out[static 32], int64_t ns);

/* Standard base64 with padding, appended. */
void text_base64(struct buffer *out, const void *bytes, size_t n);

/* Decodes in place; false if it is not base64. */
bool text_unbase64(char *text, size_t *len);

/* Grows an array by doubling until it has room for one more than `count` elements of `size` bytes.
 * The new place, or NULL without memory (the old array stays). */
void *array_grow(void *array, size_t *cap, size_t count, size_t size);

/* A pointer to one more, zeroed element at the end of `array`, or NULL without memory. */
#define ARRAY_ADD(array, count, cap)                                                               \
    ({                                                                                             \
        void *grown_ = array_grow((array), &(cap), (count), sizeof *(array));                      \
        if (grown_) {                                                                              \
            (array) = grown_;                                                                      \
            memset(&(array)[count], 0, sizeof *(array));                                           \
        }                                                                                          \
        grown_ ? &(array)[(count)++] : NULL;                                                       \
    })
