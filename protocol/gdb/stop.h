/* Stop replies: what stopped the target, and where (manual, appendix E.3). */
#pragma once

#include "gdb/packet.h"

/* A thread as stubs name it: "p1a.2b" or "2b". -1 is 'all', 0 'any'. */
struct gdb_thread {
    int64_t pid; /* 0: the stub does not tell */
    int64_t tid;
};

/* Moves *at behind it. */
bool gdb_thread_parse(const char **at, const char *end, struct gdb_thread *out);
void gdb_thread_write(struct buffer *out, struct gdb_thread thread);

enum gdb_stop_kind { GDB_STOPPED, GDB_EXITED, GDB_KILLED, GDB_THREAD_EXITED, GDB_NONE_RESUMED };

enum gdb_reason {
    REASON_SIGNAL,
    REASON_SWBREAK,
    REASON_HWBREAK,
    REASON_WATCH, /* a write */
    REASON_RWATCH,
    REASON_AWATCH,
    REASON_FORK,
    REASON_VFORK,
    REASON_VFORKDONE,
    REASON_EXEC,
    REASON_LIBRARY,
    REASON_SYSCALL, /* `address` is its number */
    REASON_SYSCALL_RETURN,
    REASON_CREATE, /* a new thread, before it runs */
};

struct gdb_expedited {
    unsigned number;
    const char *hex; /* in the reply */
    size_t len;
};
#define GDB_EXPEDITED 128

struct gdb_stop {
    enum gdb_stop_kind kind;
    int code; /* signal (GDB's numbers), or exit status */
    struct gdb_thread thread;
    int64_t pid; /* of W and X; 0: not told */
    enum gdb_reason reason;
    uint64_t address;        /* of a watch; the number of a system call */
    struct gdb_thread child; /* of a fork */
    struct gdb_expedited registers[GDB_EXPEDITED];
    size_t register_count;
};

static inline bool gdb_reason_is_call(enum gdb_reason reason) {
    return reason == REASON_SYSCALL || reason == REASON_SYSCALL_RETURN;
}

/* `text` must stay while `out` is used. False: it is no stop reply. */
bool gdb_stop_parse(const char *text, size_t len, struct gdb_stop *out);

/* GDB's own signal numbers, which are not the host's. NULL, or -1, for what has none. */
const char *gdb_signal_name(int number);
int gdb_signal_named(const char *name);
