/* Where breakpoints stand, shared with main: should the worker be killed, main puts the program's
 * bytes back at once, before another worker looks at the rest. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct note;

/* In main. A file of memory for a worker to inherit, or -1; note_map() gives what is in it (NULL:
 * it is none), until note_unmap(). */
int note_create(void);
struct note *note_map(int fd);
void note_unmap(struct note *note); /* or NULL */

/* In the worker, before a breakpoint is written: its entry, until note_drop(). 0 where there is no
 * note or no room: then it is not noted. */
uint32_t note_put(struct note *note, pid_t pid, uint64_t address, uint8_t original);
/* ... and after it was taken out. */
void note_drop(struct note *note, uint32_t entry);

/* In main, when the worker is dead: writes through `memory`, an open /proc/PID/mem. How many. */
size_t note_redeem(const struct note *note, pid_t pid, int memory);

/* Opens the memory of the process that a repair would look at (native+repair:PID), while it may be
 * opened: a launched one is nobody's descendant once the worker is dead. -1: it is another URI. */
int note_open(const char *uri, pid_t *pid);
