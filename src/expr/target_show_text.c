/* Texts as the value model has them. */
#include "expr/target_viewer.h"

#include "base/text.h"
#include <string.h>

value_ref show_text(struct viewer *v, const char *bytes, size_t n, uint64_t of, bool cut) {
    if (cut)
        n = text_whole(bytes, n);
    value_ref ref = v->as == SHOW_AS_BYTES ? value_texted(v->into, VALUE_BYTES, bytes, n)
                                           : value_string(v->into, bytes, n);
    if (cut)
        value_truncate(v->into, ref, of);
    return ref;
}

static value_ref wide_text(struct viewer *v, const uint8_t *bytes, size_t count, unsigned width,
                           bool cut, uint64_t of) {
    struct buffer out = BUFFER_INIT(1 << 20);
    text_add_wide(&out, bytes, count, width);
    value_ref ref = value_string(v->into, out.data ? out.data : "", out.len);
    if (cut)
        value_truncate(v->into, ref, of);
    buffer_free(&out);
    return ref;
}

value_ref show_c_string(struct viewer *v, uint64_t address, const struct type *element) {
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
        return show_text(v, (char *)bytes, count, (uint64_t)count + 1, cut);
    return wide_text(v, bytes, count, width, cut, (uint64_t)count + 1);
}

/* Are there bytes behind the first NUL? What is declared as signed or unsigned is often no text. */
static bool is_binary(const struct type *element, const uint8_t *bytes, size_t text, size_t n) {
    bool open = element->name &&
                (!strcmp(element->name, "unsigned char") || !strcmp(element->name, "signed char"));
    while (open && text < n && !bytes[text])
        text++;
    return open && text < n;
}

/* A char array: up to its first NUL, as people mean it. */
value_ref show_char_array(struct viewer *v, const struct operand *operand,
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
    if (v->as != SHOW_AS_TEXT && is_binary(element, bytes, n, (size_t)most))
        return show_bytes_at(v, operand, count);
    if (v->as == SHOW_AS_BYTES)
        return show_text(v, (char *)bytes, (size_t)most, count, most < count);
    if (width == 1)
        return show_text(v, (char *)bytes, n, count, cut);
    return wide_text(v, bytes, n, width, cut, count);
}

/* What a shape says is a text; as long as that says. */
value_ref show_shaped_text(struct viewer *v, const struct operand *operand,
                           const struct shape *shape, unsigned depth) {
    unsigned width = (unsigned)type_plain(shape->element)->size;
    struct operand first;
    uint64_t count;
    (void)depth;
    if (shape_elements(v->evaluation, operand, shape, &first, &count) != EVAL_OK)
        return show_failed(v);
    size_t n = (size_t)(count < v->limits->string ? count : v->limits->string);
    uint8_t *bytes = arena_alloc(v->evaluation->scratch, n * width + 1);
    if (!bytes)
        return value_error(v->into, "it takes more memory than one hit may");
    if (operand_read(v->evaluation, &first, 0, bytes, n * width) != EVAL_OK)
        return show_failed(v);
    return width == 1 ? show_text(v, (char *)bytes, n, count, n < count)
                      : wide_text(v, bytes, n, width, n < count, count);
}
