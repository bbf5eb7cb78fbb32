/* The Delve back end, inside. One `struct backend` is one connection.
 *
 *   delve.c    the table of operations; create, leave, destroy
 *   client.c   requests and replies on the wire; what may be sent when; deadlines
 *   connect.c  from the URI to a stream; the handshake
 *   claim.c    one run at a time on a server
 *   place.c    locations to addresses
 *   arm.c      breakpoints and watchpoints
 *   stop.c     a reply to `continue` becomes a stop
 *   read.c     values, stacks, goroutines at a stop
 *   answer.c   stacks, goroutines, registers, threads as values
 *   list.c     what `pickglass list` asks */
#pragma once

#include "delve/request.h"
#include "delve/scan.h"
#include "delve/state.h"
#include "delve/variable.h"
#include "loop/child.h"
#include "loop/stream.h"
#include "session/backend.h"

#define REPLY_MAX (32u << 20) /* bytes of one reply */

/* A reply has come: `result` is good during the call. `error` (owned by the callee) where the
 * server refused, in its own words. */
typedef void reply_fn(struct backend *b, void *ctx, struct span result, struct error *error);

struct call {
    uint64_t id;
    enum delve_method method;
    reply_fn *on_reply; /* NULL: nobody waits for it any more */
    void *ctx;
};

struct cost;
struct read; /* one thing that was asked for at this stop */
struct memory;

/* What a hit of the current stop has with it. */
struct hit_info {
    struct delve_info info;
    json_t *variables; /* decoded at first use */
};

struct backend {
    const struct backend_events *events;
    void *owner;
    uv_loop_t *loop;
    char *uri, *run, *relay, *output;
    unsigned timeout_ms;
    bool insecure, alone;
    int claim; /* a socket; -1: none */
    void (*reachable)(void *ctx, const char *uri);
    void *reachable_ctx;

    /* the wire */
    struct stream *stream;
    struct child *child;
    struct buffer child_output;
    struct buffer in, out, scratch;
    struct call *calls; /* outstanding, in the order they were sent */
    size_t call_count, call_cap;
    uint64_t next_id;
    uv_timer_t deadline, later;
    int handles;
    size_t batch;         /* calls of this flush that are not answered yet */
    bool batch_open;      /* `flushed` is owed */
    bool command_running; /* a Command was sent and has not replied: see delve_while_running() */
    bool halting, dead, destroyed, leaving, connected;
    struct error *death; /* why it is lost; told from `later` */

    /* what the handshake found */
    size_t greeting;
    char version[32], language[64], command[512], stopped_at[128];
    int minor; /* of 1.minor */
    bool multiclient, attached, core, started, swept;
    bool asked_follow, follows; /* `target follow-exec`: see delve_ask_follow() */
    struct target_info info;
    int64_t pid;

    /* armed */
    struct site **sites;
    size_t site_count, site_cap;

    /* the current stop */
    bool halt_outrun;    /* the stop before this run had come before our halt did */
    uint64_t resumed_ns; /* when the last continue was sent */
    bool own_answer;     /* it is our `continue` that was answered */
    bool from_other_run; /* it was at a breakpoint of another run of pickglass */
    uint64_t others_hits;
    struct buffer stop_line;
    struct stop stop;
    struct hit *hits;
    struct hit_info *hit_infos;
    size_t hit_count, hit_cap, info_cap;
    struct buffer hit_texts; /* function and file names of `hits` */
    char stop_what[256];
    struct read *reads;
    uint64_t under_way_ns, read_ns; /* expected of reads that were sent; since when */
    struct cost *costs;             /* from earlier stops; one a want at most */
    size_t cost_count, cost_cap;
    struct memory *memories;
};

/* client.c */
void delve_call(struct backend *b, enum delve_method method, json_t *params, reply_fn *on_reply,
                void *ctx);
void delve_call_text(struct backend *b, enum delve_method method, const char *params,
                     reply_fn *on_reply);
void delve_send(struct backend *b);  /* writes what delve_call() queued */
void delve_flush(struct backend *b); /* delve_send(), and `flushed` when all is answered */
void delve_lost(struct backend *b, struct error *error); /* the connection is of no use any more */
void delve_cancel(struct backend *b); /* completes all outstanding calls with an error */
void delve_forget(struct backend *b, reply_fn *on_reply); /* outstanding calls with this callback */
extern const struct stream_events delve_stream_events;

/* connect.c */
void delve_connect(struct backend *b);
void delve_greet(struct backend *b); /* the stream is open: begin the handshake */
void delve_inspect(struct backend *b);
struct error *delve_check_uri(const char *uri, bool insecure);
void delve_sweep(struct backend *b); /* queues the clearing of crashed runs' breakpoints */
/* Queues, once, the question whether the server follows children; before the first location, so
 * that these can be refused. */
void delve_ask_follow(struct backend *b);

/* claim.c: before the stream is opened. ERROR_USAGE: a target of this run has the server already;
 * ERROR_RUN with REASON_NO_PEER: another run has. The caller owns it. Kept until delve_unclaim().
 */
struct error *delve_claim(struct backend *b, const struct stream_address *address);
void delve_unclaim(struct backend *b);

/* place.c, arm.c */
void delve_resolve(struct backend *b, struct query *query);
void delve_arm(struct backend *b, struct site *site);
void delve_disarm(struct backend *b, struct site *site);
struct site *delve_find_site(struct backend *b, int64_t id);
void delve_drop_site(struct backend *b, struct site *site);

/* stop.c */
void delve_resume(struct backend *b);
void delve_halt(struct backend *b);
void delve_stop_clear(struct backend *b);

/* read.c */
enum read_result delve_read(struct backend *b, const struct hit *hit, const struct want *want,
                            struct buffer *into, value_ref *out);
bool delve_came(struct backend *b, const struct hit *hit, const struct want *want);
void delve_send_reads(struct backend *b); /* as many as should be under way */
void delve_give_up(struct backend *b, const char *why);
void delve_reads_clear(struct backend *b);

/* answer.c */
value_ref delve_stack(const struct want *want, const json_t *frames, struct buffer *into);
value_ref delve_goroutine(const json_t *goroutine, struct buffer *into, bool brief);
value_ref delve_answer(const struct hit *hit, const struct want *want, const json_t *result,
                       struct buffer *into);

/* list.c */
void delve_ask_list(struct backend *b, const char *what, const char *pattern, reply_fn *on_reply,
                    void *ctx);
value_ref delve_convert_list(const char *what, const json_t *result, struct buffer *into);

extern const struct backend_ops delve_ops;
