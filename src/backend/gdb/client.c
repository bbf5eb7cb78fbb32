/* Requests and replies. Stubs answer in order, so requests may be written many at a time; a resume
 * is the last of its write. Where packets are acknowledged, they go one at a time: qemu-user takes
 * the byte after its reply for the acknowledgement, whatever it is. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>

#define INTERRUPT 3
#define MOMENT_MS 20
#define RESENDS 8 /* of one packet, on a line that damages them */

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

void gdb_cancel(struct backend *b) {
    size_t n = b->request_count;
    b->request_count = 0; /* dead: no new ones can come */
    for (size_t i = 0; i < n; i++) {
        free(b->requests[i].bytes);
        if (b->requests[i].on_reply)
            b->requests[i].on_reply(b, b->requests[i].ctx, NULL, 0);
    }
}

void gdb_lost(struct backend *b, struct error *error) {
    if (b->dead) {
        error_free(error);
        return;
    }
    b->dead = true;
    b->death = error;
    bool farewell = error && gdb_farewell(b);
    gdb_cancel(b);
    if (!farewell)
        gdb_end(b);
}

void gdb_end(struct backend *b) {
    uv_timer_stop(&b->deadline);
    stream_close(b->stream);
    b->stream = NULL;
    uv_timer_start(&b->later, on_death, 0, 0);
}

static void set_deadline(struct backend *b);
static void on_deadline(uv_timer_t *timer);

/* On a serial line what was sent may not have come, and what was to come may be lost. */
static bool ask_again(struct backend *b) {
    struct request *first = &b->requests[0];
    if (b->target.kind != STREAM_SERIAL || !first->bytes || ++b->resent > RESENDS)
        return false;
    if (first->acked)
        stream_write(b->stream, "-", 1);
    else
        stream_write(b->stream, first->bytes, first->len);
    set_deadline(b);
    return true;
}

/* While we were busy ourselves (reading a large file's symbols), an answer may have come, and
 * timers run before it is looked at: once more, then. */
static bool has_a_moment(struct backend *b) {
    bool first = !b->overdue;
    b->overdue = true;
    if (first)
        uv_timer_start(&b->deadline, on_deadline, MOMENT_MS, 0);
    return first;
}

static void on_deadline(uv_timer_t *timer) {
    struct backend *b = timer->data;
    if (!b->request_count || has_a_moment(b) || ask_again(b))
        return;
    const char *hint =
        !b->connected ? "; a stub serves one client at a time, and gdbserver none while its target "
                        "runs on after a client has gone"
        : b->halting  ? "; it did not stop the target when it was asked to"
                      : "";
    gdb_lost(b, error_new(ERROR_RUN, "%s: no answer to %s within %.3gs%s", b->uri,
                          b->halting ? "the interrupt" : b->requests[0].name, b->timeout_ms / 1e3,
                          hint));
}

/* A stop may take for ever; every other answer has a deadline, counted anew from each reply. */
static void set_deadline(struct backend *b) {
    const struct request *first = b->request_count ? &b->requests[0] : NULL;
    bool waits = first && (!first->resumes || (b->halting && b->interruptible));
    bool line = b->target.kind == STREAM_SERIAL && first && first->sent && !b->halting;
    waits |= line && !first->acked;
    unsigned ms = line && b->resent < RESENDS ? b->timeout_ms / 4 : b->timeout_ms;
    b->overdue = false;
    uv_update_time(b->loop);
    if (waits && !b->dead)
        uv_timer_start(&b->deadline, on_deadline, ms, 0);
    else
        uv_timer_stop(&b->deadline);
}

static struct request *add_request(struct backend *b, reply_fn *on_reply, void *ctx) {
    if (b->running && !b->dead) /* the stub would take it for an interrupt */
        gdb_lost(b, error_new(ERROR_RUN, "a defect of pickglass: \"%.20s\" while the target runs",
                              b->text.data ? b->text.data : ""));
    struct request *request =
        b->dead ? NULL : ARRAY_ADD(b->requests, b->request_count, b->request_cap);
    if (!request) {
        if (!b->dead)
            gdb_lost(b, error_no_memory());
        return NULL;
    }
    *request = (struct request){.on_reply = on_reply, .ctx = ctx};
    snprintf(request->name, sizeof request->name, "%.20s", b->text.data ? b->text.data : "");
    LOG(LOG_GDB, 2, "-> %s", request->name);
    return request;
}

static bool queue(struct backend *b, reply_fn *on_reply, void *ctx, bool resumes) {
    struct request *request = add_request(b, on_reply, ctx);
    const char *text = b->text.data ? b->text.data : "";
    struct buffer packet = BUFFER_INIT(b->out.max);
    if (request) {
        b->wire.requests++;
        b->unsent++;
        request->resumes = resumes;
        packet_write(b->acks ? &packet : &b->out, text, b->text.len);
        request->len = packet.len;
        request->bytes = packet.data;
        b->out.failed |= packet.failed;
    }
    buffer_clear(&b->text);
    return request != NULL;
}

void gdb_ask_text(struct backend *b, reply_fn *on_reply, void *ctx) {
    b->batch += queue(b, on_reply, ctx, false);
}

void gdb_ask(struct backend *b, reply_fn *on_reply, void *ctx, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_clear(&b->text);
    buffer_puts(&b->text, text);
    gdb_ask_text(b, on_reply, ctx);
}

/* A write is waited for, and so a round trip, where nothing else is: but for the resume, whose
 * answer is the next hit. */
static void count_write(struct backend *b) {
    const struct request *last = &b->requests[b->acks ? 0 : b->request_count - 1];
    bool goes_on = last->resumes && last->on_reply == gdb_on_stop;
    bool trip = !goes_on && (b->acks || b->unsent == b->request_count);
    b->wire.writes++;
    b->wire.round_trips += trip;
    b->wire.hit_round_trips += trip && b->at_hit;
    b->at_hit &= !goes_on;
}

void gdb_resume_request(struct backend *b, reply_fn *on_stop) {
    if (!queue(b, on_stop, NULL, true))
        return;
    gdb_send(b);
    b->running = true;
    b->trace.told_here = false;
}

static bool send_one(struct backend *b) {
    struct request *first = b->request_count ? &b->requests[0] : NULL;
    if (!first || first->sent || !first->bytes)
        return false;
    first->sent = true;
    buffer_add(&b->out, first->bytes, first->len);
    if (first->resumes && b->interrupt_waits)
        buffer_putc(&b->out, INTERRUPT);
    return true;
}

void gdb_send(struct backend *b) {
    bool asks = b->acks && !b->dead ? send_one(b) : b->unsent > 0;
    if (b->dead || !b->out.len)
        return;
    if (b->out.failed) {
        gdb_lost(b, error_no_memory());
        return;
    }
    if (gdb_note_is_due(b))
        gdb_note(b);
    log_bytes(LOG_GDB, "->", b->out.data, b->out.len);
    if (asks)
        count_write(b);
    b->unsent = 0;
    stream_write(b->stream, b->out.data, b->out.len);
    buffer_clear(&b->out);
    set_deadline(b);
}

void gdb_interrupt(struct backend *b) {
    static const char interrupt[] = {INTERRUPT};
    if (b->dead)
        return;
    b->interrupt_waits = b->acks && b->request_count && !b->requests[0].resumes;
    LOG(LOG_GDB, 2, "-> interrupt");
    if (!b->interrupt_waits)
        stream_write(b->stream, interrupt, sizeof interrupt);
    set_deadline(b);
}

/* ---- flushing ---- */

void gdb_batch_done(struct backend *b) {
    if (!b->batch_open || b->batch || b->proving || b->dead || b->destroyed)
        return;
    if (b->running) { /* it was given up, and went on with answers still to come: nothing is asked
                       */
        b->batch_open = false;
        b->events->flushed(b->owner);
        return;
    }
    if (!gdb_place_watches(b)) { /* a watch's address lies behind a pointer */
        gdb_fetch(b, NULL);
        gdb_send(b);
        if (b->batch)
            return;
    }
    if (b->batch) { /* what placing has asked for */
        gdb_send(b);
        return;
    }
    if (gdb_prove_guards(b)) /* a step: nothing may be on its way behind it */
        return;
    b->batch_open = false;
    b->events->flushed(b->owner);
}

static void on_empty_batch(uv_timer_t *timer) {
    gdb_batch_done(timer->data);
}

void gdb_flush(struct backend *b) {
    b->batch_open = true;
    gdb_fetch(b, NULL);
    gdb_trace_update(b);
    gdb_send(b);
    if (!b->batch && !b->dead)
        uv_timer_start(&b->later, on_empty_batch, 0, 0);
}

/* ---- replies ---- */

bool gdb_ok(const char *reply, size_t len) {
    return reply && len == 2 && !memcmp(reply, "OK", 2);
}

struct error *gdb_refusal(const char *reply, size_t len, const char *what) {
    if (!reply)
        return error_new(ERROR_RUN, "%s: the connection has ended", what);
    if (!len)
        return error_new(ERROR_RUN, "%s: the stub has no such request", what);
    if (len > 2 && !memcmp(reply, "E.", 2))
        return error_new(ERROR_RUN, "%s: the stub says: %.200s", what, reply + 2);
    return error_new(ERROR_RUN, "%s: the stub refused (%.40s)", what, reply);
}

/* "O6869": what the program or the stub prints, at any moment; no reply but OK begins so. */
static bool is_output(const struct packet *packet) {
    return packet->len > 2 && packet->len % 2 && *packet->data == 'O' &&
           strspn(packet->data + 1, "0123456789abcdefABCDEF") == packet->len - 1;
}

static void show_output(const struct packet *packet) {
    uint8_t bytes[4096];
    size_t n = hex_bytes(packet->data + 1, packet->len - 1, bytes, sizeof bytes);
    if (fwrite(bytes, 1, n, stderr) != n)
        clearerr(stderr);
}

/* qemu-system stops a machine for the client that comes, and tells it unasked. */
static bool is_stop_for_us(struct backend *b, const struct packet *packet) {
    static struct gdb_stop stop;
    bool first = b->request_count && !b->features.packet_size;
    return first && *packet->data == 'T' && gdb_stop_parse(packet->data, packet->len, &stop);
}

/* What is queued and not yet written cannot have been answered. */
static bool was_asked(const struct backend *b) {
    return b->acks ? b->request_count && b->requests[0].sent : b->request_count > b->unsent;
}

static void on_reply(struct backend *b, const struct packet *packet) {
    if (is_output(packet)) {
        show_output(packet);
        return;
    }
    if (is_stop_for_us(b, packet)) {
        b->stopped_for_us = true;
        return;
    }
    if (!was_asked(b)) {
        gdb_lost(b, error_new(ERROR_RUN, "%s sent \"%.40s\", which nothing had asked for", b->uri,
                              packet->data));
        return;
    }
    struct request request = b->requests[0];
    memmove(b->requests, b->requests + 1, --b->request_count * sizeof request);
    free(request.bytes);
    b->resent = 0;
    LOG(LOG_GDB, 2, "<- %.40s (%zu bytes) to %s", packet->data, packet->len, request.name);
    b->running &= !request.resumes;
    set_deadline(b);
    if (request.on_reply)
        request.on_reply(b, request.ctx, packet->data, packet->len);
    b->batch -= !request.resumes;
}

static void on_ack(struct backend *b) {
    if (b->request_count && b->requests[0].sent && !b->requests[0].acked) {
        b->requests[0].acked = true;
        set_deadline(b);
    }
}

/* Our packet was damaged on its way. */
static void on_nak(struct backend *b) {
    if (!b->acks || !b->request_count || !b->requests[0].sent)
        return;
    if (++b->resent > RESENDS)
        gdb_lost(b, error_new(ERROR_RUN, "%s: the stub could not read \"%s\" %d times", b->uri,
                              b->requests[0].name, RESENDS));
    else
        stream_write(b->stream, b->requests[0].bytes, b->requests[0].len);
}

static void on_damaged(struct backend *b) {
    if (b->acks && ++b->resent <= RESENDS)
        stream_write(b->stream, "-", 1);
    else
        gdb_lost(b, error_new(ERROR_RUN, "%s: a reply came with a wrong checksum", b->uri));
}

/* A stub whose reply's acknowledgement was lost says it again, for each byte that comes instead:
 * what is said twice before our next packet is acknowledged is the last reply still. */
static bool is_repeated(struct backend *b, const struct packet *packet) {
    const struct request *first = b->request_count ? &b->requests[0] : NULL;
    if (b->target.kind != STREAM_SERIAL)
        return false;
    uint64_t hash = text_hash(packet->data, packet->len);
    bool same = hash == b->last_reply && !(first && first->acked);
    b->last_reply = hash;
    return same;
}

static void on_packet(struct backend *b, const struct packet *packet) {
    if (b->dead) {
        gdb_farewell_packet(b, packet);
        return;
    }
    switch (packet->kind) {
    case PACKET_ACK: on_ack(b); break;
    case PACKET_NAK: on_nak(b); break;
    case PACKET_NOTICE: break; /* in all-stop mode they have nothing to say */
    case PACKET_REPLY:
        if (!packet->intact) {
            on_damaged(b);
            return;
        }
        if (b->acks)
            buffer_putc(&b->out, '+'); /* goes with what is asked next */
        if (!is_repeated(b, packet))
            on_reply(b, packet);
        break;
    }
}

static void on_bytes(void *owner, const char *bytes, size_t n) {
    struct backend *b = owner;
    struct packet packet;
    log_bytes(LOG_GDB, "<-", bytes, n);
    for (size_t at = 0, taken; at < n && b->stream && !b->destroyed; at += taken)
        if (packet_next(&b->reader, bytes + at, n - at, &taken, &packet))
            on_packet(b, &packet);
    if (b->dead || b->destroyed)
        return;
    if (b->reader.payload.failed) {
        gdb_lost(b, error_new(ERROR_RUN, "%s: a reply is larger than 8 MiB", b->uri));
        return;
    }
    gdb_send(b);
    if (b->target.kind == STREAM_SERIAL)
        set_deadline(b); /* a long reply takes its time there */
    if (b->request_count)
        stream_acknowledge(b->stream);
    gdb_batch_done(b);
}

static void on_opened(void *owner, struct error *error) {
    struct backend *b = owner;
    if (b->dead)
        gdb_farewell_opened(b, error);
    else if (error)
        gdb_lost(b, error);
    else
        gdb_greet(b);
}

static void on_ended(void *owner, struct error *error) {
    struct backend *b = owner;
    stream_close(b->stream);
    b->stream = NULL;
    if (b->dead) {
        error_free(error);
        gdb_farewell_ended(b);
        return;
    }
    if (!error)
        error = b->connected ? error_new(ERROR_RUN, "%s: the stub closed the connection", b->uri)
                             : error_new(ERROR_RUN,
                                         "%s: closed before it answered; a stub of the GDB remote "
                                         "protocol (gdbserver, qemu -g, ...) is needed there",
                                         b->uri);
    gdb_lost(b, error);
}

const struct stream_events gdb_stream_events = {on_opened, on_bytes, on_ended};
