/* libuv's clock and timers, as far as a session uses them: time goes by when the script says so. */
#include "fakeclock.h"

#include <string.h>

#define TIMERS_MAX 32

static struct {
    uv_timer_t *timer;
    uv_timer_cb callback;
    uv_close_cb closing;
    uint64_t due; /* 0 = not active */
} timers[TIMERS_MAX];
static uint64_t now;

void fake_clock_start(void) {
    memset(timers, 0, sizeof timers);
    now = 1000000000;
}

uint64_t uv_hrtime(void) {
    return now;
}

static size_t slot_of(const void *timer) {
    for (size_t i = 0; i < TIMERS_MAX; i++)
        if (timers[i].timer == timer)
            return i;
    return 0; /* uv_timer_init() has put it somewhere */
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer) {
    size_t i = slot_of(NULL);
    timer->loop = loop;
    timers[i].timer = timer;
    return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms, uint64_t repeat) {
    size_t i = slot_of(timer);
    (void)repeat;
    timers[i].callback = callback;
    timers[i].due = now + ms * 1000000;
    return 0;
}

int uv_timer_stop(uv_timer_t *timer) {
    timers[slot_of(timer)].due = 0;
    return 0;
}

int uv_is_active(const uv_handle_t *handle) {
    return timers[slot_of(handle)].due != 0;
}

void uv_update_time(uv_loop_t *loop) {
    (void)loop;
}

void uv_close(uv_handle_t *handle, uv_close_cb callback) {
    size_t i = slot_of(handle);
    timers[i].due = 0;
    timers[i].closing = callback;
}

bool fake_clock_run(void) {
    for (size_t i = 0; i < TIMERS_MAX; i++) {
        uv_timer_t *timer = timers[i].timer;
        if (timers[i].closing) {
            uv_close_cb callback = timers[i].closing;
            timers[i].timer = NULL;
            timers[i].closing = NULL;
            callback((uv_handle_t *)timer);
            return true;
        }
        if (timers[i].due && timers[i].due <= now) {
            timers[i].due = 0;
            timers[i].callback(timer);
            return true;
        }
    }
    return false;
}

uint64_t fake_clock_next(void) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < TIMERS_MAX; i++)
        if (timers[i].due && timers[i].due < next)
            next = timers[i].due;
    return next;
}

void fake_clock_set(uint64_t ns) {
    now = ns > now ? ns : now;
}
