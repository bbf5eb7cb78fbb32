#include "expr/target_go_abi.h"

#include "symbol/gosym.h"
#include <elf.h>
#include <string.h>

#define DEPTH 16

struct go_registers {
    unsigned machine;
    uint8_t ints[16];
    unsigned int_count, float_count;
    uint8_t stack_from; /* bytes between the stack pointer and what is passed, at a return */
};

static const struct go_registers rows[] = {
    /* rax rbx rcx rdi rsi r8 to r11; the return address */
    {EM_X86_64, {0, 3, 2, 5, 4, 8, 9, 10, 11}, 9, 15, 8},
    /* where a function keeps the return address of what it calls */
    {EM_AARCH64, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 16, 16, 8}};

struct assignment {
    struct module *module;
    const struct arch *arch;
    const struct go_registers *registers;
    struct result_piece pieces[RESULT_PIECES];
    size_t count;
    unsigned ints, floats;
    uint64_t stack; /* bytes of it that have been assigned */
};

static const struct go_registers *registers_of(const struct arch *arch) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].machine == arch->machine)
            return &rows[i];
    return NULL;
}

static uint64_t round_up(uint64_t n, uint64_t to) {
    return (n + to - 1) / to * to;
}

static uint64_t size_of(const struct type *type) {
    return type_plain(type)->size;
}

static uint64_t alignment(struct assignment *a, const struct type *type, int depth) {
    const struct type *plain = type_complete(a->module, type_plain(type));
    uint64_t most = 1;
    if (depth > DEPTH)
        return most;
    if (plain->kind == TYPE_ARRAY)
        return alignment(a, plain->target, depth + 1);
    for (size_t i = 0; type_is_composite(plain) && i < plain->member_count; i++) {
        uint64_t one = alignment(a, plain->members[i].type, depth + 1);
        most = one > most ? one : most;
    }
    if (type_is_composite(plain) || !plain->size)
        return most;
    uint64_t size = plain->kind == TYPE_COMPLEX ? plain->size / 2 : plain->size;
    return size < a->arch->word ? size : a->arch->word;
}

static bool give(struct assignment *a, bool is_float, uint64_t offset, uint64_t size) {
    unsigned *used = is_float ? &a->floats : &a->ints;
    unsigned most = is_float ? a->registers->float_count : a->registers->int_count;
    if (size > 8 || *used == most || a->count == RESULT_PIECES)
        return false;
    unsigned slot = is_float ? (unsigned)a->arch->float_result + *used : a->registers->ints[*used];
    a->pieces[a->count++] =
        (struct result_piece){.slot = (uint8_t)slot, .to = offset, .size = size};
    ++*used;
    return true;
}

static bool give_all(struct assignment *a, const struct type *type, uint64_t offset, int depth) {
    const struct type *plain = type_complete(a->module, type_plain(type));
    if (depth > DEPTH)
        return false;
    if (plain->kind == TYPE_ARRAY)
        return plain->count == 0 ||
               (plain->count == 1 && give_all(a, plain->target, offset, depth + 1));
    if (type_is_composite(plain)) {
        for (size_t i = 0; i < plain->member_count; i++)
            if (!give_all(a, plain->members[i].type, offset + plain->members[i].offset, depth + 1))
                return false;
        return true;
    }
    uint64_t half = plain->size / 2;
    if (plain->kind == TYPE_COMPLEX)
        return give(a, true, offset, half) && give(a, true, offset + half, half);
    return give(a, plain->kind == TYPE_FLOAT, offset, plain->size);
}

/* False: it is on the stack, which has grown by it. */
static bool assign(struct assignment *a, const struct member *one) {
    struct assignment before = *a;
    uint64_t size = size_of(one->type);
    if (size && give_all(a, one->type, one->offset, 0))
        return true;
    *a = before;
    uint64_t at = round_up(a->stack, alignment(a, one->type, 0));
    a->stack = at + size;
    if (size && a->count < RESULT_PIECES)
        a->pieces[a->count++] = (struct result_piece){.slot = (uint8_t)a->arch->sp,
                                                      .on_stack = true,
                                                      .from = a->registers->stack_from + at,
                                                      .to = one->offset,
                                                      .size = size};
    return false;
}

/* Of arguments in registers the stack has a place for each, above all that is passed there. Returns
 * what all of it takes. */
static uint64_t assign_all(struct assignment *a, struct go_call *call) {
    unsigned word = a->arch->word;
    uint64_t spilled = 0;
    for (size_t i = 0; i < call->argument_count; i++, a->count = 0) {
        const struct type *type = call->arguments[i].type;
        if (!assign(a, &call->arguments[i]))
            continue;
        spilled = round_up(spilled, alignment(a, type, 0)) + size_of(type);
        if (i + 1 == call->dictionary)
            call->dictionary_slot = a->pieces->slot;
    }
    a->stack = round_up(a->stack, word);
    a->ints = a->floats = 0;
    for (size_t i = 0; i < call->result_count; i++)
        if (!assign(a, &call->results[i]) && size_of(call->results[i].type))
            call->on_stack = true;
    call->piece_count = a->count;
    memcpy(call->pieces, a->pieces, a->count * sizeof *a->pieces);
    return round_up(a->stack, word) + round_up(spilled, word);
}

/* ---- from the debug info, which has results among the parameters ---- */

/* Go tells each result twice of an optimised function that defers. Arguments may all be "_". */
static bool is_told(const struct go_call *call, const char *result) {
    for (size_t i = 0; result && i < call->result_count; i++)
        if (call->results[i].name && !strcmp(call->results[i].name, result))
            return true;
    return false;
}

static bool add_parameter(struct go_call *call, struct die die) {
    bool result = die_flag(die, DW_AT_variable_parameter);
    size_t *count = result ? &call->result_count : &call->argument_count;
    struct member one = {.name = die_name(die), .type = type_of_entry(die)};
    if (result && is_told(call, one.name))
        return true;
    if (*count == (result ? GO_RESULTS : GO_ARGUMENTS))
        return false;
    const struct member *last = result && *count ? &call->results[*count - 1] : NULL;
    one.offset = last ? round_up(last->offset + size_of(last->type), 8) : 0;
    *(result ? &call->results[*count] : &call->arguments[*count]) = one;
    ++*count;
    if (!result && one.name && !strcmp(one.name, GO_DICTIONARY))
        call->dictionary = *count;
    return true;
}

/* Those that are nowhere are told by the abstract function alone. */
static bool find_parameters(struct die function, struct go_call *call) {
    struct die whole, child;
    bool abstract = die_ref(function, DW_AT_abstract_origin, &whole), fits = true;
    for (bool more = die_child(abstract ? whole : function, &child); more; more = die_step(&child))
        if (die_tag(child) == DW_TAG_formal_parameter)
            fits = fits && add_parameter(call, child);
    if (abstract)
        die_free(&whole);
    return fits;
}

/* A dictionary that the function does not use is passed all the same, but not told of. A method has
 * it behind its receiver, before Go 1.20 in front of it. */
static bool add_dictionary(struct compiler *c, struct go_call *call) {
    const char *name = c->view.function->name, *producer = c->view.unit->producer;
    const char *rest = strstr(name, "go.shape.") ? strrchr(name, ']') : NULL;
    if (call->dictionary || !rest || strstr(rest, ".func"))
        return true;
    bool old = strstr(producer, " go1.18") || strstr(producer, " go1.19");
    size_t at = rest[1] && !old;
    if (call->argument_count == GO_ARGUMENTS || at > call->argument_count)
        return false;
    memmove(&call->arguments[at + 1], &call->arguments[at],
            (call->argument_count++ - at) * sizeof *call->arguments);
    call->arguments[at] = (struct member){.name = GO_DICTIONARY, .type = type_basic(BASIC_POINTER)};
    call->dictionary = at + 1;
    return true;
}

bool go_call_of(struct compiler *c, struct go_call *out) {
    const struct arch *arch = c->view.site->space->arch;
    struct assignment a = {.module = c->view.module, .arch = arch};
    struct die function;
    uint64_t said;
    *out = (struct go_call){.dictionary_slot = -1};
    a.registers = arch ? registers_of(arch) : NULL;
    if (!a.registers || !die_at(c->view.function->place, &function))
        return false;
    bool fits = find_parameters(function, out) && add_dictionary(c, out);
    die_free(&function);
    uint64_t bytes = fits ? assign_all(&a, out) : 0;
    const struct gosym *table = gosym_of(c->view.module->elf);
    out->confirmed =
        table && gosym_arguments(table, c->view.function->entry, &said) && said == bytes;
    return fits;
}
