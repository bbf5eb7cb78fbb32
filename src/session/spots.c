/* From the recipe's locations to what can be armed. Every address is looked at with the set of
 * probes that want it; addresses with the same set become one spot, so that one breakpoint serves
 * all. */
#include "session/state.h"

#include <stdio.h>
#include <stdlib.h>

static struct want want_of(const struct probe *probe, enum want_kind kind, const char *expr,
                           const struct load *load) {
    return (struct want){.kind = kind, .expr = expr, .where = &probe->at, .load = *load};
}

static void init_captures(struct want **out, const struct probe *probe,
                          const struct capture *captures, size_t n) {
    *out = calloc(n ? n : 1, sizeof **out);
    for (size_t i = 0; *out && i < n; i++)
        (*out)[i] = (struct want){.kind = WANT_EXPR,
                                  .expr = captures[i].expr,
                                  .where = &probe->at,
                                  .as = captures[i].as,
                                  .load = captures[i].load};
}

static void init_probe(struct probe_state *p, const struct probe *probe) {
    static const struct load one = {.string = 256, .items = 8, .depth = 1, .bytes = 256};
    p->probe = probe;
    p->when = want_of(probe, WANT_EXPR, probe->when, &one);
    p->when.truth = true;
    p->args = want_of(probe, WANT_ARGS, NULL, &probe->load);
    p->locals = want_of(probe, WANT_LOCALS, NULL, &probe->load);
    p->stack = want_of(probe, WANT_STACK, NULL, &probe->load);
    p->stack.frames = probe->stack;
    p->registers = want_of(probe, WANT_REGISTERS, NULL, &probe->load);
    p->goroutine = want_of(probe, WANT_GOROUTINE, NULL, &probe->load);
    p->goroutines = want_of(probe, WANT_GOROUTINES, NULL, &probe->load);
    p->thread = want_of(probe, WANT_THREAD, NULL, &probe->load);
    p->watched = want_of(probe, WANT_EXPR, probe->watch, &probe->load);
    p->panic = want_of(probe, WANT_EXPR, "runtime.curg._panic.arg", &probe->load);
    p->old = BUFFER_INIT(1 << 20);
    init_captures(&p->captures, probe, probe->captures, probe->capture_count);
    init_captures(&p->at_return, probe, probe->at_return, probe->return_count);
    p->types = calloc(probe->capture_count + probe->return_count + 1, sizeof *p->types);
    /* `return` is not an expression of the target's language: it is what the function returns. */
    for (size_t i = 0; p->at_return && i < probe->return_count; i++) {
        p->at_return[i].returning = true;
        if (!strcmp(probe->at_return[i].expr, "return"))
            p->at_return[i].kind = WANT_RESULTS;
    }
    for (size_t i = 0;
         p->captures && probe->trigger == TRIGGER_RETURN_OF && i < probe->capture_count; i++)
        if (!strcmp(probe->captures[i].expr, "return"))
            p->captures[i].kind = WANT_RESULTS;
}

void probes_init(struct session *s) {
    s->probe_count = s->recipe->probe_count;
    s->probes = calloc(s->probe_count, sizeof *s->probes);
    for (size_t i = 0; s->probes && i < s->probe_count; i++) {
        s->probes[i].session = s;
        s->probes[i].index = i;
        init_probe(&s->probes[i], &s->recipe->probes[i]);
        s->frame_bound |= s->recipe->probes[i].watch_from >= 0;
    }
    if (!s->probes)
        s->probe_count = 0;
}

void probes_free(struct session *s) {
    for (size_t i = 0; i < s->probe_count; i++) {
        struct probe_state *p = &s->probes[i];
        while (p->call_count)
            call_leave(p, p->call_count - 1);
        buffer_free(&p->old);
        for (size_t k = 0; p->types && k < p->probe->capture_count + p->probe->return_count; k++)
            free(p->types[k]);
        free(p->types);
        free(p->calls);
        free(p->captures);
        free(p->at_return);
    }
    free(s->probes);
    s->probes = NULL;
    s->probe_count = 0;
}

static void query_clear(struct query *query) {
    for (size_t i = 0; i < query->count; i++) {
        free(query->places[i].addresses);
        free(query->places[i].function);
        free(query->places[i].file);
    }
    free(query->places);
    error_free(query->error);
    *query = (struct query){.location = query->location};
}

static bool has_place(const struct probe *probe) {
    return probe->trigger == TRIGGER_AT || probe->trigger == TRIGGER_CALL ||
           probe->trigger == TRIGGER_RETURN_OF || probe->trigger == TRIGGER_SYSCALL;
}

void spots_ask(struct session *s) {
    if (!s->queries)
        s->queries = calloc(2 * s->probe_count + 1, sizeof *s->queries);
    for (size_t i = 0; s->queries && i < s->probe_count; i++) {
        const struct probe *probe = s->probes[i].probe;
        struct query *entry = &s->queries[2 * i], *returns = &s->queries[2 * i + 1];
        query_clear(entry);
        query_clear(returns);
        if (!has_place(probe))
            continue;
        entry->location = returns->location = &probe->at;
        entry->first = session_names_arguments(probe);
        entry->own = probe->trigger == TRIGGER_CALL || entry->first; /* a copy gets no arguments */
        entry->terse = returns->terse = s->info.parent;
        returns->returns = true;
        if (probe->trigger != TRIGGER_RETURN_OF)
            s->ops->resolve(s->backend, entry);
        if (probe->trigger == TRIGGER_RETURN_OF || probe_pairs(probe))
            s->ops->resolve(s->backend, returns);
    }
}

/* ---- grouping ---- */

/* One address wanted by one probe in one role. */
struct wish {
    uint64_t address;
    struct member member;
    enum site_kind kind;
};

struct wishes {
    struct wish *list;
    size_t count, cap;
};

static bool is_of_code(enum site_kind kind) {
    return kind == SITE_CODE || kind == SITE_RETURN;
}

/* A function's entry may be its return; a system call's number is no address. */
static bool is_same_place(const struct wish *a, const struct wish *b) {
    return a->address == b->address &&
           (a->kind == b->kind || (is_of_code(a->kind) && is_of_code(b->kind)));
}

static int by_address(const void *left, const void *right) {
    const struct wish *a = left, *b = right;
    bool code = is_of_code(a->kind);
    if (code != is_of_code(b->kind))
        return code ? -1 : 1;
    if (!code && a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    if (a->member.probe != b->member.probe)
        return a->member.probe < b->member.probe ? -1 : 1;
    return (int)a->member.role - (int)b->member.role;
}

static enum site_kind kind_of(const struct query *query) {
    if (query->location && query->location->syscalls)
        return query->returns ? SITE_SYSCALL_RETURN : SITE_SYSCALL;
    return query->returns ? SITE_RETURN : SITE_CODE;
}

static void wish_all(struct wishes *wishes, const struct query *query, struct member member) {
    enum site_kind kind = kind_of(query);
    for (size_t i = 0; i < query->count; i++) {
        for (size_t k = 0; k < query->places[i].count; k++) {
            struct wish *wish = ARRAY_ADD(wishes->list, wishes->count, wishes->cap);
            if (wish)
                *wish = (struct wish){query->places[i].addresses[k], member, kind};
        }
    }
}

static bool same_members(const struct spot *spot, const struct wish *from, size_t n) {
    if (spot->member_count != n || spot->site.kind != from->kind)
        return false;
    for (size_t i = 0; i < n; i++)
        if (spot->members[i].probe != from[i].member.probe ||
            spot->members[i].role != from[i].member.role)
            return false;
    return true;
}

static struct spot *new_spot(struct session *s, enum site_kind kind, const struct location *where) {
    struct spot **place = ARRAY_ADD(s->spots, s->spot_count, s->spot_cap);
    struct spot *spot = place ? calloc(1, sizeof *spot) : NULL;
    if (!spot) {
        s->spot_count -= place != NULL;
        return NULL;
    }
    *place = spot;
    spot->site.kind = kind;
    spot->site.may_pass = is_of_code(kind);
    spot->site.where = where;
    snprintf(spot->site.name, sizeof spot->site.name, "pg%sn%zu", s->run, s->spot_count);
    return spot;
}

static struct spot *find_spot(struct session *s, const struct wish *from, size_t n) {
    for (size_t i = 0; i < s->spot_count; i++)
        if (s->spots[i]->site.address_count && same_members(s->spots[i], from, n))
            return s->spots[i];
    struct spot *spot = new_spot(s, from->kind, &from->member.probe->probe->at);
    for (size_t i = 0; spot && i < n; i++) {
        struct member *member = ARRAY_ADD(spot->members, spot->member_count, spot->member_cap);
        if (member)
            *member = from[i].member;
    }
    return spot;
}

static bool add_address(struct site *site, uint64_t address) {
    uint64_t *grown = realloc(site->addresses, (site->address_count + 1) * sizeof *grown);
    if (!grown)
        return false;
    site->addresses = grown;
    site->addresses[site->address_count++] = address;
    return true;
}

static bool group(struct session *s, struct wishes *wishes) {
    if (wishes->count)
        qsort(wishes->list, wishes->count, sizeof *wishes->list, by_address);
    for (size_t i = 0, n; i < wishes->count; i += n) {
        n = 1;
        while (i + n < wishes->count && is_same_place(&wishes->list[i], &wishes->list[i + n]))
            n++;
        struct spot *spot = find_spot(s, &wishes->list[i], n);
        if (!spot || !add_address(&spot->site, wishes->list[i].address))
            return false;
    }
    return true;
}

/* ---- what a spot reads ---- */

static void add_want(struct session *s, struct site *site, const struct want *want) {
    for (size_t i = 0; i < site->want_count; i++) {
        const struct want *have = &site->wants[i];
        bool seen_alike = !s->ops->locate || have->where == want->where;
        if (have->kind == want->kind && seen_alike &&
            (want->kind != WANT_EXPR || !strcmp(have->expr, want->expr)) &&
            have->frames >= want->frames)
            return;
    }
    struct want *place = ARRAY_ADD(site->wants, site->want_count, site->want_cap);
    if (place)
        *place = *want;
}

static void add_entry_wants(struct session *s, struct site *site, struct probe_state *p) {
    const struct probe *probe = p->probe;
    const struct {
        bool wanted;
        const struct want *want;
    } extras[] = {{probe->args, &p->args},
                  {probe->locals, &p->locals},
                  {probe->stack != 0, &p->stack},
                  {probe->goroutine, &p->goroutine}};
    for (size_t i = 0; i < probe->capture_count; i++)
        add_want(s, site, &p->captures[i]);
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        if (extras[i].wanted)
            add_want(s, site, extras[i].want);
}

/* Several values that belong together, taken once in a while: they should be of one moment. */
bool probe_stops_process(const struct probe *probe) {
    bool gauge = probe->every_ns && probe->capture_count > 1;
    return probe->stop == STOP_PROCESS || (probe->stop == STOP_DEFAULT && gauge);
}

static bool is_waited_for(const struct session *s, const struct probe_state *p) {
    for (size_t i = 0; i < s->probe_count; i++)
        if (s->probes[i].probe->after == (int)p->index ||
            s->probes[i].probe->watch_from == (int)p->index)
            return true;
    return false;
}

/* Does a hit decide nothing that concerns the target, or the next hit? */
static bool decides_nothing(const struct session *s, const struct member *member) {
    const struct probe *probe = member->probe->probe;
    return member->role == ROLE_HIT && probe->then == DO_NOTHING && !probe->max_hits &&
           !probe->every_ns && !probe->rate_hits && probe->after < 0 &&
           !is_waited_for(s, member->probe);
}

static void add_wants(struct session *s, struct spot *spot, struct member *member) {
    struct probe_state *p = member->probe;
    struct site *site = &spot->site;
    site->may_pass &= decides_nothing(s, member) && (!p->probe->when || spot->member_count == 1);
    site->when = spot->member_count == 1 ? p->probe->when : NULL;
    site->reads_more |= p->probe->registers || p->probe->thread || p->probe->goroutines;
    site->identify_frame |= member->role != ROLE_HIT;
    site->stop_process |= probe_stops_process(p->probe);
    if (spot->site.kind == SITE_WATCH)
        add_want(s, site, &p->watched);
    if (member->role == ROLE_RETURN)
        for (size_t i = 0; i < p->probe->return_count; i++)
            add_want(s, site, &p->at_return[i]);
    else
        add_entry_wants(s, site, p);
}

static struct spot *single_spot(struct session *s, struct probe_state *p, enum site_kind kind) {
    struct spot *spot = new_spot(s, kind, NULL);
    struct member *member =
        spot ? ARRAY_ADD(spot->members, spot->member_count, spot->member_cap) : NULL;
    if (member)
        *member = (struct member){p, ROLE_HIT};
    return spot;
}

static void add_signal(struct session *s, struct probe_state *p) {
    struct spot *spot = single_spot(s, p, SITE_SIGNAL);
    if (spot)
        spot->site.signal = p->probe->signal;
}

static void add_watch(struct session *s, struct probe_state *p) {
    struct spot *spot = single_spot(s, p, SITE_WATCH);
    if (!spot)
        return;
    spot->site.watch = p->probe->watch;
    spot->site.access = p->probe->access;
    spot->site.watch_from_hit = p->probe->watch_from >= 0;
    if (spot->site.watch_from_hit)
        spot->site.watch_where = &s->recipe->probes[p->probe->watch_from].at;
}

/* A location that did not resolve is an error at its line. */
static struct error *refused(const struct probe *probe, struct query *query) {
    struct error *why = query->error;
    if (!why)
        return NULL;
    query->error = NULL;
    struct error *error =
        recipe_error(probe->source, probe->at.mark, "probe \"%s\": %s", probe->name, why->message);
    error->class = why->class;
    error_free(why);
    return error;
}

static struct error *wish_for(struct session *s, struct probe_state *p, struct wishes *wishes) {
    struct query *entry = &s->queries[2 * p->index], *returns = entry + 1;
    enum trigger trigger = p->probe->trigger;
    bool pairs = probe_pairs(p->probe);
    struct error *error = refused(p->probe, entry);
    if (!error)
        error = refused(p->probe, returns);
    if (error)
        return error;
    p->placed |= entry->count || returns->count;
    wish_all(wishes, entry, (struct member){p, pairs ? ROLE_ENTRY : ROLE_HIT});
    wish_all(wishes, returns, (struct member){p, pairs ? ROLE_RETURN : ROLE_HIT});
    if (trigger == TRIGGER_WATCH)
        add_watch(s, p);
    if (trigger == TRIGGER_PANIC)
        single_spot(s, p, SITE_PANIC);
    if (trigger == TRIGGER_SIGNAL)
        add_signal(s, p);
    return NULL;
}

/* ---- once more, when code was loaded or unloaded ---- */

static bool is_same(const struct spot *a, const struct spot *b) {
    return a->site.kind == b->site.kind && a->site.where == b->site.where &&
           a->site.address_count == b->site.address_count && a->member_count == b->member_count &&
           (!a->site.address_count || !memcmp(a->site.addresses, b->site.addresses,
                                              a->site.address_count * sizeof *a->site.addresses)) &&
           !memcmp(a->members, b->members, a->member_count * sizeof *a->members);
}

static void free_spot(struct spot *spot) {
    error_free(spot->site.error);
    free(spot->site.addresses);
    free(spot->site.wants);
    free(spot->members);
    free(spot);
}

/* What is as it was stays armed as it is. */
static void keep_or_leave(struct session *s, struct spot *old) {
    for (size_t i = 0; i < s->spot_count; i++) {
        if (s->spots[i] == old || !is_same(s->spots[i], old))
            continue;
        free_spot(s->spots[i]);
        s->spots[i] = old;
        return;
    }
    struct spot **place =
        old->site.armed ? ARRAY_ADD(s->stale, s->stale_count, s->stale_cap) : NULL;
    if (place)
        *place = old;
    else
        free_spot(old);
}

void spots_drop_stale(struct session *s) {
    while (s->stale_count)
        free_spot(s->stale[--s->stale_count]);
}

struct error *spots_build(struct session *s) {
    struct wishes wishes = {0};
    struct error *error = NULL;
    struct spot **old = s->spots;
    size_t old_count = s->spot_count;
    pause_take_false(s);
    s->spots = NULL;
    s->spot_count = s->spot_cap = 0;
    for (size_t i = 0; i < s->probe_count && !error; i++)
        error = wish_for(s, &s->probes[i], &wishes);
    if (!error && !group(s, &wishes))
        error = error_no_memory();
    free(wishes.list);
    for (size_t i = 0; i < s->spot_count; i++)
        for (size_t k = 0; k < s->spots[i]->member_count; k++)
            add_wants(s, s->spots[i], &s->spots[i]->members[k]);
    for (size_t i = 0; i < old_count; i++)
        keep_or_leave(s, old[i]);
    free(old);
    return error;
}

void spots_free(struct session *s) {
    pause_take_false(s);
    spots_drop_stale(s);
    free(s->stale);
    s->stale = NULL;
    s->stale_cap = 0;
    while (s->spot_count)
        free_spot(s->spots[--s->spot_count]);
}
