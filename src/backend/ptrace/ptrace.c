/* The table of operations, and the life of a traced process. */
#include "backend/ptrace/ptrace.h"

#include "backend/ptrace/uri.h"
#include "base/log.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LEAVE_NS UINT64_C(20000000) /* the loop waits so long for threads to stop at our end */
#define LEAVING_MS 5                /* ... and looks again so often */

static void tell_suspended(struct backend *b) {
    char text[160];
    snprintf(text, sizeof text,
             "process %d is stopped (SIGSTOP, Ctrl-Z): nothing hits until somebody continues it "
             "(kill -CONT %d)",
             b->pid, b->pid);
    b->events->notice(b->owner, text);
}

static void tell_connected(struct backend *b) {
    struct utsname kernel;
    uname(&kernel);
    snprintf(b->version, sizeof b->version, "%s %s", kernel.sysname, kernel.release);
    b->info = (struct target_info){.pid = b->pid,
                                   .running = !b->launched && !b->parent,
                                   .suspended = b->suspended,
                                   .at_launch = b->launched,
                                   .parked = b->parent,
                                   .parent = b->parent,
                                   .started = b->launched,
                                   .stays = true,
                                   .server = "ptrace",
                                   .version = b->version,
                                   .language = program_language(&b->program),
                                   .command = b->command,
                                   .stopped_at = ""};
    b->running = b->info.running;
    b->connected = true;
    if (b->suspended)
        tell_suspended(b);
    b->events->connected(b->owner, &b->info, NULL);
}

static void tell_death(struct backend *b) {
    struct error *error = b->death;
    b->death = NULL;
    if (b->leaving)
        error_free(error);
    else if (b->connected)
        b->events->lost(b->owner, error);
    else
        b->events->connected(b->owner, NULL, error);
}

void native_deliver_due(struct backend *b);
static void on_later(uv_timer_t *timer);

/* Threads that do not stop yet hold up nothing else. */
static void finish_leaving(struct backend *b) {
    if (native_detached(b)) {
        b->events->left(b->owner);
        return;
    }
    b->due |= DUE_LEFT;
    uv_timer_start(&b->later, on_later, LEAVING_MS, 0);
}

static void on_later(uv_timer_t *timer) {
    struct backend *b = timer->data;
    static const unsigned order[] = {DUE_LEFT,    DUE_LOST,     DUE_CONNECTED,
                                     DUE_FLUSHED, DUE_CHILDREN, DUE_STOP};
    unsigned what = 0;
    for (size_t i = 0; i < sizeof order / sizeof *order && !what; i++)
        what = b->due & order[i];
    b->due = what == DUE_LEFT || what == DUE_LOST ? 0 : b->due & ~what;
    if (b->due)
        uv_timer_start(&b->later, on_later, 0, 0);
    switch (what) {
    case DUE_LEFT: finish_leaving(b); break;
    case DUE_LOST: tell_death(b); break;
    case DUE_CONNECTED: tell_connected(b); break;
    case DUE_FLUSHED: b->events->flushed(b->owner); break;
    case DUE_CHILDREN: native_tell_children(b); break;
    case DUE_STOP: native_deliver_due(b); break;
    default: break;
    }
}

void native_later(struct backend *b, unsigned what) {
    if (b->dead)
        return;
    b->due |= what;
    uv_timer_start(&b->later, on_later, 0, 0);
}

void native_lost(struct backend *b, struct error *error) {
    if (b->death)
        error_free(error);
    else
        b->death = error;
    native_later(b, DUE_LOST);
}

/* ---- beginning ---- */

static struct error *native_create(const struct backend_setup *setup,
                                   const struct backend_events *events, void *owner,
                                   struct backend **out) {
    bool launch = !strncmp(setup->uri, native_launch_prefix, strlen(native_launch_prefix));
    bool repair = !strncmp(setup->uri, native_repair_prefix, strlen(native_repair_prefix));
    const char *number = setup->uri + strlen(repair ? native_repair_prefix : native_attach_prefix);
    char *end = NULL;
    long pid = launch ? 0 : strtol(number, &end, 10);
    if (!launch && (pid <= 0 || pid > INT32_MAX || *end))
        return error_new(ERROR_USAGE, "\"%s\" is no target: native:PID, or --pid PID", setup->uri);
    if (pid == getpid() || pid == getppid())
        return error_new(ERROR_USAGE, "process %ld is pickglass itself", pid);
    struct backend *b = calloc(1, sizeof *b);
    if (!b)
        return error_no_memory();
    *b = (struct backend){.events = events,
                          .owner = owner,
                          .loop = setup->loop,
                          .uri = strdup(setup->uri),
                          .output = setup->output ? strdup(setup->output) : NULL,
                          .pid = (pid_t)pid,
                          .memory = -1,
                          .launched = launch,
                          .repair = repair,
                          .follow = setup->follow,
                          .note = setup->note,
                          .read_ns = setup->read_ns,
                          .reachable = setup->reachable,
                          .reachable_ctx = setup->reachable_ctx};
    b->verdict = BUFFER_INIT(64 << 10);
    b->came_values = BUFFER_INIT(16 << 20);
    program_init(&b->program);
    uv_timer_init(b->loop, &b->later);
    uv_signal_init(b->loop, &b->child);
    uv_idle_init(b->loop, &b->spin);
    b->later.data = b->child.data = b->spin.data = b;
    b->handles = 3;
    *out = b;
    return NULL;
}

static struct error *begin_launch(struct backend *b) {
    struct error *error = native_launch(b, b->uri + strlen(native_launch_prefix));
    if (!error)
        error = native_look_at(b);
    struct task *task = error ? NULL : native_task_add(b, b->pid, TASK_THREAD);
    if (!error && !task)
        error = error_no_memory();
    if (!error && !native_open_memory(b))
        error = error_new(ERROR_RUN, "process %d: %s", b->pid, strerror(errno));
    if (task)
        task->stopped = task->shown = true;
    b->at_launch = true;
    return error;
}

/* Should we die, main sends another worker there, to take our breakpoints out. */
static void tell_reachable(struct backend *b) {
    char uri[64];
    snprintf(uri, sizeof uri, "%s%d", native_repair_prefix, b->pid);
    if (b->reachable)
        b->reachable(b->reachable_ctx, uri);
}

static struct error *begin(struct backend *b) {
    struct task *child = native_kept_child(b->pid);
    return b->launched ? begin_launch(b) : child ? native_adopt(b, child) : native_attach(b);
}

static void native_connect(struct backend *b) {
    struct error *error = begin(b);
    if (!error && b->repair)
        native_clear_watches(b);
    if (!error)
        error = native_listen(b);
    if (!error)
        error = native_find_modules(b, NULL);
    b->nowhere.registers.arch = b->program.space.arch;
    b->nowhere.anywhere = true;
    b->nowhere.whole = true;
    if (!error && b->repair)
        native_sweep(b);
    else if (!error)
        tell_reachable(b);
    if (error && b->launched && b->pid > 0 && !b->exited)
        kill(b->pid, SIGKILL); /* it would begin without anybody */
    if (error)
        native_lost(b, error);
    else
        native_later(b, DUE_CONNECTED);
}

static void native_inspect(struct backend *b) {
    native_later(b, DUE_CONNECTED);
}

/* ---- places ---- */

static void native_resolve(struct backend *b, struct query *query) {
    if (b->at_launch)
        program_resolve_early(&b->program, query, &b->pending);
    else
        program_resolve(&b->program, query, &b->pending);
}

static struct error *native_judge(struct backend *b, const struct judged *judged,
                                  struct buffer *type, size_t *column, const char **unavailable) {
    return program_judge(&b->program, judged, type, column, unavailable);
}

static void native_locate(struct backend *b, struct hit *hit, const struct location *where) {
    program_locate(&b->program, hit, where);
}

/* ---- the end ---- */

static void let_go(struct backend *b) {
    native_rest(b);
    for (size_t i = 0; i < b->points.cap; i++)
        if (b->points.slots[i].value)
            native_point_remove(b, b->points.slots[i].value);
    for (unsigned i = 0; i < WATCHES; i++)
        b->watches[i].site = NULL;
    b->call_count = 0;
    native_detach(b);
}

static void wait_detached(struct backend *b, uint64_t until) {
    const struct timespec nap = {.tv_nsec = 50000};
    while (!native_detached(b)) {
        if (uv_hrtime() >= until)
            return;
        nanosleep(&nap, NULL);
    }
}

/* A program that we have launched and that has run nothing yet would begin without anybody. */
static void native_leave(struct backend *b, enum leave_how how) {
    bool unused = b->launched && b->at_launch && how == LEAVE_QUIETLY;
    b->leaving = true;
    if ((how == LEAVE_KILL || unused) && !b->exited && b->pid > 0)
        kill(b->pid, SIGKILL);
    let_go(b);
    wait_detached(b, uv_hrtime() + LEAVE_NS); /* as good as ever that is enough */
    b->running = false;
    native_later(b, DUE_LEFT);
}

static void free_points(struct backend *b) {
    for (size_t i = 0; i < b->points.cap; i++)
        free(b->points.slots[i].value);
    map_free(&b->points);
    map_free(&b->slots);
}

static void on_closed(uv_handle_t *handle) {
    struct backend *b = handle->data;
    if (!--b->handles)
        free(b);
}

static void native_destroy(struct backend *b) {
    b->told_late = true; /* nobody listens any more */
    let_go(b);
    wait_detached(b, UINT64_MAX);
    b->dead = true;
    free_points(b);
    map_free(&b->tasks);
    buffer_free(&b->verdict);
    buffer_free(&b->came_values);
    free(b->came);
    program_free(&b->program);
    if (b->memory >= 0)
        close(b->memory);
    error_free(b->death);
    native_free_areas(b);
    free(b->code);
    map_free(&b->unread);
    free(b->signals);
    free(b->calls);
    free(b->queue);
    free(b->hits);
    free(b->hit_tasks);
    free(b->hit_names);
    free(b->uri);
    free(b->output);
    uv_close((uv_handle_t *)&b->later, on_closed);
    uv_close((uv_handle_t *)&b->child, on_closed);
    uv_close((uv_handle_t *)&b->spin, on_closed);
}

#define BIT(trigger) (1u << (trigger))

static const struct backend_caps native_caps = {
    .name = "native",
    .triggers = BIT(TRIGGER_AT) | BIT(TRIGGER_CALL) | BIT(TRIGGER_RETURN_OF) | BIT(TRIGGER_WATCH) |
                BIT(TRIGGER_TIMER) | BIT(TRIGGER_SIGNAL) | BIT(TRIGGER_EXIT) | BIT(TRIGGER_SYSCALL),
    .why_not = {[TRIGGER_PANIC] = "`signal: SIGABRT` and `signal: SIGSEGV` see a crash of C and "
                                  "C++; for Go use Delve"},
    .registers = true,
    .abi = true,
    .conditions = true,
    .hardware = true,
    .modules = true,
    .detaches = true,
    .follows = true,
    .measures = true,
};

const struct backend_ops native_ops = {
    .caps = &native_caps,
    .create = native_create,
    .connect = native_connect,
    .inspect = native_inspect,
    .resolve = native_resolve,
    .judge = native_judge,
    .locate = native_locate,
    .arm = native_arm,
    .disarm = native_disarm,
    .read = native_read,
    .came = native_came,
    .give_up = native_give_up,
    .flush = native_flush,
    .resume = native_resume,
    .halt = native_halt,
    .leave = native_leave,
    .destroy = native_destroy,
};
