#include "worker/relay.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

static bool copy(int fd, const char *bytes, size_t n) {
    while (n) {
        ssize_t taken = write(fd, bytes, n);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken <= 0)
            return false;
        bytes += taken;
        n -= (size_t)taken;
    }
    return true;
}

int relay_main(void) {
    char bytes[16384];
    bool listened = true, shown = true;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (;;) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        listened = listened && copy(STDOUT_FILENO, bytes, (size_t)n);
        shown = shown && copy(STDERR_FILENO, bytes, (size_t)n);
    }
}
