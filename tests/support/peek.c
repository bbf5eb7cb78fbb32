/* The symbol and expression engine on its own, for tests: a request a line on stdin (JSON), an
 * answer a line on stdout. `peek BINARY [--pid PID]` reads the memory of a process that somebody
 * else has stopped. See peek.md. */
#include "base/text.h"
#include "expr/target.h"
#include "lang/shape.h"
#include "symbol/locate.h"
#include "symbol/names.h"

#include <ctype.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct peek {
    struct space space;
    struct memory memory;
    struct registers registers;
    int mem; /* /proc/PID/mem; -1: none */
    unsigned rounds;
};

#define ROUNDS 256

static void fetch(struct peek *peek) {
    for (size_t i = 0; i < peek->memory.want_count; i++) {
        struct memory_range want = peek->memory.wants[i];
        char *bytes = malloc(want.size + 1);
        size_t have = 0;
        while (bytes && have < want.size &&
               peek->mem >= 0) { /* a page at a time: one may be gone */
            size_t step = 4096 - (want.address + have) % 4096;
            step = step < want.size - have ? step : want.size - have;
            ssize_t n = pread(peek->mem, bytes + have, step, (off_t)(want.address + have));
            if (n <= 0)
                break;
            have += (size_t)n;
        }
        if (bytes && peek->mem < 0) {
            struct loaded *loaded = space_at(&peek->space, want.address);
            memset(bytes, 0, want.size + 1); /* what is behind a section reads as zero */
            if (loaded &&
                elf_read(loaded->module->elf, want.address - loaded->bias, bytes, want.size))
                have = want.size;
        }
        memory_fill(&peek->memory, want.address, bytes, have, want.size);
        free(bytes);
    }
    peek->memory.want_count = 0;
    peek->rounds++;
}

/* ---- modules ---- */

static void add_module(struct peek *peek, const char *path, uint64_t first, bool with_bias) {
    struct module *module;
    struct error *error = module_open(path, &module);
    if (error) {
        fprintf(stderr, "peek: %s\n", error->message);
        error_free(error);
        return;
    }
    uint64_t low = module->elf->low & ~UINT64_C(4095);
    error_free(space_add(&peek->space, module, with_bias ? first - low : 0));
}

/* The kernel's own library has no file. */
static void add_vdso(struct peek *peek, const char *pid) {
    static char image[64 << 10];
    char path[64], line[4096];
    unsigned long long low = 0, high = 0;
    struct module *module;
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE *maps = fopen(path, "re");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "[vdso]") && sscanf(line, "%llx-%llx", &low, &high) == 2)
            break;
    if (maps)
        fclose(maps);
    if (high - low > sizeof image || pread(peek->mem, image, high - low, (off_t)low) <= 0)
        return;
    struct error *error = module_open_image("[vdso]", image, high - low, &module);
    if (!error)
        error = space_add(&peek->space, module, low);
    error_free(error);
}

static void add_process(struct peek *peek, const char *pid, const char *binary) {
    char path[64], line[4096], last[4096] = "", exe[4096];
    snprintf(path, sizeof path, "/proc/%s/exe", pid);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    for (int pass = 0; pass < 2; pass++) {
        snprintf(path, sizeof path, "/proc/%s/maps", pid);
        FILE *maps = fopen(path, "re");
        *last = '\0';
        while (maps && fgets(line, sizeof line, maps)) {
            unsigned long long low;
            char *file = strchr(line, '/');
            line[strcspn(line, "\n")] = '\0';
            if (!file || sscanf(line, "%llx", &low) != 1 || !strcmp(file, last))
                continue;
            snprintf(last, sizeof last, "%s", file);
            bool program = !strcmp(file, exe);
            if (program && pass == 0)
                add_module(peek, binary, low, true);
            else if (!program && pass == 1 && strstr(file, ".so"))
                add_module(peek, file, low, true);
        }
        if (maps)
            fclose(maps);
    }
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    peek->mem = open(path, O_RDONLY | O_CLOEXEC);
    add_vdso(peek, pid);
}

/* ---- requests ---- */

static json_t *failure(const char *text) {
    return json_pack("{s:s}", "error", text);
}

static json_t *take_error(struct error *error) {
    json_t *answer = failure(error->message);
    error_free(error);
    return answer;
}

static json_t *set_registers(struct peek *peek, const json_t *request) {
    const char *name;
    json_t *value;
    struct arch_register reg;
    memset(&peek->registers, 0, sizeof peek->registers);
    peek->registers.arch = peek->space.arch;
    memory_forget(&peek->memory);
    json_object_foreach(json_object_get(request, "values"), name, value) {
        if (!arch_register_named(peek->space.arch, name, &reg))
            continue;
        const char *text = json_string_value(value);
        if (text && strlen(text) >= 2 && reg.class == REGISTER_FLOAT) {
            uint8_t bytes[16] = {0};
            for (size_t i = 0; i < 16 && text[2 * i] && text[2 * i + 1]; i++)
                sscanf(text + 2 * i, "%2hhx", &bytes[i]);
            registers_set_bytes(&peek->registers, reg.slot, bytes, 16);
        } else {
            registers_set(&peek->registers, reg.slot,
                          text ? strtoull(text, NULL, 0) : (uint64_t)json_integer_value(value));
        }
    }
    return json_pack("{s:b}", "ok", 1);
}

static size_t inlined_in(struct frame *frame) {
    static struct stack_line lines[STACK_INLINED];
    return frame_lines(frame, lines) - 1;
}

/* The n-th frame, inlined calls counted: a called frame, and how many of its inlined calls are
 * further in. */
static json_t *go_to_frame(struct peek *peek, size_t n, struct frame frames[2], int *at,
                           unsigned *callers) {
    frame_start(&frames[0], &peek->space, &peek->memory, &peek->registers);
    *at = 0;
    for (size_t inlined; n > (inlined = inlined_in(&frames[*at])); n -= inlined + 1) {
        const char *why = "";
        enum unwind_result result;
        while ((result = frame_unwind(&frames[*at], &frames[1 - *at], &why)) == UNWIND_AGAIN)
            fetch(peek);
        if (result != UNWIND_OK)
            return failure(*why ? why : "there is no such frame");
        *at = 1 - *at;
    }
    *callers = (unsigned)n;
    return NULL;
}

static json_t *to_json(const struct buffer *in, value_ref ref) {
    struct buffer text = BUFFER_INIT(16 << 20);
    value_json(in, ref, &text);
    json_t *json = text.data ? json_loads(text.data, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    buffer_free(&text);
    return json ? json : json_null();
}

static json_t *show(struct peek *peek, const struct target_expr *expr, struct frame *frame,
                    const json_t *request) {
    struct arena scratch = ARENA_INIT((size_t)16 << 20);
    struct evaluation evaluation = {.frame = frame, .scratch = &scratch, .shape = lang_shape};
    struct show_limits limits = {.string = 256, .items = 64, .depth = 3, .bytes = 65536};
    struct buffer values = BUFFER_INIT(16 << 20), type = BUFFER_INIT(4096);
    struct operand operand;
    json_t *answer = NULL;
    if (json_object_get(request, "depth"))
        limits.depth = (unsigned)json_integer_value(json_object_get(request, "depth"));
    for (int i = 0; i < ROUNDS && !answer; i++) {
        enum outcome outcome = target_expr_evaluate(expr, &evaluation, &operand);
        value_ref ref = 0;
        if (outcome == EVAL_FAILED) {
            answer = failure(evaluation.why);
        } else if (outcome == EVAL_OK) {
            buffer_clear(&values);
            evaluation.again = false;
            ref = operand_show(&evaluation, &operand, &limits, SHOW_AS_IS, &values);
            type_print(target_expr_type(expr), &type);
            if (!evaluation.again)
                answer = json_pack("{s:s,s:o}", "type", type.data ? type.data : "", "value",
                                   to_json(&values, ref));
            buffer_clear(&type);
        }
        fetch(peek);
    }
    buffer_free(&values);
    buffer_free(&type);
    arena_free(&scratch);
    return answer ? answer : failure("evaluation did not come to an end");
}

static json_t *evaluate(struct peek *peek, const json_t *request) {
    const char *text = json_string_value(json_object_get(request, "expr"));
    static struct frame frames[2];
    struct target_expr *expr;
    size_t column;
    int at;
    unsigned callers;
    json_t *wrong = go_to_frame(peek, (size_t)json_integer_value(json_object_get(request, "frame")),
                                frames, &at, &callers);
    if (wrong)
        return wrong;
    struct frame *frame = &frames[at];
    struct target_site site = {.space = &peek->space,
                               .loaded = frame->loaded,
                               .pc = frame_lookup_pc(frame),
                               .callers = callers,
                               .entry = true,
                               .returning = true,
                               .shape = lang_shape};
    struct error *error = target_expr_compile(text ? text : "", &site, &expr, &column);
    if (error) {
        json_t *answer = take_error(error);
        json_object_set_new(answer, "column", json_integer((json_int_t)column + 1));
        return answer;
    }
    json_t *answer = show(peek, expr, frame, request);
    if (target_expr_unavailable(expr))
        json_object_set_new(answer, "unavailable", json_string(target_expr_unavailable(expr)));
    target_expr_free(expr);
    return answer;
}

static json_t *list_variables(struct peek *peek, const json_t *request) {
    static struct frame frames[2];
    int at;
    unsigned callers;
    json_t *list = json_array();
    json_t *wrong = go_to_frame(peek, (size_t)json_integer_value(json_object_get(request, "frame")),
                                frames, &at, &callers);
    if (wrong)
        return wrong;
    struct frame *frame = &frames[at];
    uint64_t pc = frame_lookup_pc(frame);
    struct function *function = frame->loaded ? function_at(frame->loaded->module, pc) : NULL;
    for (struct scope *s = function ? scope_at(function, pc) : NULL; s; s = s->parent) {
        for (size_t i = 0; i < s->variable_count; i++) {
            struct buffer type = BUFFER_INIT(4096);
            struct die die;
            if (die_at(s->variables[i].place, &die)) {
                type_print(type_of_entry(die), &type);
                die_free(&die);
            }
            json_array_append_new(list, json_pack("{s:s,s:s}", "name", s->variables[i].name, "type",
                                                  type.data ? type.data : ""));
            buffer_free(&type);
        }
        if (s->kind == SCOPE_INLINED)
            break;
    }
    return json_pack("{s:o}", "variables", list);
}

static json_t *line_json(const struct stack_line *line) {
    char pc[24];
    snprintf(pc, sizeof pc, "0x%llx", (unsigned long long)line->pc);
    return json_pack("{s:s,s:s,s:i,s:s}", "function", line->function, "file", line->file, "line",
                     (int)line->line, "pc", pc);
}

static json_t *stack(struct peek *peek, const json_t *request) {
    static struct frame frames[2];
    struct stack_line lines[STACK_INLINED];
    json_t *list = json_array();
    size_t max = (size_t)json_integer_value(json_object_get(request, "max"));
    bool past_main = json_is_true(json_object_get(request, "past_main"));
    const char *why = "";
    int at = 0;
    frame_start(&frames[0], &peek->space, &peek->memory, &peek->registers);
    while (json_array_size(list) < max) {
        size_t n = frame_lines(&frames[at], lines);
        for (size_t i = 0; i < n && json_array_size(list) < max; i++)
            json_array_append_new(list, line_json(&lines[i]));
        if (!past_main && !strcmp(lines[n - 1].function, "main"))
            break;
        enum unwind_result result;
        while ((result = frame_unwind(&frames[at], &frames[1 - at], &why)) == UNWIND_AGAIN)
            fetch(peek);
        if (result != UNWIND_OK)
            break;
        at = 1 - at;
    }
    return json_pack("{s:o,s:s}", "stack", list, "why", why);
}

static json_t *places(struct peek *peek, const json_t *request) {
    const char *text = json_string_value(json_object_get(request, "location"));
    struct place_query query = {.inlined = true, .max = 256, .function = text};
    const char *colon = text ? strrchr(text, ':') : NULL;
    char file[4096];
    bool numbered = colon && colon[1] && !colon[1 + strspn(colon + 1, "0123456789")];
    if (numbered && (colon == text || colon[-1] != ':')) {
        snprintf(file, sizeof file, "%.*s", (int)(colon - text), text);
        query = (struct place_query){
            .file = file, .line = (unsigned)strtoul(colon + 1, NULL, 10), .inlined = true};
    }
    query.returns = json_is_true(json_object_get(request, "returns"));
    struct place_list found;
    struct error *error = space_locate(&peek->space, &query, NULL, &found);
    if (error)
        return take_error(error);
    json_t *list = json_array();
    for (size_t i = 0; i < found.count; i++) {
        struct stack_line line = {.pc = found.list[i].address,
                                  .function = found.list[i].function,
                                  .file = found.list[i].file,
                                  .line = found.list[i].line};
        json_array_append_new(list, line_json(&line));
    }
    place_list_free(&found);
    return json_pack("{s:o}", "places", list);
}

static json_t *line_of(struct peek *peek, const json_t *request) {
    const char *text = json_string_value(json_object_get(request, "pc"));
    struct registers registers = {.arch = peek->space.arch};
    struct stack_line lines[STACK_INLINED];
    static struct frame frame;
    registers_set(&registers, (unsigned)peek->space.arch->pc, strtoull(text ? text : "", NULL, 0));
    frame_start(&frame, &peek->space, &peek->memory, &registers);
    size_t n = frame_lines(&frame, lines);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, line_json(&lines[i]));
    json_t *answer = line_json(&lines[0]);
    json_object_set_new(answer, "all", list);
    return *lines[0].function || lines[0].line ? answer : (json_decref(answer), failure("nothing"));
}

static json_t *describe_type(struct peek *peek, const json_t *request) {
    static const char *const kinds[] = {
        "void",      "bool",           "int",   "char",   "float", "complex", "enum",    "pointer",
        "reference", "member pointer", "array", "struct", "class", "union",   "function"};
    const char *name = json_string_value(json_object_get(request, "name"));
    struct module *module = peek->space.list[0].module;
    const struct type *type = name ? type_named(module, name, NULL) : NULL;
    if (!type)
        return failure("no such type");
    type = type_complete(module, type_plain(type));
    json_t *members = json_array();
    for (size_t i = 0; i < type->member_count; i++) {
        const struct member *m = &type->members[i];
        struct buffer text = BUFFER_INIT(4096);
        type_print(m->type, &text);
        json_array_append_new(members,
                              json_pack("{s:s,s:s,s:I,s:i}", "name", m->name ? m->name : "", "type",
                                        text.data ? text.data : "", "offset",
                                        (json_int_t)(m->bit_size ? m->bit / 8 : m->offset),
                                        "bit_size", (int)m->bit_size));
        buffer_free(&text);
    }
    return json_pack("{s:I,s:s,s:o}", "size", (json_int_t)type->size, "kind",
                     type->kind < sizeof kinds / sizeof *kinds ? kinds[type->kind] : "?", "members",
                     members);
}

static const struct {
    const char *what;
    json_t *(*answer)(struct peek *peek, const json_t *request);
} requests[] = {
    {"registers", set_registers},
    {"eval", evaluate},
    {"variables", list_variables},
    {"stack", stack},
    {"place", places},
    {"line", line_of},
    {"type", describe_type},
};

static json_t *answer(struct peek *peek, const json_t *request) {
    const char *what = json_string_value(json_object_get(request, "do"));
    for (size_t i = 0; what && i < sizeof requests / sizeof *requests; i++)
        if (!strcmp(requests[i].what, what))
            return requests[i].answer(peek, request);
    return failure("an unknown request");
}

int main(int argc, char **argv) {
    static struct peek peek = {.mem = -1};
    char *line = NULL;
    size_t cap = 0;
    if (argc != 2 && !(argc == 4 && !strcmp(argv[2], "--pid"))) {
        fputs("usage: peek BINARY [--pid PID] <requests\n", stderr);
        return 1;
    }
    if (argc == 4)
        add_process(&peek, argv[3], argv[1]);
    else
        add_module(&peek, argv[1], 0, false);
    if (!peek.space.count || !peek.space.arch)
        return 1;
    peek.registers.arch = peek.space.arch;
    while (getline(&line, &cap, stdin) > 0) {
        json_t *request = json_loads(line, 0, NULL);
        json_t *out = request ? answer(&peek, request) : failure("no JSON object");
        json_dumpf(out, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
        fflush(stdout);
        json_decref(out);
        json_decref(request);
    }
    free(line);
    memory_free(&peek.memory);
    space_free(&peek.space);
    if (peek.mem >= 0)
        close(peek.mem);
    return 0;
}
