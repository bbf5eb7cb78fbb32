/* The process that survives us: everything from the plan to the event. It lives in a session of its
 * own; when its stdin ends, because main is done or dead, it disarms, resumes, detaches and ends.
 */
#include "worker/worker.h"

#include "worker/relay.h"

#include "backend/ptrace/note.h"
#include "base/log.h"
#include "session/run_id.h"
#include "value/event.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_HIGH (8u << 20) /* bytes waiting for main: the sinks do not follow */
#define QUEUE_LOW (1u << 20)
#define GATHER_MS 10           /* events that come close together wake main once */
#define GATHER_MAX (64u << 10) /* bytes */
#define STALL_MS 5000          /* at the end, how long to wait for main to take the last events */

struct queued {
    uv_write_t request;
    struct worker *worker;
    char *bytes;
};

void worker_end(struct worker *w, const char *reason) {
    if (!w->ending)
        snprintf(w->reason, sizeof w->reason, "%s", reason);
    w->ending = true;
    members_end(w, reason);
}

static void set_congested(struct worker *w, bool congested) {
    if (w->congested == congested)
        return;
    w->congested = congested;
    LOG(LOG_WORKER, 1, "sinks %s", congested ? "do not follow" : "follow again");
    members_congest(w, congested);
}

static void on_sent(uv_write_t *request, int code) {
    struct queued *queued = (struct queued *)request;
    struct worker *w = queued->worker;
    free(queued->bytes);
    free(queued);
    if (code < 0 && !w->main_gone) {
        w->main_gone = true;
        worker_end(w, "main is gone");
    }
    if (w->congested && uv_stream_get_write_queue_size((uv_stream_t *)&w->out) < QUEUE_LOW)
        set_congested(w, false);
}

/* Writes what has been gathered; what the pipe does not take at once waits in a copy. */
static void flush_frames(struct worker *w) {
    uv_timer_stop(&w->gather);
    if (w->main_gone || w->frame.failed || !w->frame.len) {
        buffer_clear(&w->frame);
        return;
    }
    uv_buf_t buf = uv_buf_init(w->frame.data, (unsigned)w->frame.len);
    int taken = uv_try_write((uv_stream_t *)&w->out, &buf, 1);
    size_t done = taken > 0 ? (size_t)taken : 0, left = w->frame.len - done;
    struct queued *queued = left ? malloc(sizeof *queued) : NULL;
    char *copy = left ? malloc(left) : NULL;
    if (queued && copy) {
        memcpy(copy, w->frame.data + done, left);
        queued->worker = w;
        queued->bytes = copy;
        buf = uv_buf_init(copy, (unsigned)left);
        uv_write(&queued->request, (uv_stream_t *)&w->out, &buf, 1, on_sent);
    } else {
        free(queued);
        free(copy);
    }
    buffer_clear(&w->frame);
    if (uv_stream_get_write_queue_size((uv_stream_t *)&w->out) > QUEUE_HIGH)
        set_congested(w, true);
}

static void on_gathered(uv_timer_t *timer) {
    flush_frames(timer->data);
}

void worker_tell(struct worker *w, enum frame_type type, const void *bytes, size_t n) {
    frame_add(&w->frame, type, bytes, n);
    if (type != FRAME_EVENT || w->frame.failed || w->frame.len > GATHER_MAX)
        flush_frames(w);
    else if (!uv_is_active((uv_handle_t *)&w->gather))
        uv_timer_start(&w->gather, on_gathered, GATHER_MS, 0);
}

static void send_event(struct worker *w, const struct buffer *event) {
    worker_tell(w, FRAME_EVENT, event->data, event->len);
}

/* ---- the end of the run ---- */

int64_t worker_wall_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void send_end(struct worker *w, size_t failed, int code) {
    struct buffer event = BUFFER_INIT(1 << 20);
    event_begin(&event, EVENT_END, w->job.run, NULL, NULL, worker_wall_ns());
    value_ref body = event_head(&event)->body;
    value_set_text(&event, body, "reason", *w->reason ? w->reason : "every target is done");
    value_set(&event, body, "exit", value_int(&event, code));
    value_set(&event, body, "duration_ns", value_uint(&event, uv_hrtime() - w->started_ns));
    value_set(&event, body, "targets", value_uint(&event, w->job.target_count));
    if (w->followed_total)
        value_set(&event, body, "followed", value_uint(&event, w->followed_total));
    value_set(&event, body, "failed", value_uint(&event, failed));
    value_set(&event, body, "hits", value_uint(&event, w->run_hits));
    send_event(w, &event);
    buffer_free(&event);
}

/* Enough of the targets reached is enough; the recipe that fits none is the recipe's fault. */
static int exit_code(const struct worker *w, size_t failed, enum session_outcome worst) {
    double reached = 1 - (double)failed / (double)w->job.target_count;
    double required = w->recipe ? w->recipe->require : 1;
    static const int codes[] = {[OUTCOME_FAILED] = ERROR_RUN,
                                [OUTCOME_USAGE] = ERROR_USAGE,
                                [OUTCOME_RECIPE] = ERROR_RECIPE};
    if (failed && reached < required)
        return codes[worst];
    if (w->limit_tripped)
        return ERROR_LIMIT;
    return w->job.require_hits && !w->told_hits ? ERROR_NO_HITS : 0;
}

static void close_handle(uv_handle_t *handle, void *ctx) {
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Main has taken everything, or will not. */
static void on_all_sent(uv_shutdown_t *request, int code) {
    (void)code;
    uv_loop_t *loop = request->handle->loop;
    uv_walk(loop, close_handle, NULL);
}

static void on_stall(uv_timer_t *timer) {
    uv_walk(timer->loop, close_handle, NULL);
}

void worker_finish(struct worker *w) {
    char text[16];
    static uv_shutdown_t request;
    enum session_outcome worst;
    size_t failed = members_failed(w, &worst);
    int code = exit_code(w, failed, worst);
    w->finished = true;
    uv_timer_stop(&w->duration);
    if (w->job.options.mode != SESSION_REPAIR)
        send_end(w, failed, code);
    snprintf(text, sizeof text, "%d", code);
    worker_tell(w, FRAME_OVER, text, strlen(text));
    uv_read_stop((uv_stream_t *)&w->in);
    uv_timer_start(&w->stall, on_stall, w->main_gone ? 0 : STALL_MS, 0);
    if (uv_shutdown(&request, (uv_stream_t *)&w->out, on_all_sent))
        uv_walk(&w->loop, close_handle, NULL);
}

/* ---- the beginning ---- */

static void on_duration(uv_timer_t *timer) {
    worker_end(timer->data, "duration");
}

static void send_run(struct worker *w) {
    struct buffer event = BUFFER_INIT(4 << 20);
    event_begin(&event, EVENT_RUN, w->job.run, NULL, NULL, worker_wall_ns());
    value_ref body = event_head(&event)->body, list = value_new(&event, VALUE_LIST);
    const struct recipe *recipe = w->recipe;
    value_set_text(&event, body, "pickglass", PICKGLASS_VERSION);
    if (recipe)
        value_set_text(&event, body, "recipe", recipe->name ? recipe->name : recipe->source);
    for (size_t i = 0; i < w->job.target_count; i++) {
        const struct target *target = &w->job.targets[i];
        value_ref object = value_new(&event, VALUE_OBJECT),
                  labels = value_new(&event, VALUE_OBJECT);
        value_set_text(&event, object, "name", target->name);
        value_set_text(&event, object, "uri", target->uri);
        for (size_t k = 0; k < target->labels.count; k++)
            value_set_text(&event, labels, target->labels.list[k].name,
                           target->labels.list[k].value);
        if (target->labels.count)
            value_set(&event, object, "labels", labels);
        value_append(&event, list, object);
    }
    value_set(&event, body, "targets", list);
    send_event(w, &event);
    buffer_free(&event);
}

static void refuse_job(struct worker *w, struct error *error) {
    struct buffer event = BUFFER_INIT(4 << 20);
    char text[16];
    event_begin(&event, EVENT_ERROR, w->job.run ? w->job.run : "", NULL, NULL, worker_wall_ns());
    value_set_text(&event, event_head(&event)->body, "severity", "error");
    value_set_text(&event, event_head(&event)->body, "message", error->message);
    send_event(w, &event);
    snprintf(text, sizeof text, "%d", (int)error->class);
    worker_tell(w, FRAME_OVER, text, strlen(text));
    buffer_free(&event);
    error_free(error);
    uv_walk(&w->loop, close_handle, NULL);
}

static void start_job(struct worker *w, const char *payload, size_t len) {
    if (w->members || !job_read(payload, len, &w->job)) {
        refuse_job(w, error_new(ERROR_RUN, "the worker got a job that it cannot read"));
        return;
    }
    w->job.options.note = note_map(NOTE_FD);
    if (w->job.options.note) /* else the number is another file's */
        close(NOTE_FD);
    struct error *error = members_make(w);
    if (error) {
        refuse_job(w, error);
        return;
    }
    w->started_ns = uv_hrtime();
    const struct recipe *recipe = w->recipe;
    if (recipe && w->job.options.mode == SESSION_RUN) {
        send_run(w);
        if (recipe->limits.duration_ns)
            uv_timer_start(&w->duration, on_duration, recipe->limits.duration_ns / 1000000, 0);
    }
    members_start(w);
}

static void on_frame(struct worker *w, enum frame_type type, const char *payload, size_t len) {
    char reason[64];
    if (type == FRAME_JOB)
        start_job(w, payload, len);
    else if (type == FRAME_STOP) {
        snprintf(reason, sizeof reason, "%.*s", (int)len, payload);
        worker_end(w, reason);
    }
}

static void on_main_gone(struct worker *w) {
    uv_read_stop((uv_stream_t *)&w->in);
    w->main_gone = true;
    if (!w->members)
        uv_walk(&w->loop, close_handle, NULL);
    else
        worker_end(w, "main is gone");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle, (void)suggested;
    static char bytes[16384];
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct worker *w = stream->data;
    if (n < 0) {
        on_main_gone(w);
        return;
    }
    buffer_add(&w->received, buf->base, (size_t)n);
    enum frame_type type;
    const char *payload;
    size_t len;
    bool broken = w->received.failed;
    while (!broken &&
           frame_next(w->received.data, w->received.len, &type, &payload, &len, &broken)) {
        on_frame(w, type, payload, len);
        buffer_consume(&w->received, sizeof(struct frame) + len);
    }
    if (broken)
        on_main_gone(w);
}

static void on_terminate(uv_signal_t *handle, int signal) {
    (void)signal;
    worker_end(handle->data, "the worker got SIGTERM");
}

static void free_worker(struct worker *w) {
    members_free(w);
    job_clear(&w->job);
    buffer_free(&w->received);
    buffer_free(&w->frame);
}

static int worker_main(void) {
    static struct worker w;
    w.received = w.frame = BUFFER_INIT(FRAME_MAX);
    uv_loop_init(&w.loop);
    uv_pipe_init(&w.loop, &w.in, 0);
    uv_pipe_init(&w.loop, &w.out, 0);
    uv_timer_init(&w.loop, &w.duration);
    uv_timer_init(&w.loop, &w.stall);
    uv_timer_init(&w.loop, &w.gather);
    w.gather.data = &w;
    uv_signal_init(&w.loop, &w.terminate);
    uv_signal_start(&w.terminate, on_terminate, SIGTERM);
    w.terminate.data = w.in.data = w.out.data = w.duration.data = w.stall.data = &w;
    if (uv_pipe_open(&w.in, STDIN_FILENO) || uv_pipe_open(&w.out, STDOUT_FILENO))
        return ERROR_RUN;
    uv_read_start((uv_stream_t *)&w.in, on_alloc, on_read);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    free_worker(&w);
    uv_loop_close(&w.loop);
    return 0;
}

/* Signals meant for people's programs are main's: it tells us over the pipe. */
static void ignore_signals(void) {
    static const int signals[] = {SIGPIPE, SIGINT, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_IGN);
}

int main(int argc, char **argv) {
    const char *wrong;
    if (argc == 2 && !strcmp(argv[1], "relay"))
        return relay_main();
    if (argc != 2 || strcmp(argv[1], "run")) {
        fprintf(stderr, "pickglass-worker is started by pickglass, not by people\n");
        return ERROR_USAGE;
    }
    ignore_signals();
    log_setup(getenv("PICKGLASS_LOG"), &wrong); /* main has complained already */
    return worker_main();
}
