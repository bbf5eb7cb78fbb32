/* What the parts of the file back end share. */
#pragma once

#include "base/text.h"
#include "expr/target.h"
#include "session/backend.h"
#include "symbol/locate.h"

enum { DUE_CONNECTED = 1, DUE_FLUSHED = 2, DUE_LEFT = 4 };

struct backend {
    const struct backend_events *events;
    void *owner;
    char *path;
    uv_timer_t later;
    unsigned due;
    struct space space;
    char unavailable[256];
};

/* The list that WANT_LIST asks for, or a VALUE_ERROR. */
value_ref file_list(struct backend *b, const struct want *want, struct buffer *into);
