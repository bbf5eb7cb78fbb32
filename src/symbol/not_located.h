/* Why a recipe's place is nowhere, and what is near it. */
#pragma once

#include "symbol/locate.h"

/* Never NULL. `out` has no place, but what was learned on the way. */
struct error *not_located(struct space *space, const struct place_query *query,
                          const struct place_list *out);
