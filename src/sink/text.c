/* Text for people: a line an event, what matters first. */
#include "base/text.h"
#include "sink/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define DIM "\x1b[2m"
#define BOLD "\x1b[1m"
#define RED "\x1b[31m"
#define YELLOW "\x1b[33m"
#define CYAN "\x1b[36m"
#define PLAIN "\x1b[0m"

static void paint(const struct sink *sink, struct buffer *out, const char *code) {
    if (sink->colour)
        buffer_puts(out, code);
}

static value_ref body_of(const struct buffer *event) {
    return event_head(event)->body;
}

static const char *text_at(const struct buffer *event, value_ref object, const char *key) {
    const struct value *value = value_get(event, value_find(event, object, key));
    return value && value->kind == VALUE_STRING ? value_text(event, value) : "";
}

static uint64_t number_at(const struct buffer *event, value_ref object, const char *key) {
    const struct value *value = value_get(event, value_find(event, object, key));
    double number = 0;
    return value && value_number(value, &number) && number > 0 ? (uint64_t)number : 0;
}

static void put_head(struct sink *sink, const struct buffer *event, struct buffer *out,
                     const char *word) {
    const struct event *head = event_head(event);
    time_t seconds = (time_t)(head->time_ns / 1000000000);
    struct tm tm;
    const char *target = event_string(event, head->target);
    localtime_r(&seconds, &tm);
    paint(sink, out, DIM);
    buffer_printf(out, "%02d:%02d:%02d.%06u ", tm.tm_hour, tm.tm_min, tm.tm_sec,
                  (unsigned)(head->time_ns % 1000000000 / 1000));
    paint(sink, out, PLAIN);
    if (sink->many_targets && target)
        buffer_printf(out, "%-*s ", (int)sink->target_width, target);
    paint(sink, out, BOLD);
    buffer_printf(out, "%-*s", (int)sink->probe_width, word);
    paint(sink, out, PLAIN);
}

static const char *short_file(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* One value, short enough for a line. */
static void put_value(const struct buffer *event, value_ref ref, struct buffer *out) {
    size_t at = out->len;
    value_json(event, ref, out);
    if (out->len - at > 200) {
        out->len = at + 197;
        while (out->len > at && ((unsigned char)out->data[out->len] & 0xc0) == 0x80)
            out->len--;
        buffer_puts(out, "...");
    }
}

static void put_members(struct sink *sink, const struct buffer *event, value_ref object,
                        struct buffer *out) {
    const struct value *value = value_get(event, object);
    for (value_ref at = value && value->kind == VALUE_OBJECT ? value->at : 0; at;) {
        const struct value *child = value_get(event, at);
        buffer_putc(out, ' ');
        paint(sink, out, CYAN);
        buffer_add(out, value_key(event, child), child->key_len);
        paint(sink, out, PLAIN);
        buffer_putc(out, '=');
        put_value(event, at, out);
        at = value_get(event, at)->next;
    }
}

static void put_place(struct sink *sink, const struct buffer *event, struct buffer *out) {
    value_ref location = value_find(event, body_of(event), "location");
    value_ref goroutine = value_find(event, body_of(event), "goroutine");
    if (!location)
        return;
    paint(sink, out, DIM);
    buffer_printf(out, "  %s %s:%" PRIu64, text_at(event, location, "function"),
                  short_file(text_at(event, location, "file")), number_at(event, location, "line"));
    if (goroutine)
        buffer_printf(out, " g%" PRIu64, number_at(event, goroutine, "id"));
    paint(sink, out, PLAIN);
}

static void put_stack(struct sink *sink, const struct buffer *event, struct buffer *out) {
    const struct value *stack = value_get(event, value_find(event, body_of(event), "stack"));
    int depth = 0;
    for (value_ref at = stack ? stack->at : 0; at; at = value_get(event, at)->next) {
        paint(sink, out, DIM);
        buffer_printf(out, "\n%*s%2d  %s  %s:%" PRIu64, 16, "", depth++,
                      text_at(event, at, "function"), text_at(event, at, "file"),
                      number_at(event, at, "line"));
        paint(sink, out, PLAIN);
    }
}

static void write_hit(struct sink *sink, const struct buffer *event, struct buffer *out) {
    value_ref body = body_of(event);
    char text[16];
    put_head(sink, event, out, event_string(event, event_head(event)->probe));
    const char *message = text_at(event, body, "message");
    if (*message)
        buffer_printf(out, " %s", message);
    else
        put_members(sink, event, value_find(event, body, "values"), out);
    if (value_find(event, body, "elapsed_ns") && !*message)
        buffer_printf(out, " (%s)", text_duration(text, number_at(event, body, "elapsed_ns")));
    static const char *const extras[] = {"args", "locals", "registers", "goroutines"};
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        value_ref extra = value_find(event, body, extras[i]);
        if (!extra)
            continue;
        buffer_printf(out, "\n%*s%s: ", 16, "", extras[i]);
        value_json(event, extra, out);
    }
    put_place(sink, event, out);
    put_stack(sink, event, out);
}

static void write_armed(struct sink *sink, const struct buffer *event, struct buffer *out) {
    sink->many_targets |= value_find(event, body_of(event), "parent") != 0;
    value_ref server = value_find(event, body_of(event), "server");
    const struct value *probes = value_get(event, value_find(event, body_of(event), "probes"));
    put_head(sink, event, out, "armed");
    const char *command = text_at(event, body_of(event), "command");
    buffer_printf(out, " %s %s, %s, pid %" PRIu64 "%s%.60s%s, found %s",
                  text_at(event, server, "name"), text_at(event, server, "version"),
                  text_at(event, server, "language"), number_at(event, body_of(event), "pid"),
                  *command ? " (" : "", command, *command ? ")" : "",
                  text_at(event, body_of(event), "found"));
    for (value_ref at = probes ? probes->at : 0; at; at = value_get(event, at)->next) {
        const struct value *places = value_get(event, value_find(event, at, "places"));
        buffer_printf(out, "\n%*s%s: %s", 16, "", text_at(event, at, "probe"),
                      text_at(event, at, "trigger"));
        if (*text_at(event, at, "waits_for"))
            buffer_printf(out, ", waits for %s", text_at(event, at, "waits_for"));
        unsigned shown = 0;
        for (value_ref p = places ? places->at : 0; p && shown < 8; p = value_get(event, p)->next) {
            const char *file = text_at(event, p, "file");
            if (!*file)
                continue;
            buffer_printf(out, "%s %s %s:%" PRIu64, shown++ ? "," : "",
                          text_at(event, p, "function"), short_file(file),
                          number_at(event, p, "line"));
        }
    }
}

static void write_end(struct sink *sink, const struct buffer *event, struct buffer *out) {
    value_ref body = body_of(event);
    const struct value *probes = value_get(event, value_find(event, body, "probes"));
    char lasted[16], paused[16];
    if (!probes)
        return; /* the run's own end says nothing new to people who saw the targets' */
    put_head(sink, event, out, "end");
    buffer_printf(out, " %s after %s, paused %s", text_at(event, body, "reason"),
                  text_duration(lasted, number_at(event, body, "duration_ns")),
                  text_duration(paused, number_at(event, body, "paused_ns")));
    if (*text_at(event, body, "error")) {
        paint(sink, out, RED);
        buffer_printf(out, "\n%s", text_at(event, body, "error"));
        paint(sink, out, PLAIN);
    }
    for (value_ref at = probes->at; at; at = value_get(event, at)->next) {
        static const char *const extra[] = {"rate_limited", "throttled", "unpaired", "lost"};
        buffer_printf(out, "\n%*s%s: %" PRIu64 " hits, %" PRIu64 " emitted", 16, "",
                      text_at(event, at, "probe"), number_at(event, at, "hits"),
                      number_at(event, at, "emitted"));
        for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
            if (number_at(event, at, extra[i]))
                buffer_printf(out, ", %s %" PRIu64, extra[i], number_at(event, at, extra[i]));
    }
}

static void write_error(struct sink *sink, const struct buffer *event, struct buffer *out) {
    const char *severity = text_at(event, body_of(event), "severity");
    paint(sink, out, strcmp(severity, "error") ? YELLOW : RED);
    put_head(sink, event, out, severity);
    buffer_printf(out, " %s", text_at(event, body_of(event), "message"));
    paint(sink, out, PLAIN);
}

static void write_trip(struct sink *sink, const struct buffer *event, struct buffer *out) {
    value_ref body = body_of(event);
    const char *probe = event_string(event, event_head(event)->probe);
    paint(sink, out, YELLOW);
    put_head(sink, event, out, "trip");
    buffer_printf(out, " %s%s%s is %s, was %s: %s", probe ? probe : "", probe ? ": " : "",
                  text_at(event, body, "limit"), text_at(event, body, "is"),
                  text_at(event, body, "was"), text_at(event, body, "do"));
    paint(sink, out, PLAIN);
}

static void write_exit(struct sink *sink, const struct buffer *event, struct buffer *out) {
    value_ref body = body_of(event);
    bool signal = value_find(event, body, "signal");
    put_head(sink, event, out, "exit");
    buffer_printf(out, " the target ended with %s %" PRIu64, signal ? "signal" : "status",
                  number_at(event, body, signal ? "signal" : "status"));
}

static void write_run(struct sink *sink, const struct buffer *event, struct buffer *out) {
    const struct value *targets = value_get(event, value_find(event, body_of(event), "targets"));
    (void)out;
    sink->many_targets = targets && targets->len > 1;
}

typedef void writer(struct sink *sink, const struct buffer *event, struct buffer *out);

static writer *const writers[EVENT_END + 1] = {
    [EVENT_RUN] = write_run,   [EVENT_ARMED] = write_armed, [EVENT_HIT] = write_hit,
    [EVENT_LOG] = write_hit,   [EVENT_SIGNAL] = write_hit,  [EVENT_EXIT] = write_exit,
    [EVENT_TRIP] = write_trip, [EVENT_ERROR] = write_error, [EVENT_END] = write_end,
};

/* A column is as wide as the widest that it has had, within bounds. */
static void widen(unsigned *width, const char *text) {
    if (*width < 8)
        *width = 8;
    if (text && strlen(text) > *width && strlen(text) <= 20)
        *width = (unsigned)strlen(text);
}

static void write_event(struct sink *sink, const struct buffer *event, struct buffer *out) {
    widen(&sink->probe_width, event_string(event, event_head(event)->probe));
    widen(&sink->target_width, event_string(event, event_head(event)->target));
    size_t before = out->len; /* events that came together are written together */
    if (!writers[event_head(event)->type])
        return;
    writers[event_head(event)->type](sink, event, out);
    if (out->len > before)
        buffer_putc(out, '\n');
}

const struct sink_kind text_sink = {"text", " txt log text ", write_event};
