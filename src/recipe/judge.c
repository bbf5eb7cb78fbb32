/* aggregate and expect: parsed and checked. (A run refuses them until they are judged.) */
#include "recipe/parse.h"

#include <stdio.h>
#include <stdlib.h>

/* The names these expressions may use: PROBE, PROBE.CAPTURE, PROBE.elapsed, an aggregate, hit.x. */
struct names {
    const struct recipe *recipe;
    const struct node *aggregates; /* NULL inside of an aggregate */
    char text[256];
};

static const char *of_probe(struct names *names, const struct probe *probe, size_t i) {
    const char *name = i == 0                      ? NULL
                       : i <= probe->capture_count ? probe->captures[i - 1].name
                       : (i -= probe->capture_count) <= probe->return_count
                           ? probe->at_return[i - 1].name
                       : (i -= probe->return_count) == 1 ? "elapsed"
                                                         : "paused";
    snprintf(names->text, sizeof names->text, "%s%s%s", probe->name, name ? "." : "",
             name ? name : "");
    return names->text;
}

static const char *candidate(void *ctx, size_t i) {
    static const char *const hits[] = {"hit.function",  "hit.caller", "hit.stack", "hit.thread",
                                       "hit.goroutine", "hit.target", "hit.time"};
    struct names *names = ctx;
    if (i < sizeof hits / sizeof *hits)
        return hits[i];
    i -= sizeof hits / sizeof *hits;
    for (size_t p = 0; p < names->recipe->probe_count; p++) {
        const struct probe *probe = &names->recipe->probes[p];
        size_t count = 1 + probe->capture_count + probe->return_count + 2;
        if (i < count)
            return of_probe(names, probe, i);
        i -= count;
    }
    const struct node *at = names->aggregates ? names->aggregates->first : NULL;
    while (at && i--)
        at = at->next;
    return at ? at->key->text : NULL;
}

static bool is_probe(void *ctx, const char *name) {
    const struct names *names = ctx;
    for (size_t p = 0; p < names->recipe->probe_count; p++)
        if (!strcmp(names->recipe->probes[p].name, name))
            return true;
    return false;
}

/* PROBE.arg0: arguments by their place need not be captured by name. */
static bool is_argument(void *ctx, const char *name) {
    const char *dot = strrchr(name, '.');
    char probe[256];
    if (!dot || (size_t)(dot - name) >= sizeof probe || strncmp(dot, ".arg", 4) || !dot[4] ||
        strspn(dot + 4, "0123456789") != strlen(dot + 4))
        return false;
    snprintf(probe, sizeof probe, "%.*s", (int)(dot - name), name);
    return is_probe(ctx, probe);
}

static bool known(void *ctx, const char *name) {
    const char *one;
    for (size_t i = 0; (one = candidate(ctx, i)); i++)
        if (!strcmp(one, name))
            return true;
    return is_argument(ctx, name);
}

static void check_expr(struct reader *reader, const struct node *node,
                       const struct node *aggregates, bool judged) {
    struct names names = {.recipe = reader->recipe, .aggregates = aggregates};
    struct expr_scope scope = {
        .known = known, .name = candidate, .opaque = is_probe, .ctx = &names, .aggregates = judged};
    char *text = read_text(reader, node, LANGUAGE_OURS);
    struct expr *expr = NULL;
    size_t at;
    struct error *error = text ? expr_parse(text, &scope, &expr, &at) : NULL;
    if (error) {
        struct mark mark = node->mark;
        mark.column += strstr(node->text, "${") ? 0 : (unsigned)at + !node->plain;
        source_error(reader->source, mark, "%s: %s", reader->where, error->message);
    }
    if (expr) {
        buffer_printf(&reader->recipe->judged, "  %s %s%s", reader->where,
                      judged || !node->key ? "" : node->key->text, judged ? "" : " ");
        expr_print(expr, &reader->recipe->judged);
        buffer_putc(&reader->recipe->judged, '\n');
    }
    error_free(error);
    expr_free(expr);
    free(text);
}

static void read_value(struct reader *reader, const struct node *node, void *into) {
    (void)into;
    check_expr(reader, node, NULL, false);
}

static void read_top(struct reader *reader, const struct node *node, void *into) {
    (void)into;
    uint64_t n;
    read_uint(reader, node, 10000, &n);
}

#define TEXT "{\"type\":\"string\"}"

const struct key aggregate_keys[] = {
    {"histogram", TEXT, "the distribution of a number", read_value, false},
    {"count", TEXT, "how many", read_value, false},
    {"sum", TEXT, "the sum of a number", read_value, false},
    {"min", TEXT, "the least", read_value, false},
    {"max", TEXT, "the greatest", read_value, false},
    {"avg", TEXT, "the mean", read_value, false},
    {"by", TEXT, "one for each value of this", read_value, false},
    {"top", "{\"type\":[\"integer\",\"string\"]}", "only the greatest keys", read_top, false},
    {0}};

void read_aggregate(struct reader *reader, const struct node *node, void *into) {
    ((struct recipe *)into)->aggregate_mark = node->key->mark;
    if (!want_kind(reader, node, NODE_MAP, "aggregates by name"))
        return;
    for (const struct node *at = node->first; at; at = at->next) {
        char where[128];
        snprintf(where, sizeof where, "aggregate \"%.96s\"", at->key->text);
        reader->where = where;
        read_map(reader, at, aggregate_keys, into);
        reader->where = "the recipe";
    }
}

void read_expect(struct reader *reader, const struct node *node, void *into) {
    struct recipe *recipe = into;
    recipe->expect_mark = node->key->mark;
    if (!want_kind(reader, node, NODE_LIST, "a list of expectations"))
        return;
    reader->where = "expect";
    for (const struct node *at = node->first; at; at = at->next)
        if (want_kind(reader, at, NODE_SCALAR, "an expression"))
            check_expr(reader, at, node_member(recipe->root, "aggregate"), true);
    reader->where = "the recipe";
}
