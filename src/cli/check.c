#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: pickglass check RECIPE... [TARGET... | --pid PID | --binary FILE] [-p NAME=VALUE]\n"
    "\n"
    "Everything that can be known before a run. Shows how each recipe was understood, or\n"
    "all that is wrong with it, at its lines. With a target: whether its back end can do\n"
    "what is asked, whether every place exists there, and whether its debugger accepts\n"
    "the conditions. The target is left as it was found: one that runs is halted for a\n"
    "moment, one that is stopped stays stopped.\n"
    "\n"
    "With --binary FILE, or FILE alone: against the program's file and its debug info, with\n"
    "nothing running. Every place, and every expression of C, C++, Go and Rust with its type;\n"
    "what is wrong in one stands below it.\n"
    "\n"
    "Exit code: 0 fine, 1 usage, 2 something is wrong, 3 the target cannot be reached.\n";

static void print_place(pick_value place) {
    const char *key, *text, *function = "", *file = "";
    size_t len, function_len = 0, file_len = 0;
    char *line = NULL;
    for (size_t i = 0; i < pick_value_count(place); i++) {
        pick_value child = pick_value_child(place, i, &key);
        if (!strcmp(key, "function") && pick_value_text(child, &text, &len)) {
            function = text;
            function_len = len;
        } else if (!strcmp(key, "file") && pick_value_text(child, &text, &len)) {
            file = text;
            file_len = len;
        } else if (!strcmp(key, "line")) {
            line = pick_value_json(child);
        }
    }
    if (line && file_len)
        printf("      %.*s at %.*s:%s\n", (int)function_len, function, (int)file_len, file, line);
    else if (line)
        printf("      %.*s\n", (int)function_len, function);
    free(line);
}

static void print_types(pick_value types) {
    const char *key, *text;
    size_t len;
    for (size_t i = 0; i < pick_value_count(types); i++)
        if (pick_value_text(pick_value_child(types, i, &key), &text, &len))
            printf("      %s: %.*s\n", key, (int)len, text);
}

static void on_event(void *ctx, const pick_event *event) {
    const int *targets = ctx;
    const char *text, *type = pick_event_type(event);
    size_t len;
    if (!strcmp(type, "armed")) {
        pick_value probes = pick_event_value(event, "probes");
        printf("on %s:\n", pick_event_target(event));
        for (size_t i = 0; i < pick_value_count(probes); i++) {
            char path[64];
            snprintf(path, sizeof path, "probes.%zu.probe", i);
            if (pick_value_text(pick_event_value(event, path), &text, &len))
                printf("  %.*s\n", (int)len, text);
            snprintf(path, sizeof path, "probes.%zu.places", i);
            pick_value places = pick_event_value(event, path);
            for (size_t k = 0; k < pick_value_count(places); k++)
                print_place(pick_value_child(places, k, NULL));
            snprintf(path, sizeof path, "probes.%zu.waits_for", i);
            if (pick_value_text(pick_event_value(event, path), &text, &len))
                printf("      waits for %.*s to be loaded\n", (int)len, text);
            snprintf(path, sizeof path, "probes.%zu.types", i);
            print_types(pick_event_value(event, path));
        }
    } else if (pick_value_text(pick_event_value(event, !strcmp(type, "end") ? "error" : "message"),
                               &text, &len)) {
        const char *target = *targets > 1 ? pick_event_target(event) : NULL;
        fprintf(stderr, "%s%s%.*s\n", target ? target : "", target ? ": " : "", (int)len, text);
    }
}

static bool is_recipe(const char *word) {
    return !is_target(word) && !is_program(word);
}

static int count_targets(const struct options *o) {
    int count = o->pids.count;
    for (int i = 0; i < o->word_count; i++)
        count += !is_recipe(o->words[i]);
    return count;
}

/* A program's file is what there is to check on where no target is named. */
static pick_error *add_targets(pick_run *run, const struct options *o, int count) {
    pick_error *error = add_native(run, o);
    for (int i = 0; i < o->word_count && !error; i++)
        if (!is_recipe(o->words[i]))
            error =
                is_target(o->words[i]) ? add_target(run, o->words[i]) : add_file(run, o->words[i]);
    if (o->binary && !error)
        error = count ? pick_run_binary(run, o->binary) : add_file(run, o->binary);
    return error;
}

static int check_on_targets(const struct options *o, const char *path, const char *text,
                            size_t len) {
    int count = count_targets(o);
    pick_run *run = pick_run_new();
    if (!run)
        return EXIT_RUN;
    pick_error *error = pick_run_recipe(run, path, text, len);
    if (!error)
        error = pick_run_params(run, o->params);
    if (!error)
        error = add_targets(run, o, count);
    apply_options(run, o);
    pick_run_option(run, PICK_STATUS, 0);
    pick_run_mode(run, PICK_CHECK);
    pick_run_on_event(run, on_event, &count);
    int code = error ? pick_error_code(error) : pick_run_all(run, &error);
    if (error)
        say_error(error);
    pick_run_free(run);
    return code;
}

static int check_recipe(const struct options *o, const char *path) {
    char *text, *described = NULL;
    size_t len;
    pick_error *error = pick_read_file(path, &text, &len);
    if (error)
        return say_error(error);
    error = pick_recipe_check(path, text, len, o->params, &described);
    int code = EXIT_FINE;
    if (error) {
        code = pick_error_code(error);
        fprintf(stderr, "%s\n", pick_error_message(error));
        pick_error_free(error);
    } else {
        fputs(described, stdout);
        fflush(stdout);
        if (count_targets(o) || o->binary)
            code = check_on_targets(o, path, text, len);
    }
    free(described);
    free(text);
    return code;
}

static int check_main(int argc, char **argv) {
    struct options o;
    int code, worst = EXIT_FINE, recipes = 0;
    if (!options_read(&check_command, argc, argv, &o, &code))
        return code;
    for (int i = 0; i < o.word_count; i++) {
        if (!is_recipe(o.words[i]))
            continue;
        recipes++;
        code = check_recipe(&o, o.words[i]);
        worst = code ? code : worst;
    }
    if (!recipes)
        worst = say_usage(&check_command, "which recipe?");
    options_clear(&o);
    return worst;
}

const struct command check_command = {"check", "all that can be known before a run", help, "pbc",
                                      check_main};
