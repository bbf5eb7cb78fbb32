/* Events. One is built in the session's buffer, finished, and handed on; hits have buffers of their
 * own, because they are built while the target is stopped and sent when it runs again. */
#include "session/state.h"

#include "base/secret.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CLOCKS_DIFFER_NS 200000 /* more than reading them in turn explains */

/* The clocks are read one after the other, with anything in between: what they differ by is kept,
 * so that times are in order, until somebody has set the one for people. */
int64_t report_wall_ns(uint64_t hrtime) {
    static int64_t differ;
    struct timespec now;
    uint64_t before = uv_hrtime();
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t between = (int64_t)(uv_hrtime() - before);
    int64_t found = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)before - between / 2;
    if (llabs(found - differ) > CLOCKS_DIFFER_NS + between)
        differ = found;
    return (int64_t)hrtime + differ;
}

struct buffer *report_begin(struct session *s, enum event_type type, const char *probe) {
    event_begin(&s->note, type, s->run, s->target, probe, report_wall_ns(uv_hrtime()));
    return &s->note;
}

void report_send(struct session *s, struct buffer *event) {
    if (!event->failed)
        s->hooks->event(s->ctx, event);
}

static value_ref body_of(const struct buffer *event) {
    return event_head(event)->body;
}

void report_error(struct session *s, const char *probe, const char *severity, const char *format,
                  ...) {
    struct buffer text = BUFFER_INIT(64 << 10);
    char message[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    buffer_puts(&text, message);
    secret_scrub(&text);
    struct buffer *event = report_begin(s, EVENT_ERROR, probe);
    value_set_text(event, body_of(event), "severity", severity);
    value_set_text(event, body_of(event), "message", text.data ? text.data : "");
    report_send(s, event);
    buffer_free(&text);
}

void report_trip(struct session *s, const char *probe, const char *limit, const char *is,
                 const char *was, const char *does, uint64_t lasted_ns) {
    struct buffer *event = report_begin(s, EVENT_TRIP, probe);
    value_ref body = body_of(event);
    value_set_text(event, body, "limit", limit);
    value_set_text(event, body, "is", is);
    value_set_text(event, body, "was", was);
    value_set_text(event, body, "do", does);
    if (lasted_ns)
        value_set(event, body, "lasted_ns", value_uint(event, lasted_ns));
    report_send(s, event);
}

/* ---- armed ---- */

static void describe_syscall(struct buffer *event, value_ref object, const struct place *place) {
    value_set_text(event, object, "syscall", place->function);
    value_set(event, object, "number", value_uint(event, place->addresses[0]));
}

static void describe_code(struct buffer *event, value_ref object, const struct place *place,
                          bool returns) {
    value_ref addresses = value_new(event, VALUE_LIST);
    value_set_text(event, object, "function", place->function);
    if (!returns) {
        value_set_text(event, object, "file", place->file);
        value_set(event, object, "line", value_int(event, place->line));
    }
    for (size_t k = 0; k < place->count; k++) {
        char text[24];
        snprintf(text, sizeof text, "0x%llx", (unsigned long long)place->addresses[k]);
        value_append(event, addresses, value_string(event, text, strlen(text)));
    }
    value_set(event, object, returns ? "returns" : "addresses", addresses);
}

static value_ref places_of(struct session *s, const struct probe_state *p, struct buffer *event) {
    value_ref list = value_new(event, VALUE_LIST);
    for (size_t q = 0; s->queries && q < 2; q++) {
        const struct query *query = &s->queries[2 * p->index + q];
        bool calls = query->location && query->location->syscalls;
        for (size_t i = 0; i < query->count && !(calls && query->returns); i++) {
            value_ref object = value_new(event, VALUE_OBJECT);
            if (calls)
                describe_syscall(event, object, &query->places[i]);
            else
                describe_code(event, object, &query->places[i], query->returns);
            value_append(event, list, object);
        }
    }
    return list;
}

static void describe_types(const struct probe_state *p, struct buffer *event, value_ref object) {
    const struct probe *probe = p->probe;
    value_ref types = value_new(event, VALUE_OBJECT);
    for (size_t i = 0; p->types && i < probe->capture_count + probe->return_count; i++) {
        const struct capture *capture = i < probe->capture_count
                                            ? &probe->captures[i]
                                            : &probe->at_return[i - probe->capture_count];
        if (p->types[i])
            value_set_text(event, types, capture->name, p->types[i]);
    }
    if (types && value_get(event, types)->len)
        value_set(event, object, "types", types);
}

/* Its location has no place, and that is no error: the library is not there yet. */
static const char *waits_for(const struct session *s, const struct probe_state *p) {
    const struct query *query = s->queries ? &s->queries[2 * p->index] : NULL;
    if (!query || !query->location || query[0].count || query[1].count)
        return NULL;
    return query->location->module ? query->location->module : "a library";
}

static value_ref describe_probe(struct session *s, const struct probe_state *p,
                                struct buffer *event) {
    const struct probe *probe = p->probe;
    value_ref object = value_new(event, VALUE_OBJECT);
    value_set_text(event, object, "probe", probe->name);
    value_set_text(event, object, "trigger", trigger_names[probe->trigger]);
    value_ref places = places_of(s, p, event);
    if (places && value_get(event, places)->len)
        value_set(event, object, "places", places);
    if (waits_for(s, p))
        value_set_text(event, object, "waits_for", waits_for(s, p));
    describe_types(p, event, object);
    if (probe->when)
        value_set_text(event, object, "when_decided_by", p->hidden ? "server" : "pickglass");
    unsigned copies = s->queries ? s->queries[2 * p->index].inlined_copies : 0;
    if (copies)
        value_set(event, object, "inlined_copies_left_out", value_int(event, copies));
    value_set_text(event, object, "stop",
                   s->ops->caps->stops_all || probe_stops_process(probe) ? "process" : "thread");
    return object;
}

void report_armed(struct session *s) {
    struct buffer *event = report_begin(s, EVENT_ARMED, NULL);
    value_ref body = body_of(event), server = value_new(event, VALUE_OBJECT);
    value_set(event, body, "pid", value_int(event, s->info.pid));
    if (s->info.command && *s->info.command)
        value_set_text(event, body, "command", s->info.command);
    value_set_text(event, server, "name", s->info.server);
    value_set_text(event, server, "version", s->info.version);
    value_set_text(event, server, "language", s->info.language);
    value_set(event, body, "server", server);
    value_set_text(event, body, "found",
                   s->info.parent      ? "forked"
                   : s->found_launch   ? "at_launch"
                   : s->info.suspended ? "stopped"
                   : s->was_running    ? "running"
                                       : "stopped");
    if (s->info.parent)
        value_set(event, body, "parent", value_int(event, s->info.parent));
    if (s->pause.server_ns)
        value_set(event, body, "stop_cost_ns", value_uint(event, s->pause.server_ns));
    value_ref list = value_new(event, VALUE_LIST);
    for (size_t i = 0; i < s->probe_count; i++)
        value_append(event, list, describe_probe(s, &s->probes[i], event));
    value_set(event, body, "probes", list);
    report_send(s, event);
}

void report_exit(struct session *s, const struct stop *stop) {
    const char *probe = NULL;
    for (size_t i = 0; i < s->probe_count; i++) {
        struct probe_state *p = &s->probes[i];
        if (p->probe->trigger != TRIGGER_EXIT || p->done || s->unfit)
            continue;
        probe = p->probe->name;
        p->reached++;
        p->hits++;
        p->emitted++;
        p->done = true;
        if (p->probe->then == DO_END_RUN)
            s->hooks->end_run(s->ctx, "then: end_run");
    }
    struct buffer *event = report_begin(s, EVENT_EXIT, probe);
    value_set(event, body_of(event), "pid", value_int(event, s->info.pid));
    value_set(event, body_of(event), stop->by_signal ? "signal" : "status",
              value_int(event, stop->exit_status));
    report_send(s, event);
}

/* ---- hits ---- */

void item_mark_cut(struct item *item) {
    if (item->cut && !value_find(&item->event, body_of(&item->event), "cut"))
        value_set(&item->event, body_of(&item->event), "cut", value_bool(&item->event, true));
}

void report_items(struct session *s, uint64_t pause_ns) {
    for (size_t i = 0; i < s->item_count; i++) {
        struct item *item = &s->items[i];
        if (!item->emit || !item_finish(s, item))
            continue;
        item->probe->emitted++;
        struct buffer *event = &item->event;
        event_head(event)->seq = ++s->seq;
        if (!event_head(event)->hit)
            event_head(event)->hit = item->hit_number;
        value_set(event, body_of(event), "pause_ns", value_uint(event, pause_ns));
        value_set_text(event, body_of(event), "pause", pause_kind(s));
        item_mark_cut(item);
        report_send(s, event);
    }
}

bool report_list(struct session *s, value_ref list, const struct buffer *in) {
    struct buffer event = BUFFER_INIT(LIST_BYTES);
    event_begin(&event, EVENT_LOG, s->run, s->target, NULL, report_wall_ns(uv_hrtime()));
    if (!in->failed && !event.failed)
        value_set(&event, body_of(&event), "list", value_copy(&event, in, list));
    bool fits = !in->failed && !event.failed;
    if (fits)
        report_send(s, &event);
    buffer_free(&event);
    return fits;
}

/* ---- end ---- */

static void warn(struct session *s, const struct probe *probe, struct error *error) {
    report_error(s, probe->name, "warning", "%s", error->message);
    error_free(error);
}

/* Of a family, many load only what they need; one that was refused had no time to. */
static void tell_never_loaded(struct session *s) {
    bool refused = s->unfit || (s->failure && s->failure->class == ERROR_RECIPE);
    if (!s->armed_told || s->options.mode != SESSION_RUN || refused || s->info.parent)
        return;
    for (size_t i = 0; i < s->probe_count; i++) {
        const struct probe *probe = s->probes[i].probe;
        if (!s->probes[i].placed && waits_for(s, &s->probes[i]))
            warn(s, probe,
                 recipe_error(probe->source, probe->at.mark,
                              "probe \"%s\" has waited for %s, which was never loaded", probe->name,
                              waits_for(s, &s->probes[i])));
    }
}

static value_ref account(const struct session *s, const struct probe_state *p,
                         struct buffer *event) {
    uint64_t lasted = s->armed_at_ns ? s->end_ns - s->armed_at_ns : 0;
    value_ref object = value_new(event, VALUE_OBJECT);
    value_set_text(event, object, "probe", p->probe->name);
    value_set(event, object, "reached",
              p->hidden ? value_new(event, VALUE_NULL) : value_uint(event, p->reached));
    const struct {
        const char *key;
        uint64_t n;
    } counts[] = {{"hits", p->hits},
                  {"emitted", p->emitted},
                  {"rate_limited", p->rate_limited},
                  {"throttled", p->throttled},
                  {"unpaired", p->unpaired + p->call_count},
                  {"lost", p->lost}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        value_set(event, object, counts[i].key, value_uint(event, counts[i].n));
    double share = lasted ? (double)p->armed_ns / (double)lasted : 0;
    share = share > 1 ? 1 : share; /* arming itself takes a moment before `armed` is told */
    value_set(event, object, "armed_share",
              value_float(event, (double)(int)(share * 10000 + 0.5) / 10000));
    return object;
}

static void put_wire(struct session *s, struct buffer *event) {
    struct backend_wire wire;
    if (!s->backend || !s->ops->wire)
        return;
    s->ops->wire(s->backend, &wire);
    value_ref object = value_new(event, VALUE_OBJECT);
    const struct {
        const char *key;
        uint64_t n;
    } counts[] = {{"requests", wire.requests},
                  {"writes", wire.writes},
                  {"round_trips", wire.round_trips},
                  {"hit_stops", wire.hit_stops},
                  {"hit_round_trips", wire.hit_round_trips}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        value_set(event, object, counts[i].key, value_uint(event, counts[i].n));
    value_set(event, body_of(event), "wire", object);
}

void report_end(struct session *s) {
    pause_take_false(s);
    tell_never_loaded(s);
    for (size_t i = 0; i < s->spot_count; i++)
        s->spots[i]->members[0].probe->hidden |= s->spots[i]->site.filters;
    struct buffer *event = report_begin(s, EVENT_END, NULL);
    value_ref body = body_of(event), probes = value_new(event, VALUE_LIST);
    uint64_t lasted = s->armed_at_ns ? s->end_ns - s->armed_at_ns : 0;
    value_set_text(event, body, "reason", s->end_reason ? s->end_reason : "done");
    if (s->failure) {
        struct buffer text = BUFFER_INIT(1 << 20);
        buffer_puts(&text, s->failure->message);
        secret_scrub(&text);
        value_set_text(event, body, "error", text.data ? text.data : "");
        buffer_free(&text);
    }
    value_set(event, body, "duration_ns", value_uint(event, lasted));
    value_set(event, body, "paused_ns", value_uint(event, s->pause.total_ns));
    value_set_text(event, body, "pause", pause_kind(s));
    value_set(event, body, "stops", value_uint(event, s->pause.stops));
    value_set(event, body, "held_ns", value_uint(event, s->pause.held_ns));
    put_wire(s, event);
    for (size_t i = 0; i < s->probe_count; i++)
        value_append(event, probes, account(s, &s->probes[i], event));
    value_set(event, body, "probes", probes);
    report_send(s, event);
}
