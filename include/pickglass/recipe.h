/* Recipes without a target: parsing, checking, showing. */
#pragma once

#include <pickglass/error.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pick_params pick_params;

/* Values for the parameters of a recipe. NULL without memory. */
pick_params *pick_params_new(void);
void pick_params_free(pick_params *params);

/* "NAME=VALUE" or "NAME=@FILE" (the file's content, without its last newline). NULL if fine. */
pick_error *pick_params_add(pick_params *params, const char *setting);

/* Parses `text`, which messages call `name`. NULL if it is valid, else all that is wrong with it.
 * *described, if not NULL, becomes what was understood; free() it. */
pick_error *pick_recipe_check(const char *name, const char *text, size_t len,
                              const pick_params *params, char **described);

/* Does it fit a back end ("dlv://...")? For what can be said without the target. */
pick_error *pick_recipe_fits(const char *name, const char *text, size_t len,
                             const pick_params *params, const char *uri);

/* The JSON Schema of "recipe" or "event"; free() it. NULL for anything else, or without memory. */
char *pick_schema(const char *what);

/* The whole of a file, NUL-terminated; free() *text. */
pick_error *pick_read_file(const char *path, char **text, size_t *len);

#ifdef __cplusplus
}
#endif
