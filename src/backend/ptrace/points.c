/* Breakpoints in the text: an int3 over an instruction's first byte, written through /proc/PID/mem
 * while the program runs. A point that was removed is remembered: a thread may have executed its
 * int3 just before. */
#include "backend/ptrace/ptrace.h"

#include "base/log.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INT3 0xcc
#define CODE_MAX 65536 /* of a function, to find its instructions */

struct point *native_point_at(const struct backend *b, uint64_t address) {
    return map_get(&b->points, address);
}

/* Leftovers of a tracer that was killed are taken for what they are: the file knows better. */
static size_t read_code(struct backend *b, uint64_t address, uint8_t *out, size_t size) {
    size_t n = native_read_memory(b, address, out, size);
    struct loaded *loaded = space_at(&b->program.space, address);
    if (n && *out == INT3 && loaded)
        elf_read(loaded->module->elf, address - loaded->bias, out, 1);
    return n;
}

/* Places that people compute themselves may be in the middle of an instruction. */
static bool is_boundary(struct backend *b, const struct site *site, uint64_t address) {
    bool computed = site && site->where &&
                    (site->where->offset ||
                     (!site->where->function && !site->where->file && !site->where->match));
    struct loaded *loaded = computed ? space_at(&b->program.space, address) : NULL;
    if (!loaded)
        return true;
    uint64_t pc = address - loaded->bias;
    struct function *function = function_at(loaded->module, pc);
    const struct elf_symbol *symbol = module_symbol_at(loaded->module, pc);
    uint64_t begin = function ? function->entry : symbol ? symbol->address : pc;
    if (begin >= pc || pc - begin > CODE_MAX)
        return true;
    uint8_t *code = malloc(CODE_MAX + 16);
    size_t n = code ? elf_read(loaded->module->elf, begin, code, pc - begin + 16) : 0;
    bool boundary = n <= pc - begin || displaced_is_boundary(code, n, pc - begin);
    free(code);
    return boundary;
}

static struct error *refusal(const struct backend *b, uint64_t address, const char *why) {
    return error_new(ERROR_RUN, "a breakpoint at 0x%" PRIx64 " in process %d: %s", address, b->pid,
                     why);
}

static struct error *check_place(struct backend *b, const struct site *site, uint64_t address,
                                 size_t size) {
    b->found_nothing = !size;
    if (!size)
        return refusal(b, address, "there is no memory");
    if (!native_is_code(b, address))
        return refusal(b, address, "this is data: nothing there is executed");
    if (!is_boundary(b, site, address))
        return refusal(b, address, "this is the middle of an instruction");
    return NULL;
}

struct error *native_check_place(struct backend *b, const struct site *site, uint64_t address) {
    uint8_t byte;
    return check_place(b, site, address, read_code(b, address, &byte, 1));
}

static struct error *prepare(struct backend *b, struct point *point, const struct site *site) {
    uint8_t code[16];
    const char *why;
    size_t n = read_code(b, point->address, code, sizeof code);
    struct error *error = check_place(b, site, point->address, n);
    if (error)
        return error;
    if (!displaced_decode(code, n, point->address, &point->displaced, &why))
        return refusal(b, point->address, why);
    if (point->slot && !native_has_slot(b, point))
        native_drop_slot(b, point); /* other code than when it was copied, or another library */
    point->original = *code;
    return NULL;
}

static struct point *point_of(struct backend *b, uint64_t address) {
    struct point *point = native_point_at(b, address);
    if (point)
        return point;
    point = calloc(1, sizeof *point);
    if (point && map_put(&b->points, address, point)) {
        point->address = address;
        return point;
    }
    free(point);
    return NULL;
}

bool native_point_insert(struct backend *b, uint64_t address, struct site *site,
                         struct error **error) {
    static const uint8_t trap = INT3;
    struct point *point = point_of(b, address);
    b->found_nothing = false;
    *error = point ? prepare(b, point, site) : error_no_memory();
    if (*error)
        return false;
    point->site = site;
    point->note = note_put(b->note, b->pid, address, point->original);
    point->inserted = true; /* before it is: a thread may run into it at once */
    if (native_write_memory(b, address, &trap, 1))
        return true;
    point->inserted = false;
    b->found_nothing = true;
    *error = refusal(b, address, strerror(errno));
    note_drop(b->note, point->note);
    return false;
}

void native_point_insert_own(struct backend *b, uint64_t address) {
    struct error *error;
    struct point *point = native_point_at(b, address);
    if (point && point->inserted)
        return;
    if (native_point_insert(b, address, NULL, &error))
        native_point_at(b, address)->own = true;
    else
        error_free(error);
}

static void tell_replaced(struct backend *b, const struct point *point) {
    char text[160];
    snprintf(text, sizeof text,
             "the code at 0x%" PRIx64 " was replaced by the program while a breakpoint stood in "
             "it: hits may be missing",
             point->address);
    b->events->notice(b->owner, text);
}

void native_point_remove(struct backend *b, struct point *point) {
    uint8_t there = INT3;
    if (!point->inserted)
        return;
    point->inserted = point->own = false;
    /* Not where the code was unmapped, or replaced: what is there now is not ours. */
    if (pread(b->memory, &there, 1, (off_t)point->address) == 1 && there != INT3) {
        tell_replaced(b, point);
        note_drop(b->note, point->note);
        return;
    }
    if (!native_write_memory(b, point->address, &point->original, 1) && errno != ESRCH)
        LOG(LOG_NATIVE, 1, "0x%" PRIx64 ": %s", point->address, strerror(errno));
    note_drop(b->note, point->note);
}

void native_clean_child(struct backend *b, pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < b->points.cap && memory >= 0; i++) {
        /* Also one that was removed since: the child's memory may be older than that. */
        const struct point *point = b->points.slots[i].value;
        uint8_t there = 0;
        if (point && pread(memory, &there, 1, (off_t)point->address) == 1 && there == INT3 &&
            pwrite(memory, &point->original, 1, (off_t)point->address) != 1)
            LOG(LOG_NATIVE, 1, "child %d: 0x%" PRIx64 ": %s", pid, point->address, strerror(errno));
    }
    if (memory >= 0)
        close(memory);
}

static size_t sweep_section(struct backend *b, const struct loaded *loaded,
                            const struct elf_section *section) {
    static uint8_t here[CODE_MAX], there[CODE_MAX];
    size_t found = 0;
    for (uint64_t at = 0; at < section->size; at += CODE_MAX) {
        size_t left = section->size - at < CODE_MAX ? section->size - at : CODE_MAX;
        uint64_t address = section->address + at;
        size_t n = native_read_memory(b, address + loaded->bias, there, left);
        n = elf_read(loaded->module->elf, address, here, n);
        for (size_t i = 0; i < n; i++)
            if (there[i] == INT3 && here[i] != INT3)
                found += native_write_memory(b, address + loaded->bias + i, &here[i], 1);
    }
    return found;
}

bool native_is_leftover(struct backend *b, uint64_t address) {
    uint8_t byte;
    const struct loaded *loaded = b->repair ? space_at(&b->program.space, address) : NULL;
    return loaded && elf_read(loaded->module->elf, address - loaded->bias, &byte, 1) == 1 &&
           byte != INT3;
}

void native_sweep(struct backend *b) {
    char text[96];
    size_t found = 0;
    for (size_t i = 0; i < b->program.space.count; i++) {
        const struct loaded *loaded = &b->program.space.list[i];
        const struct elf_file *elf = loaded->module->elf;
        for (size_t k = 0; k < elf->section_count; k++)
            if (elf->sections[k].flags & SHF_EXECINSTR && elf->sections[k].type == SHT_PROGBITS)
                found += sweep_section(b, loaded, &elf->sections[k]);
    }
    if (!found)
        return;
    snprintf(text, sizeof text, "took %zu breakpoint%s out that a dead tracer had left", found,
             found == 1 ? "" : "s");
    b->events->notice(b->owner, text);
}

/* ---- sites ---- */

static bool is_for_hardware(const struct site *site) {
    return site->where && site->where->hw;
}

static void disarm_code(struct backend *b, struct site *site) {
    if (is_for_hardware(site)) {
        native_disarm_watch(b, site);
        return;
    }
    for (size_t i = 0; i < site->address_count; i++) {
        struct point *point = native_point_at(b, site->addresses[i]);
        if (!point || point->site != site)
            continue;
        native_point_remove(b, point);
        point->site = NULL;
    }
}

/* Its memory goes first when a process dies (proc(5): /proc/PID/mem has an end, then). */
static bool is_dying(const struct backend *b, uint64_t address) {
    uint8_t byte;
    return pread(b->memory, &byte, 1, (off_t)address) == 0;
}

/* A library may go between the look at its symbols and this one, and come again: its places wait
 * for the next word of the loader then. Who has been killed meanwhile says so by itself. */
static bool insert_or_wait(struct backend *b, struct site *site, uint64_t address) {
    const struct loaded *loaded = space_at(&b->program.space, address);
    bool may_go = loaded && loaded != b->program.space.list;
    b->in_library |= may_go;
    for (int i = 0; i < (may_go ? 2 : 1); i++) {
        error_free(site->error);
        if (native_point_insert(b, address, site, &site->error))
            return true;
    }
    bool waits = may_go && b->found_nothing;
    if (!waits && !is_dying(b, address))
        return false;
    error_free(site->error);
    site->error = NULL;
    b->pending |= waits;
    return true;
}

static void arm_code(struct backend *b, struct site *site) {
    if (is_for_hardware(site)) {
        native_arm_hardware(b, site);
        return;
    }
    for (size_t i = 0; i < site->address_count; i++) {
        if (insert_or_wait(b, site, site->addresses[i]))
            continue;
        site->armed = false;
        disarm_code(b, site); /* not half of it */
        return;
    }
}

static void arm_signal(struct backend *b, struct site *site) {
    struct site **slot = ARRAY_ADD(b->signals, b->signal_count, b->signal_cap);
    if (slot)
        *slot = site;
    for (int i = 1; i < NSIG; i++)
        if (native_signal_is(i, site->signal))
            return;
    site->armed = false;
    site->error = error_new(ERROR_RECIPE, "there is no signal \"%s\"", site->signal);
}

static void disarm_signal(struct backend *b, struct site *site) {
    for (size_t i = 0; i < b->signal_count; i++)
        if (b->signals[i] == site)
            b->signals[i] = b->signals[--b->signal_count];
}

static void do_nothing(struct backend *b, struct site *site) {
    (void)b, (void)site;
}

static const struct {
    void (*arm)(struct backend *b, struct site *site);
    void (*disarm)(struct backend *b, struct site *site);
} kinds[] = {[SITE_CODE] = {arm_code, disarm_code},
             [SITE_RETURN] = {arm_code, disarm_code},
             [SITE_WATCH] = {native_arm_watch, native_disarm_watch},
             [SITE_PANIC] = {do_nothing, do_nothing},
             [SITE_SIGNAL] = {arm_signal, disarm_signal},
             [SITE_SYSCALL] = {native_arm_syscalls, native_disarm_syscalls},
             [SITE_SYSCALL_RETURN] = {native_arm_syscalls, native_disarm_syscalls}};

void native_arm(struct backend *b, struct site *site) {
    if (site->armed)
        return; /* with other conditions or wants: they are ours alone */
    site->armed = true;
    program_warm(&b->program, site);
    kinds[site->kind].arm(b, site);
}

void native_disarm(struct backend *b, struct site *site) {
    site->armed = false;
    kinds[site->kind].disarm(b, site);
}
