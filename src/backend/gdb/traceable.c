/* May hits be collected by the stub (tracepoints.c), and is none missed?
 *
 * gdbserver steps a thread over a tracepoint that it finds it standing at, whether it has hit it or
 * was stopped just before it; and it stops all threads for each hit of one of them. So a hit of
 * another is lost now and then (measured on 13.1: one of 48,000 with 8 threads, behind a locked
 * instruction). Where one thread runs, it stands there unhit only at stops that we see, and then
 * the hit is told by us. So programs are traced until they start a thread.
 *
 * A forked child inherits a tracepoint's instruction, and no request takes it out of there: a
 * program that might fork gets none. Nor does one that handles signals: when one comes while
 * gdbserver steps over a tracepoint, it collects the hit once more (13.1; 5 in 1,000 hits with 100
 * signals a second), and nothing tells it from another. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include "lang/shape.h"
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>

#define SIGNAL_TRAP 5
#define CODE 15 /* bytes of the longest instruction */

/* ---- the program ---- */

static const char *const forks[] = {"fork",    "vfork",  "_Fork",   "posix_spawn", "posix_spawnp",
                                    "system",  "popen",  "forkpty", "daemon",      "clone",
                                    "syscall", "dlopen", "dlmopen", "wordexp",     NULL};
static const char *const handles_signals[] = {
    "signal",  "sigaction", "__sigaction", "__sysv_signal", "sysv_signal", "bsd_signal",
    "ssignal", "sigset",    "sigvec",      "sigaltstack",   NULL};

static bool is_runtime(const char *path) {
    static const char *const names[] = {"libc.so", "ld-linux", "libpthread.so", "linux-vdso",
                                        "[vdso]"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(name, names[i], strlen(names[i])))
            return true;
    return false;
}

/* Where struct pthread has its tid, as libthread_db is told: size in bits, number, offset. */
static bool find_tid(struct backend *b) {
    struct elf_symbol **list;
    uint32_t field[3];
    for (size_t i = 1; i < b->program.space.count; i++) {
        struct module *module = b->program.space.list[i].module;
        if (module_symbols_named(module, "_thread_db_pthread_tid", &list) &&
            elf_read(module->elf, list[0]->address, field, sizeof field) == sizeof field &&
            field[0] == 32 && field[1] == 1 && field[2] < 65536) {
            b->trace.tid_at = field[2];
            return true;
        }
    }
    return false;
}

static const char *why_not(struct backend *b) {
    if (!gdb_has(&b->features, GDB_TRACEPOINTS) || !gdb_has(&b->features, GDB_TRACE_STRINGS) ||
        !gdb_has(&b->features, GDB_TRACE_VARIABLES) ||
        !gdb_has(&b->features, GDB_TRACE_BUFFER_SIZE) || b->acks)
        return "the stub has no tracepoints";
    if (b->program.space.arch->machine != EM_X86_64)
        return "only x86-64 is traced";
    if (b->target.extended) /* gdbserver 13, which cannot end tracing without a process */
        return "the stub would not outlive a program that ends while it is traced";
    if (b->attached && !b->local)
        return "it might not stop to be drained";
    if (program_is_go(&b->program))
        return "Go's runtime starts processes by itself";
    for (size_t i = 0; i < b->program.space.count; i++) {
        struct elf_file *elf = b->program.space.list[i].module->elf;
        if (is_runtime(elf->path ? elf->path : ""))
            continue;
        if (elf_mentions(elf, forks))
            return "it might fork, and its child would die of a tracepoint";
        if (elf_mentions(elf, handles_signals))
            return "it handles signals, and the stub tells some hits twice then";
    }
    return find_tid(b) ? NULL : "the C library does not tell threads apart";
}

/* ---- its threads ---- */

static bool is_watched(const struct backend *b, uint64_t address) {
    for (size_t i = 0; i < b->trace.start_count; i++)
        if (b->trace.starts[i] == address)
            return true;
    return false;
}

static void on_start_inserted(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (reply && !gdb_ok(reply, len))
        gdb_trace_refuse(b, "a breakpoint where it would start a thread was refused");
}

/* A probe may have its breakpoint there already. */
static void watch_start(struct backend *b, uint64_t address) {
    struct trace *trace = &b->trace;
    if (is_watched(b, address) || trace->start_count == sizeof trace->starts / sizeof(uint64_t))
        return;
    trace->starts[trace->start_count++] = address;
    struct point *point = gdb_point_at(b, address) ? NULL : gdb_point_add(b, address, NULL);
    if (point)
        gdb_point_ask(b, point, true, on_start_inserted);
}

/* glibc's own, and what may stand before it. (QThreadEvents would say it, too: gdbserver 13 then
 * dies of an assertion when a thread begins while one is stepped.) */
static void watch_starts(struct backend *b) {
    struct elf_symbol **list;
    for (size_t i = 0; i < b->program.space.count; i++) {
        const struct loaded *loaded = &b->program.space.list[i];
        size_t n = module_symbols_named(loaded->module, "pthread_create", &list);
        for (size_t k = 0; k < n; k++)
            watch_start(b, list[k]->address + loaded->bias);
    }
}

static void unwatch_starts(struct backend *b) {
    for (size_t i = 0; i < b->trace.start_count; i++) {
        struct point *point = gdb_point_at(b, b->trace.starts[i]);
        if (!point || point->site)
            continue;
        gdb_point_ask(b, point, false, NULL);
        gdb_point_drop(b, b->trace.starts[i]);
    }
    b->trace.start_count = 0;
}

void gdb_trace_refuse(struct backend *b, const char *why) {
    LOG(LOG_GDB, 1, "no tracepoints: %s", why);
    b->trace.able = TRACE_NOT;
    unwatch_starts(b);
}

/* "mp1.1,p1.2" or one by one, and "l" behind the last. */
static void on_threads(struct backend *b, void *ctx, const char *reply, size_t len) {
    bool last = ctx;
    if (reply && (*reply != (last ? 'l' : 'm') || memchr(reply, ',', len)))
        gdb_trace_refuse(b, "it has several threads");
}

static void on_tid(struct backend *b, void *ctx, const char *reply, size_t len) {
    uint32_t tid = 0;
    (void)ctx;
    if (!reply || b->leaving)
        return;
    bool same =
        hex_bytes(reply, len, (uint8_t *)&tid, sizeof tid) == sizeof tid && tid == b->thread.tid;
    if (!same)
        gdb_trace_refuse(b, "its threads have other numbers inside of it");
    else if (b->trace.able == TRACE_UNKNOWN && !b->trace.start_count)
        gdb_trace_refuse(b, "it is not known where it would start a thread");
    else if (b->trace.able == TRACE_UNKNOWN)
        b->trace.able = TRACE_ABLE;
    gdb_resume(b);
}

static void prove(struct backend *b) {
    uint64_t base = 0;
    registers_get(&b->view.registers, (unsigned)b->program.space.arch->tls, &base);
    watch_starts(b);
    gdb_ask(b, on_threads, NULL, "qfThreadInfo");
    gdb_ask(b, on_threads, b, "qsThreadInfo");
    gdb_ask(b, on_tid, NULL, "m%" PRIx64 ",4", base + b->trace.tid_at);
    gdb_send(b);
}

bool gdb_trace_judge(struct backend *b) {
    const char *why = b->trace.able == TRACE_UNKNOWN ? why_not(b) : NULL;
    if (why)
        gdb_trace_refuse(b, why);
    if (b->trace.able != TRACE_UNKNOWN)
        return true;
    if (b->view.whole) {
        prove(b);
    } else {
        gdb_ask_registers(b, prove);
        gdb_send(b);
    }
    return false;
}

static void on_drained(struct backend *b) {
    void (*then)(struct backend * b) = b->trace.then;
    b->trace.then = NULL;
    gdb_trace_fall_back(b, "it starts a thread");
    then(b);
}

bool gdb_trace_ends(struct backend *b, uint64_t pc, void (*then)(struct backend *b)) {
    if (!is_watched(b, pc))
        return false;
    b->trace.then = then;
    gdb_drain(b, on_drained);
    return true;
}

/* ---- a place ---- */

/* Whoever stands there again has not come anew, and nothing tells that. */
bool gdb_trace_fits(struct backend *b, uint64_t address) {
    uint8_t code[CODE];
    struct loaded *loaded = space_at(&b->program.space, address);
    size_t n =
        loaded ? elf_read(loaded->module->elf, address - loaded->bias, code, sizeof code) : 0;
    return n && !is_watched(b, address) && !emulate_repeats(code, n);
}

/* After a signal it may have been collected already: if so, it is what was collected last. */
static bool was_collected(const struct backend *b, uint64_t pc) {
    const struct registers *then = &b->trace.last, *now = &b->view.registers;
    if (b->last.code == SIGNAL_TRAP)
        return false;
    if (b->trace.last_lost)
        return true;
    for (unsigned slot = 0; slot < ARCH_SLOTS; slot++) {
        uint64_t one, other;
        if (then->arch && registers_get(then, slot, &one) && registers_get(now, slot, &other) &&
            one != other)
            return false;
    }
    return b->trace.last_pc == pc;
}

/* With a signal it goes to the handler first, and comes back to the place. */
bool gdb_trace_is_before_hit(struct backend *b) {
    uint64_t pc = 0;
    return b->trace.on && !b->trace.told_here && !b->pass_signal && !b->leaving && !b->freeing &&
           registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &pc) &&
           gdb_trace_site_at(b, pc) && !was_collected(b, pc);
}
