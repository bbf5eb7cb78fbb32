/* The state machine of one target; its first steps are in connect.c and resolve.c, those
 * at a stop in stops.c.
 *
 *   WAITING ─▶ CONNECTING ─▶ [HALTING] ─▶ RESOLVING ─▶ ARMING ─▶ RESUMING ─▶ RUNNING ─┐
 *      ▲           │                                     ▲ ▲                    │    │ stop
 *      └─ retry ───┘                                     │ └── EVALUATING ◀─────┼────┘
 *                                                        │        │   ▲         │ something must be
 *                                                        │        ▼   │         │ armed or disarmed
 *                                                        │      FETCHING        ▼
 *                                                        └──────────────── [HALTING]
 *
 *   a stop of somebody else: EVALUATING ─▶ ARMING (nothing) ─▶ STRANGE, until they resume it
 *   the end: ARMING (nothing) ─▶ RESUMING ─▶ LEAVING ─▶ OVER
 *   any failure: ─▶ LEAVING or OVER
 *
 * Whatever happens at any step, the target is in a state in which it goes on when we vanish, or one
 * that the worker's death note (worker/link.c) brings it back from. */
#include "session/state.h"

#include <stdlib.h>

void session_fail(struct session *s, struct error *error) {
    static const struct {
        enum session_outcome outcome;
        const char *reason;
    } ends[] = {[ERROR_USAGE] = {OUTCOME_USAGE, "there is no such target"},
                [ERROR_RECIPE] = {OUTCOME_RECIPE, "the recipe does not fit"},
                [ERROR_RUN] = {OUTCOME_FAILED, "failed"}};
    if (!s->failure) {
        bool known = error->class < sizeof ends / sizeof *ends;
        s->failure = error;
        s->outcome = ends[known ? error->class : ERROR_RUN].outcome;
        free(s->end_reason);
        s->end_reason = strdup(ends[known ? error->class : ERROR_RUN].reason);
    } else {
        error_free(error);
    }
    s->ending = true;
}

void session_stop_for(struct session *s, enum session_outcome outcome, const char *reason) {
    if (s->ending)
        return;
    s->ending = true;
    s->outcome = outcome;
    free(s->end_reason);
    s->end_reason = strdup(reason);
}

/* ---- arming: only what differs ---- */

static void step_arming(void *owner) {
    struct session *s = owner;
    gate_arm(s, uv_hrtime());
    s->ops->flush(s->backend);
}

static void tell_armed(struct session *s) {
    s->armed_told = true;
    s->armed_at_ns = uv_hrtime();
    report_armed(s);
    if (s->options.mode == SESSION_CHECK)
        session_stop_for(s, OUTCOME_FINE, "checked");
}

static void on_armed(struct session *s) {
    struct error *error = gate_armed(s);
    spots_drop_stale(s);
    uint64_t next;
    if (error && s->armed_told) { /* a watch out of scope, or somebody's breakpoint in the way */
        report_error(s, NULL, "warning", "%s", error->message);
        error_free(error);
    } else if (error) {
        session_fail(s, error);
    }
    if (s->options.mode == SESSION_REPAIR)
        session_stop_for(s, OUTCOME_FINE, "repaired");
    bool unsettled = !s->armed_told && gate_unsettled(s, uv_hrtime(), &next);
    if (!s->ending && (unsettled || !gate_primed(s))) {
        go(s, S_ARMING); /* one more condition to show, or the last one to take back */
        return;
    }
    if (!s->ending && !s->armed_told && !s->unfit)
        tell_armed(s);
    if (s->reloaded && !s->ending) {
        s->reloaded = false;
        report_armed(s); /* once more: there are new places */
    }
    if (s->strange && !s->ending) {
        go(s, S_STRANGE);
        return;
    }
    if (!s->ending && !s->exited && gate_exhausted(s))
        session_stop_for(s, OUTCOME_FINE, "nothing can hit any more");
    if (s->ending && gate_unsettled(s, uv_hrtime(), &next)) {
        go(s, S_ARMING);
        return;
    }
    bool changes = s->options.mode == SESSION_RUN || s->options.mode == SESSION_REPAIR;
    bool leave_stopped =
        s->ending && (s->strange || (!s->was_running && !changes) ||
                      (s->failure && !s->armed_told && !s->was_running && !s->info.started));
    go(s, s->exited || leave_stopped ? S_LEAVING : S_RESUMING);
}

/* ---- running ---- */

static void on_wake(uv_timer_t *timer) {
    struct session *s = timer->data;
    if (state_of(s) == S_RUNNING) {
        go(s, S_RUNNING); /* look again */
        fsm_drive(&s->fsm);
    }
}

/* The resume goes out before anybody sees an event of the stop. */
static void step_resuming(void *owner) {
    struct session *s = owner;
    if (s->congested && !s->was_running && !s->ending)
        return; /* a launched target waits for the sinks: session_congest() goes on */
    if (s->ending && s->options.kill_launched && s->info.started) {
        go(s, S_LEAVING);
        return;
    }
    uint64_t pause = pause_ended(s, uv_hrtime());
    s->let_go = s->ending && s->ops->caps->detaches;
    if (s->let_go)
        s->ops->leave(s->backend, LEAVE_FREE);
    else
        s->ops->resume(s->backend);
    s->running = true;
    s->halting = false;
    gate_resumed(s);
    pause_tell(s, pause);
    report_items(s, pause);
    items_clear(s);
    s->stop = NULL;
    go(s, s->ending ? S_LEAVING : S_RUNNING);
}

static void step_running(void *owner) {
    struct session *s = owner;
    uint64_t now = uv_hrtime(), next;
    uv_timer_stop(&s->wake);
    if (gate_differs(s, now, &next) || s->ending) {
        go(s, S_HALTING);
    } else if (next != NEVER) {
        uint64_t wait = next > now ? (next - now) / 1000000 + 1 : 1;
        uv_timer_start(&s->wake, on_wake, wait, 0);
    }
}

static void step_halting(void *owner) {
    struct session *s = owner;
    if (s->halting)
        return;
    s->halting = true;
    s->pause.halt_sent_ns = uv_hrtime();
    s->ops->halt(s->backend);
}

/* ---- listing ---- */

static void step_listing(void *owner) {
    struct session *s = owner;
    static const struct load load = {.string = 256, .items = 1000, .depth = 1, .bytes = 256};
    static _Thread_local struct want want; /* the answer is remembered by its address */
    struct hit nowhere = {.thread = 0};
    value_ref list = 0;
    want = (struct want){.kind = WANT_LIST,
                         .expr = s->options.list_what,
                         .pattern = s->options.list_pattern,
                         .load = load};
    struct buffer into = BUFFER_INIT(LIST_BYTES);
    enum read_result result = s->ops->read(s->backend, &nowhere, &want, &into, &list);
    if (result == READ_AGAIN) {
        s->ops->flush(s->backend);
    } else {
        const struct value *value = into.failed ? NULL : value_get(&into, list);
        if (value && value->kind == VALUE_ERROR)
            session_fail(s, error_new(ERROR_RUN, "%s: listing %s: %s", s->uri, want.expr,
                                      value_text(&into, value)));
        else if (!report_list(s, list, &into))
            session_fail(s, error_new(ERROR_RUN, "%s: too many %s for one list: give a pattern",
                                      s->uri, want.expr));
        session_stop_for(s, OUTCOME_FINE, "listed");
        go(s, s->was_running ? S_RESUMING : S_LEAVING);
    }
    buffer_free(&into);
}

static void on_flushed(void *owner) {
    struct session *s = owner;
    switch (state_of(s)) {
    case S_RESOLVING: session_on_resolved(s); break;
    case S_ARMING: on_armed(s); break;
    case S_FETCHING: go(s, S_EVALUATING); break;
    case S_LISTING: go(s, S_LISTING); break;
    default: break; /* what was given up */
    }
    fsm_drive(&s->fsm);
}

/* ---- the end ---- */

/* A server that we started goes with a target that is gone, that never ran, or that nothing will
 * run. */
static void step_leaving(void *owner) {
    struct session *s = owner;
    if (s->let_go)
        return;
    bool looked_only = s->options.mode == SESSION_CHECK || s->options.mode == SESSION_LIST;
    bool kill =
        s->info.started && (s->exited || s->options.kill_launched || s->info.core || looked_only);
    uv_timer_stop(&s->wake);
    uv_timer_stop(&s->cut);
    s->ops->leave(s->backend, kill ? LEAVE_KILL : LEAVE_QUIETLY);
}

static void on_left(void *owner) {
    struct session *s = owner;
    go(s, S_OVER);
    fsm_drive(&s->fsm);
}

static void on_lost(void *owner, struct error *error) {
    struct session *s = owner;
    if (s->options.mode == SESSION_RUN && s->armed_told && !s->exited)
        error = error_wrap(error, "lost the target");
    session_fail(s, error);
    go(s, S_OVER);
    fsm_drive(&s->fsm);
}

static void on_notice(void *owner, const char *text) {
    report_error(owner, NULL, "warning", "%s", text);
}

static void on_forked(void *owner, const char *uri) {
    struct session *s = owner;
    if (!s->ending)
        s->hooks->forked(s->ctx, s, uri);
}

const struct backend_events session_backend_events = {
    .connected = session_on_connected,
    .flushed = on_flushed,
    .stopped = session_on_stopped,
    .passed = session_on_passed,
    .lost_hits = session_on_lost_hits,
    .lost = on_lost,
    .left = on_left,
    .notice = on_notice,
    .forked = on_forked,
};

static void on_over(uv_timer_t *timer) {
    struct session *s = timer->data;
    bool never_fitted = s->unfit && !s->fitted && s->outcome == OUTCOME_FINE;
    s->hooks->over(s->ctx, s, never_fitted ? OUTCOME_RECIPE : s->outcome);
}

static void step_over(void *owner) {
    struct session *s = owner;
    s->over = true;
    s->end_ns = uv_hrtime();
    for (size_t i = 0; i < s->probe_count; i++)
        if (s->probes[i].is_armed)
            s->probes[i].armed_ns += s->end_ns - s->probes[i].armed_since;
    uv_timer_stop(&s->wake);
    uv_timer_stop(&s->cut);
    report_items(s, 0);
    items_lost(s);
    items_clear(s);
    report_end(s);
    if (s->backend)
        s->ops->destroy(s->backend);
    s->backend = NULL;
    uv_timer_start(&s->retry, on_over, 0, 0); /* the owner may free us: not from inside a step */
}

#define TO(a) FSM_TO(S_##a)
#define ENDS (TO(LEAVING) | TO(OVER))

static const struct fsm_state states[] = {
    [S_WAITING] = {"waiting", session_step_waiting, TO(CONNECTING) | TO(OVER)},
    [S_CONNECTING] = {"connecting", session_step_connecting,
                      TO(WAITING) | TO(HALTING) | TO(RESOLVING) | ENDS},
    [S_HALTING] = {"halting", step_halting, TO(RESOLVING) | TO(EVALUATING) | TO(ARMING) | ENDS},
    [S_RESOLVING] = {"resolving", session_step_resolving, TO(ARMING) | TO(LISTING) | ENDS},
    [S_ARMING] = {"arming", step_arming,
                  TO(ARMING) | TO(RESUMING) | TO(STRANGE) | TO(RESOLVING) | ENDS},
    [S_RESUMING] = {"resuming", step_resuming, TO(RUNNING) | TO(RESUMING) | TO(ARMING) | ENDS},
    [S_RUNNING] = {"running", step_running,
                   TO(RUNNING) | TO(HALTING) | TO(EVALUATING) | TO(RESOLVING) | TO(ARMING) | ENDS},
    [S_EVALUATING] = {"evaluating", session_step_evaluating,
                      TO(FETCHING) | TO(ARMING) | TO(RESUMING) | ENDS},
    [S_FETCHING] = {"fetching", session_step_fetching, TO(EVALUATING) | ENDS},
    [S_STRANGE] = {"somebody else's stop", session_step_strange, TO(HALTING) | TO(STRANGE) | ENDS},
    [S_LISTING] = {"listing", step_listing, TO(LISTING) | TO(RESUMING) | ENDS},
    [S_LEAVING] = {"leaving", step_leaving, TO(OVER)},
    [S_OVER] = {"over", step_over, 0},
};

/* ---- from outside ---- */

void session_end(struct session *s, const char *reason) {
    if (s->over)
        return;
    bool reached = state_of(s) != S_WAITING && state_of(s) != S_CONNECTING;
    if (!reached && !s->ending && !strcmp(reason, "duration"))
        session_fail(s, error_new(ERROR_RUN,
                                  "%s was not reached before the run's duration was over", s->uri));
    session_stop_for(s, OUTCOME_FINE, reason);
    switch (state_of(s)) {
    case S_WAITING:
        uv_timer_stop(&s->retry);
        go(s, S_OVER);
        break;
    case S_CONNECTING:
        if (!s->fsm.pending && s->backend) {
            s->ops->destroy(s->backend);
            s->backend = NULL;
            go(s, S_OVER);
        }
        break;
    case S_RUNNING: go(s, S_RUNNING); break;
    case S_RESUMING:
        if (s->congested)
            go(s, S_ARMING);
        break;
    default: break; /* the step under way sees `ending` */
    }
    fsm_drive(&s->fsm);
}

void session_congest(struct session *s, bool congested) {
    if (s->congested == congested || s->over)
        return;
    uint64_t now = uv_hrtime();
    s->congested_at = congested ? now : s->congested_at;
    s->congested = congested;
    if (s->armed_told)
        report_trip(s, NULL, "queue", "8MiB", congested ? "full" : "drained",
                    s->was_running ? (congested ? "disarm" : "arm again")
                                   : (congested ? "wait" : "go on"),
                    congested ? 0 : now - s->congested_at);
    if (state_of(s) == S_RUNNING)
        go(s, S_RUNNING);
    else if (state_of(s) == S_RESUMING && !congested)
        go(s, S_ARMING);
    fsm_drive(&s->fsm);
}

static void init_timer(struct session *s, uv_timer_t *timer) {
    uv_timer_init(s->loop, timer);
    timer->data = s;
    s->handles++;
}

struct error *session_new(uv_loop_t *loop, const char *run, const char *target, const char *uri,
                          const char *binary, const struct recipe *recipe,
                          const struct session_options *options, const struct session_hooks *hooks,
                          void *ctx, struct session **out) {
    const char *why;
    const struct backend_ops *ops = backend_find(uri, &why);
    if (!ops)
        return error_new(ERROR_USAGE, "target %s: %s: %s", target, uri, why);
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory();
    s->loop = loop;
    s->run = strdup(run);
    s->target = strdup(target);
    s->uri = strdup(uri);
    s->binary = binary ? strdup(binary) : NULL;
    s->recipe = recipe;
    s->options = *options;
    s->hooks = hooks;
    s->ctx = ctx;
    s->ops = ops;
    s->backoff_ms = BACKOFF_FIRST_MS;
    s->scratch = BUFFER_INIT(64 << 10);
    s->note = BUFFER_INIT(EVENT_MAX);
    init_timer(s, &s->retry);
    init_timer(s, &s->wake);
    init_timer(s, &s->cut);
    fsm_init(&s->fsm, states, s->target, s, LOG_SESSION, S_CONNECTING);
    if (recipe)
        probes_init(s);
    *out = s;
    return NULL;
}

void session_start(struct session *s) {
    s->started_ns = uv_hrtime();
    s->connect_deadline = s->started_ns + (uint64_t)s->options.connect_ms * 1000000;
    fsm_drive(&s->fsm);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct session *s = handle->data;
    if (!--s->handles)
        free(s);
}

void session_free(struct session *s) {
    if (!s || s->freed)
        return;
    s->freed = true;
    if (s->backend)
        s->ops->destroy(s->backend);
    items_clear(s);
    free(s->items);
    spots_free(s);
    free(s->spots);
    for (size_t i = 0; s->queries && i < 2 * s->probe_count; i++) {
        for (size_t k = 0; k < s->queries[i].count; k++) {
            free(s->queries[i].places[k].addresses);
            free(s->queries[i].places[k].function);
            free(s->queries[i].places[k].file);
        }
        free(s->queries[i].places);
        error_free(s->queries[i].error);
    }
    free(s->queries);
    probes_free(s);
    buffer_free(&s->scratch);
    buffer_free(&s->note);
    buffer_free(&s->spare);
    error_free(s->failure);
    free(s->end_reason);
    free(s->run);
    free(s->target);
    free(s->uri);
    free(s->binary);
    uv_close((uv_handle_t *)&s->retry, on_timer_closed);
    uv_close((uv_handle_t *)&s->wake, on_timer_closed);
    uv_close((uv_handle_t *)&s->cut, on_timer_closed);
}
