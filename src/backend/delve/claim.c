/* One run at a time on a server. Delve answers a stop to one client only, and lets the target go on
 * where the `continue` of another waits behind it: two runs would lose each other's hits, and read
 * past their stops. Nothing on the wire tells of the other one while the target runs.
 *
 * The claim is a socket with an abstract name: it goes with its process, however that ends, and
 * holds for a network namespace, as a loopback address does. Who reaches the server by another name
 * has another claim: what is left then is in stop.c. */
#include "backend/delve/delve.h"

#include "base/text.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void write_tcp(const char *where, char *out, size_t size) {
    char host[256], port[8];
    if (stream_split(where, host, sizeof host, port, sizeof port))
        snprintf(out, size, "%s:%d", strcasecmp(host, "localhost") ? host : "127.0.0.1",
                 atoi(port));
}

static void write_path(const char *where, char *out, size_t size) {
    char path[PATH_MAX];
    snprintf(out, size, "%s", realpath(where, path) ? path : where);
}

static socklen_t name_of(const struct stream_address *address, struct sockaddr_un *name) {
    char where[PATH_MAX];
    snprintf(where, sizeof where, "%s", address->where);
    if (address->kind == STREAM_TCP)
        write_tcp(address->where, where, sizeof where);
    else if (address->kind == STREAM_UNIX)
        write_path(address->where, where, sizeof where);
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "pickglass/delve/%016" PRIx64,
                     text_hash(where, strlen(where)));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* The process that has the claim; 0: it does not say. */
static pid_t holder_of(const struct sockaddr_un *name, socklen_t size) {
    struct ucred peer = {0};
    socklen_t n = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    if (connect(fd, (const struct sockaddr *)name, size) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n))
        peer.pid = 0;
    close(fd);
    return peer.pid;
}

static struct error *why_claimed(const struct backend *b, pid_t holder) {
    if (holder == getpid())
        return error_new(ERROR_USAGE, "%s is a target of this run already: give it once", b->uri);
    struct error *error = error_new(
        ERROR_RUN,
        "%s has another run of pickglass (its worker is pid %ld): Delve tells a hit to one client "
        "only, so two would lose each other's; several recipes run together in one `pickglass run`",
        b->uri, (long)holder);
    return error_because(error, REASON_NO_PEER); /* it may be about to end */
}

/* What cannot be claimed for want of a socket is used all the same. */
struct error *delve_claim(struct backend *b, const struct stream_address *address) {
    struct sockaddr_un name;
    socklen_t size = name_of(address, &name);
    if (!b->alone || b->claim >= 0)
        return NULL;
    b->claim = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (b->claim < 0)
        return NULL;
    bool taken = bind(b->claim, (struct sockaddr *)&name, size) && errno == EADDRINUSE;
    if (!taken) {
        listen(b->claim, SOMAXCONN); /* for holder_of() */
        return NULL;
    }
    delve_unclaim(b);
    return why_claimed(b, holder_of(&name, size));
}

void delve_unclaim(struct backend *b) {
    if (b->claim >= 0)
        close(b->claim);
    b->claim = -1;
}
