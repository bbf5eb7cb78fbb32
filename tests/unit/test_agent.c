/* Agent bytecode: a small interpreter of the manual's words finds in it what our own evaluation of
 * the same expression finds. */
#include "agent_machine.h"
#include "unit.h"

#include "expr/target_agent.h"
#include "lang/shape.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum shade { DARK, LIGHT = 4 };
enum signed_shade { LOW = -3, HIGH = 3 };
struct inner {
    short a;
    unsigned char b[3];
};
static struct thing {
    int i;
    unsigned u;
    signed char c;
    unsigned char uc;
    short s;
    unsigned short us;
    long l;
    unsigned long ul;
    _Bool yes;
    enum shade shade;
    enum signed_shade mood;
    signed bits : 5;
    unsigned ubits : 11;
    const char *text;
    char name[12];
    int *number, *null;
    struct thing *next;
    struct inner inner, *in;
    int list[4];
    float f;
} g = {.i = 1}, *volatile p = &g;
static int number = 41;
static struct inner inner = {7, {1, 2, 3}};

static struct space space;
static struct memory memory;
static int self = -1;

/* A page that ends in "tail" and a NUL, or not; behind it there is nothing. */
static char *edge;

static void map_edge(void) {
    edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(edge, MAP_FAILED);
    munmap(edge + 4096, 4096);
    memset(edge, 'e', 4096);
}

static void open_self(void) {
    struct module *module;
    struct elf_symbol **found;
    map_edge();
    self = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    cr_assert(self >= 0);
    cr_assert_null(module_open("/proc/self/exe", &module));
    cr_assert(module_symbols_named(module, "number", &found));
    cr_assert_null(space_add(&space, module, (uint64_t)(uintptr_t)&number - found[0]->address));
}

static void close_self(void) {
    memory_free(&memory);
    space_free(&space);
    close(self);
}

TestSuite(agent, .init = open_self, .fini = close_self);

/* ---- the expressions ---- */

static const char *const conditions[] = {
    "g.i",
    "g.i > 3",
    "g.i < -2 && g.u > 7",
    "g.i == g.l",
    "g.u < g.i",
    "g.u > g.l",
    "g.ul > g.l",
    "g.ul >= g.u",
    "g.c == -1",
    "g.uc == 255",
    "g.c < g.uc",
    "g.s * g.us > 1000",
    "g.s - g.us < 0",
    "-g.c > 5",
    "~g.uc & 1",
    "!g.yes",
    "g.yes == 1",
    "g.shade == LIGHT",
    "g.mood < 0",
    "g.mood == LOW || g.shade",
    "g.bits < 0",
    "g.bits + g.ubits > 700",
    "g.ubits % 7 == 3",
    "g.i / 3 == 13",
    "g.i % 3",
    "g.u / g.uc > 4",
    "g.i / g.s > 2",
    "g.ul / g.u",
    "g.ul % 10 == 7",
    "g.l / 7 > 0",
    "g.i << 3 > 100",
    "g.i >> 2 < 0",
    "g.u >> 31",
    "g.l >> 40 != 0",
    "(char)g.i == g.c",
    "(unsigned char)g.l > 100",
    "(long)g.i < g.l",
    "(unsigned)g.c > 5",
    "(_Bool)g.i",
    "p->i > 3",
    "p->next->i < 0",
    "p->next->next->u & 4",
    "g.null && *g.null > 3",
    "*g.null == 3",
    "g.null == 0",
    "p->next == p",
    "g.number != g.null",
    "*g.number == 41",
    "g.inner.a > 0",
    "g.inner.b[1] > 7",
    "g.in->a == 7",
    "g.in->b[2] == 3",
    "g.list[2] > 0",
    "g.list[g.uc & 3] < 0",
    "g.list[p->us % 4] == g.i",
    "*(g.list + 1) > g.i",
    "g.name[0] == 'a'",
    "g.text[1] == 'e'",
    "&g.list[1] == g.list + 1",
    "&g == p",
    "*&g.i > 0",
    "g.i ? g.u > 3 : g.l < 0",
    "g.i > 0 ? g.s : g.c",
    "(g.i ^ g.u) & 0xff00",
    "g.i + g.u < g.i",
    "g.i * g.i * g.i > 0",
    "g.u * g.u < g.u",
    "g.ul * g.ul > g.l",
    "sizeof g > 8",
    "0x80000000 > g.i",
    "g.l > 0x7fffffffffff",
    "g.i == 1 || g.i == 2 || g.u == 3",
    "!(g.i && g.u)",
    "$rdi > 5",
    "(int)$rsi < 0",
    "$rdi - $rsi > 0",
    "arg0 == 3",
};

static int number_of(void *ctx, unsigned slot) {
    (void)ctx;
    return slot < 17 ? (int)slot + 3 : -1;
}

static struct agent_site site(void) {
    return (struct agent_site){
        .space = &space, .number = number_of, .shape = lang_shape, .guards = true};
}

static struct target_expr *compile(const char *text) {
    struct target_site where = {.space = &space, .shape = lang_shape, .entry = true};
    struct target_expr *expr;
    size_t at;
    struct error *error = target_expr_compile(text, &where, &expr, &at);
    cr_assert_null(error, "%s: %s", text, error ? error->message : "");
    return expr;
}

static uint64_t word(void) {
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     3,
                                     7,
                                     41,
                                     127,
                                     128,
                                     255,
                                     256,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     UINT64_MAX,
                                     UINT64_MAX - 2};
    if (rand() % 2)
        return edges[(size_t)rand() % (sizeof edges / sizeof *edges)];
    return (uint64_t)rand() << 40 ^ (uint64_t)rand() << 20 ^ (uint64_t)rand();
}

static void randomise(struct run *run, struct registers *registers) {
    static const uintptr_t wild[] = {0x10, 0x123456789abcd};
    const char *const texts[] = {"",
                                 "seven",
                                 "a text that is longer than what is shown of it",
                                 "het",
                                 edge + 4096 - 5,
                                 edge + 4096 - 3,
                                 (const char *)wild[1],
                                 edge + 4096 - 17};
    g = (struct thing){.i = (int)word(),
                       .u = (unsigned)word(),
                       .c = (signed char)word(),
                       .uc = (unsigned char)word(),
                       .s = (short)word(),
                       .us = (unsigned short)word(),
                       .l = (long)word(),
                       .ul = word(),
                       .yes = word() & 1,
                       .shade = (enum shade)(word() & 7),
                       .mood = (enum signed_shade)(int)(word() % 7) - 3,
                       .text = texts[rand() % 8],
                       .number = rand() % 8 ? &number : (int *)wild[rand() % 2],
                       .null = rand() % 2 ? NULL : &number,
                       .next = rand() % 4 ? &g : NULL,
                       .in = &inner,
                       .f = 1.5f};
    g.bits = (int)(word() % 32) - 16;
    g.ubits = (unsigned)word() & 0x7ff;
    g.inner.a = (short)word();
    g.inner.b[1] = (unsigned char)word();
    for (int i = 0; i < 4; i++)
        g.list[i] = rand() % 3 ? (int)word() : g.i;
    memcpy(g.name, "abcdefghijkl", (size_t)(rand() % 13));
    edge[4095] = rand() % 2 ? 'l' : '\0';
    *run = (struct run){.target = self};
    *registers = (struct registers){.arch = space.arch};
    for (unsigned i = 0; i < 17; i++) {
        run->registers[i + 3] = i == 7 ? 0x7ffc12345678 : i < 16 ? word() : 0;
        registers_set(registers, i, run->registers[i + 3]);
    }
}

static void fill_wanted(void) {
    for (size_t i = 0; i < memory.want_count; i++) {
        static uint8_t bytes[65536];
        struct memory_range want = memory.wants[i];
        ssize_t n = pread(self, bytes, want.size, (off_t)want.address);
        memory_fill(&memory, want.address, bytes, n > 0 ? (size_t)n : 0, want.size);
    }
    memory.want_count = 0;
}

static enum outcome truth_here(const struct target_expr *expr, const struct registers *registers,
                               bool *truth) {
    static struct frame frame;
    struct arena scratch = ARENA_INIT(1 << 20);
    struct evaluation evaluation = {.frame = &frame, .scratch = &scratch, .shape = lang_shape};
    struct operand operand;
    enum outcome outcome = EVAL_AGAIN;
    memory_forget(&memory);
    frame_start(&frame, &space, &memory, registers);
    for (int round = 0; round < 16 && outcome == EVAL_AGAIN; round++) {
        outcome = target_expr_evaluate(expr, &evaluation, &operand);
        if (outcome == EVAL_OK)
            outcome = operand_truth(&evaluation, &operand, truth);
        fill_wanted();
    }
    arena_free(&scratch);
    return outcome;
}

Test(agent, conditions_are_what_they_are_here) {
    struct agent_site where = site();
    srand(1);
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        struct target_expr *expr = compile(conditions[i]);
        struct agent agent = {.len = 0};
        const char *why;
        int yes = 0, no = 0;
        cr_assert(target_agent_condition(expr, &where, &agent, &why), "%s: %s", conditions[i], why);
        cr_assert(agent_check(agent.bytes, agent.len), "%s", conditions[i]);
        for (int round = 0; round < 400; round++) {
            struct registers registers;
            struct run run;
            bool truth = false;
            randomise(&run, &registers);
            enum outcome outcome = truth_here(expr, &registers, &truth);
            interpret(&run, agent.bytes, agent.len);
            bool there = run.failed || run.stack[run.depth - 1];
            if (outcome == EVAL_OK)
                cr_assert_eq(truth, there, "%s, round %d: %d here, %d there", conditions[i], round,
                             truth, there);
            else
                cr_assert(there, "%s: what cannot be decided is to be reported", conditions[i]);
            yes += there, no += !there;
        }
        cr_expect(yes, "%s was never true", conditions[i]);
        target_expr_free(expr);
    }
}

Test(agent, what_has_no_form_says_so) {
    static const char *const refused[] = {"g.f > 1", "g.text == \"seven\"",
                                          "g.l / g.ul == 1 && g.l / g.l", "$xmm0 > 1",
                                          "g.i << g.s"};
    struct agent_site where = site();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct target_expr *expr = compile(refused[i]);
        struct agent agent = {.len = 0};
        const char *why = NULL;
        cr_expect(!target_agent_condition(expr, &where, &agent, &why) && why, "%s", refused[i]);
        target_expr_free(expr);
    }
}

/* ---- collecting ---- */

static const char *const captures[] = {
    "g.i",
    "g.bits",
    "g.ubits",
    "g.text",
    "g.name",
    "g.number",
    "g.null",
    "*g.null",
    "g.inner",
    "*g.in",
    "g.in",
    "g.list",
    "g.f",
    "p->next->text",
    "p->next->next->i",
    "p->text[1]",
    "g.list[g.uc & 3]",
    "g.i + g.l",
    "g.yes ? g.i : g.s",
    "(char *)g.name",
    "$rdi",
    "&g.inner",
    "p->next->inner.b[1]",
    "(int *)g.in",
    "&g.i",
};

/* With nothing known but what was collected. */
static void show(const struct target_expr *expr, const struct registers *registers,
                 struct buffer *out, bool fetches) {
    static struct frame frame;
    struct arena scratch = ARENA_INIT(1 << 20);
    struct evaluation evaluation = {.frame = &frame, .scratch = &scratch, .shape = lang_shape};
    struct show_limits limits = {16, 8, 2, 4096};
    struct buffer into = BUFFER_INIT(1 << 20);
    struct operand operand;
    frame_start(&frame, &space, &memory, registers);
    for (int round = 0; round < 16; round++) {
        buffer_clear(&into);
        buffer_clear(out);
        enum outcome outcome = target_expr_evaluate(expr, &evaluation, &operand);
        if (outcome == EVAL_FAILED)
            buffer_puts(out, evaluation.why);
        evaluation.again = outcome == EVAL_AGAIN;
        value_ref ref = outcome == EVAL_OK
                            ? operand_show(&evaluation, &operand, &limits, SHOW_AS_IS, &into)
                            : 0;
        if (outcome == EVAL_OK)
            value_json(&into, ref, out);
        if (outcome != EVAL_AGAIN && !evaluation.again)
            break;
        buffer_puts(out, " (more is wanted)");
        for (size_t i = 0; i < memory.want_count && !fetches; i++) /* it was not there, then */
            memory_fill(&memory, memory.wants[i].address, "", 0, memory.wants[i].size);
        if (fetches)
            fill_wanted();
        memory.want_count = 0;
    }
    buffer_free(&into);
    arena_free(&scratch);
}

Test(agent, what_is_collected_is_all_that_is_needed) {
    struct agent_site where = site();
    struct show_limits limits = {16, 8, 2, 4096};
    srand(2);
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++) {
        struct target_expr *expr = compile(captures[i]);
        struct agent agent = {.len = 0};
        const char *why;
        cr_assert(target_agent_collect(expr, &where, &limits, SHOW_AS_IS, &agent, &why), "%s: %s",
                  captures[i], why);
        agent_op(&agent, AGENT_END);
        cr_assert(agent_check(agent.bytes, agent.len), "%s", captures[i]);
        for (int round = 0; round < 200; round++) {
            struct buffer there = BUFFER_INIT(1 << 20), here = BUFFER_INIT(1 << 20);
            struct registers registers;
            struct run run;
            randomise(&run, &registers);
            run.collected = &memory;
            memory_forget(&memory);
            interpret(&run, agent.bytes, agent.len);
            cr_assert(!run.failed && !run.depth, "%s", captures[i]);
            show(expr, &registers, &there, false);
            memory_forget(&memory);
            show(expr, &registers, &here, true);
            cr_assert_str_eq(there.data, here.data, "%s", captures[i]);
            buffer_free(&there);
            buffer_free(&here);
        }
        target_expr_free(expr);
    }
}
