/* A run, seen from main: its settings, the worker that does it, the sinks. */
#include "lib/lib.h"

#include "base/log.h"
#include "lib/interrupt.h"
#include "session/run_id.h"
#include "sink/sink.h"
#include "worker/link.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define STATUS_MS 500
#define PATIENCE_MS 2000 /* for sinks' readers, when the run was interrupted */

struct pick_run {
    uv_loop_t loop;
    uv_poll_t interrupt;
    uv_timer_t tick;
    struct patience patience;
    uint64_t interrupted_ns;
    struct job job;
    struct link *link;
    struct sink **sinks;
    size_t sink_count, sink_cap, sinks_alive;
    struct status status;
    pick_event_fn *on_event;
    void *ctx;
    char *worker;
    enum pick_mode mode;
    bool signals, has_signals, wants_status, started, over;
    unsigned interrupts;
    int code;
    struct error *error;
};

static int patience_left(void *ctx);
static void stop_signals(pick_run *run);

pick_run *pick_run_new(void) {
    pick_run *run = calloc(1, sizeof *run);
    const char *wrong;
    if (!run)
        return NULL;
    char id[RUN_ID_SIZE];
    run_id_new(id);
    run->job.run = strdup(id);
    run->job.options.connect_ms = run->job.options.timeout_ms = 10000;
    if (!log_setup(getenv("PICKGLASS_LOG"), &wrong))
        fprintf(stderr,
                "pickglass: PICKGLASS_LOG: \"%s\" is not DOMAIN:LEVEL (like session:1,delve:3)\n",
                wrong);
    uv_loop_init(&run->loop);
    uv_timer_init(&run->loop, &run->tick);
    run->tick.data = run->interrupt.data = run;
    run->patience = (struct patience){.fd = -1, .left = patience_left, .ctx = run};
    return run;
}

static void close_handle(uv_handle_t *handle, void *ctx) {
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void pick_run_free(pick_run *run) {
    if (!run)
        return;
    link_release(run->link);
    uv_close((uv_handle_t *)&run->tick, NULL);
    stop_signals(run);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    uv_walk(&run->loop, close_handle, NULL);
    uv_loop_close(&run->loop);
    for (size_t i = 0; i < run->sink_count; i++)
        error_free(sink_close(run->sinks[i]));
    free(run->sinks);
    status_free(&run->status);
    job_clear(&run->job);
    error_free(run->error);
    free(run->worker);
    free(run);
}

/* ---- settings ---- */

static pick_error *set(char **place, const char *text) {
    free(*place);
    *place = text ? strdup(text) : NULL;
    return text && !*place ? public_error(error_no_memory()) : NULL;
}

pick_error *pick_run_recipe(pick_run *run, const char *name, const char *text, size_t len) {
    if (memchr(text, '\0', len))
        return public_error(error_new(ERROR_RECIPE, "%s: the recipe holds a NUL byte", name));
    return job_add_recipe(&run->job, name, text) ? NULL : public_error(error_no_memory());
}

pick_error *pick_run_params(pick_run *run, const pick_params *params) {
    struct error *error = NULL;
    for (size_t i = 0; params && i < params->settings.count && !error; i++)
        error = settings_add(&run->job.params, params->settings.list[i].name,
                             params->settings.list[i].value);
    return public_error(error);
}

pick_error *pick_run_target(pick_run *run, const char *name, const char *uri) {
    const char *why;
    char number[24];
    struct target *target;
    if (!backend_find(uri, &why))
        return public_error(error_new(ERROR_USAGE, "%s: %s", uri, why));
    for (size_t i = 0; name && i < run->job.target_count; i++)
        if (!strcmp(run->job.targets[i].name, name))
            return public_error(error_new(ERROR_USAGE, "two targets are named \"%s\"", name));
    target = ARRAY_ADD(run->job.targets, run->job.target_count, run->job.target_cap);
    if (!target)
        return public_error(error_no_memory());
    snprintf(number, sizeof number, "target-%zu", run->job.target_count);
    target->name = strdup(name ? name : number);
    target->uri = strdup(uri);
    return NULL;
}

pick_error *pick_run_binary(pick_run *run, const char *path) {
    return set(&run->job.binary, path);
}

pick_error *pick_run_targets_file(pick_run *run, const char *path) {
    char *text;
    size_t len, count;
    struct target *targets;
    pick_error *error = pick_read_file(path, &text, &len);
    if (error)
        return error;
    struct error *wrong = targets_parse(path, text, len, &targets, &count);
    for (size_t i = 0; i < count && !wrong; i++) {
        struct target *target =
            ARRAY_ADD(run->job.targets, run->job.target_count, run->job.target_cap);
        const char *why;
        if (!backend_find(targets[i].uri, &why))
            wrong = error_new(ERROR_USAGE, "%s: target %s: %s: %s", path, targets[i].name,
                              targets[i].uri, why);
        else if (target)
            *target = targets[i], targets[i] = (struct target){0};
    }
    for (size_t i = 0; i < count; i++)
        target_clear(&targets[i]);
    free(targets);
    free(text);
    return public_error(wrong);
}

pick_error *pick_run_sink(pick_run *run, const char *spec) {
    struct sink **place = ARRAY_ADD(run->sinks, run->sink_count, run->sink_cap);
    if (!place)
        return public_error(error_no_memory());
    struct error *error = sink_open(spec, &run->patience, place);
    run->sink_count -= error != NULL;
    return public_error(error);
}

void pick_run_on_event(pick_run *run, pick_event_fn *fn, void *ctx) {
    run->on_event = fn;
    run->ctx = ctx;
}

void pick_run_mode(pick_run *run, enum pick_mode mode) {
    static const enum session_mode modes[] = {SESSION_RUN, SESSION_CHECK, SESSION_LIST};
    run->mode = mode;
    run->job.options.mode = modes[mode];
}

pick_error *pick_run_list(pick_run *run, const char *what, const char *pattern) {
    static const char *const kinds[] = {"functions", "files",      "types", "variables",
                                        "threads",   "goroutines", NULL};
    for (size_t i = 0; kinds[i]; i++) {
        if (strcmp(kinds[i], what))
            continue;
        if (pattern && i >= 4)
            return public_error(error_new(ERROR_USAGE,
                                          "list %s takes no pattern (\"%s\"): it is for names; "
                                          "grep the lines that come",
                                          what, pattern));
        pick_error *error = set(&run->job.list_what, what);
        return error ? error : set(&run->job.list_pattern, pattern);
    }
    const char *near = text_nearest_of(what, kinds);
    return public_error(error_new(ERROR_USAGE,
                                  "list %s: one of functions, files, types, variables, threads, "
                                  "goroutines%s%s%s",
                                  what, near ? " (did you mean \"" : "", near ? near : "",
                                  near ? "\"?)" : ""));
}

void pick_run_option(pick_run *run, enum pick_option option, int value) {
    struct session_options *o = &run->job.options;
    switch (option) {
    case PICK_RESUME: o->resume = value; break;
    case PICK_END_KILLS_TARGET: o->end_kills_target = value; break;
    case PICK_INSECURE: o->insecure = value; break;
    case PICK_KILL_LAUNCHED: o->kill_launched = value; break;
    case PICK_FOLLOW_FORKS: o->follow = value; break;
    case PICK_REQUIRE_HITS: run->job.require_hits = value; break;
    case PICK_SIGNALS: run->signals = value; break;
    case PICK_STATUS: run->wants_status = value; break;
    case PICK_CONNECT_MS: o->connect_ms = (unsigned)value; break;
    case PICK_TIMEOUT_MS: o->timeout_ms = (unsigned)value; break;
    }
}

pick_error *pick_run_target_output(pick_run *run, const char *path) {
    return set(&run->job.output, path);
}

pick_error *pick_run_worker(pick_run *run, const char *path) {
    return set(&run->worker, path);
}

/* ---- the run ---- */

void pick_run_stop(pick_run *run, const char *reason) {
    if (run->link)
        link_stop(run->link, reason);
}

static void sink_failed(pick_run *run, struct error *error) {
    status_hide(&run->status);
    fprintf(stderr, "pickglass: %s\n", error->message);
    run->code = ERROR_RUN;
    if (!--run->sinks_alive)
        pick_run_stop(run, "no sink is left");
    error_free(error);
}

static void on_event(void *owner, const struct buffer *event) {
    pick_run *run = owner;
    status_event(&run->status, event);
    status_hide(&run->status);
    for (size_t i = 0; i < run->sink_count; i++) {
        struct error *error = sink_event(run->sinks[i], event);
        if (error)
            sink_failed(run, error);
    }
    if (run->on_event)
        run->on_event(run->ctx, (const pick_event *)event);
}

static void flush_sinks(void *owner) {
    pick_run *run = owner;
    for (size_t i = 0; i < run->sink_count; i++) {
        struct error *error = sink_flush(run->sinks[i]);
        if (error)
            sink_failed(run, error);
    }
}

static void on_over(void *owner, int code, struct error *error) {
    pick_run *run = owner;
    flush_sinks(run);
    run->over = true;
    if (!run->code || code == ERROR_RECIPE)
        run->code = code;
    run->error = error;
    if (run->code == ERROR_NO_HITS && !error) {
        run->error = error_new(ERROR_RUN, "nothing was hit, and --require-hits asks for a hit");
    }
    uv_timer_stop(&run->tick);
    status_hide(&run->status);
    uv_stop(&run->loop);
}

/* The first ends the run; a worker that takes too long is left behind by the second. */
static void on_signal(pick_run *run, int signal) {
    if (run->over)
        return;
    if (run->interrupts++) {
        link_release(run->link);
        run->link = NULL;
        on_over(run, ERROR_RUN,
                error_new(ERROR_RUN,
                          "not waiting any longer; the worker goes on putting the targets in "
                          "order"));
        return;
    }
    run->interrupted_ns = uv_hrtime();
    pick_run_stop(run, signal == SIGINT ? "interrupted" : "terminated");
}

static void take_signals(pick_run *run) {
    for (int signal; (signal = interrupt_take());)
        on_signal(run, signal);
}

static void on_interrupt(uv_poll_t *handle, int status, int events) {
    (void)status, (void)events;
    take_signals(handle->data);
}

/* A run goes on as slowly as its readers. Once it is interrupted, they have so long to take what
 * there is: the targets are free meanwhile. */
static int patience_left(void *ctx) {
    pick_run *run = ctx;
    take_signals(run);
    if (run->interrupts != 1)
        return run->interrupts ? 0 : -1;
    uint64_t spent = (uv_hrtime() - run->interrupted_ns) / 1000000;
    return spent < PATIENCE_MS ? (int)(PATIENCE_MS - spent) : 0;
}

static void start_signals(pick_run *run) {
    run->patience.fd = interrupt_open();
    run->has_signals = run->patience.fd >= 0;
    signal(SIGPIPE, SIG_IGN);
    if (!run->has_signals)
        return;
    uv_poll_init(&run->loop, &run->interrupt, run->patience.fd);
    uv_poll_start(&run->interrupt, UV_READABLE, on_interrupt);
}

static void stop_signals(pick_run *run) {
    if (!run->has_signals)
        return;
    uv_close((uv_handle_t *)&run->interrupt, NULL);
    interrupt_close();
    run->patience.fd = -1;
    run->has_signals = false;
}

static void on_tick(uv_timer_t *timer) {
    pick_run *run = timer->data;
    status_show(&run->status, uv_hrtime());
}

static struct error *refuse_judging(const struct recipe *recipe) {
    if (recipe->aggregate_mark.line)
        return recipe_error(
            recipe->source, recipe->aggregate_mark,
            "\"aggregate\" is checked, but not yet computed by a run: leave it out");
    if (recipe->expect_mark.line)
        return recipe_error(recipe->source, recipe->expect_mark,
                            "\"expect\" is checked, but not yet judged by a run: leave it out");
    return NULL;
}

/* The recipe's own targets, where the command line names none; and what the recipe knows of those
 * that it names. */
static struct error *choose_targets(pick_run *run) {
    struct recipe *recipe;
    struct job *job = &run->job;
    if (!job->recipe_count)
        return NULL;
    struct error *error =
        recipe_parse_all(job->recipes, job->recipe_count, &job->params, NULL, &recipe);
    if (error)
        return error;
    bool all = !job->target_count;
    for (size_t i = 0; i < recipe->target_count && !error; i++) {
        struct target *from = &recipe->targets[i], *to = NULL;
        for (size_t k = 0; k < job->target_count && !all; k++)
            if (!strcmp(job->targets[k].name, from->name))
                to = &job->targets[k];
        if (all && !(to = ARRAY_ADD(job->targets, job->target_count, job->target_cap)))
            error = error_no_memory();
        if (error || !to)
            continue;
        if (all)
            *to = (struct target){.name = strdup(from->name), .uri = strdup(from->uri)};
        if (!to->binary && from->binary)
            to->binary = strdup(from->binary);
        to->labels = from->labels;
        to->params = from->params;
        from->labels = from->params = (struct settings){0};
    }
    for (const struct recipe *r = recipe; r && !error && run->mode == PICK_RUN; r = r->joined)
        error = refuse_judging(r);
    recipe_free(recipe);
    return error;
}

static struct error *prepare(pick_run *run) {
    struct error *error = choose_targets(run);
    if (error)
        return error;
    if (!run->job.target_count)
        return error_new(ERROR_USAGE, "no target: give one (dlv://HOST:PORT, gdb://HOST:PORT, "
                                      "--pid PID, -- PROGRAM), or list it in the recipe");
    if (!run->worker)
        run->worker = link_find_worker();
    if (!run->worker)
        return error_new(ERROR_RUN,
                         "pickglass-worker is neither beside this program nor in " PICKGLASS_LIBEXEC
                         ": install it there, or set PICKGLASS_WORKER");
    free(run->job.relay);
    run->job.relay = strdup(run->worker);
    run->sinks_alive = run->sink_count;
    return NULL;
}

pick_error *pick_run_start(pick_run *run) {
    static const struct link_events events = {on_event, flush_sinks, on_over};
    run->started = true;
    struct error *error = prepare(run);
    if (!error)
        error = link_start(&run->loop, run->worker, &run->job, &events, run, &run->link);
    if (error) {
        run->code = (int)error->class;
        run->over = true;
        return public_error(error);
    }
    if (run->signals)
        start_signals(run);
    status_init(&run->status, run->wants_status);
    if (run->status.on)
        uv_timer_start(&run->tick, on_tick, STATUS_MS, STATUS_MS);
    return NULL;
}

int pick_run_fd(pick_run *run) {
    return uv_backend_fd(&run->loop);
}

bool pick_run_step(pick_run *run) {
    if (!run->over)
        uv_run(&run->loop, UV_RUN_NOWAIT);
    return !run->over;
}

int pick_run_all(pick_run *run, pick_error **error) {
    pick_error *wrong = run->started ? NULL : pick_run_start(run);
    while (!wrong && !run->over)
        uv_run(&run->loop, UV_RUN_DEFAULT);
    if (!wrong) {
        wrong = public_error(run->error);
        run->error = NULL;
    }
    if (error)
        *error = wrong;
    else
        pick_error_free(wrong);
    return run->code;
}
