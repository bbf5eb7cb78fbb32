/* Where a function begins for people: behind its prologue. */
#include "symbol/functions.h"
#include "symbol/lines.h"

#include <string.h>

static const struct range *range_with(const struct function *function, uint64_t pc) {
    for (size_t i = 0; i < function->range_count; i++)
        if (pc >= function->ranges[i].low && pc < function->ranges[i].high)
            return &function->ranges[i];
    return NULL;
}

static uint64_t marked_end(const struct lines *lines, const struct range *range) {
    size_t i = lines ? lines_before(lines, range->low) : 0;
    for (; lines && i < lines->count && lines->rows[i].address < range->high; i++)
        if (lines->rows[i].prologue_end)
            return lines->rows[i].address;
    return 0;
}

/* Where a statement begins first. */
static uint64_t first_statement(const struct lines *lines, const struct range *range) {
    for (size_t i = lines_before(lines, range->low);
         i < lines->count && lines->rows[i].address < range->high; i++)
        if (lines->rows[i].statement && lines->rows[i].address >= range->low)
            return lines->rows[i].address;
    return range->low;
}

/* Where the frame has been set up; in the middle of a line's code, where the next one begins. */
static uint64_t after_setup(const struct function *function, const struct lines *lines,
                            const struct range *range) {
    struct elf_file *elf = function->unit->module->elf;
    uint8_t code[32];
    if (!elf->arch || !elf->arch->frame_setup)
        return line_next(lines, function->entry, range->high);
    size_t size = elf_read(elf, function->entry, code, sizeof code);
    uint64_t pc = function->entry + elf->arch->frame_setup(code, size);
    return line_begins(lines, pc) ? pc : line_next(lines, pc, range->high);
}

/* gdb: the line table's own mark is believed of clang alone (gcc writes none); optimised code with
 * location lists is right from its entry on; else the prologue ends where the second line begins.
 * Go marks the end of its prologues, and its entry is executed twice when the stack grows; Delve
 * takes the first statement of a function without a mark, which has no such prologue. */
uint64_t function_start(struct function *function) {
    struct unit *unit = function->unit;
    const struct lines *lines = unit_lines(unit);
    const struct range *range = range_with(function, function->entry);
    uint64_t marked = range ? marked_end(lines, range) : 0;
    bool clang = strstr(unit->producer, "clang") || strstr(unit_entries(unit)->producer, "clang");
    if (!range || !lines)
        return function->entry;
    if (marked && (clang || unit_is_go(unit) || unit->language == DW_LANG_Rust))
        return marked;
    if (unit_is_go(unit))
        return first_statement(lines, range);
    if (unit_is_optimised(unit))
        return function->entry;
    return after_setup(function, lines, range);
}
