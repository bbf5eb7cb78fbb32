/* What /proc tells of a process, and launching one. A process whose main thread has ended is seen
 * through another one of its threads. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

static bool read_file(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static long status_number(const char *status, const char *key) {
    const char *at = strstr(status, key);
    return at ? strtol(at + strlen(key), NULL, 10) : 0;
}

static char state_in(const char *status) {
    const char *state = strstr(status, "State:\t");
    return state ? state[strlen("State:\t")] : '?';
}

FILE *native_proc(const struct backend *b, const char *name) {
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/%s", b->alive, name);
    return fopen(path, "re");
}

pid_t native_process_of(pid_t tid) {
    char path[64], status[8192];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    return read_file(path, status, sizeof status) ? (pid_t)status_number(status, "Tgid:") : 0;
}

char native_state_of(pid_t tid) {
    char path[64], status[8192];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    return read_file(path, status, sizeof status) ? state_in(status) : 'X';
}

bool native_descends(const struct backend *b, pid_t tid) {
    char path[64], status[8192];
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    return read_file(path, status, sizeof status) &&
           (status_number(status, "Tgid:") == b->pid || status_number(status, "PPid:") == b->pid);
}

bool native_parents(pid_t pid, pid_t *parent, pid_t *tracer) {
    char path[64], status[8192];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (!read_file(path, status, sizeof status))
        return false;
    *parent = (pid_t)status_number(status, "PPid:");
    *tracer = (pid_t)status_number(status, "TracerPid:");
    return true;
}

/* ---- may it be traced? ---- */

static struct error *why_traced(pid_t pid, long tracer) {
    char path[64], name[64];
    snprintf(path, sizeof path, "/proc/%ld/comm", tracer);
    read_file(path, name, sizeof name);
    name[strcspn(name, "\n")] = '\0';
    if (!strncmp(name, "pickglass", strlen("pickglass")))
        return error_new(ERROR_RUN,
                         "process %d is traced already, by another run of pickglass (its worker is "
                         "pid %ld): there can be one tracer; several recipes run together in one "
                         "`pickglass run`",
                         pid, tracer);
    return error_new(ERROR_RUN,
                     "process %d is traced already, by %s (pid %ld): there can be one tracer; let "
                     "that one go, or automate it (gdb://, dlv://)",
                     pid, *name ? name : "somebody", tracer);
}

static bool has_ended(const char *status) {
    return state_in(status) == 'Z' || state_in(status) == 'X';
}

bool native_find_alive(struct backend *b) {
    char path[64], status[8192];
    struct dirent *entry;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/task", b->pid);
    DIR *dir = opendir(path);
    while (dir && !found && (entry = readdir(dir))) {
        snprintf(path, sizeof path, "/proc/%.20s/status", entry->d_name);
        found =
            atoi(entry->d_name) > 0 && read_file(path, status, sizeof status) && !has_ended(status);
        b->alive = found ? atoi(entry->d_name) : b->alive;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* All but the first of them have been started by the second process. */
static bool is_of_kernel(pid_t pid, const char *status) {
    return pid == 2 || status_number(status, "PPid:") == 2;
}

static struct error *look_at_status(struct backend *b) {
    char path[64], status[8192];
    snprintf(path, sizeof path, "/proc/%d/status", b->pid);
    if (!read_file(path, status, sizeof status))
        return error_new(ERROR_RUN, "there is no process %d%s", b->pid,
                         kill(b->pid, 0) && errno == ESRCH
                             ? ""
                             : " to be seen in /proc (is it mounted with hidepid?)");
    if (has_ended(status) && !native_find_alive(b))
        return error_new(ERROR_RUN,
                         "process %d has ended: it is a zombie that its parent has not "
                         "waited for",
                         b->pid);
    snprintf(path, sizeof path, "/proc/%d/status", b->alive);
    read_file(path, status, sizeof status);
    long leader = status_number(status, "Tgid:"), tracer = status_number(status, "TracerPid:");
    if (leader && leader != b->pid)
        return error_new(ERROR_RUN, "%d is a thread of process %ld: give that", b->pid, leader);
    if (tracer && tracer != getpid())
        return why_traced(b->pid, tracer);
    if (!strstr(status, "VmSize:") && is_of_kernel(b->pid, status))
        return error_new(ERROR_RUN, "%d is a thread of the kernel: it has no program", b->pid);
    if (!strstr(status, "VmSize:"))
        return error_new(ERROR_RUN, "process %d is about to end", b->pid);
    b->suspended = state_in(status) == 'T';
    return NULL;
}

struct error *native_look_at(struct backend *b) {
    char path[64], exe[4096];
    b->alive = b->pid;
    struct error *error = look_at_status(b);
    if (error)
        return error;
    snprintf(path, sizeof path, "/proc/%d/exe", b->alive);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    if (n < 0)
        return error_new(ERROR_RUN,
                         "process %d is not ours to look at (%s): be its user, or root with "
                         "CAP_SYS_PTRACE (in a container, --cap-add=SYS_PTRACE)",
                         b->pid, strerror(errno));
    exe[n] = '\0';
    snprintf(b->command, sizeof b->command, "%s", exe);
    return NULL;
}

bool native_open_memory(struct backend *b) {
    char path[64];
    if (b->memory >= 0)
        close(b->memory);
    snprintf(path, sizeof path, "/proc/%d/mem", b->alive);
    b->memory = open(path, O_RDWR | O_CLOEXEC);
    return b->memory >= 0;
}

uint64_t native_auxv(const struct backend *b, uint64_t key) {
    char path[64];
    uint64_t words[128] = {0};
    snprintf(path, sizeof path, "/proc/%d/auxv", b->alive);
    read_file(path, (char *)words, sizeof words);
    for (size_t i = 0; i + 1 < sizeof words / sizeof *words && words[i]; i += 2)
        if (words[i] == key)
            return words[i + 1];
    return 0;
}

void native_task_name(struct task *task) {
    char path[64], name[32];
    snprintf(path, sizeof path, "/proc/%d/task/%d/comm", task->backend->pid, task->tid);
    if (!read_file(path, name, sizeof name))
        return;
    name[strcspn(name, "\n")] = '\0';
    snprintf(task->name, sizeof task->name, "%.15s", name);
}

/* ---- launching ---- */

/* In the child: a session of its own, so that a Ctrl-C at our terminal is not its affair; and it
 * waits until it is traced. */
static _Noreturn void become(char **words, int go, int failed, int output) {
    char byte;
    sigset_t none;
    setsid();
    prctl(PR_SET_PTRACER, getppid(), 0, 0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || read(go, &byte, 1) != 1)
        _exit(127);
    execvp(words[0], words);
    int code = errno;
    if (write(failed, &code, sizeof code) < 0)
        _exit(126);
    _exit(127);
}

/* Up to the stop at its first instruction, or to the reason why there is none. */
static struct error *wait_for_exec(struct backend *b, const char *name, int failed) {
    int status, code;
    pid_t got;
    while ((got = waitpid(b->pid, &status, __WALL)) == b->pid || (got < 0 && errno == EINTR)) {
        if (got < 0)
            continue;
        if (WIFSTOPPED(status) && status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
            return NULL;
        if (WIFSTOPPED(status)) {
            ptrace(PTRACE_CONT, b->pid, NULL, WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status));
            continue;
        }
        b->exited = true;
        if (read(failed, &code, sizeof code) == (ssize_t)sizeof code)
            return error_new(ERROR_RUN, "starting %s: %s", name, strerror(code));
        break;
    }
    return error_new(ERROR_RUN, "starting %s: it ended before it began", name);
}

static struct error *trace_child(struct backend *b, const char *name, int go, int failed) {
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD;
    if (ptrace(PTRACE_SEIZE, b->pid, NULL, options)) {
        int code = errno;
        kill(b->pid, SIGKILL);
        return error_new(ERROR_RUN, "tracing %s: %s (a container without ptrace?)", name,
                         strerror(code));
    }
    if (write(go, "", 1) != 1)
        return error_new(ERROR_RUN, "starting %s: %s", name, strerror(errno));
    return wait_for_exec(b, name, failed);
}

static struct error *start(struct backend *b, char **words, int output) {
    int go[2], failed[2];
    if (pipe2(go, O_CLOEXEC))
        return error_new(ERROR_RUN, "a pipe: %s", strerror(errno));
    if (pipe2(failed, O_CLOEXEC)) {
        close(go[0]), close(go[1]);
        return error_new(ERROR_RUN, "a pipe: %s", strerror(errno));
    }
    b->pid = fork();
    if (b->pid == 0)
        become(words, go[0], failed[1], output);
    close(go[0]);
    close(failed[1]);
    struct error *error = b->pid < 0 ? error_new(ERROR_RUN, "fork: %s", strerror(errno))
                                     : trace_child(b, words[0], go[1], failed[0]);
    close(go[1]);
    close(failed[0]);
    return error;
}

struct error *native_launch(struct backend *b, const char *command) {
    wordexp_t words;
    int output = STDERR_FILENO;
    if (wordexp(command, &words, WRDE_NOCMD | WRDE_UNDEF))
        return error_new(ERROR_USAGE,
                         "\"%s\" is not one command: quote what a shell would take for itself",
                         command);
    struct error *error = NULL;
    if (!words.we_wordc)
        error = error_new(ERROR_USAGE, "which program is to be launched?");
    else if (b->output &&
             (output = open(b->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0)
        error = error_new(ERROR_RUN, "opening %s for the target's output: %s", b->output,
                          strerror(errno));
    if (!error)
        error = start(b, words.we_wordv, output);
    if (output >= 0 && output != STDERR_FILENO)
        close(output);
    wordfree(&words);
    return error;
}
