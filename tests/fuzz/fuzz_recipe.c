/* A recipe, or a list of targets. */
#include "base/secret.h"
#include "recipe/recipe.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_targets(const char *text, size_t size) {
    struct target *targets = NULL;
    size_t count = 0;
    error_free(targets_parse("fuzz", text, size, &targets, &count));
    for (size_t i = 0; i < count; i++)
        target_clear(&targets[i]);
    free(targets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer text = BUFFER_INIT(1 << 20), out = BUFFER_INIT(1 << 20);
    struct recipe *recipe = NULL;
    buffer_add(&text, data, size);
    if (text.failed)
        return 0;
    struct error *error = recipe_parse("fuzz", text.data, text.len, NULL, NULL, &recipe);
    if (!error == !recipe)
        abort();
    if (recipe)
        recipe_print(recipe, &out);
    secret_scrub(&out);
    recipe_free(recipe);
    error_free(error);
    secret_forget_all();
    as_targets(text.data, text.len);
    buffer_free(&text);
    buffer_free(&out);
    return 0;
}
