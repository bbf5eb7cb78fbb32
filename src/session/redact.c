/* What is withheld before anything leaves the session: values whose name (of a variable, field or
 * map key) holds one of the words, and texts that hold a secret parameter. */
#include "session/state.h"

#include "base/secret.h"
#include <ctype.h>

static const char *const always[] = {
    "password",   "passwd",    "passphrase", "secret", "token", "authorization", "cookie", "apikey",
    "privatekey", "accesskey", "credential", "bearer", NULL};

static bool begins_with(const char *name, const char *word) {
    while (*word && *name == *word)
        name++, word++;
    return !*word;
}

/* Most letters of most names begin none of them. */
static bool holds_a_word(const char *name) {
    static bool begins[256];
    for (size_t i = 0; always[i]; i++)
        begins[(unsigned char)*always[i]] = true;
    for (; *name; name++)
        for (size_t i = 0; begins[(unsigned char)*name] && always[i]; i++)
            if (begins_with(name, always[i]))
                return true;
    return false;
}

/* Lower case, without _ and -; at most 255 characters of it. */
static void plain(char out[static 256], const char *text, size_t n) {
    size_t at = 0;
    for (size_t i = 0; i < n && at < 255; i++)
        if (text[i] != '_' && text[i] != '-')
            out[at++] = (char)tolower((unsigned char)text[i]);
    out[at] = '\0';
}

static bool is_secret_name(const struct recipe *recipe, const char *text, size_t n) {
    char name[256], word[256];
    plain(name, text, n);
    if (holds_a_word(name))
        return true;
    for (size_t i = 0; i < recipe->redact_count; i++) {
        plain(word, recipe->redact[i], strlen(recipe->redact[i]));
        if (*word && strstr(name, word))
            return true;
    }
    return false;
}

static void withhold(struct value *value) {
    value->kind = VALUE_REDACTED;
    value->flags = 0;
}

static bool is_text(const struct value *value) {
    return value->kind == VALUE_STRING || value->kind == VALUE_BYTES || value->kind == VALUE_ERROR;
}

/* The depth of a tree is bounded by the load that built it. */
static void redact(const struct recipe *recipe, struct buffer *in, value_ref ref) {
    struct value *value = value_get(in, ref);
    if (is_text(value) && secret_inside(value_text(in, value), value->len)) {
        withhold(value);
        return;
    }
    if (value->kind < VALUE_LIST || value->kind > VALUE_PAIRS)
        return;
    bool pairs = value->kind == VALUE_PAIRS, is_key = pairs, secret = false;
    for (value_ref at = value->at; at; at = value_get(in, at)->next) {
        struct value *child = value_get(in, at);
        if (child->key)
            secret = is_secret_name(recipe, value_key(in, child), child->key_len);
        else if (is_key)
            secret = is_text(child) && is_secret_name(recipe, value_text(in, child), child->len);
        if (secret && !is_key)
            withhold(child);
        else
            redact(recipe, in, at);
        is_key = pairs && !is_key;
    }
}

/* A capture may have a harmless name and a telling expression: `pw: user.Password`. What is made
 * from a secret parameter need not hold its text: `n: ${pin} + 1`. */
static bool tells(const struct recipe *recipe, const char *expr) {
    size_t n = strlen(expr);
    return is_secret_name(recipe, expr, n) || secret_inside(expr, n);
}

static void redact_captures(const struct recipe *recipe, struct buffer *in, value_ref values,
                            const struct capture *captures, size_t n) {
    for (size_t i = 0; i < n; i++) {
        value_ref ref = value_find(in, values, captures[i].name);
        if (ref && tells(recipe, captures[i].expr))
            withhold(value_get(in, ref));
    }
}

void redact_event(struct session *s, struct item *item) {
    static const char *const parts[] = {"values",    "args",       "locals",
                                        "goroutine", "goroutines", "registers"};
    const struct probe *probe = item->probe->probe;
    struct buffer *in = &item->event;
    value_ref body = event_head(in)->body, values = value_find(in, body, "values");
    redact_captures(s->recipe, in, values, probe->captures, probe->capture_count);
    redact_captures(s->recipe, in, values, probe->at_return, probe->return_count);
    if (probe->watch && tells(s->recipe, probe->watch)) {
        withhold(value_get(in, value_find(in, values, "old")));
        withhold(value_get(in, value_find(in, values, "new")));
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        value_ref part = value_find(in, body, parts[i]);
        if (part)
            redact(s->recipe, in, part);
    }
}
