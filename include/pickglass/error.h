/* Errors of libpickglass: a message for people and the exit code that goes with it. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pick_error pick_error;

/* UTF-8, perhaps of several lines, without a newline at the end; good as long as the error. */
const char *pick_error_message(const pick_error *error);

/* What the command line would exit with: 1 usage, 2 recipe, 3 run, 5 limit. */
int pick_error_code(const pick_error *error);

/* NULL is fine. */
void pick_error_free(pick_error *error);

#ifdef __cplusplus
}
#endif
