/* Operands as the value model has them: the plain JSON of the contract, the same on every back end.
 */
#include "expr/target_viewer.h"

#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

bool viewer_spend(struct viewer *v, uint64_t bytes) {
    if (bytes > v->budget)
        return false;
    v->budget -= (size_t)bytes;
    return true;
}

value_ref show_cut(struct viewer *v, enum value_kind kind, uint64_t of) {
    value_ref ref = value_new(v->into, kind);
    if (of)
        value_truncate(v->into, ref, of);
    return ref;
}

value_ref show_bytes_at(struct viewer *v, const struct operand *first, uint64_t count) {
    uint64_t n = count < v->limits->bytes ? count : v->limits->bytes;
    char *bytes = arena_alloc(v->evaluation->scratch, (size_t)n + 1);
    if (!bytes)
        return value_error(v->into, "it takes more memory than one hit may");
    if (operand_read(v->evaluation, first, 0, bytes, (size_t)n) != EVAL_OK)
        return show_failed(v);
    if (v->as == SHOW_AS_TEXT)
        return show_text(v, bytes, (size_t)n, count, n < count);
    value_ref ref = value_texted(v->into, VALUE_BYTES, bytes, (size_t)n);
    if (n < count)
        value_truncate(v->into, ref, count);
    return ref;
}

value_ref show_elements(struct viewer *v, const struct operand *whole, const struct type *element,
                        uint64_t stride, uint64_t count, unsigned depth) {
    const struct type *plain = type_plain(element);
    if (plain->unit_go && plain->name && !strcmp(plain->name, "uint8")) /* not of another name */
        return show_bytes_at(v, whole, count);
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_LIST, count);
    uint64_t n = count < v->limits->items ? count : v->limits->items;
    if (stride && n > v->budget / stride)
        n = v->budget / stride;
    viewer_spend(v, n * stride);
    if (whole->in_memory)
        memory_want(v->evaluation->frame->memory, whole->address, (size_t)(n * stride));
    value_ref list = value_new(v->into, VALUE_LIST);
    v->nesting++;
    for (uint64_t i = 0; i < n && !v->into->failed; i++) {
        struct operand one = *whole;
        one.type = element;
        operand_move(&one, i * stride);
        value_append(v->into, list, show_operand(v, &one, depth + 1));
    }
    v->nesting--;
    if (n < count)
        value_truncate(v->into, list, count);
    return list;
}

static value_ref show_array(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_plain(operand->type), *element = type_plain(plain->target);
    uint64_t count = plain->count;
    if (operand->has_text)
        return show_text(v, (const char *)operand->bytes, operand->size, 0, false);
    uint64_t stride = plain->stride;
    if (array_count(v->evaluation, plain, &count) != EVAL_OK ||
        (!stride && type_run_size(v->evaluation, plain->target, &stride) != EVAL_OK))
        return show_failed(v);
    if (v->as == SHOW_AS_BYTES && element->size == 1)
        return show_bytes_at(v, operand, count);
    if (type_is_text(element) && !plain->unit_go && !plain->vector)
        return show_char_array(v, operand, element, count);
    return show_elements(v, operand, plain->target, stride, count, depth);
}

/* ---- structs ---- */

static void show_members(struct viewer *v, const struct operand *operand, const struct type *plain,
                         value_ref object, unsigned depth);

static bool base_operand(struct viewer *v, const struct operand *operand,
                         const struct member *member, struct operand *out) {
    struct located located;
    const char *why = "";
    const struct dwarf_expression *expression =
        operand->in_memory
            ? location_decode(v->module, member->dwarf, member->location, member->location_size)
            : NULL;
    if (!expression)
        return false;
    enum outcome outcome =
        location_evaluate(expression, v->evaluation->frame, &operand->address, &located, &why);
    if (outcome == EVAL_AGAIN)
        v->evaluation->again = true;
    if (outcome == EVAL_OK)
        *out = operand_in_memory(member->type, located.pieces[0].address);
    return outcome == EVAL_OK;
}

static struct operand member_operand(const struct operand *whole, const struct member *member) {
    struct operand part = *whole;
    part.type = member->type;
    if (member->bit_size) {
        part.bit = (unsigned)member->bit;
        part.bit_size = member->bit_size;
        return part;
    }
    operand_move(&part, member->offset);
    return part;
}

/* What libraries derive from to have its types or functions alone. */
static bool says_nothing(struct viewer *v, const struct member *member) {
    const struct type *base = type_plain(member->type);
    return member->base && base->name && !strncmp(base->name, "std::", 5) &&
           !type_complete(v->module, base)->member_count && !base->declaration;
}

static void show_member(struct viewer *v, const struct operand *operand,
                        const struct member *member, value_ref object, unsigned depth) {
    struct operand part;
    /* the compiler's own: a vtable pointer */
    if ((member->artificial && !member->base) || says_nothing(v, member))
        return;
    if (member->location && member->base) {
        if (!base_operand(v, operand, member, &part)) {
            value_set(v->into, object, member->name ? member->name : "?",
                      v->evaluation->again ? value_new(v->into, VALUE_NULL)
                                           : value_error(v->into, "its base class is not found"));
            return;
        }
    } else {
        part = member_operand(operand, member);
    }
    if (!member->name) { /* anonymous: its members count as ours */
        if (v->nesting++ < NESTING)
            show_members(v, &part, type_complete(v->module, type_plain(member->type)), object,
                         depth);
        v->nesting--;
        return;
    }
    value_set(v->into, object, member->name, show_operand(v, &part, depth + 1));
}

static void show_members(struct viewer *v, const struct operand *operand, const struct type *plain,
                         value_ref object, unsigned depth) {
    for (size_t i = 0; i < plain->member_count && !v->into->failed; i++)
        show_member(v, operand, &plain->members[i], object, depth);
}

static value_ref show_composite(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_complete(v->module, type_plain(operand->type));
    struct shape shape;
    if (v->evaluation->shape && v->evaluation->shape(v->module, plain, &shape))
        return show_shape(v, operand, &shape, depth);
    if (plain->declaration && !plain->member_count)
        return value_error(v->into, "only declared in the debug info: its members are not known");
    if (depth > v->limits->depth || v->nesting > NESTING)
        return show_cut(v, VALUE_OBJECT, plain->member_count + !!plain->variant_count);
    if (plain->variant_count)
        return show_variant(v, operand, depth);
    if (!viewer_spend(v, plain->size))
        return show_cut(v, VALUE_OBJECT, plain->member_count);
    if (operand->in_memory)
        memory_want(v->evaluation->frame->memory, operand->address,
                    plain->size < 4096 ? (size_t)plain->size : 4096);
    value_ref object = value_new(v->into, VALUE_OBJECT);
    v->nesting++;
    show_members(v, operand, plain, object, depth);
    v->nesting--;
    return object;
}

/* ---- pointers ---- */

value_ref show_function(struct viewer *v, uint64_t address) {
    struct loaded *loaded = space_at(v->evaluation->frame->space, address);
    uint64_t pc = loaded ? address - loaded->bias : 0;
    struct function *function = loaded ? function_at(loaded->module, pc) : NULL;
    const char *label = loaded && !function ? module_label(loaded->module, pc) : NULL;
    const char *name = function ? function->name : label;
    char text[24];
    snprintf(text, sizeof text, "0x%" PRIx64, address);
    name = name ? name : text;
    return value_texted(v->into, VALUE_FUNC, name, strlen(name));
}

/* Go's maps and channels are pointers to what nobody wants to see. */
static bool has_shape(struct viewer *v, const struct operand *operand, struct shape *shape) {
    return type_plain(operand->type)->unit_go && v->evaluation->shape &&
           v->evaluation->shape(v->module, operand->type, shape);
}

static value_ref show_shaped(struct viewer *v, const struct operand *operand,
                             const struct shape *shape, unsigned depth) {
    struct number number;
    if (shape->kind == SHAPE_CHANNEL)
        return show_channel(v, operand, shape, depth);
    if (operand_number(v->evaluation, operand, &number) != EVAL_OK)
        return show_failed(v);
    return number.i ? show_nodes(v, operand, shape, depth) : value_new(v->into, VALUE_NULL);
}

/* A pointer without a value: what it points to is all that can be seen of it. */
static value_ref show_implicit(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_plain(operand->type), *target = type_plain(plain->target);
    struct operand inner;
    if (v->as != SHOW_AS_IS && v->as != SHOW_AS_TEXT)
        return value_error(v->into, "optimized out (a pointer to what has no address)");
    if (depth > v->limits->depth || v->nesting > NESTING)
        return value_error(v->into, "it is nested too deep");
    if (implicit_target(v->evaluation, operand, plain->target, 0, &inner) != EVAL_OK)
        return show_failed(v);
    if (type_is_text(target) && !plain->unit_go)
        return inner.in_memory ? show_c_string(v, inner.address, target)
                               : show_char_array(v, &inner, target, inner.size / target->size);
    v->nesting++;
    value_ref ref = show_operand(v, &inner, depth + 1);
    v->nesting--;
    return ref;
}

static value_ref show_pointer(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_plain(operand->type);
    struct shape shape;
    if (operand_is_implicit(operand))
        return show_implicit(v, operand, depth);
    if (v->as != SHOW_AS_HEX && v->as != SHOW_AS_ADDR && has_shape(v, operand, &shape))
        return show_shaped(v, operand, &shape, depth);
    const struct type *target = type_plain(plain->target);
    struct number number;
    if (operand_number(v->evaluation, operand, &number) != EVAL_OK)
        return show_failed(v);
    uint64_t address = (uint64_t)number.i;
    if (v->as == SHOW_AS_HEX || v->as == SHOW_AS_ADDR)
        return value_address(v->into, VALUE_PTR, address);
    if (!address)
        return value_new(v->into, VALUE_NULL);
    if (target->kind == TYPE_FUNCTION)
        return show_function(v, address);
    if (target->kind == TYPE_VOID || target->kind == TYPE_UNKNOWN)
        return value_address(v->into, VALUE_PTR, address);
    if (type_is_text(target) && !plain->unit_go)
        return show_c_string(v, address, target);
    target = type_complete(v->module, target);
    bool composite =
        type_is_composite(target) || target->kind == TYPE_ARRAY || target->kind == TYPE_POINTER;
    bool deep = depth > v->limits->depth || (composite && depth + 1 > v->limits->depth);
    bool opaque = type_is_composite(target) && target->declaration && !target->member_count;
    if (deep || opaque)
        return value_address(v->into, VALUE_PTR, address);
    struct operand inner = operand_in_memory(plain->target, address);
    return show_operand(v, &inner, depth + 1);
}

static value_ref show_reference(struct viewer *v, const struct operand *operand, unsigned depth) {
    struct number number;
    if (operand_is_implicit(operand))
        return show_implicit(v, operand, depth);
    if (operand_number(v->evaluation, operand, &number) != EVAL_OK)
        return show_failed(v);
    struct operand inner = operand_in_memory(type_plain(operand->type)->target, (uint64_t)number.i);
    if (v->nesting > NESTING)
        return value_address(v->into, VALUE_PTR, (uint64_t)number.i);
    v->nesting++;
    value_ref ref = show_operand(v, &inner, depth);
    v->nesting--;
    return ref;
}

static value_ref show_member_pointer(struct viewer *v, const struct operand *operand,
                                     unsigned depth) {
    uint64_t number;
    (void)depth;
    if (operand_read(v->evaluation, operand, 0, &number, sizeof number) != EVAL_OK)
        return show_failed(v);
    bool function = type_plain(type_plain(operand->type)->target)->kind == TYPE_FUNCTION;
    /* Itanium C++ ABI, section 2.3: a null one is 0 for functions, -1 for data. */
    if (function ? !number : number == UINT64_MAX)
        return value_new(v->into, VALUE_NULL);
    return function && !(number & 1) ? show_function(v, number)
                                     : value_int(v->into, (int64_t)number);
}

static value_ref show_code(struct viewer *v, const struct operand *operand, unsigned depth) {
    if (type_plain(operand->type)->unit_go)
        return show_closure(v, operand, depth);
    return show_function(v, operand->address);
}

static value_ref show_unknown(struct viewer *v, const struct operand *operand, unsigned depth) {
    (void)operand;
    (void)depth;
    return value_error(v->into, "its type is not known");
}

value_ref show_operand(struct viewer *v, const struct operand *operand, unsigned depth) {
    static show_fn *const by_kind[] = {
        [TYPE_VOID] = show_unknown,        [TYPE_BOOL] = show_number,
        [TYPE_INT] = show_number,          [TYPE_CHAR] = show_number,
        [TYPE_FLOAT] = show_number,        [TYPE_COMPLEX] = show_complex,
        [TYPE_ENUM] = show_enum,           [TYPE_POINTER] = show_pointer,
        [TYPE_REFERENCE] = show_reference, [TYPE_MEMBER_POINTER] = show_member_pointer,
        [TYPE_ARRAY] = show_array,         [TYPE_STRUCT] = show_composite,
        [TYPE_CLASS] = show_composite,     [TYPE_UNION] = show_composite,
        [TYPE_FUNCTION] = show_code,       [TYPE_TYPEDEF] = show_unknown,
        [TYPE_CONST] = show_unknown,       [TYPE_VOLATILE] = show_unknown,
        [TYPE_QUALIFIED] = show_unknown,   [TYPE_UNKNOWN] = show_unknown,
    };
    return by_kind[type_plain(operand->type)->kind](v, operand, depth);
}

value_ref operand_show(struct evaluation *evaluation, const struct operand *operand,
                       const struct show_limits *limits, enum show_as as, struct buffer *into) {
    struct frame *frame = evaluation->frame;
    struct viewer viewer = {.evaluation = evaluation,
                            .limits = limits,
                            .into = into,
                            .as = as,
                            .module = frame->loaded ? frame->loaded->module
                                                    : frame->space->list[0].module,
                            .budget = limits->bytes};
    evaluation->why = NULL;
    const struct type *plain = type_plain(operand->type);
    if (as == SHOW_AS_ADDR && plain->kind != TYPE_POINTER)
        return operand->in_memory ? value_address(into, VALUE_PTR, operand->address)
                                  : value_error(into, "it is not in memory: it has no address");
    return show_operand(&viewer, operand, 0);
}
