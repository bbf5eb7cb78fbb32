/* What the stub has collected is fetched, taken apart, and told as hits that have passed.
 *
 * In all-stop mode gdbserver takes what is asked while the target runs for an interrupt, and in
 * non-stop mode (13.1) it ends at QTStart. So the target is interrupted for a moment, every so
 * often. The buffer is a ring: what it overwrites is counted. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include "gdb/trace.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 200
#define TICK_LEAST_MS 20
#define FASTEST_NS 25000 /* of gdbserver: a stop, and what it does with it */
#define TICK_MOST_MS 1600
#define FRAME_GUESS 256       /* bytes of the first ones */
#define HIT_NS 50000          /* what one costs the target, as measured on idle machines */
#define SAME_CLOCK_NS 5000000 /* nearer than this, it is this machine's own */
#define FIRST_VARIABLE 2

/* ---- one frame ---- */

static void take_block(struct backend *b, const struct gdb_block *block, int64_t *time_us) {
    size_t at = (size_t)block->number - FIRST_VARIABLE;
    if (block->kind == 'M')
        memory_fill(&b->program.memory, block->address, block->bytes, block->size, block->size);
    else if (block->number == 1)
        *time_us = block->value;
    else if (block->number >= FIRST_VARIABLE && at < b->trace.slot_count)
        registers_set(&b->view.registers, b->trace.slots[at], (uint64_t)block->value);
}

static void know_thread(struct backend *b) {
    uint64_t base = 0;
    uint32_t tid = 0;
    registers_get(&b->view.registers, (unsigned)b->program.space.arch->tls, &base);
    memory_read(&b->program.memory, base + b->trace.tid_at, &tid, sizeof tid);
    b->program.memory.want_count = 0;
    b->view.id = tid;
}

static bool tell_frame(struct backend *b, const struct tracepoint *tp,
                       const struct gdb_frame *frame, struct stop *stop) {
    const uint8_t *at = frame->data, *end = at + frame->size;
    struct gdb_block block;
    int64_t time_us = 0;
    program_forget(&b->program);
    b->view = (struct program_thread){.registers.arch = b->program.space.arch};
    while (gdb_block_next(&at, end, &block))
        take_block(b, &block, &time_us);
    if (at != end || !tp->site)
        return at == end;
    registers_set(&b->view.registers, (unsigned)b->program.space.arch->pc, tp->address);
    know_thread(b);
    struct hit hit = {.site = tp->site, .thread = b->view.id, .pc = tp->address};
    hit.seen_ns = (uint64_t)(time_us * 1000 + b->trace.clock_ns);
    program_locate(&b->program, &hit, NULL);
    stop->hits = &hit;
    stop->count = 1;
    b->events->passed(b->owner, stop);
    return true;
}

/* ---- all of them ---- */

static struct tracepoint *numbered(struct trace *trace, unsigned number) {
    for (size_t i = 0; i < trace->count; i++)
        if (trace->list[i].number == number)
            return &trace->list[i];
    return NULL;
}

static void tell_frames(struct backend *b) {
    struct trace *trace = &b->trace;
    const uint8_t *at = (const uint8_t *)trace->raw.data, *end = at + trace->raw.len;
    struct stop stop = {.pid = b->info.pid, .what = "", .nobody_stands = true, .cost_ns = HIT_NS};
    struct gdb_frame frame;
    stop.seen_ns = uv_hrtime();
    while (trace->pending && !b->dead && !b->destroyed && gdb_frame_next(&at, end, &frame)) {
        struct tracepoint *tp = numbered(trace, frame.number);
        if (!tp || !tell_frame(b, tp, &frame, &stop))
            return;
        trace->last = b->view.registers;
        trace->last_pc = tp->address;
        trace->last_lost = false;
        tp->seen++;
        trace->told++;
        trace->pending--;
        trace->drained++;
    }
}

/* gdbserver writes how often each was hit in decimal, and gdb reads it as hexadecimal: right is
 * what makes the sum. */
static bool settle_hits(struct trace *trace) {
    uint64_t decimal = 0, hex = 0;
    for (size_t i = 0; i < trace->count; i++) {
        decimal += trace->list[i].hits_decimal;
        hex += trace->list[i].hits;
    }
    for (size_t i = 0; i < trace->count && decimal == trace->created; i++)
        trace->list[i].hits = trace->list[i].hits_decimal;
    return decimal == trace->created || hex == trace->created;
}

/* What is still to be told is not there any more. */
static void tell_losses(struct backend *b) {
    struct trace *trace = &b->trace;
    bool known = settle_hits(trace);
    uint64_t lost = trace->pending;
    trace->last_lost |= lost > 0;
    trace->told += lost;
    trace->pending = 0;
    for (size_t i = 0; lost && i < trace->count; i++) {
        struct tracepoint *tp = &trace->list[i];
        uint64_t missing = known ? tp->hits - tp->seen - tp->lost : lost; /* else of any of them */
        tp->lost += missing;
        if (missing && tp->site)
            b->events->lost_hits(b->owner, tp->site, missing);
    }
    char text[160];
    snprintf(text, sizeof text,
             "%" PRIu64
             " hits came faster than they could be fetched: the stub has overwritten what "
             "it had collected",
             lost);
    if (lost)
        b->events->notice(b->owner, text);
}

/* The stop that the session may be looking at stays as it is. */
static void tell(struct backend *b) {
    static struct memory aside; /* large; one thread */
    struct program_thread view = b->view;
    struct memory own = b->program.memory;
    const char *given_up = b->program.given_up;
    b->program.memory = aside;
    b->trace.passing = true;
    tell_frames(b);
    b->trace.passing = false;
    memory_forget(&b->program.memory);
    aside = b->program.memory;
    b->program.memory = own;
    b->program.given_up = given_up;
    b->view = view;
    b->view.framed = false;
}

/* ---- fetching ---- */

/* The stub takes one hit after the other, and needs FASTEST_NS for each: before it can have filled
 * half of its buffer, it is emptied. */
static void settle_period(struct trace *trace) {
    bool many = trace->raw.len > trace->size / 8;
    uint64_t ms = !trace->drained ? 2 * trace->period_ms : many ? trace->period_ms / 2 : TICK_MS;
    if (trace->drained && trace->raw.len)
        trace->full_ms =
            trace->size / 2 / (trace->raw.len / trace->drained + 1) * FASTEST_NS / 1000000;
    ms = trace->full_ms && ms > trace->full_ms ? trace->full_ms : ms;
    ms = ms > TICK_MOST_MS ? TICK_MOST_MS : ms;
    trace->period_ms = ms < TICK_LEAST_MS ? TICK_LEAST_MS : ms;
}

static void finish(struct backend *b) {
    struct trace *trace = &b->trace;
    void (*then)(struct backend * b) = trace->after_drain;
    trace->after_drain = NULL;
    if (trace->pending && trace->raw.len)
        tell(b);
    if (b->dead || b->destroyed)
        return;
    tell_losses(b);
    gdb_trace_forget(b);
    trace->at = trace->used;
    settle_period(trace);
    LOG(LOG_GDB, 2, "%" PRIu64 " frames told", trace->drained);
    if (trace->overrun || trace->used > trace->size / 2)
        gdb_trace_renew(b, then);
    else
        then(b);
}

static void on_piece(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct buffer *raw = &b->trace.raw;
    size_t most = len / 2;
    if (!reply)
        return;
    if (len && *reply != 'E' && *reply != 'l' && buffer_reserve(raw, most))
        raw->len += hex_bytes(reply, len, (uint8_t *)raw->data + raw->len, most);
    if (ctx)
        finish(b);
}

static void ask_pieces(struct backend *b) {
    struct trace *trace = &b->trace;
    uint64_t step = (b->features.packet_size - 16) / 2;
    for (uint64_t at = trace->at; at < trace->used; at += step) {
        uint64_t n = trace->used - at < step ? trace->used - at : step;
        gdb_ask(b, on_piece, at + n == trace->used ? b : NULL, "qTBuffer:%" PRIx64 ",%" PRIx64, at,
                n);
    }
    gdb_send(b);
}

static uint64_t field(const char *reply, const char *name) {
    const char *at = strstr(reply, name);
    return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* "T1;tnotrun:0;tframes:d7;tcreated:35c;tfree:b;tsize:1000;circular:1;..." Once it has overwritten
 * something, the ring is not read any more: gdbserver (13) reads on behind the end of its memory.
 */
static void on_status(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct trace *trace = &b->trace;
    (void)ctx, (void)len;
    if (!reply)
        return;
    uint64_t left = field(reply, ";tfree:");
    trace->created = field(reply, ";tcreated:");
    trace->size = field(reply, ";tsize:");
    trace->pending = trace->created > trace->told ? trace->created - trace->told : 0;
    trace->overrun = trace->created != field(reply, ";tframes:");
    trace->used = trace->size > left ? trace->size - left : 0;
    buffer_clear(&trace->raw);
    if (trace->pending && !trace->overrun && trace->used > trace->at &&
        trace->used <= trace->raw.max)
        ask_pieces(b);
    else
        finish(b);
}

/* "V", hits, ":", bytes */
static void on_hits(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct tracepoint *tp = numbered(&b->trace, (unsigned)(uintptr_t)ctx);
    const char *at = reply ? reply + 1 : NULL;
    if (!at || !tp || len < 2 || *reply != 'V')
        return;
    tp->hits_decimal = strtoull(at, NULL, 10);
    hex_number(&at, reply + len, &tp->hits);
}

/* Its clock against ours: the same one, if it is this machine's. It was read at any time between
 * the question and the answer. */
static void on_clock(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply || len < 2 || *reply != 'V')
        return;
    uint64_t half = (uv_hrtime() - b->trace.asked_ns) / 2, middle = b->trace.asked_ns + half;
    int64_t offset = (int64_t)(middle - strtoull(reply + 1, NULL, 16) * 1000);
    bool same = b->local && llabs(offset) < SAME_CLOCK_NS + (int64_t)half;
    b->trace.clock_ns = same ? 0 : offset;
}

void gdb_drain(struct backend *b, void (*then)(struct backend *b)) {
    struct trace *trace = &b->trace;
    trace->drained = trace->pending = 0;
    if (!trace->on) {
        then(b);
        return;
    }
    trace->after_drain = then;
    trace->asked_ns = uv_hrtime();
    gdb_ask(b, on_clock, NULL, "qTV:1");
    for (size_t i = 0; i < trace->count; i++)
        gdb_ask(b, on_hits, (void *)(uintptr_t)trace->list[i].number, "qTP:%x:%" PRIx64,
                trace->list[i].number, trace->list[i].address);
    gdb_ask(b, on_status, NULL, "qTStatus");
    gdb_send(b);
}

/* ---- every so often ---- */

void gdb_on_tick(uv_timer_t *timer) {
    struct backend *b = timer->data;
    if (!b->dead && !b->leaving && b->trace.on && b->running && !b->proving && !b->interrupts)
        gdb_interrupt_target(b);
}
