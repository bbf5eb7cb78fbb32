/* Over the breakpoint that a thread stands at, and on; halting; leaving.
 *
 * A stub that continues a thread from an inserted breakpoint hits it again, for ever. Where its
 * instruction is none that over.c emulates, the breakpoint is taken out, that thread alone makes
 * one step, and it is put back: two writes. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <inttypes.h>

#define FIRST_TICK_MS 20 /* until it is known how large what is collected is */
#define STEPS_MAX 64     /* signals that may come between a thread and its one step */
#define SIGNAL_INT 2
#define SIGNAL_TRAP 5
#define FREEING_MAX 8 /* signals that may come while we want to leave */
#define IMPATIENCE_MS 200

void gdb_write_step(struct backend *b) {
    if (b->has_vcont) {
        buffer_puts(&b->text, "vCont;s");
        if (b->thread.tid > 0) {
            buffer_putc(&b->text, ':');
            gdb_thread_write(&b->text, b->thread);
        }
    } else {
        buffer_puts(&b->text, "s");
    }
}

static void write_continue(struct backend *b) {
    int signal = b->pass_signal;
    b->pass_signal = 0;
    if (!b->has_vcont) {
        buffer_printf(&b->text, signal ? "C%02x" : "c", signal);
    } else if (signal && b->thread.tid > 0) {
        buffer_printf(&b->text, "vCont;C%02x:", signal);
        gdb_thread_write(&b->text, b->thread);
        buffer_puts(&b->text, ";c");
    } else {
        buffer_printf(&b->text, signal ? "vCont;C%02x" : "vCont;c", signal);
    }
}

static void on_put_off(uv_timer_t *timer) {
    struct backend *b = timer->data;
    struct buffer reply = b->put_off;
    b->put_off = BUFFER_INIT(reply.max);
    if (!b->dead)
        gdb_on_stop(b, NULL, reply.data, reply.len);
    buffer_free(&reply);
    if (!b->dead)
        gdb_send(b);
}

/* It has stopped once more already. */
static bool take_put_off(struct backend *b) {
    if (b->put_off.len)
        uv_timer_start(&b->later, on_put_off, 0, 0);
    return b->put_off.len > 0;
}

/* The stub would step it over a tracepoint: what happens there is told as if it had said so. */
static void put_off_hit(struct backend *b) {
    buffer_puts(&b->put_off, "T05swbreak:;thread:");
    gdb_thread_write(&b->put_off, b->thread);
    buffer_putc(&b->put_off, ';');
    take_put_off(b);
}

void gdb_continue(struct backend *b) {
    if (gdb_trace_is_before_hit(b)) {
        put_off_hit(b);
        return;
    }
    write_continue(b);
    gdb_resume_request(b, gdb_on_stop);
    if (b->trace.on)
        uv_timer_start(&b->tick, gdb_on_tick,
                       b->trace.period_ms ? b->trace.period_ms : FIRST_TICK_MS, 0);
    if (b->halting && !b->interrupts)
        gdb_halt(b); /* asked for while the target stood */
}

/* ---- over a breakpoint ---- */

static void step(struct backend *b);

/* The step is made: the point comes back, or a slot of the hardware in its place. */
static void step_done(struct backend *b) {
    struct point *point = gdb_point_at(b, (uintptr_t)b->stepped_from);
    bool promoted = b->promoted && point;
    if (promoted)
        gdb_point_move(b, point, true);
    if (point)
        gdb_point_ask(b, point, true, promoted ? gdb_on_promoted : NULL);
    if (promoted)
        gdb_send(b);
    else
        gdb_continue(b);
}

static void on_looked(struct backend *b) {
    const struct buffer *before = &b->stepped_text, *now = &b->registers_text;
    bool same =
        before->len && before->len == now->len && !memcmp(before->data, now->data, before->len);
    if (same && ++b->steps < STEPS_MAX)
        step(b);
    else
        step_done(b);
}

/* qemu-system (7.2) answers a step now and then before it has run anything: where the reply does
 * not say where the thread stands, its registers do. */
static bool looks(struct backend *b, const struct gdb_stop *stop) {
    if (stop->register_count || !b->registers_text.len)
        return false;
    buffer_clear(&b->stepped_text);
    buffer_add(&b->stepped_text, b->registers_text.data, b->registers_text.len);
    gdb_ask_registers(b, on_looked);
    gdb_send(b);
    return true;
}

static void on_stepped(struct backend *b, void *ctx, const char *reply, size_t len) {
    static struct gdb_stop stop; /* large; used within this call */
    uint64_t address = (uintptr_t)b->stepped_from, pc;
    struct point *point = gdb_point_at(b, address);
    if (!reply)
        return;
    bool stopped = gdb_stop_parse(reply, len, &stop) && stop.kind == GDB_STOPPED;
    bool plain = stopped && (stop.reason == REASON_SIGNAL || stop.reason == REASON_SWBREAK ||
                             stop.reason == REASON_HWBREAK);
    gdb_take_expedited(b, &stop);
    bool moved = registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &pc) &&
                 pc != address;
    if (plain && stop.code != SIGNAL_TRAP && !moved && ++b->steps < STEPS_MAX) {
        bool ours = stop.code == SIGNAL_INT && b->interrupts;
        b->interrupts -= ours;
        b->halted_in_step |= ours;
        if (!ours)
            b->pass_signal = stop.code; /* it waits until the step is made */
        step(b);
        return;
    }
    bool halted = b->halting && b->halted_in_step;
    if (plain && stop.code == SIGNAL_TRAP && !halted) {
        if (!looks(b, &stop))
            step_done(b);
        return;
    }
    if (stopped && point)
        gdb_point_ask(b, point, true, NULL);
    gdb_on_stop(b, ctx, reply, len);
}

void gdb_step_request(struct backend *b, reply_fn *on_stop) {
    gdb_write_step(b);
    gdb_resume_request(b, on_stop);
}

static void step(struct backend *b) {
    gdb_step_request(b, on_stepped);
}

static bool steps_itself(const struct backend *b, const struct point *point) {
    return point->hardware && gdb_has(&b->features, GDB_HWBREAK);
}

static void stop_at(struct backend *b, uint64_t address) {
    struct point *point =
        address && !gdb_point_at(b, address) ? gdb_point_add(b, address, NULL) : NULL;
    if (point)
        gdb_point_ask(b, point, true, NULL);
}

/* A launched program's libraries are there when its own code begins: stacks go through them, and
 * locations may be in them. Later ones concern only a location that waits for its module. */
static void wait_for_loads(struct backend *b) {
    if (!gdb_has(&b->features, GDB_LIBRARIES))
        return;
    if (b->at_launch && b->at_base) {
        stop_at(b, b->at_entry);
    } else if (b->pending && !b->load_at) {
        b->load_at = program_load_hook(&b->program);
        stop_at(b, b->load_at);
    }
}

void gdb_resume(struct backend *b) {
    if (take_put_off(b) || gdb_trace_adopt(b))
        return;
    gdb_remember_reads(b);
    b->stop_number++; /* what is still on its way belongs to the past */
    wait_for_loads(b);
    b->at_launch = false;
    struct point *point = b->stands_on_hit ? gdb_point_at(b, b->hit.pc) : NULL;
    b->stands_on_hit = false;
    if (!point || (steps_itself(b, point) && !b->trapped_anew))
        gdb_continue(b);
    else
        gdb_go_over(b, point);
}

void gdb_go_over(struct backend *b, struct point *point) {
    bool promoted = gdb_promote(b, point);
    if (promoted || !gdb_over(b, point))
        gdb_step_over(b, point, promoted);
}

void gdb_step_over(struct backend *b, struct point *point, bool promoted) {
    b->promoted = promoted;
    b->stepped_from = point->address;
    b->steps = 0;
    b->halted_in_step = false;
    gdb_point_ask(b, point, false, NULL);
    step(b);
}

/* gdbserver interrupts the process group of that number, and a process that leads none never stops:
 * where it is one of this machine, the signal comes from us. */
static bool interrupt_here(const struct backend *b) {
    pid_t pid = (pid_t)b->info.pid;
    return b->attached && pid > 1 && getpgid(pid) != pid && gdb_signal_here(b);
}

void gdb_halt(struct backend *b) {
    b->halting = true;
    if (b->running)
        gdb_interrupt_target(b);
}

void gdb_interrupt_target(struct backend *b) {
    b->interrupts++;
    if (gdb_note_is_due(b))
        gdb_note(b);
    if (!interrupt_here(b))
        gdb_interrupt(b);
}

/* ---- leaving ---- */

static void on_detached(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx, (void)len;
    if (reply && gdb_ok(reply, len) && b->freeing)
        gdb_wake_here(b);
    gdb_lost(b, b->last_words);
    b->last_words = NULL;
}

void gdb_detach(struct backend *b) {
    if (gdb_has(&b->features, GDB_MULTIPROCESS) && b->thread.pid > 0)
        gdb_ask(b, on_detached, NULL, "D;%" PRIx64, (uint64_t)b->thread.pid);
    else
        gdb_ask(b, on_detached, NULL, "D");
    gdb_send(b);
}

static void on_impatience(uv_timer_t *timer) {
    struct backend *b = timer->data;
    if (b->running && !b->dead)
        gdb_halt(b);
}

/* A detach hands on no signal, and delivers one that is still on its way: an interrupt of ours that
 * a hit outran would kill the target. So it goes on once more, until it has got the one, or we the
 * other. And gdbserver (13) kills a target with a thread that stands at a system call which nobody
 * was told of: all threads go on once with none caught. */
static void free_target(struct backend *b) {
    bool waits = b->pass_signal || b->interrupts || b->catches;
    if (!waits || b->freeing > FREEING_MAX || !b->interruptible) {
        gdb_detach(b);
        return;
    }
    bool hands_on = b->pass_signal || (b->catches && !b->interrupts);
    b->catches = false;
    b->freeing++;
    b->halting = false;
    gdb_continue(b);
    if (hands_on)
        gdb_halt(b);
    else
        uv_timer_start(&b->later, on_impatience, IMPATIENCE_MS, 0);
}

static void kill_target(struct backend *b) {
    if (gdb_has(&b->features, GDB_MULTIPROCESS) && b->thread.pid > 0)
        gdb_ask(b, on_detached, NULL, "vKill;%" PRIx64, (uint64_t)b->thread.pid);
    else
        gdb_ask(b, on_detached, NULL, "k");
    gdb_send(b);
}

/* Nobody has heard of it, and nobody will. */
static void leave_put_off(struct backend *b) {
    bool known = b->put_off.len && gdb_stop_parse(b->put_off.data, b->put_off.len, &b->last);
    buffer_clear(&b->put_off);
    if (known && b->last.kind != GDB_STOPPED)
        b->exited = true;
    else if (known && b->last.code != SIGNAL_INT && b->last.code != SIGNAL_TRAP)
        b->pass_signal = b->last.code;
}

/* Those that no site has asked for: gdbserver (13) leaves in the program what is there at a detach.
 */
static void take_out_own(struct backend *b) {
    for (size_t i = b->point_count; i--;)
        if (!b->points[i].site) {
            gdb_point_ask(b, &b->points[i], false, NULL);
            gdb_point_drop(b, b->points[i].address);
        }
}

void gdb_leave(struct backend *b, enum leave_how how) {
    b->leaving = true;
    leave_put_off(b);
    if (b->obtained && how == LEAVE_QUIETLY) /* else nobody would ever take care of it */
        how = b->attached ? LEAVE_FREE : LEAVE_KILL;
    if (b->dead || b->running || b->exited || how == LEAVE_QUIETLY)
        gdb_lost(b, NULL);
    else if (how == LEAVE_KILL)
        kill_target(b);
    else {
        take_out_own(b);
        free_target(b);
    }
}
