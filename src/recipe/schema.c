/* The JSON Schema for editors, made from the tables that the parser itself reads by. */
#include "recipe/parse.h"

static void put_object(struct buffer *out, const struct key *keys) {
    buffer_puts(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (const struct key *key = keys; key->name; key++) {
        /* {"type":...} with a description put in front */
        buffer_printf(out, "%s\"%s\":{\"description\":", key == keys ? "" : ",", key->name);
        value_json_string(out, key->doc, strlen(key->doc));
        buffer_printf(out, ",%s", key->schema + 1);
    }
    buffer_puts(out, "}");
    bool first = true;
    for (const struct key *key = keys; key->name; key++) {
        if (!key->required)
            continue;
        buffer_printf(out, "%s\"%s\"", first ? ",\"required\":[" : ",", key->name);
        first = false;
    }
    buffer_puts(out, first ? "}" : "]}");
}

/* {"anyOf":[short forms..., {the object}]} */
static void put_definition(struct buffer *out, const char *name, const char *short_form,
                           const struct key *keys) {
    buffer_printf(out, "\"%s\":%s%s", name, short_form ? "{\"anyOf\":[" : "",
                  short_form ? short_form : "");
    put_object(out, keys);
    buffer_puts(out, short_form ? "]}" : "");
}

static void put_triggers(struct buffer *out) {
    buffer_puts(out, ",\"oneOf\":[");
    for (int i = TRIGGER_NONE + 1; i < TRIGGERS; i++)
        buffer_printf(out, "%s{\"required\":[\"%s\"]}", i == TRIGGER_AT ? "" : ",",
                      trigger_names[i]);
    buffer_puts(out, "]");
}

static void put_definitions(struct buffer *out) {
    put_definition(out, "param", NULL, param_keys);
    buffer_putc(out, ',');
    put_definition(out, "target", NULL, target_keys);
    buffer_putc(out, ',');
    put_definition(out, "limits", NULL, limits_keys);
    buffer_putc(out, ',');
    put_definition(out, "limit", "{\"type\":[\"string\",\"number\"]},", limit_keys);
    buffer_putc(out, ',');
    put_definition(out, "load", NULL, load_keys);
    buffer_putc(out, ',');
    put_definition(out, "location", "{\"type\":\"string\"},", location_keys);
    buffer_putc(out, ',');
    put_definition(out, "watch", NULL, watch_keys);
    buffer_putc(out, ',');
    put_definition(out, "after", NULL, after_keys);
    buffer_putc(out, ',');
    put_definition(out, "aggregate", NULL, aggregate_keys);
    buffer_putc(out, ',');
    put_definition(out, "capture", "{\"type\":[\"string\",\"number\"]},", capture_keys);
    buffer_puts(out,
                ",\"captures\":{\"anyOf\":[{\"type\":\"string\"},"
                "{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"number\"]}},"
                "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/capture\"}}]},");
    size_t at = out->len;
    put_definition(out, "probe", NULL, probe_keys);
    if (out->len > at) {
        out->len--; /* the object's closing brace */
        put_triggers(out);
        buffer_putc(out, '}');
    }
}

void recipe_schema(struct buffer *out) {
    buffer_puts(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                     "\"title\":\"pickglass recipe, version 1\",\"$defs\":{");
    put_definitions(out);
    buffer_puts(out, "},");
    size_t at = out->len;
    put_object(out, recipe_keys);
    if (!out->failed)
        memmove(out->data + at, out->data + at + 1, out->len-- - at); /* its opening brace */
    buffer_putc(out, '\n');
}
