/* `return` in Go: target_result.c has C's and its kin's. */
#include "expr/target_generic.h"
#include "expr/target_go_abi.h"
#include "expr/target_result.h"

/* "(int, error)", with a member for each. */
static const struct type *all_of(struct compiler *c, const struct member *results, size_t count) {
    struct arena *arena = &c->view.module->arena;
    struct type *made = ARENA_NEW(arena, struct type);
    struct buffer name = BUFFER_INIT(4096);
    const struct member *last = &results[count - 1];
    buffer_putc(&name, '(');
    for (size_t i = 0; i < count; i++)
        buffer_printf(&name, "%s%s", i ? ", " : "", compiler_type_text(c, results[i].type));
    buffer_puts(&name, ")");
    if (made)
        *made = (struct type){.kind = TYPE_STRUCT,
                              .name = arena_strdup(arena, name.data ? name.data : "()"),
                              .size = last->offset + type_plain(last->type)->size,
                              .members = arena_copy(arena, results, count * sizeof *results),
                              .member_count = count,
                              .unit_go = true,
                              .complete = true};
    buffer_free(&name);
    return made && made->members ? made : NULL;
}

const struct type *compile_go_return(struct compiler *c, const struct target_node *node) {
    struct go_call call;
    bool fits = go_call_of(c, &call);
    if (fits && !call.result_count)
        return compiler_fail(c, node, "this function returns nothing");
    if (!fits)
        return compiler_fail(c, node,
                             "what Go's functions return is read on x86-64 and aarch64, "
                             "up to %d results of up to %d arguments",
                             GO_RESULTS, GO_ARGUMENTS);
    if (call.on_stack && !call.confirmed) /* Go 1.19 does not tell of those without a name */
        return compiler_fail(c, node,
                             "a result is left on the stack, at a place that is not known: the "
                             "debug info does not have all of the function's arguments");
    for (size_t i = 0; i < call.result_count; i++)
        call.results[i].type = generic_type(c, call.results[i].type);
    const struct type *type =
        call.result_count == 1 ? call.results[0].type : all_of(c, call.results, call.result_count);
    struct insn *insn = type ? compiler_emit(c, I_RESULT, type) : NULL;
    if (!insn)
        return compiler_fail(c, node, "no memory is left");
    insn->pieces = arena_copy(&c->expr->arena, call.pieces, call.piece_count * sizeof *call.pieces);
    insn->n = call.piece_count;
    return compiler_settle(c, type);
}
