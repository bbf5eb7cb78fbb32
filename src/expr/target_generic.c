#include "expr/target_generic.h"

#include "base/text.h"
#include "expr/target_go_abi.h"
#include "symbol/go_types.h"
#include <stdlib.h>
#include <string.h>

#define ANY_POINTER "go.shape.*uint8"
#define WORDS_MAX 1024  /* of a dictionary */
#define SHAPES_MAX 16   /* of one function */
#define CHOICES_MAX 256 /* dictionaries of one expression; then all are forgotten */

static const struct type known_later = {
    .kind = TYPE_UNKNOWN, .name = "<known at run time>", .complete = true, .shared = true};

/* The expression for one dictionary. */
struct choice {
    uint64_t dictionary;
    struct target_expr *expr; /* NULL: `error` */
    struct error *error;
};

struct generic {
    char *text;
    struct target_site site;
    struct insn dictionary; /* puts its address on the stack */
    size_t words;           /* of it that are read */
    struct error *error;    /* for the shapes */
    struct choice *choices;
    size_t count, cap;
};

/* ---- which word of the dictionary says what a type is ---- */

/* Aliases of the function's own, each with the number of a word. */
struct search {
    const struct type *shape; /* that is looked for; or NULL */
    bool behind;              /* it is what a pointer points to */
    size_t word, most;        /* 1 + the number of a word: of the shape; of all; 0: none */
};

static void search_aliases(struct compiler *c, struct search *search) {
    struct die function, child;
    if (!die_at(c->view.function->place, &function))
        return;
    for (bool more = die_child(function, &child); more; more = die_step(&child)) {
        const struct type *alias =
            die_tag(child) == DW_TAG_typedef ? type_at(c->view.module, die_place(child)) : NULL;
        size_t word = alias ? alias->dictionary : 0;
        search->most = word > search->most ? word : search->most;
        if (word && alias->target == search->shape)
            search->word = word;
    }
    die_free(&function);
}

static bool is_inlined(const struct scope *scope) {
    while (scope && scope->kind == SCOPE_BLOCK)
        scope = scope->parent;
    return scope && scope->kind == SCOPE_INLINED;
}

/* Do all type parameters of the function look different? Their shapes are in its name. Only then
 * what a shape stands for is the same everywhere in it. */
static bool shapes_differ(const char *name) {
    struct {
        const char *text;
        size_t n;
    } seen[SHAPES_MAX];
    const char *at = strchr(name, '['), *start = at ? at + 1 : NULL;
    size_t count = 0;
    for (int depth = 0; at && *at; at++) {
        bool opens = strchr("[({", *at), closes = strchr("])}", *at);
        if (depth == 1 && (closes || *at == ',')) {
            size_t n = (size_t)(at - start);
            for (size_t i = 0; i < count; i++)
                if (seen[i].n == n && !memcmp(seen[i].text, start, n))
                    return false;
            if (closes || count == SHAPES_MAX)
                return closes;
            seen[count].text = start;
            seen[count++].n = n;
            start = at + 1;
        }
        depth += opens - closes;
    }
    return false;
}

static bool mentions(struct compiler *c, const struct type *type, const char *text) {
    return strstr(compiler_type_text(c, type), text) != NULL;
}

/* Of a variable that has moved to the heap (it is a pointer then), or that a closure has captured,
 * the debug info has the shape alone. Another one with that shape can tell. */
static const struct type *shape_of(struct compiler *c, const struct type *type,
                                   struct search *search) {
    if (type->kind == TYPE_TYPEDEF && type->dictionary) {
        search->word = type->dictionary;
        return type->target;
    }
    if (!shapes_differ(c->view.function->name) || is_inlined(c->view.innermost) ||
        !mentions(c, type, "go.shape."))
        return type;
    search->shape = type;
    search_aliases(c, search);
    if (!search->word && type->kind == TYPE_POINTER) {
        search->shape = type->target;
        search->behind = true;
        search_aliases(c, search);
    }
    return type;
}

/* ---- compiling ---- */

/* Up to the end of the prologue it is where the caller has put it, whatever the debug info says. */
static bool in_register(struct compiler *c, struct insn *out) {
    struct go_call call;
    uint64_t pc = c->view.site->pc;
    if (is_inlined(c->view.innermost) || pc < c->view.function->entry ||
        pc > function_start(c->view.function) || !go_call_of(c, &call) ||
        call.dictionary_slot < 0 || !call.confirmed)
        return false;
    *out = (struct insn){
        .op = I_REGISTER, .type = type_basic(BASIC_POINTER), .u = (unsigned)call.dictionary_slot};
    return true;
}

/* Puts its address on the stack. */
static bool find_dictionary(struct compiler *c, struct insn *out) {
    const struct variable *variable =
        variable_named(c->view.innermost, GO_DICTIONARY, sizeof GO_DICTIONARY - 1, 0);
    struct meaning meaning = {0};
    if (variable)
        meaning = scope_variable(&c->view, variable);
    *out = (struct insn){.op = I_VARIABLE,
                         .type = meaning.type,
                         .location = meaning.location,
                         .loaded = meaning.loaded};
    return meaning.location || in_register(c, out);
}

static struct generic *make_generic(struct compiler *c) {
    struct insn dictionary;
    struct search all = {0};
    struct generic *generic = find_dictionary(c, &dictionary) ? calloc(1, sizeof *generic) : NULL;
    if (!generic)
        return NULL;
    if (!is_inlined(c->view.innermost))
        search_aliases(c, &all);
    *generic = (struct generic){.text = strdup(c->text),
                                .site = *c->view.site,
                                .dictionary = dictionary,
                                .words = all.most < WORDS_MAX ? all.most : WORDS_MAX};
    if (generic->text)
        return generic;
    free(generic);
    return NULL;
}

static const struct type *type_in_words(struct compiler *c, const struct search *search) {
    struct go_type found;
    uint64_t record = search->word <= c->word_count ? c->words[search->word - 1] : 0;
    if (!go_type_at(c->view.site->space, record, &found))
        return NULL;
    return search->behind ? type_pointer_to(c->view.module, found.type) : found.type;
}

const struct type *generic_type(struct compiler *c, const struct type *type) {
    struct search search = {0};
    if (!c->view.go || !c->view.function)
        return type;
    const struct type *shape = shape_of(c, type, &search), *real = NULL;
    if (!search.word)
        return shape;
    c->any_pointer |= mentions(c, shape, ANY_POINTER);
    if (c->words)
        real = type_in_words(c, &search);
    else if (!c->expr->generic)
        c->expr->generic = make_generic(c);
    struct generic *generic = c->expr->generic;
    if (generic && search.word > generic->words && search.word <= WORDS_MAX)
        generic->words = search.word;
    /* another size: these words are no dictionary */
    return real && type_plain(real)->size == type_plain(shape)->size ? real : shape;
}

bool generic_put_off(struct compiler *c) {
    struct generic *generic = c->expr->generic;
    if (!c->any_pointer || c->words)
        return false;
    if (!generic) {
        c->error = error_wrap(c->error, "the dictionary that says what a type parameter is "
                                        "cannot be read here");
        return false;
    }
    generic->error = c->error;
    c->error = NULL;
    c->expr->count = 0;
    c->expr->type = &known_later;
    return true;
}

/* ---- running ---- */

static void forget_choices(struct generic *generic) {
    for (size_t i = 0; i < generic->count; i++) {
        target_expr_free(generic->choices[i].expr);
        error_free(generic->choices[i].error);
    }
    generic->count = 0;
}

void generic_free(struct generic *generic) {
    if (!generic)
        return;
    forget_choices(generic);
    free(generic->choices);
    error_free(generic->error);
    free(generic->text);
    free(generic);
}

static enum outcome read_words(struct generic *generic, struct evaluation *evaluation,
                               uint64_t dictionary, uint64_t *words) {
    unsigned size = evaluation->frame->registers.arch->word;
    struct operand at = operand_in_memory(NULL, dictionary);
    enum outcome worst = EVAL_OK;
    for (size_t i = 0; i < generic->words && worst != EVAL_FAILED; i++) {
        words[i] = 0;
        enum outcome outcome = operand_read(evaluation, &at, i * size, &words[i], size);
        worst = outcome > worst ? outcome : worst;
    }
    return worst;
}

static struct choice *known_choice(struct generic *generic, uint64_t dictionary) {
    for (size_t i = 0; i < generic->count; i++)
        if (generic->choices[i].dictionary == dictionary)
            return &generic->choices[i];
    return NULL;
}

static struct choice *make_choice(struct generic *generic, uint64_t dictionary,
                                  const uint64_t *words) {
    size_t column;
    if (generic->count == CHOICES_MAX)
        forget_choices(generic);
    struct choice *choice = ARRAY_ADD(generic->choices, generic->count, generic->cap);
    if (!choice)
        return NULL;
    *choice = (struct choice){.dictionary = dictionary};
    choice->error = target_expr_compile_for(generic->text, &generic->site, words, generic->words,
                                            &choice->expr, &column);
    return choice;
}

/* EVAL_FAILED: there is none. */
static enum outcome find_choice(struct generic *generic, struct evaluation *evaluation,
                                struct choice **out) {
    uint64_t words[WORDS_MAX];
    struct operand place;
    struct number address;
    enum outcome outcome = target_code_run(&generic->dictionary, 1, evaluation, &place);
    if (outcome == EVAL_OK)
        outcome = operand_number(evaluation, &place, &address);
    if (outcome != EVAL_OK || (*out = known_choice(generic, (uint64_t)address.i)))
        return outcome;
    outcome = read_words(generic, evaluation, (uint64_t)address.i, words);
    if (outcome == EVAL_OK)
        *out = make_choice(generic, (uint64_t)address.i, words);
    return outcome;
}

enum outcome generic_choose(const struct target_expr *expr, struct evaluation *evaluation,
                            const struct target_expr **out) {
    struct generic *generic = expr->generic;
    struct choice *choice = NULL;
    enum outcome outcome = find_choice(generic, evaluation, &choice);
    if (outcome == EVAL_AGAIN)
        return outcome;
    evaluation->why = NULL;
    if (choice && choice->error)
        return evaluation_fail(evaluation, "%s", choice->error->message);
    if (!choice && generic->error)
        return evaluation_fail(evaluation, "what its type is cannot be read: %s",
                               generic->error->message);
    *out = choice ? choice->expr : expr;
    return EVAL_OK;
}
