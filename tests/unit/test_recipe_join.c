/* Recipes that run together. */
#include "recipes.h"

static struct error *joined(const char *const *texts, size_t n, const struct settings *given,
                            struct recipe **out) {
    static const char *const names[] = {"a.yaml", "b.yaml", "c.yaml"};
    struct recipe_text list[3];
    for (size_t i = 0; i < n; i++)
        list[i] = (struct recipe_text){(char *)names[i], (char *)texts[i]};
    *out = NULL;
    return recipe_parse_all(list, n, given, NULL, out);
}

Test(recipe_join, probes_of_all_with_what_they_refer_to) {
    static const char *const texts[] = {
        "recipe: 1\nprobes: {a: {at: f}, b: {at: g, after: {probe: a}}}",
        "recipe: 1\nname: second\nredact: [key]\nprobes: {c: {at: f}, d: {at: g, after: {probe: "
        "c}},"
        " e: {watch: {expr: n, from: c}}}",
        "recipe: 1\nredact: [word]\nprobes: {f: {at: h}}"};
    struct recipe *r;
    struct error *error = joined(texts, 3, NULL, &r);
    cr_assert_null(error, "%s", error ? error->message : "");
    static const int after[] = {-1, 0, -1, 2, -1, -1}, from[] = {-1, -1, -1, -1, 2, -1};
    static const char *const sources[] = {"a.yaml", "a.yaml", "b.yaml",
                                          "b.yaml", "b.yaml", "c.yaml"};
    cr_assert_eq(r->probe_count, 6);
    for (size_t i = 0; i < 6; i++) {
        cr_expect_eq(r->probes[i].name[0], "abcdef"[i]);
        cr_expect_eq(r->probes[i].after, after[i], "%zu", i);
        cr_expect_eq(r->probes[i].watch_from, from[i], "%zu", i);
        cr_expect_str_eq(r->probes[i].source, sources[i]);
    }
    cr_expect_eq(r->redact_count, 2);
    cr_expect_str_eq(r->name, "a.yaml, second, c.yaml");
    recipe_free(r);
}

static const struct {
    const char *a, *b;
    double duration_s, hits, pause_ms, budget;
    enum action pause_does;
} limits[] = {
    {"{}", "{}", 60, 0, 20, 0.05, DO_CUT},
    {"{duration: 5m}", "{}", 300, 0, 20, 0.05, DO_CUT},
    {"{}", "{duration: 5m}", 300, 0, 20, 0.05, DO_CUT},
    {"{duration: 5m}", "{duration: 10s}", 10, 0, 20, 0.05, DO_CUT},
    {"{duration: none}", "{duration: 10s}", 10, 0, 20, 0.05, DO_CUT},
    {"{duration: 10s}", "{duration: none}", 10, 0, 20, 0.05, DO_CUT},
    {"{hits: 5}", "{hits: 7}", 60, 5, 20, 0.05, DO_CUT},
    {"{}", "{hits: 7}", 60, 7, 20, 0.05, DO_CUT},
    {"{max_pause: 50ms}", "{max_pause: {is: 30ms, do: end}}", 60, 0, 30, 0.05, DO_END},
    {"{max_pause: {is: 30ms, do: end}}", "{max_pause: 50ms}", 60, 0, 30, 0.05, DO_END},
    {"{pause_budget: 50%}", "{pause_budget: 1%}", 60, 0, 20, 0.01, DO_CUT},
};

Test(recipe_join, the_tighter_of_each_limit) {
    for (size_t i = 0; i < COUNT(limits); i++) {
        char a[256], b[256];
        const char *texts[] = {a, b};
        snprintf(a, sizeof a, "recipe: 1\nlimits: %s\nprobes: {a: {at: f}}", limits[i].a);
        snprintf(b, sizeof b, "recipe: 1\nlimits: %s\nprobes: {b: {at: f}}", limits[i].b);
        struct recipe *r;
        struct error *error = joined(texts, 2, NULL, &r);
        cr_assert_null(error, "%s", error ? error->message : "");
        cr_expect_float_eq((double)r->limits.duration_ns / 1e9, limits[i].duration_s, 1e-9, "%zu",
                           i);
        cr_expect_float_eq(r->limits.hits.is, limits[i].hits, 1e-9, "%zu", i);
        cr_expect_float_eq(r->limits.max_pause.is / 1e6, limits[i].pause_ms, 1e-9, "%zu", i);
        cr_expect_float_eq(r->limits.pause_budget.is, limits[i].budget, 1e-9, "%zu", i);
        cr_expect_eq(r->limits.max_pause.action, limits[i].pause_does, "%zu", i);
        recipe_free(r);
    }
}

static const struct {
    const char *a, *b, *want;
} wrong[] = {
    {"probes: {a: {at: f}}", "probes:\n  a: {at: g}",
     "b.yaml:3:3: probe \"a\": a.yaml:2 has one of"},
    {"targets: [{name: x, uri: 'dlv://h:1'}]\nprobes: {a: {at: f}}",
     "targets: [{name: x, uri: 'dlv://h:2'}]\nprobes: {b: {at: f}}",
     "target \"x\" is dlv://h:2 here"},
    {"probes: {a: {at: f}}", "probes: {b: {}}", "b.yaml:2:"},
    {"probes: {a: {}}", "probes: {b: {at: f}}", "a.yaml:2:"},
};

Test(recipe_join, what_does_not_go_together) {
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char a[256], b[256];
        const char *texts[] = {a, b};
        snprintf(a, sizeof a, "recipe: 1\n%s", wrong[i].a);
        snprintf(b, sizeof b, "recipe: 1\n%s", wrong[i].b);
        struct recipe *r;
        struct error *error = joined(texts, 2, NULL, &r);
        cr_assert_not_null(error, "%s", wrong[i].want);
        SHOULD_HOLD(error->message, wrong[i].want, "joined");
        error_free(error);
    }
}

Test(recipe_join, parameters_go_to_those_that_declare_them) {
    static const char *const texts[] = {
        "recipe: 1\nparams: {n: {type: int}}\nprobes: {a: {at: f, when: 'x > ${n}'}}",
        "recipe: 1\nparams: {n: {type: int}, m: {type: int}}\nprobes: {b: {at: f, when: 'x > ${n} "
        "+ "
        "${m}'}}"};
    struct settings given = {0};
    struct recipe *r;
    error_free(settings_add(&given, "n", "5"));
    error_free(settings_add(&given, "m", "6"));
    struct error *error = joined(texts, 2, &given, &r);
    cr_assert_null(error, "%s", error ? error->message : "");
    cr_expect_str_eq(r->probes[0].when, "x > 5");
    cr_expect_str_eq(r->probes[1].when, "x > 5 + 6");
    recipe_free(r);
    error_free(settings_add(&given, "k", "7"));
    error = joined(texts, 2, &given, &r);
    cr_assert_not_null(error);
    SHOULD_HOLD(error->message, "-p k: none of the recipes", "undeclared");
    error_free(error);
    settings_free(&given);
}
