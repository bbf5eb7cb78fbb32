/* Delve's wire, read without copying: replies are lines of JSON (Go's encoder puts no newline
 * inside of one), and of a 10 KB reply to a continue a client needs a few hundred bytes. A span is
 * a JSON value inside such a line; walking skips what is not asked for. jansson decodes what is
 * kept. */
#pragma once

#include "base/buffer.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *at; /* NULL: absent */
    size_t len;
};

#define SPAN_DEPTH_MAX 512 /* nested values; a reply that goes deeper is refused */

struct span span_of(const char *text, size_t len);

/* Looks the members `names[0..n)` up in one pass; out[i].at is NULL for one that is not there.
 * False if `object` is no well-formed JSON object. */
bool span_members(struct span object, const char *const *names, struct span *out, size_t n);

/* The next element of an array: start with `*rest` = the array. False at its end or where it is no
 * well-formed array (`*broken` is then set). */
bool span_element(struct span *rest, struct span *element, bool *broken);

/* The same for an array of objects: the next one's members, in one pass. */
bool span_element_members(struct span *rest, const char *const *names, struct span *out, size_t n,
                          bool *broken);

/* 0, false and "" for null, absent, or another type. */
int64_t span_int(struct span span);
uint64_t span_uint(struct span span);
bool span_true(struct span span);
bool span_is_null(struct span span);                  /* absent counts as null */
bool span_equals(struct span span, const char *text); /* a string without escapes */

/* Decodes a span with jansson. Integers that jansson would refuse (beyond int64, as Delve's fake
 * addresses are) are quoted first: read numbers with delve_int()/delve_uint(). NULL if the text is
 * not JSON. `scratch` is overwritten. The caller owns the result. */
json_t *span_decode(struct span span, struct buffer *scratch);

/* Of a JSON integer, or of one that was quoted; 0 for anything else. */
int64_t delve_int(const json_t *json);
uint64_t delve_uint(const json_t *json);
const char *delve_text(const json_t *json); /* "" for anything but a string */

/* A line of the stream: the reply `id`, and its result or error. */
struct delve_reply {
    uint64_t id;
    struct span result, error; /* `error` is NULL-span where there was none */
};

/* False if the line is no reply of JSON-RPC 1.0. */
bool delve_reply_parse(struct span line, struct delve_reply *out);
