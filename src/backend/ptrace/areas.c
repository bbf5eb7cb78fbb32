/* Where instructions can be copied to: memory near the code, mapped by the first thread that needs
 * it, which executes one system call for us; it stays mapped, and a later run takes it up again.
 * Where a filter of system calls (seccomp) might kill the target for that, the unused rest of the
 * page in which a module's code ends: it needs nothing but a write, and holds a hundred of them. */
#include "backend/ptrace/ptrace.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define AREA_SIZE UINT64_C(0x40000) /* 8191 slots, and a header */
#define NEAR UINT64_C(0x40000000)   /* a displacement reaches twice as far */
#define MARGIN UINT64_C(0x100000)   /* that mappings may grow by */
#define PAGE UINT64_C(4096)
#define TRIES 4

/* ---- behind a module's code ---- */

/* The mapping that holds the address: where it begins and ends. */
static bool mapping_at(const struct backend *b, uint64_t address, uint64_t *from, uint64_t *to) {
    char line[4400];
    unsigned long long begin, end;
    bool found = false;
    FILE *maps = native_proc(b, "maps");
    while (maps && !found && fgets(line, sizeof line, maps))
        found = sscanf(line, "%llx-%llx", &begin, &end) == 2 && address - begin < end - begin;
    if (maps)
        fclose(maps);
    *from = found ? begin : 0;
    *to = found ? end : 0;
    return found;
}

static struct area *area_with(struct backend *b, uint64_t begin, uint64_t end) {
    for (size_t i = 0; i < b->area_count; i++)
        if (b->areas[i].begin == begin && b->areas[i].end == end)
            return &b->areas[i];
    struct area *area = ARRAY_ADD(b->areas, b->area_count, b->area_cap);
    if (area)
        *area = (struct area){.begin = begin, .used = begin, .end = end};
    return area;
}

/* All that the file says is there ends before the mapping does. Looked at anew each time: another
 * library may be there by now. */
static struct area *rest_behind(struct backend *b, uint64_t address) {
    uint64_t from, to, used = 0;
    const struct loaded *loaded = space_at(&b->program.space, address);
    if (!loaded || !mapping_at(b, address, &from, &to))
        return NULL;
    const struct elf_file *elf = loaded->module->elf;
    for (size_t i = 0; i < elf->section_count; i++) {
        const struct elf_section *section = &elf->sections[i];
        uint64_t at = section->address + loaded->bias;
        if (section->flags & SHF_ALLOC && at >= from && at < to && at + section->size > used)
            used = at + section->size;
    }
    uint64_t begin = (used + DISPLACED_SLOT - 1) & ~(uint64_t)(DISPLACED_SLOT - 1);
    bool fits = used && begin < to && to - begin < PAGE;
    return fits ? area_with(b, begin, to) : NULL;
}

/* ---- memory of our own ---- */

/* A filter's answer to a system call that the program itself never makes may be its death. */
static bool is_filtered(const struct task *task) {
    char path[64], line[128];
    int mode = -1;
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", task->backend->pid, task->tid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "Seccomp: %d", &mode);
    if (file)
        fclose(file);
    return mode != 0;
}

/* ---- mappings of ours, from an earlier run ---- */

static const char magic[16] = "pickglass slots";

struct header { /* takes the first slot */
    char magic[16];
    uint64_t used; /* up to where; what is behind it, no thread is in */
};

static bool is_header(const struct header *header, uint64_t begin) {
    uint64_t used = header->used - begin;
    return !memcmp(header->magic, magic, sizeof magic) && used <= AREA_SIZE &&
           used >= DISPLACED_SLOT && used % DISPLACED_SLOT == 0;
}

static void find_old(struct backend *b) {
    char line[4400], rights[8];
    unsigned long long begin, end, inode;
    struct header header;
    FILE *maps = b->looked_for_areas ? NULL : native_proc(b, "maps");
    b->looked_for_areas = true;
    while (maps && fgets(line, sizeof line, maps)) {
        bool fits = sscanf(line, "%llx-%llx %7s %*s %*s %llu", &begin, &end, rights, &inode) == 4 &&
                    end - begin == AREA_SIZE && !inode && !strcmp(rights, "r-xp");
        if (!fits || native_read_memory(b, begin, &header, sizeof header) != sizeof header ||
            !is_header(&header, begin))
            continue;
        struct area *area = area_with(b, begin, end);
        if (area)
            area->used = header.used;
    }
    if (maps)
        fclose(maps);
}

static bool write_header(const struct backend *b, const struct area *area) {
    struct header header = {.used = area->used};
    memcpy(header.magic, magic, sizeof magic);
    return native_write_memory(b, area->begin, &header, sizeof header);
}

/* ---- a free range near the code ---- */

static uint64_t distance_of(uint64_t a, uint64_t b) {
    return a > b ? a - b : b - a;
}

/* As far as it can be from what may grow into it, and near enough. */
static uint64_t middle_of(uint64_t begin, uint64_t end, uint64_t address) {
    uint64_t low = begin + MARGIN, high = end - MARGIN - AREA_SIZE, at = low + (high - low) / 2;
    uint64_t least = address > NEAR / 2 ? address - NEAR / 2 : 0, most = address + NEAR / 2;
    at = at < least ? least : at > most ? most : at;
    at = at < low ? low : at > high ? high : at;
    return at & ~(PAGE - 1);
}

/* The nearest, of those that are farther away than `beyond`; 0: there is none. */
static uint64_t free_range(const struct backend *b, uint64_t address, uint64_t beyond) {
    char line[4400];
    unsigned long long begin, end, last = PAGE << 4;
    uint64_t found = 0;
    FILE *maps = native_proc(b, "maps");
    while (maps && fgets(line, sizeof line, maps) && sscanf(line, "%llx-%llx", &begin, &end) == 2) {
        bool fits = begin > last && begin - last >= AREA_SIZE + 2 * MARGIN + PAGE;
        uint64_t at = fits ? middle_of(last, begin, address) : 0;
        uint64_t far = distance_of(at, address);
        if (at && far < NEAR && far > beyond && (!found || far < distance_of(found, address)))
            found = at;
        last = end;
    }
    if (maps)
        fclose(maps);
    return found;
}

static struct area *map_area(struct task *task, uint64_t address) {
    struct backend *b = task->backend;
    uint64_t at, beyond = 0;
    if (b->maps_nothing || is_filtered(task))
        return NULL;
    for (int i = 0; i < TRIES && (at = free_range(b, address, beyond)); i++) {
        if (native_map_memory(task, at, AREA_SIZE)) {
            struct area *area = area_with(b, at, at + AREA_SIZE);
            if (area)
                area->used = at + DISPLACED_SLOT; /* behind its header */
            return area;
        }
        beyond = distance_of(at, address);
    }
    b->maps_nothing = true; /* not tried at each hit */
    return NULL;
}

static bool is_mapped(const struct area *area) {
    return area->end - area->begin == AREA_SIZE;
}

static bool has_room(const struct area *area) {
    return area && area->used + DISPLACED_SLOT <= area->end;
}

static struct area *area_near(struct task *task, uint64_t address) {
    struct backend *b = task->backend;
    find_old(b);
    for (size_t i = 0; i < b->area_count; i++)
        if (is_mapped(&b->areas[i]) && has_room(&b->areas[i]) &&
            distance_of(b->areas[i].begin, address) < NEAR + AREA_SIZE)
            return &b->areas[i];
    struct area *area = map_area(task, address);
    return area ? area : rest_behind(b, address);
}

/* What was behind the code before. */
static bool keep_rest(const struct backend *b, struct area *area) {
    size_t size = area->end - area->begin;
    if (is_mapped(area) || area->kept)
        return true;
    area->kept = malloc(size);
    return area->kept && native_read_memory(b, area->begin, area->kept, size) == size;
}

uint64_t native_take_room(struct task *task, uint64_t address) {
    struct area *area = area_near(task, address);
    if (!has_room(area) || !keep_rest(task->backend, area))
        return 0;
    uint64_t at = area->used;
    area->used += DISPLACED_SLOT;
    return !is_mapped(area) || write_header(task->backend, area) ? at : 0;
}

/* ---- the end ---- */

static void put_rest_back(struct backend *b, const struct area *area) {
    for (uint64_t at = area->begin; at < area->used; at += DISPLACED_SLOT) {
        const struct point *point = map_get(&b->slots, at);
        if (point && native_has_slot(b, point))
            native_write_memory(b, at, area->kept + (at - area->begin), DISPLACED_SLOT);
    }
}

void native_leave_areas(struct backend *b) {
    for (size_t i = 0; i < b->area_count; i++) {
        struct area *area = &b->areas[i];
        if (!is_mapped(area)) {
            put_rest_back(b, area);
        } else if (area->used > area->begin + DISPLACED_SLOT) {
            area->used = area->begin + DISPLACED_SLOT;
            write_header(b, area);
        }
    }
}

void native_free_areas(struct backend *b) {
    for (size_t i = 0; i < b->area_count; i++)
        free(b->areas[i].kept);
    free(b->areas);
}
