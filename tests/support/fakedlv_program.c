// The program that the target pretends to be: its functions and its variables.
#include "fakedlv.h"

struct func funcs[MAX_FUNCS];
int nfuncs;

// ---- functions ----

const struct func *add_func(const char *name, const char *file, int line) {
    if (nfuncs == MAX_FUNCS)
        die("too many functions");
    struct func *f = &funcs[nfuncs];
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->file, sizeof f->file, "%s", file);
    f->line = line;
    f->entry = 0x49e400 + 0x100 * (uint64_t)nfuncs++;
    return f;
}

const struct func *find_func(const char *name) {
    for (int i = 0; i < nfuncs; i++)
        if (!strcmp(funcs[i].name, name))
            return &funcs[i];
    return NULL;
}

static bool file_matches(const char *file, const char *want) {
    size_t n = strlen(file), m = strlen(want);
    if (m > n || strcmp(file + n - m, want))
        return false;
    return m == n || file[n - m - 1] == '/' || want[0] == '/';
}

const struct func *func_at_line(const char *file, int line, bool full, const char **known) {
    *known = NULL;
    for (int i = 0; i < nfuncs; i++) {
        const struct func *f = &funcs[i];
        if (full ? strcmp(f->file, file) : !file_matches(f->file, file))
            continue;
        *known = f->file;
        if (line >= f->line && line < f->line + 8)
            return f;
    }
    return NULL;
}

const struct func *func_at_addr(uint64_t addr) {
    for (int i = 0; i < nfuncs; i++)
        if (addr >= funcs[i].entry && addr < funcs[i].entry + 0x100)
            return &funcs[i];
    return NULL;
}

uint64_t line_addr(const struct func *f, int line) {
    return f->entry + 10 + 16 * (uint64_t)(line - f->line);
}

static void put_func(struct buf *b, const struct func *f) {
    putf(b, "{\"name\":\"%s\",\"value\":%" PRIu64 ",\"type\":0,\"goType\":0,\"optimized\":true}",
         f->name, f->entry);
}

void put_loc(struct buf *b, const struct func *f, int line, uint64_t pc) {
    putf(b, "\"pc\":%" PRIu64 ",\"file\":\"%s\",\"line\":%d,\"function\":", pc, f->file, line);
    put_func(b, f);
}

// ---- variables ----

static bool is_string_var(const char *name) {
    static const char *const names[] = {"path", "s", "str", "name", "url", "msg", "text"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

bool is_missing_var(const char *name) {
    return !strncmp(name, "nope", 4);
}

static void put_var_tail(struct buf *b, int len, bool nullchildren, const char *unreadable,
                         long pad, const char *loc, int decl) {
    if (!opt.old)
        put(b, ",\"StringValueBytes\":null");
    putf(b, ",\"len\":%d,\"cap\":0,\"children\":%s,\"base\":%d,\"unreadable\":", len,
         nullchildren ? "null" : "[]", len ? 4999234 : 0);
    put_string(b, unreadable);
    putf(b, ",\"LocationExpr\":\"%s", loc);
    buf_room(b, (size_t)pad);
    memset(b->p + b->len, 'x', (size_t)pad);
    b->len += (size_t)pad;
    putf(b, "\",\"DeclLine\":%d}", decl);
}

// The fake address is what a real server gives to a register variable: above INT64_MAX.
void put_var(struct buf *b, const char *name, uint64_t k, long pad) {
    put(b, "{\"name\":");
    put_string(b, name);
    if (is_missing_var(name)) {
        char why[NAME_MAX_ + 64];
        put(b, ",\"addr\":0,\"onlyAddr\":false,\"type\":\"\",\"realType\":\"\",\"flags\":0,"
               "\"kind\":0,\"value\":\"\"");
        snprintf(why, sizeof why, "eval error: could not find symbol value for %.120s", name);
        put_var_tail(b, 0, true, why, pad, "", 0);
        return;
    }
    bool s = is_string_var(name);
    const char *type = s ? "string" : "int";
    putf(b,
         ",\"addr\":13758215386640154%s,\"onlyAddr\":false,\"type\":\"%s\",\"realType\":\"%s\","
         "\"flags\":40,\"kind\":%d,\"value\":",
         s ? "880" : "624", type, type, s ? 24 : 2);
    if (s)
        put(b, "\"/abc\"");
    else
        putf(b, "\"%" PRIu64 "\"", k);
    put_var_tail(b, s ? 4 : 0, false, "", pad,
                 s ? "[0x4897:0x49e44a] DW_OP_reg3(Rbx) DW_OP_piece 0x8 DW_OP_reg2(Rcx) "
                     "DW_OP_piece 0x8 "
                   : "[0x488a:0x49e44a] DW_OP_reg0(Rax) ",
                 11);
}

void put_const(struct buf *b, const char *expr, int kind, const char *value, int len) {
    put(b, "{\"name\":");
    put_string(b, expr);
    putf(b,
         ",\"addr\":0,\"onlyAddr\":false,\"type\":\"\",\"realType\":\"\",\"flags\":4,"
         "\"kind\":%d,\"value\":",
         kind);
    put_string(b, value);
    put_var_tail(b, len, false, "", 0, "", 0);
}

void put_args(struct buf *b, uint64_t k) {
    put(b, "[");
    put_var(b, "n", k, 0);
    put(b, ",");
    put_var(b, "path", k, 0);
    put(b, "]");
}
