/* What is mapped into a process: its program, its libraries, where code may be. A path in
 * /proc/PID/maps is one of the process's own root, and the file there may be another one by now: a
 * file is believed when its begin and its build-id are those in memory. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WHOLE_PAGES (~UINT64_C(4095))
#define HEADER 512 /* bytes of a file's begin that are compared */

/* A file that is mapped from its begin. */
struct mapping {
    uint64_t begin, end;
    bool deleted; /* the file was replaced on disk since */
    char *path;   /* owned */
};

struct mappings {
    struct mapping *list;
    size_t count, cap;
    bool known; /* false: the process is gone */
};

static void add_mapping(struct mappings *out, struct mapping mapping, const char *path) {
    static const char deleted[] = " (deleted)";
    size_t n = strcspn(path, "\n"), tail = sizeof deleted - 1;
    mapping.deleted = n > tail && !memcmp(path + n - tail, deleted, tail);
    mapping.path = strndup(path, mapping.deleted ? n - tail : n);
    struct mapping *slot = mapping.path ? ARRAY_ADD(out->list, out->count, out->cap) : NULL;
    if (slot)
        *slot = mapping;
    else
        free(mapping.path);
}

static void take_line(struct backend *b, const char *line, struct mappings *out) {
    char rights[8];
    unsigned long long begin, end, offset;
    int path_at = 0;
    if (sscanf(line, "%llx-%llx %7s %llx %*s %*u %n", &begin, &end, rights, &offset, &path_at) < 4)
        return;
    struct code *code = rights[2] == 'x' ? ARRAY_ADD(b->code, b->code_count, b->code_cap) : NULL;
    if (code)
        *code = (struct code){begin, end};
    if (!offset && line[path_at] == '/')
        add_mapping(out, (struct mapping){.begin = begin, .end = end}, line + path_at);
}

/* Where code may be, and all files: read once, for that takes longer than all that is done with it.
 */
static struct mappings read_maps(struct backend *b) {
    struct mappings out = {0};
    char line[4400];
    FILE *maps = native_proc(b, "maps");
    b->code_count = 0;
    while (maps && fgets(line, sizeof line, maps))
        take_line(b, line, &out);
    out.known = maps;
    if (maps)
        fclose(maps);
    return out;
}

static void free_mappings(struct mappings *mappings) {
    for (size_t i = 0; i < mappings->count; i++)
        free(mappings->list[i].path);
    free(mappings->list);
}

static bool is_loaded(const struct backend *b, const struct mapping *mapping) {
    for (size_t i = 1; i < b->program.space.count; i++) {
        const struct loaded *loaded = &b->program.space.list[i];
        if ((loaded->low & WHOLE_PAGES) == mapping->begin &&
            !strcmp(loaded->module->path, mapping->path))
            return true;
    }
    return false;
}

/* ---- where code may be ---- */

static bool overlaps_code(const struct backend *b, uint64_t begin, uint64_t end) {
    for (size_t i = 0; i < b->code_count; i++)
        if (begin < b->code[i].end && end > b->code[i].begin)
            return true;
    return false;
}

bool native_is_code(struct backend *b, uint64_t address) {
    if (overlaps_code(b, address, address + 1))
        return true;
    struct mappings mappings = read_maps(b);
    free_mappings(&mappings);
    return overlaps_code(b, address, address + 1);
}

/* ---- libraries ---- */

static bool is_same_at(const struct backend *b, struct elf_file *elf, uint64_t bias, uint64_t at,
                       size_t size) {
    uint8_t file[HEADER], memory[HEADER];
    size = size < HEADER ? size : HEADER;
    size_t n = elf_read(elf, at, file, size);
    return native_read_memory(b, at + bias, memory, n) == n && !memcmp(file, memory, n);
}

static bool is_what_runs(const struct backend *b, const struct module *module, uint64_t bias) {
    struct elf_file *elf = module->elf;
    const struct elf_section *id = elf_section_named(elf, ".note.gnu.build-id");
    return is_same_at(b, elf, bias, elf->low, HEADER) &&
           (!id || is_same_at(b, elf, bias, id->address, (size_t)id->size));
}

/* The mapped file itself, where we may; else what its path leads to, seen from there. */
static struct error *open_library(struct backend *b, const struct mapping *mapping,
                                  struct module **out) {
    char path[4200];
    snprintf(path, sizeof path, "/proc/%d/map_files/%llx-%llx", b->alive,
             (unsigned long long)mapping->begin, (unsigned long long)mapping->end);
    struct error *error = module_open_as(path, mapping->path, out);
    if (!error)
        return NULL;
    if (mapping->deleted)
        return error; /* whatever its path leads to is another file */
    error_free(error);
    snprintf(path, sizeof path, "/proc/%d/root%s", b->alive, mapping->path);
    return module_open_as(path, mapping->path, out);
}

static struct error *check_library(struct backend *b, const struct mapping *mapping,
                                   struct module *module) {
    uint64_t bias = mapping->begin - (module->elf->low & WHOLE_PAGES);
    return is_what_runs(b, module, bias)
               ? NULL
               : error_new(ERROR_RUN, "the file there is another one than the one that runs");
}

/* Said once for each: a probe may be waiting for it. */
static void tell_unread(struct backend *b, const struct mapping *mapping, struct error *why) {
    char text[4600];
    snprintf(text, sizeof text,
             "%.4000s is mapped into process %d, and cannot be read (%.400s): its functions are "
             "not known",
             mapping->path, b->pid, why->message);
    b->events->notice(b->owner, text);
    error_free(why);
}

static bool was_tried(struct backend *b, const struct mapping *mapping) {
    if (map_get(&b->unread, mapping->begin))
        return true;
    map_put(&b->unread, mapping->begin, b);
    return false;
}

static bool has_elf_header(const struct backend *b, uint64_t address) {
    char magic[SELFMAG];
    return native_read_memory(b, address, magic, SELFMAG) == SELFMAG &&
           !memcmp(magic, ELFMAG, SELFMAG);
}

/* Programs map files of ELF for other reasons than to run them, too. */
static bool is_ours(const struct backend *b, const struct module *module, uint64_t begin) {
    const struct elf_file *elf = module->elf;
    return elf->arch == b->program.space.arch &&
           overlaps_code(b, begin, begin + elf->high - elf->low);
}

static void add_library(struct backend *b, const struct mapping *mapping) {
    struct module *module;
    if (!has_elf_header(b, mapping->begin))
        return; /* data: a locale, a font */
    struct error *error = open_library(b, mapping, &module);
    if (!error && !is_ours(b, module, mapping->begin)) {
        module_close(module);
        return;
    }
    if (!error && (error = check_library(b, mapping, module)))
        module_close(module);
    else if (!error)
        error = program_add(&b->program, module, mapping->begin - (module->elf->low & WHOLE_PAGES));
    bool there = !error || has_elf_header(b, mapping->begin); /* else it has just been unloaded */
    if (error && there && !was_tried(b, mapping))
        tell_unread(b, mapping, error);
    else
        error_free(error);
}

/* ---- the program itself ---- */

/* Always read through /proc/PID/exe: that is what runs, whatever its name leads to by now. */
static struct error *add_program(struct backend *b) {
    char path[64];
    struct module *module;
    snprintf(path, sizeof path, "/proc/%d/exe", b->alive);
    struct error *error = module_open_as(path, b->command, &module);
    if (error)
        return error_wrap(error, "the program of process %d (%s)", b->pid, b->command);
    const struct arch *arch = module->elf->arch;
    if (!arch || strcmp(arch->name, "x86_64")) {
        module_close(module);
        return error_new(ERROR_RUN,
                         "%s is a program for %s: the native back end knows x86-64 alone; use "
                         "gdbserver and gdb://HOST:PORT",
                         b->command, arch ? arch->name : "another processor");
    }
    if (module->note)
        b->events->notice(b->owner, module->note);
    uint64_t entry = native_auxv(b, AT_ENTRY);
    return program_add(&b->program, module, entry ? entry - module->elf->entry : 0);
}

static bool is_gone(void *ctx, const struct loaded *loaded) {
    const struct mappings *now = ctx;
    for (size_t i = 0; i < now->count; i++)
        if (now->list[i].begin == (loaded->low & WHOLE_PAGES) &&
            !strcmp(loaded->module->path, now->list[i].path))
            return false;
    return now->known;
}

static void add_libraries(struct backend *b, const struct mappings *now) {
    for (size_t i = 0; i < now->count; i++)
        if (strcmp(now->list[i].path, b->command) && !is_loaded(b, &now->list[i]))
            add_library(b, &now->list[i]);
}

struct error *native_find_modules(struct backend *b, bool *changed) {
    if (!native_auxv(b, AT_PAGESZ))
        native_find_alive(b); /* the thread has ended that the process was seen through */
    struct error *error = b->program.space.count ? NULL : add_program(b);
    if (error)
        return error;
    struct mappings now = read_maps(b);
    bool gone = program_unload(&b->program, is_gone, &now);
    size_t before = b->program.space.count;
    add_libraries(b, &now);
    free_mappings(&now);
    if (changed)
        *changed = gone || b->program.space.count != before;
    return NULL;
}
