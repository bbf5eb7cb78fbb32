#include "worker/link.h"

#include "backend/ptrace/note.h"
#include "base/log.h"
#include "value/event.h"
#include "worker/frame.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REPAIR_CONNECT_MS 3000

struct reach {
    char *uri;     /* NULL: not known yet, nothing was armed */
    bool repaired; /* nothing of ours is there */
    int memory;    /* of a process that is traced natively; -1: of none, or not to be had */
    pid_t pid;
};

struct link {
    struct link_events events;
    void *owner;
    uv_loop_t *loop;
    char *worker;
    struct job job;
    struct reach *reaches;   /* one a target of the job, and of those that were followed */
    size_t reach_cap, named; /* how many targets were named: the first ones */
    uv_process_t process;
    uv_pipe_t to, from;
    struct buffer received, event;
    int note_fd;
    struct note *note; /* where native breakpoints stand */
    int handles, code;
    bool exited, ended, said_over, repairing, released, delivered;
    int64_t status;
    int signal;
    struct error *death;
};

char *link_find_worker(void) {
    const char *given = getenv("PICKGLASS_WORKER");
    char path[PATH_MAX + 32];
    if (given)
        return strdup(given);
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (slash) {
        strcpy(slash + 1, "pickglass-worker");
        if (!access(path, X_OK))
            return strdup(path);
    }
    return access(PICKGLASS_LIBEXEC "/pickglass-worker", X_OK)
               ? NULL
               : strdup(PICKGLASS_LIBEXEC "/pickglass-worker");
}

static void free_reach(struct reach *reach) {
    free(reach->uri);
    if (reach->memory >= 0)
        close(reach->memory);
}

static void free_link(struct link *link) {
    for (size_t i = 0; i < link->job.target_count; i++)
        free_reach(&link->reaches[i]);
    note_unmap(link->note);
    if (link->note_fd >= 0)
        close(link->note_fd);
    free(link->reaches);
    job_clear(&link->job);
    buffer_free(&link->received);
    buffer_free(&link->event);
    error_free(link->death);
    free(link->worker);
    free(link);
}

static struct error *spawn(struct link *link);

static void deliver(struct link *link) {
    struct error *error = link->death;
    link->death = NULL;
    link->delivered = true;
    link->events.over(link->owner, link->code, error);
}

static bool can_repair(const struct link *link) {
    bool some = false;
    for (size_t i = 0; i < link->job.target_count; i++)
        some |= link->reaches[i].uri && !link->reaches[i].repaired;
    return some && link->job.options.mode == SESSION_RUN;
}

/* The job of the second worker: the targets that the first has left as they are. */
static void become_repair(struct link *link) {
    struct target *targets = link->job.targets;
    size_t kept = 0;
    for (size_t i = 0; i < link->job.target_count; i++) {
        if (link->reaches[i].uri && !link->reaches[i].repaired) {
            free(targets[i].uri);
            targets[i].uri = strdup(link->reaches[i].uri);
            struct target target = targets[i];
            struct reach reach = link->reaches[i];
            targets[i] = targets[kept];
            link->reaches[i] = link->reaches[kept];
            targets[kept] = target;
            link->reaches[kept++] = reach;
        }
    }
    while (link->job.target_count > kept) {
        target_clear(&targets[--link->job.target_count]);
        free_reach(&link->reaches[link->job.target_count]);
    }
    job_clear_recipes(&link->job);
    link->job.options.mode = SESSION_REPAIR;
    link->job.options.connect_ms = REPAIR_CONNECT_MS;
}

static void on_dead(struct link *link) {
    char how[64];
    if (link->signal)
        snprintf(how, sizeof how, "was killed by signal %d", link->signal);
    else
        snprintf(how, sizeof how, "ended with status %d", (int)link->status);
    link->code = ERROR_RUN;
    if (link->repairing || !can_repair(link)) {
        error_free(link->death);
        link->death =
            error_new(ERROR_RUN, "the worker %s%s", how,
                      link->repairing ? ", and so was the one that was to repair it" : "");
        deliver(link);
        return;
    }
    LOG(LOG_WORKER, 1, "the worker %s: repairing", how);
    link->death =
        error_new(ERROR_RUN,
                  "the worker %s; the breakpoints of this run were cleared and its targets run "
                  "on",
                  how);
    become_repair(link);
    link->repairing = true;
    link->exited = link->ended = link->said_over = false;
    buffer_clear(&link->received);
    struct error *error = spawn(link);
    if (!error)
        return;
    error_free(link->death);
    link->death = error_wrap(error, "the worker %s, and another could not be started", how);
    deliver(link);
}

static void on_repair_over(struct link *link, int code) {
    link->code = ERROR_RUN;
    if (code) {
        error_free(link->death);
        link->death =
            error_new(ERROR_RUN,
                      "the worker died, and not every target could be repaired: it may meet "
                      "breakpoints of this run (named pg%s... where they have names)",
                      link->job.run);
    }
    deliver(link);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct link *link = handle->data;
    if (--link->handles)
        return;
    if (link->released)
        free_link(link);
    else if (!link->said_over)
        on_dead(link);
    else if (link->repairing)
        on_repair_over(link, link->code);
    else
        deliver(link);
}

static void close_handle(void *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

static void close_if_done(struct link *link) {
    if (!link->exited || !link->ended)
        return;
    close_handle(&link->process);
    close_handle(&link->to);
    close_handle(&link->from);
}

/* Before anything else: each moment a thread may run into one. */
static void redeem(struct link *link) {
    for (size_t i = 0; i < link->job.target_count; i++) {
        const struct reach *reach = &link->reaches[i];
        size_t n = reach->memory >= 0 ? note_redeem(link->note, reach->pid, reach->memory) : 0;
        if (n)
            LOG(LOG_WORKER, 1, "took %zu breakpoints out of process %d", n, reach->pid);
    }
}

static void on_worker_exit(uv_process_t *process, int64_t status, int signal) {
    struct link *link = process->data;
    redeem(link);
    link->exited = true;
    link->status = status;
    link->signal = signal;
    close_if_done(link);
}

static struct reach *find_reach(struct link *link, const char *name, size_t n) {
    for (size_t i = 0; i < link->job.target_count; i++)
        if (strlen(link->job.targets[i].name) == n && !memcmp(link->job.targets[i].name, name, n))
            return &link->reaches[i];
    return NULL;
}

/* A process that a target has forked. NULL: no memory; it will not be repaired. */
static struct reach *add_reach(struct link *link, const char *name, size_t n) {
    size_t count = link->job.target_count;
    struct reach *reach = ARRAY_ADD(link->reaches, count, link->reach_cap);
    struct target *target =
        reach ? ARRAY_ADD(link->job.targets, link->job.target_count, link->job.target_cap) : NULL;
    if (!target)
        return NULL;
    *target = (struct target){.name = strndup(name, n), .uri = strdup("")};
    *reach = (struct reach){.memory = -1};
    if (target->name && target->uri)
        return reach;
    target_clear(target);
    link->job.target_count--;
    return NULL;
}

static void drop_reach(struct link *link, struct reach *reach) {
    struct target *target = &link->job.targets[reach - link->reaches];
    size_t last = --link->job.target_count;
    target_clear(target);
    free_reach(reach);
    *target = link->job.targets[last];
    *reach = link->reaches[last];
}

static void on_reachable(struct link *link, const char *text, size_t n) {
    const char *space = memchr(text, ' ', n);
    struct reach *reach = space ? find_reach(link, text, (size_t)(space - text)) : NULL;
    if (!reach && space)
        reach = add_reach(link, text, (size_t)(space - text));
    if (!reach)
        return;
    free(reach->uri);
    reach->uri = strndup(space + 1, n - (size_t)(space + 1 - text));
    if (reach->memory < 0 && reach->uri)
        reach->memory = note_open(reach->uri, &reach->pid);
}

static void on_repaired(struct link *link, const char *name, size_t n) {
    struct reach *reach = find_reach(link, name, n);
    if (reach && reach - link->reaches >= (ptrdiff_t)link->named && !link->repairing)
        drop_reach(link, reach);
    else if (reach)
        reach->repaired = true;
}

static void on_frame(struct link *link, enum frame_type type, const char *payload, size_t len) {
    char text[16] = "";
    switch (type) {
    case FRAME_EVENT: /* copied: its values want to be aligned */
        buffer_clear(&link->event);
        buffer_add(&link->event, payload, len);
        if (!link->event.failed && event_valid(&link->event))
            link->events.event(link->owner, &link->event);
        break;
    case FRAME_REACHABLE: on_reachable(link, payload, len); break;
    case FRAME_REPAIRED: on_repaired(link, payload, len); break;
    case FRAME_OVER:
        memcpy(text, payload, len < sizeof text - 1 ? len : sizeof text - 1);
        link->code = atoi(text);
        link->said_over = true;
        break;
    default: break;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle, (void)suggested;
    static _Thread_local char bytes[256 << 10];
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct link *link = stream->data;
    if (n < 0) {
        uv_read_stop(stream);
        link->ended = true;
        close_if_done(link);
        return;
    }
    buffer_add(&link->received, buf->base, (size_t)n);
    enum frame_type type;
    const char *payload;
    size_t len, at = 0;
    bool broken = false;
    while (!link->released && frame_next(link->received.data + at, link->received.len - at, &type,
                                         &payload, &len, &broken)) {
        on_frame(link, type, payload, len);
        at += sizeof(struct frame) + len;
    }
    if (link->released)
        return;
    link->events.rested(link->owner);
    buffer_consume(&link->received, at);
    if (broken || link->received.failed)
        close_handle(&link->to); /* the worker ends when its stdin does */
}

struct message {
    uv_write_t request;
    struct buffer bytes;
};

static void on_written(uv_write_t *request, int code) {
    (void)code; /* a worker that is gone is told by its exit */
    struct message *message = (struct message *)request;
    buffer_free(&message->bytes);
    free(message);
}

static void tell(struct link *link, enum frame_type type, const void *bytes, size_t n) {
    struct message *message =
        uv_is_closing((uv_handle_t *)&link->to) ? NULL : calloc(1, sizeof *message);
    if (!message)
        return;
    message->bytes = BUFFER_INIT(FRAME_MAX);
    frame_add(&message->bytes, type, bytes, n);
    uv_buf_t buf = uv_buf_init(message->bytes.data, (unsigned)message->bytes.len);
    if (uv_write(&message->request, (uv_stream_t *)&link->to, &buf, 1, on_written))
        on_written(&message->request, 0);
}

static void *init(struct link *link, void *handle) {
    ((uv_handle_t *)handle)->data = link;
    link->handles++;
    return handle;
}

/* In a session of its own: what kills our process group does not reach it. */
static struct error *spawn(struct link *link) {
    char *argv[] = {link->worker, "run", NULL};
    uv_pipe_init(link->loop, &link->to, 0);
    uv_pipe_init(link->loop, &link->from, 0);
    uv_stdio_container_t stdio[NOTE_FD + 1] = {
        {UV_CREATE_PIPE | UV_READABLE_PIPE, {init(link, &link->to)}},
        {UV_CREATE_PIPE | UV_WRITABLE_PIPE, {init(link, &link->from)}},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = link->note_fd}};
    uv_process_options_t options = {.file = link->worker,
                                    .args = argv,
                                    .exit_cb = on_worker_exit,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = link->note ? NOTE_FD + 1 : NOTE_FD};
    init(link, &link->process);
    int code = uv_spawn(link->loop, &link->process, &options);
    if (code)
        return error_new(ERROR_RUN, "starting the worker %s: %s", link->worker, uv_strerror(code));
    struct buffer text = BUFFER_INIT(FRAME_MAX);
    job_write(&link->job, &text);
    tell(link, FRAME_JOB, text.data ? text.data : "", text.len);
    buffer_free(&text);
    uv_read_start((uv_stream_t *)&link->from, on_alloc, on_read);
    return NULL;
}

struct error *link_start(uv_loop_t *loop, const char *worker, struct job *job,
                         const struct link_events *events, void *owner, struct link **out) {
    struct link *link = calloc(1, sizeof *link);
    size_t named = job->target_count;
    if (!link || !(link->reaches = calloc(named + 1, sizeof *link->reaches))) {
        free(link);
        return error_no_memory();
    }
    link->named = named;
    link->reach_cap = named + 1;
    link->events = *events;
    link->owner = owner;
    link->loop = loop;
    link->worker = strdup(worker);
    link->job = *job;
    *job = (struct job){0};
    link->received = link->event = BUFFER_INIT(FRAME_MAX * 2);
    link->note_fd = note_create();
    link->note = note_map(link->note_fd);
    for (size_t i = 0; i < link->job.target_count; i++)
        link->reaches[i].memory = -1;
    struct error *error = spawn(link);
    if (error)
        link_release(link);
    else
        *out = link;
    return error;
}

void link_stop(struct link *link, const char *reason) {
    tell(link, FRAME_STOP, reason, strlen(reason));
}

void link_release(struct link *link) {
    if (!link || link->released)
        return;
    link->released = true;
    if (!link->handles) {
        free_link(link);
        return;
    }
    close_handle(&link->process);
    close_handle(&link->to);
    close_handle(&link->from);
}
