/* C++ names as gdb writes them: "Fixed<short, 4>" for what a compiler calls "Fixed<short int, 4>".
 */
#pragma once

#include "base/buffer.h"

/* Appends the canonical form: integer types in one order and without needless words, one space
 * behind commas, "> >"; in template arguments "T const*" for "const T *". Names without template
 * arguments stay as they are. */
void cxx_canonical(const char *name, struct buffer *out);

/* The last part of a name with namespaces and classes: "f<int>" of "ns::C<a::b>::f<int>". Points
 * into `name`. */
const char *cxx_last_part(const char *name);
