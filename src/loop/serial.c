#include "loop/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const struct {
    unsigned baud;
    speed_t speed;
} speeds[] = {{1200, B1200},       {2400, B2400},       {4800, B4800},       {9600, B9600},
              {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},
              {230400, B230400},   {460800, B460800},   {500000, B500000},   {576000, B576000},
              {921600, B921600},   {1000000, B1000000}, {1152000, B1152000}, {1500000, B1500000},
              {2000000, B2000000}, {3000000, B3000000}, {4000000, B4000000}};

static speed_t speed_of(unsigned baud) {
    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++)
        if (speeds[i].baud == baud)
            return speeds[i].speed;
    return B0;
}

/* CLOCAL: a line without a modem's signals is open at once, and does not hang up. */
static int make_raw(int fd, speed_t speed) {
    struct termios line;
    if (tcgetattr(fd, &line))
        return -1;
    cfmakeraw(&line);
    line.c_cflag &= ~(tcflag_t)(CSTOPB | CRTSCTS | HUPCL);
    line.c_cflag |= CLOCAL | CREAD;
    line.c_cc[VMIN] = 1;
    line.c_cc[VTIME] = 0;
    return cfsetspeed(&line, speed) || tcsetattr(fd, TCSANOW, &line) ? -1 : tcflush(fd, TCIFLUSH);
}

struct error *serial_open(const char *device, unsigned baud, int *fd) {
    speed_t speed = speed_of(baud);
    if (speed == B0)
        return error_new(ERROR_USAGE,
                         "%s: there is no speed of %u baud: 9600, 19200, 38400, 57600, 115200, "
                         "230400, 460800, 921600, ...",
                         device, baud);
    *fd = open(device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        return error_because(error_new(ERROR_RUN, "connecting to %s: %s", device, strerror(errno)),
                             REASON_NO_PEER);
    if (!make_raw(*fd, speed))
        return NULL;
    int why = errno;
    close(*fd);
    return error_new(ERROR_RUN, "%s is no serial line: %s", device, strerror(why));
}
