#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char no_memory_text[] = "out of memory";
static struct error no_memory = {.class = ERROR_RUN, .message = no_memory_text};

struct error *error_no_memory(void) {
    return &no_memory;
}

struct error *error_newv(enum error_class class, const char *format, va_list args) {
    struct error *error = malloc(sizeof *error);
    if (!error)
        return &no_memory;
    *error = (struct error){.class = class};
    if (vasprintf(&error->message, format, args) < 0) {
        free(error);
        return &no_memory;
    }
    return error;
}

struct error *error_new(enum error_class class, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct error *error = error_newv(class, format, args);
    va_end(args);
    return error;
}

struct error *error_because(struct error *error, enum error_reason reason) {
    if (error && error != &no_memory)
        error->reason = reason;
    return error;
}

struct error *error_wrap(struct error *error, const char *format, ...) {
    if (!error || error == &no_memory)
        return error;
    char *context, *message;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&context, format, args);
    va_end(args);
    if (n < 0)
        return error;
    n = asprintf(&message, "%s: %s", context, error->message);
    free(context);
    if (n < 0)
        return error;
    free(error->message);
    error->message = message;
    return error;
}

struct error *error_copy(const struct error *error) {
    return error ? error_because(error_new(error->class, "%s", error->message), error->reason)
                 : NULL;
}

void error_free(struct error *error) {
    if (!error || error == &no_memory)
        return;
    free(error->message);
    free(error);
}
