/* `return` in Go: target_result.c has C's and its kin's. */
#pragma once

#include "expr/target_compiler.h"

/* NULL: the compiler has the error. */
compile_fn compile_go_return;
