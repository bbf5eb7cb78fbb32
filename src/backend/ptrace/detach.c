/* Leaving all threads as they were. By now the text is, too, and the kernel detaches only from what
 * stands: each thread stops for a moment. All are told to at once; those that are in a vfork stop
 * when their child has gone on. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <time.h>

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

/* It does not stop: the kernel lets go of it when we end. */
static void give_up(struct task *task) {
    LOG(LOG_NATIVE, 1, "%d does not stop", task->tid);
    native_task_drop(task);
}

void native_detach(struct backend *b) {
    const struct timespec nap = {.tv_nsec = 50000};
    uint64_t until = uv_hrtime() + PATIENCE_NS;
    b->frozen = b->detaching = true; /* whatever they stop for, they stay */
    native_pump();
    native_each_task(b, ask_to_stop);
    while (native_each_task(b, let_go_if_stopped) && uv_hrtime() < until) {
        native_pump();
        nanosleep(&nap, NULL);
    }
    bool all = !native_each_task(b, give_up);
    native_release_early(b);
    if (all && !b->exited)
        native_leave_areas(b);
    b->frozen = b->detaching = false;
}
