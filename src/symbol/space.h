/* The address space of a target: which module is loaded where. */
#pragma once

#include "symbol/module.h"

struct loaded {
    struct module *module; /* owned */
    uint64_t bias;         /* run-time address = link-time address + bias */
    uint64_t low, high;    /* run-time addresses that it covers */
    uint64_t tls_module; /* its number in the dynamic linker's table: 1 is the program; 0 unknown */
};

struct space {
    const struct arch *arch;
    struct loaded *list; /* the program itself first */
    size_t count, cap;
};

/* Takes ownership of the module. */
struct error *space_add(struct space *space, struct module *module, uint64_t bias);
struct loaded *space_at(struct space *space, uint64_t pc);
void space_free(struct space *space);
