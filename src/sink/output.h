/* Bytes to a file descriptor, whole pieces only. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include <stdint.h>

struct output {
    int fd;
    char *name; /* for messages */
    bool owned;
    int64_t
        whole; /* offset behind the last whole piece in a regular file; -1 where there is none */
};

/* `path` "-" is stdout. Files are appended to. */
struct error *output_open(struct output *output, const char *path);

/* All of it or nothing: of a piece that does not fit on the disk, what was written is taken back.
 */
struct error *output_write(struct output *output, const char *bytes, size_t n);
struct error *output_close(struct output *output);
