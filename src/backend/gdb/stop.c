/* A stop reply becomes a stop, or an event of the target that concerns nobody but us. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>

#define SIGNAL_INT 2
#define SIGNAL_TRAP 5

static void deliver(struct backend *b) {
    enum stop_reason reason = b->stop.reason;
    bool hits = reason == STOP_HITS;
    b->wire.hit_stops += hits;
    b->at_hit = hits;
    b->stop.hits = &b->hit;
    b->stop.count = 1;
    b->stop.pid = b->info.pid;
    b->stop.what = b->stop_what;
    b->halting = false;
    b->stands_on_hit = reason == STOP_LOADED ||
                       (hits && b->hit.site &&
                        (b->hit.site->kind == SITE_CODE || b->hit.site->kind == SITE_RETURN));
    b->view.anywhere = reason == STOP_HALTED;
    if (!b->dead)
        b->events->stopped(b->owner, &b->stop);
}

/* What was collected before it is told before it. */
void gdb_deliver(struct backend *b, enum stop_reason reason) {
    b->stop.reason = reason;
    if (b->exited)
        deliver(b);
    else
        gdb_drain(b, deliver);
}

static void fill_hit(struct backend *b, struct site *site) {
    uint64_t pc = 0;
    registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &pc);
    b->view.id = b->thread.tid;
    b->hit = (struct hit){.site = site, .thread = b->thread.tid, .pc = pc};
    program_locate(&b->program, &b->hit, NULL);
}

/* ---- hits ---- */

/* A call is paired with its return by its frame: that may take a look at memory. */
static void identify(struct backend *b) {
    if (b->hit.site->identify_frame &&
        program_identify(&b->program, &b->view, &b->hit) == READ_AGAIN) {
        gdb_fetch(b, identify);
        gdb_send(b);
        return;
    }
    gdb_predict(b, b->hit.site);
    gdb_deliver(b, STOP_HITS);
}

static struct site *watched_site(struct backend *b, uint64_t address) {
    for (size_t i = 0; i < b->watch_count; i++)
        if (address - b->watches[i].address < b->watches[i].size)
            return b->watches[i].site;
    return b->watch_count == 1 ? b->watches[0].site : NULL;
}

static struct site *signal_site(struct backend *b, int signal) {
    for (size_t i = 0; i < b->signal_count; i++)
        if (gdb_signal_named(b->signals[i]->signal) == signal)
            return b->signals[i];
    return NULL;
}

/* ---- watchpoints ---- */

static void deliver_watch(struct backend *b) {
    fill_hit(b, watched_site(b, b->last.address));
    if (b->hit.site)
        identify(b);
    else
        gdb_continue(b);
}

static void place_all(struct backend *b, bool insert) {
    uint64_t pc = 0;
    registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &pc);
    struct point *point = gdb_point_at(b, pc);
    if (point)
        gdb_point_ask(b, point, insert, NULL);
    for (size_t i = 0; i < b->watch_count; i++) {
        if (!b->watches[i].placed)
            continue;
        buffer_clear(&b->text);
        gdb_watch_write(b, &b->watches[i], insert);
        gdb_ask_text(b, NULL, NULL);
    }
}

static void on_accessed(struct backend *b, void *ctx, const char *reply, size_t len) {
    static struct gdb_stop stop;
    (void)ctx;
    if (!reply)
        return;
    bool stepped = gdb_stop_parse(reply, len, &stop) && stop.kind == GDB_STOPPED;
    place_all(b, true);
    if (!stepped) {
        gdb_on_stop(b, NULL, reply, len);
        return;
    }
    bool ours = stop.code == SIGNAL_INT && b->interrupts;
    b->interrupts -= ours;
    b->pass_signal = ours || stop.code == SIGNAL_TRAP ? 0 : stop.code;
    b->stop_number++;
    program_forget(&b->program);
    b->view = (struct program_thread){.registers.arch = b->program.space.arch};
    gdb_take_expedited(b, &stop);
    gdb_ask_registers(b, deliver_watch);
    gdb_send(b);
}

/* ARM's processors stop before the access: what is written is there one step later. */
static void on_watch(struct backend *b) {
    unsigned machine = b->program.space.arch->machine;
    if (machine != EM_ARM && machine != EM_AARCH64) {
        deliver_watch(b);
        return;
    }
    place_all(b, false);
    gdb_write_step(b);
    gdb_resume_request(b, on_accessed);
}

/* ---- what concerns us alone ---- */

static void on_libraries(struct backend *b) {
    fill_hit(b, NULL);
    if (b->libraries_changed && (b->pending || b->hit.pc == b->load_at)) {
        b->pending = false; /* until a location says so again */
        gdb_deliver(b, STOP_LOADED);
    } else {
        b->stands_on_hit = true;
        gdb_resume(b);
    }
}

/* The program's own code begins, and its libraries are there; or the dynamic loader has changed
 * something. */
static void look_for_libraries(struct backend *b, struct point *point) {
    if (point->address != b->load_at) {
        gdb_point_ask(b, point, false, NULL);
        gdb_point_drop(b, point->address);
    }
    gdb_find_libraries(b, on_libraries);
}

/* A child inherits our breakpoints: they are taken out of it before it runs. */
static void release_child(struct backend *b) {
    for (size_t i = 0; i < b->point_count; i++) {
        if (i == 0) {
            buffer_puts(&b->text, "Hg");
            gdb_thread_write(&b->text, b->child);
            gdb_ask_text(b, NULL, NULL);
        }
        gdb_point_ask(b, &b->points[i], false, NULL);
    }
    gdb_ask(b, NULL, NULL, "D;%" PRIx64, (uint64_t)b->child.pid);
    if (b->point_count) {
        buffer_puts(&b->text, "Hg");
        gdb_thread_write(&b->text, b->thread);
        gdb_ask_text(b, NULL, NULL);
    }
}

static void on_fork(struct backend *b) {
    b->child = b->last.child;
    release_child(b);
    gdb_continue(b);
}

/* Until a vfork's child has executed another program, it shares our target's memory. */
static void on_vfork(struct backend *b) {
    b->child = b->last.child;
    b->vforked = true;
    release_child(b);
    gdb_continue(b);
}

static void on_vfork_done(struct backend *b) {
    for (size_t i = 0; b->vforked && i < b->point_count; i++)
        gdb_point_ask(b, &b->points[i], true, NULL);
    b->vforked = false;
    gdb_continue(b);
}

static void on_syscall(struct backend *b) {
    if (b->call_count && !b->view.whole) {
        gdb_ask_registers(b, on_syscall);
        gdb_send(b);
        return;
    }
    const struct gdb_call *call = gdb_call_of(b);
    if (!call) {
        gdb_continue(b); /* it was disarmed meanwhile */
        return;
    }
    fill_hit(b, call->site);
    b->hit.syscall = call->name;
    identify(b);
}

static const struct {
    enum gdb_reason reason;
    void (*take)(struct backend *b);
} own[] = {{REASON_FORK, on_fork},
           {REASON_VFORK, on_vfork},
           {REASON_VFORKDONE, on_vfork_done},
           {REASON_EXEC, gdb_on_exec},
           {REASON_LIBRARY, gdb_continue},
           {REASON_CREATE, gdb_continue},
           {REASON_SYSCALL, on_syscall},
           {REASON_SYSCALL_RETURN, on_syscall}};

/* ---- signals ---- */

/* siginfo_t of the target: a fault's address stands behind three ints, aligned as a pointer is. */
static void on_siginfo(struct backend *b, bool there) {
    unsigned word = b->program.space.arch->word, at = word == 8 ? 16 : 12;
    int32_t code = 0;
    if (there && b->transfer.len >= at + word) {
        memcpy(&b->hit.fault, b->transfer.data + at, word);
        memcpy(&code, b->transfer.data + 8, sizeof code);
    }
    b->hit.has_fault = code > 0; /* else somebody has sent it */
    gdb_deliver(b, STOP_HITS);
}

static void deliver_signal(struct backend *b) {
    int signal = b->last.code;
    bool faults = signal == 4 || signal == 8 || signal == 10 || signal == 11;
    b->pass_signal = signal;
    b->hit.signal = gdb_signal_name(signal);
    if (faults && gdb_has(&b->features, GDB_SIGINFO))
        gdb_transfer(b, "siginfo", "", on_siginfo);
    else
        gdb_deliver(b, STOP_HITS);
}

/* Handed on, it would kill: a debugger's leftovers look the same as a program's own. */
static void on_stray_trap(struct backend *b) {
    if (!b->told_trap)
        b->events->notice(b->owner, "the target was stopped by a SIGTRAP that none of our "
                                    "breakpoints has caused; it was not handed on");
    b->told_trap = true;
    gdb_continue(b);
}

/* One that a hit was faster than comes later: it is ours still, and nobody else's to see. */
static bool take_interrupt(struct backend *b) {
    bool ours = b->interrupts > 0 && b->last.code == SIGNAL_INT;
    b->interrupts -= ours;
    return ours;
}

static void on_signal(struct backend *b) {
    bool ours = take_interrupt(b);
    bool halted = b->halting && (ours || b->last.code == 0 || b->last.code == 17 ||
                                 b->last.code == 19 || b->last.code == SIGNAL_TRAP);
    struct site *site = signal_site(b, b->last.code);
    fill_hit(b, site);
    if (halted) {
        if (!ours && b->last.code != SIGNAL_TRAP)
            b->interrupts = 0; /* it has come under another name */
        gdb_deliver(b, STOP_HALTED);
    } else if (ours) {
        gdb_drain(b, gdb_continue);
    } else if (site) {
        deliver_signal(b);
    } else if (b->last.code == SIGNAL_TRAP) {
        on_stray_trap(b);
    } else {
        b->pass_signal = b->last.code; /* as if nobody had looked */
        gdb_continue(b);
    }
}

/* What traceable.c tells of a tracepoint comes here, too: gdbserver collects nothing of it then,
 * and steps the thread over it by itself. */
static void stop_known(struct backend *b) {
    uint64_t pc = 0;
    registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &pc);
    struct point *point = b->last.code == SIGNAL_TRAP ? gdb_point_at(b, pc) : NULL;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].reason == b->last.reason) {
            own[i].take(b);
            return;
        }
    if (b->last.reason == REASON_WATCH || b->last.reason == REASON_RWATCH ||
        b->last.reason == REASON_AWATCH) {
        on_watch(b);
    } else if (point && gdb_trace_ends(b, pc, point->site ? stop_known : gdb_continue)) {
        return;
    } else if (point && !point->site) {
        look_for_libraries(b, point);
    } else if (point && gdb_over_failed(b)) {
        gdb_step_over(b, point, false);
    } else if (point) {
        b->trace.told_here = true;
        point->hits++;
        fill_hit(b, point->site);
        identify(b);
    } else if (b->last.reason == REASON_SWBREAK && gdb_trace_site_at(b, pc)) {
        b->trace.told_here = true;
        fill_hit(b, gdb_trace_site_at(b, pc));
        identify(b);
    } else {
        on_signal(b);
    }
}

/* gdbserver (13) ends its tracing when we go, and would die of that without a process. */
static void deliver_exit(struct backend *b) {
    if (b->trace.on)
        gdb_ask(b, NULL, NULL, "QTDisconnected:1");
    gdb_send(b);
    gdb_deliver(b, STOP_EXITED);
}

/* Neither is asked for: no thread runs, or one has ended. */
static void on_nothing(struct backend *b) {
    gdb_lost(b, error_new(ERROR_RUN, "%s: the stub says that nothing runs", b->uri));
}

/* A child's end, where the stub tells of it all the same. */
static bool is_of_another(const struct backend *b) {
    return b->last.pid > 0 && b->thread.pid > 0 && b->last.pid != b->thread.pid;
}

static void on_ended_stop(struct backend *b) {
    b->exited = true;
    b->stop.exit_status = b->last.code;
    b->stop.by_signal = b->last.kind == GDB_KILLED;
    if (b->freeing)
        gdb_lost(b, NULL);
    else
        gdb_drain(b, deliver_exit);
}

void gdb_on_stop(struct backend *b, void *ctx, const char *reply, size_t len) {
    uint64_t pc;
    (void)ctx;
    if (!reply)
        return;
    if (!gdb_stop_parse(reply, len, &b->last)) {
        gdb_lost(b, gdb_refusal(reply, len, "resuming the target"));
        return;
    }
    b->stop_number++;
    b->stop = (struct stop){.seen_ns = uv_hrtime()};
    *b->stop_what = '\0';
    program_forget(&b->program);
    b->view = (struct program_thread){.registers.arch = b->program.space.arch};
    b->trapped_anew = false;
    if (b->last.thread.tid)
        b->thread = b->last.thread;
    if (b->last.kind != GDB_STOPPED) {
        bool ended = b->last.kind == GDB_EXITED || b->last.kind == GDB_KILLED;
        (!ended ? on_nothing : is_of_another(b) ? gdb_continue : on_ended_stop)(b);
        return;
    }
    gdb_take_expedited(b, &b->last);
    if (b->freeing &&
        gdb_reason_is_call(b->last.reason)) { /* each thread that stands at one tells of it */
        gdb_continue(b);
        return;
    }
    if (b->freeing) {
        bool ours = take_interrupt(b);
        b->interrupts = ours && b->halting ? 0 : b->interrupts; /* two may have become one */
        b->pass_signal =
            b->last.code == SIGNAL_INT || b->last.code == SIGNAL_TRAP ? 0 : b->last.code;
        gdb_leave(b, LEAVE_FREE);
        return;
    }
    if (registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &pc)) {
        stop_known(b);
        return;
    }
    gdb_ask_registers(b, stop_known);
    gdb_send(b);
}
