/* What readers of a stub's documents answer with. */
#pragma once

#include "base/error.h"
#include "unit.h"

static inline void fine(struct error *error, const char *what) {
    cr_expect_null(error, "%s: %s", what, error ? error->message : "");
    error_free(error);
}

/* The message of an error that there must be; the caller frees it. */
static inline void expect_error(struct error *error, const char *part, const char *what) {
    cr_expect_not_null(error, "%s: no error", what);
    if (!error)
        return;
    cr_expect_eq(error->class, ERROR_RUN, "%s", what);
    SHOULD_HOLD(error->message, part, what);
    error_free(error);
}
