/* What a hit will need, read before anybody asks: the places of the last hit at the same point,
 * from the same registers. One that is elsewhere this time is read when it is asked for, as ever:
 * what is known is known by its address. And what was read at a hit, for when the target runs
 * again. */
#include "backend/ptrace/ptrace.h"

#include <stddef.h>
#include <sys/uio.h>

#define NEAR 4096         /* bytes from a register to what it points at */
#define EACH_MAX 1024     /* bytes of one range */
#define NOWHERE UINT8_MAX /* no register: the address itself */

#define REGISTER_AT(name) offsetof(struct user_regs_struct, name)
static const uint8_t bases[] = {
    REGISTER_AT(rdi), REGISTER_AT(rsi), REGISTER_AT(rdx), REGISTER_AT(rcx),
    REGISTER_AT(r8),  REGISTER_AT(r9),  REGISTER_AT(rsp), REGISTER_AT(rbp),
    REGISTER_AT(rax), REGISTER_AT(rbx), REGISTER_AT(r10), REGISTER_AT(r11),
    REGISTER_AT(r12), REGISTER_AT(r13), REGISTER_AT(r14), REGISTER_AT(r15)};

static uint64_t value_of(const struct user_regs_struct *registers, uint8_t base) {
    uint64_t value = 0;
    if (base != NOWHERE)
        memcpy(&value, (const char *)registers + base, sizeof value);
    return value;
}

/* Where others stand already, memory may have changed since they came: nothing is known ahead. */
static bool may_know(const struct backend *b, const struct task *task) {
    return b->running && !b->queue_count && !b->program.memory.count && task->kind == TASK_THREAD;
}

size_t native_read_ahead(struct task *task, const struct point *point, uint8_t *code, size_t size) {
    struct backend *b = task->backend;
    static uint8_t bytes[AHEAD_MAX * EACH_MAX];
    struct iovec local[2] = {{code, size}, {bytes, 0}}, remote[1 + AHEAD_MAX];
    size_t count = may_know(b, task) ? point->ahead_count : 0;
    remote[0] = (struct iovec){(void *)(point->address + 1), size};
    for (size_t i = 0; i < count; i++) {
        const struct ahead *ahead = &point->ahead[i];
        uint64_t address = value_of(&task->registers, ahead->base) + ahead->offset;
        remote[1 + i] = (struct iovec){(void *)address, ahead->size};
        local[1].iov_len += ahead->size;
    }
    b->fetched = false;
    if (!size && !count)
        return 0;
    ssize_t got = process_vm_readv(task->tid, local, 2, remote, 1 + count, 0);
    size_t at = size;
    for (size_t i = 0; i < count && got >= (ssize_t)(at + remote[1 + i].iov_len); i++) {
        native_known(b, (uint64_t)remote[1 + i].iov_base, bytes + at - size, remote[1 + i].iov_len);
        at += remote[1 + i].iov_len;
    }
    return got < 0 ? 0 : (size_t)got < size ? (size_t)got : size;
}

static struct ahead expressed(const struct memory_block *block,
                              const struct user_regs_struct *registers) {
    for (size_t i = 0; i < sizeof bases; i++) {
        uint64_t offset = block->address - value_of(registers, bases[i]);
        if (offset + NEAR < 2 * NEAR)
            return (struct ahead){bases[i], (uint16_t)block->size, offset};
    }
    return (struct ahead){NOWHERE, (uint16_t)block->size, block->address};
}

void native_learn(struct task *task) {
    struct backend *b = task->backend;
    const struct memory *memory = &b->program.memory;
    struct point *point = task->stands == STANDS_ON_POINT ? native_point_at(b, task->pc) : NULL;
    bool differs = b->fetched;
    for (size_t i = 0; i < memory->count; i++)
        differs |= !memory->blocks[i].used;
    if (!differs || !point)
        return;
    point->ahead_count = 0;
    for (size_t i = 0; i < memory->count && point->ahead_count < AHEAD_MAX; i++) {
        const struct memory_block *block = &memory->blocks[i];
        if (block->used && !block->fault && block->size <= EACH_MAX)
            point->ahead[point->ahead_count++] = expressed(block, &task->registers);
    }
}

/* ---- for when the target runs again ---- */

bool native_came(struct backend *b, const struct hit *hit, const struct want *want) {
    struct came *came = ARRAY_ADD(b->came, b->came_count, b->came_cap);
    value_ref value = 0;
    if (!came)
        return false;
    *came = (struct came){.hit = hit};
    native_read(b, hit, want, &b->came_values, &value);
    if (b->came_values.failed) {
        b->came_count--;
        return false;
    }
    *came = (struct came){hit, want, value};
    return true;
}

/* Asked for in the order in which they came. */
bool native_take_came(struct backend *b, const struct hit *hit, const struct want *want,
                      struct buffer *into, value_ref *out) {
    for (size_t i = 0; i < b->came_count; i++) {
        size_t at = (b->came_next + i) % b->came_count;
        if (b->came[at].hit != hit || b->came[at].want != want)
            continue;
        b->came_next = at + 1;
        *out = value_copy(into, &b->came_values, b->came[at].value);
        return true;
    }
    return false;
}

void native_forget_came(struct backend *b) {
    b->came_count = b->came_next = 0;
    buffer_clear(&b->came_values);
}
