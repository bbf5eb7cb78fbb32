#include "lib/lib.h"

#include <stdlib.h>

const char *pick_event_type(const pick_event *event) {
    return event_type_name(event_head(inner_event(event))->type);
}

const char *pick_event_target(const pick_event *event) {
    return event_string(inner_event(event), event_head(inner_event(event))->target);
}

const char *pick_event_probe(const pick_event *event) {
    return event_string(inner_event(event), event_head(inner_event(event))->probe);
}

uint64_t pick_event_seq(const pick_event *event) {
    return event_head(inner_event(event))->seq;
}

int64_t pick_event_time_ns(const pick_event *event) {
    return event_head(inner_event(event))->time_ns;
}

static const struct value *get(pick_value value) {
    return value.ref ? value_get(value.event, value.ref) : NULL;
}

/* The child whose key is the longest prefix of `path` that ends at a dot or the end; what is left.
 */
static value_ref step(const struct buffer *in, value_ref parent, const char **path) {
    const struct value *value = value_get(in, parent);
    size_t best = 0, index = 0;
    value_ref found = 0;
    char *end;
    unsigned long wanted = strtoul(*path, &end, 10);
    bool number = end > *path && (*end == '.' || !*end);
    for (value_ref at = value ? value->at : 0; at; at = value_get(in, at)->next, index++) {
        const struct value *child = value_get(in, at);
        size_t n = child->key_len;
        bool fits = child->key && n > best && !strncmp(*path, value_key(in, child), n) &&
                    ((*path)[n] == '.' || !(*path)[n]);
        if (fits || (!child->key && number && index == wanted)) {
            best = fits ? n : (size_t)(end - *path);
            found = at;
        }
    }
    *path += best;
    *path += **path == '.';
    return found;
}

pick_value pick_event_value(const pick_event *event, const char *path) {
    const struct buffer *in = inner_event(event);
    value_ref at = event_head(in)->body;
    while (at && *path) {
        const struct value *value = value_get(in, at);
        bool composite = value->kind >= VALUE_LIST && value->kind <= VALUE_PAIRS;
        at = composite ? step(in, at, &path) : 0;
    }
    return (pick_value){in, at};
}

bool pick_value_int(pick_value value, int64_t *out) {
    const struct value *v = get(value);
    if (!v || (v->kind != VALUE_INT && (v->kind != VALUE_UINT || v->u > INT64_MAX)))
        return false;
    *out = v->i;
    return true;
}

bool pick_value_double(pick_value value, double *out) {
    const struct value *v = get(value);
    return v && value_number(v, out);
}

bool pick_value_bool(pick_value value, bool *out) {
    const struct value *v = get(value);
    if (!v || v->kind != VALUE_BOOL)
        return false;
    *out = v->b;
    return true;
}

bool pick_value_text(pick_value value, const char **text, size_t *len) {
    const struct value *v = get(value);
    if (!v || (v->kind != VALUE_STRING && v->kind != VALUE_BYTES && v->kind != VALUE_FUNC))
        return false;
    *text = value_text(value.event, v);
    *len = v->len;
    return true;
}

const char *pick_value_error(pick_value value) {
    const struct value *v = get(value);
    return v && v->kind == VALUE_ERROR ? value_text(value.event, v) : NULL;
}

size_t pick_value_count(pick_value value) {
    const struct value *v = get(value);
    return v && v->kind >= VALUE_LIST && v->kind <= VALUE_PAIRS ? v->len : 0;
}

pick_value pick_value_child(pick_value value, size_t i, const char **key) {
    value_ref at = i < pick_value_count(value) ? get(value)->at : 0;
    while (at && i--)
        at = value_get(value.event, at)->next;
    const struct value *child = at ? value_get(value.event, at) : NULL;
    if (key)
        *key = child && child->key ? value_key(value.event, child) : NULL;
    return (pick_value){value.event, at};
}

pick_value pick_value_next(pick_value value) {
    const struct value *v = get(value);
    return (pick_value){value.event, v ? v->next : 0};
}

char *pick_event_json(const pick_event *event) {
    struct buffer out = BUFFER_INIT(128 << 20);
    event_json(inner_event(event), &out);
    return buffer_take(&out);
}

char *pick_value_json(pick_value value) {
    struct buffer out = BUFFER_INIT(128 << 20);
    value_json(value.event, value.ref, &out);
    return buffer_take(&out);
}
