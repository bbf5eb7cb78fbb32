/* Bytecode of DWARF expressions, in all the places that hold some: a variable's location, a frame's
 * base, a member's place, an array's bound, the canonical frame address. The first byte says where;
 * a small program's file is made around the rest. */
#include "expr/target.h"
#include "lang/shape.h"
#include "symbol/frames.h"
#include "symbol/types.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum role { VARIABLE, FRAME_BASE, MEMBER, BOUND, CFA, ROLES };

#define CODE 0x1000
#define CODE_SIZE 64
#define BYTECODE_MAX 2000

struct code {
    const uint8_t *bytes;
    size_t size;
};

static void byte(struct buffer *b, unsigned value) {
    buffer_add(b, (uint8_t[]){(uint8_t)value}, 1);
}

static void word(struct buffer *b, uint64_t value, size_t size) {
    buffer_add(b, &value, size);
}

static void uleb(struct buffer *b, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        byte(b, (unsigned)(value & 0x7f) | 0x80);
    byte(b, (unsigned)value);
}

static void text(struct buffer *b, const char *string) {
    buffer_add(b, string, strlen(string) + 1);
}

static void code(struct buffer *b, struct code code) {
    uleb(b, code.size);
    buffer_add(b, code.bytes, code.size);
}

/* What stands where the bytecode under test does not. */
static struct code usual(enum role role) {
    static const uint8_t variable[] = {DW_OP_fbreg, 8}, base[] = {DW_OP_call_frame_cfa},
                         member[] = {DW_OP_plus_uconst, 4}, bound[] = {DW_OP_lit3},
                         cfa[] = {DW_OP_breg7, 16};
    static const struct code all[] = {{variable, sizeof variable},
                                      {base, sizeof base},
                                      {member, sizeof member},
                                      {bound, sizeof bound},
                                      {cfa, sizeof cfa}};
    return all[role];
}

/* ---- the file ---- */

enum abbrev { UNIT = 1, BASE, STRUCT, FIELD, ARRAY, RANGE, FUNCTION, LOCAL };

/* Code, tag, whether it has children; then attributes and their forms. */
static const uint8_t
    unit_abbrev[] = {UNIT,
                     DW_TAG_compile_unit,
                     1,
                     DW_AT_name,
                     DW_FORM_string,
                     DW_AT_language,
                     DW_FORM_data1,
                     DW_AT_low_pc,
                     DW_FORM_addr,
                     DW_AT_high_pc,
                     DW_FORM_data4,
                     0,
                     0},
    base_abbrev[] = {BASE,
                     DW_TAG_base_type,
                     0,
                     DW_AT_name,
                     DW_FORM_string,
                     DW_AT_byte_size,
                     DW_FORM_data1,
                     DW_AT_encoding,
                     DW_FORM_data1,
                     0,
                     0},
    struct_abbrev[] = {STRUCT,          DW_TAG_structure_type, 1, DW_AT_name, DW_FORM_string,
                       DW_AT_byte_size, DW_FORM_data1,         0, 0},
    field_abbrev[] = {FIELD,
                      DW_TAG_member,
                      0,
                      DW_AT_name,
                      DW_FORM_string,
                      DW_AT_type,
                      DW_FORM_ref4,
                      DW_AT_data_member_location,
                      DW_FORM_exprloc,
                      0,
                      0},
    array_abbrev[] = {ARRAY, DW_TAG_array_type, 1, DW_AT_type, DW_FORM_ref4, 0, 0},
    range_abbrev[] = {RANGE, DW_TAG_subrange_type, 0, DW_AT_upper_bound, DW_FORM_exprloc, 0, 0},
    function_abbrev[] = {FUNCTION,
                         DW_TAG_subprogram,
                         1,
                         DW_AT_name,
                         DW_FORM_string,
                         DW_AT_low_pc,
                         DW_FORM_addr,
                         DW_AT_high_pc,
                         DW_FORM_data4,
                         DW_AT_frame_base,
                         DW_FORM_exprloc,
                         0,
                         0},
    local_abbrev[] = {LOCAL,
                      DW_TAG_variable,
                      0,
                      DW_AT_name,
                      DW_FORM_string,
                      DW_AT_type,
                      DW_FORM_ref4,
                      DW_AT_location,
                      DW_FORM_exprloc,
                      0,
                      0,
                      0};

static const struct code abbrevs[] = {
    {unit_abbrev, sizeof unit_abbrev},         {base_abbrev, sizeof base_abbrev},
    {struct_abbrev, sizeof struct_abbrev},     {field_abbrev, sizeof field_abbrev},
    {array_abbrev, sizeof array_abbrev},       {range_abbrev, sizeof range_abbrev},
    {function_abbrev, sizeof function_abbrev}, {local_abbrev, sizeof local_abbrev}};

static uint32_t base_type(struct buffer *b, const char *name, unsigned size, unsigned encoding) {
    uint32_t at = (uint32_t)b->len;
    byte(b, BASE);
    text(b, name);
    byte(b, size);
    byte(b, encoding);
    return at;
}

static void write_info(struct buffer *b, const struct code codes[static ROLES]) {
    static const struct {
        const char *name;
        unsigned type;
    } locals[] = {{"number", 0}, {"real", 1}, {"record", 2}, {"list", 3}};
    uint32_t types[4];
    word(b, 0, 4); /* the length, known at the end */
    word(b, 4, 2);
    word(b, 0, 4);
    byte(b, 8);
    byte(b, UNIT);
    text(b, "made.c");
    byte(b, DW_LANG_C99);
    word(b, CODE, 8);
    word(b, CODE_SIZE, 4);
    types[0] = base_type(b, "int", 4, DW_ATE_signed);
    types[1] = base_type(b, "long double", 16, DW_ATE_float);
    types[2] = (uint32_t)b->len;
    byte(b, STRUCT);
    text(b, "record");
    byte(b, 16);
    byte(b, FIELD);
    text(b, "field");
    word(b, types[0], 4);
    code(b, codes[MEMBER]);
    byte(b, 0);
    types[3] = (uint32_t)b->len;
    byte(b, ARRAY);
    word(b, types[0], 4);
    byte(b, RANGE);
    code(b, codes[BOUND]);
    byte(b, 0);
    byte(b, FUNCTION);
    text(b, "main");
    word(b, CODE, 8);
    word(b, CODE_SIZE, 4);
    code(b, codes[FRAME_BASE]);
    for (size_t i = 0; i < sizeof locals / sizeof *locals; i++) {
        byte(b, LOCAL);
        text(b, locals[i].name);
        word(b, types[locals[i].type], 4);
        code(b, codes[VARIABLE]);
    }
    word(b, 0, 2); /* ends of the function's and of the unit's entries */
    uint32_t length = (uint32_t)b->len - 4;
    memcpy(b->data, &length, 4);
}

static void write_frames(struct buffer *b, struct code cfa) {
    static const uint8_t entry[] = {0xff, 0xff, 0xff, 0xff, 1, 0, 1, 0x78, 16, DW_CFA_offset | 16,
                                    1,    0,    0,    0,    0, 0};
    word(b, sizeof entry, 4);
    buffer_add(b, entry, sizeof entry);
    size_t at = b->len;
    word(b, 0, 4);
    word(b, 0, 4); /* its common entry */
    word(b, CODE, 8);
    word(b, CODE_SIZE, 8);
    byte(b, DW_CFA_def_cfa_expression);
    code(b, cfa);
    while (b->len % 8 != 4)
        byte(b, DW_CFA_nop);
    uint32_t length = (uint32_t)(b->len - at - 4);
    memcpy(b->data + at, &length, 4);
}

static const struct {
    const char *name;
    uint32_t type, flags;
} sections[] = {{"", SHT_NULL, 0},
                {".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
                {".debug_abbrev", SHT_PROGBITS, 0},
                {".debug_info", SHT_PROGBITS, 0},
                {".debug_frame", SHT_PROGBITS, 0},
                {".shstrtab", SHT_STRTAB, 0}};

enum { SECTIONS = sizeof sections / sizeof *sections };

static void write_section(struct buffer *file, unsigned index,
                          const struct code codes[static ROLES]) {
    static const uint8_t nothing[CODE_SIZE];
    struct buffer body = BUFFER_INIT(1 << 16);
    switch (index) {
    case 1: buffer_add(&body, nothing, sizeof nothing); break;
    case 2:
        for (size_t i = 0; i < sizeof abbrevs / sizeof *abbrevs; i++)
            buffer_add(&body, abbrevs[i].bytes, abbrevs[i].size);
        break;
    case 3: write_info(&body, codes); break;
    case 4: write_frames(&body, codes[CFA]); break;
    case 5:
        for (unsigned i = 0; i < SECTIONS; i++)
            text(&body, sections[i].name);
        break;
    default: break;
    }
    buffer_add(file, body.data, body.len);
    buffer_free(&body);
}

static void write_file(struct buffer *file, const struct code codes[static ROLES]) {
    Elf64_Shdr headers[SECTIONS] = {0};
    Elf64_Phdr load = {.p_type = PT_LOAD,
                       .p_flags = PF_R | PF_X,
                       .p_vaddr = CODE,
                       .p_filesz = CODE_SIZE,
                       .p_memsz = CODE_SIZE};
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1},
                       .e_type = ET_EXEC,
                       .e_machine = EM_X86_64,
                       .e_version = 1,
                       .e_entry = CODE,
                       .e_phoff = sizeof head,
                       .e_ehsize = sizeof head,
                       .e_phentsize = sizeof load,
                       .e_phnum = 1,
                       .e_shentsize = sizeof *headers,
                       .e_shnum = SECTIONS,
                       .e_shstrndx = SECTIONS - 1};
    uint32_t name = 0;
    buffer_add(file, &head, sizeof head);
    load.p_offset = sizeof head + sizeof load;
    buffer_add(file, &load, sizeof load);
    for (unsigned i = 0; i < SECTIONS; i++) {
        size_t at = file->len;
        write_section(file, i, codes);
        headers[i] = (Elf64_Shdr){.sh_name = name,
                                  .sh_type = sections[i].type,
                                  .sh_flags = sections[i].flags,
                                  .sh_addr = sections[i].flags ? CODE : 0,
                                  .sh_offset = at,
                                  .sh_size = file->len - at,
                                  .sh_addralign = 1};
        name += (uint32_t)strlen(sections[i].name) + 1;
    }
    while (file->len % 8)
        byte(file, 0);
    head.e_shoff = file->len;
    buffer_add(file, headers, sizeof headers);
    memcpy(file->data, &head, sizeof head);
}

/* ---- its use ---- */

static void fill(struct memory *memory) {
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 5);
    for (size_t i = 0; i < memory->want_count; i++) {
        struct memory_range want = memory->wants[i];
        size_t n = want.size < sizeof bytes ? want.size : sizeof bytes;
        memory_fill(memory, want.address, bytes, want.address % 7 ? n : 0, want.size);
    }
    memory->want_count = 0;
}

static void start(struct space *space, struct memory *memory, struct frame *frame) {
    struct registers registers = {.arch = space->arch};
    for (unsigned slot = 0; slot < 17; slot++)
        registers_set(&registers, slot, 0x7000 + 16 * slot);
    registers_set(&registers, (unsigned)space->arch->pc, CODE + 8);
    frame_start(frame, space, memory, &registers);
}

static void evaluate(struct space *space, const char *expression) {
    static struct frame frame;
    struct memory memory = {0};
    struct arena scratch = ARENA_INIT(1 << 20);
    struct evaluation evaluation = {.frame = &frame, .scratch = &scratch, .shape = lang_shape};
    struct show_limits limits = {64, 8, 3, 4096};
    struct buffer into = BUFFER_INIT(1 << 20);
    struct target_site site = {
        .space = space, .loaded = &space->list[0], .pc = CODE + 8, .shape = lang_shape};
    struct target_expr *expr = NULL;
    struct operand operand;
    size_t at;
    struct error *error = target_expr_compile(expression, &site, &expr, &at);
    start(space, &memory, &frame);
    for (int round = 0; !error && round < 8; round++) {
        if (target_expr_evaluate(expr, &evaluation, &operand) == EVAL_OK) {
            buffer_clear(&into);
            operand_show(&evaluation, &operand, &limits, SHOW_AS_IS, &into);
        }
        fill(&memory);
    }
    error_free(error);
    target_expr_free(expr);
    buffer_free(&into);
    arena_free(&scratch);
    memory_free(&memory);
}

static void unwind(struct space *space) {
    static struct frame frames[2];
    struct memory memory = {0};
    const char *why;
    int at = 0;
    start(space, &memory, &frames[0]);
    for (int round = 0; round < 32; round++) {
        enum unwind_result result = frame_unwind(&frames[at], &frames[1 - at], &why);
        fill(&memory);
        if (result == UNWIND_OK)
            at = 1 - at;
        else if (result != UNWIND_AGAIN)
            break;
    }
    memory_free(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const expressions[] = {"number",       "real",    "record",
                                              "record.field", "list[1]", "sizeof(list)"};
    struct code codes[ROLES];
    struct buffer file = BUFFER_INIT(1 << 20);
    struct space space = {0};
    struct module *module;
    if (!size || size > BYTECODE_MAX)
        return 0;
    for (unsigned role = 0; role < ROLES; role++)
        codes[role] = usual((enum role)role);
    codes[data[0] % ROLES] = (struct code){data + 1, size - 1};
    write_file(&file, codes);
    struct error *error = module_open_image("made", file.data, file.len, &module);
    if (error || (error = space_add(&space, module, 0)) || !module->dwarf || !space.arch)
        abort();
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
        evaluate(&space, expressions[i]);
    unwind(&space);
    space_free(&space);
    buffer_free(&file);
    return 0;
}
