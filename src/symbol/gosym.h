/* Go's own table of functions and lines (.gopclntab): what is left in a stripped program. Go 1.18
 * and newer (magic 0xfffffff0 and 0xfffffff1; runtime/symtab.go). No types, no variables. */
#pragma once

#include "symbol/elf.h"

struct gosym;

/* NULL: there is none, or it does not say where its code begins. In the file's arena; asked once.
 */
struct gosym *gosym_of(struct elf_file *elf);

/* The i-th function; false after the last. */
bool gosym_function(const struct gosym *table, size_t i, const char **name, uint64_t *low,
                    uint64_t *high);

/* The function that covers `pc`, or SIZE_MAX. */
size_t gosym_at(const struct gosym *table, uint64_t pc);

/* Does the function of `pc`, called on a goroutine's stack, call on the thread's own? What lies
 * above such a call is no caller. */
bool gosym_leaves_goroutine(const struct gosym *table, uint64_t pc);

/* Is `pc` in the function that the runtime says a goroutine is in while it has left its stack? */
bool gosym_pretends(const struct gosym *table, uint64_t pc);

/* Does the function of `pc` call on the stack of a thread that it has made? */
bool gosym_begins_thread(const struct gosym *table, uint64_t pc);

/* Is the function of `pc` one that the runtime's signal handler makes a goroutine call, wherever it
 * is? */
bool gosym_is_injected(const struct gosym *table, uint64_t pc);

/* Bytes of the stack that the callers of the function of `pc` leave for what it is passed and what
 * it returns. False: not known. */
bool gosym_arguments(const struct gosym *table, uint64_t pc, uint64_t *bytes);

/* File and line of `pc`; false: no function there. */
bool gosym_line(const struct gosym *table, uint64_t pc, const char **file, unsigned *line);

/* Where the function's frame is set up: behind the check of the stack, which jumps back to the
 * entry when the stack has grown. */
uint64_t gosym_start(const struct gosym *table, size_t function);

/* The first address of a line inside of a function, or 0. */
uint64_t gosym_find_line(const struct gosym *table, size_t function, const char *file,
                         unsigned line);
