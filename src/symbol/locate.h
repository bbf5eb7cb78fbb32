/* From what a recipe says to addresses: functions, lines, patterns, returns. */
#pragma once

#include "base/error.h"
#include "symbol/functions.h"
#include "symbol/space.h"

struct place_query {
    const char *function; /* one of function, file, match and has_address */
    const char *file;
    unsigned line;
    const char *match; /* a POSIX extended regular expression over function names */
    unsigned max;      /* most functions that it may name */
    uint64_t address;  /* run-time */
    bool has_address;
    bool inlined; /* inlined copies count */
    bool returns; /* where the function returns instead of where it begins */
    bool entry;   /* the function's own first instruction, before its prologue */
    bool terse;   /* an error need not say what has a name like it: that takes its time */
};

struct code_place {
    struct loaded *loaded;
    uint64_t address; /* run-time */
    const char *function, *file;
    unsigned line;
    unsigned calls; /* inlined ones that begin there, inside of what the location names */
    bool inlined;
};

struct place_list {
    struct code_place *list;
    size_t count, cap;
    unsigned inlined_left_out, tail_calls;
    size_t functions; /* that were found, with or without a place */
    bool vanished;    /* a function was inlined, and no copy has code */
};

/* All places in the program, or, where it has none, in its libraries (or in the module whose path
 * ends with `module`, if that is not NULL). An error with the nearest names where there is none.
 * Places with the same address stand once, sorted by address. */
struct error *space_locate(struct space *space, const struct place_query *query, const char *module,
                           struct place_list *out);
void place_list_free(struct place_list *list);

/* Calls `found` for every function's name, sorted and without doubles, that matches `pattern`
 * (NULL: all). ERROR_RECIPE for a bad pattern. */
struct error *space_functions(struct space *space, const char *pattern,
                              bool (*found)(void *ctx, const char *name), void *ctx);
