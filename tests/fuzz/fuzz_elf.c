/* A program's file, damaged: whatever libelf and libdwarf make of it, we end, within bounds. */
#include "expr/target.h"
#include "lang/shape.h"
#include "symbol/frames.h"
#include "symbol/locate.h"
#include "symbol/names.h"
#include "symbol/types.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool look(void *ctx, struct unit *unit, const struct names *names, const struct name *name) {
    struct buffer text = BUFFER_INIT(1 << 16);
    struct die die;
    int *left = ctx;
    name_qualified(names, name, &text);
    if (die_at(name_place(unit, name), &die)) {
        const struct type *type =
            name_kind(name) == NAME_TYPE
                ? type_complete(unit->module, type_at(unit->module, die_place(die)))
                : type_of_entry(die);
        type_print(type, &text);
        die_free(&die);
    }
    buffer_free(&text);
    return --*left > 0;
}

static void locate(struct space *space, const struct place_query *query) {
    struct place_list found;
    struct error *error = space_locate(space, query, NULL, &found);
    error_free(error);
    if (!error)
        place_list_free(&found);
}

static void unwind(struct space *space) {
    static struct frame frames[2];
    static struct memory memory;
    struct registers registers = {.arch = space->arch};
    struct stack_line lines[STACK_INLINED];
    const char *why;
    for (unsigned i = 0; i < 17; i++)
        registers_set(&registers, i, space->list[0].module->elf->entry + i);
    memory_forget(&memory);
    frame_start(&frames[0], space, &memory, &registers);
    frame_lines(&frames[0], lines);
    frame_unwind(&frames[0], &frames[1], &why);
    memory_free(&memory);
}

/* Expressions over the damaged file's types and locations: its own bytes are the memory. */
static void evaluate(struct space *space) {
    static const char *const texts[] = {"all",    "all.list[1][1]", "*all.left",  "all.pair",
                                        "tls",    "argc",           "sum + step", "a",
                                        "return", "sizeof(all)"};
    struct function *function =
        function_at(space->list[0].module, space->list[0].module->elf->entry);
    struct target_site site = {.space = space, .loaded = &space->list[0], .shape = lang_shape};
    struct show_limits limits = {64, 8, 3, 4096};
    site.pc = function ? function->entry + 4 : 0;
    site.returning = site.entry = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct memory memory = {0};
        struct registers registers = {.arch = space->arch};
        struct arena scratch = ARENA_INIT(1 << 20);
        struct evaluation evaluation = {.scratch = &scratch, .shape = lang_shape};
        struct buffer into = BUFFER_INIT(1 << 20);
        static struct frame frame;
        struct target_expr *expr;
        struct operand operand;
        size_t at;
        struct error *error =
            space->arch ? target_expr_compile(texts[i], &site, &expr, &at) : error_no_memory();
        error_free(error);
        if (error)
            continue;
        for (unsigned slot = 0; slot < 17; slot++)
            registers_set(&registers, slot, site.pc + slot);
        frame_start(&frame, space, &memory, &registers);
        evaluation.frame = &frame;
        for (int round = 0; round < 6; round++) {
            if (target_expr_evaluate(expr, &evaluation, &operand) == EVAL_OK) {
                buffer_clear(&into);
                operand_show(&evaluation, &operand, &limits, SHOW_AS_IS, &into);
            }
            for (size_t k = 0; k < memory.want_count; k++) {
                uint8_t bytes[4096];
                struct memory_range want = memory.wants[k];
                size_t n = want.size < sizeof bytes ? want.size : sizeof bytes;
                n = elf_read(space->list[0].module->elf, want.address, bytes, n);
                memory_fill(&memory, want.address, bytes, n, want.size);
            }
            memory.want_count = 0;
        }
        target_expr_free(expr);
        buffer_free(&into);
        arena_free(&scratch);
        memory_free(&memory);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct space space = {0};
    struct module *module;
    int left = 500;
    uint8_t *copy = malloc(size + 1); /* libelf wants to write to an image */
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    struct error *error = module_open_image("fuzzed", copy, size, &module);
    if (!error && !(error = space_add(&space, module, 0))) {
        module_each(module, 0xff, look, &left);
        locate(&space, &(struct place_query){.function = "main", .inlined = true});
        locate(&space, &(struct place_query){.function = "main", .returns = true});
        locate(&space, &(struct place_query){.file = "seed.c", .line = 5, .inlined = true});
        locate(&space, &(struct place_query){.match = ".", .max = 8});
        evaluate(&space);
        if (space.arch)
            unwind(&space);
    }
    error_free(error);
    space_free(&space);
    free(copy);
    return 0;
}
