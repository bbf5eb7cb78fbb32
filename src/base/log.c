#include "base/log.h"

#include "base/buffer.h"
#include "base/secret.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

unsigned char log_levels[LOG_DOMAINS];

static const char *const domains[] = {
    [LOG_LOOP] = "loop",     [LOG_DELVE] = "delve",     [LOG_GDB] = "gdb",
    [LOG_NATIVE] = "native", [LOG_SESSION] = "session", [LOG_WORKER] = "worker",
    [LOG_RECIPE] = "recipe", [LOG_SINK] = "sink"};
_Static_assert(sizeof domains / sizeof *domains == LOG_DOMAINS, "every domain has a name");

static bool set_level(const char *name, size_t len, unsigned char level) {
    bool all = len == 3 && !memcmp(name, "all", 3), found = all;
    for (int i = 0; i < LOG_DOMAINS; i++) {
        if (all || (strlen(domains[i]) == len && !memcmp(domains[i], name, len))) {
            log_levels[i] = level;
            found = true;
        }
    }
    return found;
}

bool log_setup(const char *setting, const char **wrong) {
    for (const char *p = setting; p && *p;) {
        size_t item = strcspn(p, ","), name = strcspn(p, ":,");
        char level = name + 2 == item ? p[name + 1] : '?';
        if (level < '0' || level > '3' || !set_level(p, name, (unsigned char)(level - '0'))) {
            *wrong = p;
            return false;
        }
        p += item + (p[item] == ',');
    }
    return true;
}

void log_write(enum log_domain domain, const char *format, ...) {
    struct buffer line = BUFFER_INIT(64 << 10);
    char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_printf(&line, "[%s %d] %s", domains[domain], (int)getpid(), text);
    secret_scrub(&line);
    buffer_putc(&line, '\n');
    if (!line.failed && write(STDERR_FILENO, line.data, line.len) < 0)
        log_levels[domain] = 0; /* nobody can read it any more */
    buffer_free(&line);
}

void log_bytes(enum log_domain domain, const char *what, const char *bytes, size_t n) {
    if (log_levels[domain] < 3)
        return;
    char text[4096 + 8];
    size_t at = 0, i = 0;
    for (; i < n && at < 4096 - 4; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c < 0x7f && c != '\\')
            text[at++] = (char)c;
        else
            at += (size_t)sprintf(text + at, "\\x%02x", c);
    }
    text[at] = '\0';
    log_write(domain, "%s %zu bytes: %s%s", what, n, text, i < n ? " ..." : "");
}
