/* Expressions of the target's language, typed before anything runs: for back ends that know the
 * types themselves. What is wrong is told all at once, each at its own line. */
#include "session/state.h"

#include <stdlib.h>

struct typing {
    struct session *s;
    struct buffer wrong;
    struct error *error;
};

static void tell(struct typing *typing, const struct probe *probe, struct mark mark,
                 const char *text) {
    struct error *error = recipe_error(probe->source, mark, "%s", text);
    buffer_printf(&typing->wrong, "%s%s", typing->wrong.len ? "\n" : "", error->message);
    error_free(error);
}

/* The expression, and a caret below the byte that the error is about. */
static void tell_at(struct typing *typing, const struct probe_state *p, struct mark mark,
                    const char *what, const char *expr, size_t column, const char *why) {
    struct buffer text = BUFFER_INIT(8192);
    buffer_printf(&text, "probe \"%s\": %s: %s", p->probe->name, what, why);
    if (!strchr(expr, '\n'))
        buffer_printf(&text, "\n    %s\n    %*s", expr, (int)column + 1, "^");
    if (text.data)
        tell(typing, p->probe, mark, text.data);
    buffer_free(&text);
}

/* For `armed`: captures' types stand there, then those of at_return. */
static void note(struct probe_state *p, const char *what, const char *expr, const char *type) {
    const struct probe *probe = p->probe;
    bool entry = !strcmp(what, "capture"), back = !strcmp(what, "at_return");
    size_t n = entry ? probe->capture_count : back ? probe->return_count : 0;
    const struct capture *list = entry ? probe->captures : probe->at_return;
    for (size_t i = 0; p->types && i < n; i++) {
        char **slot = &p->types[entry ? i : probe->capture_count + i];
        if (list[i].expr == expr && !*slot)
            *slot = strdup(type);
    }
}

static bool type_one(struct typing *typing, struct probe_state *p, struct mark mark,
                     const char *what, const char *expr, uint64_t address, enum moment moment) {
    struct session *s = typing->s;
    struct buffer type = BUFFER_INIT(4096);
    struct judged judged = {.expr = expr, .address = address, .moment = moment};
    const char *unavailable = NULL;
    size_t column = 0;
    struct error *error = s->ops->judge(s->backend, &judged, &type, &column, &unavailable);
    if (error) {
        tell_at(typing, p, mark, what, expr, column, error->message);
    } else if (unavailable) {
        report_error(s, p->probe->name, "warning",
                     "%s \"%s\": \"%s\" is optimised out at 0x%llx: it cannot be read there", what,
                     expr, unavailable, (unsigned long long)address);
    }
    if (!error && type.data)
        note(p, what, expr, type.data);
    error_free(error);
    buffer_free(&type);
    return !error;
}

/* At all places of a probe: another one may have other variables in scope. One error is enough. */
static void type_everywhere(struct typing *typing, struct probe_state *p, struct mark mark,
                            const char *what, const char *expr, bool at_return) {
    const struct query *query = &typing->s->queries[2 * p->index + at_return];
    bool any = false, fine = true;
    if (query->location && query->location->syscalls) {
        type_one(typing, p, mark, what, expr, 0, query->returns ? AT_SYSCALL_RETURN : AT_SYSCALL);
        return;
    }
    for (size_t i = 0; i < query->count && fine; i++)
        for (size_t k = 0; k < query->places[i].count && fine; k++) {
            any = true;
            fine = type_one(typing, p, mark, what, expr, query->places[i].addresses[k],
                            query->returns ? AT_RETURN : AT_PLACE);
        }
    bool placed =
        query->location != NULL; /* its module is not loaded yet, where it has no places */
    if (!any && !placed)
        type_one(typing, p, mark, what, expr, 0, AT_PLACE);
}

static void type_probe(struct typing *typing, struct probe_state *p) {
    const struct probe *probe = p->probe;
    bool at_return = probe->trigger == TRIGGER_RETURN_OF;
    if (probe->when)
        type_everywhere(typing, p, probe->when_mark, "when", probe->when, at_return);
    for (size_t i = 0; i < probe->capture_count; i++)
        type_everywhere(typing, p, probe->captures[i].mark, "capture", probe->captures[i].expr,
                        at_return);
    for (size_t i = 0; i < probe->return_count; i++)
        type_everywhere(typing, p, probe->at_return[i].mark, "at_return", probe->at_return[i].expr,
                        true);
    if (probe->watch && probe->watch_from < 0)
        type_everywhere(typing, p, probe->trigger_mark, "watch", probe->watch, false);
}

struct error *typed_check(struct session *s) {
    struct typing typing = {.s = s, .wrong = BUFFER_INIT(64 << 10)};
    for (size_t i = 0; i < s->probe_count; i++)
        type_probe(&typing, &s->probes[i]);
    struct error *error =
        typing.wrong.len ? error_new(ERROR_RECIPE, "%s", typing.wrong.data) : NULL;
    buffer_free(&typing.wrong);
    return error;
}
