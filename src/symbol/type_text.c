/* Types as people write them, in both directions. */
#include "base/text.h"
#include "symbol/cxx_name.h"
#include "symbol/names.h"
#include "symbol/types.h"
#include <ctype.h>
#include <string.h>

#define DEPTH 32

static void print_before(const struct type *type, struct buffer *out, int depth);
static void print_after(const struct type *type, struct buffer *out, int depth);

static bool needs_parentheses(const struct type *target) {
    return target->kind == TYPE_ARRAY || target->kind == TYPE_FUNCTION;
}

static void print_star(const struct type *type, struct buffer *out, int depth) {
    static const char *const marks[] = {"*", "&", "&&"};
    print_before(type->target, out, depth + 1);
    char last = out->len ? out->data[out->len - 1] : ' ';
    if (last != '*' && last != '&' && last != '(')
        buffer_putc(out, ' ');
    if (needs_parentheses(type->target))
        buffer_putc(out, '(');
    if (type->kind == TYPE_MEMBER_POINTER)
        buffer_printf(out, "%s::*", type->holder && type->holder->name ? type->holder->name : "?");
    else
        buffer_puts(out, marks[type->kind == TYPE_REFERENCE ? 1 + type->rvalue : 0]);
}

/* const before volatile, whatever order the debug info has; in front of what they qualify, but
 * behind a pointer's star. */
static void print_qualifier(const struct type *type, struct buffer *out, int depth) {
    bool constant = false, changing = false;
    const char *other = NULL;
    for (int i = 0; i < DEPTH; i++, type = type->target) {
        constant |= type->kind == TYPE_CONST;
        changing |= type->kind == TYPE_VOLATILE;
        if (type->kind == TYPE_QUALIFIED)
            other = type->name;
        else if (type->kind != TYPE_CONST && type->kind != TYPE_VOLATILE)
            break;
    }
    bool behind = type->kind == TYPE_POINTER || type->kind == TYPE_REFERENCE ||
                  type->kind == TYPE_MEMBER_POINTER;
    if (behind)
        print_before(type, out, depth + 1);
    buffer_printf(out, "%s%s%s%s%s%s", behind && (constant || changing || other) ? " " : "",
                  constant ? "const" : "", constant && (changing || other) ? " " : "",
                  changing ? "volatile" : "", changing && other ? " " : "", other ? other : "");
    if (!behind) {
        buffer_putc(out, ' ');
        print_before(type, out, depth + 1);
    }
}

static struct unit *unit_of_type(const struct type *type) {
    struct die die;
    struct unit *unit = NULL;
    if (die_at(type->place, &die)) {
        unit = unit_of(die);
        die_free(&die);
    }
    return unit;
}

static bool is_c(const struct unit *unit) {
    unsigned language = unit ? unit->language : 0;
    return language == DW_LANG_C || language == DW_LANG_C89 || language == DW_LANG_C99 ||
           language == DW_LANG_C11 || language == DW_LANG_Mips_Assembler;
}

static void print_tagged(const struct type *type, struct buffer *out) {
    static const char *const words[] = {[TYPE_STRUCT] = "struct",
                                        [TYPE_CLASS] = "class",
                                        [TYPE_UNION] = "union",
                                        [TYPE_ENUM] = "enum"};
    bool c = is_c(unit_of_type(type));
    if (!type->name)
        buffer_printf(out, "%s {...}", words[type->kind]);
    else if (c)
        buffer_printf(out, "%s %s", words[type->kind], type->name);
    else
        buffer_puts(out, type->name);
}

static void print_before(const struct type *type, struct buffer *out, int depth) {
    if (depth > DEPTH) {
        buffer_puts(out, "...");
        return;
    }
    switch (type->kind) {
    case TYPE_POINTER:
        if (type->unit_go && type->name) {
            buffer_puts(out, type->name);
        } else if (type->unit_go) { /* one that an expression has made */
            buffer_putc(out, '*');
            print_before(type->target, out, depth + 1);
        } else {
            print_star(type, out, depth);
        }
        break;
    case TYPE_REFERENCE:
    case TYPE_MEMBER_POINTER: print_star(type, out, depth); break;
    case TYPE_ARRAY:
    case TYPE_FUNCTION: print_before(type->target, out, depth + 1); break;
    case TYPE_CONST:
    case TYPE_VOLATILE:
    case TYPE_QUALIFIED: print_qualifier(type, out, depth); break;
    case TYPE_STRUCT:
    case TYPE_CLASS:
    case TYPE_UNION:
    case TYPE_ENUM: print_tagged(type, out); break;
    default: buffer_puts(out, type->name ? type->name : "void"); break;
    }
}

static void print_parameters(const struct type *type, struct buffer *out, int depth) {
    size_t shown = 0;
    struct unit *unit = unit_of_type(type);
    type = unit ? type_complete(unit->module, type) : type;
    buffer_putc(out, '(');
    for (size_t i = 0; i < type->member_count; i++) {
        if (type->members[i].artificial) /* `this` */
            continue;
        buffer_puts(out, shown++ ? ", " : "");
        print_before(type->members[i].type, out, depth + 1);
        print_after(type->members[i].type, out, depth + 1);
    }
    if (type->variadic)
        buffer_puts(out, shown ? ", ..." : "...");
    else if (!shown && (type->prototyped || !is_c(unit)))
        buffer_puts(out, "void");
    buffer_putc(out, ')');
}

static void print_after(const struct type *type, struct buffer *out, int depth) {
    if (depth > DEPTH)
        return;
    switch (type->kind) {
    case TYPE_POINTER:
    case TYPE_REFERENCE:
    case TYPE_MEMBER_POINTER:
        if (needs_parentheses(type->target))
            buffer_putc(out, ')');
        print_after(type->target, out, depth + 1);
        break;
    case TYPE_ARRAY: {
        bool first =
            !out->len || (out->data[out->len - 1] != ']' && out->data[out->len - 1] != ')');
        buffer_puts(out, first ? " " : "");
        if (type->has_count)
            buffer_printf(out, "[%llu]", (unsigned long long)type->count);
        else
            buffer_puts(out, type->bound.dwarf ? "[variable length]" : "[]");
        if (type->vector)
            buffer_puts(out, " __attribute__ ((vector_size))");
        print_after(type->target, out, depth + 1);
        break;
    }
    case TYPE_FUNCTION:
        if (out->len && out->data[out->len - 1] != ')')
            buffer_putc(out, ' ');
        print_parameters(type, out, depth);
        print_after(type->target, out, depth + 1);
        break;
    case TYPE_CONST:
    case TYPE_VOLATILE:
    case TYPE_QUALIFIED: print_after(type->target, out, depth + 1); break;
    default: break;
    }
}

void type_print(const struct type *type, struct buffer *out) {
    struct buffer own = BUFFER_INIT(4096);
    print_before(type, &own, 0);
    print_after(type, &own, 0);
    if (own.data)
        buffer_puts(out, own.data);
    buffer_free(&own);
}

/* ---- by name ---- */

/* C lets the words of a base type stand in any order: what was said is a set. */
struct words {
    int longs, shorts, sign, unsigned_, char_, int_, double_, float_, bool_, void_, int128;
};

static bool count_words(const char *name, struct words *words) {
    static const struct {
        const char *word;
        size_t at;
    } known[] = {
        {"long", offsetof(struct words, longs)},
        {"short", offsetof(struct words, shorts)},
        {"signed", offsetof(struct words, sign)},
        {"unsigned", offsetof(struct words, unsigned_)},
        {"char", offsetof(struct words, char_)},
        {"int", offsetof(struct words, int_)},
        {"double", offsetof(struct words, double_)},
        {"float", offsetof(struct words, float_)},
        {"bool", offsetof(struct words, bool_)},
        {"_Bool", offsetof(struct words, bool_)},
        {"void", offsetof(struct words, void_)},
        {"__int128", offsetof(struct words, int128)},
        {"const", SIZE_MAX},
        {"volatile", SIZE_MAX},
    };
    bool any = false;
    while (*name) {
        size_t n = strcspn(name, " ");
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known && !found; i++)
            if (strlen(known[i].word) == n && !memcmp(known[i].word, name, n)) {
                found = true;
                if (known[i].at != SIZE_MAX) {
                    ++*(int *)((char *)words + known[i].at);
                    any = true;
                }
            }
        if (!found)
            return false;
        name += n;
        name += strspn(name, " ");
    }
    return any;
}

static const struct type *base_type(const char *name, const struct elf_file *elf) {
    struct words w = {0};
    if (!count_words(name, &w))
        return NULL;
    if (w.void_)
        return type_basic(BASIC_VOID);
    if (w.bool_)
        return type_basic(BASIC_BOOL);
    if (w.float_)
        return type_basic(BASIC_FLOAT);
    if (w.double_)
        return type_basic(w.longs ? BASIC_LONG_DOUBLE : BASIC_DOUBLE);
    bool narrow = !elf->is64 && w.longs == 1;
    enum basic basic = w.char_       ? (w.sign ? BASIC_SCHAR : BASIC_CHAR)
                       : w.int128    ? BASIC_INT128
                       : w.shorts    ? BASIC_SHORT
                       : w.longs > 1 ? BASIC_LLONG
                       : narrow      ? BASIC_LONG32
                       : w.longs     ? BASIC_LONG
                                     : BASIC_INT;
    if (w.char_ && w.unsigned_)
        return type_basic(BASIC_UCHAR);
    return type_basic(w.unsigned_ ? basic + 1 : basic); /* unsigned ones follow signed ones */
}

struct search {
    const char *name;
    enum type_kind kind; /* TYPE_VOID: any */
    struct unit *near;
    const struct type *best;
};

typedef void spell_fn(const struct names *names, const struct name *name, struct buffer *out);

/* Is `wanted` the name, or its end from a "::" on? */
static bool is_called(const struct names *names, const struct name *name, spell_fn *spell,
                      const char *wanted) {
    struct buffer text = BUFFER_INIT(4096);
    spell(names, name, &text);
    size_t have = text.len, want = strlen(wanted);
    const char *tail = have >= want && text.data ? text.data + have - want : NULL;
    bool whole =
        tail && !strcmp(tail, wanted) && (have == want || (have >= want + 2 && tail[-1] == ':'));
    buffer_free(&text);
    return whole;
}

static bool take_type(void *ctx, struct unit *unit, const struct names *names,
                      const struct name *name) {
    struct search *search = ctx;
    if (!is_called(names, name, name_qualified, search->name) &&
        !is_called(names, name, name_visible, search->name))
        return true;
    const struct type *type = type_at(unit->module, name_place(unit, name));
    bool tagged = search->kind == type->kind ||
                  (search->kind == TYPE_STRUCT && type->kind == TYPE_CLASS) ||
                  (search->kind == TYPE_CLASS && type->kind == TYPE_STRUCT);
    /* In C, `struct x` and a typedef x may be different things. */
    if (search->kind == TYPE_VOID ? false : !tagged)
        return true;
    bool near = unit == search->near || unit_entries(unit) == search->near;
    if (!search->best || (search->best->declaration && !type->declaration) || near)
        search->best = type;
    return !(near && !type->declaration);
}

static const struct type *find_type(struct module *module, const char *name, struct unit *near) {
    static const struct {
        const char *word;
        enum type_kind kind;
    } tags[] = {{"struct ", TYPE_STRUCT},
                {"class ", TYPE_CLASS},
                {"union ", TYPE_UNION},
                {"enum ", TYPE_ENUM}};
    struct search search = {.name = name, .near = near};
    const struct type *base = base_type(name, module->elf);
    bool go = near && unit_is_go(near); /* its int is no int of C's */
    if (base && !go)
        return base;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (!strncmp(name, tags[i].word, strlen(tags[i].word))) {
            search.kind = tags[i].kind;
            search.name = name + strlen(tags[i].word);
        }
    while (*search.name == ' ')
        search.name++;
    const char *last = cxx_last_part(search.name);
    module_find(module, last, strcspn(last, "<"), NAME_TYPE, take_type, &search);
    return search.best ? search.best : base;
}

const struct type *type_named(struct module *module, const char *name, struct unit *near) {
    struct buffer canonical = BUFFER_INIT(1 << 16);
    cxx_canonical(name, &canonical);
    const struct type *type =
        find_type(module, canonical.data && !canonical.failed ? canonical.data : name, near);
    buffer_free(&canonical);
    return type;
}
