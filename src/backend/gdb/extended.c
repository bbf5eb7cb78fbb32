/* A stub without a process gets one from us (manual, E.2: `!`, vAttach, vRun): it must be one that
 * lives on without its clients, and what it has got from us is ours to let go, or to end. */
#include "backend/gdb/gdb.h"

#include <inttypes.h>
#include <stdio.h>

static void on_process(struct backend *b, void *ctx, const char *reply, size_t len) {
    static struct gdb_stop stop;
    (void)ctx;
    if (!reply)
        return;
    char what[128];
    if (b->target.attach)
        snprintf(what, sizeof what, "attaching to process %" PRId64, b->target.attach);
    else
        snprintf(what, sizeof what, "running %.100s", b->target.run.list[0]);
    if (!len || !gdb_stop_parse(reply, len, &stop) || stop.kind != GDB_STOPPED) {
        gdb_greet_failed(b, gdb_refusal(reply, len, what));
        return;
    }
    b->obtained = true;
    b->attached = b->target.attach != 0;
    b->knows_attached = true;
    b->thread = stop.thread;
    b->first_signal = stop.code;
    gdb_greet_next(b);
}

static void add_hex(struct backend *b, const char *text) {
    hex_write(&b->text, text, strlen(text));
}

static void on_setting(struct backend *b, void *ctx, const char *reply, size_t len) {
    if (reply && !gdb_ok(reply, len))
        gdb_greet_failed(b, gdb_refusal(reply, len, ctx));
}

static bool lacks(struct backend *b, bool wanted, enum gdb_feature feature, const char *what) {
    if (!wanted || gdb_has(&b->features, feature))
        return false;
    gdb_greet_failed(b, error_new(ERROR_RUN, "the stub cannot set the %s of what it runs", what));
    return true;
}

/* The shell that gdbserver starts programs with stays, as with gdb: it quotes the words for it;
 * with QStartupWithShell:0 it joins them and splits them at blanks. */
static void ask_run(struct backend *b) {
    const struct gdb_uri *uri = &b->target;
    if (lacks(b, uri->env.count, GDB_ENVIRONMENT, "environment") ||
        lacks(b, uri->cwd, GDB_WORKING_DIR, "working directory"))
        return;
    for (size_t i = 0; i < uri->env.count; i++) {
        buffer_puts(&b->text, "QEnvironmentHexEncoded:");
        add_hex(b, uri->env.list[i]);
        gdb_ask_text(b, on_setting, "setting the environment");
    }
    if (uri->cwd) {
        buffer_puts(&b->text, "QSetWorkingDir:");
        add_hex(b, uri->cwd);
        gdb_ask_text(b, on_setting, "setting the working directory");
    }
    buffer_puts(&b->text, "vRun");
    for (size_t i = 0; i < uri->run.count; i++) {
        buffer_putc(&b->text, ';');
        add_hex(b, uri->run.list[i]);
    }
    if (b->text.len > b->features.packet_size)
        gdb_greet_failed(b, error_new(ERROR_RUN, "the program's arguments are longer than the stub "
                                                 "takes"));
    else
        gdb_ask_text(b, on_process, NULL);
}

static void on_extended(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    if (!gdb_ok(reply, len))
        gdb_greet_failed(b, gdb_refusal(reply, len, "the extended mode"));
    else if (!b->target.attach && !b->target.run.count)
        gdb_greet_next(b);
    else if (b->thread.tid || b->thread.pid)
        gdb_greet_failed(b, error_new(ERROR_RUN, "the stub has a process already: leave out "
                                                 "attach= and run= to look at that one"));
    else if (b->target.attach)
        gdb_ask(b, on_process, NULL, "vAttach;%" PRIx64, (uint64_t)b->target.attach);
    else
        ask_run(b);
}

void gdb_ask_process(struct backend *b) {
    if (b->target.extended)
        gdb_ask(b, on_extended, NULL, "!");
    else
        gdb_greet_next(b);
}
