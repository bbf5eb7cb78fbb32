/* For libFuzzer: changes one section of an ELF file at a time, in its place, so that most of what
 * is tried is still read. A change anywhere would break the headers and be refused. */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

#define EVERYTHING 16 /* one in so many changes is anywhere */

static const char *const worth[] = {".debug_", ".zdebug_", ".eh_frame", ".symtab", ".gopclntab"};

static int is_worth_it(const char *name) {
    for (size_t i = 0; i < sizeof worth / sizeof *worth; i++)
        if (!strncmp(name, worth[i], strlen(worth[i])))
            return 1;
    return 0;
}

/* Whether [offset, offset + n) is in the file. */
static int inside(uint64_t offset, uint64_t n, size_t size) {
    return offset <= size && n <= size - offset;
}

static int section_at(const uint8_t *data, size_t size, const Elf64_Ehdr *head, unsigned index,
                      Elf64_Shdr *out) {
    uint64_t at = head->e_shoff + (uint64_t)index * sizeof *out;
    if (index >= head->e_shnum || at < head->e_shoff || !inside(at, sizeof *out, size))
        return 0;
    memcpy(out, data + at, sizeof *out);
    return inside(out->sh_offset, out->sh_size, size);
}

static int chosen_section(const uint8_t *data, size_t size, unsigned seed, Elf64_Shdr *out) {
    Elf64_Ehdr head;
    Elf64_Shdr names;
    if (size < sizeof head)
        return 0;
    memcpy(&head, data, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || !head.e_shnum ||
        !section_at(data, size, &head, head.e_shstrndx, &names))
        return 0;
    for (unsigned i = 0; i < head.e_shnum; i++) {
        unsigned index = (seed + i) % head.e_shnum;
        if (!section_at(data, size, &head, index, out) || out->sh_type == SHT_NOBITS ||
            !out->sh_size || out->sh_name >= names.sh_size)
            continue;
        const char *name = (const char *)data + names.sh_offset + out->sh_name;
        if (memchr(name, 0, names.sh_size - out->sh_name) && is_worth_it(name))
            return 1;
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    Elf64_Shdr section;
    if (seed % EVERYTHING == 0 || !chosen_section(data, size, seed / EVERYTHING, &section))
        return LLVMFuzzerMutate(data, size, max);
    LLVMFuzzerMutate(data + section.sh_offset, section.sh_size, section.sh_size);
    return size;
}
