#include "sink/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct error *output_open(struct output *output, const char *path) {
    bool is_stdout = !strcmp(path, "-");
    struct stat stat;
    *output = (struct output){.fd = STDOUT_FILENO, .owned = !is_stdout, .whole = -1};
    output->name = strdup(is_stdout ? "stdout" : path);
    if (!is_stdout)
        output->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (output->fd < 0)
        return error_new(ERROR_RUN, "opening %s: %s", path, strerror(errno));
    if (!fstat(output->fd, &stat) && S_ISREG(stat.st_mode))
        output->whole = is_stdout ? lseek(output->fd, 0, SEEK_CUR) : stat.st_size;
    return NULL;
}

bool output_is_file(const struct output *output) {
    return output->whole >= 0;
}

/* `done` of the bytes are written: the lines among them that are whole stay. */
static struct error *give_up(struct output *output, int code, const char *bytes, size_t done) {
    static const char space[] = ": make room; events from here on are lost";
    const char *last = done ? memrchr(bytes, '\n', done) : NULL;
    if (last && output->whole >= 0)
        output->whole += last + 1 - bytes;
    if (output->whole >= 0 && ftruncate(output->fd, output->whole))
        code = errno;
    return error_new(ERROR_RUN, "writing to %s: %s%s", output->name,
                     code == EPIPE ? "the reader has gone" : strerror(code),
                     code == ENOSPC || code == EDQUOT ? space : "");
}

static int ms_left(const struct patience *patience) {
    return patience ? patience->left(patience->ctx) : -1;
}

/* Not in the write: there nothing but its reader ends the wait. */
static struct error *wait_for_reader(struct output *output) {
    const struct patience *patience = output->patience;
    struct pollfd fds[] = {{output->fd, POLLOUT, 0}, {patience ? patience->fd : -1, POLLIN, 0}};
    while (poll(fds, 2, 0) <= 0 || !fds[0].revents) {
        int ms = ms_left(patience);
        if (!ms)
            return error_new(ERROR_RUN,
                             "writing to %s: the reader takes nothing; events from here "
                             "on are lost",
                             output->name);
        poll(fds, 2, ms);
    }
    return NULL;
}

/* What a pipe that is ready takes without blocking. */
static size_t piece(const struct output *output, size_t left) {
    return output->whole < 0 && left > PIPE_BUF ? PIPE_BUF : left;
}

struct error *output_write(struct output *output, const char *bytes, size_t n) {
    size_t done = 0;
    while (done < n) {
        struct error *stuck = output->whole < 0 ? wait_for_reader(output) : NULL;
        if (stuck)
            return stuck;
        ssize_t taken = write(output->fd, bytes + done, piece(output, n - done));
        if (taken < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (taken < 0)
            return give_up(output, errno, bytes, done);
        done += (size_t)taken;
    }
    if (output->whole >= 0)
        output->whole += (int64_t)n;
    return NULL;
}

struct error *output_close(struct output *output) {
    struct error *error = NULL;
    if (output->owned && output->fd >= 0 && close(output->fd) && errno != EINTR)
        error = error_new(ERROR_RUN, "closing %s: %s", output->name, strerror(errno));
    free(output->name);
    *output = (struct output){.fd = -1};
    return error;
}
