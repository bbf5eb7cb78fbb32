#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
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

/* One of the three that is closed would be the next file's number, which would be written to. What
 * stands there now can be neither read nor written, as the closed one. */
static bool reserve_standard_files(void) {
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
            return false;
    return true;
}

/* What was printed may not have arrived: a disk is full. */
static int finish(int code) {
    if (!fflush(stdout) && !ferror(stdout))
        return code;
    fprintf(stderr, "pickglass: writing to the standard output: %s\n", strerror(errno));
    return code ? code : EXIT_RUN;
}

/* Also `pickglass help run`. */
static int dispatch(int argc, char **argv) {
    bool wants_help = argc > 2 && !strcmp(argv[1], "help");
    char *word = argv[wants_help ? 2 : 1], *help[] = {word, "--help", NULL};
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(word, commands[i]->name))
            return wants_help ? commands[i]->run(2, help) : commands[i]->run(argc - 1, argv + 1);
    return unknown(word);
}

/* A sink reports a reader that has gone; a signal would end us in the middle of that. */
int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (!reserve_standard_files())
        return EXIT_RUN;
    bool wants_help = argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
    if (wants_help || (argc == 2 && !strcmp(argv[1], "help"))) {
        print_help();
        return finish(argc < 2 ? EXIT_USAGE : EXIT_FINE);
    }
    if (!strcmp(argv[1], "--version")) {
        puts("pickglass " PICKGLASS_VERSION);
        return finish(EXIT_FINE);
    }
    return finish(dispatch(argc, argv));
}
