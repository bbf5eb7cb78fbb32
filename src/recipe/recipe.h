/* A recipe, parsed, with the parameters of one target put in, its own-language expressions
 * compiled. Immutable afterwards; targets with the same parameters share one. It knows nothing of
 * back ends. */
#pragma once

#include "expr/expr.h"
#include "recipe/node.h"
#include <stdint.h>

enum trigger {
    TRIGGER_NONE,
    TRIGGER_AT,
    TRIGGER_CALL,
    TRIGGER_RETURN_OF,
    TRIGGER_WATCH,
    TRIGGER_TIMER,
    TRIGGER_SIGNAL,
    TRIGGER_PANIC,
    TRIGGER_EXIT,
    TRIGGER_SYSCALL,
    TRIGGERS
};
extern const char *const trigger_names[TRIGGERS]; /* as in recipes */

enum capture_as { AS_IS, AS_ADDR, AS_HEX, AS_TEXT, AS_BYTES };
enum action { DO_THROTTLE, DO_CUT, DO_DISARM, DO_END, DO_FAIL, DO_END_RUN, DO_NOTHING };
enum same { SAME_ANY, SAME_GOROUTINE, SAME_THREAD };
enum watch_access { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_RW = 3 };
enum stop_scope { STOP_DEFAULT, STOP_THREAD, STOP_PROCESS };

struct load {
    unsigned string, items, depth, bytes; /* bytes, elements, levels, bytes */
};

struct location {
    char *text;     /* as written, for messages and events */
    char *function; /* one of function, file, address and match */
    char *file;
    unsigned line;
    uint64_t address;
    char *match;
    unsigned max; /* most functions that `match` may name */
    char *module;
    bool inlined, has_inlined;
    int64_t offset; /* bytes behind the location's address: of a function, its first instruction */
    bool has_offset;
    bool hw;
    char **syscalls; /* of a syscall probe: their names; nothing else then */
    size_t syscall_count, syscall_cap;
    struct mark mark;
};

struct capture {
    char *name, *expr; /* the expression in the target's language, parameters put in */
    enum capture_as as;
    struct load load;
    struct mark mark;
};

struct hit_cond {
    char text[24]; /* "" = none; "% 100" */
    enum { HIT_EQ, HIT_NE, HIT_LT, HIT_LE, HIT_GT, HIT_GE, HIT_MOD } op;
    uint64_t n;
};

struct probe {
    char *name;
    const char *source; /* the recipe's file, for messages */
    struct mark mark;
    enum trigger trigger;
    struct mark trigger_mark;

    struct location at; /* at, call, return_of, syscall */
    char *watch;        /* expression */
    enum watch_access access;
    int watch_from; /* probe index; -1 = global */
    uint64_t timer_ns;
    char *signal;

    int after; /* probe index; -1 = none */
    enum same after_same;
    uint64_t after_within_ns; /* 0 = any time */
    char *after_name;
    char *watch_from_name;
    char *when;
    struct mark when_mark;
    struct hit_cond hit_cond;
    uint64_t rate_hits, rate_per_ns; /* 0 = none */
    uint64_t max_hits;               /* 0 = none */
    uint64_t every_ns;               /* 0 = always armed */

    struct capture *captures, *at_return;
    size_t capture_count, return_count, capture_cap, return_cap;
    bool args, locals, registers, goroutine, goroutines, thread;
    unsigned stack; /* frames; 0 = none */
    struct load load;

    struct expr *keep;
    struct expr_template *log;
    char *log_text;
    bool emit_none;
    enum action then; /* DO_NOTHING, DO_DISARM, DO_END or DO_END_RUN */
    enum stop_scope stop;
    struct node *keys; /* the probe's mapping, for marks of single keys; owned by the recipe */
};

struct limit {
    bool set; /* by the recipe, not by default */
    double is;
    enum action action;
    struct mark mark;
};

struct limits {
    uint64_t duration_ns; /* 0 = none */
    bool duration_set;
    struct limit hits, run_hits; /* is 0 = none */
    struct limit max_pause;      /* ns */
    struct limit pause_budget;   /* a share: 0.05 */
};

struct param {
    char *name;
    enum param_type {
        PARAM_INT,
        PARAM_FLOAT,
        PARAM_BOOL,
        PARAM_STRING,
        PARAM_SIZE,
        PARAM_DURATION,
        PARAM_LOCATION,
        PARAM_EXPR
    } type;
    char *value; /* NULL: none given */
    char *env;
    bool secret;
    bool wrong; /* its value is not of its type, and that has been said */
    struct mark mark;
};

struct setting {
    char *name, *value;
};

struct settings {
    struct setting *list;
    size_t count, cap;
    bool elsewhere; /* what this recipe does not declare is another's */
};

struct target {
    char *name, *uri, *binary;
    struct settings labels, params;
    struct mark mark; /* line 0: from the command line */
};

struct recipe {
    char *source; /* file name */
    char *name, *description;
    struct param *params;
    struct target *targets;
    struct probe *probes;
    char **redact; /* in addition to the default list */
    size_t param_count, target_count, probe_count, redact_count;
    size_t param_cap, target_cap, probe_cap, redact_cap;
    struct limits limits;
    struct load load;
    double require;                          /* share of the targets that must be reached */
    struct mark aggregate_mark, expect_mark; /* line 0: not there */
    struct buffer judged; /* aggregate and expect as they were understood, a line each */
    struct node *root;
    struct recipe *joined; /* by recipe_parse_all(): the next of those whose probes are here */
};

/* Parses `text`. `given` are parameters from the command line; those of `target`, if it is not
 * NULL, win over the recipe's defaults and lose against `given`. All mistakes are reported at once,
 * as one ERROR_RECIPE, which say where: SOURCE:LINE:COLUMN. Where nobody has seen the text, because
 * it was written for what somebody has said otherwise, `source` has more lines: names for those of
 * the text, which stand there instead; an empty one is no name. Values of secret parameters go to
 * secret_add(). */
struct error *recipe_parse(const char *source, const char *text, size_t len,
                           const struct settings *given, const struct target *target,
                           struct recipe **out);
void recipe_free(struct recipe *recipe);

struct recipe_text {
    char *name, *text;
};

/* One or more that run together: the probes of all, whose names must differ, what any of them
 * withholds, and the tighter of each limit. `given` goes to those that declare it. `count` > 0. */
struct error *recipe_parse_all(const struct recipe_text *texts, size_t count,
                               const struct settings *given, const struct target *target,
                               struct recipe **out);

/* Appends what was understood, one probe a paragraph, expressions as they will be used. */
void recipe_print(const struct recipe *recipe, struct buffer *out);

/* Are its entry and its return one event? A system call's, where something is read at its return.
 */
bool probe_pairs(const struct probe *probe);

/* The mark of a probe's key, or of the probe itself. */
struct mark probe_key_mark(const struct probe *probe, const char *key);

/* "FILE:LINE:COLUMN: message" for what turns out to be wrong later on, at a target. */
struct error *recipe_error(const char *source, struct mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends the JSON Schema of a recipe. */
void recipe_schema(struct buffer *out);

struct error *settings_add(struct settings *settings, const char *name, const char *value);
const char *settings_get(const struct settings *settings, const char *name);
void settings_free(struct settings *settings);

/* A list of targets in a file: the recipe's `targets`, or one URI a line. */
struct error *targets_parse(const char *source, const char *text, size_t len,
                            struct target **targets, size_t *count);
void target_clear(struct target *target);
