/* A program's file, damaged: whatever libelf and libdwarf make of it, we end, within bounds. */
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
        if (space.arch)
            unwind(&space);
    }
    error_free(error);
    space_free(&space);
    free(copy);
    return 0;
}
