// Replies about locations and breakpoints.
#include "fakedlv.h"
#include <ctype.h>

void h_list_bps(struct call *q) {
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

void h_find_location(struct call *q) {
    int line;
    const struct func *f = gone(q) ? NULL : resolve(q, str_of(q->params, "Loc"), &line);
    if (!f)
        return;
    put(&q->out, "{\"Locations\":[{");
    put_loc(&q->out, f, line, line_addr(f, line));
    putf(&q->out, ",\"pcs\":[%" PRIu64 "],\"pcpids\":[%d]}]%s}", line_addr(f, line), q->t->pid,
         opt.old ? "" : ",\"SubstituteLocExpr\":\"\"");
}

void h_return_locations(struct call *q) {
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

void h_create_bp(struct call *q) {
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

void h_get_bp(struct call *q) {
    struct bp *bp = wanted_bp(q);
    if (bp)
        answer_bp(q, bp);
}

void h_clear_bp(struct call *q) {
    struct bp *bp = wanted_bp(q);
    if (!bp)
        return;
    answer_bp(q, bp);
    bp_drop(q->t, bp);
    bp_free(bp);
}

void h_toggle_bp(struct call *q) {
    struct bp *bp = wanted_bp(q);
    if (!bp)
        return;
    bp->enabled = !bp->enabled;
    put(&q->out, "{\"Breakpoint\":");
    put_bp_head(&q->out, q->t, bp, bp->enabled);
    put_bp_tail(&q->out, bp);
    put(&q->out, "}");
}

void h_amend_bp(struct call *q) {
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
