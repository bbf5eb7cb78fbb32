// The other replies, and the table of methods.
#include "fakedlv.h"
#include <regex.h>
#include <stdarg.h>

void fail(struct call *q, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put(&q->err, text);
}

bool gone(struct call *q) {
    if (q->t->exited)
        fail(q, "Process %d has exited with status %d", q->t->pid, q->t->status);
    return q->t->exited;
}

static void h_empty(struct call *q) {
    put(&q->out, "{}");
}

static void h_version(struct call *q) {
    putf(&q->out,
         "{\"DelveVersion\":\"Version: %s\\nBuild: $Id: fake $\",\"APIVersion\":2,"
         "\"Backend\":\"native\",\"TargetGoVersion\":\"%s\",\"MinSupportedVersionOfGo\":\"%s\","
         "\"MaxSupportedVersionOfGo\":\"%s\"}",
         opt.old ? "1.20.2" : "1.27.2",
         q->t->running ? ""
         : opt.old     ? "Go cmd/compile go1.19.8"
                       : "Go cmd/compile go1.26.8",
         opt.old ? "1.18.0" : "1.25.0", opt.old ? "1.20.0" : "1.27.0");
}

static void h_multiclient(struct call *q) {
    putf(&q->out, "{\"IsMulticlient\":%s}", opt.single ? "false" : "true");
}

static void h_state(struct call *q) {
    if (gone(q))
        return;
    if (q->t->running && !json_is_true(json_object_get(q->params, "NonBlocking")))
        add_waiter(q, WAIT_STATE);
    else
        put_state(&q->out, q->t, false);
}

static void list_matching(struct call *q, const char *key, bool files) {
    regex_t re;
    const char *sep = "";
    if (regcomp(&re, str_of(q->params, "Filter"), REG_EXTENDED | REG_NOSUB)) {
        fail(q, "invalid filter argument: error parsing regexp: `%s`", str_of(q->params, "Filter"));
        return;
    }
    putf(&q->out, "{\"%s\":[", key);
    for (int i = 0; i < nfuncs; i++) {
        bool again = false;
        for (int j = 0; files && j < i; j++)
            again |= !strcmp(funcs[i].file, funcs[j].file);
        const char *s = files ? funcs[i].file : funcs[i].name;
        if (again || regexec(&re, s, 0, NULL, 0))
            continue;
        putf(&q->out, "%s\"%s\"", sep, s);
        sep = ",";
    }
    put(&q->out, "]}");
    regfree(&re);
}

static void h_list_funcs(struct call *q) {
    list_matching(q, "Funcs", false);
}

static void h_list_sources(struct call *q) {
    list_matching(q, "Sources", true);
}

static bool goroutine_known(struct call *q, json_int_t id) {
    if (id == -1 || id == 1 || id == 2 || (id >= 18 && id <= 20))
        return true;
    fail(q, "unknown goroutine %" JSON_INTEGER_FORMAT, id);
    return false;
}

static void h_list_goroutines(struct call *q) {
    static const int ids[] = {1, 2, 18, 19, 20};
    int start = (int)int_of(q->params, "Start"), count = (int)int_of(q->params, "Count"), i;
    const char *sep = "";
    if (gone(q))
        return;
    put(&q->out, "{\"Goroutines\":[");
    for (i = start; i >= 0 && i < 5 && (count <= 0 || i < start + count); i++) {
        int line;
        uint64_t pc;
        bool current = q->t->nhits ? ids[i] == q->t->hit[0].goid : i == 0;
        const struct func *f = frame_at(q->t, current ? 0 : 1, &line, &pc);
        put(&q->out, sep);
        put_goroutine(&q->out, ids[i], f, line, pc, current ? q->t->pid : 0);
        sep = ",";
    }
    putf(&q->out, "],\"Nextg\":%d,\"Groups\":null,\"TooManyGroups\":false}", i < 5 ? i : -1);
}

static void h_stacktrace(struct call *q) {
    if (gone(q) || !goroutine_known(q, int_of(q->params, "Id")))
        return;
    put(&q->out, "{\"Locations\":");
    put_frames(&q->out, q->t, (int)int_of(q->params, "Depth"));
    put(&q->out, "}");
}

static bool scope_ok(struct call *q) {
    json_t *scope = json_object_get(q->params, "Scope");
    json_int_t g = int_of(scope, "GoroutineID"), frame = int_of(scope, "Frame");
    if (gone(q) || !goroutine_known(q, g))
        return false;
    if (frame > 3)
        fail(q, "Frame %" JSON_INTEGER_FORMAT " does not exist in goroutine %" JSON_INTEGER_FORMAT,
             frame, g);
    return frame <= 3;
}

static void h_eval(struct call *q) {
    const char *e = str_of(q->params, "Expr");
    size_t n = strlen(e);
    if (!scope_ok(q))
        return;
    put(&q->out, "{\"Variable\":");
    if (n && strspn(e, "0123456789") == n) {
        put_const(&q->out, e, 2, e, 0);
    } else if (n > 1 && n < 200 && e[0] == '"' && e[n - 1] == '"') {
        char inner[256];
        snprintf(inner, sizeof inner, "%.*s", (int)n - 2, e + 1);
        put_const(&q->out, e, 24, inner, (int)n - 2);
    } else if (q->t->stop == STOP_LAUNCH || is_missing_var(e) || !n) {
        fail(q, "could not find symbol value for %s", e);
    } else {
        put_var(&q->out, e, q->t->nhits ? q->t->hit[0].k : 0, 0);
    }
    put(&q->out, "}");
}

static void h_args(struct call *q) {
    if (!scope_ok(q))
        return;
    put(&q->out, "{\"Args\":");
    put_args(&q->out, q->t->nhits ? q->t->hit[0].k : 0);
    put(&q->out, "}");
}

static void h_locals(struct call *q) {
    if (!scope_ok(q))
        return;
    put(&q->out, "{\"Variables\":[");
    put_var(&q->out, "i", q->t->nhits ? q->t->hit[0].k : 0, 0);
    put(&q->out, "]}");
}

static void h_examine(struct call *q) {
    if (!gone(q))
        fail(q, "input/output error");
}

static void h_tracepoints(struct call *q) {
    put(&q->out, "{\"TracepointResults\":null}");
}

static void h_events(struct call *q) {
    q->later = true; // blocks for ever: nothing is ever downloaded here
}

static void h_restart(struct call *q) {
    restart(q->t);
    put(&q->out, "{\"DiscardedBreakpoints\":[]}");
}

static void h_halt(struct call *q) {
    stats.halts++;
    if (q->t->running) {
        cancel_end(q->t);
        add_waiter(q, WAIT_HALT);
        stop_at(q->t, STOP_MANUAL, find_func("runtime.futex"));
        finish_run(q->t, NULL);
        return;
    }
    q->t->halt_left = opt.old && !q->t->exited && q->t->stop == STOP_LAUNCH;
    put_state(&q->out, q->t, false);
}

static void h_continue(struct call *q) {
    stats.continues++;
    if (q->t->exited) {
        put_state(&q->out, q->t, false);
    } else if (q->t->running) {
        violation(q->c, "a second continue while the target runs starves halt", "continue");
        add_waiter(q, WAIT_CONTINUE);
    } else if (q->r.rule && q->r.rule->action == ACT_PIDCHANGE) {
        put_state(&q->out, q->t, false);
    } else {
        q->later = true;
        start_run(q->t, &q->r);
    }
}

static void h_command(struct call *q) {
    const char *name = str_of(q->params, "name");
    if (!strcmp(name, "continue")) {
        h_continue(q);
    } else if (!strcmp(name, "halt")) {
        h_halt(q);
    } else {
        stats.other_commands++;
        if (q->t->running)
            add_waiter(q, WAIT_STATE);
        else
            put_state(&q->out, q->t, true);
    }
}

static void h_detach(struct call *q) {
    stats.detached++;
    stats.killed += json_is_true(json_object_get(q->params, "Kill"));
    q->t->detached = true;
    send_reply(&q->r, "{}", NULL);
    q->later = true;
    for (struct conn *c = conns, *next; c; c = next) {
        next = c->next;
        if (c->t == q->t)
            conn_close(c);
    }
}

struct method methods[] = {
    {"Command", h_command, false, 0},
    {"State", h_state, false, 0},
    {"SetApiVersion", h_empty, false, 0},
    {"GetVersion", h_version, false, 0},
    {"IsMulticlient", h_multiclient, false, 0},
    {"GetBufferedTracepoints", h_tracepoints, false, 0},
    {"GetEvents", h_events, false, 0},
    {"CancelDownloads", h_empty, false, 0},
    {"StopRecording", h_empty, false, 0},
    {"Restart", h_restart, false, 0},
    {"ListBreakpoints", h_list_bps, true, 0},
    {"GetBreakpoint", h_get_bp, true, 0},
    {"FindLocation", h_find_location, true, 0},
    {"FunctionReturnLocations", h_return_locations, true, 0},
    {"CreateBreakpoint", h_create_bp, true, 0},
    {"AmendBreakpoint", h_amend_bp, true, 0},
    {"ClearBreakpoint", h_clear_bp, true, 0},
    {"ToggleBreakpoint", h_toggle_bp, true, 0},
    {"ListFunctions", h_list_funcs, true, 0},
    {"ListSources", h_list_sources, true, 0},
    {"ListGoroutines", h_list_goroutines, true, 0},
    {"Stacktrace", h_stacktrace, true, 0},
    {"Eval", h_eval, true, 0},
    {"ListFunctionArgs", h_args, true, 0},
    {"ListLocalVars", h_locals, true, 0},
    {"ExamineMemory", h_examine, true, 0},
    {"Detach", h_detach, true, 0},
};
const int nmethods = sizeof methods / sizeof *methods;
