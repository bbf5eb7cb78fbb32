/* What a program's file does not have, where that is why something is not found in it. */
#include "backend/program/program.h"

#include "symbol/gosym.h"

#define PACKAGE "or install its -dbg or -dbgsym package)"

static bool has_symbols(const struct module *module) {
    return module->debug || elf_section_named(module->elf, ".symtab") || gosym_of(module->elf);
}

static bool has_lines(const struct module *module) {
    return module->dwarf || gosym_of(module->elf);
}

const char *program_lacks(const struct module *module, enum needed needed) {
    static const char debug_info[] = "has no debug info (build with -g, " PACKAGE;
    switch (needed) {
    case NEEDS_SYMBOLS:
        return has_symbols(module)
                   ? NULL
                   : "is stripped: it has no symbols of its own (build it without -s, " PACKAGE;
    case NEEDS_LINES: return has_lines(module) ? NULL : debug_info;
    case NEEDS_VARIABLES: return module->dwarf ? NULL : debug_info;
    }
    return NULL;
}

struct error *program_explain(struct error *error, const struct module *module,
                              enum needed needed) {
    const char *why = module ? program_lacks(module, needed) : NULL;
    if (!error || !why)
        return error;
    struct error *more = error_new(error->class, "%s; %s %s", error->message, module->path, why);
    error_free(error);
    return more;
}
