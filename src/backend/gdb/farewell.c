/* The connection has failed, or the stub speaks nonsense, while the target is in our hands. Before
 * anybody is told, what is armed is taken out and the target let go: through the same connection
 * where there still is one, else through a new one (gdbserver without --once keeps a stopped target
 * and listens again).
 *
 *   [new connection: qSupported, ?] or [qC: does it answer?] ─▶ [interrupt] ─▶ z, z, ... ─▶ D ─▶
 * end
 *
 * One packet at a time, each with a deadline; after a silence nothing is waited for any more: a
 * stub that is only slow still reads what has been written. Whatever comes, it ends. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MS 400   /* for one packet */
#define RECONNECT_MS 50 /* between tries to connect, growing */
#define RECONNECT_TRIES 4
#define CALLS_MAX 4096 /* threads */

static void add_text(struct backend *b) {
    buffer_add(&b->farewell.packets, b->text.data ? b->text.data : "", b->text.len);
    buffer_putc(&b->farewell.packets, '\0');
    buffer_clear(&b->text);
}

void gdb_farewell_add(struct backend *b, const char *payload, size_t n) {
    buffer_clear(&b->text);
    buffer_add(&b->text, payload, n);
    add_text(b);
}

static void add(struct backend *b, const char *payload) {
    gdb_farewell_add(b, payload, strlen(payload));
}

/* An interrupt that has not stopped the target waits to be delivered, and would kill it once nobody
 * looks: it goes on until it has got there, with nothing of ours in its code any more. */
static void add_departure(struct backend *b) {
    bool many = gdb_has(&b->features, GDB_MULTIPROCESS) && b->thread.pid > 0;
    if (b->farewell.stays || b->farewell.departs)
        return;
    b->farewell.departs = true;
    if (b->catches && !b->interrupts) /* as free_target() does */
        b->interrupts += gdb_signal_here(b);
    if (b->interrupts)
        add(b, b->has_vcont || b->target.note ? "vCont;c" : "c");
    const char *packet = b->obtained && !b->attached && !b->connected ? "vKill" : "D";
    buffer_clear(&b->text);
    if (many)
        buffer_printf(&b->text, "%s;%" PRIx64, packet, (uint64_t)b->thread.pid);
    else
        buffer_puts(&b->text, *packet == 'D' ? "D" : "k");
    add_text(b);
}

static void put_removal(void *ctx, const struct buffer *payload) {
    (void)payload; /* b->text */
    add_text(ctx);
}

static void compose(struct backend *b) {
    buffer_clear(&b->farewell.packets);
    b->farewell.at = 0;
    buffer_clear(&b->text);
    if (b->farewell.anew) {
        add(b, "qSupported:multiprocess+;swbreak+;hwbreak+");
        if (b->target.extended)
            add(b, "!");
        add(b, "?");
    }
    gdb_compose_removals(b);
    if (b->trace.count) {
        add(b, "QTStop");
        add(b, "QTinit");
    }
    gdb_removals(b, put_removal, b);
    if (b->trace.count)
        add(b, "QTinit");
}

/* ---- the end ---- */

static void finish(struct backend *b, bool done) {
    if (done && b->farewell.departs)
        gdb_wake_here(b);
    if (b->target.note) {
        gdb_repaired(b, done);
        return;
    }
    size_t left = b->point_count + b->watch_count + b->trace.count;
    const struct error *error = b->death;
    struct error *told;
    if (!b->connected) /* nothing was armed */
        told = error_new(error->class, "%s%s", error->message,
                         done && !b->farewell.stays && !b->obtained ? "; the target runs on" : "");
    else if (gdb_ended_here(b))
        told = error_new(error->class, "%s; its target has ended, too%s", error->message,
                         left && !done ? " (what was armed could not be taken out)" : "");
    else if (done)
        told = error_new(error->class, "%s; what was armed has been taken out, and the target %s",
                         error->message, b->farewell.stays ? "is as it was found" : "runs on");
    else if (left)
        told = error_new(error->class,
                         "%s; what was armed (%zu) could not be taken out: where it stands in the "
                         "code, the target dies of it",
                         error->message, left);
    else
        told = error_copy(error);
    error_free(b->death);
    b->death = told;
    gdb_end(b);
}

/* ---- saying it ---- */

static void on_silence(uv_timer_t *timer);

static void wait_for(struct backend *b, unsigned ms) {
    uv_update_time(b->loop);
    uv_timer_start(&b->deadline, on_silence, ms, 0);
}

/* A stub that waits for an acknowledgement takes what comes first for it. */
static void write_packet(struct backend *b, const char *payload, size_t n) {
    buffer_clear(&b->out);
    if (b->acks)
        buffer_putc(&b->out, '+');
    packet_write(&b->out, payload, n);
    stream_write(b->stream, b->out.data, b->out.len);
    buffer_clear(&b->out);
}

static bool say_next(struct backend *b) {
    struct farewell *f = &b->farewell;
    if (f->at >= f->packets.len)
        add_departure(b);
    if (f->at >= f->packets.len)
        return false;
    const char *payload = f->packets.data + f->at;
    size_t n = strlen(payload);
    f->at += n + 1;
    f->said = *payload;
    f->owed++;
    LOG(LOG_GDB, 1, "farewell -> %s", payload);
    write_packet(b, payload, n);
    return true;
}

static void go_on(struct backend *b) {
    if (say_next(b))
        wait_for(b, ANSWER_MS);
    else if (b->farewell.owed <= b->farewell.silences)
        finish(b, true);
}

static void say_rest(struct backend *b) {
    while (say_next(b))
        ;
    wait_for(b, ANSWER_MS);
}

static void interrupt(struct backend *b) {
    static const char byte = 3;
    b->farewell.halting = true;
    b->interrupts++;
    if (!gdb_signal_here(b))
        stream_write(b->stream, &byte, 1);
    wait_for(b, ANSWER_MS);
}

static void on_silence(uv_timer_t *timer) {
    struct backend *b = timer->data;
    struct farewell *f = &b->farewell;
    if (f->anew && b->running && f->at) { /* nobody is served while it runs */
        b->running = false;
        b->interrupts += gdb_signal_here(b);
        wait_for(b, b->timeout_ms);
        return;
    }
    f->silences++;
    if (f->probing && b->connected) { /* it runs, then; before that, nobody has let it */
        f->probing = false;
        interrupt(b);
    } else if (f->departs && !f->halting && strchr("vc", f->said)) { /* none was on its way */
        interrupt(b);
    } else if (f->at < f->packets.len || !(f->departs || f->stays)) {
        f->probing = f->halting = false;
        say_rest(b);
    } else {
        if (!b->death)
            b->death = error_new(ERROR_RUN, "%s: the stub does not answer", b->uri);
        finish(b, false);
    }
}

/* A stub that misses the acknowledgement of its stop says it again for each byte that comes. */
static bool is_old_stop(const struct farewell *f, const struct packet *packet) {
    bool stop = *packet->data == 'T' || *packet->data == 'S';
    return stop && !f->halting && !f->probing && !strchr("?vc", f->said);
}

/* One thread after the other tells of the system call that it stood at when none was caught any
 * more: it goes on once more for each. */
static bool goes_on_from_call(struct backend *b, const struct packet *packet) {
    static struct gdb_stop stop;
    struct farewell *f = &b->farewell;
    bool call = b->catches && f->departs && strchr("vc", f->said) &&
                gdb_stop_parse(packet->data, packet->len, &stop) && gdb_reason_is_call(stop.reason);
    if (!call || ++f->calls > CALLS_MAX)
        return false;
    write_packet(b, "vCont;c", 7);
    wait_for(b, ANSWER_MS);
    return true;
}

void gdb_farewell_packet(struct backend *b, const struct packet *packet) {
    static struct gdb_stop stop;
    struct farewell *f = &b->farewell;
    bool gone = packet->kind == PACKET_REPLY && (*packet->data == 'W' || *packet->data == 'X');
    if (!f->begun || packet->kind != PACKET_REPLY || (f->anew && !b->stream))
        return;
    LOG(LOG_GDB, 1, "farewell <- %.40s", packet->data);
    if (is_old_stop(f, packet) || goes_on_from_call(b, packet))
        return;
    if (packet->len >= 3 && strchr("TS", *packet->data) && !memcmp(packet->data + 1, "02", 2))
        b->interrupts = 0;
    if (f->anew && *packet->data == 'T' && gdb_stop_parse(packet->data, packet->len, &stop))
        b->thread = stop.thread;
    if (f->anew && b->target.note && strstr(packet->data, "multiprocess+"))
        gdb_features_parse(packet->data, packet->len, &b->features);
    if (gone && packet->len >= 3) {
        finish(b, true);
    } else if (f->halting) {
        f->halting = *packet->data != 'T' && *packet->data != 'S';
        if (!f->halting)
            go_on(b);
    } else {
        f->owed -= f->owed > 0;
        f->probing = false;
        go_on(b);
    }
}

/* ---- through a new connection ---- */

static void reconnect(struct backend *b) {
    b->farewell.tries++;
    gdb_connect(b);
    if (b->stream)
        wait_for(b, b->timeout_ms);
    else
        finish(b, false);
}

static void on_reconnect(uv_timer_t *timer) {
    reconnect(timer->data);
}

/* One that serves nobody while its target runs answers when that has stopped. */
void gdb_farewell_opened(struct backend *b, struct error *error) {
    if (error) {
        LOG(LOG_GDB, 1, "farewell: %s", error->message);
        if (b->death)
            error_free(error);
        else
            b->death = error;
        stream_close(b->stream);
        b->stream = NULL;
        if (b->farewell.tries > RECONNECT_TRIES)
            finish(b, false);
        else
            uv_timer_start(&b->deadline, on_reconnect, RECONNECT_MS << b->farewell.tries, 0);
        return;
    }
    packet_reader_free(&b->reader);
    b->reader = PACKET_READER_INIT;
    b->acks = true;
    compose(b);
    say_next(b);
    wait_for(b, ANSWER_MS);
}

/* A stub that ends with its client has ended at D. */
void gdb_farewell_ended(struct backend *b) {
    struct farewell *f = &b->farewell;
    if (f->anew || f->departs) {
        if (!b->death)
            b->death = error_new(ERROR_RUN, "%s: the stub closed the connection", b->uri);
        finish(b, f->departs);
        return;
    }
    f->anew = true;
    reconnect(b);
}

/* ---- the beginning ---- */

/* For a worker that has died: perhaps the target runs. */
void gdb_repair(struct backend *b) {
    b->dead = b->running = true;
    b->farewell.begun = b->farewell.anew = true;
    reconnect(b);
}

static bool said_goodbye(const struct backend *b) {
    return b->request_count && b->requests[0].name[0] == 'D' && b->requests[0].sent;
}

bool gdb_farewell(struct backend *b) {
    struct farewell *f = &b->farewell;
    bool touched = b->stop_number || b->point_count || b->watch_count || b->trace.count;
    bool parked = b->connected ? b->info.parked : gdb_is_parked(b);
    bool ours = b->obtained || (b->connected && touched) || (!b->connected && parked);
    bool again = gdb_uri_again(&b->target);
    if (!ours || b->exited || f->begun || b->destroyed ||
        (!b->stream && (!again || said_goodbye(b))))
        return false;
    f->begun = true;
    f->stays = !b->stop_number && !parked && !b->obtained;
    if (b->reader.payload.failed) {
        packet_reader_free(&b->reader);
        b->reader = PACKET_READER_INIT;
    }
    if (!b->stream) {
        f->anew = true;
        reconnect(b);
        return true;
    }
    compose(b);
    if (b->running && !b->interrupts) {
        interrupt(b);
        return true;
    }
    f->probing = true;
    f->owed = 1;
    write_packet(b, "qC", 2);
    wait_for(b, ANSWER_MS);
    return true;
}
