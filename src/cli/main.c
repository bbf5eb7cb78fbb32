#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {&run_command, &trace_command, &check_command,
                                                 &list_command, &schema_command};
#define COMMANDS (sizeof commands / sizeof *commands)

static void print_help(void) {
    puts("pickglass automates debuggers that already run next to real programs: a recipe says\n"
         "where to look, when, and what to read; events come out; the program runs on.\n"
         "\n"
         "usage: pickglass COMMAND ...\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
    puts("\n"
         "  pickglass COMMAND --help    all about one\n"
         "  pickglass --version\n"
         "\n"
         "  dlv exec ./server --headless --accept-multiclient --listen 127.0.0.1:4040\n"
         "  pickglass trace dlv://127.0.0.1:4040 main.handle req.URL.Path --hits 5\n"
         "  pickglass trace --pid 42 parse_request 'req->path' --hits 5");
}

static int unknown(const char *word) {
    if (!strcmp(word, "replay") || !strcmp(word, "report"))
        fprintf(stderr, "pickglass: %s is not there yet\n", word);
    else
        fprintf(stderr, "pickglass: unknown command \"%s\"; pickglass --help lists them\n", word);
    return EXIT_USAGE;
}

/* A sink reports a reader that has gone; a signal would end us in the middle of that. */
int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        print_help();
        return argc < 2 ? EXIT_USAGE : EXIT_FINE;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("pickglass " PICKGLASS_VERSION);
        return EXIT_FINE;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i]->name))
            return commands[i]->run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
