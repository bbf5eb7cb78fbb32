#include "symbol/frames.h"

#include "symbol/gosym.h"

static const char *file_at(struct unit *unit, unsigned file) {
    const struct lines *lines = unit ? unit_lines(unit) : NULL;
    return lines && file < lines->file_count && lines->files[file] ? lines->files[file] : "";
}

size_t frame_lines(struct frame *frame, struct stack_line lines[static STACK_INLINED]) {
    uint64_t pc = frame_lookup_pc(frame);
    struct module *module = frame->loaded ? frame->loaded->module : NULL;
    struct unit *unit = module ? unit_at(module, pc) : NULL;
    struct function *function = module ? function_at(module, pc) : NULL;
    const char *label = module && !function ? module_label(module, pc) : NULL;
    const struct lines *table = unit ? unit_lines(unit) : NULL;
    const struct line_row *row = line_at(table, pc);
    const char *file = row ? line_file(table, row) : "";
    unsigned line = row ? row->line : 0;
    if (!row && module && gosym_of(module->elf))
        gosym_line(gosym_of(module->elf), pc, &file, &line);
    size_t n = 0;
    struct scope *scope = function ? scope_at(function, pc) : NULL;
    for (; scope && scope->parent && n < STACK_INLINED - 1; scope = scope->parent) {
        if (scope->kind != SCOPE_INLINED)
            continue;
        lines[n++] = (struct stack_line){frame->pc, scope->name, file, line, true, module->path};
        file = file_at(unit, scope->call_file);
        line = scope->call_line;
    }
    lines[n++] = (struct stack_line){frame->pc, function ? function->name : label ? label : "",
                                     file,      line,
                                     false,     module ? module->path : ""};
    return n;
}
