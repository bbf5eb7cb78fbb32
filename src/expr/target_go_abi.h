/* Where a Go function finds what it is passed, and leaves what it returns, by ABIInternal (Go's
 * cmd/compile/abi-internal.md, "Function call argument and result passing"): each in registers, if
 * all of it finds some, else on the stack. Known of x86-64 and aarch64. */
#pragma once

#include "expr/target_compiler.h"

#define GO_ARGUMENTS 64
#define GO_RESULTS 32

struct go_call {
    struct member arguments[GO_ARGUMENTS]; /* `offset` 0 */
    struct member results[GO_RESULTS];     /* `offset` in an object of all of them */
    size_t argument_count, result_count;
    size_t dictionary; /* 1 + which argument is a generic function's dictionary; 0: none */
    struct result_piece pieces[RESULT_PIECES]; /* of the results, at a return */
    size_t piece_count;
    int dictionary_slot; /* the register that has it at the entry; -1: none */
    bool on_stack;       /* a result is */
    bool confirmed;      /* what is on the stack takes as much as the runtime says */
};

/* What the function at the compiler's place is passed and returns. False: it has more than that, or
 * the architecture is another one. */
bool go_call_of(struct compiler *c, struct go_call *out);
