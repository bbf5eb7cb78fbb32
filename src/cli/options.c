/* The options that commands share. */
#include "cli/cli.h"

#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    O_BINARY = 256,
    O_TARGETS,
    O_TARGET_STDOUT,
    O_RESUME,
    O_END_KILLS,
    O_INSECURE,
    O_KILL_LAUNCHED,
    O_REQUIRE_HITS,
    O_WHEN,
    O_HITS,
    O_FOR,
    O_STACK,
    O_PRINT_RECIPE,
    O_CONNECT,
    O_TIMEOUT,
    O_SKIP_UNSUPPORTED,
    O_PID,
    O_RECORD,
};

/* `letter`: in a command's `options` it says that the command takes it. */
static const struct {
    struct option option;
    char letter;
} known[] = {
    {{"help", no_argument, NULL, 'h'}, 'h'},
    {{"param", required_argument, NULL, 'p'}, 'p'},
    {{"output", required_argument, NULL, 'o'}, 'o'},
    {{"quiet", no_argument, NULL, 'q'}, 'q'},
    {{"verbose", no_argument, NULL, 'v'}, 'q'},
    {{"binary", required_argument, NULL, O_BINARY}, 'b'},
    {{"targets", required_argument, NULL, O_TARGETS}, 't'},
    {{"target-stdout", required_argument, NULL, O_TARGET_STDOUT}, 'c'},
    {{"resume", no_argument, NULL, O_RESUME}, 'c'},
    {{"end-kills-target", no_argument, NULL, O_END_KILLS}, 'c'},
    {{"insecure", no_argument, NULL, O_INSECURE}, 'c'},
    {{"kill-launched", no_argument, NULL, O_KILL_LAUNCHED}, 'c'},
    {{"connect-timeout", required_argument, NULL, O_CONNECT}, 'c'},
    {{"timeout", required_argument, NULL, O_TIMEOUT}, 'c'},
    {{"require-hits", no_argument, NULL, O_REQUIRE_HITS}, 'r'},
    {{"skip-unsupported", no_argument, NULL, O_SKIP_UNSUPPORTED}, 'r'},
    {{"when", required_argument, NULL, O_WHEN}, 'w'},
    {{"hits", required_argument, NULL, O_HITS}, 'w'},
    {{"for", required_argument, NULL, O_FOR}, 'w'},
    {{"stack", required_argument, NULL, O_STACK}, 'w'},
    {{"print-recipe", no_argument, NULL, O_PRINT_RECIPE}, 'w'},
    {{"pid", required_argument, NULL, O_PID}, 'c'},
    {{"record", required_argument, NULL, O_RECORD}, 'r'},
};
#define KNOWN (sizeof known / sizeof *known)

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

static bool duration(const struct command *command, const char *name, const char *text, int *out,
                     int *code) {
    *out = milliseconds(text);
    if (*out > 0)
        return true;
    *code = say_usage(command, "--%s %s: not a duration like 500ms or 10s", name, text);
    return false;
}

static bool not_yet(const struct command *command, const char *what, int *code) {
    *code = say_usage(command, "%s is not there yet", what);
    return false;
}

static bool take(const struct command *command, int option, struct options *o, int *code) {
    pick_error *error;
    switch (option) {
    case 'h':
        fputs(command->help, stdout);
        *code = EXIT_FINE;
        return false;
    case 'p':
        error = pick_params_add(o->params, optarg);
        if (!error)
            return true;
        *code = say_error(error);
        return false;
    case 'o':
        if (o->sink_count == (int)(sizeof o->sinks / sizeof *o->sinks)) {
            *code = say_usage(command, "more than 16 sinks");
            return false;
        }
        o->sinks[o->sink_count++] = optarg;
        return true;
    case 'q': o->quiet = 1; return true;
    case 'v': o->verbose = 1; return true;
    case O_BINARY: o->binary = optarg; return true;
    case O_PID: o->pid = optarg; return true;
    case O_RECORD: return not_yet(command, "--record", code);
    case O_TARGETS: o->targets_file = optarg; return true;
    case O_TARGET_STDOUT: o->target_output = optarg; return true;
    case O_RESUME: o->resume = 1; return true;
    case O_END_KILLS: o->end_kills_target = 1; return true;
    case O_INSECURE: o->insecure = 1; return true;
    case O_KILL_LAUNCHED: o->kill_launched = 1; return true;
    case O_CONNECT: return duration(command, "connect-timeout", optarg, &o->connect_ms, code);
    case O_TIMEOUT: return duration(command, "timeout", optarg, &o->timeout_ms, code);
    case O_REQUIRE_HITS: o->require_hits = 1; return true;
    case O_SKIP_UNSUPPORTED: o->skip_unsupported = 1; return true;
    case O_WHEN: o->when = optarg; return true;
    case O_HITS: o->hits = optarg; return true;
    case O_FOR: o->duration = optarg; return true;
    case O_STACK: o->stack = optarg; return true;
    case O_PRINT_RECIPE: o->print_recipe = 1; return true;
    default: *code = say_usage(command, "see the line above"); return false;
    }
}

/* getopt's own messages begin with argv[0], which is the command's name here. */
bool options_read(const struct command *command, int argc, char **argv, struct options *out,
                  int *code) {
    struct option table[KNOWN + 1] = {0};
    char letters[32] = "", *at = letters;
    size_t n = 0;
    for (size_t i = 0; i < KNOWN; i++) {
        if (known[i].letter != 'h' && !strchr(command->options, known[i].letter))
            continue;
        table[n++] = known[i].option;
        if (known[i].option.val < 256) {
            *at++ = (char)known[i].option.val;
            if (known[i].option.has_arg)
                *at++ = ':';
        }
    }
    *out = (struct options){.params = pick_params_new(), .connect_ms = 10000, .timeout_ms = 10000};
    char name[64];
    snprintf(name, sizeof name, "pickglass %s", command->name);
    argv[0] = name;
    optind = 1;
    for (int i = 1; i < argc && !out->program; i++) {
        if (strcmp(argv[i], "--"))
            continue;
        out->program = argv + i + 1;
        argc = i;
    }
    int option;
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

static const char *const schemes[] = {
    "dlv:", "dlv+", "file:", "gdb:", "gdb+", "native:", "native+exec:"};

static bool has_scheme(const char *word) {
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (!strncmp(word, schemes[i], strlen(schemes[i])))
            return true;
    return false;
}

static const char *behind_name(const char *word) {
    const char *p = word;
    while (isalnum((unsigned char)*p) || *p == '_' || *p == '-' || *p == '.')
        p++;
    return *p == '=' && p > word ? p + 1 : NULL;
}

bool is_target(const char *word) {
    const char *uri = behind_name(word);
    return has_scheme(word) || (uri && (has_scheme(uri) || strstr(uri, "://")));
}

pick_error *add_target(pick_run *run, const char *word) {
    const char *uri = has_scheme(word) ? NULL : behind_name(word);
    if (!uri)
        return pick_run_target(run, NULL, word);
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)(uri - 1 - word), word);
    return pick_run_target(run, name, uri);
}

/* Each word as it is, whatever a shell would make of it. */
static void put_word(FILE *out, const char *word) {
    fputs(" '", out);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    fputc('\'', out);
}

static pick_error *add_program(pick_run *run, char **words) {
    char *uri = NULL;
    size_t len;
    FILE *out = open_memstream(&uri, &len);
    if (!out)
        return NULL;
    fputs("native+exec:", out);
    for (; *words; words++)
        put_word(out, *words);
    fclose(out);
    pick_error *error = pick_run_target(run, NULL, uri);
    free(uri);
    return error;
}

pick_error *add_native(pick_run *run, const struct options *o) {
    char uri[64];
    pick_error *error = NULL;
    if (o->pid) {
        snprintf(uri, sizeof uri, "native:%.40s", o->pid);
        error = pick_run_target(run, NULL, uri);
    }
    return !error && o->program ? add_program(run, o->program) : error;
}

void apply_options(pick_run *run, const struct options *o) {
    pick_run_option(run, PICK_RESUME, o->resume);
    pick_run_option(run, PICK_END_KILLS_TARGET, o->end_kills_target);
    pick_run_option(run, PICK_INSECURE, o->insecure);
    pick_run_option(run, PICK_KILL_LAUNCHED, o->kill_launched);
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
    for (int i = 0; i < o->sink_count && !error; i++)
        error = pick_run_sink(run, o->sinks[i]);
    if (!o->sink_count && !error)
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
    bool text = isatty(STDOUT_FILENO) && !o->sink_count;
    for (int i = 0; i < o->sink_count; i++)
        text |=
            (!strcmp(o->sinks[i], "-") && isatty(STDOUT_FILENO)) || !strcmp(o->sinks[i], "text:-");
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
