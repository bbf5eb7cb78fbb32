/* The recipe as a whole. */
#include "recipe/parse.h"

#include <stdio.h>
#include <stdlib.h>

static void read_version(struct reader *reader, const struct node *node, void *into) {
    (void)into;
    if (want_kind(reader, node, NODE_SCALAR, "1") && strcmp(node->text, "1"))
        source_error(reader->source, node->mark,
                     "recipe: \"%s\" is not a version that this pickglass reads (1)", node->text);
}

static void read_recipe_name(struct reader *reader, const struct node *node, void *into) {
    ((struct recipe *)into)->name = read_text(reader, node, LANGUAGE_PLAIN);
}

static void read_description(struct reader *reader, const struct node *node, void *into) {
    ((struct recipe *)into)->description = read_text(reader, node, LANGUAGE_PLAIN);
}

/* Read before or after everything else, by read_all(). */
static void read_early(struct reader *reader, const struct node *node, void *into) {
    (void)reader, (void)node, (void)into;
}

static void read_recipe_load(struct reader *reader, const struct node *node, void *into) {
    read_load(reader, node, &((struct recipe *)into)->load);
}

static void read_redact(struct reader *reader, const struct node *node, void *into) {
    struct recipe *recipe = into;
    if (!want_kind(reader, node, NODE_LIST, "a list of names"))
        return;
    for (const struct node *at = node->first; at; at = at->next) {
        char *name = read_text(reader, at, LANGUAGE_PLAIN);
        char **place =
            name ? ARRAY_ADD(recipe->redact, recipe->redact_count, recipe->redact_cap) : NULL;
        if (place)
            *place = name;
        else
            free(name);
        if (name && !place)
            source_no_memory(reader->source);
    }
}

static void read_require(struct reader *reader, const struct node *node, void *into) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    enum unit_kind kind;
    double share = 0;
    if (text &&
        (!text_quantity(text, &share, &kind) || kind != UNIT_PERCENT || share < 0 || share > 1))
        source_error(reader->source, node->mark, "require: \"%s\" is not a share (like 95%%)",
                     text);
    ((struct recipe *)into)->require = share;
    free(text);
}

static void read_allow(struct reader *reader, const struct node *node, void *into) {
    (void)into;
    source_error(reader->source, node->key->mark,
                 "\"allow\" is reserved: nothing that a recipe could ask to be allowed exists yet; "
                 "reading is all that a recipe may do");
}

#define TEXT "{\"type\":[\"string\",\"number\"]}"

const struct key recipe_keys[] = {
    {"recipe", "{\"enum\":[1,\"1\"]}", "the version of this format: 1", read_version, true},
    {"name", TEXT, "a short name", read_recipe_name, false},
    {"description", TEXT, "what it is for", read_description, false},
    {"params", "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/param\"}}",
     "parameters by name", read_early, false},
    {"targets", "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/target\"}}", "where to look",
     read_targets, false},
    {"limits", "{\"$ref\":\"#/$defs/limits\"}", "what the run may take", read_limits, false},
    {"load", "{\"$ref\":\"#/$defs/load\"}", "how much of a value to read", read_recipe_load, false},
    {"redact", "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
     "names whose values are withheld", read_redact, false},
    {"require", "{\"type\":\"string\"}", "the share of the targets that must be reached",
     read_require, false},
    {"probes",
     "{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":{\"$ref\":\"#/$defs/"
     "probe\"}}",
     "what to look at, by name", read_probes, true},
    {"aggregate", "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/aggregate\"}}",
     "sums over hits", read_early, false},
    {"expect", "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "what must hold", read_early,
     false},
    {"allow", "{\"not\":{}}", "reserved", read_allow, false},
    {0}};

static struct recipe *new_recipe(const char *source) {
    struct recipe *recipe = calloc(1, sizeof *recipe);
    if (!recipe)
        return NULL;
    recipe->source = strdup(source);
    if (!recipe->source) {
        free(recipe);
        return NULL;
    }
    recipe->load = (struct load){.string = 256, .items = 64, .depth = 3, .bytes = 64 << 10};
    recipe->require = 1;
    recipe->judged = BUFFER_INIT(1 << 20);
    recipe->limits.duration_ns = UINT64_C(60000000000);
    recipe->limits.hits.action = recipe->limits.run_hits.action = DO_END;
    recipe->limits.max_pause = (struct limit){.is = 20e6, .action = DO_CUT};
    recipe->limits.pause_budget = (struct limit){.is = 0.05, .action = DO_THROTTLE};
    return recipe;
}

/* Aggregates and expectations refer to probes, probes to parameters: in that order, whatever the
 * order of the text. */
static void read_all(struct reader *reader, const struct node *root) {
    const struct node *params = node_member(root, "params");
    if (params)
        read_params(reader, params, reader->recipe);
    read_map(reader, root, recipe_keys, reader->recipe);
    resolve_probes(reader);
    const struct node *aggregate = node_member(root, "aggregate"),
                      *expect = node_member(root, "expect");
    if (aggregate)
        read_aggregate(reader, aggregate, reader->recipe);
    if (expect)
        read_expect(reader, expect, reader->recipe);
}

static void check_given(struct reader *reader) {
    for (size_t i = 0; reader->given && i < reader->given->count; i++) {
        const char *name = reader->given->list[i].name;
        bool known = false;
        for (size_t p = 0; p < reader->recipe->param_count; p++)
            known |= !strcmp(reader->recipe->params[p].name, name);
        if (!known)
            source_error(reader->source, (struct mark){1, 1},
                         "-p %s: the recipe declares no parameter of this name", name);
    }
}

struct error *recipe_parse(const char *name, const char *text, size_t len,
                           const struct settings *given, const struct target *target,
                           struct recipe **out) {
    struct source source = {.name = name, .text = text, .len = len};
    struct recipe *recipe = new_recipe(name);
    if (!recipe)
        return error_no_memory();
    struct reader reader = {.source = &source,
                            .recipe = recipe,
                            .given = given,
                            .target = target,
                            .where = "the recipe"};
    recipe->root = node_parse(&source);
    if (recipe->root && recipe->root->kind != NODE_MAP)
        source_error(&source, recipe->root->mark,
                     "a recipe is keys and values, beginning with \"recipe: 1\"");
    else if (recipe->root)
        read_all(&reader, recipe->root);
    if (recipe->root && !(given && given->elsewhere)) /* what was not read cannot be missing */
        check_given(&reader);
    for (size_t i = 0; i < recipe->probe_count; i++)
        recipe->probes[i].source = recipe->source;
    if (recipe->judged.failed)
        source_no_memory(&source);
    struct error *error = source_finish(&source);
    if (error)
        recipe_free(recipe);
    else
        *out = recipe;
    return error;
}

void recipe_free(struct recipe *recipe) {
    if (!recipe)
        return;
    for (size_t i = 0; i < recipe->probe_count; i++)
        probe_clear(&recipe->probes[i]);
    for (size_t i = 0; i < recipe->target_count; i++)
        target_clear(&recipe->targets[i]);
    for (size_t i = 0; i < recipe->param_count; i++) {
        free(recipe->params[i].name);
        free(recipe->params[i].value);
        free(recipe->params[i].env);
    }
    for (size_t i = 0; i < recipe->redact_count; i++)
        free(recipe->redact[i]);
    free(recipe->probes);
    free(recipe->targets);
    free(recipe->params);
    free(recipe->redact);
    free(recipe->source);
    free(recipe->name);
    free(recipe->description);
    buffer_free(&recipe->judged);
    node_free(recipe->root);
    recipe_free(recipe->joined);
    free(recipe);
}

struct error *recipe_error(const char *source, struct mark mark, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct buffer message = BUFFER_INIT(8192);
    source_message(&message, source, mark, text);
    struct error *error =
        message.data ? error_new(ERROR_RECIPE, "%s", message.data) : error_no_memory();
    buffer_free(&message);
    return error;
}
