/* A line of Delve's wire: reply, state, threads, what they hit, and every variable to a value. */
#include "delve/state.h"
#include "delve/variable.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct buffer into, out, scratch;
    unsigned seed;
};

static const char *memory(void *ctx, struct delve_memory range, const char **error) {
    static const char bytes[256] = "a\xff memory";
    struct fuzz *fuzz = ctx;
    *error = fuzz->seed++ % 3 ? NULL : "input/output error";
    return range.length <= sizeof bytes && !*error ? bytes : NULL;
}

/* A value's JSON must be JSON. */
static void check_json(struct fuzz *fuzz) {
    if (fuzz->out.failed || fuzz->into.failed)
        return;
    json_t *json =
        json_loadb(fuzz->out.data, fuzz->out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json)
        abort();
    json_decref(json);
}

/* What is whole by its text is never asked for again. */
static void whole(struct fuzz *fuzz, const json_t *variable) {
    struct delve_reader reader = {.into = &fuzz->into, .load = {256, 64, 3, 256}, .memory = memory};
    buffer_clear(&fuzz->into);
    delve_value(&reader, variable);
    if (reader.incomplete || (reader.failed && !fuzz->into.failed))
        abort();
}

static void one(struct fuzz *fuzz, const json_t *variable) {
    static const struct delve_load loads[] = {{256, 64, 3, 256}, {4, 2, 1, 3}, {0, 0, 0, 0}};
    for (int i = 0; i < 6; i++) {
        struct delve_reader reader = {.into = &fuzz->into,
                                      .load = loads[i % 3],
                                      .as = (enum delve_as)(fuzz->seed++ % 5),
                                      .final = i >= 3,
                                      .memory = memory,
                                      .ctx = fuzz};
        buffer_clear(&fuzz->into);
        buffer_clear(&fuzz->out);
        value_json(&fuzz->into, delve_value(&reader, variable), &fuzz->out);
        check_json(fuzz);
    }
}

static void variables(struct fuzz *fuzz, struct span list) {
    struct span element;
    bool broken;
    while (span_element(&list, &element, &broken)) {
        json_t *json = span_decode(element, &fuzz->scratch);
        if (json && delve_is_whole(element))
            whole(fuzz, json);
        if (json)
            one(fuzz, json);
        json_decref(json);
    }
}

static void look_at(struct fuzz *fuzz, const struct delve_thread *thread) {
    struct delve_breakpoint breakpoint;
    struct delve_info info;
    delve_breakpoint_parse(thread->breakpoint, &breakpoint);
    if (!delve_info_parse(thread->info, &info))
        return;
    variables(fuzz, info.variables);
    variables(fuzz, info.arguments);
    variables(fuzz, info.locals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"Variable"};
    struct fuzz fuzz = {BUFFER_INIT(1 << 18), BUFFER_INIT(1 << 20), BUFFER_INIT(1 << 18), 1};
    struct buffer line = BUFFER_INIT(1 << 18);
    struct delve_reply reply;
    struct delve_state state;
    struct delve_thread thread;
    struct span found;
    bool broken;
    buffer_add(&line, data, size); /* as from the stream: a NUL stands behind the line */
    if (!line.failed && delve_reply_parse(span_of(line.data, line.len), &reply)) {
        if (span_members(reply.result, names, &found, 1) && found.at) {
            json_t *json = span_decode(found, &fuzz.scratch);
            if (json)
                one(&fuzz, json);
            json_decref(json);
        }
        if (delve_state_parse(reply.result, &state)) {
            if (delve_thread_parse(state.current_thread, &thread))
                look_at(&fuzz, &thread);
            while (delve_thread_next(&state.threads, &thread, &broken))
                look_at(&fuzz, &thread);
        }
    }
    buffer_free(&line);
    buffer_free(&fuzz.into);
    buffer_free(&fuzz.out);
    buffer_free(&fuzz.scratch);
    return 0;
}
