/* The symbols of a module, by address and by name. */
#include "symbol/module.h"

#include "symbol/demangle.h"
#include <stdlib.h>
#include <string.h>

static struct elf_file *symbol_file(struct module *module) {
    struct elf_section *own = elf_section_named(module->elf, ".symtab");
    return own || !module->debug ? module->elf : module->debug;
}

const struct elf_symbol *module_symbols(struct module *module, size_t *count) {
    struct elf_file *elf = symbol_file(module);
    error_free(elf_load_symbols(elf));
    *count = elf->symbol_count;
    return elf->symbols;
}

const struct elf_symbol *module_symbol_at(struct module *module, uint64_t pc) {
    size_t count;
    module_symbols(module, &count);
    return elf_symbol_at(symbol_file(module), pc);
}

const char *module_label(struct module *module, uint64_t pc) {
    const struct elf_symbol *symbol = module_symbol_at(module, pc);
    struct buffer text = BUFFER_INIT(1 << 16);
    if (!symbol || strncmp(symbol->name, "_Z", 2))
        return symbol ? symbol->name : NULL;
    char *label = map_get(&module->labels, symbol->address);
    if (label)
        return label;
    demangle(symbol->name, &text);
    label = text.data && !text.failed ? arena_strdup(&module->arena, text.data) : NULL;
    buffer_free(&text);
    if (label)
        map_put(&module->labels, symbol->address, label);
    return label ? label : symbol->name;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(struct elf_symbol *const *)a)->name, (*(struct elf_symbol *const *)b)->name);
}

static void sort_by_name(struct module *module) {
    size_t count;
    struct elf_symbol *symbols = (struct elf_symbol *)module_symbols(module, &count);
    module->by_name = calloc(count + 1, sizeof *module->by_name);
    for (size_t i = 0; module->by_name && i < count; i++)
        module->by_name[i] = &symbols[i];
    module->by_name_count = module->by_name ? count : 0;
    if (module->by_name)
        qsort(module->by_name, count, sizeof *module->by_name, by_name);
}

size_t module_symbols_named(struct module *module, const char *name, struct elf_symbol ***out) {
    if (!module->by_name)
        sort_by_name(module);
    size_t low = 0, high = module->by_name_count, end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(module->by_name[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < module->by_name_count && !strcmp(module->by_name[end]->name, name);)
        end++;
    *out = module->by_name + low;
    return end - low;
}
