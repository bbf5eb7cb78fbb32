/* Durations and functions of C++'s library. */
#include "expr/target_viewer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void unit_text(const struct shape *shape, char *out, size_t size) {
    static const struct {
        uint64_t num, den;
        const char *text;
    } units[] = {{1, 1000000000, "ns"}, {1, 1000000, "us"}, {1, 1000, "ms"}, {1, 1, "s"},
                 {60, 1, "min"},        {3600, 1, "h"},     {86400, 1, "d"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].num == shape->fixed && units[i].den == shape->mapped_at) {
            snprintf(out, size, "%s", units[i].text);
            return;
        }
    if (shape->mapped_at == 1)
        snprintf(out, size, "[%" PRIu64 "]s", shape->fixed);
    else
        snprintf(out, size, "[%" PRIu64 "/%" PRIu64 "]s", shape->fixed, shape->mapped_at);
}

value_ref show_duration(struct viewer *v, const struct operand *operand, const struct shape *shape,
                        unsigned depth) {
    struct operand part = operand_part(operand, shape->element, shape->data);
    struct number number;
    char unit[64], text[128];
    if (v->as != SHOW_AS_IS && v->as != SHOW_AS_TEXT)
        return show_operand(v, &part, depth);
    if (operand_number(v->evaluation, &part, &number) != EVAL_OK)
        return show_failed(v);
    if (!number.is_float && (number.i < INT64_MIN || number.i > INT64_MAX))
        return show_operand(v, &part, depth);
    unit_text(shape, unit, sizeof unit);
    if (number.is_float)
        snprintf(text, sizeof text, "%.17Lg%s", number.f, unit);
    else
        snprintf(text, sizeof text, "%lld%s", (long long)number.i, unit);
    return value_string(v->into, text, strlen(text));
}

/* ---- functions ---- */

#define HANDLER "std::_Function_handler<"

/* The code for one kind of callable is a template of it, whose last argument says what it is. */
static bool callable_in(const char *label, const char **out, size_t *n) {
    const char *at = label ? strstr(label, HANDLER) : NULL, *begin = NULL;
    int depth = 1;
    if (!at)
        return false;
    for (at += strlen(HANDLER); *at; at++) {
        if (*at == '>' && at[-1] == '-') /* no bracket */
            continue;
        depth += strchr("<([{", *at) ? 1 : strchr(">)]}", *at) ? -1 : 0;
        if (!depth)
            break;
        begin = *at == ',' && depth == 1 ? at + 1 : begin;
    }
    if (!*at || !begin || strncmp(at, ">::_M_invoke", 12))
        return false;
    begin += *begin == ' ';
    while (at > begin && at[-1] == ' ')
        at--;
    *out = begin;
    *n = (size_t)(at - begin);
    return true;
}

/* "int (*)(int)", but no lambda that has such a parameter. */
static bool is_pointer(const char *text, size_t n) {
    int depth = 0;
    for (size_t i = 0; i + 4 <= n; i++) {
        if (!depth && !strncmp(text + i, "(*)(", 4))
            return true;
        depth += strchr("<([{", text[i]) ? 1 : strchr(">)]}", text[i]) ? -1 : 0;
    }
    return false;
}

value_ref show_callable(struct viewer *v, const struct operand *operand, const struct shape *shape,
                        unsigned depth) {
    uint64_t target = 0, code = 0, manager = 0;
    unsigned word = v->evaluation->frame->registers.arch->word;
    const char *name;
    size_t n;
    (void)depth;
    enum outcome a = operand_read(v->evaluation, operand, shape->capacity, &manager, word);
    if (a != EVAL_OK)
        return show_failed(v);
    if (!manager)
        return value_new(v->into, VALUE_NULL);
    a = operand_read(v->evaluation, operand, shape->length, &code, word);
    enum outcome b = operand_read(v->evaluation, operand, shape->data, &target, word);
    if (a != EVAL_OK || b != EVAL_OK)
        return show_failed(v);
    struct loaded *loaded = space_at(v->evaluation->frame->space, code);
    if (!loaded || !callable_in(module_label(loaded->module, code - loaded->bias), &name, &n))
        return show_function(v, code);
    return is_pointer(name, n) ? show_function(v, target)
                               : value_texted(v->into, VALUE_FUNC, name, n);
}
