#include "symbol/frames.h"

#include "symbol/go_stack.h"
#include "symbol/location.h"
#include "symbol/signal_frame.h"
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 328    /* DWARF register numbers that rules are kept for */
#define UNDEFINED 1034 /* what libdwarf is told to say for 'undefined', */
#define SAME 1035      /* 'same value' */
#define FRAMES_MAX_FDES 2000000
#define RESET_LINK 0xffffffff /* the link register after a reset: ARMv7-M, B1.5.5 */

enum rule_kind {
    RULE_SAME,
    RULE_UNDEFINED,
    RULE_AT,
    RULE_IS,
    RULE_REGISTER,
    RULE_AT_EXPR,
    RULE_IS_EXPR
};

struct rule {
    uint8_t kind;
    uint8_t slot;   /* the register that it is about */
    uint16_t dwarf; /* RULE_REGISTER: where it is; the CFA's base register */
    int64_t offset;
    const struct dwarf_expression *expression;
};

/* How to leave the frame of one pc. */
struct row {
    struct rule cfa;
    struct rule *rules; /* only those that are not RULE_SAME */
    size_t rule_count;
    int16_t return_column;
    bool signal;
};

struct table {
    struct dwarf *dwarf;
    Dwarf_Cie *cies;
    Dwarf_Fde *fdes;
    Dwarf_Signed cie_count, fde_count;
};

struct frames {
    struct table tables[2]; /* .eh_frame, .debug_frame */
    struct dwarf *own;      /* for a file without other debug info */
    struct map rows;        /* by pc */
};

#ifdef DW_LIBDWARF_VERSION
#define ENTRY_OFFSET(entry) ((entry)->dw_offset)
#define ENTRY_BLOCK(entry) ((const uint8_t *)(entry)->dw_block.bl_data)
#define ENTRY_LENGTH(entry) ((size_t)(entry)->dw_block.bl_len)
#define ALL_REGS(fde, pc, table, at, error)                                                        \
    dwarf_get_fde_info_for_all_regs3_b(fde, pc, table, at, NULL, NULL, error)
#define FREE_TABLE(table)                                                                          \
    dwarf_dealloc_fde_cie_list((table)->dwarf->dbg, (table)->cies, (table)->cie_count,             \
                               (table)->fdes, (table)->fde_count)
#else
#define ENTRY_OFFSET(entry) ((Dwarf_Signed)(entry)->dw_offset_or_block_len)
#define ENTRY_BLOCK(entry) ((const uint8_t *)(entry)->dw_block_ptr)
#define ENTRY_LENGTH(entry) ((size_t)(entry)->dw_offset_or_block_len)
#define ALL_REGS(fde, pc, table, at, error)                                                        \
    dwarf_get_fde_info_for_all_regs3(fde, pc, table, at, error)
#define FREE_TABLE(table)                                                                          \
    dwarf_fde_cie_list_dealloc((table)->dwarf->dbg, (table)->cies, (table)->cie_count,             \
                               (table)->fdes, (table)->fde_count)
#endif

static void prepare(struct dwarf *dwarf) {
    dwarf_set_frame_rule_table_size(dwarf->dbg, COLUMNS);
    dwarf_set_frame_undefined_value(dwarf->dbg, UNDEFINED);
    dwarf_set_frame_same_value(dwarf->dbg, SAME);
    dwarf_set_frame_rule_initial_value(dwarf->dbg, SAME);
    dwarf_set_frame_cfa_value(dwarf->dbg, DW_FRAME_CFA_COL3);
}

static void read_table(struct table *table, struct dwarf *dwarf, bool eh) {
    Dwarf_Error error = NULL;
    *table = (struct table){.dwarf = dwarf};
    int (*read)(Dwarf_Debug, Dwarf_Cie **, Dwarf_Signed *, Dwarf_Fde **, Dwarf_Signed *,
                Dwarf_Error *) = eh ? dwarf_get_fde_list_eh : dwarf_get_fde_list;
    if (!dwarf || !dwarf_fine(dwarf,
                              read(dwarf->dbg, &table->cies, &table->cie_count, &table->fdes,
                                   &table->fde_count, &error),
                              &error))
        *table = (struct table){.dwarf = dwarf};
}

/* .eh_frame is in the file that runs; .debug_frame where the debug info is. */
static struct frames *frames_of(struct module *module) {
    if (module->frames)
        return module->frames;
    struct frames *frames = module->frames = calloc(1, sizeof *frames);
    if (!frames)
        return NULL;
    struct dwarf *own = module->dwarf;
    if (module->debug != module->elf || !own) {
        error_free(dwarf_open_frames(module->elf, &frames->own));
        own = frames->own;
    }
    if (own)
        prepare(own);
    if (module->dwarf && module->dwarf != own)
        prepare(module->dwarf);
    read_table(&frames->tables[0], own, true);
    read_table(&frames->tables[1], module->dwarf ? module->dwarf : own, false);
    return frames;
}

void frames_free(struct frames *frames) {
    if (!frames)
        return;
    for (int i = 0; i < 2; i++)
        if (frames->tables[i].fdes)
            FREE_TABLE(&frames->tables[i]);
    map_free(&frames->rows);
    dwarf_close(frames->own);
    free(frames);
}

/* ---- rows ---- */

static bool read_rule(struct module *module, struct dwarf *dwarf,
                      const Dwarf_Regtable_Entry3 *entry, struct rule *rule) {
    rule->dwarf = entry->dw_regnum;
    switch (entry->dw_value_type) {
    case DW_EXPR_OFFSET:
        if (entry->dw_regnum == SAME)
            rule->kind = RULE_SAME;
        else if (entry->dw_regnum == UNDEFINED)
            rule->kind = RULE_UNDEFINED;
        else
            rule->kind = entry->dw_offset_relevant ? RULE_AT : RULE_REGISTER;
        rule->offset = entry->dw_offset_relevant ? ENTRY_OFFSET(entry) : 0;
        return true;
    case DW_EXPR_VAL_OFFSET:
        rule->kind = RULE_IS;
        rule->offset = ENTRY_OFFSET(entry);
        return true;
    default:
        rule->kind = entry->dw_value_type == DW_EXPR_EXPRESSION ? RULE_AT_EXPR : RULE_IS_EXPR;
        rule->expression = location_decode(module, dwarf, ENTRY_BLOCK(entry), ENTRY_LENGTH(entry));
        return rule->expression;
    }
}

static void read_cie(struct dwarf *dwarf, Dwarf_Fde fde, struct row *row) {
    Dwarf_Cie cie;
    Dwarf_Unsigned bytes, code_align, length;
    Dwarf_Signed data_align;
    Dwarf_Half column = 0, offset_size;
    Dwarf_Small version, *instructions;
    char *augmentation = NULL;
    Dwarf_Error error = NULL;
    if (!dwarf_fine(dwarf, dwarf_get_cie_of_fde(fde, &cie, &error), &error) ||
        !dwarf_fine(dwarf,
                    dwarf_get_cie_info_b(cie, &bytes, &version, &augmentation, &code_align,
                                         &data_align, &column, (void *)&instructions, &length,
                                         &offset_size, &error),
                    &error))
        return;
    row->return_column = (int16_t)column;
    row->signal = augmentation && strchr(augmentation, 'S');
}

static bool read_rows(struct module *module, struct dwarf *dwarf, Dwarf_Fde fde, uint64_t pc,
                      struct row *row) {
    static _Thread_local Dwarf_Regtable_Entry3 entries[COLUMNS];
    Dwarf_Regtable3 table = {.rt3_reg_table_size = COLUMNS, .rt3_rules = entries};
    Dwarf_Addr at;
    Dwarf_Error error = NULL;
    struct rule rules[ARCH_SLOTS];
    memset(entries, 0, sizeof entries);
    if (!dwarf_fine(dwarf, ALL_REGS(fde, pc, &table, &at, &error), &error) ||
        !read_rule(module, dwarf, &table.rt3_cfa_rule, &row->cfa))
        return false;
    const struct arch *arch = module->elf->arch;
    for (unsigned i = 0; i < COLUMNS && row->rule_count < ARCH_SLOTS; i++) {
        struct rule *rule = &rules[row->rule_count];
        struct arch_register reg;
        *rule = (struct rule){0};
        bool known = arch_register_of_dwarf(arch, i, &reg) || i == (unsigned)arch->return_column;
        if (!known || !read_rule(module, dwarf, &entries[i], rule) || rule->kind == RULE_SAME)
            continue;
        rule->slot =
            i == (unsigned)arch->return_column && arch->link < 0 ? (uint8_t)arch->pc : reg.slot;
        row->rule_count++;
    }
    row->rules = arena_copy(&module->arena, rules, row->rule_count * sizeof *rules);
    return row->rules || !row->rule_count;
}

static const struct row *row_at(struct module *module, uint64_t pc) {
    struct frames *frames = frames_of(module);
    struct row *row = frames ? map_get(&frames->rows, pc) : NULL;
    if (row || !frames || !module->elf->arch)
        return row;
    row = ARENA_NEW(&module->arena, struct row);
    for (int i = 0; row && i < 2; i++) {
        struct table *table = &frames->tables[i];
        Dwarf_Fde fde;
        Dwarf_Addr low, high;
        Dwarf_Error error = NULL;
        if (!table->fdes ||
            !dwarf_fine(table->dwarf,
                        dwarf_get_fde_at_pc(table->fdes, pc, &fde, &low, &high, &error), &error))
            continue;
        read_cie(table->dwarf, fde, row);
        if (!read_rows(module, table->dwarf, fde, pc, row)) {
            *row = (struct row){0};
            continue;
        }
        map_put(&frames->rows, pc, row);
        return row;
    }
    return NULL;
}

/* ---- unwinding ---- */

void frame_start(struct frame *frame, struct space *space, struct memory *memory,
                 const struct registers *registers) {
    memset(frame, 0, sizeof *frame);
    frame->space = space;
    frame->memory = memory;
    frame->registers = *registers;
    frame->innermost = true;
    registers_get(registers, (unsigned)registers->arch->pc, &frame->pc);
    frame->loaded = space_at(space, frame->pc);
}

uint64_t frame_lookup_pc(const struct frame *frame) {
    uint64_t bias = frame->loaded ? frame->loaded->bias : 0;
    return frame->pc - bias - !frame->innermost;
}

static enum unwind_result from_outcome(enum outcome outcome) {
    return outcome == EVAL_OK ? UNWIND_OK : outcome == EVAL_AGAIN ? UNWIND_AGAIN : UNWIND_FAILED;
}

static enum unwind_result compute(const struct rule *rule, struct frame *frame,
                                  const uint64_t *initial, uint64_t *out, const char **why) {
    struct located where;
    enum outcome outcome = location_evaluate(rule->expression, frame, initial, &where, why);
    if (outcome == EVAL_OK && where.pieces[0].kind == PIECE_MEMORY)
        *out = where.pieces[0].address;
    else if (outcome == EVAL_OK && where.pieces[0].kind == PIECE_VALUE)
        memcpy(out, where.pieces[0].value, sizeof *out);
    else if (outcome == EVAL_OK)
        return *why = "a frame rule computes no address", UNWIND_FAILED;
    return from_outcome(outcome);
}

static enum unwind_result find_cfa(struct frame *frame, const struct row *row, const char **why) {
    struct arch_register reg;
    uint64_t base;
    if (frame->has_cfa)
        return UNWIND_OK;
    if (row->cfa.expression) {
        enum unwind_result result = compute(&row->cfa, frame, NULL, &frame->cfa, why);
        frame->has_cfa = result == UNWIND_OK;
        return result;
    }
    *why = "the stack frame's base register is not known";
    if (!arch_register_of_dwarf(frame->registers.arch, row->cfa.dwarf, &reg) ||
        !registers_get(&frame->registers, reg.slot, &base))
        return UNWIND_FAILED;
    frame->cfa = base + (uint64_t)row->cfa.offset;
    if (frame->registers.arch->word == 4)
        frame->cfa = (uint32_t)frame->cfa;
    frame->has_cfa = true;
    return UNWIND_OK;
}

enum unwind_result frame_find_cfa(struct frame *frame, const char **why) {
    const struct row *row =
        frame->loaded ? row_at(frame->loaded->module, frame_lookup_pc(frame)) : NULL;
    if (frame->has_cfa)
        return UNWIND_OK;
    *why = "there is no unwind information for this code";
    return row ? find_cfa(frame, row, why) : UNWIND_FAILED;
}

enum unwind_result frame_word(const struct frame *frame, uint64_t address, uint64_t *out,
                              const char **why) {
    *out = 0;
    *why = "the stack cannot be read";
    switch (memory_read(frame->memory, address, out, frame->registers.arch->word)) {
    case MEMORY_OK: return UNWIND_OK;
    case MEMORY_AGAIN: return UNWIND_AGAIN;
    default: return UNWIND_FAILED;
    }
}

static enum unwind_result apply(const struct rule *rule, struct frame *frame, struct frame *caller,
                                const char **why) {
    uint64_t value, address;
    struct arch_register reg;
    enum unwind_result result = UNWIND_OK;
    switch (rule->kind) {
    case RULE_UNDEFINED: registers_forget(&caller->registers, rule->slot); return UNWIND_OK;
    case RULE_AT:
        result = frame_word(frame, frame->cfa + (uint64_t)rule->offset, &value, why);
        break;
    case RULE_IS: value = frame->cfa + (uint64_t)rule->offset; break;
    case RULE_REGISTER:
        if (!arch_register_of_dwarf(frame->registers.arch, rule->dwarf, &reg) ||
            !registers_get(&frame->registers, reg.slot, &value)) {
            registers_forget(&caller->registers, rule->slot);
            return UNWIND_OK;
        }
        break;
    case RULE_AT_EXPR:
        result = compute(rule, frame, &frame->cfa, &address, why);
        if (result == UNWIND_OK)
            result = frame_word(frame, address, &value, why);
        break;
    default: result = compute(rule, frame, &frame->cfa, &value, why); break;
    }
    if (result == UNWIND_OK)
        registers_set(&caller->registers, rule->slot, value);
    return result;
}

static void begin_caller(const struct frame *frame, struct frame *caller) {
    *caller = (struct frame){.space = frame->space,
                             .memory = frame->memory,
                             .registers = frame->registers,
                             .on_goroutine = frame->on_goroutine,
                             .depth = frame->depth + 1};
}

static enum unwind_result settle(struct frame *caller, uint64_t pc, bool interrupted) {
    const struct arch *arch = caller->registers.arch;
    if (arch->machine == EM_ARM && pc == RESET_LINK)
        return UNWIND_END;
    if (arch->machine == EM_ARM)
        pc &= ~UINT64_C(1); /* the bit that says Thumb is no part of the address */
    registers_set(&caller->registers, (unsigned)arch->pc, pc);
    caller->pc = pc;
    caller->loaded = space_at(caller->space, pc);
    caller->innermost = interrupted || is_signal_return(caller) || go_stack_pretends(caller);
    return pc ? UNWIND_OK : UNWIND_END;
}

static enum unwind_result by_goroutine(const struct frame *frame, struct frame *caller,
                                       const char **why) {
    uint64_t pc;
    begin_caller(frame, caller);
    caller->on_goroutine = true;
    enum unwind_result result = go_stack_unwind(frame, caller, &pc, why);
    if (result != UNWIND_OK || go_stack_ends(frame, pc))
        return result == UNWIND_OK ? UNWIND_END : result;
    return settle(caller, pc, false);
}

static enum unwind_result by_rules(struct frame *frame, const struct row *row, struct frame *caller,
                                   const char **why) {
    const struct arch *arch = frame->registers.arch;
    enum unwind_result worst = find_cfa(frame, row, why);
    struct arch_register ra;
    uint64_t pc;
    if (worst != UNWIND_OK)
        return worst;
    begin_caller(frame, caller);
    registers_set(&caller->registers, (unsigned)arch->sp, frame->cfa);
    for (size_t i = 0; i < row->rule_count; i++) {
        enum unwind_result one = apply(&row->rules[i], frame, caller, why);
        worst = one > worst ? one : worst;
    }
    if (worst != UNWIND_OK)
        return worst;
    unsigned slot = arch->link < 0 ? (unsigned)arch->pc
                    : arch_register_of_dwarf(arch, (uint64_t)row->return_column, &ra)
                        ? ra.slot
                        : (unsigned)arch->link;
    if (!registers_get(&caller->registers, slot, &pc))
        return UNWIND_END; /* the outermost frame says so with an undefined return address */
    if (arch->link >= 0 && row->signal)
        registers_get(&caller->registers, slot, &pc);
    if (arch->link >= 0 && !row->signal && pc == frame->pc && frame->cfa == 0)
        return UNWIND_END;
    if (go_stack_ends(frame, pc))
        return UNWIND_END;
    return settle(caller, pc, row->signal || go_stack_is_injected(frame));
}

static enum unwind_result by_signal_frame(struct frame *frame, struct frame *caller,
                                          const char **why) {
    uint64_t pc;
    *why = "what the kernel has saved of the interrupted code cannot be read";
    begin_caller(frame, caller);
    enum unwind_result result = signal_frame_unwind(frame, caller, &pc);
    return result == UNWIND_OK ? settle(caller, pc, true) : result;
}

/* The stubs of a procedure linkage table have no symbols, and often no unwind information. */
static bool is_stub(const struct frame *frame) {
    const struct elf_file *elf = frame->loaded ? frame->loaded->module->elf : NULL;
    uint64_t pc = frame_lookup_pc(frame);
    for (size_t i = 0; elf && i < elf->section_count; i++)
        if (!strncmp(elf->sections[i].name, ".plt", 4) && pc >= elf->sections[i].address &&
            pc - elf->sections[i].address < elf->sections[i].size)
            return true;
    return false;
}

/* Code without unwind information: the frame pointer's chain, where there is one. At a function's
 * first instruction the return address is still where the call has put it. */
static enum unwind_result by_frame_pointer(struct frame *frame, struct frame *caller,
                                           const char **why) {
    const struct arch *arch = frame->registers.arch;
    uint64_t sp = 0, fp = 0, words[2], pc;
    const struct elf_symbol *symbol =
        frame->loaded ? module_symbol_at(frame->loaded->module, frame_lookup_pc(frame)) : NULL;
    bool first = symbol && symbol->address == frame_lookup_pc(frame);
    bool at_entry = frame->innermost && (first || is_stub(frame));
    *why = "there is no unwind information for this code";
    if (at_entry && arch->link >= 0) {
        if (!registers_get(&frame->registers, (unsigned)arch->link, &pc))
            return UNWIND_FAILED;
        begin_caller(frame, caller);
        return settle(caller, pc, false);
    }
    if (arch->word != 8 || !registers_get(&frame->registers, (unsigned)arch->sp, &sp) ||
        !registers_get(&frame->registers, (unsigned)arch->fp, &fp))
        return UNWIND_FAILED;
    begin_caller(frame, caller);
    uint64_t from = at_entry ? sp : fp;
    if (from < sp || from % 8)
        return UNWIND_FAILED;
    switch (memory_read(frame->memory, from, words, at_entry ? 8 : 16)) {
    case MEMORY_AGAIN: return UNWIND_AGAIN;
    case MEMORY_FAULT: return UNWIND_FAILED;
    default: break;
    }
    if (!at_entry)
        registers_set(&caller->registers, (unsigned)arch->fp, words[0]);
    registers_set(&caller->registers, (unsigned)arch->sp, from + (at_entry ? 8 : 16));
    pc = words[at_entry ? 0 : 1];
    if (!space_at(frame->space, pc))
        return UNWIND_END;
    return settle(caller, pc, false);
}

#define DEPTH_MAX 10000

enum unwind_result frame_unwind(struct frame *frame, struct frame *caller, const char **why) {
    const struct row *row =
        frame->loaded ? row_at(frame->loaded->module, frame_lookup_pc(frame)) : NULL;
    uint64_t sp = 0, above = 0;
    *why = "the stack is too deep";
    if (frame->depth >= DEPTH_MAX)
        return UNWIND_FAILED;
    bool signal = row && row->signal, is_return = !signal && is_signal_return(frame);
    bool leaves = row && go_stack_leaves(frame);
    enum unwind_result result = is_return ? by_signal_frame(frame, caller, why)
                                : leaves  ? by_goroutine(frame, caller, why)
                                : row     ? by_rules(frame, row, caller, why)
                                          : by_frame_pointer(frame, caller, why);
    if (result != UNWIND_OK)
        return result;
    registers_get(&frame->registers, (unsigned)frame->registers.arch->sp, &sp);
    registers_get(&caller->registers, (unsigned)frame->registers.arch->sp, &above);
    /* Stacks grow down: what does not go up goes round in circles. A signal handler may have a
     * stack of its own, as goroutines do, and a leaf without a frame leaves sp as it is. */
    bool moved = above > sp || (above == sp && caller->pc != frame->pc);
    if (!moved && !signal && !is_return && !leaves) {
        *why = "the stack goes round in a circle";
        return UNWIND_FAILED;
    }
    return UNWIND_OK;
}
