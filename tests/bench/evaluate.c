/* What a compiled capture costs once memory is known: an int, and a string with its value's tree.
 * Over this program's own debug info. Prints nanoseconds as JSON. */
#include "expr/target.h"
#include "lang/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct thing {
    int number;
    const char *text;
} the_thing = {42, "a string of some length, as captures have them"}, *volatile the_pointer =
                                                                          &the_thing;

static struct space space;
static struct memory memory;
static struct frame frame;

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void know(const void *bytes, size_t size) {
    memory_fill(&memory, (uint64_t)(uintptr_t)bytes, bytes, size, size);
}

static void fail(const char *text, const char *why) {
    fprintf(stderr, "evaluate: %s: %s\n", text, why);
    exit(1);
}

static struct target_expr *compile(const char *text) {
    struct target_site site = {.space = &space, .shape = lang_shape};
    struct target_expr *expr;
    size_t at;
    struct error *error = target_expr_compile(text, &site, &expr, &at);
    if (error)
        fail(text, error->message);
    return expr;
}

#define ROUNDS 200000

static double cost(const char *text) {
    struct target_expr *expr = compile(text);
    struct arena scratch = ARENA_INIT(1 << 20);
    struct evaluation evaluation = {.frame = &frame, .scratch = &scratch, .shape = lang_shape};
    struct show_limits limits = {256, 64, 3, 65536};
    struct buffer into = BUFFER_INIT(1 << 20);
    struct operand operand;
    double began = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        buffer_clear(&into);
        if (target_expr_evaluate(expr, &evaluation, &operand) != EVAL_OK)
            fail(text, evaluation.why ? evaluation.why : "memory is missing");
        operand_show(&evaluation, &operand, &limits, SHOW_AS_IS, &into);
        arena_reset(&scratch);
    }
    double each = (now_ns() - began) / ROUNDS;
    target_expr_free(expr);
    buffer_free(&into);
    arena_free(&scratch);
    return each;
}

int main(void) {
    struct module *module;
    struct elf_symbol **found;
    if (module_open("/proc/self/exe", &module) ||
        !module_symbols_named(module, "the_pointer", &found))
        fail("the program itself", "its debug info");
    if (space_add(&space, module, (uint64_t)(uintptr_t)&the_pointer - found[0]->address))
        return 1;
    struct registers registers = {.arch = space.arch};
    frame_start(&frame, &space, &memory, &registers);
    know((const void *)&the_pointer, sizeof the_pointer);
    know(&the_thing, sizeof the_thing);
    static char padded[256]; /* strings are read in aligned steps */
    strcpy(padded, the_thing.text);
    the_thing.text = padded;
    memory_forget(&memory);
    know((const void *)&the_pointer, sizeof the_pointer);
    know(&the_thing, sizeof the_thing);
    know(padded, sizeof padded);
    double number = cost("the_pointer->number"), text = cost("the_pointer->text");
    printf("{\"int_ns\":%.0f,\"string_ns\":%.0f,\"both_ns\":%.0f}\n", number, text, number + text);
    memory_free(&memory);
    space_free(&space);
    return 0;
}
