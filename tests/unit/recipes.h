/* Parsing recipes in tests. */
#pragma once

#include "recipe/recipe.h"
#include "unit.h"

/* The errors of a recipe, or "" if it has none. The caller frees it. */
static inline char *errors_with(const char *text, const struct settings *given,
                                const struct target *target) {
    struct recipe *recipe = NULL;
    struct error *error = recipe_parse("r.yaml", text, strlen(text), given, target, &recipe);
    char *message = strdup(error ? error->message : "");
    cr_expect(!error || error->class == ERROR_RECIPE, "%s", message);
    error_free(error);
    recipe_free(recipe);
    return message;
}

static inline char *errors_of(const char *text) {
    return errors_with(text, NULL, NULL);
}

/* The recipe, which must parse. */
static inline struct recipe *parsed_with(const char *text, const struct settings *given,
                                         const struct target *target) {
    struct recipe *recipe = NULL;
    struct error *error = recipe_parse("r.yaml", text, strlen(text), given, target, &recipe);
    cr_assert_null(error, "%s\n%s", text, error ? error->message : "");
    return recipe;
}

static inline struct recipe *parsed(const char *text) {
    return parsed_with(text, NULL, NULL);
}

/* A recipe with one probe `p` at main.f and these lines (each indented by four) in it. */
static inline char *with_lines(const char *lines) {
    struct buffer out = BUFFER_INIT(1 << 20);
    buffer_printf(&out, "recipe: 1\nprobes:\n  p:\n    at: main.f\n%s\n", lines);
    return buffer_take(&out);
}

static inline char *read_data(const char *name) {
    char path[1024];
    struct buffer out = BUFFER_INIT(1 << 20);
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    size_t n = fread(buffer_reserve(&out, 1 << 19), 1, 1 << 19, file);
    fclose(file);
    out.len = n;
    out.data[n] = '\0';
    return buffer_take(&out);
}
