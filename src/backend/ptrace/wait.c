/* What the kernel reports, task by task.
 *
 * waitid() looks first (WNOWAIT): children of libuv's are left to it. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <errno.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS UINT64_C(5000000000) /* how long a thread may take to stop */
#define ROUNDS_MAX 4096

static struct map early; /* first stops of tasks whose parents have not told of them yet */

/* ---- continuing ---- */

void native_continue(struct task *task) {
    if (task->backend->frozen || !task->stopped)
        return;
    task->stopped = task->interrupted = false;
    task->stands = STANDS_NOWHERE;
    task->site = NULL;
    if (task->signal && !task->held)
        native_leave_slot(task);
    bool calls = task->backend->call_count && task->kind == TASK_THREAD;
    enum __ptrace_request how = task->held ? PTRACE_LISTEN : calls ? PTRACE_SYSCALL : PTRACE_CONT;
    if (ptrace(how, task->tid, NULL, task->held ? 0 : task->signal) && errno != ESRCH)
        LOG(LOG_NATIVE, 1, "continuing %d: %s", task->tid, strerror(errno));
    task->signal = 0;
}

static void hold(struct task *task) {
    if (task->kind == TASK_THREAD)
        native_interrupt(task);
}

static void let_run(struct task *task) {
    if (task->queued || !task->stopped)
        return;
    task->shown = false;
    native_continue(task);
}

void native_freeze(struct backend *b) {
    b->frozen = true;
    native_each_task(b, hold);
}

void native_thaw(struct backend *b) {
    b->frozen = false;
    native_each_task(b, let_run);
}

/* ---- new tasks ---- */

static void begin(struct task *task);

/* The event does not say what the new task shares: clone() has a flag for each. What it says is the
 * answer where the kernel cannot compare. */
static enum task_kind kind_of(const struct task *parent, pid_t tid, enum task_kind said) {
    struct backend *b = parent->backend;
    if (native_process_of(tid) == b->pid)
        return TASK_THREAD;
    long differs = syscall(SYS_kcmp, b->pid, tid, KCMP_VM, 0, 0);
    if (differs >= 0)
        return differs ? TASK_FORKED : TASK_VFORKED;
    return said == TASK_THREAD ? TASK_FORKED : said;
}

static void on_child(struct task *task, enum task_kind said) {
    unsigned long tid = 0;
    ptrace(PTRACE_GETEVENTMSG, task->tid, NULL, &tid);
    struct task *child =
        native_task_of((pid_t)tid)
            ? NULL
            : native_task_add(task->backend, (pid_t)tid, kind_of(task, (pid_t)tid, said));
    if (child && map_get(&early, tid)) {
        map_remove(&early, tid);
        child->stopped = true;
        begin(child);
    }
    native_continue(task);
}

static void on_clone(struct task *task) {
    on_child(task, TASK_THREAD);
}

static void on_fork(struct task *task) {
    on_child(task, TASK_FORKED);
}

static void on_vfork(struct task *task) {
    on_child(task, TASK_VFORKED);
}

/* A child with a memory of its own inherits our breakpoints. It is not followed. */
static void release(struct task *task) {
    native_clean_child(task->backend, task->tid);
    native_leave_slot(task);
    ptrace(PTRACE_DETACH, task->tid, NULL, task->signal);
    native_task_drop(task);
}

/* Those whose parents have not told of them, and never will to us. */
void native_release_early(struct backend *b) {
    for (size_t i = 0; i < early.cap; i++) {
        pid_t tid = (pid_t)early.slots[i].key;
        if (!early.slots[i].value || !native_descends(b, tid))
            continue;
        native_clean_child(b, tid);
        ptrace(PTRACE_DETACH, tid, NULL, 0);
        map_remove(&early, (uint64_t)tid);
        i = SIZE_MAX; /* from the begin: the map has moved */
    }
}

/* A task's first stop. */
static void begin(struct task *task) {
    if (task->kind == TASK_FORKED || (task->kind == TASK_VFORKED && task->backend->detaching)) {
        release(task);
        return;
    }
    if (task->kind == TASK_THREAD)
        native_watch_task(task);
    native_continue(task);
}

static void on_exec(struct task *task) {
    struct backend *b = task->backend;
    if (task->kind == TASK_VFORKED) { /* another program: nothing of ours is in it */
        ptrace(PTRACE_DETACH, task->tid, NULL, 0);
        native_task_drop(task);
        return;
    }
    if (!native_executes(b))
        native_lost(b, error_no_memory());
}

/* A thread that is interrupted stands; one that is in a stop of job control stays there. */
static void on_event_stop(struct task *task, int signal) {
    task->held = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    if (task->held && !task->interrupted) {
        native_continue(task);
    } else if (!task->interrupted) {
        begin(task);
    }
}

/* ---- traps and signals ---- */

/* The pc stands behind an int3 that was taken out after it was executed. */
static bool was_removed(struct task *task) {
    struct backend *b = task->backend;
    struct point *point = native_point_at(b, task->registers.rip - 1);
    bool dead_one = !point && native_is_leftover(b, task->registers.rip - 1);
    if ((!point && !dead_one) || (point && point->inserted))
        return false;
    ptrace(PTRACE_POKEUSER, task->tid, offsetof(struct user_regs_struct, rip),
           task->registers.rip - 1);
    return true;
}

static bool is_by_hardware(const struct task *task) {
    siginfo_t info = {0};
    return !ptrace(PTRACE_GETSIGINFO, task->tid, NULL, &info) && info.si_code == TRAP_HWBKPT;
}

static void on_other_trap(struct task *task) {
    siginfo_t info = {0};
    ptrace(PTRACE_GETSIGINFO, task->tid, NULL, &info);
    struct site *site = info.si_code == TRAP_HWBKPT ? native_watch_hit(task) : NULL;
    task->pc = task->registers.rip;
    if (site)
        native_queue(task, STANDS_ON_WATCH, site);
    else if (info.si_code == SI_KERNEL && was_removed(task))
        native_continue(task);
    else if (info.si_code == SI_KERNEL || info.si_code <= 0) {
        task->signal = SIGTRAP; /* the program's own affair */
        native_continue(task);
    } else {
        native_continue(task);
    }
}

static void on_trap(struct task *task) {
    if (!native_registers(task)) {
        native_continue(task);
        return;
    }
    struct point *point = native_point_at(task->backend, task->registers.rip - 1);
    bool both = native_watch_site(task->backend, task->registers.rip); /* `hw`, behind an int3 */
    if (!point || !point->inserted || (both && is_by_hardware(task))) {
        on_other_trap(task);
        return;
    }
    task->pc = point->address;
    bool again = native_is_back(task, point);
    native_step_aside(task, point);
    if (task->kind == TASK_THREAD && !again)
        native_queue(task, STANDS_ON_POINT, point->site);
    else {
        if (!task->backend->queue_count)
            program_forget(&task->backend->program);
        native_continue(task);
    }
}

struct site *native_signal_site(const struct backend *b, int signal) {
    for (size_t i = 0; i < b->signal_count; i++)
        if (!strncmp(b->signals[i]->signal, "SIG", 3) &&
            !strcmp(b->signals[i]->signal + 3, sigabbrev_np(signal) ? sigabbrev_np(signal) : ""))
            return b->signals[i];
    return NULL;
}

static void on_signal(struct task *task, int signal) {
    struct site *site =
        task->kind == TASK_THREAD ? native_signal_site(task->backend, signal) : NULL;
    siginfo_t info = {0};
    task->signal = signal;
    if (!site || !native_registers(task)) {
        native_continue(task);
        return;
    }
    ptrace(PTRACE_GETSIGINFO, task->tid, NULL, &info);
    task->has_fault = info.si_code > 0 && (signal == SIGSEGV || signal == SIGBUS ||
                                           signal == SIGFPE || signal == SIGILL);
    task->fault = (uint64_t)(uintptr_t)info.si_addr;
    task->pc = native_unslot(task->backend, task->registers.rip);
    native_queue(task, STANDS_ON_SIGNAL, site);
}

static void on_gone(struct task *task, int status) {
    struct backend *b = task->backend;
    bool leader = task->tid == b->pid, thread = task->kind == TASK_THREAD;
    native_task_drop(task);
    if (leader || (thread && !b->task_count))
        native_exited(b, status);
}

static const struct {
    int event;
    void (*take)(struct task *task);
} events[] = {{PTRACE_EVENT_CLONE, on_clone},
              {PTRACE_EVENT_FORK, on_fork},
              {PTRACE_EVENT_VFORK, on_vfork},
              {PTRACE_EVENT_EXEC, on_exec}};

void native_handle(struct task *task, int status) {
    int event = status >> 16, signal = WSTOPSIG(status);
    if (!WIFSTOPPED(status)) {
        on_gone(task, status);
        return;
    }
    LOG(LOG_NATIVE, 3, "task %d stopped: signal %d event %d", task->tid, signal, event);
    task->stopped = true;
    task->has_registers = task->has_view = task->undecided = false;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i].event == event) {
            events[i].take(task);
            return;
        }
    if (event == PTRACE_EVENT_STOP)
        on_event_stop(task, signal);
    else if (signal == (SIGTRAP | 0x80)) /* PTRACE_O_TRACESYSGOOD */
        native_on_syscall(task);
    else if (signal == SIGTRAP)
        on_trap(task);
    else
        on_signal(task, signal);
}

/* ---- waiting ---- */

static void take(pid_t tid) {
    int status;
    struct task *task = native_task_of(tid);
    if (waitpid(tid, &status, __WALL | WNOHANG) != tid)
        return;
    if (task)
        native_handle(task, status);
    else if (WIFSTOPPED(status))
        map_put(&early, (uint64_t)tid, &early);
}

/* Of a process of one thread: nothing else can have anything to tell. */
static bool pump_one(struct task *task, int how) {
    int status;
    if (task->stopped || waitpid(task->tid, &status, __WALL | how) != task->tid)
        return false;
    native_handle(task, status);
    return true;
}

static bool pump_any(int how) {
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | how | WNOWAIT | __WALL) || !info.si_pid)
        return false;
    bool ended =
        info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    if (ended && !native_task_of(info.si_pid))
        return false; /* libuv's: it comes by SIGCHLD */
    take(info.si_pid);
    return true;
}

static bool pump(int how) {
    struct task *only = native_only_task();
    return only ? pump_one(only, how) : pump_any(how);
}

bool native_pump(void) {
    int taken = 0;
    while (taken < ROUNDS_MAX && pump(WNOHANG))
        taken++;
    return taken;
}

bool native_pump_asleep(void) {
    return pump(0);
}

bool native_interrupt(struct task *task) {
    if (task->stopped)
        return true;
    task->interrupted = true;
    if (ptrace(PTRACE_INTERRUPT, task->tid, NULL, NULL) && errno == ESRCH)
        return false;
    return native_wait_for(task);
}

/* A thread in an uninterruptible wait of the kernel stops when that is over. */
bool native_wait_for(struct task *task) {
    pid_t tid = task->tid;
    uint64_t until = uv_hrtime() + PATIENCE_NS;
    const struct timespec nap = {.tv_nsec = 50000};
    for (unsigned i = 0; uv_hrtime() < until; i++) {
        int status;
        pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
        if (got < 0)
            return false;
        if (got == tid) {
            native_handle(task, status);
            task = native_task_of(tid);
            if (!task || task->stopped)
                return task != NULL;
        } else if (i > 200) {
            nanosleep(&nap, NULL);
        }
    }
    return false;
}
