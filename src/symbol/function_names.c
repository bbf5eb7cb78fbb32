/* The names of all functions of a space, sorted, each once. */
#include "symbol/locate.h"

#include "base/text.h"
#include "symbol/demangle.h"
#include "symbol/match.h"
#include "symbol/names.h"
#include <stdlib.h>
#include <string.h>

struct all_names {
    char **list;
    size_t count, cap;
    struct unit *unit; /* whose inlined functions are in: */
    struct map inlined;
};

static bool add_name(struct all_names *all, const char *name) {
    char **slot = *name ? ARRAY_ADD(all->list, all->count, all->cap) : NULL;
    if (slot)
        *slot = strdup(name);
    return !*name || (slot && *slot);
}

/* There are abstract functions without any copy: of a constructor that a library has, and nobody
 * here, or of which the optimiser has left nothing (Go describes none of those). With -flto and dwz
 * copies are in other units.
 */
static bool is_nowhere(struct all_names *all, struct unit *unit, const struct name *name) {
    if (name->code || !unit->range_count || unit_is_go(unit))
        return false;
    if (all->unit != unit) {
        map_free(&all->inlined);
        all->unit = unit;
        unit_inlined(unit, &all->inlined);
    }
    return !map_get(&all->inlined, die_key(name_place(unit, name)));
}

static bool declared_function(void *ctx, struct unit *unit, const struct names *names,
                              const struct name *name) {
    struct buffer text = BUFFER_INIT(1 << 16);
    bool going = true;
    if ((!name->code && !name->inlined) || is_nowhere(ctx, unit, name))
        return true;
    name_qualified(names, name, &text);
    if (text.data && !text.failed)
        going = add_name(ctx, text.data);
    buffer_free(&text);
    return going;
}

static void symbol_names(struct module *module, struct all_names *all) {
    size_t count;
    const struct elf_symbol *symbols = module_symbols(module, &count);
    for (size_t i = 0; i < count; i++) {
        struct buffer text = BUFFER_INIT(1 << 16);
        if (symbols[i].kind != SYMBOL_FUNCTION || !symbols[i].address ||
            unit_at(module, symbols[i].address))
            continue;
        demangle(symbols[i].name, &text);
        if (text.data && !text.failed)
            add_name(all, text.data);
        buffer_free(&text);
    }
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct error *space_functions(struct space *space, const char *pattern,
                              bool (*found)(void *ctx, const char *name), void *ctx) {
    struct all_names all = {0};
    regex_t regex;
    struct error *error = pattern ? pattern_compile(&regex, pattern) : NULL;
    if (error)
        return error;
    for (size_t i = 0; i < space->count; i++) {
        module_each(space->list[i].module, NAME_FUNCTION, declared_function, &all);
        symbol_names(space->list[i].module, &all);
    }
    if (all.count)
        qsort(all.list, all.count, sizeof *all.list, by_text);
    bool going = true;
    for (size_t i = 0; i < all.count; i++) {
        bool again = i && !strcmp(all.list[i], all.list[i - 1]);
        if (going && !again && (!pattern || !regexec(&regex, all.list[i], 0, NULL, 0)))
            going = found(ctx, all.list[i]);
    }
    for (size_t i = 0; i < all.count; i++)
        free(all.list[i]);
    free(all.list);
    map_free(&all.inlined);
    if (pattern)
        regfree(&regex);
    return NULL;
}
