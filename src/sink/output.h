/* Bytes to a file descriptor, whole pieces only. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include <stdint.h>

/* How long to wait for a reader that takes nothing. */
struct patience {
    int fd; /* readable: ask again; -1 = none */
    /* Milliseconds; -1 = for ever, 0 = no longer. */
    int (*left)(void *ctx);
    void *ctx;
};

struct output {
    int fd;
    const struct patience *patience; /* NULL: for ever */
    char *name;                      /* for messages */
    bool owned;
    int64_t whole; /* offset behind the last whole line in a regular file; -1: it is none */
};

/* `path` "-" is stdout. Files are appended to. */
struct error *output_open(struct output *output, const char *path);

/* Is it a regular file, whose readers wait for nothing? */
bool output_is_file(const struct output *output);

/* All of it or nothing: of a line that does not fit on the disk, what was written is taken back.
 * Where a reader is given up, a piece of more than PIPE_BUF bytes may be cut. */
struct error *output_write(struct output *output, const char *bytes, size_t n);
struct error *output_close(struct output *output);
