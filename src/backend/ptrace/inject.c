/* What a stopped thread executes for us: one step, one system call. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define VDSO_SIZE 8192
#define STEPS_MAX 64             /* signals that may come before one step is made */
#define STEP_NS UINT64_C(200000) /* what most steps take at most: so long nobody sleeps */

static bool find_syscall(struct backend *b) {
    static const uint8_t syscall_bytes[] = {0x0f, 0x05};
    uint8_t vdso[VDSO_SIZE];
    uint64_t at = b->syscall_at ? 0 : native_auxv(b, AT_SYSINFO_EHDR);
    size_t n = at ? native_read_memory(b, at, vdso, sizeof vdso) : 0;
    const uint8_t *found = n ? memmem(vdso, n, syscall_bytes, sizeof syscall_bytes) : NULL;
    if (found)
        b->syscall_at = at + (uint64_t)(found - vdso);
    return b->syscall_at != 0;
}

/* The kernel is silent about a leader that has been killed until all of its threads were taken. */
static bool has_died(pid_t tid) {
    char state = native_state_of(tid);
    return !state || state == 'Z' || state == 'X';
}

/* Its end is not taken here: the pump will see it. */
static bool wait_for_stop(pid_t tid, int *status) {
    static const struct timespec moment = {.tv_nsec = 50000};
    siginfo_t info = {.si_pid = 0};
    for (uint64_t began = uv_hrtime(); !info.si_pid;) {
        int how = WEXITED | WSTOPPED | WNOWAIT | WNOHANG | __WALL;
        if (waitid(P_PID, (id_t)tid, &info, how) && errno != EINTR)
            return false;
        if (info.si_pid || uv_hrtime() - began < STEP_NS)
            continue;
        if (has_died(tid))
            return false;
        nanosleep(&moment, NULL);
    }
    if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
        return false;
    return waitpid(tid, status, __WALL | WNOHANG) == tid && WIFSTOPPED(*status);
}

/* The first is the task's at its next resume. */
static void keep_signal(struct task *task, int signal) {
    if (!task->signal)
        task->signal = signal;
    else
        syscall(SYS_tgkill, task->backend->pid, task->tid, signal);
}

/* The step goes on from a stop of job control. Asked to stop once more, the task comes back to it
 * when it is resumed (ptrace(2), "Group-stop"); if SIGCONT was quicker, it goes on. */
bool native_one_step(struct task *task) {
    bool held = false;
    for (int i = 0; i < STEPS_MAX; i++) {
        int status;
        if (ptrace(PTRACE_SINGLESTEP, task->tid, NULL, 0) || !wait_for_stop(task->tid, &status))
            return false;
        int signal = WSTOPSIG(status), event = status >> 16;
        held |= event == PTRACE_EVENT_STOP;
        if (signal == SIGTRAP && !event && held)
            ptrace(PTRACE_INTERRUPT, task->tid, NULL, 0);
        if (signal == SIGTRAP && !event)
            return true;
        if (!event)
            keep_signal(task, signal);
    }
    return false;
}

/* No signal comes between: a queued one would lose its place and its value. But for SIGTRAP, which
 * the step itself ends in: the kernel sets a blocked one's handler to its default (force_sig). */
static int64_t call_kernel(struct task *task, const struct user_regs_struct *wanted) {
    struct user_regs_struct before, after;
    uint64_t mask, all = ~(UINT64_C(1) << (SIGTRAP - 1));
    pid_t tid = task->tid;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &before) ||
        ptrace(PTRACE_GETSIGMASK, tid, sizeof mask, &mask) ||
        ptrace(PTRACE_SETSIGMASK, tid, sizeof all, &all))
        return -errno;
    bool stepped = !ptrace(PTRACE_SETREGS, tid, NULL, wanted) && native_one_step(task) &&
                   !ptrace(PTRACE_GETREGS, tid, NULL, &after);
    ptrace(PTRACE_SETREGS, tid, NULL, &before);
    ptrace(PTRACE_SETSIGMASK, tid, sizeof mask, &mask);
    return stepped ? (int64_t)after.rax : -ESRCH;
}

bool native_map_memory(struct task *task, uint64_t at, uint64_t size) {
    if (!find_syscall(task->backend))
        return false;
    struct user_regs_struct call = task->registers;
    call.rip = task->backend->syscall_at;
    call.rax = SYS_mmap;
    call.orig_rax = UINT64_MAX; /* no system call that the kernel might restart */
    call.rdi = at;
    call.rsi = size;
    call.rdx = PROT_READ | PROT_EXEC;
    call.r10 = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    call.r8 = UINT64_MAX;
    call.r9 = 0;
    int64_t result = call_kernel(task, &call);
    LOG(LOG_NATIVE, 1, "memory for slots at 0x%" PRIx64 ": %" PRId64, at, result);
    return result > 0 && (uint64_t)result == at;
}
