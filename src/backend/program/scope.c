/* How long a watched variable is there: one on a stack, while its function's frame is. Later the
 * same bytes are somebody else's, and what they say would be told as the variable's. */
#include "backend/program/program.h"

/* Bytes below its stack that a leaf function may use (System V ABI, x86-64). */
#define RED_ZONE 128
#define STACK_MAX (UINT64_C(8) << 20)
#define FRAMES_MAX 10000

/* Large; one thread uses a program. */
static struct frame frames[2];

static bool may_be_on_stack(const struct program *program, uint64_t address) {
    uint64_t sp;
    return registers_get(&frames[0].registers, (unsigned)program->space.arch->sp, &sp) &&
           address - (sp - RED_ZONE) < STACK_MAX;
}

enum outcome program_frame_holding(struct program *program, const struct program_thread *thread,
                                   uint64_t address, struct held_frame *out) {
    const char *why;
    *out = (struct held_frame){0};
    frames[0] = thread->frame;
    if (!may_be_on_stack(program, address))
        return EVAL_OK;
    for (unsigned i = 0, at = 0; i < FRAMES_MAX; i++, at = 1 - at) {
        struct frame *frame = &frames[at], *caller = &frames[1 - at];
        enum unwind_result result = program_unwind(program, frame, caller, &why);
        if (result == UNWIND_AGAIN)
            return EVAL_AGAIN;
        if (result != UNWIND_OK || !frame->has_cfa)
            break;
        if (address < frame->cfa) {
            *out = (struct held_frame){frame->cfa, caller->pc};
            break;
        }
    }
    return EVAL_OK;
}

static bool is_held(const struct held_frame *held, const struct frame *frame, uint64_t caller) {
    return frame->has_cfa && frame->cfa == held->cfa && caller == held->caller;
}

/* All of the stack is looked at: a signal's handler, or Go's runtime, may run on another one, with
 * addresses that compare as they like. */
enum outcome program_frame_lives(struct program *program, const struct program_thread *thread,
                                 const struct held_frame *held, bool *lives) {
    const char *why;
    bool beyond = false, blind = false; /* a frame further out is there; one has no known end */
    enum unwind_result result = UNWIND_OK;
    frames[0] = thread->frame;
    *lives = true;
    for (unsigned i = 0, at = 0; i < FRAMES_MAX && result == UNWIND_OK; i++, at = 1 - at) {
        struct frame *frame = &frames[at], *caller = &frames[1 - at];
        result = program_unwind(program, frame, caller, &why);
        if (result == UNWIND_AGAIN)
            return EVAL_AGAIN;
        if (result == UNWIND_OK && is_held(held, frame, caller->pc))
            return EVAL_OK;
        beyond |= frame->has_cfa && frame->cfa > held->cfa;
        blind |= result == UNWIND_OK && !frame->has_cfa;
    }
    *lives = blind || !(beyond || result == UNWIND_END);
    return EVAL_OK;
}
