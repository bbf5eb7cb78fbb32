/* What is behind a Go interface: it holds the address of what the runtime knows of a type, and the
 * debug info says which entry describes that type (DW_AT_go_runtime_type). */
#pragma once

#include "symbol/space.h"
#include "symbol/types.h"

struct go_type {
    const struct type *type;
    bool direct; /* an interface's word is the value itself, else a pointer to it */
};

/* `address` is a run-time one. False: no type of the debug info is there, as with those that the
 * program makes by reflection. Read from the programs' files alone; the first call for a module
 * walks the entries of all its types. */
void go_types_read(struct module *module); /* that walk, once; before anybody stands still for it */
bool go_type_at(const struct space *space, uint64_t address, struct go_type *out);
