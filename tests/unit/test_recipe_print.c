#include "recipes.h"

Test(recipe_print, echoes_every_expression_as_it_was_understood) {
    char *text = read_data("documented.yaml");
    struct recipe *r = parsed(text);
    struct buffer out = BUFFER_INIT(1 << 16);
    recipe_print(r, &out);
    static const char *const parts[] = {
        "slow-requests",
        "net/http.serverHandler.ServeHTTP",
        "req.Method == \"POST\"",
        "path = req.URL.Path",
        "first = req.Header[\"Accept\"][0]",
        "status = rw.(*http.response).status",
        "(elapsed > 50ms)",
        "b.writeIndex",
        "main.counter",
        "(new < old)",
        "arg0 > 1048576",
        "{path} took {elapsed}",
        "slow.elapsed",
        "replace(slow.path, \"[0-9]+\", \":id\")",
        "(p99(latency) < 200ms)",
        "none((slow.status >= 500))",
        "never(crash)",
        "SIGSEGV",
        "same goroutine",
        "100ms",
    };
    for (size_t i = 0; i < COUNT(parts); i++)
        SHOULD_HOLD(out.data, parts[i], "check echoes every expression");
    recipe_free(r);
    buffer_free(&out);
    free(text);
}

Test(recipe_print, filters) {
    char *text =
        with_lines("    rate: 50/s\n    max_hits: 7\n    hit_cond: '% 3'\n    every: 20ms\n"
                   "    then: end_run\n    capture: {a: {expr: x, as: hex}}");
    struct recipe *r = parsed(text);
    struct buffer out = BUFFER_INIT(1 << 16);
    recipe_print(r, &out);
    static const char *const parts[] = {"50", "7", "% 3", "20ms", "end_run", "a = x, as hex"};
    for (size_t i = 0; i < COUNT(parts); i++)
        SHOULD_HOLD(out.data, parts[i], "filters");
    recipe_free(r);
    buffer_free(&out);
    free(text);
}

Test(recipe_print, later_errors_stand_at_their_key) {
    char *text = with_lines("    when: x > 3");
    struct recipe *r = parsed(text);
    struct error *error =
        recipe_error(r->source, probe_key_mark(&r->probes[0], "when"), "no %s here", "x");
    SHOULD_BE(error->message, "r.yaml:5:11: no x here", "at the key");
    error_free(error);
    error = recipe_error(r->source, probe_key_mark(&r->probes[0], "keep"), "x");
    SHOULD_BE(error->message, "r.yaml:3:3: x", "at the probe");
    error_free(error);
    recipe_free(r);
    free(text);
}
