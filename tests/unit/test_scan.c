#include "delve/scan.h"
#include "unit.h"

static struct span of(const char *text) {
    return span_of(text, strlen(text));
}

static void expect_span(struct span span, const char *want, const char *what) {
    char *got = span.at ? strndup(span.at, span.len) : NULL;
    SHOULD_BE(got, want, what);
    free(got);
}

Test(scan, members_in_any_order_with_any_space) {
    static const char *const names[] = {"id", "result", "error", "gone"};
    struct span out[4];
    cr_assert(span_members(
        of(" { \"x\" : [1,{\"id\":9}] , \"error\":null,\n\t\"result\" : {\"a\":\"}\\\"\"}"
           " ,\"id\":5}\n"),
        names, out, 4));
    expect_span(out[0], "5", "id");
    expect_span(out[1], "{\"a\":\"}\\\"\"}", "result");
    expect_span(out[2], "null", "error");
    expect_span(out[3], "(none)", "not there");
}

Test(scan, only_whole_names_match) {
    static const char *const names[] = {"id", "line"};
    struct span out[2];
    cr_assert(span_members(of("{\"i\":1,\"idx\":2,\"lin\":3,\"lines\":4,\"\":5}"), names, out, 2));
    cr_assert_null(out[0].at);
    cr_assert_null(out[1].at);
}

/* A key with a NUL in it: `text` is longer than strlen() says. */
Test(scan, a_nul_inside_of_a_key_is_no_match) {
    static const char *const names[] = {"id"};
    static const char text[] =
        "{\"id\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}";
    struct span out[1];
    if (span_members(span_of(text, sizeof text - 1), names, out, 1))
        cr_assert_null(out[0].at);
}

Test(scan, broken_objects_are_refused) {
    static const char *const texts[] = {
        "",
        " ",
        "null",
        "[]",
        "5",
        "\"x\"",
        "{",
        "{\"",
        "{\"id",
        "{\"id\"",
        "{\"id\":",
        "{\"id\":1",
        "{\"id\":1,",
        "{\"id\":1,}",
        "{\"id\" 1}",
        "{id:1}",
        "{,}",
        "{\"id\":}",
        "{\"id\":1 \"b\":2}",
        "{\"id\":\"x}",
        "{\"id\":\"x\\\"}",
        "{\"id\":[}",
        "{\"id\":]}",
        "{\"id\":1]",
        "{\"id\":1} trailing",
        "{\"id\":1}{\"id\":2}",
    };
    static const char *const names[] = {"id"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct span out[1];
        cr_expect(!span_members(of(texts[i]), names, out, 1), "%s", texts[i]);
    }
    struct span absent = {0}, out[1];
    cr_expect(!span_members(absent, names, out, 1), "absent");
}

Test(scan, empty_objects_are_fine) {
    static const char *const names[] = {"id"};
    struct span out[1];
    cr_assert(span_members(of("{}"), names, out, 1));
    cr_assert_null(out[0].at);
    cr_assert(span_members(of(" { } "), names, out, 1));
}

static size_t count_elements(const char *text, bool *broken) {
    struct span rest = of(text), element;
    size_t n = 0;
    while (span_element(&rest, &element, broken))
        n++;
    return n;
}

Test(scan, elements) {
    static const struct {
        const char *text;
        size_t n;
        bool broken;
    } cases[] = {
        {"[]", 0, false},     {" [ ] ", 0, false},
        {"[1]", 1, false},    {"[1,\"a,]\",[2,3],{\"x\":[4]} , null]", 5, false},
        {"null", 0, false},   {"", 0, true},
        {"5", 0, true},       {"{}", 0, true},
        {"\"abc\"", 0, true}, {"[", 0, true},
        {"[1", 1, true},      {"[1,", 1, true},
        {"[1 2]", 1, true},   {"[,1]", 0, true},
        {"[1,]", 1, true},    {"[[1]", 1, true},
        {"[\"a]", 0, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool broken = false;
        size_t n = count_elements(cases[i].text, &broken);
        cr_expect_eq(n, cases[i].n, "%s: %zu elements", cases[i].text, n);
        cr_expect_eq(broken, cases[i].broken, "%s: broken %d", cases[i].text, broken);
    }
    bool broken;
    struct span rest = {0}, element;
    cr_expect(!span_element(&rest, &element, &broken) && !broken, "absent is empty");
}

Test(scan, elements_with_their_members) {
    static const struct {
        const char *text;
        size_t n;
        bool broken;
    } cases[] = {{"[]", 0, false},
                 {"[{\"id\":1}, {\"x\":[{}],\"id\":2} ,{}]", 3, false},
                 {"null", 0, false},
                 {"[{\"id\":1},5]", 1, true},
                 {"[{\"id\":1},null]", 1, true},
                 {"[{\"id\":1},{\"id\"", 1, true},
                 {"[{\"id\":1},]", 1, true},
                 {"[{\"id\":1}", 1, true},
                 {"[{\"id\":1}{}]", 1, true}};
    static const char *const names[] = {"id"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span rest = of(cases[i].text), out[1];
        bool broken = false;
        size_t n = 0;
        for (; span_element_members(&rest, names, out, 1, &broken); n++)
            cr_expect_eq(span_int(out[0]), n < 2 ? (int64_t)n + 1 : 0, "%s", cases[i].text);
        cr_expect_eq(n, cases[i].n, "%s: %zu elements", cases[i].text, n);
        cr_expect_eq(broken, cases[i].broken, "%s: broken %d", cases[i].text, broken);
    }
}

static char *nested(size_t depth) {
    char *text = malloc(2 * depth + 32);
    char *p = text + sprintf(text, "{\"id\":");
    memset(p, '[', depth);
    memset(p + depth, ']', depth);
    strcpy(p + 2 * depth, "}");
    return text;
}

Test(scan, nesting_has_a_bound) {
    static const char *const names[] = {"id"};
    struct span out[1];
    char *text = nested(SPAN_DEPTH_MAX);
    cr_expect(span_members(of(text), names, out, 1), "the maximum");
    free(text);
    text = nested(SPAN_DEPTH_MAX + 1);
    cr_expect(!span_members(of(text), names, out, 1), "one more");
    free(text);
    text = nested(1000000);
    cr_expect(!span_members(of(text), names, out, 1), "very deep");
    free(text);
}

Test(scan, scalars) {
    cr_expect_eq(span_int(of("-42")), -42);
    cr_expect_eq(span_int(of("9223372036854775807")), INT64_MAX);
    cr_expect_eq(span_uint(of("18446744073709551615")), UINT64_MAX);
    static const char *const none[] = {"null", "\"5\"", "true", "[5]", "{}", ""};
    for (size_t i = 0; i < COUNT(none); i++) {
        cr_expect_eq(span_int(of(none[i])), 0, "%s", none[i]);
        cr_expect_eq(span_uint(of(none[i])), 0, "%s", none[i]);
        cr_expect(!span_true(of(none[i])) || i == 2, "%s", none[i]);
    }
    cr_expect_eq(span_uint(of("-5")), 0);
    cr_expect(span_true(of("true")) && !span_true(of("false")) && !span_true((struct span){0}));
    cr_expect(span_is_null(of("null")) && span_is_null((struct span){0}) && !span_is_null(of("0")));
    cr_expect(span_equals(of("\"continue\""), "continue"));
    cr_expect(!span_equals(of("\"continue\""), "contin"));
    cr_expect(!span_equals(of("\"contin\""), "continue"));
    cr_expect(!span_equals((struct span){0}, ""));
    cr_expect(span_equals(of("\"\""), ""));
}

static const struct {
    const char *text;
    uint64_t want;
} bigs[] = {{"13758215386640154624", UINT64_C(13758215386640154624)},
            {"18446744073709551615", UINT64_MAX},
            {"9223372036854775807", INT64_MAX},
            {"9223372036854775808", UINT64_C(9223372036854775808)},
            {"123456789012345678", UINT64_C(123456789012345678)},
            {"1234567890123456789", UINT64_C(1234567890123456789)},
            {"7", 7}};

Test(scan, integers_that_jansson_refuses_keep_every_bit) {
    struct buffer scratch = BUFFER_INIT(1 << 16);
    for (size_t i = 0; i < COUNT(bigs); i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"addr\":%s,\"l\":[%s , %s]}", bigs[i].text, bigs[i].text,
                 bigs[i].text);
        json_t *json = span_decode(of(text), &scratch);
        cr_assert_not_null(json, "%s", text);
        cr_expect_eq(delve_uint(json_object_get(json, "addr")), bigs[i].want, "%s", text);
        cr_expect_eq(delve_uint(json_array_get(json_object_get(json, "l"), 1)), bigs[i].want, "%s",
                     text);
        json_decref(json);
    }
    json_t *json = span_decode(of("[-9223372036854775808,-5]"), &scratch);
    cr_assert_eq(delve_int(json_array_get(json, 0)), INT64_MIN);
    cr_assert_eq(delve_int(json_array_get(json, 1)), -5);
    json_decref(json);
    buffer_free(&scratch);
}

Test(scan, everything_but_big_integers_is_left_alone) {
    struct buffer scratch = BUFFER_INIT(1 << 16);
    json_t *json =
        span_decode(of("{\"s\":\"x 13758215386640154624 \\\" 99999999999999999999\","
                       "\"f\":12345678901234567890.5,\"e\":1234567890123456789e2,\"n\":-0.5,"
                       "\"u\":\"\\u0000\"}"),
                    &scratch);
    cr_assert_not_null(json);
    SHOULD_BE(delve_text(json_object_get(json, "s")),
              "x 13758215386640154624 \" 99999999999999999999", "string");
    cr_expect(json_is_real(json_object_get(json, "f")));
    cr_expect(json_is_real(json_object_get(json, "e")));
    cr_expect_eq(json_string_length(json_object_get(json, "u")), 1, "NUL bytes are text");
    json_decref(json);
    buffer_free(&scratch);
}

Test(scan, decoding_what_is_no_json_is_null) {
    struct buffer scratch = BUFFER_INIT(256);
    static const char *const texts[] = {"", "{", "[1,]", "{}x", "nul", "\"\xff\"", "[1 2]", "--1"};
    for (size_t i = 0; i < COUNT(texts); i++)
        cr_expect_null(span_decode(of(texts[i]), &scratch), "%s", texts[i]);
    cr_expect_null(span_decode((struct span){0}, &scratch));
    char longer[400];
    memset(longer, '1', sizeof longer);
    cr_expect_null(span_decode(span_of(longer, sizeof longer), &scratch), "beyond the scratch");
    buffer_free(&scratch);
}

Test(scan, numbers_of_other_things_are_0) {
    struct buffer scratch = BUFFER_INIT(256);
    static const char *const texts[] = {"null", "true", "\"abc\"", "\"\"", "[]", "{}", "\"12abc\""};
    for (size_t i = 0; i < COUNT(texts); i++) {
        json_t *json = span_decode(of(texts[i]), &scratch);
        cr_expect_eq(delve_int(json), 0, "%s", texts[i]);
        cr_expect_eq(delve_uint(json), 0, "%s", texts[i]);
        json_decref(json);
    }
    cr_expect_eq(delve_int(NULL), 0);
    cr_expect_str_eq(delve_text(NULL), "");
    buffer_free(&scratch);
}

Test(scan, replies) {
    struct delve_reply reply;
    cr_assert(delve_reply_parse(of("{\"id\":12,\"result\":{\"a\":1},\"error\":null}\n"), &reply));
    cr_assert_eq(reply.id, 12);
    expect_span(reply.result, "{\"a\":1}", "result");
    cr_assert_null(reply.error.at);
    cr_assert(delve_reply_parse(of("{\"error\":\"no\",\"result\":null,\"id\":3}"), &reply));
    expect_span(reply.error, "\"no\"", "error");
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "{\"result\":{}}",
                                      "{\"id\":null,\"error\":\"x\"}",
                                      "{\"id\":\"7\",\"result\":{}}",
                                      "{\"id\":-1,\"result\":{}}",
                                      "{\"id\":1,\"result\":{\"a\":}",
                                      "Content-Length: 119"};
    for (size_t i = 0; i < COUNT(bad); i++)
        cr_expect(!delve_reply_parse(of(bad[i]), &reply), "%s", bad[i]);
}
