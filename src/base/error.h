/* Errors are objects for people: a class that decides the exit code, and one message that says
 * what was attempted, on what, why it failed and what to try. NULL means 'fine'. */
#pragma once

#include <stdarg.h>

enum error_class {
    ERROR_USAGE = 1,   /* the command line is wrong */
    ERROR_RECIPE = 2,  /* the recipe is invalid or does not fit the target */
    ERROR_RUN = 3,     /* a connection, a target or a sink failed */
    ERROR_LIMIT = 5,   /* a limit with `do: fail` tripped */
    ERROR_NO_HITS = 6, /* nothing hit, where a hit was required */
};

/* What somebody who gets the error may make of it, where the class does not tell. */
enum error_reason {
    REASON_OTHER = 0,
    REASON_NO_PEER, /* nobody was there to connect to: somebody may come */
    REASON_NO_NAME, /* nothing has that name: whoever knows where it was looked for may say more */
};

struct error {
    enum error_class class;
    enum error_reason reason;
    char *message; /* UTF-8, no trailing newline; may hold several lines */
};

/* Never NULL: when memory is gone, a shared static error is returned. The caller owns it. */
struct error *error_new(enum error_class class, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct error *error_newv(enum error_class class, const char *format, va_list args);

/* The one error that needs no memory. error_free() accepts it. */
struct error *error_no_memory(void);

/* Gives it a reason. NULL stays NULL. */
struct error *error_because(struct error *error, enum error_reason reason);

/* Puts "context: " before the message, once a layer. Takes and returns ownership; NULL stays NULL.
 */
struct error *error_wrap(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct error *error_copy(const struct error *error);
void error_free(struct error *error);
