/* Expressions of the target's language, typed before anything runs: for back ends that know the
 * types themselves. What is wrong is told all at once, each at its own line. */
#include "session/state.h"

#include <stdlib.h>

struct typing {
    struct session *s;
    struct buffer wrong;
};

/* Where an expression is judged: of a place of its location, or nowhere (0, NULL). */
struct where {
    uint64_t address;
    const struct location *location;
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

/* One expression of a probe. */
struct text {
    struct probe_state *probe;
    struct mark mark;
    const char *what, *expr;
};

/* Why it is wrong at a place. */
struct fault {
    struct error *error; /* NULL: it is not */
    size_t column;
    struct where where;
};

/* The expression, and a caret below the byte that the error is about. */
static struct error *explain(const struct text *t, const struct fault *fault, const char *so) {
    const struct probe *probe = t->probe->probe;
    struct buffer text = BUFFER_INIT(8192);
    buffer_printf(&text, "probe \"%s\": %s: %s", probe->name, t->what, fault->error->message);
    name_place(&text, &fault->where);
    buffer_puts(&text, so);
    if (!strchr(t->expr, '\n'))
        buffer_printf(&text, "\n    %s\n    %*s", t->expr, (int)fault->column + 1, "^");
    struct error *error = text.data ? recipe_error(probe->source, t->mark, "%s", text.data) : NULL;
    buffer_free(&text);
    return error;
}

/* Wrong at all of its places, it is a mistake. A place that its author did not think of may lack
 * what the others have, as gdb's locations may: all else of its hits is told. */
static void tell(struct typing *typing, const struct text *t, struct fault *fault, bool elsewhere) {
    const char *so = !elsewhere                ? ""
                     : strcmp(t->what, "when") ? "; its value is an error there"
                                               : "; no hit is told there";
    struct error *told = fault->error ? explain(t, fault, so) : NULL;
    if (told && elsewhere)
        report_error(typing->s, t->probe->probe->name, "warning", "%s", told->message);
    else if (told)
        buffer_printf(&typing->wrong, "%s%s", typing->wrong.len ? "\n" : "", told->message);
    error_free(told);
    error_free(fault->error);
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

static struct fault type_one(struct typing *typing, const struct text *t, struct where where,
                             enum moment moment) {
    struct session *s = typing->s;
    struct buffer type = BUFFER_INIT(4096);
    struct judged judged = {
        .expr = t->expr, .address = where.address, .where = where.location, .moment = moment};
    const char *unavailable = NULL;
    struct fault fault = {.where = where};
    fault.error = s->ops->judge(s->backend, &judged, &type, &fault.column, &unavailable);
    if (!fault.error && unavailable)
        report_error(s, t->probe->probe->name, "warning",
                     "%s \"%s\": \"%s\" is optimised out at 0x%llx: it cannot be read there",
                     t->what, t->expr, unavailable, (unsigned long long)where.address);
    if (!fault.error && type.data)
        note(t->probe, t->what, t->expr, type.data);
    buffer_free(&type);
    return fault;
}

/* At all of its places: another one may have other variables in scope. False: there are none. */
static bool type_places(struct typing *typing, const struct text *t, const struct query *query,
                        bool all) {
    struct fault first = {0};
    bool any = false, fine = false;
    for (size_t i = 0; i < query->count; i++)
        for (size_t k = 0; k < query->places[i].count; k++) {
            const struct place *place = &query->places[i];
            struct where where = {place->addresses[k], query->location, place, query->count};
            struct fault fault = type_one(typing, t, where, query->returns ? AT_RETURN : AT_PLACE);
            any = true;
            fine |= !fault.error;
            if (first.error)
                error_free(fault.error);
            else
                first = fault;
        }
    tell(typing, t, &first, fine && !all);
    return any;
}

static void type_once(struct typing *typing, const struct text *t, enum moment moment) {
    struct fault fault = type_one(typing, t, (struct where){0}, moment);
    tell(typing, t, &fault, false);
}

/* Where its module is not loaded yet, a location has no places, and nothing is known. */
static void type_everywhere(struct typing *typing, const struct text *t, const struct query *query,
                            bool all) {
    if (query->location && query->location->syscalls)
        type_once(typing, t, query->returns ? AT_SYSCALL_RETURN : AT_SYSCALL);
    else if (!type_places(typing, t, query, all) && !query->location)
        type_once(typing, t, AT_PLACE);
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
    const struct text watch = {p, probe->trigger_mark, "watch", probe->watch};
    if (global || (query->location && !query->location->syscalls))
        type_everywhere(typing, &watch, query, true);
}

static void type_captures(struct typing *typing, struct probe_state *p, const char *what,
                          const struct capture *list, size_t n, const struct query *query) {
    for (size_t i = 0; i < n; i++) {
        const struct text text = {p, list[i].mark, what, list[i].expr};
        type_everywhere(typing, &text, query, false);
    }
}

static void type_probe(struct typing *typing, struct probe_state *p) {
    const struct probe *probe = p->probe;
    const struct query *hits = hits_of(typing->s, p),
                       *returns = &typing->s->queries[2 * p->index + 1];
    const struct text when = {p, probe->when_mark, "when", probe->when};
    if (probe->when)
        type_everywhere(typing, &when, hits, false);
    type_captures(typing, p, "capture", probe->captures, probe->capture_count, hits);
    type_captures(typing, p, "at_return", probe->at_return, probe->return_count, returns);
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
