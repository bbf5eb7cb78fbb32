/* The worker process, inside.
 *
 *   worker.c    the process, its pipes, the begin and the end of the run
 *   members.c   the sessions of the run
 *   frame.c     what stands on the pipes
 *   job.c       what is to be done
 *   relay.c     the output of a server that we started; link.c is main's side */
#pragma once

#include "worker/frame.h"
#include "worker/job.h"

/* A session of the run: of a target that was named, or of a process that one has forked. */
struct member {
    struct session *session;     /* NULL: it is over */
    const struct target *target; /* that was named; of a followed process: its forebear */
    struct recipe *recipe;       /* members with the same parameters have the same */
    char *name;
    bool followed;
    bool fits; /* of a named one: it, or what came of it, ran what the recipe is for */
    enum session_outcome outcome;
};

struct worker {
    uv_loop_t loop;
    uv_pipe_t in, out;
    uv_timer_t duration, stall, gather;
    uv_signal_t terminate;
    struct buffer received, frame;
    struct job job;
    struct recipe *recipe;  /* of the first target; or NULL */
    struct member *members; /* the named ones first, as in the job */
    size_t member_count, member_cap, living, followed, followed_total;
    uint64_t run_hits, told_hits, started_ns;
    bool congested, main_gone, finished, ending, told_crowd;
    bool limit_tripped;
    char reason[64];
};

/* worker.c */
void worker_tell(struct worker *w, enum frame_type type, const void *bytes, size_t n);
int64_t worker_wall_ns(void);
void worker_end(struct worker *w, const char *reason); /* all sessions end in good order */
void worker_finish(struct worker *w);                  /* and they have ended */

/* members.c */
struct error *members_make(struct worker *w); /* one for each of the job's targets */
void members_start(struct worker *w);
/* How many of the named ones have failed, when all are over; the worst that became of one. */
size_t members_failed(const struct worker *w, enum session_outcome *worst);
void members_end(struct worker *w, const char *reason);
void members_congest(struct worker *w, bool congested);
void members_free(struct worker *w);
