/* Numbers and enumerations as the value model has them. */
#include "expr/target_viewer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What failed is an error in that value alone. While something is missing the tree is unfinished
 * anyway. */
value_ref show_failed(struct viewer *v) {
    value_ref ref = v->evaluation->why ? value_error(v->into, "%s", v->evaluation->why)
                                       : value_new(v->into, VALUE_NULL);
    v->evaluation->why = NULL;
    return ref;
}

static value_ref hex(struct viewer *v, unsigned __int128 number) {
    char text[40];
    uint64_t high = (uint64_t)(number >> 64), low = (uint64_t)number;
    if (high)
        snprintf(text, sizeof text, "0x%" PRIx64 "%016" PRIx64, high, low);
    else
        snprintf(text, sizeof text, "0x%" PRIx64, low);
    return value_string(v->into, text, strlen(text));
}

static value_ref wide(struct viewer *v, unsigned __int128 number, bool negative) {
    char text[48], *at = text + sizeof text;
    *--at = '\0';
    do
        *--at = (char)('0' + (int)(number % 10));
    while (number /= 10);
    if (negative)
        *--at = '-';
    return value_string(v->into, at, strlen(at));
}

static value_ref integer(struct viewer *v, const struct type *plain, __int128 i) {
    if (v->as == SHOW_AS_HEX) {
        unsigned __int128 mask = plain->size && plain->size < 16
                                     ? ((unsigned __int128)1 << 8 * plain->size) - 1
                                     : ~(unsigned __int128)0;
        return hex(v, (unsigned __int128)i & mask);
    }
    if (!plain->sign && plain->size == 16 && i < 0)
        return wide(v, (unsigned __int128)i, false);
    if (i >= INT64_MIN && i <= INT64_MAX)
        return value_int(v->into, (int64_t)i);
    return i >= 0 && i <= (__int128)UINT64_MAX
               ? value_uint(v->into, (uint64_t)i)
               : wide(v, i < 0 ? 0 - (unsigned __int128)i : (unsigned __int128)i, i < 0);
}

value_ref show_number(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_plain(operand->type);
    struct number number;
    (void)depth;
    if (!plain->size) /* Rust's () */
        return value_new(v->into, VALUE_NULL);
    if (operand_number(v->evaluation, operand, &number) != EVAL_OK)
        return show_failed(v);
    if (number.is_float)
        return value_float(v->into, (double)number.f);
    if (plain->kind == TYPE_BOOL && number.i <= 1)
        return value_bool(v->into, number.i);
    return integer(v, plain, number.i);
}

value_ref show_complex(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_plain(operand->type);
    struct type part = {
        .kind = TYPE_FLOAT, .size = plain->size / 2, .sign = true, .quad = plain->quad};
    uint8_t bytes[32];
    struct number re, im;
    (void)depth;
    if (plain->size > sizeof bytes ||
        operand_read(v->evaluation, operand, 0, bytes, plain->size) != EVAL_OK)
        return show_failed(v);
    if (!number_load(&part, bytes, &re) || !number_load(&part, bytes + part.size, &im))
        return value_error(v->into, "a complex number of %u bytes", (unsigned)plain->size);
    value_ref ref = value_new(v->into, VALUE_COMPLEX);
    if (ref) {
        value_get(v->into, ref)->complex.re = (double)re.f;
        value_get(v->into, ref)->complex.im = (double)im.f;
    }
    return ref;
}

/* gdb's way: a value of an enumeration of flags is the names of its bits. */
static value_ref flags(struct viewer *v, const struct type *plain, uint64_t value) {
    struct buffer text = BUFFER_INIT(1024);
    uint64_t rest = value;
    for (size_t i = 0; i < plain->enumerator_count; i++) {
        uint64_t bits = (uint64_t)plain->enumerators[i].value;
        if (!bits || (rest & bits) != bits)
            continue;
        buffer_printf(&text, "%s%s", text.len ? "|" : "", plain->enumerators[i].name);
        rest &= ~bits;
    }
    bool none = !text.len;
    if (rest && !none)
        buffer_printf(&text, "|0x%" PRIx64, rest);
    value_ref ref = none ? 0 : value_string(v->into, text.data, text.len);
    buffer_free(&text);
    return ref ? ref : value_uint(v->into, value);
}

value_ref show_enum(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_complete(v->module, type_plain(operand->type));
    struct number number;
    (void)depth;
    if (operand_number(v->evaluation, operand, &number) != EVAL_OK)
        return show_failed(v);
    if (v->as == SHOW_AS_HEX)
        return integer(v, plain, number.i);
    for (size_t i = 0; i < plain->enumerator_count; i++)
        if (plain->enumerators[i].value == (int64_t)number.i)
            return value_string(v->into, plain->enumerators[i].name,
                                strlen(plain->enumerators[i].name));
    return plain->flags && number.i > 0 ? flags(v, plain, (uint64_t)number.i)
                                        : integer(v, plain, number.i);
}
