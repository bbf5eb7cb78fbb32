/* A stopped child that executes one instruction where it stands, or as the native back end would:
 * for the tests of arch/displaced and arch/emulate. */
#pragma once

#include "arch/displaced.h"
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE UINT64_C(0x10000000)
#define DATA UINT64_C(0x10010000) /* within a displacement's reach of the code */
#define SLOT UINT64_C(0x11000000)
#define SIZE 0x4000
#define AT (CODE + 0x1000)
#define STACK (DATA + 0x2000)
#define STATES 40

struct state {
    struct user_regs_struct registers;
    uint8_t data[SIZE];
};

static pid_t child;

static inline void map_at(uint64_t address) {
    void *got = mmap((void *)address, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != (void *)address)
        _exit(1);
}

static inline bool start_child(void) {
    int status;
    child = fork();
    if (!child) {
        map_at(CODE), map_at(DATA), map_at(SLOT);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(2);
        raise(SIGSTOP);
        _exit(0);
    }
    return waitpid(child, &status, 0) == child && WIFSTOPPED(status);
}

static inline void end_child(void) {
    int status;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

static inline void copy_out(uint64_t address, void *bytes, size_t n) {
    struct iovec here = {bytes, n}, there = {(void *)address, n};
    cr_assert_eq(process_vm_readv(child, &here, 1, &there, 1, 0), (ssize_t)n);
}

static inline void copy_in(uint64_t address, const void *bytes, size_t n) {
    struct iovec here = {(void *)bytes, n}, there = {(void *)address, n};
    cr_assert_eq(process_vm_writev(child, &here, 1, &there, 1, 0), (ssize_t)n);
}

static inline void set(const struct state *state) {
    copy_in(DATA, state->data, SIZE);
    cr_assert_eq(ptrace(PTRACE_SETREGS, child, NULL, &state->registers), 0);
}

static inline void get(struct state *state) {
    copy_out(DATA, state->data, SIZE);
    cr_assert_eq(ptrace(PTRACE_GETREGS, child, NULL, &state->registers), 0);
    state->registers.eflags &= 0xcd5; /* not TF, RF and what is reserved */
}

/* The signal that the child stops with: SIGTRAP, or a fault. */
static inline int step_signal(void) {
    int status;
    cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSTOPPED(status), "status %x", status);
    return WSTOPSIG(status);
}

static inline void step(const char *name) {
    int signal = step_signal();
    cr_assert_eq(signal, SIGTRAP, "%s: signal %d", name, signal);
}

/* Registers point into the data; what is added to them stays inside. */
static inline void randomise(struct state *state, unsigned seed) {
    srand(seed);
    cr_assert_eq(ptrace(PTRACE_GETREGS, child, NULL, &state->registers), 0);
    struct user_regs_struct *r = &state->registers;
    unsigned long long *some[] = {&r->rbx, &r->rbp, &r->rsi, &r->rdi, &r->r8,
                                  &r->r9,  &r->r10, &r->r12, &r->r13, &r->r14};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        *some[i] = DATA + 0x800 + (uint64_t)(rand() % 0x100) * 8;
    r->rax = AT + 0x40 + (uint64_t)(rand() % 64);
    r->rcx = (uint64_t)(rand() % 3);
    r->rdx = (uint64_t)(rand() % 8);
    r->r11 = AT + 0x80;
    r->r15 = (uint64_t)rand();
    r->rsp = STACK;
    r->rip = AT;
    r->orig_rax = UINT64_MAX;
    r->eflags = 0x202 | ((unsigned)rand() & 0x8d5);
    for (size_t i = 0; i < SIZE;
         i += 8) { /* pointers to code, for calls and jumps through memory */
        uint64_t pointer = AT + 0x100 + (uint64_t)(rand() % 256);
        memcpy(state->data + i, &pointer, 8);
    }
}

static inline void view(const struct user_regs_struct *r, struct registers *out) {
    const uint64_t values[] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp,
                               r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
    *out = (struct registers){.arch = arch_named("x86_64")};
    for (unsigned i = 0; i < 16; i++)
        registers_set(out, i, values[i]);
    registers_set(out, 49, r->eflags);
}

static inline void go_elsewhere(const struct displaced *displaced, struct state *state,
                                const char *name) {
    struct registers registers;
    uint64_t pointer = 0, to;
    bool counts;
    if (displaced->kind == DISPLACED_COPY) {
        uint8_t bytes[DISPLACED_SLOT];
        size_t n = displaced_write(displaced, SLOT, bytes);
        cr_assert(n, "%s: too far", name);
        copy_in(SLOT, bytes, n);
        state->registers.rip = SLOT;
        set(state);
        step(name);
        if (!displaced->ends)
            step(name); /* the jump back */
        get(state);
        return;
    }
    view(&state->registers, &registers);
    to = displaced_leads_to(displaced, &registers, &pointer, &counts);
    state->registers.rcx -= counts;
    if (displaced->memory)
        memcpy(&to, state->data + (pointer - DATA), 8);
    if (displaced->kind == DISPLACED_CALL) {
        state->registers.rsp -= 8;
        memcpy(state->data + (state->registers.rsp - DATA), &displaced->next, 8);
    }
    state->registers.rip = to;
    state->registers.eflags &= 0xcd5;
}
