/* Tracepoints (manual, appendix E.6): the stub collects, nobody stops, and drain.c fetches it all.
 *
 * Only where each event stays what it would be at a stop: all that is read can be collected, no hit
 * decides anything, its thread is known, and none is missed (traceable.c). A frame tells no thread,
 * so it collects what glibc keeps of it behind the thread pointer. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_SIZE (UINT32_C(8) << 20) /* of the stub, for what it collects */
#define FIRST_VARIABLE 2                /* 1 is the time */

/* ---- a site's programs ---- */

static size_t variable_of(struct backend *b, unsigned slot) {
    struct trace *t = &b->trace;
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i] == slot)
            return i;
    if (t->slot_count == TRACED_REGISTERS)
        return TRACED_REGISTERS;
    t->slots[t->slot_count] = slot;
    return t->slot_count++;
}

/* What the programs look at is recorded, for the evaluation here will look at it, too. */
static int traced_number(void *ctx, unsigned slot) {
    struct backend *b = ctx;
    int number = gdb_register_number(b, slot);
    return number >= 0 && variable_of(b, slot) < TRACED_REGISTERS ? number : -1;
}

static void put_action(struct tracepoint *tp, struct agent *agent) {
    agent_op(agent, AGENT_END);
    buffer_printf(&tp->packets, "QTDP:-%x:%" PRIx64 ":X%08zX,", tp->number, tp->address,
                  agent->len);
    hex_write(&tp->packets, agent->bytes, agent->len);
    buffer_add(&tp->packets, "-", 2); /* and its NUL */
}

struct tracing {
    struct backend *b;
    struct tracepoint *tp;
    struct agent_site site;
    const char *why;
};

static struct vantage vantage_of(const struct tracing *t, const struct location *where) {
    return program_vantage(&t->b->program, t->tp->address, where,
                           t->tp->site->kind == SITE_RETURN ? AT_RETURN : AT_PLACE);
}

static bool collect_text(struct tracing *t, const char *text, const struct want *want) {
    static struct agent agent; /* large; one thread compiles */
    const struct load *load = &want->load;
    struct show_limits limits = {load->string, load->items, load->depth, load->bytes};
    struct vantage at = vantage_of(t, want->where);
    const struct compiled *compiled = program_compiled(&t->b->program, text, &at);
    if (!compiled)
        return false;
    if (!compiled->expr)
        return true; /* its error needs no memory */
    agent = (struct agent){.len = 0};
    if (!target_agent_collect(compiled->expr, &t->site, &limits, (enum show_as)want->as, &agent,
                              &t->why))
        return false;
    if (agent.len)
        put_action(t->tp, &agent);
    return !agent.failed && 2 * agent.len + 64 < t->b->features.packet_size &&
           agent_check(agent.bytes, agent.len);
}

static bool collect_want(struct tracing *t, const struct want *want) {
    bool names = want->kind == WANT_ARGS || want->kind == WANT_LOCALS;
    if (want->kind == WANT_EXPR)
        return collect_text(t, want->expr, want);
    if (want->kind == WANT_RESULTS)
        return collect_text(t, "return", want);
    t->why = "stacks, threads and the like are read at a stop";
    struct vantage at = vantage_of(t, want->where);
    const struct names_at *list =
        names && at.loaded ? program_names(&t->b->program, &at, want->kind == WANT_ARGS) : NULL;
    for (size_t i = 0; list && i < list->count; i++)
        if (!collect_text(t, list->names[i], want))
            return false;
    return names;
}

/* The registers, the time and the thread. Last: only now it is known which registers. */
static bool collect_frame(struct tracing *t) {
    static struct agent agent; /* large; one thread compiles */
    struct backend *b = t->b;
    unsigned tls = (unsigned)b->program.space.arch->tls;
    agent = (struct agent){.len = 0};
    for (size_t i = 0; i < b->trace.slot_count; i++) {
        agent_register(&agent, (unsigned)gdb_register_number(b, b->trace.slots[i]));
        agent_set_variable(&agent, FIRST_VARIABLE + (unsigned)i);
        agent_op(&agent, AGENT_POP);
        agent_trace_variable(&agent, FIRST_VARIABLE + (unsigned)i);
    }
    agent_trace_variable(&agent, 1);
    agent_register(&agent, (unsigned)gdb_register_number(b, tls));
    agent_constant(&agent, b->trace.tid_at);
    agent_op(&agent, AGENT_ADD);
    agent_trace_quick(&agent, 4);
    agent_op(&agent, AGENT_POP);
    put_action(t->tp, &agent);
    t->tp->packets.len -= t->tp->packets.len ? 2 : 0; /* no more actions: no "-" */
    buffer_add(&t->tp->packets, "", 1);
    return agent_check(agent.bytes, agent.len);
}

/* "QTDP:n:addr:E:0:0:Xlen,bytes-", where the stub can decide the condition. */
static bool put_head(struct tracing *t) {
    static struct agent agent; /* large; one thread compiles */
    struct site *site = t->tp->site;
    const char *why;
    const struct want when = {
        .kind = WANT_EXPR, .expr = site->when, .where = site->where, .truth = true};
    struct vantage at = vantage_of(t, site->where);
    const struct compiled *compiled =
        site->filter ? program_compiled(&t->b->program, site->filter, &at) : NULL;
    agent = (struct agent){.len = 0};
    buffer_printf(&t->tp->packets, "QTDP:%x:%" PRIx64 ":E:0:0", t->tp->number, t->tp->address);
    if (compiled && compiled->expr &&
        target_agent_condition(compiled->expr, &t->site, &agent, &why) &&
        agent_check(agent.bytes, agent.len)) {
        buffer_printf(&t->tp->packets, ":X%zx,", agent.len);
        hex_write(&t->tp->packets, agent.bytes, agent.len);
        site->filters = true;
    }
    buffer_add(&t->tp->packets, "-", 2);
    return !site->when || collect_text(t, site->when, &when);
}

static bool define(struct tracing *t) {
    const struct arch *arch = t->b->program.space.arch;
    struct site *site = t->tp->site;
    bool fine = traced_number(t->b, (unsigned)arch->sp) >= 0 &&
                traced_number(t->b, (unsigned)arch->fp) >= 0 &&
                traced_number(t->b, (unsigned)arch->tls) >= 0 && put_head(t);
    for (size_t i = 0; fine && i < site->want_count; i++)
        fine = collect_want(t, &site->wants[i]);
    return fine && collect_frame(t) && !t->tp->packets.failed;
}

static bool add_tracepoint(struct backend *b, struct site *site, uint64_t address,
                           const char **why) {
    struct trace *trace = &b->trace;
    struct tracepoint *tp = ARRAY_ADD(trace->list, trace->count, trace->cap);
    if (!tp)
        return false;
    *tp = (struct tracepoint){.site = site,
                              .address = address,
                              .number = ++trace->next_number,
                              .packets = BUFFER_INIT(256 << 10)};
    struct tracing t = {.b = b, .tp = tp};
    gdb_agent_site(b, address, &t.site);
    t.site.number = traced_number;
    t.why = gdb_trace_fits(b, address) ? NULL : "its instruction may repeat";
    bool fine = !t.why && define(&t);
    *why = t.why ? t.why : "it is wrong here";
    return fine;
}

bool gdb_trace_takes(struct backend *b, struct site *site) {
    const char *why = "";
    bool fits = site->may_pass && !site->identify_frame && !site->reads_more &&
                !(site->where && site->where->hw);
    b->trace.adopts |= fits && b->trace.able != TRACE_NOT;
    b->wants_guards |=
        fits && b->trace.able == TRACE_UNKNOWN && gdb_has(&b->features, GDB_TRACEPOINTS);
    bool takes = fits && b->trace.able == TRACE_ABLE && b->trace.next_number < 60000;
    size_t before = b->trace.count;
    for (size_t i = 0; takes && i < site->address_count; i++)
        takes = add_tracepoint(b, site, site->addresses[i], &why);
    while (!takes && b->trace.count > before) /* not half of it */
        buffer_free(&b->trace.list[--b->trace.count].packets);
    if (*why && !takes)
        LOG(LOG_GDB, 1, "%s stops at its hits: %s", site->name, why);
    b->wants_guards |= *why && !takes;
    b->trace.changed |= takes;
    b->note_stale |= takes;
    return takes;
}

bool gdb_trace_has(const struct backend *b, const struct site *site) {
    for (size_t i = 0; i < b->trace.count; i++)
        if (b->trace.list[i].site == site && !b->trace.list[i].leaving)
            return true;
    return false;
}

struct site *gdb_trace_site_at(const struct backend *b, uint64_t address) {
    for (size_t i = 0; i < b->trace.count; i++)
        if (b->trace.list[i].address == address && !b->trace.list[i].leaving)
            return b->trace.list[i].site;
    return NULL;
}

void gdb_trace_drop(struct backend *b, struct site *site) {
    for (size_t i = 0; i < b->trace.count; i++)
        if (b->trace.list[i].site == site) {
            b->trace.list[i].leaving = true;
            b->trace.changed = b->note_stale = true;
        }
}

void gdb_trace_free(struct backend *b) {
    for (size_t i = 0; i < b->trace.count; i++)
        buffer_free(&b->trace.list[i].packets);
    free(b->trace.list);
    buffer_free(&b->trace.raw);
}

/* ---- the stub gets them ---- */

static bool any_lives(const struct trace *trace) {
    for (size_t i = 0; i < trace->count; i++)
        if (!trace->list[i].leaving)
            return true;
    return false;
}

void gdb_trace_forget(struct backend *b) {
    for (size_t i = 0; i < b->trace.count; i++)
        if (b->trace.list[i].leaving)
            b->trace.list[i].site = NULL;
}

static void clear(struct trace *trace) {
    for (size_t i = 0; i < trace->count; i++)
        buffer_free(&trace->list[i].packets);
    trace->count = 0;
    trace->on = false;
    trace->slots_defined = 0;
    trace->at = trace->told = 0;
}

void gdb_trace_abandon(struct backend *b) {
    struct trace *trace = &b->trace;
    if (trace->on)
        gdb_ask(b, NULL, NULL, "QTinit");
    clear(trace);
    trace->able = TRACE_UNKNOWN;
    trace->adopts = trace->changed = trace->last_lost = false;
    trace->slot_count = trace->start_count = 0;
    trace->last_pc = 0;
    trace->then = trace->after_drain = NULL;
}

static void on_defined(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    b->trace.refused |= reply && !gdb_ok(reply, len);
}

void gdb_trace_fall_back(struct backend *b, const char *why) {
    gdb_trace_refuse(b, why);
    if (b->trace.on)
        gdb_ask(b, NULL, NULL, "QTStop");
    gdb_ask(b, NULL, NULL, "QTinit");
    for (size_t i = 0; i < b->trace.count; i++) {
        const struct tracepoint *tp = &b->trace.list[i];
        if (!tp->leaving && tp->address == tp->site->addresses[0])
            gdb_arm_code(b, tp->site);
    }
    clear(&b->trace);
}

static void on_last(struct backend *b, void *ctx, const char *reply, size_t len) {
    void (*then)(struct backend * b) = b->trace.then;
    (void)ctx;
    b->trace.then = NULL;
    if (!reply)
        return;
    b->trace.on = gdb_ok(reply, len) && !b->trace.refused;
    if (!b->trace.on)
        gdb_trace_fall_back(b, "the stub does not take them");
    if (then)
        then(b);
}

static void ask_variables(struct backend *b) {
    struct trace *trace = &b->trace;
    for (size_t i = trace->slots_defined; i < trace->slot_count; i++)
        gdb_ask(b, on_defined, NULL, "QTDV:%zx:0:0:%02x%02x", FIRST_VARIABLE + i, 'p',
                'a' + (unsigned)i);
    trace->slots_defined = trace->slot_count;
}

static void ask_definitions(struct backend *b) {
    for (size_t i = 0; i < b->trace.count; i++) {
        struct tracepoint *tp = &b->trace.list[i];
        const struct buffer *packets = &tp->packets;
        for (size_t at = 0; at < packets->len && !tp->defined && !tp->leaving;
             at += strlen(packets->data + at) + 1) {
            buffer_puts(&b->text, packets->data + at);
            gdb_ask_text(b, on_defined, NULL);
        }
        if (tp->defined && tp->leaving && !tp->disabled)
            gdb_ask(b, on_defined, NULL, "QTDisable:%x:%" PRIx64, tp->number, tp->address);
        tp->disabled = tp->leaving;
        tp->defined = true;
    }
}

static void ask_start(struct backend *b) {
    gdb_ask(b, on_defined, NULL, "QTinit");
    gdb_ask(b, NULL, NULL, "QTBuffer:size:%x", BUFFER_SIZE);
    gdb_ask(b, NULL, NULL, "QTBuffer:circular:1");
    gdb_ask(b, on_defined, NULL, "QTDV:1:0:1:74726163655f74696d657374616d70"); /* trace_timestamp */
    ask_variables(b);
    ask_definitions(b);
    gdb_ask(b, on_last, NULL, "QTStart");
}

/* What is there already stays in its place. */
static void ask_changes(struct backend *b) {
    ask_variables(b);
    ask_definitions(b);
    gdb_ask(b, on_last, NULL, "QTDV:1:0:1:74726163655f74696d657374616d70");
}

void gdb_trace_define(struct backend *b, void (*then)(struct backend *b)) {
    struct trace *trace = &b->trace;
    trace->changed = trace->refused = false;
    trace->then = then;
    b->note_stale = true;
    if (any_lives(trace)) {
        (trace->on ? ask_changes : ask_start)(b);
        gdb_send(b);
        return;
    }
    clear(trace);
    gdb_ask(b, NULL, NULL, "QTStop");
    gdb_ask(b, NULL, NULL, "QTinit");
    gdb_send(b);
    if (then)
        then(b);
}

static void define_drained(struct backend *b) {
    gdb_trace_define(b, NULL);
}

void gdb_trace_update(struct backend *b) {
    if (!b->trace.changed)
        return;
    b->trace.changed = false;
    gdb_drain(b, define_drained);
}

/* ---- its buffer ---- */

void gdb_trace_renew(struct backend *b, void (*then)(struct backend *b)) {
    struct trace *trace = &b->trace;
    size_t kept = 0;
    if (b->exited) {
        then(b);
        return;
    }
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

/* ---- from stops to tracepoints ---- */

static void adopt_site(struct backend *b, struct site *site) {
    if (gdb_trace_takes(b, site))
        gdb_disarm_code(b, site);
}

static void adopt_drained(struct backend *b) {
    gdb_trace_define(b, gdb_resume);
}

bool gdb_trace_adopt(struct backend *b) {
    struct trace *trace = &b->trace;
    if (!trace->adopts || b->exited || b->leaving ||
        (b->at_launch && b->at_base)) /* its libraries are not there yet */
        return false;
    if (!gdb_trace_judge(b))
        return true;
    trace->adopts = false;
    for (size_t i = b->point_count; trace->able == TRACE_ABLE && i--;)
        if (i < b->point_count && b->points[i].site)
            adopt_site(b, b->points[i].site);
    /* What can only be proved at a hit comes again. */
    trace->adopts = trace->able == TRACE_ABLE && b->wants_guards && b->guards == GUARDS_UNTRIED;
    if (!trace->changed)
        return false;
    trace->changed = false;
    gdb_drain(b, adopt_drained);
    return true;
}
