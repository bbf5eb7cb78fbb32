/* The table of operations, and the life of a connection. */
#include "backend/gdb/gdb.h"

#include <stdlib.h>

static void on_handle_closed(uv_handle_t *handle) {
    struct backend *b = handle->data;
    if (!--b->handles)
        free(b);
}

static struct error *gdb_create(const struct backend_setup *setup,
                                const struct backend_events *events, void *owner,
                                struct backend **out) {
    struct backend *b = calloc(1, sizeof *b);
    if (!b)
        return error_no_memory();
    struct error *error = gdb_take_uri(b, setup->uri, setup->insecure);
    if (error) {
        gdb_uri_free(&b->target);
        free(b);
        return error;
    }
    b->events = events;
    b->owner = owner;
    b->loop = setup->loop;
    b->uri = strdup(setup->uri);
    b->binary = setup->binary ? strdup(setup->binary) : NULL;
    b->timeout_ms = setup->timeout_ms;
    b->reachable = setup->reachable;
    b->reachable_ctx = setup->reachable_ctx;
    b->reader = PACKET_READER_INIT;
    b->out = BUFFER_INIT(16 << 20);
    b->text = BUFFER_INIT(1 << 20);
    b->farewell.packets = BUFFER_INIT(1 << 20);
    b->transfer = BUFFER_INIT(1 << 20);
    b->put_off = BUFFER_INIT(1 << 20);
    b->registers_text = b->stepped_text = BUFFER_INIT(1 << 20);
    program_init(&b->program);
    uv_timer_init(b->loop, &b->deadline);
    uv_timer_init(b->loop, &b->later);
    uv_timer_init(b->loop, &b->tick);
    b->deadline.data = b->later.data = b->tick.data = b;
    b->handles = 3;
    b->trace.raw = BUFFER_INIT(64 << 20);
    *out = b;
    return NULL;
}

static void gdb_resolve(struct backend *b, struct query *query) {
    bool waits = b->at_launch && b->program.space.count == 1; /* for the libraries */
    if (waits && gdb_has(&b->features, GDB_LIBRARIES))
        program_resolve_early(&b->program, query, &b->pending);
    else
        program_resolve(&b->program, query, &b->pending);
}

static struct error *gdb_judge(struct backend *b, const struct judged *judged, struct buffer *type,
                               size_t *column, const char **unavailable) {
    return program_judge(&b->program, judged, type, column, unavailable);
}

static void gdb_locate(struct backend *b, struct hit *hit, const struct location *where) {
    program_locate(&b->program, hit, where);
}

static void on_inspected(uv_timer_t *timer) {
    struct backend *b = timer->data;
    b->info.running = b->running;
    b->events->connected(b->owner, &b->info, NULL);
}

/* A stub has one client: what it was told last is how it is. */
static void gdb_inspect(struct backend *b) {
    uv_timer_start(&b->later, on_inspected, 0, 0);
}

static void free_wire(struct backend *b) {
    stream_close(b->stream);
    error_free(b->death);
    error_free(b->last_words);
    packet_reader_free(&b->reader);
    buffer_free(&b->out);
    buffer_free(&b->text);
    buffer_free(&b->transfer);
    buffer_free(&b->put_off);
    buffer_free(&b->registers_text);
    buffer_free(&b->stepped_text);
    free(b->requests);
    buffer_free(&b->farewell.packets);
    gdb_uri_free(&b->target);
    free(b->uri);
    free(b->binary);
}

static void free_target(struct backend *b) {
    gdb_documents_free(&b->documents);
    gdb_libraries_free(&b->libraries);
    if (b->opened)
        module_close(b->opened);
    program_free(&b->program);
    free(b->image);
    gdb_trace_free(b);
    for (size_t i = 0; i < b->point_count; i++)
        free(b->points[i].condition);
    free(b->points);
    free(b->watches);
    free(b->signals);
    free(b->calls);
}

static void gdb_destroy(struct backend *b) {
    b->destroyed = b->dead = true;
    gdb_cancel(b);
    free_wire(b);
    free_target(b);
    uv_close((uv_handle_t *)&b->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&b->later, on_handle_closed);
    uv_close((uv_handle_t *)&b->tick, on_handle_closed);
}

static void gdb_wire(struct backend *b, struct backend_wire *out) {
    *out = b->wire;
}

#define BIT(trigger) (1u << (trigger))

static const struct backend_caps gdb_caps = {
    .name = "gdb",
    .triggers = BIT(TRIGGER_AT) | BIT(TRIGGER_CALL) | BIT(TRIGGER_RETURN_OF) | BIT(TRIGGER_WATCH) |
                BIT(TRIGGER_TIMER) | BIT(TRIGGER_SIGNAL) | BIT(TRIGGER_EXIT) | BIT(TRIGGER_SYSCALL),
    .why_not = {[TRIGGER_PANIC] = "a stub knows no panics: `signal: SIGABRT` and `signal: SIGSEGV` "
                                  "see a crash of C and C++, `at: runtime.fatalpanic` one of Go"},
    .registers = true,
    .abi = true,
    .modules = true,
    .hardware = true,
    .filters = true,
    .stops_all = true,
    .detaches = true,
    .takes_binary = true,
};

const struct backend_ops gdb_ops = {
    .caps = &gdb_caps,
    .create = gdb_create,
    .connect = gdb_connect,
    .inspect = gdb_inspect,
    .resolve = gdb_resolve,
    .judge = gdb_judge,
    .locate = gdb_locate,
    .arm = gdb_arm,
    .disarm = gdb_disarm,
    .read = gdb_read,
    .give_up = gdb_give_up,
    .flush = gdb_flush,
    .resume = gdb_resume,
    .halt = gdb_halt,
    .wire = gdb_wire,
    .leave = gdb_leave,
    .destroy = gdb_destroy,
};
