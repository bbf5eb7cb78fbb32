#include "delve/state.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

bool delve_state_parse(struct span result, struct delve_state *out) {
    static const char *const outer[] = {"State"};
    static const char *const names[] = {
        "Pid",           "Running", "exited",     "exitStatus",      "Recording",
        "currentThread", "Threads", "stopReason", "WatchOutOfScope", "TargetCommandLine"};
    static const char head[] = "{\"State\":{";
    struct span state, s[COUNT(names)];
    if (result.at && result.len > sizeof head && !memcmp(result.at, head, sizeof head - 1))
        state = span_of(result.at + sizeof head - 2, result.len - sizeof head + 1);
    else if (!span_members(result, outer, &state, 1))
        return false;
    if (!span_members(state.at ? state : result, names, s, COUNT(names)) || !s[1].at)
        return false;
    *out = (struct delve_state){.pid = span_int(s[0]),
                                .running = span_true(s[1]),
                                .exited = span_true(s[2]),
                                .exit_status = (int)span_int(s[3]),
                                .recording = span_true(s[4]),
                                .current_thread = s[5],
                                .threads = s[6],
                                .stop_reason = s[7],
                                .watch_out_of_scope = s[8],
                                .command_line = s[9]};
    return true;
}

static const char *const thread_names[] = {"id",   "goroutineID", "pc",         "line",
                                           "file", "function",    "breakPoint", "breakPointInfo"};

static bool take_thread(const struct span s[COUNT(thread_names)], struct delve_thread *out) {
    static const char *const function[] = {"name"};
    struct span name = {0};
    if (!span_is_null(s[5]) && !span_members(s[5], function, &name, 1))
        return false;
    *out = (struct delve_thread){.id = span_int(s[0]),
                                 .goroutine = span_int(s[1]),
                                 .pc = span_uint(s[2]),
                                 .line = (int)span_int(s[3]),
                                 .file = s[4],
                                 .function = name,
                                 .breakpoint = span_is_null(s[6]) ? (struct span){0} : s[6],
                                 .info = span_is_null(s[7]) ? (struct span){0} : s[7]};
    return true;
}

bool delve_thread_parse(struct span thread, struct delve_thread *out) {
    struct span s[COUNT(thread_names)];
    return span_members(thread, thread_names, s, COUNT(thread_names)) && take_thread(s, out);
}

bool delve_thread_next(struct span *rest, struct delve_thread *out, bool *broken) {
    struct span s[COUNT(thread_names)];
    if (!span_element_members(rest, thread_names, s, COUNT(thread_names), broken))
        return false;
    *broken = !take_thread(s, out);
    return !*broken;
}

bool delve_breakpoint_parse(struct span breakpoint, struct delve_breakpoint *out) {
    static const char *const names[] = {"id", "name", "totalHitCount", "WatchExpr"};
    struct span s[COUNT(names)];
    if (!span_members(breakpoint, names, s, COUNT(names)) || !s[0].at)
        return false;
    *out = (struct delve_breakpoint){
        .id = span_int(s[0]), .name = s[1], .total_hits = span_uint(s[2]), .watch = s[3].len > 2};
    return true;
}

bool delve_info_parse(struct span info, struct delve_info *out) {
    static const char *const names[] = {"stacktrace", "goroutine", "variables", "arguments",
                                        "locals"};
    struct span s[COUNT(names)];
    if (!span_members(info, names, s, COUNT(names)))
        return false;
    *out = (struct delve_info){s[0], s[1], s[2], s[3], s[4]};
    return true;
}
