/* Containers whose elements are in nodes of their own: trees and chains, seen as maps or lists. */
#include "expr/target_viewer.h"

#include "base/text.h"
#include <inttypes.h>
#include <string.h>

#define TREE_DEPTH 128 /* a red-black tree of 2^64 nodes is not deeper */
#define NODE_STEP 256  /* neighbours are fetched with a node: they were often made together */

struct walk {
    struct viewer *v;
    const struct shape *shape;
    uint64_t *found; /* the elements' addresses */
    uint64_t count, most;
};

static enum outcome pointer_at(struct viewer *v, uint64_t address, uint64_t *out) {
    struct evaluation *evaluation = v->evaluation;
    *out = 0;
    switch (memory_read(evaluation->frame->memory, address, out,
                        evaluation->frame->registers.arch->word)) {
    case MEMORY_OK: return EVAL_OK;
    case MEMORY_AGAIN:
        evaluation->again = true;
        memory_want(evaluation->frame->memory, address, NODE_STEP);
        return EVAL_AGAIN;
    default: return evaluation_fail(evaluation, "cannot read memory at 0x%" PRIx64, address);
    }
}

/* In order. Where a node is not known yet the others are looked at all the same: a tree takes as
 * many fetches as it is deep. libstdc++'s nodes: colour, parent, left, right. */
static enum outcome walk_tree(struct walk *walk, uint64_t node, int depth) {
    uint64_t left, right, word = walk->v->evaluation->frame->registers.arch->word;
    if (!node || walk->count == walk->most)
        return EVAL_OK;
    if (depth > TREE_DEPTH)
        return evaluation_fail(walk->v->evaluation, "it is not in a valid state");
    enum outcome a = pointer_at(walk->v, node + 2 * word, &left);
    enum outcome b = pointer_at(walk->v, node + 3 * word, &right);
    if (a != EVAL_OK || b != EVAL_OK)
        return a > b ? a : b;
    a = walk_tree(walk, left, depth + 1);
    if (a != EVAL_FAILED && walk->count < walk->most)
        walk->found[walk->count++] = node + walk->shape->node;
    b = a == EVAL_FAILED ? a : walk_tree(walk, right, depth + 1);
    return a > b ? a : b;
}

static enum outcome walk_chain(struct walk *walk, uint64_t node) {
    enum outcome outcome = EVAL_OK;
    while (node && walk->count < walk->most && outcome == EVAL_OK) {
        walk->found[walk->count++] = node + walk->shape->node;
        outcome = pointer_at(walk->v, node, &node);
    }
    return outcome;
}

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

static value_ref show_map(struct walk *walk, unsigned depth) {
    struct viewer *v = walk->v;
    const struct shape *shape = walk->shape;
    const char **keys = arena_alloc(v->evaluation->scratch, (walk->count + 1) * sizeof *keys);
    bool plain = keys && has_text_keys(v, shape);
    for (uint64_t i = 0; plain && i < walk->count; i++) {
        struct operand key = operand_in_memory(shape->key, walk->found[i]);
        plain = plain_key(v, &key, &keys[i]);
    }
    v->evaluation->why = NULL; /* a key that cannot be read is an error where it is shown */
    value_ref map = value_new(v->into, plain ? VALUE_OBJECT : VALUE_PAIRS);
    for (uint64_t i = 0; i < walk->count && !v->into->failed; i++) {
        struct operand key = operand_in_memory(shape->key, walk->found[i]);
        struct operand mapped = operand_in_memory(shape->mapped, walk->found[i] + shape->mapped_at);
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

static value_ref show_set(struct walk *walk, unsigned depth) {
    struct viewer *v = walk->v;
    value_ref list = value_new(v->into, VALUE_LIST);
    for (uint64_t i = 0; i < walk->count && !v->into->failed; i++) {
        struct operand one = operand_in_memory(walk->shape->element, walk->found[i]);
        value_append(v->into, list, show_operand(v, &one, depth + 1));
    }
    return list;
}

value_ref show_nodes(struct viewer *v, const struct operand *operand, const struct shape *shape,
                     unsigned depth) {
    struct walk walk = {.v = v, .shape = shape};
    uint64_t first, count, size = type_plain(shape->element)->size;
    if (shape_elements(v->evaluation, operand, shape, &first, &count) != EVAL_OK)
        return show_failed(v);
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v,
                        has_text_keys(v, shape) ? VALUE_OBJECT
                        : shape->key            ? VALUE_PAIRS
                                                : VALUE_LIST,
                        count);
    walk.most = count < v->limits->items ? count : v->limits->items;
    walk.most = walk.most > v->budget / size ? v->budget / size : walk.most;
    viewer_spend(v, walk.most * size);
    walk.found = arena_alloc(v->evaluation->scratch, (walk.most + 1) * sizeof *walk.found);
    if (!walk.found)
        return value_error(v->into, "it takes more memory than one hit may");
    enum outcome outcome =
        shape->kind == SHAPE_TREE ? walk_tree(&walk, first, 0) : walk_chain(&walk, first);
    if (outcome == EVAL_OK && walk.count < walk.most)
        outcome = evaluation_fail(v->evaluation, "it is not in a valid state");
    if (outcome == EVAL_FAILED)
        return show_failed(v);
    for (uint64_t i = 0; i < walk.count; i++)
        memory_want(v->evaluation->frame->memory, walk.found[i], size);
    v->nesting++;
    value_ref ref = shape->key ? show_map(&walk, depth) : show_set(&walk, depth);
    v->nesting--;
    if (walk.most < count)
        value_truncate(v->into, ref, count);
    return ref;
}
