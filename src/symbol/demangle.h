/* C++ names of symbols, by the compiler's own runtime. */
#pragma once

#include "base/buffer.h"

/* Appends "ns::C::f(int)" for "_ZN2ns1C1fEi"; what is no mangled name as it is. */
void demangle(const char *symbol, struct buffer *out);
