/* SIGINT and SIGTERM as bytes of a pipe: also seen while a sink's reader keeps us in a write, where
 * no loop turns. */
#pragma once

#include <stdbool.h>

/* Takes the two signals; one run of a process at a time. The descriptor to wait on, or -1. */
int interrupt_open(void);

/* The next signal that has come; 0: none. Never blocks. */
int interrupt_take(void);

/* Gives the signals back. */
void interrupt_close(void);
