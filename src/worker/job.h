/* What main asks a worker to do, as JSON on the pipe. */
#pragma once

#include "session/session.h"

struct job {
    char *run;                  /* the run's id */
    char *recipe_name, *recipe; /* NULL for list and repair */
    struct settings params;     /* from the command line */
    struct target *targets;
    size_t target_count, target_cap;
    struct session_options options; /* its strings are the job's */
    char *relay, *output, *list_what, *list_pattern;
};

/* Appends the JSON of a job. */
void job_write(const struct job *job, struct buffer *out);

/* Reads it; false if it is none. */
bool job_read(const char *text, size_t len, struct job *out);
void job_clear(struct job *job);
