/* What `g` and stop replies mean: the stub's registers, by name, in our slots. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <elf.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

static void place_register(struct backend *b, const struct gdb_register *from) {
    static const struct {
        const char *theirs, *ours;
    } others[] = {{"rflags", "eflags"}, {"fp", "s0"}, {"zero", "x0"}, {"ra", "ra"}};
    const struct arch *arch = b->program.space.arch;
    struct arch_register reg;
    char low[32]; /* SVE's z0 to z31 begin with v0 to v31 */
    bool known = arch_register_named(arch, from->name, &reg);
    if (!known && *from->name == 'z' && arch->machine == EM_AARCH64) {
        snprintf(low, sizeof low, "v%.30s", from->name + 1);
        known = arch_register_named(arch, low, &reg);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others && !known; i++)
        known = !strcmp(from->name, others[i].theirs) &&
                arch_register_named(arch, others[i].ours, &reg);
    if (!known || b->place_count == ARCH_SLOTS)
        return;
    size_t size = (from->bits + 7) / 8;
    b->places[b->place_count++] =
        (struct register_place){.slot = reg.slot,
                                .number = from->number,
                                .offset = from->offset,
                                .size = size < ARCH_REGISTER ? size : ARCH_REGISTER};
}

static bool has_slot(const struct backend *b, int slot) {
    for (size_t i = 0; i < b->place_count; i++)
        if (b->places[i].slot == (unsigned)slot)
            return true;
    return false;
}

/* lldb-server says "x86_64". Other architectures, too, have a pc and an sp. */
static bool is_of(const struct gdb_description *description, const struct arch *arch) {
    const char *told = description->architecture;
    return !*told || !strncmp(told, arch->bfd, strlen(arch->bfd)) ||
           !strncmp(told, arch->name, strlen(arch->name));
}

struct error *gdb_lay_out_registers(struct backend *b) {
    const struct arch *arch = b->program.space.arch;
    if (!b->description.count && !gdb_description_default(arch->name, &b->description))
        return error_new(ERROR_RUN, "the stub does not say which registers it has");
    b->place_count = 0;
    for (size_t i = 0; i < b->description.count; i++)
        place_register(b, &b->description.list[i]);
    if (!is_of(&b->description, arch) || !has_slot(b, arch->pc) || !has_slot(b, arch->sp))
        return error_new(ERROR_RUN,
                         "the stub's registers (%s) are not those of a program for %s: is it the "
                         "right file?",
                         *b->description.architecture ? b->description.architecture : "unnamed",
                         arch->name);
    b->view.registers.arch = arch;
    return NULL;
}

/* Digits that are 'x' stand for a register that cannot be read. */
static void take_register(struct backend *b, const struct register_place *place, const char *hex,
                          size_t len) {
    uint8_t bytes[ARCH_REGISTER];
    if (hex_bytes(hex, len < 2 * place->size ? len : 2 * place->size, bytes, sizeof bytes) ==
        place->size)
        registers_set_bytes(&b->view.registers, place->slot, bytes, place->size);
}

void gdb_take_expedited(struct backend *b, const struct gdb_stop *stop) {
    for (size_t i = 0; i < stop->register_count; i++)
        for (size_t k = 0; k < b->place_count; k++)
            if (b->places[k].number == stop->registers[i].number)
                take_register(b, &b->places[k], stop->registers[i].hex, stop->registers[i].len);
}

/* Is it not in an answer of so many digits? */
static bool is_beyond(const struct register_place *place, size_t len) {
    return 2 * (place->offset + place->size) > len;
}

static void on_registers(struct backend *b, void *ctx, const char *reply, size_t len) {
    void (*then)(struct backend * b) = b->after_registers;
    b->after_registers = NULL;
    if (!reply || (uintptr_t)ctx != b->stop_number)
        return;
    b->view.whole = true;
    b->view.framed = false;
    if (!len || *reply == 'E') {
        LOG(LOG_GDB, 1, "g: %.40s", reply);
        len = 0;
    }
    buffer_clear(&b->registers_text);
    buffer_add(&b->registers_text, reply, len);
    b->view.singly = false;
    for (size_t i = 0; i < b->place_count; i++) {
        if (2 * b->places[i].offset < len)
            take_register(b, &b->places[i], reply + 2 * b->places[i].offset,
                          len - 2 * b->places[i].offset);
        b->view.singly |= len && is_beyond(&b->places[i], len);
    }
    if (then)
        then(b);
}

/* `Hg` names the thread; stubs that know no threads refuse that in peace. A stop has chosen its own
 * already: where each packet is a round trip, that is relied upon. */
void gdb_choose_thread(struct backend *b) {
    if (b->thread.tid <= 0 || (b->acks && b->connected))
        return;
    buffer_puts(&b->text, "Hg");
    gdb_thread_write(&b->text, b->thread);
    gdb_ask_text(b, NULL, NULL);
}

void gdb_ask_registers(struct backend *b, void (*then)(struct backend *b)) {
    b->after_registers = then;
    gdb_choose_thread(b);
    gdb_ask(b, on_registers, (void *)(uintptr_t)b->stop_number, "g");
}

#define SINGLE_STOP(ctx) ((unsigned)((uintptr_t)(ctx) / ARCH_SLOTS))

static void on_single(struct backend *b, void *ctx, const char *reply, size_t len) {
    if (!reply || SINGLE_STOP(ctx) != (unsigned)(b->stop_number & (UINT_MAX / ARCH_SLOTS)))
        return;
    if (len && *reply != 'E')
        take_register(b, &b->places[(uintptr_t)ctx % ARCH_SLOTS], reply, len);
    void (*then)(struct backend * b) = b->after_registers;
    if (--b->singles)
        return;
    b->after_registers = NULL;
    b->view.singly = b->view.framed = false;
    if (then)
        then(b);
}

void gdb_ask_single_registers(struct backend *b, void (*then)(struct backend *b)) {
    uintptr_t stop = b->stop_number & (UINT_MAX / ARCH_SLOTS);
    b->after_registers = then;
    b->singles = 0;
    gdb_choose_thread(b);
    for (size_t i = 0; i < b->place_count; i++) {
        if (!is_beyond(&b->places[i], b->registers_text.len))
            continue;
        b->singles++;
        gdb_ask(b, on_single, (void *)(stop * ARCH_SLOTS + i), "p%x", b->places[i].number);
    }
}
