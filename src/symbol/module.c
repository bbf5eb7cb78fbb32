#include "symbol/module.h"

#include "base/text.h"
#include "symbol/frames.h"
#include "symbol/functions.h"
#include "symbol/lines.h"
#include "symbol/names.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- where debug info may be ---- */

static bool has_dwarf(struct elf_file *elf) {
    struct elf_section *section = elf_section_named(elf, ".debug_info");
    section = section ? section : elf_section_named(elf, ".zdebug_info");
    return section && section->type != 8 /* SHT_NOBITS */ && section->size;
}

static void note(struct module *module, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct module *module, const char *format, ...) {
    struct buffer text = BUFFER_INIT(4096);
    va_list args;
    char line[1024];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buffer_printf(&text, "%s%s%s", module->note ? module->note : "", module->note ? "; " : "",
                  line);
    char *taken = buffer_take(&text);
    if (taken) {
        free(module->note);
        module->note = taken;
    }
}

/* The CRC of .gnu_debuglink: that of zlib, over the whole file. */
static bool crc_fits(const char *path, uint32_t wanted) {
    FILE *file = fopen(path, "rbe");
    uint32_t crc = 0xffffffff;
    unsigned char bytes[65536];
    size_t n;
    if (!file)
        return false;
    while ((n = fread(bytes, 1, sizeof bytes, file)) > 0)
        for (size_t i = 0; i < n; i++) {
            crc ^= bytes[i];
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
        }
    fclose(file);
    return ~crc == wanted;
}

static bool same_build(const struct elf_file *a, const struct elf_file *b) {
    return a->build_id_len == b->build_id_len && !memcmp(a->build_id, b->build_id, a->build_id_len);
}

/* Takes the file if it is this program's. `crc` 0: only its build-id can say so. */
static bool try_debug_file(struct module *module, const char *path, uint32_t crc) {
    struct elf_file *elf;
    struct error *error;
    if (module->debug || access(path, R_OK))
        return false;
    if ((error = elf_open(path, NULL, 0, &elf))) {
        note(module, "%s", error->message);
        error_free(error);
        return false;
    }
    char wanted[129], got[129];
    elf_build_id(module->elf, wanted);
    elf_build_id(elf, got);
    if (module->elf->build_id_len ? !same_build(module->elf, elf) : !crc_fits(path, crc))
        note(module, "%s is not taken: it belongs to another build (%s; the program has %s)", path,
             *got ? got : "no build-id, and its checksum differs", *wanted ? wanted : "none");
    else if (has_dwarf(elf))
        module->debug = elf;
    if (module->debug != elf)
        elf_close(elf);
    return module->debug;
}

static void find_by_build_id(struct module *module) {
    char id[129], path[256];
    elf_build_id(module->elf, id);
    if (module->elf->build_id_len < 2)
        return;
    snprintf(path, sizeof path, "/usr/lib/debug/.build-id/%.2s/%s.debug", id, id + 2);
    try_debug_file(module, path, 0);
}

static void find_by_link(struct module *module) {
    static const char *const forms[] = {"%.*s/%s", "%.*s/.debug/%s", "/usr/lib/debug%.*s/%s"};
    uint32_t crc;
    const char *name = elf_debuglink(module->elf, &crc);
    char *real = name ? realpath(module->elf->path, NULL) : NULL, path[8192];
    char *slash = real ? strrchr(real, '/') : NULL;
    for (size_t i = 0; slash && i < sizeof forms / sizeof *forms; i++) {
        int n = snprintf(path, sizeof path, forms[i], (int)(slash - real), real, name);
        if (n > 0 && n < (int)sizeof path && strcmp(path, real))
            try_debug_file(module, path, crc);
    }
    free(real);
}

/* dwz's common file: beside the debug file, or where distributions keep it. */
static void open_alt(struct module *module) {
    const uint8_t *id;
    size_t id_len;
    const char *name = elf_altlink(module->debug, &id, &id_len);
    char path[8192];
    struct error *error;
    if (!name)
        return;
    const char *slash = strrchr(module->debug->path, '/');
    if (*name == '/' || !slash)
        snprintf(path, sizeof path, "%s", name);
    else
        snprintf(path, sizeof path, "%.*s/%s", (int)(slash - module->debug->path),
                 module->debug->path, name);
    if ((error = elf_open(path, NULL, 0, &module->alt_elf))) {
        note(module, "the file it shares debug info with: %s", error->message);
        error_free(error);
        return;
    }
    if (module->alt_elf->build_id_len != id_len || memcmp(module->alt_elf->build_id, id, id_len)) {
        note(module, "%s is not taken: it belongs to another build", path);
        return;
    }
    error = dwarf_open(module->alt_elf, NULL, &module->alt);
    error_free(error);
    module->dwarf->alt = module->alt;
}

/* ---- units ---- */

struct unit_list {
    struct unit *list;
    size_t count, cap;
};

static bool first_entry(struct dwarf *dwarf, bool types, uint64_t *offset, unsigned *tag) {
    struct die die = {.dwarf = dwarf};
    Dwarf_Off at = 0;
    Dwarf_Error error = NULL;
    bool there =
        dwarf_fine(dwarf, dwarf_siblingof_b(dwarf->dbg, NULL, !types, &die.raw, &error), &error) &&
        dwarf_fine(dwarf, dwarf_dieoffset(die.raw, &at, &error), &error);
    *tag = die.raw ? die_tag(die) : 0;
    *offset = at;
    die_free(&die);
    return there;
}

#define UNITS_MAX 1000000

static void list_section(struct module *module, struct dwarf *dwarf, bool types,
                         struct unit_list *units) {
    Dwarf_Unsigned length, type_offset, next;
    uint64_t offset = 0;
    Dwarf_Half version, address, size, extension, kind;
    Dwarf_Off abbrevs;
    Dwarf_Sig8 signature;
    Dwarf_Error error = NULL;
    while (dwarf_fine(dwarf,
                      dwarf_next_cu_header_d(dwarf->dbg, !types, &length, &version, &abbrevs,
                                             &address, &size, &extension, &signature, &type_offset,
                                             &next, &kind, &error),
                      &error)) {
        uint64_t die;
        unsigned tag;
        bool there = first_entry(dwarf, types, &die, &tag);
        dwarf->shares |= tag == DW_TAG_partial_unit;
        struct unit *unit = there && units->count < UNITS_MAX
                                ? ARRAY_ADD(units->list, units->count, units->cap)
                                : NULL;
        if (unit) {
            *unit = (struct unit){.module = module, .dwarf = dwarf, .offset = offset, .end = next};
            unit->die = die;
            unit->version = version;
            unit->offset_size = (uint8_t)size;
            unit->types = types || kind == DW_UT_type || kind == DW_UT_split_type;
            unit->type_die = offset + type_offset;
            memcpy(&unit->signature, signature.signature, 8);
        }
        if (next <= offset)
            break;
        offset = next;
    }
}

static void list_units(struct module *module, struct dwarf *dwarf) {
    struct unit_list units = {0};
    list_section(module, dwarf, false, &units);
    if (elf_section_named(dwarf->elf, ".debug_types") ||
        elf_section_named(dwarf->elf, ".debug_types.dwo"))
        list_section(module, dwarf, true, &units);
    dwarf->units = units.list;
    dwarf->unit_count = units.count;
    for (size_t i = 0; i < units.count; i++)
        if (units.list[i].types)
            map_put(&dwarf->signatures, units.list[i].signature, (void *)(uintptr_t)(i + 1));
}

struct error *module_add_split(struct module *module, const char *path, struct dwarf **out) {
    struct elf_file *elf = NULL;
    *out = NULL;
    if (module->dwo_count >= SPLITS_MAX)
        return error_new(ERROR_RUN, "%s: more than %d .dwo files", module->path, SPLITS_MAX);
    struct error *error = elf_open(path, NULL, 0, &elf);
    if (error)
        return error;
    struct dwarf **dwo = ARRAY_ADD(module->dwos, module->dwo_count, module->dwo_cap);
    size_t count = dwo ? module->dwo_count - 1 : 0;
    struct elf_file **slot = dwo ? ARRAY_ADD(module->dwo_elfs, count, module->dwo_elf_cap) : NULL;
    if (!slot) {
        module->dwo_count -= dwo != NULL;
        elf_close(elf);
        return error_no_memory();
    }
    *slot = elf;
    error = dwarf_open(elf, module->dwarf, dwo);
    if (!error && *dwo)
        list_units(module, *dwo);
    *out = *dwo;
    return error;
}

struct dwarf *module_package(struct module *module) {
    const char *paths[] = {module->path, module->debug ? module->debug->path : NULL};
    char path[8192];
    for (size_t i = 0; i < 2 && !module->package_sought; i++) {
        snprintf(path, sizeof path, "%s.dwp", paths[i] ? paths[i] : "");
        if (!paths[i] || access(path, R_OK))
            continue;
        struct error *error = module_add_split(module, path, &module->package);
        if (error)
            note(module, "%s", error->message);
        error_free(error);
        module->package_sought = true;
    }
    module->package_sought = true;
    return module->package;
}

/* ---- opening ---- */

static struct error *open_debug_info(struct module *module) {
    if (has_dwarf(module->elf)) {
        module->debug = module->elf;
    } else {
        find_by_build_id(module);
        find_by_link(module);
    }
    if (!module->debug)
        return NULL;
    struct error *error = dwarf_open(module->debug, NULL, &module->dwarf);
    if (error) {
        note(module, "%s", error->message);
        error_free(error);
        return NULL;
    }
    if (module->dwarf) {
        open_alt(module);
        list_units(module, module->dwarf);
        if (module->alt)
            list_units(module, module->alt);
    }
    return NULL;
}

static struct error *open_new(const char *path, const char *name, const void *bytes, size_t size,
                              struct module **out) {
    struct module *module = calloc(1, sizeof *module);
    if (!module)
        return error_no_memory();
    module->arena = ARENA_INIT(MODULE_MEMORY);
    module->path = strdup(name);
    struct error *error =
        module->path ? elf_open(path, bytes, size, &module->elf) : error_no_memory();
    if (!error)
        error = open_debug_info(module);
    if (error) {
        module_close(module);
        return error;
    }
    *out = module;
    return NULL;
}

struct error *module_open_image(const char *name, const void *bytes, size_t size,
                                struct module **out) {
    return open_new(name, name, bytes, size, out);
}

/* A hundred sessions on one program read its file, and the C library's, once. */
static _Thread_local struct module *opened;

static bool is_file(const struct module *module, const char *name, const struct stat *file) {
    return module->file.st_dev == file->st_dev && module->file.st_ino == file->st_ino &&
           module->file.st_size == file->st_size &&
           module->file.st_mtim.tv_sec == file->st_mtim.tv_sec &&
           module->file.st_mtim.tv_nsec == file->st_mtim.tv_nsec && !strcmp(module->path, name);
}

static void share(struct module *module, const struct stat *file) {
    module->file = *file;
    module->shared = true;
    module->uses = 1;
    module->next = opened;
    opened = module;
}

struct error *module_open_as(const char *path, const char *name, struct module **out) {
    struct stat file;
    bool there = !stat(path, &file);
    for (struct module *module = opened; there && module; module = module->next)
        if (is_file(module, name, &file)) {
            module->uses++;
            *out = module;
            return NULL;
        }
    struct error *error = open_new(path, name, NULL, 0, out);
    if (!error && there)
        share(*out, &file);
    return error;
}

struct error *module_open(const char *path, struct module **out) {
    return module_open_as(path, path, out);
}

static void close_units(struct dwarf *dwarf) {
    for (size_t i = 0; dwarf && i < dwarf->unit_count; i++) {
        struct unit *unit = &dwarf->units[i];
        free(unit->ranges);
        for (size_t k = 0; k < unit->function_count; k++)
            function_free(unit->functions[k]);
        free(unit->functions);
        free(unit->by_offset);
        free(unit->spans);
        lines_free(unit->lines);
        if (unit->names) {
            free(unit->names->list);
            map_free(&unit->names->by_offset);
            free(unit->names);
        }
    }
    if (!dwarf)
        return;
    free(dwarf->units);
    map_free(&dwarf->types);
    map_free(&dwarf->signatures);
    map_free(&dwarf->splits);
    dwarf_close(dwarf);
}

static void dispose(struct module *module) {
    frames_free(module->frames);
    for (size_t i = 0; i < module->dwo_count; i++) {
        close_units(module->dwos[i]);
        elf_close(module->dwo_elfs[i]);
    }
    close_units(module->dwarf);
    close_units(module->alt);
    if (module->debug != module->elf)
        elf_close(module->debug);
    elf_close(module->alt_elf);
    elf_close(module->elf);
    free(module->dwos);
    free(module->dwo_elfs);
    module_forget_sought(module);
    map_free(&module->known_places);
    map_free(&module->locations);
    map_free(&module->call_sites);
    map_free(&module->labels);
    map_free(&module->go_types);
    free(module->pcs);
    free(module->by_name);
    free(module->note);
    free(module->path);
    arena_free(&module->arena);
    free(module);
}

/* ---- closed, and kept ---- */

#define KEPT_MAX 16
#define KEPT_BYTES ((off_t)256 << 20) /* of their files */

static bool any_is_used(void) {
    const struct module *module = opened;
    while (module && !module->uses)
        module = module->next;
    return module;
}

static void unlink_opened(const struct module *module) {
    struct module **at = &opened;
    while (*at != module)
        at = &(*at)->next;
    *at = module->next;
}

/* Of those that nobody has open the newest stay, while anything is open at all. */
static void drop_old(void) {
    size_t kept = any_is_used() ? KEPT_MAX : 0;
    off_t bytes = KEPT_BYTES;
    for (struct module *module = opened, *next; module; module = next) {
        next = module->next;
        if (module->uses)
            continue;
        bytes -= module->file.st_size;
        if (kept && bytes >= 0 && !module->dwo_count) {
            kept--;
            continue;
        }
        unlink_opened(module);
        dispose(module);
    }
}

/* Programs unload what they soon load again, hundreds of times a second. */
void module_close(struct module *module) {
    if (!module || (module->uses && --module->uses))
        return;
    if (!module->shared) {
        dispose(module);
        return;
    }
    unlink_opened(module);
    module->next = opened;
    opened = module;
    drop_old();
}
