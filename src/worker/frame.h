/* What main and worker say to each other: frames over the worker's stdin and stdout. */
#pragma once

#define NOTE_FD 3 /* the worker inherits it: backend/ptrace/note.h */

#include "base/buffer.h"
#include <stdint.h>

#define FRAME_MAX (80u << 20) /* bytes of one frame */

enum frame_type {
    /* main to worker */
    FRAME_JOB = 1, /* JSON, see job.h */
    FRAME_STOP,    /* text: why. The end of stdin says the same. */
    /* worker to main */
    FRAME_EVENT,     /* the bytes of an event's buffer */
    FRAME_REACHABLE, /* "TARGET URI": where to repair it */
    FRAME_REPAIRED,  /* "TARGET": nothing of ours is left there */
    FRAME_OVER,      /* "CODE": the run's outcome, the last frame */
};

struct frame {
    uint32_t len; /* bytes behind this head */
    uint32_t type;
};

void frame_add(struct buffer *out, enum frame_type type, const void *bytes, size_t n);

/* The next whole frame in bytes[0..n): its payload and how much to consume. False if there is none;
 * *broken if there never will be. */
bool frame_next(const char *bytes, size_t n, enum frame_type *type, const char **payload,
                size_t *len, bool *broken);
