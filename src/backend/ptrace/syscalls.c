/* System calls. While a site is about any, the kernel stops each thread at the entry and at the
 * return of all of them: those that nobody asked for go on at once, and cost what two stops cost.
 * (A seccomp filter would spare them that, and cannot be taken off again: without a tracer its
 * calls fail. docs/adr/0011-system-calls.md) */
#include "backend/ptrace/ptrace.h"

#include <linux/audit.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>

/* ---- what is armed ---- */

static void trace_calls(struct task *task) {
    struct backend *b = task->backend;
    bool frozen = b->frozen;
    pid_t tid = task->tid;
    if (task->stopped || task->kind != TASK_THREAD)
        return;
    b->frozen = true; /* whatever it stops for, it stays */
    bool stopped = native_interrupt(task);
    b->frozen = frozen;
    task = native_task_of(tid);
    if (task && stopped && !task->queued)
        native_continue(task);
}

void native_arm_syscalls(struct backend *b, struct site *site) {
    bool first = !b->call_count;
    for (size_t i = 0; i < site->address_count; i++) {
        struct native_call *call = ARRAY_ADD(b->calls, b->call_count, b->call_cap);
        if (!call) {
            site->armed = false;
            site->error = error_no_memory();
            native_disarm_syscalls(b, site);
            return;
        }
        *call = (struct native_call){.number = (int64_t)site->addresses[i],
                                     .returning = site->kind == SITE_SYSCALL_RETURN,
                                     .site = site};
        arch_syscall_name(b->program.space.arch, (int)call->number, call->name, sizeof call->name);
    }
    if (first)
        native_each_task(b, trace_calls);
}

/* Threads that run are told by their next stop. */
void native_disarm_syscalls(struct backend *b, struct site *site) {
    size_t kept = 0;
    for (size_t i = 0; i < b->call_count; i++)
        if (b->calls[i].site != site)
            b->calls[kept++] = b->calls[i];
    b->call_count = kept;
}

const struct native_call *native_call_of(const struct task *task) {
    const struct backend *b = task->backend;
    for (size_t i = 0; i < b->call_count; i++)
        if (b->calls[i].number == task->syscall && b->calls[i].returning == task->returning)
            return &b->calls[i];
    return NULL;
}

/* ---- a stop ---- */

/* The return does not say of which call. One that was entered before we looked is nobody's. */
static bool look(struct task *task) {
    struct __ptrace_syscall_info info = {.op = 0};
    long n = ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, (void *)sizeof info, &info);
    if (n <= 0 || info.arch != AUDIT_ARCH_X86_64)
        return false;
    task->returning = info.op == PTRACE_SYSCALL_INFO_EXIT;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        task->syscall = (int64_t)info.entry.nr;
    return task->syscall >= 0;
}

/* The target is held up for it, although nobody is told. */
static void pass(struct task *task, uint64_t began) {
    struct backend *b = task->backend;
    task->syscall = task->returning ? -1 : task->syscall;
    native_continue(task);
    if (!b->call_count || !b->running)
        return;
    b->calls[0].site->false_ns += uv_hrtime() - began;
    b->often = began - b->resumed_ns < OFTEN_NS;
    native_watch_for_stops(b);
    if (b->resumed_ns - b->false_told_ns >= FALSE_TOLD_NS)
        native_later(b, DUE_STOP); /* not from here: others may be looking at their tasks */
}

void native_on_syscall(struct task *task) {
    uint64_t began = uv_hrtime();
    const struct native_call *call = look(task) ? native_call_of(task) : NULL;
    if (!call || !native_registers(task)) {
        pass(task, began);
        return;
    }
    task->pc = native_unslot(task->backend, task->registers.rip);
    memcpy(task->call, call->name, sizeof task->call);
    native_queue(task, STANDS_ON_SYSCALL, call->site);
}
