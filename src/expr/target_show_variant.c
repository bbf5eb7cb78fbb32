/* Rust's enumerations: of several shapes, the one that an object has. */
#include "expr/target_viewer.h"

#include <string.h>

static struct operand part(const struct operand *whole, const struct member *member) {
    struct operand out = *whole;
    out.type = member->type;
    operand_move(&out, member->offset);
    return out;
}

static const struct variant *variant_of(const struct type *plain, uint64_t value) {
    const struct variant *other = NULL;
    for (size_t i = 0; i < plain->variant_count; i++) {
        if (!plain->variants[i].otherwise && plain->variants[i].value == value)
            return &plain->variants[i];
        other = plain->variants[i].otherwise ? &plain->variants[i] : other;
    }
    return other;
}

static bool is_option(const struct type *plain) {
    return plain->name && !strncmp(plain->name, "core::option::Option<", 21);
}

/* None is null and Some(x) is x; others are {"Name": what it holds}, or "Name" where it holds
 * nothing. What has one unnamed field holds that. */
value_ref show_variant(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_complete(v->module, type_plain(operand->type));
    struct operand tag = plain->discriminant.type ? part(operand, &plain->discriminant) : *operand;
    struct number number = {0};
    if (plain->discriminant.type && operand_number(v->evaluation, &tag, &number) != EVAL_OK)
        return show_failed(v);
    uint64_t size = plain->discriminant.type ? type_plain(plain->discriminant.type)->size : 8;
    uint64_t value = (uint64_t)number.i & (size < 8 ? (UINT64_C(1) << 8 * size) - 1 : UINT64_MAX);
    const struct variant *variant = variant_of(plain, value);
    if (!variant || !variant->member.name)
        return value_error(v->into, "no variant has the number %llu", (unsigned long long)value);
    const struct type *inside = type_complete(v->module, type_plain(variant->member.type));
    struct operand inner = part(operand, &variant->member);
    const char *name = variant->member.name;
    if (!inside->member_count)
        return is_option(plain) ? value_new(v->into, VALUE_NULL)
                                : value_string(v->into, name, strlen(name));
    const struct member *first = &inside->members[0];
    bool bare = inside->member_count == 1 && first->name && !strcmp(first->name, "__0");
    if (bare)
        inner = part(&inner, first);
    if (v->nesting++ > NESTING) {
        v->nesting--;
        return value_error(v->into, "it is nested too deep");
    }
    value_ref held = show_operand(v, &inner, depth + !is_option(plain));
    v->nesting--;
    if (is_option(plain) && bare)
        return held;
    value_ref object = value_new(v->into, VALUE_OBJECT);
    value_set(v->into, object, name, held);
    return object;
}
