/* What a question about places has found in a module: the answer is the same for as long as the
 * module is there, and programs load and unload others all the time. */
#pragma once

#include "symbol/locate.h"

/* NULL: the question was not asked yet, or its answer is not kept. Addresses are link-time ones. */
const struct place_list *places_known(const struct module *module, const struct place_query *query);
void places_remember(struct module *module, const struct place_query *query,
                     const struct place_list *found);
