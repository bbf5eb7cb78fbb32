/* Single Variables, in the words of the servers that send them (empty members left out). */
#include "variable.h"

#define STRING(value, len)                                                                         \
    "{\"kind\":24,\"realType\":\"string\",\"value\":\"" value "\",\"len\":" #len ",\"base\":4096}"
#define INT(value) "{\"kind\":2,\"realType\":\"int\",\"value\":\"" value "\"}"
#define BYTE(value) "{\"kind\":7,\"realType\":\"uint8\",\"value\":\"" value "\"}"

static const struct {
    const char *what, *text, *want;
} cases[] = {
    {"a constant", "{\"kind\":2,\"realType\":\"main.Color\",\"value\":\"main.Red (0)\"}", "0"},
    {"flags", "{\"kind\":2,\"realType\":\"main.F\",\"value\":\"main.A|main.B (3)\"}", "3"},
    {"a negative constant", "{\"kind\":2,\"realType\":\"main.C\",\"value\":\"main.Min (-5)\"}",
     "-5"},
    {"an unsigned constant",
     "{\"kind\":7,\"realType\":\"main.U\",\"value\":\"main.Max (18446744073709551615)\"}",
     "\"18446744073709551615\""},
    {"a literal string has no length",
     "{\"kind\":24,\"realType\":\"string\",\"flags\":4,\"value\":\"abc\"}", "\"abc\""},
    {"true", "{\"kind\":1,\"realType\":\"bool\",\"value\":\"true\"}", "true"},
    {"false", "{\"kind\":1,\"realType\":\"bool\",\"value\":\"false\"}", "false"},
    {"+Inf", "{\"kind\":14,\"realType\":\"float64\",\"value\":\"+Inf\"}", "\"+Inf\""},
    {"-Inf", "{\"kind\":14,\"realType\":\"float64\",\"value\":\"-Inf\"}", "\"-Inf\""},
    {"NaN", "{\"kind\":14,\"realType\":\"float64\",\"value\":\"NaN\"}", "\"NaN\""},
    {"unreadable",
     "{\"kind\":25,\"realType\":\"main.T\",\"unreadable\":\"input/output error\",\"len\":2}",
     "{\"$error\":\"input/output error\"}"},
    {"an unreadable element of a struct",
     "{\"kind\":25,\"realType\":\"main.T\",\"len\":2,\"children\":[{\"name\":\"a\",\"kind\":2,"
     "\"unreadable\":\"optimized out\"},{\"name\":\"b\",\"kind\":2,\"value\":\"1\"}]}",
     "{\"a\":{\"$error\":\"optimized out\"},\"b\":1}"},
    {"a cut string", STRING("abc", 10), "{\"$truncated\":{\"of\":10,\"value\":\"abc\"}}"},
    {"raw bytes of a broken string",
     "{\"kind\":24,\"realType\":\"string\",\"value\":\"a\xef\xbf\xbd\",\"StringValueBytes\":\"Yf8="
     "\","
     "\"len\":2,\"base\":9}",
     "{\"$bytes\":\"Yf8=\"}"},
    {"raw bytes that are cut",
     "{\"kind\":24,\"realType\":\"string\",\"value\":\"a\xef\xbf\xbd\",\"StringValueBytes\":\"Yf8="
     "\","
     "\"len\":9,\"base\":9}",
     "{\"$truncated\":{\"of\":9,\"value\":{\"$bytes\":\"Yf8=\"}}}"},
    {"a string cut within a character",
     "{\"kind\":24,\"realType\":\"string\",\"value\":\"a\xef\xbf\xbd\",\"StringValueBytes\":\"YcM="
     "\","
     "\"len\":9,\"base\":9}",
     "{\"$truncated\":{\"of\":9,\"value\":\"a\"}}"},
    {"a map that is cut",
     "{\"kind\":21,\"realType\":\"map[string]int\",\"len\":9,\"base\":1,\"children\":[" STRING(
         "k", 1) "," INT("5") "]}",
     "{\"$truncated\":{\"of\":9,\"value\":{\"k\":5}}}"},
    {"a map with a broken key",
     "{\"kind\":21,\"realType\":\"map[string]int\",\"len\":1,\"base\":1,\"children\":["
     "{\"kind\":24,\"realType\":\"string\",\"value\":\"\xef\xbf\xbd\",\"StringValueBytes\":\"/"
     "w==\","
     "\"len\":1}," INT("5") "]}",
     "[[{\"$bytes\":\"/w==\"},5]]"},
    {"a map with one $ key among others",
     "{\"kind\":21,\"realType\":\"map[string]int\",\"len\":2,\"base\":1,\"children\":[" STRING(
         "a", 1) "," INT("1") "," STRING("$b", 2) "," INT("2") "]}",
     "[[\"a\",1],[\"$b\",2]]"},
    {"a map with a cut key",
     "{\"kind\":21,\"realType\":\"map[string]int\",\"len\":1,\"base\":1,\"children\":[" STRING(
         "abc", 300) "," INT("1") "]}",
     "[[{\"$truncated\":{\"of\":300,\"value\":\"abc\"}},1]]"},
    {"a struct that was not loaded whole",
     "{\"kind\":25,\"realType\":\"main.T\",\"len\":2,\"children\":[{\"name\":\"a\",\"kind\":2,"
     "\"value\":\"1\"}]}",
     "{\"$truncated\":{\"of\":2,\"value\":{\"a\":1}}}"},
    {"an empty struct", "{\"kind\":25,\"realType\":\"struct {}\",\"len\":0,\"children\":[]}", "{}"},
    {"an array of bytes",
     "{\"kind\":17,\"realType\":\"[2]uint8\",\"len\":2,\"addr\":64,\"children\":[" BYTE(
         "1") "," BYTE("255") "]}",
     "{\"$bytes\":\"Af8=\"}"},
    {"a slice of pointers to bytes is none of bytes",
     "{\"kind\":23,\"realType\":\"[]*uint8\",\"len\":1,\"base\":64,\"children\":[{\"kind\":22,"
     "\"realType\":\"*uint8\",\"value\":\"0\",\"children\":[{\"addr\":0,\"kind\":7}]}]}",
     "[null]"},
    {"a slice of uint16",
     "{\"kind\":23,\"realType\":\"[]uint16\",\"len\":1,\"base\":64,\"children\":[{\"kind\":7,"
     "\"realType\":\"uint16\",\"value\":\"7\"}]}",
     "[7]"},
    {"a fake address beyond int64",
     "{\"kind\":22,\"realType\":\"*int\",\"children\":[{\"addr\":13758215386640154624,\"onlyAddr\":"
     "true,"
     "\"kind\":2,\"realType\":\"int\"}]}",
     "{\"$ptr\":\"0xbeef000000000000\"}"},
    {"what is no variable", "5", "null"},
    {"nothing", "null", "null"},
};

Test(variable, single_values) {
    struct delve_reader reader = {.load = LOADED, .final = true};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct decoded got = decode(cases[i].text, reader);
        SHOULD_BE(got.json, cases[i].want, cases[i].what);
        free(got.json);
    }
}

static bool is_whole(const char *text) {
    return delve_is_whole(span_of(text, strlen(text)));
}

Test(variable, whole_by_its_text) {
    static const char *const whole[] = {
        INT("5"),
        STRING("abc", 3),
        STRING("", 0),
        "{\"kind\":1,\"value\":\"true\"}",
        "{\"kind\":25,\"value\":\"\",\"unreadable\":\"input/output error\",\"len\":2}",
        "{\"kind\":24,\"value\":\"abc\",\"StringValueBytes\":null,\"len\":3}"};
    static const char *const perhaps[] = {
        STRING("abc", 10),
        STRING("a\\u003cc", 3),
        STRING("a\xef\xbf\xbd", 4),
        STRING("a\\ufffd", 4),
        "{\"kind\":24,\"value\":\"a\",\"StringValueBytes\":\"Yf8=\",\"len\":1}",
        "{\"kind\":22,\"value\":\"0\"}",
        "{\"kind\":25,\"value\":\"\",\"unreadable\":\"\"}",
        "{\"kind\":25,\"value\":\"\",\"unreadable\":\"\\u0000\"}",
        "{\"kind\":25,\"value\":\"\",\"unreadable\":123456}",
        "{\"kind\":2}",
        "5",
        ""};
    struct delve_reader reader = {.load = LOADED};
    for (size_t i = 0; i < COUNT(whole); i++) {
        cr_expect(is_whole(whole[i]), "%s", whole[i]);
        struct decoded got = decode(whole[i], reader);
        cr_expect(!got.incomplete && !got.failed, "%s", whole[i]);
        free(got.json);
    }
    for (size_t i = 0; i < COUNT(perhaps); i++)
        cr_expect(!is_whole(perhaps[i]), "%s", perhaps[i]);
}

/* struct in struct in struct, with a scalar at each level */
static const char nested[] =
    "{\"kind\":25,\"realType\":\"main.A\",\"len\":2,\"children\":[{\"name\":\"n\",\"kind\":2,"
    "\"value\":"
    "\"1\"},{\"name\":\"b\",\"kind\":25,\"realType\":\"main.B\",\"len\":2,\"children\":[{\"name\":"
    "\"n\","
    "\"kind\":2,\"value\":\"2\"},{\"name\":\"c\",\"kind\":25,\"realType\":\"main.C\",\"len\":1,"
    "\"children\":[{\"name\":\"n\",\"kind\":2,\"value\":\"3\"}]}]}]}";

Test(variable, depth_counts_nesting) {
    static const struct {
        unsigned depth;
        const char *want;
    } levels[] = {
        {0, "{\"n\":1,\"b\":{\"$truncated\":{\"of\":2,\"value\":{}}}}"},
        {1, "{\"n\":1,\"b\":{\"n\":2,\"c\":{\"$truncated\":{\"of\":1,\"value\":{}}}}}"},
        {2, "{\"n\":1,\"b\":{\"n\":2,\"c\":{\"n\":3}}}"},
        {16, "{\"n\":1,\"b\":{\"n\":2,\"c\":{\"n\":3}}}"},
    };
    struct delve_reader reader = {.load = LOADED, .final = true};
    for (size_t i = 0; i < COUNT(levels); i++) {
        reader.load.depth = levels[i].depth;
        struct decoded got = decode(nested, reader);
        SHOULD_BE(got.json, levels[i].want, "depth");
        free(got.json);
    }
}

static const char pointer[] = "{\"kind\":22,\"realType\":\"*main.T\",\"value\":\"4096\","
                              "\"children\":[{\"addr\":4096,\"kind\":25,"
                              "\"realType\":\"main.T\",\"len\":1,\"children\":[{\"name\":\"n\","
                              "\"kind\":2,\"value\":\"7\"}]}]}";

Test(variable, depth_counts_dereferences) {
    struct delve_reader reader = {.load = LOADED, .final = true};
    reader.load.depth = 0;
    struct decoded got = decode(pointer, reader);
    SHOULD_BE(got.json, "{\"$ptr\":\"0x1000\"}", "depth 0 follows nothing");
    free(got.json);
    reader.load.depth = 1;
    got = decode(pointer, reader);
    SHOULD_BE(got.json, "{\"n\":7}", "depth 1 follows one");
    free(got.json);
}

Test(variable, as_asked_for) {
    static const struct {
        enum delve_as as;
        const char *text, *want;
    } forms[] = {
        {DELVE_AS_HEX, INT("255"), "\"0xff\""},
        {DELVE_AS_HEX, BYTE("16"), "\"0x10\""},
        {DELVE_AS_ADDR, "{\"kind\":2,\"addr\":4096,\"value\":\"5\"}", "{\"$ptr\":\"0x1000\"}"},
        {DELVE_AS_ADDR, pointer, "{\"$ptr\":\"0x1000\"}"},
        {DELVE_AS_ADDR, "{\"kind\":2,\"addr\":4096,\"unreadable\":\"gone\"}",
         "{\"$error\":\"gone\"}"},
        {DELVE_AS_BYTES, STRING("foo", 3), "{\"$bytes\":\"Zm9v\"}"},
        {DELVE_AS_TEXT,
         "{\"kind\":23,\"realType\":\"[]uint8\",\"len\":2,\"base\":64,\"children\":[" BYTE(
             "104") "," BYTE("105") "]}",
         "\"hi\""},
    };
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct delve_reader reader = {.load = LOADED, .final = true, .as = forms[i].as};
        struct decoded got = decode(forms[i].text, reader);
        SHOULD_BE(got.json, forms[i].want, forms[i].text);
        free(got.json);
    }
}

struct memory {
    const char *bytes, *error;
    struct delve_memory asked;
    int calls;
};

static const char *read_memory(void *ctx, struct delve_memory range, const char **error) {
    struct memory *memory = ctx;
    memory->asked = range;
    memory->calls++;
    *error = memory->error;
    return memory->bytes;
}

static const char bytes_by_address[] =
    "{\"kind\":23,\"realType\":\"[]uint8\",\"len\":10,\"base\":4096,\"children\":[]}";

Test(variable, bytes_are_read_as_memory) {
    struct memory memory = {.bytes = "0123456789"};
    struct delve_reader reader = {
        .load = LOADED, .final = true, .memory = read_memory, .ctx = &memory};
    reader.load.bytes = 4;
    struct decoded got = decode(bytes_by_address, reader);
    SHOULD_BE(got.json, "{\"$truncated\":{\"of\":10,\"value\":{\"$bytes\":\"MDEyMw==\"}}}",
              "memory");
    cr_assert_eq(memory.asked.address, 4096);
    cr_assert_eq(memory.asked.length, 4);
    free(got.json);
    memory = (struct memory){.error = "input/output error"};
    got = decode(bytes_by_address, reader);
    SHOULD_BE(got.json, "{\"$error\":\"input/output error\"}", "unreadable memory");
    cr_assert(!got.failed);
    free(got.json);
}

Test(variable, memory_that_is_missing_is_asked_for) {
    struct memory memory = {0};
    struct delve_reader reader = {
        .load = LOADED, .final = true, .memory = read_memory, .ctx = &memory};
    struct decoded got = decode(bytes_by_address, reader);
    cr_assert(got.failed);
    cr_assert_eq(got.wanted, 1);
    cr_assert_eq(got.first.address, 4096);
    cr_assert_eq(got.first.length, 10);
    free(got.json);
    reader.final = false;
    memory.calls = 0;
    got = decode(bytes_by_address, reader);
    cr_assert(got.incomplete, "ask again, with the whole load");
    cr_assert_eq(memory.calls, 0, "memory is not read before `final`");
    free(got.json);
}

Test(variable, a_mangled_string_of_an_old_server_is_read_as_memory) {
    static const char text[] =
        "{\"kind\":24,\"realType\":\"string\",\"value\":\"a\xef\xbf\xbd\",\"len\":2,\"base\":4096}";
    struct memory memory = {.bytes = "a\xff"};
    struct delve_reader reader = {
        .load = LOADED, .final = true, .memory = read_memory, .ctx = &memory};
    struct decoded got = decode(text, reader);
    SHOULD_BE(got.json, "{\"$bytes\":\"Yf8=\"}", "the real bytes");
    free(got.json);
    memory = (struct memory){.bytes = "a\xef\xbf\xbd"};
    got = decode("{\"kind\":24,\"realType\":\"string\",\"value\":\"a\xef\xbf\xbd\","
                 "\"StringValueBytes\":null,\"len\":4,\"base\":4096}",
                 reader);
    SHOULD_BE(got.json, "\"a\xef\xbf\xbd\"", "a true U+FFFD of a new server");
    cr_assert_eq(memory.calls, 0);
    free(got.json);
}

Test(variable, bytes_as_text_are_cut_between_characters) {
    struct memory memory = {.bytes = "a\xc3\xa9\xc3\xa9zzzzz"};
    struct delve_reader reader = {
        .load = LOADED, .final = true, .as = DELVE_AS_TEXT, .memory = read_memory, .ctx = &memory};
    reader.load.bytes = 4;
    struct decoded got = decode(bytes_by_address, reader);
    SHOULD_BE(got.json, "{\"$truncated\":{\"of\":10,\"value\":\"a\xc3\xa9\"}}", "as text");
    free(got.json);
}

Test(variable, an_unreadable_byte_is_not_a_zero) {
    struct memory memory = {.error = "input/output error"};
    struct delve_reader reader = {
        .load = LOADED, .final = true, .memory = read_memory, .ctx = &memory};
    struct decoded got =
        decode("{\"kind\":23,\"realType\":\"[]uint8\",\"len\":2,\"base\":64,"
               "\"children\":[" BYTE("1") ",{\"kind\":7,\"realType\":\"uint8\","
                                          "\"unreadable\":\"input/output error\"}]}",
               reader);
    SHOULD_HOLD(got.json, "$error", "nothing is guessed in silence");
    free(got.json);
}

Test(variable, odd_and_hostile_shapes_do_no_harm) {
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"kind\":-1}",
        "{\"kind\":99,\"value\":\"x\"}",
        "{\"kind\":\"22\"}",
        "{\"kind\":21,\"base\":1,\"len\":3,\"children\":[{\"kind\":2}]}",
        "{\"kind\":22,\"children\":{}}",
        "{\"kind\":20,\"children\":[null]}",
        "{\"kind\":23,\"len\":-1,\"base\":1,\"children\":[5]}",
        "{\"kind\":24,\"len\":18446744073709551615,\"value\":\"x\",\"StringValueBytes\":\"!\"}",
        "{\"kind\":16,\"children\":[]}",
        "{\"kind\":25,\"len\":1,\"children\":[{\"kind\":2,\"value\":\"1\"}]}",
        "{\"kind\":26,\"value\":\"zzz\"}",
        "{\"kind\":19,\"value\":\"\\u0000\"}",
        "{\"kind\":2,\"value\":\")\"}",
        "{\"kind\":23,\"realType\":\"[]uint8\",\"len\":4294967296,\"base\":1}",
    };
    struct memory memory = {.error = "no"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (int final = 0; final < 2; final++) {
            struct delve_reader reader = {
                .load = LOADED, .final = final, .memory = read_memory, .ctx = &memory};
            struct decoded got = decode(texts[i], reader);
            json_t *json = json_loads(got.json, JSON_DECODE_ANY, NULL);
            cr_expect_not_null(json, "%s gives %s", texts[i], got.json);
            json_decref(json);
            free(got.json);
        }
    }
}
