/* Operands as the value model has them: the plain JSON of the contract, the same on every back end.
 */
#include "expr/target_viewer.h"

#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

/* Takes a UTF-8 sequence off that the cut goes through. */
static size_t whole_characters(const char *bytes, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)bytes[n - back];
        size_t needs = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
        if ((c & 0xc0) != 0x80)
            return needs > back ? n - back : n;
    }
    return n;
}

static value_ref text_value(struct viewer *v, const char *bytes, size_t n, uint64_t of, bool cut) {
    if (cut)
        n = whole_characters(bytes, n);
    value_ref ref = v->as == SHOW_AS_BYTES ? value_texted(v->into, VALUE_BYTES, bytes, n)
                                           : value_string(v->into, bytes, n);
    if (cut)
        value_truncate(v->into, ref, of);
    return ref;
}

static value_ref wide_text(struct viewer *v, const uint8_t *bytes, size_t count, unsigned width,
                           bool cut, uint64_t of) {
    struct buffer out = BUFFER_INIT(1 << 20);
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
        text_add_utf8(&out, c);
    }
    value_ref ref = value_string(v->into, out.data ? out.data : "", out.len);
    if (cut)
        value_truncate(v->into, ref, of);
    buffer_free(&out);
    return ref;
}

static value_ref show_c_string(struct viewer *v, uint64_t address, const struct type *element) {
    unsigned width = (unsigned)element->size;
    uint8_t *bytes;
    size_t count;
    bool ended;
    enum outcome outcome =
        text_terminated(v->evaluation, address, width, v->limits->string, &bytes, &count, &ended);
    if (outcome != EVAL_OK)
        return show_failed(v);
    bool cut = !ended && !text_ends_there(v->evaluation, address + (uint64_t)count * width, width);
    /* How long it really is stays unknown: more than was read. */
    if (width == 1)
        return text_value(v, (char *)bytes, count, (uint64_t)count + 1, cut);
    return wide_text(v, bytes, count, width, cut, (uint64_t)count + 1);
}

/* A char array: up to its first NUL, as people mean it. */
static value_ref show_char_array(struct viewer *v, const struct operand *operand,
                                 const struct type *element, uint64_t count) {
    unsigned width = (unsigned)element->size;
    uint64_t most = count > v->limits->string ? v->limits->string : count;
    uint8_t *bytes = arena_alloc(v->evaluation->scratch, (size_t)most * width + 1);
    size_t n = 0;
    if (!bytes)
        return value_error(v->into, "it takes more memory than one hit may");
    if (operand_read(v->evaluation, operand, 0, bytes, (size_t)most * width) != EVAL_OK)
        return show_failed(v);
    while (n < most && !text_is_zero(bytes + n * width, width))
        n++;
    bool cut = n == most && most < count;
    if (v->as == SHOW_AS_BYTES)
        return text_value(v, (char *)bytes, (size_t)most, count, most < count);
    if (width == 1)
        return text_value(v, (char *)bytes, n, count, cut);
    return wide_text(v, bytes, n, width, cut, count);
}

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

static value_ref show_bytes_at(struct viewer *v, const struct operand *first, uint64_t count) {
    uint64_t n = count < v->limits->bytes ? count : v->limits->bytes;
    char *bytes = arena_alloc(v->evaluation->scratch, (size_t)n + 1);
    if (!bytes)
        return value_error(v->into, "it takes more memory than one hit may");
    if (operand_read(v->evaluation, first, 0, bytes, (size_t)n) != EVAL_OK)
        return show_failed(v);
    if (v->as == SHOW_AS_TEXT)
        return text_value(v, bytes, (size_t)n, count, n < count);
    value_ref ref = value_texted(v->into, VALUE_BYTES, bytes, (size_t)n);
    if (n < count)
        value_truncate(v->into, ref, count);
    return ref;
}

/* `whole` is where the first element is. */
static value_ref show_elements(struct viewer *v, const struct operand *whole,
                               const struct type *element, uint64_t stride, uint64_t count,
                               unsigned depth) {
    const struct type *plain = type_plain(element);
    if (plain->unit_go && plain->kind == TYPE_INT && !plain->sign && plain->size == 1)
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
        one.address = whole->address + i * stride;
        if (!whole->in_memory) {
            one.bytes = (whole->bytes ? whole->bytes : whole->small) + i * stride;
            one.missing = whole->missing ? whole->missing + i * stride : NULL;
            one.size = i * stride < whole->size ? whole->size - (size_t)(i * stride) : 0;
        }
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
        return text_value(v, (const char *)operand->bytes, operand->size, 0, false);
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
    part.address += member->offset;
    if (!whole->in_memory) {
        bool inside = member->offset <= whole->size;
        part.bytes = (whole->bytes ? whole->bytes : whole->small) + (inside ? member->offset : 0);
        part.missing = whole->missing && inside ? whole->missing + member->offset : NULL;
        part.size = inside ? whole->size - (size_t)member->offset : 0;
    }
    return part;
}

static void show_member(struct viewer *v, const struct operand *operand,
                        const struct member *member, value_ref object, unsigned depth) {
    struct operand part;
    if (member->artificial && !member->base) /* the compiler's own: a vtable pointer */
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

/* A std::array, a std::optional. */
static value_ref show_part(struct viewer *v, const struct operand *operand,
                           const struct shape *shape, unsigned depth) {
    uint8_t there = 1;
    if (shape->kind == SHAPE_OPTIONAL &&
        operand_read(v->evaluation, operand, shape->length, &there, 1) != EVAL_OK)
        return show_failed(v);
    if (!there)
        return value_new(v->into, VALUE_NULL);
    struct operand part =
        member_operand(operand, &(struct member){.type = shape->element, .offset = shape->data});
    if (v->nesting++ > NESTING) {
        v->nesting--;
        return value_error(v->into, "it is nested too deep");
    }
    value_ref ref = show_operand(v, &part, depth);
    v->nesting--;
    return ref;
}

static value_ref show_composite(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_complete(v->module, type_plain(operand->type));
    struct shape shape;
    uint64_t address, count;
    const char *bytes;
    size_t n;
    if (operand_is_text(v->evaluation, plain, &shape)) {
        if (operand_text(v->evaluation, operand, v->limits->string, &bytes, &n, &count) != EVAL_OK)
            return show_failed(v);
        return text_value(v, bytes, n, count, n < count);
    }
    if (v->evaluation->shape && v->evaluation->shape(v->module, plain, &shape)) {
        if (shape.kind == SHAPE_PART || shape.kind == SHAPE_OPTIONAL)
            return show_part(v, operand, &shape, depth);
        if (shape.kind == SHAPE_TREE || shape.kind == SHAPE_CHAIN)
            return show_nodes(v, operand, &shape, depth);
        if (shape.kind == SHAPE_POINTER) {
            struct operand pointer = member_operand(
                operand, &(struct member){.type = type_pointer_to(v->module, shape.element),
                                          .offset = shape.data});
            return show_operand(v, &pointer, depth);
        }
        if (shape_elements(v->evaluation, operand, &shape, &address, &count) != EVAL_OK)
            return show_failed(v);
        if (!address && !count && plain->unit_go)
            return value_new(v->into, VALUE_NULL);
        struct operand first = operand_in_memory(shape.element, address);
        return show_elements(v, &first, shape.element, type_plain(shape.element)->size, count,
                             depth);
    }
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

static value_ref show_function(struct viewer *v, uint64_t address) {
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

static value_ref show_pointer(struct viewer *v, const struct operand *operand, unsigned depth) {
    const struct type *plain = type_plain(operand->type);
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
    (void)depth;
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
