/* Seizing all threads of a process. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCANS_MAX 1000 /* of a process that starts threads faster than we find them */
#define OPTIONS                                                                                    \
    (PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |         \
     PTRACE_O_TRACESYSGOOD)

static struct map all_tasks; /* of all back ends of this process: tids are the kernel's */

struct task *native_task_of(pid_t tid) {
    return map_get(&all_tasks, (uint64_t)tid);
}

struct task *native_only_task(void) {
    for (size_t i = 0; all_tasks.count == 1 && i < all_tasks.cap; i++)
        if (all_tasks.slots[i].value)
            return all_tasks.slots[i].value;
    return NULL;
}

bool native_stays(void) {
    for (size_t i = 0; i < all_tasks.cap; i++) {
        const struct task *task = all_tasks.slots[i].value;
        if (task && !task->backend->detaching)
            return true;
    }
    return false;
}

struct task *native_task_add(struct backend *b, pid_t tid, enum task_kind kind) {
    struct task *task = calloc(1, sizeof *task);
    if (!task)
        return NULL;
    *task = (struct task){.backend = b, .tid = tid, .kind = kind, .syscall = -1};
    if (!map_put(&all_tasks, (uint64_t)tid, task)) {
        free(task);
        return NULL;
    }
    if (!map_put(&b->tasks, (uint64_t)tid, task)) {
        map_remove(&all_tasks, (uint64_t)tid);
        free(task);
        return NULL;
    }
    b->task_count += kind == TASK_THREAD;
    return task;
}

void native_task_drop(struct task *task) {
    struct backend *b = task->backend;
    size_t kept = 0;
    for (size_t i = 0; i < b->queue_count; i++)
        if (b->queue[i] != task)
            b->queue[kept++] = b->queue[i];
    b->queue_count = kept;
    for (size_t i = 0; i < b->stop.count; i++)
        if (b->hit_tasks[i] == task)
            b->hit_tasks[i] = NULL;
    b->task_count -= task->kind == TASK_THREAD;
    native_forget_backs(b, task->tid);
    map_remove(&all_tasks, (uint64_t)task->tid);
    map_remove(&b->tasks, (uint64_t)task->tid);
    free(task->view);
    free(task);
}

pid_t *native_tids(size_t *count) {
    pid_t *tids = malloc((all_tasks.count + 1) * sizeof *tids);
    *count = 0;
    for (size_t i = 0; tids && i < all_tasks.cap; i++)
        if (all_tasks.slots[i].value)
            tids[(*count)++] = (pid_t)all_tasks.slots[i].key;
    return tids;
}

size_t native_each_task(struct backend *b, void (*take)(struct task *task)) {
    size_t count = 0;
    pid_t *tids = malloc((b->tasks.count + 1) * sizeof *tids);
    for (size_t i = 0; tids && i < b->tasks.cap; i++)
        if (b->tasks.slots[i].value)
            tids[count++] = ((struct task *)b->tasks.slots[i].value)->tid;
    for (size_t i = 0; i < count; i++)
        if (native_task_of(tids[i]))
            take(native_task_of(tids[i]));
    free(tids);
    return b->tasks.count;
}

/* ---- attaching ---- */

static int yama_scope(void) {
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    int scope = 0;
    if (file && fscanf(file, "%d", &scope) != 1)
        scope = 0;
    if (file)
        fclose(file);
    return scope;
}

static struct error *why_not(const struct backend *b, int code) {
    int scope = code == EPERM ? yama_scope() : 0;
    if (scope == 3)
        return error_new(ERROR_RUN,
                         "process %d: this kernel lets nobody trace (kernel.yama.ptrace_scope is "
                         "3, until the next boot)",
                         b->pid);
    if (scope && geteuid())
        return error_new(ERROR_RUN,
                         "process %d: kernel.yama.ptrace_scope is %d: only %s; be root, or launch "
                         "the program (pickglass ... -- PROGRAM)",
                         b->pid, scope,
                         scope == 1 ? "one's own children may be traced"
                                    : "CAP_SYS_PTRACE may trace");
    if (code == EPERM)
        return error_new(ERROR_RUN,
                         "process %d may not be traced by this user: be its user or root; in a "
                         "container, --cap-add=SYS_PTRACE",
                         b->pid);
    return error_new(ERROR_RUN, "tracing process %d: %s", b->pid, strerror(code));
}

/* Is it one that a thread of ours has just started, and that the kernel has attached already? */
static bool is_ours(pid_t pid, pid_t tid) {
    char path[64], line[128];
    long tracer = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "TracerPid: %ld", &tracer);
    if (file)
        fclose(file);
    return tracer == getpid();
}

static struct error *seize(struct backend *b, pid_t tid) {
    int code = ptrace(PTRACE_SEIZE, tid, NULL, OPTIONS) ? errno : 0;
    if ((code == ESRCH || (code == EPERM && tid == b->pid)) && tid != b->alive)
        return NULL; /* it has ended */
    if (code == EPERM && is_ours(b->pid, tid))
        code = 0;
    if (code)
        return why_not(b, code);
    return native_task_add(b, tid, TASK_THREAD) ? NULL : error_no_memory();
}

/* One look at all threads; *found is the number of those that were not known. */
static struct error *scan(struct backend *b, size_t *found) {
    char path[64];
    struct dirent *entry;
    struct error *error = NULL;
    snprintf(path, sizeof path, "/proc/%d/task", b->pid);
    DIR *dir = opendir(path);
    *found = 0;
    while (dir && !error && (entry = readdir(dir))) {
        pid_t tid = atoi(entry->d_name);
        if (tid <= 0 || native_task_of(tid) || (tid == b->pid && tid != b->alive))
            continue;
        ++*found;
        error = seize(b, tid);
    }
    if (dir)
        closedir(dir);
    return error;
}

/* Children that share the memory (a vfork that has not executed anything yet) run over the same
 * breakpoints. Those of their own are told by the kernel from then on. */
static void seize_sharers(struct backend *b, pid_t tid) {
    char path[64];
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", b->pid, tid);
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &child) == 1)
        if (!native_task_of(child) && !syscall(SYS_kcmp, b->pid, child, KCMP_VM, 0, 0) &&
            !ptrace(PTRACE_SEIZE, child, NULL, OPTIONS))
            native_task_add(b, child, TASK_VFORKED);
    if (file)
        fclose(file);
}

static void look_for_sharer(struct task *task) {
    seize_sharers(task->backend, task->tid);
}

/* Until a scan finds nothing new. Nobody is stopped. */
struct error *native_attach(struct backend *b) {
    struct error *error = native_look_at(b);
    if (!error && native_task_of(b->alive)) /* another back end's */
        error = error_new(ERROR_USAGE, "process %d is a target of this run already: give it once",
                          b->pid);
    if (!error)
        error = seize(b, b->alive);
    if (!error && !native_open_memory(b))
        error = why_not(b, errno);
    size_t found = 1;
    for (int i = 0; i < SCANS_MAX && found && !error; i++)
        error = scan(b, &found);
    if (!error && found)
        error = error_new(ERROR_RUN, "process %d starts threads faster than they can be traced",
                          b->pid);
    if (!error)
        native_each_task(b, look_for_sharer);
    return error;
}
