/* What `pickglass list` asks: names by the server's own filter, a regular expression. */
#include "backend/delve/delve.h"

#include <stdlib.h>

static const struct {
    const char *what;
    enum delve_method method;
    const char *key; /* of the list in the answer */
} listings[] = {
    {"functions", DELVE_LIST_FUNCTIONS, "Funcs"},
    {"files", DELVE_LIST_SOURCES, "Sources"},
    {"types", DELVE_LIST_TYPES, "Types"},
    {"variables", DELVE_LIST_PACKAGE_VARS, "Variables"},
    {"goroutines", DELVE_LIST_GOROUTINES, "Goroutines"},
    {"threads", DELVE_LIST_THREADS, "Threads"},
};

static size_t find(const char *what) {
    size_t i = 0, n = sizeof listings / sizeof *listings;
    while (i < n && strcmp(listings[i].what, what))
        i++;
    return i < n ? i : 0;
}

void delve_ask_list(struct backend *b, const char *what, const char *pattern, reply_fn *on_reply,
                    void *ctx) {
    json_t *params =
        json_pack("{s:s,s:i,s:i}", "Filter", pattern ? pattern : "", "Start", 0, "Count", 100000);
    delve_call(b, listings[find(what)].method, params, on_reply, ctx);
}

static value_ref convert_place(const json_t *item, const json_t *location, struct buffer *into) {
    const json_t *function = json_object_get(location, "function");
    value_ref object = value_new(into, VALUE_OBJECT);
    value_set(into, object, "id", value_int(into, delve_int(json_object_get(item, "id"))));
    value_set_text(into, object, "function", delve_text(json_object_get(function, "name")));
    value_set_text(into, object, "file", delve_text(json_object_get(location, "file")));
    value_set(into, object, "line", value_int(into, delve_int(json_object_get(location, "line"))));
    return object;
}

static value_ref convert_item(const json_t *item, struct buffer *into) {
    if (json_is_string(item))
        return value_string(into, json_string_value(item), json_string_length(item));
    if (json_object_get(item, "userCurrentLoc"))
        return convert_place(item, json_object_get(item, "userCurrentLoc"), into);
    if (json_object_get(item, "goroutineID"))
        return convert_place(item, item, into);
    value_ref object = value_new(into, VALUE_OBJECT);
    value_set_text(into, object, "name", delve_text(json_object_get(item, "name")));
    value_set_text(into, object, "type", delve_text(json_object_get(item, "type")));
    return object;
}

value_ref delve_convert_list(const char *what, const json_t *result, struct buffer *into) {
    value_ref list = value_new(into, VALUE_LIST);
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(result, listings[find(what)].key), i, item)
        value_append(into, list, convert_item(item, into));
    return list;
}
