/* A target's URI, taken apart.
 *
 *   gdb://HOST:PORT  gdb+unix:/PATH  gdb+pipe:COMMAND  gdb+serial:/dev/ttyUSB0?baud=115200
 *   gdb+ssh://USER@HOST/127.0.0.1:2345
 *
 * and behind all but a serial line, for a stub that is to get its process from us
 * (extended-remote):
 *
 *   ?attach=PID    ?run=PROGRAM%20ARGUMENTS[&cwd=FOLDER][&env=NAME=VALUE]...    ?extended=yes
 *
 * What follows a '#' is written by us: the breakpoints that a worker has left there (repair.c). */
#pragma once

#include "base/error.h"
#include "loop/stream.h"
#include <stdint.h>

#define GDB_WORDS_MAX 256

struct gdb_words {
    char *list[GDB_WORDS_MAX]; /* owned */
    size_t count;
};

struct gdb_uri {
    enum stream_kind kind;
    char *where; /* host:port, a path, a command, a device */
    unsigned baud;
    bool ssh; /* the command is ssh's, to a stub that listens there */
    bool extended;
    int64_t attach;       /* a pid; 0: none */
    struct gdb_words run; /* the program and its arguments */
    char *cwd;            /* NULL: the stub's */
    struct gdb_words env; /* NAME=VALUE */
    char *note;           /* behind '#'; NULL: none */
};

/* ERROR_USAGE says what is wrong with it. *out is to be freed in any case. */
struct error *gdb_uri_parse(const char *uri, struct gdb_uri *out);
/* May the stub still be there when a connection to it has ended? */
bool gdb_uri_again(const struct gdb_uri *uri);
void gdb_uri_free(struct gdb_uri *uri);
