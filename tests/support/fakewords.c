/* Events in words. */
#include "fakeinner.h"

static value_ref at(const struct buffer *event, const char *key) {
    return value_find(event, event_head(event)->body, key);
}

static const char *text_at(const struct buffer *event, value_ref object, const char *key) {
    const struct value *value = value_get(event, value_find(event, object, key));
    return value && value->kind == VALUE_STRING ? value_text(event, value) : "";
}

static const char *body_text(const struct buffer *event, const char *key) {
    return text_at(event, event_head(event)->body, key);
}

static unsigned number_at(const struct buffer *event, value_ref object, const char *key) {
    const struct value *value = value_get(event, value_find(event, object, key));
    double number = 0;
    return value && value_number(value, &number) ? (unsigned)number : 0;
}

static void tell_hit(const struct buffer *event) {
    const struct event *head = event_head(event);
    struct buffer values = BUFFER_INIT(1 << 16);
    const char *message = body_text(event, "message");
    if (*message)
        buffer_printf(&values, "\"%s\"", message);
    else
        value_json(event, at(event, "values"), &values);
    if (at(event, "elapsed_ns"))
        buffer_printf(&values, "%ums", number_at(event, head->body, "elapsed_ns") / 1000000);
    fake_word("%s#%u%s%s", event_string(event, head->probe), (unsigned)head->hit, values.data,
              at(event, "cut") ? "CUT" : "");
    buffer_free(&values);
}

/* The file's name and place are the recipe parser's to test. */
static void tell_error(const struct buffer *event) {
    fake_word("%s(%s)", body_text(event, "severity"), body_text(event, "message"));
}

static void tell_trip(const struct buffer *event) {
    fake_word("trip(%s:%s:%s)", body_text(event, "limit"), body_text(event, "was"),
              body_text(event, "do"));
}

static void tell_exit(const struct buffer *event) {
    const char *signal = at(event, "signal") ? "signal " : "";
    unsigned n = number_at(event, event_head(event)->body, *signal ? "signal" : "status");
    fake_word("exit(%s%u)", signal, n);
}

static void tell_probe(const struct buffer *event, value_ref probe, struct buffer *out) {
    static const char *const rest[] = {"rate_limited", "throttled", "unpaired", "lost"};
    const struct value *reached = value_get(event, value_find(event, probe, "reached"));
    buffer_printf(out, " %s:", text_at(event, probe, "probe"));
    if (reached && reached->kind == VALUE_NULL)
        buffer_puts(out, "?");
    else
        buffer_printf(out, "%u", number_at(event, probe, "reached"));
    buffer_printf(out, ">%u>%u", number_at(event, probe, "hits"),
                  number_at(event, probe, "emitted"));
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (number_at(event, probe, rest[i]))
            buffer_printf(out, ",%s=%u", rest[i], number_at(event, probe, rest[i]));
}

static void tell_end(const struct buffer *event) {
    struct buffer out = BUFFER_INIT(1 << 16);
    const struct value *probes = value_get(event, at(event, "probes"));
    for (value_ref p = probes ? probes->at : 0; p; p = value_get(event, p)->next)
        tell_probe(event, p, &out);
    const char *error = body_text(event, "error");
    fake_word("end(%s%s%s%s)", body_text(event, "reason"), *error ? ": " : "", error,
              out.data ? out.data : "");
    buffer_free(&out);
}

static void tell_armed(const struct buffer *event) {
    fake_word("armed(%s)", body_text(event, "found"));
}

void fake_tell(const struct buffer *event) {
    static void (*const tellers[])(const struct buffer *) = {
        [EVENT_ARMED] = tell_armed, [EVENT_HIT] = tell_hit,   [EVENT_LOG] = tell_hit,
        [EVENT_EXIT] = tell_exit,   [EVENT_TRIP] = tell_trip, [EVENT_ERROR] = tell_error,
        [EVENT_SIGNAL] = tell_hit,  [EVENT_END] = tell_end};
    tellers[event_head(event)->type](event);
}
