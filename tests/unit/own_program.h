/* Expressions of the target's language over this program's own debug info and memory. */
#pragma once

#include "expr/target.h"
#include "lang/shape.h"
#include "unit.h"
#include <fcntl.h>
#include <unistd.h>

static struct space space;
static struct memory memory;
static int self = -1; /* /proc/self/mem */
static shape_fn *the_shape = lang_shape;
static int anchor, *volatile where_we_are = &anchor;

static inline void open_self(void) {
    struct module *module;
    self = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    cr_assert(self >= 0);
    cr_assert_null(module_open("/proc/self/exe", &module));
    /* where were we loaded? */
    struct elf_symbol **found;
    cr_assert(module_symbols_named(module, "anchor", &found));
    uint64_t bias = (uint64_t)(uintptr_t)where_we_are - found[0]->address;
    cr_assert_null(space_add(&space, module, bias));
}

static inline void close_self(void) {
    memory_free(&memory);
    space_free(&space);
    close(self);
}

static inline struct error *compile(const char *text, struct target_expr **out, size_t *at) {
    struct target_site site = {.space = &space, .shape = the_shape};
    return target_expr_compile(text, &site, out, at);
}

/* Our own memory, as a driver would fetch it. Returns the value's JSON, or why there is none. */
static inline char *json(const char *text) {
    static struct frame frame;
    struct registers registers = {.arch = space.arch};
    struct arena scratch = ARENA_INIT(1 << 20);
    struct evaluation evaluation = {.frame = &frame, .scratch = &scratch, .shape = the_shape};
    struct show_limits limits = {64, 8, 1, 4096};
    struct buffer into = BUFFER_INIT(1 << 20), out = BUFFER_INIT(1 << 20);
    struct target_expr *expr;
    struct operand operand;
    size_t at;
    struct error *error = compile(text, &expr, &at);
    cr_assert_null(error, "%s: %s", text, error ? error->message : "");
    memory_forget(&memory);
    frame_start(&frame, &space, &memory, &registers);
    for (int round = 0; round < 16 && !out.len; round++) {
        enum outcome outcome = target_expr_evaluate(expr, &evaluation, &operand);
        if (outcome == EVAL_FAILED)
            buffer_puts(&out, evaluation.why);
        buffer_clear(&into);
        if (outcome == EVAL_OK) {
            evaluation.again = false;
            value_ref ref = operand_show(&evaluation, &operand, &limits, SHOW_AS_IS, &into);
            if (!evaluation.again)
                value_json(&into, ref, &out);
        }
        for (size_t i = 0; i < memory.want_count; i++) {
            struct memory_range want = memory.wants[i];
            char bytes[4096];
            size_t n = want.size < sizeof bytes ? want.size : sizeof bytes;
            ssize_t got = pread(self, bytes, n, (off_t)want.address);
            memory_fill(&memory, want.address, bytes, got > 0 ? (size_t)got : 0, want.size);
        }
        memory.want_count = 0;
    }
    target_expr_free(expr);
    buffer_free(&into);
    arena_free(&scratch);
    return buffer_take(&out);
}

static inline void is(const char *text, const char *expected) {
    char *got = json(text);
    cr_assert_str_eq(got, expected, "%s: %s, not %s", text, got, expected);
    free(got);
}
