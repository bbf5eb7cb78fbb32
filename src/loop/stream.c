#include "loop/stream.h"

#include "base/buffer.h"
#include "base/log.h"
#include "loop/serial.h"
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAITING_MAX (16u << 20) /* bytes that the kernel has not taken yet */
#define READ_SIZE (64u << 10)
#define FLUSH_MS 2000   /* how long a closed stream may take to send its last bytes */
#define SILENT_S 30     /* until a silent peer is asked whether it is there */
#define DEAD_MS 50000   /* until it is given up: SILENT_S, and four questions */
#define STDERR_MAX 2000 /* last bytes of a command's stderr, for the error message */

struct stream {
    uv_loop_t *loop;
    struct stream_events events;
    void *owner;
    char *where;
    enum stream_kind kind;
    union {
        uv_tcp_t tcp;
        uv_pipe_t pipe;
        uv_stream_t stream;
        uv_handle_t handle;
    } in; /* reading; for sockets writing too */
    uv_pipe_t to_command, from_stderr;
    uv_process_t process;
    uv_getaddrinfo_t resolve;
    struct addrinfo *addresses, *next_address;
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    uv_timer_t later; /* brings what stream_open() knows at once out of the call */
    struct error *pending;
    struct buffer stderr_tail;
    int handles; /* that libuv still holds */
    bool resolving, connecting, open, ended, closed, has_in;
};

struct waiting_write {
    uv_write_t request;
    char bytes[];
};

static void free_if_idle(struct stream *s) {
    if (!s->closed || s->handles || s->resolving || s->connecting)
        return;
    if (s->addresses)
        uv_freeaddrinfo(s->addresses);
    error_free(s->pending);
    buffer_free(&s->stderr_tail);
    free(s->where);
    free(s);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct stream *s = handle->data;
    s->handles--;
    free_if_idle(s);
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

static void end(struct stream *s, struct error *error) {
    if (s->closed || s->ended || !s->open) {
        error_free(error);
        return;
    }
    s->ended = true;
    s->events.ended(s->owner, error);
}

static void fail_open(struct stream *s, struct error *error) {
    if (s->closed || s->open || s->ended) {
        error_free(error);
        return;
    }
    s->ended = true;
    s->events.opened(s->owner, error);
}

static void on_failure(uv_timer_t *timer) {
    struct stream *s = timer->data;
    struct error *error = s->pending;
    s->pending = NULL;
    fail_open(s, error);
}

static void fail_later(struct stream *s, struct error *error) {
    s->pending = error;
    uv_timer_start(&s->later, on_failure, 0, 0);
}

static struct error *failure(const struct stream *s, const char *what, int code) {
    return error_new(ERROR_RUN, "%s %s: %s", what, s->where, uv_strerror(code));
}

static struct error *unreachable(const struct stream *s, int code) {
    return error_because(failure(s, "connecting to", code), REASON_NO_PEER);
}

/* One buffer for all streams of a thread: libuv hands it to the read callback at once. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle, (void)suggested;
    static _Thread_local char bytes[READ_SIZE];
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static struct error *command_end(const struct stream *s) {
    const char *tail = s->stderr_tail.data ? s->stderr_tail.data : "";
    return *tail ? error_new(ERROR_RUN, "the command \"%s\" ended and said: %s", s->where, tail)
                 : NULL;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct stream *s = stream->data;
    if (n > 0) {
        log_bytes(LOG_LOOP, "read", buf->base, (size_t)n);
        s->events.bytes(s->owner, buf->base, (size_t)n);
    } else if (n == UV_EOF) {
        end(s, s->kind == STREAM_COMMAND ? command_end(s) : NULL);
    } else if (n < 0) {
        end(s, failure(s, "reading from", (int)n));
    }
}

static void opened(struct stream *s) {
    if (s->closed)
        return;
    int code = uv_read_start(&s->in.stream, on_alloc, on_read);
    if (code) {
        fail_open(s, failure(s, "reading from", code));
        return;
    }
    s->open = true;
    s->events.opened(s->owner, NULL);
}

static void connect_next(struct stream *s);

/* A link that is dead is noticed within a minute: while nobody speaks, and where what was said last
 * (a resume, whose answer may take for ever) has never arrived. */
static void keep_alive(struct stream *s) {
    static const struct {
        int option, value;
    } options[] = {{TCP_KEEPINTVL, 5}, {TCP_KEEPCNT, 4}, {TCP_USER_TIMEOUT, DEAD_MS}};
    int fd;
    if (s->kind != STREAM_TCP || uv_tcp_keepalive(&s->in.tcp, 1, SILENT_S) ||
        uv_fileno(&s->in.handle, &fd))
        return;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(fd, IPPROTO_TCP, options[i].option, &options[i].value, sizeof options[i].value);
}

static void on_connected(uv_connect_t *request, int code) {
    struct stream *s = request->data;
    s->connecting = false;
    if (!code && !s->closed)
        keep_alive(s);
    if (s->closed)
        free_if_idle(s);
    else if (!code)
        opened(s);
    else if (s->kind == STREAM_TCP && s->next_address)
        connect_next(s);
    else
        fail_open(s, unreachable(s, code));
}

/* A socket that failed to connect cannot be used again: the next address gets a fresh one. */
static void on_socket_closed(uv_handle_t *handle) {
    struct stream *s = handle->data;
    s->handles--;
    if (s->closed) {
        free_if_idle(s);
        return;
    }
    connect_next(s);
}

static void connect_next(struct stream *s) {
    if (s->has_in) {
        uv_close(&s->in.handle, on_socket_closed);
        s->has_in = false;
        return;
    }
    struct addrinfo *address = s->next_address;
    s->next_address = address->ai_next;
    uv_tcp_init(s->loop, &s->in.tcp);
    s->in.handle.data = s;
    s->has_in = true;
    s->handles++;
    uv_tcp_nodelay(&s->in.tcp, 1);
    s->connect.data = s;
    int code = uv_tcp_connect(&s->connect, &s->in.tcp, address->ai_addr, on_connected);
    s->connecting = !code;
    if (code)
        fail_later(s, unreachable(s, code));
}

static void on_resolved(uv_getaddrinfo_t *request, int code, struct addrinfo *addresses) {
    struct stream *s = request->data;
    s->resolving = false;
    s->addresses = addresses;
    if (s->closed) {
        free_if_idle(s);
        return;
    }
    if (code) {
        fail_open(s, failure(s, "resolving", code));
        return;
    }
    s->next_address = addresses;
    connect_next(s);
}

bool stream_split(const char *where, char *host, size_t host_size, char *port, size_t port_size) {
    const char *colon = strrchr(where, ':');
    if (!colon || colon == where || strlen(colon + 1) >= port_size ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1] ||
        atoi(colon + 1) > UINT16_MAX)
        return false;
    size_t n = (size_t)(colon - where);
    if (*where == '[' && colon[-1] == ']') {
        where++;
        n -= 2;
    }
    if (!n || n >= host_size || memchr(where, '/', n))
        return false;
    memcpy(host, where, n);
    host[n] = '\0';
    strcpy(port, colon + 1);
    return true;
}

static void open_tcp(struct stream *s, const char *where) {
    char host[256], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (!stream_split(where, host, sizeof host, port, sizeof port)) {
        fail_later(s, error_new(ERROR_USAGE, "\"%s\" is not HOST:PORT", where));
        return;
    }
    s->resolve.data = s;
    int code = uv_getaddrinfo(s->loop, &s->resolve, on_resolved, host, port, &hints);
    s->resolving = !code;
    if (code)
        fail_later(s, failure(s, "resolving", code));
}

static void open_unix(struct stream *s, const char *path) {
    uv_pipe_init(s->loop, &s->in.pipe, 0);
    s->in.handle.data = s;
    s->has_in = true;
    s->handles++;
    if (strlen(path) >= 108) {
        fail_later(s,
                   error_new(ERROR_USAGE, "the path \"%s\" is too long for a unix socket", path));
        return;
    }
    s->connect.data = s;
    s->connecting = true;
    uv_pipe_connect(&s->connect, &s->in.pipe, path, on_connected);
}

static void on_command_stderr(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct stream *s = stream->data;
    if (n <= 0) {
        if (n < 0)
            uv_read_stop(stream);
        return;
    }
    size_t most = STDERR_MAX - 1, len = (size_t)n;
    const char *from = buf->base + (len > most ? len - most : 0);
    len = len > most ? most : len;
    if (s->stderr_tail.len + len > most)
        buffer_consume(&s->stderr_tail, s->stderr_tail.len + len - most);
    buffer_add(&s->stderr_tail, from, len);
}

static void on_command_exit(uv_process_t *process, int64_t status, int signal) {
    struct stream *s = process->data;
    LOG(LOG_LOOP, 1, "command \"%s\" ended: status %d signal %d", s->where, (int)status, signal);
    close_handle((uv_handle_t *)process);
}

static uv_pipe_t *init_pipe(struct stream *s, uv_pipe_t *pipe) {
    uv_pipe_init(s->loop, pipe, 0);
    pipe->data = s;
    s->handles++;
    return pipe;
}

static void on_command_started(uv_timer_t *timer) {
    opened(timer->data);
}

/* Off our terminal and process group: a Ctrl-C there would kill ssh and the server behind it. */
static void open_command(struct stream *s, const struct stream_address *address) {
    char *shell[] = {"/bin/sh", "-c", (char *)address->where, NULL};
    uv_stdio_container_t stdio[3] = {
        {UV_CREATE_PIPE | UV_READABLE_PIPE, {(uv_stream_t *)init_pipe(s, &s->to_command)}},
        {UV_CREATE_PIPE | UV_WRITABLE_PIPE, {(uv_stream_t *)init_pipe(s, &s->in.pipe)}},
        {UV_CREATE_PIPE | UV_WRITABLE_PIPE, {(uv_stream_t *)init_pipe(s, &s->from_stderr)}}};
    uv_process_options_t options = {
        .args = address->argv ? (char **)address->argv : shell,
        .flags = UV_PROCESS_DETACHED,
        .stdio = stdio,
        .stdio_count = 3,
        .exit_cb = on_command_exit,
    };
    options.file = options.args[0];
    s->has_in = true;
    s->process.data = s;
    s->handles++;
    int code = uv_spawn(s->loop, &s->process, &options);
    if (code) {
        fail_later(s, failure(s, "starting", code));
        return;
    }
    uv_read_start((uv_stream_t *)&s->from_stderr, on_alloc, on_command_stderr);
    uv_timer_start(&s->later, on_command_started, 0, 0);
}

static void on_line_ready(uv_timer_t *timer) {
    opened(timer->data);
}

/* A terminal's descriptor is a stream like a pipe's; uv_tty would be for people at one. */
static void open_serial(struct stream *s, const struct stream_address *address) {
    int fd;
    struct error *error = serial_open(address->where, address->baud, &fd);
    if (error) {
        fail_later(s, error);
        return;
    }
    init_pipe(s, &s->in.pipe);
    s->has_in = true;
    int code = uv_pipe_open(&s->in.pipe, fd);
    if (code) {
        close(fd);
        fail_later(s, failure(s, "opening", code));
        return;
    }
    uv_timer_start(&s->later, on_line_ready, 0, 0);
}

struct stream *stream_open(uv_loop_t *loop, const struct stream_address *address,
                           const struct stream_events *events, void *owner) {
    struct stream *s = calloc(1, sizeof *s);
    if (!s || !(s->where = strdup(address->where))) {
        free(s);
        return NULL;
    }
    s->loop = loop;
    s->events = *events;
    s->owner = owner;
    s->kind = address->kind;
    s->stderr_tail = BUFFER_INIT(STDERR_MAX);
    uv_timer_init(loop, &s->later);
    s->later.data = s;
    s->handles = 1;
    if (address->kind == STREAM_TCP)
        open_tcp(s, address->where);
    else if (address->kind == STREAM_UNIX)
        open_unix(s, address->where);
    else if (address->kind == STREAM_SERIAL)
        open_serial(s, address);
    else
        open_command(s, address);
    return s;
}

static uv_stream_t *writer(struct stream *s) {
    return s->kind == STREAM_COMMAND ? (uv_stream_t *)&s->to_command : &s->in.stream;
}

static void on_write_failure(uv_timer_t *timer) {
    struct stream *s = timer->data;
    end(s, error_new(ERROR_RUN, "writing to %s: it does not take what is sent", s->where));
}

static void fail_write_later(struct stream *s) {
    uv_timer_start(&s->later, on_write_failure, 0, 0);
}

static void on_written(uv_write_t *request, int code) {
    struct stream *s = request->data;
    free(request);
    if (code && code != UV_ECANCELED)
        end(s, failure(s, "writing to", code));
}

void stream_write(struct stream *s, const void *bytes, size_t n) {
    if (!s->open || s->ended || s->closed)
        return;
    log_bytes(LOG_LOOP, "write", bytes, n);
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)n);
    int taken = uv_try_write(writer(s), &buf, 1);
    size_t left = n - (taken > 0 ? (size_t)taken : 0);
    if (!left)
        return;
    struct waiting_write *waiting = uv_stream_get_write_queue_size(writer(s)) + left > WAITING_MAX
                                        ? NULL
                                        : malloc(sizeof *waiting + left);
    if (!waiting) {
        fail_write_later(s);
        return;
    }
    memcpy(waiting->bytes, (const char *)bytes + (n - left), left);
    waiting->request.data = s;
    buf = uv_buf_init(waiting->bytes, (unsigned)left);
    if (uv_write(&waiting->request, writer(s), &buf, 1, on_written)) {
        free(waiting);
        fail_write_later(s);
    }
}

static void close_handles(struct stream *s) {
    close_handle((uv_handle_t *)&s->later);
    if (s->has_in)
        close_handle(&s->in.handle);
    if (s->kind == STREAM_COMMAND) {
        close_handle((uv_handle_t *)&s->to_command);
        close_handle((uv_handle_t *)&s->from_stderr);
        close_handle((uv_handle_t *)&s->process);
    }
}

static void on_shut_down(uv_shutdown_t *request, int code) {
    (void)code;
    struct stream *s = request->data;
    close_handles(s);
}

static void on_shutdown_late(uv_timer_t *timer) {
    close_handles(timer->data);
}

/* The last write may be the one that lets the target go on: it must not be dropped with the handle.
 */
static bool flush_first(struct stream *s) {
    if (!s->open || s->ended || !uv_stream_get_write_queue_size(writer(s)))
        return false;
    s->shutdown.data = s;
    if (uv_shutdown(&s->shutdown, writer(s), on_shut_down))
        return false;
    uv_read_stop(&s->in.stream);
    uv_timer_start(&s->later, on_shutdown_late, FLUSH_MS, 0);
    return true;
}

void stream_close(struct stream *s) {
    if (!s || s->closed)
        return;
    s->closed = true;
    if (s->resolving)
        uv_cancel((uv_req_t *)&s->resolve);
    if (!flush_first(s))
        close_handles(s);
    free_if_idle(s);
}

void stream_acknowledge(struct stream *s) {
    int on = 1, fd;
    if (s && s->kind == STREAM_TCP && s->open && !uv_fileno(&s->in.handle, &fd))
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

bool stream_is_loopback(const char *where) {
    char host[256], port[8];
    return stream_split(where, host, sizeof host, port, sizeof port) &&
           (!strncmp(host, "127.", 4) || !strcmp(host, "localhost") || !strcmp(host, "::1"));
}
