/* A target that runs on this machine: its /proc says what its stub does not. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct status {
    char state; /* as in proc(5); 0: there is no such thread */
    int tracer;
    unsigned long long pending; /* signals: bit n - 1 is signal n */
};

static struct status read_status(const char *path) {
    struct status status = {0};
    char line[256];
    unsigned long long some = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "State: %c", &status.state);
        sscanf(line, "TracerPid: %d", &status.tracer);
        if (sscanf(line, "SigPnd: %llx", &some) == 1 || sscanf(line, "ShdPnd: %llx", &some) == 1)
            status.pending |= some;
    }
    if (file)
        fclose(file);
    return status;
}

static pid_t pid_here(const struct backend *b) {
    return b->local && b->info.pid > 1 ? (pid_t)b->info.pid : 0;
}

static struct status status_here(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    return read_status(path);
}

/* The other end of a tunnel looks as if it were here: its numbers are those of others then. */
static bool is_target(const struct backend *b, pid_t pid) {
    char path[64], exe[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t n = pid ? readlink(path, exe, sizeof exe - 1) : 0;
    exe[n > 0 ? n : 0] = '\0';
    return n > 0 && !strcmp(exe, b->exec_file);
}

/* A traced process gets no signal before its tracer has seen it: one that is not traced is left
 * alone. */
bool gdb_signal_here(const struct backend *b) {
    pid_t pid = pid_here(b);
    return is_target(b, pid) && status_here(pid).tracer > 0 && !kill(pid, SIGINT);
}

/* gdbserver may go with a target that is killed at the wrong moment. */
bool gdb_ended_here(const struct backend *b) {
    pid_t pid = pid_here(b);
    char state = pid ? status_here(pid).state : 'R';
    return !state || state == 'Z' || state == 'X';
}

/* Stopped by nobody who traces it, or about to be. */
static bool stands_alone(const char *path) {
    struct status status = read_status(path);
    return !status.tracer && (status.state == 'T' || status.pending >> (SIGSTOP - 1) & 1);
}

/* gdbserver (13) now and then leaves one of its own SIGSTOPs in a target that it was told to detach
 * from among system calls: all of its threads would stand, with nobody to let them go on. */
void gdb_wake_here(const struct backend *b) {
    char path[96];
    struct dirent *entry;
    pid_t pid = pid_here(b);
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = is_target(b, pid) ? opendir(path) : NULL;
    bool stands = false;
    while (tasks && !stands && (entry = readdir(tasks))) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", pid, entry->d_name);
        stands = entry->d_name[0] != '.' && stands_alone(path);
    }
    if (tasks)
        closedir(tasks);
    if (!stands)
        return;
    LOG(LOG_GDB, 1, "the stub has left the target stopped: SIGCONT");
    kill(pid, SIGCONT);
}
