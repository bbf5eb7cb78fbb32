/* Which back end serves which URI: one line each. */
#include "session/backend.h"

extern const struct backend_ops delve_ops, file_ops, gdb_ops, native_ops;

static const struct {
    const char *prefix;
    const struct backend_ops *ops;
} backends[] = {
    {"dlv:", &delve_ops},
    {"dlv+", &delve_ops},
    {"file:", &file_ops},
    {"gdb:", &gdb_ops},
    {"gdb+", &gdb_ops},
    {"native:", &native_ops},
    {"native+exec:", &native_ops},
    {"native+repair:", &native_ops},
};

const struct backend_ops *backend_find(const char *uri, const char **why) {
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (!strncmp(uri, backends[i].prefix, strlen(backends[i].prefix)))
            return backends[i].ops;
    *why = "a target is a URI: dlv://HOST:PORT, gdb://HOST:PORT, native:PID, or one of their kin "
           "(`pickglass run --help`)";
    return NULL;
}
