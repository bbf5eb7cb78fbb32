/* The keys of a probe. */
#include "recipe/parse.h"

#include <stdio.h>
#include <stdlib.h>

const char *const trigger_names[TRIGGERS] = {
    [TRIGGER_NONE] = "",         [TRIGGER_AT] = "at",
    [TRIGGER_CALL] = "call",     [TRIGGER_RETURN_OF] = "return_of",
    [TRIGGER_WATCH] = "watch",   [TRIGGER_TIMER] = "timer",
    [TRIGGER_SIGNAL] = "signal", [TRIGGER_PANIC] = "panic",
    [TRIGGER_EXIT] = "exit",     [TRIGGER_SYSCALL] = "syscall",
};

static void set_trigger(struct reader *reader, const struct node *node, struct probe *probe,
                        enum trigger trigger) {
    if (probe->trigger)
        source_error(reader->source, node->key->mark,
                     "%s has two triggers, \"%s\" and \"%s\": a probe has exactly one",
                     reader->where, trigger_names[probe->trigger], trigger_names[trigger]);
    probe->trigger = trigger;
    probe->trigger_mark = node->mark;
}

static void read_at(struct reader *reader, const struct node *node, void *into) {
    set_trigger(reader, node, into, TRIGGER_AT);
    read_location(reader, node, &((struct probe *)into)->at);
}

static void need_function(struct reader *reader, const struct node *node, struct probe *probe) {
    read_location(reader, node, &probe->at);
    if (probe->at.file || probe->at.address)
        source_error(reader->source, node->mark, "%s: \"%s\" is about a function, not %s",
                     reader->where, node->key->text, probe->at.text);
}

static void read_call(struct reader *reader, const struct node *node, void *into) {
    set_trigger(reader, node, into, TRIGGER_CALL);
    need_function(reader, node, into);
}

static void read_return_of(struct reader *reader, const struct node *node, void *into) {
    set_trigger(reader, node, into, TRIGGER_RETURN_OF);
    need_function(reader, node, into);
}

static void read_watch_expr(struct reader *reader, const struct node *node, void *into) {
    free(((struct probe *)into)->watch);
    ((struct probe *)into)->watch = read_text(reader, node, LANGUAGE_TARGET);
}

static void read_watch_access(struct reader *reader, const struct node *node, void *into) {
    static const char *const words[] = {"read", "write", "rw", NULL};
    int access = read_word(reader, node, words);
    if (access >= 0)
        ((struct probe *)into)->access = (enum watch_access)(access + 1);
}

static void read_watch_from(struct reader *reader, const struct node *node, void *into) {
    ((struct probe *)into)->watch_from_name = read_name(reader, node, "a probe");
}

const struct key watch_keys[] = {
    {"expr", "{\"type\":\"string\"}", "what to watch", read_watch_expr, true},
    {"access", "{\"enum\":[\"read\",\"write\",\"rw\"]}", "which accesses", read_watch_access,
     false},
    {"from", "{\"type\":\"string\"}", "the probe at whose hit the address is taken",
     read_watch_from, false},
    {0}};

static void read_watch(struct reader *reader, const struct node *node, void *into) {
    set_trigger(reader, node, into, TRIGGER_WATCH);
    ((struct probe *)into)->access = WATCH_WRITE;
    if (node->kind == NODE_MAP)
        read_map(reader, node, watch_keys, into);
    else
        read_watch_expr(reader, node, into);
}

static void read_timer(struct reader *reader, const struct node *node, void *into) {
    struct probe *probe = into;
    set_trigger(reader, node, probe, TRIGGER_TIMER);
    if (read_duration(reader, node, &probe->timer_ns) && probe->timer_ns < 1000000)
        source_error(reader->source, node->mark, "%s: a timer under 1ms would hold the target",
                     reader->where);
}

static void read_signal(struct reader *reader, const struct node *node, void *into) {
    set_trigger(reader, node, into, TRIGGER_SIGNAL);
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    free(((struct probe *)into)->signal);
    ((struct probe *)into)->signal = text;
    if (text)
        check_signal(reader, node, text);
}

static void read_flag_trigger(struct reader *reader, const struct node *node, struct probe *probe,
                              enum trigger trigger) {
    bool on;
    set_trigger(reader, node, probe, trigger);
    if (read_bool(reader, node, &on) && !on)
        source_error(reader->source, node->mark, "%s: %s: false means nothing; leave the key out",
                     reader->where, node->key->text);
}

static void read_panic(struct reader *reader, const struct node *node, void *into) {
    read_flag_trigger(reader, node, into, TRIGGER_PANIC);
}

static void read_exit(struct reader *reader, const struct node *node, void *into) {
    read_flag_trigger(reader, node, into, TRIGGER_EXIT);
}

static void read_syscall(struct reader *reader, const struct node *node, void *into) {
    set_trigger(reader, node, into, TRIGGER_SYSCALL);
    read_syscalls(reader, node, &((struct probe *)into)->at);
}

static void read_when(struct reader *reader, const struct node *node, void *into) {
    struct probe *probe = into;
    probe->when = read_text(reader, node, LANGUAGE_TARGET);
    probe->when_mark = node->mark;
}

static void read_hit_cond(struct reader *reader, const struct node *node, void *into) {
    static const char *const ops[] = {"==", "!=", "<=", ">=", "<", ">", "%"};
    static const int codes[] = {HIT_EQ, HIT_NE, HIT_LE, HIT_GE, HIT_LT, HIT_GT, HIT_MOD};
    struct hit_cond *cond = &((struct probe *)into)->hit_cond;
    char *text = read_text(reader, node, LANGUAGE_PLAIN), *end = text;
    if (!text)
        return;
    size_t op = 0, n_ops = sizeof ops / sizeof *ops;
    while (op < n_ops && strncmp(text, ops[op], strlen(ops[op])))
        op++;
    const char *number = text + (op < n_ops ? strlen(ops[op]) : 0);
    number += strspn(number, " ");
    cond->op = op < n_ops ? codes[op] : HIT_EQ;
    cond->n = strtoull(number, &end, 10);
    bool digits = strspn(number, "0123456789") == strlen(number) && *number && strlen(number) < 19;
    if (!digits || (cond->op == HIT_MOD && !cond->n))
        source_error(reader->source, node->mark,
                     "%s: hit_cond: \"%s\" is not == != < <= > >= or %% with a whole number%s",
                     reader->where, text, digits ? " above 0" : "");
    else
        snprintf(cond->text, sizeof cond->text, "%s %s", op < n_ops ? ops[op] : "==", number);
    free(text);
}

static void read_rate(struct reader *reader, const struct node *node, void *into) {
    struct probe *probe = into;
    char *text = read_text(reader, node, LANGUAGE_PLAIN), *slash = text ? strchr(text, '/') : NULL;
    double factor = 0;
    enum unit_kind kind = UNIT_NONE;
    if (slash && text_unit(slash + 1, strlen(slash + 1), &kind, &factor) && kind == UNIT_TIME) {
        probe->rate_hits = strtoull(text, NULL, 10);
        probe->rate_per_ns = (uint64_t)factor;
    }
    if (text && (!probe->rate_hits || probe->rate_hits > 1000000 ||
                 strspn(text, "0123456789") != (size_t)(slash - text)))
        source_error(reader->source, node->mark, "%s: rate: \"%s\" is not like 50/s or 10/m",
                     reader->where, text);
    free(text);
}

static void read_max_hits(struct reader *reader, const struct node *node, void *into) {
    struct probe *probe = into;
    if (read_uint(reader, node, 1000000000000, &probe->max_hits) && !probe->max_hits)
        source_error(reader->source, node->mark, "%s: max_hits: 0 would never hit", reader->where);
}

static void read_every(struct reader *reader, const struct node *node, void *into) {
    struct probe *probe = into;
    if (read_duration(reader, node, &probe->every_ns) && probe->every_ns < 1000000)
        source_error(reader->source, node->mark, "%s: every: at least 1ms", reader->where);
}

static void read_after_probe(struct reader *reader, const struct node *node, void *into) {
    ((struct probe *)into)->after_name = read_name(reader, node, "a probe");
}

static void read_after_same(struct reader *reader, const struct node *node, void *into) {
    static const char *const words[] = {"goroutine", "thread", NULL};
    int same = read_word(reader, node, words);
    if (same >= 0)
        ((struct probe *)into)->after_same = same ? SAME_THREAD : SAME_GOROUTINE;
}

static void read_after_within(struct reader *reader, const struct node *node, void *into) {
    read_duration(reader, node, &((struct probe *)into)->after_within_ns);
}

const struct key after_keys[] = {
    {"probe", "{\"type\":\"string\"}", "the probe that must have hit", read_after_probe, true},
    {"same", "{\"enum\":[\"goroutine\",\"thread\"]}", "on the same goroutine or thread",
     read_after_same, false},
    {"within", "{\"type\":\"string\"}", "how long ago at most", read_after_within, false},
    {0}};

static void read_after(struct reader *reader, const struct node *node, void *into) {
    if (node->kind == NODE_MAP)
        read_map(reader, node, after_keys, into);
    else
        read_after_probe(reader, node, into);
}

static void read_capture_expr(struct reader *reader, const struct node *node, void *into) {
    ((struct capture *)into)->expr = read_text(reader, node, LANGUAGE_TARGET);
}

static void read_capture_as(struct reader *reader, const struct node *node, void *into) {
    static const char *const words[] = {"addr", "hex", "text", "bytes", NULL};
    int as = read_word(reader, node, words);
    if (as >= 0)
        ((struct capture *)into)->as = (enum capture_as)(as + 1);
}

#define CAPTURE_LOAD(field, most)                                                                  \
    static void read_capture_##field(struct reader *reader, const struct node *node, void *into) { \
        uint64_t number = 0;                                                                       \
        if (read_size(reader, node, most, &number))                                                \
            ((struct capture *)into)->load.field = (unsigned)number;                               \
    }
CAPTURE_LOAD(depth, 16)
CAPTURE_LOAD(items, 100000)
CAPTURE_LOAD(bytes, 1 << 20)

static void read_capture_string(struct reader *reader, const struct node *node, void *into) {
    uint64_t number = 0;
    if (read_size(reader, node, 1 << 20, &number))
        ((struct capture *)into)->load.string = (unsigned)number;
}

const struct key capture_keys[] = {
    {"expr", "{\"type\":[\"string\",\"number\"]}", "what to read", read_capture_expr, true},
    {"as", "{\"enum\":[\"addr\",\"hex\",\"text\",\"bytes\"]}", "how to show it", read_capture_as,
     false},
    {"depth", "{\"type\":[\"string\",\"integer\"]}", "dereferences and nesting", read_capture_depth,
     false},
    {"string", "{\"type\":[\"string\",\"integer\"]}", "bytes of a string", read_capture_string,
     false},
    {"items", "{\"type\":[\"string\",\"integer\"]}", "elements", read_capture_items, false},
    {"bytes", "{\"type\":[\"string\",\"integer\"]}", "bytes of a []byte", read_capture_bytes,
     false},
    {0}};

static struct capture *add_capture(struct reader *reader, const struct node *node,
                                   struct capture **list, size_t *count, size_t *cap,
                                   const char *name) {
    for (size_t i = 0; i < *count; i++) {
        if (!strcmp((*list)[i].name, name)) {
            source_error(reader->source, node->mark,
                         "%s captures \"%s\" twice: give one another name", reader->where, name);
            return NULL;
        }
    }
    struct capture *capture = ARRAY_ADD(*list, *count, *cap);
    if (!capture || !(capture->name = strdup(name))) {
        *count -= capture != NULL;
        source_no_memory(reader->source);
        return NULL;
    }
    capture->load = (struct load){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}; /* the probe's */
    capture->mark = node->mark;
    return capture;
}

static void read_capture(struct reader *reader, const struct node *node, struct capture *capture) {
    if (node->kind == NODE_MAP)
        read_map(reader, node, capture_keys, capture);
    else
        read_capture_expr(reader, node, capture);
    if (capture->expr && !*capture->expr)
        source_error(reader->source, node->mark, "%s: an empty expression", reader->where);
}

/* `capture: [b.x, main.depth]` names each by its expression. */
static void read_captures(struct reader *reader, const struct node *node, struct capture **list,
                          size_t *count, size_t *cap) {
    if (node->kind == NODE_SCALAR) {
        struct capture *capture = add_capture(reader, node, list, count, cap, node->text);
        if (capture)
            read_capture(reader, node, capture);
        return;
    }
    for (const struct node *at = node->first; at; at = at->next) {
        if (node->kind == NODE_LIST && !want_kind(reader, at, NODE_SCALAR, "an expression"))
            continue;
        const char *name = node->kind == NODE_LIST ? at->text : at->key->text;
        if (node->kind == NODE_MAP && !text_is_name(name))
            source_error(reader->source, at->key->mark, "%s: \"%s\" is no name for a capture",
                         reader->where, name);
        struct capture *capture = add_capture(reader, at, list, count, cap, name);
        if (capture)
            read_capture(reader, at, capture);
    }
}

static void read_capture_key(struct reader *reader, const struct node *node, void *into) {
    struct probe *probe = into;
    read_captures(reader, node, &probe->captures, &probe->capture_count, &probe->capture_cap);
}

static void read_at_return(struct reader *reader, const struct node *node, void *into) {
    struct probe *probe = into;
    read_captures(reader, node, &probe->at_return, &probe->return_count, &probe->return_cap);
}

#define FLAG(field)                                                                                \
    static void read_##field(struct reader *reader, const struct node *node, void *into) {         \
        read_bool(reader, node, &((struct probe *)into)->field);                                   \
    }
FLAG(args)
FLAG(locals)
FLAG(registers)
FLAG(goroutine)
FLAG(goroutines)
FLAG(thread)

static void read_stack(struct reader *reader, const struct node *node, void *into) {
    uint64_t frames = 0;
    read_uint(reader, node, 1024, &frames);
    ((struct probe *)into)->stack = (unsigned)frames;
}

static void read_probe_load(struct reader *reader, const struct node *node, void *into) {
    read_map(reader, node, load_keys, &((struct probe *)into)->load);
}

/* keep and log are compiled by resolve_probes(), when all names are known. */
static void read_later(struct reader *reader, const struct node *node, void *into) {
    (void)into;
    want_kind(reader, node, NODE_SCALAR, "a text");
}

static void read_emit(struct reader *reader, const struct node *node, void *into) {
    static const char *const words[] = {"all", "none", NULL};
    ((struct probe *)into)->emit_none = read_word(reader, node, words) == 1;
}

static void read_then(struct reader *reader, const struct node *node, void *into) {
    static const char *const words[] = {"disarm", "end", "end_run", NULL};
    static const enum action actions[] = {DO_DISARM, DO_END, DO_END_RUN};
    int then = read_word(reader, node, words);
    if (then >= 0)
        ((struct probe *)into)->then = actions[then];
}

static void read_stop(struct reader *reader, const struct node *node, void *into) {
    static const char *const words[] = {"thread", "process", NULL};
    int stop = read_word(reader, node, words);
    if (stop >= 0)
        ((struct probe *)into)->stop = stop ? STOP_PROCESS : STOP_THREAD;
}

#define TEXT "{\"type\":\"string\"}"
#define BOOL "{\"type\":[\"boolean\",\"string\"]}"
#define COUNT "{\"type\":[\"integer\",\"string\"]}"
#define CAPTURES "{\"$ref\":\"#/$defs/captures\"}"
#define LOCATION "{\"$ref\":\"#/$defs/location\"}"

const struct key probe_keys[] = {
    {"at", LOCATION, "trigger: a place in the code", read_at, false},
    {"call", LOCATION, "trigger: a function's entry and return, as one event", read_call, false},
    {"return_of", LOCATION, "trigger: a function's return", read_return_of, false},
    {"watch", "{\"anyOf\":[{\"type\":\"string\"},{\"$ref\":\"#/$defs/watch\"}]}",
     "trigger: a variable's change", read_watch, false},
    {"timer", TEXT, "trigger: time goes by", read_timer, false},
    {"signal", TEXT, "trigger: a signal", read_signal, false},
    {"panic", BOOL, "trigger: a panic or fatal error", read_panic, false},
    {"exit", BOOL, "trigger: the target's exit", read_exit, false},
    {"syscall",
     "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,\"items\":{"
     "\"type\":\"string\"}}]}",
     "trigger: a system call, or one of several", read_syscall, false},
    {"after", "{\"anyOf\":[{\"type\":\"string\"},{\"$ref\":\"#/$defs/after\"}]}",
     "only after another probe's hit", read_after, false},
    {"when", "{\"type\":[\"string\",\"boolean\"]}", "a condition in the target's language",
     read_when, false},
    {"hit_cond", "{\"type\":[\"string\",\"integer\"]}", "a condition on the count of hits",
     read_hit_cond, false},
    {"rate", TEXT, "most hits in a time, like 50/s", read_rate, false},
    {"max_hits", COUNT, "most hits of a target", read_max_hits, false},
    {"every", TEXT, "one hit in this time, disarmed in between", read_every, false},
    {"capture", CAPTURES, "what to read", read_capture_key, false},
    {"at_return", CAPTURES, "what to read at the return", read_at_return, false},
    {"args", BOOL, "read all arguments", read_args, false},
    {"locals", BOOL, "read all local variables", read_locals, false},
    {"registers", BOOL, "read the registers", read_registers, false},
    {"goroutine", BOOL, "details of the goroutine", read_goroutine, false},
    {"goroutines", BOOL, "all goroutines", read_goroutines, false},
    {"thread", BOOL, "details of the thread", read_thread, false},
    {"stack", COUNT, "frames of the stack", read_stack, false},
    {"load", "{\"$ref\":\"#/$defs/load\"}", "how much of a value to read", read_probe_load, false},
    {"keep", "{\"type\":[\"string\",\"boolean\"]}", "a condition over what was captured",
     read_later, false},
    {"log", TEXT, "a line of text with {captures}", read_later, false},
    {"emit", "{\"enum\":[\"all\",\"none\"]}", "none: feed aggregates only", read_emit, false},
    {"then", "{\"enum\":[\"disarm\",\"end\",\"end_run\"]}", "what a hit leads to", read_then,
     false},
    {"stop", "{\"enum\":[\"thread\",\"process\"]}", "who stops at a hit", read_stop, false},
    {0}};

void read_probes(struct reader *reader, const struct node *node, void *into) {
    struct recipe *recipe = into;
    if (!want_kind(reader, node, NODE_MAP, "probes by name"))
        return;
    for (const struct node *at = node->first; at; at = at->next) {
        struct probe *probe = ARRAY_ADD(recipe->probes, recipe->probe_count, recipe->probe_cap);
        if (!probe || !(probe->name = strdup(at->key->text))) {
            recipe->probe_count -= probe != NULL;
            source_no_memory(reader->source);
            return;
        }
        char where[128];
        snprintf(where, sizeof where, "probe \"%.96s\"", probe->name);
        reader->where = where;
        probe->mark = at->key->mark;
        probe->after = probe->watch_from = -1;
        probe->then = DO_NOTHING;
        probe->load = (struct load){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
        probe->keys = (struct node *)at;
        if (!text_is_name(probe->name))
            source_error(reader->source, at->key->mark, "\"%s\" is no name for a probe",
                         probe->name);
        read_map(reader, at, probe_keys, probe);
        probe_combines(reader, at, probe);
        reader->where = "the recipe";
    }
    if (!recipe->probe_count)
        source_error(reader->source, node->mark, "a recipe needs at least one probe");
}

static void clear_captures(struct capture *captures, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(captures[i].name);
        free(captures[i].expr);
    }
    free(captures);
}

void probe_clear(struct probe *probe) {
    char *texts[] = {probe->name, probe->watch,    probe->signal,         probe->after_name,
                     probe->when, probe->log_text, probe->watch_from_name};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    location_clear(&probe->at);
    clear_captures(probe->captures, probe->capture_count);
    clear_captures(probe->at_return, probe->return_count);
    expr_free(probe->keep);
    expr_template_free(probe->log);
}

bool probe_pairs(const struct probe *probe) {
    return probe->trigger == TRIGGER_CALL ||
           (probe->trigger == TRIGGER_SYSCALL && probe->return_count);
}

struct mark probe_key_mark(const struct probe *probe, const char *key) {
    const struct node *node = node_member(probe->keys, key);
    return node ? node->mark : probe->mark;
}
