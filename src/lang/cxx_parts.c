/* libstdc++'s types whose parts are in the object itself: tuples, variants, bits. */
#include "lang/parts.h"

#include <string.h>

bool lang_fits_bitset(struct module *module, const struct type *plain, const struct shape_row *row,
                      struct shape *out) {
    const struct type *words;
    out->element = type_basic(BASIC_BOOL);
    if (!lang_number(plain, "_Nb", &out->fixed))
        return false;
    return !out->fixed || (lang_follow(module, plain, row->data, &out->data, &words) &&
                           type_plain(words)->size >= out->fixed / 8);
}

/* A base class by the beginning of its name. */
static const struct member *base_named(const struct type *type, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < type->member_count; i++) {
        const struct member *member = &type->members[i];
        const char *own = member->base && !member->location ? type_plain(member->type)->name : NULL;
        if (own && !strncmp(own, name, n) && (own[n] == '<' || own[n] == '\0'))
            return member;
    }
    return NULL;
}

/* A std::tuple has what it consists of as a base class; that has a head, and the rest as another
 * one. An element without members can be a head's base class. */
static bool fits_tuple(struct module *module, const struct type *plain, struct shape *out) {
    const struct member *rest = base_named(plain, "std::_Tuple_impl");
    const struct member *head = base_named(plain, "std::_Head_base");
    const struct type *unwanted;
    uint64_t inside = 0;
    out->mapped = rest ? rest->type : NULL;
    out->mapped_at = rest ? rest->offset : 0;
    if (!head)
        return true;
    const struct type *holder = type_complete(module, type_plain(head->type));
    out->element = lang_argument(holder, "_Head");
    if (lang_follow(module, holder, "_M_head_impl", &inside, &unwanted))
        out->element = unwanted;
    out->data = head->offset + inside;
    return out->element;
}

/* The alternatives of a std::variant are a union: of the first one, and of the rest. */
static bool fits_alternatives(struct module *module, const struct type *plain, struct shape *out) {
    const struct type *first, *rest;
    if (!lang_follow(module, plain, "_M_first", &out->data, &first))
        return true;
    out->element = lang_argument(type_complete(module, type_plain(first)), "_Type");
    if (lang_follow(module, plain, "_M_rest", &out->mapped_at, &rest))
        out->mapped = rest;
    return out->element;
}

bool lang_fits_sequence(struct module *module, const struct type *plain,
                        const struct shape_row *row, struct shape *out) {
    plain = type_complete(module, plain);
    if (plain->declaration)
        return false;
    return row->data ? fits_alternatives(module, plain, out) : fits_tuple(module, plain, out);
}

bool lang_fits_variant(struct module *module, const struct type *plain, const struct shape_row *row,
                       struct shape *out) {
    const struct type *number;
    if (!lang_follow(module, plain, row->data, &out->data, &out->element) ||
        !lang_follow(module, plain, row->length, &out->length, &number))
        return false;
    out->fixed = type_plain(number)->size;
    return out->fixed && out->fixed <= 8;
}

bool lang_fits_duration(struct module *module, const struct type *plain,
                        const struct shape_row *row, struct shape *out) {
    const struct type *period = lang_argument(plain, "_Period");
    period = period ? type_complete(module, type_plain(period)) : NULL;
    return period && lang_number(period, "_Num", &out->fixed) &&
           lang_number(period, "_Den", &out->mapped_at) &&
           lang_follow(module, plain, row->data, &out->data, &out->element) &&
           type_is_number(type_plain(out->element));
}

bool lang_fits_function(struct module *module, const struct type *plain,
                        const struct shape_row *row, struct shape *out) {
    const struct type *unwanted;
    return lang_follow(module, plain, row->data, &out->data, &unwanted) &&
           lang_follow(module, plain, row->length, &out->length, &unwanted) &&
           lang_follow(module, plain, row->capacity, &out->capacity, &unwanted);
}

/* The pointer's count is in a block of its own: `capacity` is where. */
bool lang_fits_weak(struct module *module, const struct type *plain, const struct shape_row *row,
                    struct shape *out) {
    const struct type *data, *counts, *number;
    if (!lang_follow(module, plain, row->data, &out->data, &data) ||
        !lang_follow(module, plain, row->length, &out->length, &counts))
        return false;
    data = type_plain(data);
    counts = type_plain(counts);
    if (data->kind != TYPE_POINTER || counts->kind != TYPE_POINTER ||
        !lang_follow(module, counts->target, row->capacity, &out->node, &number))
        return false;
    out->element = data->target;
    return type_plain(number)->size == 4;
}

bool lang_fits_expected(struct module *module, const struct type *plain,
                        const struct shape_row *row, struct shape *out) {
    const struct type *unwanted;
    if (!lang_follow(module, plain, row->data, &out->data, &out->element))
        out->element = NULL;
    return lang_follow(module, plain, row->length, &out->length, &unwanted) &&
           lang_follow(module, plain, row->capacity, &out->mapped_at, &out->mapped);
}

bool lang_fits_any(struct module *module, const struct type *plain, const struct shape_row *row,
                   struct shape *out) {
    const struct type *unwanted;
    return lang_follow(module, plain, row->data, &out->data, &unwanted) &&
           lang_follow(module, plain, row->length, &out->length, &unwanted);
}

bool lang_fits_held(struct module *module, const struct type *plain, const struct shape_row *row,
                    struct shape *out) {
    (void)module;
    out->behind = row->behind;
    out->element = lang_argument(plain, row->element);
    return out->element;
}
