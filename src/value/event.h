/* One event: a head, and a tree of values with the fields of its kind, in one buffer. The bytes of
 * that buffer are the event: they cross the pipe between worker and main unchanged. */
#pragma once

#include "value/value.h"

enum event_type {
    EVENT_RUN,
    EVENT_ARMED,
    EVENT_HIT,
    EVENT_LOG,
    EVENT_SIGNAL,
    EVENT_EXIT,
    EVENT_TRIP,
    EVENT_ERROR,
    EVENT_END,
};

struct event {
    uint32_t type;
    value_ref run, target, probe; /* strings; 0 where the event has none */
    uint64_t seq;                 /* per target, in the order stops were collected; 0 = none */
    uint64_t hit;                 /* the probe's own count; 0 = none */
    int64_t time_ns;              /* since the epoch, when the stop was seen */
    value_ref body;               /* an object: the other fields, in their order */
    uint32_t unused;
};

/* Starts an event in an emptied buffer. `target` and `probe` may be NULL. */
void event_begin(struct buffer *in, enum event_type type, const char *run, const char *target,
                 const char *probe, int64_t time_ns);

struct event *event_head(const struct buffer *in);
const char *event_type_name(enum event_type type);

/* The string behind one of the head's references, or NULL. */
const char *event_string(const struct buffer *in, value_ref ref);

/* Is this a whole event whose references stay inside? For bytes that came from elsewhere. */
bool event_valid(const struct buffer *in);

/* Appends the event's JSON, without a newline. */
void event_json(const struct buffer *in, struct buffer *out);

/* Appends the JSON Schema of what event_json() writes. */
void event_schema(struct buffer *out);
