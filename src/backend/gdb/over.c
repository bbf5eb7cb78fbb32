/* Over a breakpoint in one write, with the resume.
 *
 * gdbserver steps over hardware breakpoints by itself, so the places that hit most often get them.
 * At the others, the first instruction is mostly a simple one: its effect is computed here and
 * written back (`M`, `G`) in the same write as the resume, and the breakpoint stays in its place.
 */
#include "backend/gdb/gdb.h"

#include <elf.h>
#include <inttypes.h>

#define PAGE 4096
#define CODE 15      /* bytes of the longest instruction */
#define HOT_FACTOR 2 /* so many times more hits than the other, */
#define HOT_HITS 64  /* and so many, are worth a slot */

/* ---- which instruction ---- */

static void on_code(struct backend *b, void *ctx, const char *reply, size_t len) {
    uint8_t code[CODE];
    struct point *point = gdb_point_at(b, (uintptr_t)ctx);
    size_t n = reply ? hex_bytes(reply, len, code, sizeof code) : 0;
    if (point && n)
        point->emulated = emulate_decode(code, n, point->address, &point->emulation);
}

/* Not every `G` writes all that it was told: valgrind's leaves the flags as they are. gdbserver's
 * and qemu's do: one tells breakpoints apart, the other acknowledges packets. */
void gdb_over_learn(struct backend *b, const struct point *point) {
    bool writes_all = gdb_has(&b->features, GDB_SWBREAK) || b->acks;
    if (b->program.space.arch->machine == EM_X86_64 && writes_all)
        gdb_ask(b, on_code, (void *)(uintptr_t)point->address, "m%" PRIx64 ",%x", point->address,
                CODE);
}

/* ---- what it takes ---- */

/* Where a fault would have to be the program's own, we keep off: the stack's page in use is surely
 * there, and so is the program's own data, to be read. */
static bool is_safe(const struct backend *b, const struct emulated_access *access, bool writes) {
    uint64_t sp;
    if (!access->size)
        return true;
    if (access->fixed)
        return !writes && space_at((struct space *)&b->program.space, access->address);
    return registers_get(&b->view.registers, (unsigned)b->program.space.arch->sp, &sp) &&
           access->address / PAGE == sp / PAGE &&
           (access->address + access->size - 1) / PAGE == sp / PAGE;
}

static bool accesses(const struct backend *b, const struct point *point,
                     struct emulated_access *reads, struct emulated_access *writes) {
    return emulate_accesses(&point->emulation, &b->view.registers, reads, writes) &&
           is_safe(b, reads, false) && is_safe(b, writes, true);
}

static bool could_be_emulated(const struct backend *b, const struct point *point) {
    return point->emulated && !point->hardware && b->writes != WRITES_NOT;
}

void gdb_over_want(struct backend *b) {
    struct point *point = b->running ? NULL : gdb_point_at(b, b->hit.pc);
    struct emulated_access reads, writes;
    if (!point || !b->hit.site || !could_be_emulated(b, point))
        return;
    b->view.lacks |= !b->view.whole;
    if (accesses(b, point, &reads, &writes) && reads.size)
        memory_want(&b->program.memory, reads.address, reads.size);
}

/* ---- doing it ---- */

static void put_hex(char *out, const uint8_t *bytes, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

/* Only what has changed: the rest goes back as it came. */
static void change_text(struct backend *b, const struct registers *to) {
    for (size_t i = 0; i < b->place_count; i++) {
        const struct register_place *place = &b->places[i];
        const uint8_t *now = b->view.registers.bytes[place->slot], *then = to->bytes[place->slot];
        if (memcmp(now, then, ARCH_REGISTER) &&
            2 * (place->offset + place->size) <= b->registers_text.len)
            put_hex(b->registers_text.data + 2 * place->offset, then, place->size);
    }
}

static void ask_write(struct backend *b, reply_fn *on_reply) {
    gdb_choose_thread(b);
    buffer_putc(&b->text, 'G');
    buffer_add(&b->text, b->registers_text.data, b->registers_text.len);
    gdb_ask_text(b, on_reply, NULL);
}

static void on_written(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply || gdb_ok(reply, len))
        return;
    b->unwritten = true;
    b->writes = WRITES_NOT;
}

bool gdb_over_failed(struct backend *b) {
    bool failed = b->unwritten && b->thread.tid == b->moved;
    b->unwritten &= !failed;
    return failed;
}

/* With what is there already: a stub that takes this takes what we change of it. */
static void on_proved(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct point *point = gdb_point_at(b, b->hit.pc);
    (void)ctx;
    if (!reply || b->leaving)
        return;
    b->writes = gdb_ok(reply, len) ? WRITES : WRITES_NOT;
    if (point)
        gdb_go_over(b, point);
    else
        gdb_continue(b);
}

static bool is_known(const struct backend *b) {
    const struct buffer *text = &b->registers_text;
    return b->view.whole && text->len && !text->failed && !memchr(text->data, 'x', text->len) &&
           text->len + 1 <= b->features.packet_size;
}

static void ask_memory_write(struct backend *b, const struct emulated_access *access,
                             const uint8_t bytes[8]) {
    buffer_printf(&b->text, "M%" PRIx64 ",%x:", access->address, access->size);
    hex_write(&b->text, bytes, access->size);
    gdb_ask_text(b, NULL, NULL);
}

bool gdb_over(struct backend *b, struct point *point) {
    struct emulated_access reads, writes;
    struct registers after = b->view.registers;
    uint8_t in[8] = {0}, out[8] = {0};
    if (!could_be_emulated(b, point) || !is_known(b) || !accesses(b, point, &reads, &writes))
        return false;
    after.wanted = NULL;
    bool there =
        !reads.size || memory_read(&b->program.memory, reads.address, in, reads.size) == MEMORY_OK;
    b->program.memory.want_count = 0;
    if (!there || !emulate_run(&point->emulation, &after, in, out))
        return false;
    if (b->writes == WRITES_UNPROVED) {
        ask_write(b, on_proved);
        gdb_send(b);
        return true;
    }
    change_text(b, &after);
    if (writes.size)
        ask_memory_write(b, &writes, out);
    ask_write(b, on_written);
    b->moved = b->thread.tid;
    gdb_continue(b);
    return true;
}

/* ---- hardware for the hottest ---- */

static struct point *coldest(struct backend *b) {
    struct point *found = NULL;
    for (size_t i = 0; i < b->point_count; i++) {
        struct point *point = &b->points[i];
        if (point->hardware && !gdb_has_its_own_slot(point) &&
            (!found || point->hits < found->hits))
            found = point;
    }
    return found;
}

/* At the end of a step over the point. */
void gdb_on_promoted(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct point *point = gdb_point_at(b, (uintptr_t)ctx);
    if (!reply || b->leaving)
        return;
    if (point && !gdb_ok(reply, len)) {
        b->no_promotion = true;
        gdb_point_move(b, point, false);
        gdb_point_ask(b, point, true, gdb_on_inserted);
    } else if (point) {
        point->moved = false;
    }
    gdb_continue(b);
}

/* The processor passes over its own breakpoint because it has just stopped there: so a place gets a
 * slot while it is stepped over. */
bool gdb_promote(struct backend *b, struct point *point) {
    bool may = !b->no_promotion && !point->hardware && !point->condition && point->site &&
               gdb_may_be_hardware(b, point->site) && point->hits >= HOT_HITS;
    struct point *cold = may ? coldest(b) : NULL;
    if (!cold || cold->hits * HOT_FACTOR >= point->hits)
        return false;
    gdb_point_ask(b, cold, false, NULL);
    gdb_point_move(b, cold, false);
    gdb_point_ask(b, cold, true, gdb_on_inserted);
    for (size_t i = 0; i < b->point_count; i++)
        b->points[i].hits = 0;
    return true;
}
