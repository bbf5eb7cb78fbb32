/* System calls, where the stub can catch them (QCatchSyscalls). It tells of each that is named
 * twice, at its entry and at its return; what no site is about goes on. */
#include "backend/gdb/gdb.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Also to be taken back by whoever comes after us: a target that nobody asks for would stop. */
static void ask_calls(struct backend *b) {
    b->note_stale = true;
    b->catches |= b->call_count != 0;
    buffer_printf(&b->text, "QCatchSyscalls:%d", b->call_count != 0);
    for (size_t i = 0; i < b->call_count; i++)
        buffer_printf(&b->text, ";%" PRIx64, b->calls[i].number);
    gdb_ask_text(b, NULL, NULL);
}

static void refuse(struct site *site, struct error *error) {
    site->armed = false;
    site->error = error;
}

void gdb_arm_syscalls(struct backend *b, struct site *site) {
    if (!gdb_has(&b->features, GDB_CATCH_SYSCALLS)) {
        refuse(site, error_new(ERROR_RECIPE,
                               "this stub catches no system calls (gdbserver on Linux does): probe "
                               "the C library's function instead"));
        return;
    }
    for (size_t i = 0; i < site->address_count; i++) {
        struct gdb_call *call = ARRAY_ADD(b->calls, b->call_count, b->call_cap);
        if (!call) {
            refuse(site, error_no_memory());
            gdb_disarm_syscalls(b, site);
            return;
        }
        *call = (struct gdb_call){.number = site->addresses[i], .site = site};
        arch_syscall_name(b->program.space.arch, (int)call->number, call->name, sizeof call->name);
    }
    ask_calls(b);
}

void gdb_disarm_syscalls(struct backend *b, struct site *site) {
    size_t kept = 0;
    for (size_t i = 0; i < b->call_count; i++)
        if (b->calls[i].site != site)
            b->calls[kept++] = b->calls[i];
    b->call_count = kept;
    if (gdb_has(&b->features, GDB_CATCH_SYSCALLS))
        ask_calls(b);
}

/* gdbserver (13) takes entries and returns by turns, and begins with the wrong one where the target
 * was started, or was in a call: every stop is told as the other one then. On x86-64 the kernel
 * shows -ENOSYS for the result until there is one. (It is gdbserver that has tracepoints.) */
static bool returns(const struct backend *b) {
    const struct arch *arch = b->program.space.arch;
    uint64_t result;
    if (arch->machine == EM_X86_64 && gdb_has(&b->features, GDB_TRACEPOINTS) &&
        registers_get(&b->view.registers, arch->results[0], &result))
        return (int64_t)result != -ENOSYS;
    return b->last.reason == REASON_SYSCALL_RETURN;
}

const struct gdb_call *gdb_call_of(const struct backend *b) {
    enum site_kind kind = returns(b) ? SITE_SYSCALL_RETURN : SITE_SYSCALL;
    for (size_t i = 0; i < b->call_count; i++)
        if (b->calls[i].number == b->last.address && b->calls[i].site->kind == kind)
            return &b->calls[i];
    return NULL;
}
