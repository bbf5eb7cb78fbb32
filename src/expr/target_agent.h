/* Compiled expressions as agent bytecode, for stubs that decide a condition or collect a capture by
 * themselves. What has no such form says so, and is evaluated here. */
#pragma once

#include "expr/target.h"
#include "gdb/agent.h"

/* Where the bytecode will run: always at this one instruction. */
struct agent_site {
    struct space *space;
    uint64_t pc; /* run-time */
    /* The stub's number of the register in a slot; -1: it has none, or not as it is here. */
    int (*number)(void *ctx, unsigned slot);
    void *ctx;
    shape_fn *shape;
    bool guards; /* the stub's programs notice memory that is not there */
};

/* Appends a whole program that leaves 0 only where the condition is surely false: where it cannot
 * be decided (a null pointer, memory that is not there, a division by zero) the stub is to report,
 * and it is evaluated here. False: *why says what has no form. */
bool target_agent_condition(const struct target_expr *expr, const struct agent_site *site,
                            struct agent *agent, const char **why);

/* A condition that is true where the stub cannot read `address` and its program notices. Stubs
 * differ in what they do where they cannot read; only where this is true of an address that surely
 * is not there may pointers be followed (site->guards). */
bool target_agent_can_guard(const struct agent_site *site, uint64_t address, struct agent *agent);

/* Appends code that collects all memory that evaluating and showing the expression will read; the
 * stack stays as it was, and there is no `end`. Where memory is not there, or a pointer is null, it
 * collects nothing more. */
bool target_agent_collect(const struct target_expr *expr, const struct agent_site *site,
                          const struct show_limits *limits, enum show_as as, struct agent *agent,
                          const char **why);
