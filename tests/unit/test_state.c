#include "delve/state.h"
#include "unit.h"

/* A stop at a breakpoint as delve 1.27 reports it, shortened. */
#define THREAD_AT                                                                                  \
    "{\"id\":16275,\"pc\":4967332,\"file\":\"/src/main.go\",\"line\":73,\"function\":{\"name\":"   \
    "\"main.stop\",\"value\":4967328},\"goroutineID\":1,\"breakPoint\":{\"id\":1,\"name\":\"kb\"," \
    "\"addr\":4967332,\"WatchExpr\":\"\",\"totalHitCount\":18446744073709551615},"                 \
    "\"breakPointInfo\":{\"variables\":[{\"name\":\"a\"}],\"arguments\":null},\"ReturnValues\":"   \
    "null}"
#define THREAD_IDLE                                                                                \
    "{\"id\":16287,\"pc\":18446744073709551615,\"file\":\"\",\"line\":-1,\"goroutineID\":0,"       \
    "\"breakPoint\":null,\"ReturnValues\":null}"
#define STATE                                                                                      \
    "{\"Pid\":16275,\"TargetCommandLine\":\"/srv/k\",\"Running\":false,\"Recording\":false,"       \
    "\"currentThread\":" THREAD_AT ",\"Threads\":[" THREAD_IDLE "," THREAD_AT                      \
    "],\"NextInProgress\":false,\"WatchOutOfScope\":null,\"exited\":false,\"exitStatus\":0,"       \
    "\"stopReason\":\"breakpoint\"}"

static struct span of(const char *text) {
    return span_of(text, strlen(text));
}

Test(state, a_stop) {
    struct delve_state state;
    static const char *const forms[] = {STATE, "{\"State\":" STATE "}"};
    for (size_t i = 0; i < COUNT(forms); i++) {
        cr_assert(delve_state_parse(of(forms[i]), &state));
        cr_assert_eq(state.pid, 16275);
        cr_assert(!state.running && !state.exited && !state.recording);
        cr_assert(span_equals(state.stop_reason, "breakpoint"));
        cr_assert(span_equals(state.command_line, "/srv/k"));
        cr_assert(span_is_null(state.watch_out_of_scope));
        cr_assert(!span_is_null(state.current_thread));
    }
}

Test(state, every_thread_is_seen) {
    struct delve_state state;
    struct delve_thread threads[3];
    bool broken;
    size_t n = 0;
    cr_assert(delve_state_parse(of(STATE), &state));
    for (struct span rest = state.threads; delve_thread_next(&rest, &threads[n], &broken);)
        cr_assert(++n <= 2);
    cr_assert_eq(n, 2);
    cr_assert(!broken);
    cr_assert_eq(threads[0].id, 16287);
    cr_assert_eq(threads[0].pc, UINT64_MAX);
    cr_assert_eq(threads[0].line, -1);
    cr_assert_null(threads[0].breakpoint.at, "a null breakpoint is none");
    cr_assert_null(threads[0].function.at);
    cr_assert_null(threads[0].info.at);
    cr_assert_eq(threads[1].goroutine, 1);
    cr_assert_eq(threads[1].line, 73);
    cr_assert(span_equals(threads[1].file, "/src/main.go"));
    cr_assert(span_equals(threads[1].function, "main.stop"));
}

Test(state, a_breakpoint_and_what_was_read_there) {
    struct delve_thread thread;
    struct delve_breakpoint breakpoint;
    struct delve_info info;
    cr_assert(delve_thread_parse(of(THREAD_AT), &thread));
    cr_assert(delve_breakpoint_parse(thread.breakpoint, &breakpoint));
    cr_assert_eq(breakpoint.id, 1);
    cr_assert(span_equals(breakpoint.name, "kb"));
    cr_assert_eq(breakpoint.total_hits, UINT64_MAX);
    cr_assert(!breakpoint.watch, "an empty WatchExpr is no watchpoint");
    cr_assert(delve_info_parse(thread.info, &info));
    cr_assert_not_null(info.variables.at);
    cr_assert(span_is_null(info.arguments));
    cr_assert_null(info.stack.at);
    cr_assert(delve_breakpoint_parse(of("{\"id\":2,\"WatchExpr\":\"main.counter\"}"), &breakpoint));
    cr_assert(breakpoint.watch);
}

Test(state, running_and_gone) {
    struct delve_state state;
    cr_assert(delve_state_parse(of("{\"State\":{\"Running\":true,\"Threads\":null}}"), &state));
    cr_assert(state.running);
    cr_assert(span_is_null(state.threads));
    cr_assert(delve_state_parse(
        of("{\"State\":{\"Running\":false,\"exited\":true,\"exitStatus\":-9,\"Threads\":null}}"),
        &state));
    cr_assert(state.exited);
    cr_assert_eq(state.exit_status, -9);
}

Test(state, what_is_no_state_is_refused) {
    static const char *const texts[] = {"",
                                        "null",
                                        "[]",
                                        "{}",
                                        "{\"State\":null}",
                                        "{\"State\":5}",
                                        "{\"State\":{}}",
                                        "{\"State\":{\"Running\":false",
                                        "{\"State\":{\"Running\":false,}}"};
    struct delve_state state;
    struct delve_thread thread;
    struct delve_breakpoint breakpoint;
    for (size_t i = 0; i < COUNT(texts); i++)
        cr_expect(!delve_state_parse(of(texts[i]), &state), "%s", texts[i]);
    static const char *const threads[] = {"", "null", "[]", "{\"function\":5}", "{\"id\":1"};
    for (size_t i = 0; i < COUNT(threads); i++)
        cr_expect(!delve_thread_parse(of(threads[i]), &thread), "%s", threads[i]);
    cr_expect(!delve_breakpoint_parse((struct span){0}, &breakpoint));
    cr_expect(!delve_breakpoint_parse(of("{\"name\":\"x\"}"), &breakpoint), "no id");
}
