/* Delve's DebuggerState, as far as a client needs it, without decoding the rest. Spans point into
 * the reply's line. */
#pragma once

#include "delve/scan.h"

struct delve_state {
    int64_t pid;
    bool running, exited, recording;
    int exit_status; /* negative: the signal that ended it */
    struct span current_thread, threads;
    struct span stop_reason; /* a string; absent before 1.26.1 */
    struct span watch_out_of_scope;
    struct span command_line;
};

struct delve_thread {
    int64_t id, goroutine;
    uint64_t pc;
    int line;
    struct span file, function; /* JSON strings; absent where unknown */
    struct span breakpoint;     /* object; absent where the thread is at none */
    struct span info;           /* breakPointInfo */
};

struct delve_breakpoint {
    int64_t id;
    struct span name;
    uint64_t total_hits;
    bool watch;
};

struct delve_info {
    struct span stack, goroutine, variables, arguments, locals;
};

/* `result` is {"State": {...}} or the state itself. False if it is malformed. */
bool delve_state_parse(struct span result, struct delve_state *out);
bool delve_thread_parse(struct span thread, struct delve_thread *out);
/* As span_element(): the next of `threads`. */
bool delve_thread_next(struct span *rest, struct delve_thread *out, bool *broken);
bool delve_breakpoint_parse(struct span breakpoint, struct delve_breakpoint *out);
bool delve_info_parse(struct span info, struct delve_info *out);
