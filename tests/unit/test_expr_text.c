/* Printing, bounds, aggregates and templates. */
#include "expr/expr.h"
#include "unit.h"

static bool known(void *ctx, const char *name) {
    (void)ctx;
    return !strcmp(name, "a") || !strcmp(name, "s") || !strcmp(name, "b");
}

static const char *name_at(void *ctx, size_t i) {
    static const char *const names[] = {"a", "s", "b"};
    (void)ctx;
    return i < 3 ? names[i] : NULL;
}

static struct expr_value lookup(void *ctx, const char *name) {
    (void)ctx;
    if (*name == 's')
        return (struct expr_value){.kind = EXPR_STRING, .text = "a\0b", .len = 3};
    if (*name == 'b')
        return expr_failed("not read");
    return (struct expr_value){.kind = EXPR_INT, .i = 5200000, .unit = UNIT_TIME};
}

static const struct expr_scope scope = {.known = known, .name = name_at};
static const struct expr_scope judging = {.known = known, .name = name_at, .aggregates = true};

static struct error *parse(const char *text, const struct expr_scope *in, struct expr **out) {
    size_t at;
    return expr_parse(text, in, out, &at);
}

static char *printed(const char *text) {
    struct expr *expr = NULL;
    struct error *error = parse(text, &judging, &expr);
    cr_assert_null(error, "%s: %s", text, error ? error->message : "");
    struct buffer out = BUFFER_INIT(1 << 16);
    expr_print(expr, &out);
    expr_free(expr);
    return buffer_take(&out);
}

Test(expr_text, printing_shows_what_precedence_means) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"a + 1 * 2 == 3 && s == \"x\" || a > 1",
         "((((a + (1 * 2)) == 3) && (s == \"x\")) || (a > 1))"},
        {"a - 1 - 2", "((a - 1) - 2)"},
        {"!(a == 1)", "!(a == 1)"},
        {"p99(a) < 200ms", "(p99(a) < 200ms)"},
        {"replace(s, \"[0-9]+\", `:id`)", "replace(s, \"[0-9]+\", \":id\")"},
        {"s[\"k\"].x[0]", "s[\"k\"].x[0]"},
        {"nil == true", "(nil == true)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *got = printed(cases[i].text);
        SHOULD_BE(got, cases[i].want, cases[i].text);
        free(got);
    }
}

Test(expr_text, what_is_printed_means_the_same) {
    static const char *const texts[] = {"a > 1234567us",
                                        "a > 1.23456789",
                                        "a > 16777217.5",
                                        "-(a.x)",
                                        "(-a).x",
                                        "(-a)[0]",
                                        "s == \"\\\\d\\n\\t\"",
                                        "s == `\r`",
                                        "a * -2",
                                        "!(!(a == 1))",
                                        "a > 5%",
                                        "a > 90061s",
                                        "a > 1e300",
                                        "(a == 1) == true"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *once = printed(texts[i]);
        char *twice = printed(once);
        SHOULD_BE(twice, once, texts[i]);
        free(once);
        free(twice);
    }
    static const struct {
        const char *text, *digits;
    } exact[] = {
        {"a > 1234567us", "1.234567s"}, {"a > 16777217.5", "16777217.5"}, {"(-a).x", "(-a).x"}};
    for (size_t i = 0; i < COUNT(exact); i++) {
        char *got = printed(exact[i].text);
        SHOULD_HOLD(got, exact[i].digits, "`check` echoes it as it was understood");
        free(got);
    }
}

Test(expr_text, aggregates_only_where_runs_are_judged) {
    static const char *const names[] = {"never", "none", "all", "any", "count", "total", "min",
                                        "max",   "avg",  "sum", "p50", "p90",   "p95",   "p99"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char text[64];
        struct expr *expr = NULL;
        snprintf(text, sizeof text, "%s(a)", names[i]);
        struct error *error = parse(text, &judging, &expr);
        cr_expect_null(error, "%s: %s", text, error ? error->message : "");
        error_free(error);
        expr_free(expr);
        expr = NULL;
        error = parse(text, &scope, &expr);
        cr_expect_not_null(error, "%s outside of expect", text);
        error_free(error);
    }
}

static void expect_depth(const char *open, size_t n, const char *middle, const char *close,
                         bool ok) {
    struct buffer text = BUFFER_INIT(1 << 20);
    for (size_t i = 0; i < n; i++)
        buffer_puts(&text, open);
    buffer_puts(&text, middle);
    for (size_t i = 0; i < n; i++)
        buffer_puts(&text, close);
    struct expr *expr = NULL;
    struct error *error = parse(text.data, &scope, &expr);
    cr_expect_eq(error == NULL, ok, "%zu times %s: %s", n, open, error ? error->message : "fine");
    struct buffer scratch = BUFFER_INIT(4096), in = BUFFER_INIT(16), out = BUFFER_INIT(1 << 20);
    struct expr_env env = {.in = &in, .lookup = lookup, .scratch = &scratch};
    if (expr) {
        expr_eval(expr, &env);
        expr_print(expr, &out);
    }
    expr_free(expr);
    error_free(error);
    buffer_free(&text);
    buffer_free(&scratch);
    buffer_free(&out);
}

Test(expr_text, depth_has_a_bound) {
    expect_depth("(", 30, "a", ")", true);
    expect_depth("!", 30, "true", "", true);
    expect_depth("(", EXPR_DEPTH_MAX + 1, "a", ")", false);
    expect_depth("!", EXPR_DEPTH_MAX + 1, "true", "", false);
    expect_depth("-", 2000, "a", "", false);
    expect_depth("s[", EXPR_DEPTH_MAX + 1, "0", "]", false);
    expect_depth("len(", EXPR_DEPTH_MAX + 1, "s", ")", false);
    expect_depth("(", 2000, "a", ")", false);
}

Test(expr_text, long_chains_do_no_harm) {
    expect_depth("1+", 2000, "1", "", true);
    expect_depth("", 2000, "s", ".x", true);
    expect_depth("", 1300, "s", "[0]", true);
    expect_depth("(", 2049, "a", ")", false);
    expect_depth("a+", 2049, "a", "", false);
}

Test(expr_text, the_longest_text_is_4096_bytes) {
    char text[EXPR_TEXT_MAX + 2];
    struct expr *expr = NULL;
    memset(text, ' ', sizeof text);
    text[0] = 'a';
    text[EXPR_TEXT_MAX] = '\0';
    struct error *error = parse(text, &scope, &expr);
    cr_expect_null(error);
    expr_free(expr);
    expr = NULL;
    text[EXPR_TEXT_MAX] = ' ';
    text[EXPR_TEXT_MAX + 1] = '\0';
    error = parse(text, &scope, &expr);
    cr_expect_not_null(error);
    error_free(error);
}

Test(expr_text, strings_that_are_made_have_a_bound) {
    struct expr *expr = NULL;
    cr_assert_null(parse("len(replace(\"aaaaaaaaaaaaaaaa\", \"a\", \"0123456789abcdef\")) > 0",
                         &scope, &expr));
    struct buffer scratch = BUFFER_INIT(64), in = BUFFER_INIT(16);
    struct expr_env env = {.in = &in, .lookup = lookup, .scratch = &scratch};
    cr_assert_eq(expr_eval(expr, &env).kind, EXPR_FAILED);
    buffer_free(&scratch);
    expr_free(expr);
}

Test(expr_text, strings_may_hold_nul_bytes) {
    struct expr *expr = NULL;
    cr_assert_null(parse("len(replace(s, \"a\", \"xx\") + s)", &scope, &expr));
    struct buffer scratch = BUFFER_INIT(4096), in = BUFFER_INIT(16);
    struct expr_env env = {.in = &in, .lookup = lookup, .scratch = &scratch};
    cr_assert_eq(expr_eval(expr, &env).i, 7);
    buffer_free(&scratch);
    expr_free(expr);
}

static char *rendered(const char *text) {
    struct expr_template *template = NULL;
    struct buffer out = BUFFER_INIT(1 << 16), scratch = BUFFER_INIT(4096), in = BUFFER_INIT(16);
    size_t at = 0;
    struct error *error = expr_template_parse(text, &scope, &template, &at);
    if (error) {
        buffer_printf(&out, "error %zu: %s", at, error->message);
        error_free(error);
        return buffer_take(&out);
    }
    struct expr_env env = {.in = &in, .lookup = lookup, .scratch = &scratch};
    expr_template_render(template, &env, &out);
    expr_template_free(template);
    buffer_free(&scratch);
    return buffer_take(&out);
}

Test(expr_text, templates) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"took {a}", "took 5.2ms"},
        {"{a}{a}", "5.2ms5.2ms"},
        {"{{a}}", "{a}"},
        {"{{{a}}}", "{5.2ms}"},
        {"}}{{", "}{"},
        {"{ a > 1ms }", "true"},
        {"{\"}\" + \"{\"}", "}{"},
        {"{`}`}", "}"},
        {"{b} is said", "<not read> is said"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *got = rendered(cases[i].text);
        SHOULD_BE(got, cases[i].want, cases[i].text);
        free(got);
    }
    static const struct {
        const char *text, *want;
    } wrong[] = {
        {"a}", "error 1: "},   {"{a", "error 0: "},       {"xy{", "error 2: "},
        {"{}", "error 1: "},   {"x {nope}", "error 3: "}, {"{a +}", "error 4: "},
        {"{\"}", "error 0: "},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char *got = rendered(wrong[i].text);
        cr_expect(!strncmp(got, wrong[i].want, strlen(wrong[i].want)),
                  "%s\n  expected: %s\n  got: %s", wrong[i].text, wrong[i].want, got);
        free(got);
    }
}
