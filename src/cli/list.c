#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: pickglass list TARGET|FILE functions|files|types|variables|threads|goroutines\n"
    "                      [PATTERN]\n"
    "       pickglass list --pid N ...\n"
    "\n"
    "What there is to probe, a line each. PATTERN is a regular expression of the target's\n"
    "debugger, for names. The target is left as it was found: one that runs is halted for\n"
    "a moment.\n"
    "\n"
    "  pickglass list dlv://127.0.0.1:4040 functions '^main\\.'\n"
    "  pickglass list ./server functions '^parse_'      a program's file, with nothing running\n"
    "  pickglass list --pid 42 threads                  a process of this machine\n";

struct listed {
    bool done;
};

static void print_row(pick_value row) {
    const char *text, *key;
    size_t len, n = pick_value_count(row);
    if (pick_value_text(row, &text, &len)) {
        printf("%.*s\n", (int)len, text);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        pick_value child = pick_value_child(row, i, &key);
        if (pick_value_text(child, &text, &len)) {
            printf("%s%.*s", i ? "\t" : "", (int)len, text);
        } else {
            char *json = pick_value_json(child);
            printf("%s%s", i ? "\t" : "", json ? json : "");
            free(json);
        }
    }
    putchar('\n');
}

static void on_event(void *ctx, const pick_event *event) {
    struct listed *listed = ctx;
    const char *text;
    size_t len;
    pick_value list = pick_event_value(event, "list");
    if (list.ref) {
        listed->done = true;
        size_t n = pick_value_count(list);
        pick_value row = pick_value_child(list, 0, NULL);
        for (size_t i = 0; i < n; i++, row = pick_value_next(row))
            print_row(row);
        return;
    }
    const char *key = !strcmp(pick_event_type(event), "end") ? "error" : "message";
    if (pick_value_text(pick_event_value(event, key), &text, &len))
        fprintf(stderr, "pickglass: %.*s\n", (int)len, text);
}

static int list(const struct options *o) {
    struct listed listed = {0};
    pick_run *run = pick_run_new();
    if (!run)
        return EXIT_RUN;
    char **what = o->words + !o->pids.count;
    pick_error *error =
        pick_run_list(run, what[0], what < o->words + o->word_count - 1 ? what[1] : NULL);
    if (!error)
        error = o->pids.count            ? add_native(run, o)
                : is_target(o->words[0]) ? add_target(run, o->words[0])
                                         : add_file(run, o->words[0]);
    if (o->binary && !error)
        error = pick_run_binary(run, o->binary);
    apply_options(run, o);
    pick_run_option(run, PICK_STATUS, 0);
    pick_run_mode(run, PICK_LIST);
    pick_run_on_event(run, on_event, &listed);
    int code = error ? pick_error_code(error) : pick_run_all(run, &error);
    if (error)
        say_error(error);
    pick_run_free(run);
    return code;
}

static int list_main(int argc, char **argv) {
    struct options o;
    int code;
    if (!options_read(&list_command, argc, argv, &o, &code))
        return code;
    int least = o.pids.count ? 1 : 2;
    if (o.pids.count > 1)
        code = say_usage(&list_command, "it shows one target at a time, and there are %d --pid",
                         o.pids.count);
    else if (o.word_count < least || o.word_count > least + 1)
        code = say_usage(&list_command, "it needs a target and what to list");
    else if (!o.pids.count && !is_target(o.words[0]) && access(o.words[0], R_OK))
        code = say_usage(&list_command, "\"%s\" is no target, and no file that can be read",
                         o.words[0]);
    else
        code = list(&o);
    options_clear(&o);
    return code;
}

const struct command list_command = {"list", "functions, files, types, ... of a target or file",
                                     help, "cb", list_main};
