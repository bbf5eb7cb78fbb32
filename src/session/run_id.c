#include "session/run_id.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Pids mean something only within one boot of one machine and one pid namespace. */
static uint32_t place_hash(void) {
    char bytes[256] = {0};
    struct stat space;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, 64);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        gethostname(bytes, sizeof bytes - 1);
    uint32_t hash = 2166136261u;
    for (const char *p = bytes; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    if (!stat("/proc/self/ns/pid", &space))
        hash = (hash ^ (uint32_t)space.st_ino) * 16777619u;
    return hash;
}

void run_id_new(char out[static RUN_ID_SIZE]) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(out, RUN_ID_SIZE, "%08xp%dt%llx", place_hash(), (int)getpid(),
             (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000);
}

enum run_life run_id_life(const char *name) {
    if (strncmp(name, "pg", 2) || strlen(name) < 12 || name[10] != 'p')
        return RUN_NONE;
    char *end;
    char place[9] = {0};
    memcpy(place, name + 2, 8);
    uint32_t hash = (uint32_t)strtoul(place, &end, 16);
    if (*end)
        return RUN_NONE;
    long pid = strtol(name + 11, &end, 10);
    if (pid <= 0 || *end != 't')
        return RUN_NONE;
    if (hash != place_hash())
        return RUN_ELSEWHERE;
    return !kill((pid_t)pid, 0) || errno == EPERM ? RUN_ALIVE : RUN_DEAD;
}
