/* Where a probe sits: "main.f", "file.go:37", "*0x4844c0", or the long form. */
#include "recipe/parse.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#define MATCH_DEFAULT 256
#define MATCH_MAX 10000
#define LINE_MAX_NUMBER 10000000

static void set_text(struct reader *reader, const struct node *node, char **where) {
    free(*where);
    *where = read_text(reader, node, LANGUAGE_PLAIN);
}

static void read_function(struct reader *reader, const struct node *node, void *into) {
    set_text(reader, node, &((struct location *)into)->function);
}

static void read_file(struct reader *reader, const struct node *node, void *into) {
    set_text(reader, node, &((struct location *)into)->file);
}

static void read_line(struct reader *reader, const struct node *node, void *into) {
    uint64_t line = 0;
    read_uint(reader, node, LINE_MAX_NUMBER, &line);
    ((struct location *)into)->line = (unsigned)line;
}

static bool parse_address(const char *text, uint64_t *address) {
    char *end;
    errno = 0;
    text += *text == '*';
    *address = strtoull(text, &end, 0);
    return isdigit((unsigned char)*text) && !*end && !errno && *address;
}

static void read_address(struct reader *reader, const struct node *node, void *into) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    if (text && !parse_address(text, &((struct location *)into)->address))
        source_error(reader->source, node->mark, "%s: \"%s\" is no address (like 0x4844c0)",
                     reader->where, text);
    free(text);
}

static void read_match(struct reader *reader, const struct node *node, void *into) {
    struct location *location = into;
    regex_t regex;
    set_text(reader, node, &location->match);
    if (!location->match)
        return;
    int code = regcomp(&regex, location->match, REG_EXTENDED | REG_NOSUB);
    if (!code) {
        regfree(&regex);
        return;
    }
    char why[128];
    regerror(code, &regex, why, sizeof why);
    source_error(reader->source, node->mark, "%s: \"%s\" is no regular expression: %s",
                 reader->where, location->match, why);
}

static void read_max(struct reader *reader, const struct node *node, void *into) {
    uint64_t max = MATCH_DEFAULT;
    read_uint(reader, node, MATCH_MAX, &max);
    ((struct location *)into)->max = (unsigned)max;
}

static void read_module(struct reader *reader, const struct node *node, void *into) {
    set_text(reader, node, &((struct location *)into)->module);
}

static void read_inlined(struct reader *reader, const struct node *node, void *into) {
    struct location *location = into;
    location->has_inlined = read_bool(reader, node, &location->inlined);
}

static void read_offset(struct reader *reader, const struct node *node, void *into) {
    struct location *location = into;
    uint64_t offset = 0;
    if (read_uint(reader, node, 1 << 20, &offset)) {
        location->offset = (int64_t)offset;
        location->has_offset = true;
    }
}

static void read_hw(struct reader *reader, const struct node *node, void *into) {
    read_bool(reader, node, &((struct location *)into)->hw);
}

const struct key location_keys[] = {
    {"function", "{\"type\":\"string\"}", "a function, as the target's debugger names it",
     read_function, false},
    {"file", "{\"type\":\"string\"}", "a source file, by the end of its path", read_file, false},
    {"line", "{\"type\":[\"integer\",\"string\"]}", "a line of `file`", read_line, false},
    {"address", "{\"type\":[\"string\",\"integer\"]}", "an address, 0x...", read_address, false},
    {"match", "{\"type\":\"string\"}", "every function whose name matches", read_match, false},
    {"max", "{\"type\":[\"integer\",\"string\"]}", "the most functions that `match` may name",
     read_max, false},
    {"module", "{\"type\":\"string\"}", "a shared library", read_module, false},
    {"inlined", "{\"type\":[\"boolean\",\"string\"]}", "inlined copies too (default true)",
     read_inlined, false},
    {"offset", "{\"type\":[\"integer\",\"string\"]}",
     "bytes behind the address; a function's is that of its first instruction", read_offset, false},
    {"hw", "{\"type\":[\"boolean\",\"string\"]}", "use a hardware breakpoint", read_hw, false},
    {0}};

/* "file.go:37" is a file and a line where everything behind the last colon is digits. */
static bool split_line(struct location *location, const char *text) {
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1] ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    location->file = strndup(text, (size_t)(colon - text));
    unsigned long line = strtoul(colon + 1, NULL, 10);
    location->line = line > LINE_MAX_NUMBER ? 0 : (unsigned)line;
    return true;
}

static void read_short(struct reader *reader, const struct node *node, struct location *location) {
    char *text = read_text(reader, node, LANGUAGE_PLAIN);
    if (!text)
        return;
    if (*text == '*' && !parse_address(text, &location->address))
        source_error(reader->source, node->mark, "%s: \"%s\" is no address (like \"*0x4844c0\")",
                     reader->where, text);
    else if (*text != '*' && !split_line(location, text) && !(location->function = strdup(text)))
        source_no_memory(reader->source);
    if (location->line && !location->file)
        source_no_memory(reader->source);
    free(text);
}

static void describe(struct location *location) {
    struct buffer text = BUFFER_INIT(8192);
    if (location->function)
        buffer_puts(&text, location->function);
    else if (location->file)
        buffer_printf(&text, "%s:%u", location->file, location->line);
    else if (location->match)
        buffer_printf(&text, "/%s/", location->match);
    else
        buffer_printf(&text, "*0x%llx", (unsigned long long)location->address);
    if (location->has_offset)
        buffer_printf(&text, "+%lld", (long long)location->offset);
    location->text = buffer_take(&text);
}

void location_clear(struct location *location) {
    free(location->text);
    free(location->function);
    free(location->file);
    free(location->match);
    free(location->module);
    for (size_t i = 0; i < location->syscall_count; i++)
        free(location->syscalls[i]);
    free(location->syscalls);
    *location = (struct location){0};
}

void read_location(struct reader *reader, const struct node *node, struct location *location) {
    location_clear(location); /* of a probe with two triggers, which is an error of its own */
    location->mark = node->mark;
    location->inlined = true;
    location->max = MATCH_DEFAULT;
    if (node->kind == NODE_MAP)
        read_map(reader, node, location_keys, location);
    else
        read_short(reader, node, location);
    int forms = !!location->function + !!location->file + !!location->address + !!location->match;
    if (node->kind == NODE_MAP && forms != 1)
        source_error(reader->source, node->mark,
                     "%s: a location has exactly one of function, file, address and match",
                     reader->where);
    if (location->file && !location->line)
        source_error(reader->source, node->mark, "%s: the file needs a line (%s:LINE)",
                     reader->where, location->file);
    if (location->function && !*location->function)
        source_error(reader->source, node->mark, "%s: an empty location", reader->where);
    if (location->line && !location->file)
        source_error(reader->source, node->mark, "%s: a line needs a file", reader->where);
    describe(location);
    if (!location->text)
        source_no_memory(reader->source);
}

static void add_syscall(struct reader *reader, const struct node *node, struct location *location) {
    char *name = read_name(reader, node, "a system call");
    if (!name)
        return;
    char **slot = ARRAY_ADD(location->syscalls, location->syscall_count, location->syscall_cap);
    if (slot)
        *slot = name;
    else
        source_no_memory(reader->source);
    free(slot ? NULL : name);
}

static void describe_syscalls(struct location *location) {
    struct buffer text = BUFFER_INIT(8192);
    for (size_t i = 0; i < location->syscall_count; i++)
        buffer_printf(&text, "%s%s", i ? ", " : "", location->syscalls[i]);
    location->text = buffer_take(&text);
}

void read_syscalls(struct reader *reader, const struct node *node, struct location *location) {
    location_clear(location);
    location->mark = node->mark;
    if (node->kind != NODE_LIST)
        add_syscall(reader, node, location);
    for (const struct node *at = node->kind == NODE_LIST ? node->first : NULL; at; at = at->next)
        add_syscall(reader, at, location);
    if (node->kind == NODE_LIST && !node->first)
        source_error(reader->source, node->mark, "%s: which system calls?", reader->where);
    describe_syscalls(location);
    if (!location->text)
        source_no_memory(reader->source);
}
