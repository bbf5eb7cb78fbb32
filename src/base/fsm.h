/* State tables. A machine is an array of states; each names itself, its one short step and the
 * states that may follow. fsm_go() checks the transition and logs it; the step runs from
 * fsm_drive(), never from inside fsm_go(), so a step that is completed at once cannot recurse. */
#pragma once

#include "base/log.h"
#include <stdbool.h>
#include <stdint.h>

struct fsm_state {
    const char *name;
    void (*step)(void *owner); /* NULL: just wait here for an event */
    uint64_t next;             /* bit n set: state n may follow */
};

#define FSM_TO(state) (UINT64_C(1) << (state))

struct fsm {
    const struct fsm_state *table;
    const char *name; /* for the log; not owned */
    void *owner;
    enum log_domain domain;
    int state;
    bool pending; /* the step of `state` has not run yet */
    bool driving;
};

void fsm_init(struct fsm *fsm, const struct fsm_state *table, const char *name, void *owner,
              enum log_domain domain, int first);

/* Moves to `state`. A transition that the table does not allow is a bug and aborts. */
void fsm_go(struct fsm *fsm, int state);

/* Runs the pending step, and those that it leads to, until one waits. Does nothing when called from
 * inside a step: the outer call goes on. */
void fsm_drive(struct fsm *fsm);
