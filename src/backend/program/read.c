/* What a recipe wants of a thread that stands still. */
#include "backend/program/program.h"

#include "lang/shape.h"
#include <inttypes.h>
#include <stdio.h>

#define STACK_AHEAD 4096 /* bytes of the stack that one missing word brings with it */
#define STACK_NEAR (UINT64_C(8) << 20)

/* One reading: its parts note what is missing. */
struct reading {
    struct program *program;
    struct program_thread *thread;
    const struct want *want;
    struct buffer *into;
    struct vantage at;
    bool again;
};

static value_ref failed(struct reading *r, const char *why) {
    return value_error(r->into, "%s", why ? why : "it cannot be read");
}

static const char too_late[] = "not read: max_pause was over";

static value_ref read_text(struct reading *r, const char *text) {
    if (!r->want->truth && program_is_late(r->program))
        return failed(r, too_late);
    const struct compiled *compiled = program_compiled(r->program, text, &r->at);
    if (!compiled)
        return value_error(r->into, "out of memory");
    if (compiled->error)
        return value_error(r->into, "%s", compiled->error->message);
    struct evaluation evaluation = {
        .frame = &r->thread->frame, .scratch = &r->program->scratch, .shape = lang_shape};
    const struct load *load = &r->want->load;
    struct show_limits limits = {load->string, load->items, load->depth, load->bytes};
    struct operand operand;
    size_t before = r->into->len;
    enum outcome outcome = target_expr_evaluate(compiled->expr, &evaluation, &operand);
    bool truth = false;
    if (outcome == EVAL_OK && r->want->truth)
        outcome = operand_truth(&evaluation, &operand, &truth);
    if (outcome == EVAL_FAILED)
        return failed(r, evaluation.why);
    value_ref ref = 0;
    if (outcome == EVAL_OK && r->want->truth)
        ref = value_bool(r->into, truth);
    else if (outcome == EVAL_OK)
        ref = operand_show(&evaluation, &operand, &limits, (enum show_as)r->want->as, r->into);
    bool again = outcome == EVAL_AGAIN || evaluation.again;
    if (again && r->program->last) {
        r->into->len = before;
        return failed(r, too_late);
    }
    r->again |= again;
    return ref;
}

static value_ref read_expr(struct reading *r) {
    return read_text(r, r->want->expr);
}

static value_ref read_results(struct reading *r) {
    return read_text(r, "return");
}

static value_ref read_names(struct reading *r, bool arguments) {
    value_ref object = value_new(r->into, VALUE_OBJECT);
    const struct names_at *list =
        r->at.loaded ? program_names(r->program, &r->at, arguments) : NULL;
    for (size_t i = 0; list && i < list->count; i++)
        value_set(r->into, object, list->names[i], read_text(r, list->names[i]));
    return object;
}

static value_ref read_args(struct reading *r) {
    return read_names(r, true);
}

static value_ref read_locals(struct reading *r) {
    return read_names(r, false);
}

/* ---- the stack ---- */

static value_ref line_value(struct reading *r, const struct stack_line *line) {
    char pc[24];
    value_ref object = value_new(r->into, VALUE_OBJECT);
    snprintf(pc, sizeof pc, "0x%" PRIx64, line->pc);
    value_set_text(r->into, object, "function", line->function);
    value_set_text(r->into, object, "file", line->file);
    value_set(r->into, object, "line", value_int(r->into, line->line));
    value_set_text(r->into, object, "pc", pc);
    if (line->inlined)
        value_set(r->into, object, "inlined", value_bool(r->into, true));
    if (!*line->function && *line->module)
        value_set_text(r->into, object, "module", line->module);
    return object;
}

/* The first line of the thread's own frame that has been entered. */
static size_t first_line(const struct reading *r, size_t lines) {
    return r->at.calls < lines ? r->at.calls : lines - 1;
}

/* The next words of the stack will be wanted, too: one fetch for many frames. */
static void fetch_ahead(struct program *program, const struct frame *frame) {
    struct memory *memory = &program->memory;
    uint64_t sp;
    if (!memory->want_count ||
        !registers_get(&frame->registers, (unsigned)program->space.arch->sp, &sp))
        return;
    struct memory_range *last = &memory->wants[memory->want_count - 1];
    if (last->address - sp < STACK_NEAR && last->size < STACK_AHEAD)
        memory_want(memory, last->address, STACK_AHEAD);
}

enum unwind_result program_unwind(struct program *program, struct frame *frame,
                                  struct frame *caller, const char **why) {
    enum unwind_result result = frame_unwind(frame, caller, why);
    if (result == UNWIND_AGAIN)
        fetch_ahead(program, frame);
    return result;
}

static bool is_outermost(const struct stack_line *line) {
    return !strcmp(line->function, "main"); /* what called it is the C library's affair */
}

static value_ref read_stack(struct reading *r) {
    static struct frame frames[2]; /* large; one thread uses a program */
    struct stack_line lines[STACK_INLINED];
    value_ref list = value_new(r->into, VALUE_LIST);
    const char *why = "";
    unsigned count = 0;
    int at = 0;
    frames[0] = r->thread->frame;
    while (count < r->want->frames) {
        size_t n = frame_lines(&frames[at], lines);
        for (size_t i = count ? 0 : first_line(r, n); i < n && count < r->want->frames;
             i++, count++)
            value_append(r->into, list, line_value(r, &lines[i]));
        if (count == r->want->frames || is_outermost(&lines[n - 1]))
            break;
        enum unwind_result result = program_unwind(r->program, &frames[at], &frames[1 - at], &why);
        bool late = program_is_late(r->program) || (result == UNWIND_AGAIN && r->program->last);
        r->again |= result == UNWIND_AGAIN && !late;
        if (result == UNWIND_FAILED || late)
            value_append(r->into, list, failed(r, late ? too_late : why));
        if (result != UNWIND_OK || late)
            break;
        at = 1 - at;
    }
    return list;
}

/* ---- registers, threads ---- */

static void put_register(struct reading *r, value_ref object, const char *name, unsigned slot,
                         unsigned size) {
    const struct registers *registers = &r->thread->registers;
    char text[2 * ARCH_REGISTER + 3] = "0x", *at = text + 2;
    if (!registers_has(registers, slot))
        return;
    unsigned n = size < ARCH_REGISTER ? size : ARCH_REGISTER;
    while (n > 1 && !registers->bytes[slot][n - 1])
        n--;
    at += sprintf(at, "%x", registers->bytes[slot][n - 1]);
    while (--n)
        at += sprintf(at, "%02x", registers->bytes[slot][n - 1]);
    value_set_text(r->into, object, name, text);
}

static value_ref read_registers(struct reading *r) {
    const struct arch *arch = r->program->space.arch;
    value_ref object = value_new(r->into, VALUE_OBJECT);
    if (!r->thread->whole || r->thread->singly) {
        r->thread->lacks = r->again = true;
        return 0;
    }
    for (size_t i = 0; i < arch->range_count; i++) {
        const struct arch_range *range = &arch->ranges[i];
        for (unsigned k = 0; k < range->count; k++) {
            char name[32];
            bool many = range->count > 1;
            unsigned number = k;
            sscanf(range->prefix + strcspn(range->prefix, "0123456789"), "%u", &number);
            snprintf(name, sizeof name, many ? "%s%u" : "%s", range->prefix, number);
            put_register(r, object, name, range->slot + k, range->size);
        }
    }
    return object;
}

static value_ref read_nothing(struct reading *r) {
    return value_error(r->into, "goroutines are Go's: not read by this back end yet");
}

static value_ref read_thread(struct reading *r) {
    struct stack_line lines[STACK_INLINED];
    value_ref object = value_new(r->into, VALUE_OBJECT);
    value_set(r->into, object, "id", value_int(r->into, r->thread->id));
    size_t n = frame_lines(&r->thread->frame, lines);
    const struct stack_line *line = &lines[first_line(r, n)];
    value_set_text(r->into, object, "function", line->function);
    value_set_text(r->into, object, "file", line->file);
    value_set(r->into, object, "line", value_int(r->into, line->line));
    return object;
}

static value_ref read_frame(struct reading *r) {
    bool lives = true;
    r->again |= program_frame_lives(r->program, r->thread, &r->want->frame, &lives) == EVAL_AGAIN;
    return value_bool(r->into, lives);
}

static value_ref read_list(struct reading *r) {
    return program_list(r->program, r->want, r->into);
}

static const enum moment moments[] = {[SITE_RETURN] = AT_RETURN,
                                      [SITE_SYSCALL] = AT_SYSCALL,
                                      [SITE_SYSCALL_RETURN] = AT_SYSCALL_RETURN};

enum read_result program_read(struct program *program, struct program_thread *thread,
                              const struct hit *hit, const struct want *want, struct buffer *into,
                              value_ref *out) {
    static value_ref (*const readers[])(struct reading * r) = {
        [WANT_EXPR] = read_expr,         [WANT_ARGS] = read_args,
        [WANT_LOCALS] = read_locals,     [WANT_RESULTS] = read_results,
        [WANT_STACK] = read_stack,       [WANT_REGISTERS] = read_registers,
        [WANT_GOROUTINE] = read_nothing, [WANT_GOROUTINES] = read_nothing,
        [WANT_THREAD] = read_thread,     [WANT_FRAME] = read_frame,
        [WANT_LIST] = read_list};
    struct reading r = {.program = program, .thread = thread, .want = want, .into = into};
    size_t before = into->len;
    if (!thread->framed)
        program_thread_start(program, thread);
    struct vantage *at = &r.at;
    at->moment = hit->site ? moments[hit->site->kind] : AT_PLACE;
    if (want->returning && at->moment == AT_PLACE)
        at->moment = AT_RETURN;
    if (!thread->anywhere && at->moment < AT_SYSCALL)
        at->loaded = thread->frame.loaded;
    at->pc = at->loaded ? hit->pc - at->loaded->bias : 0;
    at->calls = program_calls(program, want->where, hit->pc);
    *out = readers[want->kind](&r);
    /* What depends on a register that was not fetched looks as if it were optimised out. */
    if (!r.again && !(thread->lacks && (!thread->whole || thread->singly)))
        return READ_DONE;
    into->len = before; /* what was built of it is built anew */
    if (!program->given_up)
        return READ_AGAIN;
    *out = value_error(into, "not read: %s", program->given_up);
    return READ_DONE;
}

enum read_result program_show(struct program *program, struct program_thread *thread,
                              const struct operand *operand, const struct want *want,
                              struct buffer *into, value_ref *out) {
    if (!thread->framed)
        program_thread_start(program, thread);
    struct evaluation evaluation = {
        .frame = &thread->frame, .scratch = &program->scratch, .shape = lang_shape};
    const struct load *load = &want->load;
    struct show_limits limits = {load->string, load->items, load->depth, load->bytes};
    size_t before = into->len;
    *out = operand_show(&evaluation, operand, &limits, (enum show_as)want->as, into);
    if (!evaluation.again)
        return READ_DONE;
    into->len = before;
    if (!program->last)
        return READ_AGAIN;
    *out = value_error(into, "%s", too_late);
    return READ_DONE;
}

/* ---- ahead of the first hit ---- */

#define WARM_MAX 64 /* places of one site */

static void warm_names(struct program *program, const struct site *site, const struct want *want) {
    for (size_t i = 0; i < site->address_count && i < WARM_MAX; i++) {
        struct vantage at =
            program_vantage(program, site->addresses[i], want->where, moments[site->kind]);
        const struct names_at *list =
            at.loaded ? program_names(program, &at, want->kind == WANT_ARGS) : NULL;
        for (size_t k = 0; list && k < list->count; k++)
            program_compiled(program, list->names[k], &at);
    }
}

void program_warm_names(struct program *program, const struct site *site) {
    for (size_t i = 0; i < site->want_count; i++)
        if (site->wants[i].kind == WANT_ARGS || site->wants[i].kind == WANT_LOCALS)
            warm_names(program, site, &site->wants[i]);
}
