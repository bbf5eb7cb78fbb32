/* `return`: where each architecture's C ABI leaves a function's result when it returns.
 *
 * x86_64: System V psABI, section 3.2.3. aarch64: AAPCS64, section 6.9. riscv64: psABI, "Integer
 * Calling Convention" and the hardware floating-point one. arm: AAPCS32, sections 6.4 and 7. */
#include "expr/target_result.h"
#include "expr/target_compiler.h"

#include <elf.h>
#include <string.h>

#define LEAVES 32
#define DEPTH 16

/* A scalar inside of a result. */
struct leaf {
    uint64_t offset, size;
    bool is_float, vector; /* a SIMD vector is one whole */
};

struct result {
    struct compiler *c;
    struct leaf leaves[LEAVES];
    size_t count;
    struct result_piece pieces[RESULT_PIECES];
    size_t piece_count;
    const struct arch *arch;
    uint64_t size;
    bool has_union;
};

/* Those of a union that are alike are one. */
static bool add_leaf(struct result *r, struct leaf leaf) {
    for (size_t i = 0; i < r->count; i++)
        if (r->leaves[i].offset == leaf.offset && r->leaves[i].size == leaf.size &&
            r->leaves[i].is_float == leaf.is_float)
            return true;
    if (r->count == LEAVES)
        return false;
    r->leaves[r->count++] = leaf;
    return true;
}

static bool flatten(struct result *r, const struct type *type, uint64_t offset, int depth) {
    const struct type *plain = type_complete(r->c->view.module, type_plain(type));
    bool part = plain->kind == TYPE_COMPLEX;
    if (depth > DEPTH || !plain->size)
        return false;
    if (plain->kind == TYPE_ARRAY && plain->vector)
        return add_leaf(r, (struct leaf){offset, plain->size, true, true});
    r->has_union |= plain->kind == TYPE_UNION;
    if (plain->kind == TYPE_ARRAY) {
        for (uint64_t i = 0; i < plain->count; i++)
            if (!flatten(r, plain->target, offset + i * plain->stride, depth + 1))
                return false;
        return true;
    }
    if (type_is_composite(plain)) {
        for (size_t i = 0; i < plain->member_count; i++) {
            const struct member *m = &plain->members[i];
            uint64_t at = m->bit_size
                              ? m->bit / 8 / type_plain(m->type)->size * type_plain(m->type)->size
                              : m->offset;
            if (m->location || !flatten(r, m->type, offset + at, depth + 1))
                return false;
        }
        return true;
    }
    bool fine = true;
    for (int i = 0; fine && i <= part; i++) {
        uint64_t size = part ? plain->size / 2 : plain->size;
        bool is_float = part || plain->kind == TYPE_FLOAT;
        fine = add_leaf(r, (struct leaf){offset + (unsigned)i * size, size, is_float, false});
    }
    return fine;
}

static void add_piece(struct result *r, unsigned slot, unsigned from, uint64_t to, uint64_t size) {
    if (r->piece_count < RESULT_PIECES)
        r->pieces[r->piece_count++] =
            (struct result_piece){.slot = (uint8_t)slot, .from = from, .to = to, .size = size};
}

/* The result's words in the integer registers. */
static bool in_words(struct result *r) {
    unsigned word = r->arch->word;
    if (r->size > 2 * word)
        return false;
    for (uint64_t at = 0; at < r->size; at += word)
        add_piece(r, r->arch->results[at / word], 0, at, r->size - at < word ? r->size - at : word);
    return true;
}

/* Are all parts floats of one size, without gaps? */
static bool homogeneous(const struct result *r) {
    bool same = r->count > 0 && r->count <= 4 && r->leaves[0].size * r->count == r->size;
    for (size_t i = 0; i < r->count; i++)
        same = same && r->leaves[i].is_float && r->leaves[i].size == r->leaves[0].size &&
               r->leaves[i].vector == r->leaves[0].vector;
    return same && (!r->leaves[0].vector || r->leaves[0].size == 8 || r->leaves[0].size == 16);
}

static bool of_x86_64(struct result *r, bool composite) {
    bool integer[2] = {false, false};
    unsigned ints = 0, floats = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct leaf *leaf = &r->leaves[i];
        if (leaf->vector) /* alone it is one register's */
            return r->count == 1 && homogeneous(r) &&
                   (add_piece(r, r->arch->float_result, 0, 0, r->size), true);
        if (leaf->is_float && leaf->size == 16) /* long double: the x87 stack's top */
            return !composite && r->count == 1 && (add_piece(r, 33, 0, 0, 10), true);
        if (r->size > 16 || leaf->offset % (leaf->size > 8 ? 8 : leaf->size))
            return false;
        for (uint64_t at = leaf->offset; at < leaf->offset + leaf->size; at += 8)
            integer[at / 8 % 2] |= !leaf->is_float;
    }
    for (uint64_t at = 0; at < r->size; at += 8) {
        uint64_t size = r->size - at < 8 ? r->size - at : 8;
        unsigned slot =
            integer[at / 8] ? r->arch->results[ints++] : (unsigned)r->arch->float_result + floats++;
        add_piece(r, slot, 0, at, size);
    }
    return true;
}

static bool of_aarch64(struct result *r) {
    if (!homogeneous(r))
        return in_words(r);
    for (size_t i = 0; i < r->count; i++)
        add_piece(r, (unsigned)r->arch->float_result + (unsigned)i, 0, r->leaves[i].offset,
                  r->leaves[i].size);
    return true;
}

/* What has one or two parts is in a register for each, but for unions and vectors. */
static bool of_riscv64(struct result *r, unsigned flags) {
    unsigned ints = 0, floats = 0, abi = flags & EF_RISCV_FLOAT_ABI;
    unsigned widest = abi == EF_RISCV_FLOAT_ABI_SOFT ? 0 : abi == EF_RISCV_FLOAT_ABI_SINGLE ? 4 : 8;
    bool plain = r->count == 0 || r->count > 2 || r->has_union;
    for (size_t i = 0; i < r->count; i++) {
        const struct leaf *leaf = &r->leaves[i];
        floats += leaf->is_float;
        plain = plain || leaf->vector || leaf->size > (leaf->is_float ? widest : 8);
    }
    if (plain || !floats)
        return in_words(r);
    floats = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct leaf *leaf = &r->leaves[i];
        unsigned slot =
            leaf->is_float ? (unsigned)r->arch->float_result + floats++ : r->arch->results[ints++];
        add_piece(r, slot, 0, leaf->offset, leaf->size);
    }
    return true;
}

static bool of_arm(struct result *r, bool composite, unsigned flags) {
    bool hard = flags & EF_ARM_ABI_FLOAT_HARD;
    if (!hard || !homogeneous(r))
        return (!composite || r->size <= 4) && in_words(r);
    for (size_t i = 0; i < r->count; i++) { /* two floats to a double's register */
        uint64_t at = i * r->leaves[i].size;
        add_piece(r, (unsigned)r->arch->float_result + (unsigned)(at / 8), at % 8,
                  r->leaves[i].offset, r->leaves[i].size);
    }
    return true;
}

/* Itanium C++ ABI, section 3.1.2.3: what has a destructor or a copy constructor that does something
 * is returned in memory. What the compiler itself has declared does no more than the parts do. */
static bool is_copied_by_code(struct die die, const struct type *owner, const char *last) {
    const char *name = die_string(die, DW_AT_name);
    struct die child;
    bool found = false;
    if (die_tag(die) != DW_TAG_subprogram || !name || die_flag(die, DW_AT_artificial) ||
        die_has(die, DW_AT_defaulted) || die_has(die, DW_AT_deleted))
        return false;
    if (*name == '~')
        return true;
    size_t n = strcspn(last, "<");
    if (strncmp(name, last, n) || (name[n] && name[n] != '<') || !die_child(die, &child))
        return false;
    do {
        const struct type *type = type_plain(type_of_entry(child));
        found |= die_tag(child) == DW_TAG_formal_parameter && type->kind == TYPE_REFERENCE &&
                 type_plain(type->target)->name &&
                 !strcmp(type_plain(type->target)->name, owner->name);
    } while (die_step(&child));
    return found;
}

static bool is_trivial(struct compiler *c, const struct type *type, int depth) {
    const struct type *plain = type_complete(c->view.module, type_plain(type));
    struct die die, child;
    bool trivial = depth <= DEPTH;
    if (plain->kind == TYPE_ARRAY)
        return is_trivial(c, plain->target, depth + 1);
    if (!type_is_composite(plain))
        return trivial;
    for (size_t i = 0; i < plain->member_count && trivial; i++)
        trivial = !plain->members[i].virtual_base && !plain->members[i].artificial &&
                  is_trivial(c, plain->members[i].type, depth + 1);
    uint64_t convention = 0;
    if (!die_at(plain->place, &die))
        return trivial;
    if (die_unsigned(die, DW_AT_calling_convention, &convention)) { /* clang says it */
        trivial = convention == DW_CC_pass_by_value;
    } else if (plain->name && die_child(die, &child)) {
        const char *colon = strrchr(plain->name, ':');
        do {
            trivial &= !is_copied_by_code(child, plain, colon ? colon + 1 : plain->name);
        } while (die_step(&child));
    }
    die_free(&die);
    return trivial;
}

/* Such a result is on the x87 stack, or in memory by rules that are not known here. */
static bool has_x87(const struct result *r) {
    bool found = false;
    for (size_t i = 0; i < r->count; i++)
        found |= r->leaves[i].is_float && r->leaves[i].size == 16 && !r->leaves[i].vector;
    return found;
}

static bool find_pieces(struct result *r, const struct type *plain) {
    bool composite = type_is_composite(plain) || plain->kind == TYPE_ARRAY;
    struct compiler *c = r->c;
    if (!plain->size || plain->size > 64 || !flatten(r, plain, 0, 0))
        return false;
    bool rust = unit_entries(c->view.unit)->language == DW_LANG_Rust; /* has an ABI of its own */
    if (composite && (rust || (c->view.cxx && !is_trivial(c, plain, 0))))
        return false;
    switch (r->arch->machine) {
    case EM_X86_64: return of_x86_64(r, composite || plain->kind == TYPE_COMPLEX);
    case EM_AARCH64: return of_aarch64(r);
    case EM_RISCV: return of_riscv64(r, c->view.module->elf->flags);
    default: return of_arm(r, composite, c->view.module->elf->flags);
    }
}

const struct type *compile_return(struct compiler *c, const struct target_node *node) {
    const struct arch *arch = c->view.site->space->arch;
    struct die die;
    if (c->view.site->returning && c->view.site->syscall && arch) {
        const struct type *word = type_basic(arch->word == 8 ? BASIC_LONG : BASIC_INT);
        compiler_emit(c, I_REGISTER, word)->u = arch->results[0];
        return word;
    }
    if (!c->view.site->returning || !arch)
        return compiler_fail(c, node, "\"return\" is known only where a function returns");
    if (!c->view.function || !die_at(c->view.function->place, &die))
        return compiler_fail(c, node, "this function has no debug info: use $%s",
                             arch->word == 8 ? "rax or the like" : "r0");
    if (c->view.go) {
        die_free(&die);
        return compile_go_return(c, node);
    }
    const struct type *type = type_of_entry(die),
                      *plain = type_complete(c->view.module, type_plain(type));
    die_free(&die);
    struct result result = {.c = c, .arch = arch, .size = plain->size};
    if (plain->kind == TYPE_VOID)
        return compiler_fail(c, node, "this function returns nothing");
    if (find_pieces(&result, plain)) {
        struct insn *insn = compiler_emit(c, I_RESULT, type);
        insn->pieces =
            arena_copy(&c->expr->arena, result.pieces, result.piece_count * sizeof *result.pieces);
        insn->n = result.piece_count;
        return compiler_settle(c, type);
    }
    /* In memory, and its address in the register. */
    if (type_is_composite(plain) && arch->machine == EM_X86_64 &&
        (plain->size > 16 || c->view.cxx) && !has_x87(&result)) {
        compiler_emit(c, I_REGISTER, type_pointer_to(c->view.module, type))->u = arch->results[0];
        compiler_emit(c, I_FOLLOW, type);
        return type;
    }
    return compiler_fail(c, node, "results of type %s are not read yet",
                         compiler_type_text(c, type));
}
