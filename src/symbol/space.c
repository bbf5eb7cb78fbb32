#include "symbol/space.h"

#include "base/text.h"
#include <stdlib.h>

struct error *space_add(struct space *space, struct module *module, uint64_t bias) {
    struct loaded *loaded = ARRAY_ADD(space->list, space->count, space->cap);
    if (!loaded)
        return error_no_memory();
    *loaded = (struct loaded){.module = module,
                              .bias = bias,
                              .low = module->elf->low + bias,
                              .high = module->elf->high + bias,
                              .tls_module = space->count == 1};
    if (!space->arch)
        space->arch = module->elf->arch;
    return NULL;
}

struct loaded *space_at(struct space *space, uint64_t pc) {
    for (size_t i = 0; i < space->count; i++)
        if (pc >= space->list[i].low && pc < space->list[i].high)
            return &space->list[i];
    return NULL;
}

void space_free(struct space *space) {
    for (size_t i = 0; i < space->count; i++)
        module_close(space->list[i].module);
    free(space->list);
    *space = (struct space){0};
}
