/* DWARF expressions: where a variable is, what a frame's rules compute. Decoded once, evaluated
 * purely over the registers and the memory of a frame (DWARF 5, sections 2.5 and 2.6). */
#pragma once

#include "symbol/frames.h"
#include "symbol/types.h"

struct location_op {
    uint8_t op;
    uint32_t branch; /* index of the operation that DW_OP_skip and DW_OP_bra go to */
    uint64_t a, b;
    const uint8_t *block;           /* of implicit_value and const_type: `a` or `b` bytes */
    struct dwarf_expression *inner; /* of entry_value */
};

struct dwarf_expression {
    struct location_op *ops;
    size_t count;
    struct unit *unit; /* whose bases and types it uses; NULL: a frame rule's */
};

#define LOCATION_OPS 4096
#define LOCATION_STEPS 10000 /* operations that one evaluation may run */
#define LOCATION_STACK 64
#define LOCATION_PIECES 32

/* The expression of an entry's attribute for `pc` (link-time). NULL with *why: "optimized out"
 * where the entry has none for this pc, or what else is wrong. In the module's arena. */
const struct dwarf_expression *location_of(struct module *module, struct die die,
                                           unsigned attribute, uint64_t pc, const char **why);

/* A bare expression of a frame rule or a base class. The bytes are in a section of `dwarf`:
 * libdwarf believes no others. */
const struct dwarf_expression *location_decode(struct module *module, struct dwarf *dwarf,
                                               const uint8_t *bytes, size_t size);

enum piece_kind {
    PIECE_MEMORY,
    PIECE_REGISTER,
    PIECE_VALUE,
    PIECE_BYTES,
    PIECE_POINTER, /* a pointer without a value, to what the entry at `place` is of */
    PIECE_MISSING
};

struct piece {
    enum piece_kind kind;
    uint64_t bits, bit;   /* how many, and from which bit of the source; bits 0: all of it */
    uint64_t address;     /* PIECE_MEMORY: run-time */
    unsigned slot;        /* PIECE_REGISTER */
    uint8_t value[16];    /* PIECE_VALUE, target byte order */
    const uint8_t *bytes; /* PIECE_BYTES */
    size_t size;
    struct die_place place; /* PIECE_POINTER, and how many bytes into that it points */
    int64_t offset;
};

struct located {
    struct piece pieces[LOCATION_PIECES];
    size_t count;
};

enum outcome { EVAL_OK, EVAL_AGAIN, EVAL_FAILED };

/* `why` is set with EVAL_FAILED. `initial` (may be NULL) is pushed before the start: an object's
 * address, for members; the CFA, for frame rules. */
enum outcome location_evaluate(const struct dwarf_expression *expression, struct frame *frame,
                               const uint64_t *initial, struct located *out, const char **why);

/* The object's bytes from what was located. `missing`, one byte each, marks what has no location.
 * EVAL_FAILED: not readable. */
enum outcome located_read(const struct located *located, struct frame *frame, uint64_t offset,
                          void *out, uint8_t *missing, size_t size, const char **why);
