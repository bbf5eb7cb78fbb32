/* What a stub says it can do: the reply to qSupported, and to vCont?. */
#pragma once

#include "gdb/packet.h"

#define GDB_FEATURES(X)                                                                            \
    X(NO_ACK, "QStartNoAckMode")                                                                   \
    X(MULTIPROCESS, "multiprocess")                                                                \
    X(SWBREAK, "swbreak")                                                                          \
    X(HWBREAK, "hwbreak")                                                                          \
    X(FORK, "fork-events")                                                                         \
    X(VFORK, "vfork-events")                                                                       \
    X(EXEC, "exec-events")                                                                         \
    X(PASS_SIGNALS, "QPassSignals")                                                                \
    X(CATCH_SYSCALLS, "QCatchSyscalls")                                                            \
    X(DESCRIPTION, "qXfer:features:read")                                                          \
    X(AUXV, "qXfer:auxv:read")                                                                     \
    X(EXEC_FILE, "qXfer:exec-file:read")                                                           \
    X(LIBRARIES, "qXfer:libraries-svr4:read")                                                      \
    X(SIGINFO, "qXfer:siginfo:read")                                                               \
    X(ENVIRONMENT, "QEnvironmentHexEncoded")                                                       \
    X(WORKING_DIR, "QSetWorkingDir")                                                               \
    X(THREADS, "qXfer:threads:read")                                                               \
    X(LLDB, "QThreadSuffixSupported")                                                              \
    X(BINARY_READ, "binary-upload")                                                                \
    X(CONDITIONS, "ConditionalBreakpoints")                                                        \
    X(TRACEPOINTS, "ConditionalTracepoints")                                                       \
    X(TRACE_STRINGS, "tracenz")                                                                    \
    X(TRACE_BUFFER_SIZE, "QTBuffer:size")                                                          \
    X(TRACE_VARIABLES, "TraceStateVariables")

enum gdb_feature {
#define GDB_FEATURE_ID(name, text) GDB_##name,
    GDB_FEATURES(GDB_FEATURE_ID)
#undef GDB_FEATURE_ID
        GDB_FEATURE_COUNT
};

struct gdb_features {
    uint32_t has; /* bit n: feature n */
    size_t packet_size;
};

/* Unknown features are skipped. A PacketSize that is none, or absurd, is brought into bounds: some
 * stubs write it in decimal, and it is read as hexadecimal. */
void gdb_features_parse(const char *text, size_t len, struct gdb_features *out);

static inline bool gdb_has(const struct gdb_features *features, enum gdb_feature feature) {
    return features->has >> feature & 1;
}

/* "vCont;c;C;s;S;t": is the action there? */
bool gdb_actions_have(const char *text, size_t len, char action);
