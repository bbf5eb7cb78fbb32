/* What is known of a target's memory, what is missing, and what cannot be read. */
#include "unit.h"

#include "symbol/memory.h"
#include <string.h>

Test(memory, what_is_missing_is_wanted_once) {
    static struct memory memory;
    char bytes[16];
    cr_assert_eq(memory_read(&memory, 0x1000, bytes, 8), MEMORY_AGAIN);
    cr_assert_eq(memory_read(&memory, 0x1000, bytes, 16), MEMORY_AGAIN);
    cr_assert_eq(memory_read(&memory, 0x1004, bytes, 4), MEMORY_AGAIN);
    cr_assert_eq(memory.want_count, 1);
    cr_assert_eq(memory.wants[0].size, 16);
    memory_free(&memory);
}

Test(memory, neighbours_are_wanted_together) {
    static struct memory memory;
    memory_want(&memory, 0x1100, 16);
    memory_want(&memory, 0x1120, 16);
    memory_want(&memory, 0x10f0, 8);
    cr_assert_eq(memory.want_count, 1);
    cr_assert_eq(memory.wants[0].address, 0x10f0);
    cr_assert_eq(memory.wants[0].size, 0x40);
    memory_want(&memory, 0x1180, 16);
    cr_assert_eq(memory.want_count, 2, "too far away");
    memory_want(&memory, 0x1ff0, 16);
    memory_want(&memory, 0x2000, 16);
    cr_assert_eq(memory.want_count, 4, "one page may be there without the other");
    memory_free(&memory);
}

Test(memory, reads_across_blocks) {
    static struct memory memory;
    char bytes[8];
    memory_fill(&memory, 0x1000, "abcd", 4, 4);
    memory_fill(&memory, 0x1004, "efgh", 4, 4);
    cr_assert_eq(memory_read(&memory, 0x1002, bytes, 4), MEMORY_OK);
    cr_assert_not(memcmp(bytes, "cdef", 4));
    memory_free(&memory);
}

Test(memory, a_short_answer_is_a_fault_behind_it) {
    static struct memory memory;
    char bytes[8];
    memory_fill(&memory, 0x1ffc, "tail", 4, 256);
    cr_assert_eq(memory_read(&memory, 0x1ffc, bytes, 4), MEMORY_OK);
    cr_assert_eq(memory_read(&memory, 0x1ffe, bytes, 4), MEMORY_FAULT);
    cr_assert_eq(memory.want_count, 0);
    memory_free(&memory);
}

Test(memory, bounds_hold) {
    static struct memory memory;
    char byte;
    for (uint64_t i = 0; i < 2 * MEMORY_BLOCKS; i++)
        memory_want(&memory, 0x1000 + 64 * i, 8);
    cr_assert_eq(memory.want_count, MEMORY_BLOCKS);
    cr_assert(memory.full);
    cr_assert_eq(memory_read(&memory, 0x99999999, &byte, 1), MEMORY_FAULT);
    memory_forget(&memory);
    cr_assert_eq(memory_read(&memory, 0x1000, &byte, 1), MEMORY_AGAIN);
    memory_want(&memory, UINT64_MAX - 3, 8); /* round the end: no range */
    cr_assert_eq(memory.want_count, 1);
    memory_free(&memory);
}

Test(memory, beyond_the_last_address) {
    struct memory memory = {0};
    uint8_t bytes[8];
    cr_assert_eq(memory_read(&memory, UINT64_MAX - 3, bytes, 8), MEMORY_FAULT);
    cr_assert_eq(memory.want_count, 0, "it can never come");
    memory_free(&memory);
}
