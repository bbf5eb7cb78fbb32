/* Expressions of the target's language: any text, over this program's own debug info. */
#include "expr/target.h"
#include "lang/shape.h"
#include "symbol/locate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names for expressions to find. */
struct fuzzed {
    int number;
    char text[8];
    struct fuzzed *next;
    unsigned bits : 3;
};
static struct fuzzed one = {7, "seven", NULL, 5}, two = {8, "eight", &one, 2};
static const struct fuzzed *volatile anchor = &two;

static struct space space;

static void fill(struct memory *memory) {
    for (size_t i = 0; i < memory->want_count; i++) {
        static uint8_t bytes[4096];
        size_t n = memory->wants[i].size < sizeof bytes ? memory->wants[i].size : sizeof bytes;
        uint64_t address = memory->wants[i].address;
        n = elf_read(space.list[0].module->elf, address, bytes, n);
        memory_fill(memory, address, bytes, n, memory->wants[i].size);
    }
    memory->want_count = 0;
}

static void evaluate(const struct target_expr *expr) {
    static struct memory memory;
    static struct frame frame;
    struct registers registers = {.arch = space.arch};
    struct arena scratch = ARENA_INIT(1 << 20);
    struct evaluation evaluation = {.frame = &frame, .scratch = &scratch, .shape = lang_shape};
    struct show_limits limits = {64, 8, 3, 4096};
    struct buffer into = BUFFER_INIT(1 << 20);
    struct operand operand;
    memory_forget(&memory);
    for (unsigned i = 0; i < 17; i++)
        registers_set(&registers, i, 0x1000 + i);
    frame_start(&frame, &space, &memory, &registers);
    for (int round = 0; round < 8; round++) {
        if (target_expr_evaluate(expr, &evaluation, &operand) == EVAL_OK) {
            buffer_clear(&into);
            operand_show(&evaluation, &operand, &limits, (enum show_as)(round % 5), &into);
        }
        if (!memory.want_count)
            break;
        fill(&memory);
    }
    buffer_free(&into);
    arena_free(&scratch);
    memory_free(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct target_expr *expr;
    size_t at;
    if (!space.count) {
        struct module *module;
        if (module_open("/proc/self/exe", &module) || space_add(&space, module, 0))
            abort();
    }
    if (size > TARGET_EXPR_MAX || memchr(data, 0, size) || !anchor)
        return 0;
    char *text = strndup((const char *)data, size);
    struct target_site site = {.space = &space, .loaded = &space.list[0], .shape = lang_shape};
    struct error *error = text ? target_expr_compile(text, &site, &expr, &at) : error_no_memory();
    if (!error) {
        evaluate(expr);
        target_expr_free(expr);
    } else if (at > size) {
        abort();
    }
    error_free(error);
    free(text);
    return 0;
}
