/* Calls under way: entered, not returned. Paired by goroutine (or thread) and frame, so that
 * recursion and calls that were filtered out at their entry do not confuse them. */
#include "session/state.h"

#include <stdlib.h>
#include <strings.h>

/* A goroutine changes threads between its entry and its return, and a thread changes stacks. Where
 * neither its number nor its stack is read, its frame alone tells it: no two that live share one.
 */
static bool wanders(const struct probe_state *p, const struct hit *hit) {
    return !hit->goroutine && hit->has_frame && p->session->info.language &&
           !strncasecmp(p->session->info.language, "go", 2);
}

static bool same_stack(const struct probe_state *p, const struct call_record *call,
                       const struct hit *hit) {
    if (hit->stack || call->stack)
        return call->stack == hit->stack;
    if (wanders(p, hit))
        return call->frame == hit->frame;
    return hit->goroutine ? call->goroutine == hit->goroutine : call->thread == hit->thread;
}

/* Stacks grow down: when a frame returns, or is entered, those deeper on its stack have ended
 * without a return that we saw (a panic went through them). */
static void drop_below(struct probe_state *p, const struct hit *hit, int64_t frame) {
    for (size_t i = p->call_count; i--;) {
        if (!same_stack(p, &p->calls[i], hit) || p->calls[i].frame >= frame)
            continue;
        p->unpaired++;
        call_leave(p, i);
    }
}

bool call_enter(struct probe_state *p, const struct item *item, uint64_t now) {
    if (item->hit->has_frame)
        drop_below(p, item->hit, item->hit->frame + 1);
    if (p->call_count >= CALLS_MAX) {
        p->lost++;
        return false;
    }
    struct call_record *call = ARRAY_ADD(p->calls, p->call_count, p->call_cap);
    if (!call)
        return false;
    *call = (struct call_record){.goroutine = item->hit->goroutine,
                                 .thread = item->hit->thread,
                                 .frame = item->hit->frame,
                                 .stack = item->hit->stack,
                                 .entered_ns = now,
                                 .paused_ns = p->session->pause.total_ns,
                                 .event = item->event};
    return true;
}

int call_find(struct probe_state *p, const struct hit *hit) {
    if (hit->has_frame)
        drop_below(p, hit, hit->frame);
    for (size_t i = p->call_count; i--;)
        if (same_stack(p, &p->calls[i], hit) &&
            (!hit->has_frame || p->calls[i].frame == hit->frame))
            return (int)i;
    return -1;
}

void call_leave(struct probe_state *p, size_t index) {
    buffer_free(&p->calls[index].event);
    memmove(&p->calls[index], &p->calls[index + 1], (--p->call_count - index) * sizeof *p->calls);
}
