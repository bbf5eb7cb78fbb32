#include "value/event.h"

#include "base/text.h"
#include <string.h>

static const char *const names[] = {
    [EVENT_RUN] = "run",   [EVENT_ARMED] = "armed",   [EVENT_HIT] = "hit",
    [EVENT_LOG] = "log",   [EVENT_SIGNAL] = "signal", [EVENT_EXIT] = "exit",
    [EVENT_TRIP] = "trip", [EVENT_ERROR] = "error",   [EVENT_END] = "end",
};
_Static_assert(sizeof names / sizeof *names == EVENT_END + 1, "every type has a name");
_Static_assert(sizeof(struct event) % _Alignof(struct value) == 0, "values follow the head");

struct event *event_head(const struct buffer *in) {
    return (struct event *)in->data;
}

const char *event_type_name(enum event_type type) {
    return names[type];
}

static value_ref string_or_none(struct buffer *in, const char *text) {
    return text ? value_string(in, text, strlen(text)) : 0;
}

void event_begin(struct buffer *in, enum event_type type, const char *run, const char *target,
                 const char *probe, int64_t time_ns) {
    struct event head = {.type = type, .time_ns = time_ns};
    buffer_clear(in);
    buffer_add(in, &head, sizeof head);
    value_ref run_ref = string_or_none(in, run), target_ref = string_or_none(in, target);
    value_ref probe_ref = string_or_none(in, probe), body = value_new(in, VALUE_OBJECT);
    if (in->failed)
        return;
    struct event *event = event_head(in);
    event->run = run_ref;
    event->target = target_ref;
    event->probe = probe_ref;
    event->body = body;
}

const char *event_string(const struct buffer *in, value_ref ref) {
    const struct value *value = value_get(in, ref);
    return value && value->kind == VALUE_STRING ? value_text(in, value) : NULL;
}

bool event_valid(const struct buffer *in) {
    if (in->len < sizeof(struct event) || event_head(in)->type > EVENT_END)
        return false;
    const struct event *event = event_head(in);
    const value_ref names[] = {event->run, event->target, event->probe};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && (!event_string(in, names[i]) || !value_valid(in, names[i])))
            return false;
    const struct value *body = value_get(in, event->body);
    return body && body->kind == VALUE_OBJECT && value_valid(in, event->body);
}

static void write_name(const struct buffer *in, struct buffer *out, const char *key,
                       value_ref ref) {
    const char *text = event_string(in, ref);
    if (!text)
        return;
    buffer_puts(out, key);
    value_json_string(out, text, strlen(text));
}

static void write_count(struct buffer *out, const char *key, uint64_t n) {
    if (!n)
        return;
    buffer_puts(out, key);
    buffer_put_uint(out, n);
}

void event_json(const struct buffer *in, struct buffer *out) {
    const struct event *event = event_head(in);
    char time[32];
    text_time(time, event->time_ns);
    buffer_puts(out, "{\"v\":1,\"type\":\"");
    buffer_puts(out, names[event->type]);
    buffer_puts(out, "\",\"time\":\"");
    buffer_puts(out, time);
    buffer_putc(out, '"');
    write_name(in, out, ",\"run\":", event->run);
    write_name(in, out, ",\"target\":", event->target);
    write_count(out, ",\"seq\":", event->seq);
    write_name(in, out, ",\"probe\":", event->probe);
    write_count(out, ",\"hit\":", event->hit);
    const struct value *body = value_get(in, event->body);
    if (!body->len) {
        buffer_putc(out, '}');
        return;
    }
    size_t at = out->len;
    value_json(in, event->body, out);
    if (!out->failed)
        out->data[at] = ','; /* the body's own '{' */
}
