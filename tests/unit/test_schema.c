#include "recipe/parse.h"
#include "unit.h"
#include <jansson.h>

static json_t *schema(void) {
    struct buffer out = BUFFER_INIT(1 << 20);
    recipe_schema(&out);
    cr_assert(!out.failed);
    json_error_t error;
    json_t *json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(json, "%s at byte %d", error.text, error.position);
    buffer_free(&out);
    return json;
}

/* The object form of a definition: itself, or the last of its anyOf. */
static const json_t *object_of(const json_t *definition) {
    const json_t *any = json_object_get(definition, "anyOf");
    return any ? json_array_get(any, json_array_size(any) - 1) : definition;
}

static void expect_keys(const json_t *object, const struct key *keys, const char *name) {
    const json_t *properties = json_object_get(object, "properties");
    const json_t *required = json_object_get(object, "required");
    size_t n = 0, must = 0;
    for (; keys[n].name; n++) {
        const json_t *property = json_object_get(properties, keys[n].name);
        cr_expect(json_is_object(property), "%s.%s", name, keys[n].name);
        cr_expect_str_eq(json_string_value(json_object_get(property, "description")), keys[n].doc);
        must += keys[n].required;
        bool found = false;
        for (size_t i = 0; i < json_array_size(required); i++)
            found |= !strcmp(json_string_value(json_array_get(required, i)), keys[n].name);
        cr_expect_eq(found, keys[n].required, "%s.%s required", name, keys[n].name);
    }
    cr_expect_eq(json_object_size(properties), n, "%s has keys of its own", name);
    cr_expect_eq(json_array_size(required), must, "%s", name);
    cr_expect(json_is_false(json_object_get(object, "additionalProperties")), "%s", name);
}

Test(schema, has_every_key_of_the_tables) {
    static const struct {
        const char *name;
        const struct key *keys;
    } tables[] = {
        {"param", param_keys},         {"target", target_keys}, {"limits", limits_keys},
        {"limit", limit_keys},         {"load", load_keys},     {"location", location_keys},
        {"watch", watch_keys},         {"after", after_keys},   {"capture", capture_keys},
        {"aggregate", aggregate_keys}, {"probe", probe_keys}};
    json_t *json = schema();
    const json_t *definitions = json_object_get(json, "$defs");
    for (size_t i = 0; i < COUNT(tables); i++) {
        const json_t *definition = json_object_get(definitions, tables[i].name);
        cr_assert_not_null(definition, "%s", tables[i].name);
        expect_keys(object_of(definition), tables[i].keys, tables[i].name);
    }
    expect_keys(json, recipe_keys, "recipe");
    json_decref(json);
}

static void check_references(const json_t *json, const json_t *definitions) {
    const char *key;
    json_t *value;
    size_t i;
    const char *reference = json_string_value(json_object_get(json, "$ref"));
    if (reference) {
        cr_expect(!strncmp(reference, "#/$defs/", 8), "%s", reference);
        cr_expect_not_null(json_object_get(definitions, reference + 8), "%s leads nowhere",
                           reference);
    }
    json_object_foreach((json_t *)json, key, value) check_references(value, definitions);
    json_array_foreach(json, i, value) check_references(value, definitions);
}

Test(schema, references_lead_somewhere) {
    json_t *json = schema();
    check_references(json, json_object_get(json, "$defs"));
    json_decref(json);
}

Test(schema, a_probe_has_exactly_one_trigger) {
    json_t *json = schema();
    const json_t *probe = json_object_get(json_object_get(json, "$defs"), "probe");
    const json_t *one_of = json_object_get(probe, "oneOf");
    cr_expect_eq(json_array_size(one_of), TRIGGER_SYSCALL, "at ... syscall");
    for (size_t i = 0; i < json_array_size(one_of); i++) {
        const json_t *required = json_object_get(json_array_get(one_of, i), "required");
        SHOULD_BE(json_string_value(json_array_get(required, 0)), trigger_names[i + 1], "trigger");
    }
    json_decref(json);
}
