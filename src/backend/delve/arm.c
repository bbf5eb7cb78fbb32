/* Breakpoints and watchpoints. As much of a hit's work as Delve can do goes into them: condition,
 * hit condition, variables, arguments, locals, stack and goroutine, so that a hit is one answer. */
#include "backend/delve/delve.h"

#include "base/log.h"
#include <stdlib.h>

struct site *delve_find_site(struct backend *b, int64_t id) {
    for (size_t i = 0; i < b->site_count; i++)
        if (b->sites[i]->id == id)
            return b->sites[i];
    return NULL;
}

void delve_drop_site(struct backend *b, struct site *site) {
    for (size_t i = 0; i < b->site_count; i++)
        if (b->sites[i] == site)
            b->sites[i] = b->sites[--b->site_count];
    site->armed = false;
    site->id = 0;
}

static void keep_site(struct backend *b, struct site *site, int64_t id) {
    struct site **place =
        delve_find_site(b, id) ? NULL : ARRAY_ADD(b->sites, b->site_count, b->site_cap);
    if (place)
        *place = site;
    site->id = id;
    site->armed = true;
}

static void put_wants(const struct site *site, json_t *breakpoint) {
    json_t *variables = json_array();
    for (size_t i = 0; i < site->want_count; i++) {
        const struct want *want = &site->wants[i];
        struct delve_load load = {want->load.string, want->load.items, want->load.depth,
                                  want->load.bytes};
        switch (want->kind) {
        case WANT_EXPR: json_array_append_new(variables, json_string(want->expr)); break;
        case WANT_ARGS:
        case WANT_RESULTS:
            json_object_set_new(breakpoint, "LoadArgs", delve_load_config(&load));
            break;
        case WANT_LOCALS:
            json_object_set_new(breakpoint, "LoadLocals", delve_load_config(&load));
            break;
        case WANT_STACK:
            json_object_set_new(breakpoint, "stacktrace",
                                json_integer(want->frames > 1 ? want->frames - 1 : 1));
            break;
        case WANT_GOROUTINE: json_object_set_new(breakpoint, "goroutine", json_true()); break;
        default: break; /* asked for at the stop */
        }
    }
    if (site->identify_frame)
        json_array_append_new(variables, json_string("runtime.frameoff"));
    json_object_set_new(breakpoint, "variables", variables);
}

static json_t *breakpoint_of(const struct site *site) {
    json_t *addresses = json_array();
    for (size_t i = 0; i < site->address_count; i++)
        json_array_append_new(addresses, json_integer((json_int_t)site->addresses[i]));
    json_t *breakpoint =
        json_pack("{s:s,s:o,s:s,s:s}", "name", site->name, "addrs", addresses, "Cond",
                  site->cond ? site->cond : "", "HitCond", site->hit_cond ? site->hit_cond : "");
    if (site->id)
        json_object_set_new(breakpoint, "id", json_integer(site->id));
    put_wants(site, breakpoint);
    return breakpoint;
}

static int64_t created_id(struct backend *b, struct span result) {
    json_t *root = span_decode(result, &b->scratch);
    const json_t *breakpoint = json_object_get(root, "Breakpoint");
    int64_t id = delve_int(json_object_get(breakpoint ? breakpoint : root, "id"));
    json_decref(root);
    return id;
}

static struct error *explain(struct error *error) {
    if (!strstr(error->message, "Breakpoint exists at"))
        return error;
    return error_wrap(error,
                      "another breakpoint sits at the same place, and Delve allows one; clear "
                      "it there, or probe the line behind it");
}

static void on_created(struct backend *b, void *ctx, struct span result, struct error *error) {
    struct site *site = ctx;
    if (!error) {
        keep_site(b, site, created_id(b, result));
        return;
    }
    /* A create that failed on its condition has still taken the name. */
    if (!strstr(error->message, "Breakpoint exists at"))
        delve_call(b, DELVE_CLEAR_BREAKPOINT, json_pack("{s:s}", "Name", site->name), NULL, NULL);
    site->error = explain(error);
}

static void on_amended(struct backend *b, void *ctx, struct span result, struct error *error) {
    (void)b, (void)result;
    struct site *site = ctx;
    if (!error)
        return;
    LOG(LOG_DELVE, 1, "amending %s: %s", site->name, error->message);
    site->error = error;
}

/* A watchpoint gets its name, and what it reads, in a second step: CreateWatchpoint takes neither.
 */
static void on_watch_created(struct backend *b, void *ctx, struct span result,
                             struct error *error) {
    struct site *site = ctx;
    if (error) {
        site->error = error_wrap(error, "watching %s", site->watch);
        return;
    }
    keep_site(b, site, created_id(b, result));
    delve_call(b, DELVE_AMEND_BREAKPOINT, json_pack("{s:o}", "Breakpoint", breakpoint_of(site)),
               on_amended, site);
}

void delve_arm(struct backend *b, struct site *site) {
    if (site->kind == SITE_PANIC) { /* Delve's own breakpoints are always there */
        site->armed = true;
    } else if (site->armed) {
        delve_call(b, DELVE_AMEND_BREAKPOINT, json_pack("{s:o}", "Breakpoint", breakpoint_of(site)),
                   on_amended, site);
    } else if (site->kind == SITE_WATCH) {
        int64_t goroutine = site->watch_goroutine ? site->watch_goroutine : -1;
        delve_call(b, DELVE_CREATE_WATCHPOINT,
                   json_pack("{s:o,s:s,s:i}", "Scope", delve_scope(goroutine, 0), "Expr",
                             site->watch, "Type", (int)site->access),
                   on_watch_created, site);
    } else {
        delve_call(b, DELVE_CREATE_BREAKPOINT,
                   json_pack("{s:o}", "Breakpoint", breakpoint_of(site)), on_created, site);
    }
}

static void on_cleared(struct backend *b, void *ctx, struct span result, struct error *error) {
    (void)b, (void)ctx, (void)result;
    if (error) /* somebody else has cleared it already: what was wanted is so */
        LOG(LOG_DELVE, 1, "clearing a breakpoint: %s", error->message);
    error_free(error);
}

void delve_disarm(struct backend *b, struct site *site) {
    if (site->armed && site->kind != SITE_PANIC)
        delve_call(b, DELVE_CLEAR_BREAKPOINT, json_pack("{s:I}", "Id", (json_int_t)site->id),
                   on_cleared, NULL);
    delve_drop_site(b, site);
}
