/* Numbers of the target: from its bytes, by its languages' rules, and back. */
#include "expr/target_parts.h"

#include <math.h>
#include <string.h>

/* x87's 80 bits: a sign, 15 bits of exponent, 64 of a mantissa with its first bit said. */
static long double from_x87(const uint8_t *bytes) {
    uint64_t mantissa;
    uint16_t head;
    memcpy(&mantissa, bytes, 8);
    memcpy(&head, bytes + 8, 2);
    int exponent = head & 0x7fff;
    bool none = exponent && !(mantissa >> 63); /* the processor takes it for no number either */
    long double f = none || exponent == 0x7fff
                        ? (none || mantissa << 1 ? NAN : INFINITY)
                        : ldexpl((long double)mantissa, (exponent ? exponent : 1) - 16383 - 63);
    return head & 0x8000 ? -f : f;
}

/* IEEE's 128 bits: a sign, 15 bits of exponent, 112 of a mantissa whose first bit is implied. The
 * host's own precision is all that is kept. */
static long double from_quad(const uint8_t *bytes) {
    uint64_t low, high;
    memcpy(&low, bytes, 8);
    memcpy(&high, bytes + 8, 8);
    uint64_t top = high & ((UINT64_C(1) << 48) - 1);
    int exponent = high >> 48 & 0x7fff;
    if (exponent == 0x7fff)
        return top || low ? NAN : high >> 63 ? -INFINITY : INFINITY;
    top |= exponent ? UINT64_C(1) << 48 : 0;
    long double f = ldexpl((long double)top, (exponent ? exponent : 1) - 16383 - 48) +
                    ldexpl((long double)low, (exponent ? exponent : 1) - 16383 - 112);
    return high >> 63 ? -f : f;
}

static bool load_long_double(const struct type *plain, const uint8_t *bytes, long double *out) {
    if (plain->size != 10 && plain->size != 16)
        return false;
    *out = plain->quad ? from_quad(bytes) : from_x87(bytes);
    return true;
}

static void store_quad(long double f, uint8_t out[static 16]) {
    int exponent = 0;
    long double rest = frexpl(fabsl(f), &exponent);
    uint64_t high = signbit(f) ? UINT64_C(1) << 63 : 0, low = 0;
    if (isnan(f) || isinf(f)) {
        high |= UINT64_C(0x7fff) << 48 | (isnan(f) ? UINT64_C(1) << 47 : 0);
    } else if (exponent > -16382 && f != 0) { /* what is smaller yet becomes 0 */
        rest = ldexpl(rest, 49);
        uint64_t top = (uint64_t)rest;
        low = (uint64_t)ldexpl(rest - (long double)top, 64);
        high |= (uint64_t)(exponent - 1 + 16383) << 48 | (top & ((UINT64_C(1) << 48) - 1));
    }
    memcpy(out, &low, 8);
    memcpy(out + 8, &high, 8);
}

bool number_load(const struct type *plain, const uint8_t *bytes, struct number *out) {
    float f;
    double d;
    *out = (struct number){.is_float = plain->kind == TYPE_FLOAT};
    if (!out->is_float) {
        unsigned __int128 raw = 0;
        size_t size = plain->size ? plain->size : 8;
        if (size > 16)
            return false;
        memcpy(&raw, bytes, size);
        bool sign = plain->sign ||
                    (plain->kind == TYPE_ENUM && plain->target && type_plain(plain->target)->sign);
        unsigned shift = 128 - 8 * (unsigned)size;
        out->i = sign && shift ? (__int128)(raw << shift) >> shift : (__int128)raw;
        return true;
    }
    switch (plain->size) {
    case 4:
        memcpy(&f, bytes, 4);
        out->f = f;
        return true;
    case 8:
        memcpy(&d, bytes, 8);
        out->f = d;
        return true;
    default: return load_long_double(plain, bytes, &out->f);
    }
}

void number_store(const struct type *plain, const struct number *number, uint8_t out[static 16]) {
    memset(out, 0, 16);
    if (plain->kind == TYPE_FLOAT) {
        float f = (float)number->f;
        double d = (double)number->f;
        if (plain->size == 4)
            memcpy(out, &f, 4);
        else if (plain->size == 8)
            memcpy(out, &d, 8);
        else if (plain->quad)
            store_quad(number->f, out);
        else
            memcpy(out, &number->f, sizeof number->f);
        return;
    }
    memcpy(out, &number->i, 16);
}

struct number number_fit(const struct type *plain, struct number number) {
    if (plain->kind == TYPE_FLOAT) {
        long double f = number.is_float ? number.f : (long double)number.i;
        f = plain->size == 4 ? (float)f : plain->size == 8 ? (double)f : f;
        return (struct number){.is_float = true, .f = f};
    }
    __int128 i = number.i;
    if (number.is_float)
        i = number.f >= -1.7e38L && number.f <= 1.7e38L ? (__int128)number.f : 0;
    if (plain->kind == TYPE_BOOL)
        return (struct number){.i = number.is_float ? number.f != 0 : number.i != 0};
    uint8_t bytes[16];
    memcpy(bytes, &i, 16);
    struct number out = {.i = i};
    number_load(plain, bytes, &out);
    return out;
}

const struct type *number_promoted(const struct type *plain) {
    if (plain->kind == TYPE_FLOAT || plain->unit_go)
        return plain;
    if (plain->size < 4 || plain->kind == TYPE_BOOL)
        return type_basic(BASIC_INT);
    if (plain->kind == TYPE_ENUM) { /* its underlying type, or what its size says */
        const struct type *under = plain->target ? type_plain(plain->target) : plain;
        bool sign = under->kind == TYPE_INT && under->sign;
        return plain->size > 4 ? type_basic(sign ? BASIC_LONG : BASIC_ULONG)
                               : type_basic(sign ? BASIC_INT : BASIC_UINT);
    }
    return plain;
}

const struct type *number_common(const struct type *a, const struct type *b) {
    a = number_promoted(a);
    b = number_promoted(b);
    if (a->kind == TYPE_FLOAT || b->kind == TYPE_FLOAT) {
        if (a->kind != b->kind)
            return a->kind == TYPE_FLOAT ? a : b;
        return a->size >= b->size ? a : b;
    }
    if (a->size != b->size)
        return a->size > b->size ? a : b;
    return a->sign ? b : a; /* of the same size: unsigned wins */
}

static bool divide(enum target_op op, const struct type *plain, struct number a, struct number b,
                   struct number *out, const char **why) {
    (void)plain;
    if (b.i == 0) {
        *why = "division by zero";
        return false;
    }
    if (b.i ==
        -1) /* the least number divided by -1 does not fit: wrap, as the processor would not */
        out->i = op == TOP_DIV ? (__int128)(0 - (unsigned __int128)a.i) : 0;
    else
        out->i = op == TOP_DIV ? a.i / b.i : a.i % b.i;
    return true;
}

static bool compare(enum target_op op, const struct type *plain, struct number a, struct number b,
                    bool *out) {
    unsigned __int128 x = (unsigned __int128)a.i, y = (unsigned __int128)b.i;
    bool huge = plain->size == 16 && !plain->sign; /* the one type that __int128 does not hold */
    int order = a.is_float ? (a.f > b.f) - (a.f < b.f)
                : huge     ? (x > y) - (x < y)
                           : (a.i > b.i) - (a.i < b.i);
    bool ordered = !a.is_float || !(isnan(a.f) || isnan(b.f));
    switch (op) {
    case TOP_EQ: *out = ordered && order == 0; return true;
    case TOP_NE: *out = !ordered || order != 0; return true;
    case TOP_LT: *out = ordered && order < 0; return true;
    case TOP_GT: *out = ordered && order > 0; return true;
    case TOP_LE: *out = ordered && order <= 0; return true;
    case TOP_GE: *out = ordered && order >= 0; return true;
    default: return false;
    }
}

static bool float_binary(enum target_op op, struct number a, struct number b, struct number *out,
                         const char **why) {
    out->is_float = true;
    switch (op) {
    case TOP_ADD: out->f = a.f + b.f; return true;
    case TOP_SUB: out->f = a.f - b.f; return true;
    case TOP_MUL: out->f = a.f * b.f; return true;
    case TOP_DIV: out->f = a.f / b.f; return true;
    default: *why = "this operator needs integers"; return false;
    }
}

static bool shift(enum target_op op, const struct type *plain, struct number a, struct number b,
                  struct number *out, const char **why) {
    unsigned __int128 raw = (unsigned __int128)a.i;
    if (b.i < 0) {
        *why = "shift by a negative number";
        return false;
    }
    unsigned bits = (unsigned)plain->size * 8;
    unsigned n = b.i >= bits ? bits : (unsigned)b.i;
    if (op == TOP_SHL)
        out->i = n >= bits ? 0 : (__int128)(raw << n);
    else
        out->i = n >= 128 ? (a.i < 0 ? -1 : 0) : a.i >> n;
    return true;
}

bool number_binary(enum target_op op, const struct type *plain, struct number a, struct number b,
                   struct number *out, const char **why) {
    bool truth;
    *out = (struct number){0};
    if (compare(op, plain, a, b, &truth)) {
        out->i = truth;
        return true;
    }
    bool fine = true;
    if (a.is_float)
        fine = float_binary(op, a, b, out, why);
    else if (op == TOP_DIV || op == TOP_MOD)
        fine = divide(op, plain, a, b, out, why);
    else if (op == TOP_SHL || op == TOP_SHR)
        fine = shift(op, plain, a, b, out, why);
    else
        switch (op) {
        case TOP_ADD: out->i = (__int128)((unsigned __int128)a.i + (unsigned __int128)b.i); break;
        case TOP_SUB: out->i = (__int128)((unsigned __int128)a.i - (unsigned __int128)b.i); break;
        case TOP_MUL: out->i = (__int128)((unsigned __int128)a.i * (unsigned __int128)b.i); break;
        case TOP_BIT_AND: out->i = a.i & b.i; break;
        case TOP_BIT_OR: out->i = a.i | b.i; break;
        case TOP_BIT_XOR: out->i = a.i ^ b.i; break;
        default: *why = "unknown operator"; return false;
        }
    if (fine)
        *out = number_fit(plain, *out);
    return fine;
}
