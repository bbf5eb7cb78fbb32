/* Registers under all their names and numbers, and where functions return. */
#include "unit.h"

#include "arch/arch.h"

Test(arch, registers_by_name_and_number) {
    static const struct {
        const char *arch, *name;
        unsigned dwarf, size;
    } rows[] = {{"x86_64", "rax", 0, 8},   {"x86_64", "xmm15", 32, 16}, {"x86_64", "pc", 16, 8},
                {"x86_64", "r12d", 12, 4}, {"aarch64", "x30", 30, 8},   {"aarch64", "lr", 30, 8},
                {"riscv64", "a0", 10, 8},  {"riscv64", "ft11", 63, 8},  {"arm", "r7", 7, 4},
                {"arm", "d31", 287, 8}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arch_register reg = {0}, same = {0};
        const struct arch *arch = arch_named(rows[i].arch);
        cr_assert(arch && arch_register_named(arch, rows[i].name, &reg), "%s", rows[i].name);
        cr_assert_eq(reg.dwarf, rows[i].dwarf, "%s: %u", rows[i].name, reg.dwarf);
        cr_assert_eq(reg.size, rows[i].size, "%s: %u", rows[i].name, reg.size);
        cr_assert(arch_register_of_dwarf(arch, reg.dwarf, &same));
        cr_assert_eq(same.slot, reg.slot);
    }
}

Test(arch, names_that_are_none) {
    static const char *const names[] = {"", "r", "x31", "xmm16", "xmm01", "rax2", "v"};
    struct arch_register reg;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_not(arch_register_named(arch_named("x86_64"), names[i], &reg), "%s", names[i]);
        cr_assert_not(arch_register_named(arch_named("aarch64"), names[i], &reg), "%s", names[i]);
    }
}

Test(arch, slots_do_not_collide) {
    static const char *const all[] = {"x86_64", "aarch64", "riscv64", "arm"};
    for (size_t a = 0; a < sizeof all / sizeof *all; a++) {
        const struct arch *arch = arch_named(all[a]);
        unsigned char used[ARCH_SLOTS] = {0};
        for (unsigned dwarf = 0; dwarf < 400; dwarf++) {
            struct arch_register reg;
            if (!arch_register_of_dwarf(arch, dwarf, &reg))
                continue;
            cr_assert_lt(reg.slot, ARCH_SLOTS);
            cr_assert_not(used[reg.slot]++, "%s: DWARF %u", all[a], dwarf);
        }
    }
}

Test(arch, returns_are_found) {
    static const struct {
        const char *arch;
        bool thumb;
        uint8_t code[16];
        size_t size, at;
    } rows[] = {
        /* mov $0xc3,%eax: the c3 inside of it is none; ret */
        {"x86_64", false, {0xb8, 0xc3, 0, 0, 0, 0xc3}, 6, 5},
        {"x86_64", false, {0x55, 0xf3, 0xc3}, 3, 1},                                /* rep ret */
        {"aarch64", false, {0x1f, 0x20, 0x03, 0xd5, 0xc0, 0x03, 0x5f, 0xd6}, 8, 4}, /* nop; ret */
        {"riscv64", false, {0x01, 0x00, 0x82, 0x80}, 4, 2},                     /* c.nop; c.jr ra */
        {"riscv64", false, {0x13, 0, 0, 0, 0x67, 0x80, 0, 0}, 8, 4},            /* nop; ret */
        {"arm", false, {0x00, 0x00, 0xa0, 0xe1, 0x1e, 0xff, 0x2f, 0xe1}, 8, 4}, /* nop; bx lr */
        {"arm", true, {0x00, 0xbf, 0x10, 0xbd}, 4, 2}, /* nop; pop {r4, pc} */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t offsets[4], tails;
        size_t n =
            arch_named(rows[i].arch)
                ->returns(rows[i].code, rows[i].size, 0x1000, rows[i].thumb, offsets, 4, &tails);
        cr_assert_eq(n, 1, "row %zu: %zu returns", i, n);
        cr_assert_eq(offsets[0], rows[i].at, "row %zu: at %zu", i, offsets[0]);
    }
}

Test(arch, values_of_registers) {
    struct registers registers = {.arch = arch_named("arm")};
    uint64_t value;
    cr_assert_not(registers_get(&registers, 3, &value));
    registers_set(&registers, 3, 0x1122334455667788);
    cr_assert(registers_get(&registers, 3, &value));
    cr_assert_eq(value, 0x55667788); /* 32 bits of it */
    registers_forget(&registers, 3);
    cr_assert_not(registers_has(&registers, 3));
    registers_set(&registers, ARCH_SLOTS, 1); /* out of range: nothing happens */
    cr_assert_not(registers_has(&registers, ARCH_SLOTS));
}
