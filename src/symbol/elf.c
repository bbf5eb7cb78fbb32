#include "symbol/elf.h"

#include "symbol/gosym.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

struct elf_handle {
    int fd;
    Elf *elf;
};

static struct error *bad(const struct elf_file *elf, const char *what) {
    const char *why = elf_errmsg(-1);
    return error_new(ERROR_RUN, "%s: %s%s%s", elf->path, what, why ? ": " : "", why ? why : "");
}

static struct error *open_handle(struct elf_file *elf, const void *bytes, size_t size) {
    struct elf_handle *handle = elf->handle = calloc(1, sizeof *handle);
    struct stat info;
    if (!handle)
        return error_no_memory();
    handle->fd = -1;
    elf_version(EV_CURRENT);
    if (bytes) {
        handle->elf = elf_memory((char *)bytes, size);
    } else {
        handle->fd = open(elf->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (handle->fd < 0 || fstat(handle->fd, &info))
            return error_new(ERROR_RUN, "cannot read %s: %s", elf->path, strerror(errno));
        if (!S_ISREG(info.st_mode))
            return error_new(ERROR_RUN, "cannot read %s: it is no regular file", elf->path);
        handle->elf = elf_begin(handle->fd, ELF_C_READ, NULL);
    }
    if (!handle->elf || elf_kind(handle->elf) != ELF_K_ELF)
        return error_new(ERROR_RUN,
                         "%s is no ELF file: give the program itself, not a script or "
                         "an archive",
                         elf->path);
    return NULL;
}

static struct error *read_head(struct elf_file *elf) {
    GElf_Ehdr head;
    if (!gelf_getehdr(elf->handle->elf, &head))
        return bad(elf, "its ELF header is damaged");
    elf->machine = head.e_machine;
    elf->flags = head.e_flags;
    elf->type = head.e_type;
    elf->entry = head.e_entry;
    elf->is64 = head.e_ident[EI_CLASS] == ELFCLASS64;
    elf->big_endian = head.e_ident[EI_DATA] == ELFDATA2MSB;
    elf->arch = elf->big_endian ? NULL : arch_of_machine(head.e_machine);
    return NULL;
}

static void read_segments(struct elf_file *elf) {
    size_t count = 0;
    GElf_Phdr segment;
    if (elf_getphdrnum(elf->handle->elf, &count) || count > 4096)
        return;
    elf->low = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!gelf_getphdr(elf->handle->elf, (int)i, &segment))
            continue;
        if (segment.p_type == PT_LOAD) {
            elf->low = segment.p_vaddr < elf->low ? segment.p_vaddr : elf->low;
            uint64_t end = segment.p_vaddr + segment.p_memsz;
            elf->high = end > elf->high ? end : elf->high;
        } else if (segment.p_type == PT_TLS) {
            elf->has_tls = true;
            elf->tls_address = segment.p_vaddr;
            elf->tls_size = segment.p_memsz;
            elf->tls_align = segment.p_align ? segment.p_align : 1;
        }
    }
    elf->low = elf->low > elf->high ? 0 : elf->low;
}

static struct error *read_sections(struct elf_file *elf) {
    size_t count = 0, names = 0;
    GElf_Shdr head;
    if (elf_getshdrnum(elf->handle->elf, &count) || elf_getshdrstrndx(elf->handle->elf, &names))
        return bad(elf, "its section headers are damaged");
    if (count > ELF_SECTIONS_MAX)
        return error_new(ERROR_RUN, "%s: %zu sections (%d are the most)", elf->path, count,
                         ELF_SECTIONS_MAX);
    elf->sections = calloc(count + 1, sizeof *elf->sections);
    if (!elf->sections)
        return error_no_memory();
    elf->section_count = count;
    for (size_t i = 0; i < count; i++) {
        struct elf_section *section = &elf->sections[i];
        section->name = "";
        Elf_Scn *scn = elf_getscn(elf->handle->elf, i);
        if (!scn || !gelf_getshdr(scn, &head))
            continue;
        const char *name = elf_strptr(elf->handle->elf, names, head.sh_name);
        *section = (struct elf_section){.name = name ? name : "",
                                        .address = head.sh_addr,
                                        .size = head.sh_size,
                                        .flags = head.sh_flags,
                                        .type = head.sh_type,
                                        .link = head.sh_link,
                                        .info = head.sh_info,
                                        .entry_size = (unsigned)head.sh_entsize};
    }
    return NULL;
}

static void read_build_id(struct elf_file *elf) {
    for (size_t i = 0; i < elf->section_count && !elf->build_id_len; i++) {
        struct elf_section *section = &elf->sections[i];
        if (section->type != SHT_NOTE || !elf_section_data(elf, section, NULL))
            continue;
        Elf_Data *data = elf_getdata(elf_getscn(elf->handle->elf, i), NULL);
        GElf_Nhdr note;
        size_t at = 0, name, desc, next;
        while (data && (next = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                !memcmp((char *)data->d_buf + name, "GNU", 4) &&
                note.n_descsz <= sizeof elf->build_id) {
                elf->build_id_len = note.n_descsz;
                memcpy(elf->build_id, (char *)data->d_buf + desc, note.n_descsz);
                break;
            }
            at = next;
        }
    }
}

struct error *elf_open(const char *path, const void *bytes, size_t size, struct elf_file **out) {
    struct elf_file *elf = calloc(1, sizeof *elf);
    if (!elf)
        return error_no_memory();
    elf->arena = ARENA_INIT((size_t)1 << 30);
    elf->path = strdup(path);
    struct error *error = elf->path ? open_handle(elf, bytes, size) : error_no_memory();
    if (!error)
        error = read_head(elf);
    if (!error)
        error = read_sections(elf);
    if (error) {
        elf_close(elf);
        return error;
    }
    read_segments(elf);
    read_build_id(elf);
    *out = elf;
    return NULL;
}

void elf_close(struct elf_file *elf) {
    if (!elf)
        return;
    if (elf->handle) {
        if (elf->handle->elf)
            elf_end(elf->handle->elf);
        if (elf->handle->fd >= 0)
            close(elf->handle->fd);
        free(elf->handle);
    }
    arena_free(&elf->arena);
    free(elf->symbols);
    free(elf->sections);
    free(elf->path);
    free(elf);
}

struct elf_section *elf_section_named(struct elf_file *elf, const char *name) {
    for (size_t i = 0; i < elf->section_count; i++)
        if (!strcmp(elf->sections[i].name, name))
            return &elf->sections[i];
    return NULL;
}

/* What a section says it inflates to: no deflate or zstd stream that a compiler writes grows by
 * more than this. */
#define INFLATE_RATIO 4096

static bool is_old_compressed(const struct elf_section *section) {
    return !strncmp(section->name, ".zdebug_", 8);
}

uint64_t elf_section_full_size(struct elf_file *elf, const struct elf_section *section) {
    Elf_Scn *scn = elf_getscn(elf->handle->elf, (size_t)(section - elf->sections));
    GElf_Chdr head;
    uint64_t size = 0;
    if (section->data || !scn)
        return section->size;
    if (section->flags & SHF_COMPRESSED) {
        size = gelf_getchdr(scn, &head) ? head.ch_size : 0;
    } else if (is_old_compressed(section)) {
        Elf_Data *raw = elf_rawdata(scn, NULL);
        bool sound = raw && raw->d_buf && raw->d_size >= 12 && !memcmp(raw->d_buf, "ZLIB", 4);
        for (int i = 4; sound && i < 12; i++)
            size = size << 8 | ((uint8_t *)raw->d_buf)[i];
    } else {
        return section->size;
    }
    return size <= ELF_SECTION_MAX && size / INFLATE_RATIO <= section->size ? size : 0;
}

/* zlib streams in a third of libelf's time, which uses zlib itself. False: libelf shall try. */
#ifdef HAVE_LIBDEFLATE
static bool inflate_fast(struct elf_file *elf, Elf_Scn *scn, struct elf_section *section) {
    GElf_Chdr head = {.ch_type = ELFCOMPRESS_ZLIB};
    bool new = section->flags &SHF_COMPRESSED;
    size_t skip = !new ? 12 : elf->is64 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);
    if (!new && !is_old_compressed(section))
        return false;
    uint64_t size = elf_section_full_size(elf, section);
    Elf_Data *raw = size ? elf_rawdata(scn, NULL) : NULL;
    if (!raw || raw->d_size <= skip || (new && !gelf_getchdr(scn, &head)) ||
        head.ch_type != ELFCOMPRESS_ZLIB)
        return false;
    struct libdeflate_decompressor *machine = libdeflate_alloc_decompressor();
    uint8_t *out = machine ? arena_alloc(&elf->arena, size) : NULL;
    bool fine =
        out && libdeflate_zlib_decompress(machine, (uint8_t *)raw->d_buf + skip, raw->d_size - skip,
                                          out, size, NULL) == LIBDEFLATE_SUCCESS;
    libdeflate_free_decompressor(machine);
    if (fine) {
        section->data = out;
        section->size = size;
    }
    return fine;
}
#else
static bool inflate_fast(struct elf_file *elf, Elf_Scn *scn, struct elf_section *section) {
    return (void)elf, (void)scn, (void)section, false;
}
#endif

static bool inflate(struct elf_file *elf, Elf_Scn *scn, const struct elf_section *section) {
    bool new = section->flags &SHF_COMPRESSED, old = is_old_compressed(section);
    if (!new && !old)
        return true;
    return elf_section_full_size(elf, section) &&
           (new ? elf_compress(scn, 0, 0) : elf_compress_gnu(scn, 0, 0)) >= 0;
}

const uint8_t *elf_section_data(struct elf_file *elf, struct elf_section *section,
                                struct error **error) {
    if (section->data)
        return section->data;
    Elf_Scn *scn = elf_getscn(elf->handle->elf, (size_t)(section - elf->sections));
    bool there =
        !section->failed && scn && section->type != SHT_NOBITS && section->size <= ELF_SECTION_MAX;
    if (there && inflate_fast(elf, scn, section))
        return section->data;
    there = there && inflate(elf, scn, section);
    Elf_Data *data = there ? elf_getdata(scn, NULL) : NULL;
    if (!data || !data->d_buf || !data->d_size) {
        section->failed = true;
        if (error)
            *error = bad(elf, section->name);
        return NULL;
    }
    section->size = data->d_size;
    return section->data = data->d_buf;
}

size_t elf_read(struct elf_file *elf, uint64_t address, void *out, size_t size) {
    for (size_t i = 0; i < elf->section_count; i++) {
        struct elf_section *section = &elf->sections[i];
        if (!(section->flags & SHF_ALLOC) || section->type == SHT_NOBITS ||
            address < section->address || address - section->address >= section->size)
            continue;
        const uint8_t *data = elf_section_data(elf, section, NULL);
        uint64_t at = address - section->address;
        if (!data || at >= section->size)
            return 0;
        size_t n = size < section->size - at ? size : (size_t)(section->size - at);
        memcpy(out, data + at, n);
        return n;
    }
    return 0;
}

static int by_address(const void *a, const void *b) {
    const struct elf_symbol *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    if (x->size != y->size) /* the one that covers more comes last: it is what a search finds */
        return x->size < y->size ? -1 : 1;
    if (x->global != y->global)
        return x->global ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* Mapping symbols ($a $t $d $x) of the Arm ABIs and local labels are no names for people. */
static bool is_noise(const struct elf_file *elf, const char *name) {
    if (!*name)
        return true;
    return name[0] == '$' &&
           (elf->machine == EM_ARM || elf->machine == EM_AARCH64 || elf->machine == EM_RISCV);
}

/* The linker writes "pthread_create@@GLIBC_2.34" into .symtab where .dynsym has a version beside
 * the name. An older one ("name@GLIBC_2.2.5") is not what the name means. */
static const char *without_version(struct elf_file *elf, const GElf_Sym *from, const char *name) {
    const char *at = GELF_ST_BIND(from->st_info) == STB_LOCAL ? NULL : strchr(name, '@');
    if (!at || at == name || at[1] != '@')
        return name;
    const char *bare = arena_strndup(&elf->arena, name, (size_t)(at - name));
    return bare ? bare : name;
}

static void take_symbol(struct elf_file *elf, const GElf_Sym *from, const char *name) {
    static const uint8_t kinds[16] = {[STT_FUNC] = SYMBOL_FUNCTION,
                                      [STT_GNU_IFUNC] = SYMBOL_FUNCTION,
                                      [STT_OBJECT] = SYMBOL_OBJECT,
                                      [STT_NOTYPE] = SYMBOL_OTHER,
                                      [STT_TLS] = SYMBOL_TLS};
    uint8_t kind = kinds[GELF_ST_TYPE(from->st_info)];
    if (!kind || from->st_shndx == SHN_UNDEF || from->st_shndx == SHN_ABS || !name ||
        is_noise(elf, name))
        return;
    bool thumb = elf->machine == EM_ARM && kind == SYMBOL_FUNCTION && from->st_value & 1;
    elf->symbols[elf->symbol_count++] =
        (struct elf_symbol){.address = from->st_value & ~(uint64_t)thumb,
                            .size = from->st_size,
                            .name = without_version(elf, from, name),
                            .kind = kind,
                            .global = GELF_ST_BIND(from->st_info) != STB_LOCAL,
                            .indirect = GELF_ST_TYPE(from->st_info) == STT_GNU_IFUNC,
                            .thumb = thumb};
}

/* A stripped Go program still has the table that its runtime needs. */
static struct error *symbols_of_go(struct elf_file *elf) {
    const struct gosym *table = gosym_of(elf);
    size_t count = 0;
    const char *name;
    uint64_t low, high;
    while (table && count < ELF_SYMBOLS_MAX && gosym_function(table, count, &name, &low, &high))
        count++;
    elf->symbols = calloc(count + 1, sizeof *elf->symbols);
    if (!elf->symbols)
        return error_no_memory();
    for (size_t i = 0; i < count && gosym_function(table, i, &name, &low, &high); i++)
        if (*name)
            elf->symbols[elf->symbol_count++] = (struct elf_symbol){.address = low,
                                                                    .size = high - low,
                                                                    .name = name,
                                                                    .kind = SYMBOL_FUNCTION,
                                                                    .global = true};
    return NULL;
}

struct error *elf_load_symbols(struct elf_file *elf) {
    struct elf_section *table = NULL;
    GElf_Sym symbol;
    if (elf->symbols_loaded)
        return NULL;
    elf->symbols_loaded = true;
    for (size_t i = 0; i < elf->section_count; i++)
        if (elf->sections[i].type == SHT_SYMTAB || (elf->sections[i].type == SHT_DYNSYM && !table))
            table = &elf->sections[i];
    bool stripped = !table || (table->type == SHT_DYNSYM && elf_section_named(elf, ".gopclntab"));
    if (stripped || !elf_section_data(elf, table, NULL))
        return symbols_of_go(elf);
    Elf_Data *data = elf_getdata(elf_getscn(elf->handle->elf, (size_t)(table - elf->sections)), 0);
    size_t one = gelf_fsize(elf->handle->elf, ELF_T_SYM, 1, EV_CURRENT);
    size_t count = one ? data->d_size / one : 0;
    if (count > ELF_SYMBOLS_MAX)
        return error_new(ERROR_RUN, "%s: %zu symbols (%d are the most)", elf->path, count,
                         ELF_SYMBOLS_MAX);
    elf->symbols = calloc(count + 1, sizeof *elf->symbols);
    if (!elf->symbols)
        return error_no_memory();
    for (size_t i = 0; i < count; i++)
        if (gelf_getsym(data, (int)i, &symbol))
            take_symbol(elf, &symbol, elf_strptr(elf->handle->elf, table->link, symbol.st_name));
    qsort(elf->symbols, elf->symbol_count, sizeof *elf->symbols, by_address);
    return NULL;
}

bool elf_is_code(const struct elf_file *elf, uint64_t address) {
    for (size_t i = 0; i < elf->section_count; i++)
        if (elf->sections[i].flags & SHF_EXECINSTR &&
            address - elf->sections[i].address < elf->sections[i].size)
            return true;
    return false;
}

/* Behind the last symbol of .init comes .plt, which has none. */
static bool same_code_section(const struct elf_file *elf, uint64_t symbol, uint64_t address) {
    for (size_t i = 0; i < elf->section_count; i++) {
        const struct elf_section *section = &elf->sections[i];
        if ((section->flags & SHF_EXECINSTR) && symbol - section->address < section->size)
            return address - section->address < section->size;
    }
    return true;
}

const struct elf_symbol *elf_symbol_at(const struct elf_file *elf, uint64_t address) {
    size_t low = 0, high = elf->symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (elf->symbols[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    /* A symbol without a size reaches to the next one, or to its section's end: behind _init are
     * the stubs of the linkage table, which have no symbols. A few steps back find one that covers
     * the address among labels of the same place. */
    for (size_t back = 0; back < 16 && back < low; back++) {
        const struct elf_symbol *symbol = &elf->symbols[low - 1 - back];
        bool code = symbol->kind == SYMBOL_FUNCTION || symbol->kind == SYMBOL_OTHER;
        if (address - symbol->address < symbol->size ||
            (!symbol->size && code && !back && same_code_section(elf, symbol->address, address)))
            return symbol;
    }
    return NULL;
}

void elf_build_id(const struct elf_file *elf, char out[static 129]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < elf->build_id_len; i++) {
        out[2 * i] = digits[elf->build_id[i] >> 4];
        out[2 * i + 1] = digits[elf->build_id[i] & 15];
    }
    out[2 * elf->build_id_len] = '\0';
}

const char *elf_debuglink(struct elf_file *elf, uint32_t *crc) {
    struct elf_section *section = elf_section_named(elf, ".gnu_debuglink");
    const uint8_t *data = section ? elf_section_data(elf, section, NULL) : NULL;
    size_t name = data ? strnlen((const char *)data, section->size) : 0;
    size_t at = (name + 4) / 4 * 4;
    if (!name || at + 4 > section->size)
        return NULL;
    memcpy(crc, data + at, 4);
    return (const char *)data;
}

const char *elf_altlink(struct elf_file *elf, const uint8_t **id, size_t *id_len) {
    struct elf_section *section = elf_section_named(elf, ".gnu_debugaltlink");
    const uint8_t *data = section ? elf_section_data(elf, section, NULL) : NULL;
    size_t name = data ? strnlen((const char *)data, section->size) : 0;
    if (!name || name + 1 >= section->size)
        return NULL;
    *id = data + name + 1;
    *id_len = section->size - name - 1;
    return (const char *)data;
}
