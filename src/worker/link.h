/* Main's end of a worker: starts it, gives it its job, takes its frames. When the worker dies
 * without having said that it is over, the link starts another one to repair what can be repaired.
 */
#pragma once

#include "base/error.h"
#include "worker/job.h"

struct link_events {
    void (*event)(void *owner, const struct buffer *event);
    void (*rested)(void *owner); /* no more events are there at once */
    /* Once, the last: the worker's exit code. `error` where it died; what was repaired is in it. */
    void (*over)(void *owner, int code, struct error *error);
};

struct link;

/* Where the worker is: $PICKGLASS_WORKER, beside this program, or where it was installed. The
 * caller owns it; NULL if there is none. */
char *link_find_worker(void);

/* Takes the job's content. */
struct error *link_start(uv_loop_t *loop, const char *worker, struct job *job,
                         const struct link_events *events, void *owner, struct link **out);
void link_stop(struct link *link, const char *reason);

/* Lets go of it: the worker sees its pipe close and ends in good order. No callback follows. */
void link_release(struct link *link);
