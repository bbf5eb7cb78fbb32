/* What a session needs of a debugger.
 *
 * A back end is one connection to one target. Operations queue; flush() submits all that is queued
 * in as few writes as it can and completes with exactly one `flushed`. resume() and halt() end in
 * exactly one `stopped` or `lost`. No callback runs inside of an operation.
 *
 * To add a back end:
 *   1. a folder src/backend/NAME with a table `const struct backend_ops NAME_ops`
 *   2. one line in src/backend/registry.c
 *   3. its row in docs/targets.md, and its servers in tests/live */
#pragma once

#include "recipe/recipe.h"
#include "value/value.h"
#include <uv.h>

struct backend;
struct note;

enum want_kind {
    WANT_EXPR,
    WANT_ARGS,
    WANT_LOCALS,
    WANT_RESULTS, /* what the function returns, at one of its returns */
    WANT_STACK,
    WANT_REGISTERS,
    WANT_GOROUTINE,
    WANT_GOROUTINES,
    WANT_THREAD,
    WANT_FRAME, /* true or false: is `frame` still on the thread's stack? */
    WANT_LIST,  /* names of a kind: `expr` is "functions", ..., `pattern` a regular expression */
};

/* A function's frame on a stack: no other has its end, and goes back to the same place. A call made
 * anew from there is taken for it. */
struct held_frame {
    uint64_t cfa; /* 0: none */
    uint64_t caller;
};

/* One thing to read at a hit. Immutable while a site refers to it. */
struct want {
    enum want_kind kind;
    const char *expr;             /* WANT_EXPR, in the target's language */
    const struct location *where; /* whose place it is: that says how many inlined calls count */
    bool truth;                   /* it is a condition: what the language takes for true or false */
    bool returning;               /* it is about a return, also at a site that is an entry, too */
    enum capture_as as;
    struct load load;
    unsigned frames;         /* WANT_STACK */
    struct held_frame frame; /* WANT_FRAME */
    const char *pattern;
};

enum site_kind {
    SITE_CODE,
    SITE_RETURN,
    SITE_WATCH,
    SITE_PANIC,
    SITE_SIGNAL,
    SITE_SYSCALL, /* at the entry of system calls: `addresses` are their numbers */
    SITE_SYSCALL_RETURN
};

/* What an expression is evaluated at. */
enum moment { AT_PLACE, AT_RETURN, AT_SYSCALL, AT_SYSCALL_RETURN };

/* One place that can be armed, serving all probes that sit there. Owned by the session. */
struct site {
    enum site_kind kind;
    char name[64]; /* pg<run>n<number>: how leftovers and strangers are told apart */
    uint64_t *addresses;
    size_t address_count;
    const char *watch; /* expression of SITE_WATCH */
    enum watch_access access;
    bool watch_from_hit; /* `watch` is resolved in the frame of a hit of this stop; else globally */
    int64_t watch_goroutine, watch_thread; /* ... of this one */
    const struct location *watch_where;    /* ... whose place it was; NULL: globally */
    struct held_frame watch_frame;         /* the back end's: what is armed lies in this one */
    const char *signal;                    /* SITE_SIGNAL: "SIGSEGV" */
    const struct location *where; /* as the recipe says it, for messages; NULL for SITE_PANIC */
    const char *cond, *hit_cond;  /* to be decided by the server; NULL = none */
    const char *filter; /* as `cond`, but a hit is judged here all the same; NULL = none */
    bool filters;       /* the back end's: hits where `filter` is surely false may go unseen */
    struct want *wants; /* read ahead at each hit where the server can */
    size_t want_count, want_cap;
    bool stop_process; /* all threads are to stand while a hit is read, not only its own */
    const char *when;  /* of the only probe there; it is judged at each hit. NULL = none */
    bool reads_more;   /* registers or threads, beside `wants` */
    bool may_pass;     /* nothing is decided by a hit that concerns the next one: `passed` is fit */
    bool identify_frame; /* hit->frame is needed (to pair a call with its return) */

    /* Hits whose `cond` was false and that were told to nobody, and how long they have held the
     * target. The session takes them: when it is told of hits, or of none (`passed`). */
    uint64_t false_hits, false_ns;

    bool armed;
    struct error *error; /* why the last arm or disarm failed; the session takes it */
    int64_t id;          /* the back end's */
};

/* A place in the code. Strings are owned. Of a system call: its name, its number as the address. */
struct place {
    uint64_t *addresses;
    size_t count;
    char *function, *file;
    unsigned line;
};

/* A question: where is this location? */
struct query {
    const struct location *location;
    bool returns; /* the function's returns instead of its entry */
    bool own;     /* only the function's own entry, no inlined copies */
    bool first;   /* its first instruction, before the prologue: where argN are */
    bool terse;   /* an error need not say what has a name like it: that takes its time */
    /* the answer */
    struct place *places;
    size_t count, cap;
    unsigned inlined_copies; /* that were left out */
    struct error *error;
};

struct hit {
    struct site *site; /* NULL: no site; then only what does not depend on a site can be read */
    int64_t thread, goroutine; /* goroutine 0: none */
    uint64_t pc;
    const char *function, *file; /* "" where unknown; good until resume() */
    unsigned line;
    int64_t frame; /* identifies the frame on its stack, also after the stack has moved */
    bool has_frame;
    uint64_t stack;          /* which one `frame` is on, where a thread has several; else 0 */
    uint64_t seen_ns;        /* uv_hrtime() of a hit that has passed; else the stop's is meant */
    const char *thread_name; /* NULL: not known */
    const char *signal;      /* which one it was; NULL: none */
    const char *syscall;     /* which system call; NULL: none */
    uint64_t fault;          /* the address that a memory fault is about */
    bool has_fault;
    const char *condition_error; /* the server could not decide the condition; its words */
};

enum stop_reason {
    STOP_HITS,   /* at least one hit of ours */
    STOP_HALTED, /* our halt; `hits` has one entry, the current thread, without a site */
    STOP_EXITED,
    STOP_PANIC,     /* the target is about to die of a panic or fatal error; one hit */
    STOP_STRANGER,  /* somebody else's stop: never resume it */
    STOP_RESTARTED, /* the target is another process now: nothing is armed any more; one hit */
    STOP_LOADED,    /* it has loaded code: locations may have more places now */
};

struct stop {
    enum stop_reason reason;
    struct hit *hits;
    size_t count;
    int64_t pid;
    int exit_status; /* or the signal that ended it, with by_signal */
    bool by_signal;
    const char *what;   /* for people: which breakpoint, which panic; may be "" */
    uint64_t seen_ns;   /* uv_hrtime() when the reply was there */
    bool nobody_stands; /* the target runs on meanwhile: it is not paused */
    uint64_t cost_ns;   /* of `passed`: what each hit has held the target for, as estimated */
    bool cut;           /* so far: setup->read_ns was over */
};

struct target_info {
    int64_t pid;
    bool running;   /* now; else stopped */
    bool at_launch; /* stopped where the program begins, nothing of it has run */
    bool started;   /* we started the server, so its first stop is ours */
    bool suspended; /* `running` as far as we are concerned, but somebody has sent it SIGSTOP */
    bool parked; /* stopped by its server's attaching to it, and by nobody else: it was running */
    int64_t parent;      /* the followed process that has forked it; 0: it was named */
    bool quitting_kills; /* it may die if we disconnect while it is stopped */
    bool stays;          /* the target lives on when we disconnect */
    bool core;           /* nothing will ever run */
    const char *server, *version, *language; /* "Delve", "1.27.2", "go1.26" */
    const char *command;                     /* the program's file, "" if unknown */
    const char *stopped_at; /* the name of the breakpoint where it is stopped; "" for none */
};

struct backend_events {
    void (*connected)(void *owner, const struct target_info *info, struct error *error);
    void (*flushed)(void *owner);
    void (*stopped)(void *owner, const struct stop *stop); /* `stop` is good until resume() */

    /* Hits for which the target did not wait, of sites that may pass, oldest first. At any time
     * between `flushed` of the arming and the `flushed` of the disarming, or `left`; the one
     * callback that may come from inside of an operation. read() answers from what was collected,
     * and never READ_AGAIN. Good during the call. Without hits: false_hits want to be looked at. */
    void (*passed)(void *owner, const struct stop *hits);

    /* So many more of the site's hits have passed, and nothing of them was kept. */
    void (*lost_hits)(void *owner, const struct site *site, uint64_t count);
    void (*lost)(void *owner,
                 struct error *error);             /* at any time after `connected`; the last one */
    void (*left)(void *owner);                     /* completes leave(); the last one */
    void (*notice)(void *owner, const char *text); /* something that people should know */

    /* setup->follow: the target has forked a process, which stands before it has run anything (or
     * before the program that it executes has), free of what is armed. A back end that connects to
     * `uri` during the call has it from its begin; else it is let go. */
    void (*forked)(void *owner, const char *uri);
};

enum read_result {
    READ_DONE,  /* *out is the value: perhaps one that says why it cannot be read */
    READ_AGAIN, /* queued; flush() and read again */
};

enum leave_how {
    LEAVE_QUIETLY, /* the target stays as it is now */
    LEAVE_FREE,    /* it is stopped, and goes on without us: where caps->detaches says so */
    LEAVE_KILL,    /* end the server and the target that it launched */
};

struct backend_setup {
    uv_loop_t *loop;
    const char *run; /* its id: part of the names of our breakpoints */
    const char *uri;
    const char *binary;  /* the program's file, where the user has named it; or NULL */
    const char *relay;   /* the program that relays a started server's output */
    const char *output;  /* a file for it; NULL = stderr */
    unsigned timeout_ms; /* for the answer to one request */
    /* How long a stop's reading may take, for back ends whose read() waits for nobody and so is not
     * cut from outside (`give_up`): then what is left is told as an error, and stop->cut. 0: as
     * long as it takes. */
    uint64_t read_ns;
    bool insecure;
    bool alone;        /* a run: where two would harm each other, the second one is refused */
    bool follow;       /* tell of what the target forks: where caps->follows */
    struct note *note; /* backend/ptrace/note.h; NULL: nobody would read it */
    /* Tells where the server can be reached, as soon as it is known: for repair. */
    void (*reachable)(void *ctx, const char *uri);
    void *reachable_ctx;
};

struct backend_caps {
    const char *name;
    unsigned triggers;               /* bit n: trigger n */
    const char *why_not[TRIGGERS];   /* what to say about the others */
    bool conditions, hit_conditions; /* `cond`, `hit_cond` are decided by the back end */
    bool filters;                    /* of some sites, perhaps: site->filters says of which */
    bool registers, goroutines;
    bool abi;                    /* expressions may use argN and $registers */
    bool modules;                /* places in libraries */
    bool hardware;               /* `hw`, and watches of reads alone */
    bool stops_all;              /* a hit stops the whole target */
    const char *const *no_names; /* what its server says where there is no such variable; or NULL */
    const char *watch_alone;     /* why a watch must not share a run with code probes; NULL */
    bool hides_false;            /* hits whose condition is false are not even counted */
    bool measures;               /* we see a stop when it begins, and end it ourselves */
    bool takes_binary; /* the program's file may be named to it: it does not know by itself */
    bool follows;      /* what the target forks, as targets of their own */
    bool detaches;     /* leave() is for a stopped target, and lets it go on */
};

/* What was said on the wire. A hit should take one round trip beside its resume, and one more for
 * each further level of pointers at a site's first. */
struct backend_wire {
    uint64_t requests, writes, round_trips;
    uint64_t hit_stops,
        hit_round_trips; /* stops at hits; round trips from those to their resumes */
};

/* An expression of the recipe at one place in the code. */
struct judged {
    const char *expr;
    uint64_t address;             /* 0: no place; only what is global is known */
    const struct location *where; /* that has the place */
    enum moment moment;
};

struct backend_ops {
    const struct backend_caps *caps;
    struct error *(*create)(const struct backend_setup *setup, const struct backend_events *events,
                            void *owner, struct backend **out);
    void (*connect)(struct backend *backend); /* ends in `connected` */
    void (*inspect)(struct backend *backend); /* how is it now? ends in `connected` again */

    /* These queue, and are for a stopped target. */
    void (*resolve)(struct backend *backend, struct query *query);

    /* Is the expression right, and of which type? Synchronous, after its places were resolved. NULL
     * for back ends that leave types to their server. An ERROR_RECIPE's byte offset goes to
     * *column; *unavailable becomes the first variable that is optimised out there, good until the
     * next call.
     */
    struct error *(*judge)(struct backend *backend, const struct judged *judged,
                           struct buffer *type, size_t *column, const char **unavailable);
    /* Function, file and line of the hit as another location than its site's sees them; NULL: it
     * is the same for all. */
    void (*locate)(struct backend *backend, struct hit *hit, const struct location *where);
    void (*arm)(struct backend *backend, struct site *site); /* again: with changed cond, wants */
    void (*disarm)(struct backend *backend, struct site *site);
    enum read_result (*read)(struct backend *backend, const struct hit *hit,
                             const struct want *want, struct buffer *into, value_ref *out);
    /* Has all of it come with the stop? Then read() answers at once, and also right after resume(),
     * before control goes back to the loop. NULL: never. */
    bool (*came)(struct backend *backend, const struct hit *hit, const struct want *want);
    /* Answers that are still to come are dropped; what was queued to read stays unread, and is told
     * as the error `why`, a text that lasts. */
    void (*give_up)(struct backend *backend, const char *why);
    void (*flush)(struct backend *backend);

    void (*resume)(struct backend *backend); /* stopped target; ends in `stopped` or `lost` */
    void (*halt)(struct backend *backend);   /* running target; any stop answers it */

    void (*wire)(struct backend *backend, struct backend_wire *out); /* may be NULL */
    void (*leave)(struct backend *backend, enum leave_how how);      /* ends in `left` */
    void (*destroy)(struct backend *backend); /* at any time; no callback follows */
};

/* The back end for a URI, or NULL; *why then says why. */
const struct backend_ops *backend_find(const char *uri, const char **why);
