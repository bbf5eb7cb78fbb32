/* What a file takes from others: the undefined names in .dynsym. */
#include "symbol/elf.h"

#include <elf.h>
#include <string.h>

static bool is_named(const char *name, size_t most, const char *const *names) {
    for (size_t i = 0; names[i]; i++)
        if (strlen(names[i]) < most && !strcmp(names[i], name))
            return true;
    return false;
}

bool elf_mentions(struct elf_file *elf, const char *const *names) {
    struct elf_section *table = elf_section_named(elf, ".dynsym");
    struct elf_section *texts = elf_section_named(elf, ".dynstr");
    const uint8_t *symbols = table ? elf_section_data(elf, table, NULL) : NULL;
    const char *strings = texts ? (const char *)elf_section_data(elf, texts, NULL) : NULL;
    if (!elf->is64 || elf->big_endian || !symbols || !strings || !texts->size)
        return !elf->is64 || elf->big_endian || (table && !symbols);
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table->size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, symbols + at, sizeof symbol);
        uint64_t most = symbol.st_name < texts->size ? texts->size - symbol.st_name : 0;
        if (most && memchr(strings + symbol.st_name, '\0', most) &&
            is_named(strings + symbol.st_name, most, names))
            return true;
    }
    return false;
}
