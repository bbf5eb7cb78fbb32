#include "loop/child.h"

#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct child {
    struct child_events events;
    void *owner;
    uv_process_t server, relay;
    uv_pipe_t copy; /* what the relay lets us read along */
    int handles;
    bool released;
};

static void on_closed(uv_handle_t *handle) {
    struct child *child = handle->data;
    if (!--child->handles && child->released)
        free(child);
}

static void close_handle(void *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void on_server_exit(uv_process_t *process, int64_t status, int signal) {
    struct child *child = process->data;
    LOG(LOG_LOOP, 1, "server %d ended: status %d signal %d", process->pid, (int)status, signal);
    close_handle(process);
    if (!child->released)
        child->events.exited(child->owner, status, signal);
}

static void on_relay_exit(uv_process_t *process, int64_t status, int signal) {
    (void)status, (void)signal;
    close_handle(process);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle, (void)suggested;
    static _Thread_local char bytes[4096];
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_copy(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct child *child = stream->data;
    if (n > 0 && !child->released)
        child->events.output(child->owner, buf->base, (size_t)n);
    else if (n < 0)
        close_handle(stream);
}

static int spawn(struct child *child, uv_process_t *process, char **argv, uv_exit_cb on_exit,
                 uv_stdio_container_t *stdio) {
    uv_process_options_t options = {.file = argv[0],
                                    .args = argv,
                                    .exit_cb = on_exit,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    process->data = child;
    child->handles++;
    return uv_spawn(child->copy.loop, process, &options);
}

static int start_relay(struct child *child, const char *relay, int from, int to) {
    char *argv[] = {(char *)relay, "relay", NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_INHERIT_FD, .data.fd = from},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&child->copy},
        {.flags = UV_INHERIT_FD, .data.fd = to}};
    int code = spawn(child, &child->relay, argv, on_relay_exit, stdio);
    return code ? code : uv_read_start((uv_stream_t *)&child->copy, on_alloc, on_copy);
}

static int start_server(struct child *child, const char *command, int output) {
    char *argv[] = {"/bin/sh", "-c", (char *)command, NULL};
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
                                     {.flags = UV_INHERIT_FD, .data.fd = output},
                                     {.flags = UV_INHERIT_FD, .data.fd = output}};
    return spawn(child, &child->server, argv, on_server_exit, stdio);
}

struct error *child_start(uv_loop_t *loop, const char *command, const char *relay,
                          const char *output, const struct child_events *events, void *owner,
                          struct child **out) {
    int ends[2], to = STDERR_FILENO;
    if (output && (to = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0)
        return error_new(ERROR_RUN, "opening %s for the target's output: %s", output,
                         strerror(errno));
    struct child *child = calloc(1, sizeof *child);
    if (!child || pipe2(ends, O_CLOEXEC)) {
        if (output)
            close(to);
        free(child);
        return error_no_memory();
    }
    child->events = *events;
    child->owner = owner;
    uv_pipe_init(loop, &child->copy, 0);
    child->copy.data = child;
    child->handles = 1;
    int code = start_relay(child, relay, ends[0], to);
    if (!code)
        code = start_server(child, command, ends[1]);
    close(ends[0]);
    close(ends[1]);
    if (output)
        close(to);
    *out = child;
    if (!code)
        return NULL;
    child_release(child);
    *out = NULL;
    return error_new(ERROR_RUN, "starting \"%s\": %s", command, uv_strerror(code));
}

int child_pid(const struct child *child) {
    return child->server.pid;
}

void child_release(struct child *child) {
    if (!child || child->released)
        return;
    child->released = true;
    if (!child->handles) { /* all have ended, and are closed, already */
        free(child);
        return;
    }
    close_handle(&child->copy);
    if (child->relay.loop)
        close_handle(&child->relay);
    if (child->server.loop)
        close_handle(&child->server);
}
