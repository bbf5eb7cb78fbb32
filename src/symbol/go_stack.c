#include "symbol/go_stack.h"

#include "symbol/gosym.h"
#include "symbol/types.h"
#include <elf.h>
#include <string.h>

static const struct gosym *table_of(const struct frame *frame) {
    return gosym_of(frame->loaded->module->elf);
}

bool go_stack_ends(const struct frame *frame, uint64_t pc) {
    const struct gosym *table = table_of(frame);
    const struct loaded *loaded = table ? space_at(frame->space, pc) : NULL;
    return table && (!loaded || !elf_is_code(loaded->module->elf, pc - loaded->bias) ||
                     (!frame->innermost && gosym_begins_thread(table, frame_lookup_pc(frame))));
}

bool go_stack_is_injected(const struct frame *frame) {
    const struct gosym *table = table_of(frame);
    return table && gosym_is_injected(table, frame_lookup_pc(frame));
}

/* A goroutine's stack is left once: what it is left for is the thread's, whose end is there. */
bool go_stack_leaves(const struct frame *frame) {
    const struct gosym *table = table_of(frame);
    return table && !frame->innermost && !frame->on_goroutine &&
           gosym_leaves_goroutine(table, frame_lookup_pc(frame));
}

bool go_stack_pretends(const struct frame *frame) {
    const struct gosym *table = frame->loaded ? table_of(frame) : NULL;
    return table && gosym_pretends(table, frame->pc - frame->loaded->bias);
}

/* ---- the goroutine's record ---- */

enum { SAVED_SP, SAVED_PC, SAVED_BP, SAVED_LR, SAVED };

/* Where the fields are that lead from a thread's g to what is kept of its goroutine's registers:
 * offsets in the structs of runtime/runtime2.go. */
struct go_layout {
    bool known;
    uint64_t m, curg;      /* in g, in m */
    uint64_t saved[SAVED]; /* in g */
};

/* Adds the field's offset to *out. */
static bool find_field(struct module *module, const char *holder, const char *name, uint64_t *out) {
    struct unit *near = unit_at(module, module->elf->entry);
    const struct type *type = type_named(module, holder, near);
    type = type ? type_complete(module, type_plain(type)) : NULL;
    for (size_t i = 0; type && i < type->member_count; i++)
        if (type->members[i].name && !strcmp(type->members[i].name, name)) {
            *out += type->members[i].offset;
            return true;
        }
    return false;
}

static bool read_layout(struct module *module, struct go_layout *layout) {
    static const char *const names[SAVED] = {"sp", "pc", "bp", "lr"};
    for (int i = 0; i < SAVED; i++)
        if (!find_field(module, "runtime.g", "sched", &layout->saved[i]) ||
            !find_field(module, "runtime.gobuf", names[i], &layout->saved[i]))
            return false;
    return find_field(module, "runtime.g", "m", &layout->m) &&
           find_field(module, "runtime.m", "curg", &layout->curg);
}

static const struct go_layout *layout_of(struct module *module) {
    struct go_layout *layout = module->go_layout;
    if (layout || !module->dwarf)
        return layout;
    layout = module->go_layout = ARENA_NEW(&module->arena, struct go_layout);
    if (layout)
        layout->known = read_layout(module, layout);
    return layout;
}

void go_stack_prepare(struct module *module) {
    if (gosym_of(module->elf))
        layout_of(module);
}

/* Where the thread's g is below the thread pointer: in the program's thread-local variables, of
 * which it is the only one where Go's linker has made the program without C (cmd/link, "TLS"). */
static uint64_t distance_of_g(struct module *module) {
    const struct elf_file *elf = module->elf;
    struct elf_symbol **found;
    if (!elf->has_tls)
        return elf->arch->word;
    uint64_t block = (elf->tls_size + elf->tls_align - 1) / elf->tls_align * elf->tls_align;
    return block - (module_symbols_named(module, "runtime.tlsg", &found) ? found[0]->address : 0);
}

/* Go's code keeps g in a register, and where C's may have changed that, in a thread-local variable.
 */
static enum unwind_result find_g(const struct frame *frame, uint64_t *g, const char **why) {
    const struct arch *arch = frame->registers.arch;
    uint64_t thread;
    if (arch->machine != EM_X86_64)
        return registers_get(&frame->registers, arch->go_g, g) ? UNWIND_OK : UNWIND_END;
    if (!registers_get(&frame->registers, (unsigned)arch->tls, &thread))
        return UNWIND_END;
    return frame_word(frame, thread - distance_of_g(frame->loaded->module), g, why);
}

/* runtime.g begins with the bounds of its stack: the low one, then the high one. */
enum unwind_result go_stack_top(const struct frame *frame, uint64_t *g, uint64_t *top,
                                const char **why) {
    if (!frame->loaded || !table_of(frame))
        return UNWIND_END;
    enum unwind_result result = find_g(frame, g, why);
    if (result == UNWIND_OK && !*g)
        return UNWIND_END;
    return result == UNWIND_OK ? frame_word(frame, *g + frame->registers.arch->word, top, why)
                               : result;
}

/* What the runtime has kept of the goroutine's registers. */
static enum unwind_result find_saved(const struct frame *frame, const struct go_layout *layout,
                                     uint64_t saved[static SAVED], const char **why) {
    uint64_t g, m, curg;
    enum unwind_result result = find_g(frame, &g, why);
    if (result == UNWIND_OK)
        result = frame_word(frame, g + layout->m, &m, why);
    if (result == UNWIND_OK)
        result = m ? frame_word(frame, m + layout->curg, &curg, why) : UNWIND_END;
    if (result != UNWIND_OK || !curg || curg == g)
        return result == UNWIND_OK ? UNWIND_END : result;
    for (int i = 0; i < SAVED; i++) {
        enum unwind_result one = frame_word(frame, curg + layout->saved[i], &saved[i], why);
        result = one > result ? one : result;
    }
    return result;
}

enum unwind_result go_stack_unwind(const struct frame *frame, struct frame *caller, uint64_t *pc,
                                   const char **why) {
    const struct arch *arch = frame->registers.arch;
    const struct go_layout *layout = layout_of(frame->loaded->module);
    uint64_t saved[SAVED];
    if (!layout || !layout->known)
        return UNWIND_END;
    enum unwind_result result = find_saved(frame, layout, saved, why);
    if (result != UNWIND_OK)
        return result;
    registers_set(&caller->registers, (unsigned)arch->sp, saved[SAVED_SP]);
    registers_set(&caller->registers, (unsigned)arch->fp, saved[SAVED_BP]);
    if (arch->link >= 0) /* where a function asks for more stack before it has a frame */
        registers_set(&caller->registers, (unsigned)arch->link, saved[SAVED_LR]);
    *pc = saved[SAVED_PC];
    return saved[SAVED_SP] ? UNWIND_OK : UNWIND_END;
}
