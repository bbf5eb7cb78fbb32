/* The command line: one file a subcommand, all above the public API and nothing else. */
#pragma once

#include <pickglass/pickglass.h>

enum { EXIT_FINE = 0, EXIT_USAGE = 1, EXIT_RECIPE = 2, EXIT_RUN = 3 };

struct command {
    const char *name;
    const char *summary; /* a line for `pickglass --help` */
    const char *help;    /* all of `pickglass NAME --help` */
    const char *options; /* which of the common ones it takes: their groups, see options.c; and 'x':
                            a program behind "--" */
    int (*run)(int argc, char **argv);
};

extern const struct command run_command, trace_command, check_command, list_command, schema_command;

/* An option that may be there several times. */
struct several {
    const char *list[16];
    int count;
};

/* What the common options said. */
struct options {
    pick_params *params;
    struct several sinks, pids;
    const char *binary, *targets_file, *target_output, *when, *hits, *duration, *stack;
    int resume, end_kills_target, insecure, kill_launched, follow_forks, require_hits;
    int quiet, verbose, print_recipe;
    int connect_ms, timeout_ms;
    char **words; /* what is no option, in its order */
    int word_count;
    char **program; /* what follows "--", ends with NULL; or NULL */
};

/* Reads argv[1..]. False: the exit code is in *code, everything has been said (also for --help). */
bool options_read(const struct command *command, int argc, char **argv, struct options *out,
                  int *code);
void options_clear(struct options *options);

/* Says it on stderr and frees it; the exit code. */
int say_error(pick_error *error);
int say_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Is this word a target, or meant as one, rather than a recipe or an expression? */
bool is_target(const char *word);
bool is_program(const char *word); /* a file that could be executed, or a core */
pick_error *add_target(pick_run *run, const char *word);              /* URI or NAME=URI */
pick_error *add_file(pick_run *run, const char *path);                /* a program's file */
pick_error *add_native(pick_run *run, const struct options *options); /* --pid, -- PROGRAM */
void apply_options(pick_run *run, const struct options *options);
pick_error *add_sinks(pick_run *run, const struct options *options);
/* Errors to stderr, where no sink shows them to people; with -v what the wire took, too. `options`
 * stay until the run is freed. */
void watch_events(pick_run *run, const struct options *options);
