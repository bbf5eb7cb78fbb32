/* Children that stop before their parents have told of them: the kernel traces a child from its
 * begin, and reports both in any order. A parent that is killed in between tells of nothing. */
#include "backend/ptrace/ptrace.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

static struct map early; /* tids, of those that have stopped */

bool native_take_early(pid_t tid) {
    bool had = map_get(&early, (uint64_t)tid) != NULL;
    if (had)
        map_remove(&early, (uint64_t)tid);
    return had;
}

void native_release_early(struct backend *b) {
    for (size_t i = 0; i < early.cap; i++) {
        pid_t tid = (pid_t)early.slots[i].key;
        if (!early.slots[i].value || !native_descends(b, tid))
            continue;
        native_clean_child(b, tid);
        ptrace(PTRACE_DETACH, tid, NULL, 0);
        native_take_early(tid);
        i = SIZE_MAX; /* from the begin: the map has moved */
    }
}

/* ---- orphans ---- */

static bool runs_the_same(const struct backend *b, pid_t pid) {
    char path[64], exe[sizeof b->command];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    return !strcmp(exe, b->command);
}

/* A process, traced by us, of nobody that we know, and with the program of this one. A thread has
 * its creator's parent, and shares the memory with it. */
static bool is_orphan(const struct backend *b, pid_t pid) {
    pid_t parent, tracer;
    return !native_task_of(pid) && native_process_of(pid) == pid &&
           native_parents(pid, &parent, &tracer) && tracer == getpid() && !native_task_of(parent) &&
           runs_the_same(b, pid);
}

static void adopt(struct backend *b, pid_t pid) {
    struct task *task = native_task_add(b, pid, TASK_FORKED);
    if (!task)
        return;
    task->stopped = native_take_early(pid);
    if (task->stopped)
        native_begin(task);
    else
        native_wait_for(task); /* it has hardly begun */
}

/* Another thread of its parent has ended the process before the fork was told. */
static void adopt_now(pid_t pid) {
    size_t count;
    bool adopted = false;
    pid_t *tids = native_tids(&count);
    for (size_t i = 0; i < count && !adopted; i++) {
        struct backend *b = native_task_of(tids[i])->backend;
        adopted = is_orphan(b, pid);
        if (adopted)
            adopt(b, pid);
    }
    free(tids);
}

void native_note_early(pid_t tid) {
    if (map_put(&early, (uint64_t)tid, &early))
        adopt_now(tid);
}

void native_adopt_orphans(struct backend *b) {
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && is_orphan(b, pid))
            adopt(b, pid);
    }
    if (dir)
        closedir(dir);
}
