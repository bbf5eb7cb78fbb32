#include "backend/program/program.h"

#include "lang/shape.h"
#include "symbol/go_stack.h"
#include "symbol/gosym.h"
#include <stdio.h>
#include <stdlib.h>

#define SCRATCH_MAX ((size_t)64 << 20)

void program_init(struct program *program) {
    *program = (struct program){.scratch = ARENA_INIT(SCRATCH_MAX)};
}

struct error *program_add(struct program *program, struct module *module, uint64_t bias) {
    if (program->space.count == program->space.cap)
        program_forget_compiled(program); /* the list moves, into which they point */
    struct error *error = space_add(&program->space, module, bias);
    if (error)
        module_close(module);
    return error;
}

static void free_labels(struct map *labels) {
    for (size_t i = 0; i < labels->cap; i++)
        free(labels->slots[i].value);
    map_free(labels);
    *labels = (struct map){0};
}

bool program_unload(struct program *program, bool (*gone)(void *ctx, const struct loaded *loaded),
                    void *ctx) {
    struct space *space = &program->space;
    size_t kept = space->count ? 1 : 0, before = space->count;
    for (size_t i = kept; i < before; i++) {
        if (!gone(ctx, &space->list[i])) {
            space->list[kept++] = space->list[i];
            continue;
        }
        program_forget_compiled(program);
        free_labels(&program->labels);
        module_close(space->list[i].module);
    }
    space->count = kept;
    return kept < before;
}

void program_free(struct program *program) {
    program_forget_compiled(program);
    free_labels(&program->labels);
    map_free(&program->calls);
    memory_free(&program->memory);
    arena_free(&program->scratch);
    space_free(&program->space);
}

uint64_t program_load_hook(const struct program *program) {
    for (size_t i = 1; i < program->space.count; i++) {
        const struct loaded *loaded = &program->space.list[i];
        struct elf_symbol **list;
        if (module_symbols_named(loaded->module, "_dl_debug_state", &list))
            return list[0]->address + loaded->bias;
    }
    return 0;
}

bool program_is_go(const struct program *program) {
    return program->space.count && gosym_of(program->space.list[0].module->elf);
}

const char *program_language(const struct program *program) {
    static const struct {
        unsigned code;
        const char *name;
    } names[] = {{DW_LANG_Go, "Go"},
                 {DW_LANG_Rust, "Rust"},
                 {DW_LANG_C_plus_plus, "C++"},
                 {DW_LANG_C_plus_plus_03, "C++"},
                 {DW_LANG_C_plus_plus_11, "C++"},
                 {DW_LANG_C_plus_plus_14, "C++"}};
    struct dwarf *dwarf = program->space.count ? program->space.list[0].module->dwarf : NULL;
    if (!dwarf)
        return "no debug info";
    for (size_t i = 0; i < dwarf->unit_count; i++) {
        unit_load(&dwarf->units[i]);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (dwarf->units[i].language == names[k].code)
                return names[k].name;
    }
    return "C";
}

/* ---- places ---- */

static struct place *place_of(struct query *query, const struct code_place *found) {
    for (size_t i = 0; i < query->count; i++)
        if (query->places[i].line == found->line &&
            !strcmp(query->places[i].function, found->function))
            return &query->places[i];
    struct place *place = ARRAY_ADD(query->places, query->count, query->cap);
    if (!place)
        return NULL;
    place->function = strdup(found->function);
    place->file = strdup(found->file);
    place->line = found->line;
    return place->function && place->file ? place : NULL;
}

static void add_address(struct place *place, uint64_t address) {
    uint64_t *grown = realloc(place->addresses, (place->count + 1) * sizeof *grown);
    if (!grown)
        return;
    place->addresses = grown;
    place->addresses[place->count++] = address;
}

static bool has_module(const struct program *program, const char *name) {
    for (size_t i = 0; i < program->space.count; i++)
        if (path_ends_with(program->space.list[i].module->path, name))
            return true;
    return false;
}

/* Its name, and its number as an address. */
static void resolve_syscall(struct program *program, struct query *query, const char *name) {
    const struct arch *arch = program->space.arch;
    const char *near = NULL;
    int number = arch ? arch_syscall_number(arch, name, &near) : -1;
    if (number < 0) {
        query->error =
            error_new(ERROR_RECIPE, "%s has no system call \"%s\"%s%s%s",
                      arch ? arch->name : "this architecture", name,
                      near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
        return;
    }
    struct place *place = ARRAY_ADD(query->places, query->count, query->cap);
    if (!place)
        return;
    *place = (struct place){.function = strdup(name), .file = strdup("")};
    add_address(place, (uint64_t)number);
}

/* A breakpoint in data changes a variable, and stops nobody. */
static struct error *refuse_data(struct program *program, const struct location *where,
                                 uint64_t address) {
    const struct loaded *loaded = space_at(&program->space, address);
    return loaded && elf_is_code(loaded->module->elf, address - loaded->bias)
               ? NULL
               : error_new(ERROR_RECIPE,
                           "%s with offset %lld is no code: nothing there is executed",
                           where->function, (long long)where->offset);
}

void program_resolve(struct program *program, struct query *query, bool *pending) {
    const struct location *where = query->location;
    for (size_t i = 0; i < where->syscall_count && !query->error; i++)
        resolve_syscall(program, query, where->syscalls[i]);
    if (where->syscall_count)
        return;
    struct place_query asked = {.function = where->function,
                                .file = where->file,
                                .line = where->line,
                                .match = where->match,
                                .max = where->max ? where->max : 256,
                                .address = where->address,
                                .has_address = !where->function && !where->file && !where->match,
                                .inlined = !query->own && (!where->has_inlined || where->inlined),
                                .returns = query->returns,
                                .entry = query->first || (where->function && where->has_offset),
                                .terse = query->terse};
    struct place_list found;
    if (where->module && !has_module(program, where->module)) {
        if (pending)
            *pending = true;
        return; /* until it is loaded */
    }
    query->error = space_locate(&program->space, &asked, where->module, &found);
    if (query->error) {
        if (!asked.has_address && !where->module)
            query->error = program_explain(query->error, program->space.list[0].module,
                                           where->file ? NEEDS_LINES : NEEDS_SYMBOLS);
        return;
    }
    for (size_t i = 0; i < found.count && !query->error; i++) {
        uint64_t address = found.list[i].address + (uint64_t)where->offset;
        struct place *place = place_of(query, &found.list[i]);
        if (where->offset)
            query->error = refuse_data(program, where, address);
        if (place)
            add_address(place, address);
        program_set_calls(program, where, address, where->offset ? 0 : found.list[i].calls);
    }
    query->inlined_copies = found.inlined_left_out;
    place_list_free(&found);
}

void program_resolve_early(struct program *program, struct query *query, bool *pending) {
    const struct elf_file *elf = program->space.list[0].module->elf;
    bool dynamic = elf_section_named((struct elf_file *)elf, ".dynamic") != NULL;
    bool may_come = dynamic && query->location->function && !query->location->module;
    query->terse |= may_come;
    program_resolve(program, query, pending);
    if (!query->error || !may_come)
        return;
    error_free(query->error);
    query->error = NULL;
    *pending = true;
}

/* ---- types ---- */

/* What is judged is compiled for good: its first hit does not wait for that. */
struct error *program_judge(struct program *program, const struct judged *judged,
                            struct buffer *type, size_t *column, const char **unavailable) {
    struct vantage at = program_vantage(program, judged->address, judged->where, judged->moment);
    const struct compiled *compiled = program_compiled(program, judged->expr, &at);
    if (!compiled)
        return error_no_memory();
    *column = compiled->column;
    if (compiled->error && compiled->error->reason == REASON_NO_NAME)
        return program_explain(error_copy(compiled->error), at.loaded ? at.loaded->module : NULL,
                               NEEDS_VARIABLES);
    if (compiled->error)
        return error_copy(compiled->error);
    type_print(target_expr_type(compiled->expr), type);
    *unavailable = target_expr_unavailable(compiled->expr);
    if (*unavailable)
        snprintf(program->unavailable, sizeof program->unavailable, "%s", *unavailable);
    *unavailable = *unavailable ? program->unavailable : NULL;
    return NULL;
}

/* ---- where a thread stands ---- */

struct label {
    const char *function, *file;
    unsigned line;
};

#define CALLS_BIT 56 /* no address of code needs more */

static const struct label *label_at(struct program *program, uint64_t pc, unsigned calls) {
    uint64_t key = pc ^ (uint64_t)calls << CALLS_BIT;
    struct label *label = map_get(&program->labels, key);
    if (label)
        return label;
    static struct frame frame; /* large; one thread uses a program */
    struct registers registers = {.arch = program->space.arch};
    struct stack_line lines[STACK_INLINED];
    label = calloc(1, sizeof *label);
    if (!label)
        return NULL;
    registers_set(&registers, (unsigned)program->space.arch->pc, pc);
    frame_start(&frame, &program->space, &program->memory, &registers);
    size_t n = frame_lines(&frame, lines);
    const struct stack_line *line = &lines[calls < n ? calls : n - 1];
    *label = (struct label){line->function, line->file, line->line};
    if (!map_put(&program->labels, key, label)) {
        free(label);
        return NULL;
    }
    return label;
}

void program_locate(struct program *program, struct hit *hit, const struct location *where) {
    if (!where && hit->site)
        where = hit->site->where;
    unsigned calls = program_calls(program, where, hit->pc);
    const struct label *label = program->space.arch ? label_at(program, hit->pc, calls) : NULL;
    hit->function = label ? label->function : "";
    hit->file = label ? label->file : "";
    hit->line = label ? label->line : 0;
}

void program_thread_start(struct program *program, struct program_thread *thread) {
    thread->registers.wanted = &thread->lacks;
    frame_start(&thread->frame, &program->space, &program->memory, &thread->registers);
    thread->framed = true;
    thread->lacks = false;
}

static void warm_module(struct program *program, const struct loaded *loaded) {
    static struct frame frame, caller; /* large; one thread uses a program */
    struct registers registers = {.arch = program->space.arch};
    const char *why;
    size_t count;
    const struct elf_symbol *symbols = module_symbols(loaded->module, &count);
    if (!count)
        return;
    uint64_t pc = symbols[count / 2].address + loaded->bias;
    registers_set(&registers, (unsigned)program->space.arch->pc, pc);
    registers_set(&registers, (unsigned)program->space.arch->sp, loaded->low);
    label_at(program, pc, 0);
    frame_start(&frame, &program->space, &program->memory, &registers);
    frame_unwind(&frame, &caller, &why);
    memory_forget(&program->memory);
    go_stack_prepare(loaded->module);
}

static bool wants_stack(const struct site *site) {
    for (size_t i = 0; i < site->want_count; i++)
        if (site->wants[i].kind == WANT_STACK)
            return true;
    return false;
}

void program_warm(struct program *program, const struct site *site) {
    program_warm_names(program, site);
    if (program->warm || !wants_stack(site))
        return;
    for (size_t i = 0; i < program->space.count; i++)
        warm_module(program, &program->space.list[i]);
    program->warm = true;
}

/* Without unwind information: what the ABI says of a function's first instruction and its return.
 */
static bool guess_frame(struct program *program, struct program_thread *thread, uint64_t *out) {
    const struct arch *arch = program->space.arch;
    if (!registers_get(&thread->registers, (unsigned)arch->sp, out))
        return false;
    *out += arch->link < 0 ? arch->word : 0;
    return true;
}

/* The runtime moves a goroutine's stack when it grows: its frames are known by where they are below
 * its end. */
static enum read_result find_stack(const struct program_thread *thread, struct hit *hit) {
    const char *why;
    uint64_t g, top;
    bool lacked = thread->lacks;
    enum unwind_result result = go_stack_top(&thread->frame, &g, &top, &why);
    if (result == UNWIND_OK) {
        hit->stack = g;
        hit->frame -= (int64_t)top;
    }
    bool more = result == UNWIND_AGAIN || (!lacked && thread->lacks && !thread->whole);
    return more ? READ_AGAIN : READ_DONE;
}

enum read_result program_identify(struct program *program, struct program_thread *thread,
                                  struct hit *hit) {
    const char *why;
    uint64_t cfa = 0;
    if (!thread->framed)
        program_thread_start(program, thread);
    enum unwind_result result = frame_find_cfa(&thread->frame, &why);
    if (result == UNWIND_AGAIN)
        return READ_AGAIN;
    if (result != UNWIND_OK && thread->lacks && !thread->whole)
        return READ_AGAIN;
    hit->has_frame = result == UNWIND_OK || guess_frame(program, thread, &cfa);
    hit->frame = (int64_t)(result == UNWIND_OK ? thread->frame.cfa : cfa);
    hit->stack = 0;
    return result == UNWIND_OK ? find_stack(thread, hit) : READ_DONE;
}

void program_forget(struct program *program) {
    memory_forget(&program->memory);
    arena_reset(&program->scratch);
    program->given_up = NULL;
    program_read_until(program, 0);
}

void program_read_until(struct program *program, uint64_t deadline_ns) {
    program->deadline_ns = deadline_ns;
    program->looked = 0;
    program->late = program->last = false;
}

#define LOOK_EVERY 2    /* values: the clock costs as much as a small one */
#define LAST_NS 2000000 /* to show what is there */

bool program_is_late(struct program *program) {
    bool open = program->deadline_ns && (!program->late || program->last);
    if (open && ++program->looked % LOOK_EVERY == 0 && uv_hrtime() >= program->deadline_ns) {
        program->late = true;
        program->last = false;
    }
    return program->late && !program->last;
}

void program_read_last(struct program *program) {
    program->last = true;
    program->deadline_ns += LAST_NS;
}

void program_give_up(struct program *program, const char *why) {
    program->given_up = why;
    program->memory.want_count = 0;
}
