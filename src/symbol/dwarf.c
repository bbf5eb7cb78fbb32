#include "symbol/dwarf.h"

#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the object file interface: sections as libelf inflates them, when they are asked for ---- */

#ifdef DW_LIBDWARF_VERSION /* 0.2 and newer */
typedef Dwarf_Obj_Access_Section_a section_info;
typedef Dwarf_Obj_Access_Methods_a methods;
typedef Dwarf_Obj_Access_Interface_a interface;
typedef Dwarf_Unsigned section_index;
typedef Dwarf_Small byte_order;
#define FIELD(name) as_##name
#define METHOD(name) om_##name
#else
typedef Dwarf_Obj_Access_Section section_info;
typedef Dwarf_Obj_Access_Methods methods;
typedef Dwarf_Obj_Access_Interface interface;
typedef Dwarf_Half section_index;
typedef Dwarf_Endianness byte_order;
#define FIELD(name) name
#define METHOD(name) name
#endif

struct dwarf_object {
    interface access;
    char (*names)[64]; /* .zdebug_info is told as .debug_info */
};

static struct elf_section *section_at(void *object, section_index i) {
    struct elf_file *elf = ((struct dwarf *)object)->elf;
    return i < elf->section_count ? &elf->sections[i] : NULL;
}

static const char *plain_name(struct dwarf *dwarf, const struct elf_section *section) {
    char *name = dwarf->object->names[section - dwarf->elf->sections];
    if (strncmp(section->name, ".zdebug_", 8))
        return section->name;
    snprintf(name, sizeof *dwarf->object->names, ".%s", section->name + 2);
    return name;
}

/* The headers of .debug_rnglists and .debug_loclists (DWARF 5, sections 7.28 and 7.29). libdwarf of
 * 2021 frees one twice that it finds damaged: such a section is kept from it. */
static bool sound_lists(const uint8_t *bytes, uint64_t size) {
    for (uint64_t at = 0; at < size;) {
        uint64_t length = 0;
        uint32_t count;
        uint16_t version;
        unsigned word = size - at >= 4 && !memcmp(bytes + at, "\xff\xff\xff\xff", 4) ? 8 : 4;
        at += word == 8 ? 4 : 0;
        if (size - at < word + 8)
            return false;
        memcpy(&length, bytes + at, word);
        at += word;
        memcpy(&version, bytes + at, 2);
        memcpy(&count, bytes + at + 4, 4);
        bool fits = length >= 8 && length <= size - at && count <= (length - 8) / word;
        bool plain = version == 5 && (bytes[at + 2] == 4 || bytes[at + 2] == 8) && !bytes[at + 3];
        if (!fits || !plain)
            return false;
        at += length;
    }
    return true;
}

static bool is_damaged(struct dwarf *dwarf, struct elf_section *section) {
    if (!strstr(section->name, "debug_rnglists") && !strstr(section->name, "debug_loclists"))
        return false;
    const uint8_t *bytes = elf_section_data(dwarf->elf, section, NULL);
    return bytes && !sound_lists(bytes, section->size);
}

static int section_get(void *object, section_index i, section_info *out, int *error) {
    struct elf_section *section = section_at(object, i);
    struct dwarf *dwarf = object;
    if (!section)
        return DW_DLV_NO_ENTRY;
    (void)error;
    memset(out, 0, sizeof *out);
    out->FIELD(name) = plain_name(dwarf, section);
    out->FIELD(type) = section->type;
    out->FIELD(addr) = section->address;
    out->FIELD(size) = is_damaged(dwarf, section) ? 0 : elf_section_full_size(dwarf->elf, section);
    out->FIELD(link) = section->link;
    out->FIELD(info) = section->info;
    out->FIELD(entrysize) = section->entry_size;
    return DW_DLV_OK;
}

static int section_load(void *object, section_index i, Dwarf_Small **data, int *error) {
    struct elf_section *section = i ? section_at(object, i) : NULL;
    if (!section) /* it asks for the 0th where a section is not there at all */
        return DW_DLV_NO_ENTRY;
    const uint8_t *bytes = elf_section_data(((struct dwarf *)object)->elf, section, NULL);
    *error = DW_DLE_ELF_GETSHDR_ERROR;
    *data = (Dwarf_Small *)bytes;
    return bytes ? DW_DLV_OK : DW_DLV_ERROR;
}

static byte_order order_get(void *object) {
    return ((struct dwarf *)object)->elf->big_endian ? 0 /* DW_END_big - 1 */ : DW_END_little;
}

static Dwarf_Small word_size(void *object) {
    return ((struct dwarf *)object)->elf->is64 ? 8 : 4;
}

static Dwarf_Unsigned section_count(void *object) {
    return ((struct dwarf *)object)->elf->section_count;
}

#ifdef DW_LIBDWARF_VERSION
static Dwarf_Unsigned file_size(void *object) {
    Dwarf_Unsigned size = 0;
    struct elf_file *elf = ((struct dwarf *)object)->elf;
    for (size_t i = 0; i < elf->section_count; i++)
        size += elf_section_full_size(elf, &elf->sections[i]);
    return size;
}
#endif

static const methods access_methods = {
    .METHOD(get_section_info) = section_get,
    .METHOD(get_byte_order) = order_get,
    .METHOD(get_length_size) = word_size,
    .METHOD(get_pointer_size) = word_size,
    .METHOD(get_section_count) = section_count,
    .METHOD(load_section) = section_load,
#ifdef DW_LIBDWARF_VERSION
    .METHOD(get_filesize) = file_size,
#endif
};

static bool has_debug_info(struct elf_file *elf) {
    static const char *const names[] = {".debug_info", ".zdebug_info", ".debug_info.dwo"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct elf_section *section = elf_section_named(elf, names[i]);
        if (section && section->type != 8 /* SHT_NOBITS */ && section->size)
            return true;
    }
    return false;
}

static struct error *open_any(struct elf_file *elf, struct dwarf *main, struct dwarf **out) {
    struct dwarf *dwarf = calloc(1, sizeof *dwarf);
    struct dwarf_object *object = calloc(1, sizeof *object);
    if (!dwarf || !object) {
        free(dwarf);
        free(object);
        return error_no_memory();
    }
    *dwarf = (struct dwarf){.elf = elf, .main = main, .object = object};
    object->names = calloc(elf->section_count + 1, sizeof *object->names);
#ifdef DW_LIBDWARF_VERSION
    object->access = (interface){.ai_object = dwarf, .ai_methods = &access_methods};
#else
    object->access = (interface){.object = dwarf, .methods = &access_methods};
#endif
    Dwarf_Error error = NULL;
    bool fine =
        object->names && dwarf_fine(dwarf,
                                    dwarf_object_init_b(&object->access, NULL, NULL,
                                                        DW_GROUPNUMBER_ANY, &dwarf->dbg, &error),
                                    &error);
    if (fine && main)
        dwarf_fine(dwarf, dwarf_set_tied_dbg(dwarf->dbg, main->dbg, &error), &error);
    if (!fine) {
        struct error *made = error_new(ERROR_RUN, "%s: its debug info cannot be read: %s",
                                       elf->path, dwarf->trouble);
        dwarf_close(dwarf);
        return made;
    }
    *out = dwarf;
    return NULL;
}

struct error *dwarf_open(struct elf_file *elf, struct dwarf *main, struct dwarf **out) {
    *out = NULL;
    return has_debug_info(elf) ? open_any(elf, main, out) : NULL;
}

struct error *dwarf_open_frames(struct elf_file *elf, struct dwarf **out) {
    *out = NULL;
    return open_any(elf, NULL, out);
}

void dwarf_close(struct dwarf *dwarf) {
    if (!dwarf)
        return;
#ifdef DW_LIBDWARF_VERSION
    if (dwarf->dbg)
        dwarf_object_finish(dwarf->dbg);
#else
    Dwarf_Error error = NULL;
    if (dwarf->dbg)
        dwarf_object_finish(dwarf->dbg, &error);
#endif
    if (dwarf->object)
        free(dwarf->object->names);
    free(dwarf->object);
    free(dwarf);
}

bool dwarf_fine(struct dwarf *dwarf, int result, Dwarf_Error *error) {
    if (result == DW_DLV_ERROR && *error) {
        if (!*dwarf->trouble)
            snprintf(dwarf->trouble, sizeof dwarf->trouble, "%s", dwarf_errmsg(*error));
        dwarf_dealloc_error(dwarf->dbg, *error);
        *error = NULL;
    }
    return result == DW_DLV_OK;
}
