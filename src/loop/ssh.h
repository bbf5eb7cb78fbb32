/* The user's own OpenSSH, with all of its configuration, as a way to an address that is reached
 * from another machine. */
#pragma once

#include <stdbool.h>

struct ssh_way {
    char box[256], port[8];
    const char *forward;  /* within `where`: what is forwarded */
    const char *argv[10]; /* for STREAM_COMMAND; BatchMode because nobody could answer */
};

/* "USER@HOST[:PORT]/127.0.0.1:4040". False: it is not that. `where` must stay. */
bool ssh_way(const char *where, struct ssh_way *out);
