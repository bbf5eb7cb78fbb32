/* m[key]: an entry of a map, found by looking at all of them. The program's own way to it would
 * take its hash functions. */
#include "expr/target_compiler.h"

#include <string.h>

#define LOOKUP_MOST 4096 /* entries that are looked at */
#define LOOKUP_BYTES ((uint64_t)1 << 20)
#define KEY_MOST 4096 /* bytes of a text */

static bool is_text_key(const struct compiler *c, const struct type *type) {
    struct shape shape;
    const struct type *plain = type_plain(type);
    return type_is_composite(plain) && c->view.site->shape &&
           c->view.site->shape(c->view.module, plain, &shape) && shape.kind == SHAPE_TEXT;
}

const struct type *compile_lookup(struct compiler *c, const struct target_node *node,
                                  const struct type *map, const struct shape *shape) {
    const struct target_node *index = &c->tree.nodes[node->args[1]];
    const struct type *key = compiler_compile(c, node->args[1]);
    if (!key)
        return NULL;
    const struct type *plain = type_plain(shape->key);
    bool texts = is_text_key(c, shape->key) && (index->kind == TN_STRING || is_text_key(c, key));
    if (!texts && (!type_is_number(plain) || !type_is_number(type_plain(key))))
        return compiler_fail(c, index, "a key of %s is not found by %s: texts and numbers are",
                             compiler_type_text(c, map), compiler_type_text(c, key));
    struct insn *insn = compiler_emit(c, I_LOOKUP, shape->mapped);
    insn->sub = texts;
    insn->shape = shape;
    return compiler_settle(c, shape->mapped);
}

struct wanted {
    bool is_text;
    const char *text;
    size_t n;
    struct number number;
};

static enum outcome read_wanted(struct evaluation *evaluation, const struct shape *shape,
                                const struct operand *key, bool is_text, struct wanted *out) {
    uint64_t len;
    out->is_text = is_text;
    if (!is_text) {
        enum outcome outcome = operand_number(evaluation, key, &out->number);
        bool float_key = type_plain(shape->key)->kind == TYPE_FLOAT;
        if (outcome == EVAL_OK && float_key != out->number.is_float) /* 2 is found by 2.0 */
            out->number = number_fit(type_plain(shape->key), out->number);
        return outcome;
    }
    enum outcome outcome = operand_text(evaluation, key, KEY_MOST, &out->text, &out->n, &len);
    if (outcome == EVAL_OK && out->n < len)
        return evaluation_fail(evaluation, "the key is longer than %d bytes", KEY_MOST);
    return outcome;
}

static enum outcome is_wanted(struct evaluation *evaluation, const struct operand *key,
                              const struct wanted *wanted, bool *out) {
    struct shape text;
    struct number number;
    struct operand first;
    uint64_t len;
    const char *bytes;
    size_t n;
    *out = false;
    if (!wanted->is_text) {
        enum outcome outcome = operand_number(evaluation, key, &number);
        *out = outcome == EVAL_OK &&
               (number.is_float ? number.f == wanted->number.f : number.i == wanted->number.i);
        return outcome;
    }
    if (!operand_is_text(evaluation, type_plain(key->type), &text))
        return evaluation_fail(evaluation, "its keys are no texts");
    enum outcome outcome = shape_elements(evaluation, key, &text, &first, &len);
    bool wide = type_plain(text.element)->size > 1;
    /* most are ruled out without being fetched */
    if (outcome != EVAL_OK || (wide ? len > wanted->n : len != wanted->n))
        return outcome;
    outcome = operand_text(evaluation, key, wanted->n, &bytes, &n, &len);
    *out = outcome == EVAL_OK && n == wanted->n && !memcmp(bytes, wanted->text, n);
    return outcome;
}

enum outcome entry_lookup(struct evaluation *evaluation, const struct operand *map,
                          const struct shape *shape, const struct operand *key, bool is_text,
                          struct operand *out) {
    struct entries entries = {.most = LOOKUP_MOST, .bytes = LOOKUP_BYTES};
    struct wanted wanted;
    enum outcome worst = read_wanted(evaluation, shape, key, is_text, &wanted);
    if (worst == EVAL_OK)
        worst = shape_entries(evaluation, map, shape, &entries);
    for (uint64_t i = 0; worst != EVAL_FAILED && i < entries.count; i++) {
        struct operand one = operand_in_memory(shape->key, entries.list[i].key);
        bool found;
        enum outcome outcome = is_wanted(evaluation, &one, &wanted, &found);
        worst = outcome > worst ? outcome : worst;
        if (!found)
            continue;
        *out = operand_in_memory(shape->mapped, entries.list[i].value);
        return EVAL_OK;
    }
    if (worst == EVAL_FAILED && evaluation->frame->memory->full)
        evaluation->why = NULL;
    bool many = entries.count < entries.of || evaluation->frame->memory->full;
    if (worst == EVAL_AGAIN || (worst == EVAL_FAILED && !many))
        return worst;
    return many ? evaluation_fail(evaluation, "its %llu entries are too many to look for a key",
                                  (unsigned long long)entries.of)
                : evaluation_fail(evaluation, "it has no such key");
}
