/* What the Go runtime has of its own: interfaces, channels, closures. Maps are in
 * target_show_nodes.c. */
#include "expr/target_viewer.h"

static bool is_composite(const struct type *plain, const struct shape *shape) {
    return shape->kind != SHAPE_TEXT && shape->kind != SHAPE_CHANNEL &&
           (type_is_composite(plain) || plain->kind == TYPE_ARRAY || plain->kind == TYPE_POINTER);
}

/* What it holds takes the place of the interface, as what a pointer points to does. */
value_ref show_interface(struct viewer *v, const struct operand *operand, const struct shape *shape,
                         unsigned depth) {
    struct operand held;
    struct shape inner = {0};
    if (interface_held(v->evaluation, operand, shape, &held) != EVAL_OK)
        return show_failed(v);
    if (!held.type)
        return value_new(v->into, VALUE_NULL);
    v->evaluation->shape(v->module, held.type, &inner);
    bool composite = is_composite(type_plain(held.type), &inner);
    if (depth > v->limits->depth || (composite && depth + 1 > v->limits->depth))
        return value_address(v->into, VALUE_PTR, held.address);
    return show_operand(v, &held, depth + 1);
}

value_ref show_channel(struct viewer *v, const struct operand *operand, const struct shape *shape,
                       unsigned depth) {
    struct number number;
    (void)shape;
    (void)depth;
    if (operand_number(v->evaluation, operand, &number) != EVAL_OK)
        return show_failed(v);
    return number.i ? value_address(v->into, VALUE_CHAN, (uint64_t)number.i)
                    : value_new(v->into, VALUE_NULL);
}

/* A func is a pointer to a closure, which begins with the address of its code. */
value_ref show_closure(struct viewer *v, const struct operand *operand, unsigned depth) {
    uint64_t closure = 0, code = 0;
    unsigned word = v->evaluation->frame->registers.arch->word;
    (void)depth;
    if (operand_read(v->evaluation, operand, 0, &closure, word) != EVAL_OK)
        return show_failed(v);
    if (!closure)
        return value_new(v->into, VALUE_NULL);
    struct operand first = operand_in_memory(operand->type, closure);
    if (operand_read(v->evaluation, &first, 0, &code, word) != EVAL_OK)
        return show_failed(v);
    return show_function(v, code);
}
