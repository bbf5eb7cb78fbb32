/* Containers that keep their entries in nodes or hash tables, seen as maps or lists. */
#include "expr/target_viewer.h"

#include "base/text.h"
#include <string.h>

static bool has_text_keys(struct viewer *v, const struct shape *shape) {
    struct shape text;
    return shape->key && !shape->repeats &&
           operand_is_text(v->evaluation, type_complete(v->module, type_plain(shape->key)), &text);
}

/* Of a text that can be a key of JSON as it is: whole, and no word of ours. */
static bool plain_key(struct viewer *v, const struct operand *key, const char **bytes) {
    size_t n;
    uint64_t len;
    if (operand_text(v->evaluation, key, v->limits->string, bytes, &n, &len) != EVAL_OK)
        return false;
    char *copy = n == len ? arena_alloc(v->evaluation->scratch, n + 1) : NULL;
    if (!copy || memchr(*bytes, '\0', n) || !text_is_utf8(*bytes, n) || (n && **bytes == '$'))
        return false;
    memcpy(copy, *bytes, n);
    copy[n] = '\0';
    *bytes = copy;
    return true;
}

static value_ref show_map(struct viewer *v, const struct shape *shape,
                          const struct entries *entries, unsigned depth) {
    const char **keys = arena_alloc(v->evaluation->scratch, (entries->count + 1) * sizeof *keys);
    bool plain = keys && has_text_keys(v, shape);
    for (uint64_t i = 0; plain && i < entries->count; i++) {
        struct operand key = operand_in_memory(shape->key, entries->list[i].key);
        plain = plain_key(v, &key, &keys[i]);
    }
    v->evaluation->why = NULL; /* a key that cannot be read is an error where it is shown */
    value_ref map = value_new(v->into, plain ? VALUE_OBJECT : VALUE_PAIRS);
    for (uint64_t i = 0; i < entries->count && !v->into->failed; i++) {
        struct operand key = operand_in_memory(shape->key, entries->list[i].key);
        struct operand mapped = operand_in_memory(shape->mapped, entries->list[i].value);
        if (!plain)
            value_append(v->into, map, show_operand(v, &key, depth + 1));
        value_ref value = show_operand(v, &mapped, depth + 1);
        if (plain)
            value_set(v->into, map, keys[i], value);
        else
            value_append(v->into, map, value);
    }
    return map;
}

static value_ref show_set(struct viewer *v, const struct shape *shape,
                          const struct entries *entries, unsigned depth) {
    value_ref list = value_new(v->into, VALUE_LIST);
    for (uint64_t i = 0; i < entries->count && !v->into->failed; i++) {
        struct operand one = operand_in_memory(shape->element, entries->list[i].key);
        value_append(v->into, list, show_operand(v, &one, depth + 1));
    }
    return list;
}

static value_ref show_too_deep(struct viewer *v, const struct operand *operand,
                               const struct shape *shape) {
    struct entries none = {0}; /* of what is not counted: is there one? */
    uint64_t count = 0;
    enum outcome outcome = shape->uncounted ? shape_entries(v->evaluation, operand, shape, &none)
                                            : shape_count(v->evaluation, operand, shape, &count);
    if (outcome != EVAL_OK)
        return show_failed(v);
    count = shape->uncounted ? none.of : count;
    return show_cut(v,
                    has_text_keys(v, shape) ? VALUE_OBJECT
                    : shape->key            ? VALUE_PAIRS
                                            : VALUE_LIST,
                    count);
}

value_ref show_nodes(struct viewer *v, const struct operand *operand, const struct shape *shape,
                     unsigned depth) {
    struct entries entries = {.most = v->limits->items, .bytes = v->budget};
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_too_deep(v, operand, shape);
    enum outcome outcome = shape_entries(v->evaluation, operand, shape, &entries);
    if (outcome == EVAL_FAILED || !entries.list)
        return show_failed(v);
    viewer_spend(v, entries.most * entries.entry);
    v->nesting++;
    value_ref ref =
        shape->key ? show_map(v, shape, &entries, depth) : show_set(v, shape, &entries, depth);
    v->nesting--;
    if (outcome == EVAL_OK && entries.count < entries.of)
        value_truncate(v->into, ref, entries.of);
    return ref;
}
