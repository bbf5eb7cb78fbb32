/* Recipes that run together, as one: there is one debugger, and one `continue`. */
#include "recipe/recipe.h"

#include <stdlib.h>

static const struct probe *find_probe(const struct recipe *recipe, const char *name) {
    for (size_t i = 0; i < recipe->probe_count; i++)
        if (!strcmp(recipe->probes[i].name, name))
            return &recipe->probes[i];
    return NULL;
}

/* Probes are told apart by their names, in events too. */
static struct error *check_names(const struct recipe *into, const struct recipe *from) {
    for (size_t i = 0; i < from->probe_count; i++) {
        const struct probe *probe = &from->probes[i], *other = find_probe(into, probe->name);
        if (other)
            return recipe_error(probe->source, probe->mark,
                                "probe \"%s\": %s:%u has one of this name, too; recipes that run "
                                "together need different names",
                                probe->name, other->source, other->mark.line);
    }
    return NULL;
}

static bool take_probes(struct recipe *into, struct recipe *from) {
    int before = (int)into->probe_count;
    for (; from->probe_count; from->probe_count--) {
        struct probe *place = ARRAY_ADD(into->probes, into->probe_count, into->probe_cap);
        if (!place)
            return false;
        *place = from->probes[0];
        place->after += place->after >= 0 ? before : 0;
        place->watch_from += place->watch_from >= 0 ? before : 0;
        memmove(from->probes, from->probes + 1, (from->probe_count - 1) * sizeof *from->probes);
    }
    return true;
}

static bool take_redacted(struct recipe *into, struct recipe *from) {
    while (from->redact_count) {
        char **place = ARRAY_ADD(into->redact, into->redact_count, into->redact_cap);
        if (!place)
            return false;
        *place = from->redact[--from->redact_count];
    }
    return true;
}

static struct error *take_targets(struct recipe *into, struct recipe *from) {
    for (size_t i = 0; i < from->target_count; i++) {
        const struct target *old = NULL;
        for (size_t k = 0; k < into->target_count && !old; k++)
            if (!strcmp(into->targets[k].name, from->targets[i].name))
                old = &into->targets[k];
        if (old && strcmp(old->uri, from->targets[i].uri))
            return recipe_error(from->source, from->targets[i].mark,
                                "target \"%s\" is %s here and %s in %s", old->name,
                                from->targets[i].uri, old->uri, into->source);
        if (old)
            continue;
        struct target *place = ARRAY_ADD(into->targets, into->target_count, into->target_cap);
        if (!place)
            return error_no_memory();
        *place = from->targets[i];
        from->targets[i] = (struct target){0};
    }
    return NULL;
}

/* What one of them says goes before what none says; of two, the tighter holds for all. 0 is none.
 */
static void tighten(struct limit *limit, const struct limit *other) {
    bool tighter = !limit->set || (other->is > 0 && (limit->is <= 0 || other->is < limit->is));
    if (other->set && tighter)
        *limit = *other;
}

static void take_limits(struct limits *into, const struct limits *from) {
    bool shorter =
        !into->duration_set ||
        (from->duration_ns && (!into->duration_ns || from->duration_ns < into->duration_ns));
    if (from->duration_set && shorter)
        into->duration_ns = from->duration_ns;
    into->duration_set |= from->duration_set;
    tighten(&into->hits, &from->hits);
    tighten(&into->run_hits, &from->run_hits);
    tighten(&into->max_pause, &from->max_pause);
    tighten(&into->pause_budget, &from->pause_budget);
}

static bool take_name(struct recipe *into, const struct recipe *from) {
    struct buffer name = BUFFER_INIT(64 << 10);
    buffer_printf(&name, "%s, %s", into->name ? into->name : into->source,
                  from->name ? from->name : from->source);
    free(into->name);
    into->name = buffer_take(&name);
    return into->name != NULL;
}

/* Takes `from`, also on failure: what its probes refer to lives in it. */
static struct error *join(struct recipe *into, struct recipe *from) {
    from->joined = into->joined;
    into->joined = from;
    struct error *error = check_names(into, from);
    if (!error)
        error = take_targets(into, from);
    if (error)
        return error;
    take_limits(&into->limits, &from->limits);
    into->require = from->require > into->require ? from->require : into->require;
    bool taken = take_name(into, from) && take_redacted(into, from) && take_probes(into, from);
    return taken ? NULL : error_no_memory();
}

static bool declares(const struct recipe *recipe, const char *name) {
    for (; recipe; recipe = recipe->joined)
        for (size_t i = 0; i < recipe->param_count; i++)
            if (!strcmp(recipe->params[i].name, name))
                return true;
    return false;
}

static struct error *check_given(const struct recipe *recipe, const struct settings *given) {
    for (size_t i = 0; given && i < given->count; i++)
        if (!declares(recipe, given->list[i].name))
            return error_new(ERROR_RECIPE,
                             "-p %s: none of the recipes declares a parameter of "
                             "this name",
                             given->list[i].name);
    return NULL;
}

struct error *recipe_parse_all(const struct recipe_text *texts, size_t count,
                               const struct settings *given, const struct target *target,
                               struct recipe **out) {
    struct settings shared = given ? *given : (struct settings){0};
    struct error *error = NULL;
    struct recipe *all = NULL;
    shared.elsewhere = count > 1;
    for (size_t i = 0; i < count && !error; i++) {
        struct recipe *one;
        error = recipe_parse(texts[i].name, texts[i].text, strlen(texts[i].text), &shared, target,
                             &one);
        if (!error && all)
            error = join(all, one);
        else if (!error)
            all = one;
    }
    if (!error)
        error = check_given(all, given);
    if (error)
        recipe_free(all);
    else
        *out = all;
    return error;
}
