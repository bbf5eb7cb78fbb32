#include "arch/arch.h"

#include <Zydis/Zydis.h>
#include <elf.h>
#include <string.h>

/* System V psABI for AMD64, figure 3.36. */
static const struct arch_range ranges[] = {
    {"rax", 0, 0, 1, 8, REGISTER_INT},       {"rdx", 1, 1, 1, 8, REGISTER_INT},
    {"rcx", 2, 2, 1, 8, REGISTER_INT},       {"rbx", 3, 3, 1, 8, REGISTER_INT},
    {"rsi", 4, 4, 1, 8, REGISTER_INT},       {"rdi", 5, 5, 1, 8, REGISTER_INT},
    {"rbp", 6, 6, 1, 8, REGISTER_INT},       {"rsp", 7, 7, 1, 8, REGISTER_INT},
    {"r8", 8, 8, 1, 8, REGISTER_INT},        {"r9", 9, 9, 1, 8, REGISTER_INT},
    {"r10", 10, 10, 1, 8, REGISTER_INT},     {"r11", 11, 11, 1, 8, REGISTER_INT},
    {"r12", 12, 12, 1, 8, REGISTER_INT},     {"r13", 13, 13, 1, 8, REGISTER_INT},
    {"r14", 14, 14, 1, 8, REGISTER_INT},     {"r15", 15, 15, 1, 8, REGISTER_INT},
    {"rip", 16, 16, 1, 8, REGISTER_INT},     {"xmm", 17, 17, 16, 16, REGISTER_FLOAT},
    {"st", 33, 33, 8, 10, REGISTER_FLOAT},   {"eflags", 49, 49, 1, 4, REGISTER_FLAGS},
    {"fs_base", 58, 58, 1, 8, REGISTER_INT}, {"gs_base", 59, 59, 1, 8, REGISTER_INT},
};

#define PART(name, n, bytes)                                                                       \
    { name, n, n, bytes, REGISTER_INT }
#define NEW(name, n) PART(name "d", n, 4), PART(name "w", n, 2), PART(name "l", n, 1)
static const struct arch_register aliases[] = {
    PART("pc", 16, 8), PART("sp", 7, 8),  PART("fp", 6, 8),  PART("eax", 0, 4), PART("edx", 1, 4),
    PART("ecx", 2, 4), PART("ebx", 3, 4), PART("esi", 4, 4), PART("edi", 5, 4), PART("ebp", 6, 4),
    PART("esp", 7, 4), PART("ax", 0, 2),  PART("dx", 1, 2),  PART("cx", 2, 2),  PART("bx", 3, 2),
    PART("si", 4, 2),  PART("di", 5, 2),  PART("bp", 6, 2),  PART("al", 0, 1),  PART("dl", 1, 1),
    PART("cl", 2, 1),  PART("bl", 3, 1),  PART("sil", 4, 1), PART("dil", 5, 1), PART("bpl", 6, 1),
    NEW("r8", 8),      NEW("r9", 9),      NEW("r10", 10),    NEW("r11", 11),    NEW("r12", 12),
    NEW("r13", 13),    NEW("r14", 14),    NEW("r15", 15),
};

static bool leaves(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                   uint64_t pc, uint64_t from, uint64_t to) {
    ZyanU64 target;
    if (instruction->mnemonic != ZYDIS_MNEMONIC_JMP || !instruction->operand_count_visible ||
        operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return false;
    return ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, &operands[0], pc, &target)) &&
           (target < from || target >= to);
}

/* Linear: compilers keep data out of x86-64 text, and a byte that does not decode is skipped. */
static size_t returns(const uint8_t *code, size_t size, uint64_t address, bool thumb,
                      size_t *offsets, size_t max, size_t *tail_calls) {
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    size_t count = 0;
    (void)thumb;
    *tail_calls = 0;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (size_t at = 0; at < size; at += instruction.length) {
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeFull(&decoder, code + at, size - at, &instruction, operands))) {
            instruction.length = 1;
            continue;
        }
        if (instruction.mnemonic == ZYDIS_MNEMONIC_RET) {
            if (count < max)
                offsets[count] = at;
            count++;
        } else if (leaves(&instruction, operands, address + at, address, address + size)) {
            ++*tail_calls;
        }
    }
    return count;
}

static bool begins(const uint8_t *code, size_t size, size_t at, const char *bytes, size_t n) {
    return at + n <= size && !memcmp(code + at, bytes, n);
}

/* endbr64; lea 0x8(%rsp),%r10, and $-16,%rsp, push -0x8(%r10); push %rbp; mov %rsp,%rbp */
static size_t frame_setup(const uint8_t *code, size_t size) {
    size_t at = begins(code, size, 0, "\xf3\x0f\x1e\xfa", 4) ? 4 : 0;
    if (begins(code, size, at, "\x4c\x8d\x54\x24\x08\x48\x83\xe4", 8) &&
        begins(code, size, at + 9, "\x41\xff\x72\xf8", 4))
        at += 13;
    if (!begins(code, size, at, "\x55", 1))
        return 0;
    bool moved = begins(code, size, at + 1, "\x48\x89\xe5", 3) ||
                 begins(code, size, at + 1, "\x48\x8b\xec", 3);
    return at + (moved ? 4 : 1);
}

const struct arch arch_x86_64 = {
    .name = "x86_64",
    .bfd = "i386:x86-64",
    .machine = EM_X86_64,
    .word = 8,
    .pc = 16,
    .sp = 7,
    .fp = 6,
    .link = -1,
    .return_column = 16,
    .breakpoint = {0xcc},
    .breakpoint_len = 1,
    .trap_advance = 1,
    .tls_variant = 2,
    .tls = 58,
    .go_g = 14,
    .ranges = ranges,
    .range_count = sizeof ranges / sizeof *ranges,
    .aliases = aliases,
    .alias_count = sizeof aliases / sizeof *aliases,
    .arguments = {5, 4, 1, 2, 8, 9},
    .argument_count = 6,
    .syscall_arguments = {5, 4, 1, 10, 8, 9},
    .results = {0, 1},
    .float_result = 17,
    .returns = returns,
    .frame_setup = frame_setup,
};
