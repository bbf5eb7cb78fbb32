/* In which file a sequence of line rows begins (DWARF 5, section 6.2). It is file 1 until the
 * program says otherwise; libdwarf 20210528 begins with 0 where the table is DWARF 5's. */
#include "symbol/lines.h"

#include <string.h>

struct program {
    const uint8_t *at, *end, *lengths; /* the last: operands of each standard opcode */
    unsigned opcode_base;
};

static void skip_leb(struct program *program) {
    while (program->at < program->end && *program->at++ & 0x80)
        ;
}

static bool open_program(struct unit *unit, uint64_t offset, struct program *out) {
    size_t size;
    uint32_t length, header;
    uint16_t version;
    const uint8_t *bytes = dwarf_section(unit->dwarf, ".debug_line", &size);
    if (!bytes || size < 32 || offset > size - 32)
        return false;
    bytes += offset;
    memcpy(&length, bytes, 4);
    memcpy(&version, bytes + 4, 2);
    const uint8_t *at = bytes + (version >= 5 ? 8 : 6);
    memcpy(&header, at, 4);
    at += 4;
    if (length > size - offset - 4 || header > length) /* also 64-bit DWARF */
        return false;
    out->at = at + header;
    out->end = bytes + 4 + length;
    at += version >= 4 ? 5 : 4; /* to the opcode base */
    out->opcode_base = *at;
    out->lengths = at + 1;
    return out->opcode_base && out->lengths + out->opcode_base <= out->at && out->at <= out->end;
}

/* Takes one operation. True: it makes a row. */
static bool take(struct program *program, bool *says_file, bool *ends) {
    unsigned op = *program->at++;
    *ends = false;
    if (op >= program->opcode_base || op == DW_LNS_copy)
        return true;
    if (!op) {
        uint64_t length = 0;
        for (unsigned shift = 0; program->at < program->end && shift < 64; shift += 7) {
            length |= (uint64_t)(*program->at & 0x7f) << shift;
            if (!(*program->at++ & 0x80))
                break;
        }
        uint64_t left = (uint64_t)(program->end - program->at);
        *ends = left && length && *program->at == DW_LNE_end_sequence;
        program->at += length < left ? length : left;
        return *ends;
    }
    *says_file |= op == DW_LNS_set_file;
    if (op == DW_LNS_fixed_advance_pc)
        program->at += program->end - program->at < 2 ? program->end - program->at : 2;
    else
        for (unsigned i = 0; i < program->lengths[op - 1]; i++)
            skip_leb(program);
    return false;
}

/* Mends the rows, or counts them where `rows` is NULL. */
static size_t walk(struct program program, struct line_row *rows) {
    bool says_file = false, ends;
    size_t count = 0;
    while (program.at < program.end) {
        if (!take(&program, &says_file, &ends))
            continue;
        if (rows && !says_file && !rows[count].file)
            rows[count].file = 1;
        count++;
        says_file &= !ends;
    }
    return count;
}

void lines_begin_files(struct unit *unit, uint64_t offset, struct lines *lines) {
    struct program program;
    if (open_program(unit, offset, &program) && walk(program, NULL) == lines->count)
        walk(program, lines->rows);
}

/* DWARF 5 writes how many directories there are before them. */
bool lines_are_plausible(struct unit *unit, uint64_t offset) {
    struct program program;
    size_t size;
    const uint8_t *bytes = dwarf_section(unit->dwarf, ".debug_line", &size);
    if (!open_program(unit, offset, &program) || bytes[offset + 4] < 5)
        return true;
    const uint8_t *header_end = program.at;
    uint64_t count = 0;
    program.at = program.lengths + program.opcode_base - 1;
    program.end = header_end;
    for (unsigned left = program.at < header_end ? 2u * *program.at++ : 0; left; left--)
        skip_leb(&program);
    for (unsigned shift = 0; program.at < header_end && shift < 64; shift += 7) {
        count |= (uint64_t)(*program.at & 0x7f) << shift;
        if (!(*program.at++ & 0x80))
            break;
    }
    return count <= (uint64_t)(header_end - program.at);
}
