/* Expressions of the target's language (`when`, `capture`, `watch`), for back ends that know only
 * bytes: C, C++, Rust's and Go's basics, typed against the debug info.
 *
 *   cond  = or [ "?" cond ":" cond ]        shift = sum { ("<<"|">>") sum }
 *   or    = and { "||" and }                sum   = term { ("+"|"-") term }
 *   and   = bor { "&&" bor }                term  = unary { ("*"|"/"|"%") unary }
 *   bor   = xor { "|" xor }                 unary = ("!"|"-"|"+"|"~"|"*"|"&") unary | cast
 *   xor   = band { "^" band }               cast  = "(" type ")" unary | "sizeof" ... | post
 *   band  = equal { "&" equal }             post  = atom { "." name | "->" name | "[" cond "]"
 *   equal = order { ("=="|"!=") order }                  | "[" [cond] ":" [cond] "]" | ".(" type
 * ")" } order = shift { ("<"|"<="|">"|">=") shift } atom  = number | 'c' | "string" | true | false
 * | nil | $register | argN | return | name | "(" cond ")" | ("len"|"cap"|"sizeof") "(" cond ")"
 *   name  = ["::"] word { "::" word } | FILE "::" word
 *
 * An expression is parsed, resolved and typed once for a place in the code, and is immutable
 * afterwards: a flat program. Evaluation is pure over the registers and the memory of a frame;
 * where memory is missing it says EVAL_AGAIN, having noted in `memory` all that it wants. */
#pragma once

#include "base/buffer.h"
#include "symbol/location.h"
#include "value/value.h"

#define TARGET_EXPR_MAX 4096 /* bytes */
#define TARGET_DEPTH_MAX 64

struct target_expr;

/* How a type of a library is to be seen: what src/lang knows and this layer does not. */
struct shape {
    enum shape_kind {
        SHAPE_NONE,
        SHAPE_TEXT,
        SHAPE_LIST,
        SHAPE_POINTER,
        SHAPE_PART,     /* what it is is at `data` inside of it */
        SHAPE_OPTIONAL, /* the same, if the bool at `length` is true; else null */
        SHAPE_TREE,     /* a sorted tree; `data` is its root's pointer */
        SHAPE_CHAIN     /* a chain of nodes; `data` is the first one's pointer */
    } kind;
    uint64_t data;   /* offset of the pointer to the first element (or the target) */
    uint64_t length; /* offset of the number of elements, or of the pointer behind the last */
    bool end_pointer;
    uint64_t capacity; /* the same for `cap`; equal to `length` where there is none */
    const struct type *element;
    uint64_t node; /* SHAPE_TREE, SHAPE_CHAIN: where in a node its element is */
    /* A map's: an element begins with a key; what it stands for is at `mapped_at`. NULL: a set. */
    const struct type *key, *mapped;
    uint64_t mapped_at;
    bool repeats; /* a key may be there more than once */
};
typedef bool shape_fn(struct module *module, const struct type *plain, struct shape *out);

/* Where an expression will be evaluated. */
struct target_site {
    struct space *space;
    struct loaded *loaded; /* the module of `pc`; NULL: only globals are known */
    uint64_t pc;           /* link-time, as frame_lookup_pc() tells it */
    unsigned callers;      /* so many inlined calls further out than the innermost at `pc` */
    bool entry;            /* argN are what the ABI passes at a function's first instruction */
    bool returning;        /* `return` is the function's result */
    bool syscall;          /* not a function's but a system call's: argN and `return` */
    shape_fn *shape;       /* may be NULL */
};

/* ERROR_RECIPE, with the byte offset it is about in *at. `expr` lives as long as the modules. */
struct error *target_expr_compile(const char *text, const struct target_site *site,
                                  struct target_expr **out, size_t *at);
void target_expr_free(struct target_expr *expr);
const struct type *target_expr_type(const struct target_expr *expr);

/* The first variable in it that is optimised out at its site; NULL: all can be read. */
const char *target_expr_unavailable(const struct target_expr *expr);

/* A value, or the place of one. */
struct operand {
    const struct type *type;
    bool in_memory;
    uint64_t address;
    const uint8_t *bytes;   /* else: its bytes; `small`, or in the evaluation's arena */
    const uint8_t *missing; /* a byte each: what was optimized out; NULL: all of it is there */
    size_t size;
    unsigned bit, bit_size; /* a bit-field, counted from `address` or `bytes` */
    bool has_text;          /* a string literal: `bytes`, `size` */
    uint8_t small[16];
};

struct evaluation {
    struct frame *frame;
    struct arena *scratch; /* emptied by the caller when the hit is over */
    shape_fn *shape;
    bool again;      /* something was missing and is wanted */
    const char *why; /* the first failure */
    char text[160];  /* where `why` may point */
};

/* EVAL_FAILED: evaluation->why. */
enum outcome target_expr_evaluate(const struct target_expr *expr, struct evaluation *evaluation,
                                  struct operand *out);

struct show_limits {
    unsigned string, items, depth, bytes;
};
enum show_as { SHOW_AS_IS, SHOW_AS_ADDR, SHOW_AS_HEX, SHOW_AS_TEXT, SHOW_AS_BYTES };

/* The value model's tree of what an operand is. With evaluation->again set the tree is unfinished
 * and all that is missing for it has been noted. */
value_ref operand_show(struct evaluation *evaluation, const struct operand *operand,
                       const struct show_limits *limits, enum show_as as, struct buffer *into);

/* Is it true, as the target's language sees it? For conditions. */
enum outcome operand_truth(struct evaluation *evaluation, const struct operand *operand, bool *out);
