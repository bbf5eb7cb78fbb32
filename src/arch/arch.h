/* What is special to a processor: its registers under their DWARF numbers, its breakpoint, how
 * arguments travel, where a function returns. One row of a table each.
 *
 * To add an architecture: one file src/arch/NAME.c with a `const struct arch`, one line in arch.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCH_SLOTS 128   /* registers of one architecture, at most */
#define ARCH_REGISTER 16 /* bytes kept of one */
#define ARCH_SYSCALL_ARGUMENTS 6

enum arch_class { REGISTER_INT, REGISTER_FLOAT, REGISTER_FLAGS };

struct arch_register {
    const char *name;
    uint16_t dwarf; /* its number in the architecture's DWARF ABI */
    uint8_t slot;   /* where `struct registers` keeps it */
    uint8_t size;   /* bytes */
    uint8_t class;
};

/* A run of registers that are numbered alike: x0 to x30. */
struct arch_range {
    const char *prefix; /* "" and one register: `prefix` is the whole name */
    uint16_t dwarf;
    uint8_t slot, count, size, class;
};

/* Where `code` returns from its function: offsets of the instructions into `offsets` (at most
 * `max`); the number there are. `tail_calls` counts jumps that leave [0, size) and are no return.
 */
typedef size_t arch_returns_fn(const uint8_t *code, size_t size, uint64_t address, bool thumb,
                               size_t *offsets, size_t max, size_t *tail_calls);

/* Bytes of the instructions at a function's start that set its frame up, as gdb knows them; 0: the
 * function has no frame. */
typedef size_t arch_frame_setup_fn(const uint8_t *code, size_t size);

struct arch {
    const char *name;
    const char *bfd;  /* its name in target descriptions, or how that begins (GDB's manual, G.2) */
    uint16_t machine; /* e_machine of its ELF files */
    uint8_t word;     /* bytes of a pointer */
    int16_t pc, sp, fp, link; /* slots; link -1: the return address is on the stack */
    int16_t return_column;    /* the DWARF column of the return address */
    uint8_t breakpoint[4], breakpoint_len;
    uint8_t trap_advance; /* bytes that the pc stands behind a breakpoint that was hit */
    uint8_t tls_variant;  /* 1: TLS blocks above the thread pointer, 2: below */
    uint8_t tls_gap;      /* variant 1: bytes between the thread pointer and the first block */
    int16_t tls;          /* slot of the thread pointer; -1: not in a register that we see */
    uint8_t go_g;         /* slot of the register that Go keeps a thread's g in */
    const struct arch_range *ranges;
    size_t range_count;
    const struct arch_register *aliases; /* other names people use: rip, pc, sp */
    size_t alias_count;
    uint8_t arguments[8], argument_count; /* slots of the first integer arguments */
    uint8_t results[2]; /* slots of an integer result's words; a system call's is in the first */
    uint8_t syscall_arguments[ARCH_SYSCALL_ARGUMENTS]; /* slots; syscall(2), "Architecture calling
                                                          conventions" */
    uint8_t float_result;                              /* slot of the first register for floats */
    arch_returns_fn *returns;
    arch_frame_setup_fn *frame_setup; /* NULL: only the line table tells */
};

const struct arch *arch_of_machine(unsigned e_machine);
const struct arch *arch_named(const char *name);

/* The number of a system call of Linux; -1: there is none. Then *near becomes the nearest name,
 * good until the next call of this thread, or NULL. */
int arch_syscall_number(const struct arch *arch, const char *name, const char **near);
/* "" if there is none of that number; cut at `size` bytes, with a NUL. */
void arch_syscall_name(const struct arch *arch, int number, char *out, size_t size);

/* False if this architecture has no such register. */
bool arch_register_named(const struct arch *arch, const char *name, struct arch_register *out);
bool arch_register_of_dwarf(const struct arch *arch, uint64_t dwarf, struct arch_register *out);

/* The i-th name for lists and suggestions; NULL after the last. Good until the next call of this
 * thread. */
const char *arch_register_name(const struct arch *arch, size_t i);

/* The registers of one frame. What was not saved by a callee is not valid in its caller. */
struct registers {
    const struct arch *arch;
    bool *wanted; /* becomes true when one is asked for that is not valid; or NULL */
    uint64_t valid[ARCH_SLOTS / 64];
    uint8_t bytes[ARCH_SLOTS][ARCH_REGISTER]; /* target byte order */
};

void registers_set(struct registers *registers, unsigned slot, uint64_t value);
void registers_set_bytes(struct registers *registers, unsigned slot, const void *bytes, size_t n);
void registers_forget(struct registers *registers, unsigned slot);
bool registers_get(const struct registers *registers, unsigned slot, uint64_t *value);
bool registers_has(const struct registers *registers, unsigned slot);
