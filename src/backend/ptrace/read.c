/* Memory and registers. Reading waits for nobody, so a capture is complete when it is asked for. */
#include "backend/ptrace/ptrace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

#define PAGE 4096
#define BATCH 64
#define TRIES 40   /* to stop a thread that is to be looked at, of 5 ms each */
#define ROUNDS 256 /* of one value: each knows more memory than the one before */

bool native_registers(struct task *task) {
    if (!task->has_registers)
        task->has_registers = !ptrace(PTRACE_GETREGS, task->tid, NULL, &task->registers);
    return task->has_registers;
}

#define PLACE(name) offsetof(struct user_regs_struct, name)
#define RIP 16
#define FLAGS 49

/* In the order of our slots, which are DWARF's. */
static const size_t general[] = {PLACE(rax), PLACE(rdx), PLACE(rcx), PLACE(rbx), PLACE(rsi),
                                 PLACE(rdi), PLACE(rbp), PLACE(rsp), PLACE(r8),  PLACE(r9),
                                 PLACE(r10), PLACE(r11), PLACE(r12), PLACE(r13), PLACE(r14),
                                 PLACE(r15), PLACE(rip)};

void native_general_from(struct registers *out, const struct user_regs_struct *r) {
    for (unsigned i = 0; i < sizeof general / sizeof *general; i++) {
        uint64_t value;
        memcpy(&value, (const char *)r + general[i], sizeof value);
        registers_set(out, i, value);
    }
    registers_set(out, FLAGS, r->eflags);
}

void native_general_to(const struct registers *from, struct user_regs_struct *r) {
    uint64_t value;
    for (unsigned i = 0; i < sizeof general / sizeof *general; i++)
        if (registers_get(from, i, &value))
            memcpy((char *)r + general[i], &value, sizeof value);
    if (registers_get(from, FLAGS, &value))
        r->eflags = value;
}

void native_view(struct task *task) {
    if (!task->view)
        task->view = calloc(1, sizeof *task->view);
    if (!task->view || task->has_view || !native_registers(task))
        return;
    task->has_view = true;
    struct program_thread *view = task->view;
    view->id = task->tid;
    view->whole = view->lacks = view->framed = view->anywhere = false;
    view->registers.arch = task->backend->program.space.arch;
    view->registers.wanted = NULL;
    memset(view->registers.valid, 0, sizeof view->registers.valid);
    native_general_from(&view->registers, &task->registers);
    registers_set(&view->registers, RIP, native_unslot(task->backend, task->registers.rip));
    registers_set(&view->registers, 58, task->registers.fs_base);
    registers_set(&view->registers, 59, task->registers.gs_base);
}

/* Those of floats and vectors are fetched when one is asked for. */
static void add_floats(struct task *task) {
    struct user_fpregs_struct floats;
    struct program_thread *view = task->view;
    if (!ptrace(PTRACE_GETFPREGS, task->tid, NULL, &floats)) {
        for (unsigned i = 0; i < 16; i++)
            registers_set_bytes(&view->registers, 17 + i, (uint8_t *)floats.xmm_space + 16 * i, 16);
        for (unsigned i = 0; i < 8; i++)
            registers_set_bytes(&view->registers, 33 + i, (uint8_t *)floats.st_space + 16 * i, 10);
    }
    view->whole = true;
    view->lacks = view->framed = false;
}

/* ---- memory ---- */

/* What stands under our breakpoints is what the program has there. */
static void hide_points(const struct backend *b, uint64_t address, uint8_t *bytes, size_t size) {
    if (!space_at((struct space *)&b->program.space, address))
        return;
    for (size_t i = 0; size < b->points.count && i < size; i++) {
        const struct point *point = native_point_at(b, address + i);
        if (point && point->inserted)
            bytes[i] = point->original;
    }
    for (size_t i = 0; size >= b->points.count && i < b->points.cap; i++) {
        const struct point *point = b->points.slots[i].value;
        if (point && point->inserted && point->address - address < size)
            bytes[point->address - address] = point->original;
    }
}

size_t native_read_memory(const struct backend *b, uint64_t address, void *out, size_t size) {
    size_t have = 0;
    while (have < size) { /* a page at a time: the next one may be missing */
        size_t step = PAGE - (address + have) % PAGE;
        step = step < size - have ? step : size - have;
        ssize_t n = pread(b->memory, (uint8_t *)out + have, step, (off_t)(address + have));
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    hide_points(b, address, out, have);
    return have;
}

bool native_write_memory(const struct backend *b, uint64_t address, const void *bytes,
                         size_t size) {
    return pwrite(b->memory, bytes, size, (off_t)address) == (ssize_t)size;
}

static void fetch_one(struct backend *b, const struct memory_range *want) {
    uint8_t small[1024], *bytes = want->size > sizeof small ? malloc(want->size) : small;
    if (!bytes)
        return;
    size_t n = native_read_memory(b, want->address, bytes, want->size);
    memory_fill(&b->program.memory, want->address, bytes, n, want->size);
    if (bytes != small)
        free(bytes);
}

void native_known(struct backend *b, uint64_t address, uint8_t *bytes, size_t size) {
    hide_points(b, address, bytes, size);
    memory_fill(&b->program.memory, address, bytes, size, size);
}

/* All that is wanted, in one system call; what it stops at is read on its own. */
static void fetch_batch(struct backend *b, const struct memory_range *wants, size_t n) {
    static uint8_t bytes[64 << 10];
    struct iovec local, remote[BATCH];
    size_t total = 0, count = 0;
    for (; count < n && total + wants[count].size <= sizeof bytes; count++) {
        remote[count] = (struct iovec){(void *)wants[count].address, wants[count].size};
        total += wants[count].size;
    }
    local = (struct iovec){bytes, total};
    ssize_t got = count ? process_vm_readv(b->alive, &local, 1, remote, count, 0) : 0;
    if (got < 0 && errno == ESRCH)
        native_find_alive(b); /* the thread has ended that the process was seen through */
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (i < count && got >= (ssize_t)(at + wants[i].size)) {
            native_known(b, wants[i].address, bytes + at, wants[i].size);
        } else {
            fetch_one(b, &wants[i]);
        }
        at += wants[i].size;
    }
}

void native_fetch(struct backend *b) {
    struct memory *memory = &b->program.memory;
    struct memory_range wants[BATCH];
    b->fetched |= memory->want_count > 0;
    while (memory->want_count) {
        size_t n = memory->want_count < BATCH ? memory->want_count : BATCH;
        memcpy(wants, memory->wants + memory->want_count - n, n * sizeof *wants);
        memory->want_count -= n;
        fetch_batch(b, wants, n);
    }
}

/* ---- values ---- */

/* One that has to wait for a processor is waited for a while, one that the kernel holds is not. */
static struct task *stopped_leader(struct backend *b) {
    struct task *task = native_task_of(b->pid);
    bool stands = false;
    for (int i = 0; task && !stands && i < TRIES; i++) {
        stands = native_interrupt(task);
        task = native_task_of(b->pid);
        if (!stands && native_state_of(b->pid) == 'D')
            break;
    }
    return stands ? task : NULL;
}

/* The thread of a hit; at a halt, the first one, stopped only if its own state is asked for. */
static struct task *task_of(struct backend *b, const struct hit *hit, const struct want *want) {
    bool ours = b->hits && hit >= b->hits && hit < b->hits + b->stop.count;
    struct task *task = ours ? b->hit_tasks[hit - b->hits] : NULL;
    bool needed = want->kind != WANT_EXPR && want->kind != WANT_LIST;
    if (task || !ours || !needed || b->stop.reason != STOP_HALTED)
        return task;
    bool frozen = b->frozen;
    b->frozen = true; /* whatever it stops for, it stays */
    task = stopped_leader(b);
    b->frozen = frozen;
    if (b->read_ns) /* from here on somebody stands */
        program_read_until(&b->program, uv_hrtime() + b->read_ns);
    if (task && native_registers(task)) {
        task->pc = native_unslot(b, task->registers.rip);
        native_view(task);
        native_task_name(task);
        b->hit_tasks[0] = task;
        b->hits[0].pc = task->pc;
        b->hits[0].thread_name = task->name;
        program_locate(&b->program, &b->hits[0], NULL);
    }
    return task;
}

static value_ref list_threads(struct backend *b, struct buffer *into) {
    value_ref list = value_new(into, VALUE_LIST);
    for (size_t i = 0; i < b->tasks.cap; i++) {
        struct task *task = b->tasks.slots[i].value;
        if (!task || task->kind != TASK_THREAD)
            continue;
        if (!*task->name)
            native_task_name(task);
        value_ref object = value_new(into, VALUE_OBJECT);
        value_set(into, object, "id", value_int(into, task->tid));
        value_set_text(into, object, "name", task->name);
        value_append(into, list, object);
    }
    return list;
}

static bool may_be_cut(const struct want *want) {
    return !want->truth && want->kind != WANT_FRAME;
}

/* Once more with what was missing, until nothing is. */
static void read_whole(struct backend *b, struct task *task, struct program_thread *view,
                       const struct hit *hit, const struct want *want, struct buffer *into,
                       value_ref *out) {
    const struct watch *watch = want->kind == WANT_EXPR ? native_watch_of(b, want->expr) : NULL;
    for (int i = 0; i < ROUNDS; i++) {
        enum read_result result =
            watch ? program_show(&b->program, view, &watch->operand, want, into, out)
                  : program_read(&b->program, view, hit, want, into, out);
        if (result == READ_DONE)
            return;
        native_fetch(b);
        if (view->lacks && task && !view->whole)
            add_floats(task);
        else if (view->lacks)
            view->whole = true;
        if (may_be_cut(want) && program_is_late(&b->program))
            program_read_last(&b->program);
    }
    *out = value_error(into, "it leads to more and more memory");
}

enum read_result native_read(struct backend *b, const struct hit *hit, const struct want *want,
                             struct buffer *into, value_ref *out) {
    if (want->kind == WANT_LIST && !strcmp(want->expr, "threads")) {
        *out = list_threads(b, into);
        return READ_DONE;
    }
    if (native_take_came(b, hit, want, into, out))
        return READ_DONE;
    struct task *task = task_of(b, hit, want);
    bool nowhere = !task || !task->view;
    struct program_thread *view = nowhere ? &b->nowhere : task->view;
    if (!nowhere)
        view->anywhere = b->stop.reason == STOP_HALTED;
    read_whole(b, nowhere ? NULL : task, view, hit, want, into, out);
    b->program.last = false;
    b->stop.cut |= b->program.late;
    return READ_DONE;
}

bool native_condition_holds(struct backend *b, struct task *task) {
    const struct want want = {.kind = WANT_EXPR,
                              .expr = task->site->cond,
                              .where = task->site->where,
                              .truth = true,
                              .load = {.string = 256, .items = 8, .depth = 1, .bytes = 256}};
    const struct hit hit = {.site = task->site, .pc = task->pc};
    value_ref ref = 0;
    native_view(task);
    task->undecided = false;
    if (!task->view)
        return true;
    buffer_clear(&b->verdict);
    read_whole(b, task, task->view, &hit, &want, &b->verdict, &ref);
    const struct value *value = value_get(&b->verdict, ref);
    if (value && value->kind == VALUE_BOOL)
        return value->b;
    task->undecided = true;
    snprintf(b->condition_error, sizeof b->condition_error, "%s",
             value && value->kind == VALUE_ERROR ? value_text(&b->verdict, value)
                                                 : "the condition is neither true nor false");
    return true;
}

void native_give_up(struct backend *b, const char *why) {
    program_give_up(&b->program, why);
}
