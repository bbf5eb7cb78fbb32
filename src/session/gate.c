/* What should be armed at this moment. A pure look at each probe's state: whoever wants a probe
 * armed or disarmed changes that state, and the next stop mends the difference. */
#include "session/state.h"

#include <stdlib.h>

/* Round trips for the first value of a watch, and one for each further level of pointers. */
#define PRIME_TRIES 8

static void sooner(uint64_t *next, uint64_t when) {
    if (when < *next)
        *next = when;
}

static bool after_is_open(struct probe_state *p, uint64_t now, uint64_t *next) {
    if (!p->after_open)
        return false;
    if (!p->probe->after_within_ns)
        return true;
    uint64_t until = p->after_ns + p->probe->after_within_ns;
    if (now < until) {
        sooner(next, until);
        return true;
    }
    return p->after_open = false;
}

struct site *gate_watch_of(const struct session *s, const struct probe_state *p) {
    for (size_t i = 0; i < s->spot_count; i++)
        if (s->spots[i]->site.kind == SITE_WATCH && s->spots[i]->members[0].probe == p)
            return &s->spots[i]->site;
    return NULL;
}

/* Its frame is there for one stop: what is not armed then waits for the next hit. */
static bool comes_from_a_hit(struct session *s, const struct probe_state *p) {
    const struct site *site = gate_watch_of(s, p);
    return p->from_hit || (site && site->armed && !p->over);
}

bool probe_wanted(struct session *s, struct probe_state *p, uint64_t now, uint64_t *next) {
    uint64_t until;
    /* A launched target waits for the sinks as it is: disarmed and armed again, it would hit once
     * more where it stands. */
    bool congested = s->congested && s->was_running;
    if (p->done || s->unfit || s->ending || congested || s->exited || s->strange || s->info.core)
        return false;
    if (p->probe->after >= 0 && !after_is_open(p, now, next))
        return false;
    if (p->probe->watch_from >= 0 && !comes_from_a_hit(s, p))
        return false;
    if (pause_throttled(s, now, &until)) {
        sooner(next, until);
        return false;
    }
    if (now < p->every_next || now < p->rate_closed_until) {
        sooner(next, p->every_next > p->rate_closed_until ? p->every_next : p->rate_closed_until);
        return false;
    }
    return true;
}

/* Returns are armed while calls are under way; and always where every call counts. */
static bool member_wanted(struct session *s, const struct member *m, uint64_t now, uint64_t *next) {
    struct probe_state *p = m->probe;
    if (m->role != ROLE_RETURN)
        return probe_wanted(s, p, now, next);
    if (p->call_count && !s->unfit && !s->ending && !s->exited && !s->strange)
        return true;
    bool selective = p->probe->when || p->probe->every_ns || p->probe->rate_hits ||
                     p->probe->after >= 0 || *p->probe->hit_cond.text || p->probe->max_hits;
    return !selective && probe_wanted(s, p, now, next);
}

bool spot_wanted(struct session *s, const struct spot *spot, uint64_t now, uint64_t *next) {
    bool wanted = false;
    for (size_t i = 0; i < spot->member_count; i++)
        wanted |= member_wanted(s, &spot->members[i], now, next);
    return wanted;
}

/* At first each condition is shown to the server once, so that what it refuses is an error before
 * the run. Then the server decides a condition where it is the only probe's there; first, for a
 * target that must not suffer, it is evaluated here for a while, because what the server skips is
 * not seen. */
static bool decides_alone(const struct spot *spot) {
    const struct member *m = &spot->members[0];
    return spot->member_count == 1 && m->role != ROLE_RETURN && m->probe->probe->after < 0;
}

static const char *cond_for(struct session *s, const struct spot *spot) {
    const struct member *m = &spot->members[0];
    if (s->ops->caps->conditions && spot->conds_checked < spot->member_count)
        return spot->members[spot->conds_checked].probe->probe->when;
    if (!s->ops->caps->conditions || !decides_alone(spot) || pause_calibrating(s))
        return NULL;
    return m->probe->probe->when;
}

/* What may be left out by a server that can: nothing of it has to be right before the run. */
static const char *filter_for(struct session *s, const struct spot *spot) {
    bool may = s->ops->caps->filters && decides_alone(spot) && !pause_calibrating(s);
    return may ? spot->members[0].probe->probe->when : NULL;
}

/* Only where nothing else disarms the probe: a server forgets its count with the breakpoint. */
static const char *hit_cond_for(struct session *s, const struct spot *spot) {
    const struct probe *probe = spot->members[0].probe->probe;
    bool kept = !probe->every_ns && !probe->rate_hits && probe->after < 0 && !s->was_running;
    if (!s->ops->caps->hit_conditions || spot->member_count != 1 || !kept ||
        !*probe->hit_cond.text || spot->members[0].role == ROLE_RETURN)
        return NULL;
    return probe->hit_cond.text;
}

/* What it watches is gone; what its expression means now may lie elsewhere. */
static bool is_over(const struct spot *spot) {
    return spot->site.kind == SITE_WATCH && spot->site.armed && spot->members[0].probe->over;
}

static bool spot_differs(struct session *s, const struct spot *spot, uint64_t now, uint64_t *next) {
    bool wanted = spot_wanted(s, spot, now, next);
    return wanted != spot->site.armed || is_over(spot) ||
           (wanted &&
            (cond_for(s, spot) != spot->armed_cond || filter_for(s, spot) != spot->armed_filter));
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* Nobody is stopped for what the gates of its probe would drop. */
bool gate_timer_due(struct session *s, struct probe_state *p, uint64_t now, uint64_t *next) {
    if (p->probe->trigger != TRIGGER_TIMER || p->done || s->unfit || s->congested || s->ending)
        return false;
    if (p->probe->after >= 0 && !after_is_open(p, now, next))
        return false;
    uint64_t when = later(p->timer_next, later(s->pause.throttled_until, p->rate_closed_until));
    sooner(next, when);
    return when <= now;
}

bool gate_unsettled(struct session *s, uint64_t now, uint64_t *next) {
    bool differs = false;
    *next = NEVER;
    for (size_t i = 0; i < s->spot_count; i++)
        differs |= spot_differs(s, s->spots[i], now, next);
    return differs;
}

bool gate_differs(struct session *s, uint64_t now, uint64_t *next) {
    bool differs = gate_unsettled(s, now, next);
    for (size_t i = 0; i < s->probe_count; i++)
        differs |= gate_timer_due(s, &s->probes[i], now, next);
    return differs;
}

static void count_armed_time(struct session *s, uint64_t now) {
    uint64_t ignored = NEVER;
    for (size_t i = 0; i < s->probe_count; i++) {
        struct probe_state *p = &s->probes[i];
        bool armed = probe_wanted(s, p, now, &ignored);
        if (p->is_armed)
            p->armed_ns += now - p->armed_since;
        if (p->is_armed && !armed && s->pause.throttled)
            p->throttled++;
        p->is_armed = armed;
        p->armed_since = now;
    }
}

/* What a watch sees before its first change. */
static bool prime_watch(struct session *s, struct spot *spot) {
    struct probe_state *p = spot->members[0].probe;
    struct hit nowhere = {.goroutine = spot->site.watch_goroutine};
    value_ref value;
    buffer_clear(&p->old);
    bool done = s->ops->read(s->backend, &nowhere, &p->watched, &p->old, &value) == READ_DONE;
    p->old_value = done ? value : 0;
    return done;
}

bool gate_primed(struct session *s) {
    bool all = true;
    for (size_t i = 0; i < s->spot_count; i++) {
        struct spot *spot = s->spots[i];
        if (spot->site.kind != SITE_WATCH || !spot->site.armed || !spot->prime_tries)
            continue;
        spot->prime_tries = prime_watch(s, spot) ? 0 : spot->prime_tries - 1;
        all &= !spot->prime_tries;
    }
    return all;
}

/* The condition that was shown is checked when the flush is done; the next ones that are none need
 * no showing. */
static void pass_checked(struct spot *spot) {
    spot->cond_shown = spot->conds_checked;
    while (spot->conds_checked < spot->member_count &&
           (spot->conds_checked == spot->cond_shown ||
            !spot->members[spot->conds_checked].probe->probe->when))
        spot->conds_checked++;
}

/* Where other threads run meanwhile, a place that both have is never without a breakpoint: the new
 * spot takes it over before the old one lets go. */
static void disarm_stale(struct session *s) {
    for (size_t i = 0; i < s->stale_count; i++)
        if (s->stale[i]->site.armed)
            s->ops->disarm(s->backend, &s->stale[i]->site);
}

void gate_arm(struct session *s, uint64_t now) {
    uint64_t ignored = NEVER;
    if (s->ops->caps->stops_all)
        disarm_stale(s);
    for (size_t i = 0; i < s->spot_count; i++) {
        struct spot *spot = s->spots[i];
        if (!spot_differs(s, spot, now, &ignored))
            continue;
        bool wanted = spot_wanted(s, spot, now, &ignored);
        if (!wanted || is_over(spot)) {
            spot->members[0].probe->over = false;
            s->ops->disarm(s->backend, &spot->site);
            spot->armed_cond = spot->armed_filter = NULL;
        }
        if (!wanted)
            continue;
        spot->site.cond = spot->armed_cond = cond_for(s, spot);
        spot->site.hit_cond = hit_cond_for(s, spot);
        spot->site.filter = spot->armed_filter = filter_for(s, spot);
        s->ops->arm(s->backend, &spot->site);
        if (spot->site.kind != SITE_WATCH)
            continue;
        if (!spot->site
                 .watch_from_hit) /* asked for with the arming: what is global is so already */
            prime_watch(s, spot);
        spot->prime_tries = spot->members[0].probe->probe->load.depth + PRIME_TRIES;
    }
    disarm_stale(s);
    for (size_t i = 0; i < s->spot_count; i++) {
        struct spot *spot = s->spots[i];
        pass_checked(spot);
        /* A condition that was only shown is taken back, and hides nothing. */
        if (spot->armed_cond && s->ops->caps->hides_false && cond_for(s, spot) == spot->armed_cond)
            spot->members[0].probe->hidden = true;
    }
    count_armed_time(s, now);
}

/* A watch whose expression is out of scope, or a place that cannot be armed: the probe is told off;
 * what concerns the recipe's text gets its line. */
static struct error *explain(struct spot *spot, struct error *why) {
    size_t shown = spot->cond_shown < spot->member_count ? spot->cond_shown : 0;
    const struct probe *probe = spot->members[shown].probe->probe;
    bool about_condition = probe->when && spot->site.cond && spot->site.where;
    struct mark mark = about_condition ? probe->when_mark : probe->trigger_mark;
    struct error *error =
        recipe_error(probe->source, mark, "probe \"%s\": %s", probe->name, why->message);
    error_free(why);
    return error;
}

struct error *gate_armed(struct session *s) {
    struct error *first = NULL;
    for (size_t i = 0; i < s->spot_count; i++) {
        struct spot *spot = s->spots[i];
        struct error *why = spot->site.error;
        spot->site.error = NULL;
        spot->members[0].probe->hidden |= spot->site.armed && spot->site.filters;
        if (!why)
            continue;
        for (size_t k = 0; s->armed_told && k < spot->member_count; k++)
            spot->members[k].probe->done = true; /* it would fail again and again */
        if (first)
            error_free(why);
        else
            first = explain(spot, why);
    }
    return first;
}

/* It waits for a probe that is over. Nothing is to be armed at this moment: a watch that is not has
 * missed its hit. */
static bool is_hopeless(const struct session *s, const struct probe_state *p) {
    int after = p->probe->after, from = p->probe->watch_from;
    const struct site *watch = gate_watch_of(s, p);
    return (after >= 0 && !p->after_open && s->probes[after].done) ||
           (from >= 0 && !(watch && watch->armed) && s->probes[from].done);
}

bool gate_exhausted(const struct session *s) {
    for (size_t i = 0; i < s->probe_count; i++) {
        const struct probe_state *p = &s->probes[i];
        if ((!p->done && !is_hopeless(s, p)) || p->call_count)
            return false;
    }
    return s->probe_count > 0 && !s->unfit;
}

/* While it is armed, and of several hits in one stop, the first one counts. */
static void open_watch(struct session *s, struct probe_state *p, const struct hit *hit) {
    struct site *site = gate_watch_of(s, p);
    if (p->from_hit || !site || (site->armed && !p->over))
        return;
    p->from_hit = true;
    site->watch_goroutine = hit->goroutine;
    site->watch_thread = hit->thread;
}

void gate_opened(struct session *s, struct probe_state *by, const struct hit *hit, uint64_t now) {
    for (size_t i = 0; i < s->probe_count; i++) {
        struct probe_state *p = &s->probes[i];
        if (p->probe->watch_from == (int)by->index && !p->done)
            open_watch(s, p, hit);
        if (p->probe->after != (int)by->index || p->done)
            continue;
        if (!p->after_open)
            p->timer_next = now + p->probe->timer_ns;
        p->after_open = true;
        p->after_ns = now;
        p->after_goroutine = hit->goroutine;
        p->after_thread = hit->thread;
    }
}

void gate_resumed(struct session *s) {
    for (size_t i = 0; i < s->probe_count; i++)
        s->probes[i].from_hit = false;
}
