/* The target executes another program: memory, breakpoints, debug registers and all threads but one
 * are gone, and that one stands before the new program's first instruction. */
#include "backend/ptrace/ptrace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void forget_others(struct task *task) {
    if (task->tid != task->backend->pid && task->kind == TASK_THREAD)
        native_task_drop(task);
}

/* The one that goes on has the process's number from now on, whichever it was. */
bool native_executes(struct backend *b) {
    native_each_task(b, forget_others);
    struct task *task = native_task_of(b->pid);
    if (!task)
        task = native_task_add(b, b->pid, TASK_THREAD);
    if (!task)
        return false;
    task->stopped = task->shown = true;
    task->queued = task->has_registers = task->has_view = task->watching = task->held = false;
    task->signal = 0;
    task->syscall = -1;
    b->back_count = 0;
    *task->name = '\0';
    b->alive = b->pid;
    b->restarted = true;
    native_later(b, DUE_STOP);
    return true;
}

static void forget_points(struct backend *b) {
    for (size_t i = 0; i < b->points.cap; i++) {
        struct point *point = b->points.slots[i].value;
        if (point)
            note_drop(b->note, point->note);
        free(point);
    }
    map_free(&b->points);
    map_free(&b->slots);
    map_free(&b->unread);
    b->points = b->slots = b->unread = (struct map){0};
    for (unsigned i = 0; i < WATCHES; i++)
        b->watches[i].site = NULL;
    b->signal_count = b->call_count = b->code_count = 0;
}

static void forget_program(struct backend *b) {
    native_free_areas(b);
    b->areas = NULL;
    b->area_count = b->area_cap = 0;
    b->looked_for_areas = b->maps_nothing = false;
    b->syscall_at = b->load_at = 0;
    b->pending = b->in_library = false;
    program_free(&b->program);
    program_init(&b->program);
}

struct error *native_look_anew(struct backend *b) {
    b->restarted = false;
    forget_points(b);
    forget_program(b);
    struct error *error = native_look_at(b);
    if (!error && !native_open_memory(b))
        error = error_new(ERROR_RUN, "process %d: %s", b->pid, strerror(errno));
    if (!error)
        error = native_find_modules(b, NULL);
    if (error)
        return error_wrap(error, "process %d runs another program now (exec)", b->pid);
    b->nowhere.registers.arch = b->program.space.arch;
    b->at_launch = true;
    return NULL;
}
