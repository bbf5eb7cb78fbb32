/* What the target suffers from us, and the limits on it. A server holds the target longer than we
 * see: what it adds to each stop is calibrated from how long a halt takes. */
#include "session/state.h"

#include <inttypes.h>
#include <stdio.h>

#define BUDGET_WINDOW_NS 1e9 /* a second's worth of budget may be used at once */
#define SERVER_MOST_NS 4000000
#define CALIBRATION_STOPS 20 /* conditions evaluated here before the server gets them, */
#define CALIBRATION_NS 1e9   /* or for this long */

static bool has_budget(const struct session *s) {
    const struct limit *limit = &s->recipe->limits.pause_budget;
    return limit->is < 1 && (s->was_running || limit->set);
}

bool pause_calibrating(const struct session *s) {
    return s->pause.calibrating;
}

static void end_calibration(struct session *s) {
    struct pause *p = &s->pause;
    bool enough = p->false_seen >= CALIBRATION_STOPS || (double)p->calibrated_ns >= CALIBRATION_NS;
    if (!p->calibrating || !enough)
        return;
    p->calibrating = false;
    p->false_per_ns = p->calibrated_ns ? (double)p->false_seen / (double)p->calibrated_ns : 0;
}

/* The hits that the server decides by itself cost the target, too: at the rate that was calibrated.
 */
static double hidden_cost(const struct session *s, uint64_t ran_ns) {
    return s->pause.calibrating
               ? 0
               : s->pause.false_per_ns * (double)ran_ns * (double)s->pause.server_ns / 2;
}

static void earn(struct session *s, uint64_t now) {
    struct pause *p = &s->pause;
    double share = s->recipe->limits.pause_budget.is;
    if (p->balance_at_ns)
        p->balance_ns += (double)(now - p->balance_at_ns) * share;
    else
        p->balance_ns = BUDGET_WINDOW_NS * share;
    if (p->balance_ns > BUDGET_WINDOW_NS * share)
        p->balance_ns = BUDGET_WINDOW_NS * share;
    p->balance_at_ns = now;
}

/* The least that a halt has taken: the first one of a server pays for things that come once (it was
 * seen to take 400 ms), so what it says is bounded by what a slow stop costs. */
static void calibrate(struct pause *p, uint64_t halt_ns) {
    uint64_t most = p->server_ns ? p->server_ns : SERVER_MOST_NS;
    p->server_ns = halt_ns < most ? halt_ns : most;
}

void pause_began(struct session *s, const struct stop *stop) {
    struct pause *p = &s->pause;
    uint64_t seen_ns = stop->seen_ns;
    p->seen_ns = stop->nobody_stands ? 0 : seen_ns;
    if (!s->ops->caps->measures && p->halt_sent_ns && seen_ns > p->halt_sent_ns)
        calibrate(p, seen_ns - p->halt_sent_ns);
    p->halt_sent_ns = 0;
    p->cut = false;
    p->cost_ns = p->server_ns;
    if (p->run_since) {
        uint64_t ran = seen_ns - p->run_since;
        p->cost_ns = ran < p->cost_ns ? ran : p->cost_ns; /* it all lies between the two */
        p->calibrated_ns += p->calibrating ? ran : 0;
        p->balance_ns -= hidden_cost(s, ran);
    }
    p->run_since = 0;
    end_calibration(s);
}

void pause_begins(struct session *s) {
    if (!s->pause.seen_ns)
        s->pause.seen_ns = uv_hrtime();
}

const char *pause_kind(const struct session *s) {
    return s->ops->caps->measures ? "measured" : s->pause.server_ns ? "estimated" : "lower_bound";
}

bool pause_throttled(struct session *s, uint64_t now, uint64_t *until) {
    *until = s->pause.throttled_until;
    if (now < s->pause.throttled_until)
        return true;
    s->pause.throttled = false;
    return false;
}

static const char *const action_words[] = {"throttle", "cut", "disarm", "end", "fail"};

static void carry_out(struct session *s, const struct limit *limit, const char *name) {
    char reason[64];
    snprintf(reason, sizeof reason, "limit %s", name);
    if (limit->action == DO_DISARM)
        for (size_t i = 0; i < s->item_count; i++)
            s->items[i].probe->done = true;
    else if (limit->action == DO_END || limit->action == DO_FAIL)
        session_stop_for(s, limit->action == DO_FAIL ? OUTCOME_LIMIT : OUTCOME_FINE, reason);
    LOG(LOG_SESSION, 1, "%s: %s tripped: %s", s->target, name, action_words[limit->action]);
}

static const char *tripping_probe(const struct session *s) {
    return s->item_count ? s->items[0].probe->probe->name : NULL;
}

/* Told when the target runs again, with the whole figure. */
static void check_single(struct session *s, uint64_t pause) {
    const struct limit *limit = &s->recipe->limits.max_pause;
    if (!s->item_count || (!s->pause.cut && (double)pause <= limit->is))
        return;
    s->pause.tripped = true;
    if (limit->action == DO_THROTTLE) {
        s->pause.throttled = true;
        s->pause.throttled_until = uv_hrtime() + pause * 20;
    }
    carry_out(s, limit, "max_pause");
}

void pause_tell(struct session *s, uint64_t pause) {
    char is[16], was[16];
    if (!s->pause.tripped)
        return;
    s->pause.tripped = false;
    const struct limit *limit = &s->recipe->limits.max_pause;
    report_trip(s, tripping_probe(s), "max_pause", text_duration(is, (uint64_t)limit->is),
                text_duration(was, pause), action_words[limit->action], 0);
}

static void check_budget(struct session *s, uint64_t now) {
    const struct limit *limit = &s->recipe->limits.pause_budget;
    struct pause *p = &s->pause;
    char is[16], was[32], rest[16];
    if (!has_budget(s) || p->balance_ns >= 0 || p->throttled)
        return;
    /* Back at half of a window's budget; the halt that arms again is paid from it. */
    uint64_t wait = (uint64_t)((BUDGET_WINDOW_NS * limit->is / 2 - p->balance_ns) / limit->is);
    snprintf(is, sizeof is, "%.4g%%", limit->is * 100);
    snprintf(was, sizeof was, "over budget for %s", text_duration(rest, wait));
    if (limit->action == DO_THROTTLE || limit->action == DO_CUT) {
        p->throttled = true;
        p->throttled_until = now + wait;
    }
    report_trip(s, tripping_probe(s), "pause_budget", is, was, action_words[limit->action], 0);
    carry_out(s, limit, "pause_budget");
}

/* The checks come before the resume: what they disarm is disarmed in this stop, not in one more. */
void pause_check(struct session *s, uint64_t now) {
    struct pause *p = &s->pause;
    uint64_t pause = p->seen_ns ? now - p->seen_ns + p->cost_ns : 0;
    earn(s, now);
    pause_take_false(s);
    p->balance_ns -= (double)(pause - p->charged_ns);
    p->charged_ns = pause;
    if (s->ending)
        return;
    check_single(s, pause);
    check_budget(s, now);
}

uint64_t pause_ended(struct session *s, uint64_t now) {
    struct pause *p = &s->pause;
    /* A target found stopped has not been paused by us. */
    uint64_t pause = p->seen_ns ? now - p->seen_ns + p->cost_ns : 0;
    uint64_t held = p->seen_ns ? now - p->seen_ns : 0;
    p->stops += p->seen_ns != 0;
    p->held_ns += held;
    LOG(LOG_SESSION, 1, "%s: held for %" PRIu64 " ns", s->target, held);
    p->balance_ns -= (double)(pause - p->charged_ns);
    p->charged_ns = p->seen_ns = 0;
    p->total_ns += pause;
    p->run_since = now;
    return pause;
}

static uint64_t take_false(struct spot *spot) {
    uint64_t ns = spot->site.false_ns;
    for (size_t i = 0; i < spot->member_count; i++)
        spot->members[i].probe->reached += spot->site.false_hits;
    spot->site.false_hits = spot->site.false_ns = 0;
    return ns;
}

void pause_take_false(struct session *s) {
    struct pause *p = &s->pause;
    uint64_t ns = 0;
    for (size_t i = 0; i < s->spot_count; i++) {
        p->stops += s->spots[i]->site.false_hits;
        ns += take_false(s->spots[i]);
    }
    p->balance_ns -= (double)ns;
    p->total_ns += ns;
    p->held_ns += ns;
}

void pause_passed(struct session *s, const struct stop *hits) {
    struct pause *p = &s->pause;
    uint64_t cost = hits->cost_ns * hits->count;
    earn(s, uv_hrtime());
    pause_take_false(s);
    p->stops += hits->count;
    p->balance_ns -= (double)cost;
    p->total_ns += cost;
    if (!s->ending)
        check_budget(s, uv_hrtime());
}

/* ---- hits ---- */

/* An end that was asked for is the reason of `end`, and no more. */
static void tell_failure(struct session *s, const struct probe *probe, const char *name,
                         const struct limit *limit) {
    char is[32];
    snprintf(is, sizeof is, "%.0f", limit->is);
    if (limit->action == DO_FAIL)
        report_trip(s, probe->name, name, is, is, action_words[limit->action], 0);
}

void limit_hits(struct session *s, const struct probe *probe) {
    const struct limits *limits = &s->recipe->limits;
    if (limits->hits.is && (double)s->hits >= limits->hits.is) {
        tell_failure(s, probe, "hits", &limits->hits);
        carry_out(s, &limits->hits, "hits");
    }
    if (s->hooks->count_hit(s->ctx))
        return;
    tell_failure(s, probe, "run_hits", &limits->run_hits);
    s->hooks->end_run(s->ctx, "limit run_hits");
}
