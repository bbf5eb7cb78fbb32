/* What is special to Go's stacks. The runtime does its own work on its threads' own stacks (that of
 * g0). Who asked for it is a goroutine, on another stack, and its record (runtime.g) says where
 * that one goes on. `frame` is one of code that has a module. */
#pragma once

#include "symbol/frames.h"

/* Is `pc`, which the frame is said to return to, no caller's? Go has no code outside of modules. */
bool go_stack_ends(const struct frame *frame, uint64_t pc);

/* Was the frame's function called by a signal handler in the goroutine's name? It returns to where
 * the signal came, and not behind an instruction that calls. */
bool go_stack_is_injected(const struct frame *frame);

/* Reads what that needs of the debug info of a Go program; once. */
void go_stack_prepare(struct module *module);

/* Does the frame's function, called on a goroutine's stack, call on the thread's own? */
bool go_stack_leaves(const struct frame *frame);

/* The frame on the goroutine's stack that such a function was called from. UNWIND_END: no goroutine
 * is behind it, or the debug info does not say what its record looks like. UNWIND_FAILED: it cannot
 * be read (*why). The registers of `caller` become those that the runtime has kept; *pc is where it
 * goes on. */
enum unwind_result go_stack_unwind(const struct frame *frame, struct frame *caller, uint64_t *pc,
                                   const char **why);

/* The goroutine (its record's address) whose stack the thread is on, and where that ends: frames
 * are where they are below it, also after the runtime has moved them all. UNWIND_END: it is on
 * none, or no Go is there; UNWIND_FAILED: it cannot be read (*why). */
enum unwind_result go_stack_top(const struct frame *frame, uint64_t *g, uint64_t *top,
                                const char **why);

/* Is the frame's pc, which may be of no module, one that nothing was called before? The runtime
 * writes that a goroutine which has left its stack goes on near the start of a function, behind
 * what that would have set up. */
bool go_stack_pretends(const struct frame *frame);
