/* From a URI to a target that we may touch. */
#include "session/state.h"

#include <stdlib.h>

#define BACKOFF_MAX_MS 2000

static void tell_reachable(void *ctx, const char *uri) {
    struct session *s = ctx;
    s->hooks->reachable(s->ctx, s, uri);
}

static uint64_t read_ns(const struct session *s) {
    const struct limit *limit = s->recipe ? &s->recipe->limits.max_pause : NULL;
    return limit && limit->action == DO_CUT && limit->is > 0 ? (uint64_t)limit->is : 0;
}

void session_step_connecting(void *owner) {
    struct session *s = owner;
    struct backend_setup setup = {.loop = s->loop,
                                  .run = s->run,
                                  .uri = s->uri,
                                  .binary = s->binary,
                                  .relay = s->options.relay,
                                  .note = s->options.note,
                                  .output = s->options.output,
                                  .timeout_ms = s->options.timeout_ms,
                                  .read_ns = read_ns(s),
                                  .insecure = s->options.insecure,
                                  .alone = s->options.mode == SESSION_RUN,
                                  .follow = s->options.follow,
                                  .reachable = tell_reachable,
                                  .reachable_ctx = s};
    struct error *error = s->ops->create(&setup, &session_backend_events, s, &s->backend);
    if (error) {
        session_fail(s, error);
        go(s, S_OVER);
        return;
    }
    s->ops->connect(s->backend);
}

void session_on_retry(uv_timer_t *timer) {
    struct session *s = timer->data;
    if (state_of(s) == S_STRANGE)
        s->ops->inspect(s->backend);
    else
        go(s, s->ending ? S_OVER : S_CONNECTING);
    fsm_drive(&s->fsm);
}

/* A server that is not there yet may come: until the deadline. One that refuses us will not change.
 */
static bool may_come(const struct session *s, const struct error *error) {
    return !s->ending && error->reason == REASON_NO_PEER &&
           uv_hrtime() + s->backoff_ms * 1000000 < s->connect_deadline;
}

void session_step_waiting(void *owner) {
    struct session *s = owner;
    uv_timer_start(&s->retry, session_on_retry, s->backoff_ms, 0);
    s->backoff_ms = s->backoff_ms * 2 < BACKOFF_MAX_MS ? s->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void connect_failed(struct session *s, struct error *error) {
    s->ops->destroy(s->backend);
    s->backend = NULL;
    if (may_come(s, error)) {
        LOG(LOG_SESSION, 1, "%s: %s; trying again", s->target, error->message);
        error_free(error);
        go(s, S_WAITING);
    } else {
        session_fail(s, error);
        go(s, S_OVER);
    }
}

static struct error *refuse_target(const struct session *s) {
    if (!s->info.stays && !s->options.end_kills_target)
        return error_new(
            ERROR_RUN,
            "%s is a single-client server that launched its target: when we disconnect, "
            "it kills it. Start dlv with --accept-multiclient, or say --end-kills-target",
            s->uri);
    if (s->info.core && s->options.mode == SESSION_RUN)
        return error_new(
            ERROR_RUN,
            "%s: nothing in it will ever run (a file, or a core file): `check` and `list` "
            "can use it",
            s->uri);
    if (s->info.quitting_kills && s->options.mode != SESSION_RUN && !s->options.end_kills_target)
        return error_new(ERROR_RUN,
                         "%s has launched its target: where its server was started with --once, "
                         "disconnecting kills it. `--binary FILE` tells what can be known without "
                         "it; --end-kills-target takes the risk",
                         s->uri);
    if (!s->info.running && !s->info.parked && !s->info.at_launch && !s->info.started &&
        !s->options.resume && s->options.mode == SESSION_RUN)
        return error_new(
            ERROR_RUN,
            "%s is stopped, and not at its launch: somebody is looking at it. Resume it "
            "there, or say --resume",
            s->uri);
    return NULL;
}

static bool is_ours(const struct session *s, const char *breakpoint) {
    return !strncmp(breakpoint, "pg", 2) && !strncmp(breakpoint + 2, s->run, strlen(s->run));
}

static void accept_target(struct session *s) {
    struct error *error = s->options.mode == SESSION_REPAIR ? NULL : refuse_target(s);
    if (s->options.mode == SESSION_REPAIR && !s->info.running && *s->info.stopped_at)
        s->strange = !is_ours(s, s->info.stopped_at);
    s->was_running = s->info.running || s->info.parked;
    s->found_launch = s->info.at_launch;
    s->running = s->info.running;
    s->pause.calibrating = s->was_running && (s->ops->caps->hides_false || s->ops->caps->filters);
    if (error) {
        session_fail(s, error);
        go(s, S_LEAVING);
    } else {
        go(s, s->ending ? S_LEAVING : s->running ? S_HALTING : S_RESOLVING);
    }
}

void session_on_connected(void *owner, const struct target_info *info, struct error *error) {
    struct session *s = owner;
    if (error) {
        connect_failed(s, error);
    } else if (state_of(s) == S_STRANGE) {
        if (info->running || s->ending) {
            s->running = info->running;
            s->strange = false;
            go(s, s->ending ? S_LEAVING : S_HALTING);
        } else {
            uv_timer_start(&s->retry, session_on_retry, STRANGE_POLL_MS, 0);
        }
    } else {
        s->info = *info;
        accept_target(s);
    }
    fsm_drive(&s->fsm);
}
