/* From the URI to a stream. */
#include "backend/gdb/gdb.h"

#include "loop/ssh.h"
#include <stdlib.h>

struct error *gdb_take_uri(struct backend *b, const char *uri, bool insecure) {
    struct error *error = gdb_uri_parse(uri, &b->target);
    if (error)
        return error;
    if (b->target.kind == STREAM_TCP && !insecure && !stream_is_loopback(b->target.where))
        return error_new(
            ERROR_USAGE,
            "%s is not on this machine, and stubs neither encrypt nor ask who you "
            "are: use gdb+ssh://USER@HOST/127.0.0.1:PORT, 'gdb+pipe:ssh HOST gdbserver - "
            "--attach PID', or --insecure",
            uri);
    b->local = b->target.kind == STREAM_UNIX ||
               (b->target.kind == STREAM_TCP && stream_is_loopback(b->target.where));
    b->started = b->target.run.count || (!gdb_uri_again(&b->target) && !b->target.attach);
    return NULL;
}

void gdb_connect(struct backend *b) {
    if (b->target.note && !b->farewell.begun) {
        gdb_repair(b);
        return;
    }
    struct ssh_way way;
    bool ssh = b->target.ssh && ssh_way(b->target.where, &way);
    struct stream_address address = {.kind = b->target.kind,
                                     .where = ssh ? b->uri : b->target.where,
                                     .argv = ssh ? way.argv : NULL,
                                     .baud = b->target.baud};
    b->stream = stream_open(b->loop, &address, &gdb_stream_events, b);
    if (!b->stream)
        gdb_lost(b, error_no_memory());
}
