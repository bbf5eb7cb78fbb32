/* The names that `signal:` takes. */
#include "recipe/parse.h"

#include "base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

/* Those of Linux, and of GDB's protocol. A back end may know fewer: that is told at arming. */
static const char *const signals[] = {
    "SIGABRT",  "SIGALRM", "SIGBUS",    "SIGCHLD", "SIGCONT",   "SIGEMT",  "SIGFPE",
    "SIGHUP",   "SIGILL",  "SIGINT",    "SIGIO",   "SIGKILL",   "SIGPIPE", "SIGPOLL",
    "SIGPROF",  "SIGPWR",  "SIGQUIT",   "SIGSEGV", "SIGSTOP",   "SIGSYS",  "SIGTERM",
    "SIGTRAP",  "SIGTSTP", "SIGTTIN",   "SIGTTOU", "SIGURG",    "SIGUSR1", "SIGUSR2",
    "SIGWINCH", "SIGXCPU", "SIGVTALRM", "SIGXFSZ", "SIGSTKFLT", NULL};

static const char *known(const char *name) {
    for (size_t i = 0; signals[i]; i++)
        if (!strcmp(name, signals[i]))
            return signals[i];
    return NULL;
}

void check_signal(struct reader *reader, const struct node *node, const char *text) {
    char full[32]; /* `kill` takes "segv", too */
    if (known(text))
        return;
    snprintf(full, sizeof full, "%s%s", strncasecmp(text, "SIG", 3) ? "SIG" : "", text);
    for (char *at = full; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    const char *near = known(full) ? known(full) : text_nearest_of(full, signals);
    source_error(reader->source, node->mark, "%s: there is no signal \"%s\"%s%s%s", reader->where,
                 text, near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}
