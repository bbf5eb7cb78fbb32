/* Requests and replies. Every request goes through delve_call(), which is where the rule of what
 * may be sent while the target runs is kept; every reply through on_line(). */
#include "backend/delve/delve.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void on_death(uv_timer_t *timer) {
    struct backend *b = timer->data;
    struct error *error = b->death;
    b->death = NULL;
    if (b->leaving)
        b->events->left(b->owner);
    else if (!b->connected)
        b->events->connected(b->owner, NULL, error), error = NULL;
    else
        b->events->lost(b->owner, error), error = NULL;
    error_free(error);
}

void delve_cancel(struct backend *b) {
    size_t n = b->call_count;
    b->call_count = 0; /* dead: no new ones can come */
    for (size_t i = 0; i < n; i++)
        if (b->calls[i].on_reply)
            b->calls[i].on_reply(b, b->calls[i].ctx, (struct span){0},
                                 error_new(ERROR_RUN, "the connection has ended"));
}

void delve_lost(struct backend *b, struct error *error) {
    if (b->dead) {
        error_free(error);
        return;
    }
    b->dead = true;
    b->death = error;
    delve_cancel(b);
    uv_timer_stop(&b->deadline);
    stream_close(b->stream);
    b->stream = NULL;
    uv_timer_start(&b->later, on_death, 0, 0);
}

static void on_deadline(uv_timer_t *timer) {
    struct backend *b = timer->data;
    if (!b->call_count)
        return;
    const char *hint = b->connected ? ""
                                    : "; a single-client dlv that already has a client accepts no "
                                      "other (start it with --accept-multiclient), and a server "
                                      "that is no `dlv ... --headless` may say nothing at all";
    delve_lost(b, error_new(ERROR_RUN, "%s: no answer to %s within %.3gs%s", b->uri,
                            delve_method_name(b->calls[0].method), b->timeout_ms / 1e3, hint));
}

/* The answer to `continue` may take for ever; every other has a deadline, counted anew from each
 * reply, since the server works through them one by one. */
static void set_deadline(struct backend *b) {
    bool waiting = b->call_count > (b->command_running && !b->halting ? 1 : 0);
    if (waiting)
        uv_timer_start(&b->deadline, on_deadline, b->timeout_ms, 0);
    else
        uv_timer_stop(&b->deadline);
}

static struct call *add_call(struct backend *b, enum delve_method method, reply_fn *on_reply,
                             void *ctx) {
    if (b->command_running && !delve_while_running(method)) {
        fprintf(stderr, "pickglass: bug: %s while the target runs would wedge Delve's connection\n",
                delve_method_name(method));
        abort();
    }
    struct call *call = ARRAY_ADD(b->calls, b->call_count, b->call_cap);
    if (!call) {
        delve_lost(b, error_no_memory());
        return NULL;
    }
    *call = (struct call){.id = ++b->next_id, .method = method, .on_reply = on_reply, .ctx = ctx};
    b->batch += method != DELVE_COMMAND && method != DELVE_HALT;
    b->command_running |= method == DELVE_COMMAND;
    LOG(LOG_DELVE, 2, "-> %" PRIu64 " %s", call->id, delve_method_name(method));
    return call;
}

void delve_call(struct backend *b, enum delve_method method, json_t *params, reply_fn *on_reply,
                void *ctx) {
    struct call *call = b->dead ? NULL : add_call(b, method, on_reply, ctx);
    if (call)
        delve_request(&b->out, method, call->id, params);
    else
        json_decref(params);
}

void delve_call_text(struct backend *b, enum delve_method method, const char *params,
                     reply_fn *on_reply) {
    struct call *call = b->dead ? NULL : add_call(b, method, on_reply, NULL);
    if (call)
        delve_request_text(&b->out, method, call->id, params);
}

void delve_send(struct backend *b) {
    if (b->dead || !b->out.len)
        return;
    if (b->out.failed) {
        delve_lost(b, error_no_memory());
        return;
    }
    stream_write(b->stream, b->out.data, b->out.len);
    buffer_clear(&b->out);
    set_deadline(b);
}

static void close_batch(struct backend *b) {
    if (!b->batch_open || b->batch || b->dead || b->destroyed)
        return;
    b->batch_open = false;
    b->events->flushed(b->owner);
}

static void on_empty_batch(uv_timer_t *timer) {
    close_batch(timer->data);
}

void delve_flush(struct backend *b) {
    if (!b->swept && !b->command_running)
        delve_sweep(b);
    delve_send_reads(b);
    b->batch_open = true;
    delve_send(b);
    if (!b->batch && !b->dead)
        uv_timer_start(&b->later, on_empty_batch, 0, 0);
}

void delve_forget(struct backend *b, reply_fn *on_reply) {
    for (size_t i = 0; i < b->call_count; i++)
        if (b->calls[i].on_reply == on_reply)
            b->calls[i].on_reply = NULL;
}

static struct error *refusal(struct backend *b, const struct delve_reply *reply) {
    if (!reply->error.at)
        return NULL;
    json_t *text = span_decode(reply->error, &b->scratch);
    const char *words = json_is_string(text) ? json_string_value(text) : "an unreadable error";
    int n = (int)strlen(words);
    while (n && words[n - 1] == '\n')
        n--;
    struct error *error = error_new(ERROR_RUN, "%.*s", n, words);
    json_decref(text);
    return error;
}

static void on_reply_line(struct backend *b, struct span line) {
    struct delve_reply reply;
    if (!delve_reply_parse(line, &reply)) {
        delve_lost(b, error_new(ERROR_RUN,
                                "%s does not speak Delve's JSON-RPC (it sent \"%.*s\"); start it "
                                "with: dlv ... --headless --api-version=2",
                                b->uri, (int)(line.len < 60 ? line.len : 60), line.at));
        return;
    }
    size_t i = 0;
    while (i < b->call_count && b->calls[i].id != reply.id)
        i++;
    if (i == b->call_count) {
        delve_lost(b, error_new(ERROR_RUN, "%s answered request %" PRIu64 ", which was never made",
                                b->uri, reply.id));
        return;
    }
    struct call call = b->calls[i];
    memmove(&b->calls[i], &b->calls[i + 1], (--b->call_count - i) * sizeof call);
    LOG(LOG_DELVE, 2, "<- %" PRIu64 " %s, %zu bytes", call.id, delve_method_name(call.method),
        line.len);
    if (call.method == DELVE_COMMAND)
        b->command_running = false;
    set_deadline(b);
    struct error *error = refusal(b, &reply);
    if (call.on_reply)
        call.on_reply(b, call.ctx, reply.result, error);
    else
        error_free(error);
    if (call.method != DELVE_COMMAND && call.method != DELVE_HALT)
        b->batch--;
}

/* Handles the whole lines of `bytes`; how much that was. Callbacks may end the connection. */
static size_t take_lines(struct backend *b, const char *bytes, size_t n) {
    size_t taken = 0;
    const char *newline;
    while (!b->dead && !b->destroyed && (newline = memchr(bytes + taken, '\n', n - taken))) {
        size_t len = (size_t)(newline - bytes) - taken;
        struct span line = span_of(bytes + taken, len);
        taken += len + 1;
        if (len)
            on_reply_line(b, line);
    }
    return taken;
}

static void on_bytes(void *owner, const char *bytes, size_t n) {
    struct backend *b = owner;
    if (b->in.len) {
        size_t old = b->in.len;
        buffer_add(&b->in, bytes, n);
        if (!b->in.failed && memchr(b->in.data + old, '\n', n)) {
            size_t taken = take_lines(b, b->in.data, b->in.len);
            if (b->destroyed || b->dead)
                return;
            buffer_consume(&b->in, taken);
        }
    } else {
        size_t taken = take_lines(b, bytes, n);
        if (b->destroyed || b->dead)
            return;
        buffer_add(&b->in, bytes + taken, n - taken);
    }
    if (b->in.failed) {
        delve_lost(
            b, error_new(ERROR_RUN, "%s: a reply is larger than %u MiB", b->uri, REPLY_MAX >> 20));
        return;
    }
    delve_send(b);
    close_batch(b);
}

static void on_opened(void *owner, struct error *error) {
    struct backend *b = owner;
    if (error && b->started) { /* dlv says where it listens, and then opens what it is to debug */
        error_free(error);
        error = error_new(ERROR_RUN,
                          "%s: the server ended as soon as it was there: see what it said", b->uri);
    }
    if (error)
        delve_lost(b, error);
    else
        delve_greet(b);
}

static void on_ended(void *owner, struct error *error) {
    struct backend *b = owner;
    if (!error)
        error = b->connected
                    ? error_new(ERROR_RUN, "%s: the server closed the connection", b->uri)
                    : error_new(ERROR_RUN,
                                "%s: closed before it answered; a Delve JSON-RPC server (dlv ... "
                                "--headless) is needed there: not `dlv dap`, and of the same user "
                                "where it runs with --only-same-user",
                                b->uri);
    delve_lost(b, error);
}

const struct stream_events delve_stream_events = {on_opened, on_bytes, on_ended};
