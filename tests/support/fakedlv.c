// fakedlv: a scripted Delve headless server, for the faults that a real one does not have on demand
// and for a thousand sessions at once. See fakedlv.md for the options and the script language.
//
//   bytes -> frame (one JSON object) -> rule (script) -> handler -> send_reply (mangled by rule)
//
// A target is virtual: 'running' means that a continue is pending, a hit is a timer. Each
// connection has a target of its own, unless --shared.
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

enum { ID_MAX = 64, NAME_MAX_ = 128, MAX_FUNCS = 64, MAX_BPS = 64, MAX_WAITERS = 64, GOIDS = 4 };
enum { MAX_REQUEST = 16 << 20, EXIT_USAGE = 2, EXIT_VIOLATION = 3, FIRST_PID = 5000 };

struct buf {
    char *p;
    size_t len, cap;
};

enum action {
    ACT_REPLY,
    ACT_ERROR,
    ACT_CLOSE,
    ACT_HALF,
    ACT_STALL,
    ACT_GARBAGE,
    ACT_HUGE,
    ACT_WRONGID,
    ACT_DELAY,
    ACT_SPLITBYTES,
    ACT_PIDCHANGE,
    ACT_DAP,
    ACT_TWOHITS,
    ACT_STRANGERSTOP,
    ACT_EVALFAILS,
    ACT_PANIC,
    ACT_BPGONE,
    ACT_COUNT
};

// In the order of enum action.
static const struct {
    const char *name;
    bool needs_arg, stop_only;
} action_table[] = {
    {"reply", true, false},       {"error", true, false},        {"close", false, false},
    {"half", false, false},       {"stall", false, false},       {"garbage", false, false},
    {"huge", true, false},        {"wrongid", false, false},     {"delay", true, false},
    {"splitbytes", false, false}, {"pidchange", false, false},   {"dap", false, false},
    {"twohits", false, true},     {"strangerstop", false, true}, {"evalfails", true, true},
    {"panic", false, true},       {"bpgone", false, false},
};
_Static_assert(sizeof action_table / sizeof *action_table == ACT_COUNT, "an action has no name");

struct rule {
    char method[NAME_MAX_];
    long nth;  // 0: every one
    long conn; // 0: on every connection
    enum action action;
    char *arg;
    long number;
};

struct func {
    char name[NAME_MAX_], file[NAME_MAX_];
    int line;
    uint64_t entry;
};

struct bp {
    int id, line;
    char name[NAME_MAX_], file[NAME_MAX_];
    const struct func *func;
    json_t *spec; // what the client sent
    uint64_t addr, total, per_g[GOIDS];
    bool enabled, foreign; // foreign: neither ours to hit nor to count as left behind
    char *head;            // its JSON up to hitCount, rendered once
};

struct conn;

struct request {
    struct conn *c;
    char id[ID_MAX];
    const struct rule *rule;
};

enum wait_kind { WAIT_STATE, WAIT_HALT, WAIT_CONTINUE };

struct waiter {
    struct request r;
    enum wait_kind kind;
};

enum stop_kind { STOP_LAUNCH, STOP_MANUAL, STOP_HIT, STOP_PANIC };

struct hit {
    int bp_id, goid;
    uint64_t k; // which hit of that breakpoint, from 0
    const struct func *func;
    int line;
    uint64_t pc;
};

struct target {
    int pid, next_id, nbps, nwaiters, nhits;
    unsigned cursor;
    bool running, exited, halt_left, detached;
    int status;
    enum stop_kind stop;
    const struct func *at;
    struct hit hit[2];
    uint64_t hits;
    struct bp *bps[MAX_BPS];
    struct request pending; // the Command that runs the target; c == NULL: nobody here
    const struct rule *fault;
    struct waiter waiters[MAX_WAITERS];
    int timer_fd;
    uv_poll_t timer;
};

struct conn {
    uv_tcp_t tcp;
    struct target *t;
    long number;
    struct buf in;
    long *seen; // requests that matched, a rule
    bool closing, deaf, mute;
    json_t *delayed;
    const struct rule *delayed_rule;
    uv_timer_t delay;
    int handles;
    struct conn *next, **prev;
};

struct call {
    struct request r;
    struct conn *c;
    struct target *t;
    json_t *params;
    struct buf out;
    struct buf err;
    bool later; // answered by another event
};

struct method {
    const char *name;
    void (*run)(struct call *);
    bool locks; // needs the target lock on the connection's own goroutine
    uint64_t count;
};

static struct {
    long hits, exit_status, delay_us, variables_bytes, clients, port;
    bool running, single, once, shared, old;
    const struct func *stopped_at;
} opt = {.hits = -1};

static struct {
    uint64_t connections, open, peak, hits, continues, halts, other_commands, unknown, violations,
        left_armed, left_stopped, detached, killed, faults;
} stats;

static uv_loop_t *loop;
static uv_tcp_t listener;
static uv_signal_t on_term, on_int;
static struct conn *conns;
static struct target *shared;
static struct rule *rules;
static size_t nrules;
static struct func funcs[MAX_FUNCS];
static int nfuncs;

static void die(const char *what) {
    fprintf(stderr, "fakedlv: %s\n", what);
    exit(EXIT_USAGE);
}

static void *must(void *p) {
    if (!p)
        die("out of memory");
    return p;
}

// ---- buffer ----

static void buf_room(struct buf *b, size_t n) {
    if (b->len + n + 1 <= b->cap)
        return;
    b->cap = (b->len + n + 1) * 2;
    b->p = must(realloc(b->p, b->cap));
}

static void buf_add(struct buf *b, const void *p, size_t n) {
    buf_room(b, n);
    memcpy(b->p + b->len, p, n);
    b->len += n;
    b->p[b->len] = 0;
}

static void put(struct buf *b, const char *s) {
    buf_add(b, s, strlen(s));
}

__attribute__((format(printf, 2, 3), nonnull)) static void putf(struct buf *b, const char *fmt,
                                                                ...) {
    va_list ap;
    buf_room(b, 256);
    va_start(ap, fmt);
    int n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
    va_end(ap);
    if ((size_t)n >= b->cap - b->len) {
        buf_room(b, (size_t)n + 1);
        va_start(ap, fmt);
        vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
}

static void put_string(struct buf *b, const char *s) {
    put(b, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putf(b, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            putf(b, "\\u%04x", (unsigned)*s);
        else
            buf_add(b, s, 1);
    }
    put(b, "\"");
}

static void put_json(struct buf *b, const json_t *j) {
    char *s = j ? json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    put(b, s ? s : "null");
    free(s);
}

static const char *str_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static json_int_t int_of(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

// ---- functions of the target ----

static const struct func *add_func(const char *name, const char *file, int line) {
    if (nfuncs == MAX_FUNCS)
        die("too many functions");
    struct func *f = &funcs[nfuncs];
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->file, sizeof f->file, "%s", file);
    f->line = line;
    f->entry = 0x49e400 + 0x100 * (uint64_t)nfuncs++;
    return f;
}

static const struct func *find_func(const char *name) {
    for (int i = 0; i < nfuncs; i++)
        if (!strcmp(funcs[i].name, name))
            return &funcs[i];
    return NULL;
}

static bool file_matches(const char *file, const char *want) {
    size_t n = strlen(file), m = strlen(want);
    if (m > n || strcmp(file + n - m, want))
        return false;
    return m == n || file[n - m - 1] == '/' || want[0] == '/';
}

// The function with `line` within it; *known says whether any function is in that file.
static const struct func *func_at_line(const char *file, int line, bool full, const char **known) {
    *known = NULL;
    for (int i = 0; i < nfuncs; i++) {
        const struct func *f = &funcs[i];
        if (full ? strcmp(f->file, file) : !file_matches(f->file, file))
            continue;
        *known = f->file;
        if (line >= f->line && line < f->line + 8)
            return f;
    }
    return NULL;
}

static const struct func *func_at_addr(uint64_t addr) {
    for (int i = 0; i < nfuncs; i++)
        if (addr >= funcs[i].entry && addr < funcs[i].entry + 0x100)
            return &funcs[i];
    return NULL;
}

static uint64_t line_addr(const struct func *f, int line) {
    return f->entry + 10 + 16 * (uint64_t)(line - f->line);
}

static void put_func(struct buf *b, const struct func *f) {
    putf(b, "{\"name\":\"%s\",\"value\":%" PRIu64 ",\"type\":0,\"goType\":0,\"optimized\":true}",
         f->name, f->entry);
}

static void put_loc(struct buf *b, const struct func *f, int line, uint64_t pc) {
    putf(b, "\"pc\":%" PRIu64 ",\"file\":\"%s\",\"line\":%d,\"function\":", pc, f->file, line);
    put_func(b, f);
}

// ---- variables ----

static bool is_string_var(const char *name) {
    static const char *const names[] = {"path", "s", "str", "name", "url", "msg", "text"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static bool is_missing_var(const char *name) {
    return !strncmp(name, "nope", 4);
}

static void put_var_tail(struct buf *b, int len, bool nullchildren, const char *unreadable,
                         long pad, const char *loc, int decl) {
    if (!opt.old)
        put(b, ",\"StringValueBytes\":null");
    putf(b, ",\"len\":%d,\"cap\":0,\"children\":%s,\"base\":%d,\"unreadable\":", len,
         nullchildren ? "null" : "[]", len ? 4999234 : 0);
    put_string(b, unreadable);
    putf(b, ",\"LocationExpr\":\"%s", loc);
    buf_room(b, (size_t)pad);
    memset(b->p + b->len, 'x', (size_t)pad);
    b->len += (size_t)pad;
    putf(b, "\",\"DeclLine\":%d}", decl);
}

// The fake address is what a real server gives to a register variable: above INT64_MAX.
static void put_var(struct buf *b, const char *name, uint64_t k, long pad) {
    put(b, "{\"name\":");
    put_string(b, name);
    if (is_missing_var(name)) {
        char why[NAME_MAX_ + 64];
        put(b, ",\"addr\":0,\"onlyAddr\":false,\"type\":\"\",\"realType\":\"\",\"flags\":0,"
               "\"kind\":0,\"value\":\"\"");
        snprintf(why, sizeof why, "eval error: could not find symbol value for %.120s", name);
        put_var_tail(b, 0, true, why, pad, "", 0);
        return;
    }
    bool s = is_string_var(name);
    const char *type = s ? "string" : "int";
    putf(b,
         ",\"addr\":13758215386640154%s,\"onlyAddr\":false,\"type\":\"%s\",\"realType\":\"%s\","
         "\"flags\":40,\"kind\":%d,\"value\":",
         s ? "880" : "624", type, type, s ? 24 : 2);
    if (s)
        put(b, "\"/abc\"");
    else
        putf(b, "\"%" PRIu64 "\"", k);
    put_var_tail(b, s ? 4 : 0, false, "", pad,
                 s ? "[0x4897:0x49e44a] DW_OP_reg3(Rbx) DW_OP_piece 0x8 DW_OP_reg2(Rcx) "
                     "DW_OP_piece 0x8 "
                   : "[0x488a:0x49e44a] DW_OP_reg0(Rax) ",
                 11);
}

static void put_const(struct buf *b, const char *expr, int kind, const char *value, int len) {
    put(b, "{\"name\":");
    put_string(b, expr);
    putf(b,
         ",\"addr\":0,\"onlyAddr\":false,\"type\":\"\",\"realType\":\"\",\"flags\":4,"
         "\"kind\":%d,\"value\":",
         kind);
    put_string(b, value);
    put_var_tail(b, len, false, "", 0, "", 0);
}

static void put_args(struct buf *b, uint64_t k) {
    put(b, "[");
    put_var(b, "n", k, 0);
    put(b, ",");
    put_var(b, "path", k, 0);
    put(b, "]");
}

// ---- breakpoints ----

static struct bp *bp_by(struct target *t, int id, const char *name) {
    for (int i = 0; i < t->nbps; i++)
        if (name && *name ? !strcmp(t->bps[i]->name, name) : t->bps[i]->id == id)
            return t->bps[i];
    return NULL;
}

static void put_spec_string(struct buf *b, const struct bp *bp, const char *key) {
    putf(b, ",\"%s\":", key);
    put_string(b, str_of(bp->spec, key));
}

static void put_spec_bool(struct buf *b, const struct bp *bp, const char *key) {
    putf(b, ",\"%s\":%s", key, json_is_true(json_object_get(bp->spec, key)) ? "true" : "false");
}

// `gone`: a re-enabling ToggleBreakpoint of a real server answers without addresses.
static void put_bp_head(struct buf *b, const struct target *t, const struct bp *bp, bool gone) {
    putf(b, "{\"id\":%d,\"name\":\"%s\"", bp->id, bp->name);
    if (gone)
        put(b, ",\"addr\":0,\"addrs\":null,\"addrpid\":null");
    else
        putf(b, ",\"addr\":%" PRIu64 ",\"addrs\":[%" PRIu64 "],\"addrpid\":[%d]", bp->addr,
             bp->addr, t->pid);
    putf(b, ",\"file\":\"%s\",\"line\":%d,\"functionName\":\"%s\"%s", bp->file, bp->line,
         bp->func ? bp->func->name : "(multiple functions)", opt.old ? "" : ",\"ExprString\":\"\"");
    put_spec_string(b, bp, "Cond");
    put_spec_string(b, bp, "HitCond");
    put_spec_bool(b, bp, "HitCondPerG");
    put_spec_bool(b, bp, "continue");
    put_spec_bool(b, bp, "traceReturn");
    put_spec_bool(b, bp, "goroutine");
    putf(b, ",\"stacktrace\":%d", (int)int_of(bp->spec, "stacktrace"));
    json_t *vars = json_object_get(bp->spec, "variables");
    if (json_array_size(vars)) {
        put(b, ",\"variables\":");
        put_json(b, vars);
    }
    put(b, ",\"LoadArgs\":");
    put_json(b, json_object_get(bp->spec, "LoadArgs"));
    put(b, ",\"LoadLocals\":");
    put_json(b, json_object_get(bp->spec, "LoadLocals"));
    put(b, ",\"WatchExpr\":\"\",\"WatchType\":0");
}

static void put_bp_tail(struct buf *b, const struct bp *bp) {
    static const int goids[GOIDS] = {1, 18, 19, 20};
    const char *sep = "";
    put(b, ",\"hitCount\":{");
    for (int i = 0; i < GOIDS; i++)
        if (bp->per_g[i]) {
            putf(b, "%s\"%d\":%" PRIu64, sep, goids[i], bp->per_g[i]);
            sep = ",";
        }
    putf(b, "},\"totalHitCount\":%" PRIu64 ",\"disabled\":%s%s}", bp->total,
         bp->enabled ? "false" : "true",
         opt.old ? "" : ",\"RootFuncName\":\"\",\"TraceFollowCalls\":0");
}

static void bp_render(const struct target *t, struct bp *bp) {
    struct buf b = {0};
    put_bp_head(&b, t, bp, false);
    free(bp->head);
    bp->head = b.p;
}

static void put_bp(struct buf *b, const struct bp *bp) {
    put(b, bp->head);
    put_bp_tail(b, bp);
}

static struct bp *bp_add(struct target *t, int id, const char *name, const struct func *f, int line,
                         json_t *spec) {
    if (t->nbps == MAX_BPS)
        return NULL;
    struct bp *bp = must(calloc(1, sizeof *bp));
    bp->id = id;
    snprintf(bp->name, sizeof bp->name, "%s", name);
    snprintf(bp->file, sizeof bp->file, "%s", f->file);
    bp->func = f;
    bp->line = line;
    bp->addr = line_addr(f, line);
    bp->enabled = true;
    bp->spec = spec ? json_incref(spec) : must(json_object());
    t->bps[t->nbps++] = bp;
    bp_render(t, bp);
    return bp;
}

static void bp_free(struct bp *bp) {
    json_decref(bp->spec);
    free(bp->head);
    free(bp);
}

static void bp_drop(struct target *t, const struct bp *gone) {
    int n = 0;
    for (int i = 0; i < t->nbps; i++)
        if (t->bps[i] != gone)
            t->bps[n++] = t->bps[i];
    t->nbps = n;
}

static void bps_vanish(struct target *t) {
    int n = 0;
    for (int i = 0; i < t->nbps; i++) {
        if (t->bps[i]->id < 0)
            t->bps[n++] = t->bps[i];
        else
            bp_free(t->bps[i]);
    }
    t->nbps = n;
}

static int armed(const struct target *t) {
    int n = 0;
    for (int i = 0; i < t->nbps; i++)
        n += t->bps[i]->enabled && !t->bps[i]->foreign;
    return n;
}

static struct bp *next_armed(struct target *t) {
    for (int i = 0; i < t->nbps; i++) {
        struct bp *bp = t->bps[t->cursor++ % (unsigned)t->nbps];
        if (bp->enabled && !bp->foreign)
            return bp;
    }
    return NULL;
}

// ---- state ----

static void put_goroutine(struct buf *b, int goid, const struct func *f, int line, uint64_t pc,
                          int thread) {
    putf(b, "{\"id\":%d,\"currentLoc\":{", goid);
    put_loc(b, f, line, pc);
    put(b, "},\"userCurrentLoc\":{");
    put_loc(b, f, line, pc);
    put(b, "},\"goStatementLoc\":{");
    put_loc(b, &funcs[0], 1, funcs[0].entry + 1);
    put(b, "},\"startLoc\":{");
    put_loc(b, find_func("runtime.main"), 149, find_func("runtime.main")->entry);
    putf(b,
         "},\"threadID\":%d,\"status\":%d,\"waitSince\":0,\"waitReason\":%d,\"unreadable\":\"\"}",
         thread, thread ? 2 : 4, opt.old ? 14 : 19);
}

static const struct func *frame_at(const struct target *t, int i, int *line, uint64_t *pc) {
    static const char *const below[] = {"main.main", "runtime.main", "runtime.goexit"};
    if (i == 0) {
        *line = t->nhits ? t->hit[0].line : t->at->line;
        *pc = t->nhits ? t->hit[0].pc : line_addr(t->at, t->at->line);
        return t->nhits ? t->hit[0].func : t->at;
    }
    const struct func *f = find_func(below[i - 1]);
    *line = f->line + 3;
    *pc = f->entry + 0x30;
    return f;
}

static void put_frames(struct buf *b, const struct target *t, int depth) {
    put(b, "[");
    for (int i = 0; i <= depth && i < 4; i++) {
        int line;
        uint64_t pc;
        const struct func *f = frame_at(t, i, &line, &pc);
        put(b, i ? ",{" : "{");
        put_loc(b, f, line, pc);
        putf(b,
             ",\"Locals\":null,\"Arguments\":null,\"FrameOffset\":%d,\"FramePointerOffset\":%d,"
             "\"Defers\":[],%s\"Err\":\"\"}",
             -328 + 100 * i, -344 + 100 * i, i == 3 ? "\"Bottom\":true," : "");
    }
    put(b, "]");
}

static void put_bp_info(struct buf *b, const struct target *t, const struct hit *h,
                        const struct bp *bp, int thread) {
    json_t *vars = json_object_get(bp->spec, "variables"), *v;
    const char *sep = "";
    size_t i;
    put(b, ",\"breakPointInfo\":{");
    if (int_of(bp->spec, "stacktrace") > 0) {
        put(b, "\"stacktrace\":");
        put_frames(b, t, (int)int_of(bp->spec, "stacktrace"));
        sep = ",";
    }
    if (json_is_true(json_object_get(bp->spec, "goroutine"))) {
        putf(b, "%s\"goroutine\":", sep);
        put_goroutine(b, h->goid, h->func, h->line, h->pc, thread);
        sep = ",";
    }
    if (json_array_size(vars)) {
        putf(b, "%s\"variables\":[", sep);
        json_array_foreach(vars, i, v) {
            put(b, i ? "," : "");
            const char *name = json_string_value(v);
            put_var(b, name ? name : "", h->k, i ? 0 : opt.variables_bytes);
        }
        put(b, "]");
        sep = ",";
    }
    if (json_is_object(json_object_get(bp->spec, "LoadArgs"))) {
        putf(b, "%s\"arguments\":", sep);
        put_args(b, h->k);
        sep = ",";
    }
    if (json_is_object(json_object_get(bp->spec, "LoadLocals"))) {
        putf(b, "%s\"locals\":[", sep);
        put_var(b, "i", h->k, 0);
        put(b, "]");
    }
    put(b, "}");
}

static void put_thread_end(struct buf *b, const struct bp *bp, const struct hit *h) {
    put(b, ",\"ReturnValues\":");
    if (bp && json_is_true(json_object_get(bp->spec, "traceReturn"))) {
        put(b, "[");
        put_var(b, "~r0", h->k, 0);
        put(b, "]");
    } else {
        put(b, "null");
    }
    put(b, ",\"CallReturn\":false}");
}

static void put_hit_thread(struct buf *b, struct target *t, int i, bool info) {
    const struct hit *h = &t->hit[i];
    struct bp *bp = bp_by(t, h->bp_id, NULL);
    putf(b, "{\"id\":%d,", t->pid + 2 * i);
    put_loc(b, h->func, h->line, h->pc);
    putf(b, ",\"goroutineID\":%d", h->goid);
    if (bp) {
        put(b, ",\"breakPoint\":");
        put_bp(b, bp);
        if (info)
            put_bp_info(b, t, h, bp, t->pid + 2 * i);
    }
    put_thread_end(b, bp, h);
}

static void put_plain_thread(struct buf *b, int id, const struct func *f) {
    putf(b, "{\"id\":%d,", id);
    put_loc(b, f, f->line, line_addr(f, f->line));
    put(b, ",\"goroutineID\":0");
    put_thread_end(b, NULL, NULL);
}

static void put_threads(struct buf *b, struct target *t, bool info) {
    put(b, ",\"Threads\":[");
    if (t->stop != STOP_LAUNCH) {
        put_plain_thread(b, t->pid + 101, find_func("runtime.futex"));
        put(b, ",");
    }
    if (!t->nhits)
        put_plain_thread(b, t->pid, t->at);
    for (int i = 0; i < t->nhits; i++) {
        put(b, i ? "," : "");
        put_hit_thread(b, t, i, info);
    }
    put(b, "]");
}

static const char *stop_reason(const struct target *t) {
    return t->stop == STOP_LAUNCH ? "launched" : t->stop == STOP_MANUAL ? "manual" : "breakpoint";
}

// `info`: breakPointInfo comes only in the reply to the resuming Command.
static void put_state(struct buf *b, struct target *t, bool info) {
    bool live = !t->running && !t->exited;
    putf(b, "{\"State\":{\"Pid\":%d,", t->running ? 0 : t->pid);
    if (!opt.old)
        putf(b, "\"TargetCommandLine\":\"%s\",", live ? "/src/app/app" : "");
    putf(b, "\"Running\":%s,\"Recording\":false,\"CoreDumping\":false",
         t->running ? "true" : "false");
    if (live) {
        put(b, ",\"currentThread\":");
        if (t->nhits) {
            const struct hit *h = &t->hit[0];
            put_hit_thread(b, t, 0, info);
            put(b, ",\"currentGoroutine\":");
            put_goroutine(b, h->goid, h->func, h->line, h->pc, t->pid);
        } else {
            put_plain_thread(b, t->pid, t->at);
        }
        put_threads(b, t, info);
    } else {
        put(b, ",\"Threads\":null");
    }
    putf(b,
         ",\"NextInProgress\":false,\"WatchOutOfScope\":null,\"exited\":%s,\"exitStatus\":%d,"
         "\"When\":\"\"",
         t->exited ? "true" : "false", t->exited ? t->status : 0);
    if (live && !opt.old)
        putf(b, ",\"stopReason\":\"%s\"", stop_reason(t));
    put(b, "}}");
}

// ---- writing ----

struct write {
    uv_write_t req;
    char data[];
};

static void on_written(uv_write_t *req, int status) {
    (void)status;
    free(req);
}

static void queue_write(struct conn *c, const char *p, size_t n) {
    struct write *w = must(malloc(sizeof *w + n));
    memcpy(w->data, p, n);
    uv_buf_t b = uv_buf_init(w->data, (unsigned)n);
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written))
        free(w);
}

static void conn_write(struct conn *c, const char *p, size_t n) {
    if (c->closing || c->mute)
        return;
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);
    int r = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    size_t done = r > 0 ? (size_t)r : 0;
    if (done < n && (r >= 0 || r == UV_EAGAIN))
        queue_write(c, p + done, n - done);
}

static void go_silent(struct conn *c) {
    c->deaf = c->mute = true;
}

static void write_bytewise(struct conn *c, const char *p, size_t n) {
    for (size_t i = 0; i < n && !c->mute && !c->closing; i++)
        queue_write(c, p + i, 1);
}

static void write_dap(struct conn *c) {
    static const char body[] =
        "{\"seq\":0,\"type\":\"response\",\"request_seq\":0,\"success\":false,\"command\":\"\","
        "\"message\":\"Internal Error\",\"body\":{\"error\":{\"id\":8888,"
        "\"format\":\"Internal Error: unable to decode a DAP message\"}}}";
    struct buf b = {0};
    putf(&b, "Content-Length: %zu\r\n\r\n%s", sizeof body - 1, body);
    conn_write(c, b.p, b.len);
    free(b.p);
}

static void write_mangled(const struct request *r, struct buf *line) {
    static const char garbage[] = "\x16\x03\x01\x02\0\xff<html>}{][\n";
    struct conn *c = r->c;
    switch (r->rule->action) {
    case ACT_HALF:
        conn_write(c, line->p, line->len / 2);
        go_silent(c);
        return;
    case ACT_GARBAGE: conn_write(c, garbage, sizeof garbage - 1); return;
    case ACT_SPLITBYTES: write_bytewise(c, line->p, line->len); return;
    default: conn_write(c, line->p, line->len);
    }
}

static void put_padding(struct buf *b, size_t want) {
    if (want < b->len + 32)
        return;
    size_t n = want - b->len - 11; // around it: {"Pad":"..."}, as a further member of the reply
    put(b, ",\"Pad\":\"");
    buf_room(b, n);
    memset(b->p + b->len, 'x', n);
    b->len += n;
    b->p[b->len] = 0;
    put(b, "\"");
}

// Exactly one of result and err is given. The rule of the request decides what becomes of it.
static void send_reply(const struct request *r, const char *result, const char *err) {
    const struct rule *rule = r->rule;
    struct buf b = {0};
    if (!r->c || r->c->closing)
        return;
    if (rule && rule->action == ACT_WRONGID)
        put(&b, "{\"id\":999999999");
    else
        putf(&b, "{\"id\":%s", r->id);
    put(&b, ",\"result\":");
    put(&b, err ? "null" : result);
    put(&b, ",\"error\":");
    if (err)
        put_string(&b, err);
    else
        put(&b, "null");
    if (rule && rule->action == ACT_HUGE)
        put_padding(&b, (size_t)rule->number);
    put(&b, "}\n");
    if (rule)
        write_mangled(r, &b);
    else
        conn_write(r->c, b.p, b.len);
    free(b.p);
}

static void reply_state(const struct request *r, struct target *t, bool info) {
    struct buf b = {0};
    put_state(&b, t, info);
    send_reply(r, b.p, NULL);
    free(b.p);
}

// ---- running the target ----

static void violation(const struct conn *c, const char *what, const char *method) {
    stats.violations++;
    fprintf(stderr, "fakedlv: violation: connection %ld: %s: %s\n", c->number, method, what);
}

static void start_run(struct target *t, const struct request *r);

// Replies as the real server does: first the pending Command, then who waited. A queued continue
// gets the lock before a waiting halt does, and so starves it.
static void finish_run(struct target *t, const char *err) {
    struct request first = t->pending;
    t->running = false;
    t->pending.c = NULL;
    if (first.c && err)
        send_reply(&first, NULL, err);
    else if (first.c)
        reply_state(&first, t, true);
    for (int i = 0; i < t->nwaiters; i++) {
        if (t->waiters[i].kind != WAIT_CONTINUE)
            continue;
        struct request again = t->waiters[i].r;
        t->waiters[i] = t->waiters[--t->nwaiters];
        start_run(t, &again);
        return;
    }
    for (int i = 0; i < t->nwaiters; i++)
        reply_state(&t->waiters[i].r, t, false);
    t->nwaiters = 0;
}

static void stop_at(struct target *t, enum stop_kind kind, const struct func *at) {
    t->stop = kind;
    t->at = at;
    t->nhits = 0;
}

static void record_hit(struct target *t, struct bp *bp) {
    static const int goids[GOIDS] = {1, 18, 19, 20};
    uint64_t g = t->hits % GOIDS;
    t->hit[t->nhits++] = (struct hit){.bp_id = bp->id,
                                      .goid = goids[g],
                                      .k = bp->total++,
                                      .func = bp->func,
                                      .line = bp->line,
                                      .pc = bp->addr};
    bp->per_g[g]++;
    if (!bp->foreign) {
        t->hits++;
        stats.hits++;
    }
}

static void target_exits(struct target *t, int status) {
    t->exited = true;
    t->status = status;
    t->nhits = 0;
    finish_run(t, NULL);
}

static void stop_for_stranger(struct target *t) {
    struct bp *bp = bp_by(t, 0, "user1");
    if (!bp)
        bp = bp_add(t, t->next_id++, "user1", &funcs[1], funcs[1].line, NULL);
    if (!bp)
        die("too many breakpoints");
    bp->foreign = true;
    record_hit(t, bp);
}

// What a run comes to, once its delay is over.
static void run_ends(struct target *t) {
    enum action fault = t->fault ? t->fault->action : ACT_COUNT;
    struct buf err = {0};
    struct bp *bp;
    if (!t->running)
        return;
    stop_at(t, STOP_HIT, t->at);
    if (fault == ACT_PANIC) {
        t->stop = STOP_PANIC;
        record_hit(t, bp_by(t, -1, NULL));
    } else if (fault == ACT_STRANGERSTOP) {
        stop_for_stranger(t);
    } else if (!(bp = next_armed(t))) {
        if (fault != ACT_EVALFAILS)
            return; // disarmed meanwhile: runs on till halt
    } else {
        record_hit(t, bp);
        if (fault == ACT_TWOHITS)
            record_hit(t, next_armed(t));
    }
    if (fault == ACT_EVALFAILS)
        putf(&err, "error evaluating expression: %s", t->fault->arg);
    finish_run(t, err.p);
    free(err.p);
}

static void on_hit_due(uv_poll_t *h, int status, int events) {
    struct target *t = h->data;
    uint64_t n;
    (void)status, (void)events;
    if (read(t->timer_fd, &n, sizeof n) == sizeof n)
        run_ends(t);
}

// A timerfd, for uv_timer counts whole milliseconds.
static void schedule_end(struct target *t) {
    if (!opt.delay_us) {
        run_ends(t);
        return;
    }
    if (t->timer_fd < 0) {
        t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (t->timer_fd < 0 || uv_poll_init(loop, &t->timer, t->timer_fd))
            die("no timer");
        t->timer.data = t;
        uv_poll_start(&t->timer, UV_READABLE, on_hit_due);
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = opt.delay_us / 1000000, .tv_nsec = opt.delay_us % 1000000 * 1000}};
    timerfd_settime(t->timer_fd, 0, &when, NULL);
}

static void cancel_end(struct target *t) {
    static const struct itimerspec never;
    if (t->timer_fd >= 0)
        timerfd_settime(t->timer_fd, 0, &never, NULL);
}

static void start_run(struct target *t, const struct request *r) {
    t->pending = *r;
    t->running = true;
    t->fault = r->rule && action_table[r->rule->action].stop_only ? r->rule : NULL;
    if (t->halt_left) { // 1.20.2: a halt at the launch stop ends the next continue at once
        t->halt_left = false;
        stop_at(t, STOP_MANUAL, t->at);
        finish_run(t, NULL);
    } else if (t->stop == STOP_PANIC) {
        target_exits(t, 2);
    } else if (opt.hits >= 0 && t->hits >= (uint64_t)opt.hits) {
        target_exits(t, (int)opt.exit_status);
    } else if (t->fault || armed(t)) {
        schedule_end(t);
    }
}

static void add_waiter(struct call *q, enum wait_kind kind) {
    struct target *t = q->t;
    q->later = true;
    if (t->nwaiters == MAX_WAITERS)
        die("too many requests wait for one target");
    t->waiters[t->nwaiters++] = (struct waiter){.r = q->r, .kind = kind};
}

// ---- targets ----

static struct target *target_new(void) {
    static int next_pid = FIRST_PID;
    struct target *t = must(calloc(1, sizeof *t));
    t->pid = next_pid;
    next_pid += 10;
    t->next_id = 1;
    t->timer_fd = -1;
    t->running = opt.running;
    stop_at(t, opt.stopped_at || opt.running ? STOP_MANUAL : STOP_LAUNCH,
            opt.stopped_at ? opt.stopped_at : find_func("_rt0_amd64_linux"));
    struct bp *panic =
        bp_add(t, -1, "unrecovered-panic", find_func("runtime.fatalpanic"), 1456, NULL);
    json_object_set_new(panic->spec, "variables", json_pack("[s]", "runtime.curg._panic.arg"));
    bp_render(t, panic);
    struct bp *fatal = bp_add(t, -2, "runtime-fatal-throw", find_func("runtime.throw"), 1, NULL);
    panic->foreign = fatal->foreign = true;
    return t;
}

static void count_leftovers(const struct target *t) {
    if (t->detached || t->exited)
        return;
    stats.left_armed += (uint64_t)armed(t);
    stats.left_stopped += !t->running;
}

static void target_free(struct target *t) {
    for (int i = 0; i < t->nbps; i++)
        bp_free(t->bps[i]);
    free(t);
}

static void on_timer_closed(uv_handle_t *h) {
    struct target *t = h->data;
    close(t->timer_fd);
    target_free(t);
}

static void target_release(struct target *t) {
    count_leftovers(t);
    if (t->timer_fd < 0)
        target_free(t);
    else
        uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

static void forget_conn(struct target *t, const struct conn *c) {
    int n = 0;
    for (int i = 0; i < t->nwaiters; i++)
        if (t->waiters[i].r.c != c)
            t->waiters[n++] = t->waiters[i];
    t->nwaiters = n;
    if (t->pending.c == c)
        t->pending.c = NULL;
}

// ---- handlers ----

__attribute__((format(printf, 2, 3))) static void fail(struct call *q, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put(&q->err, text);
}

static bool gone(struct call *q) {
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

static void h_list_bps(struct call *q) {
    put(&q->out, "{\"Breakpoints\":[");
    for (int i = 0; i < q->t->nbps; i++) {
        put(&q->out, i ? "," : "");
        put_bp(&q->out, q->t->bps[i]);
    }
    put(&q->out, "]}");
}

// FILE:LINE, FUNCTION or FUNCTION:LINE-OFFSET.
static const struct func *resolve(struct call *q, const char *loc, int *line) {
    char name[NAME_MAX_];
    const char *colon = strrchr(loc, ':'), *known = NULL;
    snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - loc) : 120, loc);
    *line = colon ? atoi(colon + 1) : 0;
    const struct func *f = find_func(name);
    if (f) {
        *line += f->line;
        return f;
    }
    f = colon ? func_at_line(name, *line, false, &known) : NULL;
    if (!f && known)
        fail(q, "could not find statement at %s:%d, please use a line with a statement", known,
             *line);
    else if (!f)
        fail(q, "location \"%s\" not found", loc);
    return f;
}

static void h_find_location(struct call *q) {
    int line;
    const struct func *f = gone(q) ? NULL : resolve(q, str_of(q->params, "Loc"), &line);
    if (!f)
        return;
    put(&q->out, "{\"Locations\":[{");
    put_loc(&q->out, f, line, line_addr(f, line));
    putf(&q->out, ",\"pcs\":[%" PRIu64 "],\"pcpids\":[%d]}]%s}", line_addr(f, line), q->t->pid,
         opt.old ? "" : ",\"SubstituteLocExpr\":\"\"");
}

static void h_return_locations(struct call *q) {
    const char *name = str_of(q->params, "FnName");
    const struct func *f = find_func(name);
    if (gone(q))
        return;
    if (!f)
        fail(q, "could not find function %s\n", name);
    else
        putf(&q->out, "{\"Addrs\":[%" PRIu64 "]}", f->entry + 0x80);
}

static bool name_ok(struct call *q, const char *name) {
    if (*name && strspn(name, "0123456789") == strlen(name)) {
        fail(q, "breakpoint name can not be a number");
        return false;
    }
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p)) {
            fail(q, "invalid character in breakpoint name '%c'", *p);
            return false;
        }
    if (*name && bp_by(q->t, 0, name))
        fail(q, "breakpoint name already exists");
    return !q->err.len;
}

// Delve's precedence: traceReturn with addr, file and line, functionName, addrs, addr.
static const struct func *place(struct call *q, json_t *spec, int *line, uint64_t *addr) {
    const char *file = str_of(spec, "file"), *name = str_of(spec, "functionName"), *known;
    bool ret = json_is_true(json_object_get(spec, "traceReturn")) && int_of(spec, "addr");
    const struct func *f = NULL;
    *line = (int)int_of(spec, "line");
    if (*file && !ret) {
        f = func_at_line(file, *line, true, &known);
        if (!f && known)
            fail(q, "could not find statement at %s:%d, please use a line with a statement", file,
                 *line);
        else if (!f)
            fail(q, "could not find file %s", file);
    } else if (*name && !ret) {
        f = find_func(name);
        *line = f ? f->line + (*line > 0 ? *line : 0) : 0;
        if (!f)
            fail(q, "could not find function %s\n", name);
    } else {
        json_t *first = json_array_get(json_object_get(spec, "addrs"), 0);
        *addr = (uint64_t)(first && !ret ? json_integer_value(first) : int_of(spec, "addr"));
        f = func_at_addr(*addr);
        *line = f ? f->line : 0;
        if (!f)
            fail(q, "breakpoint %d can not be enabled", q->t->next_id);
        return f;
    }
    *addr = f ? line_addr(f, *line) : 0;
    return f;
}

static void h_create_bp(struct call *q) {
    json_t *spec = json_object_get(q->params, "Breakpoint");
    int line;
    uint64_t addr;
    if (gone(q) || !name_ok(q, str_of(spec, "name")))
        return;
    const struct func *f = place(q, spec, &line, &addr);
    int id = q->t->next_id++; // a real server uses up an id even when it fails
    for (int i = 0; f && i < q->t->nbps; i++)
        if (q->t->bps[i]->addr == addr) {
            fail(q, "Breakpoint exists at %s:%d at %" PRIx64, f->file, line, addr);
            return;
        }
    if (!f)
        return;
    struct bp *bp = bp_add(q->t, id, str_of(spec, "name"), f, line, spec);
    if (!bp) {
        fail(q, "fakedlv: too many breakpoints");
        return;
    }
    bp->addr = addr;
    bp_render(q->t, bp);
    put(&q->out, "{\"Breakpoint\":");
    put_bp(&q->out, bp);
    put(&q->out, "}");
}

static struct bp *wanted_bp(struct call *q) {
    const char *name = str_of(q->params, "Name");
    int id = (int)int_of(q->params, "Id");
    struct bp *bp = bp_by(q->t, id, name);
    if (!bp && *name)
        fail(q, "no breakpoint with name %s", name);
    else if (!bp)
        fail(q, "no breakpoint with id %d", id);
    return bp;
}

static void answer_bp(struct call *q, const struct bp *bp) {
    put(&q->out, "{\"Breakpoint\":");
    put_bp(&q->out, bp);
    put(&q->out, "}");
}

static void h_get_bp(struct call *q) {
    struct bp *bp = wanted_bp(q);
    if (bp)
        answer_bp(q, bp);
}

static void h_clear_bp(struct call *q) {
    struct bp *bp = wanted_bp(q);
    if (!bp)
        return;
    answer_bp(q, bp);
    bp_drop(q->t, bp);
    bp_free(bp);
}

static void h_toggle_bp(struct call *q) {
    struct bp *bp = wanted_bp(q);
    if (!bp)
        return;
    bp->enabled = !bp->enabled;
    put(&q->out, "{\"Breakpoint\":");
    put_bp_head(&q->out, q->t, bp, bp->enabled);
    put_bp_tail(&q->out, bp);
    put(&q->out, "}");
}

static void h_amend_bp(struct call *q) {
    json_t *spec = json_object_get(q->params, "Breakpoint");
    struct bp *bp = bp_by(q->t, (int)int_of(spec, "id"), NULL);
    if (!bp) {
        fail(q, "no breakpoint with ID %d", (int)int_of(spec, "id"));
        return;
    }
    json_decref(bp->spec);
    bp->spec = json_incref(spec);
    bp->enabled = !json_is_true(json_object_get(spec, "disabled"));
    bp_render(q->t, bp);
    put(&q->out, "{}");
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

static void restart(struct target *t) {
    cancel_end(t);
    t->pid += 100000;
    t->exited = false;
    t->hits = 0;
    stop_at(t, STOP_LAUNCH, find_func("_rt0_amd64_linux"));
    for (int i = 0; i < t->nbps; i++)
        bp_render(t, t->bps[i]);
    if (t->running)
        finish_run(t, NULL);
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

static void conn_close(struct conn *c);

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

static struct method methods[] = {
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
enum { NMETHODS = sizeof methods / sizeof *methods };

// ---- dispatch ----

static struct method *find_method(const char *full) {
    if (strncmp(full, "RPCServer.", 10))
        return NULL;
    for (int i = 0; i < NMETHODS; i++)
        if (!strcmp(methods[i].name, full + 10))
            return &methods[i];
    return NULL;
}

static bool rule_names(const struct rule *r, const char *method, const char *command) {
    return !strcmp(r->method, "*") || !strcmp(r->method, method) ||
           (!strcmp(method, "Command") && !strcmp(r->method, command));
}

// The first rule that fits; every rule counts, whether or not it was its turn.
static const struct rule *match_rule(struct conn *c, const char *method, const char *command) {
    const struct rule *found = NULL;
    for (size_t i = 0; i < nrules; i++) {
        const struct rule *r = &rules[i];
        if ((r->conn && r->conn != c->number) || !rule_names(r, method, command))
            continue;
        long n = ++c->seen[i];
        if (!found && (!r->nth || r->nth == n))
            found = r;
    }
    return found;
}

// True: the rule has dealt with the request.
static bool apply_rule(struct call *q) {
    const struct rule *rule = q->r.rule;
    struct conn *c = q->c;
    switch (rule->action) {
    case ACT_REPLY:
        q->r.rule = NULL;
        send_reply(&q->r, rule->arg, NULL);
        return true;
    case ACT_ERROR:
        q->r.rule = NULL;
        send_reply(&q->r, NULL, rule->arg);
        return true;
    case ACT_CLOSE: conn_close(c); return true;
    case ACT_DAP: write_dap(c); return true;
    case ACT_STALL: go_silent(c); return false;
    case ACT_BPGONE: bps_vanish(q->t); return false;
    case ACT_PIDCHANGE:
        bps_vanish(q->t);
        restart(q->t);
        return false;
    default: return false;
    }
}

static void execute(struct conn *c, json_t *root, const struct rule *rule) {
    const char *full = str_of(root, "method");
    struct method *m = find_method(full);
    struct call q = {.c = c, .t = c->t};
    char *id = json_dumps(json_object_get(root, "id"), JSON_ENCODE_ANY);
    q.params = json_array_get(json_object_get(root, "params"), 0);
    q.r = (struct request){.c = c, .rule = rule};
    snprintf(q.r.id, sizeof q.r.id, "%s", id && strlen(id) < ID_MAX ? id : "null");
    free(id);
    if (rule && apply_rule(&q))
        return;
    if (!m) {
        fail(&q, "unknown method: %s", full);
    } else if (m->locks && q.t->running) {
        violation(c, "needs the target lock while the target runs: connection wedged", m->name);
        c->deaf = q.later = true;
    } else {
        m->run(&q);
    }
    if (!q.later)
        send_reply(&q.r, q.out.p ? q.out.p : "null", q.err.len ? q.err.p : NULL);
    free(q.out.p);
    free(q.err.p);
}

static void parse_input(struct conn *c);

static void on_delay_over(uv_timer_t *timer) {
    struct conn *c = timer->data;
    json_t *root = c->delayed;
    c->delayed = NULL;
    execute(c, root, NULL);
    json_decref(root);
    parse_input(c);
}

static void dispatch(struct conn *c, json_t *root) {
    const char *full = str_of(root, "method");
    struct method *m = find_method(full);
    json_t *params = json_array_get(json_object_get(root, "params"), 0);
    if (m)
        m->count++;
    else
        stats.unknown++;
    const struct rule *rule = match_rule(c, m ? m->name : full, str_of(params, "name"));
    stats.faults += rule != NULL;
    if (rule && rule->action == ACT_DELAY) {
        c->delayed = json_incref(root);
        uv_timer_start(&c->delay, on_delay_over, (uint64_t)rule->number, 0);
        return;
    }
    execute(c, root, rule);
}

// Length of the first JSON object in p, 0 when it is not whole yet.
static size_t object_length(const char *p, size_t n) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string && p[i] == '\\')
            i++;
        else if (p[i] == '"')
            in_string = !in_string;
        else if (!in_string && p[i] == '{')
            depth++;
        else if (!in_string && p[i] == '}' && --depth == 0)
            return i + 1;
    }
    return 0;
}

static void parse_input(struct conn *c) {
    size_t at = 0;
    while (!c->closing && !c->deaf && !c->delayed) {
        while (at < c->in.len && isspace((unsigned char)c->in.p[at]))
            at++;
        size_t n = at < c->in.len ? object_length(c->in.p + at, c->in.len - at) : 0;
        bool bad = at < c->in.len && c->in.p[at] != '{';
        if (!n && !bad && c->in.len - at < MAX_REQUEST)
            break;
        json_t *root = n && !bad ? json_loadb(c->in.p + at, n, JSON_ALLOW_NUL, NULL) : NULL;
        if (!root) {
            conn_close(c); // as a real server does with what is not JSON
            return;
        }
        dispatch(c, root);
        json_decref(root);
        at += n;
    }
    if (c->deaf)
        at = c->in.len;
    memmove(c->in.p, c->in.p + at, c->in.len - at);
    c->in.len -= at;
}

// ---- connections ----

static void finish_if_done(void);

static void on_conn_closed(uv_handle_t *h) {
    struct conn *c = h->data;
    if (--c->handles)
        return;
    json_decref(c->delayed);
    free(c->in.p);
    free(c->seen);
    free(c);
    stats.open--;
    finish_if_done();
}

// The connection's own target is gone after this: handlers must not touch it again.
static void conn_close(struct conn *c) {
    if (c->closing)
        return;
    c->closing = true;
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    forget_conn(c->t, c);
    if (opt.single && !c->t->detached && !c->t->exited)
        stats.killed++; // a launched target dies with the only client
    if (c->t != shared)
        target_release(c->t);
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
    uv_close((uv_handle_t *)&c->delay, on_conn_closed);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b) {
    static char chunk[65536];
    (void)h, (void)hint;
    *b = uv_buf_init(chunk, sizeof chunk);
}

// A deaf connection is still drained, to notice its end: a real server would not.
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b) {
    struct conn *c = s->data;
    if (n < 0) {
        conn_close(c);
    } else if (n > 0 && !c->deaf) {
        buf_add(&c->in, b->base, (size_t)n);
        parse_input(c);
    }
}

static void on_connection(uv_stream_t *server, int status) {
    if (status < 0 || (opt.single && stats.connections))
        return; // single client: the next ones are left unanswered
    struct conn *c = must(calloc(1, sizeof *c));
    uv_tcp_init(loop, &c->tcp);
    uv_timer_init(loop, &c->delay);
    c->tcp.data = c->delay.data = c;
    c->handles = 2;
    c->number = (long)++stats.connections;
    c->seen = must(calloc(nrules + 1, sizeof *c->seen));
    c->t = shared ? shared : target_new();
    c->next = conns;
    c->prev = &conns;
    if (conns)
        conns->prev = &c->next;
    conns = c;
    if (++stats.open > stats.peak)
        stats.peak = stats.open;
    if (uv_accept(server, (uv_stream_t *)&c->tcp)) {
        conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

// ---- the end ----

static void report(void) {
    const char *sep = "";
    printf("{\"connections\":%" PRIu64 ",\"peak\":%" PRIu64 ",\"requests\":{", stats.connections,
           stats.peak);
    for (int i = 0; i < NMETHODS; i++)
        if (methods[i].count) {
            printf("%s\"%s\":%" PRIu64, sep, methods[i].name, methods[i].count);
            sep = ",";
        }
    if (stats.unknown)
        printf("%s\"unknown\":%" PRIu64, sep, stats.unknown);
    printf("},\"hits\":%" PRIu64 ",\"continues\":%" PRIu64 ",\"halts\":%" PRIu64
           ",\"other_commands\":%" PRIu64 ",\"violations\":%" PRIu64 ",\"left_armed\":%" PRIu64
           ",\"left_stopped\":%" PRIu64 ",\"detached\":%" PRIu64 ",\"killed\":%" PRIu64
           ",\"faults\":%" PRIu64 "}\n",
           stats.hits, stats.continues, stats.halts, stats.other_commands, stats.violations,
           stats.left_armed, stats.left_stopped, stats.detached, stats.killed, stats.faults);
    fflush(stdout);
}

static void finish(void) {
    for (struct conn *c = conns; c; c = c->next)
        if (c->t != shared)
            count_leftovers(c->t);
    if (shared)
        count_leftovers(shared);
    report();
    exit(stats.violations ? EXIT_VIOLATION : 0);
}

static void finish_if_done(void) {
    if (opt.once && !stats.open && stats.connections >= (uint64_t)opt.clients)
        finish();
}

static void on_signal(uv_signal_t *h, int signum) {
    (void)h, (void)signum;
    finish();
}

// ---- options and script ----

static long number_of(const char *s, const char *what) {
    char *end;
    long n = strtol(s, &end, 10);
    if (!*s || *end || n < 0) {
        fprintf(stderr, "fakedlv: %s: not a number: %s\n", what, s);
        exit(EXIT_USAGE);
    }
    return n;
}

static void check_rule(struct rule *r, int line) {
    const char *why = NULL;
    bool resumes = !strcmp(r->method, "continue") || !strcmp(r->method, "Command");
    json_t *j = r->action == ACT_REPLY ? json_loads(r->arg, JSON_DECODE_ANY, NULL) : NULL;
    if (action_table[r->action].needs_arg && !*r->arg)
        why = "this action needs an argument";
    else if (action_table[r->action].stop_only && !resumes)
        why = "this action is for continue or Command only";
    else if (r->action == ACT_REPLY && !j)
        why = "the reply is not JSON";
    else if (r->action == ACT_DELAY || r->action == ACT_HUGE)
        r->number = number_of(r->arg, "script");
    json_decref(j);
    if (why) {
        fprintf(stderr, "fakedlv: script line %d: %s\n", line, why);
        exit(EXIT_USAGE);
    }
}

static void add_rule(char *text, int line) {
    char *save, *method = strtok_r(text, " \t\n", &save), *action = strtok_r(NULL, " \t\n", &save);
    char *arg = strtok_r(NULL, "\n", &save);
    if (!method || method[0] == '#')
        return;
    rules = must(realloc(rules, (nrules + 1) * sizeof *rules));
    struct rule *r = &rules[nrules++];
    *r = (struct rule){.action = ACT_COUNT};
    r->arg = must(strdup(arg ? arg + strspn(arg, " \t") : ""));
    char *at = strchr(method, '@'), *hash = strchr(method, '#');
    if (at)
        r->conn = number_of((*at = 0, at + 1), "script");
    if (hash)
        r->nth = number_of((*hash = 0, hash + 1), "script");
    snprintf(r->method, sizeof r->method, "%s", method);
    for (int i = 0; action && i < ACT_COUNT; i++)
        if (!strcmp(action, action_table[i].name))
            r->action = (enum action)i;
    if (r->action == ACT_COUNT) {
        fprintf(stderr, "fakedlv: script line %d: no such action: %s\n", line,
                action ? action : "");
        exit(EXIT_USAGE);
    }
    check_rule(r, line);
}

static void load_script(const char *path) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    if (!f) {
        perror(path);
        exit(EXIT_USAGE);
    }
    for (int n = 1; getline(&line, &cap, f) >= 0; n++)
        add_rule(line, n);
    free(line);
    fclose(f);
}

static void standard_funcs(void) {
    static const char *const names[] = {"main.main", "main.traceMe", "main.work", "main.handle",
                                        "main.f",    "main.g",       "main.h",    "main.inner"};
    add_func("_rt0_amd64_linux", "/src/go/runtime/rt0_linux_amd64.s", 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_func(names[i], "/src/app/main.go", 11 + 10 * (int)i);
    add_func("runtime.main", "/src/go/runtime/proc.go", 149);
    add_func("runtime.goexit", "/src/go/runtime/asm_amd64.s", 1771);
    add_func("runtime.futex", "/src/go/runtime/sys_linux_amd64.s", 570);
    add_func("runtime.fatalpanic", "/src/go/runtime/panic.go", 1456);
    add_func("runtime.throw", "/src/go/runtime/panic.go", 1);
}

// NAME or NAME=FILE:LINE
static void option_func(char *arg) {
    char *eq = strchr(arg, '='), *colon = eq ? strrchr(eq, ':') : NULL;
    if (eq && !colon)
        die("--func NAME=FILE:LINE");
    if (eq)
        *eq = *colon = 0;
    add_func(arg, eq ? eq + 1 : "/src/app/extra.go",
             eq ? (int)number_of(colon + 1, "--func") : 11 + 10 * nfuncs);
}

static void option_version(const char *v) {
    opt.old = !strcmp(v, "1.20.2");
    if (!opt.old && strcmp(v, "1.27.2"))
        die("--version 1.20.2|1.27.2");
}

static void option_stopped_at(const char *name) {
    opt.stopped_at = find_func(name);
    if (!opt.stopped_at)
        die("--stopped-at: no such function (put --func before it)");
}

static void usage(void) {
    die("usage: fakedlv [--port N] [--once] [--clients N] [--shared] [--single] [--running]\n"
        "  [--stopped-at FUNC] [--hits N] [--exit-status S] [--delay-us D] [--variables-bytes N]\n"
        "  [--version 1.20.2|1.27.2] [--func NAME[=FILE:LINE]]... [--script FILE]...");
}

static void parse_options(int argc, char **argv) {
    static const struct option longs[] = {{"hits", 1, 0, 'h'},
                                          {"exit-status", 1, 0, 'e'},
                                          {"delay-us", 1, 0, 'd'},
                                          {"running", 0, 0, 'r'},
                                          {"variables-bytes", 1, 0, 'b'},
                                          {"single", 0, 0, '1'},
                                          {"stopped-at", 1, 0, 'a'},
                                          {"version", 1, 0, 'v'},
                                          {"script", 1, 0, 's'},
                                          {"once", 0, 0, 'o'},
                                          {"clients", 1, 0, 'c'},
                                          {"shared", 0, 0, 'm'},
                                          {"func", 1, 0, 'f'},
                                          {"port", 1, 0, 'p'},
                                          {0, 0, 0, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (o) {
        case 'h': opt.hits = number_of(optarg, "--hits"); break;
        case 'e': opt.exit_status = atol(optarg); break;
        case 'd': opt.delay_us = number_of(optarg, "--delay-us"); break;
        case 'b': opt.variables_bytes = number_of(optarg, "--variables-bytes"); break;
        case 'c':
            opt.clients = number_of(optarg, "--clients");
            opt.once = true;
            break;
        case 'p': opt.port = number_of(optarg, "--port"); break;
        case 'r': opt.running = true; break;
        case '1': opt.single = opt.once = true; break;
        case 'o': opt.once = true; break;
        case 'm': opt.shared = true; break;
        case 'a': option_stopped_at(optarg); break;
        case 'v': option_version(optarg); break;
        case 's': load_script(optarg); break;
        case 'f': option_func(optarg); break;
        default: usage();
        }
    }
    if (optind < argc)
        usage();
}

static void raise_file_limit(void) {
    struct rlimit r;
    if (!getrlimit(RLIMIT_NOFILE, &r)) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in a;
    int len = sizeof a;
    standard_funcs();
    parse_options(argc, argv);
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    loop = uv_default_loop();
    if (opt.shared)
        shared = target_new();
    uv_tcp_init(loop, &listener);
    uv_ip4_addr("127.0.0.1", (int)opt.port, &a);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&a, 0) ||
        uv_listen((uv_stream_t *)&listener, 1024, on_connection))
        die("cannot listen");
    uv_tcp_getsockname(&listener, (struct sockaddr *)&a, &len);
    uv_signal_init(loop, &on_term);
    uv_signal_init(loop, &on_int);
    uv_signal_start(&on_term, on_signal, SIGTERM);
    uv_signal_start(&on_int, on_signal, SIGINT);
    printf("API server listening at: 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
