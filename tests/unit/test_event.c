#include "unit.h"
#include "value/event.h"
#include <jansson.h>

static void hit(struct buffer *in) {
    event_begin(in, EVENT_HIT, "r1", "api-1", "slow", INT64_C(1795406400123456789));
    struct event *head = event_head(in);
    head->seq = 17;
    head->hit = 3;
    value_ref body = head->body, values = value_new(in, VALUE_OBJECT);
    value_set(in, values, "n", value_int(in, 4997));
    value_set_text(in, values, "path", "/a\"b\nc");
    value_set(in, body, "pid", value_int(in, 123));
    value_set(in, body, "values", values);
    value_set(in, body, "stack", value_new(in, VALUE_LIST));
}

static char *json_of_event(const struct buffer *in) {
    struct buffer out = BUFFER_INIT(1 << 20);
    event_json(in, &out);
    return buffer_take(&out);
}

Test(event, is_one_line_of_json_in_the_documented_order) {
    struct buffer in = BUFFER_INIT(1 << 16);
    hit(&in);
    cr_assert(event_valid(&in));
    char *text = json_of_event(&in);
    SHOULD_BE(
        text,
        "{\"v\":1,\"type\":\"hit\",\"time\":\"2026-11-23T04:00:00.123456789Z\",\"run\":\"r1\","
        "\"target\":\"api-1\",\"seq\":17,\"probe\":\"slow\",\"hit\":3,\"pid\":123,"
        "\"values\":{\"n\":4997,\"path\":\"/a\\\"b\\nc\"},\"stack\":[]}",
        "event");
    free(text);
    buffer_free(&in);
}

Test(event, leaves_out_what_it_has_not) {
    struct buffer in = BUFFER_INIT(1 << 16);
    event_begin(&in, EVENT_RUN, "r1", NULL, NULL, 0);
    cr_assert(event_valid(&in));
    char *text = json_of_event(&in);
    SHOULD_BE(
        text,
        "{\"v\":1,\"type\":\"run\",\"time\":\"1970-01-01T00:00:00.000000000Z\",\"run\":\"r1\"}",
        "event");
    cr_assert_null(event_string(&in, event_head(&in)->probe));
    cr_assert_str_eq(event_string(&in, event_head(&in)->run), "r1");
    free(text);
    buffer_free(&in);
}

Test(event, the_buffer_is_used_again) {
    struct buffer in = BUFFER_INIT(1 << 16);
    hit(&in);
    event_begin(&in, EVENT_END, "r2", NULL, NULL, 0);
    char *text = json_of_event(&in);
    SHOULD_HOLD(text, "\"type\":\"end\"", "begin starts anew");
    SHOULD_LACK(text, "4997", "begin starts anew");
    free(text);
    buffer_free(&in);
}

Test(event, every_type_has_the_documented_name) {
    static const char *const names[] = {"run",  "armed", "hit",   "log", "signal",
                                        "exit", "trip",  "error", "end"};
    cr_assert_eq(COUNT(names), EVENT_END + 1);
    for (size_t i = 0; i < COUNT(names); i++)
        SHOULD_BE(event_type_name((enum event_type)i), names[i], "type");
}

Test(event, cut_anywhere_is_not_valid_or_harmless) {
    struct buffer whole = BUFFER_INIT(1 << 16);
    hit(&whole);
    for (size_t n = 0; n < whole.len; n++) {
        struct buffer part = BUFFER_INIT(1 << 16);
        buffer_add(&part, whole.data, n);
        if (event_valid(&part))
            free(json_of_event(&part));
        buffer_free(&part);
    }
    buffer_free(&whole);
}

/* Every 32-bit word of the event replaced by values that point elsewhere. */
Test(event, mutated_bytes_are_refused_or_harmless, .timeout = 20) {
    struct buffer whole = BUFFER_INIT(1 << 16);
    hit(&whole);
    for (size_t at = 0; at + 4 <= whole.len; at += 4) {
        uint32_t words[] = {0, 1, 8, 48, 56, (uint32_t)at, (uint32_t)whole.len, 0x7fffffff, ~7u};
        for (size_t w = 0; w < COUNT(words); w++) {
            struct buffer copy = BUFFER_INIT(1 << 16), out = BUFFER_INIT(1 << 16);
            buffer_add(&copy, whole.data, whole.len);
            memcpy(copy.data + at, &words[w], 4);
            if (event_valid(&copy))
                event_json(&copy, &out);
            buffer_free(&copy);
            buffer_free(&out);
        }
    }
    buffer_free(&whole);
}

/* The same one by one, where the offending word can be named. */
static void with_word(value_ref ref, size_t field, uint32_t word, const char *what) {
    struct buffer in = BUFFER_INIT(1 << 16);
    hit(&in);
    value_ref at = ref ? ref : event_head(&in)->body;
    memcpy((char *)value_get(&in, at) + field, &word, 4);
    cr_expect(!event_valid(&in), "%s was taken for a whole event", what);
    buffer_free(&in);
}

Test(event, references_that_leave_the_buffer_are_refused) {
    with_word(0, offsetof(struct value, at), 0x7ffffff8, "a first child outside");
    with_word(0, offsetof(struct value, at), 9, "a first child that is not aligned");
    struct buffer in = BUFFER_INIT(1 << 16);
    hit(&in);
    value_ref body = event_head(&in)->body, pid = value_find(&in, body, "pid");
    value_ref values = value_find(&in, body, "values"), path = value_find(&in, values, "path");
    buffer_free(&in);
    with_word(pid, offsetof(struct value, next), 0x7ffffff8, "a sibling outside");
    with_word(pid, offsetof(struct value, next), pid, "a sibling that is itself");
    with_word(pid, offsetof(struct value, key), 0x7ffffff8, "a key outside");
    with_word(pid, offsetof(struct value, key_len), 0x7ffffff8, "a key too long");
    with_word(path, offsetof(struct value, len), 0x7ffffff8, "a text too long");
    with_word(path, offsetof(struct value, at), 0x7ffffff8, "a text outside");
    with_word(values, offsetof(struct value, at), values, "a child that is its parent");
}

Test(event, heads_that_are_none_are_refused) {
    struct buffer in = BUFFER_INIT(1 << 16);
    cr_assert(!event_valid(&in));
    hit(&in);
    event_head(&in)->type = EVENT_END + 1;
    cr_expect(!event_valid(&in), "type");
    hit(&in);
    event_head(&in)->body = 0;
    cr_expect(!event_valid(&in), "no body");
    hit(&in);
    event_head(&in)->body = value_find(&in, event_head(&in)->body, "pid");
    cr_expect(!event_valid(&in), "a body that is no object");
    hit(&in);
    event_head(&in)->run = 0x7ffffff8;
    cr_expect(!event_valid(&in), "a name outside");
    buffer_free(&in);
}
