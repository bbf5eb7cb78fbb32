/* A one-line recipe. */
#include "cli/cli.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: pickglass trace TARGET LOCATION [EXPR...] [options]\n"
    "       pickglass trace --pid PID LOCATION [EXPR...] [options]\n"
    "       pickglass trace LOCATION [EXPR...] [options] -- PROGRAM [ARGUMENT...]\n"
    "\n"
    "Watches one place: each hit is an event with the expressions, or with all arguments\n"
    "where none is given. It is a recipe of one line; --print-recipe shows it.\n"
    "\n"
    "A LOCATION is a function (main.(*T).M), FILE:LINE, or an address (*0x4844c0).\n"
    "\n"
    "      --when EXPR          only where this is true (in the target's language)\n"
    "      --hits N             end after N hits\n"
    "      --for DURATION       end after this time (60s)\n"
    "      --stack N            N frames of the stack\n"
    "      --print-recipe       show the recipe and do nothing\n"
    "  -o, --output SINK, -q, -v  as for `pickglass run`, and so are --resume, --insecure,\n"
    "                           --end-kills-target, --kill-launched, --connect-timeout\n"
    "\n"
    "  pickglass trace dlv://127.0.0.1:4040 main.lookup key --hits 10\n"
    "  pickglass trace --pid 42 parse_request 'req->path' --stack 5\n"
    "  pickglass trace malloc arg0 --when 'arg0 > 1048576' -- ./prog\n";

/* In double quotes every YAML and JSON reader agrees. `${` must survive as it is. */
static void put_quoted(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '$')
            fputc('$', out);
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static void put_key(FILE *out, const char *key, const char *text) {
    if (!text)
        return;
    fprintf(out, "    %s: ", key);
    put_quoted(out, text);
    fputc('\n', out);
}

/* With --pid or -- PROGRAM there is no target among the words. */
static int first_word(const struct options *o) {
    return o->pid || o->program ? 0 : 1;
}

static char *write_recipe(const struct options *o) {
    int at = first_word(o);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fputs("recipe: 1\nname: trace\n", out);
    if (o->duration || o->hits) {
        fputs("limits:\n", out);
        fprintf(out, "  duration: %s\n", o->duration ? o->duration : "60s");
        if (o->hits)
            fprintf(out, "  hits: %s\n", o->hits);
    }
    fputs("probes:\n  trace:\n", out);
    put_key(out, "at", o->words[at]);
    put_key(out, "when", o->when);
    if (o->stack)
        fprintf(out, "    stack: %s\n", o->stack);
    if (o->word_count == at + 1)
        fputs("    args: true\n", out);
    for (int i = at + 1; i < o->word_count; i++) {
        fputs(i == at + 1 ? "    capture: [" : ", ", out);
        put_quoted(out, o->words[i]);
    }
    if (o->word_count > at + 1)
        fputs("]\n", out);
    fclose(out);
    return text;
}

static pick_error *set_up(pick_run *run, const struct options *o, const char *recipe) {
    pick_error *error = pick_run_recipe(run, "trace", recipe, strlen(recipe));
    if (!error)
        error = first_word(o) ? add_target(run, o->words[0]) : add_native(run, o);
    apply_options(run, o);
    watch_events(run, o);
    return error ? error : add_sinks(run, o);
}

static int trace(const struct options *o, const char *recipe) {
    pick_run *run = pick_run_new();
    if (!run)
        return EXIT_RUN;
    pick_error *error = set_up(run, o, recipe);
    int code = error ? pick_error_code(error) : pick_run_all(run, &error);
    if (error)
        say_error(error);
    pick_run_free(run);
    return code;
}

static int trace_main(int argc, char **argv) {
    struct options o;
    int code;
    if (!options_read(&trace_command, argc, argv, &o, &code))
        return code;
    bool enough = o.word_count > first_word(&o);
    char *recipe = enough ? write_recipe(&o) : NULL;
    if (!enough)
        code = say_usage(&trace_command, "it needs a target and a location");
    else if (!recipe)
        code = EXIT_RUN;
    else if (o.print_recipe)
        code = fputs(recipe, stdout) < 0 ? EXIT_RUN : EXIT_FINE;
    else
        code = trace(&o, recipe);
    free(recipe);
    options_clear(&o);
    return code;
}

const struct command trace_command = {"trace", "watch one place: a recipe of one line", help,
                                      "oqcwrb", trace_main};
