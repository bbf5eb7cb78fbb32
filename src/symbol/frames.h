/* Frames: the registers that a call left behind, found through .eh_frame and .debug_frame. */
#pragma once

#include "symbol/functions.h"
#include "symbol/memory.h"
#include "symbol/space.h"

struct frames;

/* A frame that was really called. Inlined calls inside of it are found by its scopes. */
struct frame {
    struct space *space;
    struct memory *memory;
    struct registers registers;
    uint64_t pc;           /* run-time */
    bool innermost;        /* or interrupted: its pc is where it will go on, not behind a call */
    struct loaded *loaded; /* NULL: code of no known module */
    uint64_t cfa;
    bool has_cfa;
    bool on_goroutine;   /* Go: on the stack of one, reached from its thread's own */
    struct frame *asker; /* whose location needs what this one has passed; NULL: no other's */
    unsigned asked;      /* callers that the location has needed */
    int depth;
};

void frame_start(struct frame *frame, struct space *space, struct memory *memory,
                 const struct registers *registers);

/* The link-time address to look the frame's code up by: before a call's return address. */
uint64_t frame_lookup_pc(const struct frame *frame);

enum unwind_result { UNWIND_OK, UNWIND_AGAIN, UNWIND_END, UNWIND_FAILED };

/* The caller's frame. UNWIND_END: there is none. UNWIND_FAILED: *why says what is missing. `caller`
 * must not be `frame`. */
enum unwind_result frame_unwind(struct frame *frame, struct frame *caller, const char **why);

/* The canonical frame address, computed once. */
enum unwind_result frame_find_cfa(struct frame *frame, const char **why);

/* A word of the target's memory; UNWIND_FAILED with *why: there is none. */
enum unwind_result frame_word(const struct frame *frame, uint64_t address, uint64_t *out,
                              const char **why);

void frames_free(struct frames *frames);

/* One line of a stack, inlined calls included. */
struct stack_line {
    uint64_t pc;
    const char *function, *file; /* "" unknown; file: as the debug info has it */
    unsigned line;
    bool inlined;
    const char *module;
};

/* Symbolises one frame: its inlined calls innermost first, then itself. The number of lines. */
#define STACK_INLINED 32
size_t frame_lines(struct frame *frame, struct stack_line lines[static STACK_INLINED]);
