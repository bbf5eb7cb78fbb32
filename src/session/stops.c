/* A stop: what is read, what is decided, and whose it is. */
#include "session/state.h"

#include <stdlib.h>

static void on_restarted(struct session *s) {
    const char *what = s->stop->what ? s->stop->what : "";
    if (s->info.parent) /* of a family, `armed` says what each runs */
        LOG(LOG_SESSION, 1, "%s: %s", s->target, what);
    else
        report_error(s, NULL, "warning", "the target was restarted%s%s: arming anew",
                     *what ? ": " : "", what);
    s->resolved = false;
    spots_free(s); /* nothing of them is armed any more */
    s->restarted = true;
    s->reloaded = s->armed_told; /* `armed` is told once more */
    for (size_t i = 0; i < s->probe_count; i++)
        while (s->probes[i].call_count) {
            s->probes[i].unpaired++;
            call_leave(&s->probes[i], s->probes[i].call_count - 1);
        }
}

/* Before its own code began, the pointers in a program's data were not right yet. */
static void look_at_watches_anew(struct session *s) {
    bool first = s->found_launch && !s->began;
    s->began = true;
    for (size_t i = 0; first && i < s->probe_count; i++)
        s->probes[i].over |=
            s->probes[i].probe->trigger == TRIGGER_WATCH && s->probes[i].probe->watch_from < 0;
}

void session_on_stopped(void *owner, const struct stop *stop) {
    struct session *s = owner;
    s->running = false;
    s->halting = false;
    s->stop = stop;
    uv_timer_stop(&s->wake);
    s->info.pid = stop->pid ? stop->pid : s->info.pid;
    pause_began(s, stop);
    if (stop->reason == STOP_EXITED) {
        s->exited = true;
        report_exit(s, stop);
        session_stop_for(s, OUTCOME_FINE,
                         stop->by_signal ? "the target was killed by a signal"
                                         : "the target exited");
        go(s, S_LEAVING);
    } else if (stop->reason == STOP_RESTARTED) {
        on_restarted(s);
        go(s, S_RESOLVING);
    } else if (stop->reason == STOP_LOADED && s->resolved) {
        s->reloaded = true;
        look_at_watches_anew(s);
        go(s, S_RESOLVING);
    } else if (!s->resolved) {
        go(s, S_RESOLVING); /* the halt before the first arming */
    } else {
        s->strange = stop->reason == STOP_STRANGER;
        items_collect(s, stop, uv_hrtime());
        go(s, S_EVALUATING);
    }
    fsm_drive(&s->fsm);
}

static void on_cut(uv_timer_t *timer) {
    struct session *s = timer->data;
    if (state_of(s) != S_FETCHING)
        return;
    s->pause.cut = true;
    items_cut(s, "max_pause was over");
    go(s, S_EVALUATING);
    fsm_drive(&s->fsm);
}

static void limit_fetching(struct session *s) {
    const struct limit *limit = &s->recipe->limits.max_pause;
    uint64_t spent = s->pause.seen_ns ? uv_hrtime() - s->pause.seen_ns : 0;
    if (limit->action != DO_CUT || limit->is <= 0 || uv_is_active((uv_handle_t *)&s->cut))
        return;
    double left = limit->is - (double)spent - (double)s->pause.server_ns;
    /* libuv counts whole milliseconds from when the loop last looked at the clock: never early. */
    uv_update_time(s->loop);
    uv_timer_start(&s->cut, on_cut, left > 0 ? (uint64_t)(left / 1e6) + 1 : 1, 0);
}

/* A stop of somebody else is told once, and theirs to end. Nothing of ours is armed meanwhile: it
 * would stop the target in their `continue`, not in ours. */
static void wait_for_owner(struct session *s) {
    report_error(s, NULL, "warning",
                 "the target was stopped by somebody else (%s): it is theirs to resume; waiting",
                 s->stop->what);
    report_items(s, 0);
    items_clear(s);
    go(s, S_ARMING);
}

void session_step_evaluating(void *owner) {
    struct session *s = owner;
    if (!items_run(s, uv_hrtime())) {
        go(s, S_FETCHING);
        return;
    }
    uv_timer_stop(&s->cut);
    s->pause.cut |= s->stop->cut;
    if (s->strange) {
        wait_for_owner(s);
        return;
    }
    uint64_t now = uv_hrtime(), next;
    if (s->stop->reason == STOP_PANIC && !s->item_count)
        report_error(s, NULL, "warning",
                     "the target is ending: %s (a probe with \"panic: true\" shows more)",
                     s->stop->what);
    pause_check(s, now);
    bool mend = gate_differs(s, now, &next);
    go(s, mend || gate_exhausted(s) ? S_ARMING : S_RESUMING);
}

void session_step_fetching(void *owner) {
    struct session *s = owner;
    limit_fetching(s);
    s->ops->flush(s->backend);
}

void session_step_strange(void *owner) {
    struct session *s = owner;
    uv_timer_start(&s->retry, session_on_retry, STRANGE_POLL_MS, 0);
}

/* ---- hits that the target did not wait for ---- */

static void evaluate_passed(struct session *s, const struct stop *hits) {
    uint64_t now = uv_hrtime();
    s->items = NULL;
    s->item_count = s->item_cap = 0;
    s->stop = hits;
    s->passing = true;
    items_collect(s, hits, now);
    if (!items_run(s, now)) {
        items_cut(s, "it did not come with the hit");
        items_run(s, now);
    }
    pause_passed(s, hits);
    s->passing = false;
    report_items(s, hits->cost_ns);
    items_clear(s);
    free(s->items);
}

/* They may come while a stop is worked on, whose items wait for their resume. */
void session_on_passed(void *owner, const struct stop *hits) {
    struct session *s = owner;
    const struct stop *stop = s->stop;
    struct item *items = s->items;
    size_t count = s->item_count, cap = s->item_cap;
    evaluate_passed(s, hits);
    s->stop = stop;
    s->items = items;
    s->item_count = count;
    s->item_cap = cap;
    if (state_of(s) != S_RUNNING)
        return;
    go(s, S_RUNNING); /* a limit may have tripped */
    fsm_drive(&s->fsm);
}

void session_on_lost_hits(void *owner, const struct site *site, uint64_t count) {
    const struct spot *spot = (const struct spot *)site;
    (void)owner;
    for (size_t i = 0; i < spot->member_count; i++)
        spot->members[i].probe->lost += count;
}
