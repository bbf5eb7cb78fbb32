/* Names searched for in a whole module. What a search has found is remembered, with how far it
 * came: the same is asked for whenever the program has loaded or unloaded anything. */
#include "symbol/names.h"

#include "base/text.h"
#include <stdlib.h>
#include <string.h>

#define SOUGHT_MAX 16384 /* searches that are remembered for one module */

struct found_name {
    struct unit *unit;
    size_t index; /* in its names */
};

/* A search, and where it goes on. In the module's arena, but for `list`. */
struct sought {
    const char *text;
    size_t n;
    unsigned kinds;
    struct found_name *list;
    size_t count, cap;
    size_t unit, name; /* that come next */
    bool in_alt;
    struct sought *next; /* of the same hash */
};

/* ---- does it fit? ---- */

/* Go's names are whole paths: "http.Get" is the end of "net/http.Get". */
static bool ends_path(const char *name, size_t have, const char *text, size_t n) {
    return have > n && !memcmp(name + have - n, text, n) &&
           (name[have - n - 1] == '/' || name[have - n - 1] == '.');
}

static bool fits_instance(const struct name *name, const char *text, size_t n) {
    char bare[1024];
    if (memchr(text, '[', n) || !go_without_brackets(name->name, bare, sizeof bare))
        return false;
    size_t have = strlen(bare);
    return (have == n && !memcmp(bare, text, n)) || ends_path(bare, have, text, n);
}

static bool fits(const struct unit *unit, const struct name *name, const char *text, size_t n) {
    if (!name->name || !n || name->len < n || n >= UINT16_MAX)
        return false;
    if (name->name[n - 1] == text[n - 1] && !strncmp(name->name, text, n) &&
        (name->name[n] == '\0' || name->name[n] == '<'))
        return true;
    if (!unit_is_go(unit))
        return false;
    return ends_path(name->name, strlen(name->name), text, n) ||
           (name_kind(name) == NAME_FUNCTION && fits_instance(name, text, n));
}

/* ---- one search ---- */

static bool may_have(struct unit *unit, const struct sought *sought) {
    unit_load(unit);
    struct unit *entries = unit_entries(unit);
    return entries->names || unit_may_name(entries, sought->text, sought->n);
}

static bool is_sought(const struct unit *unit, const struct name *name,
                      const struct sought *sought) {
    return (name_kind(name) & sought->kinds) && !name->adopted &&
           fits(unit, name, sought->text, sought->n);
}

/* The next one of this unit that fits; false: there is none. */
static bool next_in(struct unit *unit, struct sought *sought) {
    const struct names *names = may_have(unit, sought) ? unit_names(unit) : NULL;
    while (names && sought->name < names->count) {
        size_t i = sought->name++;
        if (!is_sought(unit, &names->list[i], sought))
            continue;
        struct found_name *slot = ARRAY_ADD(sought->list, sought->count, sought->cap);
        if (slot)
            *slot = (struct found_name){unit, i};
        return slot;
    }
    return false;
}

static bool find_next(struct module *module, struct sought *sought) {
    for (; !sought->in_alt || module->alt; sought->in_alt = true, sought->unit = 0) {
        struct dwarf *dwarf = sought->in_alt ? module->alt : module->dwarf;
        for (; dwarf && sought->unit < dwarf->unit_count; sought->unit++, sought->name = 0)
            if (next_in(&dwarf->units[sought->unit], sought))
                return true;
        if (sought->in_alt)
            break;
    }
    return false;
}

/* `found` may search for the same, and come farther than we are. */
static void tell(struct module *module, struct sought *sought, name_found_fn *found, void *ctx) {
    for (size_t i = 0; i < sought->count || find_next(module, sought); i++) {
        struct unit *unit = sought->list[i].unit;
        const struct names *names = unit_names(unit);
        if (!found(ctx, unit, names, &names->list[sought->list[i].index]))
            return;
    }
}

/* ---- all of them ---- */

static uint64_t key_of(const char *text, size_t n, unsigned kinds) {
    return text_hash(text, n) + kinds;
}

static struct sought *sought_before(const struct module *module, const struct sought *like,
                                    uint64_t key) {
    struct sought *sought = map_get(&module->sought, key);
    while (sought && (sought->n != like->n || sought->kinds != like->kinds ||
                      memcmp(sought->text, like->text, like->n)))
        sought = sought->next;
    return sought;
}

/* NULL: it is not remembered. */
static struct sought *remember(struct module *module, const struct sought *like, uint64_t key) {
    struct sought *sought =
        module->sought.count < SOUGHT_MAX ? ARENA_NEW(&module->arena, struct sought) : NULL;
    if (!sought)
        return NULL;
    *sought = *like;
    sought->text = arena_strndup(&module->arena, like->text, like->n);
    sought->next = map_get(&module->sought, key);
    return sought->text && map_put(&module->sought, key, sought) ? sought : NULL;
}

void module_find(struct module *module, const char *name, size_t n, unsigned kinds,
                 name_found_fn *found, void *ctx) {
    struct sought once = {.text = name, .n = n, .kinds = kinds};
    uint64_t key = key_of(name, n, kinds);
    struct sought *sought = sought_before(module, &once, key);
    sought = sought ? sought : remember(module, &once, key);
    tell(module, sought ? sought : &once, found, ctx);
    free(once.list);
}

void module_forget_sought(struct module *module) {
    for (size_t i = 0; i < module->sought.cap; i++)
        for (struct sought *sought = module->sought.slots[i].value; sought; sought = sought->next)
            free(sought->list);
    map_free(&module->sought);
}

/* ---- every name ---- */

static bool each_of(struct dwarf *dwarf, unsigned kinds, name_found_fn *found, void *ctx) {
    for (size_t i = 0; dwarf && i < dwarf->unit_count; i++) {
        struct unit *unit = &dwarf->units[i];
        unit_load(unit);
        const struct names *names = unit_names(unit);
        for (size_t k = 0; k < names->count; k++) {
            const struct name *name = &names->list[k];
            if ((name_kind(name) & kinds) && !name->adopted && name->name &&
                !found(ctx, unit, names, name))
                return false;
        }
    }
    return true;
}

void module_each(struct module *module, unsigned kinds, name_found_fn *found, void *ctx) {
    if (each_of(module->dwarf, kinds, found, ctx))
        each_of(module->alt, kinds, found, ctx);
}
