/* What libraries have, as it is meant: one function for each kind of shape. */
#include "expr/target_viewer.h"

/* A std::array, a std::optional. */
static value_ref show_part(struct viewer *v, const struct operand *operand,
                           const struct shape *shape, unsigned depth) {
    uint8_t there = 1;
    if (shape->kind == SHAPE_OPTIONAL &&
        operand_read(v->evaluation, operand, shape->length, &there, 1) != EVAL_OK)
        return show_failed(v);
    if (!there)
        return value_new(v->into, VALUE_NULL);
    struct operand part = operand_part(operand, shape->element, shape->data);
    if (v->nesting++ > NESTING) {
        v->nesting--;
        return value_error(v->into, "it is nested too deep");
    }
    value_ref ref = show_operand(v, &part, depth);
    v->nesting--;
    return ref;
}

static value_ref show_target(struct viewer *v, const struct operand *operand,
                             const struct shape *shape, unsigned depth) {
    struct operand pointer =
        operand_part(operand, type_pointer_to(v->module, shape->element), shape->data);
    return show_operand(v, &pointer, depth);
}

static value_ref show_list(struct viewer *v, const struct operand *operand,
                           const struct shape *shape, unsigned depth) {
    struct operand first;
    uint64_t count;
    if (shape_elements(v->evaluation, operand, shape, &first, &count) != EVAL_OK)
        return show_failed(v);
    if (!first.address && !count && type_plain(operand->type)->unit_go)
        return value_new(v->into, VALUE_NULL);
    return show_elements(v, &first, shape->element, type_plain(shape->element)->size, count, depth);
}

static value_ref show_bits(struct viewer *v, const struct operand *operand,
                           const struct shape *shape, unsigned depth) {
    struct bits bits;
    if (bits_of(v->evaluation, operand, shape, &bits) != EVAL_OK)
        return show_failed(v);
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_LIST, bits.count);
    uint64_t n = bits.count < v->limits->items ? bits.count : v->limits->items;
    n = n / 8 > v->budget ? v->budget * 8 : n;
    viewer_spend(v, n / 8);
    if (shape->kind == SHAPE_BITS)
        memory_want(v->evaluation->frame->memory, bits.address, (size_t)(bits.bit + n + 7) / 8);
    value_ref list = value_new(v->into, VALUE_LIST);
    for (uint64_t i = 0; i < n && !v->into->failed; i++) {
        struct operand one = bits_element(operand, shape, &bits, i);
        value_append(v->into, list, show_operand(v, &one, depth + 1));
    }
    if (n < bits.count)
        value_truncate(v->into, list, bits.count);
    return list;
}

static value_ref show_sequence(struct viewer *v, const struct operand *operand,
                               const struct shape *shape, unsigned depth) {
    struct shape here = *shape;
    uint64_t at = 0;
    unsigned n = 0;
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_LIST, shape->mapped || shape->element);
    value_ref list = value_new(v->into, VALUE_LIST);
    v->nesting++;
    do {
        if (!here.element)
            continue;
        struct operand one = operand_part(operand, here.element, at + here.data);
        value_append(v->into, list, show_operand(v, &one, depth + 1));
    } while (n++ < PARTS_MOST && !v->into->failed &&
             sequence_next(v->evaluation->shape, v->module, &here, &at));
    v->nesting--;
    if (n > PARTS_MOST)
        value_truncate(v->into, list, n);
    return list;
}

/* Several alternatives may be of one type: the number says which. */
static value_ref show_alternative(struct viewer *v, const struct operand *operand,
                                  const struct shape *shape, unsigned depth) {
    shape_fn *fn = v->evaluation->shape;
    struct shape all;
    uint64_t number = 0, at, none = UINT64_MAX >> (64 - 8 * shape->fixed);
    if (operand_read(v->evaluation, operand, shape->length, &number, shape->fixed) != EVAL_OK)
        return show_failed(v);
    if (number == none)
        return value_new(v->into, VALUE_NULL);
    bool known = fn(v->module, type_plain(shape->element), &all) && all.kind == SHAPE_SEQUENCE;
    const struct type *type = known ? sequence_element(fn, v->module, &all, number, &at) : NULL;
    if (!type)
        return value_error(v->into, "no alternative has the number %llu",
                           (unsigned long long)number);
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_OBJECT, 2);
    struct operand held = operand_part(operand, type, shape->data + at);
    v->nesting++;
    value_ref object = value_new(v->into, VALUE_OBJECT);
    value_set(v->into, object, "index", value_uint(v->into, number));
    value_set(v->into, object, "value", show_operand(v, &held, depth + 1));
    v->nesting--;
    return object;
}

value_ref show_shape(struct viewer *v, const struct operand *operand, const struct shape *shape,
                     unsigned depth) {
    static show_shape_fn *const by_kind[SHAPE_KINDS] = {
        [SHAPE_TEXT] = show_shaped_text,    [SHAPE_LIST] = show_list,
        [SHAPE_POINTER] = show_target,      [SHAPE_PART] = show_part,
        [SHAPE_OPTIONAL] = show_part,       [SHAPE_TREE] = show_nodes,
        [SHAPE_CHAIN] = show_nodes,         [SHAPE_BUCKETS] = show_nodes,
        [SHAPE_GROUPS] = show_nodes,        [SHAPE_INTERFACE] = show_interface,
        [SHAPE_CHANNEL] = show_channel,     [SHAPE_RING] = show_nodes,
        [SHAPE_BLOCKS] = show_nodes,        [SHAPE_BITS] = show_bits,
        [SHAPE_FIXED_BITS] = show_bits,     [SHAPE_SEQUENCE] = show_sequence,
        [SHAPE_VARIANT] = show_alternative, [SHAPE_DURATION] = show_duration,
        [SHAPE_FUNCTION] = show_callable,   [SHAPE_WEAK] = show_weak,
        [SHAPE_EXPECTED] = show_expected,   [SHAPE_ANY] = show_any,
    };
    return by_kind[shape->kind] ? by_kind[shape->kind](v, operand, shape, depth)
                                : value_error(v->into, "its type is not known");
}
