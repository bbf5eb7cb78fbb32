#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: pickglass run RECIPE... [TARGET...] [options]\n"
    "       pickglass run RECIPE... [options] -- PROGRAM [ARGUMENT...]\n"
    "\n"
    "Runs a recipe on one target or many, until its end: events go to the sinks, the\n"
    "targets are left as they were found. Several recipes run together, as one: their\n"
    "probes need different names, and the tighter of each limit holds.\n"
    "\n"
    "A TARGET (NAME=URI names it; without one, the recipe's own are taken):\n"
    "  dlv://HOST:PORT          a headless Delve: dlv ... --headless --accept-multiclient\n"
    "  dlv+unix:/PATH           the same on a unix socket\n"
    "  dlv+exec:COMMAND         start one: 'dlv+exec:dlv exec ./server -- -port 80'\n"
    "  dlv+pipe:COMMAND         a server on the stdin and stdout of a command\n"
    "  dlv+ssh://USER@HOST/127.0.0.1:PORT   through your own ssh\n"
    "  gdb://HOST:PORT          gdbserver, qemu -g, lldb-server gdbserver, vgdb --port\n"
    "  gdb+pipe:COMMAND         'gdb+pipe:ssh box gdbserver - --attach 42'; gdb+unix:/PATH\n"
    "                           gdb+serial:/dev/ttyX?baud=N; gdb+ssh://USER@HOST/127.0.0.1:PORT\n"
    "  gdb://HOST:PORT?attach=PID, ?run=PROGRAM%20ARGUMENTS    through gdbserver --multi\n"
    "  native:PID, --pid PID    a process of this machine, traced by pickglass itself; may be\n"
    "                           repeated\n"
    "  -- PROGRAM [ARGUMENT...] launch one, and trace it so\n"
    "\n"
    "  -p, --param NAME=VALUE   a parameter of the recipe; NAME=@FILE reads it\n"
    "  -o, --output SINK        FILE.jsonl, FILE.txt, \"-\", text:PATH, jsonl:PATH; may be\n"
    "                           repeated; files are appended to. Default \"-\": text\n"
    "                           on a terminal, else JSON lines\n"
    "      --binary FILE        the program's file, where a gdb stub does not tell it\n"
    "      --targets FILE       more targets: one URI or NAME=URI a line, or a YAML list\n"
    "  -q, --quiet              no live status line\n"
    "  -v, --verbose            what each target took on the wire: requests, round trips\n"
    "      --require-hits       exit with 6 if nothing was hit\n"
    "      --resume             go on with a target that somebody else has stopped\n"
    "      --end-kills-target   use a server that kills its target when we leave\n"
    "      --insecure           allow an unencrypted connection to another machine\n"
    "      --follow-forks       what a native target forks is a target, too: NAME/PID\n"
    "      --kill-launched      end the servers and programs that we started with the run\n"
    "      --target-stdout FILE output of what we start (default: stderr)\n"
    "      --connect-timeout T  how long to try to connect (10s)\n"
    "      --timeout T          how long to wait for one answer (10s)\n"
    "\n"
    "Ctrl-C ends a run in good order: disarm, resume, detach, flush.\n"
    "Exit code: 0 fine, 1 usage, 2 the recipe is wrong or does not fit the target,\n"
    "3 the run failed, 5 a limit with `do: fail` tripped, 6 nothing hit.\n"
    "\n"
    "  pickglass run recipes/http-requests.yaml dlv://127.0.0.1:4040\n"
    "  pickglass run recipes/c-allocations.yaml -- ./prog\n";

static pick_error *add_recipe(pick_run *run, const char *path) {
    char *text;
    size_t len;
    pick_error *error = pick_read_file(path, &text, &len);
    if (error)
        return error;
    error = pick_run_recipe(run, path, text, len);
    free(text);
    return error;
}

static pick_error *set_up(pick_run *run, const struct options *o) {
    pick_error *error = pick_run_params(run, o->params);
    for (int i = 0; i < o->word_count && !error; i++)
        error =
            is_target(o->words[i]) ? add_target(run, o->words[i]) : add_recipe(run, o->words[i]);
    if (!error)
        error = add_native(run, o);
    if (!error && o->targets_file)
        error = pick_run_targets_file(run, o->targets_file);
    apply_options(run, o);
    watch_events(run, o);
    return error ? error : add_sinks(run, o);
}

static int run_recipes(const struct options *o) {
    pick_run *run = pick_run_new();
    if (!run)
        return EXIT_RUN;
    pick_error *error = set_up(run, o);
    int code = error ? pick_error_code(error) : pick_run_all(run, &error);
    if (error)
        say_error(error);
    pick_run_free(run);
    return code;
}

static int run_main(int argc, char **argv) {
    struct options o;
    const char *program = NULL;
    int code, recipes = 0;
    if (!options_read(&run_command, argc, argv, &o, &code))
        return code;
    for (int i = 0; i < o.word_count; i++) {
        recipes += !is_target(o.words[i]);
        program = is_program(o.words[i]) ? o.words[i] : program;
    }
    if (program)
        code = say_usage(&run_command,
                         "%s is a program's file, and no recipe: `-- %s` launches it, --pid PID "
                         "traces one that runs already",
                         program, program);
    else
        code = recipes ? run_recipes(&o) : say_usage(&run_command, "which recipe?");
    options_clear(&o);
    return code;
}

const struct command run_command = {"run", "run a recipe on targets; events come out", help,
                                    "poqbtcrfx", run_main};
