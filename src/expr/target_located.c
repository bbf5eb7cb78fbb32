/* Operands from where their locations are; and pointers without a value of their own, of which the
 * debug info says what they point to (DW_OP_implicit_pointer). */
#include "expr/target_parts.h"

#include <string.h>

#define OBJECT_MAX 65536 /* bytes of one that is not in memory */

static bool has_pointer(const struct located *located) {
    for (size_t i = 0; i < located->count; i++)
        if (located->pieces[i].kind == PIECE_POINTER)
            return true;
    return false;
}

static enum outcome take_bytes(struct evaluation *evaluation, const struct located *located,
                               size_t size, struct operand *out) {
    const char *why = NULL;
    uint8_t *bytes = arena_alloc(evaluation->scratch, 2 * size);
    if (!bytes)
        return evaluation_fail(evaluation, "it takes more memory than one hit may");
    enum outcome outcome =
        located_read(located, evaluation->frame, 0, bytes, bytes + size, size, &why);
    if (outcome == EVAL_AGAIN)
        evaluation->again = true;
    if (outcome == EVAL_FAILED)
        return evaluation_fail(evaluation, "%s", why ? why : "cannot read its memory");
    out->bytes = bytes;
    out->missing = bytes + size;
    out->size = size;
    if (has_pointer(located))
        out->located = arena_copy(evaluation->scratch, located, sizeof *located);
    return outcome;
}

enum outcome operand_of_location(struct evaluation *evaluation, const struct located *located,
                                 const struct type *type, struct operand *out) {
    const struct piece *first = &located->pieces[0];
    *out = (struct operand){.type = type};
    if (located->count == 1 && first->kind == PIECE_MEMORY && !first->bits) {
        out->in_memory = true;
        out->address = first->address;
        return EVAL_OK;
    }
    size_t size = type_plain(type)->size;
    bool constant = located->count == 1 && first->kind == PIECE_BYTES && !first->bits;
    if (!size && constant) /* a text that a pointer points to: an entry without a type */
        size = first->size;
    if (!size || size > OBJECT_MAX)
        return evaluation_fail(evaluation, "its size is not known");
    return take_bytes(evaluation, located, size, out);
}

/* ---- pointers to what has no address ---- */

static const struct piece *pointer_piece(const struct operand *operand) {
    uint64_t at = operand->located_at * 8, start = 0;
    for (size_t i = 0; operand->located && i < operand->located->count; i++) {
        const struct piece *piece = &operand->located->pieces[i];
        if (start == at && piece->kind == PIECE_POINTER)
            return piece;
        start += piece->bits;
    }
    return NULL;
}

bool operand_is_implicit(const struct operand *operand) {
    return !operand->in_memory && pointer_piece(operand);
}

static enum outcome take_constant(struct evaluation *evaluation, struct die die,
                                  struct operand *out) {
    struct die from;
    size_t size = type_plain(out->type)->size;
    int64_t number;
    if (!die_inherited(die, DW_AT_const_value, &from))
        return evaluation_fail(evaluation, "optimized out");
    bool fine = die_block(from, DW_AT_const_value, &out->bytes, &out->size);
    if (!fine && die_signed(from, DW_AT_const_value, &number) && size <= sizeof number) {
        memcpy(out->small, &number, sizeof number);
        out->size = size;
        fine = true;
    }
    die_free(&from);
    return fine ? EVAL_OK : evaluation_fail(evaluation, "optimized out");
}

/* What an entry of a variable (or of a constant) is, in this frame. */
static enum outcome object_of(struct evaluation *evaluation, struct die die, struct operand *out) {
    struct frame *frame = evaluation->frame;
    struct unit *unit = unit_of(die);
    struct located located;
    struct die from;
    const char *why = "optimized out";
    *out = (struct operand){.type = type_of_entry(die)};
    if (!unit || !die_inherited(die, DW_AT_location, &from))
        return take_constant(evaluation, die, out);
    const struct dwarf_expression *location =
        location_of(unit->module, from, DW_AT_location, frame_lookup_pc(frame), &why);
    die_free(&from);
    if (!location)
        return evaluation_fail(evaluation, "%s", why);
    enum outcome outcome = location_evaluate(location, frame, NULL, &located, &why);
    if (outcome == EVAL_AGAIN)
        evaluation->again = true;
    if (outcome == EVAL_FAILED)
        return evaluation_fail(evaluation, "%s", why);
    return outcome == EVAL_OK ? operand_of_location(evaluation, &located, out->type, out) : outcome;
}

enum outcome implicit_target(struct evaluation *evaluation, const struct operand *pointer,
                             const struct type *type, uint64_t offset, struct operand *out) {
    const struct piece *piece = pointer_piece(pointer);
    struct operand object;
    struct die die;
    if (!piece || !die_at(piece->place, &die))
        return evaluation_fail(evaluation, "optimized out (a pointer to what has no address)");
    enum outcome outcome = object_of(evaluation, die, &object);
    die_free(&die);
    if (outcome != EVAL_OK)
        return outcome;
    uint64_t at = (uint64_t)piece->offset + offset;
    uint64_t size = type_plain(type)->size;
    if (!object.in_memory && (at > object.size || size > object.size - at))
        return evaluation_fail(evaluation,
                               "outside of what it points into (a pointer to what has no address)");
    *out = object;
    out->type = type;
    operand_move(out, at);
    return EVAL_OK;
}
