/* A byte stream to a server: TCP, a unix socket, or the stdin and stdout of a command. Single
 * owner, on one libuv loop. Every open completes exactly once; callbacks never run inside of a
 * call. */
#pragma once

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct stream_events {
    /* Once: NULL when the stream is open, or why it is not (owned by the callee). After an error
     * the stream is only good for stream_close(). */
    void (*opened)(void *owner, struct error *error);
    /* Bytes as they come; good during the call. May call stream_write() and stream_close(). */
    void (*bytes)(void *owner, const char *bytes, size_t n);
    /* Once after a successful open, unless the owner closes first: the other side is gone. NULL for
     * an orderly end. Owned by the callee. */
    void (*ended)(void *owner, struct error *error);
};

struct stream;

enum stream_kind { STREAM_TCP, STREAM_UNIX, STREAM_COMMAND };

struct stream_address {
    enum stream_kind kind;
    const char *where;       /* "host:port", "[::1]:port", a path, or a command for /bin/sh */
    const char *const *argv; /* STREAM_COMMAND without a shell; then `where` is only for messages */
};

/* Starts to open. The strings are only used during the call. NULL without memory. */
struct stream *stream_open(uv_loop_t *loop, const struct stream_address *address,
                           const struct stream_events *events, void *owner);

/* Writes all of `bytes` (copied where the kernel does not take them at once). A failure arrives as
 * `ended`. More than 16 MiB waiting counts as one. */
void stream_write(struct stream *stream, const void *bytes, size_t n);

/* Ends it and frees it once libuv lets go. No callback follows. A command gets its stdin closed and
 * is left to end by itself. NULL is fine. */
void stream_close(struct stream *stream);

/* Splits "host:port" or "[v6]:port". False if it is neither. `host` keeps no brackets. */
bool stream_split(const char *where, char *host, size_t host_size, char *port, size_t port_size);
