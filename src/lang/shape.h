/* How the types of languages and their libraries are to be seen: a std::string is a text, a Go
 * slice a list. One row of a table each.
 *
 * To add one: a row in shape.c, and a fixture that has it. */
#pragma once

#include "expr/target.h"

/* A shape_fn for all languages at once: of composites, and of pointers that are Go's maps and
 * channels. */
bool lang_shape(struct module *module, const struct type *type, struct shape *out);
