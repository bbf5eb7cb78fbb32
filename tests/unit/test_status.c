/* What the live line counts. */
#include "sink/sink.h"

#include <criterion/criterion.h>

static void tell(struct status *status, enum event_type type, const char *target, unsigned probes) {
    struct buffer event = BUFFER_INIT(1 << 16);
    event_begin(&event, type, "run", target, NULL, 0);
    value_ref list = value_new(&event, VALUE_LIST);
    for (unsigned i = 0; i < probes; i++)
        value_append(&event, list, value_new(&event, VALUE_OBJECT));
    value_set(&event, event_head(&event)->body, "probes", list);
    status_event(status, &event);
    buffer_free(&event);
}

Test(status, probes_that_are_armed_now) {
    struct status status;
    status_init(&status, false);
    tell(&status, EVENT_ARMED, "a", 3);
    cr_assert_eq(status.armed, 3);
    tell(&status, EVENT_ARMED, "a/1", 3);
    tell(&status, EVENT_ARMED, "a/2", 3);
    cr_assert_eq(status.armed, 9);
    tell(&status, EVENT_ARMED, "a", 3); /* once more: a library was loaded */
    cr_assert_eq(status.armed, 9);
    tell(&status, EVENT_END, "a/1", 3);
    cr_assert_eq(status.armed, 6);
    tell(&status, EVENT_END, "b", 3); /* that was never armed */
    cr_assert_eq(status.armed, 6);
    tell(&status, EVENT_END, "a", 3);
    tell(&status, EVENT_END, "a/2", 3);
    cr_assert_eq(status.armed, 0);
    status_free(&status);
}

Test(status, hits_of_all_kinds) {
    struct status status;
    status_init(&status, false);
    tell(&status, EVENT_HIT, "a", 0);
    tell(&status, EVENT_LOG, "a", 0);
    tell(&status, EVENT_SIGNAL, "a", 0);
    tell(&status, EVENT_TRIP, "a", 0);
    cr_assert_eq(status.hits, 3);
    status_free(&status);
}
