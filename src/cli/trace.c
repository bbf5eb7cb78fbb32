/* A one-line recipe. */
#include "cli/cli.h"

#include <ctype.h>
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
    "                           --end-kills-target, --kill-launched, --follow-forks,\n"
    "                           --connect-timeout, --timeout, --binary, --require-hits,\n"
    "                           --target-stdout\n"
    "\n"
    "  pickglass trace dlv://127.0.0.1:4040 main.lookup key --hits 10\n"
    "  pickglass trace --pid 42 parse_request 'req->path' --stack 5\n"
    "  pickglass trace malloc arg0 --when 'arg0 > 1048576' -- ./prog\n";

/* A recipe, and what its lines are for who has not written it: messages name them so. */
struct writer {
    FILE *text, *names;
};

static void name_line(struct writer *w, const char *what, const char *text) {
    fprintf(w->names, "\n%s \"", what);
    for (; *text; text++)
        fputc(*text == '\n' ? ' ' : *text, w->names);
    fputc('"', w->names);
}

/* A line that comes from no word of the command line. */
static void put_line(struct writer *w, const char *line) {
    fprintf(w->text, "%s\n", line);
    fputc('\n', w->names);
}

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

/* What YAML cannot take for anything else: 10, 5m. */
static bool is_plain(const char *text) {
    bool plain = isdigit((unsigned char)*text);
    for (; *text; text++)
        plain &= isalnum((unsigned char)*text) != 0;
    return plain;
}

/* `key` with what stands before and behind it; `what` is the text on the command line. */
static void put_key(struct writer *w, const char *key, const char *what, const char *text) {
    if (!text)
        return;
    fputs(key, w->text);
    if (is_plain(text))
        fputs(text, w->text);
    else
        put_quoted(w->text, text);
    fputc('\n', w->text);
    name_line(w, what, text);
}

/* With --pid or -- PROGRAM there is no target among the words. */
static int first_word(const struct options *o) {
    return o->pids.count || o->program ? 0 : 1;
}

static void put_recipe(struct writer *w, const struct options *o) {
    int at = first_word(o);
    fputs("trace", w->names);
    put_line(w, "recipe: 1");
    put_line(w, "name: trace");
    if (o->duration || o->hits) {
        put_line(w, "limits:");
        put_key(w, "  duration: ", "--for", o->duration ? o->duration : "60s");
        put_key(w, "  hits: ", "--hits", o->hits);
    }
    put_line(w, "probes:");
    put_line(w, "  trace:");
    put_key(w, "    at: ", "LOCATION", o->words[at]);
    put_key(w, "    when: ", "--when", o->when);
    put_key(w, "    stack: ", "--stack", o->stack);
    put_line(w, o->word_count == at + 1 ? "    args: true" : "    capture:");
    for (int i = at + 1; i < o->word_count; i++)
        put_key(w, "      - ", "EXPR", o->words[i]);
}

/* NULL without memory. */
static char *write_recipe(const struct options *o, char **name) {
    char *text = NULL;
    size_t len, name_len;
    struct writer w = {open_memstream(&text, &len), open_memstream(name, &name_len)};
    if (w.text && w.names)
        put_recipe(&w, o);
    bool failed = !w.text || !w.names;
    failed |= w.text && fclose(w.text);
    failed |= w.names && fclose(w.names);
    if (!failed)
        return text;
    free(text);
    return NULL;
}

static pick_error *set_up(pick_run *run, const struct options *o, const char *name,
                          const char *recipe) {
    pick_error *error = pick_run_recipe(run, name, recipe, strlen(recipe));
    if (!error)
        error = first_word(o) ? add_target(run, o->words[0]) : add_native(run, o);
    apply_options(run, o);
    watch_events(run, o);
    return error ? error : add_sinks(run, o);
}

static int trace(const struct options *o, const char *name, const char *recipe) {
    pick_run *run = pick_run_new();
    if (!run)
        return EXIT_RUN;
    pick_error *error = set_up(run, o, name, recipe);
    int code = error ? pick_error_code(error) : pick_run_all(run, &error);
    if (error)
        say_error(error);
    pick_run_free(run);
    return code;
}

/* What is wrong with the recipe by itself is wrong on the command line. */
static int trace_one_line(const struct options *o) {
    char *name = NULL, *recipe = write_recipe(o, &name);
    pick_error *error = recipe ? pick_recipe_check(name, recipe, strlen(recipe), NULL, NULL) : NULL;
    int code;
    if (error) {
        code = say_usage(&trace_command, "%s", pick_error_message(error));
        pick_error_free(error);
    } else if (!recipe) {
        code = EXIT_RUN;
    } else if (o->print_recipe) {
        code = fputs(recipe, stdout) < 0 ? EXIT_RUN : EXIT_FINE;
    } else {
        code = trace(o, name, recipe);
    }
    free(recipe);
    free(name);
    return code;
}

static int trace_main(int argc, char **argv) {
    struct options o;
    int code;
    if (!options_read(&trace_command, argc, argv, &o, &code))
        return code;
    if (o.word_count > first_word(&o))
        code = trace_one_line(&o);
    else
        code = say_usage(&trace_command, "it needs a target and a location");
    options_clear(&o);
    return code;
}

const struct command trace_command = {"trace", "watch one place: a recipe of one line", help,
                                      "oqcwrbfx", trace_main};
