/* What `pickglass list` shows of a program. */
#include "backend/program/program.h"

#include "symbol/match.h"
#include "symbol/names.h"
#include <stdlib.h>
#include <string.h>

#define LIST_MAX 100000

/* Rows are collected, sorted and told once each. */
struct rows {
    char **list;
    size_t count, cap;
    regex_t *regex;
    bool full; /* there are more than LIST_MAX */
};

static bool add(struct rows *rows, const char *text) {
    if (!*text || (rows->regex && regexec(rows->regex, text, 0, NULL, 0)))
        return true;
    char **slot = rows->count < LIST_MAX ? ARRAY_ADD(rows->list, rows->count, rows->cap) : NULL;
    if (slot)
        *slot = strdup(text);
    rows->full |= !slot || !*slot;
    return !rows->full;
}

static bool add_function(void *ctx, const char *name) {
    return add(ctx, name);
}

static bool add_type(void *ctx, struct unit *unit, const struct names *names,
                     const struct name *name) {
    struct buffer text = BUFFER_INIT(1 << 16);
    (void)unit;
    if (name->declaration)
        return true;
    name_qualified(names, name, &text);
    bool going = !text.data || text.failed || add(ctx, text.data);
    buffer_free(&text);
    return going;
}

/* A constant of a class has its value where it is declared, and perhaps nowhere else a name. */
static bool is_declared(struct die die) {
    return die_flag(die, DW_AT_declaration) && !die_has(die, DW_AT_const_value);
}

/* "name<TAB>type": the row that is sorted, and taken apart again when it is told. */
static bool add_variable(void *ctx, struct unit *unit, const struct names *names,
                         const struct name *name) {
    struct rows *rows = ctx;
    struct buffer text = BUFFER_INIT(1 << 16);
    struct die die;
    if (!die_at(name_place(unit, name), &die))
        return true;
    if (is_declared(die)) {
        die_free(&die);
        return true;
    }
    name_qualified(names, name, &text);
    bool wanted = text.data && (!rows->regex || !regexec(rows->regex, text.data, 0, NULL, 0));
    buffer_putc(&text, '\t');
    type_print(type_of_entry(die), &text);
    die_free(&die);
    regex_t *regex = rows->regex;
    rows->regex = NULL;
    bool going = !wanted || text.failed || add(rows, text.data);
    rows->regex = regex;
    buffer_free(&text);
    return going;
}

static void list_functions(struct program *program, struct rows *rows) {
    error_free(space_functions(&program->space, NULL, add_function, rows));
}

static void list_files(struct program *program, struct rows *rows) {
    struct dwarf *dwarf = program->space.list[0].module->dwarf;
    for (size_t i = 0; dwarf && i < dwarf->unit_count; i++) {
        const struct lines *lines = dwarf->units[i].types ? NULL : unit_lines(&dwarf->units[i]);
        for (size_t k = 0; lines && k < lines->file_count; k++)
            if (lines->files[k])
                add(rows, lines->files[k]);
    }
}

static void list_types(struct program *program, struct rows *rows) {
    module_each(program->space.list[0].module, NAME_TYPE, add_type, rows);
}

static void list_variables(struct program *program, struct rows *rows) {
    module_each(program->space.list[0].module, NAME_VARIABLE, add_variable, rows);
}

static const struct {
    const char *what;
    void (*list)(struct program *program, struct rows *rows);
    enum needed needed;
} listings[] = {
    {"functions", list_functions, NEEDS_SYMBOLS},
    {"files", list_files, NEEDS_VARIABLES},
    {"types", list_types, NEEDS_VARIABLES},
    {"variables", list_variables, NEEDS_VARIABLES},
};

/* What is none of a file's. */
static const struct {
    const char *what, *where;
} elsewhere[] = {
    {"threads", "of a Delve (dlv://...) and natively (--pid PID)"},
    {"goroutines", "of a Delve (dlv://...)"},
};

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static value_ref row_value(const char *row, struct buffer *into) {
    const char *tab = strchr(row, '\t');
    if (!tab)
        return value_string(into, row, strlen(row));
    value_ref object = value_new(into, VALUE_OBJECT);
    value_set(into, object, "name", value_string(into, row, (size_t)(tab - row)));
    value_set_text(into, object, "type", tab + 1);
    return object;
}

static value_ref tell(struct rows *rows, const char *what, struct buffer *into) {
    value_ref list =
        rows->full ? value_error(into, "there are more than %d %s: give a pattern", LIST_MAX, what)
                   : value_new(into, VALUE_LIST);
    if (rows->count && !rows->full)
        qsort(rows->list, rows->count, sizeof *rows->list, by_text);
    for (size_t i = 0; i < rows->count; i++) {
        if (!rows->full && (!i || strcmp(rows->list[i], rows->list[i - 1])))
            value_append(into, list, row_value(rows->list[i], into));
    }
    for (size_t i = 0; i < rows->count; i++)
        free(rows->list[i]);
    free(rows->list);
    return list;
}

value_ref program_list(struct program *program, const struct want *want, struct buffer *into) {
    struct rows rows = {0};
    regex_t regex;
    const char *what = want->expr;
    for (size_t i = 0; i < sizeof listings / sizeof *listings; i++) {
        if (strcmp(listings[i].what, what))
            continue;
        struct error *error = want->pattern ? pattern_compile(&regex, want->pattern) : NULL;
        if (error) {
            value_ref ref = value_error(into, "%s", error->message);
            error_free(error);
            return ref;
        }
        rows.regex = want->pattern ? &regex : NULL;
        listings[i].list(program, &rows);
        if (want->pattern)
            regfree(&regex);
        const struct module *module = program->space.list[0].module;
        const char *why = rows.count ? NULL : program_lacks(module, listings[i].needed);
        return why ? value_error(into, "%s %s", module->path, why) : tell(&rows, what, into);
    }
    const char *where = "nowhere";
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        where = strcmp(elsewhere[i].what, what) ? where : elsewhere[i].where;
    return value_error(into, "%s can be listed %s, but not here", what, where);
}
