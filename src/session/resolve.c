/* From a recipe to its places in what the target runs: at first, and whenever it runs something
 * else. */
#include "session/state.h"

void session_step_resolving(void *owner) {
    struct session *s = owner;
    if (s->options.mode == SESSION_LIST) {
        go(s, S_LISTING);
        return;
    }
    spots_ask(s);
    s->ops->flush(s->backend);
}

static void first_timers(struct session *s, uint64_t now) {
    for (size_t i = 0; i < s->probe_count; i++)
        if (s->probes[i].probe->trigger == TRIGGER_TIMER)
            s->probes[i].timer_next = now + s->probes[i].probe->timer_ns;
}

/* The recipe was right for what ran before. */
static struct error *unfit(struct error *error) {
    struct error *run = error_new(ERROR_RUN, "the recipe does not fit what the target runs now: %s",
                                  error->message);
    error_free(error);
    return run;
}

/* Of processes that fork and execute, some run what the recipe is for. The others go on without
 * probes, until they execute something else. */
static struct error *go_without(struct session *s, struct error *error) {
    s->unfit = true;
    s->reloaded = false;
    if (s->info.parent)
        LOG(LOG_SESSION, 1, "%s: %s", s->target, error->message);
    else
        report_error(s, NULL, "warning", "%s; waiting for what it forks or executes",
                     error->message);
    error_free(error);
    return NULL;
}

static bool has_place(const struct session *s) {
    for (size_t i = 0; i < s->spot_count; i++) {
        const struct site *site = &s->spots[i]->site;
        if (site->address_count || (site->kind != SITE_CODE && site->kind != SITE_RETURN))
            return true;
    }
    return false;
}

void session_on_resolved(struct session *s) {
    struct error *error = spots_build(s);
    s->unfit = false;
    if (!error && s->ops->judge)
        error = typed_check(s);
    if (error && s->options.follow && error->class == ERROR_RECIPE)
        error = go_without(s, error);
    else if (error && s->restarted && error->class == ERROR_RECIPE)
        error = unfit(error);
    s->fitted |= !error && !s->unfit && has_place(s);
    s->resolved = true;
    first_timers(s, uv_hrtime());
    if (error)
        session_fail(s, error);
    go(s, S_ARMING);
}
