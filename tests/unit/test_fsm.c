#include "base/fsm.h"
#include "unit.h"
#include <signal.h>

enum { FIRST, SECOND, WAITING, LAST };

struct machine {
    struct fsm fsm;
    char trace[64];
    int depth, deepest;
};

static void enter(struct machine *m, const char *mark) {
    strcat(m->trace, mark);
    if (++m->depth > m->deepest)
        m->deepest = m->depth;
}

static void step_first(void *owner) {
    struct machine *m = owner;
    enter(m, "1");
    fsm_go(&m->fsm, SECOND);
    fsm_drive(&m->fsm); /* from inside: must not run the next step here */
    strcat(m->trace, ";");
    m->depth--;
}

static void step_second(void *owner) {
    struct machine *m = owner;
    enter(m, "2");
    fsm_go(&m->fsm, WAITING);
    m->depth--;
}

static void step_last(void *owner) {
    struct machine *m = owner;
    enter(m, "4");
    m->depth--;
}

static const struct fsm_state table[] = {
    [FIRST] = {"first", step_first, FSM_TO(SECOND)},
    [SECOND] = {"second", step_second, FSM_TO(WAITING) | FSM_TO(LAST)},
    [WAITING] = {"waiting", NULL, FSM_TO(LAST) | FSM_TO(WAITING)},
    [LAST] = {"last", step_last, 0},
};

Test(fsm, runs_steps_until_one_waits) {
    struct machine m = {0};
    fsm_init(&m.fsm, table, "test", &m, LOG_SESSION, FIRST);
    cr_assert_str_empty(m.trace, "init runs nothing");
    fsm_drive(&m.fsm);
    cr_assert_str_eq(m.trace, "1;2");
    cr_assert_eq(m.deepest, 1, "a step never runs inside of another");
    cr_assert_eq(m.fsm.state, WAITING);
}

Test(fsm, a_step_runs_once) {
    struct machine m = {0};
    fsm_init(&m.fsm, table, "test", &m, LOG_SESSION, FIRST);
    fsm_drive(&m.fsm);
    fsm_drive(&m.fsm);
    cr_assert_str_eq(m.trace, "1;2");
    fsm_go(&m.fsm, LAST);
    cr_assert_str_eq(m.trace, "1;2", "going does not run the step");
    fsm_drive(&m.fsm);
    fsm_drive(&m.fsm);
    cr_assert_str_eq(m.trace, "1;24");
}

Test(fsm, may_enter_its_own_state_again_where_allowed) {
    struct machine m = {0};
    fsm_init(&m.fsm, table, "test", &m, LOG_SESSION, WAITING);
    fsm_drive(&m.fsm);
    fsm_go(&m.fsm, WAITING);
    fsm_drive(&m.fsm);
    cr_assert_eq(m.fsm.state, WAITING);
}

Test(fsm, a_transition_that_is_not_in_the_table_aborts, .signal = SIGABRT) {
    struct machine m = {0};
    fsm_init(&m.fsm, table, "test", &m, LOG_SESSION, FIRST);
    fsm_go(&m.fsm, LAST);
}

Test(fsm, nothing_follows_the_last_state, .signal = SIGABRT) {
    struct machine m = {0};
    fsm_init(&m.fsm, table, "test", &m, LOG_SESSION, LAST);
    fsm_go(&m.fsm, FIRST);
}
