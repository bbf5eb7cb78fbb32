/* Texts of the target: up to a NUL, or as long as their owner says. */
#include "expr/target_parts.h"

#include <string.h>

/* Wide characters become UTF-8; what is no character becomes U+FFFD. */
void text_add_utf8(struct buffer *out, uint32_t c) {
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        buffer_putc(out, (char)c);
    } else if (c < 0x800) {
        buffer_putc(out, (char)(0xc0 | c >> 6));
        buffer_putc(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buffer_putc(out, (char)(0xe0 | c >> 12));
        buffer_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buffer_putc(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buffer_putc(out, (char)(0xf0 | c >> 18));
        buffer_putc(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buffer_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buffer_putc(out, (char)(0x80 | (c & 0x3f)));
    }
}

void text_add_wide(struct buffer *out, const uint8_t *bytes, size_t count, unsigned width) {
    for (size_t i = 0; i < count; i++) {
        uint32_t c = 0, low = 0;
        memcpy(&c, bytes + i * width, width);
        if (width == 2 && c >= 0xd800 && c < 0xdc00 && i + 1 < count) {
            memcpy(&low, bytes + (i + 1) * width, width);
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i++;
            }
        }
        text_add_utf8(out, c);
    }
}

bool text_is_zero(const uint8_t *bytes, unsigned width) {
    for (unsigned i = 0; i < width; i++)
        if (bytes[i])
            return false;
    return true;
}

#define STRING_STEP 64 /* bytes of a C string that are wanted at a time */

enum outcome text_terminated(struct evaluation *evaluation, uint64_t address, unsigned width,
                             size_t max, uint8_t **out, size_t *count, bool *ended) {
    uint8_t *bytes = arena_alloc(evaluation->scratch, (max + 1) * width + STRING_STEP);
    size_t have = 0, most = max * width;
    *out = bytes;
    *count = 0;
    *ended = false;
    if (!bytes)
        return evaluation_fail(evaluation, "it takes more memory than one hit may");
    while (have < most) {
        size_t to_step = STRING_STEP - (address + have) % STRING_STEP;
        size_t step = to_step % width ? width : to_step;
        step = step > most - have ? most - have : step;
        size_t known =
            memory_known(evaluation->frame->memory, address + have, step) / width * width;
        step = known ? known : step; /* it may end there */
        switch (memory_read(evaluation->frame->memory, address + have, bytes + have, step)) {
        case MEMORY_AGAIN:
            evaluation->again = true;
            memory_want(evaluation->frame->memory, address + have,
                        most - have < 256 ? most - have : 256);
            return EVAL_AGAIN;
        case MEMORY_FAULT: return evaluation_fault(evaluation, address + have);
        default: break;
        }
        for (size_t i = 0; i + width <= step; i += width)
            if (text_is_zero(bytes + have + i, width)) {
                *count = (have + i) / width;
                *ended = true;
                return EVAL_OK;
            }
        have += step;
    }
    *count = have / width;
    return EVAL_OK;
}

bool text_ends_there(struct evaluation *evaluation, uint64_t address, unsigned width) {
    uint8_t bytes[4] = {1, 1, 1, 1};
    bool again = evaluation->again;
    enum memory_result result = memory_read(evaluation->frame->memory, address, bytes, width);
    if (result == MEMORY_AGAIN)
        evaluation->again = true;
    else
        evaluation->again = again;
    return result == MEMORY_OK && text_is_zero(bytes, width);
}

bool operand_is_text(struct evaluation *evaluation, const struct type *plain, struct shape *shape) {
    struct loaded *loaded = evaluation->frame->loaded;
    struct module *module = loaded ? loaded->module : evaluation->frame->space->list[0].module;
    return type_is_composite(plain) && evaluation->shape &&
           evaluation->shape(module, plain, shape) && shape->kind == SHAPE_TEXT;
}

/* The characters are the object's own, `count` of them; a NUL may end them before. */
static enum outcome text_inside(struct evaluation *evaluation, const struct operand *operand,
                                uint64_t count, size_t max, const char **bytes, size_t *n,
                                uint64_t *len) {
    *n = count < max ? (size_t)count : max;
    char *copy = arena_alloc(evaluation->scratch, *n + 1);
    *bytes = copy;
    enum outcome outcome = copy ? operand_read(evaluation, operand, 0, copy, *n)
                                : evaluation_fail(evaluation, "out of memory");
    *len = *n = outcome == EVAL_OK ? strnlen(*bytes, *n) : 0;
    return outcome;
}

/* `n` characters at *bytes become UTF-8; *len counted those of the whole text. */
static enum outcome narrow(struct evaluation *evaluation, unsigned width, const char **bytes,
                           size_t *n, uint64_t *len) {
    struct buffer out = BUFFER_INIT(1 << 20);
    text_add_wide(&out, (const uint8_t *)*bytes, *n, width);
    const char *copy =
        out.failed ? NULL : arena_copy(evaluation->scratch, out.data ? out.data : "", out.len + 1);
    *len = *len - *n + out.len;
    *n = out.len;
    *bytes = copy ? copy : "";
    buffer_free(&out);
    return copy ? EVAL_OK : evaluation_fail(evaluation, "it takes more memory than one hit may");
}

static enum outcome shaped_text(struct evaluation *evaluation, const struct operand *operand,
                                const struct shape *shape, size_t max, const char **bytes,
                                size_t *n, uint64_t *len) {
    unsigned width = (unsigned)type_plain(shape->element)->size;
    struct operand first;
    enum outcome outcome = shape_elements(evaluation, operand, shape, &first, len);
    if (outcome != EVAL_OK)
        return outcome;
    *n = *len < max ? (size_t)*len : max;
    char *copy = arena_alloc(evaluation->scratch, *n * width + 1);
    *bytes = copy;
    if (!copy)
        return evaluation_fail(evaluation, "it takes more memory than one hit may");
    outcome = operand_read(evaluation, &first, 0, copy, *n * width);
    return outcome == EVAL_OK && width > 1 ? narrow(evaluation, width, bytes, n, len) : outcome;
}

enum outcome operand_text(struct evaluation *evaluation, const struct operand *operand, size_t max,
                          const char **bytes, size_t *n, uint64_t *len) {
    const struct type *plain = type_plain(operand->type);
    struct shape shape;
    if (operand->has_text) {
        *bytes = (const char *)operand->bytes;
        *len = *n = operand->size;
        return EVAL_OK;
    }
    if (operand_is_text(evaluation, plain, &shape))
        return shaped_text(evaluation, operand, &shape, max, bytes, n, len);
    struct number number;
    uint8_t *copy;
    bool ended;
    if (plain->kind == TYPE_ARRAY)
        return text_inside(evaluation, operand, plain->count, max, bytes, n, len);
    struct operand target;
    enum outcome outcome;
    if (operand_is_implicit(operand)) {
        outcome = implicit_target(evaluation, operand, plain->target, 0, &target);
        if (outcome != EVAL_OK || !target.in_memory)
            return outcome == EVAL_OK
                       ? text_inside(evaluation, &target, target.size, max, bytes, n, len)
                       : outcome;
        outcome = text_terminated(evaluation, target.address, 1, max, &copy, n, &ended);
        *len = outcome == EVAL_OK ? *n + !ended : 0;
        *bytes = outcome == EVAL_OK ? (const char *)copy : "";
        return outcome;
    }
    outcome = operand_number(evaluation, operand, &number);
    if (outcome == EVAL_OK && !number.i)
        return evaluation_fail(evaluation, "a null pointer is followed");
    if (outcome == EVAL_OK)
        outcome = text_terminated(evaluation, (uint64_t)number.i, 1, max, &copy, n, &ended);
    *len = outcome == EVAL_OK ? *n + !ended : 0;
    *bytes = outcome == EVAL_OK ? (const char *)copy : "";
    return outcome;
}
