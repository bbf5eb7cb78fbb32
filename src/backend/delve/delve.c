/* The table of operations, and the life of a connection. */
#include "backend/delve/delve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void on_handle_closed(uv_handle_t *handle) {
    struct backend *b = handle->data;
    if (!--b->handles)
        free(b);
}

static struct error *delve_create(const struct backend_setup *setup,
                                  const struct backend_events *events, void *owner,
                                  struct backend **out) {
    struct error *error = delve_check_uri(setup->uri, setup->insecure);
    if (error)
        return error;
    struct backend *b = calloc(1, sizeof *b);
    if (!b)
        return error_no_memory();
    b->events = events;
    b->owner = owner;
    b->loop = setup->loop;
    b->uri = strdup(setup->uri);
    b->run = strdup(setup->run);
    b->relay = setup->relay ? strdup(setup->relay) : NULL;
    b->output = setup->output ? strdup(setup->output) : NULL;
    b->timeout_ms = setup->timeout_ms;
    b->insecure = setup->insecure;
    b->alone = setup->alone;
    b->claim = -1;
    b->reachable = setup->reachable;
    b->reachable_ctx = setup->reachable_ctx;
    b->in = b->out = b->scratch = b->stop_line = b->hit_texts = BUFFER_INIT(REPLY_MAX);
    b->child_output = BUFFER_INIT(16 << 10);
    uv_timer_init(b->loop, &b->deadline);
    uv_timer_init(b->loop, &b->later);
    b->deadline.data = b->later.data = b;
    b->handles = 2;
    *out = b;
    return NULL;
}

static void on_detached(struct backend *b, void *ctx, struct span result, struct error *error) {
    (void)ctx, (void)result;
    error_free(error);
    delve_lost(b, NULL);
}

/* Closing the connection is the ordinary way to leave: a multiclient server goes on, a
 * single-client one detaches from what it attached to, and ends. Detach ends the server, and kills
 * what it launched. */
static void delve_leave(struct backend *b, enum leave_how how) {
    char text[96];
    b->leaving = true;
    snprintf(text, sizeof text, "%" PRIu64 " hits of another run of pickglass were lost there",
             b->others_hits);
    if (b->others_hits > 1)
        b->events->notice(b->owner, text);
    if (how == LEAVE_KILL && !b->attached && !b->command_running) {
        delve_call(b, DELVE_DETACH, json_pack("{s:b}", "Kill", 1), on_detached, NULL);
        delve_send(b);
    } else {
        delve_lost(b, NULL);
    }
}

static void delve_destroy(struct backend *b) {
    b->destroyed = b->dead = true;
    delve_cancel(b);
    delve_stop_clear(b);
    stream_close(b->stream);
    delve_unclaim(b);
    child_release(b->child);
    error_free(b->death);
    buffer_free(&b->in);
    buffer_free(&b->out);
    buffer_free(&b->scratch);
    buffer_free(&b->stop_line);
    buffer_free(&b->hit_texts);
    buffer_free(&b->child_output);
    free(b->costs);
    free(b->hits);
    free(b->hit_infos);
    free(b->calls);
    free(b->sites);
    free(b->uri);
    free(b->run);
    free(b->relay);
    free(b->output);
    uv_close((uv_handle_t *)&b->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&b->later, on_handle_closed);
}

#define BIT(trigger) (1u << (trigger))

/* 1.27 looks for `main.x` among the functions last; to 1.20 it is a field of main.main. */
static const char *const no_names[] = {"could not find symbol ", " has no function ",
                                       "(type func()) is not a struct", NULL};

static const struct backend_caps delve_caps = {
    .name = "delve",
    .triggers = BIT(TRIGGER_AT) | BIT(TRIGGER_CALL) | BIT(TRIGGER_RETURN_OF) | BIT(TRIGGER_WATCH) |
                BIT(TRIGGER_TIMER) | BIT(TRIGGER_PANIC) | BIT(TRIGGER_EXIT),
    .why_not = {[TRIGGER_SIGNAL] =
                    "Delve hands signals to the target without stopping; a crash of Go "
                    "code ends as a panic, so use \"panic: true\"",
                [TRIGGER_SYSCALL] = "Delve does not stop at system calls"},
    .conditions = true,
    .hit_conditions = true,
    .registers = true,
    .goroutines = true,
    .stops_all = true,
    .no_names = no_names,
    .watch_alone =
        "where a breakpoint's own instruction writes what is watched, Delve loses the write, "
        "takes the next breakpoint for it, and the target dies (docs/adr/0006): give the "
        "watch a recipe of its own, or let it come \"from\" a probe with max_hits: 1",
    .hides_false = true,
};

const struct backend_ops delve_ops = {
    .caps = &delve_caps,
    .create = delve_create,
    .connect = delve_connect,
    .inspect = delve_inspect,
    .resolve = delve_resolve,
    .arm = delve_arm,
    .disarm = delve_disarm,
    .read = delve_read,
    .came = delve_came,
    .give_up = delve_give_up,
    .flush = delve_flush,
    .resume = delve_resume,
    .halt = delve_halt,
    .leave = delve_leave,
    .destroy = delve_destroy,
};
