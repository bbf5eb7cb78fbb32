// Breakpoints, and the state of a target, as Delve words them.
#include "fakedlv.h"

// ---- breakpoints ----

struct bp *bp_by(struct target *t, int id, const char *name) {
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

void put_bp_head(struct buf *b, const struct target *t, const struct bp *bp, bool gone) {
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

void put_bp_tail(struct buf *b, const struct bp *bp) {
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

void bp_render(const struct target *t, struct bp *bp) {
    struct buf b = {0};
    put_bp_head(&b, t, bp, false);
    free(bp->head);
    bp->head = b.p;
}

void put_bp(struct buf *b, const struct bp *bp) {
    put(b, bp->head);
    put_bp_tail(b, bp);
}

struct bp *bp_add(struct target *t, int id, const char *name, const struct func *f, int line,
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

void bp_free(struct bp *bp) {
    json_decref(bp->spec);
    free(bp->head);
    free(bp);
}

void bp_drop(struct target *t, const struct bp *gone) {
    int n = 0;
    for (int i = 0; i < t->nbps; i++)
        if (t->bps[i] != gone)
            t->bps[n++] = t->bps[i];
    t->nbps = n;
}

void bps_vanish(struct target *t) {
    int n = 0;
    for (int i = 0; i < t->nbps; i++) {
        if (t->bps[i]->id < 0)
            t->bps[n++] = t->bps[i];
        else
            bp_free(t->bps[i]);
    }
    t->nbps = n;
}

int armed(const struct target *t) {
    int n = 0;
    for (int i = 0; i < t->nbps; i++)
        n += t->bps[i]->enabled && !t->bps[i]->foreign;
    return n;
}

struct bp *next_armed(struct target *t) {
    for (int i = 0; i < t->nbps; i++) {
        struct bp *bp = t->bps[t->cursor++ % (unsigned)t->nbps];
        if (bp->enabled && !bp->foreign)
            return bp;
    }
    return NULL;
}

// ---- state ----

void put_goroutine(struct buf *b, int goid, const struct func *f, int line, uint64_t pc,
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

const struct func *frame_at(const struct target *t, int i, int *line, uint64_t *pc) {
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

void put_frames(struct buf *b, const struct target *t, int depth) {
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

void put_state(struct buf *b, struct target *t, bool info) {
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
