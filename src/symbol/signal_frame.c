#include "symbol/signal_frame.h"

#include "symbol/gosym.h"
#include <elf.h>
#include <string.h>

#define CONTEXT 40 /* bytes of a ucontext before its registers; Linux, asm/ucontext.h */

/* mov $__NR_rt_sigreturn,%rax; syscall. Nobody else has a reason to write it. */
static const uint8_t code[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
#define MOVE 7
#define TINY 64 /* bytes, with what aligns the next function */

/* The registers of a sigcontext, in their order, by their DWARF numbers; the last is the pc. */
static const uint8_t saved[] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16};
#define SAVED (sizeof saved / sizeof *saved)

/* To look at code, all code of its file is read: only for the tiny functions that it may be. */
static bool is_tiny_function(struct module *module, uint64_t address) {
    const struct elf_symbol *symbol = module_symbol_at(module, address);
    const struct gosym *table = symbol ? NULL : gosym_of(module->elf);
    size_t i = table ? gosym_at(table, address) : SIZE_MAX;
    const char *name;
    uint64_t low, high;
    if (symbol)
        return symbol->address == address && symbol->size <= TINY;
    return i != SIZE_MAX && gosym_function(table, i, &name, &low, &high) && low == address &&
           high - low <= TINY;
}

static bool has_code(const struct frame *frame, size_t at) {
    struct module *module = frame->loaded->module;
    uint64_t address = frame->pc - at - frame->loaded->bias;
    uint8_t bytes[sizeof code];
    return is_tiny_function(module, address) &&
           elf_read(module->elf, address, bytes, sizeof bytes) == sizeof bytes &&
           !memcmp(bytes, code, sizeof code);
}

bool is_signal_return(const struct frame *frame) {
    return frame->loaded && frame->registers.arch->machine == EM_X86_64 &&
           (has_code(frame, 0) || has_code(frame, MOVE));
}

static void forget_floats(struct registers *registers) {
    for (size_t i = 0; i < registers->arch->range_count; i++) {
        const struct arch_range *range = &registers->arch->ranges[i];
        for (unsigned k = 0; range->class != REGISTER_INT && k < range->count; k++)
            registers_forget(registers, range->slot + k);
    }
}

enum unwind_result signal_frame_unwind(const struct frame *frame, struct frame *caller,
                                       uint64_t *pc) {
    const struct arch *arch = frame->registers.arch;
    uint64_t sp, words[SAVED];
    struct arch_register one;
    if (!registers_get(&frame->registers, (unsigned)arch->sp, &sp))
        return UNWIND_FAILED;
    switch (memory_read(frame->memory, sp + CONTEXT, words, sizeof words)) {
    case MEMORY_AGAIN: return UNWIND_AGAIN;
    case MEMORY_FAULT: return UNWIND_FAILED;
    default: break;
    }
    forget_floats(&caller->registers);
    for (size_t i = 0; i < SAVED; i++)
        if (arch_register_of_dwarf(arch, saved[i], &one))
            registers_set(&caller->registers, one.slot, words[i]);
    *pc = words[SAVED - 1];
    return UNWIND_OK;
}
