/* Agent bytecode as bytes: its encoding, and that what leaves its bounds is found. */
#include "unit.h"

#include "expr/target_agent.h"
#include <stdlib.h>
#include <string.h>

Test(agent_assembler, it_is_written_as_the_manual_says) {
    static const uint8_t expected[] = {
        0x22, 7,    0x23, 1, 0,  0x24, 0,  1,    0, 0,    0x25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xfe, 0x26, 0, 16, 0x16, 32, 0x2a, 8, 0x18, 0x0d, 4,    0x20, 0,    33,   0x29, 0x27};
    struct agent agent = {.len = 0};
    struct buffer text = BUFFER_INIT(4096);
    agent_constant(&agent, 7), agent_constant(&agent, 256), agent_constant(&agent, 65536);
    agent_constant(&agent, (uint64_t)-2);
    agent_register(&agent, 16);
    agent_extend(&agent, 32, true), agent_extend(&agent, 8, false), agent_extend(&agent, 64, true);
    agent_ref(&agent, 2);
    agent_trace_quick(&agent, 4);
    size_t jump = agent_jump(&agent, AGENT_IF_GOTO);
    agent_op(&agent, AGENT_POP);
    agent_land(&agent, jump);
    agent_op(&agent, AGENT_END);
    cr_assert_eq(agent.len, sizeof expected);
    cr_expect(!memcmp(agent.bytes, expected, sizeof expected));
    agent_print(agent.bytes, agent.len, &text);
    cr_expect(strstr(text.data, "  10 const64 18446744073709551614\n"), "%s", text.data);
    cr_expect(strstr(text.data, "  29 if_goto 33\n"), "%s", text.data);
    buffer_free(&text);
}

Test(agent_assembler, what_would_leave_its_bounds_is_found) {
    static const struct {
        uint8_t bytes[12];
        size_t n;
        bool fine;
    } programs[] = {
        {{0x27}, 1, true},
        {{0x22, 1, 0x27}, 3, true},
        {{0}, 0, false},
        {{0x22, 1}, 2, false},                               /* no end */
        {{0x22}, 1, false},                                  /* no operand */
        {{0x02, 0x27}, 2, false},                            /* nothing to add */
        {{0x99, 0x27}, 2, false},                            /* no such instruction */
        {{0x21, 0, 9, 0x27}, 4, false},                      /* a jump out of it */
        {{0x21, 0, 0, 0x27}, 4, false},                      /* a loop */
        {{0x21, 0, 4, 0x22, 0x27, 0x27}, 6, false},          /* nothing leads to 3 */
        {{0x22, 1, 0x20, 0, 6, 0x22, 0x27, 0x27}, 8, false}, /* into an operand */
        {{0x22, 1, 0x20, 0, 7, 0x22, 2, 0x27}, 8, false},    /* two depths meet */
        {{0x22, 1, 0x20, 0, 6, 0x27, 0x27}, 7, true},
    };
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        cr_expect_eq(agent_check(programs[i].bytes, programs[i].n), programs[i].fine, "program %zu",
                     i);
    uint8_t deep[300];
    for (size_t i = 0; i < 100; i++)
        deep[2 * i] = 0x22, deep[2 * i + 1] = 1;
    deep[200] = 0x27;
    cr_expect(!agent_check(deep, 201));
    struct agent agent = {.len = 0};
    for (int i = 0; i < 3000; i++)
        agent_op(&agent, AGENT_DUP);
    cr_expect(agent.failed);
    srand(3);
    for (int round = 0; round < 200000; round++) { /* any bytes: nothing is read behind them */
        uint8_t *bytes = malloc(12);
        size_t n = (size_t)(rand() % 13);
        struct buffer text = BUFFER_INIT(4096);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(rand() % 3 ? rand() % 0x30 : rand());
        agent_check(bytes, n);
        if (round % 64 == 0)
            agent_print(bytes, n, &text);
        buffer_free(&text);
        free(bytes);
    }
}
