/* Instructions away from their place, proved against the processor: a stopped child executes each
 * of them where it stands, and, from the same random registers and memory, as the native back end
 * would; registers, flags and memory must be the same. */
#include "displaced_child.h"

static void prove(const char *name, const uint8_t *code, size_t n) {
    static struct state first, there, here;
    struct displaced displaced;
    const char *why;
    uint8_t around[0x200];
    memset(around, 0x90, sizeof around);
    memcpy(around, code, n);
    copy_in(AT, around, sizeof around);
    cr_assert(displaced_decode(code, n, AT, &displaced, &why), "%s: %s", name, why);
    cr_assert_eq(displaced.length, n, "%s: %u bytes, not %zu", name, displaced.length, n);
    for (unsigned seed = 1; seed <= STATES; seed++) {
        randomise(&first, seed);
        set(&first);
        step(name);
        get(&there);
        here = first;
        go_elsewhere(&displaced, &here, name);
        cr_assert(!memcmp(here.data, there.data, SIZE), "%s: memory, state %u", name, seed);
        cr_assert_eq(here.registers.rip, there.registers.rip, "%s: rip %llx, not %llx, state %u",
                     name, here.registers.rip, there.registers.rip, seed);
        cr_assert(!memcmp(&here.registers, &there.registers, sizeof here.registers),
                  "%s: registers, state %u", name, seed);
    }
}

#define FORM(...)                                                                                  \
    { #__VA_ARGS__, {__VA_ARGS__ }, sizeof((uint8_t[]){__VA_ARGS__}) }
static const struct {
    const char *name;
    uint8_t code[15];
    size_t n;
} forms[] = {
    FORM(0x55),                                                       /* push %rbp */
    FORM(0x41, 0x54),                                                 /* push %r12 */
    FORM(0x5b),                                                       /* pop %rbx */
    FORM(0xc9),                                                       /* leave */
    FORM(0x90),                                                       /* nop */
    FORM(0xf3, 0x0f, 0x1e, 0xfa),                                     /* endbr64 */
    FORM(0x48, 0x83, 0xec, 0x28),                                     /* sub $40,%rsp */
    FORM(0x48, 0x89, 0x5d, 0xf8),                                     /* mov %rbx,-8(%rbp) */
    FORM(0x8b, 0x05, 0x10, 0xf1, 0x00, 0x00),                         /* mov 0xf110(%rip),%eax */
    FORM(0x48, 0x8d, 0x3d, 0x00, 0xf2, 0x00, 0x00),                   /* lea (%rip) */
    FORM(0xc7, 0x05, 0x00, 0xf1, 0x00, 0x00, 0x78, 0x56, 0x34, 0x12), /* movl $,(%rip) */
    FORM(0x48, 0x83, 0x3d, 0x00, 0xf1, 0x00, 0x00, 0x07),             /* cmpq $7,(%rip) */
    FORM(0x66, 0x0f, 0x6f, 0x05, 0x68, 0xf1, 0x00, 0x00),             /* movdqa (%rip),%xmm0 */
    FORM(0xf0, 0x48, 0x0f, 0xb1, 0x16),                               /* lock cmpxchg */
    FORM(0xa4),                                                       /* movsb */
    FORM(0xeb, 0x10),                                                 /* jmp short */
    FORM(0xe9, 0x00, 0x01, 0x00, 0x00),                               /* jmp near */
    FORM(0xff, 0xe0),                                                 /* jmp *%rax */
    FORM(0xff, 0x23),                                                 /* jmp *(%rbx) */
    FORM(0xff, 0x25, 0x00, 0xf1, 0x00, 0x00),                         /* jmp *(%rip) */
    FORM(0xe8, 0x20, 0x00, 0x00, 0x00),                               /* call near */
    FORM(0xe8, 0x00, 0x00, 0x00, 0x00),                               /* call the next */
    FORM(0xff, 0xd0),                                                 /* call *%rax */
    FORM(0x41, 0xff, 0xd3),                                           /* call *%r11 */
    FORM(0xff, 0x13),                                                 /* call *(%rbx) */
    FORM(0xff, 0x54, 0xd3, 0x10),                                     /* call *16(%rbx,%rdx,8) */
    FORM(0xff, 0x54, 0x24, 0x08),                                     /* call *8(%rsp) */
    FORM(0xff, 0x15, 0x00, 0xf1, 0x00, 0x00),                         /* call *(%rip) */
    FORM(0xc3),                                                       /* ret */
    FORM(0xc2, 0x10, 0x00),                                           /* ret $16 */
    FORM(0xf3, 0xc3),                                                 /* rep ret */
    FORM(0xe2, 0x10),                                                 /* loop */
    FORM(0xe1, 0x10),                                                 /* loope */
    FORM(0xe0, 0x10),                                                 /* loopne */
    FORM(0xe3, 0x10),                                                 /* jrcxz */
    FORM(0x67, 0xe3, 0x10),                                           /* jecxz */
    FORM(0x0f, 0xa2),                                                 /* cpuid */
    FORM(0x48, 0x0f, 0xaf, 0xc2),                                     /* imul */
    FORM(0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x02, 0x00, 0x00), /* a long nop */
};

Test(displaced, every_form_as_the_processor_does_it) {
    if (!start_child())
        cr_skip_test("no ptrace here");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        prove(forms[i].name, forms[i].code, forms[i].n);
    end_child();
}

Test(displaced, every_condition_as_the_processor_has_it) {
    if (!start_child())
        cr_skip_test("no ptrace here");
    for (uint8_t i = 0; i < 16; i++) {
        uint8_t near_form[] = {0x0f, (uint8_t)(0x80 + i), 0x40, 0, 0, 0};
        char name[32];
        snprintf(name, sizeof name, "jcc %u", i);
        prove(name, (uint8_t[]){(uint8_t)(0x70 + i), 0x20}, 2);
        prove(name, near_form, sizeof near_form);
    }
    end_child();
}

Test(displaced, what_cannot_be_executed_elsewhere_is_refused) {
    static const uint8_t refused[][6] = {{0xcc}, {0xc7, 0xf8, 0, 0, 0, 0}, {0x06}};
    struct displaced displaced;
    const char *why;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect(!displaced_decode(refused[i], 6, AT, &displaced, &why), "form %zu", i);
}

Test(displaced, a_slot_that_is_too_far_is_told) {
    static const uint8_t load[] = {0x8b, 0x05, 0x10, 0, 0, 0};
    struct displaced displaced;
    const char *why;
    uint8_t out[DISPLACED_SLOT];
    cr_assert(displaced_decode(load, sizeof load, AT, &displaced, &why));
    cr_expect_eq(displaced_write(&displaced, AT + (UINT64_C(1) << 33), out), 0);
    cr_expect_eq(displaced_write(&displaced, AT + (UINT64_C(1) << 30), out), 6 + 14);
}

Test(displaced, the_middle_of_an_instruction_is_none) {
    static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0xc3}; /* push; mov; ret */
    const bool expected[] = {true, true, false, false, true};
    for (size_t i = 0; i < sizeof expected; i++)
        cr_expect_eq(displaced_is_boundary(code, sizeof code, i), expected[i], "offset %zu", i);
}
