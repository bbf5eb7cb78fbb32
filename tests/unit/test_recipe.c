#include "recipes.h"

static const struct probe *probe(const struct recipe *recipe, const char *name) {
    for (size_t i = 0; i < recipe->probe_count; i++)
        if (!strcmp(recipe->probes[i].name, name))
            return &recipe->probes[i];
    cr_assert_fail("no probe %s", name);
    return NULL;
}

static void check_head(const struct recipe *r) {
    cr_expect_str_eq(r->name, "slow-requests");
    cr_expect_eq(r->param_count, 2);
    cr_expect(r->params[1].secret);
    cr_assert_eq(r->target_count, 1);
    cr_expect_str_eq(r->targets[0].uri, "dlv://127.0.0.1:4040");
    cr_expect_str_eq(settings_get(&r->targets[0].labels, "zone"), "a");
    cr_expect_str_eq(settings_get(&r->targets[0].params, "min"), "20");
    cr_expect_eq(r->limits.duration_ns, UINT64_C(60000000000));
    cr_expect_eq(r->limits.hits.is, 1000);
    cr_expect_eq(r->limits.max_pause.is, 20e6);
    cr_expect_eq(r->limits.max_pause.action, DO_CUT);
    cr_expect_eq(r->limits.pause_budget.is, 0.05);
    cr_expect_eq(r->limits.pause_budget.action, DO_THROTTLE);
    cr_expect_eq(r->load.bytes, 65536);
    cr_assert_eq(r->redact_count, 1);
    cr_expect_str_eq(r->redact[0], "session_key");
    cr_expect_eq(r->aggregate_mark.line, 47);
    cr_expect_eq(r->expect_mark.line, 50);
}

static void check_probes(const struct recipe *r) {
    const struct probe *slow = probe(r, "slow"), *gauge = probe(r, "gauge");
    cr_expect_eq(slow->trigger, TRIGGER_CALL);
    cr_expect_str_eq(slow->at.function, "net/http.serverHandler.ServeHTTP");
    SHOULD_BE(slow->when, "req.Method == \"POST\"", "when");
    cr_expect_eq(slow->capture_count, 2);
    SHOULD_BE(slow->captures[1].expr, "req.Header[\"Accept\"][0]", "capture");
    SHOULD_BE(slow->at_return[0].expr, "rw.(*http.response).status", "at_return");
    cr_expect_not_null(slow->keep);
    cr_expect_not_null(slow->log);
    cr_expect_eq(slow->stack, 16);
    cr_expect_eq(gauge->every_ns, UINT64_C(1000000000));
    cr_expect_str_eq(gauge->captures[1].name, "b.writeIndex");
    cr_expect_eq(probe(r, "queues")->timer_ns, UINT64_C(5000000000));
    cr_expect(probe(r, "queues")->goroutines);
    cr_expect_eq(probe(r, "changed")->access, WATCH_WRITE);
    cr_expect_eq(probe(r, "crash")->trigger, TRIGGER_PANIC);
    cr_expect_eq(probe(r, "crash")->then, DO_END);
    SHOULD_BE(probe(r, "segv")->signal, "SIGSEGV", "signal");
    const struct probe *big = probe(r, "big"), *second = probe(r, "second");
    SHOULD_BE(big->when, "arg0 > 1048576", "units in `when`");
    SHOULD_BE(big->at.module, "libc.so.6", "module");
    cr_expect(big->at.has_inlined && !big->at.inlined);
    cr_expect(big->emit_none);
    cr_expect_eq(second->after, (int)(slow - r->probes));
    cr_expect_eq(second->after_same, SAME_GOROUTINE);
    cr_expect_eq(second->after_within_ns, 100000000);
    cr_expect_eq(second->max_hits, 1);
}

Test(recipe, the_documented_one_parses_whole) {
    char *text = read_data("documented.yaml");
    struct recipe *r = parsed(text);
    check_head(r);
    check_probes(r);
    recipe_free(r);
    free(text);
}

Test(recipe, everything_has_a_default) {
    struct recipe *r = parsed("recipe: 1\nprobes: {p: {at: main.f}}\n");
    cr_expect_eq(r->limits.duration_ns, UINT64_C(60000000000));
    cr_expect_eq(r->limits.max_pause.is, 20e6);
    cr_expect_eq(r->limits.max_pause.action, DO_CUT);
    cr_expect_eq(r->limits.pause_budget.is, 0.05);
    cr_expect_eq(r->limits.pause_budget.action, DO_THROTTLE);
    cr_expect(!r->limits.max_pause.set && !r->limits.duration_set);
    cr_expect_eq(r->require, 1);
    cr_expect_eq(r->probes[0].load.string, 256);
    cr_expect_eq(r->probes[0].load.depth, 3);
    recipe_free(r);
}

Test(recipe, json_is_accepted) {
    struct recipe *r =
        parsed("{\"recipe\": 1, \"probes\": {\"p\": {\"at\": \"main.f\",\n"
               "\t\"when\": \"n > 3 && s == \\\"x\\\"\", \"stack\": 4, \"args\": true,\n"
               "\"capture\": {\"a\": \"x[0]\", \"b\": {\"expr\": \"y\", \"as\": \"hex\"}}}},"
               " \"limits\": {\"duration\": \"none\"}, \"require\": \"95%\"}");
    cr_expect_eq(r->probes[0].stack, 4);
    cr_expect_eq(r->probes[0].captures[1].as, AS_HEX);
    SHOULD_BE(r->probes[0].when, "n > 3 && s == \"x\"", "when");
    cr_expect_eq(r->limits.duration_ns, 0);
    cr_expect(r->require > 0.9499 && r->require < 0.9501);
    recipe_free(r);
}

Test(recipe, locations) {
    static const struct {
        const char *at, *function, *file;
        unsigned line;
        uint64_t address;
    } cases[] = {
        {"main.f", "main.f", NULL, 0, 0},
        {"main.(*T).Read", "main.(*T).Read", NULL, 0, 0},
        {"file.go:37", NULL, "file.go", 37, 0},
        {"pkg/sub/file.go:1", NULL, "pkg/sub/file.go", 1, 0},
        {"\"*0x4844c0\"", NULL, NULL, 0, 0x4844c0},
        {"{file: a.go, line: 3}", NULL, "a.go", 3, 0},
        {"{address: 0x10}", NULL, NULL, 0, 0x10},
        {"{function: f, offset: 4, hw: true}", "f", NULL, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        snprintf(text, sizeof text, "recipe: 1\nprobes:\n  p:\n    at: %s\n", cases[i].at);
        struct recipe *r = parsed(text);
        const struct location *at = &r->probes[0].at;
        SHOULD_BE(at->function, cases[i].function ? cases[i].function : "(none)", cases[i].at);
        SHOULD_BE(at->file, cases[i].file ? cases[i].file : "(none)", cases[i].at);
        cr_expect_eq(at->line, cases[i].line, "%s: %u", cases[i].at, at->line);
        cr_expect_eq(at->address, cases[i].address, "%s", cases[i].at);
        recipe_free(r);
    }
}

Test(recipe, a_match_has_a_bound) {
    struct recipe *r =
        parsed("recipe: 1\nprobes: {p: {at: {match: '^main\\.'}}, q: {at: {match: x, max: 9}}}");
    SHOULD_BE(r->probes[0].at.match, "^main\\.", "match");
    cr_expect_eq(r->probes[0].at.max, 256);
    cr_expect_eq(r->probes[1].at.max, 9);
    recipe_free(r);
}

Test(recipe, hit_conditions_are_delves) {
    static const struct {
        const char *text, *want;
    } cases[] = {{"'% 100'", "% 100"}, {"'%100'", "% 100"}, {"== 5", "== 5"},   {"5", "== 5"},
                 {"'> 5'", "> 5"},     {"'>=5'", ">= 5"},   {"'!= 3'", "!= 3"}, {"<= 7", "<= 7"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[64];
        snprintf(line, sizeof line, "    hit_cond: %s", cases[i].text);
        char *text = with_lines(line);
        struct recipe *r = parsed(text);
        SHOULD_BE(r->probes[0].hit_cond.text, cases[i].want, cases[i].text);
        recipe_free(r);
        free(text);
    }
}

Test(recipe, rates) {
    char *text = with_lines("    rate: 50/s");
    struct recipe *r = parsed(text);
    cr_expect_eq(r->probes[0].rate_hits, 50);
    cr_expect_eq(r->probes[0].rate_per_ns, 1000000000);
    recipe_free(r);
    free(text);
}

Test(recipe, loads_are_inherited) {
    struct recipe *r = parsed("recipe: 1\nload: {string: 1KiB, depth: 5}\nprobes:\n  p:\n    at: "
                              "f\n    load: {items: 7}\n"
                              "    capture: {a: x, b: {expr: y, depth: 1}}\n");
    const struct capture *captures = r->probes[0].captures;
    cr_expect_eq(captures[0].load.string, 1024);
    cr_expect_eq(captures[0].load.items, 7);
    cr_expect_eq(captures[0].load.depth, 5);
    cr_expect_eq(captures[0].load.bytes, 65536);
    cr_expect_eq(captures[1].load.depth, 1);
    recipe_free(r);
}

Test(recipe, old_and_new_of_a_watch) {
    struct recipe *r =
        parsed("recipe: 1\nprobes:\n  q: {at: main.f}\n  p:\n    watch: {expr: t.n, access: rw, "
               "from: q}\n    keep: new < old\n  g: {watch: main.counter}\n");
    cr_expect_eq(r->probes[1].access, WATCH_RW);
    cr_expect_eq(r->probes[1].watch_from, 0);
    cr_expect_eq(r->probes[2].access, WATCH_WRITE);
    cr_expect_eq(r->probes[2].watch_from, -1);
    recipe_free(r);
}

Test(recipe, names_that_were_defined_can_be_used) {
    static const char *const texts[] = {
        "recipe: 1\nprobes:\n  p:\n    at: f\n    capture: [main.cfg.depth]\n    keep: "
        "main.cfg.depth > 3\n",
        "recipe: 1\nprobes:\n  p:\n    at: f\n    capture: [b.n]\n    keep: b.n > 3\n",
        "recipe: 1\nprobes:\n  slow-requests: {at: f}\nexpect: [never(slow-requests)]\n",
        "recipe: 1\nprobes:\n  p: {at: f, capture: {a-b: x}, keep: a-b > 1}\n",
        "recipe: 1\nexpect: [p99(l) < 2s]\naggregate: {l: {histogram: p.elapsed}}\nprobes: {p: "
        "{call: f}}\n",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *errors = errors_of(texts[i]);
        cr_expect_str_empty(errors, "%s\n%s", texts[i], errors);
        free(errors);
    }
}

Test(recipe, lines_that_nobody_has_seen_have_names) {
    static const char name[] = "trace\n\n\n\nLOCATION \"f\"\n--stack \"many\"";
    static const char text[] =
        "recipe: 1\nprobes:\n  p:\n    at: f\n    stack: many\n    wehn: x\n";
    struct recipe *r = NULL;
    struct error *error = recipe_parse(name, text, strlen(text), NULL, NULL, &r);
    cr_assert_not_null(error);
    SHOULD_HOLD(error->message, "--stack \"many\": stack: \"many\" is not", "the line's name");
    SHOULD_HOLD(error->message, "trace:6:5: unknown key", "a line without a name");
    cr_expect_null(strstr(error->message, " | "), "an excerpt of what nobody has seen");
    error_free(error);
    error = recipe_error(name, (struct mark){4, 9}, "probe \"%s\": no such thing", "p");
    SHOULD_BE(error->message, "LOCATION \"f\": no such thing", "later");
    error_free(error);
}
