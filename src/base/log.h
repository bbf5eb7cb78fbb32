/* Diagnostics for those who look into pickglass itself, on stderr:
 *     PICKGLASS_LOG=delve:3,session:1     or     PICKGLASS_LOG=all:2
 * Level 1 tells what happens, 2 the steps, 3 the bytes on the wire (escaped). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum log_domain {
    LOG_LOOP,
    LOG_DELVE,
    LOG_GDB,
    LOG_NATIVE,
    LOG_SESSION,
    LOG_WORKER,
    LOG_RECIPE,
    LOG_SINK,
    LOG_DOMAINS
};

/* Reads PICKGLASS_LOG. False if it names an unknown domain or level; `text` is what was wrong. */
bool log_setup(const char *setting, const char **wrong);

extern unsigned char log_levels[LOG_DOMAINS];

#define LOG(domain, level, ...)                                                                    \
    do {                                                                                           \
        if (log_levels[domain] >= (level))                                                         \
            log_write(domain, __VA_ARGS__);                                                        \
    } while (0)

void log_write(enum log_domain domain, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Logs at most the first 4 KiB of `bytes` at level 3, everything but printable ASCII as \xNN. */
void log_bytes(enum log_domain domain, const char *what, const char *bytes, size_t n);
