/* Functions, the blocks inside of them, and the variables in scope at a pc. */
#pragma once

#include "symbol/lines.h"
#include "symbol/types.h"

struct variable {
    const char *name;
    const char *shared; /* what the source calls all of a pack that `name` is one of; or NULL */
    struct die_place place;
    bool parameter, declaration;
    bool result;   /* Go has them among the parameters */
    unsigned line; /* of its declaration; 0 unknown */
};

enum scope_kind { SCOPE_FUNCTION, SCOPE_BLOCK, SCOPE_INLINED };

struct scope {
    enum scope_kind kind;
    struct scope *parent;
    struct scope **children;
    size_t child_count, child_cap;
    struct range *ranges;
    size_t range_count, range_cap;
    struct variable *variables;
    size_t variable_count, variable_cap;
    struct die_place place;
    const char *name; /* SCOPE_INLINED: the function's, qualified */
    unsigned call_file, call_line;
    bool inherited; /* variables of the abstract instance were added */
};

struct function {
    struct unit *unit; /* the one with the code: a skeleton where there is a split one */
    struct die_place place;
    const char *name;    /* qualified, without parameters */
    const char *linkage; /* the linker's; NULL */
    uint64_t entry;
    struct range *ranges;
    size_t range_count, range_cap;
    unsigned line;
    struct scope *scope; /* after function_scope() */
    int8_t tail_calls;   /* 1: may come back to itself by them, -1: never, 0: not looked yet */
};

/* A place where a function was put into another one. */
struct instance {
    struct die_place origin; /* the abstract function */
    struct die_place place;
    uint64_t entry;
    struct function *host;
};

/* The functions with code of a unit, sorted by entry. */
struct function **unit_functions(struct unit *unit, size_t *count);
struct function *function_at(struct module *module, uint64_t pc);
struct function *function_of_entry(struct unit *unit, uint64_t die_offset);
struct scope *function_scope(struct function *function);

/* Where code with these ranges is entered; 0: it has none. */
uint64_t code_entry(struct die die, const struct range *ranges, size_t count);

/* Where the abstract function at `origin` was inlined into functions of `unit`; returns the
 * number, at most `max` of them in `out`. */
size_t unit_instances(struct unit *unit, struct die_place origin, struct instance *out, size_t max);

/* The keys (die_key()) of all functions that were inlined into functions of `unit`. */
void unit_inlined(struct unit *unit, struct map *origins);

/* The innermost scope at `pc`; never NULL inside of the function. */
struct scope *scope_at(struct function *function, uint64_t pc);

/* The one that so many inlined calls at `pc` were made from; *line, if any were, is then where. */
struct scope *scope_around(struct function *function, uint64_t pc, unsigned calls, unsigned *line);

/* How many inlined calls begin at `pc` inside of the function, or of its scope at the entry `copy`
 * (0: of the function): whoever stops there for that has not entered them yet. */
unsigned scope_calls_at(struct function *function, uint64_t pc, uint64_t copy);
void function_free(struct function *function);

/* The variable with this name that is visible at `pc`, innermost first; NULL. Go: only those that
 * are declared before `line` (0: all). */
const struct variable *variable_named(struct scope *innermost, const char *name, size_t n,
                                      unsigned line);

/* One of a pack's parameters: "args#1", or "pack#1" where it has no name; NULL: it is none.
 * `function` is the entry that it stands in. */
const char *packed_name(struct module *module, struct die function, struct die parameter);

/* Parameters that share a name are those of a pack. */
void packs_number(struct module *module, struct scope *scope, struct die function);

/* The i-th name that is visible, for suggestions; NULL after the last. */
const char *variable_name(struct scope *innermost, size_t i);

/* Where a breakpoint at the function belongs: after its prologue as gdb and Delve choose it. */
uint64_t function_start(struct function *function);
