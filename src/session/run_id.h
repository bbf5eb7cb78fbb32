/* A run's id, as it stands in events and in the names of breakpoints: which machine, which process.
 * A later run can so tell the leftovers of a crashed one from the breakpoints of one that lives. */
#pragma once

#define RUN_ID_SIZE 40

/* A new id for this process: letters and digits only. */
void run_id_new(char out[static RUN_ID_SIZE]);

enum run_life {
    RUN_NONE, /* not a breakpoint of a pickglass run */
    RUN_ALIVE,
    RUN_DEAD,
    RUN_ELSEWHERE, /* another machine or container: nobody can tell from here */
};

/* Whose breakpoint is this? `name` is "pg", the id, "n" and a number. */
enum run_life run_id_life(const char *name);
