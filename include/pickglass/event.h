/* Events, as a callback sees them. All pointers are good during the callback. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pick_event pick_event;

/* "run", "armed", "hit", "log", "exit", "trip", "error", "end", ... */
const char *pick_event_type(const pick_event *event);

/* NULL where the event has none. */
const char *pick_event_target(const pick_event *event);
const char *pick_event_probe(const pick_event *event);

uint64_t pick_event_seq(const pick_event *event);    /* 0: none */
int64_t pick_event_time_ns(const pick_event *event); /* since the epoch */

/* One value inside of an event, by path: "values.n", "location.line", "stack.0.function". A key
 * with a dot in it is found too: the longest that fits is taken first. */
typedef struct pick_value {
    const void *event; /* for the library */
    uint32_t ref;      /* 0: there is no such value */
} pick_value;

pick_value pick_event_value(const pick_event *event, const char *path);

/* False where the value is of another kind. */
bool pick_value_int(pick_value value, int64_t *out);
bool pick_value_double(pick_value value, double *out);
bool pick_value_bool(pick_value value, bool *out);

/* The bytes of a string or []byte; not always NUL-terminated. */
bool pick_value_text(pick_value value, const char **text, size_t *len);

/* Why it could not be read; NULL if it could. */
const char *pick_value_error(pick_value value);

/* The number of children, and the i-th; *key is NULL in lists. */
size_t pick_value_count(pick_value value);
pick_value pick_value_child(pick_value value, size_t i, const char **key);

/* The next child of the same parent; ref 0 after the last. */
pick_value pick_value_next(pick_value value);

/* The JSON of docs/events.md; free() it. NULL without memory. */
char *pick_event_json(const pick_event *event);
char *pick_value_json(pick_value value);

#ifdef __cplusplus
}
#endif
