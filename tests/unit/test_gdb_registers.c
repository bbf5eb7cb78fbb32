/* The registers of real stubs, and of those that describe none. */
#include "descriptions.h"

/* ---- what stubs really send ---- */

static void add_file(const char *stub, const char *name, char missing[static 64]) {
    char path[512];
    struct buffer text = BUFFER_INIT(GDB_XML_MAX);
    snprintf(path, sizeof path, "%s/gdb/%s/%s", TEST_DATA, stub, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    text.len = fread(buffer_reserve(&text, 1 << 16), 1, 1 << 16, file);
    fclose(file);
    fine(add_bare(name, text.data, text.len, missing), path);
    buffer_free(&text);
}

static void read_stub(const char *stub) {
    char missing[64] = "target.xml";
    forget();
    for (int i = 0; i < GDB_XML_FILES && *missing; i++) {
        char name[64];
        memcpy(name, missing, sizeof name);
        add_file(stub, name, missing);
    }
    cr_assert_str_empty(missing, "%s: %s", stub, missing);
    fine(gdb_description_read(&documents, &description), stub);
}

/* The size is that of the reply to `g` (2416, 800, 1312 and 608 bytes), but for qemu's other
 * targets: there `g` has the core's registers alone, and is a beginning of this. */
Test(gdb_registers, real_stubs, .fini = forget) {
    static const struct {
        const char *stub, *architecture;
        size_t documents, count, size;
        struct {
            const char *name;
            unsigned number, bits;
            size_t offset;
        } registers[5];
    } stubs[] = {
        {"gdbserver",
         "i386:x86-64",
         1,
         148,
         2416,
         {{"rax", 0, 64, 0},
          {"rip", 16, 64, 128},
          {"st7", 31, 80, 234},
          {"orig_rax", 57, 64, 536},
          {"fs_base", 58, 64, 544}}},
        {"vgdb",
         "i386:x86-64",
         5,
         74,
         800,
         {{"rax", 0, 64, 0},
          {"rip", 16, 64, 128},
          {"mxcsr", 56, 32, 532},
          {"orig_rax", 57, 64, 536},
          {"ymm0h", 58, 128, 544}}},
        {"lldb",
         "x86_64",
         1,
         72,
         1312,
         {{"rax", 0, 64, 80},
          {"r15", 15, 64, 0},
          {"rip", 16, 64, 128},
          {"st7", 95, 80, 368},
          {"ymm15", 135, 256, 1280}}},
        {"qemu-x86_64",
         "i386:x86-64",
         2,
         66,
         608,
         {{"rax", 0, 64, 0},
          {"rip", 16, 64, 128},
          {"fs_base", 24, 64, 164},
          {"xmm0", 49, 128, 348},
          {"mxcsr", 65, 32, 604}}},
        {"qemu-aarch64",
         "aarch64",
         4,
         278,
         10556,
         {{"x30", 30, 64, 240},
          {"sp", 31, 64, 248},
          {"pc", 32, 64, 256},
          {"cpsr", 33, 32, 264},
          {"z0", 34, 2048, 268}}},
        {"qemu-riscv64",
         "riscv:rv64",
         5,
         72,
         576,
         {{"sp", 2, 64, 16},
          {"pc", 32, 64, 256},
          {"ft0", 33, 64, 264},
          {"fcsr", 69, 64, 544},
          {"instret", 3140, 64, 568}}},
        {"qemu-arm",
         "arm",
         5,
         215,
         1200,
         {{"r0", 0, 32, 0},
          {"sp", 13, 32, 52},
          {"pc", 15, 32, 60},
          {"cpsr", 25, 32, 64},
          {"d0", 26, 64, 68}}},
    };
    for (size_t i = 0; i < COUNT(stubs); i++) {
        read_stub(stubs[i].stub);
        SHOULD_BE(description.architecture, stubs[i].architecture, stubs[i].stub);
        cr_expect_eq(documents.count, stubs[i].documents, "%s: %zu documents", stubs[i].stub,
                     documents.count);
        cr_expect_eq(description.count, stubs[i].count, "%s: %zu registers", stubs[i].stub,
                     description.count);
        cr_expect_eq(description.size, stubs[i].size, "%s: %zu bytes", stubs[i].stub,
                     description.size);
        for (size_t k = 0; k < COUNT(stubs[i].registers); k++)
            expect_register(stubs[i].registers[k].name, stubs[i].registers[k].number,
                            stubs[i].registers[k].bits, stubs[i].registers[k].offset);
    }
}

/* eax is a part of rax, and no register of its own. */
Test(gdb_registers, parts_of_lldb_s_registers_are_left_out, .fini = forget) {
    static const char *const parts[] = {"eax", "ax", "al", "ah", "r15l", "mm0", "fiseg"};
    read_stub("lldb");
    for (size_t i = 0; i < COUNT(parts); i++)
        cr_expect_null(named(parts[i]), "%s", parts[i]);
    cr_expect_null(gdb_register_numbered(&description, 24));
    for (size_t i = 0; i < description.count; i++)
        cr_expect(description.list[i].placed, "%s", description.list[i].name);
}

Test(gdb_registers, registers_of_real_stubs_do_not_overlap, .fini = forget) {
    static const char *const stubs[] = {"gdbserver",    "vgdb",         "lldb",    "qemu-x86_64",
                                        "qemu-aarch64", "qemu-riscv64", "qemu-arm"};
    static uint8_t used[65536];
    for (size_t i = 0; i < COUNT(stubs); i++) {
        read_stub(stubs[i]);
        memset(used, 0, sizeof used);
        for (size_t k = 0; k < description.count; k++) {
            const struct gdb_register *reg = &description.list[k];
            cr_assert(reg->offset + reg->bits / 8 <= description.size);
            for (size_t n = 0; n < reg->bits / 8; n++)
                cr_expect_eq(used[reg->offset + n]++, 0, "%s: %s", stubs[i], reg->name);
        }
    }
}

/* ---- without a description ---- */

/* x86_64: what `maint print remote-registers` of gdb 13.1 says. arm: what qemu-arm's `g` has until
 * somebody asks for its description. */
Test(gdb_registers, defaults) {
    static const struct {
        const char *arch;
        size_t count, size;
        struct {
            const char *name;
            unsigned number, bits;
            size_t offset;
        } registers[8];
    } cases[] = {
        {"x86_64",
         57,
         536,
         {{"rax", 0, 64, 0},
          {"r15", 15, 64, 120},
          {"rip", 16, 64, 128},
          {"gs", 23, 32, 160},
          {"st0", 24, 80, 164},
          {"fop", 39, 32, 272},
          {"xmm15", 55, 128, 516},
          {"mxcsr", 56, 32, 532}}},
        {"aarch64",
         34,
         268,
         {{"x0", 0, 64, 0},
          {"x30", 30, 64, 240},
          {"sp", 31, 64, 248},
          {"pc", 32, 64, 256},
          {"cpsr", 33, 32, 264}}},
        {"riscv64", 33, 264, {{"x0", 0, 64, 0}, {"x31", 31, 64, 248}, {"pc", 32, 64, 256}}},
        {"arm",
         26,
         168,
         {{"r12", 12, 32, 48},
          {"sp", 13, 32, 52},
          {"pc", 15, 32, 60},
          {"f0", 16, 96, 64},
          {"fps", 24, 32, 160},
          {"cpsr", 25, 32, 164}}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_assert(gdb_description_default(cases[i].arch, &description), "%s", cases[i].arch);
        cr_expect_eq(description.count, cases[i].count, "%s", cases[i].arch);
        cr_expect_eq(description.size, cases[i].size, "%s: %zu", cases[i].arch, description.size);
        for (size_t k = 0; k < COUNT(cases[i].registers) && cases[i].registers[k].name; k++)
            expect_register(cases[i].registers[k].name, cases[i].registers[k].number,
                            cases[i].registers[k].bits, cases[i].registers[k].offset);
    }
    static const char *const unknown[] = {"", "i386", "x86", "x86_64 ", "mips"};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        cr_expect(!gdb_description_default(unknown[i], &description), "%s", unknown[i]);
        cr_expect_eq(description.count, 0);
        cr_expect_eq(description.size, 0);
    }
}

/* What a stub describes begins as the default does. */
Test(gdb_registers, defaults_fit_the_stubs, .fini = forget) {
    static const struct {
        const char *arch, *stub;
        size_t same;
    } cases[] = {{"x86_64", "gdbserver", 57},
                 {"x86_64", "vgdb", 57},
                 {"aarch64", "qemu-aarch64", 34},
                 {"riscv64", "qemu-riscv64", 33},
                 {"arm", "qemu-arm", 16}};
    static struct gdb_description known;
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_assert(gdb_description_default(cases[i].arch, &known));
        read_stub(cases[i].stub);
        for (size_t k = 0; k < cases[i].same; k++) {
            const struct gdb_register *a = &known.list[k], *b = &description.list[k];
            cr_expect(a->number == b->number && a->bits == b->bits && a->offset == b->offset,
                      "%s: %s and %s", cases[i].stub, a->name, b->name);
        }
    }
}
