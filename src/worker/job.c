#include "worker/job.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *write_settings(const struct settings *settings) {
    json_t *object = json_object();
    for (size_t i = 0; i < settings->count; i++)
        json_object_set_new(object, settings->list[i].name, json_string(settings->list[i].value));
    return object;
}

static json_t *write_targets(const struct job *job) {
    json_t *list = json_array();
    for (size_t i = 0; i < job->target_count; i++) {
        const struct target *target = &job->targets[i];
        json_array_append_new(list, json_pack("{s:s,s:s,s:s*,s:o,s:o}", "name", target->name, "uri",
                                              target->uri, "binary", target->binary, "labels",
                                              write_settings(&target->labels), "params",
                                              write_settings(&target->params)));
    }
    return list;
}

static json_t *write_recipes(const struct job *job) {
    json_t *list = json_array();
    for (size_t i = 0; i < job->recipe_count; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "name", job->recipes[i].name, "text",
                                              job->recipes[i].text));
    return list;
}

void job_write(const struct job *job, struct buffer *out) {
    const struct session_options *o = &job->options;
    json_t *root = json_pack(
        "{s:s,s:o,s:o,s:o,s:i,s:b,s:b,s:b,s:b,s:b,s:b,s:i,s:i,s:s*,s:s*,s:s*,s:s*,s:s*}", "run",
        job->run, "recipes", write_recipes(job), "params", write_settings(&job->params), "targets",
        write_targets(job), "mode", (int)o->mode, "resume", (int)o->resume, "end_kills_target",
        (int)o->end_kills_target, "insecure", (int)o->insecure, "kill_launched",
        (int)o->kill_launched, "follow", (int)o->follow, "require_hits", (int)job->require_hits,
        "connect_ms", (int)o->connect_ms, "timeout_ms", (int)o->timeout_ms, "relay", job->relay,
        "output", job->output, "list_what", job->list_what, "list_pattern", job->list_pattern,
        "binary", job->binary);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (text)
        buffer_puts(out, text);
    else
        out->failed = true;
    free(text);
    json_decref(root);
}

static char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? strdup(text) : NULL;
}

static void read_settings(const json_t *object, struct settings *out) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
        error_free(settings_add(out, key, json_string_value(value)));
}

static bool read_targets(const json_t *list, struct job *job) {
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) {
        struct target *target = ARRAY_ADD(job->targets, job->target_count, job->target_cap);
        if (!target)
            return false;
        target->name = text_of(item, "name");
        target->uri = text_of(item, "uri");
        target->binary = text_of(item, "binary");
        read_settings(json_object_get(item, "labels"), &target->labels);
        read_settings(json_object_get(item, "params"), &target->params);
        if (!target->name || !target->uri)
            return false;
    }
    return job->target_count > 0;
}

bool job_add_recipe(struct job *job, const char *name, const char *text) {
    struct recipe_text *place = ARRAY_ADD(job->recipes, job->recipe_count, job->recipe_cap);
    if (!place)
        return false;
    *place = (struct recipe_text){strdup(name), strdup(text)};
    return place->name && place->text;
}

static bool read_recipes(const json_t *list, struct job *job) {
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *text = json_string_value(json_object_get(item, "text"));
        if (!name || !text || !job_add_recipe(job, name, text))
            return false;
    }
    return true;
}

static bool flag(const json_t *root, const char *key) {
    return json_is_true(json_object_get(root, key));
}

bool job_read(const char *text, size_t len, struct job *job) {
    json_t *root = json_loadb(text, len, 0, NULL);
    *job = (struct job){.run = text_of(root, "run"),
                        .relay = text_of(root, "relay"),
                        .binary = text_of(root, "binary"),
                        .output = text_of(root, "output"),
                        .list_what = text_of(root, "list_what"),
                        .list_pattern = text_of(root, "list_pattern")};
    read_settings(json_object_get(root, "params"), &job->params);
    bool ok = root && job->run && read_targets(json_object_get(root, "targets"), job) &&
              read_recipes(json_object_get(root, "recipes"), job);
    job->require_hits = flag(root, "require_hits");
    job->options = (struct session_options){
        .mode = (enum session_mode)json_integer_value(json_object_get(root, "mode")),
        .resume = flag(root, "resume"),
        .end_kills_target = flag(root, "end_kills_target"),
        .insecure = flag(root, "insecure"),
        .kill_launched = flag(root, "kill_launched"),
        .follow = flag(root, "follow"),
        .connect_ms = (unsigned)json_integer_value(json_object_get(root, "connect_ms")),
        .timeout_ms = (unsigned)json_integer_value(json_object_get(root, "timeout_ms")),
        .relay = job->relay,
        .output = job->output,
        .list_what = job->list_what,
        .list_pattern = job->list_pattern};
    json_decref(root);
    return ok;
}

void job_clear_recipes(struct job *job) {
    for (size_t i = 0; i < job->recipe_count; i++) {
        free(job->recipes[i].name);
        free(job->recipes[i].text);
    }
    free(job->recipes);
    job->recipes = NULL;
    job->recipe_count = job->recipe_cap = 0;
}

void job_clear(struct job *job) {
    for (size_t i = 0; i < job->target_count; i++)
        target_clear(&job->targets[i]);
    free(job->targets);
    settings_free(&job->params);
    free(job->run);
    job_clear_recipes(job);
    free(job->relay);
    free(job->binary);
    free(job->output);
    free(job->list_what);
    free(job->list_pattern);
    *job = (struct job){0};
}
