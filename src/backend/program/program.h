/* A program whose debugger knows only bytes: its symbols turn names into addresses, and registers
 * and memory into values. What the back ends file:, gdb: and native: share.
 *
 *   program.c    modules, places, the types of expressions
 *   compiled.c   expressions compiled once for each place
 *   read.c       what a recipe wants of a thread that stands still
 *   scope.c      how long a watched variable is there
 *   list.c       what `pickglass list` asks
 *   lacks.c      what is not found because the file does not have it
 *
 * Nothing here waits. What is missing is noted (`memory.wants`, `thread->lacks`) and answered with
 * READ_AGAIN; the back end fetches all of it in one batch and asks again. */
#pragma once

#include "base/map.h"
#include "base/text.h"
#include "expr/target.h"
#include "session/backend.h"
#include "symbol/locate.h"

struct compiled;

struct program {
    struct space space;   /* the program itself first */
    struct memory memory; /* of the current stop: program_forget() at each resume */
    struct arena scratch;
    struct map compiled, lists, labels;
    struct map calls; /* of a location and an address: `calls` of a vantage, if there are any */
    struct compiled *newest; /* all of them, to be freed */
    bool warm;
    const char *given_up; /* why nothing more is fetched at this stop; or NULL */
    uint64_t deadline_ns; /* when this stop's reading is to be over; 0: whenever it is */
    unsigned looked;      /* how often it was asked whether it is */
    bool late;            /* it is */
    bool last;            /* ... but what has come of one more value is still told */
    char unavailable[256];
};

/* A thread that stands still, as far as it has been looked at. */
struct program_thread {
    int64_t id;
    struct registers registers;
    bool whole;    /* `registers` has all that there are */
    bool singly;   /* there are more, which are fetched one by one: when one of them is wanted */
    bool lacks;    /* a register was asked for that has not been fetched */
    bool anywhere; /* it stands at no place that a recipe names: only what is global is meant */
    struct frame frame;
    bool framed;
};

void program_init(struct program *program);
void program_free(struct program *program);

/* Takes ownership of the module; `bias` is what its addresses have moved by. */
struct error *program_add(struct program *program, struct module *module, uint64_t bias);

/* Closes the modules that are gone, and with them all that was compiled. Never the program itself.
 * False: none is. */
bool program_unload(struct program *program, bool (*gone)(void *ctx, const struct loaded *loaded),
                    void *ctx);

/* Where ld.so calls an empty function whenever it has loaded or unloaded something (r_brk of
 * link.h); 0: there is none. */
uint64_t program_load_hook(const struct program *program);
const char *program_language(const struct program *program);
bool program_is_go(const struct program *program); /* also without debug info */

/* The operations `resolve` and `judge` of a back end. A module that is not loaded leaves a query
 * without places and without an error; *pending (may be NULL) then becomes true. */
void program_resolve(struct program *program, struct query *query, bool *pending);

/* At a launch, before the libraries are there: a function that the program does not have may be in
 * one of them. */
void program_resolve_early(struct program *program, struct query *query, bool *pending);
struct error *program_judge(struct program *program, const struct judged *judged,
                            struct buffer *type, size_t *column, const char **unavailable);

/* Reads what stacks will need of all modules (once), and what the site's arguments and locals are,
 * before anybody stands still for it; only if the site wants them. */
void program_warm(struct program *program, const struct site *site);

/* read.c: of it, the arguments and locals. */
void program_warm_names(struct program *program, const struct site *site);

/* A thread's registers were filled in; it has not been looked at since. */
void program_thread_start(struct program *program, struct program_thread *thread);

/* Fills in function, file and line of hit->pc, seen from a location (NULL: from its site's). The
 * texts live as long as the program. */
void program_locate(struct program *program, struct hit *hit, const struct location *where);

/* hit->frame identifies the frame: READ_DONE, even where there is no way to. */
enum read_result program_identify(struct program *program, struct program_thread *thread,
                                  struct hit *hit);

enum read_result program_read(struct program *program, struct program_thread *thread,
                              const struct hit *hit, const struct want *want, struct buffer *into,
                              value_ref *out);
/* The same of what a watchpoint watches, which is not looked up anew. */
enum read_result program_show(struct program *program, struct program_thread *thread,
                              const struct operand *operand, const struct want *want,
                              struct buffer *into, value_ref *out);

/* frame_unwind(), and what it misses of the stack brings with it what the next frames will need. */
enum unwind_result program_unwind(struct program *program, struct frame *frame,
                                  struct frame *caller, const char **why);

/* The frame of the thread's stack that the address lies in; its cfa is 0 where that is in none, or
 * not known. EVAL_OK or EVAL_AGAIN. */
enum outcome program_frame_holding(struct program *program, const struct program_thread *thread,
                                   uint64_t address, struct held_frame *out);

/* EVAL_OK, and *lives is false only where the stack was seen and the frame is not on it; or
 * EVAL_AGAIN, and *lives says nothing. */
enum outcome program_frame_lives(struct program *program, const struct program_thread *thread,
                                 const struct held_frame *held, bool *lives);

/* The target goes on: what was known of its memory is not true any more. */
void program_forget(struct program *program);

/* What is not known at this stop stays so: it is told as an error. */
void program_give_up(struct program *program, const char *why);

/* From now on a stop's values are read until then: of those that are left none is read. */
void program_read_until(struct program *program, uint64_t deadline_ns);

/* Before something that may take a while: is there no more time for it? */
bool program_is_late(struct program *program);

/* It is late, and part of a value has come: it is read for the last time, as far as it goes. */
void program_read_last(struct program *program);

/* The list that WANT_LIST asks for, or a VALUE_ERROR. */
value_ref program_list(struct program *program, const struct want *want, struct buffer *into);

/* What the answer to a question is in. */
enum needed { NEEDS_SYMBOLS, NEEDS_LINES, NEEDS_VARIABLES };

/* Why nothing can be found in the module, and what to do about it: what goes behind its path, "has
 * no ..." or "is stripped ...". NULL: it has what is needed. */
const char *program_lacks(const struct module *module, enum needed needed);

/* The error, and behind it what the module lacks. Takes and returns ownership; NULL stays NULL, and
 * so does a module. */
struct error *program_explain(struct error *error, const struct module *module, enum needed needed);

/* compiled.c */

/* Where something is looked at from. */
struct vantage {
    struct loaded *loaded; /* NULL: only what is global is known */
    uint64_t pc;           /* link-time */
    unsigned calls; /* inlined ones that begin there: not entered yet, as the location has it */
    enum moment moment;
};

/* Of a run-time address; 0: nowhere. `where`: the location that it is a place of; NULL: none. */
struct vantage program_vantage(struct program *program, uint64_t address,
                               const struct location *where, enum moment moment);
unsigned program_calls(const struct program *program, const struct location *where,
                       uint64_t address);
void program_set_calls(struct program *program, const struct location *where, uint64_t address,
                       unsigned calls);

struct compiled {
    struct compiled *next;
    const char *text;
    struct vantage at;
    struct target_expr *expr; /* NULL: `error` says why */
    struct error *error;
    size_t column; /* of the error, in the text */
};

/* Arguments or locals in scope at a place. */
struct names_at {
    size_t count, cap;
    const char **names;
};

/* `text` lives as long as the program. Never NULL but without memory. */
const struct compiled *program_compiled(struct program *program, const char *text,
                                        const struct vantage *at);
const struct names_at *program_names(struct program *program, const struct vantage *at,
                                     bool arguments);
void program_forget_compiled(struct program *program);
