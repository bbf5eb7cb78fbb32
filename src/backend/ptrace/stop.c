/* Hits become a stop: only the threads that have hit stand. Resuming, halting. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define HITS_MAX 64 /* told at once; the others wait */

void native_queue(struct task *task, enum task_stop stands, struct site *site) {
    struct backend *b = task->backend;
    struct task **slot = ARRAY_ADD(b->queue, b->queue_count, b->queue_cap);
    task->stands = stands;
    task->site = site;
    if (!slot) {
        task->watched = 0;
        native_continue(task);
        return;
    }
    task->queued = true;
    *slot = task;
    if (b->running && b->queue_count > 1)
        program_forget(&b->program); /* what was read ahead was so when the first one came */
    if (!uv_is_active((uv_handle_t *)&b->spin))
        native_later(b, DUE_STOP); /* another back end's look may have found it */
}

/* ---- delivering ---- */

static bool make_room(struct backend *b) {
    if (b->hit_names)
        return true;
    free(b->hits);
    free(b->hit_tasks);
    b->hits = calloc(HITS_MAX, sizeof *b->hits);
    b->hit_tasks = calloc(HITS_MAX, sizeof(struct task *));
    b->hit_names = calloc(HITS_MAX, sizeof *b->hit_names);
    return b->hits && b->hit_tasks && b->hit_names;
}

static void identify(struct backend *b, struct task *task, struct hit *hit) {
    for (int i = 0; i < 64; i++) {
        if (program_identify(&b->program, task->view, hit) == READ_DONE)
            return;
        native_fetch(b);
    }
}

static void fill_hit(struct backend *b, struct task *task, struct hit *hit) {
    if (!*task->name)
        native_task_name(task);
    struct hit_names *names = &b->hit_names[hit - b->hits];
    memcpy(names->thread, task->name, sizeof names->thread);
    *hit = (struct hit){
        .site = task->site, .thread = task->tid, .pc = task->pc, .thread_name = names->thread};
    program_locate(&b->program, hit, NULL);
    if (task->stands == STANDS_ON_SIGNAL) {
        hit->signal = task->site->signal;
        hit->fault = task->fault;
        hit->has_fault = task->has_fault;
    }
    if (task->stands == STANDS_ON_SYSCALL) {
        memcpy(names->call, task->call, sizeof names->call);
        hit->syscall = names->call;
    }
    if (task->undecided)
        hit->condition_error = b->condition_error;
    native_view(task);
    if (task->site && task->site->identify_frame && task->view)
        identify(b, task, hit);
}

static void tell(struct backend *b, enum stop_reason reason) {
    b->stop.reason = reason;
    b->stop.hits = b->hits;
    b->stop.pid = b->pid;
    b->stop.what = b->stop_what;
    b->stop.exit_status = b->exit_status;
    b->stop.by_signal = b->by_signal;
    b->running = b->halting = false;
    native_forget_came(b);
    if (reason != STOP_HITS)
        program_forget(&b->program);
    if (b->read_ns && !b->stop.nobody_stands)
        program_read_until(&b->program, b->stop.seen_ns + b->read_ns);
    if (!b->dead)
        b->events->stopped(b->owner, &b->stop);
}

/* The program's own code begins, and its libraries are there; or the dynamic loader has changed
 * something. */
static void look_for_modules(struct backend *b, struct task *task) {
    bool changed = false;
    if (task->pc != b->load_at)
        native_point_remove(b, native_point_at(b, task->pc));
    error_free(native_find_modules(b, &changed));
    if (!changed || (task->pc != b->load_at && !b->pending)) {
        native_continue(task);
        native_watch_for_stops(b);
        return;
    }
    b->pending = false; /* until a location says so again */
    b->hit_tasks[0] = task;
    task->shown = true;
    fill_hit(b, task, &b->hits[0]);
    b->stop.count = 1;
    tell(b, STOP_LOADED);
}

/* ---- whose hits? ---- */

/* By where it stands now: while it was queued, its site may have been disarmed, or armed anew. */
static struct site *site_now(const struct task *task) {
    const struct backend *b = task->backend;
    const struct point *point = native_point_at(b, task->pc);
    switch (task->stands) {
    case STANDS_ON_POINT: return point && point->inserted ? point->site : NULL;
    case STANDS_ON_WATCH: return native_watch_due(task);
    case STANDS_ON_SYSCALL: return native_call_of(task) ? native_call_of(task)->site : NULL;
    case STANDS_ON_SIGNAL: return native_signal_site(b, task->signal);
    default: return NULL;
    }
}

static bool is_own(const struct task *task) {
    const struct point *point = native_point_at(task->backend, task->pc);
    return task->stands == STANDS_ON_POINT && point && point->own;
}

/* How many of the queue can be told at once. */
static size_t batch_of(const struct backend *b) {
    size_t n = 0;
    while (n < b->queue_count && n < HITS_MAX && !is_own(b->queue[n]))
        n++;
    return n;
}

/* Most hits of a busy place with a condition go no further. */
static bool holds(struct backend *b, struct task *task, uint64_t began_ns) {
    struct site *site = task->site;
    if (site && (!site->cond || native_condition_holds(b, task)))
        return true;
    task->queued = false;
    native_watch_told(task);
    if (b->queue_count == 1)
        native_learn(task);
    native_continue(task); /* or it is queued anew, for another watch */
    if (site) {
        site->false_hits++;
        site->false_ns += uv_hrtime() - began_ns;
    }
    return false;
}

/* What was known of memory was so at a hit that nobody is told of. */
static void drop_false(struct backend *b, uint64_t began_ns) {
    size_t kept = 0, n = batch_of(b);
    for (size_t i = 0; i < b->queue_count; i++) {
        struct task *task = b->queue[i];
        if (i < n)
            task->site = site_now(task);
        if (i >= n || holds(b, task, began_ns)) {
            b->queue[kept++] = task;
            continue;
        }
        program_forget(&b->program);
    }
    b->queue_count = kept;
}

/* What nobody is told of has held the target all the same: now and then, for the limits' sake. */
static void tell_false(struct backend *b) {
    b->stop.count = 0;
    if (b->resumed_ns - b->false_told_ns < FALSE_TOLD_NS)
        return;
    b->false_told_ns = b->resumed_ns;
    b->events->passed(b->owner, &b->stop);
}

/* All were false. */
static void go_on(struct backend *b) {
    native_watch_for_stops(b);
    tell_false(b);
}

/* ---- the stop ---- */

static bool wants_all_to_stand(const struct backend *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (b->queue[i]->site->stop_process)
            return true;
    return false;
}

static void take_queue(struct backend *b) {
    size_t n = batch_of(b);
    if (wants_all_to_stand(b, n)) {
        native_freeze(b);
        program_forget(&b->program); /* they have run since */
    }
    for (size_t i = 0; i < n; i++) {
        struct task *task = b->queue[i];
        b->hit_tasks[i] = task;
        task->queued = false;
        task->shown = true;
        fill_hit(b, task, &b->hits[i]);
        native_watch_told(task);
    }
    b->stop.count = n;
    memmove(b->queue, b->queue + n, (b->queue_count - n) * sizeof(struct task *));
    b->queue_count -= n;
}

void native_deliver(struct backend *b) {
    b->stop = (struct stop){.seen_ns = uv_hrtime()};
    *b->stop_what = '\0';
    if (!make_room(b)) {
        native_lost(b, error_no_memory());
        return;
    }
    b->often = b->stop.seen_ns - b->resumed_ns < OFTEN_NS;
    struct task *first = b->queue[0];
    if (is_own(first)) {
        first->queued = false;
        memmove(b->queue, b->queue + 1, --b->queue_count * sizeof(struct task *));
        look_for_modules(b, first);
        return;
    }
    drop_false(b, b->stop.seen_ns);
    if (!batch_of(b)) {
        go_on(b);
        return;
    }
    take_queue(b);
    tell(b, STOP_HITS);
}

/* Nobody needs to stand for what is global: a thread is stopped when its own state is asked for. */
static void deliver_halt(struct backend *b) {
    b->stop = (struct stop){.seen_ns = uv_hrtime(), .nobody_stands = true};
    if (!make_room(b)) {
        native_lost(b, error_no_memory());
        return;
    }
    b->hit_tasks[0] = NULL;
    b->hits[0] = (struct hit){.thread = b->pid, .function = "", .file = ""};
    b->stop.count = 1;
    tell(b, STOP_HALTED);
}

/* Of one that was killed in the middle of a fork there is a child that nobody has told of. Those
 * that are to be followed are told of first: who leaves has no children. */
static void deliver_exit(struct backend *b) {
    if (!b->looked_for_orphans && b->by_signal && b->exit_status == SIGKILL)
        native_adopt_orphans(b);
    b->looked_for_orphans = true;
    if (native_has_children(b) && !b->halting)
        return;
    b->stop = (struct stop){.seen_ns = uv_hrtime()};
    tell(b, STOP_EXITED);
}

static void deliver_restart(struct backend *b) {
    struct error *error = native_look_anew(b);
    if (!error && !make_room(b))
        error = error_no_memory();
    if (error) {
        native_lost(b, error);
        return;
    }
    b->stop = (struct stop){.seen_ns = uv_hrtime(), .count = 1};
    snprintf(b->stop_what, sizeof b->stop_what, "it runs %.100s now (exec)", b->command);
    b->hit_tasks[0] = native_task_of(b->pid);
    fill_hit(b, b->hit_tasks[0], &b->hits[0]);
    tell(b, STOP_RESTARTED);
}

/* From the loop, never from inside of an operation. */
void native_deliver_due(struct backend *b) {
    native_pump();
    if (!b->running)
        return;
    if (b->exited && !b->queue_count)
        deliver_exit(b);
    else if (b->restarted)
        deliver_restart(b);
    else if (b->queue_count)
        native_deliver(b);
    else if (b->halting)
        deliver_halt(b);
    else
        tell_false(b);
}

void native_exited(struct backend *b, int status) {
    b->exited = true;
    b->by_signal = WIFSIGNALED(status);
    b->exit_status = b->by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
    native_later(b, DUE_STOP);
}

/* ---- going on ---- */

/* The usual case: those that were told, and no others. */
static void continue_hits(struct backend *b) {
    for (size_t i = 0; i < b->stop.count; i++) {
        struct task *task = b->hit_tasks[i];
        if (!task)
            continue;
        task->shown = false;
        native_continue(task);
    }
}

static void run_to_entry(struct backend *b) {
    uint64_t entry = native_auxv(b, AT_BASE) ? native_auxv(b, AT_ENTRY) : 0;
    if (entry)
        native_point_insert_own(b, entry);
}

static void wait_for_loads(struct backend *b) {
    if ((!b->pending && !b->in_library) || b->at_launch || b->load_at)
        return;
    b->load_at = program_load_hook(&b->program);
    if (b->load_at)
        native_point_insert_own(b, b->load_at);
}

void native_resume(struct backend *b) {
    if (b->stop.reason == STOP_HITS && b->stop.count == 1)
        native_learn(b->hit_tasks[0]);
    program_forget(&b->program);
    b->nowhere.framed = false;
    b->running = true;
    if (b->at_launch)
        run_to_entry(b);
    wait_for_loads(b);
    if (b->at_launch || b->frozen || b->held_up || b->stop.reason == STOP_HALTED)
        native_thaw(b);
    else
        continue_hits(b);
    b->at_launch = false;
    b->stop.count = 0;
    if (b->exited || b->halting || b->restarted)
        native_later(b, DUE_STOP);
    native_watch_for_stops(b);
}

void native_halt(struct backend *b) {
    b->halting = true;
    native_later(b, DUE_STOP);
}

void native_flush(struct backend *b) {
    native_fetch(b);
    native_later(b, DUE_FLUSHED);
}
