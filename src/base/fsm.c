#include "base/fsm.h"

#include <stdio.h>
#include <stdlib.h>

void fsm_init(struct fsm *fsm, const struct fsm_state *table, const char *name, void *owner,
              enum log_domain domain, int first) {
    *fsm = (struct fsm){table, name, owner, domain, first, true, false};
}

void fsm_go(struct fsm *fsm, int state) {
    const struct fsm_state *from = &fsm->table[fsm->state], *to = &fsm->table[state];
    if (!(from->next & FSM_TO(state))) {
        fprintf(stderr, "pickglass: bug: %s may not go from %s to %s\n", fsm->name, from->name,
                to->name);
        abort();
    }
    LOG(fsm->domain, 2, "%s: %s -> %s", fsm->name, from->name, to->name);
    fsm->state = state;
    fsm->pending = true;
}

void fsm_drive(struct fsm *fsm) {
    if (fsm->driving)
        return;
    fsm->driving = true;
    while (fsm->pending) {
        fsm->pending = false;
        if (fsm->table[fsm->state].step)
            fsm->table[fsm->state].step(fsm->owner);
    }
    fsm->driving = false;
}
