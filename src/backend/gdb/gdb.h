/* The GDB remote back end, inside. One `struct backend` is one connection to one stub.
 *
 *   gdb.c        the table of operations; create, destroy
 *   client.c     requests and replies on the wire; acknowledgements, deadlines
 *   uri.c        a target's URI, taken apart
 *   connect.c    from the URI to a stream
 *   farewell.c   the connection fails while the target is in our hands
 *   repair.c     the same for a worker that has died
 *   greet.c      the handshake: a table of questions
 *   extended.c   a process for a stub that has none
 *   leader.c     can it be interrupted?
 *   exec.c       the target runs another program now
 *   modules.c    which program runs, and which libraries; where they were loaded
 *   registers.c  what `g` and stop replies mean
 *   points.c     breakpoints and watchpoints
 *   syscalls.c   system calls, where the stub can catch them
 *   stop.c       a stop reply becomes a stop
 *   resume.c     over the breakpoints that threads stand at, and on; halting; leaving
 *   conditions.c conditions that the stub decides
 *   traceable.c, tracepoints.c, drain.c  places where it collects by itself
 *   over.c       the same in one write: emulated instructions, hardware for the hottest places
 *   read.c       memory and registers at a stop */
#pragma once

#include "arch/emulate.h"
#include "backend/gdb/uri.h"
#include "backend/program/program.h"
#include "expr/target_agent.h"
#include "gdb/description.h"
#include "gdb/features.h"
#include "gdb/stop.h"

#define HARDWARE_SLOTS 4 /* of x86; a stub that has fewer says so when one is asked for */
#define PREDICTED 32

struct backend;

/* A reply has come: good during the call. NULL: it never will, the connection has ended. */
typedef void reply_fn(struct backend *b, void *ctx, const char *reply, size_t len);

struct request {
    reply_fn *on_reply; /* NULL: nobody cares */
    void *ctx;
    bool resumes; /* the reply is a stop, at any time */
    bool sent, acked;
    char *bytes; /* the whole packet, where it may have to be sent again; owned */
    size_t len;
    char name[24]; /* its begin, for messages */
};

/* A breakpoint in the code. */
struct point {
    uint64_t address;
    struct site *site; /* NULL: our own, at the program's entry */
    bool hardware;
    bool moved; /* from the other kind, and the stub has not said yes to it: it may be either */
    uint8_t *condition; /* agent bytecode; owned; NULL: none */
    size_t condition_len;
    bool emulated; /* `emulation` is the instruction there */
    struct emulation emulation;
    uint64_t hits; /* since the hardware's slots were given anew */
};

struct watchpoint {
    struct site *site;
    uint64_t address, size;
    struct operand operand; /* what is shown of it */
    bool placed;            /* address and size are known */
};

/* The memory that hits of a site have needed: fetched ahead, at the next one. */
struct prediction {
    const struct site *site;
    struct memory_range ranges[PREDICTED];
    size_t count;
};

/* Where a register of ours is in the reply to `g`. */
struct register_place {
    unsigned slot, number;
    size_t offset, size;
};

struct fetch { /* one `m` on its way */
    uint64_t address;
    size_t size;
    unsigned stop; /* b->stop_number when it was asked for */
};

/* What is still said when the connection has failed. */
struct farewell {
    struct buffer packets; /* their payloads, each with a NUL behind it */
    size_t at;
    unsigned owed, silences, tries, calls;
    char said; /* how the last packet began */
    bool begun, anew, halting, probing, stays, departs;
};

/* A place where the stub collects, and nobody stops. */
struct tracepoint {
    struct site *site; /* NULL: it is not armed any more, and what it had collected is told */
    uint64_t address;
    unsigned number;
    struct buffer packets;       /* its definition: payloads, a NUL behind each */
    uint64_t hits, hits_decimal; /* since the start, as the stub counts them */
    uint64_t seen, lost;         /* its frames that came; those that are told as lost */
    bool defined, leaving, disabled;
};

#define TRACED_REGISTERS 24

struct trace {
    struct tracepoint *list;
    size_t count, cap;
    unsigned next_number;
    enum { TRACE_UNKNOWN, TRACE_ABLE, TRACE_NOT } able;
    bool adopts;        /* some sites have stops that might be tracepoints */
    bool told_here;     /* the hit of where the thread stands */
    uint64_t starts[8]; /* where it would start a thread: it is stopped there */
    size_t start_count;
    bool changed;                     /* the list is not what the stub has */
    bool on;                          /* the stub has it, and collects */
    bool refused;                     /* a definition */
    uint64_t tid_at;                  /* from the thread pointer */
    unsigned slots[TRACED_REGISTERS]; /* recorded, as trace state variables */
    size_t slot_count, slots_defined;
    uint64_t period_ms, full_ms; /* full_ms: half of the buffer is not full before; 0: not known */
    void (*then)(struct backend *b);
    /* a drain */
    void (*after_drain)(struct backend *b);
    struct buffer raw;
    uint64_t size, used, at; /* of the stub's buffer; its end of the last drain */
    uint64_t told, pending;  /* frames since the start; those that are still to be told */
    uint64_t drained;        /* ... that this drain has told */
    uint64_t created, asked_ns;
    int64_t clock_ns;      /* uv_hrtime() of the stub's time 0 */
    bool overrun;          /* the ring has overwritten something */
    struct registers last; /* what was collected last, of them; and where */
    uint64_t last_pc;
    bool last_lost; /* it was overwritten */
    bool passing;   /* its hits are being told */
};

/* A system call that a site is about. */
struct gdb_call {
    uint64_t number;
    struct site *site;
    char name[48];
};

struct backend {
    const struct backend_events *events;
    void *owner;
    uv_loop_t *loop;
    char *uri, *binary;
    struct gdb_uri target;
    unsigned timeout_ms;

    /* the wire */
    struct stream *stream;
    struct packet_reader reader;
    struct buffer out, text;  /* text: a payload being built */
    struct request *requests; /* outstanding, in the order they were sent */
    size_t request_count, request_cap, resent;
    uv_timer_t deadline, later;
    int handles;
    uint64_t last_reply; /* a hash of it */
    bool overdue;        /* the deadline has passed; what has come is looked at once more */
    size_t batch;        /* requests of this flush that are not answered yet */
    bool batch_open;     /* `flushed` is owed */
    size_t unsent;       /* requests in `out` */
    bool acks, interrupt_waits, dead, destroyed, leaving, connected, running;
    struct backend_wire wire;
    bool at_hit; /* the target stands at a hit of ours */
    struct error *death;
    struct farewell farewell;
    void (*reachable)(void *ctx, const char *uri);
    void *reachable_ctx;
    bool note_stale; /* points have come or gone since the last note */
    bool noted_interrupt;

    /* what the handshake found */
    size_t greeting;
    struct gdb_features features;
    bool obtained;       /* it has got its process from us */
    bool stopped_for_us; /* it ran until we came */
    bool unreachable;    /* by an interrupt: it leads no process group */
    bool has_vcont, attached, knows_attached, interruptible, local;
    struct buffer transfer; /* a qXfer object as it comes */
    char transfer_name[96];
    void (*transferred)(struct backend *b, bool there);
    struct gdb_documents documents;
    struct gdb_description description;
    char missing[64];
    uint64_t at_entry, at_base;
    char exec_file[4096];
    int first_signal;
    struct target_info info;

    /* modules.c */
    struct program program;
    struct gdb_libraries libraries;
    size_t next_library;
    void (*after_libraries)(struct backend *b);
    struct module *opened; /* being looked at: is it the file that runs? */
    uint64_t opened_bias;
    bool guessed; /* exec_file is what /proc says: to be proved */
    char *image;  /* the program's file, as the stub has sent it */
    int64_t remote_file;
    uint64_t remote_at;
    bool pending; /* a location waits for a module */
    bool libraries_changed;
    uint64_t load_at; /* where the dynamic loader says that it has loaded something */
    void (*after_registers)(struct backend *b);

    struct register_place places[ARCH_SLOTS];
    size_t place_count;
    size_t singles;               /* answers that are still to come */
    struct buffer registers_text; /* the answer to this stop's `g` */

    /* conditions.c */
    enum {
        GUARDS_UNTRIED,
        GUARDS,
        GUARDS_NOT
    } guards;               /* its agent tells bad memory, with our help */
    bool wants_guards;      /* something needs that */
    bool proving;           /* it is being found out: by one step of a thread */
    uint64_t proved_at;     /* a breakpoint of ours stands there meanwhile */
    struct buffer put_off;  /* the stop reply that came instead: gdb_resume() takes it */
    bool trapped_anew;      /* in doing so, at this stop */
    unsigned false_reports; /* that the stub should have kept to itself */
    bool undecided;         /* ... and no more will be asked of it */

    /* over.c */
    enum { WRITES_UNPROVED, WRITES, WRITES_NOT } writes; /* registers, by `G` */
    bool unwritten;    /* the last `G` was refused: its thread hits once more */
    int64_t moved;     /* the thread that it was about */
    bool no_promotion; /* the hardware has refused a place */

    /* armed */
    struct point *points;
    size_t point_count, point_cap;
    uint64_t stale[64]; /* where the stub could not take one out */
    size_t stale_count;
    struct watchpoint *watches;
    size_t watch_count, watch_cap;
    struct site **signals;
    size_t signal_count, signal_cap;
    struct gdb_call *calls;
    size_t call_count, call_cap;
    bool catches; /* system calls, or did when the target last ran: threads may stand at some */
    struct trace trace;
    uv_timer_t tick;
    struct prediction predictions[64];
    size_t prediction_count;

    /* the current stop */
    unsigned stop_number;
    struct gdb_thread thread; /* that stopped */
    struct program_thread view;
    struct gdb_stop last; /* but for its registers, which are taken at once */
    size_t fetching;      /* reads of this stop on their way */
    void (*after_fetch)(struct backend *b);
    struct stop stop;
    struct hit hit;
    char stop_what[256];
    int pass_signal;     /* to be handed to `thread` at the resume */
    bool halting;        /* a stop is asked for */
    unsigned interrupts; /* that were sent, and have not stopped the target yet */
    bool stands_on_hit;  /* `thread` has hit the point where it stands */
    uint64_t stepped_from;
    struct buffer stepped_text; /* registers_text before the step */
    unsigned steps;             /* tries to get over a point, with signals in between */
    struct error *last_words;   /* why it is lost, told when the detach is done */
    unsigned freeing;           /* how often it went on while we wanted to leave */
    bool promoted;              /* the point that is stepped over gets a slot of the hardware */
    bool halted_in_step;        /* an interrupt of ours came before the step was made */
    bool at_launch, vforked, exited, started, told_trap;
    struct gdb_thread child; /* of a fork, being let go */
};

/* client.c: requests queue in b->out until gdb_send() */
void gdb_ask(struct backend *b, reply_fn *on_reply, void *ctx, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* b->text is the payload; it is empty afterwards. */
void gdb_ask_text(struct backend *b, reply_fn *on_reply, void *ctx);
void gdb_resume_request(struct backend *b, reply_fn *on_stop); /* b->text; its reply is a stop */
void gdb_step_request(struct backend *b, reply_fn *on_stop);   /* of b->thread alone */
void gdb_send(struct backend *b);
void gdb_flush(struct backend *b); /* gdb_send(), and `flushed` when all is answered */
void gdb_batch_done(struct backend *b);
void gdb_interrupt(struct backend *b);
void gdb_lost(struct backend *b, struct error *error);
void gdb_end(struct backend *b); /* of a dead one: its owner is told why */
void gdb_cancel(struct backend *b);
extern const struct stream_events gdb_stream_events;
bool gdb_ok(const char *reply, size_t len);
/* "the stub refused" in its own words: "", "E01", "E.text". */
struct error *gdb_refusal(const char *reply, size_t len, const char *what);

/* connect.c */
struct error *gdb_take_uri(struct backend *b, const char *uri, bool insecure);
void gdb_connect(struct backend *b);

/* farewell.c */
/* The connection has failed: takes out what is armed and lets the target go, through the same
 * connection or a new one, then gdb_end(). False: there is nothing to be said. */
bool gdb_farewell(struct backend *b);
void gdb_farewell_add(struct backend *b, const char *payload, size_t n); /* to be said */
void gdb_farewell_packet(struct backend *b, const struct packet *packet);
void gdb_farewell_opened(struct backend *b, struct error *error);
void gdb_farewell_ended(struct backend *b);
void gdb_repair(struct backend *b); /* instead of gdb_connect(), with a note */

/* repair.c */
void gdb_note(struct backend *b); /* what is armed, for whoever comes after us */
bool gdb_note_is_due(const struct backend *b);
void gdb_compose_removals(struct backend *b);
void gdb_repaired(struct backend *b, bool done);

/* greet.c */
void gdb_greet(struct backend *b); /* the stream is open */
void gdb_greet_next(struct backend *b);
void gdb_greet_anew(struct backend *b); /* from the registers on; then gdb_on_executed() */
void gdb_greet_failed(struct backend *b, struct error *error);
/* Was it running before its stub attached to it, or before we came? As far as the greeting has got.
 */
bool gdb_is_parked(const struct backend *b);
/* Reads an object whole into b->transfer. */
void gdb_transfer(struct backend *b, const char *object, const char *annex,
                  void (*done)(struct backend *b, bool there));

/* extended.c */
void gdb_ask_process(struct backend *b);

/* leader.c */
void gdb_ask_leader(struct backend *b);

/* exec.c */
void gdb_on_exec(struct backend *b);
void gdb_on_executed(struct backend *b);

/* modules.c */
void gdb_find_program(struct backend *b); /* then gdb_greet_next() */
void gdb_find_libraries(struct backend *b, void (*then)(struct backend *b));

/* registers.c */
struct error *gdb_lay_out_registers(struct backend *b);
void gdb_take_expedited(struct backend *b, const struct gdb_stop *stop);
void gdb_choose_thread(struct backend *b); /* that stopped, for what is asked next */
/* Of the thread that stopped; `then` may be NULL. */
void gdb_ask_registers(struct backend *b, void (*then)(struct backend *b));
/* Those that `g` does not have: qemu's floating-point ones. All in one write. */
void gdb_ask_single_registers(struct backend *b, void (*then)(struct backend *b));

/* points.c */
void gdb_arm(struct backend *b, struct site *site);
void gdb_disarm(struct backend *b, struct site *site);
/* Appends "Z0,..." or "z0,..." to b->text. */
void gdb_point_write(struct backend *b, const struct point *point, bool insert);
void gdb_watch_write(struct backend *b, const struct watchpoint *watch, bool insert);
/* From memory to a slot of the hardware, or back; the packets are the caller's. */
void gdb_point_move(struct backend *b, struct point *point, bool hardware);
/* The payloads that take out all that may be inserted, but for tracepoints. */
void gdb_removals(struct backend *b, void (*put)(void *ctx, const struct buffer *payload),
                  void *ctx);
struct point *gdb_point_at(struct backend *b, uint64_t address);
void gdb_arm_code(struct backend *b, struct site *site);
void gdb_disarm_code(struct backend *b, struct site *site);
void gdb_point_ask(struct backend *b, const struct point *point, bool insert, reply_fn *on_reply);
struct point *gdb_point_add(struct backend *b, uint64_t address, struct site *site);
void gdb_point_drop(struct backend *b, uint64_t address);
void gdb_ask_pass_signals(struct backend *b);
/* Watches whose addresses are not known yet are looked at; false: memory is wanted first. */
bool gdb_place_watches(struct backend *b);
const struct watchpoint *gdb_watch_of(const struct backend *b, const char *expr);

bool gdb_has_its_own_slot(const struct point *point);
bool gdb_may_be_hardware(const struct backend *b, const struct site *site);
void gdb_on_inserted(struct backend *b, void *ctx, const char *reply, size_t len);

/* stop.c, resume.c */
void gdb_on_stop(struct backend *b, void *ctx, const char *reply, size_t len);
void gdb_deliver(struct backend *b, enum stop_reason reason);
void gdb_resume(struct backend *b);
void gdb_continue(struct backend *b);
void gdb_go_over(struct backend *b, struct point *point); /* and on */
/* `promoted`: it is a hardware breakpoint afterwards. */
void gdb_step_over(struct backend *b, struct point *point, bool promoted);
void gdb_write_step(struct backend *b); /* of `thread` alone, to b->text */
void gdb_halt(struct backend *b);
void gdb_interrupt_target(struct backend *b);
void gdb_detach(struct backend *b); /* a stopped target; then gdb_lost() */
void gdb_leave(struct backend *b, enum leave_how how);

/* here.c: what this machine knows and does of a target that runs on it; of others all are false */
/* It gets its SIGINT from us; false also where it is not who we think. */
bool gdb_signal_here(const struct backend *b);
bool gdb_ended_here(const struct backend *b);
void gdb_wake_here(const struct backend *b); /* once it is detached from; nothing where it runs */

/* syscalls.c */
void gdb_arm_syscalls(struct backend *b, struct site *site);
void gdb_disarm_syscalls(struct backend *b, struct site *site);
/* What the last stop reply is about, if a site is about that. The view has its result's register.
 */
const struct gdb_call *gdb_call_of(const struct backend *b);

/* traceable.c */
/* Is it known whether hits may be collected? False: an answer is on its way, to gdb_resume(). */
bool gdb_trace_judge(struct backend *b);
void gdb_trace_refuse(struct backend *b, const char *why); /* from now on; what there is, stays */
bool gdb_trace_fits(struct backend *b, uint64_t address);  /* one place, if others may */
/* At a breakpoint: is that where it starts a thread? Then all become breakpoints, and `then`. */
bool gdb_trace_ends(struct backend *b, uint64_t pc, void (*then)(struct backend *b));
/* A stopped thread is about to go on: would the stub miss its hit? */
bool gdb_trace_is_before_hit(struct backend *b);

/* tracepoints.c */
/* At a resume: stops become tracepoints where nothing is lost by that, and gdb_resume() is called
 * again. False: there is nothing to do. */
bool gdb_trace_adopt(struct backend *b);
bool gdb_trace_takes(struct backend *b, struct site *site); /* instead of a breakpoint */
bool gdb_trace_has(const struct backend *b, const struct site *site);
/* The stub's buffer is begun anew: all tracepoints are taken out and put back. */
void gdb_trace_renew(struct backend *b, void (*then)(struct backend *b));
void gdb_trace_forget(struct backend *b); /* the sites of what has left, after a drain */
struct site *gdb_trace_site_at(const struct backend *b, uint64_t address);
void gdb_trace_drop(struct backend *b, struct site *site);
void gdb_trace_update(struct backend *b); /* before a flush: the stub gets what has changed */
void gdb_trace_define(struct backend *b, void (*then)(struct backend *b));
void gdb_trace_abandon(struct backend *b); /* another program runs */
/* All become breakpoints, for good. What was collected is told before. */
void gdb_trace_fall_back(struct backend *b, const char *why);
void gdb_trace_free(struct backend *b);

/* drain.c */
void gdb_drain(struct backend *b, void (*then)(struct backend *b)); /* what was collected is told */
void gdb_on_tick(uv_timer_t *timer);

/* conditions.c */
/* The site's filter becomes its points' conditions, where it has such a form at all of them. */
void gdb_set_conditions(struct backend *b, struct site *site);
/* "X" and the bytecode, behind a Z packet. */
void gdb_condition_write(struct backend *b, const struct point *point);
/* What a hit that the stub reported was: one that reports many false ones decides nothing. */
void gdb_condition_was(struct backend *b, bool truth);
/* What follows pointers waits for a proof that the stub can do it, at the first flush at a stop
 * where a thread may be stepped. True: it is on its way, and gdb_batch_done() is called at its end.
 */
bool gdb_prove_guards(struct backend *b);
void gdb_agent_site(struct backend *b, uint64_t pc, struct agent_site *out);
int gdb_register_number(void *backend, unsigned slot); /* for agents; -1: none */

/* over.c */
/* Asks which instruction stands at a point that is being armed. */
void gdb_over_learn(struct backend *b, const struct point *point);
/* Notes what going over the point of this hit will need, to be fetched with the captures. */
void gdb_over_want(struct backend *b);
/* The thread that hit goes over its point without a step; false: it cannot. */
bool gdb_over(struct backend *b, struct point *point);
/* A hit is told again because its registers could not be written. */
bool gdb_over_failed(struct backend *b);
/* A slot is made free for the point, which hits more often than who had it; false: not now. */
bool gdb_promote(struct backend *b, struct point *point);
void gdb_on_promoted(struct backend *b, void *ctx, const char *reply, size_t len);

/* read.c */
enum read_result gdb_read(struct backend *b, const struct hit *hit, const struct want *want,
                          struct buffer *into, value_ref *out);
/* Queues what the program notes as wanted; `then` (may be NULL) when it is there. */
void gdb_fetch(struct backend *b, void (*then)(struct backend *b));
void gdb_give_up(struct backend *b, const char *why);
void gdb_remember_reads(struct backend *b);
void gdb_predict(struct backend *b, const struct site *site);
