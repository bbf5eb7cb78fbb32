/* Is what a watch watches still there? A local variable is while its function's frame is on the
 * stack. It is looked at when the watch hits, and when the probe that it comes from does: its frame
 * may be another one now. */
#include "session/state.h"

static enum progress look(struct session *s, struct probe_state *watch, const struct hit *hit) {
    const struct site *site = gate_watch_of(s, watch);
    value_ref ref;
    /* Whose stack that is, stands still only at its own hits. */
    if (!site || !site->armed || !site->watch_frame.cfa || hit->thread != site->watch_thread)
        return GO_ON;
    watch->scope = (struct want){.kind = WANT_FRAME, .frame = site->watch_frame};
    buffer_clear(&s->note);
    if (s->ops->read(s->backend, hit, &watch->scope, &s->note, &ref) == READ_AGAIN)
        return WAIT;
    const struct value *lives = value_get(&s->note, ref);
    watch->over = lives && lives->kind == VALUE_BOOL && !lives->b;
    return GO_ON;
}

enum progress scope_look(struct session *s, struct item *item) {
    enum progress progress = GO_ON;
    for (size_t i = 0; s->frame_bound && !s->passing && i < s->probe_count; i++) {
        struct probe_state *p = &s->probes[i];
        bool concerned = p == item->probe || p->probe->watch_from == (int)item->probe->index;
        if (concerned && p->probe->watch_from >= 0)
            progress |= look(s, p, item->hit);
    }
    if (progress == GO_ON)
        item->stage = ITEM_FILTER;
    return progress;
}
