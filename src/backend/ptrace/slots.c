/* Instructions executed away from their place. A thread that has hit a breakpoint goes on in a slot
 * that holds a copy of the instruction and a jump back: one stop a hit, and the breakpoint stays
 * where it is for all other threads. Branches and calls are not copied: their effect is set. */
#include "backend/ptrace/ptrace.h"

#include "arch/emulate.h"
#include "base/log.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define REWRITTEN_MAX 1000 /* slots that one place may use up, as its code changes */

static bool make_slot(struct task *task, struct point *point) {
    uint8_t bytes[DISPLACED_SLOT];
    struct backend *b = task->backend;
    uint64_t slot = native_take_room(task, point->address);
    size_t n = slot ? displaced_write(&point->displaced, slot, bytes) : 0;
    if (!n || !native_write_memory(b, slot, bytes, n) || !map_put(&b->slots, slot, point))
        return false;
    point->slot = slot;
    return true;
}

/* Its copy is not that of its instruction any more. A thread may still be in it: it stays. */
void native_drop_slot(struct backend *b, struct point *point) {
    if (point->slot)
        map_remove(&b->slots, point->slot);
    point->slot = 0;
}

bool native_has_slot(const struct backend *b, const struct point *point) {
    uint8_t wanted[DISPLACED_SLOT], there[DISPLACED_SLOT];
    size_t n = displaced_write(&point->displaced, point->slot, wanted);
    return point->slot && n && native_read_memory(b, point->slot, there, n) == n &&
           !memcmp(wanted, there, n);
}

static const struct point *point_with_slot(const struct backend *b, uint64_t pc) {
    return map_get(&b->slots, pc & ~(uint64_t)(DISPLACED_SLOT - 1));
}

static bool is_behind(const struct point *point, uint64_t pc) {
    return pc % DISPLACED_SLOT >= point->displaced.length;
}

uint64_t native_unslot(const struct backend *b, uint64_t pc) {
    const struct point *point = point_with_slot(b, pc);
    if (!point)
        return pc;
    return is_behind(point, pc) ? point->displaced.next : point->address;
}

static void move_pc(struct task *task, uint64_t pc) {
    ptrace(PTRACE_POKEUSER, task->tid, offsetof(struct user_regs_struct, rip), pc);
}

/* ---- signals in between ---- */

#define RED_ZONE 128 /* bytes below the stack pointer that are a function's own */
#define FRAME 4096
#define RESUME_FLAG (UINT64_C(1) << 16) /* of eflags: set by the kernel as it likes */
#define RESTARTS(rax) ((int64_t)(rax) <= -512 && (int64_t)(rax) >= -516) /* ERESTART... */

static bool is_fault(int signal) {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
           signal == SIGTRAP || signal == SIGSYS;
}

/* Unlike /proc/PID/mem, with the rights of the target: what would fault does not succeed. */
static bool transfer(const struct task *task, const struct emulated_access *access, uint8_t *bytes,
                     bool write) {
    struct iovec here = {bytes, access->size}, there = {(void *)access->address, access->size};
    ssize_t n = !access->size ? 0
                : write       ? process_vm_writev(task->tid, &here, 1, &there, 1, 0)
                              : process_vm_readv(task->tid, &here, 1, &there, 1, 0);
    return n == access->size;
}

/* Others may look at what is stored elsewhere, and the processor alone stores it in one piece. */
static bool is_own_stack(const struct task *task, const struct emulated_access *access) {
    return access->address + RED_ZONE - task->registers.rsp < RED_ZONE + FRAME;
}

static bool watches_memory(const struct backend *b) {
    for (unsigned i = 0; i < WATCHES; i++)
        if (b->watches[i].site && !b->watches[i].executes)
            return true;
    return false;
}

/* An instruction that is still to be executed when a signal comes, as the processor would: what the
 * handler does (Go's leaves, for another thread to go on here) is no hit, then. The signal is
 * delivered at this very stop. False: it is no simple one, or would fault. */
static bool carry_out(struct task *task, const struct point *point) {
    struct emulation emulation;
    struct emulated_access reads, writes;
    struct registers registers = {.arch = task->backend->program.space.arch};
    struct user_regs_struct after = task->registers;
    uint8_t in[8] = {0}, out[8] = {0};
    native_general_from(&registers, &task->registers);
    if (!emulate_decode(point->displaced.bytes, point->displaced.length, point->address,
                        &emulation) ||
        !emulate_accesses(&emulation, &registers, &reads, &writes) ||
        ((reads.size || writes.size) && watches_memory(task->backend)) ||
        (writes.size && !is_own_stack(task, &writes)) || !transfer(task, &reads, in, false) ||
        !emulate_run(&emulation, &registers, in, out) || !transfer(task, &writes, out, true))
        return false;
    native_general_to(&registers, &after);
    after.eflags &= ~RESUME_FLAG;
    return !ptrace(PTRACE_SETREGS, task->tid, NULL, &after);
}

/* An instruction that is still to be executed (or that has faulted) is executed at its own place,
 * when the handler has returned: it meets our breakpoint once more, with the same registers. */
static void put_back(struct task *task, uint64_t address) {
    struct backend *b = task->backend;
    struct back *back = &b->backs[b->back_count++ % BACKS];
    struct user_regs_struct *registers = &back->registers;
    *back = (struct back){task->tid, task->registers};
    registers->rip = address;
    if ((int64_t)registers->orig_rax >= 0 && RESTARTS(registers->rax))
        registers->rax = registers->orig_rax;
}

void native_leave_slot(struct task *task) {
    struct backend *b = task->backend;
    task->has_registers = false; /* they were told as if it stood at its breakpoint */
    if (!b->slots.count || !native_registers(task))
        return;
    const struct user_regs_struct *registers = &task->registers;
    const struct point *point = point_with_slot(b, registers->rip);
    if (!point)
        return;
    if (!is_behind(point, registers->rip)) {
        if (point->inserted && task->signal && !is_fault(task->signal) && carry_out(task, point))
            return;
        put_back(task, point->address);
        move_pc(task, point->address);
        return;
    }
    if ((int64_t)registers->orig_rax >= 0 && RESTARTS(registers->rax))
        put_back(task, point->address); /* a system call: the kernel goes back to it by itself */
    move_pc(task, point->displaced.next);
}

static bool is_same(const struct user_regs_struct *a, const struct user_regs_struct *b) {
    return a->rsp == b->rsp && (a->eflags & ~RESUME_FLAG) == (b->eflags & ~RESUME_FLAG) &&
           !memcmp(a, b, offsetof(struct user_regs_struct, orig_rax));
}

/* One whose handler has jumped away instead never comes back: it is forgotten for newer ones. */
bool native_is_back(struct task *task, const struct point *point) {
    struct backend *b = task->backend;
    for (unsigned i = 0; i < BACKS && i < b->back_count; i++) {
        struct user_regs_struct *back = &b->backs[i].registers;
        if (back->rip != point->address || !is_same(back, &task->registers))
            continue;
        back->rip = 0;
        return true;
    }
    return false;
}

/* Another one may get its stack. */
void native_forget_backs(struct backend *b, pid_t tid) {
    for (unsigned i = 0; i < BACKS && i < b->back_count; i++)
        if (b->backs[i].tid == tid)
            b->backs[i].registers.rip = 0;
}

/* ---- stepping aside ---- */

static void follow_branch(struct task *task, const struct displaced *displaced) {
    struct user_regs_struct registers = task->registers;
    uint64_t pointer = 0;
    bool counts;
    registers.rip = displaced_leads_to(displaced, &task->view->registers, &pointer, &counts);
    registers.rcx -= counts;
    if (counts)
        ptrace(PTRACE_SETREGS, task->tid, NULL, &registers);
    else
        move_pc(task, registers.rip);
}

static void follow_call(struct task *task, const struct displaced *displaced) {
    struct user_regs_struct registers = task->registers;
    uint64_t pointer = 0, target;
    bool counts;
    target = displaced_leads_to(displaced, &task->view->registers, &pointer, &counts);
    if (displaced->memory)
        native_read_memory(task->backend, pointer, &target, sizeof target);
    registers.rsp -= sizeof displaced->next;
    registers.rip = target;
    native_write_memory(task->backend, registers.rsp, &displaced->next, sizeof displaced->next);
    ptrace(PTRACE_SETREGS, task->tid, NULL, &registers);
}

/* No memory for a slot, in a program that a filter keeps from mapping any; or code that changes all
 * the time. Another thread may run past the place meanwhile: that is told. */
static void step_in_place(struct task *task, struct point *point) {
    static const uint8_t trap = 0xcc;
    struct backend *b = task->backend;
    if (!b->told_step)
        b->events->notice(b->owner, "there is no room for copied instructions near a place of the "
                                    "target: its breakpoint is lifted for a moment at each hit, "
                                    "and another thread may pass it uncounted");
    b->told_step = true;
    native_write_memory(b, point->address, &point->original, 1);
    move_pc(task, point->address);
    native_one_step(task);
    if (point->inserted)
        native_write_memory(b, point->address, &trap, 1);
}

/* Programs patch their own code: what stands behind our int3 may be another instruction by now. */
static void keep_up(struct task *task, struct point *point) {
    struct backend *b = task->backend;
    struct displaced fresh;
    uint8_t code[sizeof point->displaced.bytes];
    size_t size = point->displaced.length;
    const char *why;
    if (native_read_ahead(task, point, code + 1, size - 1) != size - 1 ||
        !memcmp(code + 1, point->displaced.bytes + 1, size - 1))
        return;
    size = native_read_memory(b, point->address, code, sizeof code);
    if (!displaced_decode(code, size, point->address, &fresh, &why))
        return;
    point->displaced = fresh;
    point->rewritten++;
    native_drop_slot(b, point);
}

static void step_aside(struct task *task, struct point *point) {
    native_view(task);
    if (!task->view)
        move_pc(task, point->address); /* no memory of ours: it hits again, and is not lost */
    else if (point->displaced.kind == DISPLACED_BRANCH)
        follow_branch(task, &point->displaced);
    else if (point->displaced.kind == DISPLACED_CALL)
        follow_call(task, &point->displaced);
    else if (point->rewritten < REWRITTEN_MAX && make_slot(task, point))
        move_pc(task, point->slot);
    else
        step_in_place(task, point);
}

/* Most go on in their slot, and that comes before anything else is done. */
void native_step_aside(struct task *task, struct point *point) {
    task->registers.rip = point->address;
    if (point->slot)
        move_pc(task, point->slot);
    keep_up(task, point);
    if (!point->slot)
        step_aside(task, point);
}
