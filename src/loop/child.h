/* A server that we start and that outlives us: its own session, its output through a relay.
 *
 * The relay is a small process of its own between the server's output and the place where people
 * read it. It lives as long as the server: a pipe that ended with us would kill the server, and
 * with it the target, at the next line that either prints. */
#pragma once

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct child_events {
    /* What the server printed, as it comes; good during the call. */
    void (*output)(void *owner, const char *bytes, size_t n);
    /* Once: it ended. Not called after child_release(). */
    void (*exited)(void *owner, int64_t status, int signal);
};

struct child;

/* Starts `command` by /bin/sh -c. `relay` is the program to run as "RELAY relay"; its output goes
 * to the file `output`, or to stderr where that is NULL. */
struct error *child_start(uv_loop_t *loop, const char *command, const char *relay,
                          const char *output, const struct child_events *events, void *owner,
                          struct child **out);

int child_pid(const struct child *child);

/* Lets go of it: it runs on. No callback follows. NULL is fine. */
void child_release(struct child *child);
