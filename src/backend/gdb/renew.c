/* The stub's trace buffer is begun anew: all tracepoints are taken out and put back.
 *
 * A thread that has run into one, and whose hit was not collected because another stopped the
 * target first, would be stepped over it: its hit would be lost. So all threads are looked at, and
 * if one of them stands there, the next time is waited for; while there is room. */
#include "backend/gdb/gdb.h"

#define RETRY_MS 20

static void begin_anew(struct backend *b) {
    struct trace *trace = &b->trace;
    size_t kept = 0;
    void (*then)(struct backend * b) = trace->after_drain;
    trace->after_drain = NULL;
    for (size_t i = 0; i < trace->count; i++) {
        struct tracepoint *tp = &trace->list[i];
        tp->hits = tp->hits_decimal = tp->seen = tp->lost = 0;
        tp->defined = false;
        if (tp->leaving)
            buffer_free(&tp->packets);
        else
            trace->list[kept++] = *tp;
    }
    trace->count = kept;
    trace->on = false;
    trace->slots_defined = 0;
    trace->at = trace->used = trace->told = 0;
    gdb_trace_define(b, then);
}

static void decide(struct backend *b) {
    struct trace *trace = &b->trace;
    void (*then)(struct backend * b) = trace->after_drain;
    if (!trace->standing) {
        begin_anew(b);
        return;
    }
    trace->period_ms = RETRY_MS;
    trace->after_drain = NULL;
    then(b);
}

static bool was_told(const struct trace *trace, int64_t tid) {
    for (size_t i = 0; i < trace->late_count; i++)
        if (trace->late[i] == tid)
            return true;
    return false;
}

/* A pc is 8 bytes: only x86-64 is traced. */
static void on_thread(struct backend *b, void *ctx, const char *reply, size_t len) {
    uint64_t pc = 0;
    int64_t tid = (int64_t)(intptr_t)ctx;
    if (!reply)
        return;
    for (size_t i = 0; i < b->place_count; i++) {
        const struct register_place *place = &b->places[i];
        if (place->slot == (unsigned)b->program.space.arch->pc && 2 * place->offset + 16 <= len)
            hex_bytes(reply + 2 * place->offset, 16, (uint8_t *)&pc, sizeof pc);
    }
    b->trace.standing += gdb_trace_site_at(b, pc) && !was_told(&b->trace, tid);
    if (!--b->trace.asked)
        decide(b);
}

/* "mp1.1,p1.2,...": a packet has room for a thousand of them. */
static void on_threads(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct gdb_thread thread;
    const char *at = reply + 1, *end = reply + len;
    (void)ctx;
    if (!reply)
        return;
    bool any = false;
    while (len > 1 && *reply == 'm' && at < end && gdb_thread_parse(&at, end, &thread)) {
        any = true;
        buffer_puts(&b->text, "Hg");
        gdb_thread_write(&b->text, thread);
        gdb_ask_text(b, NULL, NULL);
        at += at < end && *at == ',';
        b->trace.asked++;
        gdb_ask(b, on_thread, (void *)(intptr_t)thread.tid, "g");
    }
    if (!any)
        decide(b);
    gdb_choose_thread(b);
    gdb_send(b);
}

void gdb_trace_renew(struct backend *b, void (*then)(struct backend *b)) {
    b->trace.after_drain = then;
    b->trace.standing = b->trace.asked = 0;
    if (b->exited) {
        b->trace.after_drain = NULL;
        then(b);
        return;
    }
    gdb_ask(b, on_threads, NULL, "qfThreadInfo");
    gdb_send(b);
}
