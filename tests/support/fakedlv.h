// What the files of fakedlv share.
#pragma once

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { ID_MAX = 64, NAME_MAX_ = 128, MAX_FUNCS = 64, MAX_BPS = 64, MAX_WAITERS = 64, GOIDS = 4 };
enum { MAX_REQUEST = 16 << 20, EXIT_USAGE = 2, EXIT_VIOLATION = 3, FIRST_PID = 5000 };

struct buf {
    char *p;
    size_t len, cap;
};

enum action {
    ACT_REPLY,
    ACT_ERROR,
    ACT_CLOSE,
    ACT_HALF,
    ACT_STALL,
    ACT_GARBAGE,
    ACT_HUGE,
    ACT_WRONGID,
    ACT_DELAY,
    ACT_SPLITBYTES,
    ACT_PIDCHANGE,
    ACT_DAP,
    ACT_TWOHITS,
    ACT_STRANGERSTOP,
    ACT_OTHERRUN,
    ACT_EVALFAILS,
    ACT_PANIC,
    ACT_BPGONE,
    ACT_COUNT
};

struct action_row {
    const char *name;
    bool needs_arg, stop_only;
};

struct rule {
    char method[NAME_MAX_];
    long nth;  // 0: every one
    long conn; // 0: on every connection
    enum action action;
    char *arg;
    long number;
};

struct func {
    char name[NAME_MAX_], file[NAME_MAX_];
    int line;
    uint64_t entry;
};

struct bp {
    int id, line;
    char name[NAME_MAX_], file[NAME_MAX_];
    const struct func *func;
    json_t *spec; // what the client sent
    uint64_t addr, total, per_g[GOIDS];
    bool enabled, foreign; // foreign: neither ours to hit nor to count as left behind
    char *head;            // its JSON up to hitCount, rendered once
};

struct conn;

struct request {
    struct conn *c;
    char id[ID_MAX];
    const struct rule *rule;
};

enum wait_kind { WAIT_STATE, WAIT_HALT, WAIT_CONTINUE };

struct waiter {
    struct request r;
    enum wait_kind kind;
};

enum stop_kind { STOP_LAUNCH, STOP_MANUAL, STOP_HIT, STOP_PANIC };

struct hit {
    int bp_id, goid;
    uint64_t k; // which hit of that breakpoint, from 0
    const struct func *func;
    int line;
    uint64_t pc;
};

struct target {
    int pid, next_id, nbps, nwaiters, nhits;
    unsigned cursor;
    bool running, exited, halt_left, detached;
    int status;
    enum stop_kind stop;
    const struct func *at;
    struct hit hit[2];
    uint64_t hits;
    struct bp *bps[MAX_BPS];
    struct request pending; // the Command that runs the target; c == NULL: nobody here
    const struct rule *fault;
    struct waiter waiters[MAX_WAITERS];
    int timer_fd;
    uv_poll_t timer;
};

struct conn {
    uv_tcp_t tcp;
    struct target *t;
    long number;
    struct buf in;
    long *seen; // requests that matched, a rule
    bool closing, deaf, mute;
    json_t *delayed;
    const struct rule *delayed_rule;
    uv_timer_t delay;
    int handles;
    struct conn *next, **prev;
};

struct call {
    struct request r;
    struct conn *c;
    struct target *t;
    json_t *params;
    struct buf out;
    struct buf err;
    bool later; // answered by another event
};

struct method {
    const char *name;
    void (*run)(struct call *);
    bool locks; // needs the target lock on the connection's own goroutine
    uint64_t count;
};

struct options {
    long hits, exit_status, delay_us, variables_bytes, clients, port;
    bool running, single, once, shared, old, anywhere;
    const struct func *stopped_at;
};

struct counts {
    uint64_t connections, open, peak, hits, continues, halts, other_commands, unknown, violations,
        left_armed, left_stopped, detached, killed, faults;
};

extern struct options opt; // fakedlv.c, as the next ones
extern struct counts stats;
extern uv_loop_t *loop;
extern struct target *shared; // NULL: each connection has its own
extern struct rule *rules;    // in the script's order
extern size_t nrules;
extern struct func funcs[MAX_FUNCS]; // fakedlv_program.c; the entry point, then main.main
extern int nfuncs;
extern struct conn *conns;                              // fakedlv_wire.c; the open ones
extern const struct action_row action_table[ACT_COUNT]; // fakedlv_dispatch.c; in the enum's order
extern struct method methods[];                         // fakedlv_replies.c
extern const int nmethods;

// ---- text (fakedlv_text.c) ----

// Ends the process with EXIT_USAGE.
void die(const char *what);
// `p`, which came from an allocator; dies when that is NULL.
void *must(void *p);
// Room for n bytes and a NUL behind what is there. A zeroed buf is an empty one; its owner frees p.
void buf_room(struct buf *b, size_t n);
// Each put appends, and leaves a NUL behind the end.
void buf_add(struct buf *b, const void *p, size_t n);
void put(struct buf *b, const char *s);
void putf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull));
// Quoted and escaped.
void put_string(struct buf *b, const char *s);
// NULL is put as null.
void put_json(struct buf *b, const json_t *j);
// A member of an object; "" and 0 when there is none of that type. The object owns the string.
const char *str_of(const json_t *o, const char *key);
json_int_t int_of(const json_t *o, const char *key);

// ---- the program (fakedlv_program.c) ----

// Copies name and file; dies when there are too many. Functions stay where they are.
const struct func *add_func(const char *name, const char *file, int line);
// NULL: there is none.
const struct func *find_func(const char *name);
// The function with `line` within it, or NULL. `full`: the file's whole path, not an end of it.
// *known: the file's path when any function is in that file, otherwise NULL.
const struct func *func_at_line(const char *file, int line, bool full, const char **known);
// NULL: the address is in none.
const struct func *func_at_addr(uint64_t addr);
uint64_t line_addr(const struct func *f, int line);
// The members of a Delve Location, without braces.
void put_loc(struct buf *b, const struct func *f, int line, uint64_t pc);
bool is_missing_var(const char *name);
// A Delve Variable: at hit k, with LocationExpr longer by `pad`.
void put_var(struct buf *b, const char *name, uint64_t k, long pad);
// A literal that was evaluated; kind is a reflect.Kind.
void put_const(struct buf *b, const char *expr, int kind, const char *value, int len);
void put_args(struct buf *b, uint64_t k);

// ---- breakpoints and state (fakedlv_state.c) ----

// By name if that is not empty, otherwise by id. NULL: there is none.
struct bp *bp_by(struct target *t, int id, const char *name);
// A Delve Breakpoint up to hitCount, and the rest of it. `gone`: without addresses, as a
// re-enabling ToggleBreakpoint of a real server answers.
void put_bp_head(struct buf *b, const struct target *t, const struct bp *bp, bool gone);
void put_bp_tail(struct buf *b, const struct bp *bp);
// Both; the head is as bp_render left it, which has to follow each change of what is in it.
void put_bp(struct buf *b, const struct bp *bp);
void bp_render(const struct target *t, struct bp *bp);
// The target owns the result, which holds a reference to spec (may be NULL). NULL: too many.
struct bp *bp_add(struct target *t, int id, const char *name, const struct func *f, int line,
                  json_t *spec);
// bp_drop takes it from the target, bp_free ends it.
void bp_drop(struct target *t, const struct bp *gone);
void bp_free(struct bp *bp);
// Drops and frees all but Delve's own, whose ids are negative.
void bps_vanish(struct target *t);
// How many can be hit, and whose turn is next (NULL: none's).
int armed(const struct target *t);
struct bp *next_armed(struct target *t);
// thread 0: the goroutine waits.
void put_goroutine(struct buf *b, int goid, const struct func *f, int line, uint64_t pc,
                   int thread);
// Frame i, 0 to 3, 0 the innermost.
const struct func *frame_at(const struct target *t, int i, int *line, uint64_t *pc);
void put_frames(struct buf *b, const struct target *t, int depth);
// The result of State and of Command. `info`: with breakPointInfo, which comes only in the reply
// to the resuming Command.
void put_state(struct buf *b, struct target *t, bool info);

// ---- the wire (fakedlv_wire.c) ----

// Copies what does not go out at once; nothing is written when closing or mute.
void conn_write(struct conn *c, const char *p, size_t n);
// From now on nothing is read or written, and the connection stays open.
void go_silent(struct conn *c);
// An answer as a DAP server gives it.
void write_dap(struct conn *c);
// Exactly one of result (JSON) and err (text) is given. The request's rule decides what becomes of
// it. Nothing happens when the connection is gone.
void send_reply(const struct request *r, const char *result, const char *err);
// Dispatches each whole request in c->in, until the connection closes, turns deaf or is delayed.
void parse_input(struct conn *c);
// The connection's own target is gone after this: handlers must not touch it again. The connection
// itself is freed from the loop. Again: no effect.
void conn_close(struct conn *c);
void on_connection(uv_stream_t *server, int status);

// ---- targets (fakedlv_target.c) ----

// Counts it and tells it on stderr.
void violation(const struct conn *c, const char *what, const char *method);
// Makes r the pending Command. It may be answered before this returns.
void start_run(struct target *t, const struct request *r);
// The target stands: answers the pending Command (with err, if given), then who waited. A queued
// continue sets it running again.
void finish_run(struct target *t, const char *err);
// Says where it stands and why; forgets its hits.
void stop_at(struct target *t, enum stop_kind kind, const struct func *at);
// The end of the run that is scheduled does not come.
void cancel_end(struct target *t);
// Puts the call off until the target stands.
void add_waiter(struct call *q, enum wait_kind kind);
struct target *target_new(void);
// Counts what is left of it; frees it, at once or from the loop.
void target_release(struct target *t);
void count_leftovers(const struct target *t);
// At the launch again, with another pid. Who waits for a run is answered.
void restart(struct target *t);
// Drops what the connection waits for; it gets no reply from this target.
void forget_conn(struct target *t, const struct conn *c);

// ---- replies (fakedlv_replies.c) ----

// The call is answered with this error.
void fail(struct call *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// True: the process has exited, and the call has failed.
bool gone(struct call *q);

// Handlers (fakedlv_bps.c): each leaves a result in q->out or an error in q->err.
void h_list_bps(struct call *q);
void h_find_location(struct call *q);
void h_return_locations(struct call *q);
void h_create_bp(struct call *q);
void h_get_bp(struct call *q);
void h_clear_bp(struct call *q);
void h_toggle_bp(struct call *q);
void h_amend_bp(struct call *q);

// ---- dispatch (fakedlv_dispatch.c) and the end (fakedlv.c) ----

// Counts the request, and answers it now, later or not at all, as its rule says. Keeps a reference
// to root if it is delayed.
void dispatch(struct conn *c, json_t *root);
// --once: reports and exits when all clients have gone.
void finish_if_done(void);
