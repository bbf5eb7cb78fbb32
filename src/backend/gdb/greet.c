/* The handshake: a table of questions, each asked where what the stub has said makes it one.
 * Nothing is found out by trying: some stubs answer what they do not know as if they did. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TRANSFER_MAX ((size_t)16 << 20)
#define LINE_PACKET 1024 /* what comes damaged over a serial line comes again: less of it */

void gdb_greet_failed(struct backend *b, struct error *error) {
    gdb_lost(b, error_wrap(error, "%s", b->uri));
}

/* ---- objects that come in parts ---- */

static void ask_part(struct backend *b);

static void on_part(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    bool more = len && *reply == 'm' && len > 1, last = len && *reply == 'l';
    if (!more && !last && !(len == 1 && *reply == 'm')) {
        b->transferred(b, false);
        return;
    }
    buffer_add(&b->transfer, reply + 1, len - 1);
    if (b->transfer.failed)
        gdb_greet_failed(b, error_new(ERROR_RUN, "%s is larger than 16 MiB", b->transfer_name));
    else if (more)
        ask_part(b);
    else
        b->transferred(b, true);
}

static void ask_part(struct backend *b) {
    gdb_ask(b, on_part, NULL, "qXfer:%s:%zx,%zx", b->transfer_name, b->transfer.len,
            b->features.packet_size - 8);
    gdb_send(b);
}

void gdb_transfer(struct backend *b, const char *object, const char *annex,
                  void (*done)(struct backend *b, bool there)) {
    snprintf(b->transfer_name, sizeof b->transfer_name, "%s:read:%s", object, annex);
    buffer_clear(&b->transfer);
    b->transfer.max = TRANSFER_MAX;
    b->transferred = done;
    ask_part(b);
}

/* ---- the questions ---- */

static void on_supported(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    gdb_features_parse(reply, len, &b->features);
    if (b->target.kind == STREAM_SERIAL && b->features.packet_size > LINE_PACKET)
        b->features.packet_size = LINE_PACKET;
    gdb_greet_next(b);
}

/* Fork events are always asked for: a child inherits our breakpoints, and dies of them. */
static void ask_supported(struct backend *b) {
    gdb_ask(b, on_supported, NULL,
            "qSupported:multiprocess+;swbreak+;hwbreak+;fork-events+;vfork-events+;exec-events+;"
            "vContSupported+;xmlRegisters=i386,arm,riscv");
}

static void on_no_ack(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    b->acks = !gdb_ok(reply, len);
    if (reply)
        gdb_greet_next(b);
}

/* A serial line damages what it carries: there they stay. */
static void ask_no_ack(struct backend *b) {
    if (gdb_has(&b->features, GDB_NO_ACK) && b->target.kind != STREAM_SERIAL)
        gdb_ask(b, on_no_ack, NULL, "QStartNoAckMode");
    else
        gdb_greet_next(b);
}

static void on_actions(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    b->has_vcont = len > 5 && !memcmp(reply, "vCont", 5) && gdb_actions_have(reply, len, 'c') &&
                   gdb_actions_have(reply, len, 's');
    gdb_greet_next(b);
}

static void ask_actions(struct backend *b) {
    gdb_ask(b, on_actions, NULL, "vCont?");
}

static void on_document(struct backend *b, bool there);

static void ask_document(struct backend *b) {
    gdb_transfer(b, "features", b->missing, on_document);
}

static void on_document(struct backend *b, bool there) {
    char name[64];
    memcpy(name, b->missing, sizeof name);
    size_t len = b->transfer.len;
    char *text = there ? buffer_take(&b->transfer) : NULL;
    if (!text) { /* GDB's own tables, then */
        gdb_greet_next(b);
        return;
    }
    struct error *error = gdb_documents_add(&b->documents, name, text, len, b->missing);
    if (error)
        gdb_greet_failed(b, error);
    else if (*b->missing)
        ask_document(b);
    else if ((error = gdb_description_read(&b->documents, &b->description)))
        gdb_greet_failed(b, error);
    else
        gdb_greet_next(b);
}

static void ask_description(struct backend *b) {
    snprintf(b->missing, sizeof b->missing, "target.xml");
    if (gdb_has(&b->features, GDB_DESCRIPTION))
        ask_document(b);
    else
        gdb_greet_next(b);
}

/* Once, and never later: qemu forgets its breakpoints at this question. */
static void on_status(struct backend *b, void *ctx, const char *reply, size_t len) {
    static struct gdb_stop stop;
    (void)ctx;
    if (!reply)
        return;
    if (!gdb_stop_parse(reply, len, &stop)) {
        gdb_greet_failed(b, error_new(ERROR_RUN, "\"%.40s\" is no answer to `?`", reply));
        return;
    }
    bool none = stop.kind != GDB_STOPPED;
    if (none && (b->target.attach || b->target.run.count)) {
        gdb_greet_next(b);
        return;
    }
    if (none) { /* gdbserver crashes on what would come next */
        gdb_greet_failed(b, error_new(ERROR_RUN,
                                      "the stub has no process: start it with one (gdbserver "
                                      "HOST:PORT PROGRAM, or --attach PID), or name one: "
                                      "%s?attach=PID, ?run=PROGRAM%%20ARGUMENTS",
                                      b->uri));
        return;
    }
    b->thread = stop.thread;
    b->first_signal = stop.code;
    gdb_greet_next(b);
}

static void ask_status(struct backend *b) {
    gdb_ask(b, on_status, NULL, "?");
}

static void on_attached(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    b->knows_attached = len == 1 && (*reply == '0' || *reply == '1');
    b->attached = len == 1 && *reply == '1';
    gdb_greet_next(b);
}

static void ask_attached(struct backend *b) {
    if (b->obtained)
        gdb_greet_next(b);
    else if (b->thread.pid)
        gdb_ask(b, on_attached, NULL, "qAttached:%" PRIx64, (uint64_t)b->thread.pid);
    else
        gdb_ask(b, on_attached, NULL, "qAttached");
}

static void on_thread(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    const char *at = reply + 2;
    if (len > 2 && !memcmp(reply, "QC", 2))
        gdb_thread_parse(&at, reply + len, &b->thread);
    gdb_greet_next(b);
}

static void ask_thread(struct backend *b) {
    if (b->thread.tid)
        gdb_greet_next(b);
    else
        gdb_ask(b, on_thread, NULL, "qC");
}

static void on_auxv(struct backend *b, bool there) {
    /* Twice 8 bytes; of a 32-bit target, twice 4. */
    bool wide = strstr(b->description.architecture, "64") != NULL || !b->description.count;
    size_t entry = wide ? 16 : 8;
    for (size_t i = 0; there && i + entry <= b->transfer.len; i += entry) {
        uint64_t kind = 0, value = 0;
        memcpy(&kind, b->transfer.data + i, entry / 2);
        memcpy(&value, b->transfer.data + i + entry / 2, entry / 2);
        b->at_entry = kind == AT_ENTRY ? value : b->at_entry;
        b->at_base = kind == AT_BASE ? value : b->at_base;
    }
    gdb_greet_next(b);
}

static void ask_auxv(struct backend *b) {
    if (gdb_has(&b->features, GDB_AUXV))
        gdb_transfer(b, "auxv", "", on_auxv);
    else
        gdb_greet_next(b);
}

static void on_exec_file(struct backend *b, bool there) {
    if (there)
        snprintf(b->exec_file, sizeof b->exec_file, "%.*s", (int)b->transfer.len,
                 b->transfer.data ? b->transfer.data : "");
    gdb_greet_next(b);
}

static void ask_exec_file(struct backend *b) {
    char annex[24] = "";
    if (b->thread.pid > 0)
        snprintf(annex, sizeof annex, "%" PRIx64, (uint64_t)b->thread.pid);
    if (gdb_has(&b->features, GDB_EXEC_FILE))
        gdb_transfer(b, "exec-file", annex, on_exec_file);
    else
        gdb_greet_next(b);
}

static void ask_libraries(struct backend *b) {
    gdb_find_libraries(b, gdb_greet_next);
}

static void ask_pass_signals(struct backend *b) {
    gdb_ask_pass_signals(b);
    gdb_greet_next(b);
}

static void ask_registers(struct backend *b) {
    gdb_ask_registers(b, gdb_greet_next);
}

/* gdbserver 13 fails an assertion when its description is asked for before a thread was chosen. */
static void (*const questions[])(struct backend *b) = {
    ask_supported, ask_no_ack,       ask_actions,    ask_status,      gdb_ask_process,
    ask_attached,  ask_thread,       gdb_ask_leader, ask_description, ask_auxv,
    ask_exec_file, gdb_find_program, ask_registers,  ask_libraries,   ask_pass_signals,
};

/* ---- what they have told ---- */

/* Where nothing loads programs (no auxiliary vector: bare metal), it begins where its file says. */
static bool is_launch(struct backend *b) {
    const struct arch *arch = b->program.space.arch;
    uint64_t pc;
    bool metal = !gdb_has(&b->features, GDB_AUXV);
    if (!registers_get(&b->view.registers, (unsigned)arch->pc, &pc))
        return false;
    pc |= arch->machine == EM_ARM; /* the lowest bit of an entry says Thumb */
    uint64_t entry = (metal ? b->program.space.list[0].module->elf->entry : b->at_entry) |
                     (arch->machine == EM_ARM);
    bool in_loader = b->at_base && pc - b->at_base < (1 << 20) && b->program.space.count == 1;
    return (b->at_entry || metal) && (pc == entry || in_loader);
}

/* What people should know before anything is armed. */
static void tell_hazards(struct backend *b) {
    bool user = !b->interruptible && !b->unreachable; /* qemu-user */
    if (user)
        b->events->notice(b->owner, "this stub cannot be interrupted while its target runs "
                                    "(qemu-user): limits, timers and Ctrl-C take effect at the "
                                    "next hit");
    if (b->unreachable)
        b->events->notice(b->owner, "gdbserver cannot interrupt this process, which leads no "
                                    "process group: limits, timers and Ctrl-C take effect at the "
                                    "next hit. Run pickglass beside it: there they do at once");
    if (!gdb_has(&b->features, GDB_FORK) && gdb_has(&b->features, GDB_AUXV) && b->interruptible)
        b->events->notice(b->owner, "this stub does not tell of forks: a child that the target "
                                    "forks inherits our breakpoints, and dies where it meets one");
    if (user || gdb_has(&b->features, GDB_LLDB) || !gdb_uri_again(&b->target))
        b->events->notice(b->owner, "this stub ends with its connection: should that break in the "
                                    "middle of a run, the target dies of a breakpoint that stands "
                                    "in its code");
}

bool gdb_is_parked(const struct backend *b) {
    bool fresh = b->first_signal == 0 || b->first_signal == 17 || b->first_signal == 19;
    return (b->attached && fresh && !b->at_launch) || b->stopped_for_us;
}

static void tell_connected(struct backend *b) {
    b->at_launch = is_launch(b);
    /* qemu-user speaks no NoAck (nor does gdbserver on a serial line), has an auxv, and ignores an
     * interrupt. */
    b->interruptible =
        !b->unreachable && (gdb_has(&b->features, GDB_NO_ACK) || !gdb_has(&b->features, GDB_AUXV) ||
                            gdb_has(&b->features, GDB_PASS_SIGNALS));
    const struct arch *arch = b->program.space.arch;
    b->info =
        (struct target_info){.pid = b->thread.pid > 0 ? b->thread.pid : b->thread.tid,
                             .at_launch = b->at_launch,
                             .started = b->started && !b->attached,
                             .parked = gdb_is_parked(b),
                             .stays = true,
                             .quitting_kills = b->knows_attached && !b->attached && !b->started,
                             .server = "GDB remote stub",
                             .version = arch->name,
                             .language = program_language(&b->program),
                             .command = b->exec_file,
                             .stopped_at = ""};
    b->connected = true;
    tell_hazards(b);
    b->events->connected(b->owner, &b->info, NULL);
}

void gdb_greet_next(struct backend *b) {
    if (b->dead)
        return;
    if (b->greeting == sizeof questions / sizeof *questions) {
        b->greeting++;
        if (b->connected) {
            b->at_launch = is_launch(b);
            gdb_on_executed(b);
        } else {
            tell_connected(b);
        }
        return;
    }
    questions[b->greeting++](b);
    gdb_send(b);
}

void gdb_greet_anew(struct backend *b) {
    for (b->greeting = 0; questions[b->greeting] != ask_description; b->greeting++)
        continue;
    gdb_greet_next(b);
}

void gdb_greet(struct backend *b) {
    b->acks = true;
    stream_write(b->stream, "+", 1); /* a stub may still wait for its last client's */
    gdb_greet_next(b);
}
