/* What Go's interfaces hold. */
#include "expr/target_parts.h"

#include "symbol/go_types.h"
#include <string.h>

enum outcome interface_held(struct evaluation *evaluation, const struct operand *operand,
                            const struct shape *shape, struct operand *out) {
    uint64_t type = 0, address = 0;
    unsigned word = evaluation->frame->registers.arch->word;
    struct go_type found;
    *out = (struct operand){0};
    enum outcome outcome = operand_read(evaluation, operand, shape->length, &type, word);
    if (outcome != EVAL_OK || !type)
        return outcome;
    if (shape->by_table) {
        struct operand table = operand_in_memory(NULL, type);
        outcome = operand_read(evaluation, &table, shape->node, &type, word);
    }
    if (outcome != EVAL_OK)
        return outcome;
    if (!go_type_at(evaluation->frame->space, type, &found))
        return evaluation_fail(evaluation, "it holds a value whose type is not in the debug info");
    if (found.direct) {
        *out = operand_part(operand, found.type, shape->data);
        return EVAL_OK;
    }
    outcome = operand_read(evaluation, operand, shape->data, &address, word);
    if (outcome == EVAL_OK)
        *out = operand_in_memory(found.type, address);
    return outcome;
}

/* ---- x.(T) ---- */

#define POINTERS 16

/* A type is known by its name: a pointer to it that an expression makes has no entry. */
static bool same_type(const struct type *a, const struct type *b, int depth) {
    const struct type *p = type_plain(a), *q = type_plain(b);
    if (a == b || p == q)
        return true;
    if (p->kind == TYPE_POINTER && q->kind == TYPE_POINTER && depth < POINTERS && p->target &&
        q->target && !(a->kind == TYPE_TYPEDEF) && !(b->kind == TYPE_TYPEDEF))
        return same_type(p->target, q->target, depth + 1);
    return a->name && b->name && !strcmp(a->name, b->name);
}

static const char *type_text(struct evaluation *evaluation, const struct type *type) {
    struct buffer out = BUFFER_INIT(1024);
    type_print(type, &out);
    const char *text = out.data ? arena_strdup(evaluation->scratch, out.data) : NULL;
    buffer_free(&out);
    return text ? text : "?";
}

enum outcome interface_assert(struct evaluation *evaluation, const struct operand *operand,
                              const struct shape *shape, const struct type *type,
                              struct operand *out) {
    enum outcome outcome = interface_held(evaluation, operand, shape, out);
    if (outcome != EVAL_OK)
        return outcome;
    if (!out->type)
        return evaluation_fail(evaluation, "it is nil, not of type %s",
                               type_text(evaluation, type));
    if (!same_type(out->type, type, 0))
        return evaluation_fail(evaluation, "it is of type %s, not %s",
                               type_text(evaluation, out->type), type_text(evaluation, type));
    out->type = type;
    return EVAL_OK;
}
