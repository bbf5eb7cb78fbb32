/* What can be read only when all probes are: references between them, and the expressions of our
 * own language, which may name captures. */
#include "recipe/parse.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const hit_names[] = {"hit.function",  "hit.caller", "hit.stack", "hit.thread",
                                        "hit.goroutine", "hit.target", "hit.time",  NULL};
static const char *const call_names[2] = {"elapsed", "paused"}; /* where an entry has a return */

static const char *probe_candidate(void *ctx, size_t i) {
    struct recipe *recipe = ctx;
    return i < recipe->probe_count ? recipe->probes[i].name : NULL;
}

static int find_probe(struct reader *reader, const struct probe *from, const char *key,
                      const char *name) {
    struct recipe *recipe = reader->recipe;
    for (size_t i = 0; i < recipe->probe_count; i++)
        if (!strcmp(recipe->probes[i].name, name))
            return (int)i;
    const char *near = text_nearest(name, probe_candidate, recipe);
    source_error(reader->source, probe_key_mark(from, key),
                 "%s: %s: there is no probe \"%s\"%s%s%s", reader->where, key, name,
                 near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    return -1;
}

/* The i-th name that this probe's expressions may use. */
static const char *name_candidate(void *ctx, size_t i) {
    const struct probe *probe = ctx;
    if (i < probe->capture_count)
        return probe->captures[i].name;
    i -= probe->capture_count;
    if (i < probe->return_count)
        return probe->at_return[i].name;
    i -= probe->return_count;
    if (probe->trigger == TRIGGER_WATCH && i < 2)
        return i ? "new" : "old";
    i -= probe->trigger == TRIGGER_WATCH ? 2 : 0;
    if (probe_pairs(probe) && i < 2)
        return call_names[i];
    i -= probe_pairs(probe) ? 2 : 0;
    return i < sizeof hit_names / sizeof *hit_names ? hit_names[i] : NULL;
}

static bool name_known(void *ctx, const char *name) {
    const char *candidate;
    for (size_t i = 0; (candidate = name_candidate(ctx, i)); i++)
        if (!strcmp(candidate, name))
            return true;
    return false;
}

/* The mark of byte `at` in a scalar: exact where it stands on one line and nothing was put in. */
static struct mark inside(const struct node *node, size_t at) {
    struct mark mark = node->mark;
    if (!strchr(node->text, '\n') && !strstr(node->text, "${"))
        mark.column += (unsigned)at + !node->plain;
    return mark;
}

static void compile_keep(struct reader *reader, struct probe *probe, const struct node *node,
                         const struct expr_scope *scope) {
    char *text = read_text(reader, node, LANGUAGE_OURS);
    size_t at;
    struct error *error = text ? expr_parse(text, scope, &probe->keep, &at) : NULL;
    if (error)
        source_error(reader->source, inside(node, at), "%s: keep: %s", reader->where,
                     error->message);
    error_free(error);
    free(text);
}

static void compile_log(struct reader *reader, struct probe *probe, const struct node *node,
                        const struct expr_scope *scope) {
    char *text = probe->log_text = read_text(reader, node, LANGUAGE_TEMPLATE);
    size_t at;
    struct error *error = text ? expr_template_parse(text, scope, &probe->log, &at) : NULL;
    if (error)
        source_error(reader->source, inside(node, at), "%s: log: %s", reader->where,
                     error->message);
    error_free(error);
}

static void merge_load(struct load *load, const struct load *base) {
    load->string = load->string == UINT32_MAX ? base->string : load->string;
    load->items = load->items == UINT32_MAX ? base->items : load->items;
    load->depth = load->depth == UINT32_MAX ? base->depth : load->depth;
    load->bytes = load->bytes == UINT32_MAX ? base->bytes : load->bytes;
}

static void resolve_loads(struct reader *reader, struct probe *probe) {
    merge_load(&probe->load, &reader->recipe->load);
    for (size_t i = 0; i < probe->capture_count; i++)
        merge_load(&probe->captures[i].load, &probe->load);
    for (size_t i = 0; i < probe->return_count; i++)
        merge_load(&probe->at_return[i].load, &probe->load);
}

static void resolve_probe(struct reader *reader, struct probe *probe) {
    struct expr_scope scope = {.known = name_known, .name = name_candidate, .ctx = probe};
    const struct node *keep = node_member(probe->keys, "keep");
    const struct node *log = node_member(probe->keys, "log");
    if (probe->after_name)
        probe->after = find_probe(reader, probe, "after", probe->after_name);
    if (probe->watch_from_name)
        probe->watch_from = find_probe(reader, probe, "watch", probe->watch_from_name);
    resolve_loads(reader, probe);
    if (keep && keep->kind == NODE_SCALAR)
        compile_keep(reader, probe, keep, &scope);
    if (log && log->kind == NODE_SCALAR)
        compile_log(reader, probe, log, &scope);
}

/* Whom a probe waits for; -1: nobody. */
static int awaited(const struct probe *probe) {
    return probe->after >= 0 ? probe->after : probe->watch_from;
}

/* Told of the first one of a circle. */
static void refuse_circle(struct reader *reader, size_t first) {
    const struct recipe *recipe = reader->recipe;
    const struct probe *probe = &recipe->probes[first];
    int at = awaited(probe);
    size_t steps = 0;
    for (; at > (int)first && steps < recipe->probe_count; steps++)
        at = awaited(&recipe->probes[at]);
    if (at != (int)first)
        return;
    struct mark mark = probe_key_mark(probe, probe->after >= 0 ? "after" : "watch");
    if (steps)
        source_error(reader->source, mark,
                     "probe \"%s\" waits for \"%s\", which waits for it: neither would ever hit",
                     probe->name, recipe->probes[awaited(probe)].name);
    else
        source_error(reader->source, mark, "probe \"%s\": a probe cannot wait for itself",
                     probe->name);
}

void resolve_probes(struct reader *reader) {
    struct recipe *recipe = reader->recipe;
    for (size_t i = 0; i < recipe->probe_count; i++) {
        char where[128];
        snprintf(where, sizeof where, "probe \"%.96s\"", recipe->probes[i].name);
        reader->where = where;
        resolve_probe(reader, &recipe->probes[i]);
    }
    for (size_t i = 0; i < recipe->probe_count; i++)
        refuse_circle(reader, i);
    reader->where = "the recipe";
}
