// How a target runs and stops, and how long it lives.
#include "fakedlv.h"
#include <sys/timerfd.h>
#include <unistd.h>

// ---- running the target ----

static void reply_state(const struct request *r, struct target *t, bool info) {
    struct buf b = {0};
    put_state(&b, t, info);
    send_reply(r, b.p, NULL);
    free(b.p);
}

void violation(const struct conn *c, const char *what, const char *method) {
    stats.violations++;
    fprintf(stderr, "fakedlv: violation: connection %ld: %s: %s\n", c->number, method, what);
}

// Replies as the real server does: first the pending Command, then who waited. A queued continue
// gets the lock before a waiting halt does, and so starves it.
void finish_run(struct target *t, const char *err) {
    struct request first = t->pending;
    t->running = false;
    t->pending.c = NULL;
    if (first.c && err)
        send_reply(&first, NULL, err);
    else if (first.c)
        reply_state(&first, t, true);
    for (int i = 0; i < t->nwaiters; i++) {
        if (t->waiters[i].kind != WAIT_CONTINUE)
            continue;
        struct request again = t->waiters[i].r;
        t->waiters[i] = t->waiters[--t->nwaiters];
        start_run(t, &again);
        return;
    }
    for (int i = 0; i < t->nwaiters; i++)
        reply_state(&t->waiters[i].r, t, false);
    t->nwaiters = 0;
}

void stop_at(struct target *t, enum stop_kind kind, const struct func *at) {
    t->stop = kind;
    t->at = at;
    t->nhits = 0;
}

static void record_hit(struct target *t, struct bp *bp) {
    static const int goids[GOIDS] = {1, 18, 19, 20};
    uint64_t g = t->hits % GOIDS;
    t->hit[t->nhits++] = (struct hit){.bp_id = bp->id,
                                      .goid = goids[g],
                                      .k = bp->total++,
                                      .func = bp->func,
                                      .line = bp->line,
                                      .pc = bp->addr};
    bp->per_g[g]++;
    if (!bp->foreign) {
        t->hits++;
        stats.hits++;
    }
}

static void target_exits(struct target *t, int status) {
    t->exited = true;
    t->status = status;
    t->nhits = 0;
    finish_run(t, NULL);
}

static void stop_for_stranger(struct target *t, const char *name) {
    struct bp *bp = bp_by(t, 0, name);
    if (!bp)
        bp = bp_add(t, t->next_id++, name, &funcs[1], funcs[1].line, NULL);
    if (!bp)
        die("too many breakpoints");
    bp->foreign = true;
    record_hit(t, bp);
}

// What a run comes to, once its delay is over.
static void run_ends(struct target *t) {
    enum action fault = t->fault ? t->fault->action : ACT_COUNT;
    struct buf err = {0};
    struct bp *bp;
    if (!t->running)
        return;
    stop_at(t, STOP_HIT, t->at);
    if (fault == ACT_PANIC) {
        t->stop = STOP_PANIC;
        record_hit(t, bp_by(t, -1, NULL));
    } else if (fault == ACT_STRANGERSTOP) {
        stop_for_stranger(t, "user1");
    } else if (fault == ACT_OTHERRUN) {
        stop_for_stranger(t, "pg00000000p1t0n1");
    } else if (!(bp = next_armed(t))) {
        if (fault != ACT_EVALFAILS)
            return; // disarmed meanwhile: runs on till halt
    } else {
        record_hit(t, bp);
        if (fault == ACT_TWOHITS)
            record_hit(t, next_armed(t));
    }
    if (fault == ACT_EVALFAILS)
        putf(&err, "error evaluating expression: %s", t->fault->arg);
    finish_run(t, err.p);
    free(err.p);
}

static void on_hit_due(uv_poll_t *h, int status, int events) {
    struct target *t = h->data;
    uint64_t n;
    (void)status, (void)events;
    if (read(t->timer_fd, &n, sizeof n) == sizeof n)
        run_ends(t);
}

// A timerfd, for uv_timer counts whole milliseconds.
static void schedule_end(struct target *t) {
    if (!opt.delay_us) {
        run_ends(t);
        return;
    }
    if (t->timer_fd < 0) {
        t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (t->timer_fd < 0 || uv_poll_init(loop, &t->timer, t->timer_fd))
            die("no timer");
        t->timer.data = t;
        uv_poll_start(&t->timer, UV_READABLE, on_hit_due);
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = opt.delay_us / 1000000, .tv_nsec = opt.delay_us % 1000000 * 1000}};
    timerfd_settime(t->timer_fd, 0, &when, NULL);
}

void cancel_end(struct target *t) {
    static const struct itimerspec never;
    if (t->timer_fd >= 0)
        timerfd_settime(t->timer_fd, 0, &never, NULL);
}

void start_run(struct target *t, const struct request *r) {
    t->pending = *r;
    t->running = true;
    t->fault = r->rule && action_table[r->rule->action].stop_only ? r->rule : NULL;
    if (t->halt_left) { // 1.20.2: a halt at the launch stop ends the next continue at once
        t->halt_left = false;
        stop_at(t, STOP_MANUAL, t->at);
        finish_run(t, NULL);
    } else if (t->stop == STOP_PANIC) {
        target_exits(t, 2);
    } else if (opt.hits >= 0 && t->hits >= (uint64_t)opt.hits) {
        target_exits(t, (int)opt.exit_status);
    } else if (t->fault || armed(t)) {
        schedule_end(t);
    }
}

void add_waiter(struct call *q, enum wait_kind kind) {
    struct target *t = q->t;
    q->later = true;
    if (t->nwaiters == MAX_WAITERS)
        die("too many requests wait for one target");
    t->waiters[t->nwaiters++] = (struct waiter){.r = q->r, .kind = kind};
}

// ---- targets ----

struct target *target_new(void) {
    static int next_pid = FIRST_PID;
    struct target *t = must(calloc(1, sizeof *t));
    t->pid = next_pid;
    next_pid += 10;
    t->next_id = 1;
    t->timer_fd = -1;
    t->running = opt.running;
    stop_at(t, opt.stopped_at || opt.running ? STOP_MANUAL : STOP_LAUNCH,
            opt.stopped_at ? opt.stopped_at : find_func("_rt0_amd64_linux"));
    struct bp *panic =
        bp_add(t, -1, "unrecovered-panic", find_func("runtime.fatalpanic"), 1456, NULL);
    json_object_set_new(panic->spec, "variables", json_pack("[s]", "runtime.curg._panic.arg"));
    bp_render(t, panic);
    struct bp *fatal = bp_add(t, -2, "runtime-fatal-throw", find_func("runtime.throw"), 1, NULL);
    panic->foreign = fatal->foreign = true;
    return t;
}

void count_leftovers(const struct target *t) {
    if (t->detached || t->exited)
        return;
    stats.left_armed += (uint64_t)armed(t);
    stats.left_stopped += !t->running;
}

static void target_free(struct target *t) {
    for (int i = 0; i < t->nbps; i++)
        bp_free(t->bps[i]);
    free(t);
}

static void on_timer_closed(uv_handle_t *h) {
    struct target *t = h->data;
    close(t->timer_fd);
    target_free(t);
}

void target_release(struct target *t) {
    count_leftovers(t);
    if (t->timer_fd < 0)
        target_free(t);
    else
        uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

void restart(struct target *t) {
    cancel_end(t);
    t->pid += 100000;
    t->exited = false;
    t->hits = 0;
    stop_at(t, STOP_LAUNCH, find_func("_rt0_amd64_linux"));
    for (int i = 0; i < t->nbps; i++)
        bp_render(t, t->bps[i]);
    if (t->running)
        finish_run(t, NULL);
}

void forget_conn(struct target *t, const struct conn *c) {
    int n = 0;
    for (int i = 0; i < t->nwaiters; i++)
        if (t->waiters[i].r.c != c)
            t->waiters[n++] = t->waiters[i];
    t->nwaiters = n;
    if (t->pending.c == c)
        t->pending.c = NULL;
}
