/* How the next hit is waited for. The tracer is the thread that runs the loop. While hits come
 * often it waits for them by itself, and the loop gets its turn in between; else SIGCHLD wakes the
 * loop.
 *
 * It looks without sleeping, or sleeps in the kernel: what is faster depends on the machine (how
 * long a processor takes to leave its idle state) and on what else runs there, so both are
 * measured. */
#include "backend/ptrace/ptrace.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#define SPIN_NS UINT64_C(50000)     /* of one wait, before it sleeps all the same */
#define LINGER_NS UINT64_C(2000000) /* without a hit: they do not come often any more */
#define TURN_NS UINT64_C(2000000)   /* how long the loop's other affairs may wait */
#define TRY_EVERY 64                /* turns: of so many, the way that was slower has some */
#define TRY 6

enum way { LOOKING, SLEEPING, WAYS };

/* Of turns that were full of hits. */
static struct { double hits, ns; } seen[WAYS];
static unsigned turns, spinning; /* of all back ends */

static void unblock(bool yes) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(yes ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static void on_tick(int signal) {
    (void)signal; /* it has ended a wait that may sleep */
}

static void tick(bool yes) {
    const struct timeval turn = {.tv_usec = yes ? TURN_NS / 1000 : 0};
    setitimer(ITIMER_REAL, &(struct itimerval){turn, turn}, NULL);
}

static void on_sigchld(uv_signal_t *handle, int signal) {
    struct backend *b = handle->data;
    (void)signal;
    native_pump();
    if (b->running && b->queue_count)
        native_deliver(b);
}

static enum way choose_way(void) {
    enum way better =
        seen[SLEEPING].hits * seen[LOOKING].ns > seen[LOOKING].hits * seen[SLEEPING].ns ? SLEEPING
                                                                                        : LOOKING;
    if (!seen[SLEEPING].ns || !seen[LOOKING].ns)
        return seen[LOOKING].ns ? SLEEPING : LOOKING;
    return turns++ % TRY_EVERY < TRY ? !better : better;
}

static void remember(enum way way, unsigned hits, uint64_t ns) {
    seen[way].hits = seen[way].hits * 0.85 + hits;
    seen[way].ns = seen[way].ns * 0.85 + (double)ns;
}

static void on_spin(uv_idle_t *handle) {
    struct backend *b = handle->data;
    enum way way = choose_way();
    uint64_t began = uv_hrtime(), now = began;
    unsigned hits = 0;
    for (; b->running && !b->due && now < b->spin_until && now - began < TURN_NS;
         now = uv_hrtime()) {
        bool some = way == SLEEPING && !b->queue_count && native_pump_asleep();
        some |= native_pump();
        if (!some && way == LOOKING && now - b->resumed_ns > SPIN_NS)
            some = native_pump_asleep();
        if (!b->queue_count && some)
            break; /* another back end's, perhaps */
        if (!b->queue_count)
            continue;
        native_deliver(b);
        hits++;
    }
    if (now - began >= TURN_NS && hits)
        remember(way, hits, now - began);
    if (b->running && !b->due && now >= b->spin_until) {
        native_rest(b);
        on_sigchld(&b->child, SIGCHLD); /* what came while nobody listened */
    }
}

/* After a resume. */
void native_watch_for_stops(struct backend *b) {
    b->resumed_ns = uv_hrtime();
    if (!b->often && !b->queue_count)
        return;
    b->spin_until = b->resumed_ns + LINGER_NS;
    if (uv_is_active((uv_handle_t *)&b->spin))
        return;
    unblock(false);
    tick(true);
    spinning++;
    uv_idle_start(&b->spin, on_spin);
}

void native_rest(struct backend *b) {
    if (!uv_is_active((uv_handle_t *)&b->spin))
        return;
    uv_idle_stop(&b->spin);
    if (--spinning)
        return;
    tick(false);
    unblock(true);
}

static uv_loop_t *loop_of_all;

uv_loop_t *native_loop(void) {
    return loop_of_all;
}

struct error *native_listen(struct backend *b) {
    loop_of_all = b->loop;
    const struct sigaction action = {.sa_handler = on_tick};
    int code = sigaction(SIGALRM, &action, NULL) ? -errno
                                                 : uv_signal_start(&b->child, on_sigchld, SIGCHLD);
    return code ? error_new(ERROR_RUN, "listening for SIGCHLD: %s", uv_strerror(code)) : NULL;
}
