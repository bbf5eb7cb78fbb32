/* The names of Linux's system calls, as libseccomp knows them for each architecture. */
#include "arch/arch.h"

#include "base/text.h"
#include <elf.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBERS 1024 /* beyond the last one */

static uint32_t seccomp_arch(const struct arch *arch) {
    static const struct {
        uint16_t machine;
        uint32_t arch;
    } rows[] = {{EM_X86_64, SCMP_ARCH_X86_64},
                {EM_AARCH64, SCMP_ARCH_AARCH64},
                {EM_ARM, SCMP_ARCH_ARM},
                {EM_RISCV, SCMP_ARCH_RISCV64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].machine == arch->machine)
            return rows[i].arch;
    return 0;
}

struct names {
    char *list[NUMBERS];
    size_t count;
};

static const char *name_at(void *ctx, size_t i) {
    const struct names *names = ctx;
    return i < names->count ? names->list[i] : NULL;
}

static const char *nearest(uint32_t arch, const char *name) {
    static _Thread_local char found[64];
    struct names names = {.count = 0};
    for (int i = 0; i < NUMBERS; i++) {
        names.list[names.count] = seccomp_syscall_resolve_num_arch(arch, i);
        names.count += names.list[names.count] != NULL;
    }
    const char *near = text_nearest(name, name_at, &names);
    snprintf(found, sizeof found, "%s", near ? near : "");
    for (size_t i = 0; i < names.count; i++)
        free(names.list[i]);
    return *found ? found : NULL;
}

/* Calls that an architecture lacks have negative numbers with libseccomp. */
int arch_syscall_number(const struct arch *arch, const char *name, const char **near) {
    uint32_t of = seccomp_arch(arch);
    int number = of ? seccomp_syscall_resolve_name_arch(of, name) : -1;
    *near = of && number < 0 ? nearest(of, name) : NULL;
    return number < 0 ? -1 : number;
}

void arch_syscall_name(const struct arch *arch, int number, char *out, size_t size) {
    char *name = seccomp_syscall_resolve_num_arch(seccomp_arch(arch), number);
    snprintf(out, size, "%s", name ? name : "");
    free(name);
}
