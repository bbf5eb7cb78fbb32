/* Watchpoints, and breakpoints that leave the text alone (`hw`): the four debug registers of each
 * thread (Intel's manual, volume 3, chapter 17.2). At a breakpoint a thread stands before its
 * instruction; the kernel sets the resume flag, so that it does not stop there again.
 * They outlive their tracer, so they are cleared on every thread before we go. */
#include "backend/ptrace/ptrace.h"

#include "lang/shape.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>

#define REGISTER(n) offsetof(struct user, u_debugreg[n])

/* Enabled locally; 0: execution, 1: writes, 3: reads and writes; the length as 0, 1, 3, 2 for 1, 2,
 * 4, 8. */
static uint64_t control(const struct backend *b) {
    static const uint8_t lengths[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    uint64_t out = 0;
    for (unsigned i = 0; i < WATCHES; i++) {
        const struct watch *watch = &b->watches[i];
        if (!watch->site)
            continue;
        uint64_t how = watch->executes ? 0 : watch->site->access == WATCH_WRITE ? 1 : 3;
        out |= UINT64_C(1) << (2 * i) | (how | (uint64_t)lengths[watch->size] << 2) << (16 + 4 * i);
    }
    return out;
}

void native_watch_task(struct task *task) {
    const struct backend *b = task->backend;
    uint64_t wanted = control(b);
    if (!wanted && !task->watching)
        return;
    ptrace(PTRACE_POKEUSER, task->tid, REGISTER(7), 0);
    for (unsigned i = 0; i < WATCHES; i++)
        if (b->watches[i].site)
            ptrace(PTRACE_POKEUSER, task->tid, REGISTER(i), b->watches[i].address);
    ptrace(PTRACE_POKEUSER, task->tid, REGISTER(7), wanted);
    task->watching = wanted != 0;
}

void native_unwatch_task(struct task *task) {
    if (task->watching)
        ptrace(PTRACE_POKEUSER, task->tid, REGISTER(7), 0);
    task->watching = false;
}

struct site *native_watch_hit(struct task *task) {
    long status = ptrace(PTRACE_PEEKUSER, task->tid, REGISTER(6), 0);
    ptrace(PTRACE_POKEUSER, task->tid, REGISTER(6), 0);
    task->watched = (uint8_t)(status & ((1 << WATCHES) - 1));
    return native_watch_due(task);
}

struct site *native_watch_due(const struct task *task) {
    for (unsigned i = 0; i < WATCHES; i++)
        if (task->watched >> i & 1 && task->backend->watches[i].site)
            return task->backend->watches[i].site;
    return NULL;
}

bool native_watches(const struct backend *b, uint64_t address) {
    for (unsigned i = 0; i < WATCHES; i++)
        if (b->watches[i].site && b->watches[i].address == address)
            return true;
    return false;
}

void native_watch_told(struct task *task) {
    for (unsigned i = 0; i < WATCHES; i++)
        if (task->watched >> i & 1 && task->backend->watches[i].site == task->site) {
            task->watched ^= (uint8_t)(1 << i);
            return;
        }
}

/* Every thread has its own: each stops for a moment. Those that begin meanwhile get theirs with
 * their first stop. */
static void set_on(struct task *task) {
    struct backend *b = task->backend;
    pid_t tid = task->tid;
    bool ran = !task->stopped, frozen = b->frozen;
    if (task->kind != TASK_THREAD)
        return;
    b->frozen = true; /* whatever it stops for, it stays */
    bool stopped = native_interrupt(task);
    b->frozen = frozen;
    task = native_task_of(tid);
    if (!task || !stopped)
        return;
    native_watch_task(task);
    if (ran && !task->queued)
        native_continue(task);
}

static void set_everywhere(struct backend *b) {
    native_each_task(b, set_on);
}

static void say_watched(struct task *task) {
    task->watching = true;
}

void native_clear_watches(struct backend *b) {
    native_each_task(b, say_watched);
    set_everywhere(b);
}

static struct task *task_it_comes_from(const struct backend *b, const struct site *site) {
    for (size_t i = 0; site->watch_from_hit && i < b->stop.count; i++)
        if (b->hit_tasks[i] && b->hit_tasks[i]->tid == site->watch_thread)
            return b->hit_tasks[i]->view ? b->hit_tasks[i] : NULL;
    return NULL;
}

/* The place of what is watched: in the frame of the hit that it comes from, or a global one. */
static struct error *find_watched(struct backend *b, const struct site *site,
                                  struct operand *operand) {
    struct program *p = &b->program;
    const char *expr = site->watch;
    struct task *task = task_it_comes_from(b, site);
    struct program_thread *view = task ? task->view : &b->nowhere;
    if (!view->framed)
        program_thread_start(p, view);
    struct vantage at = program_vantage(p, task ? task->pc : 0, site->watch_where, AT_PLACE);
    const struct compiled *compiled = program_compiled(p, expr, &at);
    if (!compiled || compiled->error)
        return compiled ? error_copy(compiled->error) : error_no_memory();
    struct evaluation evaluation = {
        .frame = &view->frame, .scratch = &p->scratch, .shape = lang_shape};
    enum outcome outcome;
    for (int i = 0; i < 64; i++) {
        outcome = target_expr_evaluate(compiled->expr, &evaluation, operand);
        if (outcome != EVAL_AGAIN)
            break;
        native_fetch(b);
    }
    if (outcome != EVAL_OK)
        return error_new(ERROR_RUN, "%s: %s", expr, evaluation.why ? evaluation.why : "too deep");
    return operand->in_memory
               ? NULL
               : error_new(ERROR_RECIPE, "%s is not in memory: it cannot be watched", expr);
}

/* What is not on this thread's stack stays, as far as anybody can tell. */
static void find_frame(struct backend *b, struct site *site, uint64_t address) {
    const struct task *task = task_it_comes_from(b, site);
    site->watch_frame = (struct held_frame){0};
    for (int i = 0; task && i < 64; i++) {
        if (program_frame_holding(&b->program, task->view, address, &site->watch_frame) == EVAL_OK)
            return;
        native_fetch(b);
    }
}

static struct error *check_size(const char *expr, const struct watch *watch) {
    unsigned n = watch->size;
    if ((n == 1 || n == 2 || n == 4 || n == 8) && watch->address % n == 0)
        return NULL;
    return error_new(ERROR_RECIPE,
                     "%s has %u bytes at 0x%" PRIx64 ": the processor watches 1, 2, 4 or 8 aligned "
                     "bytes; watch a part of it",
                     expr, n, watch->address);
}

static struct watch *free_watch(struct backend *b) {
    for (unsigned i = 0; i < WATCHES; i++)
        if (!b->watches[i].site)
            return &b->watches[i];
    return NULL;
}

static struct error *none_left(const char *what) {
    return error_new(
        ERROR_RUN,
        "%s: all four debug registers of the processor are used (each watchpoint takes "
        "one, and each place of a probe with \"hw: true\")",
        what);
}

void native_arm_watch(struct backend *b, struct site *site) {
    struct watch *watch = free_watch(b);
    if (!watch)
        site->error = none_left(site->watch);
    else if (site->access == WATCH_READ)
        site->error = error_new(ERROR_RECIPE, "%s: x86 cannot tell reads alone: say \"access: rw\"",
                                site->watch);
    else
        site->error = find_watched(b, site, &watch->operand);
    if (!site->error) {
        watch->address = watch->operand.address;
        watch->size = (unsigned)type_plain(watch->operand.type)->size;
        site->error = check_size(site->watch, watch);
    }
    site->armed = !site->error;
    if (site->error)
        return;
    find_frame(b, site, watch->address);
    b->pending |= b->at_launch; /* it may lie elsewhere when the program begins */
    watch->site = site;
    watch->executes = false;
    set_everywhere(b);
}

static bool take_register(struct backend *b, struct site *site, uint64_t address) {
    struct watch *watch = free_watch(b);
    char place[32];
    snprintf(place, sizeof place, "0x%" PRIx64, address);
    site->error = watch ? native_check_place(b, site, address) : none_left(place);
    if (site->error)
        return false;
    watch->site = site;
    watch->address = address;
    watch->size = 1;
    watch->executes = true;
    return true;
}

void native_arm_hardware(struct backend *b, struct site *site) {
    for (size_t i = 0; i < site->address_count && site->armed; i++)
        site->armed = take_register(b, site, site->addresses[i]);
    if (site->armed)
        set_everywhere(b);
    else
        native_disarm_watch(b, site); /* not half of it */
}

void native_disarm_watch(struct backend *b, struct site *site) {
    for (unsigned i = 0; i < WATCHES; i++)
        if (b->watches[i].site == site)
            b->watches[i].site = NULL;
    set_everywhere(b);
}

const struct watch *native_watch_of(const struct backend *b, const char *expr) {
    for (unsigned i = 0; i < WATCHES; i++)
        if (b->watches[i].site && !b->watches[i].executes && b->watches[i].site->watch == expr)
            return &b->watches[i];
    return NULL;
}
