#include "gdb/stop.h"

#include <stdlib.h>
#include <string.h>

static bool parse_id(const char **at, const char *end, int64_t *out) {
    uint64_t number;
    if (end - *at >= 2 && !memcmp(*at, "-1", 2)) {
        *at += 2;
        *out = -1;
        return true;
    }
    if (!hex_number(at, end, &number) || number > INT64_MAX)
        return false;
    *out = (int64_t)number;
    return true;
}

bool gdb_thread_parse(const char **at, const char *end, struct gdb_thread *out) {
    *out = (struct gdb_thread){0};
    if (*at == end || **at != 'p')
        return parse_id(at, end, &out->tid);
    ++*at;
    if (!parse_id(at, end, &out->pid))
        return false;
    out->tid = -1;
    if (*at == end || **at != '.')
        return true;
    ++*at;
    return parse_id(at, end, &out->tid);
}

static void write_id(struct buffer *out, int64_t id) {
    if (id < 0)
        buffer_puts(out, "-1");
    else
        buffer_printf(out, "%llx", (unsigned long long)id);
}

void gdb_thread_write(struct buffer *out, struct gdb_thread thread) {
    if (thread.pid) {
        buffer_putc(out, 'p');
        write_id(out, thread.pid);
        buffer_putc(out, '.');
    }
    write_id(out, thread.tid);
}

static const struct {
    const char *key;
    enum gdb_reason reason;
    enum { NOTHING, ADDRESS, CHILD } value;
} reasons[] = {{"swbreak", REASON_SWBREAK, NOTHING},
               {"hwbreak", REASON_HWBREAK, NOTHING},
               {"watch", REASON_WATCH, ADDRESS},
               {"rwatch", REASON_RWATCH, ADDRESS},
               {"awatch", REASON_AWATCH, ADDRESS},
               {"fork", REASON_FORK, CHILD},
               {"vfork", REASON_VFORK, CHILD},
               {"vforkdone", REASON_VFORKDONE, NOTHING},
               {"exec", REASON_EXEC, NOTHING},
               {"library", REASON_LIBRARY, NOTHING},
               {"create", REASON_CREATE, NOTHING},
               {"syscall_entry", REASON_SYSCALL, ADDRESS},
               {"syscall_return", REASON_SYSCALL_RETURN, ADDRESS}};

/* lldb-server says "reason:watchpoint", and the address in decimal digits in "description". */
static void take_lldb(struct gdb_stop *stop, const char *key, size_t n, const char *value,
                      const char *end) {
    uint8_t text[32] = {0};
    if (n == 6 && !memcmp(key, "reason", 6) && end - value == 10 &&
        !memcmp(value, "watchpoint", 10))
        stop->reason = REASON_AWATCH;
    if (n == 11 && !memcmp(key, "description", 11) && stop->reason == REASON_AWATCH &&
        hex_bytes(value, (size_t)(end - value), text, sizeof text - 1))
        stop->address = strtoull((const char *)text, NULL, 10);
}

static bool take_reason(struct gdb_stop *stop, const char *key, size_t n, const char *value,
                        const char *end) {
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (strlen(reasons[i].key) != n || memcmp(key, reasons[i].key, n))
            continue;
        stop->reason = reasons[i].reason;
        if (reasons[i].value == ADDRESS)
            return hex_number(&value, end, &stop->address) && value == end;
        if (reasons[i].value == CHILD)
            return gdb_thread_parse(&value, end, &stop->child) && value == end;
    }
    take_lldb(stop, key, n, value, end);
    return true; /* what is not known is skipped, as the manual says */
}

static bool take_pair(struct gdb_stop *stop, const char *key, const char *colon, const char *end) {
    const char *at = key, *value = colon + 1;
    uint64_t number;
    size_t n = (size_t)(colon - key);
    if (n == 6 && !memcmp(key, "thread", 6))
        return gdb_thread_parse(&value, end, &stop->thread) && value == end;
    if (!hex_number(&at, colon, &number) || at != colon || number > 0xffff)
        return take_reason(stop, key, n, value, end);
    if (stop->register_count < GDB_EXPEDITED)
        stop->registers[stop->register_count++] =
            (struct gdb_expedited){(unsigned)number, value, (size_t)(end - value)};
    return true;
}

static bool take_pairs(struct gdb_stop *stop, const char *at, const char *end) {
    while (at < end) {
        const char *semicolon = memchr(at, ';', (size_t)(end - at));
        const char *stops = semicolon ? semicolon : end;
        const char *colon = memchr(at, ':', (size_t)(stops - at));
        if (!colon || !take_pair(stop, at, colon, stops))
            return false;
        at = semicolon ? semicolon + 1 : end;
    }
    return true;
}

/* "W00;process:1a2b" */
static bool take_process(struct gdb_stop *stop, const char *at, const char *end) {
    static const char key[] = ";process:";
    uint64_t pid;
    if (at == end)
        return true;
    if ((size_t)(end - at) <= strlen(key) || memcmp(at, key, strlen(key)))
        return false;
    at += strlen(key);
    bool fine = hex_number(&at, end, &pid) && at == end && pid <= INT64_MAX;
    stop->pid = (int64_t)pid;
    return fine;
}

bool gdb_stop_parse(const char *text, size_t len, struct gdb_stop *out) {
    const char *at = text + 1, *end = text + len;
    uint64_t code = 0;
    memset(out, 0, offsetof(struct gdb_stop, registers));
    out->register_count = 0;
    if (len == 1 && *text == 'N') {
        out->kind = GDB_NONE_RESUMED;
        return true;
    }
    if (len < 3 || !memchr("TSWXw", *text, 5))
        return false;
    const char *digits =
        *text == 'T' || *text == 'S' ? at + 2 : end; /* a register's number may follow at once */
    if (!hex_number(&at, digits, &code) || code > 0xff)
        return false;
    out->code = (int)code;
    switch (*text) {
    case 'T': return take_pairs(out, at, end);
    case 'S': return at == end;
    case 'w':
        out->kind = GDB_THREAD_EXITED;
        return at < end && *at++ == ';' && gdb_thread_parse(&at, end, &out->thread) && at == end;
    default: out->kind = *text == 'W' ? GDB_EXITED : GDB_KILLED; return take_process(out, at, end);
    }
}

/* gdb/signals.def: 1 to 15 are the classic ones, the rest has its own order. */
static const char *const names[] = {
    [1] = "SIGHUP",     [2] = "SIGINT",   [3] = "SIGQUIT",   [4] = "SIGILL",   [5] = "SIGTRAP",
    [6] = "SIGABRT",    [7] = "SIGEMT",   [8] = "SIGFPE",    [9] = "SIGKILL",  [10] = "SIGBUS",
    [11] = "SIGSEGV",   [12] = "SIGSYS",  [13] = "SIGPIPE",  [14] = "SIGALRM", [15] = "SIGTERM",
    [16] = "SIGURG",    [17] = "SIGSTOP", [18] = "SIGTSTP",  [19] = "SIGCONT", [20] = "SIGCHLD",
    [21] = "SIGTTIN",   [22] = "SIGTTOU", [23] = "SIGIO",    [24] = "SIGXCPU", [25] = "SIGXFSZ",
    [26] = "SIGVTALRM", [27] = "SIGPROF", [28] = "SIGWINCH", [30] = "SIGUSR1", [31] = "SIGUSR2",
    [32] = "SIGPWR"};

const char *gdb_signal_name(int number) {
    return number > 0 && number < (int)(sizeof names / sizeof *names) ? names[number] : NULL;
}

int gdb_signal_named(const char *name) {
    for (int i = 1; i < (int)(sizeof names / sizeof *names); i++)
        if (names[i] && !strcmp(names[i], name))
            return i;
    return -1;
}
