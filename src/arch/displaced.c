#include "arch/displaced.h"

#include <Zydis/Zydis.h>
#include <string.h>

#define RAX 0
#define RCX 2
#define FLAGS 49

static bool decode(const uint8_t *code, size_t size, ZydisDecodedInstruction *instruction,
                   ZydisDecodedOperand *operands) {
    static ZydisDecoder decoder;
    static bool ready;
    if (!ready)
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ready = true;
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, size, instruction, operands));
}

/* Zydis numbers rax, rcx, rdx, rbx, rsp, ... as the processor does; our slots are DWARF's. */
static int8_t slot_of(ZydisRegister reg) {
    static const int8_t slots[] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};
    return reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15 ? slots[reg - ZYDIS_REGISTER_RAX]
                                                                  : -1;
}

static const struct {
    ZydisMnemonic mnemonic;
    uint8_t condition;
} branches[] = {{ZYDIS_MNEMONIC_JMP, CONDITION_ALWAYS},
                {ZYDIS_MNEMONIC_JO, 0},
                {ZYDIS_MNEMONIC_JNO, 1},
                {ZYDIS_MNEMONIC_JB, 2},
                {ZYDIS_MNEMONIC_JNB, 3},
                {ZYDIS_MNEMONIC_JZ, 4},
                {ZYDIS_MNEMONIC_JNZ, 5},
                {ZYDIS_MNEMONIC_JBE, 6},
                {ZYDIS_MNEMONIC_JNBE, 7},
                {ZYDIS_MNEMONIC_JS, 8},
                {ZYDIS_MNEMONIC_JNS, 9},
                {ZYDIS_MNEMONIC_JP, 10},
                {ZYDIS_MNEMONIC_JNP, 11},
                {ZYDIS_MNEMONIC_JL, 12},
                {ZYDIS_MNEMONIC_JNL, 13},
                {ZYDIS_MNEMONIC_JLE, 14},
                {ZYDIS_MNEMONIC_JNLE, 15},
                {ZYDIS_MNEMONIC_JRCXZ, CONDITION_RCXZ},
                {ZYDIS_MNEMONIC_JECXZ, CONDITION_ECXZ},
                {ZYDIS_MNEMONIC_LOOP, CONDITION_LOOP},
                {ZYDIS_MNEMONIC_LOOPE, CONDITION_LOOPE},
                {ZYDIS_MNEMONIC_LOOPNE, CONDITION_LOOPNE}};

static bool take_branch(const ZydisDecodedInstruction *instruction, struct displaced *out) {
    for (size_t i = 0; i < sizeof branches / sizeof *branches; i++) {
        if (branches[i].mnemonic != instruction->mnemonic)
            continue;
        out->kind = DISPLACED_BRANCH;
        out->condition = branches[i].condition;
        return true;
    }
    return false;
}

/* A call through a register or memory. Segments other than the flat ones are not computed here. */
static bool take_operand(const ZydisDecodedOperand *operand, struct displaced *out) {
    out->indirect = true;
    if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        out->base = slot_of(operand->reg.value);
        return out->base >= 0;
    }
    if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY || operand->size != 64 ||
        operand->mem.segment == ZYDIS_REGISTER_FS || operand->mem.segment == ZYDIS_REGISTER_GS)
        return false;
    out->memory = true;
    out->displacement = operand->mem.disp.value;
    out->scale = operand->mem.scale;
    out->index = slot_of(operand->mem.index);
    if (operand->mem.base == ZYDIS_REGISTER_RIP) {
        out->displacement += (int64_t)out->next;
        return true;
    }
    out->base = slot_of(operand->mem.base);
    return out->base >= 0 || operand->mem.base == ZYDIS_REGISTER_NONE;
}

static bool is_relative(const ZydisDecodedOperand *operand) {
    return operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand->imm.is_relative;
}

static bool take_copy(const ZydisDecodedInstruction *instruction, uint64_t address,
                      const ZydisDecodedOperand *operands, struct displaced *out) {
    ZyanU64 target;
    for (unsigned i = 0; i < instruction->operand_count; i++) {
        const ZydisDecodedOperand *operand = &operands[i];
        if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        if (operand->mem.base == ZYDIS_REGISTER_EIP)
            return false;
        if (operand->mem.base != ZYDIS_REGISTER_RIP)
            continue;
        if (!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, operand, address, &target)))
            return false;
        out->relative_at = (int8_t)instruction->raw.disp.offset;
        out->relative_to = target;
    }
    out->ends = instruction->meta.category == ZYDIS_CATEGORY_RET ||
                instruction->meta.category == ZYDIS_CATEGORY_UNCOND_BR;
    return true;
}

static bool is_special(const ZydisDecodedInstruction *instruction) {
    return instruction->mnemonic == ZYDIS_MNEMONIC_INT3 ||
           instruction->mnemonic == ZYDIS_MNEMONIC_XBEGIN ||
           instruction->mnemonic == ZYDIS_MNEMONIC_IRETQ;
}

bool displaced_decode(const uint8_t *code, size_t size, uint64_t address, struct displaced *out,
                      const char **why) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZyanU64 target = 0;
    *why = "no instruction stands there";
    if (!decode(code, size, &instruction, operands))
        return false;
    *out = (struct displaced){.length = instruction.length,
                              .next = address + instruction.length,
                              .relative_at = -1,
                              .base = -1,
                              .index = -1};
    memcpy(out->bytes, code, instruction.length);
    *why = "the instruction there cannot be executed anywhere else";
    if (is_special(&instruction))
        return false;
    bool relative = instruction.operand_count_visible && is_relative(&operands[0]);
    if (relative &&
        !ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&instruction, &operands[0], address, &target)))
        return false;
    out->target = target;
    if (instruction.meta.category == ZYDIS_CATEGORY_CALL) {
        out->kind = DISPLACED_CALL;
        return relative || take_operand(&operands[0], out);
    }
    if (relative)
        return take_branch(&instruction, out);
    return take_copy(&instruction, address, operands, out);
}

static bool fits(int64_t distance) {
    return distance == (int32_t)distance;
}

/* jmp *0(%rip), and the address behind it: it reaches everything and changes nothing. */
static size_t jump_back(uint64_t to, uint8_t *out) {
    static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0};
    memcpy(out, jump, sizeof jump);
    memcpy(out + sizeof jump, &to, sizeof to);
    return sizeof jump + sizeof to;
}

size_t displaced_write(const struct displaced *displaced, uint64_t slot,
                       uint8_t out[static DISPLACED_SLOT]) {
    memcpy(out, displaced->bytes, displaced->length);
    if (displaced->relative_at >= 0) {
        int64_t distance = (int64_t)(displaced->relative_to - slot - displaced->length);
        int32_t short_distance = (int32_t)distance;
        if (!fits(distance))
            return 0;
        memcpy(out + displaced->relative_at, &short_distance, sizeof short_distance);
    }
    size_t n = displaced->length;
    return displaced->ends ? n : n + jump_back(displaced->next, out + n);
}

/* Intel's manual, volume 1, appendix B: the low bit of a condition inverts it. */
static bool holds(unsigned condition, uint64_t flags) {
    bool carry = flags & 1, parity = flags >> 2 & 1, zero = flags >> 6 & 1, sign = flags >> 7 & 1,
         overflow = flags >> 11 & 1;
    const bool plain[] = {overflow,
                          carry,
                          zero,
                          carry || zero,
                          sign,
                          parity,
                          sign != overflow,
                          zero || sign != overflow};
    return plain[condition >> 1] != (condition & 1);
}

static bool branches_to(const struct displaced *displaced, const struct registers *registers,
                        bool *counts) {
    uint64_t flags = 0, rcx = 0;
    registers_get(registers, FLAGS, &flags);
    registers_get(registers, RCX, &rcx);
    bool zero = flags >> 6 & 1;
    *counts = displaced->condition >= CONDITION_LOOP;
    switch (displaced->condition) {
    case CONDITION_ALWAYS: return true;
    case CONDITION_RCXZ: return !rcx;
    case CONDITION_ECXZ: return !(uint32_t)rcx;
    case CONDITION_LOOP: return rcx != 1;
    case CONDITION_LOOPE: return rcx != 1 && zero;
    case CONDITION_LOOPNE: return rcx != 1 && !zero;
    default: return holds(displaced->condition, flags & UINT32_MAX);
    }
}

uint64_t displaced_leads_to(const struct displaced *displaced, const struct registers *registers,
                            uint64_t *pointer, bool *counts) {
    uint64_t base = 0, index = 0;
    *counts = false;
    if (displaced->kind == DISPLACED_BRANCH)
        return branches_to(displaced, registers, counts) ? displaced->target : displaced->next;
    if (!displaced->indirect)
        return displaced->target;
    if (displaced->base >= 0)
        registers_get(registers, (unsigned)displaced->base, &base);
    if (!displaced->memory)
        return base;
    if (displaced->index >= 0)
        registers_get(registers, (unsigned)displaced->index, &index);
    *pointer = base + index * displaced->scale + (uint64_t)displaced->displacement;
    return 0;
}

bool displaced_is_boundary(const uint8_t *code, size_t size, size_t offset) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    size_t at = 0;
    while (at < offset && at < size)
        at += decode(code + at, size - at, &instruction, operands) ? instruction.length : 1;
    return at == offset;
}
