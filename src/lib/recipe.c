#include "lib/lib.h"

#include "base/secret.h"
#include "session/session.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX (64u << 20)

pick_params *pick_params_new(void) {
    return calloc(1, sizeof(struct pick_params));
}

void pick_params_free(pick_params *params) {
    if (params)
        settings_free(&params->settings);
    free(params);
}

pick_error *pick_read_file(const char *path, char **text, size_t *len) {
    FILE *file = fopen(path, "re");
    struct buffer content = BUFFER_INIT(FILE_MAX);
    char chunk[16384];
    size_t n;
    if (!file)
        return public_error(error_new(ERROR_USAGE, "reading %s: %s", path, strerror(errno)));
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_add(&content, chunk, n);
    bool failed = ferror(file);
    int why = errno;
    fclose(file);
    if (failed || content.failed) {
        buffer_free(&content);
        return public_error(error_new(ERROR_USAGE, "reading %s: %s", path,
                                      failed ? strerror(why) : "larger than 64 MiB"));
    }
    *len = content.len;
    *text = buffer_take(&content);
    return *text ? NULL : public_error(error_no_memory());
}

pick_error *pick_params_add(pick_params *params, const char *setting) {
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return public_error(
            error_new(ERROR_USAGE, "-p %s: it is -p NAME=VALUE or -p NAME=@FILE", setting));
    char *name = strndup(setting, (size_t)(equals - setting)), *value = NULL;
    pick_error *error = NULL;
    if (equals[1] == '@') {
        size_t len;
        error = pick_read_file(equals + 2, &value, &len);
        if (!error && len && value[len - 1] == '\n')
            value[len - 1] = '\0';
    } else {
        value = strdup(equals + 1);
    }
    if (!error)
        error = name && value ? public_error(settings_add(&params->settings, name, value))
                              : public_error(error_no_memory());
    free(name);
    free(value);
    return error;
}

pick_error *pick_recipe_check(const char *name, const char *text, size_t len,
                              const pick_params *params, char **described) {
    struct recipe *recipe;
    struct error *error =
        recipe_parse(name, text, len, params ? &params->settings : NULL, NULL, &recipe);
    if (error)
        return public_error(error);
    if (described) {
        struct buffer out = BUFFER_INIT(4 << 20);
        recipe_print(recipe, &out);
        secret_scrub(&out);
        *described = buffer_take(&out);
    }
    recipe_free(recipe);
    return NULL;
}

pick_error *pick_recipe_fits(const char *name, const char *text, size_t len,
                             const pick_params *params, const char *uri) {
    const char *why;
    const struct backend_ops *ops = backend_find(uri, &why);
    struct recipe *recipe;
    if (!ops)
        return public_error(error_new(ERROR_USAGE, "%s: %s", uri, why));
    struct error *error =
        recipe_parse(name, text, len, params ? &params->settings : NULL, NULL, &recipe);
    if (error)
        return public_error(error);
    error = session_fits(recipe, ops->caps);
    recipe_free(recipe);
    return public_error(error);
}

char *pick_schema(const char *what) {
    struct buffer out = BUFFER_INIT(1 << 20);
    if (!strcmp(what, "recipe"))
        recipe_schema(&out);
    else if (!strcmp(what, "event"))
        event_schema(&out);
    else
        return NULL;
    return buffer_take(&out);
}
