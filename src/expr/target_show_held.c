/* What C++'s library may hold, or not any more: weak pointers, expected values, a std::any. */
#include "expr/target_viewer.h"

#include <stdlib.h>
#include <string.h>

static value_ref show_inside(struct viewer *v, const struct operand *held, unsigned depth) {
    v->nesting++;
    value_ref ref = show_operand(v, held, depth + 1);
    v->nesting--;
    return ref;
}

/* What is gone is not looked at: its memory may be another one's by now. */
value_ref show_weak(struct viewer *v, const struct operand *operand, const struct shape *shape,
                    unsigned depth) {
    unsigned word = v->evaluation->frame->registers.arch->word;
    uint64_t block = 0;
    uint32_t users = 0;
    if (operand_read(v->evaluation, operand, shape->length, &block, word) != EVAL_OK)
        return show_failed(v);
    struct operand counts = operand_in_memory(operand->type, block);
    if (block && operand_read(v->evaluation, &counts, shape->node, &users, 4) != EVAL_OK)
        return show_failed(v);
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_OBJECT, 2);
    struct operand pointer =
        operand_part(operand, type_pointer_to(v->module, shape->element), shape->data);
    value_ref object = value_new(v->into, VALUE_OBJECT);
    value_set(v->into, object, "expired", value_bool(v->into, !users));
    value_set(v->into, object, "value",
              users ? show_inside(v, &pointer, depth) : value_new(v->into, VALUE_NULL));
    return object;
}

value_ref show_expected(struct viewer *v, const struct operand *operand, const struct shape *shape,
                        unsigned depth) {
    uint8_t there;
    if (operand_read(v->evaluation, operand, shape->length, &there, 1) != EVAL_OK)
        return show_failed(v);
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_OBJECT, 1);
    const struct type *type = there ? shape->element : shape->mapped;
    struct operand part = *operand;
    if (type)
        part = operand_part(operand, type, there ? shape->data : shape->mapped_at);
    value_ref object = value_new(v->into, VALUE_OBJECT);
    value_set(v->into, object, there ? "value" : "error",
              type ? show_inside(v, &part, depth) : value_new(v->into, VALUE_NULL));
    return object;
}

/* ---- std::any ---- */

#define MANAGE "::_S_manage"

/* The code that manages what is held is a method of a class that is a template of its type. */
static bool held_shape(struct viewer *v, uint64_t code, struct shape *out) {
    struct loaded *loaded = space_at(v->evaluation->frame->space, code);
    uint64_t pc = loaded ? code - loaded->bias : 0;
    struct function *function = loaded ? function_at(loaded->module, pc) : NULL;
    const char *name = function ? function->name : loaded ? module_label(loaded->module, pc) : NULL;
    const char *end = name ? strstr(name, MANAGE) : NULL;
    char *holder = end ? strndup(name, (size_t)(end - name)) : NULL;
    const struct type *type =
        holder ? type_named(loaded->module, holder, function ? function->unit : NULL) : NULL;
    free(holder);
    return type && v->evaluation->shape(loaded->module, type, out) && out->kind == SHAPE_HELD;
}

static value_ref type_text(struct viewer *v, const struct type *type) {
    struct buffer text = BUFFER_INIT(1 << 16);
    type_print(type, &text);
    value_ref ref = value_string(v->into, text.data ? text.data : "", text.len);
    buffer_free(&text);
    return ref;
}

value_ref show_any(struct viewer *v, const struct operand *operand, const struct shape *shape,
                   unsigned depth) {
    unsigned word = v->evaluation->frame->registers.arch->word;
    uint64_t code = 0, address = 0;
    struct shape inside;
    if (operand_read(v->evaluation, operand, shape->length, &code, word) != EVAL_OK)
        return show_failed(v);
    if (!code)
        return value_new(v->into, VALUE_NULL);
    if (!held_shape(v, code, &inside))
        return value_error(v->into, "the type of what it holds is not known");
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_OBJECT, 2);
    struct operand held = operand_part(operand, inside.element, shape->data);
    if (inside.behind) {
        if (operand_read(v->evaluation, operand, shape->data, &address, word) != EVAL_OK)
            return show_failed(v);
        held = operand_in_memory(inside.element, address);
    }
    value_ref object = value_new(v->into, VALUE_OBJECT);
    value_set(v->into, object, "type", type_text(v, inside.element));
    value_set(v->into, object, "value", show_inside(v, &held, depth));
    return object;
}
