/* What real programs consist of: each form of instruction in libc and gdb is executed where it
 * stands and away from there, from the same random states, faults included; and no function's begin
 * is refused. */
#include "displaced_child.h"

#include <Zydis/Zydis.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FORMS_MAX 65536 /* a power of two */
#define STEPS_MAX 64    /* of a repeated instruction */
#define TARGET_MAX 256  /* bytes of a function that are looked at in the short form: its begin */

struct image {
    const uint8_t *bytes;
    size_t size;
};

static struct image image_open(const char *path) {
    struct image image = {0};
    struct stat info;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return image;
    if (!fstat(file, &info)) {
        void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes != MAP_FAILED)
            image = (struct image){bytes, (size_t)info.st_size};
    }
    close(file);
    return image;
}

static const char *const libc_paths[] = {"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
                                         "/usr/lib/libc.so.6"};

static struct image libc_image(void) {
    struct image image = {0};
    for (size_t i = 0; i < COUNT(libc_paths) && !image.bytes; i++)
        image = image_open(libc_paths[i]);
    return image;
}

typedef void visit_fn(const uint8_t *code, size_t size, uint64_t address);

static void each_code_section(struct image image, visit_fn *visit) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image.bytes;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(image.bytes + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_flags & SHF_EXECINSTR && sections[i].sh_type == SHT_PROGBITS)
            visit(image.bytes + sections[i].sh_offset, sections[i].sh_size, sections[i].sh_addr);
}

/* Functions of the dynamic symbol table; addresses are offsets for the objects that are read here.
 */
static void each_function(struct image image, visit_fn *visit) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image.bytes;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(image.bytes + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const Elf64_Sym *symbols = (const Elf64_Sym *)(image.bytes + sections[i].sh_offset);
        size_t count = sections[i].sh_type == SHT_DYNSYM || sections[i].sh_type == SHT_SYMTAB
                           ? sections[i].sh_size / sizeof *symbols
                           : 0;
        for (size_t k = 0; k < count; k++) {
            if (ELF64_ST_TYPE(symbols[k].st_info) != STT_FUNC || !symbols[k].st_value ||
                symbols[k].st_shndx >= header->e_shnum)
                continue;
            const Elf64_Shdr *in = &sections[symbols[k].st_shndx];
            uint64_t offset = symbols[k].st_value - in->sh_addr;
            if (offset < in->sh_size)
                visit(image.bytes + in->sh_offset + offset, in->sh_size - offset,
                      symbols[k].st_value);
        }
    }
}

static bool decode(const uint8_t *code, size_t size, ZydisDecodedInstruction *instruction,
                   ZydisDecodedOperand *operands) {
    static ZydisDecoder decoder;
    static bool ready;
    if (!ready)
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ready = true;
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, size, instruction, operands));
}

/* ---- counting ---- */

static size_t functions, instructions, refused[ZYDIS_MNEMONIC_MAX_VALUE + 1];

static void count_refusal(const uint8_t *code, size_t size, uint64_t address) {
    struct displaced displaced;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const char *why;
    if (!displaced_decode(code, size, address, &displaced, &why))
        refused[decode(code, size, &instruction, operands) ? instruction.mnemonic
                                                           : ZYDIS_MNEMONIC_INVALID]++;
}

static void count_function(const uint8_t *code, size_t size, uint64_t address) {
    functions++;
    count_refusal(code, size, address);
}

static void count_section(const uint8_t *code, size_t size, uint64_t address) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    for (size_t at = 0; at < size; instructions++) {
        bool known = decode(code + at, size - at, &instruction, operands);
        count_refusal(code + at, size - at, address + at);
        at += known ? instruction.length : 1;
    }
}

static size_t tell_refused(const char *what) {
    size_t total = 0;
    for (size_t i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
        if (refused[i])
            printf("%s: refused: %s %zu\n", what,
                   i ? ZydisMnemonicGetString((ZydisMnemonic)i) : "(no instruction)", refused[i]);
        total += refused[i];
    }
    memset(refused, 0, sizeof refused);
    return total;
}

Test(displaced_walk, no_function_of_libc_is_refused) {
    struct image image = libc_image();
    if (!image.bytes)
        cr_skip_test("no libc.so.6 where it is looked for");
    each_function(image, count_function);
    cr_expect(functions > 1000, "%zu functions", functions);
    cr_expect_eq(tell_refused("begins of functions"), 0);
    printf("%zu functions\n", functions);
}

/* int3 as padding, transactions (lock elision), and what stands between functions. */
Test(displaced_walk, little_of_libc_is_refused) {
    struct image image = libc_image();
    if (!image.bytes)
        cr_skip_test("no libc.so.6 where it is looked for");
    each_code_section(image, count_section);
    size_t some = refused[ZYDIS_MNEMONIC_INT3] + refused[ZYDIS_MNEMONIC_XBEGIN] +
                  refused[ZYDIS_MNEMONIC_CALL] + refused[ZYDIS_MNEMONIC_INVALID];
    size_t all = tell_refused("libc");
    printf("%zu of %zu instructions refused\n", all, instructions);
    cr_expect(instructions > 100000, "%zu instructions", instructions);
    cr_expect_eq(all, some, "something new is refused");
    cr_expect(all < instructions / 2000, "%zu of %zu instructions refused", all, instructions);
}

/* ---- forms ---- */

static uint64_t seen[FORMS_MAX];
static size_t forms, faults, proofs;
static struct user_fpregs_struct floats;

static uint64_t mix(uint64_t hash, uint64_t value) {
    return (hash ^ value) * UINT64_C(0x100000001b3);
}

/* What an instruction does with its own address or its length depends on these alone. */
static bool is_new(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *operands) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const uint64_t parts[] = {i->mnemonic,
                              i->opcode_map,
                              i->opcode,
                              i->encoding,
                              i->raw.modrm.mod,
                              i->raw.modrm.mod != 3 && i->raw.modrm.rm == 4,
                              i->raw.modrm.mod == 0 && i->raw.modrm.rm == 5,
                              i->operand_width,
                              i->address_width,
                              i->length,
                              i->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                               ZYDIS_ATTRIB_HAS_REPNE | ZYDIS_ATTRIB_HAS_LOCK |
                                               ZYDIS_ATTRIB_HAS_SEGMENT)};
    for (size_t k = 0; k < COUNT(parts); k++)
        hash = mix(hash, parts[k]);
    for (unsigned k = 0; k < i->operand_count_visible; k++)
        hash = mix(mix(hash, operands[k].type), operands[k].size);
    size_t at = hash % FORMS_MAX;
    while (seen[at] && seen[at] != hash)
        at = (at + 1) % FORMS_MAX;
    if (seen[at] || forms > FORMS_MAX / 2)
        return false;
    seen[at] = hash;
    forms++;
    return true;
}

/* What differs from one execution to the next, changes how the next step is seen, or tells where it
 * was executed by its nature: rcx after a system call, the instruction pointer of the
 * floating-point unit. */
static bool is_beyond(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *operands) {
    static const ZydisMnemonic some[] = {
        ZYDIS_MNEMONIC_SYSCALL,  ZYDIS_MNEMONIC_SYSENTER,    ZYDIS_MNEMONIC_INT,
        ZYDIS_MNEMONIC_INT1,     ZYDIS_MNEMONIC_RDTSC,       ZYDIS_MNEMONIC_RDTSCP,
        ZYDIS_MNEMONIC_RDRAND,   ZYDIS_MNEMONIC_RDSEED,      ZYDIS_MNEMONIC_RDPID,
        ZYDIS_MNEMONIC_RDPMC,    ZYDIS_MNEMONIC_CPUID,       ZYDIS_MNEMONIC_POPF,
        ZYDIS_MNEMONIC_POPFQ,    ZYDIS_MNEMONIC_POPFD,       ZYDIS_MNEMONIC_FNSTENV,
        ZYDIS_MNEMONIC_FNSAVE,   ZYDIS_MNEMONIC_FXSAVE,      ZYDIS_MNEMONIC_FXSAVE64,
        ZYDIS_MNEMONIC_XSAVE,    ZYDIS_MNEMONIC_XSAVEC,      ZYDIS_MNEMONIC_XSAVEC64,
        ZYDIS_MNEMONIC_XSAVE64,  ZYDIS_MNEMONIC_XSAVEOPT,    ZYDIS_MNEMONIC_XSAVEOPT64,
        ZYDIS_MNEMONIC_UMWAIT,   ZYDIS_MNEMONIC_TPAUSE,      ZYDIS_MNEMONIC_IRETQ,
        ZYDIS_MNEMONIC_RSTORSSP, ZYDIS_MNEMONIC_SAVEPREVSSP, ZYDIS_MNEMONIC_SGDT,
        ZYDIS_MNEMONIC_SIDT};
    for (size_t k = 0; k < COUNT(some); k++)
        if (some[k] == i->mnemonic)
            return true;
    for (unsigned k = 0; k < i->operand_count; k++)
        if (operands[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            operands[k].reg.value == ZYDIS_REGISTER_SS &&
            operands[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            return true; /* the processor holds traps back for one instruction */
    return false;
}

/* A displacement from rip leads into the child's data. */
static void lead_into_data(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *operands,
                           uint8_t *code) {
    for (unsigned k = 0; k < i->operand_count; k++) {
        if (operands[k].type != ZYDIS_OPERAND_TYPE_MEMORY ||
            operands[k].mem.base != ZYDIS_REGISTER_RIP)
            continue;
        int32_t distance = (int32_t)(DATA + 0x1000 - AT - i->length);
        memcpy(code + i->raw.disp.offset, &distance, sizeof distance);
    }
}

/* Until it has left [from, from + size), or has come to a fault. */
static int run(uint64_t from, size_t size, struct state *state) {
    int signal = SIGTRAP;
    for (int i = 0; i < STEPS_MAX && signal == SIGTRAP; i++) {
        signal = step_signal();
        cr_assert_eq(ptrace(PTRACE_GETREGS, child, NULL, &state->registers), 0);
        if (state->registers.rip - from >= size)
            break;
    }
    get(state);
    return signal;
}

/* The code and what follows it, which it may write to. */
static uint8_t around[0x1000];

static void set_all(const struct state *state) {
    set(state);
    copy_in(AT, around, sizeof around);
    cr_assert_eq(ptrace(PTRACE_SETFPREGS, child, NULL, &floats), 0);
}

static void compare(const char *name, unsigned seed, const struct state *here,
                    const struct state *there) {
    cr_expect(!memcmp(here->data, there->data, SIZE), "%s: memory, state %u", name, seed);
    cr_expect_eq(here->registers.rip, there->registers.rip, "%s: rip %llx, not %llx, state %u",
                 name, here->registers.rip, there->registers.rip, seed);
    cr_expect(!memcmp(&here->registers, &there->registers, sizeof here->registers),
              "%s: registers, state %u", name, seed);
}

/* Away from its place; the same signal as there. */
static void prove_copy(const char *name, const struct displaced *displaced, unsigned seed,
                       const struct state *first, const struct state *there, int signal) {
    static struct state here;
    struct user_fpregs_struct floats_there, floats_here;
    uint8_t bytes[DISPLACED_SLOT];
    size_t n = displaced_write(displaced, SLOT, bytes);
    cr_assert(n, "%s: too far", name);
    cr_assert_eq(ptrace(PTRACE_GETFPREGS, child, NULL, &floats_there), 0);
    copy_in(SLOT, bytes, n);
    here = *first;
    here.registers.rip = SLOT;
    set_all(&here);
    int got = run(SLOT, n, &here);
    cr_assert_eq(ptrace(PTRACE_GETFPREGS, child, NULL, &floats_here), 0);
    cr_expect_eq(got, signal, "%s: signal %d, not %d, state %u", name, got, signal, seed);
    if (signal != SIGTRAP && here.registers.rip == SLOT)
        here.registers.rip = AT;
    floats_here.rip = floats_there.rip;
    cr_expect(!memcmp(&floats_here, &floats_there, sizeof floats_here), "%s: vectors, state %u",
              name, seed);
    compare(name, seed, &here, there);
}

/* A call through memory that is not the child's data is not followed here. */
static bool reads_data(const struct displaced *displaced, const struct state *state) {
    struct registers registers;
    uint64_t pointer = DATA;
    bool counts;
    view(&state->registers, &registers);
    displaced_leads_to(displaced, &registers, &pointer, &counts);
    return pointer >= DATA && pointer <= DATA + SIZE - 8;
}

static void prove(const char *name, const uint8_t *code, const struct displaced *displaced,
                  unsigned states) {
    static struct state first, there, here;
    for (unsigned seed = 1; seed <= states; seed++) {
        randomise(&first, seed);
        first.registers.fs_base = first.registers.gs_base = DATA + 0x800;
        memcpy(around, code, displaced->length);
        set_all(&first);
        int signal = run(AT, displaced->length, &there);
        proofs++;
        faults += signal != SIGTRAP;
        if (displaced->kind == DISPLACED_COPY) {
            prove_copy(name, displaced, seed, &first, &there, signal);
        } else if (signal == SIGTRAP && reads_data(displaced, &first)) {
            here = first;
            go_elsewhere(displaced, &here, name);
            compare(name, seed, &here, &there);
        }
    }
}

static unsigned states;

static void prove_one(const uint8_t *code, const ZydisDecodedInstruction *i,
                      const ZydisDecodedOperand *operands) {
    struct displaced displaced;
    const char *why;
    char name[64];
    uint8_t bytes[16] = {0};
    memcpy(bytes, code, i->length);
    lead_into_data(i, operands, bytes);
    if (!displaced_decode(bytes, i->length, AT, &displaced, &why))
        return;
    int n = snprintf(name, sizeof name, "%s:", ZydisMnemonicGetString(i->mnemonic));
    for (unsigned k = 0; k < i->length && n < (int)sizeof name - 4; k++)
        n += snprintf(name + n, sizeof name - (size_t)n, " %02x", bytes[k]);
    prove(name, bytes, &displaced, states);
}

static void prove_code(const uint8_t *code, size_t size, uint64_t address) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    (void)address;
    for (size_t at = 0; at < size;) {
        if (!decode(code + at, size - at, &instruction, operands)) {
            at++;
            continue;
        }
        if (!is_beyond(&instruction, operands) && is_new(&instruction, operands))
            prove_one(code + at, &instruction, operands);
        at += instruction.length;
    }
}

static void prove_begin(const uint8_t *code, size_t size, uint64_t address) {
    prove_code(code, size < TARGET_MAX ? size : TARGET_MAX, address);
}

static bool begin(void) {
    states = getenv("SOAK") ? 8 : 2;
    return start_child() && !ptrace(PTRACE_GETFPREGS, child, NULL, &floats);
}

static void end(const char *what) {
    printf("%s: %zu forms, %zu executions, of them %zu faults\n", what, forms, proofs, faults);
    cr_expect(forms > 200 && faults < proofs, "%zu forms, %zu executions, %zu faults", forms,
              proofs, faults);
    end_child();
}

Test(displaced_walk, the_forms_of_libc_as_the_processor_does_them, .timeout = 600) {
    struct image image = libc_image();
    if (!image.bytes || !begin())
        cr_skip_test("no ptrace here, or no libc.so.6");
    if (getenv("SOAK"))
        each_code_section(image, prove_code);
    else
        each_function(image, prove_begin);
    end("libc");
}

Test(displaced_walk, the_forms_of_gdb_as_the_processor_does_them, .timeout = 600) {
    struct image image = getenv("SOAK") ? image_open("/usr/bin/gdb") : (struct image){0};
    if (!image.bytes || !begin())
        cr_skip_test("only where SOAK is set, and gdb is there");
    each_code_section(image, prove_code);
    end("gdb");
}
