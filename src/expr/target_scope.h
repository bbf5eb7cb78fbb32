/* What a name of the target's language means at a place in the code. */
#pragma once

#include "expr/target_parts.h"

enum meaning_kind {
    MEANS_NOTHING,
    MEANS_VARIABLE,
    MEANS_STATIC,
    MEANS_CONSTANT,
    MEANS_FUNCTION,
    MEANS_MEMBER
};

struct meaning {
    enum meaning_kind kind;
    const struct type *type;
    struct loaded *loaded;
    const struct dwarf_expression *location; /* MEANS_VARIABLE; NULL: `why` */
    const char *why;
    uint64_t address;        /* MEANS_STATIC, MEANS_FUNCTION: link-time */
    const uint8_t *constant; /* MEANS_VARIABLE: its bytes; NULL: none */
    size_t constant_size;
    int64_t value; /* MEANS_CONSTANT */
};

struct scope_view {
    const struct target_site *site;
    struct module *module;
    struct function *function; /* NULL: no debug info for this pc */
    struct scope *innermost;
    struct unit *unit;
    unsigned line;
    bool go, cxx;
    struct arena *arena;
};

void scope_view_init(struct scope_view *view, const struct target_site *site, struct arena *arena);

/* `name` may have scopes ("ns::x", "file.c::x") and, for Go, a package ("main.x"). */
struct meaning scope_lookup(struct scope_view *view, const char *name);

/* A variable or parameter, as the debug info has it at the view's pc. */
struct meaning scope_variable(struct scope_view *view, const struct variable *variable);

/* A static member of a class or of its base classes. */
struct meaning scope_static_member(struct scope_view *view, const struct type *type,
                                   const char *name, int depth);

/* The name that is nearest to `name` among those that are visible; NULL. */
const char *scope_nearest(struct scope_view *view, const char *name);
const struct type *scope_type(void *view, const char *name);
bool scope_known(void *view, const char *name);
