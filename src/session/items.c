/* A hit on its way through its probe: after ▸ when ▸ hit_cond ▸ rate ▸ max_hits ▸ capture ▸ keep.
 *
 * Each stage is run until it needs something that has not been read; then it is left as it is, what
 * all items want is fetched at once, and it is run again. */
#include "session/state.h"

#include <stdio.h>
#include <stdlib.h>

#define SPARE_MAX (64u << 10) /* bytes that a buffer may have that is kept for the next hit */
/* Restarts of one stage, beyond its deepest load's levels and its stack's frames. */
#define TRIES_EXTRA 40

uint64_t item_seen_ns(const struct session *s, const struct item *item) {
    return item->hit->seen_ns ? item->hit->seen_ns : s->stop->seen_ns;
}

/* ---- the event ---- */

static value_ref body_of(const struct buffer *event) {
    return event_head(event)->body;
}

static value_ref values_of(const struct buffer *event) {
    return event->len ? value_find(event, body_of(event), "values") : 0;
}

static void put_goroutine(struct buffer *event, const struct hit *hit) {
    if (!hit->goroutine)
        return;
    value_ref goroutine = value_new(event, VALUE_OBJECT);
    value_set(event, goroutine, "id", value_int(event, hit->goroutine));
    value_set(event, body_of(event), "goroutine", goroutine);
}

/* ---- stages ---- */

/* What has passed was armed when it hit; only a limit of hits that is used up ends it. */
static bool still_wanted(struct session *s, struct probe_state *p, uint64_t now) {
    uint64_t ignored = NEVER;
    const struct limit *hits = &s->recipe->limits.hits;
    if (!s->passing)
        return probe_wanted(s, p, now, &ignored);
    return !p->done && (!hits->is || (double)s->hits < hits->is);
}

static enum progress stage_filter(struct session *s, struct item *item, uint64_t now) {
    struct probe_state *p = item->probe;
    const struct probe *probe = p->probe;
    p->reached += item->role != ROLE_RETURN;
    item->stage = ITEM_DROPPED;
    if (item->role == ROLE_RETURN) {
        if (call_find(p, item->hit) >= 0)
            item->stage = ITEM_CAPTURE;
        return GO_ON;
    }
    if (!still_wanted(s, p, now)) {
        p->rate_limited += !p->done && now < p->rate_closed_until;
        return GO_ON;
    }
    if (probe->after_same == SAME_GOROUTINE && p->after_goroutine != item->hit->goroutine)
        return GO_ON;
    if (probe->after_same == SAME_THREAD && p->after_thread != item->hit->thread)
        return GO_ON;
    bool on_server = item->spot && item->spot->armed_cond && !item->hit->condition_error;
    item->stage = !probe->when || on_server ? ITEM_COUNT : ITEM_WHEN;
    return GO_ON;
}

/* A variable that a server finds at no hit is a mistake in the recipe, which other back ends see
 * before the run. A value that cannot be had may be had at the next hit. */
static void complain(struct session *s, struct probe_state *p, const char *why) {
    bool mistaken = session_is_no_name(s->ops->caps, why);
    if (p->complained && !mistaken)
        return;
    p->complained = true;
    struct error *error = recipe_error(p->probe->source, p->probe->when_mark,
                                       "probe \"%s\": when: %s", p->probe->name, why);
    if (mistaken) {
        session_fail(s, error);
        return;
    }
    report_error(s, p->probe->name, "error", "%s", error->message);
    error_free(error);
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
    gate_opened(s, p, item->hit, now);
    item->stage = ITEM_CAPTURE;
    return GO_ON;
}

/* A halt that stops nobody: the thread whose state is read stands from then on. */
static bool stands_when_read(const struct session *s) {
    return s->stop->nobody_stands && !s->passing;
}

/* Reads one thing into the event under `key`. */
static enum progress capture(struct session *s, struct item *item, const struct want *want,
                             value_ref parent, const char *key) {
    value_ref ref = 0;
    if (stands_when_read(s) && want->kind != WANT_EXPR)
        pause_begins(s);
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
    enum event_type type = p->probe->log                         ? EVENT_LOG
                           : p->probe->trigger == TRIGGER_SIGNAL ? EVENT_SIGNAL
                                                                 : EVENT_HIT;
    event_begin(&item->event, type, s->run, s->target, p->probe->name,
                report_wall_ns(item_seen_ns(s, item)));
    if (item->event.failed)
        return GO_ON;
    if (!stands_when_read(s))
        item_put_place(s, item);
    value_ref values = value_new(&item->event, VALUE_OBJECT);
    enum progress progress =
        capture_list(s, item, p->captures, p->probe->captures, p->probe->capture_count, values);
    if (p->probe->trigger == TRIGGER_WATCH)
        progress |= capture_watch(s, item, values);
    if (p->probe->trigger == TRIGGER_PANIC)
        progress |= capture_panic(s, item, values);
    value_set(&item->event, body_of(&item->event), "values", values);
    progress |= capture_extras(s, item);
    if (stands_when_read(s))
        item_put_place(s, item); /* where it was found */
    return progress;
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
    uint64_t elapsed = item_seen_ns(s, item) - call->entered_ns;
    uint64_t paused = s->pause.total_ns - call->paused_ns;
    value_ref body = body_of(&item->event);
    event_head(&item->event)->time_ns = report_wall_ns(item_seen_ns(s, item));
    value_set(&item->event, body, "elapsed_ns", value_uint(&item->event, elapsed));
    value_set(&item->event, body, "paused_ns",
              value_uint(&item->event, paused < elapsed ? paused : elapsed));
    call_leave(p, (size_t)index);
    return GO_ON;
}

/* Nothing is decided by the values, and all of them have come: the target need not wait while the
 * event is built. */
static bool can_wait(struct session *s, const struct item *item) {
    const struct probe_state *p = item->probe;
    const struct probe *probe = p->probe;
    bool plain = item->role == ROLE_HIT && item->spot && !probe->keep && !probe->args &&
                 !probe->locals && !probe->registers && !probe->goroutines && !probe->thread &&
                 probe->trigger != TRIGGER_WATCH;
    if (!plain || !s->ops->came)
        return false;
    for (size_t i = 0; i < probe->capture_count; i++)
        if (!s->ops->came(s->backend, item->hit, &p->captures[i]))
            return false;
    return (!probe->stack || s->ops->came(s->backend, item->hit, &p->stack)) &&
           (!probe->goroutine || s->ops->came(s->backend, item->hit, &p->goroutine));
}

static bool is_too_large(struct session *s, struct item *item) {
    if (!item->event.failed)
        return false;
    report_error(s, item->probe->probe->name, "error",
                 "a hit's values are larger than %u MiB: bound them with \"load\"",
                 EVENT_MAX >> 20);
    item->probe->lost++;
    item->stage = ITEM_DROPPED;
    return true;
}

static enum progress stage_capture(struct session *s, struct item *item) {
    if (can_wait(s, item)) {
        item->late = true;
        item->cut |= s->stop->cut;
        item->stage = ITEM_KEEP;
        return GO_ON;
    }
    enum progress progress =
        item->role == ROLE_RETURN ? capture_return(s, item) : capture_entry(s, item);
    item->cut |= s->stop->cut;
    if (progress == WAIT || item->stage == ITEM_DROPPED || is_too_large(s, item))
        return progress;
    if (item->role == ROLE_ENTRY) {
        event_head(&item->event)->hit = item->hit_number;
        item_mark_cut(item);
        if (call_enter(item->probe, item, item_seen_ns(s, item)))
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

static enum progress stage_keep(struct session *s, struct item *item) {
    const struct probe *probe = item->probe->probe;
    if (probe->trigger == TRIGGER_WATCH)
        remember_watch(item);
    item->stage = ITEM_DROPPED;
    if (!item_kept(item))
        return GO_ON;
    item->stage = ITEM_DONE;
    item->emit = !probe->emit_none;
    s->hits++;
    if (probe->then == DO_DISARM)
        item->probe->done = true;
    if (probe->then == DO_END)
        session_stop_for(s, OUTCOME_FINE, "then: end");
    if (probe->then == DO_END_RUN)
        s->hooks->end_run(s->ctx, "then: end_run");
    limit_hits(s, probe);
    return GO_ON;
}

bool item_finish(struct session *s, struct item *item) {
    if (item->late)
        capture_entry(s, item);
    if (item->late && is_too_large(s, item))
        return false;
    redact_event(s, item);
    if (item->probe->probe->log)
        item_message(item);
    return true;
}

static enum progress run_item(struct session *s, struct item *item, uint64_t now) {
    enum progress progress = GO_ON;
    while (progress == GO_ON && item->stage < ITEM_DONE) {
        enum item_stage before = item->stage;
        switch (item->stage) {
        case ITEM_SCOPE: progress = scope_look(s, item); break;
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
        const struct probe *probe = item->probe->probe;
        if (item->tries > probe->load.depth + probe->stack + TRIES_EXTRA)
            items_cut(s, "it has led from one thing to the next too often");
        complete = false;
    }
    return complete;
}

void items_cut(struct session *s, const char *why) {
    s->ops->give_up(s->backend, why);
    for (size_t i = 0; i < s->item_count; i++)
        s->items[i].cut |= s->items[i].stage < ITEM_DONE;
}

static void add_item(struct session *s, struct probe_state *p, struct spot *spot, enum role role,
                     const struct hit *hit) {
    struct item *item = ARRAY_ADD(s->items, s->item_count, s->item_cap);
    if (!item)
        return;
    *item = (struct item){.probe = p, .spot = spot, .role = role, .hit = hit};
    item->event = s->spare;
    s->spare = BUFFER_INIT(EVENT_MAX);
    item->event.max = EVENT_MAX;
    buffer_clear(&item->event);
}

static void collect_panic(struct session *s, const struct stop *stop) {
    for (size_t i = 0; i < s->spot_count; i++)
        if (s->spots[i]->site.kind == SITE_PANIC && stop->count)
            add_item(s, s->spots[i]->members[0].probe, NULL, ROLE_HIT, &stop->hits[0]);
}

static void collect_timers(struct session *s, const struct stop *stop, uint64_t now) {
    uint64_t ignored = NEVER;
    for (size_t i = 0; i < s->probe_count; i++) {
        struct probe_state *p = &s->probes[i];
        if (!gate_timer_due(s, p, now, &ignored))
            continue;
        p->timer_next = now + p->probe->timer_ns; /* whatever its filters say */
        if (stop->count)
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
    if (!s->passing)
        collect_timers(s, stop, now);
}

void items_lost(struct session *s) {
    for (size_t i = 0; i < s->item_count; i++)
        s->items[i].probe->lost +=
            s->items[i].stage == ITEM_CAPTURE && s->items[i].role != ROLE_RETURN;
}

void items_clear(struct session *s) {
    for (size_t i = 0; i < s->item_count; i++) {
        struct buffer *event = &s->items[i].event;
        if (s->spare.data || event->cap > SPARE_MAX) {
            buffer_free(event);
            continue;
        }
        s->spare = *event; /* the next hit's */
    }
    s->item_count = 0;
}
