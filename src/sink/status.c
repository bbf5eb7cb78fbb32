/* The live line on stderr, on a terminal only. */
#include "base/text.h"
#include "sink/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void status_init(struct status *status, bool wanted) {
    *status = (struct status){.on = wanted && isatty(STDERR_FILENO)};
}

static uint64_t number_at(const struct buffer *event, const char *key) {
    const struct value *value = value_get(event, value_find(event, event_head(event)->body, key));
    double number = 0;
    return value && value_number(value, &number) ? (uint64_t)number : 0;
}

void status_free(struct status *status) {
    map_free(&status->targets);
}

/* Names with the same hash share a count: a live line bears that. */
static uint64_t hash(const char *name) {
    return text_hash(name, strlen(name));
}

/* `armed` may come more than once, and a forked target comes and goes. */
static void set_armed(struct status *status, const char *target, uintptr_t probes) {
    uint64_t key = hash(target);
    uintptr_t before = (uintptr_t)map_get(&status->targets, key);
    if (!probes)
        map_remove(&status->targets, key);
    else if (!map_put(&status->targets, key, (void *)probes))
        return;
    status->armed += probes - before;
}

void status_event(struct status *status, const struct buffer *event) {
    const struct event *head = event_head(event);
    const struct value *probes = value_get(event, value_find(event, head->body, "probes"));
    const char *target = event_string(event, head->target);
    if (head->type == EVENT_ARMED && probes && target)
        set_armed(status, target, probes->len);
    if (head->type == EVENT_END && target)
        set_armed(status, target, 0);
    if (head->type == EVENT_HIT || head->type == EVENT_SIGNAL || head->type == EVENT_LOG) {
        status->hits++;
        status->paused_ns += number_at(event, "pause_ns");
    }
}

void status_hide(struct status *status) {
    if (status->on && status->shown)
        fputs("\r\x1b[K", stderr);
    status->shown = false;
}

void status_show(struct status *status, uint64_t now) {
    char text[16];
    if (!status->on)
        return;
    if (!status->started_ns)
        status->started_ns = status->last_ns = now;
    double seconds = (double)(now - status->last_ns) / 1e9;
    if (seconds > 0.2) {
        status->rate = (double)(status->hits - status->last_hits) / seconds;
        status->last_hits = status->hits;
        status->last_ns = now;
    }
    uint64_t lasted = now - status->started_ns;
    double share = lasted ? 100 * (double)status->paused_ns / (double)lasted : 0;
    fprintf(stderr,
            "\r\x1b[K%" PRIu64 " probes armed, %" PRIu64
            " hits, %.0f/s, %.1f%% of the time paused, %s",
            status->armed, status->hits, status->rate, share, text_duration(text, lasted));
    fflush(stderr);
    status->shown = true;
}
