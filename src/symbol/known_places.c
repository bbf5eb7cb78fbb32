#include "symbol/known_places.h"

#include "base/text.h"
#include <string.h>

#define KNOWN_MAX 16384 /* questions that are kept for one module */

/* In the module's arena, as all that is in it. */
struct known {
    struct place_query query;
    struct place_list found;
    struct known *next; /* of the same hash */
};

/* ---- the question ---- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 32;
}

static uint64_t mix_text(uint64_t hash, const char *text) {
    return mix(hash, text ? text_hash(text, strlen(text)) : 0);
}

static unsigned flags_of(const struct place_query *query) {
    return query->inlined | query->returns << 1 | query->entry << 2;
}

static uint64_t key_of(const struct place_query *query) {
    uint64_t hash = mix(0, flags_of(query) + 1);
    hash = mix_text(mix_text(hash, query->function), query->file);
    return mix(mix(mix_text(hash, query->match), query->line), query->max);
}

static bool same_text(const char *a, const char *b) {
    return a && b ? !strcmp(a, b) : a == b;
}

static bool is_same(const struct place_query *a, const struct place_query *b) {
    return same_text(a->function, b->function) && same_text(a->file, b->file) &&
           same_text(a->match, b->match) && a->line == b->line && a->max == b->max &&
           flags_of(a) == flags_of(b);
}

static bool copy_text(struct arena *arena, const char **text) {
    return !*text || (*text = arena_strdup(arena, *text));
}

/* ---- its answer ---- */

const struct place_list *places_known(const struct module *module,
                                      const struct place_query *query) {
    const struct known *known = map_get(&module->known_places, key_of(query));
    while (known && !is_same(&known->query, query))
        known = known->next;
    return known ? &known->found : NULL;
}

/* Without memory it is found anew. */
void places_remember(struct module *module, const struct place_query *query,
                     const struct place_list *found) {
    uint64_t key = key_of(query);
    struct known *known =
        module->known_places.count < KNOWN_MAX ? ARENA_NEW(&module->arena, struct known) : NULL;
    if (!known)
        return;
    *known = (struct known){
        .query = *query, .found = *found, .next = map_get(&module->known_places, key)};
    known->found.list = arena_copy(&module->arena, found->list, found->count * sizeof *found->list);
    if ((known->found.list || !found->count) && copy_text(&module->arena, &known->query.function) &&
        copy_text(&module->arena, &known->query.file) &&
        copy_text(&module->arena, &known->query.match))
        map_put(&module->known_places, key, known);
}
