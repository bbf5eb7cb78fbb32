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

/* Where an expression is judged: of a place of its location, or nowhere (0, NULL). */
struct where {
    uint64_t address;
    const struct place *place;
    size_t places; /* of the location */
};

/* A location may have places that its author did not think of: which one is it about? */
static void name_place(struct buffer *text, const struct where *where) {
    const struct place *place = where->place;
    if (!place || where->places < 2)
        return;
    buffer_printf(text, " (at %s, ", place->function && *place->function ? place->function : "?");
    if (place->file && *place->file)
        buffer_printf(text, "%s:%u, ", place->file, place->line);
    buffer_printf(text, "one of the location's %zu places)", where->places);
}

/* The expression, and a caret below the byte that the error is about. */
static void tell_at(struct typing *typing, const struct probe_state *p, struct mark mark,
                    const char *what, const char *expr, size_t column, const char *why,
                    const struct where *where) {
    struct buffer text = BUFFER_INIT(8192);
    buffer_printf(&text, "probe \"%s\": %s: %s", p->probe->name, what, why);
    name_place(&text, where);
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
                     const char *what, const char *expr, struct where where, enum moment moment) {
    struct session *s = typing->s;
    struct buffer type = BUFFER_INIT(4096);
    struct judged judged = {.expr = expr, .address = where.address, .moment = moment};
    const char *unavailable = NULL;
    size_t column = 0;
    struct error *error = s->ops->judge(s->backend, &judged, &type, &column, &unavailable);
    if (error) {
        tell_at(typing, p, mark, what, expr, column, error->message, &where);
    } else if (unavailable) {
        report_error(s, p->probe->name, "warning",
                     "%s \"%s\": \"%s\" is optimised out at 0x%llx: it cannot be read there", what,
                     expr, unavailable, (unsigned long long)where.address);
    }
    if (!error && type.data)
        note(p, what, expr, type.data);
    error_free(error);
    buffer_free(&type);
    return !error;
}

/* At all places that were asked for: another one may have other variables in scope. One error is
 * enough. */
static void type_everywhere(struct typing *typing, struct probe_state *p, struct mark mark,
                            const char *what, const char *expr, const struct query *query) {
    bool any = false, fine = true;
    if (query->location && query->location->syscalls) {
        type_one(typing, p, mark, what, expr, (struct where){0},
                 query->returns ? AT_SYSCALL_RETURN : AT_SYSCALL);
        return;
    }
    for (size_t i = 0; i < query->count && fine; i++)
        for (size_t k = 0; k < query->places[i].count && fine; k++) {
            any = true;
            const struct place *place = &query->places[i];
            fine = type_one(typing, p, mark, what, expr,
                            (struct where){place->addresses[k], place, query->count},
                            query->returns ? AT_RETURN : AT_PLACE);
        }
    bool placed =
        query->location != NULL; /* its module is not loaded yet, where it has no places */
    if (!any && !placed)
        type_one(typing, p, mark, what, expr, (struct where){0}, AT_PLACE);
}

/* Where a probe hits. */
static const struct query *hits_of(const struct session *s, const struct probe_state *p) {
    return &s->queries[2 * p->index + (p->probe->trigger == TRIGGER_RETURN_OF)];
}

/* Of a hit that is at no place in the code, nothing is known before it. */
static void type_watch(struct typing *typing, struct probe_state *p) {
    const struct probe *probe = p->probe;
    struct session *s = typing->s;
    bool global = probe->watch_from < 0;
    const struct query *query = hits_of(s, global ? p : &s->probes[probe->watch_from]);
    if (global || (query->location && !query->location->syscalls))
        type_everywhere(typing, p, probe->trigger_mark, "watch", probe->watch, query);
}

static void type_probe(struct typing *typing, struct probe_state *p) {
    const struct probe *probe = p->probe;
    const struct query *hits = hits_of(typing->s, p),
                       *returns = &typing->s->queries[2 * p->index + 1];
    if (probe->when)
        type_everywhere(typing, p, probe->when_mark, "when", probe->when, hits);
    for (size_t i = 0; i < probe->capture_count; i++)
        type_everywhere(typing, p, probe->captures[i].mark, "capture", probe->captures[i].expr,
                        hits);
    for (size_t i = 0; i < probe->return_count; i++)
        type_everywhere(typing, p, probe->at_return[i].mark, "at_return", probe->at_return[i].expr,
                        returns);
    if (probe->watch)
        type_watch(typing, p);
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
