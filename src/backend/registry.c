/* Which back end serves which URI: one line each. */
#include "session/backend.h"

extern const struct backend_ops delve_ops, file_ops;

static const struct {
    const char *prefix;
    const struct backend_ops *ops; /* NULL: known, but not there yet */
} backends[] = {
    {"dlv:", &delve_ops}, {"dlv+", &delve_ops}, {"file:", &file_ops},
    {"gdb:", NULL},       {"gdb+", NULL},       {"native:", NULL},
};

const struct backend_ops *backend_find(const char *uri, const char **why) {
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (strncmp(uri, backends[i].prefix, strlen(backends[i].prefix)))
            continue;
        *why = "this pickglass has no back end for it yet; Delve's (dlv://HOST:PORT) is there";
        return backends[i].ops;
    }
    *why =
        "a target is a URI: dlv://HOST:PORT, dlv+unix:/PATH, dlv+exec:COMMAND, dlv+pipe:COMMAND or "
        "dlv+ssh://USER@HOST/127.0.0.1:PORT";
    return NULL;
}
