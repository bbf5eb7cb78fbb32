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
 * afterwards (but for what target_generic.h remembers): a flat program. Evaluation is pure over the
 * registers and the memory of a frame; where memory is missing it says EVAL_AGAIN, having noted in
 * `memory` all that it wants. */
#pragma once

#include "base/buffer.h"
#include "symbol/location.h"
#include "value/value.h"

#define TARGET_EXPR_MAX 4096 /* bytes */
#define TARGET_DEPTH_MAX 64

struct target_expr;

/* A hash table of Go's: blocks of eight cells, each with a byte that says whether it is used. All
 * but `block` and the steps are offsets, of what the comment says. */
struct hash_shape {
    uint64_t block;                                   /* bytes of one */
    uint64_t marks, key, value, key_step, value_step; /* in a block, of its first cell */
    bool key_apart, value_apart;                      /* the cell has a pointer to it */
    uint64_t bits, flags, old, overflow;              /* SHAPE_BUCKETS; the last one in a block */
    uint64_t directory;                               /* SHAPE_GROUPS */
    uint64_t groups, mask;                            /* SHAPE_GROUPS, in a table */
};

/* A place in a std::deque: an iterator `at` bytes into it, and in that the offsets of pointers to
 * the element, to the first one of its block, behind the block's last one, and to the entry of the
 * table of blocks. */
struct block_place {
    uint64_t at, current, first, last, node;
};

/* How a type of a library or of a language's runtime is to be seen: what src/lang knows and this
 * layer does not. */
struct shape {
    enum shape_kind {
        SHAPE_NONE,
        SHAPE_TEXT,
        SHAPE_LIST,
        SHAPE_POINTER,
        SHAPE_PART,       /* what it is is at `data` inside of it */
        SHAPE_OPTIONAL,   /* the same, if the bool at `length` is true; else null */
        SHAPE_TREE,       /* a sorted tree; `data` is its root's pointer */
        SHAPE_CHAIN,      /* a chain of nodes; `data` is the first one's pointer */
        SHAPE_RING,       /* nodes linked both ways, with the links at `data` one of them */
        SHAPE_BLOCKS,     /* a std::deque: from `begin` to `end` */
        SHAPE_BITS,       /* bits in a row: from `begin` to `end`, whose `first` is the pointer to a
                             word and whose `current` is the bit's number in it */
        SHAPE_FIXED_BITS, /* the same: `fixed` bits in the object, from `data` on */
        SHAPE_SEQUENCE,   /* an `element` at `data`, and at `mapped_at` what `mapped` is a sequence
                             of; NULL: nothing */
        SHAPE_VARIANT,  /* at `data` one of the alternatives in the sequence `element`; its number,
                           of `fixed` bytes, is at `length` */
        SHAPE_BUCKETS,  /* Go's maps up to 1.23; `data` is the pointer to its blocks */
        SHAPE_GROUPS,   /* Go's maps from 1.24 on; `data` is the pointer to tables or to a block */
        SHAPE_DURATION, /* the `element` at `data`, in units of `fixed` / `mapped_at` seconds */
        SHAPE_FUNCTION, /* a std::function: at `data` what it calls, at `length` the code for that
                           and at `capacity` a pointer that is null where there is nothing */
        SHAPE_WEAK,     /* the pointer at `data`, to an `element` that is gone where the count at
                           `node` of what the pointer at `length` points to is 0 */
        SHAPE_EXPECTED, /* the `element` (NULL: void) at `data`, if the bool at `length` is true;
                           else the error `mapped` at `mapped_at` */
        SHAPE_ANY,      /* a std::any: at `length` the code that knows what is at `data` */
        SHAPE_HELD, /* the class of that code: it is an `element`, or (`behind`) a pointer to one */
        SHAPE_INTERFACE, /* Go's; its value, or a pointer to it, is at `data` */
        SHAPE_CHANNEL,   /* Go's */
        SHAPE_KINDS
    } kind;
    bool behind;     /* it is a pointer, which may be null, to what has the parts */
    uint64_t data;   /* offset of the pointer to the first element (or the target) */
    uint64_t length; /* offset of the number of elements, or of the pointer behind the last */
    bool end_pointer;
    uint64_t capacity; /* the same for `cap`; equal to `length` where there is none */
    uint64_t header;   /* not 0: both are offsets from so many bytes before the first element */
    bool is_fixed;     /* SHAPE_LIST: it has `fixed` elements */
    /* SHAPE_TEXT: where the byte at `short_length` is even it is twice the length, and the text in
     * the object, at `short_text`, with room for `short_most` characters. */
    bool has_short;
    uint64_t short_length, short_text, short_most;
    const struct type *element;
    /* SHAPE_TREE, SHAPE_CHAIN, SHAPE_RING: where in a node its element is, and the pointer to the
     * next node (a tree: to the left one, before that to the right one). */
    uint64_t node, link;
    bool uncounted; /* there is no `length`: nodes are counted by following them */
    /* A map's: an element begins with a key; what it stands for is at `mapped_at`. NULL: a set. */
    const struct type *key, *mapped;
    uint64_t mapped_at;
    bool repeats; /* a key may be there more than once */
    struct hash_shape hash;
    struct block_place begin, end;
    uint64_t fixed;
    /* SHAPE_INTERFACE: the pointer at `length` is to its value's type, or (`by_table`) to a table
     * that has that pointer at `node`. */
    bool by_table;
};

/* `type` may be an alias: what it is called can say more. False: it is as its members are. */
typedef bool shape_fn(struct module *module, const struct type *type, struct shape *out);

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
    /* Its bytes, from `located_at` on, have pointers without a value in them; NULL: none. */
    const struct located *located;
    uint64_t located_at;
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
