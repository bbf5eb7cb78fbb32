#include "symbol/not_located.h"

#include "base/text.h"
#include "symbol/lines.h"
#include "symbol/match.h"
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

struct nearest {
    char **names;
    size_t count, cap;
};

static bool collect_name(void *ctx, const char *name) {
    struct nearest *nearest = ctx;
    char **slot = ARRAY_ADD(nearest->names, nearest->count, nearest->cap);
    if (slot)
        *slot = strdup(name);
    return slot && *slot;
}

static const char *name_at(void *ctx, size_t i) {
    struct nearest *nearest = ctx;
    return i < nearest->count ? nearest->names[i] : NULL;
}

static bool is_chosen_late(struct space *space, const char *name) {
    for (size_t i = 0; i < space->count; i++) {
        struct elf_symbol **list;
        size_t n = module_symbols_named(space->list[i].module, name, &list);
        for (size_t k = 0; k < n; k++)
            if (list[k]->indirect)
                return true;
    }
    return false;
}

static struct error *no_function(struct space *space, const struct place_query *query) {
    struct nearest all = {0};
    if (query->terse)
        return error_because(error_new(ERROR_RECIPE, "no function \"%s\"", query->function),
                             REASON_NO_NAME);
    if (is_chosen_late(space, query->function))
        return error_new(ERROR_RECIPE,
                         "\"%s\" has several implementations, and which one is used is decided "
                         "when the program starts (an IFUNC): name one, or a `match` for all",
                         query->function);
    error_free(space_functions(space, NULL, collect_name, &all));
    const char *near = text_nearest(query->function, name_at, &all);
    if (!near) { /* the last part of a qualified name is what people remember */
        for (size_t i = 0; i < all.count && !near; i++) {
            const char *last = strrchr(all.names[i], ':');
            last = last ? last : strrchr(all.names[i], '.');
            if (last && text_distance(last + 1, query->function, 1) <= 1)
                near = all.names[i];
        }
    }
    struct error *error = error_because(error_new(ERROR_RECIPE, "no function \"%s\"%s%s%s",
                                                  query->function, near ? " (did you mean \"" : "",
                                                  near ? near : "", near ? "\"?)" : ""),
                                        REASON_NO_NAME);
    for (size_t i = 0; i < all.count; i++)
        free(all.names[i]);
    free(all.names);
    return error;
}

/* ---- lines ---- */

/* The next line with code. 0: the file is not known, or nothing follows. */
static unsigned next_line(struct module *module, const struct place_query *query,
                          bool *file_known) {
    unsigned best = 0;
    for (size_t i = 0; module->dwarf && i < module->dwarf->unit_count; i++) {
        struct unit *unit = &module->dwarf->units[i];
        if (unit->types || !unit_may_have_file(unit, query->file))
            continue;
        const struct lines *lines = unit_lines(unit);
        for (size_t k = 0; lines && k < lines->count; k++) {
            const struct line_row *row = &lines->rows[k];
            if (row->end || !path_ends_with(line_file(lines, row), query->file))
                continue;
            *file_known = true;
            if (row->statement && row->line > query->line && (!best || row->line < best))
                best = row->line;
        }
    }
    return best;
}

/* ---- the whole ---- */

struct error *not_located(struct space *space, const struct place_query *query,
                          const struct place_list *out) {
    bool known = false;
    unsigned next = 0;
    if (query->function && query->returns && out->functions)
        return error_new(
            ERROR_RECIPE, "\"%s\" has no return%s: a probe of its returns would never hit",
            query->function, out->inlined_left_out ? " of its own, for all of it is inlined" : "");
    if (query->function && out->functions)
        return error_new(ERROR_RECIPE,
                         "\"%s\" has no code of its own: all %u copies are inlined (they count "
                         "unless `inlined: false`)",
                         query->function, out->inlined_left_out);
    if (query->function && out->vanished)
        return error_new(ERROR_RECIPE,
                         "\"%s\" has no code: it was inlined wherever it is called, and the "
                         "compiler has left nothing of it (build with -O0 or -Og, or name the "
                         "lines that call it)",
                         query->function);
    if (query->function)
        return no_function(space, query);
    if (query->match)
        return error_because(error_new(ERROR_RECIPE, "no function matches \"%s\"", query->match),
                             REASON_NO_NAME);
    if (query->has_address)
        return error_new(ERROR_RECIPE, "0x%llx is not in the program's code",
                         (unsigned long long)query->address);
    for (size_t i = 0; i < space->count && !next; i++)
        next = next_line(space->list[i].module, query, &known);
    if (next)
        return error_new(ERROR_RECIPE, "%s:%u has no code (the next line that has is %u)",
                         query->file, query->line, next);
    return error_new(ERROR_RECIPE,
                     known ? "%s:%u has no code, nor has any line after it"
                           : "no source file \"%s\" in the debug info",
                     query->file, query->line);
}
