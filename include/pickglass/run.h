/* A run: a recipe on targets, events by callback and into sinks.
 *
 *     pick_run *run = pick_run_new();
 *     pick_run_recipe(run, "slow.yaml", text, len);
 *     pick_run_target(run, NULL, "dlv://127.0.0.1:4040");
 *     pick_run_on_event(run, on_event, ctx);
 *     int code = pick_run_all(run, &error);
 *     pick_run_free(run);
 *
 * The work is done in a process of its own (pickglass-worker), which puts the targets in order even
 * if this one is killed. An object belongs to one thread; callbacks run there, from pick_run_all()
 * or pick_run_step(). */
#pragma once

#include <pickglass/error.h>
#include <pickglass/event.h>
#include <pickglass/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pick_run pick_run;
typedef void pick_event_fn(void *ctx, const pick_event *event);

/* NULL without memory. */
pick_run *pick_run_new(void);

/* A run that is under way is told to end, but not waited for. NULL is fine. */
void pick_run_free(pick_run *run);

/* The texts are copied. At least one recipe, unless the mode is PICK_LIST; several run together, as
 * one: probes of all, whose names must differ, and the tighter of each limit. Errors say NAME:LINE:
 * COLUMN. Where nobody has seen the text, further lines of `name` are names for its lines, and
 * stand there instead. */
pick_error *pick_run_recipe(pick_run *run, const char *name, const char *text, size_t len);
pick_error *pick_run_params(pick_run *run, const pick_params *params);

/* `name` NULL: that of the recipe's target with this URI, or "target-N". Targets given here replace
 * the recipe's; one that is given by the name of a recipe's keeps its labels and parameters. */
pick_error *pick_run_target(pick_run *run, const char *name, const char *uri);
pick_error *pick_run_targets_file(pick_run *run, const char *path);

/* The program's file, for targets that do not name their own: where a stub does not say it. */
pick_error *pick_run_binary(pick_run *run, const char *path);

/* "-", FILE.jsonl, FILE.txt, KIND:PATH */
pick_error *pick_run_sink(pick_run *run, const char *spec);
void pick_run_on_event(pick_run *run, pick_event_fn *fn, void *ctx);

enum pick_mode { PICK_RUN, PICK_CHECK, PICK_LIST };
void pick_run_mode(pick_run *run, enum pick_mode mode);

/* For PICK_LIST: functions, files, types, variables, threads or goroutines; a regular expression.
 */
pick_error *pick_run_list(pick_run *run, const char *what, const char *pattern);

enum pick_option {
    PICK_RESUME,           /* 1: a target that somebody has stopped is resumed */
    PICK_END_KILLS_TARGET, /* 1: go on although the target dies when we disconnect */
    PICK_INSECURE,         /* 1: plaintext to another machine */
    PICK_KILL_LAUNCHED,    /* 1: a server that we started ends with the run */
    PICK_REQUIRE_HITS,     /* 1: a run without a hit is inconclusive (6) */
    PICK_SIGNALS,          /* 1: SIGINT and SIGTERM end the run in good order */
    PICK_STATUS,           /* 1: a live line on stderr, if that is a terminal */
    PICK_CONNECT_MS,       /* how long to try to connect; 10000 */
    PICK_TIMEOUT_MS,       /* for one answer of a server; 10000 */
    PICK_FOLLOW_FORKS,     /* 1: what a native target forks is a target, too */
};
void pick_run_option(pick_run *run, enum pick_option option, int value);

/* Where the output of servers that we start goes; stderr without this. */
pick_error *pick_run_target_output(pick_run *run, const char *path);

/* The program to use as the worker; found by itself where it was installed. */
pick_error *pick_run_worker(pick_run *run, const char *path);

/* Runs to the end. The exit code of the contract (0 fine, 2 recipe, 3 failed, 5 limit, 6
 * inconclusive); *error, if not NULL, becomes what to tell people besides the events, or NULL. */
int pick_run_all(pick_run *run, pick_error **error);

/* The same in steps, for a program with a loop of its own: poll pick_run_fd() for reading, at least
 * every 100 ms, and call pick_run_step() until it returns false; then pick_run_all() returns at
 * once. */
pick_error *pick_run_start(pick_run *run);
int pick_run_fd(pick_run *run);
bool pick_run_step(pick_run *run);

/* Ends the run in good order; hits that are on their way are still told. From a callback, or
 * between steps. */
void pick_run_stop(pick_run *run, const char *reason);

#ifdef __cplusplus
}
#endif
