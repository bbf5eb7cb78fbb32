/* What the parts of the file back end share. */
#pragma once

#include "backend/program/program.h"

enum { DUE_CONNECTED = 1, DUE_FLUSHED = 2, DUE_LEFT = 4 };

struct backend {
    const struct backend_events *events;
    void *owner;
    char *path;
    uv_timer_t later;
    unsigned due;
    struct program program;
};
