/* Type parameters of Go. The compiler makes one piece of code of a generic function for all types
 * that the garbage collector sees alike, and calls that a shape: go.shape.int, go.shape.*uint8 for
 * any pointer. Which types they are in a call is said by a dictionary that is passed as an argument
 * of its own (".dict"): an array of words, of which some are addresses of the runtime's records of
 * types (cmd/compile/internal/noder/reader.go).
 *
 * An expression that names variables of such types is compiled for the shapes, so that what can be
 * known beforehand is; and once more for each dictionary that is met. */
#pragma once

#include "expr/target_compiler.h"

/* The type of a variable as the debug info has it, for the dictionary that the compiler has; a
 * shape where it has none. */
const struct type *generic_type(struct compiler *c, const struct type *type);

/* The expression is wrong for the shapes: may it be right for the types? True: then c->error was
 * taken. */
bool generic_put_off(struct compiler *c);

/* What of the expression is to run now. */
enum outcome generic_choose(const struct target_expr *expr, struct evaluation *evaluation,
                            const struct target_expr **out);
void generic_free(struct generic *generic);
