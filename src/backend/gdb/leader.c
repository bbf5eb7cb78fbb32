/* gdbserver interrupts the process group that has the target's number. Of a process on another
 * machine that leads none, its /proc says so, read through the stub (vFile, appendix E.7). */
#include "backend/gdb/gdb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STAT_SIZE 512

static void on_closed(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx, (void)len;
    if (reply)
        gdb_greet_next(b);
}

/* "42 (a name) S 1 42 ...": the third field behind the name is the group. */
static bool leads(const char *stat, int64_t pid) {
    const char *name_end = strrchr(stat, ')');
    long group = 0;
    return !name_end || sscanf(name_end + 1, " %*c %*d %ld", &group) != 1 || group == pid;
}

static void on_stat(struct backend *b, void *ctx, const char *reply, size_t len) {
    char text[STAT_SIZE + 1] = "";
    const char *data = reply ? memchr(reply, ';', len) : NULL;
    if (!reply)
        return;
    if (*reply == 'F' && data)
        snprintf(text, sizeof text, "%.*s", (int)(len - (size_t)(data + 1 - reply)), data + 1);
    b->unreachable = !leads(text, b->thread.pid);
    gdb_ask(b, on_closed, NULL, "vFile:close:%" PRIx64, (uint64_t)(uintptr_t)ctx);
    gdb_send(b);
}

static void on_open(struct backend *b, void *ctx, const char *reply, size_t len) {
    uint64_t file;
    (void)ctx;
    if (!reply)
        return;
    const char *at = reply + 1;
    if (len < 2 || *reply != 'F' || !hex_number(&at, reply + len, &file)) {
        gdb_greet_next(b);
        return;
    }
    gdb_ask(b, on_stat, (void *)(uintptr_t)file, "vFile:pread:%" PRIx64 ",%x,0", file, STAT_SIZE);
    gdb_send(b);
}

void gdb_ask_leader(struct backend *b) {
    char path[64];
    bool gdbserver =
        gdb_has(&b->features, GDB_EXEC_FILE) && gdb_has(&b->features, GDB_PASS_SIGNALS);
    if (!gdbserver || b->local || !b->attached || b->thread.pid <= 0) {
        gdb_greet_next(b);
        return;
    }
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", b->thread.pid);
    gdb_ask(b, NULL, NULL, "vFile:setfs:0");
    buffer_puts(&b->text, "vFile:open:");
    hex_write(&b->text, path, strlen(path));
    buffer_puts(&b->text, ",0,0");
    gdb_ask_text(b, on_open, NULL);
}
