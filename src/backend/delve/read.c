/* Values at a stop. What came with the stop is taken from there; what did not, or was loaded less
 * deeply than wanted, is asked for, and read again.
 *
 * Delve answers what it was asked, however long that takes, before it lets the target go on. So
 * only as much is under way as is known to be quick, from the last time: then all that is missing
 * goes out in one write. */
#include "backend/delve/delve.h"

#include <stdio.h>
#include <stdlib.h>

#define MEMORY_CHUNK 1000 /* ExamineMemory gives no more at a time */

/* What may be under way at once; so much, where it is not known. */
#define AHEAD_NS UINT64_C(5000000)

enum read_state { READ_QUEUED, READ_WAITING, READ_ANSWERED, READ_FAILED };

struct read {
    struct read *next;
    const struct want *want;
    int64_t goroutine, thread;
    enum read_state state;
    enum delve_method method;
    json_t *params; /* until it is sent */
    uint64_t ns;    /* what it is expected to take, while it is under way */
    json_t *result;
    char *error;
};

/* Delve tells Go's results as arguments of another kind; of C it knows none. */
static const char no_c_results[] = "Delve does not know what a function of C returns";

static bool is_c(const struct hit *hit) {
    return !strncmp(hit->function, "C.", 2);
}

/* What a read has taken. */
struct cost {
    const struct want *want;
    uint64_t ns;
};

struct memory {
    struct memory *next;
    struct delve_memory range;
    uint32_t chunks_left;
    char *error;
    char bytes[];
};

struct chunk {
    struct memory *memory;
    uint32_t offset;
};

/* ---- how many are under way ---- */

static struct cost *cost_of(struct backend *b, const struct want *want) {
    for (size_t i = 0; i < b->cost_count; i++)
        if (b->costs[i].want == want)
            return &b->costs[i];
    return NULL;
}

static void learn(struct backend *b, struct read *read) {
    uint64_t now = uv_hrtime();
    struct cost *cost = cost_of(b, read->want);
    if (!cost && (cost = ARRAY_ADD(b->costs, b->cost_count, b->cost_cap)))
        cost->want = read->want;
    if (cost)
        cost->ns = now - b->read_ns; /* the server works through them one by one */
    b->read_ns = now;
    b->under_way_ns -= read->ns;
    read->ns = 0;
}

static void on_read(struct backend *b, void *ctx, struct span result, struct error *error);

/* The oldest first; the list has the newest first. */
static struct read *next_queued(struct backend *b) {
    struct read *next = NULL;
    for (struct read *read = b->reads; read; read = read->next)
        if (read->state == READ_QUEUED)
            next = read;
    return next;
}

void delve_send_reads(struct backend *b) {
    struct read *read;
    while (!b->dead && (read = next_queued(b))) {
        const struct cost *cost = cost_of(b, read->want);
        read->ns = cost ? cost->ns : AHEAD_NS;
        if (b->under_way_ns && b->under_way_ns + read->ns > AHEAD_NS)
            return;
        if (!b->under_way_ns)
            b->read_ns = uv_hrtime();
        b->under_way_ns += read->ns;
        read->state = READ_WAITING;
        json_t *params = read->params;
        read->params = NULL;
        delve_call(b, read->method, params, on_read, read);
    }
}

static void on_read(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct read *read = ctx;
    learn(b, read);
    if (read->state == READ_WAITING && error) {
        read->state = READ_FAILED;
        read->error = strdup(error->message);
    } else if (read->state == READ_WAITING) {
        read->state = READ_ANSWERED;
        read->result = span_decode(result, &b->scratch);
    }
    error_free(error);
    delve_send_reads(b);
}

static void on_chunk(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct chunk *chunk = ctx;
    struct memory *memory = chunk->memory;
    json_t *root = error ? NULL : span_decode(result, &b->scratch);
    const json_t *mem = json_object_get(root, "Mem");
    char *bytes = json_is_string(mem) ? strdup(json_string_value(mem)) : NULL;
    size_t n = bytes ? strlen(bytes) : 0;
    uint32_t left = memory->range.length - chunk->offset,
             want = left < MEMORY_CHUNK ? left : MEMORY_CHUNK;
    if (!memory->error && (!bytes || !text_unbase64(bytes, &n) || n < want))
        memory->error = strdup(error ? error->message : "the memory cannot be read");
    else if (!memory->error)
        memcpy(memory->bytes + chunk->offset, bytes, want);
    memory->chunks_left--;
    free(bytes);
    free(chunk);
    json_decref(root);
    error_free(error);
}

/* A server whose goroutine is not the current one is asked by its number; one without a goroutine
 * (a thread in C code) only as the current one. */
static json_t *scope_of(const struct backend *b, const struct hit *hit) {
    bool current = hit == b->hits || !hit->goroutine;
    return delve_scope(current && b->hit_count == 1 ? -1 : hit->goroutine ? hit->goroutine : -1, 0);
}

static void ask(struct backend *b, const struct hit *hit, const struct want *want,
                enum delve_method method, json_t *params) {
    struct read *read = calloc(1, sizeof *read);
    if (!read) {
        json_decref(params);
        return;
    }
    *read = (struct read){.next = b->reads,
                          .want = want,
                          .goroutine = hit->goroutine,
                          .thread = hit->thread,
                          .method = method,
                          .params = params};
    b->reads = read;
}

static struct delve_load load_of(const struct want *want) {
    return (struct delve_load){want->load.string, want->load.items, want->load.depth,
                               want->load.bytes};
}

static void ask_eval(struct backend *b, const struct hit *hit, const struct want *want) {
    struct delve_load load = load_of(want);
    ask(b, hit, want, DELVE_EVAL,
        json_pack("{s:o,s:s,s:o}", "Scope", scope_of(b, hit), "Expr", want->expr, "Cfg",
                  delve_load_config(&load)));
}

static void ask_args(struct backend *b, const struct hit *hit, const struct want *want) {
    struct delve_load load = load_of(want);
    ask(b, hit, want, DELVE_LIST_ARGS,
        json_pack("{s:o,s:o}", "Scope", scope_of(b, hit), "Cfg", delve_load_config(&load)));
}

static void ask_locals(struct backend *b, const struct hit *hit, const struct want *want) {
    struct delve_load load = load_of(want);
    ask(b, hit, want, DELVE_LIST_LOCALS,
        json_pack("{s:o,s:o}", "Scope", scope_of(b, hit), "Cfg", delve_load_config(&load)));
}

static void ask_stack(struct backend *b, const struct hit *hit, const struct want *want) {
    int depth = want->frames > 1 ? (int)want->frames - 1 : 1;
    ask(b, hit, want, DELVE_STACKTRACE,
        json_pack("{s:I,s:i}", "Id", (json_int_t)(hit->goroutine ? hit->goroutine : -1), "Depth",
                  depth));
}

static void ask_registers(struct backend *b, const struct hit *hit, const struct want *want) {
    ask(b, hit, want, DELVE_LIST_REGISTERS,
        json_pack("{s:I,s:b}", "ThreadID", (json_int_t)hit->thread, "IncludeFp", 0));
}

/* Grouped by their `go` statement: the groups' totals count all of them without loading all. */
static void ask_goroutines(struct backend *b, const struct hit *hit, const struct want *want) {
    ask(b, hit, want, DELVE_LIST_GOROUTINES,
        json_pack("{s:i,s:i,s:i,s:i,s:i}", "Start", 0, "Count", 1000000, "GroupBy", 3,
                  "MaxGroupMembers", (int)want->load.items, "MaxGroups", 1000));
}

static void ask_goroutine(struct backend *b, const struct hit *hit, const struct want *want) {
    ask(b, hit, want, DELVE_LIST_GOROUTINES, json_pack("{s:i,s:i}", "Start", 0, "Count", 100000));
}

static void ask_thread(struct backend *b, const struct hit *hit, const struct want *want) {
    ask(b, hit, want, DELVE_LIST_THREADS, NULL);
}

static void ask_list(struct backend *b, const struct hit *hit, const struct want *want) {
    struct read *read = calloc(1, sizeof *read);
    if (!read)
        return;
    *read = (struct read){.next = b->reads,
                          .want = want,
                          .goroutine = hit->goroutine,
                          .thread = hit->thread,
                          .state = READ_WAITING};
    b->reads = read;
    delve_ask_list(b, want->expr, want->pattern, on_read, read);
}

/* ---- answers to values ---- */

static const char *cached_memory(void *ctx, struct delve_memory range, const char **error) {
    struct backend *b = ctx;
    for (struct memory *m = b->memories; m; m = m->next) {
        if (m->range.address != range.address || m->range.length != range.length)
            continue;
        *error = m->error;
        return m->error || m->chunks_left ? NULL : m->bytes;
    }
    return NULL;
}

static void want_memory(struct backend *b, struct delve_memory range) {
    struct memory *memory = calloc(1, sizeof *memory + range.length + 1);
    if (!memory)
        return;
    memory->range = range;
    memory->next = b->memories;
    b->memories = memory;
    for (uint32_t offset = 0; offset < range.length; offset += MEMORY_CHUNK) {
        struct chunk *chunk = malloc(sizeof *chunk);
        if (!chunk)
            return;
        *chunk = (struct chunk){memory, offset};
        uint32_t left = range.length - offset;
        memory->chunks_left++;
        delve_call(b, DELVE_EXAMINE_MEMORY,
                   json_pack("{s:I,s:i}", "Address", (json_int_t)(range.address + offset), "Length",
                             (int)(left < MEMORY_CHUNK ? left : MEMORY_CHUNK)),
                   on_chunk, chunk);
    }
}

/* One variable. False: more must be read first (queued, where `final`). */
static bool convert(struct backend *b, const struct want *want, const json_t *variable, bool final,
                    struct buffer *into, value_ref *out) {
    struct delve_reader reader = {.into = into,
                                  .load = load_of(want),
                                  .as = (enum delve_as)want->as,
                                  .final = final,
                                  .memory = cached_memory,
                                  .ctx = b};
    *out = delve_value(&reader, variable);
    for (unsigned i = 0; i < reader.wanted_count && final; i++)
        want_memory(b, reader.wanted[i]);
    return !reader.incomplete && !reader.failed;
}

#define FLAG_SHADOWED 2
#define FLAG_RESULT 16

/* Arguments, locals or results as an object; a single result stands for itself. */
static bool convert_all(struct backend *b, const struct want *want, const json_t *variables,
                        struct buffer *into, value_ref *out) {
    bool results = want->kind == WANT_RESULTS, whole = true;
    value_ref object = value_new(into, VALUE_OBJECT), only = 0;
    const json_t *variable;
    size_t i, n = 0;
    json_array_foreach(variables, i, variable) {
        int64_t flags = delve_int(json_object_get(variable, "flags"));
        const char *name = delve_text(json_object_get(variable, "name"));
        if (want->kind != WANT_LOCALS && results != !!(flags & FLAG_RESULT))
            continue;
        if ((flags & FLAG_SHADOWED) || value_find(into, object, name))
            continue;
        whole &= convert(b, want, variable, true, into, &only);
        value_set(into, object, name, only);
        n++;
    }
    *out = results && n == 1 ? value_copy(into, into, only) : object;
    return whole;
}

/* The answer to ask_*() as a value. */
static bool convert_answer(struct backend *b, const struct hit *hit, const struct want *want,
                           const json_t *result, struct buffer *into, value_ref *out) {
    switch (want->kind) {
    case WANT_EXPR: return convert(b, want, json_object_get(result, "Variable"), true, into, out);
    case WANT_ARGS:
    case WANT_RESULTS: return convert_all(b, want, json_object_get(result, "Args"), into, out);
    case WANT_LOCALS: return convert_all(b, want, json_object_get(result, "Variables"), into, out);
    default: *out = delve_answer(hit, want, result, into); return true;
    }
}

/* ---- what came with the stop ---- */

/* Which of the breakpoint's variables it is; SIZE_MAX: none. */
static size_t variable_index(const struct site *site, const struct want *want) {
    size_t index = 0;
    for (size_t i = 0; i < site->want_count; i++) {
        if (site->wants[i].kind != WANT_EXPR)
            continue;
        if (!strcmp(site->wants[i].expr, want->expr))
            return index;
        index++;
    }
    return SIZE_MAX;
}

static const json_t *prefetched(struct backend *b, const struct hit *hit, const struct want *want) {
    struct hit_info *info = &b->hit_infos[hit - b->hits];
    size_t index = variable_index(hit->site, want);
    if (index == SIZE_MAX || span_is_null(info->info.variables))
        return NULL;
    if (!info->variables)
        info->variables = span_decode(info->info.variables, &b->scratch);
    return json_array_get(info->variables, index);
}

static bool variable_came(struct span list, size_t index) {
    struct span element;
    bool broken;
    while (span_element(&list, &element, &broken))
        if (!index--)
            return delve_is_whole(element);
    return false;
}

bool delve_came(struct backend *b, const struct hit *hit, const struct want *want) {
    if (!hit->site)
        return false;
    const struct delve_info *info = &b->hit_infos[hit - b->hits].info;
    switch (want->kind) {
    case WANT_EXPR: return variable_came(info->variables, variable_index(hit->site, want));
    case WANT_STACK: return !span_is_null(info->stack);
    case WANT_GOROUTINE: return !span_is_null(info->goroutine);
    default: return false;
    }
}

static bool take_span(struct backend *b, struct span span, const struct want *want,
                      struct buffer *into, value_ref *out) {
    json_t *list = span_decode(span, &b->scratch);
    bool whole = true;
    if (want->kind == WANT_STACK)
        *out = delve_stack(want, list, into);
    else if (want->kind == WANT_GOROUTINE)
        *out = delve_goroutine(list, into, false);
    else
        whole = convert_all(b, want, list, into, out);
    json_decref(list);
    return whole;
}

/* 1: *out is the value; 0: it did not come, or not whole; -1: parts of it are queued. */
static int from_stop(struct backend *b, const struct hit *hit, const struct want *want,
                     struct buffer *into, value_ref *out) {
    if (!hit->site)
        return 0; /* nothing was asked for ahead */
    const struct delve_info *info = &b->hit_infos[hit - b->hits].info;
    static const char prefix[] = "eval error: ";
    struct span spans[] = {[WANT_ARGS] = info->arguments,      [WANT_RESULTS] = info->arguments,
                           [WANT_LOCALS] = info->locals,       [WANT_STACK] = info->stack,
                           [WANT_GOROUTINE] = info->goroutine, [WANT_LIST] = {0}};
    if (want->kind != WANT_EXPR) {
        if (!spans[want->kind].at || span_is_null(spans[want->kind]))
            return 0;
        return take_span(b, spans[want->kind], want, into, out) ? 1 : -1;
    }
    const json_t *variable = prefetched(b, hit, want);
    if (!variable)
        return 0;
    const char *unreadable = delve_text(json_object_get(variable, "unreadable"));
    if (!strncmp(unreadable, prefix, strlen(prefix))) {
        *out = value_error(into, "%s", unreadable + strlen(prefix));
        return 1;
    }
    return convert(b, want, variable, false, into, out);
}

static struct read *find_read(struct backend *b, const struct hit *hit, const struct want *want) {
    for (struct read *read = b->reads; read; read = read->next)
        if (read->want == want && read->goroutine == hit->goroutine && read->thread == hit->thread)
            return read;
    return NULL;
}

enum read_result delve_read(struct backend *b, const struct hit *hit, const struct want *want,
                            struct buffer *into, value_ref *out) {
    static void (*const askers[])(struct backend *, const struct hit *, const struct want *) = {
        [WANT_EXPR] = ask_eval,           [WANT_ARGS] = ask_args,
        [WANT_LOCALS] = ask_locals,       [WANT_RESULTS] = ask_args,
        [WANT_STACK] = ask_stack,         [WANT_REGISTERS] = ask_registers,
        [WANT_GOROUTINE] = ask_goroutine, [WANT_GOROUTINES] = ask_goroutines,
        [WANT_THREAD] = ask_thread,       [WANT_LIST] = ask_list};
    struct read *read = find_read(b, hit, want);
    if (want->kind == WANT_RESULTS && is_c(hit)) {
        *out = value_error(into, "%s", no_c_results);
        return READ_DONE;
    }
    if (!read) {
        int came = from_stop(b, hit, want, into, out);
        if (came > 0)
            return READ_DONE;
        if (b->command_running) { /* delve_came() took it for whole: it is no JSON */
            *out = value_error(into, "what the server sent with the stop cannot be read");
            return READ_DONE;
        }
        if (!came)
            askers[want->kind](b, hit, want);
        return READ_AGAIN;
    }
    if (read->state <= READ_WAITING)
        return READ_AGAIN;
    if (read->state == READ_FAILED) {
        *out = value_error(into, "%s", read->error ? read->error : "out of memory");
        return READ_DONE;
    }
    return convert_answer(b, hit, want, read->result, into, out) ? READ_DONE : READ_AGAIN;
}

static char *not_read(const char *why) {
    char *text = NULL;
    return asprintf(&text, "not read: %s", why) < 0 ? NULL : text;
}

void delve_give_up(struct backend *b, const char *why) {
    for (struct read *read = b->reads; read; read = read->next) {
        if (read->state > READ_WAITING)
            continue;
        read->state = READ_FAILED;
        read->error = not_read(why);
    }
    for (struct memory *memory = b->memories; memory; memory = memory->next)
        if (memory->chunks_left && !memory->error)
            memory->error = not_read(why);
    b->batch_open = false;
}

static void clear_memories(struct backend *b) {
    for (struct memory *memory = b->memories, *next; memory; memory = next) {
        next = memory->next;
        free(memory->error);
        free(memory);
    }
    b->memories = NULL;
}

void delve_reads_clear(struct backend *b) {
    delve_forget(b, on_read);
    for (size_t i = 0; i < b->call_count; i++) {
        if (b->calls[i].on_reply != on_chunk)
            continue;
        free(b->calls[i].ctx);
        b->calls[i].on_reply = NULL;
    }
    for (struct read *read = b->reads, *next; read; read = next) {
        next = read->next;
        json_decref(read->params);
        json_decref(read->result);
        free(read->error);
        free(read);
    }
    b->reads = NULL;
    b->under_way_ns = 0;
    clear_memories(b);
}
