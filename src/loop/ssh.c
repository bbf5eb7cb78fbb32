#include "loop/ssh.h"

#include <stdio.h>
#include <string.h>

static bool split(const char *where, struct ssh_way *out) {
    const char *slash = strchr(where, '/');
    const char *colon = memchr(where, ':', slash ? (size_t)(slash - where) : 0);
    const char *end = colon ? colon : slash;
    if (!slash || !slash[1] || end == where || *where == '-' ||
        (size_t)(end - where) >= sizeof out->box)
        return false;
    memcpy(out->box, where, (size_t)(end - where));
    out->box[end - where] = '\0';
    *out->port = '\0';
    if (colon)
        snprintf(out->port, sizeof out->port, "%.*s", (int)(slash - colon - 1), colon + 1);
    out->forward = slash + 1;
    return true;
}

bool ssh_way(const char *where, struct ssh_way *out) {
    if (!split(where, out))
        return false;
    const char **argv = out->argv;
    *argv++ = "ssh";
    *argv++ = "-o";
    *argv++ = "BatchMode=yes";
    if (*out->port) {
        *argv++ = "-p";
        *argv++ = out->port;
    }
    *argv++ = "-W";
    *argv++ = out->forward;
    *argv++ = out->box;
    *argv = NULL;
    return true;
}
