/* Children that the target forks, each for a back end of its own: all of a worker's back ends trace
 * from one thread, so a child changes hands while it stands. It is clean by then, and should we die
 * it goes on from there. */
#include "backend/ptrace/ptrace.h"

#include "backend/ptrace/uri.h"
#include <errno.h>
#include <sys/ptrace.h>

bool native_keep_child(struct task *task) {
    struct backend *b = task->backend;
    if (!b->follow || b->detaching || b->leaving)
        return false;
    task->kind = TASK_FORKED;
    task->kept = true;
    native_later(b, DUE_CHILDREN);
    return true;
}

static void tell(struct task *task) {
    struct backend *b = task->backend;
    pid_t pid = task->tid;
    struct user_regs_struct registers;
    char uri[64];
    if (!task->kept)
        return;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &registers)) { /* it was killed where it stood */
        native_release(task);
        return;
    }
    snprintf(uri, sizeof uri, "%s%d", native_attach_prefix, pid);
    b->events->forked(b->owner, uri);
    task = native_kept_child(pid);
    if (task && task->backend == b)
        native_release(task);
}

void native_tell_children(struct backend *b) {
    native_each_task(b, tell);
    if (b->exited)
        native_later(b, DUE_STOP);
}

bool native_has_children(const struct backend *b) {
    return b->follow && b->tasks.count > b->task_count;
}

struct task *native_kept_child(pid_t pid) {
    struct task *task = native_task_of(pid);
    return task && task->kept ? task : NULL;
}

static bool change_hands(struct backend *b, struct task *child) {
    if (!map_put(&b->tasks, (uint64_t)child->tid, child))
        return false;
    map_remove(&child->backend->tasks, (uint64_t)child->tid);
    b->parent = child->backend->pid;
    child->backend = b;
    child->kind = TASK_THREAD;
    child->kept = false;
    child->shown = true;
    b->task_count = 1;
    return true;
}

struct error *native_adopt(struct backend *b, struct task *child) {
    struct error *error = native_look_at(b);
    if (error)
        return error;
    if (!native_open_memory(b))
        return error_new(ERROR_RUN, "process %d: %s", b->pid, strerror(errno));
    if (!change_hands(b, child))
        return error_no_memory();
    b->at_launch = child->at_exec;
    b->frozen = true; /* all of it stands, until the resume */
    return NULL;
}
