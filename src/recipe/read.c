/* Readers of single scalars, and of a mapping by its table. */
#include "recipe/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

static const char *key_candidate(void *ctx, size_t i) {
    return ((const struct key *)ctx)[i].name;
}

static const struct key *find_key(const struct key *keys, const char *name) {
    for (; keys->name; keys++)
        if (!strcmp(keys->name, name))
            return keys;
    return NULL;
}

void read_map(struct reader *reader, const struct node *map, const struct key *keys, void *into) {
    if (!want_kind(reader, map, NODE_MAP, "keys and values"))
        return;
    for (const struct node *at = map->first; at; at = at->next) {
        const struct key *key = find_key(keys, at->key->text);
        if (key) {
            key->read(reader, at, into);
            continue;
        }
        const char *near = text_nearest(at->key->text, key_candidate, (void *)keys);
        source_error(reader->source, at->key->mark, "unknown key \"%s\" in %s%s%s%s", at->key->text,
                     reader->where, near ? " (did you mean \"" : "", near ? near : "",
                     near ? "\"?)" : "");
    }
    for (const struct key *key = keys; key->name; key++)
        if (key->required && !node_member(map, key->name))
            source_error(reader->source, map->mark, "%s needs the key \"%s\" (%s)", reader->where,
                         key->name, key->doc);
}

bool want_kind(struct reader *reader, const struct node *node, enum node_kind kind,
               const char *what) {
    static const char *const names[] = {"a single value", "a list", "keys and values"};
    if (node->kind == kind)
        return true;
    source_error(reader->source, node->mark, "%s%s%s: expected %s, found %s", reader->where,
                 node->key ? ": " : "", node->key ? node->key->text : "", what, names[node->kind]);
    return false;
}

static bool bad(struct reader *reader, const struct node *node, const char *text,
                const char *wanted) {
    source_error(reader->source, node->mark, "%s: %s: \"%s\" is not %s", reader->where,
                 node->key ? node->key->text : "value", text, wanted);
    return false;
}

char *read_name(struct reader *reader, const struct node *node, const char *what) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    if (text && !text_is_name(text)) {
        source_error(reader->source, node->mark,
                     "%s: \"%s\" is no name for %s (letters, digits, _ and -, not first a digit)",
                     reader->where, text, what);
        free(text);
        return NULL;
    }
    return text;
}

bool read_bool(struct reader *reader, const struct node *node, bool *out) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    bool yes = text && !strcmp(text, "true"), no = text && !strcmp(text, "false");
    if (text && !yes && !no)
        bad(reader, node, text, "true or false");
    *out = yes;
    free(text);
    return yes || no;
}

bool read_uint(struct reader *reader, const struct node *node, uint64_t most, uint64_t *out) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN), *end;
    if (!text)
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    bool ok = isdigit((unsigned char)*text) && !*end && !errno && number <= most;
    if (ok)
        *out = number;
    else if (isdigit((unsigned char)*text) && !*end)
        source_error(reader->source, node->mark, "%s: %s: %s is more than the maximum, %llu",
                     reader->where, node->key ? node->key->text : "value", text,
                     (unsigned long long)most);
    else
        bad(reader, node, text, "a whole number");
    free(text);
    return ok;
}

static bool read_quantity(struct reader *reader, const struct node *node, enum unit_kind unit,
                          const char *wanted, double most, double *out) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    if (!text)
        return false;
    enum unit_kind kind;
    bool ok = text_quantity(text, out, &kind) && *out >= 0 && *out <= most &&
              (kind == unit || (kind == UNIT_NONE && (unit == UNIT_COUNT || *out == 0)));
    if (!ok)
        bad(reader, node, text, wanted);
    free(text);
    return ok;
}

bool read_duration(struct reader *reader, const struct node *node, uint64_t *ns) {
    double value;
    if (!read_quantity(reader, node, UNIT_TIME, "a duration (like 500us, 20ms, 1s, 5m, 1h)",
                       8760 * 3600e9, &value))
        return false;
    *ns = (uint64_t)value;
    return true;
}

bool read_size(struct reader *reader, const struct node *node, uint64_t most, uint64_t *bytes) {
    double value;
    if (!read_quantity(reader, node, UNIT_COUNT, "a size within bounds (like 256, 64KiB, 1MiB)",
                       (double)most, &value))
        return false;
    *bytes = (uint64_t)value;
    return true;
}

int read_word(struct reader *reader, const struct node *node, const char *const *words) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    if (!text)
        return -1;
    for (int i = 0; words[i]; i++) {
        if (!strcmp(words[i], text)) {
            free(text);
            return i;
        }
    }
    struct buffer list = BUFFER_INIT(1024);
    for (int i = 0; words[i]; i++)
        buffer_printf(&list, "%s%s", i ? ", " : "", words[i]);
    const char *near = text_nearest_of(text, words);
    source_error(reader->source, node->mark, "%s: %s: \"%s\" is not one of %s%s%s%s", reader->where,
                 node->key ? node->key->text : "value", text, list.data,
                 near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    buffer_free(&list);
    free(text);
    return -1;
}

struct error *settings_add(struct settings *settings, const char *name, const char *value) {
    struct setting *setting = ARRAY_ADD(settings->list, settings->count, settings->cap);
    if (!setting)
        return error_no_memory();
    setting->name = strdup(name);
    setting->value = strdup(value);
    if (setting->name && setting->value)
        return NULL;
    free(setting->name);
    free(setting->value);
    settings->count--;
    return error_no_memory();
}

/* The last one wins, as on a command line. */
const char *settings_get(const struct settings *settings, const char *name) {
    for (size_t i = settings ? settings->count : 0; i--;)
        if (!strcmp(settings->list[i].name, name))
            return settings->list[i].value;
    return NULL;
}

void settings_free(struct settings *settings) {
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->list[i].name);
        free(settings->list[i].value);
    }
    free(settings->list);
    *settings = (struct settings){0};
}
