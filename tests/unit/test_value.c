#include "unit.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

static struct buffer fresh(void) {
    return BUFFER_INIT(1 << 20);
}

static void expect_json(struct buffer *in, value_ref ref, const char *want) {
    char *got = json_of(in, ref);
    SHOULD_BE(got, want, "json");
    free(got);
}

Test(value, integers_beyond_53_bits_are_strings) {
    static const struct {
        int64_t i;
        const char *want;
    } ints[] = {{0, "0"},
                {-1, "-1"},
                {INT64_C(9007199254740991), "9007199254740991"},
                {INT64_C(9007199254740992), "\"9007199254740992\""},
                {INT64_C(-9007199254740991), "-9007199254740991"},
                {INT64_C(-9007199254740992), "\"-9007199254740992\""},
                {INT64_MIN, "\"-9223372036854775808\""}};
    struct buffer in = fresh();
    for (size_t i = 0; i < COUNT(ints); i++)
        expect_json(&in, value_int(&in, ints[i].i), ints[i].want);
    expect_json(&in, value_uint(&in, UINT64_C(9007199254740991)), "9007199254740991");
    expect_json(&in, value_uint(&in, UINT64_C(9007199254740992)), "\"9007199254740992\"");
    expect_json(&in, value_uint(&in, UINT64_MAX), "\"18446744073709551615\"");
    buffer_free(&in);
}

Test(value, floats_read_back_as_they_were) {
    static const double floats[] = {0.1,  1.0 / 3, 1e300, 5e-324, 123456789.125,
                                    -2.5, 1e15,    1e16,  3};
    struct buffer in = fresh();
    for (size_t i = 0; i < COUNT(floats); i++) {
        char *text = json_of(&in, value_float(&in, floats[i]));
        cr_expect_eq(strtod(text, NULL), floats[i], "%s", text);
        json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
        cr_expect(json_is_number(json), "%s", text);
        json_decref(json);
        free(text);
    }
    buffer_free(&in);
}

Test(value, nan_and_infinities_are_strings) {
    struct buffer in = fresh();
    static const double floats[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT(floats); i++) {
        char *text = json_of(&in, value_float(&in, floats[i]));
        json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
        cr_expect(json_is_string(json), "%s", text);
        json_decref(json);
        free(text);
    }
    buffer_free(&in);
}

Test(value, leaves) {
    struct buffer in = fresh();
    value_ref complex = value_new(&in, VALUE_COMPLEX);
    value_get(&in, complex)->complex.re = 1;
    value_get(&in, complex)->complex.im = -2.5;
    expect_json(&in, complex, "{\"$complex\":[1,-2.5]}");
    expect_json(&in, value_new(&in, VALUE_NULL), "null");
    expect_json(&in, value_bool(&in, true), "true");
    expect_json(&in, value_bool(&in, false), "false");
    expect_json(&in, value_string(&in, "h\xc3\xa9", 3), "\"h\xc3\xa9\"");
    expect_json(&in, value_string(&in, "a\xff", 2), "{\"$bytes\":\"Yf8=\"}");
    expect_json(&in, value_string(&in, "", 0), "\"\"");
    expect_json(&in, value_texted(&in, VALUE_BYTES, "foo", 3), "{\"$bytes\":\"Zm9v\"}");
    expect_json(&in, value_address(&in, VALUE_PTR, 0x4844c0), "{\"$ptr\":\"0x4844c0\"}");
    expect_json(&in, value_address(&in, VALUE_CHAN, 0xc000), "{\"$chan\":\"0xc000\"}");
    expect_json(&in, value_texted(&in, VALUE_FUNC, "main.f", 6), "{\"$func\":\"main.f\"}");
    expect_json(&in, value_error(&in, "no %s", "\"x\""), "{\"$error\":\"no \\\"x\\\"\"}");
    expect_json(&in, value_new(&in, VALUE_REDACTED), "{\"$redacted\":true}");
    expect_json(&in, 0, "null");
    buffer_free(&in);
}

Test(value, control_characters_are_escaped) {
    struct buffer in = fresh();
    char all[128];
    for (int i = 0; i < 128; i++)
        all[i] = (char)i;
    char *text = json_of(&in, value_string(&in, all, sizeof all));
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    cr_assert_not_null(json, "%s", text);
    cr_assert_eq(json_string_length(json), 128);
    cr_assert_arr_eq(json_string_value(json), all, 128);
    cr_assert_null(strchr(text, '\n'), "an event is one line");
    json_decref(json);
    free(text);
    buffer_free(&in);
}

Test(value, composites) {
    struct buffer in = fresh();
    value_ref object = value_new(&in, VALUE_OBJECT), list = value_new(&in, VALUE_LIST);
    value_ref pairs = value_new(&in, VALUE_PAIRS);
    expect_json(&in, object, "{}");
    expect_json(&in, list, "[]");
    expect_json(&in, pairs, "[]");
    value_append(&in, list, value_int(&in, 1));
    value_append(&in, list, value_new(&in, VALUE_NULL));
    value_append(&in, pairs, value_int(&in, 1));
    value_append(&in, pairs, value_string(&in, "one", 3));
    value_append(&in, pairs, value_string(&in, "$x", 2));
    value_append(&in, pairs, value_int(&in, 2));
    value_set(&in, object, "list", list);
    value_set(&in, object, "a\"b\n", pairs);
    value_set_text(&in, object, "", "empty key");
    expect_json(&in, object,
                "{\"list\":[1,null],\"a\\\"b\\n\":[[1,\"one\"],[\"$x\",2]],\"\":\"empty key\"}");
    cr_assert_eq(value_find(&in, object, "list"), list);
    cr_assert_neq(value_find(&in, object, ""), 0);
    cr_assert_eq(value_find(&in, object, "lis"), 0);
    cr_assert_eq(value_find(&in, list, "list"), 0);
    cr_assert_eq(value_find(&in, 0, "list"), 0);
    buffer_free(&in);
}

Test(value, truncated_says_how_much_there_was) {
    struct buffer in = fresh();
    value_ref text = value_string(&in, "abc", 3), list = value_new(&in, VALUE_LIST);
    value_truncate(&in, text, 300);
    expect_json(&in, text, "{\"$truncated\":{\"of\":300,\"value\":\"abc\"}}");
    value_append(&in, list, text);
    value_truncate(&in, list, 9);
    expect_json(
        &in, list,
        "{\"$truncated\":{\"of\":9,\"value\":[{\"$truncated\":{\"of\":300,\"value\":\"abc\"}}]}}");
    value_truncate(&in, 0, 5);
    buffer_free(&in);
}

/* One of everything. */
static value_ref rich(struct buffer *in) {
    value_ref object = value_new(in, VALUE_OBJECT), list = value_new(in, VALUE_LIST);
    value_ref pairs = value_new(in, VALUE_PAIRS), complex = value_new(in, VALUE_COMPLEX);
    if (complex) {
        value_get(in, complex)->complex.re = 1;
        value_get(in, complex)->complex.im = 2;
    }
    value_append(in, list, value_int(in, -5));
    value_append(in, list, value_float(in, 0.5));
    value_append(in, list, complex);
    value_append(in, list, value_bool(in, true));
    value_truncate(in, list, 99);
    value_append(in, pairs, value_uint(in, UINT64_MAX));
    value_append(in, pairs, value_error(in, "unreadable"));
    value_set(in, object, "list", list);
    value_set(in, object, "pairs", pairs);
    value_set_text(in, object, "text", "some text that is not very short");
    value_set(in, object, "ptr", value_address(in, VALUE_PTR, 0x10));
    value_set(in, object, "gone", value_new(in, VALUE_REDACTED));
    value_set(in, object, "f", value_texted(in, VALUE_FUNC, "main.f", 6));
    return object;
}

Test(value, copies_are_deep) {
    struct buffer from = fresh(), into = fresh();
    value_ref original = rich(&from);
    char *want = json_of(&from, original);
    value_ref copy = value_copy(&into, &from, original);
    buffer_free(&from);
    expect_json(&into, copy, want);
    cr_assert_eq(value_copy(&into, &from, original), 0, "nothing to copy");
    free(want);
    buffer_free(&into);
}

Test(value, copies_within_one_buffer_that_moves) {
    struct buffer in = fresh();
    value_ref original = rich(&in);
    char *want = json_of(&in, original);
    for (int i = 0; i < 12; i++) /* the buffer grows, and moves, in between */
        original = value_copy(&in, &in, original);
    expect_json(&in, original, want);
    free(want);
    buffer_free(&in);
}

Test(value, offsets_outside_are_no_value) {
    struct buffer in = fresh();
    value_ref object = rich(&in);
    cr_assert_null(value_get(&in, 0));
    cr_assert_null(value_get(&in, (value_ref)in.len));
    cr_assert_null(value_get(&in, UINT32_MAX));
    cr_assert_null(value_get(&in, UINT32_MAX & ~7u));
    cr_assert_null(value_get(&in, (value_ref)(in.len - sizeof(struct value) + 8) & ~7u));
    cr_assert_null(value_get(&in, object + 1), "not aligned");
    struct buffer empty = fresh();
    cr_assert_null(value_get(&empty, 8));
    expect_json(&in, UINT32_MAX & ~7u, "null");
    buffer_free(&in);
}

Test(value, a_full_buffer_fails_quietly_and_says_so) {
    for (size_t max = 0; max < 1500; max += 7) {
        struct buffer in = BUFFER_INIT(max), out = BUFFER_INIT(1 << 16);
        value_ref ref = rich(&in);
        value_json(&in, ref, &out);
        cr_expect(in.failed || max > 700, "max %zu", max);
        buffer_free(&in);
        buffer_free(&out);
    }
}

Test(value, errors_stay_utf8_when_they_are_cut) {
    struct buffer in = fresh();
    char why[2048];
    for (size_t i = 0; i + 2 < sizeof why; i += 2)
        memcpy(why + i, "\xc3\xa9", 3);
    for (int shift = 0; shift < 2; shift++) {
        value_ref ref = value_error(&in, "%s%s", shift ? "x" : "", why);
        char *text = json_of(&in, ref);
        json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
        cr_expect_not_null(json, "shift %d: the JSON of a long error is not UTF-8", shift);
        json_decref(json);
        free(text);
    }
    buffer_free(&in);
}

Test(value, numbers) {
    struct buffer in = fresh();
    double number = 0;
    cr_assert(value_number(value_get(&in, value_int(&in, -3)), &number) && number == -3);
    cr_assert(value_number(value_get(&in, value_uint(&in, 3)), &number) && number == 3);
    cr_assert(value_number(value_get(&in, value_float(&in, 0.5)), &number) && number == 0.5);
    cr_assert(!value_number(value_get(&in, value_bool(&in, true)), &number));
    cr_assert(!value_number(value_get(&in, value_string(&in, "1", 1)), &number));
    buffer_free(&in);
}
