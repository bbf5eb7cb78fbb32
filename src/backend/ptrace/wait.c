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

#define CHILD_NS UINT64_C(5000000000) /* how long one that has just begun may take to stop */
#define HOLD_NS UINT64_C(5000000)     /* ... and one that is asked to, while others may stand */
#define ROUNDS_MAX 4096

/* ---- continuing ---- */

void native_continue(struct task *task) {
    if (!task->stopped || task->kept)
        return;
    if (task->backend->frozen) {
        task->backend->held_up = true;
        return;
    }
    if (native_watch_due(task)) { /* on the same bytes, by the same instruction */
        native_queue(task, STANDS_ON_WATCH, native_watch_due(task));
        return;
    }
    task->watched = 0;
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

static void let_run(struct task *task) {
    if (task->queued || !task->stopped)
        return;
    task->shown = false;
    native_continue(task);
}

void native_thaw(struct backend *b) {
    b->frozen = b->held_up = false;
    native_each_task(b, let_run);
}

/* ---- new tasks ---- */

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
    if (child && native_take_early((pid_t)tid)) {
        child->stopped = true;
        native_begin(child);
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

/* One that was killed meanwhile is no more to be let go: its end is still to be taken. */
void native_release(struct task *task) {
    task->kept = false;
    if (!ptrace(PTRACE_DETACH, task->tid, NULL, task->signal) || errno != ESRCH)
        native_task_drop(task);
    else
        task->stopped = false;
}

/* A child with a memory of its own inherits our breakpoints. */
static void begin_child(struct task *task) {
    native_clean_child(task->backend, task->tid);
    native_leave_slot(task);
    if (!native_keep_child(task))
        native_release(task);
}

void native_begin(struct task *task) {
    if (task->kind == TASK_FORKED || (task->kind == TASK_VFORKED && task->backend->detaching)) {
        begin_child(task);
        return;
    }
    if (task->kind == TASK_THREAD)
        native_watch_task(task);
    native_continue(task);
}

static void on_exec(struct task *task) {
    struct backend *b = task->backend;
    if (task->kind == TASK_VFORKED) { /* another program: nothing of ours is in it */
        task->at_exec = true;
        if (!native_keep_child(task))
            native_release(task);
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
        native_begin(task);
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
    task->pc = native_unslot(task->backend, task->registers.rip);
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
    bool both = native_watches(task->backend, task->registers.rip); /* `hw`, behind an int3 */
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

bool native_signal_is(int signal, const char *name) {
    const char *known = sigabbrev_np(signal);
    if (signal == SIGIO && !strcmp(name, "SIGIO")) /* glibc calls it POLL */
        return true;
    return known && !strncmp(name, "SIG", 3) && !strcmp(name + 3, known);
}

struct site *native_signal_site(const struct backend *b, int signal) {
    for (size_t i = 0; i < b->signal_count; i++)
        if (native_signal_is(signal, b->signals[i]->signal))
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
    else if (b->exited && !thread)
        native_later(b, DUE_STOP); /* its end may have waited for that of a child */
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

static bool take(pid_t tid) {
    int status;
    struct task *task = native_task_of(tid);
    if (waitpid(tid, &status, __WALL | WNOHANG) != tid)
        return false;
    if (task)
        native_handle(task, status);
    else if (WIFSTOPPED(status))
        native_note_early(tid);
    else
        native_take_early(tid);
    return true;
}

static bool take_known(void) {
    size_t count;
    bool some = false;
    pid_t *tids = native_tids(&count);
    for (size_t i = 0; i < count; i++)
        some |= take(tids[i]);
    free(tids);
    return some;
}

struct search {
    pid_t pid;
    bool found;
};

static void compare(uv_handle_t *handle, void *ctx) {
    struct search *search = ctx;
    search->found |=
        handle->type == UV_PROCESS && uv_process_get_pid((uv_process_t *)handle) == search->pid;
}

/* Its end comes by SIGCHLD. All others that we hear of are children that were killed before anybody
 * told of them, or programs that we have launched and let go. */
static bool is_of_libuv(pid_t pid) {
    struct search search = {.pid = pid};
    if (native_loop())
        uv_walk(native_loop(), compare, &search);
    return search.found;
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
    if (ended && !native_task_of(info.si_pid) && is_of_libuv(info.si_pid))
        return take_known(); /* it hides what stands behind it */
    return take(info.si_pid);
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

/* The last look is after `until`: we may have had no processor ourselves. */
static bool wait_until(struct task *task, uint64_t until) {
    pid_t tid = task->tid;
    const struct timespec nap = {.tv_nsec = 50000};
    bool over = false;
    for (unsigned i = 0; !over; i++) {
        int status;
        over = uv_hrtime() >= until;
        pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
        if (got < 0)
            return false;
        if (got == tid) {
            native_handle(task, status);
            task = native_task_of(tid);
            if (!task || task->stopped)
                return task != NULL;
        } else if (i > 200 && !over) {
            nanosleep(&nap, NULL);
        }
    }
    return false;
}

bool native_wait_for(struct task *task) {
    return wait_until(task, uv_hrtime() + CHILD_NS);
}

/* ---- stopping them ---- */

static void ask_to_stop(struct task *task) {
    if (task->stopped || task->kind != TASK_THREAD)
        return;
    task->interrupted = !ptrace(PTRACE_INTERRUPT, task->tid, NULL, NULL) || errno != ESRCH;
}

/* One that is late is in a wait of the kernel (a vfork, a disk), or has no processor. It will stop
 * before it executes anything more of the program, and is then treated as one that begins. */
static bool await_stop(struct task *task, uint64_t until) {
    pid_t tid = task->tid;
    if (task->stopped || !task->interrupted)
        return task->stopped;
    if (wait_until(task, until))
        return true;
    task = native_task_of(tid);
    if (task)
        task->interrupted = false;
    return false;
}

bool native_interrupt(struct task *task) {
    ask_to_stop(task);
    return await_stop(task, uv_hrtime() + HOLD_NS);
}

static void hold(struct task *task) {
    if (task->kind == TASK_THREAD)
        await_stop(task, task->backend->hold_until);
}

void native_freeze(struct backend *b) {
    b->frozen = true;
    native_each_task(b, ask_to_stop);
    b->hold_until = uv_hrtime() + HOLD_NS;
    native_each_task(b, hold);
}
