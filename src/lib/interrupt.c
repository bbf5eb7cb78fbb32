#include "lib/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM};
#define COUNT (sizeof signals / sizeof *signals)

static int ends[2] = {-1, -1};
static struct sigaction before[COUNT];

static void on_signal(int signal) {
    int saved = errno;
    unsigned char byte = (unsigned char)signal;
    ssize_t n = write(ends[1], &byte, 1); /* a full pipe has told it already */
    (void)n;
    errno = saved;
}

int interrupt_open(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (ends[0] >= 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return -1;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < COUNT; i++)
        sigaction(signals[i], &action, &before[i]);
    return ends[0];
}

int interrupt_take(void) {
    unsigned char byte;
    return ends[0] >= 0 && read(ends[0], &byte, 1) == 1 ? byte : 0;
}

void interrupt_close(void) {
    if (ends[0] < 0)
        return;
    for (size_t i = 0; i < COUNT; i++)
        sigaction(signals[i], &before[i], NULL);
    close(ends[0]);
    close(ends[1]);
    ends[0] = ends[1] = -1;
}
