/* What operands hold: bytes, numbers, elements. */
#include "expr/target_parts.h"

#include <stdio.h>
#include <string.h>

enum outcome evaluation_fail(struct evaluation *evaluation, const char *format, ...) {
    va_list args;
    if (evaluation->why)
        return EVAL_FAILED;
    va_start(args, format);
    vsnprintf(evaluation->text, sizeof evaluation->text, format, args);
    va_end(args);
    evaluation->why = evaluation->text;
    return EVAL_FAILED;
}

enum outcome evaluation_fault(struct evaluation *evaluation, uint64_t address) {
    if (evaluation->frame->memory->full)
        return evaluation_fail(evaluation, "one stop reads no more than %zu KiB in %d places",
                               MEMORY_BYTES >> 10, MEMORY_BLOCKS);
    return evaluation_fail(evaluation, "cannot read memory at 0x%llx", (unsigned long long)address);
}

struct operand operand_in_memory(const struct type *type, uint64_t address) {
    return (struct operand){.type = type, .in_memory = true, .address = address};
}

struct operand operand_of_number(const struct type *type, struct number number) {
    const struct type *plain = type_plain(type);
    struct operand operand = {.type = type, .size = plain->size ? plain->size : 8};
    number_store(plain, &number, operand.small);
    return operand;
}

void operand_move(struct operand *operand, uint64_t offset) {
    operand->address += offset;
    operand->located_at += offset;
    if (operand->in_memory || !offset)
        return;
    bool inside = offset <= operand->size;
    if (operand->bytes)
        operand->bytes += inside ? offset : 0;
    else if (offset < sizeof operand->small)
        memmove(operand->small, operand->small + offset, sizeof operand->small - offset);
    operand->missing = operand->missing && inside ? operand->missing + offset : NULL;
    operand->size -= inside ? (size_t)offset : operand->size;
}

struct operand operand_part(const struct operand *whole, const struct type *type, uint64_t offset) {
    struct operand part = *whole;
    uint64_t size = type_plain(type)->size;
    part.type = type;
    part.has_text = false;
    part.bit = part.bit_size = 0;
    operand_move(&part, offset);
    part.size = part.size < size ? 0 : size; /* a part that is not all there cannot be read */
    return part;
}

static const uint8_t *bytes_of(const struct operand *operand) {
    return operand->bytes ? operand->bytes : operand->small;
}

enum outcome operand_read(struct evaluation *evaluation, const struct operand *operand,
                          uint64_t offset, void *out, size_t size) {
    if (operand->in_memory) {
        switch (memory_read(evaluation->frame->memory, operand->address + offset, out, size)) {
        case MEMORY_OK: return EVAL_OK;
        case MEMORY_AGAIN: evaluation->again = true; return EVAL_AGAIN;
        default: return evaluation_fault(evaluation, operand->address + offset);
        }
    }
    if (offset > operand->size || size > operand->size - offset)
        return evaluation_fail(evaluation, "a part of it lies outside of what was read");
    for (size_t i = 0; operand->missing && i < size; i++)
        if (operand->missing[offset + i])
            return evaluation_fail(evaluation, "optimized out");
    memcpy(out, bytes_of(operand) + offset, size);
    return EVAL_OK;
}

static enum outcome read_bits(struct evaluation *evaluation, const struct operand *operand,
                              struct number *out) {
    uint8_t bytes[17] = {0};
    unsigned first = operand->bit / 8, shift = operand->bit % 8;
    size_t size = (shift + operand->bit_size + 7) / 8;
    const struct type *plain = type_plain(operand->type);
    enum outcome outcome = operand_read(evaluation, operand, first, bytes, size > 17 ? 17 : size);
    if (outcome != EVAL_OK)
        return outcome;
    unsigned __int128 raw;
    memcpy(&raw, bytes, 16);
    raw >>= shift;
    if (shift)
        raw |= (unsigned __int128)bytes[16] << (128 - shift);
    unsigned unused = 128 - operand->bit_size;
    bool sign = plain->sign ||
                (plain->kind == TYPE_ENUM && plain->target && type_plain(plain->target)->sign);
    raw <<= unused;
    out->is_float = false;
    out->i = sign ? (__int128)raw >> unused : (__int128)(raw >> unused);
    return EVAL_OK;
}

enum outcome operand_number(struct evaluation *evaluation, const struct operand *operand,
                            struct number *out) {
    const struct type *plain = type_plain(operand->type);
    uint8_t bytes[16] = {0};
    size_t size = plain->size ? plain->size : 8;
    if (plain->kind == TYPE_ARRAY && operand->in_memory) { /* an array decays to its address */
        *out = (struct number){.i = (__int128)operand->address};
        return EVAL_OK;
    }
    if (plain->kind == TYPE_FUNCTION && operand->in_memory && !plain->unit_go) {
        *out = (struct number){.i = (__int128)operand->address};
        return EVAL_OK;
    }
    if (operand->bit_size)
        return read_bits(evaluation, operand, out);
    if (operand_is_implicit(operand))
        return evaluation_fail(evaluation, "optimized out (a pointer to what has no address)");
    enum outcome outcome = operand_read(evaluation, operand, 0, bytes, size > 16 ? 16 : size);
    if (outcome == EVAL_OK && !number_load(plain, bytes, out))
        return evaluation_fail(evaluation, "a number of %zu bytes", size);
    return outcome;
}

enum outcome operand_truth(struct evaluation *evaluation, const struct operand *operand,
                           bool *out) {
    struct number number;
    enum outcome outcome = operand_number(evaluation, operand, &number);
    if (outcome == EVAL_OK)
        *out = number.is_float ? number.f != 0 : number.i != 0;
    return outcome;
}

/* How many elements there are, or where they end. A header is found by the first of them. */
static enum outcome read_length(struct evaluation *evaluation, const struct operand *operand,
                                const struct shape *shape, uint64_t first, uint64_t *out) {
    struct operand header = operand_in_memory(operand->type, first - shape->header);
    return operand_read(evaluation, shape->header ? &header : operand, shape->length, out,
                        evaluation->frame->registers.arch->word);
}

static enum outcome short_text(struct evaluation *evaluation, const struct operand *operand,
                               const struct shape *shape, bool *is_short, struct operand *first,
                               uint64_t *count) {
    uint8_t length;
    enum outcome outcome = operand_read(evaluation, operand, shape->short_length, &length, 1);
    *is_short = outcome == EVAL_OK && !(length & 1);
    if (*is_short && length / 2 >= shape->short_most)
        return evaluation_fail(evaluation, "it is not in a valid state");
    if (*is_short) {
        *first = *operand;
        first->type = shape->element;
        operand_move(first, shape->short_text);
        *count = length / 2;
    }
    return outcome;
}

enum outcome shape_elements(struct evaluation *evaluation, const struct operand *operand,
                            const struct shape *shape, struct operand *first, uint64_t *count) {
    uint64_t length = 0;
    unsigned word = evaluation->frame->registers.arch->word;
    size_t stride = type_plain(shape->element)->size;
    struct operand inside = operand_in_memory(operand->type, 0);
    enum outcome a = EVAL_OK;
    bool is_short = false;
    *first = operand_in_memory(shape->element, 0);
    *count = 0;
    if (shape->behind) {
        a = operand_read(evaluation, operand, 0, &inside.address, word);
        if (a != EVAL_OK || !inside.address)
            return a;
        operand = &inside;
    }
    if (shape->has_short)
        a = short_text(evaluation, operand, shape, &is_short, first, count);
    if (a != EVAL_OK || is_short)
        return a;
    a = operand_read(evaluation, operand, shape->data, &first->address, word);
    *count = shape->fixed;
    if (shape->is_fixed || (shape->header && a != EVAL_OK))
        return a;
    enum outcome b = read_length(evaluation, operand, shape, first->address, &length);
    if (a != EVAL_OK || b != EVAL_OK)
        return a > b ? a : b;
    if (shape->end_pointer) {
        uint64_t begin = first->address;
        if (!stride || length < begin || (length - begin) % stride)
            return evaluation_fail(evaluation, "it is not in a valid state");
        length = (length - begin) / stride;
    }
    if ((int64_t)length < 0)
        return evaluation_fail(evaluation, "its length is negative");
    *count = length;
    return EVAL_OK;
}

/* ---- arrays whose length is computed ---- */

static enum outcome bound_of_variable(struct evaluation *evaluation, struct die variable,
                                      uint64_t *out, const char **why) {
    struct frame *frame = evaluation->frame;
    struct located located;
    uint8_t missing[8];
    size_t size = type_plain(type_of_entry(variable))->size;
    struct unit *unit = unit_of(variable);
    const struct dwarf_expression *location =
        unit ? location_of(unit->module, variable, DW_AT_location, frame_lookup_pc(frame), why)
             : NULL;
    enum outcome outcome =
        location ? location_evaluate(location, frame, NULL, &located, why) : EVAL_FAILED;
    if (outcome == EVAL_OK)
        outcome = located_read(&located, frame, 0, out, missing, size > 8 ? 8 : size, why);
    return outcome == EVAL_OK && missing[0] ? EVAL_FAILED : outcome;
}

/* gcc's expressions end in the number itself, as if it were an address. */
static enum outcome bound_of_expression(struct evaluation *evaluation, struct die range,
                                        unsigned attribute, uint64_t *out, const char **why) {
    struct frame *frame = evaluation->frame;
    struct located located;
    struct unit *unit = unit_of(range);
    const struct dwarf_expression *location =
        unit ? location_of(unit->module, range, attribute, frame_lookup_pc(frame), why) : NULL;
    enum outcome outcome =
        location ? location_evaluate(location, frame, NULL, &located, why) : EVAL_FAILED;
    if (outcome == EVAL_OK && located.pieces[0].kind == PIECE_VALUE)
        memcpy(out, located.pieces[0].value, 8);
    else if (outcome == EVAL_OK)
        *out = located.pieces[0].address;
    return outcome;
}

enum outcome array_count(struct evaluation *evaluation, const struct type *plain, uint64_t *count) {
    struct die range, variable;
    uint64_t upper = 0;
    const char *why = "";
    *count = plain->count;
    if (plain->has_count || !plain->bound.dwarf)
        return EVAL_OK;
    if (!die_at(plain->bound, &range))
        return evaluation_fail(evaluation, "its length cannot be read");
    unsigned attribute = die_has(range, DW_AT_upper_bound) ? DW_AT_upper_bound : DW_AT_count;
    enum outcome outcome;
    if (die_ref(range, attribute, &variable)) {
        outcome = bound_of_variable(evaluation, variable, &upper, &why);
        die_free(&variable);
    } else {
        outcome = bound_of_expression(evaluation, range, attribute, &upper, &why);
    }
    die_free(&range);
    *count = upper + (attribute == DW_AT_upper_bound);
    if (outcome == EVAL_AGAIN)
        evaluation->again = true;
    if (outcome != EVAL_FAILED)
        return outcome;
    bool lost = why && strstr(why, "optimized out");
    return evaluation_fail(evaluation,
                           lost ? "its length is optimized out" : "its length cannot be read");
}

#define DIMENSIONS 16

/* A flexible array, or one whose length the compiler has lost. */
static enum outcome known_length(struct evaluation *evaluation, const struct type *plain) {
    bool lost = plain->kind == TYPE_ARRAY && !plain->has_count && !plain->bound.dwarf;
    return lost ? evaluation_fail(evaluation, "an array without a known length has no size")
                : EVAL_OK;
}

enum outcome type_run_size(struct evaluation *evaluation, const struct type *type, uint64_t *size) {
    const struct type *plain = type_plain(type);
    uint64_t product = 1, count;
    for (int i = 0; i < DIMENSIONS && plain->kind == TYPE_ARRAY && !plain->size; i++) {
        enum outcome outcome = known_length(evaluation, plain);
        if (outcome == EVAL_OK)
            outcome = array_count(evaluation, plain, &count);
        if (outcome != EVAL_OK)
            return outcome;
        if (__builtin_mul_overflow(product, count, &product))
            return evaluation_fail(evaluation, "its length cannot be right");
        plain = type_plain(plain->target);
    }
    *size = product * plain->size;
    return EVAL_OK;
}
