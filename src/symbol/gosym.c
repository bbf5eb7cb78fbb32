#include "symbol/gosym.h"

#include "symbol/lines.h"
#include <string.h>

#define MAGIC_118 0xfffffff0
#define MAGIC_120 0xfffffff1
#define MODULEDATA_TEXT 22 /* words before moduledata.text, since Go 1.18 (runtime/symtab.go) */
#define STEPS_MAX 1000000  /* of one function's table */

struct gosym {
    const uint8_t *bytes;
    uint64_t size, address;                                 /* of the section */
    uint64_t text;                                          /* what entries are relative to */
    uint64_t count, names, units, files, values, functions; /* offsets into the section */
    unsigned quantum, word;
};

/* What struct _func has, in words of 32 bits. */
enum {
    FUNC_ENTRY,
    FUNC_NAME,
    FUNC_ARGS,
    FUNC_DEFER,
    FUNC_PCSP,
    FUNC_PCFILE,
    FUNC_PCLN,
    FUNC_NPC,
    FUNC_UNIT
};

static uint64_t word_at(const uint8_t *bytes, unsigned size) {
    uint64_t value = 0;
    memcpy(&value, bytes, size);
    return value;
}

static bool u32(const struct gosym *table, uint64_t at, uint32_t *out) {
    if (at > table->size || table->size - at < 4)
        return false;
    memcpy(out, table->bytes + at, 4);
    return true;
}

static const char *text(const struct gosym *table, uint64_t at) {
    if (at >= table->size || !memchr(table->bytes + at, 0, table->size - at))
        return NULL;
    return (const char *)table->bytes + at;
}

/* From Go 1.26 on the table does not hold the address of the code. The runtime's own record of it
 * begins with a pointer to the table, followed by one to its names. */
static uint64_t find_text(struct elf_file *elf, const struct gosym *table) {
    unsigned word = table->word;
    for (size_t i = 0; i < elf->section_count; i++) {
        struct elf_section *section = &elf->sections[i];
        bool data = (section->flags & 3) == 3; /* SHF_WRITE, SHF_ALLOC */
        const uint8_t *bytes = data ? elf_section_data(elf, section, NULL) : NULL;
        uint64_t need = (MODULEDATA_TEXT + 1) * (uint64_t)word;
        for (uint64_t at = 0; bytes && at + need <= section->size; at += word)
            if (word_at(bytes + at, word) == table->address &&
                word_at(bytes + at + word, word) == table->address + table->names)
                return word_at(bytes + at + (uint64_t)MODULEDATA_TEXT * word, word);
    }
    return 0;
}

static bool read_head(struct elf_file *elf, struct gosym *table) {
    uint32_t magic;
    if (!u32(table, 0, &magic) || (magic != MAGIC_118 && magic != MAGIC_120) || table->size < 80)
        return false;
    table->quantum = table->bytes[6];
    table->word = table->bytes[7];
    if ((table->word != 4 && table->word != 8) || !table->quantum)
        return false;
    const uint8_t *at = table->bytes + 8;
    uint64_t fields[8];
    for (int i = 0; i < 8; i++, at += table->word)
        fields[i] = word_at(at, table->word);
    table->count = fields[0];
    table->text = fields[2];
    table->names = fields[3];
    table->units = fields[4];
    table->files = fields[5];
    table->values = fields[6];
    table->functions = fields[7];
    if (table->functions > table->size || table->count > (table->size - table->functions) / 8)
        return false;
    table->text = table->text ? table->text : find_text(elf, table);
    return table->text;
}

struct gosym *gosym_of(struct elf_file *elf) {
    struct elf_section *section = elf_section_named(elf, ".gopclntab");
    if (elf->gosym_read)
        return elf->gosym;
    elf->gosym_read = true;
    section = section ? section : elf_section_named(elf, ".data.rel.ro.gopclntab");
    const uint8_t *bytes = section ? elf_section_data(elf, section, NULL) : NULL;
    struct gosym *table = bytes ? ARENA_NEW(&elf->arena, struct gosym) : NULL;
    if (!table)
        return NULL;
    *table = (struct gosym){.bytes = bytes, .size = section->size, .address = section->address};
    if (read_head(elf, table))
        elf->gosym = table;
    return elf->gosym;
}

/* ---- functions ---- */

static bool entry_at(const struct gosym *table, size_t i, uint64_t *entry, uint64_t *func) {
    uint32_t offset, where;
    uint64_t row = table->functions + 8 * (uint64_t)i;
    if (i > table->count || !u32(table, row, &offset))
        return false;
    *entry = table->text + offset;
    *func = u32(table, row + 4, &where) ? table->functions + where : table->size;
    return true;
}

bool gosym_function(const struct gosym *table, size_t i, const char **name, uint64_t *low,
                    uint64_t *high) {
    uint64_t func, next;
    uint32_t offset;
    if (i >= table->count || !entry_at(table, i, low, &func))
        return false;
    if (!entry_at(table, i + 1, high, &next) || *high < *low)
        *high = *low;
    *name = u32(table, func + 4 * FUNC_NAME, &offset) ? text(table, table->names + offset) : NULL;
    *name = *name ? *name : "";
    return true;
}

size_t gosym_at(const struct gosym *table, uint64_t pc) {
    size_t low = 0, high = table->count;
    uint64_t entry, func;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (!entry_at(table, middle, &entry, &func))
            return SIZE_MAX;
        if (entry <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    bool inside = low && entry_at(table, low, &entry, &func) && pc < entry;
    return inside ? low - 1 : SIZE_MAX;
}

/* ---- tables of values by pc ---- */

/* A value holds until `pc`; then comes the next one. */
struct walk {
    const struct gosym *table;
    uint64_t at, pc;
    int64_t value;
    bool first;
    unsigned steps;
};

static bool varint(struct walk *walk, uint32_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 32 && walk->at < walk->table->size; shift += 7) {
        uint8_t byte = walk->table->bytes[walk->at++];
        *out |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool begin(struct walk *walk, const struct gosym *table, uint64_t func, int field,
                  uint64_t entry) {
    uint32_t offset;
    if (!u32(table, func + 4 * (uint64_t)field, &offset) || !offset)
        return false;
    *walk = (struct walk){
        .table = table, .at = table->values + offset, .pc = entry, .value = -1, .first = true};
    return true;
}

static bool step(struct walk *walk) {
    uint32_t value, pc;
    if (++walk->steps > STEPS_MAX || !varint(walk, &value) || (!value && !walk->first) ||
        !varint(walk, &pc))
        return false;
    walk->first = false;
    walk->value += value & 1 ? -(int64_t)(value >> 1) - 1 : (int64_t)(value >> 1);
    walk->pc += (uint64_t)pc * walk->table->quantum;
    return true;
}

static bool value_at(const struct gosym *table, uint64_t func, int field, uint64_t entry,
                     uint64_t pc, int64_t *out) {
    struct walk walk;
    if (!begin(&walk, table, func, field, entry))
        return false;
    while (step(&walk))
        if (pc < walk.pc) {
            *out = walk.value;
            return true;
        }
    return false;
}

static const char *file_named(const struct gosym *table, uint64_t func, int64_t number) {
    uint32_t unit, offset;
    if (number < 0 || !u32(table, func + 4 * FUNC_UNIT, &unit) ||
        !u32(table, table->units + 4 * ((uint64_t)unit + (uint64_t)number), &offset))
        return NULL;
    return text(table, table->files + offset);
}

static bool is_one_of(const struct gosym *table, uint64_t pc, const char *const *names, size_t n) {
    const char *name;
    uint64_t low, high;
    size_t at = gosym_at(table, pc);
    if (at == SIZE_MAX || !gosym_function(table, at, &name, &low, &high))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

bool gosym_leaves_goroutine(const struct gosym *table, uint64_t pc) {
    static const char *const names[] = {"runtime.systemstack", "runtime.mcall", "runtime.morestack",
                                        "runtime.asmcgocall"};
    return is_one_of(table, pc, names, sizeof names / sizeof *names);
}

bool gosym_pretends(const struct gosym *table, uint64_t pc) {
    static const char *const names[] = {"runtime.systemstack_switch"};
    return is_one_of(table, pc, names, sizeof names / sizeof *names);
}

bool gosym_begins_thread(const struct gosym *table, uint64_t pc) {
    static const char *const names[] = {"runtime.clone"};
    return is_one_of(table, pc, names, sizeof names / sizeof *names);
}

bool gosym_is_injected(const struct gosym *table, uint64_t pc) {
    static const char *const names[] = {"runtime.asyncPreempt", "runtime.sigpanic",
                                        "runtime.debugCallV2"};
    return is_one_of(table, pc, names, sizeof names / sizeof *names);
}

bool gosym_arguments(const struct gosym *table, uint64_t pc, uint64_t *bytes) {
    uint64_t entry, func;
    uint32_t size;
    size_t i = gosym_at(table, pc);
    if (i == SIZE_MAX || !entry_at(table, i, &entry, &func) ||
        !u32(table, func + 4 * FUNC_ARGS, &size) || size > INT32_MAX) /* of assembly: negative */
        return false;
    *bytes = size;
    return true;
}

bool gosym_line(const struct gosym *table, uint64_t pc, const char **file, unsigned *line) {
    size_t i = gosym_at(table, pc);
    uint64_t entry, func;
    int64_t number, value;
    if (i == SIZE_MAX || !entry_at(table, i, &entry, &func) ||
        !value_at(table, func, FUNC_PCFILE, entry, pc, &number) ||
        !value_at(table, func, FUNC_PCLN, entry, pc, &value))
        return false;
    *file = file_named(table, func, number);
    *file = *file ? *file : "";
    *line = value > 0 ? (unsigned)value : 0;
    return true;
}

uint64_t gosym_start(const struct gosym *table, size_t function) {
    uint64_t entry = 0, func, before;
    struct walk walk;
    if (!entry_at(table, function, &entry, &func) || !begin(&walk, table, func, FUNC_PCSP, entry))
        return entry;
    for (before = entry; step(&walk); before = walk.pc)
        if (walk.value > 0)
            return before;
    return entry;
}

uint64_t gosym_find_line(const struct gosym *table, size_t function, const char *file,
                         unsigned line) {
    uint64_t entry, func, before;
    int64_t number;
    struct walk walk;
    if (!entry_at(table, function, &entry, &func) || !begin(&walk, table, func, FUNC_PCLN, entry))
        return 0;
    for (before = entry; step(&walk); before = walk.pc) {
        if (walk.value != line || !value_at(table, func, FUNC_PCFILE, entry, before, &number))
            continue;
        const char *name = file_named(table, func, number);
        if (name && path_ends_with(name, file))
            return before;
    }
    return 0;
}
