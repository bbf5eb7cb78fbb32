/* The inside of a session.
 *
 *   session.c  the state machine
 *   connect.c  its steps up to a target that we may touch
 *   stops.c    its steps at a stop
 *   spots.c    from the recipe's locations to what can be armed
 *   gate.c     what should be armed now, and when that changes
 *   scope.c    is what a watch watches still there?
 *   items.c    a hit goes through its probe's filters and captures
 *   names.c    `keep` and `log` over what was captured
 *   calls.c    entries waiting for their returns
 *   pause.c    what the target suffers, and the limits on it
 *   report.c   events
 *   redact.c   what is withheld */
#pragma once

#include "base/fsm.h"
#include "session/session.h"
#include "value/event.h"

enum state {
    S_WAITING,
    S_CONNECTING,
    S_HALTING,
    S_RESOLVING,
    S_ARMING,
    S_RESUMING,
    S_RUNNING,
    S_EVALUATING,
    S_FETCHING,
    S_STRANGE,
    S_LISTING,
    S_LEAVING,
    S_OVER,
};

#define BACKOFF_FIRST_MS 50
#define STRANGE_POLL_MS 250 /* how often to look whether somebody has resumed their stop */

#define EVENT_MAX (16u << 20)  /* bytes of one event */
#define LIST_BYTES (64u << 20) /* of one that is a list */
#define CALLS_MAX 4096         /* calls of a probe that may be under way */
#define NEVER UINT64_MAX

enum role {
    ROLE_HIT,
    ROLE_ENTRY,  /* of a `call` */
    ROLE_RETURN, /* of a `call` */
};

/* A call that has been entered. */
struct call_record {
    int64_t goroutine, thread, frame;
    uint64_t stack;
    uint64_t entered_ns, paused_ns; /* the session's pauses up to the entry */
    struct buffer event;            /* begun at the entry */
};

/* A probe on this target. */
struct probe_state {
    const struct probe *probe;
    struct session *session;
    size_t index;
    struct want when, args, locals, stack, registers, goroutine, goroutines, thread;
    struct want *captures, *at_return;
    struct want watched, scope, panic;
    char **types; /* of captures, then of at_return; NULL where the back end does not tell */

    bool placed;       /* its location had a place at some time */
    bool done;         /* it will never hit again */
    bool after_open;   /* the probe it waits for has hit */
    bool from_hit;     /* a watch: the probe that it comes from has hit in this stop */
    bool over;         /* a watch: armed, and the frame of what it watches is gone */
    uint64_t after_ns; /* when */
    int64_t after_goroutine, after_thread;
    uint64_t every_next, rate_start, rate_count, rate_closed_until, timer_next;
    struct buffer old; /* the last value of a watch */
    value_ref old_value;

    struct call_record *calls;
    size_t call_count, call_cap;

    uint64_t reached, conditioned, hits, emitted, rate_limited, throttled, unpaired, lost;
    bool hidden;     /* the server decided conditions: `reached` is not known */
    bool complained; /* its condition failed once: said */
    uint64_t armed_since, armed_ns;
    bool is_armed;
};

struct member {
    struct probe_state *probe;
    enum role role;
};

/* One place and all the probes there. The site comes first: a hit's site is its spot. */
struct spot {
    struct site site;
    struct member *members;
    size_t member_count, member_cap;
    unsigned prime_tries;             /* a watch: to read what it sees before the first change */
    size_t conds_checked, cond_shown; /* members whose condition the server has accepted */
    const char *armed_cond;           /* with what the server has it now */
    const char *armed_filter;
};

/* A probe's hit on its way. */
enum item_stage {
    ITEM_SCOPE,
    ITEM_FILTER,
    ITEM_WHEN,
    ITEM_COUNT,
    ITEM_CAPTURE,
    ITEM_KEEP,
    ITEM_DONE,
    ITEM_DROPPED
};

enum progress { GO_ON, WAIT }; /* WAIT: something was queued to be read */

struct item {
    struct probe_state *probe;
    struct spot *spot; /* NULL: timer, panic */
    enum role role;
    const struct hit *hit;
    enum item_stage stage;
    unsigned tries;
    struct buffer event;
    bool emit, cut;
    bool late; /* its event is built by item_finish() */
    uint64_t hit_number;
};

struct pause {
    uint64_t seen_ns;        /* when the current stop was seen */
    uint64_t total_ns;       /* all pauses of the target so far, as estimated */
    uint64_t stops, held_ns; /* how many, and what we held of them: from reply to resume */
    uint64_t server_ns;      /* what a stop costs on the server's side; 0 = not known */
    uint64_t cost_ns;        /* ... and what the current one can have cost at most */
    uint64_t halt_sent_ns;
    uint64_t charged_ns; /* what pause_check() has taken off for the current stop */
    double balance_ns;   /* of the pause budget */
    uint64_t balance_at_ns;
    uint64_t throttled_until;
    bool throttled;
    bool cut, tripped;                  /* max_pause, in the current stop */
    uint64_t run_since;                 /* the target runs since; 0 = stopped */
    uint64_t false_seen, calibrated_ns; /* conditions evaluated here, for their rate */
    bool calibrating;
    double false_per_ns; /* hits with a false condition, as calibrated */
};

struct session {
    struct fsm fsm;
    uv_loop_t *loop;
    char *run, *target, *uri, *binary;
    const struct recipe *recipe;
    struct session_options options;
    const struct session_hooks *hooks;
    void *ctx;
    const struct backend_ops *ops;
    struct backend *backend;
    struct target_info info;
    uv_timer_t retry, wake, cut;
    int handles;
    uint64_t started_ns, connect_deadline, backoff_ms;

    struct probe_state *probes;
    size_t probe_count;
    struct query *queries; /* two a probe: its place, its returns */
    struct spot **spots;
    size_t spot_count, spot_cap;
    struct spot **stale; /* armed, of places that are none any more: to be disarmed */
    size_t stale_count, stale_cap;
    bool resolved, armed_told, was_running, found_launch, began;
    bool reloaded;  /* code was loaded: places are looked up anew, and that is not told yet */
    bool restarted; /* the target is another process, or program, than the recipe was tried on */
    bool fitted;    /* something of the recipe had a place in it */
    bool unfit;     /* the recipe does not fit what it runs: it goes on without probes */
    bool let_go;    /* the back end was told to leave, with the target going on */

    const struct stop *stop;
    bool running, halting, exited, strange;
    bool frame_bound; /* there are watches that come from a probe's hits */
    bool passing;     /* `stop` is of hits that the target did not wait for */
    struct item *items;
    size_t item_count, item_cap;

    struct pause pause;
    uint64_t seq, hits, armed_at_ns, end_ns;
    bool ending, congested;
    uint64_t congested_at;
    char *end_reason;
    enum session_outcome outcome;
    struct error *failure;
    struct buffer spare;         /* of a hit that was told, for the next one */
    struct buffer scratch, note; /* for expressions; for events that are not hits */
    bool over, freed;
};

/* spots.c */
void spots_ask(struct session *s);            /* queues the questions */
struct error *spots_build(struct session *s); /* from their answers */
void spots_drop_stale(struct session *s);     /* they were disarmed */
void spots_free(struct session *s);
bool probe_stops_process(const struct probe *probe); /* where the back end leaves a choice */
void probes_init(struct session *s);
void probes_free(struct session *s);

/* typed.c */
struct error *typed_check(struct session *s); /* after spots_build(): every expression's type */

/* gate.c */
bool probe_wanted(struct session *s, struct probe_state *p, uint64_t now, uint64_t *next);
bool spot_wanted(struct session *s, const struct spot *spot, uint64_t now, uint64_t *next);
bool gate_unsettled(struct session *s, uint64_t now,
                    uint64_t *next); /* a spot is not as it should be */
/* Of a probe of any kind; *next becomes the time when it will be, if that is sooner. */
bool gate_timer_due(struct session *s, struct probe_state *p, uint64_t now, uint64_t *next);
bool gate_differs(struct session *s, uint64_t now,
                  uint64_t *next);              /* is a stop needed to mend it? */
void gate_arm(struct session *s, uint64_t now); /* queues arming and disarming; stopped target */
struct error *gate_armed(struct session *s);    /* after the flush: what failed */
bool gate_primed(struct session *s); /* watches know what they see; false: flush once more */
bool gate_exhausted(const struct session *s); /* nothing can ever hit again */
void gate_opened(struct session *s, struct probe_state *by, const struct hit *hit, uint64_t now);
void gate_resumed(struct session *s); /* the frames of this stop's hits are gone */

struct site *gate_watch_of(const struct session *s, const struct probe_state *p); /* or NULL */

/* scope.c */
enum progress scope_look(struct session *s, struct item *item);

/* items.c */
void items_collect(struct session *s, const struct stop *stop, uint64_t now);
uint64_t item_seen_ns(const struct session *s, const struct item *item);
bool items_run(struct session *s, uint64_t now);        /* false: something was queued to be read */
void items_cut(struct session *s, const char *why);     /* no more reading; `why` lasts */
bool item_finish(struct session *s, struct item *item); /* resumed: its event; false: dropped */
void items_clear(struct session *s);
void items_lost(struct session *s); /* the target has gone: hits that were not read to the end */

/* place.c: into its event, as the item's own location sees the place */
void item_put_place(struct session *s, struct item *item);

/* names.c */
bool item_kept(struct item *item);
void item_message(struct item *item); /* redacted before */

/* calls.c */
bool call_enter(struct probe_state *p, const struct item *item, uint64_t now);
int call_find(struct probe_state *p, const struct hit *hit);
void call_leave(struct probe_state *p, size_t index);

/* pause.c */
void pause_began(struct session *s, const struct stop *stop);
void pause_begins(struct session *s); /* in the middle of a stop at which nobody stood */
void pause_check(struct session *s, uint64_t now);     /* before the resume: limits, trips */
uint64_t pause_ended(struct session *s, uint64_t now); /* resumed: this pause, as estimated */
void pause_tell(struct session *s, uint64_t pause);    /* max_pause, if that has tripped */
void limit_hits(struct session *s, const struct probe *probe); /* which has had one more */
const char *pause_kind(const struct session *s);
void pause_passed(struct session *s, const struct stop *hits);
void pause_take_false(struct session *s); /* what the back end has decided by itself */
bool pause_throttled(struct session *s, uint64_t now, uint64_t *until);
bool pause_calibrating(const struct session *s);

/* report.c */
struct buffer *report_begin(struct session *s, enum event_type type, const char *probe);
void report_send(struct session *s, struct buffer *event);
void report_armed(struct session *s);
void report_exit(struct session *s, const struct stop *stop);
void report_error(struct session *s, const char *probe, const char *severity, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
/* lasted_ns: of a trip that is over, how long it lasted; else 0. */
void report_trip(struct session *s, const char *probe, const char *limit, const char *is,
                 const char *was, const char *does, uint64_t lasted_ns);
void report_items(struct session *s, uint64_t pause_ns);
void item_mark_cut(struct item *item); /* its event, where max_pause was over */
void report_end(struct session *s);
/* False: it is too long to be told. */
bool report_list(struct session *s, value_ref list, const struct buffer *in);
int64_t report_wall_ns(uint64_t hrtime);

/* redact.c */
void redact_event(struct session *s, struct item *item);

/* session.c */
void session_stop_for(struct session *s, enum session_outcome outcome, const char *reason);
void session_fail(struct session *s, struct error *error); /* takes the error; ends the session */
extern const struct backend_events session_backend_events;

static inline void go(struct session *s, enum state state) {
    fsm_go(&s->fsm, state);
}

static inline enum state state_of(const struct session *s) {
    return (enum state)s->fsm.state;
}

/* connect.c */
void session_step_connecting(void *session);
void session_step_waiting(void *session);
void session_on_connected(void *session, const struct target_info *info, struct error *error);
void session_on_retry(uv_timer_t *timer);

/* resolve.c */
void session_step_resolving(void *session);
void session_on_resolved(struct session *s);

/* stops.c */
void session_step_evaluating(void *session);
void session_step_fetching(void *session);
void session_step_strange(void *session);
void session_on_stopped(void *session, const struct stop *stop);
void session_on_passed(void *session, const struct stop *hits);
void session_on_lost_hits(void *session, const struct site *site, uint64_t count);
