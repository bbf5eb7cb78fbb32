#include "symbol/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 1000000

static const char *join(struct arena *arena, const char *comp_dir, const char *dir,
                        const char *name) {
    char path[8192];
    if (*name == '/')
        return name;
    bool absolute = dir && *dir == '/';
    snprintf(path, sizeof path, "%s%s%s%s%s", absolute ? "" : comp_dir,
             absolute || !*comp_dir ? "" : "/", dir ? dir : "", dir && *dir ? "/" : "", name);
    return arena_strdup(arena, path);
}

static void read_files(struct unit *unit, struct lines *lines, Dwarf_Line_Context context) {
    Dwarf_Signed base = 0, count = 0, end = 0;
    Dwarf_Unsigned version = 0;
    Dwarf_Small tables;
    Dwarf_Error error = NULL;
    dwarf_fine(unit->dwarf, dwarf_srclines_version(context, &version, &tables, &error), &error);
    if (!dwarf_fine(unit->dwarf, dwarf_srclines_files_indexes(context, &base, &count, &end, &error),
                    &error) ||
        end < 0 || end > FILES_MAX)
        return;
    lines->files = arena_alloc(&unit->module->arena, (size_t)(end + 1) * sizeof *lines->files);
    lines->file_count = lines->files ? (size_t)end : 0;
    for (Dwarf_Signed i = base; lines->files && i < end; i++) {
        const char *name = NULL, *dir = NULL;
        Dwarf_Unsigned at = 0, time, length;
        Dwarf_Form_Data16 *md5;
        if (!dwarf_fine(
                unit->dwarf,
                dwarf_srclines_files_data_b(context, i, &name, &at, &time, &length, &md5, &error),
                &error) ||
            !name)
            continue;
        /* Directory 0 is the compilation's own: told in the table from DWARF 5 on. */
        if (at || version >= 5)
            dwarf_fine(unit->dwarf,
                       dwarf_srclines_include_dir_data(context, (Dwarf_Signed)at, &dir, &error),
                       &error);
        lines->files[i] = join(&unit->module->arena, unit->comp_dir, dir, name);
    }
}

static void read_row(struct dwarf *dwarf, Dwarf_Line line, struct line_row *row) {
    Dwarf_Addr address = 0;
    Dwarf_Unsigned number = 0, file = 0, isa, discriminator = 0;
    Dwarf_Bool statement = 0, end = 0, prologue_end = 0, epilogue = 0;
    Dwarf_Error error = NULL;
    dwarf_fine(dwarf, dwarf_lineaddr(line, &address, &error), &error);
    dwarf_fine(dwarf, dwarf_lineno(line, &number, &error), &error);
    dwarf_fine(dwarf, dwarf_line_srcfileno(line, &file, &error), &error);
    dwarf_fine(dwarf, dwarf_linebeginstatement(line, &statement, &error), &error);
    dwarf_fine(dwarf, dwarf_lineendsequence(line, &end, &error), &error);
    dwarf_fine(dwarf,
               dwarf_prologue_end_etc(line, &prologue_end, &epilogue, &isa, &discriminator, &error),
               &error);
    row->address = address;
    row->line = (uint32_t)number;
    row->file = (uint32_t)file;
    row->statement = statement;
    row->end = end && !epilogue; /* libdwarf 20210528 mixes them up */
    row->prologue_end = prologue_end;
    row->marked = discriminator;
}

static void join_to(const struct line_row *before, struct line_row *row) {
    if (before->end || row->line != before->line)
        return;
    row->marked |= before->marked;
    row->continues = row->marked && row->file == before->file;
}

static int by_address(const void *a, const void *b) {
    const struct line_row *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    if (x->end != y->end)
        return x->end ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* A sequence at address 0 is of code that the linker has dropped. Code of no line (0) counts as
 * that of the line before it, as gdb has it. */
static void drop_dead(struct lines *lines) {
    size_t kept = 0;
    bool dead = false, fresh = true;
    for (size_t i = 0; i < lines->count; i++) {
        struct line_row row = lines->rows[i];
        if (fresh)
            dead = row.address == 0;
        fresh = row.end;
        if (!dead && (row.line || row.end))
            lines->rows[kept++] = row;
    }
    lines->count = kept;
}

static struct lines *read_lines(struct unit *unit, struct die die) {
    Dwarf_Unsigned version;
    Dwarf_Small tables;
    Dwarf_Line_Context context;
    Dwarf_Line *list;
    Dwarf_Signed count = 0;
    Dwarf_Error error = NULL;
    uint64_t offset;
    if (!die_offset(die, DW_AT_stmt_list, &offset) || !lines_are_plausible(unit, offset) ||
        !dwarf_fine(unit->dwarf, dwarf_srclines_b(die.raw, &version, &tables, &context, &error),
                    &error))
        return NULL;
    struct lines *lines = calloc(1, sizeof *lines);
    bool fine = lines &&
                dwarf_fine(unit->dwarf,
                           dwarf_srclines_from_linecontext(context, &list, &count, &error), &error);
    if (fine && count > 0 && count < LINES_MAX)
        lines->rows = calloc((size_t)count, sizeof *lines->rows);
    for (Dwarf_Signed i = 0; fine && lines->rows && i < count; i++) {
        struct line_row *row = &lines->rows[lines->count++];
        row->order = (uint32_t)i;
        read_row(unit->dwarf, list[i], row);
    }
    if (lines) {
        lines_begin_files(unit, offset, lines);
        for (size_t i = 1; i < lines->count; i++)
            join_to(&lines->rows[i - 1], &lines->rows[i]);
        read_files(unit, lines, context);
        drop_dead(lines);
        if (lines->rows)
            qsort(lines->rows, lines->count, sizeof *lines->rows, by_address);
    }
    dwarf_srclines_dealloc_b(context);
    return lines;
}

const struct lines *unit_lines(struct unit *unit) {
    if (unit->skeleton)
        unit = unit->skeleton;
    if (unit->lines_read)
        return unit->lines;
    unit->lines_read = true;
    unit_load(unit);
    struct die die;
    if (die_at((struct die_place){unit->dwarf, unit->die, unit->types && unit->version < 5},
               &die)) {
        unit->lines = read_lines(unit, die);
        die_free(&die);
    }
    return unit->lines;
}

void lines_free(struct lines *lines) {
    if (lines)
        free(lines->rows);
    free(lines);
}

static size_t rows_until(const struct lines *lines, uint64_t pc) {
    size_t low = 0, high = lines->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lines->rows[middle].address <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t lines_before(const struct lines *lines, uint64_t address) {
    return address ? rows_until(lines, address - 1) : 0;
}

const struct line_row *line_at(const struct lines *lines, uint64_t pc) {
    size_t n = lines ? rows_until(lines, pc) : 0;
    if (!n || lines->rows[n - 1].end)
        return NULL;
    const struct line_row *best = &lines->rows[n - 1];
    for (const struct line_row *at = best; at > lines->rows && !at->statement; at--) {
        if (at[-1].address != best->address || at[-1].end || !at[-1].line)
            break;
        if (at[-1].statement)
            return at - 1;
    }
    return best;
}

const char *line_file(const struct lines *lines, const struct line_row *row) {
    return row->file < lines->file_count && lines->files[row->file] ? lines->files[row->file] : "";
}

uint64_t line_next(const struct lines *lines, uint64_t pc, uint64_t end) {
    size_t n = lines ? rows_until(lines, pc) : 0;
    if (!n)
        return pc;
    for (size_t i = n; i < lines->count && lines->rows[i].address < end; i++)
        if (!lines->rows[i].end && lines->rows[i].line && lines->rows[i].address > pc)
            return lines->rows[i].address;
    return pc;
}

bool line_begins(const struct lines *lines, uint64_t pc) {
    const struct line_row *row = line_at(lines, pc);
    return row && row->address == pc;
}

bool path_ends_with(const char *path, const char *suffix) {
    size_t n = strlen(path), k = strlen(suffix);
    while (k > 2 && suffix[0] == '.' && suffix[1] == '/')
        suffix += 2, k -= 2;
    return k && n >= k && !memcmp(path + n - k, suffix, k) &&
           (n == k || path[n - k - 1] == '/' || suffix[0] == '/');
}
