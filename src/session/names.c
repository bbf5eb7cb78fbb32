/* Our own language over a hit: `keep` and `log`, with the names that they may use. */
#include "session/state.h"

#include "base/secret.h"

static value_ref body_of(const struct buffer *event) {
    return event_head(event)->body;
}

static struct expr_value text_value(const char *text) {
    return (struct expr_value){.kind = EXPR_STRING, .text = text, .len = strlen(text)};
}

static struct expr_value time_value(const struct item *item, const char *key) {
    value_ref ref = value_find(&item->event, body_of(&item->event), key);
    struct expr_value value = expr_from_value(&item->event, ref);
    value.unit = UNIT_TIME;
    return value;
}

static struct expr_value inner(const struct item *item, const char *outer, const char *key) {
    value_ref ref = value_find(&item->event, body_of(&item->event), outer);
    return expr_from_value(&item->event, ref ? value_find(&item->event, ref, key) : 0);
}

static struct expr_value caller_of(const struct item *item) {
    value_ref stack = value_find(&item->event, body_of(&item->event), "stack");
    const struct value *list = value_get(&item->event, stack);
    if (!list || list->len < 2)
        return expr_failed("hit.caller needs \"stack: 2\" or more");
    value_ref frame = value_get(&item->event, list->at)->next;
    return expr_from_value(&item->event, value_find(&item->event, frame, "function"));
}

static struct expr_value lookup(void *ctx, const char *name) {
    const struct item *item = ctx;
    value_ref values = value_find(&item->event, body_of(&item->event), "values");
    value_ref value = value_find(&item->event, values, name);
    if (value)
        return expr_from_value(&item->event, value);
    if (!strcmp(name, "elapsed") || !strcmp(name, "paused"))
        return time_value(item, *name == 'e' ? "elapsed_ns" : "paused_ns");
    if (!strcmp(name, "hit.function"))
        return inner(item, "location", "function");
    if (!strcmp(name, "hit.thread") || !strcmp(name, "hit.goroutine"))
        return inner(item, name + 4, "id");
    if (!strcmp(name, "hit.caller"))
        return caller_of(item);
    if (!strcmp(name, "hit.stack"))
        return expr_from_value(&item->event,
                               value_find(&item->event, body_of(&item->event), "stack"));
    if (!strcmp(name, "hit.target"))
        return text_value(item->probe->session->target);
    if (!strcmp(name, "hit.time"))
        return (struct expr_value){.kind = EXPR_INT, .i = event_head(&item->event)->time_ns};
    return expr_failed("not captured");
}

static struct expr_env env_of(struct item *item) {
    struct buffer *scratch = &item->probe->session->scratch;
    buffer_clear(scratch);
    return (struct expr_env){.in = &item->event, .lookup = lookup, .ctx = item, .scratch = scratch};
}

void item_message(struct item *item) {
    struct buffer text = BUFFER_INIT(64 << 10);
    struct expr_env env = env_of(item);
    expr_template_render(item->probe->probe->log, &env, &text);
    secret_scrub(&text);
    value_set(&item->event, body_of(&item->event), "message",
              value_string(&item->event, text.data ? text.data : "", text.len));
    buffer_free(&text);
}

/* A condition that cannot be decided keeps the event, and says so: nothing is dropped in silence.
 */
bool item_kept(struct item *item) {
    if (!item->probe->probe->keep)
        return true;
    struct expr_env env = env_of(item);
    struct expr_value verdict = expr_eval(item->probe->probe->keep, &env);
    if (verdict.kind == EXPR_BOOL)
        return verdict.b;
    const char *why = verdict.kind == EXPR_FAILED ? verdict.text : "it is neither true nor false";
    value_ref error = value_error(&item->event, "%s", why);
    value_set(&item->event, body_of(&item->event), "keep", error);
    return true;
}
