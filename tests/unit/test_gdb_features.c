#include "gdb/features.h"
#include "unit.h"

static const char *const names[] = {
#define FEATURE_NAME(name, text) text,
    GDB_FEATURES(FEATURE_NAME)
#undef FEATURE_NAME
};

#define ONE(feature) (UINT32_C(1) << GDB_##feature)

static struct gdb_features features_of(const char *text) {
    struct gdb_features features;
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1); /* without a NUL: a sanitizer sees what is read beyond it */
    memcpy(copy, text, n);
    gdb_features_parse(copy, n, &features);
    free(copy);
    return features;
}

/* The replies of gdbserver 13.1, lldb-server 14, qemu-user 7.2 and valgrind 3.19. */
static const struct {
    const char *stub, *text;
    size_t size;
    uint32_t has;
} stubs[] = {
    {"gdbserver",
     "PacketSize=47ff;QPassSignals+;QProgramSignals+;QStartupWithShell+;QEnvironmentHexEncoded+;"
     "QEnvironmentReset+;QEnvironmentUnset+;QSetWorkingDir+;QCatchSyscalls+;qXfer:libraries-svr4:"
     "read+;augmented-libraries-svr4-read+;qXfer:auxv:read+;qXfer:siginfo:read+;qXfer:siginfo:"
     "write+;qXfer:features:read+;QStartNoAckMode+;qXfer:osdata:read+;multiprocess+;fork-events+;"
     "vfork-events+;exec-events+;QNonStop+;QDisableRandomization+;qXfer:threads:read+;"
     "ConditionalTracepoints+;TraceStateVariables+;TracepointSource+;DisconnectedTracing+;"
     "StaticTracepoints+;InstallInTrace+;qXfer:statictrace:read+;qXfer:traceframe-info:read+;"
     "EnableDisableTracepoints+;QTBuffer:size+;tracenz+;ConditionalBreakpoints+;"
     "BreakpointCommands+;QAgent+;Qbtrace:bts+;Qbtrace-conf:bts:size+;Qbtrace:pt+;Qbtrace-conf:pt:"
     "size+;Qbtrace:off+;qXfer:btrace:read+;qXfer:btrace-conf:read+;swbreak+;hwbreak+;qXfer:exec-"
     "file:read+;vContSupported+;QThreadEvents+;no-resumed+",
     0x47ff, (UINT32_C(1) << GDB_FEATURE_COUNT) - 1 - ONE(BINARY_READ) - ONE(LLDB)},
    {"lldb-server",
     "PacketSize=131072;QStartNoAckMode+;qEcho+;native-signals+;QThreadSuffixSupported+;"
     "QListThreadsInStopReply+;qXfer:features:read+;QPassSignals+;qXfer:auxv:read+;qXfer:libraries-"
     "svr4:read+;qXfer:siginfo:read+;multiprocess+;fork-events+;vfork-events+",
     256 << 10,
     ONE(NO_ACK) | ONE(DESCRIPTION) | ONE(PASS_SIGNALS) | ONE(AUXV) | ONE(LIBRARIES) |
         ONE(MULTIPROCESS) | ONE(FORK) | ONE(VFORK) | ONE(SIGINFO) | ONE(LLDB)},
    {"qemu-user",
     "PacketSize=1000;qXfer:features:read+;qXfer:auxv:read+;vContSupported+;multiprocess+", 4096,
     ONE(DESCRIPTION) | ONE(AUXV) | ONE(MULTIPROCESS)},
    {"vgdb",
     "PacketSize=3fff;QStartNoAckMode+;QPassSignals+;QCatchSyscalls+;qXfer:auxv:read+;qXfer:"
     "features:read+;qXfer:exec-file:read+;qXfer:siginfo:read+",
     0x3fff,
     ONE(NO_ACK) | ONE(PASS_SIGNALS) | ONE(CATCH_SYSCALLS) | ONE(AUXV) | ONE(DESCRIPTION) |
         ONE(EXEC_FILE) | ONE(SIGINFO)},
};

Test(gdb_features, real_stubs) {
    for (size_t i = 0; i < COUNT(stubs); i++) {
        struct gdb_features features = features_of(stubs[i].text);
        cr_expect_eq(features.packet_size, stubs[i].size, "%s: %zu", stubs[i].stub,
                     features.packet_size);
        for (int k = 0; k < GDB_FEATURE_COUNT; k++)
            cr_expect_eq(gdb_has(&features, (enum gdb_feature)k), (stubs[i].has >> k & 1) != 0,
                         "%s: %s", stubs[i].stub, names[k]);
        cr_expect_eq(features.has, stubs[i].has, "%s", stubs[i].stub);
    }
}

Test(gdb_features, each_alone_and_only_with_a_plus) {
    for (int i = 0; i < GDB_FEATURE_COUNT; i++) {
        static const char *const forms[] = {"%s+", "PacketSize=1000;%s+", ";;%s+;", "x;%s+;y-",
                                            /* what follows says no */
                                            "%s-", "%s?", "%s", "%s=1", "%s+x", "x%s+", "%s:+",
                                            " %s+", "%s +"};
        for (size_t k = 0; k < COUNT(forms); k++) {
            char text[128];
            const char *place = strstr(forms[k], "%s");
            snprintf(text, sizeof text, "%.*s%s%s", (int)(place - forms[k]), forms[k], names[i],
                     place + 2);
            struct gdb_features features = features_of(text);
            cr_expect_eq(features.has, k < 4 ? UINT32_C(1) << i : 0, "%s", text);
        }
    }
}

Test(gdb_features, packet_sizes) {
    static const struct {
        const char *text;
        size_t want;
    } cases[] = {
        {"", 400},
        {";", 400},
        {"PacketSize", 400},
        {"PacketSize=", 400},
        {"PacketSize=0", 400},
        {"PacketSize=-1", 400},
        {"PacketSize=zz", 400},
        {"PacketSize=3f", 400},
        {"PacketSize=40", 64},
        {"PacketSize=FFF", 4095},
        {"PacketSize=0000000000001000", 4096},
        {"PacketSize=1048576", 256 << 10}, /* rr's: meant in decimal */
        {"PacketSize=131072", 256 << 10},  /* lldb-server's */
        {"PacketSize=3ffff", 0x3ffff},
        {"PacketSize=40000", 256 << 10},
        {"PacketSize=ffffffff", 256 << 10},
        {"PacketSize=ffffffffffffffff", 256 << 10},
        {"PacketSize=ffffffffffffffffffffffff", 400},
        {"packetsize=1000", 400},
        {"XPacketSize=1000", 400},
        {"PacketSize=1000;PacketSize=2000", 0x2000},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gdb_features features = features_of(cases[i].text);
        cr_expect_eq(features.packet_size, cases[i].want, "%s: %zu", cases[i].text,
                     features.packet_size);
        cr_expect_eq(features.has, 0, "%s", cases[i].text);
    }
}

Test(gdb_features, what_is_no_list_of_features) {
    static const char *const texts[] = {"E01",  "+",  "+;+",          "-",        "=",
                                        ";;;;", "OK", "multiprocess", "\xff\xff+"};
    for (size_t i = 0; i < COUNT(texts); i++)
        cr_expect_eq(features_of(texts[i]).has, 0, "%s", texts[i]);
    struct gdb_features features;
    gdb_features_parse("multiprocess\0+", 14, &features);
    cr_expect_eq(features.has, 0);
}

Test(gdb_features, actions) {
    static const struct {
        const char *text, *has;
    } cases[] = {{"vCont;c;C;t;s;S;r", "cCtsSr"},
                 {"vCont;c;C;s;S", "cCsS"},
                 {"vCont;c", "c"},
                 {"vCont", ""},
                 {"", ""},
                 {"vCont;", ""},
                 {"vCont;cc;s", "s"},
                 {"vCont;;c", "c"},
                 {"c;s", "s"},
                 {"OK", ""},
                 {"E01", ""}};
    for (size_t i = 0; i < COUNT(cases); i++)
        for (const char *action = "cCtsSrv"; *action; action++)
            cr_expect_eq(gdb_actions_have(cases[i].text, strlen(cases[i].text), *action),
                         strchr(cases[i].has, *action) != NULL, "%s: %c", cases[i].text, *action);
}
