/* What the parts of the compiler to agent bytecode share. False: it has no form, and c->why says
 * so. */
#pragma once

#include "expr/target_agent.h"
#include "expr/target_parts.h"

#define AGENT_ENTRIES 64
#define AGENT_JUMPS 64

/* What the agent's stack holds at this point. */
struct agent_entry {
    const struct type *type;
    bool place; /* an address: the value is in memory there */
    bool wild;  /* ... or perhaps not: it is a pointer's, or an index leads there */
    bool known; /* a constant */
    uint64_t value;
    unsigned bit, bit_size;
};

struct agent_state {
    struct agent_entry entries[AGENT_ENTRIES];
    size_t depth;
};

struct agent_branch {
    size_t goal, from; /* of the expression's program; of the agent's */
    struct agent_state state;
};

struct agent_compiler {
    struct agent *agent;
    const struct agent_site *site;
    bool collects;
    struct agent_state now;
    bool reached;
    struct agent_branch branches[AGENT_JUMPS];
    size_t branch_count;
    size_t undecided[AGENT_JUMPS]; /* jumps to "report, and decide there" */
    size_t undecided_depth[AGENT_JUMPS];
    size_t undecided_count;
    const char *why;
};

static inline struct agent_entry *agent_top(struct agent_compiler *c) {
    return &c->now.entries[c->now.depth - 1];
}

bool agent_fail(struct agent_compiler *c, const char *why);
bool agent_push(struct agent_compiler *c, struct agent_entry entry);

/* An integer or pointer of at most 64 bits. */
bool agent_is_word(const struct type *plain);
bool agent_is_signed(const struct type *plain);
size_t agent_size(const struct type *plain);

/* Back to what the type holds, from 64 bits of anything. */
bool agent_fit(struct agent_compiler *c, const struct type *plain);

/* The entry becomes a value. */
bool agent_load(struct agent_compiler *c);       /* on top */
bool agent_load_below(struct agent_compiler *c); /* the one below */

/* If the top is zero, nothing can be decided there. */
bool agent_undecided_if_zero(struct agent_compiler *c);

/* Takes the top: if it is not zero, nothing can be decided there. */
bool agent_undecided_if(struct agent_compiler *c);

/* `bytes` from the address on top are going to be read: are they there? The address stays. */
bool agent_will_read(struct agent_compiler *c, bool wild, uint64_t bytes);

/* The whole program of an expression: its value or place is on top then. */
bool agent_compile(struct agent_compiler *c, const struct target_expr *expr);

/* target_agent_place.c */
bool agent_guard(struct agent_compiler *c); /* of the address on top, which stays */
bool agent_constant_of(struct agent_compiler *c, const struct type *type, uint64_t value);
bool agent_variable(struct agent_compiler *c, const struct insn *insn);
bool agent_register_of(struct agent_compiler *c, const struct insn *insn);
