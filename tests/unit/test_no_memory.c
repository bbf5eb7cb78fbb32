/* Fails the n-th allocation, for every n, while a recipe, an expression and a variable are read:
 * each run ends with an error or with the right result, and gives everything back. */
#include "base/secret.h"
#include "delve/scan.h"
#include "delve/variable.h"
#include "gdb/description.h"
#include "gdb/stop.h"
#include "recipe/recipe.h"
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static long countdown = -1; /* allocations until one is refused; -1: none is */
static long live;           /* blocks that were not given back */
static int failures;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t n);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void __real_free(void *block);
int __real_vasprintf(char **out, const char *format, va_list args);
int __real_regcomp(regex_t *regex, const char *pattern, int flags);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t n);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);
void __wrap_free(void *block);
int __wrap_vasprintf(char **out, const char *format, va_list args);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_regcomp(regex_t *regex, const char *pattern, int flags);

static bool refused(void) {
    return countdown >= 0 && countdown-- == 0;
}

static void *counted(void *block) {
    live += block != NULL;
    return block;
}

void *__wrap_malloc(size_t n) {
    return refused() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size) {
    return refused() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t n) {
    void *block = refused() ? NULL : __real_realloc(old, n);
    live += block && !old;
    return block;
}

void *__wrap_reallocarray(void *old, size_t n, size_t size) {
    void *block = refused() ? NULL : __real_reallocarray(old, n, size);
    live += block && !old;
    return block;
}

char *__wrap_strdup(const char *text) {
    return refused() ? NULL : counted(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t n) {
    return refused() ? NULL : counted(__real_strndup(text, n));
}

void __wrap_free(void *block) {
    live -= block != NULL;
    __real_free(block);
}

int __wrap_vasprintf(char **out, const char *format, va_list args) {
    int n = refused() ? -1 : __real_vasprintf(out, format, args);
    live += n >= 0;
    return n;
}

int __wrap_asprintf(char **out, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = __wrap_vasprintf(out, format, args);
    va_end(args);
    return n;
}

int __wrap_regcomp(regex_t *regex, const char *pattern, int flags) {
    return refused() ? REG_ESPACE : __real_regcomp(regex, pattern, flags);
}

/* libyaml calls these through its symbol table, so ours are taken in their place. */
void *yaml_malloc(size_t n);
void *yaml_realloc(void *old, size_t n);
void yaml_free(void *block);
char *yaml_strdup(const char *text);

void *yaml_malloc(size_t n) {
    return __wrap_malloc(n ? n : 1);
}

void *yaml_realloc(void *old, size_t n) {
    return __wrap_realloc(old, n ? n : 1);
}

void yaml_free(void *block) {
    __wrap_free(block);
}

char *yaml_strdup(const char *text) {
    return text ? __wrap_strdup(text) : NULL;
}

/* A job leaves what it made in `out`, or says that it failed. */
typedef bool job(struct buffer *out);

static char *documented;

static bool parse_recipe(struct buffer *out) {
    struct recipe *recipe = NULL;
    struct error *error =
        recipe_parse("r.yaml", documented, strlen(documented), NULL, NULL, &recipe);
    if (!error)
        recipe_print(recipe, out);
    recipe_free(recipe);
    secret_forget_all();
    error_free(error);
    return !error && !out->failed;
}

static const char small[] = "recipe: 1\nparams: {s: {type: string, default: hunter22, secret: "
                            "true}, d: {type: duration, default: "
                            "5ms}}\nredact: [a, b]\ntargets: [{name: a, uri: u, binary: b, labels: "
                            "{z: a}, params: {d: 6ms}}]\n"
                            "probes:\n  p:\n    call: main.f\n    after: {probe: q, same: "
                            "goroutine}\n    when: s == ${s} && n > "
                            "1Mi\n    capture: {n: n, m: {expr: m, as: hex}}\n    at_return: "
                            "[r.x]\n    keep: matches(n, \"a+\") "
                            "&& elapsed > ${d}\n    log: \"{n} took {elapsed}\"\n  q: {at: "
                            "'f.go:37', hit_cond: '% 3', rate: "
                            "50/s}\n  w: {watch: {expr: x, from: q}, keep: new < old}\n";

static bool parse_small(struct buffer *out) {
    struct recipe *recipe = NULL;
    struct error *error = recipe_parse("r.yaml", small, strlen(small), NULL, NULL, &recipe);
    if (!error)
        recipe_print(recipe, out);
    recipe_free(recipe);
    secret_forget_all();
    error_free(error);
    return !error && !out->failed;
}

static bool parse_wrong(struct buffer *out) {
    static const char text[] =
        "recipe: 1\nprobes: {p: {at: f, call: g, wehn: x, keep: nope, log: '{x'}}\n";
    struct recipe *recipe = NULL;
    struct error *error = recipe_parse("r.yaml", text, strlen(text), NULL, NULL, &recipe);
    if (!error) {
        fprintf(stderr, "a wrong recipe was taken for a right one\n");
        failures++;
    }
    recipe_free(recipe);
    error_free(error);
    buffer_puts(out, "refused");
    return !out->failed;
}

static bool known(void *ctx, const char *name) {
    (void)ctx;
    return *name == 's' || !strcmp(name, "hit.x");
}

static const char *name_at(void *ctx, size_t i) {
    (void)ctx;
    return i ? NULL : "s";
}

static struct expr_value lookup(void *ctx, const char *name) {
    (void)name;
    return expr_from_value(ctx, 8);
}

static bool evaluate(struct buffer *out) {
    static const struct expr_scope scope = {.known = known, .name = name_at};
    struct buffer in = BUFFER_INIT(4096), scratch = BUFFER_INIT(4096);
    struct expr *expr = NULL;
    size_t at;
    struct error *error = expr_parse("replace(s.path, \"[0-9]+\", \"x\") + \"!\" == `a` || "
                                     "len(s[\"list\"]) > 5k && -1 < hit.x.n * 2",
                                     &scope, &expr, &at);
    value_ref object = value_new(&in, VALUE_OBJECT);
    value_set_text(&in, object, "path", "/a/12");
    struct expr_env env = {.in = &in, .lookup = lookup, .ctx = &in, .scratch = &scratch};
    bool done = !error && !in.failed;
    if (done) {
        struct expr_value value = expr_eval(expr, &env);
        done = strcmp(value.kind == EXPR_FAILED ? value.text : "", "out of memory") != 0;
        expr_print(expr, out);
        expr_show(&value, &in, out);
    }
    expr_free(expr);
    error_free(error);
    buffer_free(&in);
    buffer_free(&scratch);
    return done && !out->failed;
}

static const char variable[] =
    "{\"kind\":25,\"realType\":\"main.T\",\"len\":4,\"children\":[{\"name\":\"b\",\"kind\":23,"
    "\"realType\":\"[]uint8\",\"len\":2,\"base\":1,\"children\":[{\"kind\":7,\"value\":\"1\"},{"
    "\"kind\":7,"
    "\"value\":\"2\"}]},{\"name\":\"s\",\"kind\":24,\"realType\":\"string\",\"value\":\"x\","
    "\"StringValueBytes\":\"Yf8=\",\"len\":2},{\"name\":\"m\",\"kind\":21,\"realType\":\"map["
    "string]int\","
    "\"len\":1,\"base\":1,\"children\":[{\"kind\":24,\"value\":\"k\",\"len\":1},{\"kind\":2,"
    "\"value\":\"5\"}]},"
    "{\"name\":\"p\",\"kind\":22,\"children\":[{\"addr\":13758215386640154624,\"onlyAddr\":true}]}]"
    "}";

static bool decode(struct buffer *out) {
    struct buffer scratch = BUFFER_INIT(1 << 16), into = BUFFER_INIT(1 << 16);
    long kept = countdown;
    countdown = -1; /* not jansson's: 2.14 takes a string that it could not copy for an empty one */
    json_t *json = span_decode(span_of(variable, strlen(variable)), &scratch);
    countdown = kept;
    struct delve_reader reader = {.into = &into, .load = {256, 64, 3, 65536}, .final = true};
    if (json)
        value_json(&into, delve_value(&reader, json), out);
    bool done = json && !into.failed && !out->failed;
    json_decref(json);
    buffer_free(&scratch);
    buffer_free(&into);
    return done;
}

static const char wire[] = "+$T05swbreak:;06:20e5f*\"7f0* ;07:f8e4f*\"7f0* ;10:b11140*';thread:"
                           "p24dd.24dd;core:0;#4e";

static bool receive(struct buffer *out) {
    struct packet_reader reader = PACKET_READER_INIT;
    struct packet packet = {0};
    struct gdb_stop stop;
    size_t taken;
    bool done = packet_next(&reader, wire, 1, &taken, &packet) &&
                packet_next(&reader, wire + 1, strlen(wire + 1), &taken, &packet) &&
                packet.intact && gdb_stop_parse(packet.data, packet.len, &stop);
    for (size_t i = 0; done && i < stop.register_count; i++)
        buffer_printf(out, "%u=%.*s ", stop.registers[i].number, (int)stop.registers[i].len,
                      stop.registers[i].hex);
    if (done)
        gdb_thread_write(out, stop.thread);
    if (done)
        packet_write(out, packet.data, packet.len);
    packet_reader_free(&reader);
    return done && !out->failed;
}

static const char list[] =
    "<l><library name=\"/a\" l_addr=\"0x10\"/><library name=\"/b\" l_addr=\"0x20\"/></l>";

static bool list_libraries(struct buffer *out) {
    struct gdb_libraries libraries;
    struct error *error = gdb_libraries_read(list, strlen(list), &libraries);
    for (size_t i = 0; !error && i < libraries.count; i++)
        buffer_printf(out, "%s %llx ", libraries.list[i].name,
                      (unsigned long long)libraries.list[i].bias);
    gdb_libraries_free(&libraries);
    error_free(error);
    return !error && !out->failed;
}

enum { OVER = 2, WRONG = 4, LEAK = 8, CRASH = 16 }; /* 1 is what a sanitizer exits with */

/* Runs the job with its n-th allocation refused, and tells how it went; OVER: there were fewer. */
static int once(job *run, const char *want, long n) {
    struct buffer out = BUFFER_INIT(1 << 20);
    long before = live;
    countdown = n;
    bool done = run(&out);
    bool over = countdown >= 0;
    countdown = -1;
    bool wrong = done && strcmp(out.data, want);
    buffer_free(&out);
    return (over ? OVER : 0) | (wrong ? WRONG : 0) | (live != before ? LEAK : 0);
}

/* The same in a process of its own, so that a crash at one allocation does not hide the next. */
static int apart(job *run, const char *want, long n) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(once(run, want, n));
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) & 1)
        return CRASH;
    return WEXITSTATUS(status);
}

static void every_allocation(const char *name, job *run) {
    struct buffer want = BUFFER_INIT(1 << 20);
    if (!run(&want)) {
        fprintf(stderr, "%s fails with all the memory it wants\n", name);
        failures++;
    }
    long n = 0;
    for (int how = 0; want.data && !(how & OVER) && n < 100000; n++) {
        how = apart(run, want.data, n);
        if (!(how & ~OVER))
            continue;
        fprintf(stderr, "%s, allocation %ld refused:%s%s%s\n", name, n,
                how & WRONG ? " no error, and a wrong result" : "",
                how & LEAK ? " memory leaks" : "", how & CRASH ? " it crashes" : "");
        failures++;
    }
    printf("%s: %ld allocations\n", name, n);
    if (n < 2)
        failures++;
    buffer_free(&want);
}

static char *read_file(const char *path) {
    struct buffer text = BUFFER_INIT(1 << 20);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(buffer_reserve(&text, 1 << 19), 1, 1 << 19, file) : 0;
    if (file)
        fclose(file);
    text.len = n;
    if (text.data)
        text.data[n] = '\0';
    return buffer_take(&text);
}

int main(int argc, char **argv) {
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    documented = argc == 2 ? read_file(argv[1]) : NULL;
    if (!documented || !*documented) {
        fprintf(stderr, "usage: test_no_memory RECIPE\n");
        return 1;
    }
    every_allocation("the documented recipe", parse_recipe);
    every_allocation("a small recipe", parse_small);
    every_allocation("a wrong recipe", parse_wrong);
    every_allocation("an expression", evaluate);
    every_allocation("a variable", decode);
    every_allocation("a stop reply", receive);
    every_allocation("a list of libraries", list_libraries);
    __wrap_free(documented);
    return failures ? 1 : 0;
}
