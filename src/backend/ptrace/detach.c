/* Leaving all threads as they were. By now the text is, too, and the kernel detaches only from what
 * stands: each thread stops for a moment. All are told to at once; one that is in a wait of the
 * kernel (a vfork, a disk) stops when that is over. It is waited for from the loop: it holds up
 * nobody else. In the end the kernel lets go of it, when all of us ends; but if its debug registers
 * are set, it would die of its next hit then, so we stay. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>

#define PATIENCE_NS UINT64_C(5000000000)
#define PEEKED 16

/* An int3 may be behind the stop that we see: a detach would deliver its SIGTRAP, which kills. */
static bool has_trap_pending(pid_t tid) {
    siginfo_t infos[PEEKED];
    struct __ptrace_peeksiginfo_args args = {.off = 0, .flags = 0, .nr = PEEKED};
    long n;
    while ((n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, infos)) > 0) {
        for (long i = 0; i < n; i++)
            if (infos[i].si_signo == SIGTRAP && infos[i].si_code > 0)
                return true;
        args.off += (uint64_t)n;
    }
    return false;
}

static void detach(struct task *task) {
    if (task->kept) { /* it is clean, or even another program by now */
        native_release(task);
        return;
    }
    if (task->kind == TASK_FORKED) /* interrupted before its first stop: it has our breakpoints */
        native_clean_child(task->backend, task->tid);
    native_unwatch_task(task);
    native_leave_slot(task);
    if (ptrace(PTRACE_DETACH, task->tid, NULL, task->signal))
        LOG(LOG_NATIVE, 1, "detaching from %d: %s", task->tid, strerror(errno));
    native_task_drop(task);
}

/* Not interrupted: it would stop for that once more, before the trap, each time. */
static void let_go(struct task *task) {
    if (!has_trap_pending(task->tid)) {
        detach(task);
        return;
    }
    native_leave_slot(task);
    ptrace(PTRACE_CONT, task->tid, NULL, task->signal);
    task->signal = 0;
    task->stopped = false;
}

static void ask_to_stop(struct task *task) {
    task->interrupted = true;
    if (!task->stopped && ptrace(PTRACE_INTERRUPT, task->tid, NULL, NULL))
        LOG(LOG_NATIVE, 1, "interrupting %d: %s", task->tid, strerror(errno));
}

static void let_go_if_stopped(struct task *task) {
    if (task->stopped)
        let_go(task);
}

static void tell_late(const struct task *task) {
    struct backend *b = task->backend;
    char text[192];
    if (b->told_late || b->dead)
        return;
    b->told_late = true;
    snprintf(text, sizeof text,
             "thread %d is in a wait of the kernel (for a child of its vfork, or a disk) with a "
             "watchpoint set: the run ends when that is over, for without us it would die of it",
             task->tid);
    b->events->notice(b->owner, text);
}

static void give_up(struct task *task) {
    struct backend *b = task->backend;
    if (task->watching)
        tell_late(task);
    if (task->watching || (b->leaving && native_stays()))
        return;
    LOG(LOG_NATIVE, 1, "%d does not stop", task->tid);
    b->abandons = true;
    native_task_drop(task);
}

void native_detach(struct backend *b) {
    b->frozen = b->detaching = true; /* whatever they stop for, they stay */
    b->detach_until = uv_hrtime() + PATIENCE_NS;
    native_pump();
    native_each_task(b, ask_to_stop);
}

bool native_detached(struct backend *b) {
    if (!b->detaching)
        return true;
    native_pump();
    size_t left = native_each_task(b, let_go_if_stopped);
    if (left && uv_hrtime() >= b->detach_until)
        left = native_each_task(b, give_up);
    if (left)
        return false;
    native_release_early(b);
    if (!b->abandons && !b->exited)
        native_leave_areas(b);
    b->frozen = b->detaching = false;
    return true;
}
