/* Expressions compiled once for each place, and found again at each hit. */
#include "backend/program/program.h"

#include "lang/shape.h"
#include "symbol/go_types.h"
#include <stdlib.h>

#define COMPILED_MAX 65536 /* then all are forgotten: timers see many places */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash ^= value + UINT64_C(0x9e3779b97f4a7c15) + (hash << 6) + (hash >> 2);
    return hash * UINT64_C(0xff51afd7ed558ccd);
}

static void compile(struct program *program, struct compiled *compiled, struct loaded *loaded) {
    struct function *function = loaded ? function_at(loaded->module, compiled->pc) : NULL;
    struct target_site site = {.space = &program->space,
                               .loaded = loaded,
                               .pc = compiled->pc,
                               .entry = !function || compiled->pc == function->entry,
                               .returning = compiled->moment == AT_RETURN ||
                                            compiled->moment == AT_SYSCALL_RETURN,
                               .syscall = compiled->moment >= AT_SYSCALL,
                               .shape = lang_shape};
    compiled->error =
        target_expr_compile(compiled->text, &site, &compiled->expr, &compiled->column);
    if (function && unit_is_go(function->unit)) /* its value may have interfaces inside */
        go_types_read(loaded->module);
}

const struct compiled *program_compiled(struct program *program, const char *text,
                                        struct loaded *loaded, uint64_t pc, enum moment moment) {
    uint64_t key = mix(mix(mix(0, (uintptr_t)text), (uintptr_t)(loaded ? loaded->module : NULL)),
                       pc << 2 | moment);
    struct compiled *compiled = map_get(&program->compiled, key);
    if (compiled && compiled->text == text && compiled->pc == pc && compiled->moment == moment)
        return compiled;
    if (program->compiled.count >= COMPILED_MAX)
        program_forget_compiled(program);
    compiled = calloc(1, sizeof *compiled);
    if (!compiled)
        return NULL;
    *compiled =
        (struct compiled){.next = program->newest, .text = text, .pc = pc, .moment = moment};
    program->newest = compiled;
    compile(program, compiled, loaded);
    map_put(&program->compiled, key, compiled); /* without memory: it is compiled again */
    return compiled;
}

static bool has_name(const struct names_at *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->names[i], name))
            return true;
    return false;
}

/* What Go's compiler adds for itself: dictionaries, closures, the bodies of range loops. */
static bool is_hidden(const char *name) {
    return *name == '.' || *name == '#';
}

static void add_names(struct names_at *list, const struct scope *scope, bool arguments,
                      unsigned line) {
    for (size_t i = 0; i < scope->variable_count; i++) {
        const struct variable *variable = &scope->variables[i];
        const char *name = variable->name + (*variable->name == '&'); /* Go: moved to the heap */
        bool later = line && variable->line >= line;                  /* Go: not declared yet */
        if (variable->parameter != arguments || variable->declaration || variable->result ||
            later || !*name || is_hidden(name) || has_name(list, name))
            continue;
        const char **slot = ARRAY_ADD(list->names, list->count, list->cap);
        if (slot)
            *slot = name;
    }
}

static void collect_names(struct names_at *list, struct function *function, uint64_t pc,
                          bool arguments) {
    const struct lines *lines = unit_is_go(function->unit) ? unit_lines(function->unit) : NULL;
    const struct line_row *row = line_at(lines, pc);
    for (struct scope *scope = scope_at(function, pc); scope; scope = scope->parent) {
        add_names(list, scope, arguments, row && !arguments ? row->line : 0);
        if (scope->kind != SCOPE_BLOCK)
            break;
    }
}

const struct names_at *program_names(struct program *program, struct loaded *loaded, uint64_t pc,
                                     bool arguments) {
    uint64_t key = mix(mix(1, (uintptr_t)loaded->module), pc << 1 | arguments);
    struct names_at *list = map_get(&program->lists, key);
    if (list)
        return list;
    list = calloc(1, sizeof *list);
    struct function *function = function_at(loaded->module, pc);
    if (list && function)
        collect_names(list, function, pc, arguments);
    if (list && !map_put(&program->lists, key, list)) {
        free(list->names);
        free(list);
        return NULL;
    }
    return list;
}

void program_forget_compiled(struct program *program) {
    for (struct compiled *compiled = program->newest, *next; compiled; compiled = next) {
        next = compiled->next;
        if (compiled->expr)
            target_expr_free(compiled->expr);
        error_free(compiled->error);
        free(compiled);
    }
    for (size_t i = 0; i < program->lists.cap; i++) {
        struct names_at *list = program->lists.slots[i].value;
        free(list ? list->names : NULL);
        free(list);
    }
    map_free(&program->compiled);
    map_free(&program->lists);
    program->compiled = program->lists = (struct map){0};
    program->newest = NULL;
}
