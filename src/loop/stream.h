/* A byte stream to a server: TCP, a unix socket, the stdin and stdout of a command, or a serial
 * line. Single owner, on one libuv loop. Every open completes exactly once; callbacks never run
 * inside of a call. */
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

enum stream_kind { STREAM_TCP, STREAM_UNIX, STREAM_COMMAND, STREAM_SERIAL };

struct stream_address {
    enum stream_kind kind;
    const char *where; /* "host:port", "[::1]:port", a path, a command for /bin/sh, a device */
    const char *const *argv; /* STREAM_COMMAND without a shell; then `where` is only for messages */
    unsigned baud;           /* STREAM_SERIAL: 115200, ... */
};

/* Starts to open. The strings are only used during the call. NULL without memory. */
struct stream *stream_open(uv_loop_t *loop, const struct stream_address *address,
                           const struct stream_events *events, void *owner);

/* Writes all of `bytes` (copied where the kernel does not take them at once). A failure arrives as
 * `ended`. More than 16 MiB waiting counts as one. */
void stream_write(struct stream *stream, const void *bytes, size_t n);

/* Acknowledges what has come at once: a server that gathers small writes waits for that, and the
 * kernel waits 40 ms where nothing is sent. To be said again after each read; for TCP alone. */
void stream_acknowledge(struct stream *stream);

/* Ends it and frees it once libuv lets go. No callback follows. A command gets its stdin closed and
 * is left to end by itself. NULL is fine. */
void stream_close(struct stream *stream);

/* Does "host:port" name this machine, by its loopback addresses? */
bool stream_is_loopback(const char *where);

/* Splits "host:port" or "[v6]:port". False if it is neither. `host` keeps no brackets. */
bool stream_split(const char *where, char *host, size_t host_size, char *port, size_t port_size);
