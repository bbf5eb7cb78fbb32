/* Where a hit was: the place, the process and the thread of its event. */
#include "session/state.h"

#include <stdio.h>

/* Probes of other locations may share the place. */
static struct hit as_seen(struct session *s, const struct item *item) {
    const struct location *where = &item->probe->probe->at;
    struct hit hit = *item->hit;
    if (item->spot && item->spot->member_count > 1 && s->ops->locate)
        s->ops->locate(s->backend, &hit, where);
    return hit;
}

void item_put_place(struct session *s, struct item *item) {
    struct hit seen = as_seen(s, item);
    const struct hit *hit = &seen;
    struct buffer *event = &item->event;
    char pc[24];
    value_ref body = event_head(event)->body, thread = value_new(event, VALUE_OBJECT);
    value_set(event, thread, "id", value_int(event, hit->thread));
    if (hit->thread_name && *hit->thread_name)
        value_set_text(event, thread, "name", hit->thread_name);
    value_set(event, body, "pid", value_int(event, s->stop->pid));
    value_set(event, body, "thread", thread);
    value_ref location = value_new(event, VALUE_OBJECT);
    value_set_text(event, location, "function", hit->function);
    value_set_text(event, location, "file", hit->file);
    value_set(event, location, "line", value_int(event, hit->line));
    snprintf(pc, sizeof pc, "0x%llx", (unsigned long long)hit->pc);
    value_set_text(event, location, "pc", pc);
    value_set(event, body, "location", location);
    if (hit->signal)
        value_set_text(event, body, "signal", hit->signal);
    if (hit->syscall)
        value_set_text(event, body, "syscall", hit->syscall);
    if (hit->has_fault) {
        snprintf(pc, sizeof pc, "0x%llx", (unsigned long long)hit->fault);
        value_set_text(event, body, "fault", pc);
    }
}
