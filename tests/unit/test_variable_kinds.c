/* Each Go kind, from what two real servers sent for the same struct (data/kinds-*.json). */
#include "variable.h"

static const struct {
    const char *field, *want; /* "0x*" stands for any address */
} fields[] = {
    {"Bool", "true"},
    {"I8", "-8"},
    {"I64", "\"-9007199254740993\""},
    {"U64", "\"18446744073709551615\""},
    {"Up", "57005"},
    {"F", "1.5"},
    {"C", "{\"$complex\":[1,-2]}"},
    {"Arr", "[1,2,3]"},
    {"Bytes", "{\"$bytes\":\"aGVsbG//\"}"},
    {"NilB", "null"},
    {"EmptyB", "{\"$bytes\":\"\"}"},
    {"Sl", "[4,5]"},
    {"NilS", "null"},
    {"Ch", "{\"$chan\":\"0x*\"}"},
    {"NilC", "null"},
    {"Fn", "{\"$func\":\"main.inc\"}"},
    {"NilF", "null"},
    {"Err", "{\"s\":\"boom\"}"},
    {"NilE", "null"},
    {"Any", "42"},
    {"NilA", "null"},
    {"AnyN", "null"},
    {"M", "{\"a\":1}"},
    {"NilM", "null"},
    {"EmptyM", "{}"},
    {"MI", "[[5,\"five\"]]"},
    {"MD", "[[\"$x\",1]]"},
    {"MK", "{\"k\":2}"},
    {"P", "{\"N\":7,\"S\":\"in\"}"},
    {"NilP", "null"},
    {"PP", "{\"N\":7,\"S\":\"in\"}"},
    {"Str", "\"h\xc3\xa9llo\""},
    {"Empty", "\"\""},
    {"Bad", "{\"$bytes\":\"Yf9i\"}"},
    {"In", "{\"N\":7,\"S\":\"in\"}"},
    {"Us", "{\"$ptr\":\"0x*\"}"},
    {"NilU", "null"},
    {"Col", "1"},
    {"List", "{\"V\":1,\"Next\":{\"V\":2,\"Next\":{\"$ptr\":\"0x*\"}}}"},
    {"Dur", "null"},
};

/* Puts * in place of the digits of every address. */
static void hide_addresses(char *text) {
    char *to = text;
    for (const char *p = text; *p;) {
        bool address = !strncmp(p, "\"0x", 3);
        size_t n = address ? 3 : 1;
        memmove(to, p, n);
        to += n;
        p += n;
        if (!address)
            continue;
        p += strspn(p, "0123456789abcdef");
        *to++ = '*';
    }
    *to = '\0';
}

static const char *memory(void *ctx, struct delve_memory range, const char **error) {
    (void)ctx;
    *error = range.length == 3 ? NULL : "not the string that was expected";
    return range.length == 3 ? "a\xff"
                               "b"
                             : NULL;
}

static json_t *load(const char *name) {
    char path[1024], text[1 << 17];
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    struct delve_reply reply;
    cr_assert(delve_reply_parse(span_of(text, n), &reply));
    struct buffer scratch = BUFFER_INIT(1 << 20);
    json_t *json = span_decode(reply.result, &scratch);
    buffer_free(&scratch);
    cr_assert_not_null(json);
    return json;
}

static const json_t *field_of(const json_t *variable, const char *name) {
    const json_t *children = json_object_get(variable, "children");
    for (size_t i = 0; i < json_array_size(children); i++)
        if (!strcmp(delve_text(json_object_get(json_array_get(children, i), "name")), name))
            return json_array_get(children, i);
    cr_assert_fail("no field %s", name);
    return NULL;
}

static void all_fields(const char *server) {
    json_t *reply = load(server);
    const json_t *variable = json_object_get(reply, "Variable");
    struct delve_reader reader = {.load = LOADED, .final = true, .memory = memory};
    for (size_t i = 0; i < COUNT(fields); i++) {
        struct decoded got = decode_json(field_of(variable, fields[i].field), reader);
        hide_addresses(got.json);
        SHOULD_BE(got.json, fields[i].want, fields[i].field);
        free(got.json);
    }
    json_decref(reply);
}

Test(variable_kinds, of_delve_1_27) {
    all_fields("kinds-1.27.json");
}

Test(variable_kinds, of_delve_1_20) {
    all_fields("kinds-1.20.json");
}

static void cut(const char *server) {
    json_t *reply = load(server);
    const json_t *variable = json_object_get(reply, "Variable");
    struct delve_reader reader = {.load = LOADED, .final = true, .memory = memory};
    reader.load.items = 2;
    reader.load.string = 3;
    reader.load.bytes = 2;
    struct decoded got = decode_json(field_of(variable, "Long"), reader);
    SHOULD_BE(got.json, "{\"$truncated\":{\"of\":200,\"value\":[0,0]}}", "items");
    free(got.json);
    got = decode_json(field_of(variable, "LongS"), reader);
    SHOULD_BE(got.json, "{\"$truncated\":{\"of\":300,\"value\":\"\\u0000\\u0000\\u0000\"}}",
              "string");
    free(got.json);
    got = decode_json(field_of(variable, "Bytes"), reader);
    SHOULD_BE(got.json, "{\"$truncated\":{\"of\":6,\"value\":{\"$bytes\":\"aGU=\"}}}", "bytes");
    free(got.json);
    json_decref(reply);
}

Test(variable_kinds, what_is_cut_says_so) {
    cut("kinds-1.27.json");
    cut("kinds-1.20.json");
}

Test(variable_kinds, the_server_loaded_too_little) {
    json_t *reply = load("kinds-1.27.json");
    const json_t *variable = json_object_get(reply, "Variable");
    struct delve_reader reader = {.load = LOADED};
    reader.load.items = 1000;
    struct decoded got = decode_json(field_of(variable, "Long"), reader);
    cr_expect(got.incomplete, "64 of 200 elements were loaded and 1000 are allowed");
    free(got.json);
    reader.load.items = 64;
    got = decode_json(field_of(variable, "Long"), reader);
    cr_expect(!got.incomplete, "as many as allowed");
    free(got.json);
    got = decode_json(field_of(variable, "List"), reader);
    cr_expect(!got.incomplete, "depth 3 is loaded");
    free(got.json);
    json_decref(reply);
}
