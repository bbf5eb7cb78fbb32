/* A hit on its way through its probe: after ▸ when ▸ hit_cond ▸ rate ▸ max_hits ▸ capture ▸ keep.
 *
 * Each stage is run until it needs something that has not been read; then it is left as it is, what
 * all items want is fetched at once, and it is run again. */
#include "session/state.h"

#include <stdio.h>
#include <stdlib.h>

#define TRIES_EXTRA 8 /* restarts of one stage: the depth of its deepest load, and these */

/* ---- the event ---- */

static value_ref body_of(const struct buffer *event) {
    return event_head(event)->body;
}

static value_ref values_of(const struct buffer *event) {
    return event->len ? value_find(event, body_of(event), "values") : 0;
}

static void put_place(struct session *s, struct buffer *event, const struct hit *hit) {
    char pc[24];
    value_ref body = body_of(event), thread = value_new(event, VALUE_OBJECT);
    value_set(event, thread, "id", value_int(event, hit->thread));
    value_set(event, body, "pid", value_int(event, s->stop->pid));
    value_set(event, body, "thread", thread);
    value_ref location = value_new(event, VALUE_OBJECT);
    value_set_text(event, location, "function", hit->function);
    value_set_text(event, location, "file", hit->file);
    value_set(event, location, "line", value_int(event, hit->line));
    snprintf(pc, sizeof pc, "0x%llx", (unsigned long long)hit->pc);
    value_set_text(event, location, "pc", pc);
    value_set(event, body, "location", location);
}

static void put_goroutine(struct buffer *event, const struct hit *hit) {
    if (!hit->goroutine)
        return;
    value_ref goroutine = value_new(event, VALUE_OBJECT);
    value_set(event, goroutine, "id", value_int(event, hit->goroutine));
    value_set(event, body_of(event), "goroutine", goroutine);
}

/* ---- names of our own language ---- */

static struct expr_value text_value(const char *text) {
    return (struct expr_value){.kind = EXPR_STRING, .text = text, .len = strlen(text)};
}

static struct expr_value time_value(const struct item *item, const char *key) {
    value_ref ref = value_find(&item->event, body_of(&item->event), key);
    struct expr_value value = expr_from_value(&item->event, ref);
    value.unit = UNIT_TIME;
    return value;
}

static struct expr_value inner(const struct item *item, const char *outer, const char *key) {
    value_ref ref = value_find(&item->event, body_of(&item->event), outer);
    return expr_from_value(&item->event, ref ? value_find(&item->event, ref, key) : 0);
}

static struct expr_value caller_of(const struct item *item) {
    value_ref stack = value_find(&item->event, body_of(&item->event), "stack");
    const struct value *list = value_get(&item->event, stack);
    if (!list || list->len < 2)
        return expr_failed("hit.caller needs \"stack: 2\" or more");
    value_ref frame = value_get(&item->event, list->at)->next;
    return expr_from_value(&item->event, value_find(&item->event, frame, "function"));
}

static struct expr_value lookup(void *ctx, const char *name) {
    const struct item *item = ctx;
    value_ref value = value_find(&item->event, values_of(&item->event), name);
    if (value)
        return expr_from_value(&item->event, value);
    if (!strcmp(name, "elapsed") || !strcmp(name, "paused"))
        return time_value(item, *name == 'e' ? "elapsed_ns" : "paused_ns");
    if (!strcmp(name, "hit.function"))
        return inner(item, "location", "function");
    if (!strcmp(name, "hit.thread") || !strcmp(name, "hit.goroutine"))
        return inner(item, name + 4, "id");
    if (!strcmp(name, "hit.caller"))
        return caller_of(item);
    if (!strcmp(name, "hit.stack"))
        return expr_from_value(&item->event,
                               value_find(&item->event, body_of(&item->event), "stack"));
    if (!strcmp(name, "hit.target"))
        return text_value(item->probe->session->target);
    if (!strcmp(name, "hit.time"))
        return (struct expr_value){.kind = EXPR_INT, .i = event_head(&item->event)->time_ns};
    return expr_failed("not captured");
}

static struct expr_env env_of(struct item *item) {
    struct buffer *scratch = &item->probe->session->scratch;
    buffer_clear(scratch);
    return (struct expr_env){.in = &item->event, .lookup = lookup, .ctx = item, .scratch = scratch};
}

/* ---- stages ---- */

enum progress { GO_ON, WAIT };

static enum progress stage_filter(struct session *s, struct item *item, uint64_t now) {
    struct probe_state *p = item->probe;
    const struct probe *probe = p->probe;
    uint64_t ignored = NEVER;
    p->reached += item->role != ROLE_RETURN;
    item->stage = ITEM_DROPPED;
    if (item->role == ROLE_RETURN) {
        if (call_find(p, item->hit) >= 0)
            item->stage = ITEM_CAPTURE;
        return GO_ON;
    }
    if (!probe_wanted(s, p, now, &ignored))
        return GO_ON;
    if (probe->after_same == SAME_GOROUTINE && p->after_goroutine != item->hit->goroutine)
        return GO_ON;
    if (probe->after_same == SAME_THREAD && p->after_thread != item->hit->thread)
        return GO_ON;
    bool decided = !probe->when || (item->spot && item->spot->armed_cond);
    item->stage = decided && !item->hit->condition_error ? ITEM_COUNT : ITEM_WHEN;
    return GO_ON;
}

static void complain(struct session *s, struct probe_state *p, const char *why) {
    if (p->complained)
        return;
    p->complained = true;
    report_error(s, p->probe->name, "error", "%s:%u:%u: probe \"%s\": when: %s", s->recipe->source,
                 p->probe->when_mark.line, p->probe->when_mark.column, p->probe->name, why);
}

static enum progress stage_when(struct session *s, struct item *item) {
    struct probe_state *p = item->probe;
    value_ref ref;
    buffer_clear(&s->note);
    if (item->hit->condition_error && item->spot && item->spot->armed_cond) {
        complain(s, p, item->hit->condition_error);
        item->stage = ITEM_DROPPED;
        return GO_ON;
    }
    if (s->ops->read(s->backend, item->hit, &p->when, &s->note, &ref) == READ_AGAIN)
        return WAIT;
    const struct value *value = value_get(&s->note, ref);
    item->stage = value && value->kind == VALUE_BOOL && value->b ? ITEM_COUNT : ITEM_DROPPED;
    if (value && value->kind == VALUE_BOOL) {
        s->pause.false_seen += s->pause.calibrating && !value->b;
        return GO_ON;
    }
    char why[512];
    snprintf(why, sizeof why, "%s",
             value && value->kind == VALUE_ERROR ? value_text(&s->note, value)
                                                 : "the condition is neither true nor false");
    complain(s, p, why);
    return GO_ON;
}

static bool hit_cond_holds(const struct hit_cond *cond, uint64_t count) {
    switch (cond->op) {
    case HIT_EQ: return count == cond->n;
    case HIT_NE: return count != cond->n;
    case HIT_LT: return count < cond->n;
    case HIT_LE: return count <= cond->n;
    case HIT_GT: return count > cond->n;
    case HIT_GE: return count >= cond->n;
    case HIT_MOD: return count % cond->n == 0;
    }
    return true;
}

static bool within_rate(struct probe_state *p, uint64_t now) {
    const struct probe *probe = p->probe;
    if (!probe->rate_hits)
        return true;
    if (!p->rate_start || now >= p->rate_start + probe->rate_per_ns) {
        p->rate_start = now;
        p->rate_count = 0;
    }
    if (p->rate_count >= probe->rate_hits) {
        p->rate_limited++;
        return false;
    }
    if (++p->rate_count == probe->rate_hits)
        p->rate_closed_until = p->rate_start + probe->rate_per_ns;
    return true;
}

static enum progress stage_count(struct session *s, struct item *item, uint64_t now) {
    struct probe_state *p = item->probe;
    const struct probe *probe = p->probe;
    bool on_server = item->spot && item->spot->site.hit_cond;
    item->stage = ITEM_DROPPED;
    if (*probe->hit_cond.text && !on_server && !hit_cond_holds(&probe->hit_cond, ++p->conditioned))
        return GO_ON;
    if (!within_rate(p, now))
        return GO_ON;
    item->hit_number = ++p->hits;
    p->done |= probe->max_hits && p->hits >= probe->max_hits;
    if (probe->every_ns)
        p->every_next = now + probe->every_ns;
    if (probe->trigger == TRIGGER_TIMER)
        p->timer_next = now + probe->timer_ns;
    gate_opened(s, p, item->hit, now);
    item->stage = ITEM_CAPTURE;
    return GO_ON;
}

/* Reads one thing into the event under `key`. */
static enum progress capture(struct session *s, struct item *item, const struct want *want,
                             value_ref parent, const char *key) {
    value_ref ref = 0;
    if (s->ops->read(s->backend, item->hit, want, &item->event, &ref) == READ_AGAIN)
        return WAIT;
    value_set(&item->event, parent, key, ref);
    return GO_ON;
}

static enum progress capture_list(struct session *s, struct item *item, const struct want *wants,
                                  const struct capture *captures, size_t n, value_ref values) {
    enum progress progress = GO_ON;
    for (size_t i = 0; i < n; i++)
        progress |= capture(s, item, &wants[i], values, captures[i].name);
    return progress;
}

static enum progress capture_extras(struct session *s, struct item *item) {
    struct probe_state *p = item->probe;
    const struct probe *probe = p->probe;
    bool can_goroutine = item->hit->goroutine != 0;
    const struct {
        bool wanted;
        const struct want *want;
        const char *key;
    } extras[] = {{probe->args, &p->args, "args"},
                  {probe->locals, &p->locals, "locals"},
                  {probe->registers, &p->registers, "registers"},
                  {probe->goroutine && can_goroutine, &p->goroutine, "goroutine"},
                  {probe->goroutines, &p->goroutines, "goroutines"},
                  {probe->thread, &p->thread, "thread_details"},
                  {probe->stack != 0, &p->stack, "stack"}};
    enum progress progress = GO_ON;
    if (!probe->goroutine)
        put_goroutine(&item->event, item->hit);
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        if (extras[i].wanted)
            progress |= capture(s, item, extras[i].want, body_of(&item->event), extras[i].key);
    return progress;
}

/* `new` is read; `old` is what was new the last time. */
static enum progress capture_watch(struct session *s, struct item *item, value_ref values) {
    struct probe_state *p = item->probe;
    value_ref fresh = 0;
    if (s->ops->read(s->backend, item->hit, &p->watched, &item->event, &fresh) == READ_AGAIN)
        return WAIT;
    value_ref old = p->old_value ? value_copy(&item->event, &p->old, p->old_value)
                                 : value_error(&item->event, "not known before the first change");
    value_set(&item->event, values, "old", old);
    value_set(&item->event, values, "new", fresh);
    return GO_ON;
}

static enum progress capture_panic(struct session *s, struct item *item, value_ref values) {
    value_set_text(&item->event, body_of(&item->event), "reason", s->stop->what);
    if (strcmp(s->stop->what, "unrecovered panic"))
        return GO_ON;
    return capture(s, item, &item->probe->panic, values, "panic");
}

static enum progress capture_entry(struct session *s, struct item *item) {
    struct probe_state *p = item->probe;
    event_begin(&item->event, p->probe->log ? EVENT_LOG : EVENT_HIT, s->run, s->target,
                p->probe->name, report_wall_ns(s->stop->seen_ns));
    if (item->event.failed)
        return GO_ON;
    put_place(s, &item->event, item->hit);
    value_ref values = value_new(&item->event, VALUE_OBJECT);
    enum progress progress =
        capture_list(s, item, p->captures, p->probe->captures, p->probe->capture_count, values);
    if (p->probe->trigger == TRIGGER_WATCH)
        progress |= capture_watch(s, item, values);
    if (p->probe->trigger == TRIGGER_PANIC)
        progress |= capture_panic(s, item, values);
    value_set(&item->event, body_of(&item->event), "values", values);
    return progress | capture_extras(s, item);
}

/* The event was begun at the entry: a copy of it is completed, so that it can be done over. */
static enum progress capture_return(struct session *s, struct item *item) {
    struct probe_state *p = item->probe;
    int index = call_find(p, item->hit);
    if (index < 0) {
        item->stage = ITEM_DROPPED;
        return GO_ON;
    }
    struct call_record *call = &p->calls[index];
    buffer_clear(&item->event);
    buffer_add(&item->event, call->event.data, call->event.len);
    if (item->event.failed)
        return GO_ON;
    enum progress progress = capture_list(s, item, p->at_return, p->probe->at_return,
                                          p->probe->return_count, values_of(&item->event));
    if (progress == WAIT)
        return WAIT;
    uint64_t elapsed = s->stop->seen_ns - call->entered_ns;
    uint64_t paused = s->pause.total_ns - call->paused_ns;
    value_ref body = body_of(&item->event);
    event_head(&item->event)->time_ns = report_wall_ns(s->stop->seen_ns);
    value_set(&item->event, body, "elapsed_ns", value_uint(&item->event, elapsed));
    value_set(&item->event, body, "paused_ns",
              value_uint(&item->event, paused < elapsed ? paused : elapsed));
    call_leave(p, (size_t)index);
    return GO_ON;
}

static enum progress stage_capture(struct session *s, struct item *item) {
    enum progress progress =
        item->role == ROLE_RETURN ? capture_return(s, item) : capture_entry(s, item);
    if (progress == WAIT || item->stage == ITEM_DROPPED)
        return progress;
    if (item->event.failed) {
        report_error(s, item->probe->probe->name, "error",
                     "a hit's values are larger than %u MiB: bound them with \"load\"",
                     EVENT_MAX >> 20);
        item->probe->lost++;
        item->stage = ITEM_DROPPED;
        return GO_ON;
    }
    if (item->role == ROLE_ENTRY) {
        event_head(&item->event)->hit = item->hit_number;
        if (call_enter(item->probe, item, s->stop->seen_ns))
            item->event = BUFFER_INIT(EVENT_MAX); /* it is the call's now */
        item->stage = ITEM_DROPPED;
        return GO_ON;
    }
    item->stage = ITEM_KEEP;
    return GO_ON;
}

static void remember_watch(struct item *item) {
    struct probe_state *p = item->probe;
    value_ref fresh = value_find(&item->event, values_of(&item->event), "new");
    buffer_clear(&p->old);
    p->old_value = fresh ? value_copy(&p->old, &item->event, fresh) : 0;
}

static void put_message(struct item *item) {
    struct buffer text = BUFFER_INIT(64 << 10);
    struct expr_env env = env_of(item);
    expr_template_render(item->probe->probe->log, &env, &text);
    value_set(&item->event, body_of(&item->event), "message",
              value_string(&item->event, text.data ? text.data : "", text.len));
    buffer_free(&text);
}

/* A condition that cannot be decided keeps the event, and says so: nothing is dropped in silence.
 */
static bool kept(struct item *item) {
    if (!item->probe->probe->keep)
        return true;
    struct expr_env env = env_of(item);
    struct expr_value verdict = expr_eval(item->probe->probe->keep, &env);
    if (verdict.kind == EXPR_BOOL)
        return verdict.b;
    const char *why = verdict.kind == EXPR_FAILED ? verdict.text : "it is neither true nor false";
    value_ref error = value_error(&item->event, "%s", why);
    value_set(&item->event, body_of(&item->event), "keep", error);
    return true;
}

static enum progress stage_keep(struct session *s, struct item *item) {
    const struct probe *probe = item->probe->probe;
    if (probe->trigger == TRIGGER_WATCH)
        remember_watch(item);
    item->stage = ITEM_DROPPED;
    if (!kept(item))
        return GO_ON;
    if (probe->log) { /* else when the target runs again */
        redact_event(s, item);
        put_message(item);
    }
    item->stage = ITEM_DONE;
    item->emit = !probe->emit_none;
    s->hits++;
    if (probe->then == DO_DISARM)
        item->probe->done = true;
    if (probe->then == DO_END)
        session_stop_for(s, OUTCOME_FINE, "then: end");
    if (probe->then == DO_END_RUN)
        s->hooks->end_run(s->ctx, "then: end_run");
    const struct limit *limit = &s->recipe->limits.hits;
    if (limit->is && (double)s->hits >= limit->is)
        session_stop_for(s, limit->action == DO_FAIL ? OUTCOME_LIMIT : OUTCOME_FINE, "limit hits");
    if (!s->hooks->count_hit(s->ctx))
        s->hooks->end_run(s->ctx, "limit run_hits");
    return GO_ON;
}

static enum progress run_item(struct session *s, struct item *item, uint64_t now) {
    enum progress progress = GO_ON;
    while (progress == GO_ON && item->stage < ITEM_DONE) {
        enum item_stage before = item->stage;
        switch (item->stage) {
        case ITEM_FILTER: progress = stage_filter(s, item, now); break;
        case ITEM_WHEN: progress = stage_when(s, item); break;
        case ITEM_COUNT: progress = stage_count(s, item, now); break;
        case ITEM_CAPTURE: progress = stage_capture(s, item); break;
        default: progress = stage_keep(s, item); break;
        }
        item->tries = item->stage == before ? item->tries + 1 : 0;
    }
    return progress;
}

bool items_run(struct session *s, uint64_t now) {
    bool complete = true;
    for (size_t i = 0; i < s->item_count; i++) {
        struct item *item = &s->items[i];
        if (run_item(s, item, now) == GO_ON)
            continue;
        if (item->tries > item->probe->probe->load.depth + TRIES_EXTRA)
            items_cut(s);
        complete = false;
    }
    return complete;
}

void items_cut(struct session *s) {
    s->ops->give_up(s->backend);
    for (size_t i = 0; i < s->item_count; i++)
        s->items[i].cut |= s->items[i].stage < ITEM_DONE;
}

static void add_item(struct session *s, struct probe_state *p, struct spot *spot, enum role role,
                     const struct hit *hit) {
    struct item *item = ARRAY_ADD(s->items, s->item_count, s->item_cap);
    if (!item)
        return;
    *item = (struct item){.probe = p, .spot = spot, .role = role, .hit = hit};
    item->event = BUFFER_INIT(EVENT_MAX);
}

static void collect_panic(struct session *s, const struct stop *stop) {
    for (size_t i = 0; i < s->spot_count; i++)
        if (s->spots[i]->site.kind == SITE_PANIC && stop->count)
            add_item(s, s->spots[i]->members[0].probe, NULL, ROLE_HIT, &stop->hits[0]);
}

static void collect_timers(struct session *s, const struct stop *stop, uint64_t now) {
    for (size_t i = 0; i < s->probe_count; i++) {
        struct probe_state *p = &s->probes[i];
        if (p->probe->trigger == TRIGGER_TIMER && !p->done && now >= p->timer_next && stop->count)
            add_item(s, p, NULL, ROLE_HIT, &stop->hits[0]);
    }
}

void items_collect(struct session *s, const struct stop *stop, uint64_t now) {
    items_clear(s);
    for (size_t i = 0; i < stop->count; i++) {
        struct spot *spot = (struct spot *)stop->hits[i].site;
        for (size_t k = 0; spot && k < spot->member_count; k++)
            add_item(s, spot->members[k].probe, spot, spot->members[k].role, &stop->hits[i]);
    }
    if (stop->reason == STOP_PANIC)
        collect_panic(s, stop);
    collect_timers(s, stop, now);
}

void items_clear(struct session *s) {
    for (size_t i = 0; i < s->item_count; i++)
        buffer_free(&s->items[i].event);
    s->item_count = 0;
}
