/* What the parts of the machine of DWARF expressions share. */
#pragma once

#include "symbol/location.h"

/* A value on the stack: an integer of the target's address size, or of a base type. */
struct cell {
    const struct type *type; /* NULL: generic */
    uint64_t i;
    double f; /* where the type is a float */
};

struct machine {
    const struct dwarf_expression *expression;
    struct frame *frame;
    struct module *module;
    uint64_t bias;
    struct cell stack[LOCATION_STACK];
    size_t depth;
    struct located *out;
    struct piece next; /* what the last operations located, until a DW_OP_piece takes it */
    bool located;
    const char *why;
    enum outcome outcome;
    int nesting;
};

/* All of these are false once the evaluation has failed, or waits for memory. */
bool machine_fail(struct machine *m, const char *why);
bool machine_again(struct machine *m);
bool machine_push(struct machine *m, uint64_t value);
bool machine_push_cell(struct machine *m, struct cell cell);
bool machine_pop(struct machine *m, struct cell *out);
enum outcome machine_run(const struct dwarf_expression *expression, struct frame *frame,
                         const uint64_t *initial, struct located *out, const char **why,
                         int nesting);

/* The value that an expression leaves on the stack, instead of a place. */
enum outcome machine_value(const struct dwarf_expression *expression, struct frame *frame,
                           struct cell *out, const char **why, int nesting);

/* cells.c: arithmetic, and values of base types */
struct cell cell_of(const struct type *type, const uint8_t *bytes, size_t size);
size_t cell_bytes(const struct cell *cell, uint8_t out[static 16], unsigned word);
bool machine_binary(struct machine *m, unsigned op);
bool machine_unary(struct machine *m, const struct location_op *op);
bool machine_shuffle(struct machine *m, const struct location_op *op);
bool machine_convert(struct machine *m, const struct location_op *op);
const struct type *machine_base_type(struct machine *m, uint64_t offset);

/* surroundings.c: what the frame, its caller and the thread have */
bool machine_register(struct machine *m, uint64_t number, struct arch_register *out,
                      uint64_t *value);
bool machine_based_on(struct machine *m, uint64_t number, int64_t offset);
bool machine_frame_base(struct machine *m, int64_t offset);
bool machine_cfa(struct machine *m);
bool machine_dereference(struct machine *m, size_t size, const struct type *type);
bool machine_entry_value(struct machine *m, const struct location_op *op);

/* tls.c */
bool machine_tls_address(struct machine *m);
