#include "symbol/match.h"

#include "symbol/cxx_name.h"
#include "symbol/lines.h"
#include "symbol/types.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool is_go_receiver(const char *text, const char *open) {
    return open > text && open[-1] == '.' && open[1] == '*';
}

/* "f(int, char *)" ends with parameters; "main.(*T).M" and "operator()" do not. */
static const char *parameters_of(const char *text) {
    size_t n = strlen(text);
    if (!n || text[n - 1] != ')')
        return NULL;
    int depth = 0;
    for (const char *at = text + n; at-- > text;) {
        depth += *at == ')' ? 1 : *at == '(' ? -1 : 0;
        if (!depth) {
            bool call_operator = at - text >= 8 && !strncmp(at - 8, "operator", 8);
            return call_operator || is_go_receiver(text, at) || at == text ? NULL : at;
        }
    }
    return NULL;
}

static void copy_without_spaces(char *out, size_t cap, const char *text) {
    size_t n = 0;
    for (; *text && n + 1 < cap; text++)
        if (!isspace((unsigned char)*text))
            out[n++] = *text;
    out[n] = '\0';
}

void name_pattern_init(struct name_pattern *pattern, const char *text) {
    memset(pattern, 0, sizeof *pattern);
    const char *params = parameters_of(text), *colons = strstr(text, "::");
    if (params) {
        copy_without_spaces(pattern->storage, 1024, params);
        pattern->params = pattern->storage;
    }
    /* No namespace has a dot in its name; files of C and C++ do. Go's names have no "::". */
    const char *dot = colons ? memchr(text, '.', (size_t)(colons - text)) : NULL;
    if (dot && !memchr(text, '<', (size_t)(colons - text))) {
        snprintf(pattern->storage + 1024, 1024, "%.*s", (int)(colons - text), text);
        pattern->file = pattern->storage + 1024;
        text = colons + 2;
    }
    char plain[sizeof pattern->text];
    struct buffer canonical = BUFFER_INIT(sizeof pattern->text);
    snprintf(plain, sizeof plain, "%.*s", params ? (int)(params - text) : (int)sizeof plain - 1,
             text);
    cxx_canonical(plain, &canonical);
    snprintf(pattern->text, sizeof pattern->text, "%s",
             canonical.data && !canonical.failed ? canonical.data : plain);
    buffer_free(&canonical);
    pattern->last = cxx_last_part(pattern->text);
    bool is_operator = !strncmp(pattern->last, "operator", 8);
    pattern->last_len = is_operator ? strlen(pattern->last) : strcspn(pattern->last, "<");
    /* The linker writes operators and destructors in ways of its own. */
    size_t skipped = is_operator ? pattern->last_len : *pattern->last == '~';
    snprintf(pattern->hint, sizeof pattern->hint, "%.*s", (int)(pattern->last_len - skipped),
             pattern->last + skipped);
}

/* "std::vector<int>::f<char>" without what stands between angle brackets. */
static void without_arguments(const char *text, char *out, size_t cap) {
    int depth = 0;
    size_t n = 0;
    for (; *text && n + 1 < cap; text++) {
        bool arrow = *text == '>' && n && out[n - 1] == '-';
        bool shift = !strncmp(text, "operator", 8);
        if (shift) { /* its own signs are no brackets */
            while (*text && *text != '(' && n + 1 < cap)
                out[n++] = *text++;
            text--;
            continue;
        }
        if (*text == '<')
            depth++;
        else if (*text == '>' && !arrow && depth)
            depth--;
        else if (!depth)
            out[n++] = *text;
    }
    out[n] = '\0';
}

static bool ends_with_name(const char *name, const char *wanted, bool whole) {
    size_t n = strlen(name), k = strlen(wanted);
    if (n < k || strcmp(name + n - k, wanted))
        return false;
    if (n == k)
        return true;
    char before = name[n - k - 1];
    return !whole && (before == ':' || before == '/' || before == '.');
}

/* "A<int>::f" names A<int>::f<char> too. */
static bool fits_without_last_arguments(const struct name_pattern *pattern, const char *name) {
    char bare[4096];
    const char *last = cxx_last_part(name);
    size_t n = (size_t)(last - name) + strcspn(last, "<");
    if (pattern->last[pattern->last_len] || !strncmp(last, "operator", 8) || !name[n] ||
        n >= sizeof bare)
        return false;
    snprintf(bare, sizeof bare, "%.*s", (int)n, name);
    return ends_with_name(bare, pattern->text, pattern->whole);
}

static bool fits_name(const struct name_pattern *pattern, const char *name) {
    char bare[4096];
    if (ends_with_name(name, pattern->text, pattern->whole) ||
        fits_without_last_arguments(pattern, name))
        return true;
    if (!strchr(pattern->text, '[') && go_without_brackets(name, bare, sizeof bare) &&
        ends_with_name(bare, pattern->text, pattern->whole))
        return true;
    if (strchr(pattern->text, '<') && !strstr(pattern->text, "operator"))
        return false;
    without_arguments(name, bare, sizeof bare);
    return ends_with_name(bare, pattern->text, pattern->whole);
}

static bool fits_parameters(const struct name_pattern *pattern, struct module *module,
                            struct die_place place) {
    struct buffer text = BUFFER_INIT(1 << 16);
    char plain[1024];
    struct die die;
    struct die_place declared = place;
    /* A definition out of line repeats its parameters; a clone's are those of its origin. */
    if (die_at(place, &die)) {
        struct die origin;
        if (die_ref(die, DW_AT_abstract_origin, &origin)) {
            declared = die_place(origin);
            die_free(&origin);
        }
        die_free(&die);
    }
    const struct type *type = type_complete(module, type_at(module, declared));
    type_print(type, &text);
    const char *open = text.data ? strchr(text.data, '(') : NULL;
    copy_without_spaces(plain, sizeof plain, open ? open : "");
    buffer_free(&text);
    return !strcmp(plain, pattern->params) ||
           (!strcmp(plain, "(void)") && !strcmp(pattern->params, "()"));
}

/* -flto: what is in the unit with the code was made from an entry of the file's own unit. */
static bool in_file(const char *file, struct unit *unit, const struct name *name) {
    struct die die, from = {0};
    unit_load(unit);
    if (path_ends_with(unit_entries(unit)->name, file))
        return true;
    if (!die_at(name_place(unit, name), &die))
        return false;
    bool made =
        die_ref(die, DW_AT_abstract_origin, &from) || die_ref(die, DW_AT_specification, &from);
    struct unit *home = made ? unit_of(from) : NULL;
    if (home)
        unit_load(home);
    die_free(&from);
    die_free(&die);
    return home && path_ends_with(home->name, file);
}

bool name_pattern_fits(const struct name_pattern *pattern, struct unit *unit,
                       const struct names *names, const struct name *name) {
    struct buffer text = BUFFER_INIT(1 << 16);
    name_qualified(names, name, &text);
    bool fits = text.data && fits_name(pattern, text.data);
    if (!fits && strstr(pattern->text, "::")) {
        buffer_clear(&text);
        name_visible(names, name, &text);
        fits = text.data && fits_name(pattern, text.data);
    }
    buffer_free(&text);
    if (fits && pattern->file)
        fits = in_file(pattern->file, unit, name);
    if (fits && pattern->params)
        fits = fits_parameters(pattern, unit->module, name_place(unit, name));
    return fits;
}

/* What stands behind a method's parameters is no part of what people call it. */
static void cut_qualifiers(char *name) {
    static const char *const words[] = {" const", " volatile", " &&", " &"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t k = strlen(words[i]);
        if (n > k && !strcmp(name + n - k, words[i])) {
            name[n -= k] = '\0';
            i = (size_t)-1; /* from the first again */
        }
    }
}

bool name_pattern_fits_text(const struct name_pattern *pattern, const char *whole) {
    char name[4096], bare[4096], given[1024];
    snprintf(name, sizeof name, "%s", whole);
    cut_qualifiers(name);
    const char *params = parameters_of(name);
    snprintf(bare, sizeof bare, "%.*s", params ? (int)(params - name) : (int)sizeof bare - 1, name);
    if (pattern->file || !fits_name(pattern, bare))
        return false;
    copy_without_spaces(given, sizeof given, params ? params : "");
    return !pattern->params || !strcmp(given, pattern->params);
}

struct error *pattern_compile(regex_t *regex, const char *pattern) {
    char why[256];
    int code = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (!code)
        return NULL;
    regerror(code, regex, why, sizeof why);
    return error_new(ERROR_RECIPE, "\"%s\" is no regular expression: %s", pattern, why);
}

bool unit_may_have_file(struct unit *unit, const char *path) {
    struct elf_section *section = elf_section_named(unit->dwarf->elf, ".debug_line");
    struct elf_section *strings = elf_section_named(unit->dwarf->elf, ".debug_line_str");
    const char *base = strrchr(path, '/');
    uint64_t offset = 0;
    uint32_t length;
    struct die die;
    base = base ? base + 1 : path;
    const uint8_t *bytes = section ? elf_section_data(unit->dwarf->elf, section, NULL) : NULL;
    /* With shared strings: rare and small enough to read the table itself. */
    if (strings || !bytes ||
        !die_at((struct die_place){unit->dwarf, unit->die, unit->types && unit->version < 5}, &die))
        return true;
    bool there = die_offset(die, DW_AT_stmt_list, &offset);
    die_free(&die);
    if (!there || offset + 4 > section->size)
        return false;
    memcpy(&length, bytes + offset, 4);
    uint64_t end = offset + 4 + (length < 0xfffffff0 ? length : section->size);
    end = end > section->size ? section->size : end;
    return memmem(bytes + offset, end - offset, base, strlen(base) + 1);
}
