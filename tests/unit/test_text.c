#include "base/text.h"
#include "unit.h"
#include <math.h>

static const struct {
    const char *text;
    bool ok;
    double value;
    enum unit_kind kind;
} quantities[] = {
    {"5", true, 5, UNIT_NONE},
    {"-5", true, -5, UNIT_NONE},
    {"1.5", true, 1.5, UNIT_NONE},
    {".5s", true, 5e8, UNIT_TIME},
    {"1ns", true, 1, UNIT_TIME},
    {"1us", true, 1e3, UNIT_TIME},
    {"20ms", true, 20e6, UNIT_TIME},
    {"1s", true, 1e9, UNIT_TIME},
    {"5m", true, 300e9, UNIT_TIME},
    {"1h", true, 3600e9, UNIT_TIME},
    {"2k", true, 2e3, UNIT_COUNT},
    {"2M", true, 2e6, UNIT_COUNT},
    {"2G", true, 2e9, UNIT_COUNT},
    {"1Ki", true, 1024, UNIT_COUNT},
    {"1Mi", true, 1048576, UNIT_COUNT},
    {"1Gi", true, 1073741824, UNIT_COUNT},
    {"64KiB", true, 65536, UNIT_COUNT},
    {"1MB", true, 1e6, UNIT_COUNT},
    {"7B", true, 7, UNIT_COUNT},
    {"5%", true, 0.05, UNIT_PERCENT},
    {"", false, 0, 0},
    {"s", false, 0, 0},
    {"-", false, 0, 0},
    {"1h30m", false, 0, 0},
    {"5 ms", false, 0, 0},
    {" 5ms", false, 0, 0},
    {"5ms ", false, 0, 0},
    {"5MS", false, 0, 0},
    {"5x", false, 0, 0},
    {"0x10", false, 0, 0},
    {"-0x10", false, 0, 0},
    {"inf", false, 0, 0},
    {"-inf", false, 0, 0},
    {"nan", false, 0, 0},
    {"1e999", false, 0, 0},
    {"1e308G", false, 0, 0},
};

Test(text, quantities) {
    for (size_t i = 0; i < COUNT(quantities); i++) {
        double value = 0;
        enum unit_kind kind = UNIT_NONE;
        bool ok = text_quantity(quantities[i].text, &value, &kind);
        cr_expect_eq(ok, quantities[i].ok, "\"%s\": %s (%g)", quantities[i].text,
                     ok ? "accepted" : "refused", value);
        if (!ok || !quantities[i].ok)
            continue;
        cr_expect(fabs(value - quantities[i].value) <= fabs(value) * 1e-12, "\"%s\" is %g",
                  quantities[i].text, value);
        cr_expect_eq(kind, quantities[i].kind, "\"%s\": unit %d", quantities[i].text, (int)kind);
    }
}

Test(text, units_are_exact_words) {
    enum unit_kind kind;
    double factor;
    static const char *const wrong[] = {"", "S", "Ms", "kb", "KB", "min", "K", "nss", "%%", "ib"};
    for (size_t i = 0; i < COUNT(wrong); i++)
        cr_expect(!text_unit(wrong[i], strlen(wrong[i]), &kind, &factor), "\"%s\"", wrong[i]);
    cr_expect(text_unit("msx", 2, &kind, &factor), "only `len` bytes count");
    cr_expect_eq(factor, 1e6);
}

Test(text, durations_for_people) {
    static const struct {
        uint64_t ns;
        const char *want;
    } cases[] = {{0, "0ns"},           {1, "1ns"},
                 {999, "999ns"},       {1000, "1us"},
                 {5200000, "5.2ms"},   {20000000, "20ms"},
                 {1000000000, "1s"},   {UINT64_C(60000000000), "1m"},
                 {1500000000, "1.5s"}, {UINT64_C(3600000000000), "1h"}};
    char out[16];
    for (size_t i = 0; i < COUNT(cases); i++)
        SHOULD_BE(text_duration(out, cases[i].ns), cases[i].want, "duration");
    for (uint64_t ns = 1; ns < UINT64_MAX / 3; ns = ns * 3 + 1)
        cr_expect_leq(strlen(text_duration(out, ns)), 15, "%s", out);
    cr_expect_leq(strlen(text_duration(out, UINT64_MAX)), 15, "%s", out);
}

Test(text, distance_counts_a_swap_once) {
    static const struct {
        const char *a, *b;
        unsigned limit, want;
    } cases[] = {
        {"", "", 3, 0},
        {"a", "", 3, 1},
        {"capture", "capture", 3, 0},
        {"captrue", "capture", 3, 1},
        {"kitten", "sitting", 3, 3},
        {"kitten", "sitting", 2, 3},
        {"abcdef", "", 3, 4},
        {"ab", "ba", 3, 1},
        {"when", "wehn", 1, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned got = text_distance(cases[i].a, cases[i].b, cases[i].limit);
        cr_expect_eq(got, cases[i].want, "%s %s: %u", cases[i].a, cases[i].b, got);
    }
    char longest[300];
    memset(longest, 'a', 299);
    longest[299] = '\0';
    cr_expect_eq(text_distance(longest, longest + 1, 5), 6,
                 "too long to compare: beyond the limit");
}

Test(text, nearest_is_what_was_meant_or_nothing) {
    static const char *const names[] = {"at", "capture", "max_hits", "when", "stack", NULL};
    static const struct {
        const char *word, *want;
    } cases[] = {{"captrue", "capture"}, {"maxhits", "max_hits"}, {"whne", "when"},
                 {"stak", "stack"},      {"elephant", "(none)"},  {"", "(none)"},
                 {"x", "(none)"}};
    for (size_t i = 0; i < COUNT(cases); i++)
        SHOULD_BE(text_nearest_of(cases[i].word, names), cases[i].want, cases[i].word);
}

Test(text, names) {
    static const char *const good[] = {"a", "_x", "slow-requests", "a1", "A_b-2"};
    static const char *const bad[] = {"", "1a", "-a", "a b", "a.b", "é", "a\n"};
    for (size_t i = 0; i < COUNT(good); i++)
        cr_expect(text_is_name(good[i]), "%s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        cr_expect(!text_is_name(bad[i]), "%s", bad[i]);
}

Test(text, utf8) {
    static const struct {
        const char *bytes;
        size_t n;
        bool ok;
    } cases[] = {
        {"", 0, true},
        {"abc", 3, true},
        {"a\0b", 3, true},
        {"h\xc3\xa9", 3, true},
        {"\xe2\x82\xac", 3, true},
        {"\xf0\x9f\x90\xbf", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"\xed\x9f\xbf", 3, true},
        {"\xff", 1, false},
        {"\x80", 1, false},
        {"\xc3", 1, false},
        {"\xe2\x82", 2, false},
        {"\xc0\x80", 2, false},         /* overlong */
        {"\xc1\xbf", 2, false},         /* overlong */
        {"\xe0\x80\x80", 3, false},     /* overlong */
        {"\xf0\x80\x80\x80", 4, false}, /* overlong */
        {"\xed\xa0\x80", 3, false},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, false}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", 4, false},
        {"\xc3(", 2, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(text_is_utf8(cases[i].bytes, cases[i].n), cases[i].ok, "case %zu", i);
}

Test(text, times_are_rfc_3339) {
    static const struct {
        int64_t ns;
        const char *want;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000000Z"},
        {1, "1970-01-01T00:00:00.000000001Z"},
        {INT64_C(1795406400123456789), "2026-11-23T04:00:00.123456789Z"},
        {INT64_C(951782399999999999), "2000-02-28T23:59:59.999999999Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[32];
        text_time(out, cases[i].ns);
        SHOULD_BE(out, cases[i].want, "time");
    }
}

Test(text, base64_both_ways) {
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer out = BUFFER_INIT(64);
        text_base64(&out, cases[i].bytes, strlen(cases[i].bytes));
        char *text = buffer_take(&out);
        SHOULD_BE(text, cases[i].text, "base64");
        size_t len = strlen(text);
        cr_expect(text_unbase64(text, &len), "%s", cases[i].text);
        cr_expect_eq(len, strlen(cases[i].bytes));
        cr_expect_arr_eq(text, cases[i].bytes, len);
        free(text);
    }
}

Test(text, what_is_no_base64_is_refused) {
    static const char *const bad[] = {"Zg=a", "Z", "Z===", "====", "Zm9v!", "Zm 9", "Zm9vY"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[16];
        size_t len = strlen(bad[i]);
        strcpy(text, bad[i]);
        cr_expect(!text_unbase64(text, &len), "\"%s\" was taken for base64", bad[i]);
    }
    char nul[] = "Zm\0v";
    size_t len = 4;
    cr_expect(!text_unbase64(nul, &len), "a NUL");
}

Test(text, arrays_grow_zeroed_and_keep_their_content) {
    int *array = NULL;
    size_t count = 0, cap = 0;
    for (int i = 0; i < 100; i++) {
        int *place = ARRAY_ADD(array, count, cap);
        cr_assert_not_null(place);
        cr_assert_eq(*place, 0);
        *place = i;
    }
    for (int i = 0; i < 100; i++)
        cr_assert_eq(array[i], i);
    cr_assert_eq(count, 100);
    free(array);
}

/* The vectors of its authors, for 64 bits. */
Test(text, hash_is_fnv_1a) {
    cr_expect_eq(text_hash("", 0), UINT64_C(0xcbf29ce484222325));
    cr_expect_eq(text_hash("a", 1), UINT64_C(0xaf63dc4c8601ec8c));
    cr_expect_eq(text_hash("foobar", 6), UINT64_C(0x85944171f73967e8));
}
