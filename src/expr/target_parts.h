/* What the parts of the target language share. */
#pragma once

#include "expr/target.h"

enum target_op {
    TOP_NONE,
    TOP_OR,
    TOP_AND,
    TOP_EQ,
    TOP_NE,
    TOP_LE,
    TOP_GE,
    TOP_SHL,
    TOP_SHR,
    TOP_ARROW,
    TOP_SCOPE,
    TOP_LT,
    TOP_GT,
    TOP_BIT_OR,
    TOP_BIT_XOR,
    TOP_BIT_AND,
    TOP_ADD,
    TOP_SUB,
    TOP_MUL,
    TOP_DIV,
    TOP_MOD,
    TOP_NOT,
    TOP_BIT_NOT,
    TOP_DOT,
    TOP_OPEN,
    TOP_CLOSE,
    TOP_INDEX,
    TOP_INDEX_END,
    TOP_COMMA,
    TOP_QUESTION,
    TOP_COLON,
    TOP_COUNT
};
extern const char *const target_op_texts[TOP_COUNT];

enum target_token_kind {
    TT_END,
    TT_INT,
    TT_FLOAT,
    TT_CHAR,
    TT_STRING,
    TT_NAME,
    TT_REGISTER,
    TT_OP,
    TT_BAD
};

struct target_token {
    enum target_token_kind kind;
    enum target_op op;
    size_t at, len;
    uint64_t i;
    double f;
    unsigned longs; /* suffixes of a number: l, ll */
    bool unsigned_, hex;
    bool is_float;    /* suffix f */
    const char *unit; /* behind a number: "ms", "Ki"; `unit_len` bytes */
    size_t unit_len;
};

struct target_token target_lex(const char *text, size_t *at, const char **why);

enum target_node_kind {
    TN_INT,
    TN_FLOAT,
    TN_CHAR,
    TN_STRING,
    TN_BOOL,
    TN_NIL,
    TN_NAME,
    TN_REGISTER,
    TN_ARGUMENT,
    TN_RETURN,
    TN_UNARY,
    TN_BINARY,
    TN_MEMBER,
    TN_INDEX,
    TN_SLICE,
    TN_CAST,
    TN_SIZEOF,
    TN_SIZEOF_TYPE,
    TN_LEN,
    TN_CAP,
    TN_CONDITIONAL
};

struct target_node {
    enum target_node_kind kind;
    enum target_op op;
    int args[3]; /* earlier nodes; -1 = none */
    size_t at;   /* in the text */
    uint64_t i;
    double f;
    enum basic basic;        /* the type of a number */
    const struct type *type; /* casts */
    char *text;              /* names, strings; in the expression's arena */
    size_t len;
};

struct target_tree {
    struct target_node *nodes;
    size_t count, cap;
    int root;
};

/* Is `name` a type here? NULL: no. */
typedef const struct type *target_type_fn(void *ctx, const char *name);

/* Is `name`, with template arguments, a type or function? */
typedef bool target_known_fn(void *ctx, const char *name);

struct error *target_parse(const char *text, struct arena *arena, target_type_fn *type,
                           target_known_fn *known, void *ctx, struct module *module,
                           struct target_tree *out, size_t *at);

/* ---- the program ---- */

enum insn_op {
    I_NUMBER,
    I_TEXT,
    I_VARIABLE,
    I_ADDRESS_OF_STATIC,
    I_REGISTER,
    I_RESULT,
    I_MEMBER,
    I_VIRTUAL_BASE,
    I_FOLLOW,
    I_ADDRESS,
    I_INDEX,
    I_SLICE,
    I_CONVERT,
    I_NEGATE,
    I_BIT_NOT,
    I_NOT,
    I_BINARY,
    I_POINTER_STEP,
    I_SHIFT,
    I_POINTER_DIFFERENCE,
    I_COMPARE_TEXT,
    I_TRUTH,
    I_JUMP,
    I_JUMP_IF,
    I_JUMP_UNLESS,
    I_SIZE,
    I_LENGTH,
    I_CAPACITY,
    I_ASSERT,
    I_LOOKUP,
    I_POP
};

/* Bytes [to, to + size) of a result are those from `from` on in a register, or on the stack. */
struct result_piece {
    uint8_t slot; /* `on_stack`: the stack pointer's */
    bool on_stack;
    uint64_t from, to, size;
};
#define RESULT_PIECES 64

struct insn {
    uint8_t op;
    uint8_t sub;             /* enum target_op of I_BINARY, I_COMPARE_TEXT; flags of I_SLICE; of
                                I_LOOKUP: is the key a text? */
    const struct type *type; /* of the result; of I_BINARY: what it computes in */
    union {
        uint64_t u;
        double f;
        const char *text;
        const struct member *member;
        const struct dwarf_expression *location;
        const struct shape *shape;
        const struct result_piece *pieces; /* `n` of them */
    };
    uint64_t n;              /* a length, a stride, an address, a jump's goal */
    const uint8_t *constant; /* I_VARIABLE: its bytes, where it is a constant */
    struct loaded *loaded;
};

struct target_expr {
    struct insn *code;
    size_t count, cap;
    struct generic *generic; /* target_generic.c; NULL: all its types are known */
    const struct type *type;
    const char *unavailable;
    struct arena arena;
};

/* Runs a program; what it leaves is *out. */
enum outcome target_code_run(const struct insn *code, size_t count, struct evaluation *evaluation,
                             struct operand *out);

/* ---- numbers ---- */

struct number {
    bool is_float;
    __int128 i;
    long double f;
};

/* `plain` is a number's type. False: a format that is not known here. */
bool number_load(const struct type *plain, const uint8_t *bytes, struct number *out);
void number_store(const struct type *plain, const struct number *number, uint8_t out[static 16]);
struct number number_fit(const struct type *plain, struct number number);

/* In the type `plain`, to which both have been converted. False: no answer, with *why. */
bool number_binary(enum target_op op, const struct type *plain, struct number a, struct number b,
                   struct number *out, const char **why);

/* C's integer promotion, and the usual arithmetic conversions. Go: the wider of the two. */
const struct type *number_promoted(const struct type *plain);
const struct type *number_common(const struct type *a, const struct type *b);

/* ---- operands ---- */

/* The operand's bytes, `size` of them from `offset` on, all there. EVAL_FAILED: evaluation->why.
 */
enum outcome operand_read(struct evaluation *evaluation, const struct operand *operand,
                          uint64_t offset, void *out, size_t size);
enum outcome operand_number(struct evaluation *evaluation, const struct operand *operand,
                            struct number *out);
struct operand operand_of_number(const struct type *type, struct number number);
struct operand operand_in_memory(const struct type *type, uint64_t address);
enum outcome evaluation_fail(struct evaluation *evaluation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* `address` cannot be read, or will not be at this stop. */
enum outcome evaluation_fault(struct evaluation *evaluation, uint64_t address);

/* The elements of an array; a VLA's are counted by what its subrange says. */
enum outcome array_count(struct evaluation *evaluation, const struct type *plain, uint64_t *count);

/* The bytes of a type, also where an array in it has a computed length. Fails where one has none.
 */
enum outcome type_run_size(struct evaluation *evaluation, const struct type *type, uint64_t *size);

/* A text: char arrays and pointers, shaped strings, literals; wide ones as UTF-8. `len` is that of
 * the whole text, or more than `n` where it is not all there; `bytes` are at most `max` of its
 * characters, in the evaluation's arena. False (or again): not one. */
enum outcome operand_text(struct evaluation *evaluation, const struct operand *operand, size_t max,
                          const char **bytes, size_t *n, uint64_t *len);
bool operand_is_text(struct evaluation *evaluation, const struct type *plain, struct shape *shape);

/* The elements of a shaped list or text: the first one, where there is one, and how many. */
enum outcome shape_elements(struct evaluation *evaluation, const struct operand *operand,
                            const struct shape *shape, struct operand *first, uint64_t *count);

/* How many elements or entries there are. Fails where they are too many to be counted. */
enum outcome shape_count(struct evaluation *evaluation, const struct operand *operand,
                         const struct shape *shape, uint64_t *count);

/* The i-th element of a shape that shape_has_order(). */
bool shape_has_order(const struct shape *shape);
enum outcome shape_element(struct evaluation *evaluation, const struct operand *operand,
                           const struct shape *shape, __int128 i, struct operand *out);

/* From a SHAPE_SEQUENCE to what is behind its first element, at *at. False: nothing is. */
#define PARTS_MOST 256
bool sequence_next(shape_fn *fn, struct module *module, struct shape *shape, uint64_t *at);

/* The type of the n-th element, and in *at where it is; NULL: there is none, and *at is how many
 * there are. */
const struct type *sequence_element(shape_fn *fn, struct module *module, const struct shape *shape,
                                    uint64_t n, uint64_t *at);

/* Of bits in a row: how many, and the byte and bit of the first one. */
struct bits {
    uint64_t count, address;
    unsigned bit;
};
enum outcome bits_of(struct evaluation *evaluation, const struct operand *operand,
                     const struct shape *shape, struct bits *out);
/* The i-th of them, as a bit-field of `operand` or of the memory at `bits->address`. */
struct operand bits_element(const struct operand *operand, const struct shape *shape,
                            const struct bits *bits, uint64_t i);

/* Of a std::deque: how many elements it has, `per` of them in a block, the first one `skipped`
 * places into the one that the table's entry at `table` points to. */
struct blocks {
    uint64_t count, per, skipped, table;
};
enum outcome blocks_of(struct evaluation *evaluation, const struct operand *operand,
                       const struct shape *shape, struct blocks *out);
/* Where the i-th is. `ahead`: so many entries of the table will be wanted, too. */
enum outcome blocks_element(struct evaluation *evaluation, const struct blocks *blocks,
                            const struct shape *shape, uint64_t i, uint64_t ahead, uint64_t *out);

/* Where an entry of a container is. A set's has no value. */
struct entry {
    uint64_t key, value;
};

struct entries {
    struct entry *list; /* in the evaluation's arena */
    uint64_t count;
    uint64_t most;  /* in: how many are wanted; out: how many of them there are to be */
    uint64_t bytes; /* in: what they may take */
    uint64_t of;    /* how many the container has; more than `count`: or more than that */
    uint64_t entry; /* bytes of one */
    bool cut;       /* a bound was reached before `most` were found */
};

/* Of a container that keeps them in nodes or in hash tables, in its own order. With EVAL_AGAIN,
 * some of them; what they are and where the others are is wanted. */
bool shape_has_entries(const struct shape *shape);
enum outcome shape_entries(struct evaluation *evaluation, const struct operand *operand,
                           const struct shape *shape, struct entries *out);

/* What an interface of Go's holds. `out->type` NULL: nothing, it is nil. */
enum outcome interface_held(struct evaluation *evaluation, const struct operand *operand,
                            const struct shape *shape, struct operand *out);

/* The same where it must be of `type`: what it holds is another one's error. */
enum outcome interface_assert(struct evaluation *evaluation, const struct operand *operand,
                              const struct shape *shape, const struct type *type,
                              struct operand *out);

/* The value under `key` in a map, compared as a text or as a number. */
enum outcome entry_lookup(struct evaluation *evaluation, const struct operand *map,
                          const struct shape *shape, const struct operand *key, bool is_text,
                          struct operand *out);

enum outcome operand_of_location(struct evaluation *evaluation, const struct located *located,
                                 const struct type *type, struct operand *out);

/* A pointer that has no value, though what it points to is known; and that, as a `type`, `offset`
 * bytes further on. */
bool operand_is_implicit(const struct operand *operand);
enum outcome implicit_target(struct evaluation *evaluation, const struct operand *pointer,
                             const struct type *type, uint64_t offset, struct operand *out);

/* From an object to what is `offset` bytes further on in it, of whatever size; the type stays. */
void operand_move(struct operand *operand, uint64_t offset);

/* A part of an object, at `offset` bytes. */
struct operand operand_part(const struct operand *whole, const struct type *type, uint64_t offset);

bool text_is_zero(const uint8_t *bytes, unsigned width);
void text_add_utf8(struct buffer *out, uint32_t c);

/* UTF-16 (where they are 2 bytes wide) or UTF-32 as UTF-8. */
void text_add_wide(struct buffer *out, const uint8_t *bytes, size_t count, unsigned width);

/* Up to the terminating NUL, `max` characters of `width` bytes at most, into the evaluation's
 * arena. Reads in steps, so a string at the end of a page is read up to it. */
enum outcome text_terminated(struct evaluation *evaluation, uint64_t address, unsigned width,
                             size_t max, uint8_t **out, size_t *count, bool *ended);

/* Is there a NUL? For a string that is exactly as long as the limit. */
bool text_ends_there(struct evaluation *evaluation, uint64_t address, unsigned width);
