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

/* ---- vantages ---- */

static uint64_t calls_key(const struct location *where, uint64_t address) {
    return mix(mix(2, (uintptr_t)where), address);
}

unsigned program_calls(const struct program *program, const struct location *where,
                       uint64_t address) {
    return where ? (unsigned)(uintptr_t)map_get(&program->calls, calls_key(where, address)) : 0;
}

void program_set_calls(struct program *program, const struct location *where, uint64_t address,
                       unsigned calls) {
    uint64_t key = calls_key(where, address);
    if (calls)
        map_put(&program->calls, key, (void *)(uintptr_t)calls);
    else
        map_remove(&program->calls, key);
}

struct vantage program_vantage(struct program *program, uint64_t address,
                               const struct location *where, enum moment moment) {
    struct loaded *loaded = address ? space_at(&program->space, address) : NULL;
    return (struct vantage){.loaded = loaded,
                            .pc = loaded ? address - loaded->bias : 0,
                            .calls = program_calls(program, where, address),
                            .moment = moment};
}

/* ---- expressions ---- */

static void compile(struct program *program, struct compiled *compiled) {
    const struct vantage *at = &compiled->at;
    struct loaded *loaded = at->loaded;
    struct function *function = loaded ? function_at(loaded->module, at->pc) : NULL;
    struct target_site site = {.space = &program->space,
                               .loaded = loaded,
                               .pc = at->pc,
                               .callers = at->calls,
                               .entry = !function || at->pc == function->entry,
                               .returning =
                                   at->moment == AT_RETURN || at->moment == AT_SYSCALL_RETURN,
                               .syscall = at->moment >= AT_SYSCALL,
                               .shape = lang_shape};
    compiled->error =
        target_expr_compile(compiled->text, &site, &compiled->expr, &compiled->column);
    if (function && unit_is_go(function->unit)) /* its value may have interfaces inside */
        go_types_read(loaded->module);
}

static bool is_from(const struct compiled *compiled, const char *text, const struct vantage *at) {
    return compiled->text == text && compiled->at.pc == at->pc && compiled->at.calls == at->calls &&
           compiled->at.moment == at->moment;
}

const struct compiled *program_compiled(struct program *program, const char *text,
                                        const struct vantage *at) {
    uintptr_t module = (uintptr_t)(at->loaded ? at->loaded->module : NULL);
    uint64_t key =
        mix(mix(mix(mix(0, (uintptr_t)text), module), at->pc << 2 | at->moment), at->calls);
    struct compiled *compiled = map_get(&program->compiled, key);
    if (compiled && is_from(compiled, text, at))
        return compiled;
    if (program->compiled.count >= COMPILED_MAX)
        program_forget_compiled(program);
    compiled = calloc(1, sizeof *compiled);
    if (!compiled)
        return NULL;
    *compiled = (struct compiled){.next = program->newest, .text = text, .at = *at};
    program->newest = compiled;
    compile(program, compiled);
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

static void collect_names(struct names_at *list, struct function *function,
                          const struct vantage *at, bool arguments) {
    bool go = unit_is_go(function->unit);
    const struct line_row *row = line_at(go ? unit_lines(function->unit) : NULL, at->pc);
    unsigned line = row ? row->line : 0;
    struct scope *scope = scope_around(function, at->pc, at->calls, &line);
    for (; scope; scope = scope->parent) {
        add_names(list, scope, arguments, go && !arguments ? line : 0);
        if (scope->kind != SCOPE_BLOCK)
            break;
    }
}

const struct names_at *program_names(struct program *program, const struct vantage *at,
                                     bool arguments) {
    uint64_t key =
        mix(mix(mix(1, (uintptr_t)at->loaded->module), at->pc << 1 | arguments), at->calls);
    struct names_at *list = map_get(&program->lists, key);
    if (list)
        return list;
    list = calloc(1, sizeof *list);
    struct function *function = function_at(at->loaded->module, at->pc);
    if (list && function)
        collect_names(list, function, at, arguments);
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
