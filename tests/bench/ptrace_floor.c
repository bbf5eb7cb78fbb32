/* The least that a ptrace stop costs: one int3, its registers, one string, and on. The instruction
 * under it is executed from a copy that jumps back, as the native back end does it.
 *
 * usage: ptrace_floor PROGRAM ARGUMENT OFFSET LENGTH WAY: an int3 at OFFSET from where PROGRAM is
 * mapped, on an instruction of LENGTH bytes that may be executed anywhere. It waits
 * "looking" (without sleeping, for a hundred microseconds) or "sleeping". Prints microseconds a
 * hit, and hits. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS UINT64_C(100000)

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int wait_for(pid_t pid, bool looking, int *status) {
    uint64_t until = now() + SPIN_NS;
    pid_t got = 0;
    while (looking && (got = waitpid(pid, status, __WALL | WNOHANG)) == 0 && now() < until)
        ;
    return got ? got : waitpid(pid, status, __WALL);
}

/* Where PROGRAM begins, and the end of its code, behind which the page is empty. */
static uint64_t mapped_at(pid_t pid, const char *program, uint64_t *code_end) {
    char path[64], line[4400], rights[8];
    unsigned long long begin, end;
    uint64_t first = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    while (maps && fgets(line, sizeof line, maps)) {
        if (!strstr(line, program) || sscanf(line, "%llx-%llx %7s", &begin, &end, rights) != 3)
            continue;
        first = first ? first : begin;
        if (rights[2] == 'x')
            *code_end = end;
    }
    if (maps)
        fclose(maps);
    return first;
}

/* The copy and its jump back. */
static uint64_t make_slot(int memory, uint64_t slot, uint64_t at, size_t length) {
    uint8_t code[32];
    uint64_t back = at + length;
    if (length > 15 || pread(memory, code, length, (off_t)at) != (ssize_t)length)
        return 0;
    memcpy(code + length, "\xff\x25\0\0\0\0", 6);
    memcpy(code + length + 6, &back, 8);
    return pwrite(memory, code, length + 14, (off_t)slot) > 0 ? slot : 0;
}

int main(int argc, char **argv) {
    if (argc != 6)
        return 1;
    bool looking = !strcmp(argv[5], "looking");
    int status;
    pid_t pid = fork();
    if (!pid) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execl(argv[1], argv[1], argv[2], (char *)NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    const char *name = strrchr(argv[1], '/');
    uint64_t code_end = 0, base = mapped_at(pid, name ? name : argv[1], &code_end);
    uint64_t at = base + strtoull(argv[3], NULL, 0), hits = 0, first = 0;
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDWR);
    uint64_t slot = make_slot(memory, code_end - 64, at, strtoul(argv[4], NULL, 0));
    if (!slot || pwrite(memory, "\xcc", 1, (off_t)at) != 1)
        return 1;
    ptrace(PTRACE_CONT, pid, NULL, 0);
    while (wait_for(pid, looking, &status) == pid && WIFSTOPPED(status)) {
        struct user_regs_struct registers;
        uint64_t pointer = 0;
        first = first ? first : now();
        ptrace(PTRACE_GETREGS, pid, NULL, &registers);
        ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rip), slot);
        struct iovec local = {&pointer, 8}, remote = {(void *)registers.rdi, 8};
        process_vm_readv(pid, &local, 1, &remote, 1, 0);
        local = (struct iovec){text, 64}, remote = (struct iovec){(void *)pointer, 64};
        process_vm_readv(pid, &local, 1, &remote, 1, 0);
        ptrace(PTRACE_CONT, pid, NULL, 0);
        hits++;
    }
    printf("%.2f %llu\n", hits ? (double)(now() - first) / 1e3 / (double)hits : 0.0,
           (unsigned long long)hits);
    return 0;
}
