#include "gdb/features.h"

#include <string.h>

#define SIZE_DEFAULT 400 /* what every stub must take: its registers, and some */
#define SIZE_MIN 64
#define SIZE_MAX_USED (256u << 10)

static const char *const names[] = {
#define GDB_FEATURE_NAME(name, text) text,
    GDB_FEATURES(GDB_FEATURE_NAME)
#undef GDB_FEATURE_NAME
};

static void take_size(const char *at, const char *end, struct gdb_features *out) {
    uint64_t size;
    if (!hex_number(&at, end, &size) || size < SIZE_MIN)
        return;
    out->packet_size = size < SIZE_MAX_USED ? (size_t)size : SIZE_MAX_USED;
}

static void take_feature(const char *at, const char *end, struct gdb_features *out) {
    static const char size[] = "PacketSize=";
    size_t n = (size_t)(end - at);
    if (n > strlen(size) && !memcmp(at, size, strlen(size)))
        take_size(at + strlen(size), end, out);
    for (size_t i = 0; n > 1 && end[-1] == '+' && i < GDB_FEATURE_COUNT; i++)
        if (strlen(names[i]) == n - 1 && !memcmp(at, names[i], n - 1))
            out->has |= UINT32_C(1) << i;
}

void gdb_features_parse(const char *text, size_t len, struct gdb_features *out) {
    *out = (struct gdb_features){.packet_size = SIZE_DEFAULT};
    for (const char *at = text, *end = text + len; at < end;) {
        const char *semicolon = memchr(at, ';', (size_t)(end - at));
        take_feature(at, semicolon ? semicolon : end, out);
        at = semicolon ? semicolon + 1 : end;
    }
}

bool gdb_actions_have(const char *text, size_t len, char action) {
    for (size_t i = 0; i + 1 < len; i++)
        if (text[i] == ';' && text[i + 1] == action && (i + 2 == len || text[i + 2] == ';'))
            return true;
    return false;
}
