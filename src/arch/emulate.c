#include "arch/emulate.h"

#include <Zydis/Zydis.h>
#include <string.h>

#define RBP 6
#define RSP 7
#define RIP 16
#define FLAGS 49
#define ALWAYS 16

enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048 };

static const struct {
    ZydisMnemonic mnemonic;
    enum emulated_op op;
} ops[] = {
    {ZYDIS_MNEMONIC_NOP, EMULATE_NOTHING},  {ZYDIS_MNEMONIC_ENDBR64, EMULATE_NOTHING},
    {ZYDIS_MNEMONIC_MOV, EMULATE_MOVE},     {ZYDIS_MNEMONIC_MOVZX, EMULATE_MOVE},
    {ZYDIS_MNEMONIC_MOVSX, EMULATE_EXTEND}, {ZYDIS_MNEMONIC_MOVSXD, EMULATE_EXTEND},
    {ZYDIS_MNEMONIC_LEA, EMULATE_ADDRESS},  {ZYDIS_MNEMONIC_PUSH, EMULATE_PUSH},
    {ZYDIS_MNEMONIC_POP, EMULATE_POP},      {ZYDIS_MNEMONIC_LEAVE, EMULATE_LEAVE},
    {ZYDIS_MNEMONIC_RET, EMULATE_RETURN},   {ZYDIS_MNEMONIC_CALL, EMULATE_CALL},
    {ZYDIS_MNEMONIC_ADD, EMULATE_ADD},      {ZYDIS_MNEMONIC_SUB, EMULATE_SUB},
    {ZYDIS_MNEMONIC_CMP, EMULATE_COMPARE},  {ZYDIS_MNEMONIC_AND, EMULATE_AND},
    {ZYDIS_MNEMONIC_OR, EMULATE_OR},        {ZYDIS_MNEMONIC_XOR, EMULATE_XOR},
    {ZYDIS_MNEMONIC_TEST, EMULATE_TEST},    {ZYDIS_MNEMONIC_JMP, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JO, EMULATE_BRANCH},    {ZYDIS_MNEMONIC_JNO, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JB, EMULATE_BRANCH},    {ZYDIS_MNEMONIC_JNB, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JZ, EMULATE_BRANCH},    {ZYDIS_MNEMONIC_JNZ, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JBE, EMULATE_BRANCH},   {ZYDIS_MNEMONIC_JNBE, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JS, EMULATE_BRANCH},    {ZYDIS_MNEMONIC_JNS, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JP, EMULATE_BRANCH},    {ZYDIS_MNEMONIC_JNP, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JL, EMULATE_BRANCH},    {ZYDIS_MNEMONIC_JNL, EMULATE_BRANCH},
    {ZYDIS_MNEMONIC_JLE, EMULATE_BRANCH},   {ZYDIS_MNEMONIC_JNLE, EMULATE_BRANCH},
};

/* Zydis numbers rax, rcx, rdx, rbx, rsp, ... as the processor does; our slots are DWARF's. */
static int8_t slot_of(ZydisRegister reg) {
    static const int8_t slots[] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};
    if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
        return -1;
    reg = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    return reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15 ? slots[reg - ZYDIS_REGISTER_RAX]
                                                                  : -1;
}

static bool is_plain_address(const ZydisDecodedOperandMem *mem) {
    bool flat = mem->segment != ZYDIS_REGISTER_FS && mem->segment != ZYDIS_REGISTER_GS;
    ZydisRegisterClass class = ZydisRegisterGetClass(mem->base);
    return flat && (mem->base == ZYDIS_REGISTER_NONE || mem->base == ZYDIS_REGISTER_RIP ||
                    class == ZYDIS_REGCLASS_GPR64);
}

static bool take_memory(const ZydisDecodedOperandMem *mem, uint64_t next,
                        struct emulated_operand *out) {
    if (!is_plain_address(mem))
        return false;
    out->place = PLACE_MEMORY;
    out->fixed = mem->base == ZYDIS_REGISTER_RIP;
    out->value = mem->disp.value + (out->fixed ? (int64_t)next : 0);
    out->base = out->fixed ? -1 : slot_of(mem->base);
    out->index = slot_of(mem->index);
    out->scale = mem->scale;
    return true;
}

static bool take_operand(const ZydisDecodedOperand *operand, uint64_t next,
                         struct emulated_operand *out) {
    *out = (struct emulated_operand){.size = (uint8_t)(operand->size / 8), .base = -1, .index = -1};
    switch (operand->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        out->place = PLACE_REGISTER;
        out->slot = slot_of(operand->reg.value);
        return out->slot >= 0;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        out->place = PLACE_CONSTANT;
        out->value = (int64_t)operand->imm.value.u;
        return true;
    case ZYDIS_OPERAND_TYPE_MEMORY: return take_memory(&operand->mem, next, out);
    default: return false;
    }
}

/* The operands that an instruction has beside the stack and the flags. */
static bool take_operands(const ZydisDecodedInstruction *instruction,
                          const ZydisDecodedOperand *operands, struct emulation *out) {
    unsigned count = instruction->operand_count_visible;
    switch (out->op) {
    case EMULATE_NOTHING:
    case EMULATE_LEAVE: return true;
    case EMULATE_RETURN: return count == 0;
    case EMULATE_PUSH:
        return take_operand(&operands[0], out->next, &out->from) &&
               out->from.place != PLACE_MEMORY && instruction->operand_width == 64;
    case EMULATE_POP:
        return take_operand(&operands[0], out->next, &out->to) && out->to.place == PLACE_REGISTER &&
               instruction->operand_width == 64;
    case EMULATE_CALL:
    case EMULATE_BRANCH:
        return count == 1 && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
               operands[0].imm.is_relative;
    default: break;
    }
    if (count != 2 || !take_operand(&operands[0], out->next, &out->to) ||
        !take_operand(&operands[1], out->next, &out->from))
        return false;
    /* What is read, changed and written back must not be done twice if a write is refused. */
    return out->op == EMULATE_MOVE || out->op == EMULATE_COMPARE || out->op == EMULATE_TEST ||
           out->to.place == PLACE_REGISTER;
}

static bool has_prefix(const ZydisDecodedInstruction *instruction) {
    return (instruction->attributes & (ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_ADDRESSSIZE)) != 0;
}

bool emulate_repeats(const uint8_t *code, size_t size) {
    static const ZydisInstructionAttributes repeats =
        ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZyanU64 target = 0;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, size, &instruction, operands)))
        return true;
    bool branches = instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
                    ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&instruction, &operands[0], 0, &target));
    return (instruction.attributes & repeats) || (branches && target == 0);
}

bool emulate_decode(const uint8_t *code, size_t size, uint64_t address, struct emulation *out) {
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZyanU64 target = 0;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, size, &instruction, operands)) ||
        has_prefix(&instruction))
        return false;
    *out = (struct emulation){.next = address + instruction.length};
    size_t i = 0;
    while (i < sizeof ops / sizeof *ops && ops[i].mnemonic != instruction.mnemonic)
        i++;
    if (i == sizeof ops / sizeof *ops)
        return false;
    out->op = ops[i].op;
    bool near = instruction.opcode < 0x80 || instruction.opcode_map == ZYDIS_OPCODE_MAP_0F;
    out->condition = instruction.mnemonic == ZYDIS_MNEMONIC_JMP ? ALWAYS : instruction.opcode & 15;
    if (!take_operands(&instruction, operands, out) ||
        (out->op == EMULATE_BRANCH && out->condition != ALWAYS && !near))
        return false;
    if (out->op == EMULATE_CALL || out->op == EMULATE_BRANCH)
        if (!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&instruction, &operands[0], address, &target)))
            return false;
    out->target = target;
    return true;
}

/* ---- operands ---- */

static bool address_of(const struct emulated_operand *operand, const struct registers *registers,
                       uint64_t *out) {
    uint64_t base = 0, index = 0;
    if ((operand->base >= 0 && !registers_get(registers, (unsigned)operand->base, &base)) ||
        (operand->index >= 0 && !registers_get(registers, (unsigned)operand->index, &index)))
        return false;
    *out = base + index * operand->scale + (uint64_t)operand->value;
    return true;
}

static bool reads_its_goal(const struct emulation *e) {
    return e->op >= EMULATE_ADD;
}

static bool access_of(const struct emulated_operand *operand, const struct registers *registers,
                      struct emulated_access *out) {
    if (operand->place != PLACE_MEMORY)
        return true;
    out->size = operand->size;
    out->fixed = operand->fixed;
    return address_of(operand, registers, &out->address);
}

bool emulate_accesses(const struct emulation *e, const struct registers *registers,
                      struct emulated_access *reads, struct emulated_access *writes) {
    uint64_t sp, bp;
    *reads = *writes = (struct emulated_access){0};
    if (!registers_get(registers, RSP, &sp) || !registers_get(registers, RBP, &bp))
        return false;
    switch (e->op) {
    case EMULATE_ADDRESS: return true;
    case EMULATE_POP:
    case EMULATE_RETURN: *reads = (struct emulated_access){sp, 8, false}; return true;
    case EMULATE_LEAVE: *reads = (struct emulated_access){bp, 8, false}; return true;
    case EMULATE_PUSH:
    case EMULATE_CALL: *writes = (struct emulated_access){sp - 8, 8, false}; return true;
    default: break;
    }
    return access_of(&e->from, registers, reads) &&
           access_of(&e->to, registers, reads_its_goal(e) ? reads : writes);
}

static uint64_t mask_of(unsigned size) {
    return size < 8 ? (UINT64_C(1) << 8 * size) - 1 : UINT64_MAX;
}

static bool load(const struct emulated_operand *operand, const struct registers *registers,
                 const uint8_t in[8], uint64_t *out) {
    *out = (uint64_t)operand->value;
    if (operand->place == PLACE_REGISTER && !registers_get(registers, (unsigned)operand->slot, out))
        return false;
    if (operand->place == PLACE_MEMORY)
        memcpy(out, in, 8);
    *out &= mask_of(operand->size);
    return true;
}

/* 32 bits clear the upper half of their register; fewer leave the rest of it alone. */
static bool store(const struct emulated_operand *operand, struct registers *registers,
                  uint64_t value, uint8_t out[8]) {
    uint64_t mask = mask_of(operand->size), old = 0;
    if (operand->place == PLACE_MEMORY) {
        memcpy(out, &value, 8);
        return true;
    }
    if (operand->size < 4 && !registers_get(registers, (unsigned)operand->slot, &old))
        return false;
    registers_set(registers, (unsigned)operand->slot, (old & ~mask) | (value & mask));
    return true;
}

/* ---- arithmetic ---- */

static uint64_t sign_extended(uint64_t value, unsigned size) {
    unsigned shift = 64 - 8 * size;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

static uint64_t combine(enum emulated_op op, uint64_t a, uint64_t b) {
    switch (op) {
    case EMULATE_ADD: return a + b;
    case EMULATE_SUB:
    case EMULATE_COMPARE: return a - b;
    case EMULATE_OR: return a | b;
    case EMULATE_XOR: return a ^ b;
    default: return a & b;
    }
}

/* Intel's manual, volume 1, 3.4.3.1. Logic clears the carry and the overflow, and processors the
 * auxiliary carry, too. */
static uint64_t flags_of(enum emulated_op op, uint64_t a, uint64_t b, uint64_t r, unsigned size) {
    uint64_t mask = mask_of(size), top = mask ^ mask >> 1;
    bool adds = op == EMULATE_ADD, subtracts = op == EMULATE_SUB || op == EMULATE_COMPARE;
    r &= mask;
    uint64_t flags = r ? 0 : ZF;
    flags |= r & top ? SF : 0;
    flags |= __builtin_parity((unsigned)r & 0xff) ? 0 : PF;
    if (!adds && !subtracts)
        return flags;
    flags |= (adds ? r < a : a < b) ? CF : 0;
    flags |= (a ^ b ^ r) & 16 ? AF : 0;
    uint64_t overflow = adds ? (a ^ r) & (b ^ r) : (a ^ b) & (a ^ r);
    return flags | (overflow & top ? OF : 0);
}

static bool run_arithmetic(const struct emulation *e, struct registers *registers,
                           const uint8_t in[8], uint8_t out[8]) {
    uint64_t a, b, flags;
    unsigned size = e->to.size;
    if (!load(&e->to, registers, in, &a) || !load(&e->from, registers, in, &b) ||
        !registers_get(registers, FLAGS, &flags))
        return false;
    b = e->from.place == PLACE_CONSTANT ? (uint64_t)e->from.value & mask_of(size) : b;
    uint64_t result = combine(e->op, a, b) & mask_of(size);
    flags &= ~(uint64_t)(CF | PF | AF | ZF | SF | OF);
    flags |= flags_of(e->op, a, b, result, size);
    uint32_t short_flags = (uint32_t)flags;
    registers_set_bytes(registers, FLAGS, &short_flags, sizeof short_flags);
    bool keeps = e->op == EMULATE_COMPARE || e->op == EMULATE_TEST;
    return keeps || store(&e->to, registers, result, out);
}

/* ---- flow ---- */

/* Intel's manual, volume 1, appendix B: the low bit of a condition inverts it. */
static bool holds(unsigned condition, uint64_t flags) {
    bool sign = flags & SF, overflow = flags & OF, zero = flags & ZF, carry = flags & CF;
    const bool plain[] = {overflow,
                          carry,
                          zero,
                          carry || zero,
                          sign,
                          (flags & PF) != 0,
                          sign != overflow,
                          zero || sign != overflow};
    return plain[condition >> 1] != (condition & 1);
}

static bool run_stack(const struct emulation *e, struct registers *registers, const uint8_t in[8],
                      uint8_t out[8]) {
    uint64_t sp, bp, value;
    memcpy(&value, in, sizeof value);
    if (!registers_get(registers, RSP, &sp) || !registers_get(registers, RBP, &bp))
        return false;
    if (e->op == EMULATE_PUSH) {
        if (!load(&e->from, registers, in, &value))
            return false;
        value = e->from.place == PLACE_CONSTANT ? (uint64_t)e->from.value : value;
    }
    value = e->op == EMULATE_CALL ? e->next : value;
    bool pushes = e->op == EMULATE_PUSH || e->op == EMULATE_CALL;
    memcpy(out, &value, sizeof value);
    sp = pushes ? sp - 8 : e->op == EMULATE_LEAVE ? bp + 8 : sp + 8;
    registers_set(registers, RSP, sp);
    if (e->op == EMULATE_LEAVE)
        registers_set(registers, RBP, value);
    if (e->op == EMULATE_POP)
        registers_set(registers, (unsigned)e->to.slot, value);
    if (e->op == EMULATE_RETURN || e->op == EMULATE_CALL)
        registers_set(registers, RIP, e->op == EMULATE_CALL ? e->target : value);
    return true;
}

bool emulate_run(const struct emulation *e, struct registers *registers, const uint8_t in[8],
                 uint8_t out[8]) {
    uint64_t value = 0, flags;
    registers_set(registers, RIP, e->next);
    switch (e->op) {
    case EMULATE_NOTHING: return true;
    case EMULATE_MOVE:
    case EMULATE_EXTEND:
        if (!load(&e->from, registers, in, &value))
            return false;
        if (e->op == EMULATE_EXTEND)
            value = sign_extended(value, e->from.size);
        if (e->from.place == PLACE_CONSTANT)
            value = (uint64_t)e->from.value;
        return store(&e->to, registers, value, out);
    case EMULATE_ADDRESS:
        return address_of(&e->from, registers, &value) && store(&e->to, registers, value, out);
    case EMULATE_BRANCH:
        if (!registers_get(registers, FLAGS, &flags))
            return false;
        if (e->condition == ALWAYS || holds(e->condition, flags))
            registers_set(registers, RIP, e->target);
        return true;
    case EMULATE_PUSH:
    case EMULATE_POP:
    case EMULATE_LEAVE:
    case EMULATE_RETURN:
    case EMULATE_CALL: return run_stack(e, registers, in, out);
    default: return run_arithmetic(e, registers, in, out);
    }
}
