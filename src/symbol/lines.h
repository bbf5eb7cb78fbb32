/* Line tables: which source line has which code. */
#pragma once

#include "symbol/module.h"

struct line_row {
    uint64_t address;
    uint32_t line, file, order;
    bool statement, end, prologue_end;
    bool marked;    /* its line has had a discriminator since it began */
    bool continues; /* the code before it is of the same line, in another part of it: as gdb has it
                     */
};

struct lines {
    struct line_row *rows; /* sorted by address */
    size_t count;
    const char **files; /* whole paths, in the unit's arena */
    size_t file_count;
};

#define LINES_MAX 20000000

/* NULL: the unit has none. Read once. */
const struct lines *unit_lines(struct unit *unit);
/* Rows that libdwarf says are of file 0, and for which the line program at `offset` names no file.
 */
void lines_begin_files(struct unit *unit, uint64_t offset, struct lines *lines);

/* False: the table at `offset` claims more directories than its header has bytes; libdwarf 20210528
 * would make room for all of them. */
bool lines_are_plausible(struct unit *unit, uint64_t offset);
void lines_free(struct lines *lines);

/* The row that covers `pc`, as gdb chooses it; NULL: none does. */
const struct line_row *line_at(const struct lines *lines, uint64_t pc);
const char *line_file(const struct lines *lines, const struct line_row *row);

/* The address where the code of the line after the one at `pc` begins, inside of [pc, end); `pc`
 * where there is none. */
uint64_t line_next(const struct lines *lines, uint64_t pc, uint64_t end);

/* How many rows are of addresses below `address`. */
size_t lines_before(const struct lines *lines, uint64_t address);

/* Does the code of a line begin at `pc`? */
bool line_begins(const struct lines *lines, uint64_t pc);

/* Is `suffix` ("main.c", "src/main.c") the end of `path`, at a slash? */
bool path_ends_with(const char *path, const char *suffix);
