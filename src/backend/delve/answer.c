/* Answers that are no variables, as values: stacks, goroutines, registers, threads. */
#include "backend/delve/delve.h"

#include <inttypes.h>
#include <stdio.h>

static void put_location(struct buffer *into, value_ref frame, const json_t *location) {
    char pc[24];
    snprintf(pc, sizeof pc, "0x%" PRIx64, delve_uint(json_object_get(location, "pc")));
    value_set_text(into, frame, "function",
                   delve_text(json_object_get(json_object_get(location, "function"), "name")));
    value_set_text(into, frame, "file", delve_text(json_object_get(location, "file")));
    value_set(into, frame, "line", value_int(into, delve_int(json_object_get(location, "line"))));
    value_set_text(into, frame, "pc", pc);
}

value_ref delve_stack(const struct want *want, const json_t *frames, struct buffer *into) {
    value_ref list = value_new(into, VALUE_LIST);
    const json_t *frame;
    size_t i;
    json_array_foreach(frames, i, frame) {
        if (i == want->frames)
            break;
        value_ref object = value_new(into, VALUE_OBJECT);
        put_location(into, object, frame);
        value_append(into, list, object);
    }
    return list;
}

value_ref delve_goroutine(const json_t *g, struct buffer *into, bool brief) {
    static const char *const statuses[] = {"idle",     "runnable", "running", "syscall",  "waiting",
                                           "moribund", "dead",     "enqueue", "copystack"};
    static const struct {
        const char *key, *from;
    } places[] = {{"at", "userCurrentLoc"}, {"go", "goStatementLoc"}, {"start", "startLoc"}};
    int64_t status = delve_int(json_object_get(g, "status"));
    value_ref object = value_new(into, VALUE_OBJECT);
    value_set(into, object, "id", value_int(into, delve_int(json_object_get(g, "id"))));
    value_set_text(into, object, "status",
                   status >= 0 && status < 9 ? statuses[status] : "unknown");
    for (size_t i = 0; i < (brief ? 2 : 3); i++) {
        value_ref place = value_new(into, VALUE_OBJECT);
        put_location(into, place, json_object_get(g, places[i].from));
        value_set(into, object, places[i].key, place);
    }
    const char *key;
    json_t *label;
    value_ref labels = value_new(into, VALUE_OBJECT);
    json_object_foreach(json_object_get(g, "labels"), key, label)
        value_set_text(into, labels, key, delve_text(label));
    if (json_object_size(json_object_get(g, "labels")))
        value_set(into, object, "labels", labels);
    return object;
}

static value_ref convert_goroutines(const struct want *want, const json_t *result,
                                    struct buffer *into) {
    value_ref list = value_new(into, VALUE_LIST);
    const json_t *g, *group;
    size_t i;
    uint64_t total = 0;
    json_array_foreach(json_object_get(result, "Groups"), i, group) total +=
        delve_uint(json_object_get(group, "Total"));
    json_array_foreach(json_object_get(result, "Goroutines"), i, g) {
        if (i == want->load.items)
            break;
        value_append(into, list, delve_goroutine(g, into, true));
    }
    if (value_get(into, list) && total > value_get(into, list)->len)
        value_truncate(into, list, total);
    return list;
}

static value_ref find_goroutine(const struct hit *hit, const json_t *result, struct buffer *into) {
    const json_t *g;
    size_t i;
    json_array_foreach(json_object_get(result, "Goroutines"), i,
                       g) if (delve_int(json_object_get(g, "id")) ==
                              hit->goroutine) return delve_goroutine(g, into, false);
    return value_new(into, VALUE_NULL);
}

static value_ref convert_registers(const json_t *result, struct buffer *into) {
    value_ref object = value_new(into, VALUE_OBJECT);
    const json_t *reg;
    size_t i;
    json_array_foreach(json_object_get(result, "Regs"), i, reg)
        value_set_text(into, object, delve_text(json_object_get(reg, "Name")),
                       delve_text(json_object_get(reg, "Value")));
    return object;
}

static value_ref convert_thread(const struct hit *hit, const json_t *result, struct buffer *into) {
    const json_t *thread;
    size_t i, n = json_array_size(json_object_get(result, "Threads"));
    value_ref object = value_new(into, VALUE_OBJECT);
    value_set(into, object, "id", value_int(into, hit->thread));
    value_set(into, object, "threads", value_int(into, (int64_t)n));
    json_array_foreach(json_object_get(result, "Threads"), i,
                       thread) if (delve_int(json_object_get(thread, "id")) == hit->thread)
        put_location(into, object, thread);
    return object;
}

value_ref delve_answer(const struct hit *hit, const struct want *want, const json_t *result,
                       struct buffer *into) {
    switch (want->kind) {
    case WANT_STACK: return delve_stack(want, json_object_get(result, "Locations"), into);
    case WANT_REGISTERS: return convert_registers(result, into);
    case WANT_GOROUTINE: return find_goroutine(hit, result, into);
    case WANT_GOROUTINES: return convert_goroutines(want, result, into);
    case WANT_THREAD: return convert_thread(hit, result, into);
    case WANT_LIST: return delve_convert_list(want->expr, result, into);
    default: return 0;
    }
}
