/* The sessions of a run: of the targets that were named, and of what those fork, where that is
 * followed. */
#include "worker/worker.h"

#include "base/log.h"
#include "value/event.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define FILES_EACH 4     /* that a target may need */
#define FOLLOWED_MAX 256 /* at one time */

static struct member *member_of(struct worker *w, const struct session *session) {
    for (size_t i = 0; i < w->member_count; i++)
        if (w->members[i].session == session)
            return &w->members[i];
    return NULL;
}

/* ---- what sessions tell ---- */

/* An exit is one where a probe has asked for it. */
static bool is_hit(const struct event *head) {
    return head->type == EVENT_HIT || head->type == EVENT_SIGNAL || head->type == EVENT_LOG ||
           (head->type == EVENT_EXIT && head->probe);
}

static void on_event(void *ctx, const struct buffer *event) {
    struct worker *w = ctx;
    w->told_hits += is_hit(event_head(event));
    worker_tell(w, FRAME_EVENT, event->data, event->len);
}

static bool count_hit(void *ctx) {
    struct worker *w = ctx;
    const struct limit *limit = &w->recipe->limits.run_hits;
    w->run_hits++;
    if (!limit->is || (double)w->run_hits < limit->is)
        return true;
    if (limit->action == DO_FAIL)
        w->limit_tripped = true;
    return false;
}

static void end_run(void *ctx, const char *reason) {
    worker_end(ctx, reason);
}

static void tell_reachable(struct worker *w, const struct member *member, const char *uri) {
    struct buffer text = BUFFER_INIT(64 << 10);
    buffer_printf(&text, "%s %s", member->name, uri);
    worker_tell(w, FRAME_REACHABLE, text.data, text.len);
    buffer_free(&text);
}

static void reachable(void *ctx, struct session *session, const char *uri) {
    const struct member *member = member_of(ctx, session);
    if (member)
        tell_reachable(ctx, member, uri);
}

/* What became of a followed process does not decide how the run went; its limits do. */
static void over(void *ctx, struct session *session, enum session_outcome outcome) {
    struct worker *w = ctx;
    struct member *member = member_of(w, session);
    worker_tell(w, FRAME_REPAIRED, member->name, strlen(member->name));
    w->limit_tripped |= outcome == OUTCOME_LIMIT;
    w->members[member->target - w->job.targets].fits |= outcome < OUTCOME_FAILED;
    member->outcome = outcome;
    member->session = NULL;
    session_free(session);
    if (member->followed) {
        w->followed--;
        free(member->name);
        *member = w->members[--w->member_count];
    }
    if (!--w->living)
        worker_finish(w);
}

static void forked(void *ctx, struct session *session, const char *uri);

static const struct session_hooks hooks = {.event = on_event,
                                           .count_hit = count_hit,
                                           .end_run = end_run,
                                           .reachable = reachable,
                                           .forked = forked,
                                           .over = over};

/* ---- named targets ---- */

static struct error *find_backend(const struct worker *w, const struct target *target,
                                  const struct backend_ops **out) {
    const char *why;
    const struct backend_ops *ops = backend_find(target->uri, &why);
    if (!ops)
        return error_new(ERROR_USAGE, "target %s: %s: %s", target->name, target->uri, why);
    if (w->job.options.follow && !ops->caps->follows)
        return error_new(ERROR_USAGE,
                         "target %s: --follow-forks: not with %s: what a process forks is followed "
                         "natively (--pid PID, -- PROGRAM)",
                         target->name, ops->caps->name);
    const char *binary = target->binary ? target->binary : w->job.binary;
    if (binary && !ops->caps->takes_binary)
        return error_new(ERROR_USAGE,
                         "target %s: the binary %s: not with %s, which knows by itself what runs "
                         "there: leave it out, or give it as `binary` of the recipe's target that "
                         "it is for",
                         target->name, binary, ops->caps->name);
    *out = ops;
    return NULL;
}

static bool has_own_params(const struct member *member) {
    return member->target->params.count;
}

static struct error *read_recipe(struct worker *w, size_t i) {
    struct member *member = &w->members[i];
    const struct backend_ops *ops = NULL;
    struct error *error = find_backend(w, member->target, &ops);
    if (error || !w->job.recipe_count)
        return error;
    if (i && !has_own_params(member) && !has_own_params(w->members)) {
        member->recipe = w->recipe;
        return NULL;
    }
    error = recipe_parse_all(w->job.recipes, w->job.recipe_count, &w->job.params, member->target,
                             &member->recipe);
    return error ? error : session_fits(member->recipe, ops->caps);
}

static struct error *make_session(struct worker *w, struct member *member, const char *uri) {
    const struct target *target = member->target;
    struct error *error = session_new(&w->loop, w->job.run, member->name, uri,
                                      target->binary ? target->binary : w->job.binary,
                                      member->recipe, &w->job.options, &hooks, w, &member->session);
    w->living += !error;
    return error;
}

/* 1024 open files are what a shell allows, and fewer than what many targets need. */
static void allow_files(size_t targets) {
    struct rlimit files;
    rlim_t wanted = (rlim_t)targets * FILES_EACH + 256;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= wanted)
        return;
    files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

struct error *members_make(struct worker *w) {
    size_t n = w->job.target_count;
    struct error *error = NULL;
    allow_files(n);
    for (size_t i = 0; i < n && !error; i++) {
        struct member *member = ARRAY_ADD(w->members, w->member_count, w->member_cap);
        if (!member)
            return error_no_memory();
        *member =
            (struct member){.target = &w->job.targets[i], .name = strdup(w->job.targets[i].name)};
        error = member->name ? read_recipe(w, i) : error_no_memory();
        w->recipe = w->members[0].recipe;
    }
    for (size_t i = 0; i < n && !error; i++)
        error = make_session(w, &w->members[i], w->members[i].target->uri);
    return error;
}

/* Connecting there once more would start something else; what was started says by itself where it
 * can be reached. */
static bool can_be_reached_again(const char *uri) {
    static const char *const starters[] = {"dlv+exec:", "gdb", "native"};
    for (size_t i = 0; i < sizeof starters / sizeof *starters; i++)
        if (!strncmp(uri, starters[i], strlen(starters[i])))
            return false;
    return true;
}

void members_start(struct worker *w) {
    for (size_t i = 0; i < w->job.target_count; i++) {
        if (can_be_reached_again(w->members[i].target->uri))
            tell_reachable(w, &w->members[i], w->members[i].target->uri);
        session_start(w->members[i].session);
    }
}

/* ---- what they fork ---- */

static void tell_crowd(struct worker *w, const struct member *member) {
    struct buffer event = BUFFER_INIT(64 << 10);
    char text[96];
    if (w->told_crowd)
        return;
    w->told_crowd = true;
    snprintf(text, sizeof text, "%d forked processes are followed: those beyond are let go",
             FOLLOWED_MAX);
    event_begin(&event, EVENT_ERROR, w->job.run, member->name, NULL, worker_wall_ns());
    value_set_text(&event, event_head(&event)->body, "severity", "warning");
    value_set_text(&event, event_head(&event)->body, "message", text);
    on_event(w, &event);
    buffer_free(&event);
}

/* NAME/PID, with the name of the target that was named. */
static struct member *add_followed(struct worker *w, struct member of, const char *uri) {
    char name[256];
    snprintf(name, sizeof name, "%.200s/%.40s", of.target->name, strchr(uri, ':') + 1);
    struct member *member = ARRAY_ADD(w->members, w->member_count, w->member_cap);
    if (!member)
        return NULL;
    *member = (struct member){
        .target = of.target, .recipe = of.recipe, .name = strdup(name), .followed = true};
    return member;
}

/* Without memory it is let go, as if it were not followed. */
static void forked(void *ctx, struct session *session, const char *uri) {
    struct worker *w = ctx;
    const struct member *parent = member_of(w, session);
    if (w->ending || !parent)
        return;
    if (w->followed == FOLLOWED_MAX) {
        tell_crowd(w, parent);
        return;
    }
    struct member *member = add_followed(w, *parent, uri);
    struct error *error =
        !member || !member->name ? error_no_memory() : make_session(w, member, uri);
    if (error) {
        LOG(LOG_WORKER, 1, "%s: %s", uri, error->message);
        error_free(error);
        if (member)
            free(w->members[--w->member_count].name);
        return;
    }
    w->followed++;
    w->followed_total++;
    session_start(member->session);
    session_congest(member->session, w->congested);
}

/* ---- all of them ---- */

/* A shell does not fit the recipe for what it runs. */
size_t members_failed(const struct worker *w, enum session_outcome *worst) {
    size_t failed = 0;
    *worst = OUTCOME_FINE;
    for (size_t i = 0; i < w->job.target_count; i++) {
        const struct member *member = &w->members[i];
        bool by_another = w->job.options.follow && member->fits;
        if (member->outcome < OUTCOME_FAILED || (member->outcome == OUTCOME_RECIPE && by_another))
            continue;
        failed++;
        *worst = member->outcome > *worst ? member->outcome : *worst;
    }
    return failed;
}

void members_end(struct worker *w, const char *reason) {
    for (size_t i = 0; i < w->member_count; i++)
        if (w->members[i].session)
            session_end(w->members[i].session, reason);
}

void members_congest(struct worker *w, bool congested) {
    for (size_t i = 0; i < w->member_count; i++)
        if (w->members[i].session)
            session_congest(w->members[i].session, congested);
}

void members_free(struct worker *w) {
    for (size_t i = 0; i < w->member_count; i++) {
        struct member *member = &w->members[i];
        if (!member->followed && (!i || member->recipe != w->recipe))
            recipe_free(member->recipe);
        free(member->name);
    }
    free(w->members);
}
