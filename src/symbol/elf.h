/* An ELF file as a debugger sees it: sections, symbols, identity. All from outside: every size is
 * checked against the file and the maxima here before memory is spent on it. */
#pragma once

#include "arch/arch.h"
#include "base/arena.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

#define ELF_SECTION_MAX (UINT64_C(2) << 30) /* bytes of one section, decompressed */
#define ELF_SECTIONS_MAX 65536
#define ELF_SYMBOLS_MAX 8000000

struct gosym;

struct elf_section {
    const char *name;
    uint64_t address, size; /* size: decompressed, once it was read */
    uint64_t flags;
    unsigned type, link, info, entry_size;
    const uint8_t *data; /* once elf_section_data() has read it */
    bool failed;
};

enum elf_symbol_kind { SYMBOL_FUNCTION = 1, SYMBOL_OBJECT, SYMBOL_TLS, SYMBOL_OTHER };

struct elf_symbol {
    uint64_t address, size;
    const char *name;
    uint8_t kind;
    bool global, thumb, indirect; /* indirect: an IFUNC, whose address is its resolver's */
};

struct elf_file {
    char *path;
    struct elf_section *sections;
    size_t section_count;
    const struct arch *arch;       /* NULL: one that we do not know */
    unsigned machine, type, flags; /* e_machine, e_type, e_flags */
    bool big_endian, is64;
    uint64_t entry;
    uint64_t low, high;                        /* link-time addresses of what is loaded */
    uint64_t tls_address, tls_align, tls_size; /* of PT_TLS */
    bool has_tls;
    uint8_t build_id[64];
    size_t build_id_len;
    struct elf_symbol *symbols; /* sorted by address; after elf_load_symbols() */
    size_t symbol_count;
    bool symbols_loaded;
    struct gosym *gosym; /* gosym.h */
    bool gosym_read;
    struct elf_handle *handle; /* libelf's */
    struct arena arena;
};

/* `bytes` NULL: reads the file at `path`. Otherwise an image of `size` bytes that must stay (the
 * vDSO, a fuzzer's). ERROR_RUN where it cannot be read or is no ELF file. */
struct error *elf_open(const char *path, const void *bytes, size_t size, struct elf_file **out);
void elf_close(struct elf_file *elf);

struct elf_section *elf_section_named(struct elf_file *elf, const char *name);

/* Reads and, where needed, inflates a section once; NULL with the reason in *error (if not NULL).
 */
const uint8_t *elf_section_data(struct elf_file *elf, struct elf_section *section,
                                struct error **error);

/* The bytes that a section has or will have when it is inflated; 0 where its header is damaged. */
uint64_t elf_section_full_size(struct elf_file *elf, const struct elf_section *section);

/* Is the address in a section with code? */
bool elf_is_code(const struct elf_file *elf, uint64_t address);

/* Copies bytes of the loaded image by link-time address; how many there were. */
size_t elf_read(struct elf_file *elf, uint64_t address, void *out, size_t size);

/* .symtab, or .dynsym where that was stripped. Only functions and objects with a name. */
struct error *elf_load_symbols(struct elf_file *elf);

/* Does .dynsym have one of the names (the last is NULL), imported or defined? Also true where that
 * cannot be found out. */
bool elf_mentions(struct elf_file *elf, const char *const *names);

/* The symbol that covers `address`, or NULL. After elf_load_symbols(). */
const struct elf_symbol *elf_symbol_at(const struct elf_file *elf, uint64_t address);

/* Appends the build-id as hexadecimal digits; "" where there is none. */
void elf_build_id(const struct elf_file *elf, char out[static 129]);

/* The name and CRC in .gnu_debuglink; NULL if there is none. */
const char *elf_debuglink(struct elf_file *elf, uint32_t *crc);

/* The name in .gnu_debugaltlink, and the build-id that the file must have. */
const char *elf_altlink(struct elf_file *elf, const uint8_t **id, size_t *id_len);
