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
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:o,s:o}", "name", target->name, "uri",
                                        target->uri, "labels", write_settings(&target->labels),
                                        "params", write_settings(&target->params)));
    }
    return list;
}

void job_write(const struct job *job, struct buffer *out) {
    const struct session_options *o = &job->options;
    json_t *root = json_pack(
        "{s:s,s:s*,s:s*,s:o,s:o,s:i,s:b,s:b,s:b,s:b,s:i,s:i,s:s*,s:s*,s:s*,s:s*}", "run", job->run,
        "recipe_name", job->recipe_name, "recipe", job->recipe, "params",
        write_settings(&job->params), "targets", write_targets(job), "mode", (int)o->mode, "resume",
        (int)o->resume, "end_kills_target", (int)o->end_kills_target, "insecure", (int)o->insecure,
        "kill_launched", (int)o->kill_launched, "connect_ms", (int)o->connect_ms, "timeout_ms",
        (int)o->timeout_ms, "relay", job->relay, "output", job->output, "list_what", job->list_what,
        "list_pattern", job->list_pattern);
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
        read_settings(json_object_get(item, "labels"), &target->labels);
        read_settings(json_object_get(item, "params"), &target->params);
        if (!target->name || !target->uri)
            return false;
    }
    return job->target_count > 0;
}

static bool flag(const json_t *root, const char *key) {
    return json_is_true(json_object_get(root, key));
}

bool job_read(const char *text, size_t len, struct job *job) {
    json_t *root = json_loadb(text, len, 0, NULL);
    *job = (struct job){.run = text_of(root, "run"),
                        .recipe_name = text_of(root, "recipe_name"),
                        .recipe = text_of(root, "recipe"),
                        .relay = text_of(root, "relay"),
                        .output = text_of(root, "output"),
                        .list_what = text_of(root, "list_what"),
                        .list_pattern = text_of(root, "list_pattern")};
    read_settings(json_object_get(root, "params"), &job->params);
    bool ok = root && job->run && read_targets(json_object_get(root, "targets"), job);
    job->options = (struct session_options){
        .mode = (enum session_mode)json_integer_value(json_object_get(root, "mode")),
        .resume = flag(root, "resume"),
        .end_kills_target = flag(root, "end_kills_target"),
        .insecure = flag(root, "insecure"),
        .kill_launched = flag(root, "kill_launched"),
        .connect_ms = (unsigned)json_integer_value(json_object_get(root, "connect_ms")),
        .timeout_ms = (unsigned)json_integer_value(json_object_get(root, "timeout_ms")),
        .relay = job->relay,
        .output = job->output,
        .list_what = job->list_what,
        .list_pattern = job->list_pattern};
    json_decref(root);
    return ok;
}

void job_clear(struct job *job) {
    for (size_t i = 0; i < job->target_count; i++)
        target_clear(&job->targets[i]);
    free(job->targets);
    settings_free(&job->params);
    free(job->run);
    free(job->recipe_name);
    free(job->recipe);
    free(job->relay);
    free(job->output);
    free(job->list_what);
    free(job->list_pattern);
    *job = (struct job){0};
}
