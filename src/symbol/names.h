/* The names that a unit declares outside of its functions: an index, built when it is asked for. */
#pragma once

#include "base/buffer.h"
#include "symbol/module.h"

struct name {
    const char *name; /* its last part; NULL for what has none */
    uint64_t offset;  /* of its entry */
    uint32_t parent;  /* index + 1 of the enclosing namespace or class; 0 = none */
    uint16_t tag;
    uint16_t len;     /* of `name`, 65535 at most */
    bool declaration; /* its definition is elsewhere */
    bool code;        /* a function with code of its own */
    bool inlined;     /* an abstract function, of which copies may be anywhere */
    bool types;       /* its entry is in .debug_types */
    bool transparent; /* a namespace without a name, or an inline one */
    bool loose;       /* made from an entry that comes later: resolved when all are there */
    bool adopted;     /* stands in another unit, and is only the parent of one of this */
};

struct names {
    struct name *list;
    size_t count, cap;
    struct map by_offset; /* die_key() to index + 1, as a pointer */
};

#define NAMES_MAX 4000000

/* Never NULL; empty without memory. For unit_entries(). */
const struct names *unit_names(struct unit *unit);

/* Appends the name with its namespaces and classes: "ns::C::f", Go's "main.f" as it is. */
void name_qualified(const struct names *names, const struct name *name, struct buffer *out);

/* The same without namespaces that need not be said: "outer::x" for an x in an inline one. */
void name_visible(const struct names *names, const struct name *name, struct buffer *out);

/* A name of the debug info in its canonical form (cxx_name.h); in the module's arena, or as it is.
 */
const char *name_canonical(struct module *module, const char *name);

struct die_place name_place(struct unit *unit, const struct name *name);

enum name_kinds {
    NAME_FUNCTION = 1,
    NAME_VARIABLE = 2,
    NAME_TYPE = 4,
    NAME_ENUMERATOR = 8,
    NAME_SPACE = 16
};
unsigned name_kind(const struct name *name);

/* "main.(*T).M" of "main.(*T[go.shape.int]).M", an instance of a generic function of Go's. False:
 * it is none, or too long. */
bool go_without_brackets(const char *name, char *out, size_t cap);

/* Calls `found` for every entry of those kinds whose last part is `name` (n bytes), or begins with
 * it and "<" (a template's instances), in all units that may have it, until it returns false. */
typedef bool name_found_fn(void *ctx, struct unit *unit, const struct names *names,
                           const struct name *name);
void module_find(struct module *module, const char *name, size_t n, unsigned kinds,
                 name_found_fn *found, void *ctx);

/* The same for every entry of those kinds. Reads the whole debug info. */
void module_each(struct module *module, unsigned kinds, name_found_fn *found, void *ctx);

void module_forget_sought(struct module *module); /* it is closed */
