/* How C++'s libraries keep containers whose elements do not lie in a row. */
#include "lang/parts.h"

#include <string.h>

/* A template's parameter: its entry, to be freed. False: there is none of that kind and name. */
static bool find_parameter(const struct type *plain, unsigned tag, const char *name,
                           struct die *out) {
    struct die die;
    bool found = false;
    if (!die_at(plain->place, &die))
        return false;
    if (die_child(die, out)) {
        do {
            const char *own = die_tag(*out) == tag ? die_string(*out, DW_AT_name) : NULL;
            found = own && !strcmp(own, name);
        } while (!found && die_step(out));
    }
    die_free(&die);
    return found;
}

/* The type that a template's parameter stands for. */
const struct type *lang_argument(const struct type *plain, const char *name) {
    struct die parameter;
    if (!find_parameter(plain, DW_TAG_template_type_parameter, name, &parameter))
        return NULL;
    const struct type *type = type_of_entry(parameter);
    die_free(&parameter);
    return type;
}

bool lang_number(const struct type *plain, const char *name, uint64_t *out) {
    struct die parameter;
    if (!find_parameter(plain, DW_TAG_template_value_parameter, name, &parameter))
        return false;
    bool known = die_unsigned(parameter, DW_AT_const_value, out);
    die_free(&parameter);
    return known;
}

#define ALIGNED_DEPTH 16

static uint64_t alignment(struct module *module, const struct type *type, int depth) {
    const struct type *plain = type_complete(module, type_plain(type));
    uint64_t most = 1;
    if (depth > ALIGNED_DEPTH)
        return most;
    if (plain->kind == TYPE_ARRAY)
        return alignment(module, plain->target, depth + 1);
    if (!type_is_composite(plain))
        return plain->size && plain->size <= 16 && !(plain->size & (plain->size - 1)) ? plain->size
                                                                                      : most;
    for (size_t i = 0; i < plain->member_count; i++) {
        uint64_t one = alignment(module, plain->members[i].type, depth + 1);
        most = one > most ? one : most;
    }
    return most;
}

bool lang_fits_nodes(struct module *module, const struct type *plain, const struct shape_row *row,
                     struct shape *out) {
    const struct type *holder = plain, *unwanted;
    uint64_t at, word = module->elf->is64 ? 8 : 4;
    out->uncounted = row->uncounted;
    out->repeats = row->repeats;
    if (!lang_follow(module, plain, row->data, &out->data, &unwanted) ||
        (!row->uncounted && !lang_follow(module, plain, row->length, &out->length, &unwanted)) ||
        (row->holder && !lang_follow(module, plain, row->holder, &at, &holder)))
        return false;
    out->element = lang_argument(type_complete(module, type_plain(holder)), row->element);
    if (out->element && row->inside &&
        (!lang_follow(module, out->element, row->inside, &at, &out->element) || at))
        return false;
    if (!out->element || !type_plain(out->element)->size)
        return false;
    uint64_t align = alignment(module, out->element, 0);
    out->link = row->link * word;
    out->node = (row->links * word + row->mark + align - 1) / align * align;
    return !row->map ||
           (lang_follow(module, out->element, "first", &at, &out->key) && !at &&
            lang_follow(module, out->element, "second", &out->mapped_at, &out->mapped));
}

/* An iterator at the first element, and one behind the last. */
bool lang_fits_blocks(struct module *module, const struct type *plain, const struct shape_row *row,
                      struct shape *out) {
    const struct type *begin, *end, *unwanted;
    struct block_place *first = &out->begin, *last = &out->end;
    if (!lang_follow(module, plain, row->data, &first->at, &begin) ||
        !lang_follow(module, plain, row->length, &last->at, &end) ||
        !lang_follow(module, begin, "_M_cur", &first->current, &unwanted) ||
        !lang_follow(module, begin, "_M_first", &first->first, &unwanted) ||
        !lang_follow(module, begin, "_M_last", &first->last, &unwanted) ||
        !lang_follow(module, begin, "_M_node", &first->node, &unwanted))
        return false;
    last->current = first->current;
    last->first = first->first;
    last->last = first->last;
    last->node = first->node;
    out->element = lang_argument(plain, row->element);
    return type_plain(begin) == type_plain(end) && out->element && type_plain(out->element)->size;
}

bool lang_fits_bits(struct module *module, const struct type *plain, const struct shape_row *row,
                    struct shape *out) {
    const struct type *begin, *end, *unwanted;
    if (!lang_follow(module, plain, row->data, &out->begin.at, &begin) ||
        !lang_follow(module, plain, row->length, &out->end.at, &end) ||
        !lang_follow(module, begin, "_M_p", &out->begin.first, &unwanted) ||
        !lang_follow(module, begin, "_M_offset", &out->begin.current, &unwanted))
        return false;
    out->end.first = out->begin.first;
    out->end.current = out->begin.current;
    out->element = type_basic(BASIC_BOOL);
    return type_plain(begin) == type_plain(end);
}
