/* A reply to `continue` becomes a stop. Delve reports one current thread, but several may have hit
 * at once: all of them are looked at. */
#include "backend/delve/delve.h"

#include "base/log.h"
#include "session/run_id.h"
#include <stdio.h>
#include <stdlib.h>

#define LATE_HALT_NS UINT64_C(100000000)

void delve_stop_clear(struct backend *b) {
    delve_reads_clear(b);
    for (size_t i = 0; i < b->hit_count; i++)
        json_decref(b->hit_infos[i].variables);
    b->hit_count = 0;
    buffer_clear(&b->hit_texts);
}

/* Appends the string behind `span` to hit_texts; the offset. Pointers are made when all are there.
 */
static size_t add_text(struct backend *b, struct span span) {
    size_t at = b->hit_texts.len;
    if (span.at && span.len >= 2 && !memchr(span.at, '\\', span.len)) {
        buffer_add(&b->hit_texts, span.at + 1, span.len - 2);
    } else if (span.at) {
        json_t *text = span_decode(span, &b->scratch);
        buffer_puts(&b->hit_texts, delve_text(text));
        json_decref(text);
    }
    buffer_putc(&b->hit_texts, '\0');
    return at;
}

static struct hit *add_hit(struct backend *b, const struct delve_thread *thread,
                           struct site *site) {
    struct hit *hit = ARRAY_ADD(b->hits, b->hit_count, b->hit_cap);
    if (!hit)
        return NULL;
    if (b->info_cap < b->hit_cap) {
        struct hit_info *infos = reallocarray(b->hit_infos, b->hit_cap, sizeof *infos);
        if (!infos) {
            b->hit_count--;
            return NULL;
        }
        b->hit_infos = infos;
        b->info_cap = b->hit_cap;
    }
    struct hit_info *info = &b->hit_infos[b->hit_count - 1];
    memset(info, 0, sizeof *info);
    if (thread->info.at)
        delve_info_parse(thread->info, &info->info);
    *hit = (struct hit){.site = site,
                        .thread = thread->id,
                        .goroutine = thread->goroutine,
                        .pc = thread->pc,
                        .line = (unsigned)thread->line};
    hit->function = (const char *)add_text(b, thread->function); /* offsets, for now */
    hit->file = (const char *)add_text(b, thread->file);
    return hit;
}

static void place_texts(struct backend *b) {
    const char *base = b->hit_texts.data ? b->hit_texts.data : "";
    for (size_t i = 0; i < b->hit_count; i++) {
        b->hits[i].function = base + (size_t)b->hits[i].function;
        b->hits[i].file = base + (size_t)b->hits[i].file;
    }
}

/* runtime.frameoff is the last of the variables that the site asks for. */
static void identify_frame(struct backend *b, struct hit *hit, struct hit_info *info) {
    struct span rest = info->info.variables, element, last = {0};
    static const char *const names[] = {"value"};
    bool broken;
    while (span_element(&rest, &element, &broken))
        last = element;
    struct span value;
    if (!last.at || !span_members(last, names, &value, 1))
        return;
    json_t *text = span_decode(value, &b->scratch);
    char *end;
    hit->frame = strtoll(delve_text(text), &end, 10);
    hit->has_frame = end > delve_text(text) && !*end;
    json_decref(text);
}

static void tell_other_run(struct backend *b, const char *name) {
    char text[256];
    bool own = !strncmp(name, "pg", 2) && !strncmp(name + 2, b->run, strlen(b->run));
    b->from_other_run = true;
    if (own || b->others_hits++)
        return;
    snprintf(text, sizeof text,
             "another run of pickglass is at work here: a hit of its breakpoint %s came to us, and "
             "is lost there; several recipes run together in one `pickglass run`",
             name);
    b->events->notice(b->owner, text);
}

/* Nobody looks at what another run has stopped: that run's own `continue` has not been answered,
 * but ours, and it would wait for us as we for it. */
static void note_stranger(struct backend *b, struct span name, int64_t id) {
    json_t *text = span_decode(name, &b->scratch);
    if (b->own_answer && run_id_life(delve_text(text)) != RUN_NONE) {
        tell_other_run(b, delve_text(text));
    } else {
        snprintf(b->stop_what, sizeof b->stop_what, "breakpoint %lld%s%s", (long long)id,
                 *delve_text(text) ? " " : "", delve_text(text));
        b->stop.reason = STOP_STRANGER;
    }
    json_decref(text);
}

static void note_panic(struct backend *b, const struct delve_thread *thread, int64_t id) {
    snprintf(b->stop_what, sizeof b->stop_what, "%s",
             id == -1 ? "unrecovered panic" : "fatal error");
    if (b->stop.reason != STOP_STRANGER)
        b->stop.reason = STOP_PANIC;
    add_hit(b, thread, NULL);
}

static void look_at_thread(struct backend *b, const struct delve_thread *thread) {
    struct delve_breakpoint breakpoint;
    if (!thread->breakpoint.at || !delve_breakpoint_parse(thread->breakpoint, &breakpoint))
        return;
    struct site *site = delve_find_site(b, breakpoint.id);
    if (!site && breakpoint.id < 0) {
        note_panic(b, thread, breakpoint.id);
        return;
    }
    if (!site) {
        note_stranger(b, breakpoint.name, breakpoint.id);
        return;
    }
    struct hit *hit = add_hit(b, thread, site);
    if (hit && site->identify_frame)
        identify_frame(b, hit, &b->hit_infos[b->hit_count - 1]);
    if (hit && b->stop.reason == STOP_HALTED)
        b->stop.reason = STOP_HITS;
}

static bool look_at_threads(struct backend *b, const struct delve_state *state) {
    struct span rest = state->threads;
    struct delve_thread thread;
    bool broken;
    while (delve_thread_next(&rest, &thread, &broken))
        look_at_thread(b, &thread);
    return !broken;
}

/* Watchpoints on a stack that has been left: Delve has removed them. */
static void look_at_scopes(struct backend *b, struct span list) {
    struct span element;
    struct delve_breakpoint breakpoint;
    bool broken;
    while (span_element(&list, &element, &broken)) {
        struct site *site =
            delve_breakpoint_parse(element, &breakpoint) ? delve_find_site(b, breakpoint.id) : NULL;
        if (site)
            delve_drop_site(b, site);
    }
}

static void on_exit_state(struct backend *b, const struct delve_state *state) {
    b->stop.reason = STOP_EXITED;
    b->stop.by_signal = state->exit_status < 0;
    b->stop.exit_status = state->exit_status < 0 ? -state->exit_status : state->exit_status;
}

static void on_restart(struct backend *b, const struct delve_state *state) {
    b->pid = state->pid;
    b->stop.reason = STOP_RESTARTED;
    while (b->site_count)
        delve_drop_site(b, b->sites[0]);
}

static void add_current(struct backend *b, const struct delve_state *state) {
    struct delve_thread thread;
    if (delve_thread_parse(state->current_thread, &thread))
        add_hit(b, &thread, NULL);
}

/* Our halt may reach Delve just when a breakpoint has stopped the target: then it is the next
 * continue that it ends, at once. */
static bool is_late_halt(const struct backend *b) {
    return b->halt_outrun && b->stop.seen_ns - b->resumed_ns < LATE_HALT_NS;
}

static void build_stop(struct backend *b, const struct delve_state *state) {
    if (state->exited) {
        on_exit_state(b, state);
        return;
    }
    b->from_other_run = false;
    look_at_scopes(b, state->watch_out_of_scope);
    if (!b->pid)
        b->pid = state->pid;                 /* a running target had none to tell */
    if (state->pid != b->pid && !b->follows) /* else a child's; nothing of ours is armed then */
        on_restart(b, state);
    else if (!look_at_threads(b, state))
        delve_lost(b, error_new(ERROR_RUN, "%s: a thread of the stop cannot be read", b->uri));
    if (b->stop.reason == STOP_HALTED && !b->halting && !b->from_other_run && !is_late_halt(b)) {
        b->stop.reason = STOP_STRANGER;
        snprintf(b->stop_what, sizeof b->stop_what, "a halt by another client");
    }
    if (!b->hit_count)
        add_current(b, state);
    place_texts(b);
}

static void deliver(struct backend *b) {
    b->halt_outrun = b->halting && b->stop.reason == STOP_HITS;
    b->stop.hits = b->hits;
    b->stop.count = b->hit_count;
    b->stop.pid = b->pid;
    b->stop.what = b->stop_what;
    bool others = b->from_other_run && b->stop.reason == STOP_HALTED && !b->halting;
    if (others && !b->dead)
        delve_resume(b);
    else if (!b->dead)
        b->events->stopped(b->owner, &b->stop);
}

/* The line must outlive the call: values are decoded when they are wanted. */
static void take_state(struct backend *b, struct span result) {
    struct delve_state state;
    buffer_clear(&b->stop_line);
    buffer_add(&b->stop_line, result.at, result.len);
    if (b->stop_line.failed ||
        !delve_state_parse(span_of(b->stop_line.data, b->stop_line.len), &state)) {
        delve_lost(b, error_new(ERROR_RUN, "%s sent a stop that cannot be read", b->uri));
        return;
    }
    build_stop(b, &state);
}

static bool exit_text(struct backend *b, const char *text) {
    const char *status = strstr(text, "has exited with status ");
    if (!status)
        return false;
    int code = atoi(status + strlen("has exited with status "));
    b->stop = (struct stop){.reason = STOP_EXITED,
                            .exit_status = abs(code),
                            .by_signal = code < 0,
                            .seen_ns = b->stop.seen_ns};
    return true;
}

/* A Command that failed has stopped the target all the same: ask where. */
static void on_state_after_error(struct backend *b, void *ctx, struct span result,
                                 struct error *error) {
    struct error *first = ctx;
    if (!error)
        take_state(b, result);
    else if (!exit_text(b, error->message))
        delve_lost(b, error_wrap(error_copy(first), "%s: continuing the target", b->uri));
    bool condition = strstr(first->message, "error evaluating expression") != NULL;
    snprintf(b->stop_what, sizeof b->stop_what, "%s", first->message);
    for (size_t i = 0; i < b->hit_count && condition; i++)
        b->hits[i].condition_error = b->stop_what;
    error_free(error);
    error_free(first);
    deliver(b);
}

static void on_command(struct backend *b, void *ctx, struct span result, struct error *error) {
    (void)ctx;
    if (b->dead) {
        error_free(error);
        return;
    }
    delve_stop_clear(b);
    *b->stop_what = '\0';
    b->stop = (struct stop){.reason = STOP_HALTED, .seen_ns = uv_hrtime()};
    b->own_answer = true;
    b->from_other_run = false;
    if (!error) {
        take_state(b, result);
        deliver(b);
    } else if (exit_text(b, error->message)) {
        error_free(error);
        deliver(b);
    } else if (strstr(error->message, "can not continue execution of core")) {
        delve_lost(b, error_wrap(error, "%s", b->uri));
    } else {
        LOG(LOG_DELVE, 1, "continue failed: %s", error->message);
        delve_call(b, DELVE_STATE, json_pack("{s:b}", "NonBlocking", 1), on_state_after_error,
                   error);
    }
}

void delve_resume(struct backend *b) {
    b->halting = false;
    b->resumed_ns = uv_hrtime();
    delve_call_text(b, DELVE_COMMAND, "{\"name\":\"continue\"}", on_command);
    delve_send(b);
}

/* The pending Command replies first, then the halt: its own reply says nothing new. */
static void on_halted(struct backend *b, void *ctx, struct span result, struct error *error) {
    (void)ctx;
    bool others_command = !b->stop.seen_ns;
    if (error || !others_command || b->dead) {
        if (error)
            LOG(LOG_DELVE, 1, "halt: %s", error->message);
        error_free(error);
        return;
    }
    delve_stop_clear(b);
    *b->stop_what = '\0';
    b->stop = (struct stop){.reason = STOP_HALTED, .seen_ns = uv_hrtime()};
    b->own_answer = false;
    take_state(b, result);
    deliver(b);
}

void delve_halt(struct backend *b) {
    b->halting = true;
    if (!b->command_running)
        b->stop.seen_ns = 0; /* no Command of ours will report: the halt's own reply does */
    delve_call_text(b, DELVE_HALT, "{\"name\":\"halt\"}", on_halted);
    delve_send(b);
}
