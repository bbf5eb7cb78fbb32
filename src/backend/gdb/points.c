/* Breakpoints and watchpoints: Z and z packets (manual, appendix E.2). */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include "lang/shape.h"
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct point *gdb_point_at(struct backend *b, uint64_t address) {
    for (size_t i = 0; i < b->point_count; i++)
        if (b->points[i].address == address)
            return &b->points[i];
    return NULL;
}

struct point *gdb_point_add(struct backend *b, uint64_t address, struct site *site) {
    struct point *point = gdb_point_at(b, address);
    if (point)
        free(point->condition);
    else
        point = ARRAY_ADD(b->points, b->point_count, b->point_cap);
    if (!point)
        return NULL;
    *point = (struct point){.address = address, .site = site};
    b->note_stale = true;
    return point;
}

void gdb_point_drop(struct backend *b, uint64_t address) {
    struct point *point = gdb_point_at(b, address);
    if (!point)
        return;
    free(point->condition);
    *point = b->points[--b->point_count];
}

void gdb_point_move(struct backend *b, struct point *point, bool hardware) {
    point->hardware = hardware;
    point->moved = true;
    b->note_stale = true;
}

/* What a breakpoint replaces: the manual's 'kind'. */
static unsigned kind_of(const struct backend *b, uint64_t address) {
    const struct arch *arch = b->program.space.arch;
    struct loaded *loaded = space_at((struct space *)&b->program.space, address);
    const struct elf_symbol *symbol =
        loaded ? module_symbol_at(loaded->module, address - loaded->bias) : NULL;
    switch (arch->machine) {
    case EM_X86_64: return 1;
    case EM_RISCV: return 2; /* c.ebreak fits everywhere */
    case EM_ARM: return symbol && symbol->thumb ? 2 : 4;
    default: return 4;
    }
}

void gdb_point_write(struct backend *b, const struct point *point, bool insert) {
    buffer_printf(&b->text, "%c%c,%" PRIx64 ",%x", insert ? 'Z' : 'z', point->hardware ? '1' : '0',
                  point->address, kind_of(b, point->address));
}

void gdb_point_ask(struct backend *b, const struct point *point, bool insert, reply_fn *on_reply) {
    buffer_clear(&b->text);
    gdb_point_write(b, point, insert);
    if (insert && point->condition)
        gdb_condition_write(b, point);
    gdb_ask_text(b, on_reply, (void *)(uintptr_t)point->address);
}

static size_t hardware_used(const struct backend *b) {
    size_t n = b->watch_count;
    for (size_t i = 0; i < b->point_count; i++)
        n += b->points[i].hardware;
    return n;
}

/* Stubs that tell hardware breakpoints apart (gdbserver) step over them by themselves: a hit is one
 * round trip less. Not in Go: the processor passes over one by a flag (RF), which is lost when a
 * goroutine is preempted there, and the hit comes again. */
bool gdb_may_be_hardware(const struct backend *b, const struct site *site) {
    return gdb_has(&b->features, GDB_HWBREAK) && b->program.space.arch->machine == EM_X86_64 &&
           site->address_count == 1 && !program_is_go(&b->program);
}

static bool wants_hardware(const struct backend *b, const struct site *site) {
    return (site->where && site->where->hw) ||
           (gdb_may_be_hardware(b, site) && hardware_used(b) < HARDWARE_SLOTS);
}

static void refuse(struct site *site, struct error *error) {
    if (site->error)
        error_free(error);
    else
        site->error = error;
    site->armed = false;
}

void gdb_on_inserted(struct backend *b, void *ctx, const char *reply, size_t len) {
    uint64_t address = (uintptr_t)ctx;
    struct point *point = gdb_point_at(b, address);
    if (!reply || !point)
        return;
    if (gdb_ok(reply, len)) {
        point->moved = false;
        return;
    }
    if (len && *reply != 'E') { /* nothing that is said fits what it is taken for */
        gdb_lost(b, error_new(ERROR_RUN,
                              "%s: the stub answered \"%.40s\" to a breakpoint: its answers do not "
                              "belong to what is asked",
                              b->uri, reply));
        return;
    }
    struct site *site = point->site;
    gdb_point_ask(b, point, false, NULL); /* it may have been placed all the same */
    if (point->hardware && !(site && site->where && site->where->hw)) {
        gdb_point_move(b, point, false); /* no slot is left: in memory, then */
        gdb_point_ask(b, point, true, gdb_on_inserted);
        return;
    }
    char what[64];
    snprintf(what, sizeof what, "a breakpoint at 0x%" PRIx64, address);
    struct error *error = gdb_refusal(reply, len, what);
    gdb_point_drop(b, address);
    if (!site) {
        error_free(error);
        return;
    }
    refuse(site, error);
    for (size_t i = 0; i < site->address_count; i++) { /* not half of it */
        point = gdb_point_at(b, site->addresses[i]);
        if (point && point->site == site) {
            gdb_point_ask(b, point, false, NULL);
            gdb_point_drop(b, point->address);
        }
    }
}

bool gdb_has_its_own_slot(const struct point *point) {
    return point->site && point->site->where && point->site->where->hw;
}

/* What needs the hardware takes it from what is only faster with it. */
static void free_slots(struct backend *b) {
    for (size_t i = 0; i < b->point_count && hardware_used(b) > HARDWARE_SLOTS; i++) {
        struct point *point = &b->points[i];
        if (!point->hardware || gdb_has_its_own_slot(point))
            continue;
        gdb_point_ask(b, point, false, NULL);
        gdb_point_move(b, point, false);
        gdb_point_ask(b, point, true, gdb_on_inserted);
    }
}

/* lldb-server 14 keeps a breakpoint that it could not take out, because its library was unmapped,
 * and only counts the next one at that address, without writing it: it is taken out before that. */
static void on_removed(struct backend *b, void *ctx, const char *reply, size_t len) {
    if (reply && len && *reply == 'E' && b->stale_count < sizeof b->stale / sizeof *b->stale)
        b->stale[b->stale_count++] = (uintptr_t)ctx;
}

static void forget_stale(struct backend *b, const struct point *point) {
    for (size_t i = 0; i < b->stale_count; i++) {
        if (b->stale[i] != point->address)
            continue;
        gdb_point_ask(b, point, true, NULL);
        gdb_point_ask(b, point, false, NULL);
        b->stale[i--] = b->stale[--b->stale_count];
    }
}

void gdb_arm_code(struct backend *b, struct site *site) {
    bool hardware = wants_hardware(b, site);
    for (size_t i = 0; i < site->address_count; i++) {
        struct point *point = gdb_point_at(b, site->addresses[i]);
        if (point) /* one of our own, which may be of the other kind */
            gdb_point_ask(b, point, false, NULL);
        point = gdb_point_add(b, site->addresses[i], site);
        if (!point) {
            refuse(site, error_no_memory());
            return;
        }
        point->hardware = hardware;
    }
    gdb_set_conditions(b, site);
    for (size_t i = 0; i < site->address_count; i++) {
        struct point *point = gdb_point_at(b, site->addresses[i]);
        /* gdbserver steps over the one in memory faster, and what is decided there comes rarely. */
        point->hardware &= !point->condition || gdb_has_its_own_slot(point);
        free_slots(b);
        forget_stale(b, point);
        gdb_point_ask(b, point, true, gdb_on_inserted);
        gdb_over_learn(b, point);
    }
}

void gdb_disarm_code(struct backend *b, struct site *site) {
    for (size_t i = 0; i < site->address_count; i++) {
        struct point *point = gdb_point_at(b, site->addresses[i]);
        if (!point || point->site != site)
            continue;
        gdb_point_ask(b, point, false, on_removed);
        gdb_point_drop(b, site->addresses[i]);
    }
}

static void arm_place(struct backend *b, struct site *site) {
    if (!gdb_trace_takes(b, site))
        gdb_arm_code(b, site);
}

static void disarm_place(struct backend *b, struct site *site) {
    gdb_trace_drop(b, site);
    gdb_disarm_code(b, site);
}

/* ---- watchpoints ---- */

static char watch_packet(const struct site *site) {
    return site->access == WATCH_WRITE ? '2' : site->access == WATCH_READ ? '3' : '4';
}

static struct watchpoint *watch_at(struct backend *b, const struct site *site) {
    for (size_t i = 0; i < b->watch_count; i++)
        if (b->watches[i].site == site)
            return &b->watches[i];
    return NULL;
}

static void drop_watch(struct backend *b, struct site *site) {
    struct watchpoint *watch = watch_at(b, site);
    if (watch)
        *watch = b->watches[--b->watch_count];
}

const struct watchpoint *gdb_watch_of(const struct backend *b, const char *expr) {
    for (size_t i = 0; i < b->watch_count; i++)
        if (b->watches[i].placed && b->watches[i].site->watch == expr)
            return &b->watches[i];
    return NULL;
}

void gdb_watch_write(struct backend *b, const struct watchpoint *watch, bool insert) {
    buffer_printf(&b->text, "%c%c,%" PRIx64 ",%" PRIx64, insert ? 'Z' : 'z',
                  watch_packet(watch->site), watch->address, watch->size);
}

static void on_watched(struct backend *b, void *ctx, const char *reply, size_t len);

static void ask_watch(struct backend *b, const struct watchpoint *watch, bool insert) {
    buffer_clear(&b->text);
    gdb_watch_write(b, watch, insert);
    gdb_ask_text(b, insert ? on_watched : NULL, watch->site);
}

static void on_watched(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct site *site = ctx;
    struct watchpoint *watch = watch_at(b, site);
    if (!reply || gdb_ok(reply, len))
        return;
    if (watch)
        ask_watch(b, watch, false);
    drop_watch(b, site);
    struct error *error = gdb_refusal(reply, len, "a watchpoint");
    refuse(site, error_wrap(error, "%s (the processor has few of them, for at most 8 bytes each)",
                            site->watch));
}

/* The place of what is watched: in the frame of the hit that it comes from, or a global one. */
static enum outcome find_watched(struct backend *b, struct watchpoint *watch,
                                 struct error **error) {
    struct program *p = &b->program;
    bool comes_from_hit = b->at_hit && watch->site->watch_from_hit;
    struct vantage at =
        program_vantage(p, comes_from_hit ? b->hit.pc : 0, watch->site->watch_where, AT_PLACE);
    const struct compiled *compiled = program_compiled(p, watch->site->watch, &at);
    if (!compiled || compiled->error) {
        *error = compiled ? error_copy(compiled->error) : error_no_memory();
        return EVAL_FAILED;
    }
    if (!b->view.framed)
        program_thread_start(p, &b->view);
    struct evaluation evaluation = {
        .frame = &b->view.frame, .scratch = &p->scratch, .shape = lang_shape};
    enum outcome outcome = target_expr_evaluate(compiled->expr, &evaluation, &watch->operand);
    /* What depends on a register that was not fetched looks as if it were optimised out. */
    if (outcome == EVAL_FAILED && b->view.lacks && (!b->view.whole || b->view.singly))
        return EVAL_AGAIN;
    if (outcome == EVAL_FAILED)
        *error = error_new(ERROR_RUN, "%s: %s", watch->site->watch, evaluation.why);
    else if (outcome == EVAL_OK && !watch->operand.in_memory)
        *error = error_new(ERROR_RECIPE, "%s is not in memory: it cannot be watched",
                           watch->site->watch);
    return *error ? EVAL_FAILED : outcome;
}

static enum outcome find_frame(struct backend *b, struct watchpoint *watch) {
    struct site *site = watch->site;
    site->watch_frame = (struct held_frame){0};
    return b->at_hit && site->watch_from_hit
               ? program_frame_holding(&b->program, &b->view, watch->operand.address,
                                       &site->watch_frame)
               : EVAL_OK;
}

static enum outcome place_watch(struct backend *b, struct watchpoint *watch) {
    struct error *error = NULL;
    enum outcome outcome = find_watched(b, watch, &error);
    if (outcome == EVAL_OK)
        outcome = find_frame(b, watch);
    if (outcome == EVAL_FAILED) {
        struct site *site = watch->site;
        drop_watch(b, site);
        refuse(site, error);
    } else if (outcome == EVAL_OK) {
        watch->address = watch->operand.address;
        watch->size = type_plain(watch->operand.type)->size;
        watch->placed = true;
        b->note_stale = true;
        ask_watch(b, watch, true);
    }
    return outcome;
}

bool gdb_place_watches(struct backend *b) {
    bool again = false;
    for (size_t i = b->watch_count; i--;)
        if (!b->watches[i].placed)
            again |= place_watch(b, &b->watches[i]) == EVAL_AGAIN;
    return !again;
}

static void arm_watch(struct backend *b, struct site *site) {
    struct watchpoint *watch = ARRAY_ADD(b->watches, b->watch_count, b->watch_cap);
    if (watch)
        watch->site = site;
    else
        refuse(site, error_no_memory());
    b->pending |= b->at_launch; /* it may lie elsewhere when the program begins */
    free_slots(b);
}

static void disarm_watch(struct backend *b, struct site *site) {
    struct watchpoint *watch = watch_at(b, site);
    if (watch && watch->placed)
        ask_watch(b, watch, false);
    drop_watch(b, site);
}

/* ---- signals ---- */

#define SIGNALS 0x94 /* of GDB's */

static bool stops_for(const struct backend *b, int signal) {
    /* SIGINT is our interrupt, SIGTRAP our breakpoints. What has no number of GDB's (0x8f) is a
     * system call, too: gdbserver 13 would hand the stop on as a signal, and die of it. */
    static const int always[] = {2, 5, 0x8f};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (always[i] == signal)
            return true;
    for (size_t i = 0; i < b->signal_count; i++)
        if (gdb_signal_named(b->signals[i]->signal) == signal)
            return true;
    return false;
}

/* All others go to the target without a round trip. */
void gdb_ask_pass_signals(struct backend *b) {
    if (!gdb_has(&b->features, GDB_PASS_SIGNALS))
        return;
    buffer_puts(&b->text, "QPassSignals:");
    for (int i = 1, n = 0; i <= SIGNALS; i++)
        if (!stops_for(b, i))
            buffer_printf(&b->text, n++ ? ";%x" : "%x", i);
    gdb_ask_text(b, NULL, NULL);
}

static void arm_signal(struct backend *b, struct site *site) {
    struct site **slot = ARRAY_ADD(b->signals, b->signal_count, b->signal_cap);
    if (slot)
        *slot = site;
    gdb_ask_pass_signals(b);
    if (gdb_signal_named(site->signal) < 0)
        refuse(site, error_new(ERROR_RECIPE, "there is no signal \"%s\"", site->signal));
}

static void disarm_signal(struct backend *b, struct site *site) {
    for (size_t i = 0; i < b->signal_count; i++)
        if (b->signals[i] == site)
            b->signals[i] = b->signals[--b->signal_count];
    gdb_ask_pass_signals(b);
}

static void do_nothing(struct backend *b, struct site *site) {
    (void)b, (void)site;
}

static const struct {
    void (*arm)(struct backend *b, struct site *site);
    void (*disarm)(struct backend *b, struct site *site);
} kinds[] = {[SITE_CODE] = {arm_place, disarm_place},
             [SITE_RETURN] = {arm_place, disarm_place},
             [SITE_WATCH] = {arm_watch, disarm_watch},
             [SITE_PANIC] = {do_nothing, do_nothing},
             [SITE_SIGNAL] = {arm_signal, disarm_signal},
             [SITE_SYSCALL] = {gdb_arm_syscalls, gdb_disarm_syscalls},
             [SITE_SYSCALL_RETURN] = {gdb_arm_syscalls, gdb_disarm_syscalls}};

/* With another filter: a stub takes what comes last. */
static void arm_anew(struct backend *b, struct site *site) {
    if (site->kind != SITE_CODE && site->kind != SITE_RETURN)
        return;
    if (gdb_trace_has(b, site)) {
        gdb_trace_drop(b, site);
        arm_place(b, site);
        return;
    }
    gdb_set_conditions(b, site);
    for (size_t i = 0; i < site->address_count; i++) {
        struct point *point = gdb_point_at(b, site->addresses[i]);
        if (point && point->site == site)
            gdb_point_ask(b, point, true, gdb_on_inserted);
    }
}

void gdb_arm(struct backend *b, struct site *site) {
    if (site->armed) {
        arm_anew(b, site);
        return;
    }
    site->armed = true;
    program_warm(&b->program, site);
    kinds[site->kind].arm(b, site);
}

void gdb_disarm(struct backend *b, struct site *site) {
    site->armed = false;
    kinds[site->kind].disarm(b, site);
}

/* ---- what takes it all out ---- */

void gdb_removals(struct backend *b, void (*put)(void *ctx, const struct buffer *payload),
                  void *ctx) {
    for (size_t i = 0; i < b->point_count; i++) {
        struct point point = b->points[i];
        for (int kinds = point.moved ? 2 : 1; kinds--; point.hardware = !point.hardware) {
            buffer_clear(&b->text);
            gdb_point_write(b, &point, false);
            put(ctx, &b->text);
        }
    }
    for (size_t i = 0; i < b->watch_count; i++) {
        buffer_clear(&b->text);
        if (!b->watches[i].placed)
            continue;
        gdb_watch_write(b, &b->watches[i], false);
        put(ctx, &b->text);
    }
    buffer_clear(&b->text);
    if (b->proving) {
        buffer_printf(&b->text, "z0,%" PRIx64 ",1", b->proved_at);
        put(ctx, &b->text);
    }
    buffer_clear(&b->text);
    if (b->call_count) {
        buffer_puts(&b->text, "QCatchSyscalls:0");
        put(ctx, &b->text);
    }
    buffer_clear(&b->text);
}
