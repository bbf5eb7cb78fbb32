/* The options that commands share. */
#include "cli/cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One of them is on the command line, with `optarg`. False: the exit code is in *code, and all has
 * been said. */
struct known;
typedef bool take_fn(const struct command *command, const struct known *option, struct options *out,
                     int *code);

struct known {
    const char *name;
    char letter; /* its short form; 0: none */
    char group;  /* in a command's `options` it says that the command takes it; 'h': all do */
    bool argument;
    take_fn *take;
    size_t at; /* the field of struct options that it sets */
};

int say_error(pick_error *error) {
    int code = pick_error_code(error);
    fprintf(stderr, "pickglass: %s\n", pick_error_message(error));
    pick_error_free(error);
    return code;
}

int say_usage(const struct command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "pickglass %s: ", command->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n(pickglass %s --help says how it is used)\n", command->name);
    va_end(args);
    return EXIT_USAGE;
}

/* "500ms", "10s", "2m" to milliseconds; -1 if it is none. */
static int milliseconds(const char *text) {
    char *end;
    double number = strtod(text, &end);
    double factor = !strcmp(end, "ms")  ? 1
                    : !strcmp(end, "s") ? 1000
                    : !strcmp(end, "m") ? 60000
                                        : 0;
    double value = number * factor;
    return end == text || factor == 0 || value < 1 || value > 86400000 ? -1 : (int)value;
}

static void *field(const struct known *option, struct options *out) {
    return (char *)out + option->at;
}

static bool take_help(const struct command *command, const struct known *option,
                      struct options *out, int *code) {
    (void)option;
    (void)out;
    fputs(command->help, stdout);
    *code = EXIT_FINE;
    return false;
}

static bool take_flag(const struct command *command, const struct known *option,
                      struct options *out, int *code) {
    (void)command;
    (void)code;
    *(int *)field(option, out) = 1;
    return true;
}

/* Of two that differ only one could be meant, and we do not know which. */
static bool take_text(const struct command *command, const struct known *option,
                      struct options *out, int *code) {
    const char **text = field(option, out);
    if (*text) {
        *code = say_usage(command, "--%s is there twice: \"%s\" and \"%s\"; it takes one",
                          option->name, *text, optarg);
        return false;
    }
    *text = optarg;
    return true;
}

static bool take_one_more(const struct command *command, const struct known *option,
                          struct options *out, int *code) {
    struct several *several = field(option, out);
    if (several->count == (int)(sizeof several->list / sizeof *several->list)) {
        *code = say_usage(command, "--%s: more than %d", option->name, several->count);
        return false;
    }
    several->list[several->count++] = optarg;
    return true;
}

static bool take_param(const struct command *command, const struct known *option,
                       struct options *out, int *code) {
    (void)command;
    (void)option;
    pick_error *error = pick_params_add(out->params, optarg);
    if (error)
        *code = say_error(error);
    return !error;
}

static bool take_duration(const struct command *command, const struct known *option,
                          struct options *out, int *code) {
    int *ms = field(option, out);
    *ms = milliseconds(optarg);
    if (*ms > 0)
        return true;
    *code = say_usage(command, "--%s %s: not a duration like 500ms or 10s", option->name, optarg);
    return false;
}

static bool take_later(const struct command *command, const struct known *option,
                       struct options *out, int *code) {
    (void)out;
    *code = say_usage(command, "--%s is not there yet", option->name);
    return false;
}

#define AT(field) offsetof(struct options, field)

static const struct known known[] = {
    {"help", 'h', 'h', false, take_help, 0},
    {"param", 'p', 'p', true, take_param, 0},
    {"output", 'o', 'o', true, take_one_more, AT(sinks)},
    {"quiet", 'q', 'q', false, take_flag, AT(quiet)},
    {"verbose", 'v', 'q', false, take_flag, AT(verbose)},
    {"pid", 0, 'c', true, take_one_more, AT(pids)},
    {"binary", 0, 'b', true, take_text, AT(binary)},
    {"targets", 0, 't', true, take_text, AT(targets_file)},
    {"target-stdout", 0, 'c', true, take_text, AT(target_output)},
    {"resume", 0, 'c', false, take_flag, AT(resume)},
    {"end-kills-target", 0, 'c', false, take_flag, AT(end_kills_target)},
    {"insecure", 0, 'c', false, take_flag, AT(insecure)},
    {"kill-launched", 0, 'c', false, take_flag, AT(kill_launched)},
    {"follow-forks", 0, 'f', false, take_flag, AT(follow_forks)},
    {"connect-timeout", 0, 'c', true, take_duration, AT(connect_ms)},
    {"timeout", 0, 'c', true, take_duration, AT(timeout_ms)},
    {"require-hits", 0, 'r', false, take_flag, AT(require_hits)},
    {"when", 0, 'w', true, take_text, AT(when)},
    {"hits", 0, 'w', true, take_text, AT(hits)},
    {"for", 0, 'w', true, take_text, AT(duration)},
    {"stack", 0, 'w', true, take_text, AT(stack)},
    {"print-recipe", 0, 'w', false, take_flag, AT(print_recipe)},
    {"record", 0, 'r', true, take_later, 0},
};
#define KNOWN (sizeof known / sizeof *known)

/* What getopt says of it. */
static int value_of(const struct known *option) {
    return option->letter ? option->letter : 256 + (int)(option - known);
}

static bool take(const struct command *command, int value, struct options *out, int *code) {
    for (size_t i = 0; i < KNOWN; i++)
        if (value_of(&known[i]) == value)
            return known[i].take(command, &known[i], out, code);
    *code = say_usage(command, "see the line above");
    return false;
}

/* "-hits" would be -h, and more: users of Go's flags write it so. */
static bool has_one_dash(const struct command *command, char **argv, int argc, int *code) {
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        for (size_t k = 0; k < KNOWN && argv[i][0] == '-'; k++)
            if (!strcmp(argv[i] + 1, known[k].name)) {
                *code = say_usage(command, "%s has two dashes: -%s", argv[i], argv[i]);
                return true;
            }
    return false;
}

/* What follows "--" is a program's; the rest is ours. */
static bool split_program(const struct command *command, int *argc, char **argv,
                          struct options *out, int *code) {
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--"))
            continue;
        out->program = argv + i + 1;
        *argc = i;
        if (strchr(command->options, 'x') && *out->program)
            return true;
        *code = *out->program
                    ? say_usage(command, "it launches no program: \"-- %s\"", *out->program)
                    : say_usage(command, "which program? Nothing follows \"--\"");
        return false;
    }
    return true;
}

/* The tables that getopt wants, of the options that the command takes. */
static void tables_for(const struct command *command, struct option *table, char *letters) {
    for (size_t i = 0; i < KNOWN; i++) {
        const struct known *option = &known[i];
        if (option->group != 'h' && !strchr(command->options, option->group))
            continue;
        *table++ = (struct option){option->name, option->argument, NULL, value_of(option)};
        if (option->letter)
            *letters++ = option->letter;
        if (option->letter && option->argument)
            *letters++ = ':';
    }
}

/* getopt's own messages begin with argv[0], which is the command's name here. */
bool options_read(const struct command *command, int argc, char **argv, struct options *out,
                  int *code) {
    struct option table[KNOWN + 1] = {0};
    char letters[32] = "", name[64];
    int option;
    *out = (struct options){.connect_ms = 10000, .timeout_ms = 10000};
    if (has_one_dash(command, argv, argc, code) || !split_program(command, &argc, argv, out, code))
        return false;
    tables_for(command, table, letters);
    snprintf(name, sizeof name, "pickglass %s", command->name);
    argv[0] = name;
    optind = 1;
    out->params = pick_params_new();
    while ((option = getopt_long(argc, argv, letters, table, NULL)) != -1) {
        if (take(command, option, out, code))
            continue;
        options_clear(out);
        return false;
    }
    out->words = argv + optind;
    out->word_count = argc - optind;
    return true;
}

void options_clear(struct options *options) {
    pick_params_free(options->params);
    options->params = NULL;
}

void apply_options(pick_run *run, const struct options *o) {
    pick_run_option(run, PICK_RESUME, o->resume);
    pick_run_option(run, PICK_END_KILLS_TARGET, o->end_kills_target);
    pick_run_option(run, PICK_INSECURE, o->insecure);
    pick_run_option(run, PICK_KILL_LAUNCHED, o->kill_launched);
    pick_run_option(run, PICK_FOLLOW_FORKS, o->follow_forks);
    pick_run_option(run, PICK_REQUIRE_HITS, o->require_hits);
    pick_run_option(run, PICK_CONNECT_MS, o->connect_ms);
    pick_run_option(run, PICK_TIMEOUT_MS, o->timeout_ms);
    pick_run_option(run, PICK_STATUS, !o->quiet);
    pick_run_option(run, PICK_SIGNALS, 1);
}

pick_error *add_sinks(pick_run *run, const struct options *o) {
    pick_error *error = o->target_output ? pick_run_target_output(run, o->target_output) : NULL;
    if (o->binary && !error)
        error = pick_run_binary(run, o->binary);
    for (int i = 0; i < o->sinks.count && !error; i++)
        error = pick_run_sink(run, o->sinks.list[i]);
    if (!o->sinks.count && !error)
        error = pick_run_sink(run, "-");
    return error;
}

static int64_t number_at(const pick_event *event, const char *path) {
    int64_t n = 0;
    pick_value_int(pick_event_value(event, path), &n);
    return n;
}

/* What was said on the wire, at the end of a target that has one. */
static void tell_wire(const pick_event *event) {
    const char *target = pick_event_target(event);
    int64_t requests = number_at(event, "wire.requests"),
            stops = number_at(event, "wire.hit_stops");
    if (!requests || !target || strcmp(pick_event_type(event), "end"))
        return;
    fprintf(
        stderr,
        "pickglass: %s: wire: %" PRId64 " requests in %" PRId64 " writes, %" PRId64 " round trips",
        target, requests, number_at(event, "wire.writes"), number_at(event, "wire.round_trips"));
    if (stops)
        fprintf(stderr, "; at %" PRId64 " hits %.2f a hit, and the resume", stops,
                (double)number_at(event, "wire.hit_round_trips") / (double)stops);
    fputc('\n', stderr);
}

/* What went wrong is told on stderr, too, unless text for people goes to the terminal anyway. */
static void tell_errors(const pick_event *event) {
    const char *text, *type = pick_event_type(event), *target = pick_event_target(event);
    size_t len;
    const char *key = !strcmp(type, "error") ? "message" : !strcmp(type, "end") ? "error" : NULL;
    if (!key || !pick_value_text(pick_event_value(event, key), &text, &len))
        return;
    fprintf(stderr, "pickglass: %s%s%.*s\n", target ? target : "", target ? ": " : "", (int)len,
            text);
}

static bool shows_text(const struct options *o) {
    bool text = isatty(STDOUT_FILENO) && !o->sinks.count;
    for (int i = 0; i < o->sinks.count; i++)
        text |= (!strcmp(o->sinks.list[i], "-") && isatty(STDOUT_FILENO)) ||
                !strcmp(o->sinks.list[i], "text:-");
    return text;
}

static void tell(void *ctx, const pick_event *event) {
    const struct options *o = ctx;
    if (!shows_text(o))
        tell_errors(event);
    if (o->verbose)
        tell_wire(event);
}

void watch_events(pick_run *run, const struct options *o) {
    if (o->verbose || !shows_text(o))
        pick_run_on_event(run, tell, (void *)o);
}
