/* Emulated instructions, proved against the processor: a stopped child executes each of them, and
 * from the same random registers and memory we do; registers, flags and memory must be the same. */
#include "arch/emulate.h"
#include "displaced_child.h"

#define WORDS 16
#define FLAGS 49
#define RIP 16

static unsigned long long *word_of(struct user_regs_struct *r, unsigned slot) {
    unsigned long long *const words[WORDS + 1] = {
        &r->rax, &r->rdx, &r->rcx, &r->rbx, &r->rsi, &r->rdi, &r->rbp, &r->rsp, &r->r8,
        &r->r9,  &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15, &r->rip};
    return words[slot];
}

static void emulate(const struct emulation *e, struct state *state, const char *name) {
    struct registers registers = {.arch = arch_named("x86_64")};
    struct emulated_access reads, writes;
    uint8_t in[8] = {0}, out[8] = {0};
    for (unsigned i = 0; i <= WORDS; i++)
        registers_set(&registers, i, *word_of(&state->registers, i));
    registers_set(&registers, FLAGS, state->registers.eflags);
    cr_assert(emulate_accesses(e, &registers, &reads, &writes), "%s", name);
    if (reads.size)
        memcpy(in, state->data + (reads.address - DATA), reads.size);
    cr_assert(emulate_run(e, &registers, in, out), "%s", name);
    if (writes.size)
        memcpy(state->data + (writes.address - DATA), out, writes.size);
    for (unsigned i = 0; i <= WORDS; i++) {
        uint64_t value;
        cr_assert(registers_get(&registers, i, &value));
        *word_of(&state->registers, i) = value;
    }
    uint64_t flags;
    cr_assert(registers_get(&registers, FLAGS, &flags));
    state->registers.eflags = flags & 0xcd5;
}

static void prove(const char *name, const uint8_t *code, size_t n) {
    static struct state first, there, here;
    struct emulation emulation;
    uint8_t around[0x200];
    memset(around, 0x90, sizeof around);
    memcpy(around, code, n);
    copy_in(AT, around, sizeof around);
    cr_assert(emulate_decode(code, n, AT, &emulation), "%s", name);
    cr_assert_eq(emulation.next, AT + n, "%s", name);
    for (unsigned seed = 1; seed <= STATES; seed++) {
        randomise(&first, seed);
        set(&first);
        step(name);
        get(&there);
        here = first;
        emulate(&emulation, &here, name);
        cr_assert(!memcmp(here.data, there.data, SIZE), "%s: memory, state %u", name, seed);
        cr_assert_eq(here.registers.rip, there.registers.rip, "%s: rip %llx, not %llx, state %u",
                     name, here.registers.rip, there.registers.rip, seed);
        cr_assert_eq(here.registers.eflags, there.registers.eflags,
                     "%s: flags %llx, not %llx, state %u", name, here.registers.eflags,
                     there.registers.eflags, seed);
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
    FORM(0x55),                                           /* push %rbp */
    FORM(0x41, 0x57),                                     /* push %r15 */
    FORM(0x54),                                           /* push %rsp */
    FORM(0x6a, 0xfe),                                     /* push $-2 */
    FORM(0x68, 0x00, 0x00, 0x00, 0x80),                   /* push $-2^31 */
    FORM(0x5b),                                           /* pop %rbx */
    FORM(0x5c),                                           /* pop %rsp */
    FORM(0xc9),                                           /* leave */
    FORM(0xc3),                                           /* ret */
    FORM(0xf3, 0xc3),                                     /* rep ret */
    FORM(0xe8, 0x20, 0x00, 0x00, 0x00),                   /* call near */
    FORM(0xeb, 0x10),                                     /* jmp short */
    FORM(0xe9, 0x00, 0x01, 0x00, 0x00),                   /* jmp near */
    FORM(0x90),                                           /* nop */
    FORM(0x0f, 0x1f, 0x44, 0x00, 0x00),                   /* nop with an operand */
    FORM(0xf3, 0x0f, 0x1e, 0xfa),                         /* endbr64 */
    FORM(0x48, 0x83, 0xec, 0x28),                         /* sub $40,%rsp */
    FORM(0x48, 0x81, 0xec, 0x00, 0x10, 0x00, 0x00),       /* sub $4096,%rsp */
    FORM(0x48, 0x83, 0xc4, 0x18),                         /* add $24,%rsp */
    FORM(0x48, 0x83, 0xe4, 0xf0),                         /* and $-16,%rsp */
    FORM(0x48, 0x89, 0xe5),                               /* mov %rsp,%rbp */
    FORM(0x41, 0x89, 0xfc),                               /* mov %edi,%r12d */
    FORM(0x66, 0x89, 0xf8),                               /* mov %di,%ax */
    FORM(0x40, 0x88, 0xfa),                               /* mov %dil,%dl */
    FORM(0xb8, 0x05, 0x00, 0x00, 0x80),                   /* mov $,%eax */
    FORM(0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff),       /* mov $-1,%rax */
    FORM(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 0x88),          /* movabs */
    FORM(0x0f, 0xb6, 0xc1),                               /* movzbl %cl,%eax */
    FORM(0x48, 0x0f, 0xbe, 0xc1),                         /* movsbq %cl,%rax */
    FORM(0x48, 0x63, 0xff),                               /* movslq %edi,%rdi */
    FORM(0x48, 0x98 - 0x0f, 0xc8),                        /* mov %rcx,%rax */
    FORM(0x48, 0x8d, 0x7c, 0x24, 0x08),                   /* lea 8(%rsp),%rdi */
    FORM(0x8d, 0x04, 0x7f),                               /* lea (%rdi,%rdi,2),%eax */
    FORM(0x48, 0x8d, 0x3d, 0x00, 0xf2, 0x00, 0x00),       /* lea (%rip) */
    FORM(0x8b, 0x05, 0x10, 0xf1, 0x00, 0x00),             /* mov 0xf110(%rip),%eax */
    FORM(0x48, 0x8b, 0x45, 0xf8),                         /* mov -8(%rbp),%rax */
    FORM(0x0f, 0xb6, 0x45, 0xf7),                         /* movzbl -9(%rbp),%eax */
    FORM(0x48, 0x63, 0x45, 0xfc),                         /* movslq -4(%rbp),%rax */
    FORM(0x89, 0x7d, 0xec),                               /* mov %edi,-20(%rbp) */
    FORM(0xc7, 0x45, 0xfc, 0x07, 0x00, 0x00, 0x00),       /* movl $7,-4(%rbp) */
    FORM(0x48, 0xc7, 0x45, 0xf8, 0xfe, 0xff, 0xff, 0xff), /* movq $-2,-8(%rbp) */
    FORM(0xc6, 0x45, 0xff, 0x80),                         /* movb $,-1(%rbp) */
    FORM(0x83, 0x7d, 0xfc, 0x05),                         /* cmpl $5,-4(%rbp) */
    FORM(0x39, 0x45, 0xfc),                               /* cmp %eax,-4(%rbp) */
    FORM(0x03, 0x45, 0xfc),                               /* add -4(%rbp),%eax */
    FORM(0x31, 0xc0),                                     /* xor %eax,%eax */
    FORM(0x85, 0xff),                                     /* test %edi,%edi */
    FORM(0x48, 0x85, 0xc9),                               /* test %rcx,%rcx */
    FORM(0x84, 0xd2),                                     /* test %dl,%dl */
    FORM(0xa8, 0x81),                                     /* test $,%al */
    FORM(0x83, 0xf9, 0x01),                               /* cmp $1,%ecx */
    FORM(0x39, 0xca),                                     /* cmp %ecx,%edx */
    FORM(0x80, 0xf9, 0x80),                               /* cmp $-128,%cl */
    FORM(0x66, 0x3d, 0xff, 0x7f),                         /* cmp $32767,%ax */
    FORM(0x09, 0xf8),                                     /* or %edi,%eax */
    FORM(0x29, 0xc7),                                     /* sub %eax,%edi */
    FORM(0x01, 0xff),                                     /* add %edi,%edi */
    FORM(0x04, 0x7f),                                     /* add $127,%al */
};

Test(emulate, every_form_as_the_processor_does_it) {
    if (!start_child())
        cr_skip_test("no ptrace here");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        prove(forms[i].name, forms[i].code, forms[i].n);
    end_child();
}

Test(emulate, every_condition_as_the_processor_has_it) {
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

Test(emulate, what_it_does_not_know_is_refused) {
    static const uint8_t refused[][9] = {
        {0xcc},                                                 /* int3 */
        {0xe2, 0x10},                                           /* loop */
        {0x01, 0x45, 0xfc},                                     /* add %eax,-4(%rbp) */
        {0xf0, 0x48, 0x0f, 0xb1, 0x16},                         /* lock cmpxchg */
        {0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0x00, 0x00, 0x00}, /* mov %fs:0x28,%rax */
        {0x88, 0xe0},                                           /* mov %ah,%al */
        {0xff, 0xd0},                                           /* call *%rax */
        {0xc2, 0x10, 0x00},                                     /* ret $16 */
        {0x0f, 0x05},                                           /* syscall */
        {0x67, 0x8b, 0x45, 0xfc},                               /* mov -4(%ebp),%eax */
        {0x66, 0x50},                                           /* push %ax */
        {0x8e, 0xd8},                                           /* mov %eax,%ds */
        {0x06},
    };
    struct emulation emulation;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect(!emulate_decode(refused[i], sizeof refused[i], AT, &emulation), "form %zu", i);
}

Test(emulate, what_repeats) {
    static const struct {
        uint8_t code[8];
        bool repeats;
    } cases[] = {
        {{0xf3, 0xaa}, true},                         /* rep stosb */
        {{0xf3, 0x48, 0xa5}, true},                   /* rep movsq */
        {{0xf2, 0xae}, true},                         /* repne scasb */
        {{0xeb, 0xfe}, true},                         /* jmp . */
        {{0x75, 0xfe}, true},                         /* jne . */
        {{0xe2, 0xfe}, true},                         /* loop . */
        {{0x06}, true},                               /* none in 64-bit mode */
        {{0xaa}, false},                              /* stosb */
        {{0xeb, 0x00}, false},                        /* jmp to the next */
        {{0xf3, 0x0f, 0x1e, 0xfa}, false},            /* endbr64 */
        {{0xf3, 0x90}, false},                        /* pause */
        {{0xf3, 0xc3}, false},                        /* repz ret */
        {{0xf3, 0x0f, 0x10, 0x45, 0xf8}, false},      /* movss -8(%rbp),%xmm0 */
        {{0xff, 0x25, 0x00, 0x00, 0x00, 0x00}, false} /* jmp *0(%rip) */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect(emulate_repeats(cases[i].code, sizeof cases[i].code) == cases[i].repeats,
                  "case %zu", i);
}
