/* The native back end, inside: a process of this machine, traced by ourselves (Linux, x86-64).
 *
 *   ptrace.c    the table of operations; create, destroy
 *   process.c   what /proc tells; launching
 *   modules.c   the program and its libraries
 *   exec.c      ... when it executes another
 *   attach.c    seizing all threads
 *   detach.c    leaving them as they were
 *   follow.c    children that it forks
 *   wait.c      what the kernel reports, task by task: a table of events
 *   early.c     children that stop before their parents have told of them
 *   spin.c      how the next hit is waited for
 *   points.c    breakpoints in the text
 *   note.c      where they stand, for main
 *   slots.c     instructions executed away from their place, which keeps its breakpoint
 *   areas.c     where there is room for such copies
 *   inject.c    one step, one system call
 *   watches.c   watchpoints, and breakpoints of the hardware: the debug registers
 *   syscalls.c  system calls, at their entry and their return
 *   ahead.c     reading what a hit will need before it is asked for
 *   stop.c      hits become a stop; resuming, halting
 *   read.c      memory and registers
 *
 * Only a thread that hits stops, and its pc is moved on before anything else is done: should we die
 * then, the kernel lets it go on from there. Arming stops nobody. The loop runs in the tracer's own
 * thread, and looks for hits without sleeping as long as they come often (wait.c). */
#pragma once

#include "arch/displaced.h"
#include "backend/program/program.h"
#include "backend/ptrace/note.h"
#include <stdio.h>
#include <sys/types.h>
#include <sys/user.h>

#define WATCHES 4                        /* debug registers */
#define AHEAD_MAX 6                      /* ranges that are read before they are asked for */
#define FALSE_TOLD_NS UINT64_C(50000000) /* how often the session hears of what it is not told */
#define OFTEN_NS UINT64_C(2000000)       /* from a resume to the next hit, where hits come often */
#define BACKS 32 /* signal handlers that have come at breakpoints and are not back yet */

struct point;

enum task_kind {
    TASK_THREAD,  /* of our process */
    TASK_VFORKED, /* a child that shares our memory until it executes something */
    TASK_FORKED,  /* a child with a memory of its own: cleaned, then let go */
};

enum task_stop {
    STANDS_NOWHERE,
    STANDS_ON_POINT,
    STANDS_ON_WATCH,
    STANDS_ON_SIGNAL,
    STANDS_ON_SYSCALL,
    STANDS_HALTED
};

/* One thread that we trace. */
struct task {
    struct backend *backend;
    pid_t tid;
    enum task_kind kind;
    bool stopped, queued, shown, interrupted, watching;
    bool held;    /* in a stop of job control, which is not ours to end */
    bool kept;    /* TASK_FORKED: stands until a back end of its own takes it; clean */
    bool at_exec; /* ... before the first instruction of another program */
    enum task_stop stands;
    int signal;                        /* to be handed on when it continues */
    struct site *site;                 /* that it has hit */
    uint64_t pc;                       /* where it stands, as its code sees it */
    bool has_registers, has_view;      /* of this stop */
    bool undecided;                    /* its condition could not be: backend->condition_error */
    struct user_regs_struct registers; /* as they were when it stopped */
    struct program_thread *view;       /* owned; once it has hit */
    char name[16];
    uint64_t fault;
    uint8_t watched; /* debug registers that it has hit, as bits, until somebody is told */
    bool has_fault;
    int64_t syscall; /* that it is in; -1: none that is known */
    bool returning;  /* ... and about to leave */
    char call[48];   /* the name of one that a site is about */
};

/* How a handler that came at a breakpoint comes back to it: on any thread, where it changes them.
 */
struct back {
    pid_t tid; /* on which it came */
    struct user_regs_struct registers;
};

/* Memory that the last hit of a point has needed. */
struct ahead {
    uint8_t base; /* the register that it is near, as its offset in user_regs_struct */
    uint16_t size;
    uint64_t offset;
};

/* The texts of a hit: its thread may end while it is told. */
struct hit_names {
    char thread[16], call[48];
};

/* What was read of a hit. */
struct came {
    const struct hit *hit;
    const struct want *want;
    value_ref value;
};

/* A breakpoint in the text. */
struct point {
    uint64_t address;
    struct site *site; /* NULL: our own (the program's entry, the loader's hook), or none by now */
    struct displaced displaced;
    uint64_t slot; /* 0: none yet */
    uint32_t note;
    unsigned rewritten; /* how often its instruction was another one than before */
    uint8_t original;
    uint8_t ahead_count;
    bool inserted, own;
    struct ahead ahead[AHEAD_MAX];
};

/* Memory of the target for copied instructions. */
struct area {
    uint64_t begin, used, end;
    uint8_t *kept; /* what was there before, behind a module's code; owned */
};

struct watch {
    struct site *site; /* NULL: this debug register is free */
    uint64_t address;
    unsigned size;
    bool executes; /* a breakpoint of the hardware: nothing is written into the text */
    struct operand operand;
};

/* A system call that a site is about. */
struct native_call {
    int64_t number;
    bool returning;
    struct site *site;
    char name[48];
};

/* An executable mapping. */
struct code {
    uint64_t begin, end;
};

struct backend {
    const struct backend_events *events;
    void *owner;
    uv_loop_t *loop;
    char *uri, *output, *binary;
    pid_t pid, alive; /* alive: a thread of it that has not ended, for /proc */
    int memory;       /* /proc/PID/mem */
    uv_timer_t later;
    uv_signal_t child; /* SIGCHLD: somebody of ours has stopped */
    uv_idle_t spin;
    int handles;
    unsigned due;
    struct error *death;
    void (*reachable)(void *ctx, const char *uri);
    void *reachable_ctx;
    struct note *note;
    bool repair;  /* only to take out what a worker that died has left */
    bool follow;  /* what it forks is kept for back ends of their own */
    pid_t parent; /* whose child it was kept from; 0: nobody's */
    bool launched, connected, leaving, dead, exited, pending, at_launch, told_trap, told_step;
    bool suspended; /* found in a stop of job control, which is not ours to end */
    struct target_info info;
    char command[4096], version[160];

    uint64_t read_ns; /* of the pauses: setup->read_ns */
    struct program program;
    struct map tasks; /* struct task by tid */
    size_t task_count;
    struct map points; /* struct point by address; those that were removed stay, not inserted */
    struct map slots;  /* struct point by its slot */
    struct code *code;
    size_t code_count, code_cap;
    struct map unread; /* where a library is mapped that cannot be read; told once */
    struct area *areas;
    size_t area_count, area_cap;
    bool looked_for_areas, maps_nothing;
    bool found_nothing; /* no memory was where the last breakpoint was to be */
    bool in_library;    /* a place of ours is in one, which may be unloaded */
    uint64_t load_at;   /* where the dynamic loader tells debuggers that it has changed something */
    uint64_t syscall_at; /* a syscall instruction in the target; 0: not looked for */
    struct watch watches[WATCHES];
    struct back backs[BACKS]; /* the newest; rip 0: none */
    unsigned back_count;
    struct site **signals;
    size_t signal_count, signal_cap;
    struct native_call *calls;
    size_t call_count, call_cap;

    /* the current stop */
    struct task **queue; /* tasks that stand on something, oldest first */
    size_t queue_count, queue_cap;
    struct hit *hits;
    struct task **hit_tasks;
    struct hit_names *hit_names;
    size_t hit_cap, task_cap;
    struct stop stop;
    char stop_what[128];
    struct program_thread nowhere; /* for what is global */
    struct came *came;             /* of the current stop, or of the last one */
    size_t came_count, came_cap, came_next;
    struct buffer came_values;
    bool fetched;                  /* something that was not known ahead */
    bool running, halting, frozen; /* as the session sees it; frozen: all tasks are held */
    bool held_up;                  /* ... and one would have gone on meanwhile */
    uint64_t hold_until;           /* ... those that have stopped by then */
    bool detaching, looked_for_orphans;
    bool abandons, told_late; /* detaching: a thread that never stopped; one that must */
    uint64_t detach_until;    /* ... how long the others are waited for */
    bool restarted;           /* it executes another program, which is not told yet */
    int exit_status;
    bool by_signal;
    struct buffer verdict; /* of a condition */
    char condition_error[256];
    uint64_t resumed_ns, spin_until;
    uint64_t false_told_ns; /* when the session last heard of hits with a false condition */
    bool often;             /* the last hit came soon after the last resume */
};

enum {
    DUE_CONNECTED = 1,
    DUE_FLUSHED = 2,
    DUE_LEFT = 4,
    DUE_LOST = 8,
    DUE_STOP = 16,
    DUE_CHILDREN = 32
};
void native_later(struct backend *b, unsigned what);
void native_lost(struct backend *b, struct error *error);

/* modules.c */
/* Brings the modules up to date with what is mapped; *changed (may be NULL): something was. */
struct error *native_find_modules(struct backend *b, bool *changed);
bool native_is_code(struct backend *b, uint64_t address); /* is it executable? */

/* process.c */
struct error *native_look_at(struct backend *b); /* may it be traced? ERROR_RUN says why not */
FILE *native_proc(const struct backend *b, const char *name); /* /proc/PID/name; NULL: gone */
bool native_find_alive(struct backend *b); /* another thread for `alive`; false: all have ended */
struct error *native_launch(struct backend *b, const char *command);
uint64_t native_auxv(const struct backend *b, uint64_t key);
bool native_open_memory(struct backend *b);
void native_task_name(struct task *task);
bool native_parents(pid_t pid, pid_t *parent, pid_t *tracer); /* false: it is gone */
pid_t native_process_of(pid_t tid); /* whose thread is it? 0: it is gone */
char native_state_of(pid_t tid);    /* as in proc(5): 'R', 'S', 'D', ...; 'X': it is gone */
bool native_descends(const struct backend *b, pid_t tid); /* of our process, or a child of it */

/* attach.c */
struct error *native_attach(struct backend *b);
struct task *native_task_add(struct backend *b, pid_t tid, enum task_kind kind);
void native_task_drop(struct task *task);
/* They may be dropped meanwhile, and others added. How many there are afterwards. */
size_t native_each_task(struct backend *b, void (*take)(struct task *task));
struct task *native_task_of(pid_t tid); /* of any back end */
pid_t *native_tids(size_t *count);      /* of all of them; to be freed */
bool native_stays(void);                /* some back end has tasks that it does not let go of */
struct task *native_only_task(void);    /* where there is no other, of any back end; else NULL */

/* early.c */
void native_note_early(pid_t tid);            /* an unknown task has stopped */
bool native_take_early(pid_t tid);            /* had it? it is known now, or gone */
void native_release_early(struct backend *b); /* ... children of a target that we leave */
/* ... children of one that has ended, and will tell of none: they are its back end's. */
void native_adopt_orphans(struct backend *b);

/* follow.c */
bool native_has_children(const struct backend *b); /* that are to be told of still */
/* A child stands at its begin and is clean: it stays, until its own back end takes it or, right
 * after it was told of, nobody has. False: children are let go. */
bool native_keep_child(struct task *task);
void native_tell_children(struct backend *b); /* from the loop */
struct task *native_kept_child(pid_t pid);    /* of whichever back end; NULL: there is none */
/* Instead of native_attach(): the child is this back end's now. It runs at the first resume. */
struct error *native_adopt(struct backend *b, struct task *child);

/* detach.c */
void native_detach(struct backend *b);   /* begins */
bool native_detached(struct backend *b); /* none of its tasks is left; false: ask again */

/* wait.c */
/* Takes all that the kernel has to tell, for all back ends. False: nothing. */
bool native_pump(void);
/* Sleeps until there is something, and takes that; false: a signal came first (spin.c's timer). */
bool native_pump_asleep(void);
/* It stands when this is true; else it is gone, or will stop before it executes anything more of
 * the program, and go on by itself then. */
bool native_interrupt(struct task *task);
void native_continue(struct task *task);
void native_freeze(struct backend *b); /* no thread executes anything, until native_thaw() */
void native_thaw(struct backend *b);
bool native_wait_for(struct task *task); /* one that will stop by itself; false: it is gone */
void native_handle(struct task *task, int status);
void native_begin(struct task *task);                /* its first stop */
void native_release(struct task *task);              /* a child that stands: it goes on, untraced */
bool native_signal_is(int signal, const char *name); /* "SIGSEGV" */
struct site *native_signal_site(const struct backend *b, int signal);

/* spin.c */
uv_loop_t *native_loop(void); /* that all back ends of this process are on; NULL: there was none */
struct error *native_listen(struct backend *b);
void native_watch_for_stops(struct backend *b);
void native_rest(struct backend *b); /* no more looking */

/* exec.c */
bool native_executes(struct backend *b); /* false: no memory */
/* ... and when that is told: its modules, and nothing armed. Its one thread stands. */
struct error *native_look_anew(struct backend *b);

/* points.c */
void native_arm(struct backend *b, struct site *site);
void native_disarm(struct backend *b, struct site *site);
struct point *native_point_at(const struct backend *b, uint64_t address);
bool native_point_insert(struct backend *b, uint64_t address, struct site *site,
                         struct error **error);
/* One of our own, at whose hits nobody is told. Failing costs what it was for. */
void native_point_insert_own(struct backend *b, uint64_t address);
void native_point_remove(struct backend *b, struct point *point);
/* Is there an instruction at the address? The error says why not. */
struct error *native_check_place(struct backend *b, const struct site *site, uint64_t address);
/* Takes out the breakpoints of a tracer that is dead: an int3 where the file has none. */
void native_sweep(struct backend *b);
/* In a repair: was it one of a dead tracer that has stopped a thread there? */
bool native_is_leftover(struct backend *b, uint64_t address);
void native_clean_child(struct backend *b, pid_t pid);

/* inject.c: for a stopped task */
/* False: it has not been made (its end is left for the pump). Signals that come first are kept. */
bool native_one_step(struct task *task);
bool native_map_memory(struct task *task, uint64_t at, uint64_t size);

/* areas.c */
/* Room for one slot, reachable from `address`; 0: there is none. A stopped task. */
uint64_t native_take_room(struct task *task, uint64_t address);
void native_leave_areas(struct backend *b); /* no thread is in a slot any more */
void native_free_areas(struct backend *b);

/* slots.c */
/* The task stands behind a breakpoint's int3: it goes on as if the instruction had been executed.
 */
void native_step_aside(struct task *task, struct point *point);
/* Where the code that a slot stands for is; `pc` itself where it is in no slot. */
uint64_t native_unslot(const struct backend *b, uint64_t pc);
bool native_has_slot(const struct backend *b, const struct point *point); /* and it is right */
void native_drop_slot(struct backend *b, struct point *point);
/* Before task->signal is handed on: its handler must not see a slot. */
void native_leave_slot(struct task *task);
/* Back at a breakpoint that was hit already, for its instruction's sake? Then it goes on. */
bool native_is_back(struct task *task, const struct point *point);
void native_forget_backs(struct backend *b, pid_t tid); /* the thread has ended */

/* watches.c */
void native_arm_watch(struct backend *b, struct site *site);
void native_disarm_watch(struct backend *b, struct site *site);
void native_arm_hardware(struct backend *b, struct site *site); /* at its places in the code */
void native_watch_task(
    struct task *task); /* a stopped one: its debug registers as they should be */
void native_unwatch_task(struct task *task);
void native_clear_watches(struct backend *b);     /* what a dead tracer has left in the registers */
struct site *native_watch_hit(struct task *task); /* at its trap: native_watch_due() */
/* Several may lie on the same bytes: the next one that is to be told; NULL: there is none. */
struct site *native_watch_due(const struct task *task);
void native_watch_told(struct task *task); /* of task->site */
bool native_watches(const struct backend *b, uint64_t address);
const struct watch *native_watch_of(const struct backend *b, const char *expr);

/* syscalls.c */
/* Each running thread stands for a moment: from then on the kernel reports its system calls. */
void native_arm_syscalls(struct backend *b, struct site *site);
void native_disarm_syscalls(struct backend *b, struct site *site);
void native_on_syscall(struct task *task); /* it stands at one's entry or return */
/* What it stands at, if a site is about that. */
const struct native_call *native_call_of(const struct task *task);

/* ahead.c */
/* Reads what stands behind a point's int3, and with it what the last hit there has needed. How many
 * bytes of code. The task's registers are known. */
size_t native_read_ahead(struct task *task, const struct point *point, uint8_t *code, size_t size);
void native_learn(struct task *task); /* before the memory of its hit is forgotten */
/* The operation `came`: reads it now, and keeps it for a read() after the resume. */
bool native_came(struct backend *b, const struct hit *hit, const struct want *want);
/* What was kept of the hit; false: nothing. *out is a copy in `into`. */
bool native_take_came(struct backend *b, const struct hit *hit, const struct want *want,
                      struct buffer *into, value_ref *out);
void native_forget_came(struct backend *b);

/* stop.c */
void native_queue(struct task *task, enum task_stop stands, struct site *site);
void native_deliver(struct backend *b);
void native_resume(struct backend *b);
void native_halt(struct backend *b);
void native_exited(struct backend *b, int status);
void native_flush(struct backend *b);

/* read.c */
bool native_registers(struct task *task);
size_t native_read_memory(const struct backend *b, uint64_t address, void *out, size_t size);
bool native_write_memory(const struct backend *b, uint64_t address, const void *bytes, size_t size);
void native_fetch(struct backend *b);
/* The target has these bytes there. */
void native_known(struct backend *b, uint64_t address, uint8_t *bytes, size_t size);
enum read_result native_read(struct backend *b, const struct hit *hit, const struct want *want,
                             struct buffer *into, value_ref *out);
void native_give_up(struct backend *b, const char *why);
void native_view(struct task *task);
/* Those that instructions compute with, and the flags. */
void native_general_from(struct registers *out, const struct user_regs_struct *r);
void native_general_to(const struct registers *from, struct user_regs_struct *r);
/* The condition of the site that the task has hit. False: it does not hold. One that cannot be
 * decided holds, and b->condition_error says why. */
bool native_condition_holds(struct backend *b, struct task *task);
