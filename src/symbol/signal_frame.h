/* Where a signal handler returns to, by its code: Go's runtime and musl tell no debugger that what
 * is there is no function. */
#pragma once

#include "symbol/frames.h"

/* Does the frame's pc stand in the few instructions that make the kernel take a signal frame
 * down? */
bool is_signal_return(const struct frame *frame);

/* What the kernel has saved of the interrupted code: `caller` gets its registers, and *pc. What was
 * saved elsewhere (floating point) is not known. UNWIND_FAILED: the frame cannot be read. */
enum unwind_result signal_frame_unwind(const struct frame *frame, struct frame *caller,
                                       uint64_t *pc);
