/* Targets as a recipe or a file lists them. */
#include "recipe/parse.h"

#include <stdio.h>
#include <stdlib.h>

static void read_target_name(struct reader *reader, const struct node *node, void *into) {
    ((struct target *)into)->name = read_name(reader, node, "a target");
}

static void read_uri(struct reader *reader, const struct node *node, void *into) {
    ((struct target *)into)->uri = read_text(reader, node, LANGUAGE_PLAIN);
}

static void read_binary(struct reader *reader, const struct node *node, void *into) {
    ((struct target *)into)->binary = read_text(reader, node, LANGUAGE_PLAIN);
}

static void read_settings(struct reader *reader, const struct node *node, struct settings *into) {
    if (!want_kind(reader, node, NODE_MAP, "names and values"))
        return;
    for (const struct node *at = node->first; at; at = at->next)
        if (want_kind(reader, at, NODE_SCALAR, "a value"))
            if (settings_add(into, at->key->text, at->text))
                source_no_memory(reader->source);
}

static void read_labels(struct reader *reader, const struct node *node, void *into) {
    read_settings(reader, node, &((struct target *)into)->labels);
}

static void read_target_params(struct reader *reader, const struct node *node, void *into) {
    struct target *target = into;
    read_settings(reader, node, &target->params);
    if (!reader->recipe->root)
        return; /* a list by itself: the recipe that it goes with declares them */
    for (size_t i = 0; i < target->params.count; i++) {
        bool known = false;
        for (size_t p = 0; p < reader->recipe->param_count; p++)
            known |= !strcmp(reader->recipe->params[p].name, target->params.list[i].name);
        if (!known)
            source_error(reader->source, node->mark, "%s: \"%s\" is not declared under params",
                         reader->where, target->params.list[i].name);
    }
}

#define VALUES                                                                                     \
    "{\"type\":\"object\",\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\"]}" \
    "}"

const struct key target_keys[] = {
    {"name", "{\"type\":\"string\"}", "how events name it", read_target_name, true},
    {"uri", "{\"type\":\"string\"}", "where it is", read_uri, true},
    {"binary", "{\"type\":\"string\"}", "the program's file", read_binary, false},
    {"labels", VALUES, "for events", read_labels, false},
    {"params", VALUES, "parameters of this target", read_target_params, false},
    {0}};

static void check_names(struct reader *reader, const struct target *target) {
    struct recipe *recipe = reader->recipe;
    for (size_t i = 0; target->name && i + 1 < recipe->target_count; i++)
        if (recipe->targets[i].name && !strcmp(recipe->targets[i].name, target->name))
            source_error(reader->source, target->mark, "two targets are named \"%s\"",
                         target->name);
}

void read_targets(struct reader *reader, const struct node *node, void *into) {
    struct recipe *recipe = into;
    if (!want_kind(reader, node, NODE_LIST, "a list of targets"))
        return;
    for (const struct node *at = node->first; at; at = at->next) {
        struct target *target =
            ARRAY_ADD(recipe->targets, recipe->target_count, recipe->target_cap);
        if (!target) {
            source_no_memory(reader->source);
            return;
        }
        target->mark = at->mark;
        reader->where = "a target";
        read_map(reader, at, target_keys, target);
        check_names(reader, target);
        reader->where = "the recipe";
    }
}

void target_clear(struct target *target) {
    free(target->name);
    free(target->uri);
    free(target->binary);
    settings_free(&target->labels);
    settings_free(&target->params);
}

/* "NAME=URI" or "URI" */
static void from_line(struct target *target, const char *line, size_t index) {
    size_t name = strcspn(line, "=:/");
    char number[24];
    snprintf(number, sizeof number, "target-%zu", index + 1);
    target->name = line[name] == '=' ? strndup(line, name) : strdup(number);
    target->uri = strdup(line[name] == '=' ? line + name + 1 : line);
}

static struct error *parse_lines(const char *text, size_t len, struct target **targets,
                                 size_t *count) {
    size_t cap = 0;
    for (const char *p = text, *end = text + len; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline ? newline : end) - p);
        while (n && strchr(" \t\r", p[n - 1]))
            n--;
        while (n && strchr(" \t", *p)) {
            p++;
            n--;
        }
        if (n && *p != '#') {
            struct target *target = ARRAY_ADD(*targets, *count, cap);
            char *line = strndup(p, n);
            if (!target || !line)
                return error_no_memory();
            from_line(target, line, *count - 1);
            free(line);
        }
        p = newline ? newline + 1 : end;
    }
    return NULL;
}

struct error *targets_parse(const char *name, const char *text, size_t len, struct target **targets,
                            size_t *count) {
    const char *start = text + strspn(text, " \t\r\n");
    while (*start == '#') {
        start += strcspn(start, "\n");
        start += strspn(start, " \t\r\n");
    }
    *targets = NULL;
    *count = 0;
    if (*start != '-' && *start != '[')
        return parse_lines(text, len, targets, count);
    struct source source = {.name = name, .text = text, .len = len};
    struct recipe recipe = {0};
    struct reader reader = {.source = &source, .recipe = &recipe, .where = "the list of targets"};
    struct node *root = node_parse(&source);
    if (root)
        read_targets(&reader, root, &recipe);
    node_free(root);
    *targets = recipe.targets;
    *count = recipe.target_count;
    return source_finish(&source);
}
