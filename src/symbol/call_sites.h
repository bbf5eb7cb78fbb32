/* What the debug info says of calls: where each returns to, and what it passes (DWARF 5, section
 * 3.4). Read once for each place that was returned to. */
#pragma once

#include "symbol/location.h"

/* A parameter, by the register that it is passed in, or (GNU's DW_OP_GNU_parameter_ref, for one
 * that has no register) by its entry; and what is passed for it. */
struct passed {
    const struct dwarf_expression *in;
    uint64_t parameter; /* the entry's offset; 0: none */
    const struct dwarf_expression *value;
};

struct call_site {
    struct die_place place;
    const struct passed *passed;
    size_t count;
};

/* The call whose return address is `pc` (link-time); NULL: none is known. */
const struct call_site *call_site_returning_to(struct module *module, uint64_t pc);

/* What it passes in the register, or for the parameter, of `wanted`; NULL: it does not say. */
const struct dwarf_expression *call_site_passes(const struct call_site *site,
                                                const struct passed *wanted);

/* Does the function perhaps come back to itself by tail calls? Then it has other arguments than its
 * caller has passed: gdb does not guess, and neither do we. */
bool function_may_tail_call_itself(struct function *function);
